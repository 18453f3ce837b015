"""What stands before every method: who calls, what it may do, how it is refused, and what the log says of it."""

import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import grpc
import structlog
from google.protobuf.message import DecodeError, Message
from grpc_status.rpc_status import to_status

from ledger import caller
from ledger.errors import BooksUnguarded, CallNotPermitted, CallsTooMany, Refusal, RequestUndecodable
from ledger.wire import Context
from service.door import Door
from service.identity import Gate, Metadata, OpenGate, Principal
from service.metrics import Metrics
from service.refusals import code, status
from service.rights import RIGHTS, Right, Role
from service.tracing import Traces

Behaviour = Callable[[Any, Context], Awaitable[Any]]
Streaming = Callable[[Any, Context], AsyncGenerator[Any]]
Decoder = Callable[[bytes], Any]
Encoder = Callable[[Any], bytes]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
log = structlog.get_logger()


class _Undecodable:
    """Stands for a message whose bytes could not be read, until the handler can say so."""


_LONGEST_BOOK = 40
_MAKERS: dict[tuple[bool, bool], Callable[..., Handler]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
"""How a handler is made, by whether requests and answers are streams."""


class Doorkeeper(grpc.aio.ServerInterceptor):
    """Wraps every method: reads bytes safely, knows the caller and its rights, refuses by status, logs a line."""

    def __init__(
        self,
        gate: Gate | OpenGate,
        calls_per_caller: int,
        is_guarded: Callable[[], bool],
        metrics: Metrics,
        door: Door,
        traces: Traces | None = None,
    ) -> None:
        """`is_guarded` says whether the books' guards were in place when they were last looked at."""
        self._door = door
        self._gate = gate
        self._metrics = metrics
        self._traces = traces
        self._calls_per_caller = calls_per_caller
        self._is_guarded = is_guarded
        self._in_flight: Counter[str] = Counter()
        self._encoders: dict[str, Encoder] = {}

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
            return _MAKERS[handler.request_streaming, True](
                self._streaming(method, cast(Streaming, handler.stream_stream or handler.unary_stream)),
                request_deserializer=read,
                response_serializer=self._encoder(method, cast(Encoder, handler.response_serializer)),
            )
        return _MAKERS[handler.request_streaming, False](
            self._answering(method, cast(Behaviour, handler.stream_unary or handler.unary_unary)),
            request_deserializer=read,
            response_serializer=handler.response_serializer,
        )

    def _answering(self, method: str, behaviour: Behaviour) -> Behaviour:
        async def answering(request: Any, context: Context) -> Any:
            async with self._call(method, context) as (permit, told):
                answer = await behaviour(permit.checked(request), context)
                told.entries = _numbers(answer)
                return answer

        return answering

    def _encoder(self, method: str, write: Encoder) -> Encoder:
        return write if RIGHTS[method].writes else self._encoders.setdefault(method, _once(write))

    def _streaming(self, method: str, behaviour: Streaming) -> Streaming:
        async def streaming(request: Any, context: Context) -> AsyncGenerator[Any]:
            async with (
                self._call(method, context) as (permit, told),
                aclosing(behaviour(permit.checked(request), context)) as answers,
            ):
                async for answer in answers:
                    told.follow(_numbers(answer))
                    yield answer

        return streaming

    @asynccontextmanager
    async def _call(self, method: str, context: Context) -> AsyncIterator[tuple["_Permit", "_Told"]]:
        """One call, from knowing the caller to the line in the log; yields what checks its messages."""
        told, metadata = _Told(method), tuple(context.invocation_metadata() or ())
        try:
            await self._door.enter()
            principal = await self._gate.admit(metadata, context.auth_context())
            told.actor = principal.name
            caller.actor.set(principal.name)
            caller.books.set(principal.books())
            with self._counted(principal):
                right = RIGHTS[method]
                self._refuse_unguarded(right)
                yield _Permit(principal, right, told), told
        except Refusal as refusal:
            told.code, told.outcome = code(refusal), refusal.reason
            await context.abort_with_status(to_status(status(refusal)))
        except Exception:
            told.code, told.outcome = grpc.StatusCode.INTERNAL, "INTERNAL"
            log.exception("call failed", method=method)
            await context.abort(grpc.StatusCode.INTERNAL, "the server failed; nothing is known of the outcome")
        except BaseException:
            told.code, told.outcome = grpc.StatusCode.CANCELLED, "CANCELLED"
            raise
        finally:
            self._tell(told, metadata)

    def _tell(self, told: "_Told", metadata: Metadata) -> None:
        seconds = time.perf_counter() - told.began
        log.info("call", **told.said(), milliseconds=round(seconds * 1000, 1))
        self._metrics.call(told.method, told.outcome, seconds)
        if self._traces is not None:
            self._traces.call(told.said(), metadata, seconds)

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
    """What the log says of a call: nothing that a request holds but the book and the numbers of entries."""

    method: str
    actor: str = ""
    book: str = ""
    code: grpc.StatusCode = grpc.StatusCode.OK
    outcome: str = "OK"
    entries: str = ""
    began: float = field(default_factory=time.perf_counter)

    def follow(self, number: str) -> None:
        """One more answer of a stream brings an entry: the first number is kept, and the last."""
        if number:
            self.entries = f"{self.entries.partition('-')[0] or number}-{number}"

    def said(self) -> dict[str, str]:
        """All of it, by name."""
        return {
            "method": self.method,
            "actor": self.actor,
            "book": self.book,
            "code": self.code.name,
            "outcome": self.outcome,
            "entries": self.entries,
        }


def _numbers(answer: Message) -> str:
    """The numbers of the entries that an answer brings, from the first to the last."""
    names = answer.DESCRIPTOR.fields_by_name
    if "result" in names:
        return _number(answer.result)  # type: ignore[attr-defined]
    if "entry" in names:
        return _number(answer)
    if "results" not in names:
        return ""
    numbers = [number for result in answer.results if (number := _number(result))]  # type: ignore[attr-defined]
    return f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 1 else "".join(numbers)


def _number(answer: Any) -> str:
    return str(answer.entry.number) if answer.HasField("entry") and answer.entry.number else ""


@dataclass(frozen=True, slots=True)
class _Permit:
    """A caller's right to one method, checked against the book that each message names."""

    principal: Principal
    right: Right
    told: _Told

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
        named = False
        async for request in requests:
            # What a stream has named once, it need not name again.
            yield request if named and _book(request) == "" else self.checked(request)
            named = bool(self.told.book)

    def _refuse(self, request: Any) -> None:
        book = _book(request)
        if book is None:
            self._refuse_outsider()
            return
        self.told.book = book[:_LONGEST_BOOK]
        roles = self.principal.roles_in(book)
        if not self.right.roles & roles:
            raise self._refusal()
        caller.is_finance.set(Role.FINANCE in roles)

    def _refuse_outsider(self) -> None:
        """Before a book is named: who may call this in no book at all learns nothing more."""
        if not self.right.roles & self.principal.roles_anywhere():
            raise self._refusal()

    def _refusal(self) -> CallNotPermitted:
        name = self.told.method.rpartition("/")[2]
        return CallNotPermitted(f"{self.principal.name} may not call {name} there", method=name)


def _book(request: Message) -> str | None:
    """The book that a message speaks of; None where it speaks of none."""
    if "header" in request.DESCRIPTOR.fields_by_name:
        return str(request.header.book) if request.HasField("header") else None  # type: ignore[attr-defined]
    return str(request.book) if "book" in request.DESCRIPTOR.fields_by_name else None  # type: ignore[attr-defined]


def _once(write: Encoder) -> Encoder:
    """Who watches a book gets the very message that others get: its bytes are made for the first of them."""
    last: tuple[Any, bytes] = (None, b"")

    def writing(answer: Any) -> bytes:
        nonlocal last
        if answer is not last[0]:
            last = (answer, write(answer))
        return last[1]

    return writing


def _safely(read: Decoder) -> Decoder:
    def reading(content: bytes) -> Any:
        try:
            return read(content)
        except DecodeError:
            return _Undecodable()

    return reading
