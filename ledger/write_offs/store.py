"""Where caps on write-offs are kept. Rows are added, and nothing of them changes."""

from typing import Any

from sqlalchemy import Row, insert, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.postings.entry import JournalEntry, Kind
from ledger.schema import write_off_caps
from ledger.write_offs.cap import WriteOffCap, refuse_above

_CAPS = write_off_caps.c


async def caps(connection: AsyncConnection, book: str) -> list[WriteOffCap]:
    """The caps in force, by currency."""
    last = select(write_off_caps).ext(distinct_on(_CAPS.currency)).where(_CAPS.book == book)
    rows = await connection.execute(last.order_by(_CAPS.currency, _CAPS.version.desc()))
    return [_cap(row) for row in rows]


async def cap(connection: AsyncConnection, book: str, currency: str) -> WriteOffCap:
    """The cap in force, or one of version 0 where none was ever set."""
    of = select(write_off_caps).where(_CAPS.book == book, _CAPS.currency == currency)
    row = (await connection.execute(of.order_by(_CAPS.version.desc()).limit(1))).one_or_none()
    return WriteOffCap(currency) if row is None else _cap(row)


async def set_cap(connection: AsyncConnection, book: str, said: WriteOffCap) -> None:
    """Writes what is said now, while the head of the book is held."""
    row = {name: getattr(said, name) for name in WriteOffCap.__slots__}
    await connection.execute(insert(write_off_caps), {"book": book, **row})


async def refuse_uncapped(connection: AsyncConnection, book: str, entry: JournalEntry) -> None:
    """A write-off is within the cap, while the head of the book is held. Raises WriteOffAboveCap."""
    if entry.kind is Kind.REMAINDER_WRITTEN_OFF:
        refuse_above(entry, await cap(connection, book, entry.postings[0].amount.currency))


def _cap(row: Row[Any]) -> WriteOffCap:
    return WriteOffCap(row.currency, row.amount, row.version, row.reason, row.set_by, row.set_at)
