"""What pyproject.toml, the Makefile and CI promise of the distribution."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import offramp

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = ("offramp", "router", "services", "training", "cli", "bench")
SOURCES = sorted(f for package in PACKAGES for f in (ROOT / package).rglob("*.py"))

# Runs in the environments of other servers.
PEERS = ROOT / "bench" / "peers" / "servers"
# What must be installed for a package: the core, and these extras.
EXTRAS = {
    "offramp": set(),
    "router": set(),
    "services": {"models", "openvino"},
    "training": {"models", "openvino", "train"},
    "cli": {"models", "openvino", "train"},
    "bench": {"models", "openvino", "train", "bench"},
}


def declared(extras: set[str]) -> set[str]:
    """Canonical names of what the core and some extras depend on."""
    optional = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in optional[extra])]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def third_party_imports(package: str) -> set[str]:
    """Top-level modules that a package imports and that are neither Python's nor the project's."""
    found: set[str] = set()
    for path in (ROOT / package).rglob("*.py"):
        if path.is_relative_to(PEERS):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found - set(PACKAGES) - sys.stdlib_module_names


@pytest.mark.parametrize("package", EXTRAS)
def test_every_import_is_of_something_that_pyproject_declares(package):
    homes = packages_distributions()  # several share a namespace, as `google` is
    allowed = declared(EXTRAS[package])
    undeclared = {
        module
        for module in third_party_imports(package)
        if not {canonicalize_name(name) for name in homes.get(module, [])} & allowed
    }
    assert undeclared == set()


def test_the_core_needs_no_model_library():
    assert not declared(set()) & {"torch", "transformers", "tokenizers", "scikit-learn"}


def test_torch_is_pinned_so_that_its_cpu_build_is_found():
    assert "torch==2.13.0" in PROJECT["optional-dependencies"]["models"]


@pytest.mark.parametrize("extra", [None, *PROJECT["optional-dependencies"]])
def test_every_requirement_has_a_bound_below_and_above_or_is_exact(extra):
    lines = PROJECT["dependencies"] if extra is None else PROJECT["optional-dependencies"][extra]
    for line in lines:
        requirement = Requirement(line)
        if requirement.name == "offramp" or requirement.name.startswith("types-"):
            continue
        operators = {bound.operator for bound in requirement.specifier}
        assert operators in ({"=="}, {">=", "<"}), line


def test_every_folder_of_modules_is_a_package_that_an_install_finds():
    folders = {f.parent for f in SOURCES} - {PEERS}
    assert [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").exists()] == []


def test_the_installed_distribution_has_the_version_of_the_package():
    assert version("offramp") == offramp.__version__
    assert requires("offramp")


def test_the_offramp_command_is_a_typer_application():
    module, _, name = PROJECT["scripts"]["offramp"].partition(":")
    assert (module, name) == ("cli.__main__", "app")
    text = (ROOT / "cli" / "__main__.py").read_text(encoding="utf-8")
    assert re.search(r"\bapp\b.*=.*Typer\(|import .*\bapp\b", text)


def test_ci_runs_the_test_command_that_the_readme_gives():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^make test$", script, re.MULTILINE)
    assert re.search(r"^\W*make test\b", readme, re.MULTILINE)
    assert re.search(r"^\W*make up\b", readme, re.MULTILINE)


def test_every_target_of_the_makefile_is_in_its_help():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.findall(r"^\.PHONY: (\S+)$", text, re.MULTILINE))
    described = set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))
    assert phony == described
