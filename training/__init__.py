"""From a labelled file to a bundle: read, split, train, distil, calibrate, report."""
