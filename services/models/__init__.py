"""The networks that tiers run, how they are stored, and what they cost."""
