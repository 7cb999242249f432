"""Environments of the peers' own: made once in a work folder, no dependency of this project."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.peers.full_depth import PeerError
from training import progress

# What every server needs beside itself, in the versions that this project is measured with.
COMMON = ("torch==2.13.0", "transformers>=5,<6", "openvino>=2026.4,<2026.5")
STAMP = "installed.json"


@dataclass(frozen=True, slots=True)
class Environment:
    """pythons: interpreters to make it from, the first that is there.  packages: for pip."""

    name: str
    pythons: Sequence[str]
    packages: Sequence[str]


MOSEC = Environment("mosec", (sys.executable,), ("mosec==0.9.8", *COMMON))
# Its embedded interpreter is linked against the libpython that Debian and Ubuntu package.
TRITON = Environment("triton", ("/usr/bin/python3.11",), ("nvidia-pytriton==0.7.0", *COMMON))
INFINITY = Environment(
    "infinity", (sys.executable,), ("infinity-emb[server,torch]==0.0.78", "torch==2.13.0")
)


def python_of(environment: Environment, work: Path) -> Path:
    """The environment's interpreter, installed if need be. Raises PeerError where it cannot be."""
    folder = work / "environments" / environment.name
    python, stamp = folder / "bin" / "python", folder / STAMP
    wanted = json.dumps(list(environment.packages))
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    base = next((p for p in environment.pythons if shutil.which(p)), None)
    if base is None:
        raise PeerError(f"{environment.name} needs {' or '.join(environment.pythons)}")
    progress.say(f"{environment.name}: installing into {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    _run(environment, [base, "-m", "venv", str(folder)])
    _run(environment, [str(python), "-m", "pip", "install", "-qq", *environment.packages])
    stamp.write_text(wanted, encoding="utf-8")
    return python


def _run(environment: Environment, command: Sequence[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        raise PeerError(f"{environment.name} cannot be installed: {last}")
