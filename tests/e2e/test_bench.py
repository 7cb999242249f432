"""The benchmark command: real services, and JSON as the last line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
REVIEWS = ROOT / "tests/data/reviews.tsv"
TEXTS = 150


def run(module: str, *arguments: str) -> dict[str, Any]:
    """Run a benchmark as its user does; the object of its last line."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of some of the reviews."""
    file = tmp_path_factory.mktemp("data") / "reviews.tsv"
    lines = REVIEWS.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[: TEXTS + 1]), encoding="utf-8")
    return str(file)


@pytest.mark.timeout(300)
def test_the_benchmark_ends_with_one_json_object(
    exported_bundle: Path, data: str, tmp_path: Path
) -> None:
    picture = tmp_path / "curve.svg"
    arguments = ["--data", data, "--bundle", str(exported_bundle)]
    arguments += ["--repeats", "1", "--plot", str(picture)]
    found = run("bench.sst2", *arguments)
    assert found["identical"]["labels_changed"] == 0
    assert found["identical"]["exits_changed"] == 0
    assert found["identical"]["largest_probability_difference"] < 1e-4
    assert set(found["ece"]) == {"small", "large@1", "large@2", "large@3"}
    assert [point["setting"] for point in found["losses"]] == [0.0, 0.005]
    costs = [point["mean_cost"] for point in found["dial"]]
    assert costs == sorted(costs, reverse=True)
    assert "<svg" in picture.read_text()


@pytest.mark.timeout(300)
def test_load_runs_on_the_real_services(exported_bundle: Path, data: str) -> None:
    arguments = ["--data", data, "--bundle", str(exported_bundle)]
    found = run("bench.load", *arguments, "--rate", "40", "--seconds", "3")
    assert found["answered"] == found["sent"] > 20
    assert found["errors"] == {}
    assert found["accuracy"] > 0.6
    spent = {name: p["cpu_ms_per_answer"] for name, p in found["processes"].items()}
    assert set(spent) == {"small", "large", "router"}
    # The small tier may be sure of all of them.
    assert min(spent["small"], spent["router"]) > 0


@pytest.mark.timeout(300)
def test_floor_is_below_what_serving_takes(
    exported_bundle: Path, data: str, tmp_path: Path
) -> None:
    arguments = ["--data", data, "--bundle", str(exported_bundle)]
    arguments += ["--seconds", "3", "--repeats", "1", "--out", str(tmp_path)]
    (found,) = run("bench.floor", *arguments)["sets"].values()
    assert set(found["floor_ms"]) == {"small", "large"}
    assert len(found["ways"]) == 2
    for way in found["ways"].values():
        assert set(way["cpu_ms"]) == {"small", "large", "router"}
        assert way["times_floor"] > 1
    first = found["stages"]["small"][0]
    assert first["rows"] == found["texts"]
    assert "Processor time per answer" in (tmp_path / "engine.md").read_text()


@pytest.mark.timeout(300)
def test_tables_of_load_come_from_real_services(
    exported_bundle: Path, data: str, tmp_path: Path
) -> None:
    arguments = ["--data", data, "--bundle", str(exported_bundle)]
    arguments += ["--seconds", "1", "--multiples", "0.5", "--in-flight", "1,8"]
    arguments += ["--requests", "50", "--crowd", "500", "--calls-in-flight", "8"]
    run("bench.load.tables", *arguments, "--out", str(tmp_path))
    found = json.loads((tmp_path / "engine.json").read_text())["sets"]
    goodput = found["load, goodput: reviews"]
    assert all(r["answered"] for runs in goodput["runs"].values() for r in runs.values())
    flight = found["load, in-flight: reviews"]
    assert [level["in_flight"] for level in flight["levels"]] == [1, 8]
    assert all(level["rows"]["small"] >= 1 for level in flight["levels"])
    assert set(flight["watched"]) == {"0", "8"}
    for watched in flight["watched"].values():
        assert all(seen["count"] for kind in watched.values() for seen in kind.values())
    crowd = flight["crowd"]
    assert set(crowd["errors"]) == {"OVERLOADED"}
    assert sum(crowd["errors"].values()) + crowd["answered"] == crowd["sent"] >= 500
    assert crowd["late"]["answered"]["count"] + crowd["late"]["refused"]["count"] > 0
    runs = found["load, calls: reviews"]["runs"]
    assert len({run["way"] for run in runs}) == 3
    assert all(run["throughput"] > 0 for run in runs)
    assert found["load, idle: reviews"]["times_in_process"] > 0
    assert found["load, memory: reviews"]["memory_mb"]
    page = (tmp_path / "engine.md").read_text()
    titles = "Goodput|Texts in flight|Rows to a batch|Ways to ask|One text at a time|Memory"
    titles += "|Health and metrics meanwhile|Too many in flight"
    assert all(f"## {title}" in page for title in titles.split("|"))
