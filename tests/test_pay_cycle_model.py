"""Any story of sessions, reversals, payouts, holds, cycles and returns: a small model says who is paid what.

The model knows lists and sums, and neither the program's code nor its SQL. After each cycle every line of the
server's is the model's; in the end every session is counted by one cycle, or was reversed before any could.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count
from typing import Any

import cycles
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import CR, Ledger, cr, dr, key, open_book, payout

from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import pay_cycles_pb2 as pb
from ledger.v1 import postings_pb2 as po

PROVIDERS = ("ada", "bob")
FORTNIGHT = timedelta(days=14)
_books = count(1)

events = st.one_of(
    st.tuples(st.just("earn"), st.sampled_from(PROVIDERS), st.integers(1, 20_000), st.integers(-20, 20)),
    st.tuples(st.just("reverse"), st.integers(0, 30), st.integers(-3, 20)),
    st.tuples(st.just("pay out"), st.sampled_from(PROVIDERS), st.integers(1, 30_000)),
    st.tuples(st.just("adjust"), st.sampled_from(PROVIDERS), st.integers(-15_000, 15_000), st.integers(-5, 20)),
    st.tuples(st.just("hold"), st.sampled_from(PROVIDERS)),
    st.tuples(st.just("release"), st.sampled_from(PROVIDERS)),
    st.tuples(st.just("cycle")),
    st.tuples(st.just("return"), st.integers(0, 30)),
)


@dataclass
class Item:
    """Something on a payable; `of_cycle` is a payment of a cycle, which is no item but can be undone."""

    entry: int
    provider: str
    amount: int
    day: date
    is_session: bool = False
    of_cycle: bool = False
    undoes: "Item | None" = None
    undone: bool = False
    counted: bool = False


@dataclass
class Model:
    """What must come of a story."""

    items: list[Item] = field(default_factory=list)
    carried: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    held: set[str] = field(default_factory=set)

    def open(self, provider: str) -> list[Item]:
        """What no cycle has counted; who was undone before that is nobody's, and so is who undid it."""
        return [
            one
            for one in self.items
            if one.provider == provider and not one.counted and not one.of_cycle and not one.undone
            if one.undoes is None or one.undoes.counted or one.undoes.of_cycle
        ]

    def line(self, provider: str, cut_off: date) -> tuple[int, str, list[Item]] | None:
        """What a cycle pays a provider, what it comes to, and what it counts."""
        due = [one for one in self.open(provider) if one.amount < 0 or one.day <= cut_off]
        if not due and not self.carried[provider]:
            return None
        if provider in self.held:
            return 0, "HELD", []
        total = self.carried[provider] + sum(one.amount for one in due)
        return (total, "PAID", due) if total > 0 else (0, "CARRIED", due)

    def payable(self, provider: str) -> int:
        """All of it."""
        return sum(one.amount for one in self.items if one.provider == provider)


class Story:
    """Tells events to the server and to the model."""

    def __init__(self, books: Ledger) -> None:
        self.books = books
        self.model = Model()
        self.cut_off = date(2026, 4, 10)
        self.paid: list[tuple[str, Item]] = []
        calendar = pb.PayCalendar(every_days=14, first_cut_off=self.cut_off.isoformat(), days_to_payment=3)
        cycles.calendar_set(books, calendar)
        cycles.payee_set(books, *PROVIDERS)

    def tell(self, event: tuple[Any, ...]) -> None:
        name, *said = event
        getattr(self, f"_{name.replace(' ', '_')}")(*said)

    def _day(self, days: int) -> date:
        return self.cut_off + timedelta(days=days)

    def _earn(self, provider: str, cents: int, days: int) -> None:
        day = self._day(days)
        rate = f"{cents // 100}.{cents % 100:02}"
        entry = cycles.earned(self.books, key(), provider, rate, day.isoformat())
        self.model.items.append(Item(entry, provider, cents, day, is_session=True))

    def _reverse(self, chosen: int, days: int) -> None:
        able = [one for one in self.model.items if not one.undone and not one.undoes and not one.of_cycle]
        if able:
            self._undo(able[chosen % len(able)], self._day(days))

    def _undo(self, one: Item, day: date) -> None:
        asked = po.ReverseEntryRequest(
            book=self.books.book,
            idempotency_key=key(),
            number=one.entry,
            effective_date=day.isoformat(),
            reason="x",
        )
        entry = self.books.postings.ReverseEntry(asked).entry.number
        one.undone = True
        self.model.items.append(Item(entry, one.provider, -one.amount, day, undoes=one))

    def _pay_out(self, provider: str, cents: int) -> None:
        cents = min(cents, self.model.payable(provider))
        if cents > 0:
            amount, day = f"{cents // 100}.{cents % 100:02}", self._day(0)
            asked = payout(provider, amount, day.isoformat(), book=self.books.book)
            entry = self.books.postings.PayProvider(asked).entry.number
            self.model.items.append(Item(entry, provider, -cents, day))

    def _adjust(self, provider: str, cents: int, days: int) -> None:
        if cents:
            amount, day = f"{abs(cents) // 100}.{abs(cents) % 100:02}", self._day(days)
            payable, other = f"Liabilities:Payable:Provider:{provider}", "Expenses:ProviderServices"
            lines = (
                (cr(payable, amount), dr(other, amount)) if cents > 0 else (dr(payable, amount), cr(other, amount))
            )
            entry = self.books.post(day.isoformat(), *lines).number
            self.model.items.append(Item(entry, provider, cents, day))

    def _hold(self, provider: str) -> None:
        cycles.held(self.books, provider)
        self.model.held.add(provider)

    def _release(self, provider: str) -> None:
        cycles.released(self.books, provider)
        self.model.held.discard(provider)

    def _cycle(self) -> None:
        """The next cycle is paid; each line, and what it counted, is the model's."""
        name = self.cut_off.isoformat()
        expected = {one: self.model.line(one, self.cut_off) for one in PROVIDERS}
        if any(expected.values()):
            cycles.paid(self.books, name)
            found = cycles.lines(self.books, cycle=name)
            assert found.keys() == {one for one, line in expected.items() if line}
            for provider, line in found.items():
                self._compare(name, line, expected[provider])
            cycles.sent(self.books, name)
        self.cut_off += FORTNIGHT

    def _compare(self, name: str, line: pb.PayLine, expected: Any) -> None:
        amount, outcome, counted = expected
        told = pb.PayLineOutcome.Name(line.outcome).removeprefix("PAY_LINE_OUTCOME_")
        paid = line.amount.minor_units if line.entry_number else 0
        assert (paid, told) == (amount, outcome)
        statement = cycles.statement(self.books, name, line.provider, size=3)
        assert {(one.entry_number, one.amount.minor_units) for one in statement.items} == {
            (one.entry, one.amount) for one in counted
        }
        if outcome != "HELD":
            due = self.model.carried[line.provider] + sum(one.amount for one in counted)
            self.model.carried[line.provider] = due - amount
            assert statement.closing.minor_units == due - amount
        for one in counted:
            one.counted = True
        if amount:
            self.model.items.append(Item(line.entry_number, line.provider, -amount, self.cut_off, of_cycle=True))
            self.paid.append((name, self.model.items[-1]))

    def _return(self, chosen: int) -> None:
        able = [(name, one) for name, one in self.paid if not one.undone]
        if able:
            name, one = able[chosen % len(able)]
            entry = cycles.returned(self.books, name, one.provider, self.cut_off.isoformat()).entry_number
            one.undone = True
            self.model.items.append(Item(entry, one.provider, -one.amount, self.cut_off, undoes=one))

    def end(self) -> None:
        """Everybody is released, and two more cycles are paid: nobody is left out."""
        for provider in PROVIDERS:
            self._release(provider)
        self.cut_off += FORTNIGHT + FORTNIGHT
        self._cycle()
        self._cycle()
        counted = Counter(
            item.entry_number
            for found in self.books.pay_cycles.ListPayCycles(pb.ListPayCyclesRequest(book=self.books.book)).cycles
            for provider in cycles.lines(self.books, cycle=found.cycle)
            for item in cycles.statement(self.books, found.cycle, provider).items
            if item.kind == pb.PAY_ITEM_KIND_SESSION
        )
        sessions = [one for one in self.model.items if one.is_session]
        assert counted == {one.entry: 1 for one in sessions if one.counted}
        assert all(one.counted or one.undone for one in sessions)
        for provider in PROVIDERS:
            owed = self.model.payable(provider)
            assert owed <= 0, "something is left to pay"
            assert owed == self.model.carried[provider]
            assert self._balance(provider) == owed

    def _balance(self, provider: str) -> int:
        asked = ac.GetBalanceRequest(book=self.books.book, prefix=f"Liabilities:Payable:Provider:{provider}")
        found = self.books.accounts.GetBalance(asked).balances
        return sum(one.amount.minor_units * (1 if one.side == CR else -1) for one in found)


@pytest.fixture(scope="module", autouse=True)
def all_sound(server: Ledger) -> Any:
    yield
    assert server.wrong() == []


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(events, min_size=5, max_size=25))
def test_every_session_is_paid_once_whatever_happens(server: Ledger, story: list[tuple[Any, ...]]) -> None:
    books = server.of(f"model-{next(_books)}")
    open_book(books, books.book)
    told = Story(books)
    for event in story:
        told.tell(event)
    told.end()
