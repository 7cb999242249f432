"""`python -m router --config FILE`: the router as a process."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import uvloop

from offramp.config import load
from offramp.errors import BundleError, ConfigError
from offramp.process.child import Died
from offramp.rpc.serving import configure_logging, run
from offramp.rpc.signals import leave_until_ready
from router import workers
from router.app import Router
from router.config import MOST_WORKERS, RouterSettings
from router.workers import Worker


def main() -> int:
    """Serve until a signal; 2 where config, bundle or tiers cannot be used."""
    leave_until_ready()
    # Until it serves: the file is compared with what was read as soon as the tiers are there.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    parser = argparse.ArgumentParser(prog="python -m router", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, metavar="FILE")
    parser.add_argument("--address", metavar="HOST:PORT", help="in place of server.address")
    parser.add_argument("--metrics-address", metavar="HOST:PORT", help="in place of the file's")
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that share the address, in place of the file's number; each has a metrics "
        "page, on the ports from the first one's on",
    )
    # How workers are started: as which one of how many, and from which copy of the file.
    parser.add_argument("--worker", type=Worker.read, help=argparse.SUPPRESS)
    parser.add_argument("--started", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    configure_logging()
    where = {"address": options.address, "metrics_address": options.metrics_address}
    try:
        if options.worker is None and (count := _workers(options.config, options.workers)) > 1:
            return asyncio.run(workers.serve(options.config, count, **where))
        of_several = {"worker": options.worker or Worker(), "started": options.started}
        uvloop.run(_serve(partial(Router, options.config, **where, **of_several)))
    except (ConfigError, BundleError) as error:
        print(error, file=sys.stderr)
        return 2
    except Died as death:
        print(death, file=sys.stderr)
        return 2 if death.code == 2 else 1
    except asyncio.CancelledError:
        return 0  # a signal while the tiers were waited for
    return 0


def _workers(path: Path, wanted: int | None) -> int:
    if wanted is None:
        return load(path, RouterSettings).workers
    if not 1 <= wanted <= MOST_WORKERS:
        raise ConfigError(f"--workers: {wanted} workers are none or too many; 1 to {MOST_WORKERS}")
    return wanted


async def _serve(make: Callable[[], Router]) -> None:
    router = make()  # on the event loop
    starting = asyncio.create_task(router.start())
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, starting.cancel)
    try:
        await starting
        await run(router.server, on_hup=router.reload_soon)
    finally:
        await router.stop()


if __name__ == "__main__":
    sys.exit(main())
