"""stub"""
def up() -> None:
    """Up."""
