"""The policy that options ask for, and for how long."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+")
PART = re.compile(r"(\d+(?:\.\d+)?)([smhd])")

Objective = Annotated[
    str | None,
    typer.Option(
        metavar="YAML",
        help="`expected_loss: 0.005`, `speedup: 5`, `mean_cost: 0.2`, `threshold: 0.9`, "
        "`thresholds: {small: 0.93, large@2: 0.9}`, or certified: "
        "`{max_accuracy_loss: 0.01, confidence: 0.95, method: ltt}`, `max_disagreement: 0.02`.",
    ),
]
Measure = Annotated[
    str | None, typer.Option(metavar="NAME", help="`max_prob`, `margin`, `entropy` or `learned`.")
]
PolicyFile = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        exists=True,
        dir_okay=False,
        help="A whole policy as YAML: `objective`, `confidence`, …",
    ),
]


def duration(written: str) -> timedelta:
    """A time such as 90s, 10m or 1h30m."""
    if not DURATION.fullmatch(written):
        raise typer.BadParameter(f"{written!r} is no time; write 90s, 10m or 1h30m")
    parts = PART.findall(written)
    return timedelta(seconds=sum(float(number) * SECONDS[unit] for number, unit in parts))


def changed(
    current: str, objective: str | None, confidence: str | None, file: Path | None
) -> dict[str, Any]:
    """The current policy (YAML) with what the options change; a file replaces it whole."""
    if file is not None:
        if objective or confidence:
            raise typer.BadParameter("give --file, or --objective and --confidence, not both")
        return dict(_mapping(file.read_text(encoding="utf-8"), str(file)))
    if not objective and not confidence:
        raise typer.BadParameter("nothing to change; give --objective, --confidence or --file")
    policy = dict(_mapping(current, "the policy in force"))
    if objective:
        policy["objective"] = dict(_mapping(objective, "--objective"))
    if confidence:
        policy["confidence"] = confidence
    return policy


def _mapping(text: str, source: str) -> Mapping[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise typer.BadParameter(f"{source} is no YAML ({_problem(error)})") from None
    if not isinstance(content, dict):
        raise typer.BadParameter(f"{source}: expected `key: value`, for example `speedup: 5`")
    return content


def _problem(error: Exception) -> str:
    return getattr(error, "problem", None) or str(error)
