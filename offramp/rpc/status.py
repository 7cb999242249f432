"""Errors as google.rpc.Status, with the details that a client can act on."""

from __future__ import annotations

from google.protobuf import any_pb2, duration_pb2, message
from google.rpc import error_details_pb2, status_pb2

from offramp import errors

DOMAIN = "offramp"


def rich_status(error: errors.OfframpError) -> status_pb2.Status:
    """A Status with ErrorInfo, and BadRequest or RetryInfo where they apply."""
    details: list[message.Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    ]
    if isinstance(error, errors.InvalidRequestError):
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=v.field, description=v.description
                    )
                    for v in error.violations
                ]
            )
        )
    if isinstance(error, errors.OverloadedError):
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(error.retry_after_seconds * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return status_pb2.Status(
        code=error.code.value[0], message=str(error), details=[_packed(d) for d in details]
    )


def _packed(detail: message.Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
