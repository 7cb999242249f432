"""The floors of the house: who may import whom, and who never loads torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What each package may import of the project. router and services meet in the protos only.
FLOORS = {
    "offramp": {"offramp"},
    "router": {"offramp", "router"},
    "services": {"offramp", "services"},
    "training": {"offramp", "services.models", "services.backends", "training"},
    "cli": {"offramp", "router", "services", "training", "cli"},
    "bench": {"offramp", "router", "services", "training", "cli", "bench"},
}
HEAVY = {"torch", "transformers"}

LOAD_ALL = """
import importlib, pkgutil, sys
for name in {packages}:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(module.name)
print(*sorted({heavy} & set(sys.modules)))
"""


def imports(path: Path) -> set[str]:
    """Every module that a file imports, also inside functions; `from a.b import c` gives a.b.c."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def is_within(module: str, package: str) -> bool:
    """Whether `module` is `package` or lies in it."""
    return module == package or module.startswith(f"{package}.")


def imports_of(package: str) -> list[tuple[str, str]]:
    """(file, imported module) for every import of a package of the project."""
    files = sorted((ROOT / package).rglob("*.py"))
    return [(str(f.relative_to(ROOT)), module) for f in files for module in sorted(imports(f))]


@pytest.mark.parametrize("package", FLOORS)
def test_a_package_imports_only_from_its_own_floor_and_below(package):
    own = [(f, m) for f, m in imports_of(package) if m.split(".")[0] in FLOORS]
    allowed = FLOORS[package]
    assert own, f"no import found in {package}: is the test looking at the right folder?"
    assert [(f, m) for f, m in own if not any(is_within(m, a) for a in allowed)] == []


@pytest.mark.parametrize("package", ["offramp", "router"])
def test_no_file_of_the_light_packages_names_torch_or_transformers(package):
    assert [(f, m) for f, m in imports_of(package) if m.split(".")[0] in HEAVY] == []


def test_importing_every_module_of_router_and_offramp_loads_no_torch():
    script = LOAD_ALL.format(packages=["offramp", "router"], heavy=HEAVY)
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert loaded.stdout.split() == []


def test_decisions_engine_and_models_know_no_protobuf():
    pure = ("offramp/decision/", "services/engine/", "services/models/", "services/backends/")
    users = {f for p in ("offramp", "services") for f, m in imports_of(p) if "_pb2" in m}
    assert users, "no import of a stub found: is the test looking for the right name?"
    assert {f for f in users if f.startswith(pure)} == set()
