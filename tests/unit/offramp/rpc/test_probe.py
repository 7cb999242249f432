"""The health probe that containers run."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import yaml
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from offramp.rpc.probe import main, probe

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
CERTIFICATES = Path(__file__).parents[3] / "data" / "tls"
TLS = {
    "certificate": str(CERTIFICATES / "server.pem"),
    "key": str(CERTIFICATES / "server.key"),
    "client_ca": None,
}


@pytest.fixture
def serve():
    """Run real health servers: for each its servicer, and the address that it listens at."""
    servers = []

    def start(address="127.0.0.1:0", tls=None):
        servicer = health.HealthServicer()
        server = grpc.server(ThreadPoolExecutor(max_workers=2))
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        if tls is None:
            port = server.add_insecure_port(address)
        else:
            names = ("key", "certificate", "client_ca")
            key, own, ca = (Path(tls[n]).read_bytes() if tls[n] else None for n in names)
            credentials = grpc.ssl_server_credentials([(key, own)], ca, ca is not None)
            port = server.add_secure_port(address, credentials)
        server.start()
        servers.append(server)
        return servicer, address.replace(":0", f":{port}")

    yield start
    for server in servers:
        server.stop(grace=None).wait()


@pytest.fixture
def server(serve):
    return serve()


@pytest.fixture
def config(tmp_path):
    """Write a config file whose server is this one; gives the options that name it."""

    def write(**server):
        path = tmp_path / "service.yaml"
        path.write_text(yaml.safe_dump({"server": server, "engine": {"threads": 1}}))
        return ["--config", str(path)]

    return write


def test_a_serving_server_is_exit_0(server):
    servicer, address = server
    servicer.set("", SERVING)
    assert main([address]) == 0


def test_a_draining_server_is_exit_1_and_says_so(server, capsys):
    servicer, address = server
    servicer.set("", NOT_SERVING)
    assert main([address]) == 1
    assert capsys.readouterr().out == "NOT_SERVING\n"


def test_one_service_can_be_asked_about_apart_from_the_server(server):
    servicer, address = server
    servicer.set("", SERVING)
    servicer.set("offramp.v1.RouterService", NOT_SERVING)
    assert main([address, "--service", "offramp.v1.RouterService"]) == 1
    assert probe(address, "offramp.v1.Unknown").startswith("NOT_FOUND")


def test_a_port_where_nothing_listens_is_exit_1_within_the_timeout():
    command = [sys.executable, "-m", "offramp.rpc.probe", "127.0.0.1:1", "--timeout", "2"]
    probed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert probed.returncode == 1
    assert probed.stdout.startswith("UNAVAILABLE")


@pytest.mark.parametrize("client_ca", [None, str(CERTIFICATES / "ca.pem")], ids=["tls", "mutual"])
def test_a_server_with_tls_is_asked_over_tls(serve, config, client_ca):
    tls = {**TLS, "client_ca": client_ca}
    servicer, address = serve(tls=tls)
    assert main(config(address=address, tls=tls)) == 0
    servicer.set("", NOT_SERVING)
    assert main(config(address=address, tls=tls)) == 1


def test_a_server_with_tls_is_asked_by_the_name_in_its_certificate(serve, config, tmp_path):
    _, address = serve(f"unix:{tmp_path}/s.sock", TLS)  # an address without a name
    assert main(config(address=address, tls=TLS)) == 0


def test_another_certificate_than_that_of_the_file_is_not_trusted(serve, config, capsys):
    _, address = serve(tls=TLS)
    other = {"certificate": str(CERTIFICATES / "client.pem"), "key": TLS["key"]}
    assert main([*config(address=address, tls=other), "--timeout", "1"]) == 1
    assert capsys.readouterr().out.startswith(("UNAVAILABLE", "DEADLINE_EXCEEDED"))


@pytest.mark.parametrize("listens_at", ["0.0.0.0", "[::]"])
def test_a_server_on_every_interface_is_asked_on_this_machine(serve, config, listens_at):
    _, address = serve(f"{listens_at}:0")
    assert main(config(address=address, tls=None)) == 0


def test_an_address_beside_a_file_is_the_one_that_is_asked(server, config):
    _, address = server
    assert main([address, *config(address="127.0.0.1:1")]) == 0


@pytest.mark.parametrize(
    "content", [None, "server: [", "routes: {}", "server: {address: 'h:1', tls: {key: none}}"]
)
def test_a_file_that_cannot_be_used_is_exit_1_and_named(tmp_path, capsys, content):
    path = tmp_path / "service.yaml"
    if content is not None:
        path.write_text(content)
    assert main(["--config", str(path)]) == 1
    assert "service.yaml" in capsys.readouterr().out


def test_the_probe_loads_nothing_heavy():
    script = (
        "import sys; from offramp.rpc import probe;"
        "print(sorted({'torch', 'numpy', 'scipy', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"
