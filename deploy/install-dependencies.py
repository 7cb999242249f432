"""Install what pyproject.toml depends on, and not the project: an image layer that code leaves be.

python deploy/install-dependencies.py [EXTRA ...]
"""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = {f"offramp[{name}]": items for name, items in project["optional-dependencies"].items()}


def spelled_out(items: list[str]) -> Iterator[str]:
    """The items, with what stands behind extras of the project itself."""
    for item in items:
        if item in extras:
            yield from spelled_out(extras[item])
        else:
            yield item


asked = [f"offramp[{name}]" for name in sys.argv[1:]]
unknown = [name for name in asked if name not in extras]
if unknown:
    sys.exit(f"no extra {', '.join(unknown)}; there is: {', '.join(extras)}")
wanted = spelled_out([*project["dependencies"], *asked])
pip = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "--progress-bar=off"]
sys.exit(subprocess.run([*pip, *wanted], check=False).returncode)
