"""Where entries are kept: rows to entries and back."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts.account import Side
from ledger.connection import Asked
from ledger.money import Amount
from ledger.postings.entry import Dimensions, JournalEntry, Kind, PostedEntry, Posting
from ledger.postings.item import Item
from ledger.rows import Insertion
from ledger.schema import entries, postings

_INSERT_POSTINGS = Insertion(postings)
_INSERT_ENTRIES = Insertion(entries)

# One row for each account that an item touches, with that on which all its sessions agree. A session that was
# reversed does not count. OFFSET 0 keeps an item's own look-ups together, by the indexes on claim, item and
# reversed entry, whatever PostgreSQL believes of the tables: a thousand claims are read under the lock of a book.
_ITEMS = text("""
    SELECT claims.*, b.account, b.currency, b.balance, b.patient_share
    FROM (
        SELECT asked.item, sessions.*
        FROM unnest(CAST(:names AS text[])) AS asked (item)
        CROSS JOIN LATERAL (
            SELECT
                CASE WHEN min(payer) = max(payer) THEN min(payer) END AS payer,
                CASE WHEN min(provider) = max(provider) THEN min(provider) END AS provider,
                CASE WHEN min(session) = max(session) THEN min(session) END AS session,
                CASE WHEN min(plan) = max(plan) THEN min(plan) END AS plan,
                CASE WHEN min(service_code) = max(service_code) THEN min(service_code) END AS service_code,
                CASE WHEN min(licence_type) = max(licence_type) THEN min(licence_type) END AS licence_type,
                CASE WHEN min(state) = max(state) THEN min(state) END AS state,
                min(service_date) AS service_date,
                CASE WHEN bool_and(charge IS NOT NULL) THEN sum(charge) END AS charge,
                array_remove(array_agg(DISTINCT service_date), NULL) AS service_dates,
                array_remove(array_agg(DISTINCT service_code), NULL) AS service_codes
            FROM (SELECT * FROM entries WHERE book = :book AND claim = asked.item OFFSET 0) AS e
            WHERE e.kind = 'session_earned'
                AND NOT EXISTS (
                    SELECT FROM entry_reversals AS r WHERE r.book = :book AND r.reverses = e.number OFFSET 0
                )
        ) AS sessions
        OFFSET 0
    ) AS claims
    CROSS JOIN LATERAL (
        SELECT account, currency, sum(amount) AS balance,
            -- What rules of the trade gave the patient to pay; money that came from the patient is posted by hand.
            sum(CASE WHEN account IN ('Assets:Receivable:Patient', 'Liabilities:PatientRefunds') AND (
                SELECT coalesce(original.kind, e.kind) <> 'manual'
                FROM (SELECT * FROM entries WHERE book = :book AND number = p.entry_number OFFSET 0) AS e
                LEFT JOIN LATERAL (
                    SELECT kind FROM entries WHERE book = :book AND number = e.reverses OFFSET 0
                ) AS original ON e.kind = 'reversal'
            ) THEN amount END) AS patient_share
        FROM postings AS p
        WHERE book = :book AND item = claims.item
        GROUP BY account, currency
    ) AS b
    ORDER BY claims.item, b.account
""")
_CLAIMS_OF_SESSIONS = text("""
    SELECT DISTINCT e.session, e.claim
    FROM unnest(CAST(:sessions AS text[])) AS asked (session)
    CROSS JOIN LATERAL (SELECT * FROM entries WHERE book = :book AND session = asked.session OFFSET 0) AS e
    WHERE e.kind = 'session_earned'
""")
# The longest claim of a day comes first: where all claims are as long as those asked for, nothing else is read.
_CLAIMS_ALIKE = text("""
    WITH asked AS (
        SELECT * FROM unnest(
            CAST(:places AS integer[]), CAST(:names AS text[]), CAST(:days AS date[]), CAST(:codes AS text[]),
            CAST(:shortest AS integer[]), CAST(:charges AS bigint[])
        ) AS a (place, name, day, code, shortest, charge)
    ), longest AS (
        SELECT service_date, max(char_length(claim)) AS length FROM entries
        WHERE book = :book AND kind = 'session_earned' AND payer = :payer
            AND service_date = ANY(CAST(:days AS date[]))
        GROUP BY service_date
    )
    SELECT DISTINCT asked.place, e.claim
    FROM asked
    JOIN longest ON longest.service_date = asked.day AND longest.length >= asked.shortest
    JOIN entries AS e ON e.book = :book AND e.kind = 'session_earned' AND e.payer = :payer
        AND e.service_date = asked.day AND e.service_code = asked.code AND char_length(e.claim) >= asked.shortest
        AND starts_with(lower(e.claim), lower(asked.name))
        AND coalesce(e.charge <= asked.charge, true)
""")

# A list as one parameter, not as one for each number: so the statement is the same for any list, and planned once.
# A number is asked for as a range in the order of the key. While PostgreSQL has no statistics of a new book, all
# indexes cost it the same, and for a number alone it may read all entries of the book through another one.
_NUMBERED = text("""
    SELECT e.*
    FROM (SELECT DISTINCT number FROM unnest(CAST(:numbers AS bigint[])) AS number) AS asked
    CROSS JOIN LATERAL (
        SELECT * FROM entries
        WHERE book = :book AND number >= asked.number AND number <= asked.number ORDER BY number LIMIT 1
    ) AS e
    ORDER BY e.number
""")
_POSTINGS = text("""
    SELECT p.*
    FROM (SELECT DISTINCT number FROM unnest(CAST(:numbers AS bigint[])) AS number) AS asked
    CROSS JOIN LATERAL (
        SELECT * FROM postings
        WHERE book = :book AND entry_number >= asked.number AND entry_number <= asked.number
        ORDER BY entry_number, line OFFSET 0
    ) AS p
    ORDER BY p.entry_number, p.line
""")
_PAYERS_OF_SESSIONS = text("""
    SELECT name FROM unnest(CAST(:names AS text[])) AS name
    WHERE EXISTS (
        SELECT FROM entries WHERE book = :book AND payer = name AND kind = 'session_earned'
    )
""")


def inserts(posted: Sequence[PostedEntry]) -> tuple[Asked, Asked]:
    """What writes new entries: their postings first, as `entries_are_whole` expects. The head must have moved."""
    of_postings = _INSERT_POSTINGS.of([line for one in posted for line in _lines(one)])
    of_entries = _INSERT_ENTRIES.of([(*one.columns(), one.hash) for one in posted])
    return of_postings, of_entries


def _lines(posted: PostedEntry) -> Iterator[tuple[object, ...]]:
    """What `postings` holds of an entry, in the order of its columns."""
    place, day = (posted.book, posted.number), posted.entry.effective_date
    for line, *rest in posted.lines():
        yield *place, line, day, *rest


def at(number: int) -> ColumnElement[bool]:
    """That an entry has this number, for a question in the order of numbers: see `_NUMBERED`."""
    return entries.c.number.between(number, number)


async def find(
    connection: AsyncConnection, book: str, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[PostedEntry]:
    """Entries of a book that meet the conditions, in the order of their numbers."""
    wanted = select(entries).where(entries.c.book == book, *conditions).order_by(entries.c.number)
    return await whole(connection, book, (await connection.execute(wanted.limit(limit))).all())


async def numbered(connection: AsyncConnection, book: str, numbers: Collection[int]) -> dict[int, PostedEntry]:
    """Entries by their numbers; those that do not exist are left out."""
    if not numbers:
        return {}
    rows = (await connection.execute(_NUMBERED, {"book": book, "numbers": [*numbers]})).all()
    return {entry.number: entry for entry in await whole(connection, book, rows)}


async def whole(connection: AsyncConnection, book: str, rows: Sequence[Row[Any]]) -> list[PostedEntry]:
    """Rows of `entries` with their postings."""
    lines: dict[int, list[Posting]] = defaultdict(list)
    asked = {"book": book, "numbers": [row.number for row in rows]}
    for line in await connection.execute(_POSTINGS, asked) if rows else ():
        lines[line.entry_number].append(_posting(line))
    return [_posted(row, lines[row.number]) for row in rows]


async def hash_of(connection: AsyncConnection, book: str, number: int) -> bytes | None:
    """The hash that an entry bears; None where there is no such entry."""
    wanted = select(entries.c.hash).where(entries.c.book == book, at(number)).order_by(entries.c.number)
    return (await connection.execute(wanted)).scalar_one_or_none()


async def posting_count(connection: AsyncConnection, book: str, number: int) -> int:
    """How many postings an entry has; 0 where there is no such entry."""
    wanted = select(entries.c.posting_count).where(entries.c.book == book, at(number)).order_by(entries.c.number)
    return (await connection.execute(wanted)).scalar_one_or_none() or 0


async def items(connection: AsyncConnection, book: str, names: Collection[str]) -> dict[str, Item]:
    """All that the books know of open items, by name; those they do not know are left out."""
    if not names:
        return {}
    found: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in await connection.execute(_ITEMS, {"book": book, "names": [*names]}):
        found[row.item].append(row)
    return {name: _item(name, rows) for name, rows in found.items()}


def _item(name: str, rows: Sequence[Row[Any]]) -> Item:
    columns_of_first: tuple[Any, ...] = tuple(rows[0])
    _, payer, provider, session, plan, service_code, licence_type, *rest = columns_of_first
    state, service_date, charge, days, codes, _, currency, *_ = rest
    return Item(
        name=name,
        currency=currency,
        balances={row.account: int(row.balance) for row in rows},
        dimensions=Dimensions(
            payer=payer,
            provider=provider,
            claim=name,
            session=session,
            plan=plan,
            service_code=service_code,
            licence_type=licence_type,
            state=state,
            service_date=service_date,
        ),
        patient_share=sum(int(row.patient_share or 0) for row in rows),
        charge=None if charge is None else int(charge),
        service_dates=frozenset(days or ()),
        service_codes=frozenset(codes or ()),
    )


async def claims_of_sessions(
    connection: AsyncConnection, book: str, sessions: Collection[str]
) -> set[tuple[str, str]]:
    """Pairs of session and claim, for sessions that were recorded under these names."""
    rows = await connection.execute(_CLAIMS_OF_SESSIONS, {"book": book, "sessions": [*sessions]})
    return {(row.session, row.claim) for row in rows}


class Alike(NamedTuple):
    """What a claim may be found by: how its name begins, a visit, and what was billed for all of the claim.

    `place` is the asker's own number for it.
    """

    place: int
    name: str
    day: date
    code: str
    shortest: int
    """Characters of the claim's name, at least."""
    charge: int | None


async def claims_alike(
    connection: AsyncConnection, book: str, payer: str, asked: Collection[Alike]
) -> set[tuple[int, str]]:
    """Pairs of a place and a claim of this payer that fits what is asked there, in capital or small letters."""
    if not asked:
        return set()
    columns_ = (list(column) for column in zip(*asked, strict=True))
    about = dict(zip(("places", "names", "days", "codes", "shortest", "charges"), columns_, strict=True))
    rows = await connection.execute(_CLAIMS_ALIKE, {"book": book, "payer": payer, **about})
    return {(row.place, row.claim) for row in rows}


async def payers_of_sessions(connection: AsyncConnection, book: str, names: Collection[str]) -> set[str]:
    """Those of the names that are payers of recorded sessions."""
    rows = await connection.execute(_PAYERS_OF_SESSIONS, {"book": book, "names": [*names]})
    return {row.name for row in rows}


def _posting(row: Row[Any]) -> Posting:
    side = Side.DEBIT if row.amount > 0 else Side.CREDIT
    return Posting(row.account, side, Amount(abs(row.amount), row.currency), row.item)


def _posted(row: Row[Any], lines: Sequence[Posting]) -> PostedEntry:
    return PostedEntry(
        book=row.book,
        number=row.number,
        id=row.id,
        recorded_at=row.recorded_at,
        actor=row.actor,
        idempotency_key=row.idempotency_key,
        request_hash=row.request_hash,
        hash=row.hash,
        entry=JournalEntry(
            kind=Kind(row.kind),
            effective_date=row.effective_date,
            postings=tuple(lines),
            description=row.description,
            dimensions=_dimensions(row),
            reverses=row.reverses,
        ),
    )


def _dimensions(row: Row[Any]) -> Dimensions:
    return Dimensions(
        payer=row.payer,
        provider=row.provider,
        claim=row.claim,
        session=row.session,
        plan=row.plan,
        service_code=row.service_code,
        licence_type=row.licence_type,
        state=row.state,
        remittance=row.remittance,
        pay_cycle=row.pay_cycle,
        service_date=row.service_date,
        charge=None if row.charge is None else Amount(row.charge, row.charge_currency),
    )
