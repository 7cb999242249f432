"""The client for code that awaits; the other one is made from it."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Iterable
from types import TracebackType
from typing import Self

from offramp import errors
from offramp.client.admin import AsyncAdmin
from offramp.client.batches import Limits, checked_input, chunks
from offramp.client.connection import DEFAULT_RETRIES, Connection, Retries, Tls
from offramp.client.results import Classification, ItemFailure, Override, Text
from offramp.client.streams import Texts, TextStream
from offramp.client.wire import classification_from_proto, item_from_proto, override_to_proto
from offramp.v1 import router_pb2

DEFAULT_ADDRESS = "localhost:50051"


class AsyncClient:
    """Classifies texts through a router.

        async with AsyncClient("localhost:50051") as client:
            answer = await client.classify("a gorgeous film")

    route: the route of calls that name none; may be empty where the router serves just one.
    timeout: seconds for a call that names none, retries included; `math.inf` is no limit.

    Every method raises an OfframpError (see `offramp.errors`): InvalidRequestError names fields
    and remedies, OverloadedError how long to wait, RouterUnavailableError that nobody is there.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        route: str = "",
        timeout: float = 60.0,
        retries: Retries = DEFAULT_RETRIES,
        tls: Tls | None = None,
    ) -> None:
        self._connection = Connection(address, tls, timeout, retries)
        self._route = route
        self._limits = Limits()
        self.admin = AsyncAdmin(self._connection, route)

    async def classify(
        self,
        text: Text,
        text_pair: str | None = None,
        *,
        route: str | None = None,
        override: Override | None = None,
        timeout: float | None = None,
    ) -> Classification:
        """Classify a text, or a pair: `("premise", "hypothesis")` or with `text_pair`."""
        request = router_pb2.ClassifyRequest(
            route=self._route_or(route),
            input=checked_input(text, text_pair),
            override=override_to_proto(override),
        )
        response = await self._connection.call(
            self._connection.router.Classify, request, self._connection.deadline(timeout)
        )
        return classification_from_proto(response.classification)

    async def classify_batch(
        self,
        texts: Iterable[Text],
        *,
        route: str | None = None,
        override: Override | None = None,
        timeout: float | None = None,
    ) -> list[Classification | ItemFailure]:
        """Classify many texts; answers and failures stand in the order of the texts.

        They travel in messages of at most 1024 texts and 4 MB, one after the other; `timeout`
        bounds them all. A message that the router finds too large is halved and sent again, and
        this client sends none of that size any more. Raises what fails as a whole: an unknown
        route, no router, a text that the router takes in no message.
        """
        _refuse_single_text(texts)
        deadline = self._connection.deadline(timeout)
        answers: dict[int, Classification | ItemFailure] = {}
        for chunk in chunks(texts, answers, self._limits):
            request = router_pb2.ClassifyBatchRequest(
                route=self._route_or(route),
                inputs=chunk.inputs,
                override=override_to_proto(override),
            )
            try:
                response = await self._connection.call(
                    self._connection.router.ClassifyBatch, request, deadline
                )
            except errors.OfframpError as error:
                chunk.refused = self._limits.shrink(error, chunk)
                if not chunk.refused:
                    raise
                continue
            results = (item_from_proto(result) for result in response.results)
            answers.update(zip(chunk.positions, results, strict=True))
        return [answers[position] for position in range(len(answers))]

    async def classify_stream(
        self,
        texts: Texts,
        *,
        route: str | None = None,
        override: Override | None = None,
        timeout: float = math.inf,
        max_in_flight: int = 256,
        ordered: bool = True,
    ) -> AsyncGenerator[tuple[int, Classification | ItemFailure], None]:
        """Classify texts as they come; yields each one's position and its answer or failure.

        At most `max_in_flight` texts are ahead of the reader, so that a source of any length may
        be given. Without `ordered`, answers come the moment they are there. `timeout` bounds the
        whole stream, which is not retried: what was answered is not asked again.
        """
        _refuse_single_text(texts)
        limit = None if math.isinf(timeout) else timeout
        with self._connection.until_closed():
            call = self._connection.router.ClassifyStream(None, timeout=limit)
        stream = TextStream(call, self._connection, self._route_or(route), max_in_flight)
        answers = stream.answers(texts, override_to_proto(override), ordered)
        try:
            async for answer in answers:
                yield answer
        finally:
            await answers.aclose()

    def _route_or(self, route: str | None) -> str:
        return self._route if route is None else route

    async def close(self) -> None:
        """Close the connection; calls in flight, and later ones, raise ClientClosedError."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _refuse_single_text(texts: object) -> None:
    if isinstance(texts, str):
        raise TypeError("expected several texts, got one; put it in a list, or call classify")
