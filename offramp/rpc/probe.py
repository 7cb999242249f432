"""Health probe for containers: exit 0 where a server says SERVING, 1 where it does not.

python -m offramp.rpc.probe ADDRESS [--service NAME] [--timeout SECONDS]
python -m offramp.rpc.probe --config FILE   # address and TLS from the server's own config file
"""

from __future__ import annotations

import argparse
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

EVERY_INTERFACE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


def probe(
    address: str,
    service: str = "",
    timeout: float = 3.0,
    tls: Mapping[str, str | None] | None = None,
) -> str:
    """Name the health of `service` at `address` ("" is the whole server): SERVING or why not.

    tls: the server's own files: certificate, key, client_ca. Raises OSError where one cannot be
        read, KeyError where one is not named.
    """
    request = health_pb2.HealthCheckRequest(service=service)
    with _channel(address, tls) as channel:
        try:
            reply = health_pb2_grpc.HealthStub(channel).Check(request, timeout=timeout)
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status))


def _channel(address: str, tls: Mapping[str, Any] | None) -> grpc.Channel:
    """A channel that trusts the very certificate of the server, and shows it as the client's own.

    So a probe needs no files that the server has not. A server asks for it where it has client_ca.
    """
    if not tls:
        return grpc.insecure_channel(address)
    certificate, key = (Path(tls[name]).read_bytes() for name in ("certificate", "key"))
    return grpc.secure_channel(
        address,
        grpc.ssl_channel_credentials(certificate, key, certificate),
        # Called by its address on this machine, for which a certificate is seldom made out.
        [("grpc.ssl_target_name_override", _name_in(tls["certificate"]))],
    )


def _name_in(certificate: str) -> str:
    """A name that a certificate is made out for."""
    internals: Any = vars(ssl)["_ssl"]  # the library's one way to read a certificate from a file
    found = internals._test_decode_cert(certificate)
    others = found.get("subjectAltName", ())
    names = [value for kind, value in others if kind in ("DNS", "IP Address")]
    names += [value for part in found["subject"] for kind, value in part if kind == "commonName"]
    return str(names[0]).replace("*", "probe")


def _server(path: Path) -> tuple[str, Mapping[str, str | None] | None]:
    """Where the server of a config file is called from this machine, and its TLS files.

    Not validated, which would take longer than to ask: the server has done it.
    """
    server = yaml.safe_load(path.read_text(encoding="utf-8"))["server"]
    host, _, port = server["address"].rpartition(":")
    return f"{EVERY_INTERFACE.get(host, host)}:{port}", server.get("tls")


def main(arguments: list[str] | None = None) -> int:
    """Print what the server says of itself; return the exit status."""
    parser = argparse.ArgumentParser(prog="offramp.rpc.probe", description=__doc__)
    parser.add_argument("address", nargs="?", help="host:port; default: that of the config file")
    parser.add_argument("--config", type=Path, metavar="FILE", help="of the router or of a tier")
    parser.add_argument("--service", default="", help="full name of a service; default: the server")
    parser.add_argument("--timeout", type=float, default=3.0, help="seconds")
    wanted = parser.parse_args(arguments)
    if not (wanted.address or wanted.config):
        parser.error("name an address, or a config file with --config")
    try:
        address, tls = _server(wanted.config) if wanted.config else (wanted.address, None)
        health = probe(wanted.address or address, wanted.service, wanted.timeout, tls)
    except (OSError, yaml.YAMLError, LookupError, TypeError, AttributeError) as error:
        health = f"{wanted.config}: names no server that can be asked ({error!r})"
    print(health)
    return 0 if health == "SERVING" else 1


if __name__ == "__main__":
    sys.exit(main())
