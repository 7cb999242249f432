"""One item under way to a tier: what is sent of a text, and how long it may take."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TypeAlias

from offramp.v1 import common_pb2, tier_pb2

MAX_TIMEOUT_MS = 2**32 - 1

# What a tier is sent of a text: itself, or what another tier has made of it.
Content: TypeAlias = common_pb2.TextInput | tier_pb2.TokenizedText


@dataclass(frozen=True, slots=True)
class Patience:
    """Instants, by time.monotonic: when a tier should send its best, when to stop waiting."""

    answer_by: float
    give_up_at: float


@dataclass(slots=True, eq=False)
class Flight:
    """An item and who waits for it.

    go_by: until when it may wait for company, on the event loop's clock.
    """

    id: int
    content: Content
    plan: common_pb2.ExitPlan
    patience: Patience
    future: asyncio.Future[tier_pb2.InferAnswer]
    background: bool
    go_by: float
    sent: bool = False

    def item(self, now: float) -> tier_pb2.InferItem:
        """The item as a message holds it, with the time that is left at `now`."""
        left = int((self.patience.answer_by - now) * 1000)
        item = tier_pb2.InferItem(
            id=self.id,
            plan=self.plan,
            timeout_ms=max(1, min(left, MAX_TIMEOUT_MS)),
            background=self.background,
        )
        if isinstance(self.content, common_pb2.TextInput):
            item.input.CopyFrom(self.content)
        else:
            item.tokenized.CopyFrom(self.content)
        return item
