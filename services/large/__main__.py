"""Serves the large tier of a bundle: a multi-exit encoder for what the small tier was unsure of."""

from services.launch import main

if __name__ == "__main__":
    main("large", __doc__)
