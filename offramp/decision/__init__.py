"""Pure functions on arrays: confidence, calibration, cost, evidence, thresholds, guarantees."""
