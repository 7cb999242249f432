"""One Infer stream: items in as they come, finished ones out together, in any order."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence

from offramp.errors import InvalidRequestError, OfframpError, TierUnavailableError, Violation
from offramp.rpc import wire
from offramp.v1 import common_pb2, tier_pb2
from services import tokens
from services.engine.row import Answer, Row
from services.engine.worker import DRAINING, Worker
from services.metrics import TierMetrics
from services.validation import ItemReader

# Results in one message at the most, so that no message outgrows what receivers take by default.
MAX_RESULTS = 1024
# Items in one message at the most: all of them are looked at before the event loop turns.
MAX_ITEMS = 1024
# Results that may wait for a slow reader before no more of its items are taken in.
MAX_UNSENT = 4 * MAX_RESULTS


class InferStream:
    """The rows in flight on one stream, and the results that wait to be sent."""

    def __init__(
        self,
        worker: Worker,
        reader: ItemReader,
        metrics: TierMetrics,
        exits: Sequence[str],
        labels: Sequence[str],
        *,
        hands_on: bool = False,
    ) -> None:
        """hands_on: send the tokens with answers that another tier is to better."""
        self._worker = worker
        self._reader = reader
        self._metrics = metrics
        self._exits = exits
        self._labels = labels
        self._hands_on = hands_on
        self._in_flight: dict[int, Row] = {}
        self._unsent: list[tier_pb2.InferResult] = []
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._deliver_rows = self.deliver  # one bound method, so that rows group by it

    async def read(self, requests: AsyncIterator[tier_pb2.InferRequest]) -> None:
        """Take in requests until the caller has no more. Raises InvalidRequestError."""
        async for request in requests:
            if len(request.items) > MAX_ITEMS:
                advice = f"{len(request.items)} items, at most {MAX_ITEMS}; send several messages"
                raise InvalidRequestError([Violation("items", advice)])
            self._cancel(request.cancelled_ids)
            self._submit(request.items)
            await self._room.wait()

    async def responses(self, reading: asyncio.Task[None]) -> AsyncIterator[tier_pb2.InferResponse]:
        """Results, as soon as there are any, until the caller has no more items and all are out.

        Raises what `reading` raised, and TierUnavailableError when the tier drains.
        """
        reading.add_done_callback(self._reading_ended)
        while True:
            while self._unsent:
                results, self._unsent = self._unsent[:MAX_RESULTS], self._unsent[MAX_RESULTS:]
                yield tier_pb2.InferResponse(results=results)
            self._room.set()
            if reading.done():
                reading.result()
            if not self._in_flight:
                if reading.done():
                    return
                if self._worker.draining:
                    raise TierUnavailableError(DRAINING)
            await self._changed.wait()
            self._changed.clear()

    def _reading_ended(self, reading: asyncio.Task[None]) -> None:
        if not reading.cancelled():
            reading.exception()  # seen, also where the call ended before it could be raised
        self._changed.set()

    def close(self) -> None:
        """The stream is over: its rows leave the queues."""
        rows = list(self._in_flight.values())
        self._in_flight.clear()
        if rows:
            self._worker.cancel(rows)

    def wake(self) -> None:
        """Look again whether the stream is over: the tier began to drain."""
        self._changed.set()

    def deliver(self, rows: Sequence[Row]) -> None:
        """Rows that ended together; the worker delivers none that was cancelled."""
        for row in rows:
            del self._in_flight[row.id]
            self._send(self._result(row))

    def _cancel(self, ids: Sequence[int]) -> None:
        rows = [row for row in (self._in_flight.pop(i, None) for i in ids) if row is not None]
        if rows:
            self._worker.cancel(rows)

    def _submit(self, items: Sequence[tier_pb2.InferItem]) -> None:
        now = time.monotonic()
        rows = []
        for index, item in enumerate(items):
            try:
                row = self._row(item, f"items[{index}]", now)
            except InvalidRequestError as error:
                self._metrics.rejected(error.reason)
                self._send(_failure(item.id, error))
                continue
            self._in_flight[row.id] = row
            rows.append(row)
        if rows:
            self._worker.submit(rows)

    def _row(self, item: tier_pb2.InferItem, path: str, now: float) -> Row:
        if item.id in self._in_flight:
            advice = f"{item.id} is in flight already; ids in flight must differ"
            raise InvalidRequestError([Violation(f"{path}.id", advice)])
        plan = self._reader.plan(item, path)
        pair = item.input.text_pair if item.input.HasField("text_pair") else None
        deadline = now + item.timeout_ms / 1000 if item.timeout_ms else math.inf
        return Row(
            item.id,
            item.input.text,
            pair,
            plan,
            self._deliver_rows,
            deadline,
            background=item.background,
            encoded=tokens.from_proto(item.tokenized) if item.HasField("tokenized") else None,
        )

    def _send(self, result: tier_pb2.InferResult) -> None:
        self._unsent.append(result)
        if len(self._unsent) >= MAX_UNSENT:
            self._room.clear()
        self._changed.set()

    def _result(self, row: Row) -> tier_pb2.InferResult:
        if isinstance(row.outcome, Answer):
            return tier_pb2.InferResult(id=row.id, answer=self._answer(row, row.outcome))
        return _failure(row.id, row.outcome or OfframpError("the row ended without an outcome"))

    def _answer(self, row: Row, outcome: Answer) -> tier_pb2.InferAnswer:
        timing = row.timing
        handed_on = None
        if self._hands_on and row.encoded and not (outcome.confident or outcome.deadline_reached):
            handed_on = tokens.to_proto(row.encoded)
        return tier_pb2.InferAnswer(
            exit=self._exits[outcome.stage],
            probabilities=outcome.probabilities,
            confidence=row.steps[-1].confidence,
            confident=outcome.confident,
            deadline_reached=outcome.deadline_reached,
            tokens=row.tokens,
            truncated=row.encoded is not None and row.encoded.truncated,
            steps=[
                common_pb2.ExitStep(
                    exit=name,
                    label=self._labels[step.label],
                    confidence=step.confidence,
                    threshold=step.threshold,
                )
                for name, step in zip(self._exits, row.steps, strict=False)
            ],
            timing=tier_pb2.TierTiming(
                queue_seconds=timing.queue,
                tokenize_seconds=timing.tokenize,
                compute_seconds=timing.compute,
                compute_share_seconds=timing.compute_share,
            ),
            tokenized=handed_on,
        )


def _failure(item_id: int, error: OfframpError) -> tier_pb2.InferResult:
    return tier_pb2.InferResult(id=item_id, error=wire.item_error(error))
