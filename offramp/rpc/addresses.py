"""Where servers listen: host:port, or a Unix socket as gRPC writes it, unix:PATH."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from urllib.parse import quote, unquote

UNIX = "unix:"


def is_unix(address: str) -> bool:
    """Whether it is a Unix socket's."""
    return address.startswith(UNIX)


def unix_address(path: Path) -> str | None:
    """The address of a socket at an absolute path.

    None where there can be none: a path too long for one, a file system that knows no sockets.
    """
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(path))
        path.unlink()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return None
    return UNIX + quote(str(path))


def host_and_port(address: str) -> tuple[str, int]:
    """The parts of host:port; IPv6 hosts keep their brackets."""
    host, _, port = address.rpartition(":")
    return host, int(port)


def with_port(address: str, port: int) -> str:
    """The address with the port that the system chose; a Unix socket's as it is."""
    return address if is_unix(address) else f"{host_and_port(address)[0]}:{port}"


def obstacle(address: str) -> str | None:
    """Why a server cannot listen there; None where it can."""
    try:
        if is_unix(address):
            _try_socket(Path(unquote(address.removeprefix(UNIX))))
        else:
            host, port = host_and_port(address)
            family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
            socket.create_server((host.strip("[]"), port), family=family).close()
    except OSError as error:
        # Of a host that is unknown the number is another, negative one.
        return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return None


def _try_socket(path: Path) -> None:
    """Look before binding: gRPC takes a socket over from whoever listens on it, without a word."""
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return  # nobody is there, at most the file of a process that was killed
    raise OSError(errno.EADDRINUSE, "")
