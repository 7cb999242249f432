"""The recipes' table: ways to train the large tier, on the same held-out texts."""
