"""What a bundle buys, on one self-contained HTML page."""
