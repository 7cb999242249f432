"""The compose stack as tests drive it: a copy of the project, docker, and Prometheus' answers."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "offramp-test"
FILES = ("pyproject.toml", "README.md", "LICENSE", "docker-compose.yml", ".dockerignore")
FOLDERS = ("deploy", "offramp", "router", "services", "bundles")


def succeeds(*command: str) -> bool:
    """Whether a command is here and ends with 0."""
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def engine_answers() -> bool:
    """Whether a Docker engine is here."""
    return succeeds("docker", "info")


def output_of(command: list[str], folder: Path) -> str:
    """What a command prints; an AssertionError with all of it where it fails."""
    done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Stack:
    """A copy of the project, run by compose; its config can be edited without a trace."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        plugin = succeeds("docker", "compose", "version")
        command = ["docker", "compose"] if plugin else ["docker-compose"]
        self.command = [*command, "-p", PROJECT]
        for name in FILES:
            shutil.copy(ROOT / name, folder / name)
        for name in FOLDERS:
            shutil.copytree(ROOT / name, folder / name)

    def compose(self, *arguments: str) -> str:
        """Run a compose command; return what it printed."""
        return output_of([*self.command, *arguments], self.folder)

    def inspect(self, service: str, field: str) -> str:
        """A field of `docker inspect`, as a Go template; of a stopped container too."""
        container = self.compose("ps", "--all", "-q", service).strip()
        template = f"{{{{{field}}}}}"
        return output_of(["docker", "inspect", "-f", template, container], self.folder).strip()

    def edit_policy(self, old: str, new: str) -> None:
        """Replace text in router.yaml the way editors do: a new file, moved over the old one."""
        path = self.folder / "deploy" / "config" / "router.yaml"
        text = path.read_text(encoding="utf-8")
        assert old in text
        fresh = path.with_suffix(".new")
        fresh.write_text(text.replace(old, new), encoding="utf-8")
        fresh.replace(path)


def query(expression: str) -> dict[str, float]:
    """Ask Prometheus; value by instance ("" for a sum over all)."""
    address = f"http://127.0.0.1:9090/api/v1/query?{urlencode({'query': expression})}"
    with urlopen(address) as reply:
        samples = json.load(reply)["data"]["result"]
    return {sample["metric"].get("instance", ""): float(sample["value"][1]) for sample in samples}
