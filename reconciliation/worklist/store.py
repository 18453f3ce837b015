"""Where what became of exceptions is kept. Rows are added under the head lock, and nothing of them changes."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, func, insert, select, text, true, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.errors import ExceptionNotFound, IdempotencyKeyReused
from reconciliation.bank.schema import deposit_traces, deposits
from reconciliation.reasons import ExceptionReason
from reconciliation.schema import exception_events, exceptions, remittances
from reconciliation.worklist.item import AS_OPENED, DECIDED, Change, Event, Item

_LAST = """
    LEFT JOIN LATERAL (
        SELECT version, owner, change FROM exception_events AS e
        WHERE e.book = :book AND e.exception = told.id ORDER BY version DESC LIMIT 1
    ) AS last ON true
"""
_ADD = text(f"""
    INSERT INTO exception_events (book, exception, version, change, owner, note, entry_number, said_by)
    SELECT :book, told.id, coalesce(last.version, {AS_OPENED}) + 1, told.change, last.owner, told.note,
        told.entry_number, told.said_by
    FROM unnest(
        CAST(:ids AS uuid[]), CAST(:changes AS text[]), CAST(:notes AS text[]), CAST(:entries AS bigint[]),
        CAST(:actors AS text[])
    ) AS told (id, change, note, entry_number, said_by) {_LAST}
""")  # noqa: S608 - our own
_OPEN_AGAIN = text(f"""
    UPDATE exceptions AS x SET closed_at = NULL
    FROM unnest(CAST(:ids AS uuid[]), CAST(:amounts AS bigint[])) AS told (id, amount) {_LAST}
    WHERE x.book = :book AND x.id = told.id AND x.closed_at IS NOT NULL
        AND (coalesce(last.change, '') <> ALL(CAST(:decided AS text[])) OR x.amount IS DISTINCT FROM told.amount)
    RETURNING x.id
""")  # noqa: S608 - our own
_CLOSE = text("""
    UPDATE exceptions SET closed_at = clock_timestamp() WHERE book = :book AND id = :id AND closed_at IS NULL
""")
_NOTE = 500
"""Longest note that comes by itself."""

_EVENTS = exception_events.c
_last = (
    select(_EVENTS.version, _EVENTS.owner, _EVENTS.change)
    .where(_EVENTS.book == exceptions.c.book, _EVENTS.exception == exceptions.c.id)
    .order_by(_EVENTS.version.desc())
    .limit(1)
    .lateral("last")
)
_traces = (
    select(func.string_agg(deposit_traces.c.trace, " "))
    .where(deposit_traces.c.book == exceptions.c.book, deposit_traces.c.deposit == exceptions.c.deposit)
    .scalar_subquery()
)
its_owner: ColumnElement[Any] = _last.c.owner
"""Whose an item is."""
its_payer: ColumnElement[Any] = func.coalesce(
    remittances.c.payer, remittances.c.signed_by, deposits.c.payer, deposits.c.payer_identifier, ""
)
"""The payer that an item is about."""
_standing = (
    select(
        exceptions,
        its_owner,
        func.coalesce(_last.c.version, AS_OPENED).label("version"),
        _last.c.change,
        its_payer.label("payer"),
        func.coalesce(remittances.c.trace, _traces, "").label("trace"),
    )
    .select_from(exceptions)
    .outerjoin(_last, true())
    .outerjoin(
        remittances, and_(remittances.c.book == exceptions.c.book, remittances.c.id == exceptions.c.remittance)
    )
    .outerjoin(deposits, and_(deposits.c.book == exceptions.c.book, deposits.c.id == exceptions.c.deposit))
)


# --- what comes by itself -----------------------------------------------------------------------------


async def add(connection: AsyncConnection, book: str, events: Sequence[Event]) -> None:
    """Writes what became of items, each with its next version and the owner that it had."""
    if not events:
        return
    asked = {
        "book": book,
        "ids": [one.exception for one in events],
        "changes": [str(one.change) for one in events],
        "notes": [one.note[:_NOTE] for one in events],
        "entries": [one.entry_number for one in events],
        "actors": [one.said_by for one in events],
    }
    await connection.execute(_ADD, asked)


async def settled(
    connection: AsyncConnection,
    book: str,
    closed: Collection[UUID],
    note: str,
    said_by: str,
    entry_number: int | None = None,
) -> None:
    """Writes of exceptions that were just closed what settled them all."""
    await add(connection, book, [Event(one, Change.SETTLED, note, said_by, entry_number) for one in closed])


async def open_again(
    connection: AsyncConnection, book: str, raised: Sequence[Mapping[str, Any]], said_by: str
) -> None:
    """What was closed and is raised again is open again; where a person closed it, if another amount is at stake.

    `raised` are columns of `exceptions`.
    """
    asked = {
        "book": book,
        "ids": [row["id"] for row in raised],
        "amounts": [row["amount"] for row in raised],
        "decided": [*DECIDED],
    }
    opened = set((await connection.execute(_OPEN_AGAIN, asked)).scalars())
    details = {row["id"]: row["detail"] for row in raised}
    events = [Event(one, Change.OPENED_AGAIN, details[one], said_by) for one in sorted(opened)]
    await add(connection, book, events)


# --- what people do -----------------------------------------------------------------------------------


async def earlier(
    connection: AsyncConnection, book: str, actor: str, key: str, request_hash: bytes
) -> Row[Any] | None:
    """The event that was written under this key. Raises IdempotencyKeyReused where it was for another request."""
    of = (_EVENTS.book == book, _EVENTS.said_by == actor, _EVENTS.idempotency_key == key)
    row = (await connection.execute(select(exception_events).where(*of))).one_or_none()
    if row is not None and row.request_hash != request_hash:
        told = f"the key {key} was used for item {row.exception}, which was asked for otherwise"
        raise IdempotencyKeyReused(told, idempotency_key=key, id=row.exception, differs="request")
    return row


async def close(connection: AsyncConnection, book: str, id_: UUID) -> None:
    """Closes an item before what closes it is done, which would close it by itself."""
    await connection.execute(_CLOSE, {"book": book, "id": id_})


async def say(
    connection: AsyncConnection, book: str, event: Event, item: Item, key: str, request_hash: bytes
) -> Row[Any]:
    """Writes what a person did to an item as it stands. Returns the event."""
    values = {
        "book": book,
        "exception": item.id,
        "version": item.version + 1,
        "change": event.change,
        "owner": item.owner,
        "note": event.note,
        "entry_number": event.entry_number,
        "said_by": event.said_by,
        "idempotency_key": key,
        "request_hash": request_hash,
    }
    written = insert(exception_events).values(values).returning(exception_events)
    row: Row[Any] = (await connection.execute(written)).one()
    return row


# --- what is asked ------------------------------------------------------------------------------------


async def find(
    connection: AsyncConnection, book: str, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[Row[Any]]:
    """Exceptions as they stand, oldest first."""
    wanted = _standing.where(exceptions.c.book == book, *conditions)
    ordered = wanted.order_by(exceptions.c.opened_at, exceptions.c.id)
    return list((await connection.execute(ordered.limit(limit))).all())


def behind(place: ColumnElement[Any]) -> ColumnElement[bool]:
    """The condition that an item comes after a place in that order."""
    return tuple_(exceptions.c.opened_at, exceptions.c.id) > place


async def existing(connection: AsyncConnection, book: str, id_: UUID) -> Row[Any]:
    """One exception as it stands. Raises ExceptionNotFound."""
    found = await find(connection, book, exceptions.c.id == id_)
    if not found:
        raise ExceptionNotFound(f"no exception {id_} in this book", id=id_)
    return found[0]


async def history(connection: AsyncConnection, book: str, id_: UUID) -> list[Row[Any]]:
    """All that became of an item, oldest first."""
    of = (_EVENTS.book == book, _EVENTS.exception == id_)
    return list((await connection.execute(select(exception_events).where(*of).order_by(_EVENTS.version))).all())


def item(row: Row[Any]) -> Item:
    """A row as an item."""
    return Item(
        id=row.id,
        reason=ExceptionReason(row.reason),
        claim=row.claim,
        payer=row.payer,
        amount=row.amount,
        currency=row.currency,
        closed=row.closed_at is not None,
        version=row.version,
        owner=row.owner,
        change=Change(row.change) if row.change else None,
    )
