"""Posting to PostgreSQL: lock the head, read the facts, let `batch.decide` decide, record what it decided.

A constant number of statements for a batch of any size. Everything that posts to a book goes through here.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.accounts import chart
from ledger.accounts import store as accounts
from ledger.approvals.store import limits_in_force
from ledger.database import columns, driver, inserting, listed, reading, recording, taken_apart
from ledger.errors import BookNotFound
from ledger.postings import store
from ledger.postings.batch import Batch, Facts, Head, Outcome, Request, Submission, decide
from ledger.postings.entry import PostedEntry
from ledger.postings.memory import Memory
from ledger.schema import balances, daily_totals

# The time of recording never runs backwards within a book, whatever the database's clock does.
_LOCK = text("""
    SELECT number, hash, greatest(recorded_at, clock_timestamp()) AS now, changes
    FROM heads WHERE book = :book FOR UPDATE
""").execution_options(locks_head=True)
_PEEK = text("""
    SELECT number, hash, greatest(recorded_at, clock_timestamp()) AS now, changes
    FROM heads WHERE book = :book
""")
_MOVE = """
    UPDATE heads SET number = %(number)s, hash = %(hash)s, recorded_at = greatest(recorded_at, %(recorded_at)s)
    WHERE book = %(book)s
"""
_NOW = text("SELECT greatest(CAST(:before AS timestamptz), clock_timestamp())")
# LATERAL with LIMIT: one look into the index for each key, whatever the planner believes. A join would be planned
# as a hash of all keys of the book.
_REPLAYS = """
    SELECT found.number
    FROM unnest({actors}, {keys}) AS asked (actor, key)
    CROSS JOIN LATERAL (
        SELECT number FROM entry_keys
        WHERE book = %(book)s AND actor = asked.actor AND idempotency_key = asked.key
        LIMIT 1
    ) AS found
""".format(actors=taken_apart("actors"), keys=taken_apart("keys"))  # noqa: S608
_REVERSALS = text("""
    SELECT reverses, number FROM entry_reversals WHERE book = :book AND reverses = ANY(CAST(:numbers AS bigint[]))
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
    batch = await decided(connection, head, submissions, Memory())
    await record(connection, batch)
    return batch.head, batch.outcomes


async def decided(
    connection: AsyncConnection, head: Head, submissions: Sequence[Submission], memory: Memory
) -> Batch:
    """What a batch comes to, in a transaction that holds the head.

    `memory` spares reading accounts that the batches before have met; it follows this one.
    """
    memory.stand_at(head)
    batch = decide(head, await _facts(connection, head.book, submissions, memory), submissions)
    memory.follow(batch)
    return batch


async def foreseen(database: AsyncEngine, submissions: Sequence[Submission], memory: Memory) -> Batch | None:
    """The same before the head is held, from where it will stand once the batch in flight is recorded.

    It counts only if the head, once held, stands at `Batch.start`. None where more must be known than accounts and
    keys, which are all that a batch in flight is remembered by.
    """
    commands = [request.command for submission in submissions for request in submission.requests]
    start = memory.head
    if start is None or any([*command.items(), *command.originals()] for command in commands):
        return None
    async with reading(database) as connection:
        now = (await connection.execute(_NOW, {"before": start.recorded_at})).scalar_one()
        facts = await _facts(connection, start.book, submissions, memory)
    if memory.head is not start:  # the batch in flight has failed meanwhile
        return None
    batch = decide(replace(start, recorded_at=now), facts, submissions)
    memory.follow(batch)
    return batch


async def record(connection: AsyncConnection, batch: Batch) -> None:
    """Writes what was decided, in a transaction that holds the head where the batch starts."""
    if batch.entries:
        await _record(connection, batch)


async def preview(
    connection: AsyncConnection, book: str, submissions: Sequence[Submission]
) -> list[list[Outcome]]:
    """What posting would answer now. Records nothing and waits for nobody."""
    head = await _head(connection, book, lock=False)
    return decide(head, await _facts(connection, book, submissions, Memory()), submissions).outcomes


async def _head(connection: AsyncConnection, book: str, *, lock: bool) -> Head:
    row = (await connection.execute(_LOCK if lock else _PEEK, {"book": book})).one_or_none()
    if row is None:
        raise BookNotFound(f"no book {book}; open it first", book=book)
    return Head(book, row.number, row.hash, row.now, row.changes)


async def _facts(
    connection: AsyncConnection, book: str, submissions: Sequence[Submission], memory: Memory
) -> Facts:
    requests = [request for submission in submissions for request in submission.requests]
    commands = [request.command for request in requests]
    numbers = {number for command in commands for number in command.originals()}
    facts = Facts(
        replays=memory.latest | await _replays(connection, book, requests),
        items=await store.items(connection, book, {name for command in commands for name in command.items()}),
        entries=await store.numbered(connection, book, numbers),
        reversals=await reversals(connection, book, numbers),
    )
    touched = {code for command in commands for code in command.accounts()} | set(_found(facts))
    if unknown := memory.unknown(touched):
        memory.learn(await accounts.read(connection, book, unknown))
    if memory.limits is None:
        memory.limits = await limits_in_force(connection, book)
    facts.limits = memory.limits
    facts.accounts, facts.folded, facts.totals = memory.accounts, memory.folded, memory.totals
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
        "actors": listed([request.actor for request in requests]),
        "keys": listed([request.idempotency_key for request in requests]),
    }
    found = await (await driver(connection)).execute(_REPLAYS, asked)
    numbers = [number for (number,) in await found.fetchall()]
    earlier = await store.numbered(connection, book, numbers)
    return {(entry.actor, entry.idempotency_key): entry for entry in earlier.values()}


async def reversals(connection: AsyncConnection, book: str, numbers: Collection[int]) -> dict[int, int]:
    """Which of these entries were reversed, each with the number of its reversal."""
    if not numbers:
        return {}
    rows = await connection.execute(_REVERSALS, {"book": book, "numbers": [*numbers]})
    return {row.reverses: row.number for row in rows}


async def _record(connection: AsyncConnection, batch: Batch) -> None:
    """In one go, and in the order that the guards ask for: the head, postings, entries; totals last.

    Totals come in the order of their keys, so that neighbours in the index are changed one after the other.
    """
    head = batch.head
    await accounts.insert(connection, head.book, [*batch.opened.values()])
    sums = sorted((head.book, code, added.debits, added.credits) for code, added in batch.added().items())
    days = sorted((head.book, *place, added.debits, added.credits) for place, added in batch.daily.items())
    moved = {"book": head.book, "number": head.number, "hash": head.hash, "recorded_at": head.recorded_at}
    below = await driver(connection)
    async with below.pipeline():
        await below.execute(_MOVE, moved)
        await store.insert(below, batch.entries)
        await below.execute(_ADD_BALANCES, columns(balances, sums))
        await below.execute(_ADD_DAILY, columns(daily_totals, days))
