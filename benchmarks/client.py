"""The process that asks, apart from those that are measured: it makes all it needs, and runs when told."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from time import perf_counter, process_time
from typing import Any, Protocol

import grpc
import uvloop

from benchmarks.processes import BenchFailed

POSTINGS = "/ledger.v1.PostingsService"
ACCOUNTS = "/ledger.v1.AccountsService"
REPORTS = "/ledger.v1.ReportsService"
_LARGEST_ANSWER = 64 * 1024 * 1024
_READY = "ready"


@dataclass(slots=True)
class Measured:
    """What a task took."""

    began: float
    ended: float = 0
    seconds: list[float] = field(default_factory=list)
    """How long each call took, from the question to the answer."""
    cpu_seconds: float = 0
    """What the process that asked used itself."""
    answered_bytes: int = 0

    def __add__(self, later: "Measured") -> "Measured":
        """Both as one, without the time between them."""
        return Measured(
            self.began,
            self.ended + later.ended - later.began,
            [*self.seconds, *later.seconds],
            self.cpu_seconds + later.cpu_seconds,
            self.answered_bytes + later.answered_bytes,
        )


class Task(Protocol):
    """Something to measure, described so that another process can do it."""

    def ready(self) -> AbstractContextManager[Callable[[], Measured]]:
        """Makes everything ready; what it yields does the work and nothing else."""


@dataclass(frozen=True)
class Calls:
    """Unary calls, so many of them in flight at any time."""

    address: str
    method: str
    requests: Iterable[bytes]
    """Made already, where they are to be timed."""
    in_flight: int

    @contextmanager
    def ready(self) -> Iterator[Callable[[], Measured]]:
        """Connects, and asks when told."""
        with _connected(self.address) as (runner, channel):
            yield lambda: runner.run(self._run(channel))

    async def _run(self, channel: grpc.aio.Channel) -> Measured:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(self.method)
        left = iter(self.requests)
        measured = Measured(perf_counter())

        async def ask() -> None:
            for request in left:
                began = perf_counter()
                answer = await call(request)
                measured.seconds.append(perf_counter() - began)
                measured.answered_bytes += len(answer)

        await asyncio.gather(*(ask() for _ in range(self.in_flight)))
        return measured


@dataclass(frozen=True)
class Stream:
    """One call with a stream each way, so many messages of which may wait for their answers."""

    address: str
    method: str
    requests: Sequence[bytes]
    in_flight: int

    @contextmanager
    def ready(self) -> Iterator[Callable[[], Measured]]:
        """Connects, and streams when told."""
        with _connected(self.address) as (runner, channel):
            yield lambda: runner.run(self._run(channel))

    async def _run(self, channel: grpc.aio.Channel) -> Measured:
        asked: list[float] = []
        room = asyncio.Event()
        measured = Measured(perf_counter())

        async def written() -> AsyncIterator[bytes]:
            for request in self.requests:
                while len(asked) - len(measured.seconds) >= self.in_flight:
                    room.clear()
                    await room.wait()
                asked.append(perf_counter())
                yield request

        call: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(self.method)
        async for answer in call(written()):
            measured.seconds.append(perf_counter() - asked[len(measured.seconds)])
            measured.answered_bytes += len(answer)
            room.set()
        return measured


class Client:
    """A process that does one task after the other."""

    def __init__(self) -> None:
        """Starts it."""
        context = get_context("spawn")  # a process that uses gRPC cannot be forked
        self._connection, its_own = context.Pipe()
        self._process = context.Process(target=_work, args=(its_own,), daemon=True)
        self._process.start()
        its_own.close()

    def measured(self, task: Task, before: Callable[[], Any] = lambda: None) -> Measured:
        """Does a task; `before` is called between its making ready and its beginning. Raises BenchFailed."""
        self._connection.send(task)
        self._received()
        before()
        self._connection.send(None)
        result = self._received()
        assert isinstance(result, Measured)
        return result

    def close(self) -> None:
        """Ends it."""
        self._connection.close()
        self._process.join()

    def _received(self) -> object:
        try:
            received = self._connection.recv()
        except EOFError:
            raise BenchFailed("the client's process has ended") from None
        if isinstance(received, BenchFailed):
            raise received
        return received


def _work(connection: Connection) -> None:
    """The life of a client's process."""
    while True:
        try:
            task: Task = connection.recv()
        except EOFError:
            return
        try:
            with task.ready() as run:
                connection.send(_READY)
                connection.recv()
                connection.send(_timed(run))
        except Exception:  # noqa: BLE001 - who waits for the answer is told, whatever it was
            connection.send(BenchFailed(traceback.format_exc()))


def _timed(run: Callable[[], Measured]) -> Measured:
    used = process_time()
    measured = run()
    measured.ended = measured.ended or perf_counter()
    measured.cpu_seconds = process_time() - used
    return measured


@contextmanager
def _connected(address: str) -> Iterator[tuple[asyncio.Runner, grpc.aio.Channel]]:
    async def connect() -> grpc.aio.Channel:
        channel = grpc.aio.insecure_channel(address, [("grpc.max_receive_message_length", _LARGEST_ANSWER)])
        await channel.channel_ready()
        return channel

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        channel = runner.run(connect())
        try:
            yield runner, channel
        finally:
            runner.run(channel.close())
