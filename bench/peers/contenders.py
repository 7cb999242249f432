"""Who is compared: servers around the full model, a pipeline in process, and this project."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp

from bench.peers.environment import INFINITY, MOSEC, TRITON, Environment
from bench.peers.full_depth import SERVERS, PeerError

# Texts as the body of a request, and their labels in the body of the answer.
Body: TypeAlias = Callable[[Sequence[str]], dict[str, Any]]
Labels: TypeAlias = Callable[[Any], list[str]]

MODEL = "full"


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that gets the full model: how it is started, and how it is asked over HTTP.

    command: from the interpreter, the model's folder, workers, port and rows to a batch.  body,
    labels: of a call of as many texts as the server takes in one, which is one for some.
    """

    title: str
    environment: Environment
    command: Callable[[Path, Path, int, int, int], list[str]]
    path: str
    body: Body
    labels: Labels


def _own(script: str, how: str) -> Callable[[Path, Path, int, int, int], list[str]]:
    def command(python: Path, folder: Path, workers: int, port: int, rows: int) -> list[str]:
        arguments = [str(folder), how, str(workers), str(port), str(rows)]
        return [str(python), str(SERVERS / script), *arguments]

    return command


def _infinity(python: Path, folder: Path, workers: int, port: int, rows: int) -> list[str]:
    # It has one worker, on all cores.
    program = str(python.parent / "infinity_emb")
    fixed = ["--engine", "torch", "--device", "cpu", "--url-prefix", "", "--host", "127.0.0.1"]
    sized = ["--port", str(port), "--batch-size", str(rows), "--served-model-name", MODEL]
    return [program, "v2", "--model-id", str(folder), *fixed, *sized]


def _mosec(how: str) -> Peer:
    return Peer(
        title=f"mosec, {_spelled(how)}",
        environment=MOSEC,
        command=_own("mosec_server.py", how),
        path="/inference",
        body=lambda texts: {"text": texts[0]},
        labels=lambda answer: [str(answer["label"])],
    )


def _triton(how: str) -> Peer:
    return Peer(
        title=f"Triton, {_spelled(how)}",
        environment=TRITON,
        command=_own("triton_server.py", how),
        path=f"/v2/models/{MODEL}/infer",
        body=lambda texts: {
            "inputs": [
                {
                    "name": "text",
                    "shape": [len(texts), 1],
                    "datatype": "BYTES",
                    "data": list(texts),
                }
            ]
        },
        labels=lambda answer: [str(label) for label in answer["outputs"][0]["data"]],
    )


def _spelled(how: str) -> str:
    return {"torch-fp32": "PyTorch fp32", "openvino-fp32": "OpenVINO fp32"}.get(
        how, "OpenVINO int8"
    )


PEERS: dict[str, Peer] = {
    "infinity": Peer(
        title="infinity-emb, PyTorch fp32",
        environment=INFINITY,
        command=_infinity,
        path="/classify",
        body=lambda texts: {"model": MODEL, "input": list(texts)},
        labels=lambda answer: [
            str(max(scores, key=lambda one: one["score"])["label"]) for scores in answer["data"]
        ],
    ),
    "mosec": _mosec("torch-fp32"),
    "triton": _triton("torch-fp32"),
    "mosec-fp32": _mosec("openvino-fp32"),
    "triton-fp32": _triton("openvino-fp32"),
    "mosec-int8": _mosec("openvino-int8"),
    "triton-int8": _triton("openvino-int8"),
}


class HttpAsk:
    """Asks a peer for the labels of texts in one call. Raises PeerError for what is no answer."""

    def __init__(self, session: aiohttp.ClientSession, peer: Peer, port: int) -> None:
        self._session = session
        self._peer = peer
        self._url = f"http://127.0.0.1:{port}{peer.path}"

    async def __call__(self, texts: Sequence[str]) -> list[str]:
        try:
            async with self._session.post(self._url, json=self._peer.body(texts)) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise PeerError(f"{self._peer.title}: {error!r}") from error
        if response.status != 200:
            raise PeerError(f"{self._peer.title}: {response.status}, {answer[:200]!r}")
        return self._peer.labels(json.loads(answer))


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens at."""
    for first in range(20_000, 40_000, count):
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise PeerError(f"no {count} free ports in a row")


def _is_free(port: int) -> bool:
    with socket.socket() as found:
        return found.connect_ex(("127.0.0.1", port)) != 0


def environment_of(work: Path) -> dict[str, str]:
    """Variables that keep what libraries write in the work folder, and on this machine."""
    return {
        "HF_HOME": str(work / "huggingface"),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "DO_NOT_TRACK": "1",
        "PYTHONUNBUFFERED": "1",
    }


def workers() -> int:
    """Of a server, on one thread each: as many as this process may use cores.

    A batch takes a tenth less processor time on one thread than on two, and two workers answer as
    many texts as one with two threads.
    """
    return len(os.sched_getaffinity(0))
