"""Where months and what was frozen with them are kept. Rows are added, and nothing of them changes."""

from dataclasses import replace
from datetime import date
from typing import Any

from sqlalchemy import Row, func, insert, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import driver, query
from ledger.periods.period import (
    Close,
    Finding,
    FindingKind,
    FrozenBalance,
    Override,
    Period,
    Periods,
    State,
    last_day,
    month_of,
)
from ledger.rows import Insertion
from ledger.schema import entries, heads, period_balances, period_findings, periods

_IN_FORCE = text("""
    SELECT DISTINCT ON (month) month, state FROM periods WHERE book = :book ORDER BY month, version DESC
""")
_INSERT_BALANCES = Insertion(period_balances)

MonthPlace = tuple[date, int]
"""Month and version: where a period stands in a listing."""


async def in_force(connection: AsyncConnection, book: str) -> Periods:
    """The months of a book that are not open."""
    states = {row.month: State(row.state) for row in await connection.execute(_IN_FORCE, {"book": book})}
    closed = max((month for month, state in states.items() if state is State.CLOSED), default=None)
    soft_closed = frozenset(month for month, state in states.items() if state is State.SOFT_CLOSED)
    return Periods(closed and last_day(closed), soft_closed)


async def first_month(connection: AsyncConnection, book: str, known: Periods) -> date | None:
    """The first month after what is closed in which something is effective; None where nothing is."""
    wanted = select(func.min(entries.c.effective_date)).where(entries.c.book == book)
    if known.closed_through is not None:
        wanted = wanted.where(entries.c.effective_date > known.closed_through)
    earliest = (await connection.execute(wanted)).scalar_one()
    return earliest and month_of(earliest)


async def current(connection: AsyncConnection, book: str, month: date, known: Periods) -> Period:
    """A month as it stands, of version 0 where nobody ever changed it."""
    found = await version(connection, book, month, 0)
    return (found or Period(month)).within(known)


async def version(connection: AsyncConnection, book: str, month: date, number: int) -> Period | None:
    """A version of a month, without what was frozen with it: the highest where the number is 0."""
    wanted = select(periods).where(periods.c.book == book, periods.c.month == month)
    if number:
        wanted = wanted.where(periods.c.version == number)
    row = (await connection.execute(wanted.order_by(periods.c.version.desc()).limit(1))).one_or_none()
    return _period(row) if row else None


async def frozen(
    connection: AsyncConnection, book: str, of: Period, after: str = "", limit: int | None = None
) -> Period:
    """The same with what was frozen: the findings, and the trial balance behind an account."""
    if of.close is None:
        return of
    place = {"book": book, "month": of.month, "version": of.version}
    found = select(period_findings).filter_by(**place).order_by(period_findings.c.line)
    table = period_balances.c.account
    balances = select(period_balances).filter_by(**place).where(table > after).order_by(table).limit(limit)
    findings = tuple(map(_finding, await connection.execute(found)))
    rows = tuple(map(_balance, await connection.execute(balances)))
    return replace(of, close=replace(of.close, findings=findings, balances=rows))


async def find(
    connection: AsyncConnection, book: str, after: MonthPlace | None, limit: int, *, history: bool
) -> list[Period]:
    """Months in their order, then by version: the newest versions, or all."""
    table, later = periods.c, periods.alias("later").c
    wanted = select(periods).where(table.book == book)
    if after is not None:
        wanted = wanted.where(tuple_(table.month, table.version) > after)
    if not history:
        newer = select(later.version).where(
            later.book == table.book, later.month == table.month, later.version > table.version
        )
        wanted = wanted.where(~newer.exists())
    rows = await connection.execute(wanted.order_by(table.month, table.version).limit(limit))
    return [_period(row) for row in rows]


async def uncleared(connection: AsyncConnection, book: str, month: date, limit_days: int) -> list[Finding]:
    """Clearing accounts, suspense and unapplied cash that were not at zero for longer at the end of a month."""
    asked = {"book": book, "as_of": last_day(month), "days": limit_days}
    return [_finding(row) for row in await connection.execute(query("ledger.periods", "uncleared.sql"), asked)]


async def add(connection: AsyncConnection, book: str, new: Period) -> None:
    """Writes a version, which is in force from then on, and what is frozen with it.

    Whoever remembers how the months stood sees it at the head.
    """
    close = new.close
    override = close.override if close else None
    row = {
        "book": book,
        **{name: getattr(new, name) for name in Period.__slots__ if name != "close"},
        "last_entry_hash": close and close.last_entry_hash,
        "limit_days": close.limit_days if close else None,
        "override_by": override and override.person,
        "override_reason": override and override.reason,
        "hash": close and close.hash,
    }
    await connection.execute(insert(periods), row)
    if close is not None:
        await _freeze(connection, (book, new.month, new.version), close)
    await connection.execute(update(heads).where(heads.c.book == book).values(changes=heads.c.changes + 1))


async def _freeze(connection: AsyncConnection, place: tuple[str, date, int], close: Close) -> None:
    named = dict(zip(("book", "month", "version"), place, strict=True))
    found = [
        {**named, "line": line, **{name: getattr(one, name) for name in Finding.__slots__}}
        for line, one in enumerate(close.findings, 1)
    ]
    if found:
        await connection.execute(insert(period_findings), found)
    rows = [(*place, one.account, one.currency, one.debits, one.credits) for one in close.balances]
    if rows:
        await driver(connection).exchange(_INSERT_BALANCES.of(rows))


def _period(row: Row[Any]) -> Period:
    override = Override(row.override_by, row.override_reason) if row.override_by else None
    close = Close(row.last_entry_hash, row.limit_days, override, hash=row.hash) if row.hash else None
    return Period(
        month=row.month,
        state=State(row.state),
        version=row.version,
        before=State(row.before),
        after_entry=row.after_entry,
        reason=row.reason,
        set_by=row.set_by,
        set_at=row.set_at,
        proposal=row.proposal,
        close=close,
    )


def _finding(row: Row[Any]) -> Finding:
    amount = None if row.amount is None else int(row.amount)
    return Finding(FindingKind(row.kind), row.subject, row.item, row.currency, amount, row.since, row.days)


def _balance(row: Row[Any]) -> FrozenBalance:
    return FrozenBalance(row.account, row.currency, row.debits, row.credits)
