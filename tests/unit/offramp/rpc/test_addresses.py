"""Addresses: ports and Unix sockets, and whether a server can listen there."""

from __future__ import annotations

import asyncio
import socket

import grpc
import pytest

from offramp.rpc.addresses import obstacle, unix_address, with_port


@pytest.fixture
def odd(tmp_path):
    """A folder whose name means something in an address."""
    folder = tmp_path / "a b%20?#é"
    folder.mkdir()
    return folder


def test_a_socket_at_any_path_is_one_that_grpc_binds_and_that_is_seen_to_be_taken(odd):
    path = odd / "small.sock"
    address = unix_address(path)
    assert address is not None
    assert obstacle(address) is None
    assert not path.exists()

    async def serve() -> str | None:
        server = grpc.aio.server()
        server.add_insecure_port(address)
        await server.start()
        try:
            assert path.is_socket()
            assert unix_address(path) == address
            return obstacle(address)
        finally:
            await server.stop(None)

    assert asyncio.run(serve()) == "Address already in use"


def test_the_file_that_a_killed_process_leaves_is_no_obstacle(tmp_path):
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    assert path.exists()
    assert obstacle(f"unix:{path}") is None


def test_a_path_that_can_be_no_socket_has_no_address(tmp_path):
    assert unix_address(tmp_path / ("a" * 110)) is None
    assert unix_address(tmp_path / "none" / "s.sock") is None
    assert obstacle(f"unix:{tmp_path}/none/s.sock") == "No such file or directory"
    assert "too long" in (obstacle(f"unix:{tmp_path}/{'a' * 110}") or "")


def test_a_taken_port_is_an_obstacle():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert obstacle(f"127.0.0.1:{port}") == "Address already in use"
    assert obstacle(f"127.0.0.1:{port}") is None


def test_a_host_that_is_not_here_is_an_obstacle():
    assert obstacle("192.0.2.1:0") == "Cannot assign requested address"


def test_the_port_that_the_system_chose_takes_the_place_of_0():
    assert with_port("[::1]:0", 7) == "[::1]:7"
    assert with_port("unix:/run/s.sock", 1) == "unix:/run/s.sock"
