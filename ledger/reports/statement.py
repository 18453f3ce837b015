"""A statement a page at a time: each page by itself, from the place where the one before ended.

No page counts on what another one added up. Where it begins, the balance is found anew, at the same cost wherever
that is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, case, false, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts import store
from ledger.accounts.account import Totals
from ledger.errors import AccountNotFound, FieldMissing
from ledger.schema import entries, postings

_DAY = timedelta(days=1)
_OF_ENTRY = (entries.c.book == postings.c.book) & (entries.c.number == postings.c.entry_number)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a posting stands in a statement. Places are in order of day, entry number and line."""

    day: date
    number: int
    line: int


@dataclass(frozen=True, slots=True)
class Statement:
    """What is asked for: an account, an item or both, between two days, as known at an entry."""

    book: str
    account: str | None
    item: str | None
    first: date | None
    last: date | None
    known: int

    def __post_init__(self) -> None:
        """Refuses a statement of nothing."""
        if self.account is None and self.item is None:
            raise FieldMissing("account or item is required", field="account")


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one account stands, or what of it bears the item."""

    currency: str
    totals: Totals


@dataclass(frozen=True, slots=True)
class Line:
    """One posting; `amount` is in minor units, debit positive, and `standing` is after it."""

    place: Place
    recorded_at: datetime
    kind: str
    description: str
    account: str
    item: str | None
    amount: int
    standing: Standing


Standings = Mapping[str, Standing]


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a statement, with the standings of the whole; `more` is where the next page begins."""

    lines: Sequence[Line]
    opening: Standings
    closing: Standings
    more: Place | None


async def page(connection: AsyncConnection, asked: Statement, after: Place | None, size: int) -> Page:
    """The lines after a place, or from the beginning. Raises AccountNotFound."""
    await _refuse_unknown(connection, asked)
    opening = await _until(connection, asked, _before(asked.first))
    closing = await _until(connection, asked, asked.last or date.max)
    running = opening if after is None else await _through(connection, asked, after)
    rows = (await connection.execute(_lines(asked, after).limit(size + 1))).all()
    lines = [*_run(rows[:size], running)]
    return Page(lines, opening, closing, lines[-1].place if len(rows) > size else None)


async def _refuse_unknown(connection: AsyncConnection, asked: Statement) -> None:
    code = asked.account
    if code is not None and code not in {
        account.code for account, _ in await store.read(connection, asked.book, [code])
    }:
        raise AccountNotFound(f"no account {code} in this book", account=code)


def _before(day: date | None) -> date | None:
    """The day before; None before all days."""
    return None if day is None or day == date.min else day - _DAY


def _lines(asked: Statement, after: Place | None) -> Select[Any]:
    place = tuple_(postings.c.effective_date, postings.c.entry_number, postings.c.line)
    conditions = [*_scope(asked), postings.c.entry_number <= asked.known]
    if asked.first is not None:
        conditions.append(postings.c.effective_date >= asked.first)
    if asked.last is not None:
        conditions.append(postings.c.effective_date <= asked.last)
    if after is not None:
        conditions.append(place > (after.day, after.number, after.line))
    about = entries.c.recorded_at, entries.c.kind, entries.c.description
    return select(postings, *about).join(entries, _OF_ENTRY).where(*conditions).order_by(*place)


def _scope(asked: Statement) -> Iterator[ColumnElement[bool]]:
    yield postings.c.book == asked.book
    if asked.account is not None:
        yield postings.c.account == asked.account
    if asked.item is not None:
        yield postings.c.item == asked.item


def _run(rows: Sequence[Row[Any]], standings: Standings) -> Iterator[Line]:
    """Each posting with the balance after it."""
    running = dict(standings)
    for row in rows:
        before = running[row.account]
        running[row.account] = replace(before, totals=before.totals.plus(row.amount))
        yield Line(
            place=Place(row.effective_date, row.entry_number, row.line),
            recorded_at=row.recorded_at,
            kind=row.kind,
            description=row.description,
            account=row.account,
            item=row.item,
            amount=row.amount,
            standing=running[row.account],
        )


async def _until(connection: AsyncConnection, asked: Statement, day: date | None) -> Standings:
    """Where all accounts of the statement stand at the end of a day; None is before all days."""
    if asked.item is not None:
        return await _of_item(connection, asked, Place(day, asked.known, _LAST_LINE) if day else None)
    return await _of_account(connection, asked, day, asked.known)


async def _through(connection: AsyncConnection, asked: Statement, place: Place) -> Standings:
    """The same after the posting at a place.

    Of an account: all until the day before, of the day itself what was known before the entry, and the lines of
    the entry.
    """
    if asked.item is not None:
        return await _of_item(connection, asked, place)
    code = str(asked.account)
    before = _before(place.day)
    parts = [
        (1, await _of_account(connection, asked, before, asked.known)),
        (1, await _of_account(connection, asked, place.day, place.number - 1)),
        (-1, await _of_account(connection, asked, before, place.number - 1)),
    ]
    debits = sum(sign * part[code].totals.debits for sign, part in parts)
    credits_ = sum(sign * part[code].totals.credits for sign, part in parts)
    standing = Standing(parts[0][1][code].currency, Totals(debits, credits_))
    of_entry = [*_scope(asked), postings.c.entry_number == place.number, postings.c.line <= place.line]
    for amount in (await connection.execute(select(postings.c.amount).where(*of_entry))).scalars():
        standing = replace(standing, totals=standing.totals.plus(amount))
    return {code: standing}


async def _of_account(connection: AsyncConnection, asked: Statement, day: date | None, known: int) -> Standings:
    code = str(asked.account)
    found, _ = await store.sums(connection, asked.book, code, day, known if day else 0, below=False)
    [(currency, totals)] = found.items()  # an account has one
    return {code: Standing(currency, totals)}


_LAST_LINE = 2**31 - 1


async def _of_item(connection: AsyncConnection, asked: Statement, through: Place | None) -> Standings:
    """Of every account with the item, however late: what is open under one name is a few postings."""
    place = tuple_(postings.c.effective_date, postings.c.entry_number, postings.c.line)
    counts = place <= (through.day, through.number, through.line) if through else false()
    sums = (
        func.coalesce(func.sum(case((counts, func.greatest(sign * postings.c.amount, 0)), else_=0)), 0).label(name)
        for sign, name in ((1, "debits"), (-1, "credits"))
    )
    wanted = (
        select(postings.c.account, postings.c.currency, *sums)
        .where(*_scope(asked), postings.c.entry_number <= asked.known)
        .group_by(postings.c.account, postings.c.currency)
        .order_by(postings.c.account)
    )
    rows = await connection.execute(wanted)
    return {row.account: Standing(row.currency, Totals(int(row.debits), int(row.credits))) for row in rows}
