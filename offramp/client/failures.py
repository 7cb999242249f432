"""From a failed call to the exception it stands for: the server's tree of errors, on this side."""

from __future__ import annotations

from typing import cast

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from offramp import errors

# Errors that are made from the server's sentence alone, by the reason in their ErrorInfo.
_PLAIN: dict[str, type[errors.OfframpError]] = {
    kind.reason: kind
    for kind in (
        errors.ConfigError,
        errors.BundleError,
        errors.UnknownRouteError,
        errors.DeadlineError,
        errors.TierUnavailableError,
        errors.PolicyNotSharedError,
    )
}


def error_of(call: grpc.aio.AioRpcError, address: str) -> errors.OfframpError:
    """The OfframpError that a failed call to the router at `address` stands for."""
    code, sentence = call.code(), call.details() or "no details"
    details = _details(call)
    bad_request, retry, info = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo(), ""
    for detail in details:
        detail.Unpack(bad_request)
        detail.Unpack(retry)
        reason = error_details_pb2.ErrorInfo()
        info = reason.reason if detail.Unpack(reason) else info
    if bad_request.field_violations:
        return errors.InvalidRequestError(
            [errors.Violation(v.field, v.description) for v in bad_request.field_violations]
        )
    if retry.HasField("retry_delay"):
        return errors.OverloadedError(sentence, retry.retry_delay.ToMilliseconds() / 1000)
    if info in _PLAIN:
        return _PLAIN[info](sentence)
    return _bare(code, sentence, address)


def _details(call: grpc.aio.AioRpcError) -> list[any_pb2.Any]:
    try:
        status = rpc_status.from_call(cast("grpc.Call", call))
    except (DecodeError, ValueError):  # Not of this project's making: the code has to do.
        return []
    return list(status.details) if status else []


def _bare(code: grpc.StatusCode, sentence: str, address: str) -> errors.OfframpError:
    """The error of a status with no details: made by gRPC itself, or by something in between."""
    if code is grpc.StatusCode.UNAVAILABLE:
        return errors.RouterUnavailableError(
            f"no router answers at {address} ({_cause(sentence)}); start one with `offramp up`"
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return errors.DeadlineError(f"{address} did not answer in time; allow a longer timeout")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        sentence = f"the server at {address} is no Offramp router of this version ({sentence})"
    error = errors.OfframpError(f"{code.name}: {sentence}")
    error.code = code
    return error


def _cause(sentence: str) -> str:
    """The end of gRPC's chain of reasons, which is the one that tells: "Connection refused"."""
    return sentence.rpartition(": ")[2]
