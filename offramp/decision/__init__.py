"""Pure functions on arrays: confidence, calibration, cost, evidence, frontier, plans."""
