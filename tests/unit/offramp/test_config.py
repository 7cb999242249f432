"""Config files: every mistake is told with file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from offramp.config import ServerSettings, Strict, load, parse
from offramp.errors import ConfigError


class Tier(Strict):
    address: str


class Example(Strict):
    server: ServerSettings
    tiers: dict[str, Tier] = Field(default_factory=dict)
    names: tuple[str, ...] = ()


GOOD = """\
server:
  address: 0.0.0.0:50051
  metrics_address: 127.0.0.1:0
"""


def test_a_good_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    settings = load(path, Example)
    assert settings.server.address == "0.0.0.0:50051"
    assert settings.server.drain_seconds == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            GOOD + "  drain_second: 3\n",
            "f.yaml:4: server.drain_second: unknown key; remove it or correct its spelling",
        ),
        (
            "server:\n  address: 0.0.0.0:1\n",
            "f.yaml:1: server.metrics_address: this key is missing",
        ),
        (
            GOOD + "  drain_seconds: -1\n",
            "f.yaml:4: server.drain_seconds: Input should be greater than or equal to 0",
        ),
        (
            GOOD + "tiers:\n  small:\n    address: a\n    port: 1\n",
            "f.yaml:7: tiers.small.port: unknown key; remove it or correct its spelling",
        ),
        (GOOD + "names:\n- a\n- [b]\n", "f.yaml:6: names.1: Input should be a valid string"),
        (
            GOOD.replace("0.0.0.0:50051", "localhost"),
            "f.yaml:2: server.address: 'localhost' is not an address; "
            "write host:port, as in 0.0.0.0:50051",
        ),
        (
            GOOD.replace("127.0.0.1:0", "unix:/run/metrics"),
            "f.yaml:3: server.metrics_address: 'unix:/run/metrics' is not an address; "
            "write host:port, as in 0.0.0.0:50051",
        ),
        (GOOD + "server:\n", "f.yaml:4: key 'server' is written twice"),
        ("", "f.yaml: expected settings as `key: value` lines, the file has none"),
        ("- a\n", "f.yaml: expected settings as `key: value` lines, the file has none"),
    ],
)
def test_each_mistake_names_its_line_and_key(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, Example, "f.yaml")
    assert str(caught.value) == message


def test_a_syntax_error_names_its_line() -> None:
    with pytest.raises(ConfigError, match=r"^f.yaml:3: could not find expected ':'"):
        parse("server: 1\nname\nother: 2\n", Example, "f.yaml")


def test_all_mistakes_of_a_file_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(GOOD + "  tsl: 1\nroutes: {}\n", Example, "f.yaml")
    assert len(str(caught.value).splitlines()) == 2


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.yaml: cannot be read"):
        load(tmp_path / "none.yaml", Example)


def test_settings_cannot_be_changed() -> None:
    settings = parse(GOOD, Example, "f.yaml")
    with pytest.raises(ValueError, match="frozen"):
        setattr(settings.server, "drain_seconds", 1)  # noqa: B010
