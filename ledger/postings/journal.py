"""Posting to PostgreSQL: lock the head, read the facts, let `batch.decide` decide, record what it decided.

A constant number of statements for a batch of any size. Everything that posts to a book goes through here.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.accounts import chart
from ledger.accounts import store as accounts
from ledger.database import columns, inserting, recording
from ledger.errors import BookNotFound
from ledger.postings import store
from ledger.postings.batch import Batch, Facts, Head, Outcome, Request, Submission, decide
from ledger.postings.entry import PostedEntry
from ledger.schema import balances, daily_totals

# The time of recording never runs backwards within a book, whatever the database's clock does.
_LOCK = text("""
    SELECT number, hash, greatest(recorded_at, clock_timestamp()) AS now
    FROM heads WHERE book = :book FOR UPDATE
""").execution_options(locks_head=True)
_PEEK = text("SELECT number, hash, greatest(recorded_at, clock_timestamp()) AS now FROM heads WHERE book = :book")
_MOVE = text("""
    UPDATE heads SET number = :number, hash = :hash, recorded_at = :recorded_at WHERE book = :book
""")
_REPLAYS = text("""
    SELECT e.number FROM entries AS e
    JOIN unnest(CAST(:actors AS text[]), CAST(:keys AS text[])) AS asked (actor, key)
        ON e.actor = asked.actor AND e.idempotency_key = asked.key
    WHERE e.book = :book
""")
_REVERSALS = text("""
    SELECT reverses, number FROM entries WHERE book = :book AND reverses = ANY(CAST(:numbers AS bigint[]))
""")
_ADD_BALANCES = inserting(
    balances,
    """ON CONFLICT (book, account) DO UPDATE SET
        debits = balances.debits + excluded.debits, credits = balances.credits + excluded.credits""",
)
_ADD_DAILY = inserting(
    daily_totals,
    """ON CONFLICT (book, account, effective_date) DO UPDATE SET
        debits = daily_totals.debits + excluded.debits, credits = daily_totals.credits + excluded.credits""",
)


@asynccontextmanager
async def posting(database: AsyncEngine, book: str) -> AsyncIterator[tuple[AsyncConnection, Head]]:
    """A database transaction that holds the head of a book: nobody else posts to it meanwhile.

    What a module above the books records in the same block is recorded with the entries, or not at all.
    Raises BookNotFound, DatabaseUnavailable or OutcomeUnknown.
    """
    async with recording(database) as connection:
        yield connection, await _head(connection, book, lock=True)


async def post(
    connection: AsyncConnection, head: Head, submissions: Sequence[Submission]
) -> tuple[Head, list[list[Outcome]]]:
    """Posts a batch in a transaction that holds the head; returns where the head stands now."""
    batch = decide(head, await _facts(connection, head.book, submissions), submissions)
    if batch.entries:
        await _record(connection, batch)
    return batch.head, batch.outcomes


async def preview(
    connection: AsyncConnection, book: str, submissions: Sequence[Submission]
) -> list[list[Outcome]]:
    """What posting would answer now. Records nothing and waits for nobody."""
    head = await _head(connection, book, lock=False)
    return decide(head, await _facts(connection, book, submissions), submissions).outcomes


async def _head(connection: AsyncConnection, book: str, *, lock: bool) -> Head:
    row = (await connection.execute(_LOCK if lock else _PEEK, {"book": book})).one_or_none()
    if row is None:
        raise BookNotFound(f"no book {book}; open it first", book=book)
    return Head(book, row.number, row.hash, row.now)


async def _facts(connection: AsyncConnection, book: str, submissions: Sequence[Submission]) -> Facts:
    requests = [request for submission in submissions for request in submission.requests]
    commands = [request.command for request in requests]
    numbers = {number for command in commands for number in command.originals()}
    facts = Facts(
        replays=await _replays(connection, book, requests),
        items=await store.items(connection, book, {name for command in commands for name in command.items()}),
        entries=await store.numbered(connection, book, numbers),
        reversals=await reversals(connection, book, numbers),
    )
    touched = {code for command in commands for code in command.accounts()} | set(_found(facts))
    found = await accounts.read(connection, book, touched)
    facts.accounts = {account.code: account for account, _ in found}
    facts.folded = {account.code.lower(): account.code for account, _ in found}
    facts.totals = {account.code: totals for account, totals in found}
    return facts


def _found(facts: Facts) -> Iterable[str]:
    """Accounts that only the facts name: those of open items and of entries to reverse."""
    for item in facts.items.values():
        yield from item.balances
        if item.dimensions.payer:
            yield chart.receivable(item.dimensions.payer)
    for original in facts.entries.values():
        yield from (posting.account for posting in original.entry.postings)


async def _replays(
    connection: AsyncConnection, book: str, requests: Sequence[Request]
) -> dict[tuple[str, str], PostedEntry]:
    asked = {
        "book": book,
        "actors": [request.actor for request in requests],
        "keys": [request.idempotency_key for request in requests],
    }
    numbers = (await connection.execute(_REPLAYS, asked)).scalars().all()
    earlier = await store.numbered(connection, book, numbers)
    return {(entry.actor, entry.idempotency_key): entry for entry in earlier.values()}


async def reversals(connection: AsyncConnection, book: str, numbers: Collection[int]) -> dict[int, int]:
    """Which of these entries were reversed, each with the number of its reversal."""
    if not numbers:
        return {}
    rows = await connection.execute(_REVERSALS, {"book": book, "numbers": [*numbers]})
    return {row.reverses: row.number for row in rows}


async def _record(connection: AsyncConnection, batch: Batch) -> None:
    head = batch.head
    await accounts.insert(connection, head.book, batch.opened)
    await store.insert(connection, batch.entries)
    sums = [(head.book, code, added.debits, added.credits) for code, added in batch.totals().items()]
    await connection.execute(_ADD_BALANCES, columns(balances, sums))
    days = [(head.book, code, day, added.debits, added.credits) for (code, day), added in batch.daily.items()]
    await connection.execute(_ADD_DAILY, columns(daily_totals, days))
    moved = {"book": head.book, "number": head.number, "hash": head.hash, "recorded_at": head.recorded_at}
    await connection.execute(_MOVE, moved)
