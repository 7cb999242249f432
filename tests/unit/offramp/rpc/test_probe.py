"""The health probe that containers run."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from offramp.rpc.probe import main, probe

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def server():
    """A real health server: its servicer, and its address."""
    servicer = health.HealthServicer()
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"127.0.0.1:{port}"
    server.stop(grace=None).wait()


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
