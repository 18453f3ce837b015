"""What falls into one batch: its entries share the time of recording, and their postings keep within the limit."""

from collections import Counter
from queue import Queue

import grpc
import psycopg
import pytest
from serving import BOOK, PATIENCE_SECONDS, Ledger, answered, cr, dr

from ledger.postings import group_commit
from ledger.postings.batch import MOST_POSTINGS
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
        assert answered(done.get(timeout=PATIENCE_SECONDS)).reason == "QUEUE_FULL"
    posted = [answered(done.get(timeout=PATIENCE_SECONDS)).entry for _ in range(REVERSALS)]
    postings_at: Counter[str] = Counter()
    for entry in posted:
        postings_at[entry.recorded_at.ToJsonString()] += len(entry.postings)
    assert sum(postings_at.values()) == REVERSALS * LINES_EACH
    assert max(postings_at.values()) <= MOST_POSTINGS
    assert ledger.wrong() == []
