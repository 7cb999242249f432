"""The services as processes: ready line, answers, metrics, orderly end, refusals to start."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import grpc
import pytest
import yaml

from offramp.v1 import tier_pb2, tier_pb2_grpc

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


@pytest.fixture
def config(tmp_path, bundle):
    """Write a config file with some keys changed; gives its path."""

    def write(**changes):
        settings = {
            "server": {"address": "127.0.0.1:50052", "metrics_address": "127.0.0.1:9465"},
            "bundle": str(bundle),
            "engine": {"max_batch": 4, "threads": 1},
            **changes,
        }
        path = tmp_path / "tier.yaml"
        path.write_text(yaml.safe_dump(settings), encoding="utf-8")
        return path

    return write


@contextlib.asynccontextmanager
async def running(service, *arguments):
    """The process, and what its ready line says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"services.{service}", *map(str, arguments),
        "--address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0",
        stdout=asyncio.subprocess.PIPE, env=ENVIRONMENT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 90)
        yield process, json.loads(line)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("service", ["small", "large"])
async def test_process_serves_until_it_is_told_to_stop(config, infer, make_item, service):
    async with running(service, "--config", config()) as (process, ready):
        assert (ready["event"], ready["service"]) == ("ready", service)
        async with grpc.aio.insecure_channel(ready["address"]) as channel:
            stub = tier_pb2_grpc.TierServiceStub(channel)
            found = await stub.Describe(tier_pb2.DescribeRequest())
            assert found.tier == service
            results = await infer(stub, [make_item(1, "w1 w2")])
            assert results[1].answer.exit == found.exits[-1].name
        url = f"http://{ready['metrics']}/metrics"
        page = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
        assert f'bundle_id="{found.bundle_id}",tier="{service}"}} 1.0' in page
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) == 0


def refusal(service, *arguments):
    """Exit code and last line of stderr of a process that is expected not to start."""
    done = subprocess.run(
        [sys.executable, "-m", f"services.{service}", *map(str, arguments)],
        check=False, capture_output=True, text=True, env=ENVIRONMENT, timeout=90,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.strip().splitlines()[-1]


def test_missing_bundle_stops_the_start_with_a_remedy(config, tmp_path):
    code, message = refusal("large", "--config", config(), "--bundle", tmp_path / "nowhere")
    assert code == 2
    assert "manifest.json is missing" in message
    assert "offramp train" in message


def test_file_that_differs_from_the_manifest_stops_the_start(config, bundle, tmp_path):
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", bundle, copy], check=True)
    weights = copy / "large" / "weights.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    code, message = refusal("large", "--config", config(), "--bundle", copy)
    assert code == 2
    assert "weights.safetensors is not the file" in message


def test_unknown_key_and_bad_address_are_named(config):
    code, message = refusal("small", "--config", config(engin={}))
    assert code == 2
    assert "engin: unknown key" in message
    code, message = refusal("small", "--config", config(), "--address", "50052")
    assert code == 2
    assert "write host:port" in message


def test_help_teaches():
    done = subprocess.run(
        [sys.executable, "-m", "services.large", "--help"],
        check=False, capture_output=True, text=True, env=ENVIRONMENT, timeout=90,
    )  # fmt: skip
    assert done.returncode == 0
    assert "python -m services.large --config deploy/config/large.yaml" in done.stdout
