"""What all faults have in common: where they happen, and what comes of them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Protocol

from sqlalchemy import make_url

from service.postgres import Urls
from torture.books import Verdict, compared
from torture.clients import Load, Told, open_book
from torture.processes import Postgres, Served, through
from torture.proxy import Proxy


@dataclass
class Place:
    """Where a fault happens: a migrated database without books, and a folder for logs."""

    urls: Urls
    folder: Path
    lots: Random
    postgres: Postgres | None = None
    """The PostgreSQL of the database, where the fault may disturb it."""
    say: Callable[[str], None] = print
    large: int = 1_500
    """Claims of a large remittance."""
    crowd: int = 1_000
    """Connections that are opened at once."""
    pause_seconds: float = 20
    """How long a paused server stands still."""
    loaded: int = 1_000_000
    """Postings of a loaded database."""

    @property
    def url(self) -> str:
        """The database as the checker reads it."""
        return self.urls.owner


@dataclass
class Outcome:
    """What a fault did, as the bench reports it."""

    tried: int
    verdict: Verdict
    failures: Counter[str] = field(default_factory=Counter)
    figures: list[str] = field(default_factory=list)


class Fault(Protocol):
    """One kind of fault."""

    name: str

    def __init__(self, place: Place) -> None:
        """Knows where; nothing is started yet."""

    async def prepare(self) -> None:
        """Starts what will be disturbed."""

    async def disturb(self) -> None:
        """Disturbs it once."""

    async def check(self, tried: int) -> Outcome:
        """Lets it come to rest, and compares what was told with what is there."""

    async def close(self) -> None:
        """Ends every process that was started."""


class UnderLoad:
    """What faults of one server share: it runs, and clients post to it while it is disturbed."""

    borne: tuple[str, ...] = ("UNAVAILABLE",)
    """The gRPC codes after which a client asks again."""

    def __init__(self, place: Place) -> None:
        """Nothing is started yet."""
        self._place = place
        self._server = Served(place.urls.server, place.folder)
        self._load = Load([self._server.address], place.lots, borne=self.borne)

    async def prepare(self) -> None:
        """A server with a book, under load."""
        await asyncio.to_thread(self._server.start)
        await open_book(self._server.address)
        self._load.start()

    async def close(self) -> None:
        """Ends the server."""
        self._server.close()


class BehindProxy:
    """What faults of the network share: one server, and a proxy between it and PostgreSQL."""

    def __init__(self, place: Place) -> None:
        """Nothing is started yet."""
        port = make_url(place.url).port
        assert port is not None
        self._place = place
        self._proxy = Proxy(port)
        self._server: Served | None = None

    @property
    def server(self) -> Served:
        """The server behind the proxy."""
        assert self._server is not None
        return self._server

    async def prepare(self) -> None:
        """A server behind the proxy, with a book."""
        self._server = Served(through(self._place.urls.server, await self._proxy.start()), self._place.folder)
        await asyncio.to_thread(self._server.start)
        await open_book(self._server.address)

    async def close(self) -> None:
        """Ends the server and the proxy."""
        if self._server is not None:
            self._server.close()
        await self._proxy.close()


Kind = type[Fault]


async def suffer(kind: Kind, place: Place, times: int) -> Outcome:
    """Prepares a fault, lets it happen so many times, checks what came of it, and clears up."""
    fault = kind(place)
    try:
        await fault.prepare()
        for turn in range(times):
            await fault.disturb()
            if (turn + 1) % 5 == 0 or turn + 1 == times:
                place.say(f"  {fault.name}: {turn + 1} of {times}")
        return await fault.check(times)
    finally:
        await fault.close()


def outcome_of(url: str, told: Told, tried: int, *figures: str, wrong: Sequence[str] = ()) -> Outcome:
    """The outcome of a fault under load: the comparison, and what clients met meanwhile."""
    verdict = compared(url, told)
    verdict.wrong += wrong
    again, there = f"{len(told.retried):,}", f"{len(told.replayed):,}"
    answers = f"{told.calls:,} calls; {again} entries asked again, {there} of them in the books already"
    return Outcome(tried, verdict, told.failures, [answers, *figures])
