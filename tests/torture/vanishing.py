"""Fault 5: callers that vanish, whose time is up, or who never read what they asked for."""

import asyncio
import hashlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import grpc
from grpc.aio import AioRpcError

from ledger.v1 import postings_pb2
from ledger.v1.postings_pb2_grpc import PostingsServiceStub
from reconciliation.v1 import reconciliation_pb2
from reconciliation.v1.reconciliation_pb2_grpc import ReconciliationServiceStub
from service.demo.client import Client
from service.demo.mail import JUNE
from service.demo.remittance import Remittance, as_booked, written
from service.demo.world import PAYERS
from torture.clients import channel, open_book
from torture.doomed import calls
from torture.fault import Place
from torture.ingested import claim
from torture.processes import PATIENCE_SECONDS, ROOT, connected, environment
from torture.watched import Watched

_MAIL = "mail"
"""A book of its own for files, beside the one that the others post to."""
_AT_ONCE = 30
_READERS = 40
_PART = 16 * 1024
_PADDING = b"NTE*ADD*" + b"X" * 70 + b"~\n"
_KEPT = """
    SELECT (SELECT count(*) FROM deliveries WHERE book = %(book)s AND file_name = %(name)s),
        (SELECT count(*) FROM remittances WHERE book = %(book)s AND trace = %(trace)s)
"""


class Vanishing(Watched):
    """Cancelled, hung up, out of time, killed, cut off in the middle of a file, or never reading."""

    name = "callers that vanish, run out of time, never read"

    def __init__(self, place: Place) -> None:
        """Nothing is started yet."""
        super().__init__(place)
        self._large = b""

    async def prepare(self) -> None:
        """A second book, with a large file that nobody will read to its end."""
        await super().prepare()
        await open_book(self._server.address, _MAIL)
        self._large = _file("LARGE", self._place.large * 6_000)
        async with channel(self._server.address) as opened:
            await Client(opened, _MAIL).deliver("LARGE.835", self._large)

    async def misbehave(self, turn: int) -> None:
        """One kind after the other."""
        kinds = (self._cancel, self._hang_up, self._run_out_of_time, self._die, self._cut_off, self._never_read)
        await kinds[turn % len(kinds)](f"gone-{turn}")

    async def _cancel(self, prefix: str) -> None:
        async with channel(self._server.address) as opened:
            waiting = await self._asked(opened, prefix)
            for one in waiting:
                one.cancel()
            await self._seen(waiting)
        await self._ask_again(prefix)

    async def _hang_up(self, prefix: str) -> None:
        async with channel(self._server.address) as opened:
            waiting = await self._asked(opened, prefix)
        await self._seen(waiting)
        await self._ask_again(prefix)

    async def _run_out_of_time(self, prefix: str) -> None:
        async with channel(self._server.address) as opened:
            await opened.channel_ready()
            stub = PostingsServiceStub(opened)
            waiting = []
            for way, request, _ in calls(prefix, _AT_ONCE):
                waiting.append(getattr(stub, way)(request, timeout=self._place.lots.uniform(0.001, 0.01)))
            await self._seen(waiting)
        await self._ask_again(prefix)

    async def _die(self, prefix: str) -> None:
        command = [sys.executable, "-m", "torture.doomed", self._server.address, prefix, str(_AT_ONCE)]
        path = {"PYTHONPATH": str(ROOT / "tests")}
        doomed = await asyncio.to_thread(
            subprocess.Popen, command, cwd=ROOT, env=environment("") | path, stdout=subprocess.PIPE
        )
        assert doomed.stdout is not None
        await asyncio.to_thread(doomed.stdout.readline)
        await asyncio.sleep(self._place.lots.random() * 0.05)
        doomed.kill()
        await asyncio.to_thread(doomed.communicate)
        await self._ask_again(prefix)

    async def _asked(self, opened: grpc.aio.Channel, prefix: str) -> list[Any]:
        """Calls in flight, for a moment."""
        await opened.channel_ready()
        stub = PostingsServiceStub(opened)
        waiting = [getattr(stub, way)(request) for way, request, _ in calls(prefix, _AT_ONCE)]
        await asyncio.sleep(self._place.lots.random() * 0.05)
        return waiting

    async def _seen(self, waiting: list[Any]) -> None:
        """Waits for the end of calls; what was answered all the same is remembered."""
        for end in await asyncio.gather(*map(_ended, waiting), return_exceptions=True):
            if isinstance(end, AioRpcError):
                self.met(end, grpc.StatusCode.DEADLINE_EXCEEDED)
            elif not isinstance(end, BaseException):
                self._answer(end)

    async def _ask_again(self, prefix: str) -> None:
        """What was asked for is asked for again with the same keys, and must be answered."""
        told = self._load.told
        async with channel(self._server.address) as opened:
            stub, again = PostingsServiceStub(opened), []
            for way, request, asked in calls(prefix, _AT_ONCE):
                told.asked.update(asked)
                told.retried.update(asked)
                again.append(getattr(stub, way)(request, timeout=PATIENCE_SECONDS))
            for answer in await asyncio.gather(*again):
                self._answer(answer)

    def _answer(self, answer: Any) -> None:
        results = answer.results if isinstance(answer, postings_pb2.PostEntriesResponse) else [answer]
        for result in results:
            key = result.entry.idempotency_key
            if result.replayed:
                self._load.told.retried.add(key)
            self._load.told.answer(key, result.entry, replayed=result.replayed)

    async def _cut_off(self, trace: str) -> None:
        """A file is cut off in the middle: nothing of it is kept. Then it comes whole, and is kept once."""
        content = _file(trace, 40 * _PART)
        for _ in range(4):
            async with channel(self._server.address) as opened:
                parts = _parts(f"{trace}.835", content, self._place.lots.randint(1, 39))
                sending = ReconciliationServiceStub(opened).IngestRemittance(_then_silence(parts))
                await asyncio.sleep(self._place.lots.random() * 0.1)
                if self._place.lots.random() < 0.5:
                    sending.cancel()
            await self._seen([sending])
        kept = [await asyncio.to_thread(self._kept, trace)]
        async with channel(self._server.address) as opened:
            await Client(opened, _MAIL).deliver(f"{trace}.835", content)
        kept.append(await asyncio.to_thread(self._kept, trace))
        if kept != [(0, 0), (1, 1)]:
            self.wrong.append(f"of a file that was cut off, and of the whole one after it, was kept: {kept}")

    def _kept(self, trace: str) -> Any:
        with connected(self._place.url) as connection:
            asked = {"book": _MAIL, "name": f"{trace}.835", "trace": trace}
            return connection.execute(_KEPT, asked).fetchone()

    async def _never_read(self, _: str) -> None:
        """Many ask for a large file, and read nothing of it."""
        digest = hashlib.sha256(self._large).digest()
        asked = reconciliation_pb2.ReadDeliveryRequest(book=_MAIL, file_sha256=digest, reason="to see")
        with ExitStack() as ending:
            for _ in range(_READERS):
                opened = channel(self._server.address)
                call = ReconciliationServiceStub(opened).ReadDelivery(asked)
                ending.callback(call.cancel)
            await asyncio.gather(asyncio.sleep(1), asyncio.wait_for(self._load.answered(1), PATIENCE_SECONDS))
            self.weigh()


async def _ended(call: Any) -> Any:
    """How a call ends: its answer, or the exception that it raises."""
    return await call


def _file(trace: str, size: int) -> bytes:
    """A remittance of one claim that no book knows, padded to about so many bytes."""
    content = written([Remittance(PAYERS[0], trace, JUNE, (as_booked(claim(trace, 10_000), trace),))], 1)
    end = content.index(b"SE*")
    padding = _PADDING * (size // len(_PADDING))
    return content[:end] + padding + content[end:]


def _parts(name: str, content: bytes, count: int) -> Iterator[reconciliation_pb2.IngestRemittanceRequest]:
    """The first messages of a delivery."""
    header = reconciliation_pb2.RemittanceFileHeader(book=_MAIL, file_name=name)
    yield reconciliation_pb2.IngestRemittanceRequest(header=header)
    for start in range(0, count * _PART, _PART):
        yield reconciliation_pb2.IngestRemittanceRequest(chunk=content[start : start + _PART])


async def _then_silence(parts: Iterator[Any]) -> AsyncIterator[Any]:
    """Messages, and then neither another one nor an end."""
    for part in parts:
        yield part
    await asyncio.Event().wait()
