"""As of a day, as known at an entry: both axes at once against brute force over the entries, whatever is totalled.

Hypothesis thinks up histories with back-dated entries and reversals. What is right is a plain sum over a list.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib.resources import files
from itertools import count
from typing import Any

import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import BOOK, CR, DR, Ledger, cr, dr, entry, key, minor, open_book, refused, set_by_hand, standing
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.accounts import recorded
from ledger.accounts.store import ALL_RECORDED
from ledger.database import engine, query, reading, recording
from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import postings_pb2 as po
from ledger.v1 import reports_pb2 as rp
from service import upkeep

SMALL = ((2, 2), (4, 1), (12, 1))
"""Segments so small that a short history has many, and an account of one posting is left out of the smallest."""
ACCOUNTS = ("Assets:Cash", "Equity:Opening", "Assets:Receivable:Insurer:AETNA", "Assets:Receivable:Patient")
ITEMS = ("C1", "C2")
FIRST_DAY = date(2026, 3, 1)
DAYS = [(FIRST_DAY + timedelta(days=day)).isoformat() for day in range(6)]
FAR = "2027-01-31"
LEFT = text("""
    SELECT count(*) FROM recorded_levels AS l JOIN heads AS h ON h.book = l.book
    WHERE l.number + l.size <= h.number
""")
_books = count(1)

Line = tuple[str, int, str]


@dataclass
class Brute:
    """Entries as they were posted, number 1 first, each with its day and its lines, debit positive."""

    entries: list[tuple[str, list[Line]]] = field(default_factory=list)

    def lines(self, as_of: str, known: int, since: str = "") -> Iterator[tuple[str, int, int, Line]]:
        """In the order of day, number and line."""
        found = [
            (day, number, place, line)
            for number, (day, lines) in enumerate(self.entries[:known], 1)
            for place, line in enumerate(lines, 1)
            if since <= day <= as_of
        ]
        yield from sorted(found)

    def balance(self, code: str, as_of: str, known: int, item: str = "") -> tuple[int, int]:
        """Debits and credits of an account and of all below it."""
        amounts = [
            amount
            for *_, (account, amount, tag) in self.lines(as_of, known)
            if (account == code or account.startswith(f"{code}:")) and (not item or tag == item)
        ]
        return sum(a for a in amounts if a > 0), -sum(a for a in amounts if a < 0)

    def used(self, known: int) -> list[str]:
        return sorted({account for *_, (account, _, _) in self.lines(FAR, known)})


# --- histories ----------------------------------------------------------------------------------------

days = st.sampled_from(DAYS)
posted = st.tuples(
    st.just("post"), days, st.permutations(ACCOUNTS), st.integers(1, 999), st.sampled_from(ITEMS), st.booleans()
)
reversed_ = st.tuples(st.just("reverse"), days, st.integers(0, 99))
filled = st.tuples(st.just("fill"), st.integers(1, 9))
histories = st.lists(st.one_of(posted, posted, posted, reversed_, filled), min_size=1, max_size=30)


@dataclass
class History:
    """A book of its own, and beside it the list of what was posted."""

    ledger: Ledger
    database: AsyncEngine
    brute: Brute = field(default_factory=Brute)
    reversed: set[int] = field(default_factory=set)

    def post(self, day: str, accounts: list[str], amount: int, item: str, three: bool) -> None:
        lines: list[Line] = [(accounts[0], amount, item), (accounts[1], -amount, item)]
        if three:  # two lines of one account in one entry
            lines = [(accounts[0], amount, item), (accounts[0], 1, item), (accounts[1], -amount - 1, item)]
        asked = [
            po.Posting(account=code, side=DR if units > 0 else CR, amount=minor(abs(units)), item=tag)
            for code, units, tag in lines
        ]
        self.ledger.post(day, *asked)
        self.brute.entries.append((day, lines))

    def reverse(self, day: str, which: int) -> None:
        open_ = [n for n in range(1, len(self.brute.entries) + 1) if n not in self.reversed]
        if not open_:
            return
        number = open_[which % len(open_)]
        asked = po.ReverseEntryRequest(
            book=self.ledger.book, idempotency_key=key(), number=number, effective_date=day, reason="wrong"
        )
        self.ledger.postings.ReverseEntry(asked)
        lines = [(code, -units, tag) for code, units, tag in self.brute.entries[number - 1][1]]
        self.brute.entries.append((day, lines))
        self.reversed |= {number, len(self.brute.entries)}

    def fill(self, steps: int) -> None:
        self.ledger.loop.run(fill(self.database, steps))


async def fill(database: AsyncEngine, steps: int) -> None:
    async with recording(database) as connection:
        await recorded.prepare(connection, SMALL)
    filling = recorded.Filling(accounts_at_once=1)
    for _ in range(steps):
        await filling.step(database)


async def fill_all(url: str) -> None:
    """Until nothing is left, whoever fills it: the server does so by itself as well."""
    database = engine(url)
    await fill(database, 1)
    while await left(database):
        await recorded.fill(database)
    await database.dispose()


async def left(database: AsyncEngine) -> int:
    async with reading(database) as connection:
        return int((await connection.execute(LEFT)).scalar_one())


@pytest.fixture(scope="module")
def filling(server: Ledger) -> Iterator[AsyncEngine]:
    made = engine(server.url, pool_size=1)
    yield made
    server.loop.run(made.dispose())


def told(server: Ledger, filling: AsyncEngine, steps: list[Any]) -> History:
    name = f"history-{next(_books)}"
    open_book(server, name)
    history = History(server.of(name), filling)
    opening = ac.OpenAccountRequest(book=name, code="Equity:Opening", currency_code="USD")
    server.accounts.OpenAccount(opening)
    for what, *more in steps:
        getattr(history, what)(*more)
    return history


# --- both axes against brute force --------------------------------------------------------------------

FEW = settings(max_examples=30, deadline=None, suppress_health_check=[*HealthCheck])


@FEW
@given(steps=histories, data=st.data())
def test_balances(server: Ledger, filling: AsyncEngine, steps: list[Any], data: st.DataObject) -> None:
    history = told(server, filling, steps)
    last = len(history.brute.entries)
    for _ in range(12):
        code = data.draw(st.sampled_from((*ACCOUNTS, "Assets", "Assets:Receivable")))
        as_of, known = data.draw(st.sampled_from(("", *DAYS))), data.draw(st.integers(0, last))
        asked = ac.GetBalanceRequest(book=history.ledger.book, prefix=code, as_of=as_of, as_known_at_number=known)
        found = history.ledger.accounts.GetBalance(asked)
        totals = [(one.debits.minor_units, one.credits.minor_units) for one in found.balances] or [(0, 0)]
        assert totals == [history.brute.balance(code, as_of or FAR, known)], (code, as_of, known)
        assert found.as_known_at_number == known


@FEW
@given(steps=histories, data=st.data())
def test_trial_balances(server: Ledger, filling: AsyncEngine, steps: list[Any], data: st.DataObject) -> None:
    history = told(server, filling, steps)
    for _ in range(6):
        as_of, known = data.draw(days), data.draw(st.integers(0, len(history.brute.entries)))
        asked = rp.GetTrialBalanceRequest(book=history.ledger.book, as_of=as_of, as_known_at_number=known)
        found = history.ledger.reports.GetTrialBalance(asked)
        rows = {
            row.account: (row.balance.debits.minor_units, row.balance.credits.minor_units) for row in found.rows
        }
        assert [*rows] == history.brute.used(known)
        assert rows == {code: history.brute.balance(code, as_of, known) for code in history.brute.used(known)}


@settings(FEW, max_examples=20)
@given(steps=histories, data=st.data())
def test_statements(server: Ledger, filling: AsyncEngine, steps: list[Any], data: st.DataObject) -> None:
    """All pages together, while more is posted between one page and the next."""
    history = told(server, filling, steps)
    last = len(history.brute.entries)
    for _ in range(3):
        account, item = data.draw(st.sampled_from(("", *ACCOUNTS))), data.draw(st.sampled_from(("", *ITEMS)))
        if not account and not item:
            item = ITEMS[0]
        since, as_of = data.draw(st.sampled_from(("", *DAYS))), data.draw(st.sampled_from(("", *DAYS)))
        known = data.draw(st.one_of(st.none(), st.integers(0, last)))
        asked = rp.GetStatementRequest(
            book=history.ledger.book,
            account=account,
            item=item,
            effective_from=since,
            as_of=as_of,
            as_known_at_number=known,
            page_size=data.draw(st.integers(2, 9)),
        )
        if account and account not in ("Equity:Opening", *history.brute.used(last)):
            assert refused(history.ledger.reports.GetStatement, asked).reason == "ACCOUNT_NOT_FOUND"
            continue
        walk(history, asked)
        last = len(history.brute.entries)


def walk(history: History, asked: rp.GetStatementRequest) -> None:
    """Every page against brute force, with another entry posted and a segment filled after each."""
    known = asked.as_known_at_number if asked.WhichOneof("as_known_at") else len(history.brute.entries)
    running: Counter[str] = Counter()
    expected = []
    for day, number, place, (account, units, tag) in history.brute.lines(asked.as_of or FAR, known):
        if asked.account in ("", account) and asked.item in ("", tag):
            running[account] += units
            if day >= asked.effective_from:
                expected.append((day, number, place, account, units, tag, running[account]))
    found: list[Any] = []
    while True:
        page = history.ledger.reports.GetStatement(asked)
        assert page.as_known_at_number == known
        assert len(page.lines) <= asked.page_size
        found.extend(map(read, page.lines))
        check_ends(history, asked, page, known)
        if not page.next_page_token:
            break
        asked.page_token = page.next_page_token
        if len(found) <= 2 * asked.page_size:
            history.post(DAYS[0], list(ACCOUNTS), 7, ITEMS[0], True)
            history.fill(1)
    assert found == expected


def read(line: rp.StatementLine) -> tuple[Any, ...]:
    posting, balance = line.posting, line.balance
    units = posting.amount.minor_units * (1 if posting.side == DR else -1)
    stands = balance.amount.minor_units * (-1 if balance.side == CR else 1)
    return line.effective_date, line.entry_number, line.line, posting.account, units, posting.item, stands


def check_ends(history: History, asked: rp.GetStatementRequest, page: rp.GetStatementResponse, known: int) -> None:
    """Opening and closing balances, the same on every page."""
    before = (
        (date.fromisoformat(asked.effective_from) - timedelta(days=1)).isoformat() if asked.effective_from else ""
    )
    for until, ends in ((before, page.opening), (asked.as_of or FAR, page.closing)):
        for end in ends:
            totals = end.balance.debits.minor_units, end.balance.credits.minor_units
            assert totals == history.brute.balance(end.account, until, known, asked.item)
    touched = {
        account
        for *_, (account, _, tag) in history.brute.lines(FAR, known)
        if asked.account in ("", account) and asked.item in ("", tag)
    }
    assert touched <= {end.account for end in page.closing}


# --- what was known when ------------------------------------------------------------------------------


@pytest.fixture
def books(ledger: Ledger) -> Ledger:
    """Three entries, the second back-dated, each recorded at a moment of its own."""
    ledger.accounts.OpenAccount(ac.OpenAccountRequest(book=BOOK, code="Equity:Opening", currency_code="USD"))
    for day, amount in (("2026-03-31", "10.00"), ("2026-02-28", "5.00"), ("2026-04-01", "1.00")):
        ledger.post(day, dr("Assets:Cash", amount), cr("Equity:Opening", amount))
    return ledger


def asked_at(**known: Any) -> ac.GetBalanceRequest:
    return ac.GetBalanceRequest(book=BOOK, account="Assets:Cash", as_of="2026-03-31", **known)


def told_at(ledger: Ledger, **known: Any) -> tuple[str, int]:
    found = ledger.accounts.GetBalance(asked_at(**known))
    return standing(found.balances[0]), found.as_known_at_number


def test_known_at_a_time_is_known_at_the_last_entry_recorded_by_then(books: Ledger) -> None:
    recorded_at = [one.recorded_at for one in books.entries()]
    early = Timestamp(seconds=recorded_at[0].seconds - 1)
    assert told_at(books, as_known_at_time=early) == ("0.00", 0)
    assert told_at(books, as_known_at_time=recorded_at[0]) == ("10.00 Dr", 1)
    assert told_at(books, as_known_at_time=recorded_at[1]) == ("15.00 Dr", 2)
    assert told_at(books, as_known_at_time=recorded_at[2]) == ("15.00 Dr", 3)
    just_before = Timestamp(seconds=recorded_at[1].seconds, nanos=recorded_at[1].nanos)
    just_before.FromMicroseconds(recorded_at[1].ToMicroseconds() - 1)
    assert told_at(books, as_known_at_time=just_before) == ("10.00 Dr", 1)
    assert told_at(books) == ("15.00 Dr", 3)


def test_entries_of_one_batch_are_known_together(books: Ledger) -> None:
    """They have one time of recording."""
    lines = dr("Assets:Cash", "1.00"), cr("Equity:Opening", "1.00")
    asked = po.PostEntriesRequest(book=BOOK, entries=[entry("2026-03-01", *lines) for _ in range(4)])
    answer = books.postings.PostEntries(asked)
    time = answer.results[0].entry.recorded_at
    assert {result.entry.recorded_at.ToNanoseconds() for result in answer.results} == {time.ToNanoseconds()}
    assert told_at(books, as_known_at_time=time) == ("19.00 Dr", 7)


def test_the_future_is_not_known(books: Ledger) -> None:
    found = refused(books.accounts.GetBalance, asked_at(as_known_at_time=Timestamp(seconds=4102444800)))
    assert (found.code, found.reason) == ("FAILED_PRECONDITION", "TIME_IN_FUTURE")
    assert found.facts["time"] == "2100-01-01T00:00:00+00:00"
    assert found.facts["now"] < found.facts["time"]


def test_the_same_question_has_the_same_answer_for_ever(books: Ledger) -> None:
    trial = rp.GetTrialBalanceRequest(book=BOOK, as_of="2026-03-31")
    first = books.reports.GetTrialBalance(trial)
    books.post("2026-03-15", dr("Assets:Cash", "100.00"), cr("Equity:Opening", "100.00"))
    trial.as_known_at_number = first.as_known_at_number
    assert books.reports.GetTrialBalance(trial) == first
    assert told_at(books, as_known_at_number=first.as_known_at_number) == ("15.00 Dr", 3)


# --- the totals themselves ----------------------------------------------------------------------------


@pytest.fixture
def totalled(books: Ledger) -> Ledger:
    """Ten entries, and the totals of all segments that are complete."""
    for place in range(7):
        books.post(DAYS[place % 3], dr("Assets:Cash", "2.00"), cr("Equity:Opening", "2.00"))

    asyncio.run(fill_all(books.url))
    return books


def rows(ledger: Ledger, sql: str) -> list[Any]:
    with psycopg.connect(ledger.url.replace("+psycopg", ""), autocommit=True) as owner:
        cursor = owner.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def test_totals_follow_the_head_in_whole_segments(totalled: Ledger) -> None:
    levels = "SELECT size, number FROM recorded_levels WHERE book = 'main' AND size < 100 ORDER BY size"
    assert rows(totalled, levels) == [(2, 10), (4, 8), (12, 0)]
    assert totalled.wrong() == []


def test_what_is_not_filled_is_not_read(totalled: Ledger) -> None:
    """Totals beyond the mark are as if they were not there."""
    rows(totalled, "UPDATE recorded_levels SET number = 4 WHERE size < 12")
    rows(totalled, "UPDATE recorded_totals SET debits = array_fill(0, ARRAY[cardinality(days)]) WHERE number > 4")
    assert told_at(totalled, as_known_at_number=9) == ("27.00 Dr", 9)


MORE = "INSERT INTO recorded_totals VALUES ('main', '%s', '{2026-12-24}', '{9}', '{9}')"
OF_CASH = "WHERE size = 4 AND number = 8 AND account = 'Assets:Cash'"
TAMPERED = {
    "a total": f"UPDATE recorded_totals SET debits[2] = debits[2] + 1 {OF_CASH}",
    "a day": f"UPDATE recorded_totals SET days[1] = days[1] - 1 {OF_CASH}",
    "the order of days": f"""
        UPDATE recorded_totals SET days[1] = days[2], days[2] = days[1],
            debits[1] = debits[2], debits[2] = debits[1], credits[1] = credits[2], credits[2] = credits[1]
        {OF_CASH}
    """,
    "a day too many": f"""
        UPDATE recorded_totals SET days = days || DATE '2026-12-24', debits = debits || debits[cardinality(days)],
            credits = credits || credits[cardinality(days)]
        {OF_CASH}
    """,
    "a total taken away": "DELETE FROM recorded_totals WHERE size = 2 AND number = 2 AND account ~ 'Cash'",
    "a total too many": MORE % "Assets:Seldom', '2', '2",
    "a total of a segment to come": MORE % "Assets:Cash', '12', '12",
}


@pytest.mark.parametrize("case", TAMPERED)
def test_a_total_that_is_wrong_is_found(totalled: Ledger, case: str) -> None:
    rows(totalled, TAMPERED[case])
    assert {fault.partition(":")[0] for fault in totalled.wrong()} == {"recorded_totals"}


def test_a_mark_beyond_the_head_is_found(totalled: Ledger) -> None:
    rows(totalled, "UPDATE recorded_levels SET number = 12 WHERE size = 2")
    assert "recorded_levels" in {fault.partition(":")[0] for fault in totalled.wrong()}


@FEW
@given(steps=histories, at_once=st.integers(1, 3), look_at=st.integers(1, 5))
def test_totals_are_the_sums_over_the_postings(
    server: Ledger, filling: AsyncEngine, steps: list[Any], at_once: int, look_at: int
) -> None:
    """Row for row, whether a segment is added up from postings, or from smaller ones in parts."""
    history = told(server, filling, [step for step in steps if step[0] != "fill"])
    book = history.ledger.book

    async def filled() -> None:
        async with recording(filling) as connection:
            await recorded.prepare(connection, SMALL)
        some = recorded.Filling(at_once, look_at)
        while await some.step(filling):
            pass

    server.loop.run(filled())
    columns = "account, size, number, CAST(days AS text[]), debits, credits"
    found = rows(server, f"SELECT {columns} FROM recorded_totals WHERE book = '{book}'")
    assert sorted(found) == sorted(totals(history.brute))


def totals(brute: Brute) -> Iterator[tuple[str, int, int, list[str], list[int], list[int]]]:
    """What must be kept for each account and each complete segment."""
    for size, fewest in SMALL:
        for number in range(size, len(brute.entries) + 1, size):
            segment = Brute(brute.entries[number - size : number])
            for account in segment.used(size):
                lines = [(day, line) for day, *_, line in segment.lines(FAR, size) if line[0] == account]
                if len(lines) >= fewest:
                    days = sorted({day for day, _ in lines})
                    stood = [segment.balance(account, day, size) for day in days]
                    yield account, size, number, days, [one for one, _ in stood], [one for _, one in stood]


HALF = "SELECT account FROM recorded_totals WHERE size = 12 ORDER BY account"
LEVEL = "SELECT number FROM recorded_levels WHERE book = 'main' AND size = 12"


@pytest.fixture
def half(books: Ledger) -> Iterator[tuple[Ledger, AsyncEngine, recorded.Filling]]:
    """Fourteen entries; of the segment of twelve, one account of two is filled."""
    books.postings.PostEntries(entries_of_cash(11))
    database = engine(books.url, pool_size=1)
    some = recorded.Filling(accounts_at_once=1)

    async def half_filled() -> None:
        await fill(database, 0)
        while (step := await some.step(database)) and step.size < 12:
            assert step.whole or step.size == 4
        assert step == recorded.Filled(BOOK, 12, 12, whole=False)

    books.loop.run(half_filled())
    yield books, database, some
    books.loop.run(database.dispose())


async def stepped(database: AsyncEngine, *several: recorded.Filling) -> None:
    """In turns, until nothing is left."""
    while all([await one.step(database) for one in several]):
        pass


Half = tuple[Ledger, AsyncEngine, recorded.Filling]


def test_what_is_half_filled_is_sound_and_not_read(half: Half) -> None:
    ledger, *_ = half
    assert (rows(ledger, HALF), rows(ledger, LEVEL)) == ([("Assets:Cash",)], [(0,)])
    assert ledger.wrong() == []
    assert told_at(ledger, as_known_at_number=13) == ("25.00 Dr", 13)
    rows(ledger, "UPDATE recorded_totals SET debits[1] = debits[1] + 1 WHERE size = 12")
    assert told_at(ledger, as_known_at_number=13) == ("25.00 Dr", 13)
    assert {fault.partition(":")[0] for fault in ledger.wrong()} == {"recorded_totals"}


def test_whoever_comes_later_fills_what_is_missing_and_nothing_twice(half: Half) -> None:
    """As after a crash, and as two servers that take turns."""
    ledger, database, some = half
    kept = "SELECT ctid, xmin FROM recorded_totals WHERE size = 12 AND account = 'Assets:Cash'"
    before = rows(ledger, kept)
    ledger.loop.run(stepped(database, recorded.Filling(1), some))
    assert (rows(ledger, HALF), rows(ledger, LEVEL)) == ([("Assets:Cash",), ("Equity:Opening",)], [(12,)])
    assert rows(ledger, kept) == before
    assert ledger.wrong() == []


def test_what_is_taken_away_meanwhile_is_filled_anew(half: Half) -> None:
    """Where it had come to is no proof of what is there."""
    ledger, database, some = half
    rows(ledger, "TRUNCATE recorded_totals; UPDATE recorded_levels SET number = 0")
    ledger.loop.run(stepped(database, some))
    assert (rows(ledger, HALF), rows(ledger, LEVEL)) == ([("Assets:Cash",), ("Equity:Opening",)], [(12,)])
    assert ledger.wrong() == []


def test_a_segment_waits_for_the_smaller_ones_that_it_is_added_up_from(half: Half) -> None:
    """Somebody holds the smaller ones: the larger is not filled from fewer of them."""
    ledger, database, _ = half
    rows(
        ledger,
        "DELETE FROM recorded_totals WHERE number = 12 AND size >= 4;"
        "UPDATE recorded_levels SET number = 8 WHERE size = 4",
    )
    with psycopg.connect(ledger.url.replace("+psycopg", "")) as other:
        other.execute("SELECT FROM recorded_levels WHERE size = 4 FOR UPDATE")
        ledger.loop.run(stepped(database, recorded.Filling()))
        assert (rows(ledger, HALF), rows(ledger, LEVEL)) == ([], [(0,)])
    ledger.loop.run(stepped(database, recorded.Filling()))
    assert ledger.wrong() == []
    assert rows(ledger, LEVEL) == [(12,)]


def test_a_round_of_upkeep_fills_all_small_segments_and_a_part_of_a_large_one(books: Ledger) -> None:
    books.postings.PostEntries(entries_of_cash(11))
    some = recorded.Filling(accounts_at_once=1)

    async def rounds() -> None:
        database = engine(books.url, pool_size=1)
        await fill(database, 0)
        for accounts, mark in ((1, 0), (2, 0), (2, 12)):
            await upkeep.follow(database, some, seconds_of_parts=1e-9)
            smaller = "SELECT number FROM recorded_levels WHERE size IN (2, 4) ORDER BY size"
            assert rows(books, smaller) == [(14,), (12,)]
            assert (len(rows(books, HALF)), rows(books, LEVEL)) == (accounts, [(mark,)])
        await database.dispose()

    books.loop.run(rounds())


def test_several_fill_together_and_nothing_twice(books: Ledger) -> None:
    """A level that somebody fills is left to him; what they make together is whole."""
    books.postings.PostEntries(entries_of_cash(60))

    async def together() -> None:
        database = engine(books.url)
        await fill(database, 0)
        await asyncio.gather(*(stepped(database, recorded.Filling(at_once)) for at_once in (1, 1, 2, 3, 200)))
        await database.dispose()
        await fill_all(books.url)

    asyncio.run(together())
    assert rows(books, "SELECT number FROM recorded_levels WHERE size IN (2, 4, 12) ORDER BY size") == [
        (62,),
        (60,),
        (60,),
    ]
    assert books.wrong() == []


def entries_of_cash(count: int) -> po.PostEntriesRequest:
    lines = dr("Assets:Cash", "1.00"), cr("Equity:Opening", "1.00")
    return po.PostEntriesRequest(book=BOOK, entries=[entry(DAYS[n % 6], *lines) for n in range(count)])


@pytest.mark.parametrize("account", ["Assets:Cash", "Assets:Seldom"])
def test_what_a_question_reads_does_not_grow_with_the_books(books: Ledger, account: str) -> None:
    """Wherever the entry lies: a total a segment, and the postings behind the last one. Counted, not timed."""
    opening = ac.OpenAccountRequest(book=BOOK, code="Assets:Seldom", currency_code="USD")
    books.accounts.OpenAccount(opening)
    most = 0
    for _ in range(3):
        books.postings.PostEntries(entries_of_cash(90))
        books.post(DAYS[0], dr("Assets:Seldom", "1.00"), cr("Equity:Opening", "1.00"))
        asyncio.run(fill_all(books.url))
        head = rows(books, "SELECT number FROM heads WHERE book = 'main'")[0][0]
        read = [rows_read(books, account, known) for known in (7, head // 3, head // 2, head - 1)]
        most = max(most, *(postings for postings, _ in read))
        assert max(totals for _, totals in read) <= head // 12 + 2 + 2 + 2
    assert most <= 2 * (2 + 2)  # two lines an entry: a smallest segment without the account, and the rest


def test_a_balance_over_all_days_is_one_row_however_many_the_days(books: Ledger) -> None:
    for day in DAYS:
        books.post(day, dr("Assets:Cash", "1.00"), cr("Equity:Opening", "1.00"))
    every_day = tables_read(books, "Assets:Cash", ALL_RECORDED, "infinity")
    assert every_day["balances"]
    assert not every_day["daily_totals"]
    some_days = tables_read(books, "Assets:Cash", ALL_RECORDED, DAYS[3])
    assert some_days["daily_totals"]
    assert not some_days["balances"]


def rows_read(ledger: Ledger, account: str, known: int) -> tuple[int, int]:
    """How many postings, and how many totals, PostgreSQL reads for one balance as of a day."""
    found = tables_read(ledger, account, known, DAYS[3])
    return found["postings"], found["recorded_totals"]


def tables_read(ledger: Ledger, account: str, known: int, as_of: str) -> Counter[str]:
    """How many rows of each table PostgreSQL reads for one balance."""
    sql = files("ledger.accounts").joinpath("balance.sql").read_text()
    asked = set_by_hand(sql, book=BOOK, code=account, below="false", as_of=as_of, as_known_at=str(known)).decode()
    [[plan]] = rows(ledger, f"EXPLAIN (ANALYZE, FORMAT JSON) {asked}")
    found: Counter[str] = Counter()
    for node in nodes(plan[0]["Plan"]):
        relation = str(node.get("Relation Name", "")).rstrip("0123456789_")
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        found[relation] += round((node["Actual Rows"] + removed) * node["Actual Loops"])
    return found


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def test_totals_are_filled_anew_as_the_migration_says(totalled: Ledger) -> None:
    every_row = "SELECT CAST(t AS text) FROM recorded_totals AS t ORDER BY t"
    before = rows(totalled, every_row)
    rows(totalled, "TRUNCATE recorded_totals; UPDATE recorded_levels SET number = 0")
    asyncio.run(fill_all(totalled.url))
    assert rows(totalled, every_row) == before != []


def test_the_statement_that_an_auditor_pastes_is_the_one_that_pages_make(totalled: Ledger) -> None:
    sql = files("ledger.reports").joinpath("statement.sql").read_text()
    asked = rp.GetStatementRequest(
        book=BOOK, account="Assets:Cash", effective_from=DAYS[1], as_of=DAYS[2], as_known_at_number=9, page_size=2
    )
    found: list[Any] = []
    while not found or asked.page_token:
        page = totalled.reports.GetStatement(asked)
        found.extend(read(line) for line in page.lines)
        asked.page_token = page.next_page_token
    variables = {"account": "Assets:Cash", "item": "", "effective_from": DAYS[1], "as_of": DAYS[2]}
    pasted = rows(totalled, set_by_hand(sql, book=BOOK, as_known_at="9", **variables).decode())
    assert len(found) > 2
    assert [
        (str(day), number, line, code, dr_ - cr_, item or "", balance)
        for (day, number, line, _, _, _, code, item, _, dr_, cr_, balance) in pasted
    ] == found


@pytest.mark.parametrize("as_known_at", ["3", "9", "9223372036854775807"])
def test_an_auditor_can_paste_the_balance_into_psql(totalled: Ledger, as_known_at: str) -> None:
    with psycopg.connect(totalled.url.replace("+psycopg", "")) as connection:
        for name in ("balance.sql", "known_at.sql"):
            query("ledger.accounts", name)  # the program reads it too
            sql = files("ledger.accounts").joinpath(name).read_text()
            variables = {"code": "Assets", "below": "true", "as_of": "infinity", "time": "2100-01-01"}
            filled_in = set_by_hand(sql, book=BOOK, as_known_at=as_known_at, **variables)
            assert connection.execute(filled_in).fetchall()
