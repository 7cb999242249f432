"""The command, run in this process."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from cli.app import app


@pytest.fixture
def offramp(monkeypatch):
    """Run `offramp` with arguments; the result has exit_code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("OFFRAMP_ADDRESS", raising=False)

    def run(*arguments, **options):
        return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)

    return run
