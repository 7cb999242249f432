"""Servers as process groups: started, measured with all their children, stopped for good."""

import sys

import pytest

from bench.peers import process
from bench.peers.contenders import free_ports
from bench.peers.full_depth import PeerError

# Opens the port, and lets a child burn processor time, which takes its time to end.
SERVER = """
import socket, subprocess, sys, time
burn = '''
import time
try:
    while time.process_time() < 0.5: pass
    time.sleep(60)
finally:
    time.sleep(0.3)
'''
child = subprocess.Popen([sys.executable, "-c", burn])
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    time.sleep(60)
"""


async def test_a_server_is_measured_with_its_children_and_stopped_with_them(tmp_path):
    port = free_ports(1)
    command = [sys.executable, "-c", SERVER, str(port)]
    async with process.served(command, port, tmp_path / "server.log", {}) as session:
        while (spent := process.usage(session)).cpu_seconds < 0.5:
            pass
        assert spent.memory_bytes > 5_000_000
    assert process.usage(session).memory_bytes == 0


async def test_a_server_that_ends_is_an_error_with_what_it_said(tmp_path):
    command = [sys.executable, "-c", "raise SystemExit('no model here')"]
    with pytest.raises(PeerError, match="server did not come up: no model here"):
        async with process.served(command, free_ports(1), tmp_path / "server.log", {}):
            pass
