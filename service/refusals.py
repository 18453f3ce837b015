"""How a refusal leaves the server: as google.rpc.Status with its code, its reason and the facts."""

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from ledger.errors import (
    AlreadyThere,
    Forbidden,
    Invalid,
    NotAllowedNow,
    NotThere,
    Refusal,
    TooMuch,
    TryAgain,
    Unproven,
)

DOMAIN = "ledger.v1"
CODES: dict[type[Refusal], grpc.StatusCode] = {
    Invalid: grpc.StatusCode.INVALID_ARGUMENT,
    NotThere: grpc.StatusCode.NOT_FOUND,
    AlreadyThere: grpc.StatusCode.ALREADY_EXISTS,
    NotAllowedNow: grpc.StatusCode.FAILED_PRECONDITION,
    TryAgain: grpc.StatusCode.UNAVAILABLE,
    TooMuch: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unproven: grpc.StatusCode.UNAUTHENTICATED,
    Forbidden: grpc.StatusCode.PERMISSION_DENIED,
}
_RETRY_AFTER = Duration(nanos=200_000_000)


def code(refusal: Refusal) -> grpc.StatusCode:
    """The gRPC code of a refusal's group."""
    return next(status for group, status in CODES.items() if isinstance(refusal, group))


def status(refusal: Refusal) -> Status:
    """google.rpc.Status with the reason, the facts and, where it helps, when to come back."""
    info = ErrorInfo(reason=refusal.reason, domain=DOMAIN, metadata=refusal.facts)
    details: list[ErrorInfo | RetryInfo] = [info]
    if isinstance(refusal, TryAgain | TooMuch):
        details.append(RetryInfo(retry_delay=_RETRY_AFTER))
    packed = []
    for detail in details:
        packed.append(AnyMessage())
        packed[-1].Pack(detail)
    return Status(code=code(refusal).value[0], message=refusal.message, details=packed)
