"""`offramp up` as a user runs it: real processes, real sockets, real signals."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

READY = "Ctrl-C stops everything."
PATIENCE = 150.0

pytestmark = pytest.mark.timeout(400)


@dataclass
class Up:
    """A running `offramp up`."""

    process: subprocess.Popen
    output: Path
    config: Path

    def said(self) -> str:
        return self.output.read_text()

    def wait_for(self, text: str, times: int = 1) -> None:
        wait_until(lambda: self.said().count(text) >= times or self.process.poll() is not None)
        assert self.said().count(text) >= times, self.said()

    @property
    def address(self) -> str:
        return re.search(r"gRPC\s+(\S+)", self.said()).group(1)

    @property
    def metrics(self) -> str:
        return re.search(r"metrics\s+(\S+)", self.said()).group(1)

    def children(self) -> dict[str, int]:
        """Process ids by service."""
        pids = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        found = {}
        for pid in map(int, pids.split()):
            config = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[-2]
            found[Path(config).stem] = pid
        return found

    def classify(self, *arguments: str) -> list[dict]:
        done = command("classify", "--address", self.address, "-o", "jsonl", *arguments)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


def wait_until(condition) -> None:
    end = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def command(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


@contextmanager
def offramp_up(folder: Path, bundle: Path, *options: str):
    """Start it on free ports; whatever happens, nothing is left running."""
    output = folder / "output.txt"
    config = folder / "config"
    with output.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "up", "--bundle", str(bundle), "--config-dir",
             str(config), "--port", "0", "--metrics-port", "0", *options],
            stdout=stream, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield Up(process, output, config / "router.yaml")
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def up(tmp_path_factory, exported_bundle):
    with offramp_up(tmp_path_factory.mktemp("up"), exported_bundle, "--demo") as running:
        running.wait_for(READY)
        yield running


def test_it_says_where_everything_is_and_shows_a_first_batch(up):
    up.wait_for("mean speedup")
    said = up.said()
    for service in ("small", "large", "router"):
        assert f"{service} is ready" in said
    assert str(up.config) in said
    assert "6 texts in" in said
    assert f"offramp policy show --address {up.address}" in said


def test_the_command_line_classifies_through_it(up):
    (answer,) = up.classify("a gorgeous film")
    assert answer["route"] == "reviews"
    assert answer["exit"] in ("small", "large@1", "large@2", "large@3")
    (reference,) = up.classify("a gorgeous film", "--full-depth")
    assert reference["exit"] == "large@3"


def test_a_bar_on_the_terminal_leaves_standard_output_alone(up, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"a film, number {n}\n" for n in range(200)))
    terminal, other_end = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "cli", "classify", "--address", up.address, "--file", str(texts),
         "-o", "jsonl"],
        stdout=subprocess.PIPE, stderr=other_end, timeout=PATIENCE, check=False,
        env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(other_end)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert done.returncode == 0, shown
    assert "classifying" in shown
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 200


def test_every_metrics_page_answers(up):
    pages = re.findall(r"http://\S+/metrics", up.said())
    assert len(pages) == 3
    for page in pages:
        with urllib.request.urlopen(page, timeout=10) as response:
            assert b"grpc_server_handled_total" in response.read()


def test_an_edit_of_the_printed_config_moves_traffic(up):
    original = up.config.read_text()
    for threshold, exit_name in (("0.0", "small"), ("1.0", "large@3")):
        edited = original.replace("{expected_loss: 0}\n", f"{{threshold: {threshold}}}\n")
        assert edited != original
        up.config.write_text(edited)
        wait_until(lambda name=exit_name: up.classify("a film")[0]["exit"] == name)
        assert up.classify("a film")[0]["exit"] == exit_name


def test_policy_show_tells_thresholds_forecast_and_live_figures(up):
    done = command("policy", "show", "--address", up.address)
    assert done.returncode == 0, done.stderr
    assert "route reviews" in done.stdout
    assert "live" in done.stdout
    assert re.search(r"large@3\s+always", done.stdout)


def test_a_policy_is_set_and_checked_on_the_running_router(up):
    checked = command("policy", "check", "--address", up.address, "--objective", "threshold: 0.0")
    assert checked.returncode == 0, checked.stderr
    assert re.search(r"small\s+always\s+100.0%", checked.stdout)
    done = command(
        "policy", "set", "--address", up.address, "--objective", "threshold: 0.0", "--ttl", "1h"
    )
    assert done.returncode == 0, done.stderr
    assert "is in force until" in done.stdout
    assert up.classify("a film")[0]["exit"] == "small"


def test_a_service_that_dies_is_started_again(up):
    first = up.children()["small"]
    ready = up.said().count("small is ready")
    os.kill(first, signal.SIGKILL)
    up.wait_for("small is ready", ready + 1)
    assert "small stopped (killed by SIGKILL)" in up.said()
    assert up.children()["small"] != first


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_leaves_nothing_behind(tmp_path, exported_bundle, signum):
    with offramp_up(tmp_path, exported_bundle) as running:
        running.wait_for(READY)
        children = running.children()
        assert set(children) == {"small", "large", "router"}
        running.process.send_signal(signum)
        assert running.process.wait(PATIENCE) == 0
        assert "stopped" in running.said()
        assert not any(alive(pid) for pid in children.values())


def test_services_do_not_outlive_an_up_that_is_killed(tmp_path, exported_bundle):
    with offramp_up(tmp_path, exported_bundle) as running:
        running.wait_for(READY)
        children = running.children()
        running.process.kill()
        wait_until(lambda: not any(alive(pid) for pid in children.values()))
        assert not any(alive(pid) for pid in children.values())


def test_a_service_that_does_not_come_up_ends_it_with_the_last_log_lines(tmp_path, exported_bundle):
    broken = tmp_path / "broken"
    shutil.copytree(exported_bundle, broken)
    weights = next((broken / "large").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    with offramp_up(tmp_path, broken) as running:
        assert running.process.wait(PATIENCE) == 1
        assert "large stopped (exit code 2)" in running.said()
        assert "restore or retrain the bundle" in running.said()
        assert "Traceback" not in running.said()


def test_a_taken_port_is_a_sentence(up, tmp_path, exported_bundle):
    port = up.address.rpartition(":")[2]
    done = command(
        "up", "--bundle", str(exported_bundle), "--config-dir", str(tmp_path / "config"),
        "--port", port, "--metrics-port", "0",
    )  # fmt: skip
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr
