"""Fault 12: the clocks of the server and of PostgreSQL jump by years, and back, while clients post."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
from serving import refusal

from ledger.v1 import postings_pb2
from ledger.v1.postings_pb2_grpc import PostingsServiceStub
from service.postgres import Urls
from torture.books import Verdict
from torture.clients import BOOK, Load, channel, manual, name_of, open_book
from torture.fault import Outcome, Place, outcome_of
from torture.processes import PATIENCE_SECONDS, Postgres, Served, connected

_JUMPS = ("+10y", "-10y", "+1d", "-1d", "+0")
_SHARED = Path("/dev/shm")
"""Where libfaketime keeps what the threads of a process share."""
_BACKWARDS = """
    SELECT count(*) FROM (
        SELECT recorded_at < lag(recorded_at) OVER (PARTITION BY book ORDER BY number) AS is_backwards FROM entries
    ) AS compared WHERE is_backwards
"""
_YEARS = "SELECT count(DISTINCT extract(year FROM recorded_at)) FROM entries"
_HOLD = "SELECT FROM heads WHERE book = %s FOR UPDATE"
_DEADLINE_SECONDS = 1
_LOCKED_SECONDS = 25
"""The program waits for no lock longer than 15 seconds."""


class Clock:
    """What time it is for a process, as libfaketime tells it; its timers, which count seconds, are its own."""

    def __init__(self, file: Path, library: Path) -> None:
        """`file` says how far it is off; both must be readable for the process."""
        self._file = file
        self.variables = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }
        self.jump("+0")

    def jump(self, offset: str) -> None:
        """From now on it is off by so much, such as `-10y`."""
        unfinished = self._file.with_suffix(".new")
        unfinished.write_text(f"{offset}\n")
        unfinished.chmod(0o644)
        unfinished.replace(self._file)


def faketime() -> Path | None:
    """The library, where it is installed (Debian: the package faketime)."""
    name = "faketime/libfaketimeMT.so.1"
    return next((path for place in (name, f"*/{name}") for path in Path("/usr").glob(f"lib*/{place}")), None)


class ClocksJump:
    """Nothing depends on what time it is: order, keys, deadlines. The times recorded never run backwards."""

    name = "clocks that jump by years (libfaketime)"

    def __init__(self, place: Place) -> None:
        """Nothing is started yet."""
        self._place = place
        self._clocks: list[Clock] = []
        self._postgres: Postgres | None = None
        self._urls = Urls("", "")
        self._server: Served | None = None
        self._load: Load | None = None
        self._jumps = 0
        self._held_longest = _LOCKED_SECONDS if place.pause_seconds > _DEADLINE_SECONDS else 0
        self._wrong: list[str] = []

    @property
    def load(self) -> Load:
        """The clients."""
        assert self._load is not None
        return self._load

    @property
    def address(self) -> str:
        """The server's."""
        assert self._server is not None
        return self._server.address

    async def prepare(self) -> None:
        """A PostgreSQL and a server, each with a clock of its own, under load."""
        library = faketime()
        if library is None:
            return
        self._clocks = [Clock(self._place.folder / name, library) for name in ("postgres-clock", "server-clock")]
        self._postgres = Postgres(self._place.folder / "timed", **self._clocks[0].variables)
        await asyncio.to_thread(self._postgres.start)
        self._urls = await asyncio.to_thread(self._postgres.database, "torture")
        self._server = Served(self._urls.server, self._place.folder, **self._clocks[1].variables)
        await asyncio.to_thread(self._server.start)
        await open_book(self._server.address)
        self._load = Load([self._server.address], self._place.lots, borne=("UNAVAILABLE", "DEADLINE_EXCEEDED"))
        self._load.start()

    async def disturb(self) -> None:
        """Each clock jumps, and both, while clients post; then while a call waits; then keys are asked again."""
        if not self._clocks:
            return
        await self.load.answered(20)
        for clocks in (self._clocks[:1], self._clocks[1:], self._clocks):
            for clock in clocks:
                self._jump(clock)
            await self.load.answered(20)
        await self._see_deadline()
        if self._held_longest:
            await self._see_locks_end()
            self._held_longest = 0
        await self._see_replay()

    def _jump(self, clock: Clock) -> None:
        clock.jump(_JUMPS[self._jumps % len(_JUMPS)])
        self._jumps += 1

    def _jump_all(self, offset: str) -> None:
        for clock in self._clocks:
            clock.jump(offset)
            self._jumps += 1

    async def _see_deadline(self) -> None:
        """A call that cannot be answered yet ends at its deadline, wherever the clocks are by then."""
        met = await self._asked_while_held(f"deadline-{self._jumps}", _DEADLINE_SECONDS)
        if met != "DEADLINE_EXCEEDED (connection)":
            self._wrong.append(f"a call with a deadline of {_DEADLINE_SECONDS} s ended as {met}")

    async def _see_locks_end(self) -> None:
        """A call that waits for the head of a book is told to come back, wherever the clocks are by then."""
        met = await self._asked_while_held(f"locked-{self._jumps}", _LOCKED_SECONDS)
        if met not in {"DATABASE_UNAVAILABLE", "OUTCOME_UNKNOWN"}:
            self._wrong.append(f"a call that waited {_LOCKED_SECONDS} s for a book ended as {met}")

    async def _asked_while_held(self, key: str, seconds: float) -> str:
        """How a call ends while somebody else holds the book, and all clocks jump back; it is made again later."""
        self._jump_all("+10y")
        one = manual(key, self._place.lots)
        request = postings_pb2.PostEntryRequest(book=BOOK, entry=one)
        self.load.told.asked[key] = one
        self.load.told.retried.add(key)
        async with channel(self.address) as opened:
            post: Any = PostingsServiceStub(opened).PostEntry
            with connected(self._urls.owner) as owner, owner.transaction():
                await asyncio.to_thread(owner.execute, _HOLD, [BOOK])
                asking = asyncio.create_task(_ended(post, request, seconds))
                await asyncio.sleep(_DEADLINE_SECONDS / 2)
                self._jump_all("-10y")
                met = await asking
            answer = await post(request, timeout=PATIENCE_SECONDS, wait_for_ready=True)
        self.load.told.answer(key, answer.entry, replayed=answer.replayed)
        return met

    async def _see_replay(self) -> None:
        """Keys are for ever: an entry that was acknowledged at another time is not posted again."""
        told = self.load.told
        known = [key for key, asked in told.asked.items() if key in told.entries and _is_single(asked)]
        key = self._place.lots.choice(known)
        told.retried.add(key)
        async with channel(self.address) as opened:
            request = postings_pb2.PostEntryRequest(book=BOOK, entry=told.asked[key])
            answer = await PostingsServiceStub(opened).PostEntry(request, timeout=PATIENCE_SECONDS)
        if not answer.replayed:
            self._wrong.append(f"{key} was posted again after the clocks had jumped")
        told.answer(key, answer.entry, replayed=answer.replayed)

    async def check(self, tried: int) -> Outcome:
        """As after any fault; and the times recorded follow the numbers."""
        if self._load is None:
            return Outcome(0, Verdict(), figures=["not tried: libfaketime is not installed (Debian: faketime)"])
        told = await self.load.finish()
        if backwards := self._counted(_BACKWARDS):
            self._wrong.append(f"{backwards} entries were recorded before the one before them")
        years = self._counted(_YEARS)
        if years < 2:
            self._wrong.append("the clock of PostgreSQL did not jump")
        figure = f"{self._jumps} jumps; entries were recorded in {years} different years"
        return await asyncio.to_thread(outcome_of, self._urls.owner, told, tried, figure, wrong=self._wrong)

    def _counted(self, question: str) -> int:
        with connected(self._urls.owner) as owner:
            row = owner.execute(question.encode()).fetchone()
            return int(row[0]) if row else 0

    async def close(self) -> None:
        """Ends the server and PostgreSQL."""
        if self._server is not None and self._server.lives():
            self._server.close()
            _forget(self._server.process.pid)
        if self._postgres is not None:
            await asyncio.to_thread(self._postgres.close)


def _is_single(asked: object) -> bool:
    return isinstance(asked, postings_pb2.EntryToPost)


async def _ended(post: Any, request: postings_pb2.PostEntryRequest, seconds: float) -> str:
    """How a call ended; "answered" where it was."""
    try:
        await post(request, timeout=seconds)
    except grpc.aio.AioRpcError as error:
        return name_of(refusal(error))
    return "answered"


def _forget(process: int) -> None:
    """Removes what libfaketime leaves in memory of a process that was killed."""
    for left in _SHARED.glob(f"*faketime_*_{process}"):
        left.unlink()
