"""What every call passes: decoding guarded, errors translated, calls counted."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import cache, partial
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status
from prometheus_client import CollectorRegistry, Counter, Histogram

from offramp import errors
from offramp.rpc.status import rich_status

log = logging.getLogger(__name__)

_WORDS = {False: "unary", True: "stream"}

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class Undecodable:
    """Stands in a handler's place of the request when its bytes are no such message."""

    def __init__(self, error: errors.InvalidRequestError) -> None:
        self.error = error


class CallMetrics:
    """grpc_server_* metrics under the names of go-grpc-middleware."""

    def __init__(self, registry: CollectorRegistry) -> None:
        names = ("grpc_service", "grpc_method")
        self.started = Counter(
            "grpc_server_started", "RPCs started on the server.", names, registry=registry
        )
        self.handled = Counter(
            "grpc_server_handled",
            "RPCs completed on the server, by code.",
            (*names, "grpc_code"),
            registry=registry,
        )
        self.seconds = Histogram(
            "grpc_server_handling_seconds",
            "Time from the start of an RPC to its end.",
            names,
            registry=registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )


class MethodMetrics:
    """Those of one method, found once: to find a series by its labels takes longer than to count.

    name: of the method, with that of its service.
    """

    def __init__(self, metrics: CallMetrics, service: str, method: str) -> None:
        self.name = f"{service}/{method}"
        self._started = metrics.started.labels(service, method)
        self._handled = cache(partial(metrics.handled.labels, service, method))
        self._seconds = metrics.seconds.labels(service, method)

    def begin(self) -> float:
        """Count a call; when it began."""
        self._started.inc()
        return time.perf_counter()

    def end(self, code: grpc.StatusCode, began: float) -> None:
        """Count the end of a call."""
        self._handled(code.name).inc()
        self._seconds.observe(time.perf_counter() - began)


class CallGuard:
    """Wraps every method of a server.

    - Bytes that do not decode, or are too many, are INVALID_ARGUMENT with a remedy.
    - An OfframpError becomes its google.rpc.Status; anything else INTERNAL with a fixed sentence.
    - Each call is counted and timed.
    """

    def __init__(self, registry: CollectorRegistry, max_message_bytes: int) -> None:
        self._metrics = CallMetrics(registry)
        self._max_message_bytes = max_message_bytes

    def wrapped(self, path: str, handler: Any) -> Handler:
        """The handler of a method, guarded. path: /SERVICE/METHOD."""
        service, _, method = path.lstrip("/").partition("/")
        decode = self._guarded(handler.request_deserializer)
        shape = f"{_WORDS[handler.request_streaming]}_{_WORDS[handler.response_streaming]}"
        make = getattr(grpc, f"{shape}_rpc_method_handler")
        behaviour = getattr(handler, shape)
        # A streaming handler yields its responses, or (health's Watch) is a coroutine that writes.
        wrap = _yielding if inspect.isasyncgenfunction(behaviour) else _returning
        wrapped = wrap(behaviour, MethodMetrics(self._metrics, service, method))
        made: Handler = make(wrapped, decode, handler.response_serializer)
        return made

    def _guarded(self, decode: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
        if decode is None:
            return None

        def guarded(data: bytes) -> Any:
            if len(data) > self._max_message_bytes:
                return Undecodable(_too_large(len(data), self._max_message_bytes))
            try:
                return decode(data)
            except (DecodeError, ValueError):
                return Undecodable(_not_a_message())

        return guarded


def _returning(behaviour: Any, metrics: MethodMetrics) -> Any:
    async def call(request: Any, context: Any) -> Any:
        began = metrics.begin()
        try:
            response = await behaviour(_checked(request), context)
        except BaseException as error:
            metrics.end(_code_of(error, context), began)
            await _abort(error, context, metrics.name)
            raise
        metrics.end(_code_set(context), began)
        return response

    return call


def _yielding(behaviour: Any, metrics: MethodMetrics) -> Any:
    async def call(request: Any, context: Any) -> AsyncIterator[Any]:
        began = metrics.begin()
        try:
            async with aclosing(behaviour(_checked(request), context)) as responses:
                async for response in responses:
                    yield response
        except BaseException as error:
            metrics.end(_code_of(error, context), began)
            await _abort(error, context, metrics.name)
            raise
        metrics.end(_code_set(context), began)

    return call


async def _abort(error: BaseException, context: Any, name: str) -> None:
    """End a call that raised with a well-formed status; return where it has one, or is over."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit | grpc.aio.AbortError):
        return
    if not isinstance(error, errors.OfframpError):
        log.error("%s failed", name, exc_info=error)
        error = errors.OfframpError("internal error; the server's log has the details")
    await context.abort_with_status(rpc_status.to_status(rich_status(error)))


def _code_of(error: BaseException, context: Any) -> grpc.StatusCode:
    if isinstance(error, errors.OfframpError):
        return error.code
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return grpc.StatusCode.CANCELLED
    if isinstance(error, grpc.aio.AbortError):
        return _status(context.code())
    return grpc.StatusCode.INTERNAL


def _code_set(context: Any) -> grpc.StatusCode:
    """Of a call whose handler has returned; it may have set one."""
    code = context.code()
    return grpc.StatusCode.OK if code is None else _status(code)


def _status(code: Any) -> grpc.StatusCode:
    for status in grpc.StatusCode:
        if code in (status, status.value[0]):
            return status
    return grpc.StatusCode.UNKNOWN


def _checked(request: Any) -> Any:
    if isinstance(request, Undecodable):
        raise request.error
    if hasattr(request, "__aiter__"):
        return _checked_stream(request)
    return request


async def _checked_stream(requests: Any) -> AsyncIterator[Any]:
    async for request in requests:
        yield _checked(request)


def _too_large(size: int, limit: int) -> errors.InvalidRequestError:
    advice = f"{size} bytes, at most {limit} are accepted; send fewer or shorter texts per message"
    return errors.InvalidRequestError([errors.Violation("(message)", advice)])


def _not_a_message() -> errors.InvalidRequestError:
    advice = "cannot be decoded; texts must be valid UTF-8 and the message of this method's type"
    return errors.InvalidRequestError([errors.Violation("(message)", advice)])
