"""The small tier as a process: `python -m services.small`."""
