"""The config files of `offramp up`: written once, kept when edited."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.launch.workspace import Wishes, prepare
from offramp import errors
from offramp.config import load
from services.settings import TierSettings

EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "config"


@pytest.fixture
def written(folder, tiny_bundle):
    """The files as the first run writes them."""
    return prepare(folder, Wishes(port=6000, metrics_port=7000), tiny_bundle)


def test_the_first_run_writes_a_file_per_service_that_its_service_accepts(
    written, folder, tiny_bundle
):
    assert sorted(path.name for path in folder.glob("*.yaml")) == [
        "large.yaml",
        "router.yaml",
        "small.yaml",
    ]
    settings = written.settings
    assert settings.server.address == "127.0.0.1:6000"
    assert settings.server.metrics_address == "127.0.0.1:7000"
    route = settings.routes["reviews"]
    assert route.tiers == ("small", "large")
    assert route.bundle == tiny_bundle
    for number, name in enumerate(("small", "large"), start=1):
        tier = load(written.file(name), TierSettings)
        assert tier.server.address == f"unix:{folder}/{name}.sock"
        assert tier.server.address == settings.tiers[name].address
        assert tier.server.metrics_address == f"127.0.0.1:{7000 + number}"
        assert (tier.tier, tier.bundle) == (name, tiny_bundle)


def test_port_0_gives_every_service_a_free_port_of_its_own(folder, tiny_bundle):
    settings = prepare(folder, Wishes(port=0, metrics_port=0), tiny_bundle).settings
    tiers = [load(folder / f"{name}.yaml", TierSettings).server for name in settings.tiers]
    servers = [settings.server, *tiers]
    used = [settings.server.address, *(server.metrics_address for server in servers)]
    assert len(set(used)) == 4
    # Where outgoing connections get their ports, one might take it before the service listens.
    first, last = (int(n) for n in EPHEMERAL.read_text().split())
    ports = [int(address.rpartition(":")[2]) for address in used]
    assert not any(port == 0 or first <= port <= last for port in ports)


def test_tiers_have_ports_where_no_socket_can_be(tmp_path, tiny_bundle):
    folder = tmp_path / ("a" * 100)
    settings = prepare(folder, Wishes(port=6000, metrics_port=7000), tiny_bundle).settings
    assert [tier.address for tier in settings.tiers.values()] == [
        "127.0.0.1:6001",
        "127.0.0.1:6002",
    ]
    assert load(folder / "large.yaml", TierSettings).server.address == "127.0.0.1:6002"


def test_a_host_that_is_not_here_is_said(folder, tiny_bundle):
    with pytest.raises(errors.ConfigError, match=r"cannot listen on 192\.0\.2\.1 .*--host"):
        prepare(folder, Wishes(host="192.0.2.1", port=0), tiny_bundle)


def test_files_nobody_edited_follow_the_options(written, folder, tiny_bundle):
    again = prepare(folder, Wishes(port=6500), tiny_bundle)
    assert again.settings.server.address == "127.0.0.1:6500"
    assert again.settings.server.metrics_address == "127.0.0.1:9464"
    assert not again.edited


def edit(path, old, new):
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new))
    return path.read_text()


def test_an_edited_file_is_kept_as_it_is(written, folder, tiny_bundle):
    edited = edit(written.file("router"), "{expected_loss: 0}\n", "{threshold: 0.7}\n")
    again = prepare(folder, Wishes(), tiny_bundle)
    assert again.edited
    assert again.settings.routes["reviews"].policy.objective.threshold == 0.7
    assert written.file("router").read_text() == edited


def test_an_edited_tier_file_keeps_the_others_in_step_with_it(written, folder, tiny_bundle):
    edit(written.file("large"), "max_batch: null", "max_batch: 8")
    before = written.file("router").read_text()
    assert prepare(folder, Wishes(), tiny_bundle).edited
    assert written.file("router").read_text() == before


def test_an_edited_tier_file_survives_that_the_router_s_is_written_anew(
    written, folder, tiny_bundle
):
    edit(written.file("large"), "max_batch: null", "max_batch: 8")
    kept = edit(written.file("large"), f"unix:{folder}/large.sock", "127.0.0.1:6123")
    written.file("router").unlink()
    again = prepare(folder, Wishes(port=6400), tiny_bundle)
    assert written.file("large").read_text() == kept
    assert again.settings.server.address == "127.0.0.1:6400"
    assert {name: tier.address for name, tier in again.settings.tiers.items()} == {
        "small": f"unix:{folder}/small.sock",
        "large": "127.0.0.1:6123",
    }


PREPARES = """
import sys
from pathlib import Path
from cli.launch.workspace import Wishes, prepare
from offramp.errors import ConfigError
try:
    prepare(Path(sys.argv[1]), Wishes(port=int(sys.argv[2])), Path(sys.argv[3]))
    print("prepared", flush=True)
    sys.stdin.read()
except ConfigError as error:
    print(error)
"""


@contextmanager
def another_process(folder, port, bundle):
    """One that prepares the same folder, and stays; what it says."""
    command = [sys.executable, "-c", PREPARES, str(folder), str(port), str(bundle)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process.stdout.readline()
        process.communicate()


def test_the_files_of_a_suite_that_runs_are_left_alone(folder, tiny_bundle):
    with another_process(folder, 6000, tiny_bundle) as said:
        assert said == "prepared\n"
        before = {path: path.read_text() for path in folder.glob("*.yaml")}
        assert len(before) == 3
        with pytest.raises(errors.ConfigError, match=r"runs from .*config.*--config-dir"):
            prepare(folder, Wishes(port=6500), tiny_bundle)
        assert {path: path.read_text() for path in folder.glob("*.yaml")} == before
    prepare(folder, Wishes(port=6500), tiny_bundle)
    with another_process(folder, 6000, tiny_bundle) as said:
        assert "another `offramp up` runs from" in said


def test_a_folder_that_cannot_be_written_to_serves_what_is_in_it(
    written, folder, tiny_bundle, monkeypatch
):
    edit(written.file("router"), "{expected_loss: 0}\n", "{threshold: 0.7}\n")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", refuse)
    assert prepare(folder, Wishes(), tiny_bundle).edited


@pytest.mark.parametrize("wish", [{"port": 6001}, {"host": "0.0.0.0"}, {"metrics_port": 1}])
def test_an_option_against_an_edited_file_is_refused(written, folder, tiny_bundle, wish):
    edit(written.file("router"), "{expected_loss: 0}\n", "{threshold: 0.7}\n")
    with pytest.raises(errors.ConfigError, match=r"router\.yaml was edited and is kept"):
        prepare(folder, Wishes(**wish), tiny_bundle)


def test_another_bundle_against_an_edited_file_is_refused(written, folder, tiny_bundle, tmp_path):
    edit(written.file("router"), "{expected_loss: 0}\n", "{threshold: 0.7}\n")
    prepare(folder, Wishes(bundle=tiny_bundle, port=6000), tiny_bundle)
    with pytest.raises(errors.ConfigError, match="--config-dir"):
        prepare(folder, Wishes(bundle=tmp_path), tiny_bundle)


def test_a_broken_edit_is_named_with_its_line(written, folder, tiny_bundle):
    edit(written.file("router"), "confidence: max_prob", "confidence: maximum")
    with pytest.raises(errors.ConfigError, match=r"router\.yaml:\d+: .*confidence"):
        prepare(folder, Wishes(), tiny_bundle)


def test_no_bundle_writes_nothing(folder, tmp_path):
    with pytest.raises(errors.BundleError, match="offramp train"):
        prepare(folder, Wishes(bundle=tmp_path / "none"), tmp_path)
    assert not list(folder.glob("*.yaml"))


def test_a_route_whose_name_looks_like_a_number_is_served(folder, tiny_bundle, tmp_path):
    bundle = tmp_path / "2024"
    shutil.copytree(tiny_bundle, bundle)
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps({**manifest, "name": "2024"}))
    assert list(prepare(folder, Wishes(bundle=bundle), bundle).settings.routes) == ["2024"]
