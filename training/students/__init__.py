"""Students of the small tier: what they learn from, how they begin, how they learn."""
