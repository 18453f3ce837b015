"""Fault 8: two servers on one database, and one of them stands still in the middle of a batch."""

import asyncio
import time

import grpc
from serving import refusal

from ledger.v1 import postings_pb2
from ledger.v1.postings_pb2_grpc import PostingsServiceStub
from torture.clients import BOOK, Load, channel, manual, name_of, open_book
from torture.fault import Outcome, Place, outcome_of
from torture.processes import PATIENCE_SECONDS, Served, connected

LONGEST_HOLD_SECONDS = 15
"""After so long PostgreSQL takes the head from a server that stands still: the program's limits are below it."""
_BLOCKED_BY_IDLE = """
    SELECT count(*) FROM pg_stat_activity AS waiting
    JOIN pg_stat_activity AS holding ON holding.pid = ANY(pg_blocking_pids(waiting.pid))
    WHERE waiting.datname = current_database() AND holding.state = 'idle in transaction'
        AND holding.state_change < clock_timestamp() - interval '100 milliseconds'
"""


class Paused:
    """SIGSTOP while it holds the head of the book, SIGCONT a minute later; clients go to the other meanwhile."""

    name = "one of two servers paused in mid-batch (SIGSTOP)"

    def __init__(self, place: Place) -> None:
        """Nothing is started yet."""
        self._place = place
        self._one, self._other = (Served(place.urls.server, place.folder, name) for name in ("one", "other"))
        addresses = [self._one.address, self._other.address]
        borne = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
        self._load = Load(addresses, place.lots, borne=borne, deadlines=(1.5, 1.5, 30, 30))
        self._seconds = 3 * place.pause_seconds
        self._longest = 0.0
        self._freed = 0
        self._held = 0

    async def prepare(self) -> None:
        """Two servers with one book, both under load."""
        for server in (self._one, self._other):
            await asyncio.to_thread(server.start)
        await open_book(self._one.address)
        self._load.start()

    async def disturb(self) -> None:
        """The one stands still with the head in its hand; the other must not wait for ever; then both go on."""
        await self._load.answered(1)
        if not await asyncio.to_thread(self._caught):
            return
        self._held += 1
        began = time.monotonic()
        waiting = asyncio.create_task(self._ask_other())
        answered, _ = await asyncio.wait([waiting], timeout=self._seconds)
        self._freed += bool(answered)
        waited = time.monotonic() - began
        self._longest = max(self._longest, waited)
        await asyncio.sleep(max(0, self._seconds - waited))
        self._one.resume()
        await waiting
        await self._load.answered(50)

    def _caught(self) -> bool:
        """Pauses the one at a moment at which the other has to wait for it; after many tries it gives up."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        with connected(self._place.url) as connection:
            while time.monotonic() < deadline:
                self._one.pause()
                time.sleep(0.25)
                row = connection.execute(_BLOCKED_BY_IDLE).fetchone()
                if row and row[0]:
                    return True
                self._one.resume()
                time.sleep(self._place.lots.random() * 0.02)
        return False

    async def _ask_other(self) -> None:
        """A call to the server that is not paused: an entry, or to be told to come back."""
        key = f"asked-while-paused-{self._held}"
        request = postings_pb2.PostEntryRequest(book=BOOK, entry=manual(key, self._place.lots))
        told = self._load.told
        told.asked[key] = request.entry
        async with channel(self._other.address) as opened:
            post = PostingsServiceStub(opened).PostEntry
            try:
                answer = await post(request, timeout=PATIENCE_SECONDS)
            except grpc.aio.AioRpcError as error:
                told.failures[name_of(refusal(error))] += 1
                told.retried.add(key)
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    told.mistake(f"{key} was answered {error.code().name}: {error.details()}")
                self._one.resume()
                answer = await post(request, timeout=PATIENCE_SECONDS)
            told.answer(key, answer.entry, replayed=answer.replayed)

    async def check(self, tried: int) -> Outcome:
        """As after any fault: two servers gave no number and no key twice."""
        told = await self._load.finish()
        wrong = []
        if self._seconds > LONGEST_HOLD_SECONDS and self._freed < self._held:
            wrong = [f"the other server was not freed in {self._held - self._freed} of {self._held} pauses"]
        figure = (
            f"in {self._freed} of {self._held} pauses of {self._seconds:g} s the other server "
            f"answered before the pause was over; its longest wait was {self._longest:.1f} s"
        )
        return await asyncio.to_thread(outcome_of, self._place.url, told, self._held, figure, wrong=wrong)

    async def close(self) -> None:
        """Ends both servers."""
        for server in (self._one, self._other):
            server.close()
