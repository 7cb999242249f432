"""Fitting how each exit is read out: calibrator, mix of exits, learned score."""

from training.readouts.fit import fit

__all__ = ["fit"]
