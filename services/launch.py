"""From command line to a running tier: what `services.small` and `services.large` share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop
from pydantic import ValidationError

from offramp.config import load
from offramp.errors import BundleError, ConfigError
from offramp.rpc.serving import configure_logging, run
from offramp.rpc.signals import leave_until_ready
from services.settings import TierSettings

UNUSABLE = 2
# The compute thread gives up the GIL at every tensor operation and must get it back; with Python's
# default of 5 ms, a busy event loop could hold up a stage for longer than the stage takes.
SWITCH_INTERVAL_SECONDS = 0.0005

EPILOG = """\
examples:
  python -m services.{service} --config deploy/config/{service}.yaml
  python -m services.{service} --config deploy/config/{service}.yaml --bundle bundles/sentiment \\
      --address 127.0.0.1:0 --metrics-address 127.0.0.1:0

When it is warmed up it prints one line of JSON with the addresses it serves at.
SIGTERM or SIGINT: it takes no new texts, finishes those in flight, and ends with code 0; before it
is ready it ends at once, with the same code.
Exit code 2: the config or the bundle cannot be used; the last line on stderr says what to do.
"""


def main(service: str, description: str | None, arguments: Sequence[str] | None = None) -> None:
    """Run the tier named by the service until it is told to stop."""
    leave_until_ready()
    options = _parser(service, description).parse_args(arguments)
    configure_logging()
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    # The tokenizer's own threads cost more, for the few texts of a batch, than they win.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        uvloop.run(_serve(service, _settings(options)))
    except (BundleError, ConfigError) as error:
        print(error, file=sys.stderr)
        sys.exit(UNUSABLE)


async def _serve(service: str, settings: TierSettings) -> None:
    # Brings what computes, which --help and mistakes need not wait for.
    from services.server import TierServer

    server = TierServer(service, settings)
    try:
        await server.start()
        await server.warm_up()
        await run(server)
    finally:
        await server.close()


def _settings(options: argparse.Namespace) -> TierSettings:
    """The config file's settings, under what the command line says."""
    settings = load(options.config, TierSettings).model_dump()
    overrides = {"address": options.address, "metrics_address": options.metrics_address}
    settings["server"].update({key: value for key, value in overrides.items() if value})
    settings["bundle"] = options.bundle or settings["bundle"]
    try:
        return TierSettings.model_validate(settings)
    except ValidationError as error:
        problems = "; ".join(item["msg"] for item in error.errors())
        raise ConfigError(f"command line: {problems.removeprefix('Value error, ')}") from None


def _parser(service: str, description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m services.{service}",
        description=description,
        epilog=EPILOG.format(service=service),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="settings of this tier, as YAML"
    )
    parser.add_argument(
        "--bundle", type=Path, metavar="DIR", help="bundle to serve, instead of the config's"
    )
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="where to serve gRPC; port 0: any that is free"
    )
    parser.add_argument(
        "--metrics-address", metavar="HOST:PORT", help="where to serve /metrics over HTTP"
    )
    return parser
