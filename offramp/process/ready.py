"""The ready line: what a service prints when it serves, for whoever started it."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ready:
    """Where a service serves."""

    service: str
    address: str
    metrics: str

    def line(self) -> str:
        """As it is printed."""
        said = {"service": self.service, "address": self.address, "metrics": self.metrics}
        return json.dumps({"event": "ready", **said})

    @classmethod
    def read(cls, line: bytes) -> Ready | None:
        """What a ready line says; None where it is another line."""
        try:
            said = json.loads(line)
        except ValueError:
            return None
        if isinstance(said, dict) and said.get("event") == "ready":
            return cls(said["service"], said["address"], said["metrics"])
        return None
