"""The services as processes on this machine: configured, started, watched, drained."""
