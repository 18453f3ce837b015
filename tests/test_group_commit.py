"""What falls into one batch: its entries share the time of recording, and their postings keep within the limit."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import date
from queue import Queue
from typing import Any

import grpc
import psycopg
import pytest
from serving import BOOK, PATIENCE_SECONDS, Ledger, answered, cr, dr, eventually, waiting_for_a_lock

from ledger.database import engine
from ledger.errors import BookNotFound
from ledger.money import Amount
from ledger.postings import group_commit, journal
from ledger.postings.batch import MOST_POSTINGS, Posted, Request, Submission
from ledger.postings.commands import Post, ReverseEntry
from ledger.postings.entry import JournalEntry, Kind, credit, debit
from ledger.postings.memory import Memory
from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import postings_pb2 as po

DAY = "2026-04-08"
CASH, OPENING = "Assets:Cash", "Equity:Opening"
REVERSALS, LINES_EACH = 6, 4_000


def reversing(number: int) -> po.ReverseEntryRequest:
    return po.ReverseEntryRequest(
        book=BOOK, idempotency_key=f"undo {number}", number=number, effective_date=DAY, reason="mistaken"
    )


def test_reversals_of_large_entries_are_spread_over_batches(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While somebody holds the book all of them wait together; one more is refused, so they are known to wait."""
    ledger.accounts.OpenAccount(ac.OpenAccountRequest(book=BOOK, code=OPENING, currency_code="USD"))
    lines = [dr(CASH, "0.01"), cr(OPENING, "0.01")] * (LINES_EACH // 2)
    numbers = [ledger.post(DAY, *lines).number for _ in range(REVERSALS + 1)]
    monkeypatch.setattr(group_commit, "MOST_WAITING", REVERSALS - 1)
    done: Queue[grpc.Future] = Queue()
    with psycopg.connect(ledger.url.replace("+psycopg", "")) as holder:
        holder.execute("SELECT FROM heads WHERE book = %s FOR UPDATE", [BOOK])
        for number in numbers:
            ledger.postings.ReverseEntry.future(reversing(number)).add_done_callback(done.put)
            if number == numbers[0]:
                eventually(lambda: waiting_for_a_lock(ledger.url), "the first is being posted, alone")
        assert answered(done.get(timeout=PATIENCE_SECONDS)).reason == "QUEUE_FULL"
    posted = [answered(done.get(timeout=PATIENCE_SECONDS)).entry for _ in range(REVERSALS)]
    postings_at: Counter[str] = Counter()
    for entry in posted:
        postings_at[entry.recorded_at.ToJsonString()] += len(entry.postings)
    assert sum(postings_at.values()) == REVERSALS * LINES_EACH
    assert max(postings_at.values()) <= MOST_POSTINGS
    assert ledger.wrong() == []


# --- callers in turn ----------------------------------------------------------------------------------


def request(key: str, actor: str = "ada", account: str = CASH) -> Request:
    lines = debit(account, Amount(1, "USD")), credit("Revenue:Interest", Amount(1, "USD"))
    return Request(actor, key, Post(JournalEntry(Kind.MANUAL, date(2026, 4, 8), lines)))


def turns(waiting: list[tuple[str, int]]) -> group_commit._Turns:
    """Submissions of so many requests each, by their callers, in the order of their arrival."""
    loop = asyncio.new_event_loop()
    made = group_commit._Turns()
    for n, (caller, size) in enumerate(waiting):
        submission = Submission([request(f"{n}-{k}", caller) for k in range(size)])
        made.add(caller, group_commit._Waiting(submission, loop.create_future()))
    loop.close()
    return made


# Who waits with how many requests, and whose submissions fall into one batch after the other.
TURNS = {
    "one after the other": ([("ada", 1), ("ada", 1)], ["ada ada"]),
    "in turn": ([("ada", 1), ("ada", 1), ("bob", 1), ("cy", 1)], ["ada bob cy ada"]),
    "a crowd does not keep others out": ([("ada", 600), ("ada", 600), ("bob", 100)], ["ada bob", "ada"]),
    "as many as fit": ([("ada", 1000), ("bob", 1), ("cy", 999)], ["ada", "bob cy"]),
    "nothing to post": ([("ada", 0)], ["ada"]),
    "nobody": ([], []),
}


@pytest.mark.parametrize("case", TURNS)
def test_callers_take_turns(case: str) -> None:
    waiting, batches = TURNS[case]
    made = turns(waiting)
    assert made.count == sum(size for _, size in waiting)
    found = []
    while made:
        taken = made.batch()
        found.append(
            " ".join(one.submission.requests[0].actor if one.submission.requests else "ada" for one in taken)
        )
    assert found == batches
    assert (made.count, made.count_of("ada")) == (0, 0)


# --- a batch that is decided before its turn ----------------------------------------------------------

Work = Callable[[Any, Memory], Awaitable[None]]


def done(ledger: Ledger, work: Work) -> None:
    """Works on the books directly, with what one process remembers of them."""

    async def working() -> None:
        database = engine(ledger.url)
        try:
            await work(database, Memory())
        finally:
            await database.dispose()

    asyncio.run(working())
    assert ledger.wrong() == []


def batch(*requests: Request) -> list[Submission]:
    return [Submission(requests)]


def test_what_is_foreseen_is_what_is_decided(ledger: Ledger) -> None:
    """From accounts that the batch in flight opens, totals that it leaves and keys that only it knows."""

    async def work(database: Any, memory: Memory) -> None:
        async with journal.posting(database, BOOK) as (connection, head):
            first = await journal.decided(connection, head, batch(request("a")), memory)
            foreseen = await journal.foreseen(database, batch(request("a"), request("b")), memory)
            await journal.record(connection, first)
        assert foreseen is not None
        async with journal.posting(database, BOOK) as (connection, head):
            assert foreseen.start.is_at(head)
            await journal.record(connection, foreseen)
        [[again, new]] = foreseen.outcomes
        assert isinstance(again, Posted)
        assert isinstance(new, Posted)
        assert (again.replayed, again.entry) == (True, first.entries[0])
        assert (new.replayed, new.entry.number) == (False, 2)
        assert memory.totals[CASH].debits == 2

    done(ledger, work)
    assert [found.idempotency_key for found in ledger.entries()] == ["a", "b"]


def test_what_was_foreseen_in_vain_is_not_recorded(ledger: Ledger) -> None:
    """The batch in flight is lost, or somebody else posts: the head does not stand where the next one starts."""

    async def work(database: Any, memory: Memory) -> None:
        async with journal.posting(database, BOOK) as (connection, head):
            await journal.decided(connection, head, batch(request("a")), memory)
            lost = await journal.foreseen(database, batch(request("b")), memory)
            await connection.rollback()
        async with journal.posting(database, BOOK) as (connection, head):
            assert lost is not None
            assert not lost.start.is_at(head)
            await journal.record(connection, await journal.decided(connection, head, batch(request("b")), memory))
        ledger.post(DAY, dr(CASH, "5.00"), cr("Revenue:Interest", "5.00"))
        late = await journal.foreseen(database, batch(request("c")), memory)
        async with journal.posting(database, BOOK) as (connection, head):
            assert late is not None
            assert not late.start.is_at(head)
            again = await journal.decided(connection, head, batch(request("c")), memory)
            await journal.record(connection, again)
        assert memory.totals[CASH].debits == 502

    done(ledger, work)
    assert [found.idempotency_key for found in ledger.entries()][::2] == ["b", "c"]


def test_nothing_is_foreseen_of_what_is_not_remembered(ledger: Ledger) -> None:
    undo = Request("ada", "undo", ReverseEntry(1, date(2026, 4, 8), "why", 2))

    async def work(database: Any, memory: Memory) -> None:
        assert await journal.foreseen(database, batch(request("a")), memory) is None
        async with journal.posting(database, BOOK) as (connection, head):
            await journal.record(connection, await journal.decided(connection, head, batch(request("a")), memory))
        assert await journal.foreseen(database, batch(undo), memory) is None

    done(ledger, work)


def test_a_closed_account_is_not_remembered_as_open(ledger: Ledger) -> None:
    """Closing moves no number and no hash, so the head counts it."""
    ledger.accounts.OpenAccount(ac.OpenAccountRequest(book=BOOK, code="Assets:Petty", currency_code="USD"))
    for key, way in (("in", (dr, cr)), ("out", (cr, dr))):
        ledger.post(DAY, way[0]("Assets:Petty", "1.00"), way[1](CASH, "1.00"), key=key)
    ledger.accounts.CloseAccount(ac.CloseAccountRequest(book=BOOK, code="Assets:Petty", reason="why"))
    with pytest.raises(grpc.RpcError) as refused:
        ledger.post(DAY, dr("Assets:Petty", "1.00"), cr(CASH, "1.00"))
    assert "is closed" in str(refused.value.details())


def test_a_batch_in_flight_that_is_lost_takes_nothing_along(ledger: Ledger) -> None:
    """Batches wait behind a held head; the connection of the first is ended; the others post."""
    ledger.post(DAY, dr(CASH, "0.01"), cr("Revenue:Interest", "0.01"), key="before")
    line = [dr(CASH, "0.01"), cr("Revenue:Interest", "0.01")]
    asked = [
        po.PostEntriesRequest(
            book=BOOK,
            entries=[
                po.EntryToPost(idempotency_key=f"{n}-{k}", effective_date=DAY, description="why", postings=line)
                for k in range(400)
            ],
        )
        for n in range(6)
    ]
    with psycopg.connect(ledger.url.replace("+psycopg", ""), autocommit=True) as killer:
        with psycopg.connect(ledger.url.replace("+psycopg", "")) as holder:
            holder.execute("SELECT FROM heads WHERE book = %s FOR UPDATE", [BOOK])
            calls = [ledger.postings.PostEntries.future(one) for one in asked]
            eventually(lambda: killer.execute(ENDED).fetchall(), "a batch waits, and is lost")
        outcomes = [answered(call) for call in calls]
    lost = [one for one, outcome in zip(asked, outcomes, strict=True) if not hasattr(outcome, "results")]
    assert lost
    for one in lost:
        ledger.postings.PostEntries(one)
    assert len(ledger.entries(1000)) == 2_401
    assert ledger.wrong() == []


ENDED = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%FROM heads%FOR UPDATE%'
"""


def test_no_queue_is_kept_for_a_book_that_is_not_there(ledger: Ledger) -> None:
    """However many names are tried; the queue of a book that is there keeps what it remembers."""

    async def working() -> None:
        database = engine(ledger.url)
        queues = group_commit.GroupCommit(database, lambda _: None)
        try:
            for n in range(5):
                with pytest.raises(BookNotFound):
                    await queues.post(f"B{n}", Submission([request("a")]))
            await queues.post(BOOK, Submission([request("a")]))
            await queues.drained()
            assert [*queues._queues] == [BOOK]
        finally:
            await database.dispose()

    asyncio.run(working())
