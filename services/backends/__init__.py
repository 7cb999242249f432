"""How a stage of a model is run: one small interface and what implements it."""
