"""How a refusal leaves the server: one interceptor that names the caller and turns refusals into status codes."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias, cast

import grpc
import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status.rpc_status import to_status

from ledger import caller
from ledger.errors import (
    AlreadyThere,
    Invalid,
    NotAllowedNow,
    NotThere,
    Refusal,
    RequestUndecodable,
    TooMuch,
    TryAgain,
)
from ledger.wire import Context
from service import identity

DOMAIN = "ledger.v1"
CODES: dict[type[Refusal], grpc.StatusCode] = {
    Invalid: grpc.StatusCode.INVALID_ARGUMENT,
    NotThere: grpc.StatusCode.NOT_FOUND,
    AlreadyThere: grpc.StatusCode.ALREADY_EXISTS,
    NotAllowedNow: grpc.StatusCode.FAILED_PRECONDITION,
    TryAgain: grpc.StatusCode.UNAVAILABLE,
    TooMuch: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_RETRY_AFTER = Duration(nanos=200_000_000)

Behaviour = Callable[[Any, Context], Awaitable[Any]]
Decoder = Callable[[bytes], Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
log = structlog.get_logger()


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


class _Undecodable:
    """Stands for a message whose bytes could not be read, until the handler can say so."""


class Doorkeeper(grpc.aio.ServerInterceptor):
    """Wraps every method: reads bytes safely, names the caller, refuses by status, logs one line a call."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """The method's handler with the wrapping around it; reflection and health pass as they are."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith("/grpc."):
            return handler
        if handler.response_streaming:
            raise NotImplementedError(f"{method} streams its answers, which the doorkeeper does not wrap yet")
        make = (
            grpc.stream_unary_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_unary_rpc_method_handler
        )
        return make(
            _guarded(method, cast(Behaviour, handler.stream_unary or handler.unary_unary)),
            request_deserializer=_safely(cast(Decoder, handler.request_deserializer)),
            response_serializer=handler.response_serializer,
        )


def _safely(read: Decoder) -> Decoder:
    def reading(content: bytes) -> Any:
        try:
            return read(content)
        except DecodeError:
            return _Undecodable()

    return reading


def _guarded(method: str, behaviour: Behaviour) -> Behaviour:
    async def guarded(request: Any, context: Context) -> Any:
        actor = identity.actor(tuple(context.invocation_metadata() or ()))
        caller.actor.set(actor)
        began, outcome = time.perf_counter(), "OK"
        try:
            return await behaviour(_checked(request), context)
        except Refusal as refusal:
            outcome = refusal.reason
            await context.abort_with_status(to_status(status(refusal)))
        except Exception:
            outcome = "INTERNAL"
            log.exception("call failed", method=method)
            await context.abort(grpc.StatusCode.INTERNAL, "the server failed; nothing is known of the outcome")
        finally:
            milliseconds = round((time.perf_counter() - began) * 1000, 1)
            log.info("call", method=method, actor=actor, outcome=outcome, milliseconds=milliseconds)

    return guarded


def _checked(request: Any) -> Any:
    """The request, or each message of a stream, once its bytes were readable."""
    if isinstance(request, AsyncIterator):
        return _checked_stream(request)
    if isinstance(request, _Undecodable):
        raise RequestUndecodable("the bytes are not this request: truncated, or text that is not UTF-8")
    return request


async def _checked_stream(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _checked(request)
