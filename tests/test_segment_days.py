"""Entries of some days, page by page: what is listed, and how little of the book is read for it.

Hypothesis thinks up histories with back-dated entries. What is right is a plain choice from a list.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count
from typing import Any

import psycopg
import pytest
from conftest import connected
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import BOOK, CR, DR, Ledger, cr, dr, entry, key, minor, open_book
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from test_financial import walked

from ledger.accounts import store as accounts
from ledger.database import engine, reading, recording
from ledger.money import Amount
from ledger.postings import journal, listing, segments
from ledger.postings.batch import Request, Submission
from ledger.postings.commands import Post
from ledger.postings.entry import JournalEntry, Kind, credit, debit
from ledger.postings.listing import Narrowed
from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import postings_pb2 as po
from ledger.v1 import reports_pb2 as rp
from service import upkeep

ACCOUNTS = ("Assets:Cash", "Equity:Opening", "Revenue:Interest")
ITEMS = ("", "C1", "C2")
FIRST_DAY = date(2026, 3, 1)
DAYS = [(FIRST_DAY + timedelta(days=day)).isoformat() for day in range(12)]
_books = count(1)

# --- histories ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class One:
    """An entry as it was posted."""

    number: int
    day: str
    accounts: frozenset[str]
    items: frozenset[str]
    kind: str

    def is_of(self, asked: dict[str, Any]) -> bool:
        return (
            asked.get("effective_from", "") <= self.day <= asked.get("effective_to", "9999")
            and asked.get("account", "") in ("", *self.accounts)
            and asked.get("item", "") in ("", *self.items)
            and asked.get("kind", 0) in (0, po.Kind.Value(self.kind))
        )


@dataclass
class History:
    """A book of its own, and beside it the list of what was posted."""

    ledger: Ledger
    database: AsyncEngine
    size: int
    posted: list[One] = field(default_factory=list)
    reversed: set[int] = field(default_factory=set)

    def post(self, place: int, pair: list[str], items: tuple[str, str]) -> None:
        """About as late as it comes, and now and then much earlier or later."""
        day = DAYS[min(max(len(self.posted) // 4 + place, 0), len(DAYS) - 1)]
        lines = [
            po.Posting(account=pair[0], side=DR, amount=minor(5), item=items[0]),
            po.Posting(account=pair[1], side=CR, amount=minor(5), item=items[1]),
        ]
        self.ledger.post(day, *lines)
        self._add(day, frozenset(pair[:2]), frozenset(items) - {""}, "KIND_MANUAL")

    def reverse(self, place: int, which: int) -> None:
        """Undoes an entry that is not a reversal, in an entry of another kind."""
        open_ = [one for one in self.posted if one.number not in self.reversed]
        if open_:
            day, one = DAYS[place % len(DAYS)], open_[which % len(open_)]
            asked = po.ReverseEntryRequest(
                book=self.ledger.book, idempotency_key=key(), number=one.number, effective_date=day, reason="wrong"
            )
            self.ledger.postings.ReverseEntry(asked)
            self._add(day, one.accounts, one.items, "KIND_REVERSAL")
            self.reversed |= {one.number, len(self.posted)}

    def fill(self) -> None:
        """What is posted from now on lies behind the last segment."""
        self.ledger.loop.run(segments.fill(self.database, self.size))

    def _add(self, day: str, accounts: frozenset[str], items: frozenset[str], kind: str) -> None:
        self.posted.append(One(len(self.posted) + 1, day, accounts, items, kind))


posted = st.tuples(
    st.just("post"),
    st.sampled_from((-9, -3, -1, 0, 0, 0, 0, 1, 9)),
    st.permutations(ACCOUNTS),
    st.tuples(st.sampled_from(ITEMS), st.sampled_from(ITEMS)),
)
reversed_ = st.tuples(st.just("reverse"), st.integers(0, 11), st.integers(0, 99))
histories = st.lists(st.one_of(posted, posted, posted, reversed_, st.just(("fill",))), min_size=1, max_size=40)
days = st.sampled_from(DAYS)
narrowings = st.fixed_dictionaries(
    {},
    optional={
        "effective_from": days,
        "effective_to": days,
        "account": st.sampled_from(ACCOUNTS),
        "item": st.sampled_from(ITEMS[1:]),
        "kind": st.sampled_from((po.KIND_MANUAL, po.KIND_REVERSAL)),
    },
)


@pytest.fixture(scope="module")
def filling(server: Ledger) -> Iterator[AsyncEngine]:
    made = engine(server.url, pool_size=1)
    yield made
    server.loop.run(made.dispose())


@settings(max_examples=25, deadline=None, suppress_health_check=[*HealthCheck])
@given(steps=histories, size=st.integers(1, 5), data=st.data())
def test_what_is_listed(
    server: Ledger, filling: AsyncEngine, steps: list[Any], size: int, data: st.DataObject
) -> None:
    """All pages together, while more is posted and filled between one page and the next."""
    name = f"days-{next(_books)}"
    open_book(server, name)
    history = History(server.of(name), filling, size)
    server.accounts.OpenAccount(ac.OpenAccountRequest(book=name, code="Equity:Opening", currency_code="USD"))
    for what, *more in steps:
        getattr(history, what)(*more)
    for _ in range(6):
        asked, page_size = data.draw(narrowings), data.draw(st.integers(1, 7))
        walk(history, asked, page_size)
        of_days = asked.get("effective_from", ""), asked.get("effective_to", "")
        assert reported(history.ledger, *of_days, page_size) == in_the_list(history.ledger, *of_days)


def reported(ledger: Ledger, first: str, last: str, page_size: int) -> dict[str, list[int]]:
    """The numbers of the entries in the lists of an auditor, over all their pages."""
    found: dict[str, list[int]] = {}
    for rpc in ("ListEntriesByActor", "ListManualEntries", "ListBackDatedEntries"):
        asked = getattr(rp, f"{rpc}Request")(
            book=ledger.book, effective_from=first, as_of=last, page_size=page_size
        )
        rows = walked(ledger, rpc, asked)
        found[rpc] = [getattr(row, "entry", row).entry_number for row in rows]
    return found


def in_the_list(ledger: Ledger, first: str, last: str) -> dict[str, list[int]]:
    """The same out of all entries."""
    entries = [one for one in ledger.entries() if first <= one.effective_date <= (last or "9999")]
    back_dated = [one for one in entries if one.effective_date < one.recorded_at.ToJsonString()[:10]]
    return {
        "ListEntriesByActor": [one.number for one in entries],
        "ListManualEntries": [one.number for one in entries if one.kind == po.KIND_MANUAL],
        "ListBackDatedEntries": [one.number for one in back_dated],
    }


def walk(history: History, narrowed: dict[str, Any], page_size: int) -> None:
    found: list[int] = []
    asked = po.ListEntriesRequest(book=history.ledger.book, page_size=page_size, **narrowed)
    while True:
        page = history.ledger.postings.ListEntries(asked)
        expected = [
            one.number for one in history.posted if one.is_of(narrowed) and one.number > max(found, default=0)
        ]
        assert [one.number for one in page.entries] == expected[:page_size], narrowed
        assert bool(page.next_page_token) == (len(expected) > page_size)
        found.extend(one.number for one in page.entries)
        if not page.next_page_token:
            return
        asked.page_token = page.next_page_token
        if len(found) <= 2 * page_size:
            history.post(-3, [*ACCOUNTS], ("C1", ""))
            history.fill()


# --- the days themselves ------------------------------------------------------------------------------

OF_FOUR = ["2026-03-01", "2026-03-03", "2026-02-28", "2026-03-02"]
ALL = "SELECT number, size, CAST(first_day AS text), CAST(last_day AS text) FROM segment_days ORDER BY number"
FILLED = [(number, 4, "2026-02-28", "2026-03-03") for number in (4, 8, 12)]


def rows(ledger: Ledger, sql: str) -> list[Any]:
    with connected(ledger.url) as owner:
        cursor = owner.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


async def filled(url: str, *sizes: int) -> list[int]:
    """Fills segments of these sizes at the same time; how many each has filled."""
    database = engine(url)
    try:
        return await asyncio.gather(*(segments.fill(database, size) for size in sizes))
    finally:
        await database.dispose()


@pytest.fixture
def books(ledger: Ledger) -> Ledger:
    """Fourteen entries, of which the third of each four is back-dated."""
    lines = dr("Assets:Cash", "1.00"), cr("Revenue:Interest", "1.00")
    entries = [entry(OF_FOUR[place % 4], *lines) for place in range(14)]
    ledger.postings.PostEntries(po.PostEntriesRequest(book=BOOK, entries=entries))
    return ledger


@pytest.fixture
def segmented(books: Ledger) -> Ledger:
    """With the days of three segments; two entries lie behind the last one."""
    assert asyncio.run(filled(books.url, 4)) == [3]
    return books


def listed(ledger: Ledger, **narrowed: Any) -> list[int]:
    return [one.number for one in ledger.entries(page_size=5, **narrowed)]


@pytest.mark.parametrize("size", [1, 4])
def test_the_first_and_the_last_day_are_included(books: Ledger, size: int) -> None:
    """Each pair of days that is or is not there, with the days of single entries and of four."""
    asyncio.run(filled(books.url, size))
    of_numbers = {number: OF_FOUR[(number - 1) % 4] for number in range(1, 15)}
    asked = ["2026-02-27", *sorted(OF_FOUR), "2026-03-04"]
    for first in ("", *asked):
        for last in ("", *asked):
            expected = [number for number, day in of_numbers.items() if first <= day <= (last or "9999")]
            assert listed(books, effective_from=first, effective_to=last) == expected, (first, last)
            assert reported(books, first, last, page_size=5) == in_the_list(books, first, last), (first, last)


def test_segments_follow_the_head_and_are_filled_once(segmented: Ledger) -> None:
    assert rows(segmented, ALL) == FILLED
    assert asyncio.run(filled(segmented.url, 4)) == [0]
    for _ in range(2):
        segmented.post("2026-05-01", dr("Assets:Cash", "1.00"), cr("Revenue:Interest", "1.00"))
    assert asyncio.run(filled(segmented.url, 4)) == [1]
    assert rows(segmented, ALL) == [*FILLED, (16, 4, "2026-03-01", "2026-05-01")]
    assert segmented.wrong() == []


def test_several_fill_together_and_nothing_twice(books: Ledger) -> None:
    counts = asyncio.run(filled(books.url, 4, 4, 4, 4))
    assert sum(counts) + asyncio.run(filled(books.url, 4))[0] == 3
    assert rows(books, ALL) == FILLED
    assert books.wrong() == []


def test_whoever_fills_waits_for_nobody_who_posts(books: Ledger) -> None:
    with psycopg.connect(books.url.replace("+psycopg", "")) as holder:
        holder.execute("SELECT FROM heads FOR UPDATE")
        assert asyncio.run(filled(books.url, 4)) == [3]


def test_segments_of_another_size_follow_those_that_are_there(segmented: Ledger) -> None:
    assert asyncio.run(filled(segmented.url, 2)) == [1]
    assert rows(segmented, ALL) == [*FILLED, (14, 2, "2026-03-01", "2026-03-03")]
    assert segmented.wrong() == []


def test_days_are_filled_anew_as_the_migration_says(segmented: Ledger) -> None:
    """Meanwhile all is read from the entries, also where only some are gone from the end."""
    of_a_day = [4, 8, 12]
    for gone in ("DELETE FROM segment_days WHERE number = 12", "TRUNCATE segment_days"):
        rows(segmented, gone)
        assert listed(segmented, effective_from="2026-03-02", effective_to="2026-03-02") == of_a_day
        assert segmented.wrong() == []
    assert asyncio.run(filled(segmented.url, 4)) == [3]
    assert rows(segmented, ALL) == FILLED
    assert listed(segmented, effective_from="2026-03-02", effective_to="2026-03-02") == of_a_day


def test_upkeep_fills_the_days_of_books_that_had_entries_before(ledger: Ledger) -> None:
    """A whole segment of the size that is in use, and not the entries behind it."""

    async def kept_up() -> None:
        database = engine(ledger.url, pool_size=1)
        await grown(database, "large", segments.SIZE + 1)
        await upkeep.once(database)
        await database.dispose()

    asyncio.run(kept_up())
    assert rows(ledger, "SELECT book, number, size FROM segment_days") == [("large", segments.SIZE, segments.SIZE)]
    assert ledger.wrong() == []


SECOND = "WHERE number = 8"
TAMPERED = {
    "a first day": f"UPDATE segment_days SET first_day = first_day + 1 {SECOND}",
    "a last day": f"UPDATE segment_days SET last_day = last_day - 1 {SECOND}",
    "days too many": f"UPDATE segment_days SET last_day = last_day + 1 {SECOND}",
    "a row taken away": f"DELETE FROM segment_days {SECOND}",
    "the first taken away": "DELETE FROM segment_days WHERE number = 4",
    "a row too many": "INSERT INTO segment_days VALUES ('main', 6, 2, '2026-03-01', '2026-03-03')",
    "a row of entries to come": "INSERT INTO segment_days VALUES ('main', 16, 4, '2026-02-28', '2026-03-03')",
    "a segment cut short": f"UPDATE segment_days SET size = 2 {SECOND}",
}


@pytest.mark.parametrize("case", TAMPERED)
def test_days_that_are_wrong_are_found(segmented: Ledger, case: str) -> None:
    rows(segmented, TAMPERED[case])
    assert {fault.partition(":")[0] for fault in segmented.wrong()} == {"segment_days"}


def test_what_is_said_of_days_that_are_wrong(segmented: Ledger) -> None:
    rows(segmented, TAMPERED["a row taken away"])
    rows(segmented, "UPDATE segment_days SET last_day = '2026-03-04' WHERE number = 12")
    [fault] = segmented.wrong()
    assert fault == (
        "segment_days: book main: the 4 entries up to 12: "
        "expected behind entry 4 from 2026-02-28 to 2026-03-03, found behind entry 8 from 2026-02-28 to 2026-03-04"
    )


# --- what is read for a page --------------------------------------------------------------------------

SEGMENT, SEGMENTS, TAIL, PAGE = 64, 20, 8, 10
MANY = SEGMENT * SEGMENTS + TAIL
CASH, INTEREST, ADA = "Assets:Cash", "Revenue:Interest", "Liabilities:Payable:Provider:ada"
LATE, LAST = date(2026, 3, 25), date(2026, 3, 28)
"""The one is effective in the last three segments; the other is the day of the last entries, and of the fifth."""
ROWS_READ = text("""
    SELECT sum(idx_tup_fetch + seq_tup_read) FROM pg_stat_xact_user_tables
    WHERE relname LIKE 'entries%' OR relname LIKE 'postings%'
""")
A_FEW = 60
"""Rows beside those of passed entries: those of the page, and its postings."""
PAGES = {
    "from a late day on": (Narrowed(effective_from=LATE), 5, 1),
    "from a late day on, which an early entry lies behind": (Narrowed(effective_from=LATE), 0, 2),
    "a day in the middle": (Narrowed(effective_from=date(2026, 3, 12), effective_to=date(2026, 3, 12)), 5, 2),
    "the last page up to an early day": (Narrowed(effective_to=FIRST_DAY), 2 * SEGMENT, 1),
    "of a kind": (Narrowed(kind=Kind.MANUAL, effective_from=LATE), 5, 1),
    "of an account in every entry": (Narrowed(account=CASH, effective_from=LATE), 5, 1),
    "of an account that is posted to seldom": (Narrowed(account=ADA, effective_from=LATE), 5, 0),
    "of an item": (Narrowed(item="C1", effective_from=LATE), 5, 0),
    "of an item and an account": (Narrowed(item="C1", account=CASH, effective_from=LATE), 5, 0),
    "of all days": (Narrowed(), 500, 0),
    "of all days and an account in every entry": (Narrowed(account=CASH), 500, 0),
    "of all days and an account that is posted to seldom": (Narrowed(account=ADA), 500, 0),
}
"""What is asked, behind which entry, and of how many segments all entries may be passed over."""


def day_of(number: int) -> date:
    """Days go on with the numbers; every tenth entry is a day late, and the fifth far ahead of its time."""
    return LAST if number == 5 else FIRST_DAY + timedelta(days=number * 28 // (MANY + 1) - (number % 10 == 0))


async def grown(books: AsyncEngine, book: str, count: int) -> None:
    """Opens a book with so many entries; one of a hundred has an item and is owed to ada."""
    async with recording(books) as connection:
        await accounts.open_book(connection, book, "a book with a past", "ada")
    for first in range(1, count + 1, 700):
        requests = []
        for number in range(first, min(first + 700, count + 1)):
            account, item = (ADA, "C1") if number % 100 == 0 else (INTEREST, None)
            lines = debit(CASH, Amount(1, "USD")), credit(account, Amount(1, "USD"), item=item)
            requests.append(Request("ada", f"k{number}", Post(JournalEntry(Kind.MANUAL, day_of(number), lines))))
        async with journal.posting(books, book) as (connection, head):
            await journal.post(connection, head, [Submission(requests)])


async def pages_read(url: str, *, known_before: bool) -> dict[str, int]:
    """How many rows of entries and postings are read for each page; `unfilled` before the days are filled."""
    books = engine(url, pool_size=1)
    for book in ("old", BOOK) if known_before else (BOOK,):
        await grown(books, book, MANY)
        if book == "old":
            with connected(url) as owner:
                owner.execute("ANALYZE")
    found = {"unfilled": await rows_read(books, "from a late day on")}
    assert await segments.fill(books, SEGMENT) == SEGMENTS * (1 + known_before)
    found |= {case: await rows_read(books, case) for case in PAGES}
    await books.dispose()
    return found


async def rows_read(books: AsyncEngine, case: str) -> int:
    """For one page, which must be the right one."""
    narrowed, after, _ = PAGES[case]
    async with reading(books) as connection:
        before = (await connection.execute(ROWS_READ)).scalar_one()
        page = await listing.page(connection, BOOK, narrowed, after, PAGE)
        read = (await connection.execute(ROWS_READ)).scalar_one() - before
    expected = [number for number in range(after + 1, MANY + 1) if is_of(number, narrowed)]
    assert [one.number for one in page] == expected[:PAGE], case
    return int(read)


def is_of(number: int, narrowed: Narrowed) -> bool:
    """Whether the entry is one of those, as `grown` has made it."""
    days = (narrowed.effective_from or date.min), (narrowed.effective_to or date.max)
    is_hers = number % 100 == 0
    return days[0] <= day_of(number) <= days[1] and (is_hers or not (narrowed.item or narrowed.account == ADA))


@pytest.mark.parametrize("known_before", [False, True], ids=["no statistics", "statistics of another book"])
def test_a_page_reads_no_more_than_a_segment_of_a_book(database: str, known_before: bool) -> None:
    """Whatever PostgreSQL knows of it: all others are ruled out by their days. Counted, not timed."""
    found = asyncio.run(pages_read(database, known_before=known_before))
    assert found.pop("unfilled") > MANY / 2
    too_many = {case: read for case, read in found.items() if read > PAGES[case][2] * SEGMENT + A_FEW}
    assert too_many == {}
