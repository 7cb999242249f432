"""What routes and tiers may be called: words that files, metrics and addresses all take."""

from __future__ import annotations

import re

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
ALLOWED = "letters, digits, '.', '_' and '-', a letter or digit first"


def is_name(value: str) -> bool:
    """Whether something may be called so."""
    return NAME.fullmatch(value) is not None
