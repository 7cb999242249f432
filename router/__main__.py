"""`python -m router --config FILE`: the router as a process."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from offramp.errors import BundleError, ConfigError
from offramp.rpc.serving import configure_logging, run
from offramp.rpc.signals import leave_until_ready
from router.app import Router


def main() -> int:
    """Serve until a signal; 2 where config, bundle or tiers cannot be used."""
    leave_until_ready()
    # Until it serves: the file is compared with what was read as soon as the tiers are there.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    parser = argparse.ArgumentParser(prog="python -m router", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, metavar="FILE")
    parser.add_argument("--address", metavar="HOST:PORT", help="in place of server.address")
    parser.add_argument("--metrics-address", metavar="HOST:PORT", help="in place of the file's")
    options = parser.parse_args()
    configure_logging()
    try:
        uvloop.run(_serve(options.config, options.address, options.metrics_address))
    except (ConfigError, BundleError) as error:
        print(error, file=sys.stderr)
        return 2
    except asyncio.CancelledError:
        return 0  # a signal while the tiers were waited for
    return 0


async def _serve(path: Path, address: str | None, metrics_address: str | None) -> None:
    router = Router(path, address=address, metrics_address=metrics_address)
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
