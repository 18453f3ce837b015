"""What a month of a book is, what may be effective in it, and in which order months close. Pure.

A month is named by its first day. Months close in their order, so that what is closed ends with one day: nothing
may be effective on it or before it. A month in which nothing is effective is closed with the next one.
"""

import hashlib
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

from ledger.errors import PeriodClosed, PeriodNotReady, PeriodOpen, PeriodOutOfOrder, PeriodSoftClosed
from ledger.money import plain
from ledger.postings.chain import VERSION, joined
from ledger.postings.entry import JournalEntry

LONGEST_LIMIT = 30
"""Days after which what is not cleared stands in the way of a close. A caller may be stricter, and not laxer."""

_MOST_TOLD = 10
"""Findings that a refusal tells; all of them are shown by asking without recording."""


class State(StrEnum):
    """Where a month stands."""

    OPEN = "open"
    SOFT_CLOSED = "soft_closed"
    CLOSED = "closed"


class FindingKind(StrEnum):
    """What stands in the way of a close."""

    CLEARING = "clearing"
    SUSPENSE = "suspense"
    UNAPPLIED_CASH = "unapplied_cash"
    EXCEPTION = "exception"


def month_of(day: date) -> date:
    """The month that a day lies in."""
    return day.replace(day=1)


def last_day(month: date) -> date:
    """The last day of a month."""
    return month.replace(day=monthrange(month.year, month.month)[1])


def following(month: date) -> date:
    """The month after; December 9999 has none, and is never closed."""
    return last_day(month) + timedelta(days=1)


def written(month: date) -> str:
    """As people write it: `2026-04`."""
    return month.isoformat()[:7]


@dataclass(frozen=True, slots=True)
class Periods:
    """The months of a book that are not open: all days up to `closed_through`, and the months `soft_closed`."""

    closed_through: date | None = None
    soft_closed: frozenset[date] = frozenset()

    def state(self, month: date) -> State:
        """Where a month stands."""
        if self.closed_through is not None and month <= self.closed_through:
            return State.CLOSED
        return State.SOFT_CLOSED if month in self.soft_closed else State.OPEN

    def open_day(self, day: date) -> date:
        """The day itself where its month is open, or else the first day of the first open month after it."""
        month = month_of(day)
        if self.state(month) is State.OPEN:
            return day
        while self.state(month) is not State.OPEN:
            month = following(month)
        return month


ALL_OPEN = Periods()
"""A book in which nothing was ever closed."""


def refuse_period(entry: JournalEntry, periods: Periods, *, by_finance: bool) -> None:
    """The month of an entry takes it, from this caller. Raises PeriodClosed or PeriodSoftClosed."""
    day = entry.effective_date
    if periods.closed_through is not None and day <= periods.closed_through:
        raise PeriodClosed(
            f"{written(day)} is closed, and nothing may be effective on {day}",
            month=written(day),
            effective_date=day,
        )
    if not periods.soft_closed or month_of(day) not in periods.soft_closed:
        return
    if not (by_finance and entry.description.strip()):
        missing = "reason" if by_finance else "role"
        raise PeriodSoftClosed(
            f"{written(day)} is soft-closed: only the finance team posts into it, and says why",
            month=written(day),
            effective_date=day,
            missing=missing,
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that stands in the way of a close: an account, an item on it, or an exception.

    `amount` is minor units, debit positive; `days` are counted from `since` to the last day of the month, and of
    an exception to now.
    """

    kind: FindingKind
    subject: str
    item: str | None
    currency: str | None
    amount: int | None
    since: date
    days: int

    def __str__(self) -> str:
        amount = plain(self.amount, self.currency) if self.amount is not None and self.currency else ""
        words = (self.kind.replace("_", " "), self.subject, self.item, amount, amount and self.currency)
        return f"{' '.join(filter(None, words))} since {self.since}"


@dataclass(frozen=True, slots=True)
class FrozenBalance:
    """An account in a frozen trial balance, in minor units."""

    account: str
    currency: str
    debits: int
    credits: int


@dataclass(frozen=True, slots=True)
class Override:
    """Who takes responsibility for what stands in the way, and why."""

    person: str
    reason: str


@dataclass(frozen=True, slots=True)
class Close:
    """What is frozen with a month: the last entry's hash, what was found, the trial balance of its last day."""

    last_entry_hash: bytes
    limit_days: int
    override: Override | None = None
    findings: tuple[Finding, ...] = ()
    balances: tuple[FrozenBalance, ...] = ()
    hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Period:
    """A version of a month, in force for every entry after number `after_entry`. Version 0: nobody changed it."""

    month: date
    state: State = State.OPEN
    version: int = 0
    before: State = State.OPEN
    after_entry: int = 0
    reason: str = ""
    set_by: str = ""
    set_at: datetime | None = None
    proposal: int | None = None
    close: Close | None = None

    def changed(self, state: State, reason: str, set_by: str, after_entry: int, set_at: datetime) -> "Period":
        """The version after this one."""
        return Period(self.month, state, self.version + 1, self.state, after_entry, reason, set_by, set_at)

    def within(self, known: Periods) -> "Period":
        """As it stands among the others: closed with a later month, where none was closed by itself."""
        state = known.state(self.month)
        return self if state is self.state else Period(self.month, state, self.version)

    def stated(self) -> dict[str, str]:
        """The change as text by field."""
        return {
            "month": written(self.month),
            "version": str(self.version),
            "before": self.before.value,
            "after": self.state.value,
            "description": self.reason,
        }

    def says(self, state: State, reason: str, set_by: str) -> bool:
        """Whether the same was said before: who was not told the answer may ask again."""
        return (self.state, self.reason, self.set_by) == (state, reason, set_by) and self.version > 0


def signed(book: str, period: Period, close: Close) -> Period:
    """The month closed, under a hash over all that is frozen with it. `integrity.sql` computes the same."""
    override = close.override or Override("", "")
    said = (
        *(book, period.month, period.version, period.after_entry, close.last_entry_hash),
        *(period.set_by, period.set_at, period.reason, close.limit_days),
        *(override.person or None, override.reason or None),
    )
    found = [
        value
        for one in close.findings
        for value in (one.kind.value, one.subject, one.item, one.currency, one.amount, one.since, one.days)
    ]
    balances = [value for one in close.balances for value in (one.account, one.currency, one.debits, one.credits)]
    content = joined(*said, len(close.findings), *found, len(close.balances), *balances)
    return replace(period, close=replace(close, hash=hashlib.sha256(VERSION + content).digest()))


# --- what may be done with a month --------------------------------------------------------------------


def refuse_soft_close(current: Period) -> None:
    """Only an open month is soft-closed. Raises PeriodClosed or PeriodSoftClosed."""
    refuse_closed(current)
    if current.state is State.SOFT_CLOSED:
        month = written(current.month)
        raise PeriodSoftClosed(f"{month} was soft-closed by {current.set_by}", month=month, set_by=current.set_by)


def refuse_closed(current: Period) -> None:
    """A month that is closed is closed no more. Raises PeriodClosed."""
    if current.state is State.CLOSED:
        month = written(current.month)
        raise PeriodClosed(
            f"{month} was closed{f' by {current.set_by}' if current.set_by else ', with a later month'}",
            month=month,
            set_by=current.set_by,
        )


def refuse_out_of_order(month: date, periods: Periods, first: date | None) -> None:
    """No earlier month is soft-closed, or open and used, as `first` is. Raises PeriodOutOfOrder."""
    expected = min([*periods.soft_closed, *([first] if first else [])], default=month)
    if month > expected:
        raise PeriodOutOfOrder(
            f"{written(expected)} is not closed, which comes before {written(month)}",
            month=written(month),
            first=written(expected),
        )


def refuse_reopening(current: Period, periods: Periods) -> None:
    """Only what is not open, and of closed months the last one. Raises PeriodOpen or PeriodOutOfOrder."""
    month, closed = current.month, periods.closed_through
    if current.state is State.OPEN:
        raise PeriodOpen(f"{written(month)} is open", month=written(month))
    if current.state is State.CLOSED and closed is not None and closed > last_day(month):
        raise PeriodOutOfOrder(
            f"{written(closed)} is closed, which comes after {written(month)}: it must be open first",
            month=written(month),
            first=written(closed),
        )


def refuse_unready(month: date, findings: Sequence[Finding], override: Override | None) -> None:
    """Nothing stands in the way, or somebody takes responsibility for it. Raises PeriodNotReady."""
    if not findings or override is not None:
        return
    oldest = sorted(findings, key=lambda one: one.since)[:_MOST_TOLD]
    stand = "1 finding stands" if len(findings) == 1 else f"{len(findings)} findings stand"
    raise PeriodNotReady(
        f"{stand} in the way of closing {written(month)}, the oldest: {oldest[0]}",
        month=written(month),
        findings=len(findings),
        **{str(place): one for place, one in enumerate(oldest, 1)},
    )
