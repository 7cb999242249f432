"""The papers' table: every method on every data set, on the same models."""
