"""Health probe for containers: exit 0 where a server says SERVING, 1 where it does not.

python -m offramp.rpc.probe ADDRESS [--service NAME] [--timeout SECONDS]
"""

from __future__ import annotations

import argparse
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


def probe(address: str, service: str = "", timeout: float = 3.0) -> str:
    """Name the health of `service` at `address` ("" is the whole server): SERVING or why not."""
    request = health_pb2.HealthCheckRequest(service=service)
    with grpc.insecure_channel(address) as channel:
        try:
            reply = health_pb2_grpc.HealthStub(channel).Check(request, timeout=timeout)
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status))


def main(arguments: list[str] | None = None) -> int:
    """Print what the server says of itself; return the exit status."""
    parser = argparse.ArgumentParser(prog="offramp.rpc.probe", description=__doc__)
    parser.add_argument("address", help="host:port")
    parser.add_argument("--service", default="", help="full name of a service; default: the server")
    parser.add_argument("--timeout", type=float, default=3.0, help="seconds")
    wanted = parser.parse_args(arguments)
    health = probe(wanted.address, wanted.service, wanted.timeout)
    print(health)
    return 0 if health == "SERVING" else 1


if __name__ == "__main__":
    sys.exit(main())
