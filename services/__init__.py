"""The services that host models: the engine, its backends, and one process per tier."""
