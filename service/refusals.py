"""How a refusal leaves the server: one interceptor that names the caller and turns refusals into status codes."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import grpc
import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status.rpc_status import to_status

from ledger import caller
from ledger.errors import (
    AlreadyThere,
    BooksUnguarded,
    CallNotPermitted,
    CallsTooMany,
    Forbidden,
    Invalid,
    NotAllowedNow,
    NotThere,
    Refusal,
    RequestUndecodable,
    TooMuch,
    TryAgain,
    Unproven,
)
from ledger.wire import Context
from service.identity import Gate, OpenGate, Principal
from service.rights import RIGHTS, Right

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

Behaviour = Callable[[Any, Context], Awaitable[Any]]
Streaming = Callable[[Any, Context], AsyncIterator[Any]]
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
    """Wraps every method: reads bytes safely, knows the caller and its rights, refuses by status, logs a line."""

    def __init__(self, gate: Gate | OpenGate, calls_per_caller: int, is_guarded: Callable[[], bool]) -> None:
        """`is_guarded` says whether the books' guards were in place when they were last looked at."""
        self._gate = gate
        self._calls_per_caller = calls_per_caller
        self._is_guarded = is_guarded
        self._in_flight: Counter[str] = Counter()

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
        read = _safely(cast(Decoder, handler.request_deserializer))
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._streaming(method, cast(Streaming, handler.unary_stream)),
                request_deserializer=read,
                response_serializer=handler.response_serializer,
            )
        make = (
            grpc.stream_unary_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_unary_rpc_method_handler
        )
        return make(
            self._answering(method, cast(Behaviour, handler.stream_unary or handler.unary_unary)),
            request_deserializer=read,
            response_serializer=handler.response_serializer,
        )

    def _answering(self, method: str, behaviour: Behaviour) -> Behaviour:
        async def answering(request: Any, context: Context) -> Any:
            async with self._call(method, context) as permitted:
                return await behaviour(permitted(request), context)

        return answering

    def _streaming(self, method: str, behaviour: Streaming) -> Streaming:
        async def streaming(request: Any, context: Context) -> AsyncIterator[Any]:
            async with self._call(method, context) as permitted:
                async for answer in behaviour(permitted(request), context):
                    yield answer

        return streaming

    @asynccontextmanager
    async def _call(self, method: str, context: Context) -> AsyncIterator[Callable[[Any], Any]]:
        """One call, from knowing the caller to the line in the log; yields what checks its messages."""
        began, told = time.perf_counter(), _Told()
        try:
            principal = await self._gate.admit(tuple(context.invocation_metadata() or ()), context.auth_context())
            told.actor = principal.name
            caller.actor.set(principal.name)
            caller.books.set(principal.books())
            with self._counted(principal):
                right = RIGHTS[method]
                self._refuse_unguarded(right)
                yield _Permit(method, principal, right).checked
        except Refusal as refusal:
            told.outcome = refusal.reason
            await context.abort_with_status(to_status(status(refusal)))
        except Exception:
            told.outcome = "INTERNAL"
            log.exception("call failed", method=method)
            await context.abort(grpc.StatusCode.INTERNAL, "the server failed; nothing is known of the outcome")
        except BaseException:
            told.outcome = "CANCELLED"
            raise
        finally:
            milliseconds = round((time.perf_counter() - began) * 1000, 1)
            log.info("call", method=method, actor=told.actor, outcome=told.outcome, milliseconds=milliseconds)

    def _refuse_unguarded(self, right: Right) -> None:
        if right.writes and not self._is_guarded():
            raise BooksUnguarded("a guard of the books is off; nothing is written until it is back")

    @contextmanager
    def _counted(self, principal: Principal) -> Iterator[None]:
        if self._in_flight[principal.name] >= self._calls_per_caller:
            raise CallsTooMany(
                f"{principal.name} has {self._calls_per_caller} calls in flight", limit=self._calls_per_caller
            )
        self._in_flight[principal.name] += 1
        try:
            yield
        finally:
            self._in_flight[principal.name] -= 1
            if not self._in_flight[principal.name]:
                del self._in_flight[principal.name]


@dataclass(slots=True)
class _Told:
    """What the log says of a call."""

    actor: str = ""
    outcome: str = "OK"


@dataclass(frozen=True, slots=True)
class _Permit:
    """A caller's right to one method, checked against the book that each message names."""

    method: str
    principal: Principal
    right: Right

    def checked(self, request: Any) -> Any:
        """The request, or each message of a stream, once it could be read and is permitted."""
        if isinstance(request, AsyncIterator):
            return self._checked_stream(request)
        if isinstance(request, _Undecodable):
            self._refuse_outsider()
            raise RequestUndecodable("the bytes are not this request: truncated, or text that is not UTF-8")
        self._refuse(request)
        return request

    async def _checked_stream(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        self._refuse_outsider()
        async for request in requests:
            yield self.checked(request)

    def _refuse(self, request: Any) -> None:
        book = _book(request)
        if book is None:
            self._refuse_outsider()
        elif not self.right.roles & self.principal.roles_in(book):
            raise self._refusal()

    def _refuse_outsider(self) -> None:
        """Before a book is named: who may call this in no book at all learns nothing more."""
        if not self.right.roles & self.principal.roles_anywhere():
            raise self._refusal()

    def _refusal(self) -> CallNotPermitted:
        name = self.method.rpartition("/")[2]
        return CallNotPermitted(f"{self.principal.name} may not call {name} there", method=name)


def _book(request: Message) -> str | None:
    """The book that a message speaks of; None where it speaks of none."""
    if "header" in request.DESCRIPTOR.fields_by_name:
        return str(request.header.book) if request.HasField("header") else None  # type: ignore[attr-defined]
    return str(request.book) if "book" in request.DESCRIPTOR.fields_by_name else None  # type: ignore[attr-defined]


def _safely(read: Decoder) -> Decoder:
    def reading(content: bytes) -> Any:
        try:
            return read(content)
        except DecodeError:
            return _Undecodable()

    return reading
