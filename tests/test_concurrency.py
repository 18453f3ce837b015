"""Many callers at once: one order, no number missed, nothing posted twice, no limit passed by two together.

Nothing here waits for a moment to come: callers start together, and what holds must hold however they fall.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import grpc
import psycopg
import pytest
from serving import (
    BOOK,
    Ledger,
    Refused,
    answered,
    cr,
    dr,
    entry,
    eventually,
    open_book,
    payout,
    serving,
    session,
    waiting_for_a_lock,
)

from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import postings_pb2 as po
from reconciliation.v1 import reconciliation_pb2 as rc

DAY = "2026-04-08"
CASH, OPENING = "Assets:Cash", "Equity:Opening"
PAYABLE = "Liabilities:Payable:Provider:ada"


@pytest.fixture
def books(ledger: Ledger) -> Ledger:
    """A book with an account that has no limit."""
    ledger.accounts.OpenAccount(ac.OpenAccountRequest(book=BOOK, code=OPENING, currency_code="USD"))
    return ledger


def cents(amount: str = "0.01", key: str = "", day: str = DAY) -> po.PostEntryRequest:
    return po.PostEntryRequest(book=BOOK, entry=entry(day, dr(CASH, amount), cr(OPENING, amount), key=key))


def together(call: Any, requests: Iterable[Any]) -> list[Any]:
    """All of them in flight before the first answer is read: answers and refusals, in order."""
    return [answered(call) for call in [call.future(request) for request in requests]]


def gapless(ledger: Ledger) -> bool:
    """Whether entries are numbered from 1 without a gap, and their hashes chain."""
    numbers = [found.number for found in ledger.entries()]
    return numbers == [*range(1, len(numbers) + 1)] and ledger.wrong() == []


def reasons(answers: Sequence[Any]) -> Counter[str]:
    """How many were posted, replayed, and refused for which reason."""
    return Counter(
        answer.reason or answer.code
        if isinstance(answer, Refused)
        else "replayed"
        if answer.replayed
        else "posted"
        for answer in answers
    )


def test_thirty_two_callers_with_one_key_post_one_entry(books: Ledger) -> None:
    answers = together(books.postings.PostEntry, [cents(key="same")] * 32)
    assert reasons(answers) == {"posted": 1, "replayed": 31}
    assert {answer.entry.SerializeToString() for answer in answers} == {books.entries()[0].SerializeToString()}
    assert len(books.entries()) == 1


def in_one_batch(ledger: Ledger, calls: Sequence[tuple[Any, Any]]) -> list[Any]:
    """Methods and requests that wait together behind another entry, and so are decided together."""

    def ask() -> list[grpc.Future]:
        first = ledger.postings.PostEntry.future(cents())
        wait_for(ledger, 1)
        waiting = [call.future(request) for call, request in calls]
        wait_for(ledger, 3)
        return [first, *waiting]

    _, *answers = map(answered, held(ledger, ask))
    return answers


def test_thirty_two_requests_of_one_batch_with_one_key(books: Ledger) -> None:
    """None of them is in the database when the first is posted."""
    answers = in_one_batch(books, [(books.postings.PostEntry, cents(key="same"))] * 32)
    assert reasons(answers) == {"posted": 1, "replayed": 31}
    assert len(books.entries()) == 2


def test_entries_of_many_days_in_one_batch(books: Ledger) -> None:
    """Each counts on its own day."""
    asked = [cents(f"0.0{day}", day=f"2026-04-0{day}") for day in (5, 1, 9, 3)]
    in_one_batch(books, [(books.postings.PostEntry, request) for request in asked])
    days = ["2026-04-01", "2026-04-04", "2026-04-05", "2026-04-07"]
    assert [books.balance(CASH, day) for day in days] == ["0.01 Dr", "0.04 Dr", "0.09 Dr", "0.09 Dr"]
    assert books.wrong() == []


def test_callers_with_one_key_and_different_requests(books: Ledger) -> None:
    """One of them is first; those that ask the same are answered, the others told."""
    asked = [cents(amount, key="same") for amount in ("0.01", "0.02") * 16]
    found = reasons(together(books.postings.PostEntry, asked))
    assert found == {"posted": 1, "replayed": 15, "IDEMPOTENCY_KEY_REUSED": 16}
    assert len(books.entries()) == 1


def test_five_hundred_callers_on_one_hot_account(books: Ledger) -> None:
    """All in flight at once: every one gets its own number, the sum is exact and the chain holds."""
    answers = together(books.postings.PostEntry, [cents(f"0.{i % 90 + 10}") for i in range(512)])
    assert sorted(answer.entry.number for answer in answers) == [*range(1, 513)]
    expected = sum(i % 90 + 10 for i in range(512))
    assert books.balance(CASH) == f"{expected // 100}.{expected % 100:02} Dr"
    assert gapless(books)


def test_two_payouts_of_all_that_is_payable(books: Ledger) -> None:
    books.postings.RecordSession(session("C1", rate="100.00"))
    answers = together(books.postings.PayProvider, [payout("ada", "100.00") for _ in range(2)])
    assert reasons(answers) == {"posted": 1, "PAYABLE_EXCEEDED": 1}
    assert (books.balance(PAYABLE), books.balance(CASH)) == ("0.00", "100.00 Cr")


def test_one_reversal_of_many(books: Ledger) -> None:
    first = books.post(DAY, dr(CASH, "1.00"), cr(OPENING, "1.00")).number
    asked = [
        po.ReverseEntryRequest(
            book=BOOK, idempotency_key=f"r{i}", number=first, effective_date=DAY, reason="mistaken"
        )
        for i in range(8)
    ]
    found = reasons(in_one_batch(books, [(books.postings.ReverseEntry, request) for request in asked]))
    assert found == {"posted": 1, "ENTRY_ALREADY_REVERSED": 7}


def test_one_absorption_of_many(books: Ledger) -> None:
    books.postings.RecordSession(session("C1"))
    asked = [
        po.AbsorbDenialRequest(book=BOOK, idempotency_key=f"a{i}", claim="C1", effective_date=DAY, reason="denied")
        for i in range(8)
    ]
    found = reasons(in_one_batch(books, [(books.postings.AbsorbDenial, request) for request in asked]))
    assert found == {"posted": 1, "CLAIM_NOT_FOUND": 7}
    assert books.balance("Expenses:DenialsAbsorbed") == "120.00 Dr"


def test_one_opening_of_many(books: Ledger) -> None:
    """Of a book and of an account: all are told that it is open, and it is open once."""
    opened = ac.OpenBookRequest(book="new", name="new")
    account = ac.OpenAccountRequest(book=BOOK, code="Assets:Petty", currency_code="USD")
    assert not [a for a in together(books.accounts.OpenBook, [opened] * 8) if isinstance(a, Refused)]
    assert not [a for a in together(books.accounts.OpenAccount, [account] * 8) if isinstance(a, Refused)]
    assert [code.code for code in books.codes()].count("Assets:Petty") == 1


def test_accounts_that_open_themselves_for_many_at_once(books: Ledger) -> None:
    """Also where their codes differ in case alone: one spelling wins, the other is refused."""
    asked = [session(f"C{i}", payer=payer) for i, payer in enumerate(["AETNA", "Aetna"] * 8)]
    found = reasons(together(books.postings.RecordSession, asked))
    assert found == {"posted": 8, "ACCOUNT_CODE_AMBIGUOUS": 8}
    assert gapless(books)


def test_two_servers_on_one_database(books: Ledger) -> None:
    """Both post to the same book at once, some of it under the same keys: one order, nothing twice."""
    with serving(books.loop, books.url) as other:
        asked = [cents(key=f"key {i // 2}") for i in range(200)]
        calls = [(books, other)[i % 2].postings.PostEntry.future(request) for i, request in enumerate(asked)]
        answers = [answered(call) for call in calls]
        assert reasons(answers) == {"posted": 100, "replayed": 100}
        assert sorted({answer.entry.number for answer in answers}) == [*range(1, 101)]
        assert (books.balance(CASH), other.balance(CASH)) == ("1.00 Dr", "1.00 Dr")
    assert gapless(books)


def test_two_servers_pay_out_what_is_payable_once(books: Ledger) -> None:
    books.postings.RecordSession(session("C1", rate="100.00"))
    with serving(books.loop, books.url) as other:
        calls = [one.postings.PayProvider.future(payout("ada", "30.00")) for one in (books, other) * 8]
        found = reasons([answered(call) for call in calls])
    assert found == {"posted": 3, "PAYABLE_EXCEEDED": 13}
    assert books.balance(PAYABLE) == "10.00 Cr"


@pytest.mark.parametrize("round_", range(5))
def test_an_account_closes_while_others_post_to_it(books: Ledger, round_: int) -> None:
    """Closed at zero means zero for good: either the posting came first and closing is refused, or last."""
    petty = "Assets:Petty"
    books.accounts.OpenAccount(ac.OpenAccountRequest(book=BOOK, code=petty, currency_code="USD"))
    asked = [
        po.PostEntryRequest(book=BOOK, entry=entry(DAY, dr(petty, "1.00"), cr(OPENING, "1.00"))) for _ in range(4)
    ]
    posts = [books.postings.PostEntry.future(request) for request in asked[:round_]]
    closing = books.accounts.CloseAccount.future(ac.CloseAccountRequest(book=BOOK, code=petty, reason="unused"))
    posts += [books.postings.PostEntry.future(request) for request in asked[round_:]]
    closed, found = answered(closing), reasons([answered(call) for call in posts])
    if isinstance(closed, Refused):
        assert (closed.reason, found) == ("ACCOUNT_NOT_AT_ZERO", {"posted": 4})
        assert books.balance(petty) == "4.00 Dr"
    else:
        assert found == {"ACCOUNT_CLOSED": 4}
        assert books.balance(petty) == "0.00"


def test_atomic_batches_among_others(books: Ledger) -> None:
    """All of a batch or none of it, with numbers that follow one another, whatever arrives in between."""
    closed = "Assets:Gone"
    books.accounts.OpenAccount(ac.OpenAccountRequest(book=BOOK, code=closed, currency_code="USD"))
    books.accounts.CloseAccount(ac.CloseAccountRequest(book=BOOK, code=closed, reason="unused"))
    good = [cents().entry for _ in range(5)]
    bad = [*good[:4], entry(DAY, dr(closed, "0.01"), cr(OPENING, "0.01"))]
    calls: list[Any] = []
    for i in range(20):
        calls.append(books.postings.PostEntry.future(cents()))
        calls.append(books.postings.PostEntries.future(batch(renamed(bad if i % 2 else good, i))))
    answers = [answered(call) for call in calls]
    singles, batches = answers[::2], answers[1::2]
    assert reasons(singles) == {"posted": 20}
    assert {answer.reason for answer in batches[1::2]} == {"ACCOUNT_CLOSED"}
    for posted in batches[::2]:
        numbers = [result.entry.number for result in posted.results]
        assert numbers == [*range(numbers[0], numbers[0] + 5)]
    assert len(books.entries()) == 20 + 10 * 5
    assert gapless(books)


def batch(entries: list[po.EntryToPost]) -> po.PostEntriesRequest:
    return po.PostEntriesRequest(book=BOOK, entries=entries, atomic=True)


def renamed(entries: list[po.EntryToPost], number: int) -> list[po.EntryToPost]:
    """The same entries under keys of their own."""
    copies = []
    for i, one in enumerate(entries):
        copies.append(po.EntryToPost())
        copies[-1].CopyFrom(one)
        copies[-1].idempotency_key = f"batch {number} entry {i}"
    return copies


def held(ledger: Ledger, do: Callable[[], Any]) -> Any:
    """Does something while somebody else holds the book, so that what it posts is in flight until the end."""
    with psycopg.connect(ledger.url.replace("+psycopg", "")) as holder:
        holder.execute("SELECT FROM heads WHERE book = %s FOR UPDATE", [BOOK])
        return do()


def test_a_caller_who_hangs_up(books: Ledger) -> None:
    """Has asked all the same: the entry is posted, once, and the key gives the answer; no other is disturbed."""
    kept, hung_up = cents(key="kept"), cents(key="hung up")

    def ask_and_hang_up() -> list[grpc.Future]:
        calls = [books.postings.PostEntry.future(request) for request in (cents(), hung_up, kept)]
        wait_for(books, 3)
        calls[1].cancel()
        return calls

    first, _, last = held(books, ask_and_hang_up)
    assert reasons([answered(first), answered(last)]) == {"posted": 2}
    again = books.postings.PostEntry(hung_up)
    assert again.replayed
    assert gapless(books)


def wait_for(ledger: Ledger, count: int) -> None:
    """Returns once the server has so many calls in hand: answers to questions come after them."""
    for _ in range(count):
        ledger.accounts.ListBooks(ac.ListBooksRequest())


def test_a_caller_whose_time_is_up(books: Ledger) -> None:
    """Is told so, and finds out under the same key what became of the request."""
    asked = cents(key="late")

    def ask() -> Refused:
        call = books.postings.PostEntry.future(asked, timeout=0.2)
        return answered(call)

    assert held(books, ask).code == "DEADLINE_EXCEEDED"
    books.postings.PostEntry(asked)
    assert books.postings.PostEntry(asked).replayed
    assert len(books.entries()) == 1


def test_slow_readers_keep_nobody_from_posting(books: Ledger) -> None:
    """More of them than there are connections, and all wait for a table that posting does not need."""
    asked = rc.ListExceptionsRequest(book=BOOK, page_size=10)
    with psycopg.connect(books.url.replace("+psycopg", "")) as holder:
        holder.execute("LOCK TABLE exceptions IN ACCESS EXCLUSIVE MODE")
        slow = [books.reconciliation.ListExceptions.future(asked) for _ in range(30)]
        eventually(lambda: waiting_for_a_lock(books.url) >= 10, "all that the server reads with wait")
        assert books.postings.PostEntry(cents(), timeout=10).entry.number == 1
        assert not any(reader.done() for reader in slow)
    assert {len(answered(reader).exceptions) for reader in slow} == {0}


def test_books_do_not_wait_for_one_another(books: Ledger) -> None:
    open_book(books, "other")
    books.accounts.OpenAccount(ac.OpenAccountRequest(book="other", code=OPENING, currency_code="USD"))
    elsewhere = po.PostEntryRequest(book="other", entry=cents().entry)
    assert held(books, lambda: books.postings.PostEntry(elsewhere)).entry.number == 1
