"""The poster that anybody would write first: correct, and one database transaction for each request.

It posts to the same tables and keeps all that they ask for: the head is locked, the key looked up, the accounts
read; postings, entry and totals are written, the hash chain goes on, and then it commits. It is spared gRPC, and
is given as many threads as serve it best.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from time import perf_counter
from typing import Any

import psycopg
from msgspec import structs

from benchmarks.bare import plain
from benchmarks.client import Measured
from ledger.accounts.account import Side
from ledger.caller import actor
from ledger.database import PROGRAM_ROLE
from ledger.ids import entry_id
from ledger.postings import messages
from ledger.postings.chain import entry_hash, request_hash
from ledger.postings.entry import JournalEntry, PostedEntry
from ledger.schema import balances, daily_totals, entries, postings
from ledger.v1 import postings_pb2
from service.identity import UNNAMED

_LOCK = """SELECT number, hash, greatest(recorded_at, clock_timestamp()) FROM heads WHERE book = %s FOR UPDATE"""
_KNOWN = "SELECT number FROM entry_keys WHERE book = %s AND actor = %s AND idempotency_key = %s"
_ACCOUNTS = "SELECT code, currency, closed_at FROM accounts WHERE book = %s AND code = ANY(%s)"
_MOVE = "UPDATE heads SET number = %s, hash = %s, recorded_at = %s WHERE book = %s"
_ADDED = "SET debits = {0}.debits + excluded.debits, credits = {0}.credits + excluded.credits"


class Refused(Exception):
    """The request cannot be posted."""


@dataclass(frozen=True)
class Naive:
    """Posts each request in a transaction of its own, from so many threads with a connection each."""

    url: str
    requests: Sequence[bytes]
    threads: int

    @contextmanager
    def ready(self) -> Iterator[Callable[[], Measured]]:
        """Reads the requests and connects; posts when told."""
        asked = [postings_pb2.PostEntryRequest.FromString(one) for one in self.requests]
        entries_to_post = [(one.book, *read(one.entry)) for one in asked]
        with ExitStack() as opened:
            connections = [opened.enter_context(connected(self.url)) for _ in range(self.threads)]
            pool = opened.enter_context(ThreadPoolExecutor(self.threads))

            def run() -> Measured:
                left, measured = iter(entries_to_post), Measured(perf_counter())
                work = [pool.submit(_post_all, connection, left, measured.seconds) for connection in connections]
                for one in work:
                    one.result()
                return measured

            yield run


def connected(url: str) -> psycopg.Connection[Any]:
    """A connection that works under the program's role and by its plans, as those do on which the server posts.

    Planned anew for a book without statistics, the search for accounts would read all of them.
    """
    options = f"-c role={PROGRAM_ROLE} -c timezone=UTC -c plan_cache_mode=force_generic_plan"
    return psycopg.connect(plain(url), options=options)


def read(message: postings_pb2.EntryToPost) -> tuple[str, JournalEntry]:
    """An entry as a caller gives it, with its key."""
    known = actor.set(UNNAMED)
    request = messages.entry_to_post(message)
    actor.reset(known)
    return request.idempotency_key, request.command.entry(None)  # type: ignore[arg-type]  # it asks no fact


def _post_all(
    connection: psycopg.Connection[Any], left: Iterator[tuple[str, str, JournalEntry]], seconds: list[float]
) -> None:
    for book, key, entry in left:
        began = perf_counter()
        post(connection, book, key, entry)
        seconds.append(perf_counter() - began)


def post(connection: psycopg.Connection[Any], book: str, key: str, entry: JournalEntry) -> PostedEntry:
    """Posts one entry, and has committed it when it returns. Raises Refused."""
    with connection.transaction():
        head = connection.execute(_LOCK, [book]).fetchone()
        if head is None:
            raise Refused(f"no book {book}")
        if connection.execute(_KNOWN, [book, UNNAMED, key]).fetchone():
            raise Refused(f"the key {key} is used")
        _refuse_unknown(connection, book, entry)
        posted = _numbered(book, key, entry, *head)
        connection.execute(_MOVE, [posted.number, posted.hash, posted.recorded_at, book])
        _insert(connection, posted)
    return posted


def _refuse_unknown(connection: psycopg.Connection[Any], book: str, entry: JournalEntry) -> None:
    rows = connection.execute(_ACCOUNTS, [book, [posting.account for posting in entry.postings]])
    open_in = {code: currency for code, currency, closed_at in rows if closed_at is None}
    for posting in entry.postings:
        if open_in.get(posting.account) != posting.amount.currency:
            raise Refused(f"{posting.account} is not open in {posting.amount.currency}")


def _numbered(
    book: str, key: str, entry: JournalEntry, last: int, last_hash: bytes, recorded_at: datetime
) -> PostedEntry:
    posted = PostedEntry(
        book=book,
        number=last + 1,
        id=entry_id(recorded_at, last_hash, last + 1),
        recorded_at=recorded_at,
        actor=UNNAMED,
        idempotency_key=key,
        request_hash=request_hash(entry.stated()),
        entry=entry,
    )
    return structs.replace(posted, hash=entry_hash(last_hash, posted))


def _insert(connection: psycopg.Connection[Any], posted: PostedEntry) -> None:
    day: date = posted.entry.effective_date
    lines = [(posted.book, posted.number, line, day, *rest) for line, *rest in posted.lines()]
    _write(connection, postings.name, postings.columns.keys(), lines)
    _write(connection, entries.name, entries.columns.keys(), [(*posted.columns(), posted.hash)])
    sums: dict[str, list[int]] = {}
    for posting in posted.entry.postings:
        so_far = sums.setdefault(posting.account, [0, 0])
        so_far[posting.side is Side.CREDIT] += posting.amount.minor_units
    _add(connection, balances.name, posted.book, [(code, *both) for code, both in sums.items()])
    _add(connection, daily_totals.name, posted.book, [(code, day, *both) for code, both in sums.items()])


def _add(connection: psycopg.Connection[Any], table: str, book: str, rows: list[tuple[Any, ...]]) -> None:
    names = {balances.name: balances, daily_totals.name: daily_totals}[table].columns.keys()
    then = f"ON CONFLICT ({', '.join(names[:-2])}) DO UPDATE {_ADDED.format(table)}"
    _write(connection, table, names, [(book, *row) for row in rows], then)


def _write(
    connection: psycopg.Connection[Any],
    table: str,
    names: Sequence[str],
    rows: Sequence[Sequence[object]],
    then: str = "",
) -> None:
    """One statement for all rows of a table."""
    row = f"({', '.join(['%s'] * len(names))})"
    values = ", ".join([row] * len(rows))
    statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES {values} {then}"
    connection.execute(statement.encode(), [value for one in rows for value in one])
