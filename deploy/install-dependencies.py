"""Install what pyproject.toml depends on, and not the project: an image layer that code leaves be.

python deploy/install-dependencies.py [EXTRA ...]
"""

import subprocess
import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"]
wanted = [*project["dependencies"], *(item for extra in sys.argv[1:] for item in extras[extra])]
pip = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "--progress-bar=off"]
sys.exit(subprocess.run([*pip, *wanted], check=False).returncode)
