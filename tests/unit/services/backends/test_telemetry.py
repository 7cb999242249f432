"""OpenVINO calls nobody from a service."""

import subprocess
import sys

LOOK = """
import {module}
import openvino.tools.ovc as ovc
print(type(ovc.telemetry).__module__)
"""


def test_openvino_reports_to_nobody():
    for module in ("services.backends.openvino_backend", "training.openvino_export"):
        done = subprocess.run(
            [sys.executable, "-c", LOOK.format(module=module)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "openvino.tools.ovc.telemetry_stub\n"
