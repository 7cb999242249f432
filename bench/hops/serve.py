"""One of the servers, in a process of its own: prints its port, serves until it is killed."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import uvloop

from offramp.rpc.server import Server

SERVICE = "offramp.bench.Hops"
# About what an answer of the router takes.
ANSWER = bytes(400)

SERVERS: dict[str, Callable[[], grpc.aio.Server]] = {
    "grpc.aio": grpc.aio.server,
    "offramp.rpc.server": lambda: Server(lambda path, handler: handler),
}


async def call(request: bytes, context: Any) -> bytes:
    """Answer at once."""
    return ANSWER


async def stream(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
    """Answer each message at once."""
    async for _ in requests:
        yield ANSWER


async def spent(request: bytes, context: Any) -> bytes:
    """Processor seconds of this process, ever."""
    return str(time.process_time()).encode()


async def serve(name: str) -> None:
    """Serve with one of SERVERS."""
    server = SERVERS[name]()
    methods = {
        "call": grpc.unary_unary_rpc_method_handler(call),
        "stream": grpc.stream_stream_rpc_method_handler(stream),
        "spent": grpc.unary_unary_rpc_method_handler(spent),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
