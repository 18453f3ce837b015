"""Fault 10: a loaded database gets its newest version while the server of the version before goes on posting."""

import asyncio
import threading
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from serving import cr, dr, entry
from sqlalchemy import make_url

from ledger.v1 import postings_pb2
from ledger.v1.postings_pb2_grpc import PostingsServiceStub
from service.postgres import Urls
from torture.clients import DAY, Load, channel, earned, manual, open_book
from torture.fault import Outcome, Place, outcome_of
from torture.processes import PATIENCE_SECONDS, ROOT, Served, connected, ledger
from torture.versions import newest, one_back, one_on

LOADED_BOOK = "loaded"
LONGEST_SECONDS = 1.0
"""A migration may hold up posting for so long, no longer."""
_FULL = 1_000_000
_LINES = 20
_ENTRIES = 500
_LOOKED_SECONDS = 2
_NAME = "migration"
_HELD_UP = """
    SELECT coalesce(max(extract(epoch FROM clock_timestamp() - held.waitstart)), 0) FROM pg_locks AS held
    WHERE NOT held.granted AND held.waitstart IS NOT NULL AND EXISTS (
        SELECT FROM pg_stat_activity AS holder
        WHERE holder.pid = ANY(pg_blocking_pids(held.pid)) AND holder.application_name = %s
    )
"""


@dataclass
class Found:
    """What was measured of a migration, in seconds."""

    name: str
    usual: float = 0.0
    meanwhile: float = 0.0
    held_up: float = 0.0
    migrating: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.name} took {self.migrating:.1f} s: the slowest call {self.meanwhile:.2f} s, "
            f"{self.usual:.2f} s without it; the longest wait for a lock of it {self.held_up:.2f} s"
        )


class Rolled:
    """Clients post; `ledger migrate` runs; the old server goes on, and the new one takes over.

    Twice: to the newest version from the one before, and on to a made-up one that adds to the busy tables.
    """

    name = "loaded database migrated while clients post, servers rolled"

    def __init__(self, place: Place) -> None:
        """Nothing is started yet."""
        self._place = place
        self._urls = Urls("", "")
        self._trees: list[Path] = []
        self._servers: list[Served] = []
        self._load: Load | None = None
        self._at = 0
        self._found: list[Found] = []
        self._wrong: list[str] = []

    @property
    def load(self) -> Load:
        """The clients."""
        assert self._load is not None
        return self._load

    async def prepare(self) -> None:
        """A database of the version before, with many postings, and its own server under load."""
        if not await self._works():  # this program needs what its newest version brings: begin with that
            self._servers.pop().close()
            self._trees.pop(0)
            await asyncio.to_thread(self._begin)
            assert await self._posts()
        await self._fill()
        for tree in self._trees[1:]:
            self._servers.append(self._served(tree))
        addresses = [server.address for server in self._servers]
        self._load = Load(addresses, self._place.lots, borne=("UNAVAILABLE", "CANCELLED"))
        self._load.start()

    def _served(self, tree: Path) -> Served:
        """A server of one of the programs, which looks at the database's version often."""
        name = f"server-{newest(tree)}"
        return Served(self._urls.server, self._place.folder, name, tree, LEDGER_GUARD_SECONDS="0.5")

    def _begin(self) -> None:
        """A database at the version of the first program, and its server."""
        folder = self._place.folder
        self._trees = self._trees or [one_back(folder / "one-back"), ROOT, one_on(folder / "one-on")]
        database = f"{make_url(self._place.url).database}_{newest(self._trees[0])}"
        with connected(self._place.url) as owner:
            owner.execute(f'CREATE DATABASE "{database}"'.encode())
        self._urls = Urls(*(_moved(url, database) for url in self._place.urls))
        done = ledger(self._urls.owner, "migrate", root=self._trees[0])
        assert done.returncode == 0, done.stderr
        self._servers.append(self._served(self._trees[0]))
        self._servers[0].start()

    async def _works(self) -> bool:
        """Whether the older program serves the older version, and posts to it."""
        try:
            await asyncio.to_thread(self._begin)
        except AssertionError:
            return False
        return await self._posts()

    async def _posts(self) -> bool:
        """Whether the older program can post to the older version at all, in each of the ways that clients use."""
        await open_book(self._servers[0].address)
        await open_book(self._servers[0].address, "tried")
        session, one = earned("tried", self._place.lots), manual("by hand", self._place.lots)
        session.book = "tried"
        async with channel(self._servers[0].address) as opened:
            stub = PostingsServiceStub(opened)
            try:
                await stub.RecordSession(session, timeout=PATIENCE_SECONDS)
                await stub.PostEntries(postings_pb2.PostEntriesRequest(book="tried", entries=[one]))
            except grpc.aio.AioRpcError:
                return False
        return True

    async def _fill(self) -> None:
        """So many postings, in a book of their own: few entries of many lines, as fast as they go in."""
        await open_book(self._servers[0].address, LOADED_BOOK)
        async with channel(self._servers[0].address) as opened:
            stub = PostingsServiceStub(opened)
            for first in range(0, self._place.loaded // _LINES, _ENTRIES):
                last = min(first + _ENTRIES, self._place.loaded // _LINES)
                entries = [_long(f"loaded-{number}") for number in range(first, last)]
                asked = postings_pb2.PostEntriesRequest(book=LOADED_BOOK, entries=entries, atomic=True)
                await stub.PostEntries(asked, timeout=PATIENCE_SECONDS)

    async def disturb(self) -> None:
        """Migrated under load; then the old server serves the newer version, and the new one takes over."""
        if self._at + 1 == len(self._trees):
            return
        old, new = self._servers[self._at : self._at + 2]
        self._at += 1
        found = Found(f"{newest(self._trees[self._at - 1])} to {newest(self._trees[self._at])}")
        found.usual = await self._longest_of(asyncio.sleep(self._place.pause_seconds))
        found.meanwhile = await self._longest_of(asyncio.to_thread(self._migrate, found))
        self._found.append(found)
        await self._see_serving(old)
        await asyncio.to_thread(new.start)
        old.terminate()
        if code := await asyncio.to_thread(old.ended):
            self._wrong.append(f"the old server ended with {code}:\n{old.last_lines()}")
        await self.load.answered(100)

    async def _longest_of(self, work: Awaitable[None]) -> float:
        """How long the slowest call of the clients took meanwhile."""
        self.load.told.longest = 0.0
        await work
        await self.load.answered(10)  # those in flight, which may be the slow ones, are counted too
        return self.load.told.longest

    def _migrate(self, found: Found) -> None:
        """Runs `ledger migrate` of the newer program, and looks who has to wait for its locks."""
        began, running = time.monotonic(), threading.Event()
        looking = threading.Thread(target=self._look, args=[found, running])
        looking.start()
        done = ledger(self._urls.owner, "migrate", root=self._trees[self._at], PGAPPNAME=_NAME)
        found.migrating = time.monotonic() - began
        running.set()
        looking.join()
        if done.returncode != 0 or newest(self._trees[self._at]) not in done.stdout:
            self._wrong.append(f"ledger migrate: {done.stdout}{done.stderr}")

    def _look(self, found: Found, ended: threading.Event) -> None:
        with connected(self._urls.owner) as owner:
            while not ended.wait(0.01):
                row = owner.execute(_HELD_UP, [_NAME]).fetchone()
                found.held_up = max(found.held_up, float(row[0]) if row else 0.0)

    async def _see_serving(self, old: Served) -> None:
        """The old server has looked at the newer version, and goes on."""
        await asyncio.sleep(_LOOKED_SECONDS)
        async with channel(old.address) as opened:
            health: Any = health_pb2_grpc.HealthStub(opened)
            told = await health.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_SECONDS)
        if told.status != health_pb2.HealthCheckResponse.SERVING:
            self._wrong.append(f"the old server does not serve the newer version:\n{old.last_lines()}")
        await self.load.answered(50)

    async def check(self, tried: int) -> Outcome:
        """As after any fault; and at full size nobody was held up by more than a second."""
        told = await self.load.finish()
        held_up = max((max(one.meanwhile - one.usual, one.held_up) for one in self._found), default=0.0)
        if self._place.loaded >= _FULL and held_up > LONGEST_SECONDS:
            self._wrong.append(f"posting was held up by a migration for {held_up:.2f} s")
        figures = [f"{self._place.loaded:,} postings in the database", *map(str, self._found)]
        return await asyncio.to_thread(outcome_of, self._urls.owner, told, self._at, *figures, wrong=self._wrong)

    async def close(self) -> None:
        """Ends the servers."""
        for server in self._servers:
            server.close()


def _moved(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)


def _long(key: str) -> postings_pb2.EntryToPost:
    """An entry of many lines."""
    lines = [dr("Assets:Cash", "1.00"), cr("Liabilities:UnappliedCash", "1.00")] * (_LINES // 2)
    return entry(DAY, *lines, key=key, description=key)
