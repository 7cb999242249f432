"""The committed stubs are what scripts/gen-protos makes of protos/ today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "offramp" / "v1"


def generated_files(folder: Path) -> dict[str, str]:
    """Name and text of the generated files of a folder."""
    return {p.name: p.read_text(encoding="utf-8") for p in folder.glob("*_pb2*.py*")}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("protos")
    subprocess.run(
        [sys.executable, ROOT / "scripts" / "gen-protos", "--out", out], check=True, cwd=ROOT
    )
    return generated_files(out / "offramp" / "v1")


def test_every_proto_has_messages_services_and_their_types(fresh):
    protos = {p.stem for p in (ROOT / "protos").rglob("*.proto")}
    endings = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")
    assert set(fresh) == {f"{name}{ending}" for name in protos for ending in endings}


def test_committed_stubs_are_those_of_the_protos(fresh):
    committed = generated_files(COMMITTED)
    assert sorted(committed) == sorted(fresh), "run `make protos`"
    stale = [name for name, text in fresh.items() if committed[name] != text]
    assert stale == [], "run `make protos`"
