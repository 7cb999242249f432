"""RouterService: protobuf in, classifier, protobuf out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from offramp.errors import OfframpError
from offramp.rpc import wire
from offramp.v1 import router_pb2, router_pb2_grpc
from router.admission import Admission
from router.classifier import Classifier
from router.pipeline import Job
from router.validation import check_batch

Request = (
    router_pb2.ClassifyRequest | router_pb2.ClassifyBatchRequest | router_pb2.ClassifyStreamRequest
)


class RouterServicer(router_pb2_grpc.RouterServiceServicer):
    """The public service. `max_items`: of a batch, and under way at once in a stream."""

    def __init__(self, classifier: Classifier, admission: Admission, max_items: int) -> None:
        self._classifier = classifier
        self._admission = admission
        self._max_items = max_items

    async def Classify(
        self, request: router_pb2.ClassifyRequest, context: Any
    ) -> router_pb2.ClassifyResponse:
        """Classify one text."""
        response = router_pb2.ClassifyResponse()
        try:
            with self._admission:
                job = self._job(request, context)
                await self._classifier.answer(request.input, "input", job, response.classification)
        except OfframpError as error:
            self._classifier.failed(request.route, error)
            raise
        return response

    async def ClassifyBatch(
        self, request: router_pb2.ClassifyBatchRequest, context: Any
    ) -> router_pb2.ClassifyBatchResponse:
        """Classify many texts; each has its own answer or error."""
        response = router_pb2.ClassifyBatchResponse()
        try:
            with self._admission:
                job = self._job(request, context)
                check_batch(len(request.inputs), self._max_items)
                await asyncio.gather(
                    *(
                        self._classifier.result(
                            text, f"inputs[{index}]", job, response.results.add()
                        )
                        for index, text in enumerate(request.inputs)
                    )
                )
        except OfframpError as error:
            self._classifier.failed(request.route, error)
            raise
        return response

    async def ClassifyStream(
        self, requests: AsyncIterator[router_pb2.ClassifyStreamRequest], context: Any
    ) -> AsyncIterator[router_pb2.ClassifyStreamResponse]:
        """Classify texts as they come; answers in the order in which they are ready.

        Reading pauses while as many items are under way as a batch may hold. An item is under way
        until its answer is sent, so that a client that sends faster than the tiers run, or than it
        reads itself, is slowed down rather than refused.
        """
        answers: asyncio.Queue[router_pb2.ClassifyStreamResponse | None] = asyncio.Queue()
        room = asyncio.Semaphore(self._max_items)
        reader = asyncio.create_task(self._read(requests, answers, room, context))
        try:
            while (answer := await answers.get()) is not None:
                yield answer
                room.release()
            await reader
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _read(
        self,
        requests: AsyncIterator[router_pb2.ClassifyStreamRequest],
        answers: asyncio.Queue[router_pb2.ClassifyStreamResponse | None],
        room: asyncio.Semaphore,
        context: Any,
    ) -> None:
        tasks: set[asyncio.Task[None]] = set()

        async def run(request: router_pb2.ClassifyStreamRequest) -> None:
            try:
                answers.put_nowait(await self._streamed(request, context))
            except BaseException:
                room.release()  # no answer will be sent that would
                raise

        try:
            async for request in requests:
                await room.acquire()
                task = asyncio.create_task(run(request))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            answers.put_nowait(None)

    async def _streamed(
        self, request: router_pb2.ClassifyStreamRequest, context: Any
    ) -> router_pb2.ClassifyStreamResponse:
        response = router_pb2.ClassifyStreamResponse(id=request.id)
        try:
            job = self._job(request, context)
        except OfframpError as error:
            self._classifier.failed(request.route, error)
            response.result.error.CopyFrom(wire.item_error(error))
        else:
            await self._classifier.result(request.input, "input", job, response.result)
        return response

    def _job(self, request: Request, context: Any) -> Job:
        override = request.override if request.HasField("override") else None
        return self._classifier.job(request.route, override, context.time_remaining())
