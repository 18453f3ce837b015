"""Batches that suppose where the head stands: one round trip where nobody else posts, anew where somebody did."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import grpc
import psycopg
import pytest
from msgspec import structs
from serving import (
    BOOK,
    Ledger,
    Loop,
    answered,
    cr,
    dr,
    entry,
    eventually,
    refused,
    serving,
    waiting_for_a_lock,
)

from ledger.accounts.account import Account, Side, Totals
from ledger.connection import Asked, DriverConnection
from ledger.database import engine, recording
from ledger.money import Amount
from ledger.periods.period import ALL_OPEN
from ledger.postings import group_commit, journal
from ledger.postings.batch import Facts, Head, Request, Submission, decide
from ledger.postings.commands import Post, ReverseEntry
from ledger.postings.entry import JournalEntry, Kind, credit, debit
from ledger.postings.memory import Memory
from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import approvals_pb2 as ap
from ledger.v1 import periods_pb2 as pe
from ledger.v1 import postings_pb2 as po

DAY = "2026-04-08"
CASH, OPENING, PETTY = "Assets:Cash", "Equity:Opening", "Assets:Petty"
LOOK, RECORD = ["SELECT", "SELECT"], ["UPDATE", "INSERT", "INSERT", "INSERT", "INSERT", "COMMIT"]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What posting sends to PostgreSQL, trip by trip: the first word of each statement."""
    trips: list[list[str]] = []
    exchange = DriverConnection.exchange

    async def told(self: DriverConnection, *asked: Asked) -> Any:
        trips.append([statement.sql.decode().split()[0] for statement, _ in asked])
        return await exchange(self, *asked)

    monkeypatch.setattr(DriverConnection, "exchange", told)
    return trips


@pytest.fixture
def books(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, sent: list[list[str]]) -> Ledger:
    """A server that supposes where the head stands, since it was left alone with the book; nothing is sent yet."""
    monkeypatch.setattr(group_commit, "UNDISTURBED", 1)
    for code in (OPENING, PETTY):
        ledger.accounts.OpenAccount(ac.OpenAccountRequest(book=BOOK, code=code, currency_code="USD"))
    for n in range(3):
        ledger.post(DAY, dr(CASH, "1.00"), cr(OPENING, "1.00"), key=f"before {n}")
        ledger.post(DAY, dr(PETTY, "1.00"), cr(CASH, "1.00"), key=f"petty {n}")
    assert sent[-1:] == [RECORD]
    assert sent[-2:] != [LOOK, RECORD]
    sent.clear()
    return ledger


@pytest.fixture
def other(books: Ledger, loop: Loop) -> Iterator[Ledger]:
    """Another server on the same database."""
    with serving(loop, books.url) as running:
        yield running


def paying(key: str = "") -> po.PostEntryRequest:
    return po.PostEntryRequest(book=BOOK, entry=entry(DAY, dr(CASH, "1.00"), cr(OPENING, "1.00"), key=key))


def paid(ledger: Ledger, key: str) -> po.PostEntryResponse:
    return ledger.postings.PostEntry(paying(key))


def spent(ledger: Ledger, key: str) -> Callable[[], Any]:
    asked = po.PostEntryRequest(book=BOOK, entry=entry(DAY, dr(OPENING, "1.00"), cr(PETTY, "1.00"), key=key))
    return lambda: ledger.postings.PostEntry(asked)


def test_a_lone_call_waits_for_postgresql_once(books: Ledger, sent: list[list[str]]) -> None:
    assert paid(books, "lone").entry.number == 7
    assert sent == [RECORD]
    assert books.balance(CASH) == "1.00 Dr"
    assert books.wrong() == []


def test_a_book_is_looked_at_before_it_is_supposed_to_stand_still(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, sent: list[list[str]]
) -> None:
    """After so many batches that began where the one before had ended; the first of all began where none had."""
    monkeypatch.setattr(group_commit, "UNDISTURBED", 3)
    ledger.accounts.OpenAccount(ac.OpenAccountRequest(book=BOOK, code=OPENING, currency_code="USD"))
    sent.clear()
    for n in range(6):
        paid(ledger, f"key {n}")
    assert sent == [LOOK, RECORD] * 4 + [RECORD] * 2


# What somebody else does meanwhile, and what then becomes of a payment out of the petty cash.
MEANWHILE: dict[str, tuple[Callable[[Ledger], Any], str]] = {
    "posts": (lambda other: paid(other, "theirs"), ""),
    "posts under the same key": (lambda other: spent(other, "mine")(), "replayed"),
    "closes the account": (
        lambda other: (
            other.post(DAY, dr(OPENING, "3.00"), cr(PETTY, "3.00"))
            and other.accounts.CloseAccount(ac.CloseAccountRequest(book=BOOK, code=PETTY, reason="why"))
        ),
        "ACCOUNT_CLOSED",
    ),
    "closes the month": (
        lambda other: other.periods.ClosePeriod(
            pe.ClosePeriodRequest(book=BOOK, month="2026-04", reason="why", limit_days=10)
        ),
        "PERIOD_CLOSED",
    ),
    "sets a limit": (
        lambda other: other.approvals.SetApprovalLimit(
            ap.SetApprovalLimitRequest(
                book=BOOK, kind=po.KIND_MANUAL, currency_code="USD", minor_units=99, reason="why"
            )
        ),
        "APPROVAL_NEEDED",
    ),
}


@pytest.mark.parametrize("case", MEANWHILE)
def test_what_somebody_else_did_meanwhile_counts(
    books: Ledger, other: Ledger, sent: list[list[str]], case: str
) -> None:
    """The head is found elsewhere, or changed: the batch is decided anew with what is there now."""
    does, then = MEANWHILE[case]
    does(other)
    sent.clear()
    try:
        answer = spent(books, "mine")()
        found = "replayed" if answer.replayed else ""
    except grpc.RpcError as error:
        found = refused(lambda _: spent(books, "mine")(), None).reason or str(error)
    assert found == then
    assert sent[:2] == [RECORD, LOOK]
    assert [one.number for one in books.entries()] == list(range(1, len(books.entries()) + 1))
    assert books.wrong() == []


def test_an_earlier_key_is_a_replay_whatever_its_entry_would_be_now(books: Ledger, sent: list[list[str]]) -> None:
    """Also beside new entries in one batch, and where the books would refuse it today."""
    books.post(DAY, dr(OPENING, "3.00"), cr(PETTY, "3.00"))
    books.accounts.CloseAccount(ac.CloseAccountRequest(book=BOOK, code=PETTY, reason="why"))
    paid(books, "after it was closed")
    sent.clear()
    asked = [
        entry(DAY, dr(CASH, "2.00"), cr(OPENING, "2.00"), key="new"),
        entry(DAY, dr(PETTY, "1.00"), cr(CASH, "1.00"), key="petty 0"),
    ]
    answer = books.postings.PostEntries(po.PostEntriesRequest(book=BOOK, entries=asked))
    assert [(one.entry.number, one.replayed) for one in answer.results] == [(9, False), (2, True)]
    assert sent == [LOOK, RECORD]


def test_a_key_that_was_used_long_ago_is_found_by_postgresql(books: Ledger, sent: list[list[str]]) -> None:
    """It is not remembered, so a new entry is supposed; its key is there, and the batch is decided anew."""
    answer = paid(books, "before 0")
    assert (answer.entry.number, answer.replayed) == (1, True)
    assert sent == [RECORD, LOOK]
    sent.clear()
    assert paid(books, "before 1").replayed
    assert sent == [LOOK], "who sends again what was posted is not taken for undisturbed"


def test_a_refusal_is_never_supposed(books: Ledger, sent: list[list[str]]) -> None:
    asked = po.PostEntryRequest(book=BOOK, entry=entry(DAY, dr("Assets:Nowhere", "1.00"), cr(CASH, "1.00")))
    assert refused(books.postings.PostEntry, asked).reason == "ACCOUNT_NOT_FOUND"
    assert sent == [LOOK]


@pytest.mark.parametrize(("seconds", "taken"), [(-3600, False), (-11, False), (-5, True), (5, True), (11, False)])
def test_postgresql_takes_no_time_that_is_far_from_its_own(
    ledger: Ledger, loop: Loop, seconds: int, taken: bool
) -> None:
    """As after a machine that stood still: nothing is recorded in a past that reports have shown already."""
    for code in (CASH, OPENING):
        ledger.accounts.OpenAccount(ac.OpenAccountRequest(book=BOOK, code=code, currency_code="USD"))

    async def recorded() -> bool:
        database, memory = engine(ledger.url), Memory()
        try:
            async with journal.posting(database, BOOK) as (connection, head):
                at = structs.replace(head, recorded_at=head.recorded_at + timedelta(seconds=seconds))
                batch = await journal.decided(connection, at, [Submission([asking("late")])], memory)
            async with recording(database) as connection:
                await journal.record_unheld(connection, batch)
        except journal.SupposedWrongly:
            return False
        finally:
            await database.dispose()
        return True

    assert loop.run(recorded()) == taken
    assert len(ledger.entries()) == taken
    assert ledger.wrong() == []


def test_time_is_told_on_for_a_while_only(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def telling() -> list[datetime | None]:
        clock = group_commit._Clock()
        told = [clock.now()]
        clock.hear(datetime(2026, 4, 8, tzinfo=UTC))
        told.append(clock.now())
        monkeypatch.setattr(group_commit, "TOLD_ON", timedelta())
        return [*told, clock.now()]

    never, just_now, too_long_ago = loop.run(telling())
    assert never is None
    assert just_now is not None
    assert timedelta() <= just_now - datetime(2026, 4, 8, tzinfo=UTC) < timedelta(seconds=10)
    assert too_long_ago is None


def test_who_waits_for_the_head_supposes_it_where_it_was(books: Ledger, sent: list[list[str]]) -> None:
    """Somebody holds the head and posts nothing: the batch waits in PostgreSQL, and is recorded as it is."""
    with psycopg.connect(books.url.replace("+psycopg", "")) as holder:
        holder.execute("SELECT FROM heads WHERE book = %s FOR UPDATE", [BOOK])
        call = books.postings.PostEntry.future(paying())
        eventually(lambda: waiting_for_a_lock(books.url), "the batch waits")
    assert answered(call).entry.number == 7
    assert sent == [RECORD]


def test_a_connection_that_is_lost_leaves_an_unknown_outcome(books: Ledger) -> None:
    asked = paying("unsure")
    with psycopg.connect(books.url.replace("+psycopg", "")) as holder:
        holder.execute("SELECT FROM heads WHERE book = %s FOR UPDATE", [BOOK])
        call = books.postings.PostEntry.future(asked)
        eventually(lambda: waiting_for_a_lock(books.url), "the batch waits")
        holder.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        assert answered(call).reason == "OUTCOME_UNKNOWN"
    assert books.postings.PostEntry(asked).entry.number == 7
    assert books.postings.PostEntry(asked).replayed


def test_what_was_foreseen_behind_a_wrong_supposition_is_decided_anew(
    books: Ledger, other: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next batch is decided while the first waits for the head, which somebody else then moves."""
    monkeypatch.setattr(group_commit, "FORESIGHT", 1)
    with psycopg.connect(books.url.replace("+psycopg", ""), autocommit=True) as holder, holder.transaction():
        holder.execute("SELECT FROM heads WHERE book = %s FOR UPDATE", [BOOK])
        theirs = other.postings.PostEntry.future(paying("theirs"))
        eventually(lambda: waiting_for_a_lock(books.url) == 1, "the other one waits")
        ours = []
        for n in range(3):
            ours.append(books.postings.PostEntry.future(paying(f"ours {n}")))
            eventually(lambda: waiting_for_a_lock(books.url) == 2, "the first of ours waits too")
    assert answered(theirs).entry.number == 7
    assert sorted(answered(call).entry.number for call in ours) == [8, 9, 10]
    assert books.balance(CASH) == "4.00 Dr"
    assert books.wrong() == []


# --- what may be supposed -----------------------------------------------------------------------------

HEAD = Head(BOOK, 7, b"\7" * 32, datetime(2026, 4, 8, 12, tzinfo=UTC))
LATER = HEAD.recorded_at + timedelta(seconds=1)


def asking(key: str, account: str = CASH, amount: int = 1) -> Request:
    lines = debit(account, Amount(amount, "USD")), credit(OPENING, Amount(amount, "USD"))
    return Request("ada", key, Post(JournalEntry(Kind.MANUAL, date(2026, 4, 8), lines)))


def remembering(**unknown: None) -> Memory:
    """What is remembered after an entry under the key "latest"; a field that is None was not read yet."""
    memory = Memory()
    memory.stand_at(HEAD)
    memory.limits, memory.periods = {}, ALL_OPEN
    for code in (CASH, OPENING):
        memory.learn([(Account(code, "USD", Side.DEBIT), Totals())])
    memory.follow(decide(HEAD, memory.facts() or Facts(), [Submission([asking("latest")])]))
    for name in unknown:
        setattr(memory, name, None)
    return memory


UNDO = Request("ada", "undo", ReverseEntry(7, date(2026, 4, 8), "why", 2))
# What is remembered, what is asked for, and how many entries are supposed to come of it: None asks the books.
SUPPOSED: dict[str, tuple[Memory, list[Request], int | None]] = {
    "a new entry": (remembering(), [asking("a")], 1),
    "several": (remembering(), [asking("a"), asking("b")], 2),
    "where no head is known": (Memory(limits={}, periods=ALL_OPEN), [asking("a")], None),
    "before limits were read": (remembering(limits=None), [asking("a")], None),
    "before closed months were read": (remembering(periods=None), [asking("a")], None),
    "of an account that is not remembered": (remembering(), [asking("a", "Assets:Petty")], None),
    "of an entry to reverse": (remembering(), [UNDO], None),
    "a replay of the latest batch": (remembering(), [asking("latest")], None),
    "a replay beside a new entry": (remembering(), [asking("a"), asking("latest")], None),
    "another request under its key": (remembering(), [asking("latest", amount=2)], None),
    "nothing": (remembering(), [], None),
}


@pytest.mark.parametrize("case", SUPPOSED)
def test_what_is_supposed_without_a_look(case: str) -> None:
    """New entries alone; and where nothing is supposed, nothing of it is remembered either."""
    memory, requests, count = SUPPOSED[case]
    before = memory.head
    batch = journal.supposed([Submission(requests)], memory, LATER)
    assert (batch and len(batch.entries)) == count
    if batch is None:
        assert memory.head is before
    else:
        assert {one.recorded_at for one in batch.entries} == {LATER}
        assert batch.start.is_at(before or HEAD)
        assert memory.head is batch.head


def test_time_never_runs_backwards_where_it_is_supposed() -> None:
    batch = journal.supposed([Submission([asking("a")])], remembering(), HEAD.recorded_at - timedelta(seconds=1))
    assert batch is not None
    assert batch.entries[0].recorded_at == HEAD.recorded_at
