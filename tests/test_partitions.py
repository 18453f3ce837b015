"""Entries and postings lie in partitions: made ahead of need, guarded like the rest, seen by nobody who posts."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date

import psycopg
import pytest
from conftest import connected
from psycopg import errors
from serving import BOOK, PATIENCE_SECONDS, Ledger, cr, dr, entry, session
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.accounts import recorded
from ledger.accounts import store as accounts
from ledger.database import PROGRAM_ROLE, engine, recording
from ledger.money import Amount
from ledger.postings import journal, store
from ledger.postings.batch import Request, Submission
from ledger.postings.commands import Post
from ledger.postings.entry import JournalEntry, Kind, credit, debit
from ledger.v1 import postings_pb2 as po
from ledger.v1 import reports_pb2 as rp
from service import upkeep

DAY = "2026-04-08"
CASH, INTEREST = "Assets:Cash", "Revenue:Interest"
PARTS = """
    SELECT inhparent::regclass::text, count(*) FROM pg_inherits
    WHERE inhparent IN ('entries'::regclass, 'postings'::regclass) GROUP BY 1
"""
# The same partitions with a boundary that a test can reach.
BOUNDARY_AT_FIVE = """
    ALTER TABLE {table} DETACH PARTITION {table}_1;
    ALTER TABLE {table} DETACH PARTITION {table}_2;
    ALTER TABLE {table} ATTACH PARTITION {table}_1 FOR VALUES FROM (0) TO (5);
    ALTER TABLE {table} ATTACH PARTITION {table}_2 FOR VALUES FROM (5) TO (2000000);
"""


def made(url: str, ahead: int) -> int:
    """What the program makes."""
    with connected(url) as program:
        program.execute(f"SET ROLE {PROGRAM_ROLE}")
        [(count,)] = program.execute("SELECT make_partitions(%s)", [ahead]).fetchall()
    return int(count)


def parts(url: str) -> dict[str, int]:
    with connected(url) as owner:
        return dict(owner.execute(PARTS).fetchall())


def test_the_program_makes_them_ahead_and_only_once(ledger: Ledger) -> None:
    assert parts(ledger.url) == {"entries": 2, "postings": 2}
    assert made(ledger.url, 1_000_000) == 0
    assert made(ledger.url, 3_000_000) == 4
    assert parts(ledger.url) == {"entries": 4, "postings": 4}
    assert made(ledger.url, 3_000_000) == 0
    ledger.post(DAY, dr(CASH, "1.00"), cr(INTEREST, "1.00"))
    assert ledger.wrong() == []


@pytest.mark.parametrize(
    "statement", ["UPDATE postings_3 SET line = 2", "DELETE FROM entries_3", "TRUNCATE postings_3"]
)
def test_what_is_made_later_is_guarded_too(ledger: Ledger, statement: str) -> None:
    made(ledger.url, 3_000_000)
    with connected(ledger.url) as owner, pytest.raises(errors.RestrictViolation):
        owner.execute(statement)
    with connected(ledger.url) as program:
        program.execute(f"SET ROLE {PROGRAM_ROLE}")
        with pytest.raises(errors.InsufficientPrivilege):
            program.execute("INSERT INTO entries_3 SELECT * FROM entries")


def test_they_are_made_while_others_post(ledger: Ledger) -> None:
    """Whoever holds the head of a book, in the middle of posting, keeps nobody from making them."""
    with psycopg.connect(ledger.url.replace("+psycopg", "")) as holder:
        holder.execute("SELECT FROM heads WHERE book = %s FOR UPDATE", [BOOK])
        holder.execute("SELECT count(*) FROM entries")
        assert made(ledger.url, 2_000_000) == 2


def test_a_batch_may_cross_a_boundary(ledger: Ledger) -> None:
    """Items, reversals, replays, statements and pages see one book."""
    with connected(ledger.url) as owner:
        for table in ("entries", "postings"):
            owner.execute(BOUNDARY_AT_FIVE.format(table=table))
    ledger.postings.RecordSession(session("C1", idempotency_key="earned"))
    entries = [entry(DAY, dr(CASH, "1.00"), cr(INTEREST, "1.00"), key=f"k{n}") for n in range(10)]
    first = ledger.postings.PostEntries(po.PostEntriesRequest(book=BOOK, entries=entries))
    again = ledger.postings.PostEntries(po.PostEntriesRequest(book=BOOK, entries=entries))
    assert [one.entry for one in first.results] == [one.entry for one in again.results]
    ledger.postings.AbsorbDenial(
        po.AbsorbDenialRequest(
            book=BOOK, idempotency_key="absorbed", claim="C1", effective_date="2026-05-01", reason="too late"
        )
    )
    ledger.postings.ReverseEntry(
        po.ReverseEntryRequest(book=BOOK, idempotency_key="undo", number=3, effective_date=DAY, reason="mistaken")
    )
    with connected(ledger.url) as owner:
        assert owner.execute("SELECT count(*) FROM entries_2").fetchone() == (9,)
    assert ledger.balance(CASH) == "9.00 Dr"
    assert len(ledger.entries(page_size=4)) == 13
    statement = ledger.reports.GetStatement(rp.GetStatementRequest(book=BOOK, account=CASH))
    assert len(statement.lines) == 11
    assert ledger.wrong() == []


def test_upkeep_goes_on_round_after_round(ledger: Ledger) -> None:
    """Each time that a segment is complete, a later round fills it."""

    async def two_segments() -> None:
        database = engine(ledger.url)
        async with recording(database) as connection:
            await recorded.prepare(connection, ((4, 1),))
        keeping = asyncio.create_task(upkeep.for_ever(database, 0.05))
        for last in (4, 8):
            for _ in range(4):
                await asyncio.to_thread(ledger.post, DAY, dr(CASH, "1.00"), cr(INTEREST, "1.00"))
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not await asyncio.to_thread(filled, last):
                assert not keeping.done()
                assert time.monotonic() < deadline, f"nothing was filled up to entry {last}"
                await asyncio.sleep(0.05)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await database.dispose()

    def filled(last: int) -> bool:
        with connected(ledger.url) as owner:
            found = owner.execute("SELECT number FROM recorded_levels WHERE book = %s AND size = 4", [BOOK])
            return found.fetchall() == [(last,)]

    asyncio.run(two_segments())
    assert ledger.wrong() == []


# --- what PostgreSQL does not know yet of a partition -------------------------------------------------

MANY, A_FEW = 600, 12
"""Entries of a book, and the rows that posting one more may read in it."""
ROWS_READ = text("""
    SELECT sum(idx_tup_fetch + seq_tup_read) FROM pg_stat_xact_user_tables
    WHERE relname LIKE 'entries%' OR relname LIKE 'postings%' OR relname = 'entry_keys'
""")


def requests(first: int, count: int) -> list[Submission]:
    lines = debit(CASH, Amount(1, "USD")), credit(INTEREST, Amount(1, "USD"))
    post = Post(JournalEntry(Kind.MANUAL, date(2026, 4, 8), lines))
    return [Submission([Request("ada", f"k{n}", post) for n in range(first, first + count)])]


@asynccontextmanager
async def counted(connection: AsyncConnection, counts: dict[str, int], what: str) -> AsyncIterator[None]:
    """Counts the rows that PostgreSQL reads in the block and to commit what is done there."""
    before = (await connection.execute(ROWS_READ)).scalar_one()
    yield
    await connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    counts[what] = int((await connection.execute(ROWS_READ)).scalar_one() - before)


async def grown(books: AsyncEngine, book: str) -> int:
    """A new book with many entries, of which the first were posted one by one; how many there are."""
    async with recording(books) as connection:
        await accounts.open_book(connection, book, "a new one", "ada")
    for n in range(12):  # more often than a plan is made anew
        async with journal.posting(books, book) as (connection, head):
            await journal.post(connection, head, requests(n, 1))
    async with journal.posting(books, book) as (connection, head):
        await journal.post(connection, head, requests(12, MANY))
    return 12 + MANY


async def rows_read(url: str, *, known_before: bool) -> dict[str, int]:
    """What is read of a new book: by posting one more entry, by posting one again, and by asking for one."""
    books = engine(url, pool_size=1)
    if known_before:
        await grown(books, "old")
        with connected(url) as owner:
            owner.execute("ANALYZE")
    last = await grown(books, BOOK)
    found: dict[str, int] = {}
    async with recording(books) as connection:
        async with counted(connection, found, "one more"):
            await journal.post(connection, await journal.standing(connection, BOOK), requests(last, 1))
        async with counted(connection, found, "again"):
            await journal.post(connection, await journal.standing(connection, BOOK), requests(last - 1, 1))
        async with counted(connection, found, "asked for"):
            assert await store.hash_of(connection, BOOK, last)
    await books.dispose()
    return found


@pytest.mark.parametrize("known_before", [False, True], ids=["no statistics", "statistics of another book"])
def test_a_book_that_postgresql_does_not_know_is_not_read_as_a_whole(database: str, known_before: bool) -> None:
    """All indexes cost the same to PostgreSQL then, and it may take one that leads to every entry of the book."""
    with connected(database) as owner:
        for part in ("entries_1", "postings_1"):
            owner.execute(f"ALTER TABLE {part} SET (autovacuum_enabled = off)")
    found = asyncio.run(rows_read(database, known_before=known_before))
    assert max(found.values()) <= A_FEW, found


def test_a_partition_that_has_begun_to_fill_is_analyzed(ledger: Ledger) -> None:
    """Before autovacuum comes by, which is once a minute."""
    ledger.post(DAY, dr(CASH, "1.00"), cr(INTEREST, "1.00"))
    made(ledger.url, 1_000_000)
    with connected(ledger.url) as owner:
        known = "SELECT relname, reltuples FROM pg_class WHERE relname ~ '^(entries|postings)_[0-9]+$' ORDER BY 1"
        assert owner.execute(known).fetchall() == [
            ("entries_1", 1),
            ("entries_2", -1),
            ("postings_1", 2),
            ("postings_2", -1),
        ]
