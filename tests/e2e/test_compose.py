"""docker-compose.yml, the config it mounts, the images and Prometheus: do they agree?"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

import pytest
import yaml

from offramp import config
from router.config import RouterSettings
from services.settings import TierSettings

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "deploy" / "config"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
TIERS = ("small", "large")
PROCESSES = ("router", *TIERS)


@pytest.fixture(scope="module")
def router() -> RouterSettings:
    return config.load(CONFIG / "router.yaml", RouterSettings)


@pytest.fixture(scope="module")
def tiers() -> dict[str, TierSettings]:
    return {name: config.load(CONFIG / f"{name}.yaml", TierSettings) for name in TIERS}


@pytest.fixture(scope="module")
def servers(router, tiers):
    """The server settings of each process."""
    return {"router": router.server, **{name: tier.server for name, tier in tiers.items()}}


@pytest.fixture(scope="module")
def stages() -> dict[str, str]:
    """The text of each named stage of the Dockerfile."""
    text = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    parts = re.split(r"^FROM \S+ AS (\S+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def port_of(address: str) -> str:
    """The port of host:port."""
    return address.rpartition(":")[2]


def mounts(service: str) -> dict[str, str]:
    """Path inside the container to path on the host."""
    parts = [volume.split(":") for volume in SERVICES[service]["volumes"]]
    return {inside: outside for outside, inside, *_ in parts}


def test_the_router_finds_each_tier_where_compose_runs_it(router, servers):
    for name in TIERS:
        assert router.tiers[name].address == f"{name}:{port_of(servers[name].address)}"


def test_the_tiers_of_every_route_are_compose_services(router):
    assert {t for route in router.routes.values() for t in route.tiers} <= set(SERVICES)


def test_all_processes_serve_one_and_the_same_mounted_bundle(router, tiers):
    bundles = {r.bundle for r in router.routes.values()} | {t.bundle for t in tiers.values()}
    assert bundles == {Path("/bundles/sentiment")}
    for name in PROCESSES:
        assert mounts(name)["/bundles"] == "./bundles"


@pytest.mark.parametrize("name", PROCESSES)
def test_config_is_mounted_as_a_folder_and_read_only(name):
    assert "./deploy/config:/etc/offramp:ro" in SERVICES[name]["volumes"]


@pytest.mark.parametrize("name", PROCESSES)
def test_an_image_starts_the_module_with_the_mounted_config(name, stages):
    stage = stages[SERVICES[name]["build"]["target"]]
    module = re.search(r'^ENTRYPOINT \["python", "-m", "(\S+)"\]$', stage, re.MULTILINE)
    assert module is not None
    assert find_spec(f"{module[1]}.__main__")
    command = re.search(r'^CMD \["--config", "(\S+)"\]$', stage, re.MULTILINE)
    assert command is not None
    inside = PurePosixPath(command[1])
    assert (ROOT / mounts(name)[str(inside.parent)] / inside.name).is_file()


@pytest.mark.parametrize("name", PROCESSES)
def test_an_image_exposes_the_ports_of_the_config(name, stages, servers):
    stage = stages[SERVICES[name]["build"]["target"]]
    grpc, metrics = port_of(servers[name].address), port_of(servers[name].metrics_address)
    assert f"EXPOSE {grpc} {metrics}\n" in stage


@pytest.mark.parametrize("name", PROCESSES)
def test_an_image_probes_what_the_config_says_with_its_tls(name, stages):
    stage = stages[SERVICES[name]["build"]["target"]]
    config = re.search(r'^CMD \["--config", "(\S+)"\]$', stage, re.MULTILINE)
    assert config is not None
    assert f'"offramp.rpc.probe", "--config", "{config[1]}"]' in stage


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_is_not_the_one_that_the_kernel_hides_signals_from(name):
    assert SERVICES[name]["init"] is True


def test_only_router_and_prometheus_are_published_and_on_loopback_only(servers):
    published = {name: s["ports"] for name, s in SERVICES.items() if "ports" in s}
    server = servers["router"]
    ports = (port_of(server.address), port_of(server.metrics_address))
    assert published == {
        "router": [f"127.0.0.1:{port}:{port}" for port in ports],
        "prometheus": ["127.0.0.1:9090:9090"],
    }


def test_the_router_starts_after_healthy_tiers_and_everything_restarts():
    wanted = {name: {"condition": "service_healthy"} for name in TIERS}
    assert SERVICES["router"]["depends_on"] == wanted
    assert {service["restart"] for service in SERVICES.values()} == {"unless-stopped"}


@pytest.mark.parametrize("name", PROCESSES)
def test_a_stop_leaves_time_to_drain(name, servers):
    grace = float(SERVICES[name]["stop_grace_period"].removesuffix("s"))
    assert grace > servers[name].drain_seconds


@pytest.mark.parametrize("name", PROCESSES)
def test_a_container_is_not_root_and_cannot_write(name, stages):
    stage = stages["router" if name == "router" else "services"]
    assert "USER 10001:10001" in stage
    assert SERVICES[name]["read_only"] is True
    assert SERVICES[name]["cap_drop"] == ["ALL"]


def test_the_images_install_no_model_library_but_what_serves(stages):
    assert "install-dependencies.py\n" in stages["router-build"]
    assert "ARG EXTRA=openvino\n" in stages["services-build"]
    assert 'install-dependencies.py "$EXTRA"' in stages["services-build"]
    assert "COPY services" not in stages["router-build"]
    assert "COPY --from=router-build" in stages["router"]


def test_prometheus_scrapes_every_process(servers):
    text = (ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["scrape_configs"]
    targets = {t for job in jobs for group in job["static_configs"] for t in group["targets"]}
    assert targets == {f"{n}:{port_of(s.metrics_address)}" for n, s in servers.items()}


def test_a_tier_takes_messages_at_least_as_large_as_the_router(router, tiers):
    for tier in tiers.values():
        assert tier.server.max_message_bytes >= router.server.max_message_bytes
