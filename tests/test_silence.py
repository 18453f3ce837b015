"""A network that falls silent: no byte arrives any more, and no connection ends."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import cast

import pytest
from serving import BOOK, PATIENCE_SECONDS, Ledger, Loop, Refused, cr, dr, entry, refused, serving
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool
from torture.books import held
from torture.processes import through
from torture.proxy import Cut, Proxy

from ledger import connection, database
from ledger.connection import Statement
from ledger.database import driver, engine, recording
from ledger.errors import DatabaseUnavailable
from ledger.v1 import postings_pb2 as po

DAY = "2026-04-08"
LOCK = text("SELECT FROM heads WHERE book = 'main' FOR UPDATE")
HEAD = text("SELECT number FROM heads WHERE book = 'main'")


@pytest.fixture
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same limits in the same order, shorter, and long enough for a machine that has much else to do."""
    monkeypatch.setattr(database, "_IDLE_SECONDS", 2)
    monkeypatch.setattr(database, "_SILENCE_SECONDS", 5)
    monkeypatch.setattr(database.DriverConnection, "patience_seconds", 4)
    monkeypatch.setattr(database, "RESTING_SECONDS", 3)
    monkeypatch.setattr(connection, "LOOKED_AT_SECONDS", 0)


@contextmanager
def network(loop: Loop, url: str) -> Iterator[tuple[Proxy, str]]:
    """A proxy before PostgreSQL, and the URL of the same database through it."""
    port = make_url(url).port
    assert port is not None
    proxy = Proxy(port)
    try:
        yield proxy, through(url, loop.run(proxy.start()))
    finally:
        loop.run(proxy.close())


@pytest.fixture
def proxied(loop: Loop, ledger: Ledger, short_limits: None) -> Iterator[tuple[Proxy, Ledger]]:
    """A server behind a proxy, with a book that was there before the limits were short."""
    with network(loop, ledger.url) as (proxy, url), serving(loop, url) as behind:
        yield proxy, behind


def asked(key: str) -> po.PostEntryRequest:
    lines = (dr("Assets:Cash", "1.00"), cr("Revenue:Interest", "1.00"))
    return po.PostEntryRequest(book=BOOK, entry=entry(DAY, *lines, key=key))


def post(ledger: Ledger, key: str) -> po.PostEntryResponse:
    """Asks and gives up only long after all limits."""
    return ledger.postings.PostEntry(asked(key), timeout=PATIENCE_SECONDS)


def met(ledger: Ledger, key: str) -> Refused:
    return refused(partial(post, ledger), key)


SILENT_AT_COMMIT = {Cut.BEFORE_COMMIT: 0, Cut.WHILE_COMMITTING: 1}
"""Where the network falls silent at a COMMIT, and how many entries are there then."""


@pytest.mark.parametrize("where", SILENT_AT_COMMIT, ids=lambda where: where.name)
def test_silence_at_commit_is_an_unknown_outcome(proxied: tuple[Proxy, Ledger], database: str, where: Cut) -> None:
    """The key tells it later, once PostgreSQL has let go of the book."""
    proxy, ledger = proxied
    proxy.silence(where)
    said = met(ledger, "silent")
    assert (said.code, said.reason) == ("UNAVAILABLE", "OUTCOME_UNKNOWN")
    again = post(ledger, "silent")
    assert again.replayed == bool(SILENT_AT_COMMIT[where])
    assert len(held(database)) == 1


def test_silence_before_commit_records_nothing(loop: Loop, proxied: tuple[Proxy, Ledger]) -> None:
    """Who recorded is told so, and the next one gets the book when PostgreSQL ends what is left behind."""
    proxy, ledger = proxied
    books = engine(ledger.url)

    async def silent_in_the_middle() -> None:
        async with recording(books) as one:
            await one.execute(LOCK)
            proxy.silence()
            await one.execute(HEAD)

    try:
        with pytest.raises(DatabaseUnavailable):
            loop.run(silent_in_the_middle())
        assert in_use(books) == 0
        assert loop.run(locked(books)) == 0
    finally:
        loop.run(books.dispose())


def test_connections_that_fell_silent_at_rest_are_noticed_before_they_are_used(
    proxied: tuple[Proxy, Ledger],
) -> None:
    """Nobody is refused for them."""
    proxy, ledger = proxied
    post(ledger, "before")
    proxy.silence()
    assert post(ledger, "after").entry.number == 2
    assert ledger.wrong() == []


def test_a_caller_that_gives_up_in_the_silence_leaves_no_connection_in_doubt(
    loop: Loop, proxied: tuple[Proxy, Ledger]
) -> None:
    """What was cancelled in mid-answer is thrown away: the pool gives out connections that work."""
    proxy, ledger = proxied
    books = engine(ledger.url, pool_size=1)

    async def given_up() -> None:
        async with recording(books) as one:
            await one.execute(LOCK)
            proxy.silence()
            await asyncio.wait_for(one.execute(HEAD), 0.2)

    try:
        with pytest.raises(TimeoutError):
            loop.run(given_up())
        assert in_use(books) == 0
        assert loop.run(locked(books)) == 0
    finally:
        loop.run(books.dispose())


async def locked(books: AsyncEngine) -> int:
    """The number of the last entry, read under the head's lock by somebody who asks until it is free."""
    while True:
        with suppress(DatabaseUnavailable):
            async with recording(books) as one:
                await one.execute(LOCK)
                return int((await one.execute(HEAD)).scalar_one())


def in_use(books: AsyncEngine) -> int:
    """Connections that somebody has."""
    return cast(QueuePool, books.pool).checkedout()


def test_a_program_that_stands_still_behind_an_exchange_holds_nothing(
    loop: Loop, ledger: Ledger, short_limits: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is recorded, its answers are read, and then nothing comes: PostgreSQL lets go of the head."""
    monkeypatch.setattr(database, "_IDLE_SECONDS", 1)
    books = engine(ledger.url)

    async def recorded_and_not_committed() -> None:
        async with recording(books) as one:
            await one.execute(LOCK)
            await driver(one).exchange((Statement("SELECT 1"), {}), (Statement("SELECT 2"), {}))
            await asyncio.sleep(2)
            await one.execute(HEAD)

    try:
        with pytest.raises(DatabaseUnavailable):
            loop.run(recorded_and_not_committed())
    finally:
        loop.run(books.dispose())
