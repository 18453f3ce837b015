"""Large files take turns: whoever posts an entry stands behind one chunk at most, however many files settle."""

import asyncio
from contextlib import closing
from io import BytesIO

import psycopg
import pytest
from serving import PATIENCE_SECONDS, Ledger, open_book
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import engine
from ledger.postings import journal
from reconciliation.turns import PART, next_in_turn, parts_in_turn, settling

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def waiting(url: str, count: int) -> None:
    """Until so many sessions of the database wait for a lock."""
    plain = url.replace("+psycopg", "", 1)
    async with asyncio.timeout(PATIENCE_SECONDS), await psycopg.AsyncConnection.connect(plain) as connection:
        await connection.set_autocommit(True)
        while (await (await connection.execute(WAITING)).fetchone() or (0,))[0] < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def order_of(url: str, first: AsyncEngine, second: AsyncEngine) -> list[str]:
    """One chunk holds the head; a second one comes, then an entry; who gets it in which order."""
    order: list[str] = []
    held, done = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with settling(first, "turns"):
            order.append("chunk")
            held.set()
            await done.wait()

    async def chunk() -> None:
        async with settling(second, "turns"):
            order.append("next chunk")

    async def entry() -> None:
        async with journal.posting(first, "turns"):
            order.append("entry")

    holding = asyncio.create_task(hold())
    await held.wait()
    next_one = asyncio.create_task(chunk())
    await waiting(url, 0 if first is second else 1)
    posting = asyncio.create_task(entry())
    await waiting(url, 1 if first is second else 2)
    done.set()
    await asyncio.gather(holding, next_one, posting)
    return order


@pytest.mark.parametrize("same", [True, False], ids=["in one process", "in two processes"])
def test_an_entry_stands_behind_one_chunk_only(ledger: Ledger, same: bool) -> None:
    open_book(ledger, "turns")

    async def run() -> list[list[str]]:
        first, other = engine(ledger.url), engine(ledger.url)
        try:
            return [await order_of(ledger.url, first, first if same else other) for _ in range(10)]
        finally:
            await first.dispose()
            await other.dispose()

    orders = asyncio.run(run())
    # In the very moment in which PostgreSQL gives the head away, whoever comes may slip in before who waits.
    assert ["chunk", "entry", "next chunk"] in orders


def test_books_do_not_wait_for_each_other(ledger: Ledger) -> None:
    open_book(ledger, "one")
    open_book(ledger, "other")

    async def run() -> None:
        database = engine(ledger.url)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), settling(database, "one"), settling(database, "other"):
                pass
        finally:
            await database.dispose()

    asyncio.run(run())


def test_who_stops_reading_gives_the_turn_back() -> None:
    with closing(parts_in_turn(BytesIO(b"x" * 3 * PART))) as taken:
        assert len(next(taken)) == PART
    assert next_in_turn(iter("ab")) == "a"


def test_a_chunk_is_read_while_nobody_else_reads() -> None:
    source = iter(["first"])
    assert (next_in_turn(source), next_in_turn(source)) == ("first", None)
