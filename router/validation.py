"""Validation: what a text must be before any tier sees it; every refusal names field and remedy."""

from __future__ import annotations

from dataclasses import dataclass

from offramp.errors import InvalidRequestError, UnknownRouteError, Violation, quoted
from offramp.v1 import common_pb2, router_pb2
from router.policy import Wishes


@dataclass(frozen=True, slots=True)
class InputRules:
    """What a route accepts: texts up to this long, in pairs or not."""

    max_text_chars: int
    pairs: bool

    def check(self, value: common_pb2.TextInput, field: str) -> None:
        """Raise InvalidRequestError where `value`, the request's `field`, breaks a rule."""
        violations = self._text(value.text, f"{field}.text")
        has_pair = value.HasField("text_pair")
        if self.pairs and has_pair:
            violations += self._text(value.text_pair, f"{field}.text_pair")
        elif self.pairs:
            violations.append(
                Violation(f"{field}.text_pair", "missing; this route classifies pairs of texts")
            )
        elif has_pair:
            violations.append(
                Violation(f"{field}.text_pair", "leave it out; this route classifies single texts")
            )
        if violations:
            raise InvalidRequestError(violations)

    def _text(self, text: str, field: str) -> list[Violation]:
        if not text or text.isspace():
            return [Violation(field, "empty; send a text with at least one character")]
        if len(text) > self.max_text_chars:
            return [
                Violation(
                    field,
                    f"{len(text)} characters, at most {self.max_text_chars} are accepted; "
                    "shorten or split it",
                )
            ]
        if "\0" in text:
            return [Violation(field, "contains a NUL character; remove it")]
        return []


def check_batch(size: int, limit: int) -> None:
    """Raise InvalidRequestError for a batch of no items or too many."""
    if size == 0:
        raise InvalidRequestError([Violation("inputs", "empty; send at least one item")])
    if size > limit:
        raise InvalidRequestError(
            [
                Violation(
                    "inputs", f"{size} items, at most {limit} are accepted; send several batches"
                )
            ]
        )


def find_route(name: str, known: tuple[str, ...]) -> str:
    """The route that a request means; it may leave the name out where there is just one.

    Raises UnknownRouteError.
    """
    if name in known:
        return name
    if not name and len(known) == 1:
        return known[0]
    problem = f"no route {quoted(name)}" if name else "the request names no route"
    raise UnknownRouteError(f"{problem}; this router serves: {', '.join(known)}")


def wishes_of(override: router_pb2.PolicyOverride) -> Wishes:
    """What a request's override asks for."""
    return Wishes(
        min_confidence=override.min_confidence if override.HasField("min_confidence") else None,
        max_cost=override.max_cost if override.HasField("max_cost") else None,
        last_exit=override.last_exit if override.HasField("last_exit") else None,
        full_depth=override.full_depth,
    )
