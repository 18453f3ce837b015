"""`StreamEntries`: an answer for each entry, in order, as long as the caller reads them."""

from collections.abc import Iterator
from itertools import count
from threading import Event
from typing import Any

import grpc
import pytest
from serving import BOOK, PATIENCE_SECONDS, Ledger, cr, dr, entry, refusal

from ledger.v1 import errors_pb2
from ledger.v1 import postings_pb2 as po

DAY = "2026-04-08"
CASH, INTEREST = "Assets:Cash", "Revenue:Interest"


def asked(key: str, amount: str = "0.01", account: str = CASH, book: str = BOOK) -> po.StreamEntriesRequest:
    return po.StreamEntriesRequest(book=book, entry=entry(DAY, dr(account, amount), cr(INTEREST, amount), key=key))


def told(answers: Any) -> list[tuple[str, int | str]]:
    """Key and number of each entry; of a refusal its reason."""
    found: list[tuple[str, int | str]] = []
    for answer in answers:
        result = answer.result
        if result.HasField("refusal"):
            found.append(("refused", errors_pb2.Reason.Name(result.refusal.reason)))
        else:
            found.append((result.entry.idempotency_key + " again" * result.replayed, result.entry.number))
    return found


def test_every_entry_is_answered_in_order(ledger: Ledger) -> None:
    requests = [asked(f"k{n}") for n in range(2_500)]
    assert told(ledger.postings.StreamEntries(iter(requests))) == [(f"k{n}", n + 1) for n in range(2_500)]
    assert ledger.balance(CASH) == "25.00 Dr"
    assert ledger.wrong() == []


def test_a_refused_entry_refuses_itself_alone(ledger: Ledger) -> None:
    unbalanced = asked("k2")
    unbalanced.entry.postings[0].amount.minor_units = 2
    requests = [
        asked("k1"),
        unbalanced,
        asked("k3", account="Assets:Unheard"),
        asked(""),
        asked("k1"),
        asked("k5"),
    ]
    requests[3].entry.idempotency_key = ""
    assert told(ledger.postings.StreamEntries(iter(requests))) == [
        ("k1", 1),
        ("refused", "REASON_ENTRY_UNBALANCED"),
        ("refused", "REASON_ACCOUNT_NOT_FOUND"),
        ("refused", "REASON_FIELD_MISSING"),
        ("k1 again", 1),
        ("k5", 2),
    ]


def test_the_book_is_said_once(ledger: Ledger) -> None:
    requests = [asked("k1"), asked("k2", book=""), asked("k3")]
    assert told(ledger.postings.StreamEntries(iter(requests))) == [("k1", 1), ("k2", 2), ("k3", 3)]


WRONG = {
    "no book at first": ([asked("k1", book="")], "FIELD_MISSING", 0),
    "a book that is not open": ([asked("k1", book="other")], "BOOK_NOT_FOUND", 0),
    "another book on the way": ([asked("k1"), asked("k2", book="other"), asked("k3")], "STREAM_MISORDERED", 1),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_stream_that_is_wrong_ends(ledger: Ledger, case: str) -> None:
    """What came before is posted and answered first."""
    requests, reason, posted = WRONG[case]
    answers = ledger.postings.StreamEntries(iter(requests))
    found = []
    with pytest.raises(grpc.RpcError) as ended:
        found.extend(answers)
    assert refusal(ended.value).reason == reason
    assert len(found) == posted == len(ledger.entries())


def test_an_answer_comes_before_the_next_question(ledger: Ledger) -> None:
    """A caller that asks one at a time is answered at once: nothing waits for more to come."""
    answered = [Event() for _ in range(3)]

    def one_by_one() -> Iterator[po.StreamEntriesRequest]:
        for n, before in enumerate([None, *answered[:-1]]):
            if before is not None:
                assert before.wait(PATIENCE_SECONDS)
            yield asked(f"k{n}")

    for n, answer in enumerate(ledger.postings.StreamEntries(one_by_one(), timeout=PATIENCE_SECONDS)):
        assert answer.result.entry.number == n + 1
        answered[n].set()


def test_whoever_does_not_read_is_not_read_from(ledger: Ledger) -> None:
    """Its entries wait at its own side; others go on; whatever was posted is there, and in order."""
    asking = Event()
    sent = count(1)
    lines = [dr(CASH, "0.01"), cr(INTEREST, "0.01")] * 25

    def without_end() -> Iterator[po.StreamEntriesRequest]:
        for n in sent:
            if n == 20_000:
                asking.set()  # it was never stopped
                return
            yield po.StreamEntriesRequest(book=BOOK, entry=entry(DAY, *lines, key=f"k{n}"))

    answers = ledger.postings.StreamEntries(without_end())
    next(answers)
    assert not asking.wait(2)
    ledger.post(DAY, dr(CASH, "1.00"), cr(INTEREST, "1.00"))
    answers.cancel()
    assert ledger.wrong() == []
    assert next(sent) < 20_000


def test_a_stream_that_broke_off_is_sent_again(ledger: Ledger) -> None:
    requests = [asked(f"k{n}") for n in range(300)]
    answers = ledger.postings.StreamEntries(iter(requests))
    first = [next(answers) for _ in range(10)]
    answers.cancel()
    again = told(ledger.postings.StreamEntries(iter(requests)))
    assert [key.removesuffix(" again") for key, _ in again] == [f"k{n}" for n in range(300)]
    assert [number for _, number in again] == [*range(1, 301)]
    assert told(first) == [(key.removesuffix(" again"), number) for key, number in again[:10]]
