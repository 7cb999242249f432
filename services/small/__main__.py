"""Serves the small tier of a bundle: one cheap exit that answers the easy texts."""

from services.launch import main

if __name__ == "__main__":
    main("small", __doc__)
