"""Posting to PostgreSQL: lock the head, read the facts, let `batch.decide` decide, record what it decided.

A constant number of statements for a batch of any size. Everything that posts to a book goes through here.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta

from msgspec import structs
from psycopg import IntegrityError
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.accounts import chart
from ledger.accounts import store as accounts
from ledger.approvals.store import limits_in_force
from ledger.connection import Asked, Statement
from ledger.database import committing, driver, reading, recording
from ledger.errors import BookNotFound
from ledger.periods.store import in_force
from ledger.postings import store
from ledger.postings.batch import Batch, Facts, Head, Outcome, Submission, decide
from ledger.postings.commands import Command
from ledger.postings.entry import PostedEntry
from ledger.postings.item import Item
from ledger.postings.memory import Memory
from ledger.rows import Insertion, as_text, listed, taken_apart
from ledger.schema import balances, daily_totals

# The time of recording never runs backwards within a book, whatever the database's clock does.
_HEAD = """
    SELECT number, hash, greatest(recorded_at, clock_timestamp()) AS now, changes
    FROM heads WHERE book = {book}
"""
_PEEK = text(_HEAD.format(book=":book"))
_LOCK = text(f"{_PEEK.text} FOR UPDATE")
_HOLD = Statement(f"{_HEAD.format(book='%(book)s')} FOR UPDATE")
_IN_TURN = text("SELECT pg_advisory_xact_lock(hashtextextended('session ledger turns of ' || :book, 0))")
_MOVE = Statement("""
    UPDATE heads SET number = %(number)s, hash = %(hash)s, recorded_at = greatest(recorded_at, %(recorded_at)s)
    WHERE book = %(book)s
""")
# A head that stands elsewhere is given no number, which PostgreSQL refuses; so is what was decided at another time
# than PostgreSQL's. The time of a statement is that of its arrival, before it waits.
_MOVE_FROM = Statement("""
    UPDATE heads SET
        number = CASE
            WHEN number = %(start)s AND hash = %(start_hash)s AND changes = %(changes)s
                AND %(recorded_at)s > statement_timestamp() - interval '10 s'
                AND %(recorded_at)s < statement_timestamp() + interval '10 s'
            THEN CAST(%(number)s AS bigint)
        END,
        hash = %(hash)s,
        recorded_at = greatest(recorded_at, %(recorded_at)s)
    WHERE book = %(book)s
    RETURNING clock_timestamp(), clock_timestamp() - statement_timestamp()
""")
_COMMIT: Asked = (Statement("COMMIT", prepared=False), {})
_NOW = text("SELECT greatest(CAST(:before AS timestamptz), clock_timestamp())")
# LATERAL with LIMIT: one look into the index for each key, whatever the planner believes. A join would be planned
# as a hash of all keys of the book.
_REPLAYS = Statement(
    """
    SELECT found.number
    FROM unnest({actors}, {keys}) AS asked (actor, key)
    CROSS JOIN LATERAL (
        SELECT number FROM entry_keys
        WHERE book = %(book)s AND actor = asked.actor AND idempotency_key = asked.key
        LIMIT 1
    ) AS found
""".format(actors=taken_apart("actors"), keys=taken_apart("keys"))  # noqa: S608
)
_REVERSALS = text("""
    SELECT reverses, number FROM entry_reversals WHERE book = :book AND reverses = ANY(CAST(:numbers AS bigint[]))
""")
_ADD_BALANCES = Insertion(
    balances,
    """ON CONFLICT (book, account) DO UPDATE SET
        debits = balances.debits + excluded.debits, credits = balances.credits + excluded.credits""",
)
_ADD_DAILY = Insertion(
    daily_totals,
    """ON CONFLICT (book, account, effective_date) DO UPDATE SET
        debits = daily_totals.debits + excluded.debits, credits = daily_totals.credits + excluded.credits""",
)


class SupposedWrongly(Exception):
    """The books are not as a batch supposes that was decided without looking; nothing of it is recorded."""


@asynccontextmanager
async def posting(
    database: AsyncEngine, book: str, *, in_turn: bool = False
) -> AsyncIterator[tuple[AsyncConnection, Head]]:
    """A database transaction that holds the head of a book: nobody else posts to it meanwhile.

    Long ones wait for each other before they wait for the head (`in_turn`), so that one of them at most stands
    before whoever posts an entry. What a module above the books records in the same block is recorded with the
    entries, or not at all.
    Raises BookNotFound, DatabaseUnavailable or OutcomeUnknown.
    """
    async with recording(database) as connection:
        if in_turn:
            await connection.execute(_IN_TURN, {"book": book})
        with _waiting(connection):
            head = await _head(connection, book, _LOCK)
        yield connection, head


async def post(
    connection: AsyncConnection, head: Head, submissions: Sequence[Submission], memory: Memory | None = None
) -> tuple[Head, list[list[Outcome]]]:
    """Posts a batch in a transaction that holds the head; returns where the head stands now.

    `memory` spares who posts several in one transaction reading again what the ones before have met.
    """
    batch = await decided(connection, head, submissions, memory or Memory())
    await record(connection, batch)
    return batch.head, batch.outcomes


async def held(
    connection: AsyncConnection, book: str, submissions: Sequence[Submission]
) -> tuple[Head, list[int] | None]:
    """Holds the head as `posting` does, and finds the entries posted under the same keys, in one round trip.

    The connection must have begun nothing yet. Without requests it does not look for any. Raises BookNotFound.
    """
    looked_up: list[Asked] = [(_REPLAYS, _keys(book, submissions))] if submissions else []
    with _waiting(connection):
        heads, *found = await driver(connection).exchange((_HOLD, {"book": book}), *looked_up)
    if not heads:
        raise _no_book(book)
    return Head(book, *heads[0]), [number for (number,) in found[0]] if found else None


async def decided(
    connection: AsyncConnection,
    head: Head,
    submissions: Sequence[Submission],
    memory: Memory,
    posted: Sequence[int] | None = None,
) -> Batch:
    """What a batch comes to, in a transaction that holds the head.

    `memory` spares reading accounts that the batches before have met; it follows this one. `posted` are entries
    under the same keys, where `held` has looked for them.
    """
    memory.stand_at(head)
    batch = decide(head, await _facts(connection, head.book, submissions, memory, posted), submissions)
    memory.follow(batch)
    return batch


async def foreseen(database: AsyncEngine, submissions: Sequence[Submission], memory: Memory) -> Batch | None:
    """The same before the head is held, from where it will stand once the batch in flight is recorded.

    It counts only if the head, once held, stands at `Batch.start`. None where what is remembered is not enough.
    """
    start, commands = memory.head, _commands(submissions)
    if start is None or _ask_for_more(commands):
        return None
    async with reading(database) as connection:
        now = (await connection.execute(_NOW, {"before": start.recorded_at})).scalar_one()
        facts = await _facts(connection, start.book, submissions, memory)
    if memory.head is not start:  # the batch in flight has failed meanwhile
        return None
    batch = decide(structs.replace(start, recorded_at=now), facts, submissions)
    memory.follow(batch)
    return batch


def supposed(submissions: Sequence[Submission], memory: Memory, now: datetime) -> Batch | None:
    """The same without a look, `now` being PostgreSQL's time as nearly as it is known.

    It supposes that no key was used before the batch in flight, so a batch of which anything is not a new entry is
    not decided so; nor is one that opens accounts, which the head does not count. None for these too.
    """
    start, facts = memory.head, memory.facts()
    commands = _commands(submissions)
    touched = _touched(commands)
    if start is None or facts is None or _ask_for_more(commands) or memory.unknown(touched):
        return None
    batch = decide(structs.replace(start, recorded_at=max(start.recorded_at, now)), facts, submissions)
    if not batch.entries or len(batch.entries) < len(commands) or batch.opened:
        return None
    memory.follow(batch)
    return batch


def _ask_for_more(commands: Sequence[Command]) -> bool:
    """Whether more must be known than accounts and keys, which are all that a batch in flight is remembered by."""
    return any([*command.items(), *command.originals()] for command in commands)


async def record(
    connection: AsyncConnection, batch: Batch, rows: Sequence[Asked] = (), *, then_commit: bool = False
) -> None:
    """Writes what was decided, in a transaction that holds the head where the batch starts.

    `rows` is what `written` says, where it was asked already. `then_commit` sends COMMIT along, so that PostgreSQL
    is waited for once.
    Raises OutcomeUnknown where it commits and the connection is lost meanwhile.
    """
    if not batch.entries:
        return
    rows = rows or written(batch)
    await accounts.insert(connection, batch.head.book, [*batch.opened.values()])
    async with committing(connection) if then_commit else nullcontext():
        await driver(connection).exchange((_MOVE, _stand(batch.head)), *rows, *([_COMMIT] if then_commit else []))


async def record_unheld(connection: AsyncConnection, batch: Batch, rows: Sequence[Asked] = ()) -> datetime:
    """Holds the head, writes a batch that opens no account, and commits, all in one round trip; PostgreSQL's time.

    The connection must have begun nothing yet. Raises SupposedWrongly where the head does not stand at
    `Batch.start`, was not there at that time, or a key was used before, and OutcomeUnknown where the connection is
    lost.
    """
    start = batch.start
    places = {"start": start.number, "start_hash": start.hash, "changes": start.changes}
    moved = _MOVE_FROM, _stand(batch.head) | {name: as_text(value) for name, value in places.items()}
    there: tuple[datetime, timedelta]
    async with committing(connection):
        with _waiting(connection) as measured:
            try:
                [there], *_ = await driver(connection).exchange(moved, *(rows or written(batch)), _COMMIT)
            except IntegrityError as refused:
                raise SupposedWrongly from refused
            now, waited = there
            measured(waited)
    return now


def _stand(head: Head) -> dict[str, str]:
    """Where a batch leaves the head, for the statements that move it."""
    stand = {"number": head.number, "hash": head.hash, "recorded_at": head.recorded_at, "book": head.book}
    return {name: as_text(value) for name, value in stand.items()}


def written(batch: Batch) -> Sequence[Asked]:
    """What writes a batch that has entries, behind the moved head, as the guards ask for: postings, then entries.

    Totals come last, in the order of their keys, so that neighbours in the index are changed one after the other.
    """
    head = batch.head
    sums = sorted((head.book, code, added.debits, added.credits) for code, added in batch.added().items())
    days = sorted((head.book, *place, added.debits, added.credits) for place, added in batch.daily.items())
    return [
        *store.inserts(batch.entries),
        _ADD_BALANCES.of(sums),
        _ADD_DAILY.of(days),
    ]


async def preview(
    connection: AsyncConnection, book: str, submissions: Sequence[Submission]
) -> list[list[Outcome]]:
    """What posting would answer now. Records nothing and waits for nobody."""
    head = await standing(connection, book)
    return decide(head, await _facts(connection, book, submissions, Memory()), submissions).outcomes


async def standing(connection: AsyncConnection, book: str) -> Head:
    """Where the head stands now; it may move at once. Raises BookNotFound."""
    return await _head(connection, book, _PEEK)


def _waiting(connection: AsyncConnection) -> AbstractContextManager[Callable[[timedelta], object]]:
    """What the engine's option `waiting_for_head` makes, where somebody wants to know how long that takes.

    It measures the block, or is told a time where PostgreSQL has measured better.
    """
    measured: Callable[[], AbstractContextManager[Callable[[timedelta], object]]]
    measured = connection.sync_engine.get_execution_options().get("waiting_for_head", _unmeasured)
    return measured()


def _unmeasured() -> AbstractContextManager[Callable[[timedelta], object]]:
    return nullcontext(lambda _: None)


async def _head(connection: AsyncConnection, book: str, asked: TextClause) -> Head:
    row = (await connection.execute(asked, {"book": book})).one_or_none()
    if row is None:
        raise _no_book(book)
    return Head(book, *row)


def _no_book(book: str) -> BookNotFound:
    return BookNotFound(f"no book {book}; open it first", book=book)


async def _facts(
    connection: AsyncConnection,
    book: str,
    submissions: Sequence[Submission],
    memory: Memory,
    posted: Sequence[int] | None = None,
) -> Facts:
    commands = _commands(submissions)
    numbers = {number for command in commands for number in command.originals()}
    if posted is None:
        posted = await _posted(connection, book, submissions)
    replays = await _replays(connection, book, posted)
    items = await store.items(connection, book, {name for command in commands for name in command.items()})
    originals = await store.numbered(connection, book, numbers)
    reversed_by = await reversals(connection, book, numbers)
    if unknown := memory.unknown(_touched(commands) | set(_found(items, originals))):
        memory.learn(await accounts.read(connection, book, unknown))
    if memory.limits is None or memory.periods is None:
        rules = await limits_in_force(connection, book), await in_force(connection, book)
        memory.limits, memory.periods = rules
    known = memory.facts()
    assert known
    replays = {**known.replays, **replays}
    return replace(known, replays=replays, items=items, entries=originals, reversals=reversed_by)


def _commands(submissions: Sequence[Submission]) -> list[Command]:
    return [request.command for submission in submissions for request in submission.requests]


def _touched(commands: Iterable[Command]) -> set[str]:
    """Accounts known to be touched before any fact is read."""
    return {code for command in commands for code in command.accounts()}


def _found(items: Mapping[str, Item], originals: Mapping[int, PostedEntry]) -> Iterable[str]:
    """Accounts that only the facts name: those of open items and of entries to reverse."""
    for item in items.values():
        yield from item.balances
        if item.dimensions.payer:
            yield chart.receivable(item.dimensions.payer)
    for original in originals.values():
        yield from (posting.account for posting in original.entry.postings)


async def _posted(connection: AsyncConnection, book: str, submissions: Sequence[Submission]) -> list[int]:
    """The entries posted under the keys of these requests."""
    [found] = await driver(connection).exchange((_REPLAYS, _keys(book, submissions)))
    return [number for (number,) in found]


def _keys(book: str, submissions: Sequence[Submission]) -> dict[str, str]:
    requests = [request for submission in submissions for request in submission.requests]
    return {
        "book": book,
        "actors": listed([request.actor for request in requests]),
        "keys": listed([request.idempotency_key for request in requests]),
    }


async def _replays(
    connection: AsyncConnection, book: str, numbers: Sequence[int]
) -> dict[tuple[str, str], PostedEntry]:
    earlier = await store.numbered(connection, book, numbers)
    return {(entry.actor, entry.idempotency_key): entry for entry in earlier.values()}


async def reversals(connection: AsyncConnection, book: str, numbers: Collection[int]) -> dict[int, int]:
    """Which of these entries were reversed, each with the number of its reversal."""
    if not numbers:
        return {}
    rows = await connection.execute(_REVERSALS, {"book": book, "numbers": [*numbers]})
    return {row.reverses: row.number for row in rows}


async def standing_by(connection: AsyncConnection, book: str, numbers: Collection[int]) -> dict[int, int]:
    """By which entry each of these stands: its own, or the one that undid its reversal.

    Entries that were reversed and not done again are left out.
    """
    found = {number: number for number in numbers}
    while undone := await reversals(connection, book, {*found.values()}):
        again = await reversals(connection, book, undone.values())
        last = {number: again.get(undone[one], 0) if one in undone else one for number, one in found.items()}
        found = {number: one for number, one in last.items() if one}
    return found
