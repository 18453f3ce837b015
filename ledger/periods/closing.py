"""How months are closed and reopened: what is read, decided and recorded under the head of the book."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import fields
from ledger.audit import store as proofs
from ledger.audit import tree
from ledger.audit.checkpoint import NO_KEY, Signing
from ledger.database import reading
from ledger.money import Amount
from ledger.periods import store
from ledger.periods.period import (
    Close,
    Finding,
    FrozenBalance,
    Override,
    Period,
    State,
    last_day,
    refuse_closed,
    refuse_out_of_order,
    refuse_reopening,
    refuse_soft_close,
    refuse_unready,
    signed,
    written,
)
from ledger.postings import journal
from ledger.postings.batch import Head
from ledger.reports import report

OldExceptions = Callable[[AsyncConnection, str, datetime, int], Awaitable[Sequence[Finding]]]
"""What in a book has waited for a person for more than so many days at a time. The mail room knows."""


@dataclass(frozen=True, slots=True)
class Closing:
    """A close as somebody asks for it."""

    book: str
    month: date
    reason: str
    actor: str
    limit_days: int
    override: Override | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A month as it is now; `replayed` where the same person had said the same before."""

    period: Period
    replayed: bool = False


async def soft_close(database: AsyncEngine, book: str, month: date, reason: str, actor: str) -> Answer:
    """Only the finance team posts into the month from now on. Raises PeriodClosed or PeriodSoftClosed."""
    async with journal.posting(database, book) as (connection, head):
        before = await store.current(connection, book, month, await store.in_force(connection, book))
        if before.says(State.SOFT_CLOSED, reason, actor):
            return Answer(before, replayed=True)
        refuse_soft_close(before)
        period = before.changed(State.SOFT_CLOSED, reason, actor, head.number, head.recorded_at)
        await store.add(connection, book, period)
        return Answer(period)


async def close(
    database: AsyncEngine, asked: Closing, exceptions: OldExceptions, signing: Signing = NO_KEY
) -> Answer:
    """Nothing may be effective in the month from now on, and its trial balance is frozen.

    Where there is a key to sign with, a checkpoint of the book is written with it, or neither.
    Raises PeriodClosed, PeriodOutOfOrder or PeriodNotReady; HistoryRewritten for what no checkpoint could sign.
    """
    if signing.keys:
        await tree.fill_book(database, asked.book)
    async with journal.posting(database, asked.book) as (connection, head):
        before = await store.version(connection, asked.book, asked.month, 0)
        if before is not None and before.says(State.CLOSED, asked.reason, asked.actor):
            return Answer(await store.frozen(connection, asked.book, before, limit=0), replayed=True)
        period = await _decided(connection, head, asked, exceptions)
        assert period.close is not None
        refuse_unready(asked.month, period.close.findings, period.close.override)
        await record(connection, head, period, signing)
        return Answer(period)


async def foreseen(database: AsyncEngine, asked: Closing, exceptions: OldExceptions) -> Answer:
    """The same, and nothing is recorded: what stands in the way is told rather than refused."""
    async with reading(database) as connection:
        head = await journal.standing(connection, asked.book)
        return Answer(await _decided(connection, head, asked, exceptions))


async def record(connection: AsyncConnection, head: Head, period: Period, signing: Signing) -> None:
    """Writes a close and its checkpoint, once it is decided, in the database transaction that holds the head.

    `head` is where the book stands: its number and hash are those that the close names and the checkpoint signs.
    """
    await store.add(connection, head.book, period)
    if signing.keys:
        why = f"{written(period.month)} closed: {period.reason}"[: fields.TEXT_LENGTH]
        await proofs.write_checkpoint(connection, head, signing, period.set_by, why)


async def _decided(connection: AsyncConnection, head: Head, asked: Closing, exceptions: OldExceptions) -> Period:
    """The month closed, with what is found and frozen, whether or not that may be."""
    known = await store.in_force(connection, asked.book)
    before = await store.current(connection, asked.book, asked.month, known)
    refuse_closed(before)
    refuse_out_of_order(asked.month, known, await store.first_month(connection, asked.book, known))
    findings = (
        *await store.uncleared(connection, asked.book, asked.month, asked.limit_days),
        *await exceptions(connection, asked.book, head.recorded_at, asked.limit_days),
    )
    close_ = Close(
        last_entry_hash=head.hash,
        limit_days=asked.limit_days,
        override=asked.override if findings else None,
        findings=findings,
        balances=await _balances(connection, head, asked.month),
    )
    period = before.changed(State.CLOSED, asked.reason, asked.actor, head.number, head.recorded_at)
    return signed(asked.book, period, close_)


async def _balances(connection: AsyncConnection, head: Head, month: date) -> tuple[FrozenBalance, ...]:
    found = await report.ask(connection, report.TRIAL_BALANCE, head.book, last_day(month), head.number)
    return tuple(
        FrozenBalance(str(row["account"]), str(row["currency"]), _units(row["debits"]), _units(row["credits"]))
        for row in found.rows
    )


def _units(cell: report.Cell) -> int:
    assert isinstance(cell, Amount)
    return cell.minor_units


async def reopened(
    connection: AsyncConnection, head: Head, month: date, reason: str, maker: str
) -> tuple[Period, Period]:
    """A month as it is, and as it would be once it is open again. Raises PeriodOpen or PeriodOutOfOrder."""
    known = await store.in_force(connection, head.book)
    before = await store.current(connection, head.book, month, known)
    refuse_reopening(before, known)
    return before, before.changed(State.OPEN, reason, maker, head.number, head.recorded_at)


async def reopen(connection: AsyncConnection, book: str, period: Period, proposal: int) -> None:
    """Writes a reopening that a second person has approved, in the database transaction of the approval."""
    await store.add(connection, book, replace(period, proposal=proposal))
