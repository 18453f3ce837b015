"""Both axes against brute force over histories in which months close, soft-close and open again.

Hypothesis thinks up the histories. Beside each book stands a list of what was posted and which months are not
open; what is refused, where a reversal goes, what a close freezes and every figure afterwards follow from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import Ledger, cr, dr, entry, key, open_book, refused
from sqlalchemy.ext.asyncio import AsyncEngine
from test_approvals import approved, proposed
from test_second_axis import ACCOUNTS, ITEMS, Brute, History, walk

from ledger.database import engine
from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import periods_pb2 as pb
from ledger.v1 import postings_pb2 as po
from ledger.v1 import reports_pb2 as rp

MONTHS = ("2026-02", "2026-03", "2026-04", "2026-05", "2026-06", "2026-07")
LAST_DAYS = dict(zip(MONTHS, ("28", "31", "30", "31", "30", "31"), strict=True))
DAYS = ("2026-02-28", "2026-03-01", "2026-03-31", "2026-04-15", "2026-05-01", "2026-05-31", "2026-06-10")
_books = count(1)

Rows = dict[str, tuple[int, int]]


@dataclass
class Closing(History):
    """A history whose months close. `frozen` is what each close froze: month, version, last entry, figures."""

    closed: list[str] = field(default_factory=list)
    soft: set[str] = field(default_factory=set)
    versions: dict[str, int] = field(default_factory=dict)
    frozen: list[tuple[str, int, int, Rows]] = field(default_factory=list)

    def is_closed(self, day: str) -> bool:
        return bool(self.closed) and day[:7] <= self.closed[-1]

    def post(self, day: str, accounts: list[str], amount: int, item: str, three: bool) -> None:
        """Into a closed month nothing is posted."""
        if not self.is_closed(day):
            super().post(day, accounts, amount, item, three)
            return
        lines = dr(accounts[0], "1.00", item), cr(accounts[1], "1.00", item)
        asked = po.PostEntryRequest(book=self.ledger.book, entry=entry(day, *lines))
        assert refused(self.ledger.postings.PostEntry, asked).reason == "PERIOD_CLOSED"

    def reverse(self, day: str, which: int) -> None:
        """On a day, or where none is said, on the entry's own or the first open one after it."""
        open_ = [n for n in range(1, len(self.brute.entries) + 1) if n not in self.reversed]
        if not open_:
            return
        number = open_[which % len(open_)]
        original, lines = self.brute.entries[number - 1]
        asked = po.ReverseEntryRequest(
            book=self.ledger.book, idempotency_key=key(), number=number, effective_date=day, reason="wrong"
        )
        if day and self.is_closed(day):
            assert refused(self.ledger.postings.ReverseEntry, asked).reason == "PERIOD_CLOSED"
            return
        expected = day or self.open_day(original)
        assert self.ledger.postings.ReverseEntry(asked).entry.effective_date == expected
        self.brute.entries.append((expected, [(code, -units, tag) for code, units, tag in lines]))
        self.reversed |= {number, len(self.brute.entries)}

    def open_day(self, day: str) -> str:
        if not self.is_closed(day) and day[:7] not in self.soft:
            return day
        later = (month for month in (*MONTHS, "2026-08") if month > day[:7])
        return next(f"{month}-01" for month in later if not self.is_closed(month) and month not in self.soft)

    def close(self) -> None:
        """The first month that is soft-closed, or open and used, and no later one."""
        used = {day[:7] for day, _ in self.brute.entries if not self.is_closed(day)}
        following = MONTHS[MONTHS.index(self.closed[-1]) + 1] if self.closed else MONTHS[0]
        month = min([*used, *self.soft], default=following)
        if month == MONTHS[-1]:
            return
        if used and (later := MONTHS[MONTHS.index(month) + 1]) < MONTHS[-1]:
            early = pb.ClosePeriodRequest(book=self.ledger.book, month=later, reason="month end")
            assert refused(self.ledger.periods.ClosePeriod, early).facts == {"month": later, "first": month}
        asked = pb.ClosePeriodRequest(book=self.ledger.book, month=month, reason="month end")
        found = self.ledger.periods.ClosePeriod(asked)
        kept = pb.GetPeriodRequest(book=self.ledger.book, month=month, page_size=1000)
        rows = figures(self.ledger.periods.GetPeriod(kept))
        last = len(self.brute.entries)
        assert found.period.after_entry == last
        assert rows == brute_rows(self.brute, month, last)
        self.closed.append(month)
        self.soft.discard(month)
        self.versions[month] = self.versions.get(month, 0) + 1
        assert found.period.version == self.versions[month]
        self.frozen.append((month, found.period.version, last, rows))

    def soft_close(self, month: str) -> None:
        asked = pb.SoftClosePeriodRequest(book=self.ledger.book, month=month, reason="nearly")
        if self.is_closed(month) or month in self.soft:
            again = refused(self.ledger.periods.SoftClosePeriod, asked) if self.is_closed(month) else None
            assert again is None or again.reason == "PERIOD_CLOSED"
            return
        self.ledger.periods.SoftClosePeriod(asked)
        self.soft.add(month)
        self.versions[month] = self.versions.get(month, 0) + 1

    def reopen(self) -> None:
        """The last month that is closed."""
        if self.closed:
            month = self.closed.pop()
            asked = pb.ReopenPeriodRequest(book=self.ledger.book, month=month, reason="a mistake")
            approved(self.ledger, proposed(self.ledger, asked))
            self.versions[month] += 1


def brute_rows(brute: Brute, month: str, known: int) -> Rows:
    return {code: brute.balance(code, f"{month}-{LAST_DAYS[month]}", known) for code in brute.used(known)}


def figures(answer: Any) -> Rows:
    rows = answer.balances if hasattr(answer, "balances") else answer.rows
    return {row.account: (row.balance.debits.minor_units, row.balance.credits.minor_units) for row in rows}


# --- histories ----------------------------------------------------------------------------------------

days = st.sampled_from(DAYS)
posted = st.tuples(
    st.just("post"), days, st.permutations(ACCOUNTS), st.integers(1, 999), st.sampled_from(ITEMS), st.booleans()
)
reversed_ = st.tuples(st.just("reverse"), st.sampled_from(("", *DAYS)), st.integers(0, 99))
changed = st.one_of(
    st.tuples(st.just("close")),
    st.tuples(st.just("close")),
    st.tuples(st.just("soft_close"), st.sampled_from(MONTHS[:-1])),
    st.tuples(st.just("reopen")),
    st.tuples(st.just("fill"), st.integers(1, 9)),
)
histories = st.lists(st.one_of(posted, posted, reversed_, changed), min_size=4, max_size=24)


@pytest.fixture(scope="module")
def filling(server: Ledger) -> Iterator[AsyncEngine]:
    made = engine(server.url, pool_size=1)
    yield made
    server.loop.run(made.dispose())


def told(server: Ledger, filling: AsyncEngine, steps: list[Any]) -> Closing:
    name = f"closing-{next(_books)}"
    open_book(server, name)
    history = Closing(server.of(name), filling)
    server.accounts.OpenAccount(ac.OpenAccountRequest(book=name, code="Equity:Opening", currency_code="USD"))
    for what, *more in steps:
        getattr(history, what)(*more)
    return history


@settings(max_examples=12, deadline=None, suppress_health_check=[*HealthCheck])
@given(steps=histories, data=st.data())
def test_every_figure_follows_from_what_was_posted(
    server: Ledger, filling: AsyncEngine, steps: list[Any], data: st.DataObject
) -> None:
    history = told(server, filling, steps)
    ledger, brute = history.ledger, history.brute
    last = len(brute.entries)
    for month, version, known, rows in history.frozen:
        kept = ledger.periods.GetPeriod(pb.GetPeriodRequest(book=ledger.book, month=month, version=version))
        assert figures(kept) == rows
        day = f"{month}-{LAST_DAYS[month]}"
        asked = rp.GetTrialBalanceRequest(book=ledger.book, as_of=day, as_known_at_number=known)
        assert figures(ledger.reports.GetTrialBalance(asked)) == rows
    for month in history.closed:
        day = f"{month}-{LAST_DAYS[month]}"
        now = figures(ledger.reports.GetTrialBalance(rp.GetTrialBalanceRequest(book=ledger.book, as_of=day)))
        rows = [rows for its_month, *_, rows in history.frozen if its_month == month][-1]
        assert {code: found for code, found in now.items() if found != (0, 0)} == {
            code: found for code, found in rows.items() if found != (0, 0)
        }
    for _ in range(4):
        as_of, known = data.draw(days), data.draw(st.integers(0, last))
        code = data.draw(st.sampled_from((*ACCOUNTS, "Assets")))
        balance = ac.GetBalanceRequest(book=ledger.book, prefix=code, as_of=as_of, as_known_at_number=known)
        found = ledger.accounts.GetBalance(balance).balances
        totals = [(one.debits.minor_units, one.credits.minor_units) for one in found] or [(0, 0)]
        assert totals == [brute.balance(code, as_of, known)]
        trial = rp.GetTrialBalanceRequest(book=ledger.book, as_of=as_of, as_known_at_number=known)
        assert figures(ledger.reports.GetTrialBalance(trial)) == {
            used: brute.balance(used, as_of, known) for used in brute.used(known)
        }
    account = data.draw(st.sampled_from((*brute.used(last), "Equity:Opening")))
    since, until = data.draw(st.sampled_from(("", *DAYS))), data.draw(st.sampled_from(("", *DAYS)))
    asked_lines = rp.GetStatementRequest(
        book=ledger.book, account=account, effective_from=since, as_of=until, page_size=5
    )
    walk(history, asked_lines)
    listed = ledger.periods.ListPeriods(pb.ListPeriodsRequest(book=ledger.book, page_size=1000)).periods
    assert {one.month: one.version for one in listed} == history.versions
    closed = {one.month for one in listed if one.state == pb.PERIOD_STATE_CLOSED}
    assert closed == {month for month in history.versions if history.is_closed(month)}
    assert {one.month for one in listed if one.state == pb.PERIOD_STATE_SOFT_CLOSED} == history.soft


def test_the_books_are_sound_after_all_that(server: Ledger) -> None:
    assert server.wrong() == []
