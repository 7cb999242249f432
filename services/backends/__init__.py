"""How a stage of a model is run: one small interface and what implements it."""

import sys

# OpenVINO reports its import to its makers, from a forked process: a service that handles other
# people's texts calls nobody, and a signal to that process would reach the service's own handlers,
# which share their pipe with it. Without the module OpenVINO and NNCF go on with a stand-in.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
