"""The config files of `offramp up`: written for the newcomer, kept as soon as one is edited."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from cli.launch import templates
from offramp.bundle import read_manifest
from offramp.config import load
from offramp.errors import ConfigError
from offramp.rpc.addresses import host_and_port, is_unix, unix_address
from router.config import RouterSettings
from services.settings import TierSettings

DEFAULT_HOST, DEFAULT_PORT, DEFAULT_METRICS_PORT = "127.0.0.1", 50051, 9464
# Below those that the system gives to outgoing connections, which might take one of them before the
# services listen.
FREE_PORTS = range(20_000, 32_000)
LOCK = ".lock"
MARK = "# Written by `offramp up`, checksum "


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asks for; None: not said. Port 0: whatever is free."""

    bundle: Path | None = None
    host: str | None = None
    port: int | None = None
    metrics_port: int | None = None

    def contradicted_by(self, settings: RouterSettings) -> bool:
        """Whether these settings say otherwise than what was asked for."""
        address = settings.server.address
        host, port = (None, None) if is_unix(address) else host_and_port(address)
        _, metrics_port = host_and_port(settings.server.metrics_address)
        bundles = [route.bundle.resolve() for route in settings.routes.values()]
        pairs = (
            (self.host, host),
            (self.port, port),
            (self.metrics_port, metrics_port),
            (self.bundle and [self.bundle.resolve()], bundles),
        )
        return any(wanted is not None and wanted != found for wanted, found in pairs)


@dataclass(frozen=True, slots=True)
class Workspace:
    """The config directory, ready to start from."""

    directory: Path
    settings: RouterSettings
    edited: bool

    def file(self, service: str) -> Path:
        """The config file of the router or of a tier."""
        return self.directory / f"{service}.yaml"


def prepare(directory: Path, wishes: Wishes, default_bundle: Path) -> Workspace:
    """Write the config files, or keep them where one was edited.

    The folder belongs to this process from then on. Raises ConfigError where another one runs from
    it, or an edited file says otherwise than the command line, or is wrong, and BundleError where
    there is no bundle to write a config for.
    """
    directory.mkdir(parents=True, exist_ok=True)
    _claim(directory)
    edited = [path for path in sorted(directory.glob("*.yaml")) if not _is_unedited(path)]
    router = directory / "router.yaml"
    if edited and router.exists():
        settings = load(router, RouterSettings)
        if wishes.contradicted_by(settings):
            raise ConfigError(
                f"{edited[0]} was edited and is kept, but --bundle, --host, --port or "
                "--metrics-port ask for something else: leave these options out, edit the file, "
                "or choose another --config-dir"
            )
        return Workspace(directory, settings, edited=True)
    for name, content in _contents(directory, wishes, default_bundle, edited).items():
        (directory / name).write_text(f"{MARK}{_hash(content)}\n{content}", encoding="utf-8")
    return Workspace(directory, load(router, RouterSettings), edited=False)


def _claim(directory: Path) -> None:
    """Keep others out of a folder for as long as this process lives: its router reads the files."""
    try:
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return  # nobody can write here: nothing needs to be kept
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the process's own, not the descriptor's
    except OSError:
        os.close(lock)
        raise ConfigError(
            f"another `offramp up` runs from {directory}: stop it, or choose another --config-dir"
        ) from None


def _contents(
    directory: Path, wishes: Wishes, default_bundle: Path, edited: Sequence[Path]
) -> dict[str, str]:
    """What to write, by file name; nothing for a file that was edited."""
    bundle = (wishes.bundle or default_bundle).resolve()
    manifest = read_manifest(bundle)
    names = ["router", *(tier.name for tier in manifest.tiers)]
    host = wishes.host or DEFAULT_HOST
    ports = _ports(host, wishes.port, DEFAULT_PORT, len(names))
    metrics = _ports(host, wishes.metrics_port, DEFAULT_METRICS_PORT, len(names), but=ports)
    addresses = {name: f"{host}:{port}" for name, port in zip(names, ports, strict=True)}
    # The router alone calls the tiers: over a Unix socket, which other users cannot connect to.
    for name in names[1:]:
        if (kept := directory / f"{name}.yaml") in edited:
            addresses[name] = load(kept, TierSettings).server.address
        else:
            addresses[name] = unix_address(directory / f"{name}.sock") or addresses[name]
    pages = {name: f"{host}:{port}" for name, port in zip(names, metrics, strict=True)}
    written = {
        f"{name}.yaml": templates.tier(name, addresses[name], pages[name], bundle)
        for name in names[1:]
        if directory / f"{name}.yaml" not in edited
    }
    tiers = {name: addresses[name] for name in names[1:]}
    route = templates.Route(manifest.name, bundle)
    written["router.yaml"] = templates.router(addresses["router"], pages["router"], route, tiers)
    return written


def _ports(
    host: str, wanted: int | None, default: int, count: int, but: Sequence[int] = ()
) -> list[int]:
    """So many ports from the wanted one on; where any will do, free ones, none of `but`."""
    first = default if wanted is None else wanted
    if first:
        return [first + offset for offset in range(count)]
    return list(islice(_free(host, but), count))


def _free(host: str, but: Sequence[int]) -> Iterator[int]:
    """Ports that nobody listens on, in no order. Raises ConfigError where there is no such host."""
    try:
        socket.create_server((host, 0)).close()
    except OSError as error:
        raise ConfigError(f"cannot listen on {host} ({error}); choose another --host") from None
    for port in random.sample(FREE_PORTS, len(FREE_PORTS)):
        if port not in but:
            with suppress(OSError), socket.create_server((host, port)):
                yield port


def _is_unedited(path: Path) -> bool:
    mark, _, content = path.read_text(encoding="utf-8", errors="replace").partition("\n")
    return mark == MARK + _hash(content)


def _hash(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:16]
