"""The large tier as a process: `python -m services.large`."""
