"""How far serving is from the floor: the compute of just the stages that had to run."""
