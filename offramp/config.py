"""Config files: YAML read strictly, validated whole, with errors that name file, line and key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from offramp.errors import ConfigError


class Strict(BaseModel):
    """Base of all settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TlsSettings(Strict):
    """Certificates of a server; with `client_ca` clients must show one of their own."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


class ServerSettings(Strict):
    """How a process serves; fixed for its life.

    address: host:port, or unix:PATH of a Unix socket.  metrics_address: host:port.
        Port 0 lets the system choose.
    drain_seconds: how long calls in flight may take to end after SIGTERM.
    """

    address: str
    metrics_address: str
    drain_seconds: float = Field(default=10.0, ge=0)
    max_message_bytes: int = Field(default=4 * 1024 * 1024, gt=0)
    tls: TlsSettings | None = None

    @field_validator("address", "metrics_address")
    @classmethod
    def _is_address(cls, value: str, info: ValidationInfo) -> str:
        if value.startswith("unix:") and info.field_name == "address":
            return value
        host, separator, port = value.rpartition(":")
        if not separator or not host or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{value!r} is not an address; write host:port, as in 0.0.0.0:50051")
        return value


Settings = TypeVar("Settings", bound=BaseModel)


def load(path: Path, model: type[Settings]) -> Settings:
    """Read and validate a YAML file.

    Raises ConfigError with one line per mistake: file, line, key path, what is wrong.
    """
    return parse(read(path), model, str(path))


def read(path: Path) -> str:
    """The text of a config file. Raises ConfigError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None


def parse(text: str, model: type[Settings], source: str) -> Settings:
    """Validate YAML `text`; `source` is what errors call it. Raises ConfigError."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.load(text, Loader=UniqueKeyLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}{_syntax_error(error)}") from None
    except (ValueError, TypeError, RecursionError) as error:
        # What PyYAML lets through: a date that is none, a list as a key, nesting without end.
        raise ConfigError(f"{source}: cannot be understood ({error})") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{source}: expected settings as `key: value` lines, the file has none")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = [_describe(source, root, item) for item in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def mistake(text: str, source: str, path: Sequence[str | int], message: str) -> ConfigError:
    """The error of a value that only fails against the rest of the world, at its line in `text`."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    key = ".".join(str(part) for part in path)
    return ConfigError(f"{source}:{_line_of(root, path)}: {key}: {message}")


class UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key written twice, where YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping; a repeated key is a ConstructorError at its line."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is written twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _syntax_error(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f":{mark.line + 1}: {problem}" if mark else f": {problem}"


def _describe(source: str, root: yaml.Node | None, item: Any) -> str:
    path = [part for part in item["loc"] if not str(part).startswith("function-")]
    key = ".".join(str(part) for part in path) or "(top level)"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = "unknown key; remove it or correct its spelling"
    elif item["type"] == "missing":
        message = "this key is missing"
    return f"{source}:{_line_of(root, path)}: {key}: {message}"


def _line_of(root: yaml.Node | None, path: Sequence[Any]) -> int:
    """The line (1-based) of the deepest node on `path` that the file has."""
    node, line = root, root.start_mark.line if root else 0
    for part in path:
        found = None
        if isinstance(node, yaml.MappingNode):
            for key_node, value_node in node.value:
                if key_node.value == str(part):
                    found, line = value_node, key_node.start_mark.line
        elif isinstance(node, yaml.SequenceNode) and part in range(len(node.value)):
            found = node.value[part]
            line = found.start_mark.line
        if found is None:
            break
        node = found
    return line + 1
