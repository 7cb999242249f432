"""From a labelled file to a bundle: read, split, train, distil, calibrate, report."""

import services.backends  # noqa: F401  # first of all, for what it keeps OpenVINO from
