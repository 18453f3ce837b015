"""What payers refused, by the codes that they named, and what became of it: exact rows of a few lives."""

import pytest
import test_matches
from payers import claim
from serving import Ledger, cr, dr, key, open_book, refused, session, usd
from test_denials import absorbed, appealed, denied, paid, resubmitted
from test_denials import books as three_claims
from test_reports import lines

from ledger.v1 import postings_pb2 as po
from reconciliation.v1 import denials_pb2 as dn

books = three_claims
"""Three claims of 100.00 each, and after the test a look that no provider has paid for any of it."""


def told(books: Ledger, as_of: str = "2026-12-31") -> list[str]:
    """Payer, codes, denials; refused, by how it stands in six columns; still open; loss, recovery and net loss."""
    found = books.denials.GetDenialsByCode(dn.GetDenialsByCodeRequest(book=books.book, as_of=as_of))
    assert [row.net_loss for row in found.totals] == [one for one in found.control if found.totals]
    return lines(found.rows)


def test_rows_are_by_payer_and_codes(books: Ledger) -> None:
    denied(books, "C1")
    denied(books, "C2", "CO-16 50.00, CO-29 100.00")
    denied(books, "C3")
    assert told(books) == [
        "AETNA CO-16 CO-29 1 100.00 100.00 0.00 0.00 0.00 0.00 0.00 100.00 0.00 0.00 0.00",
        "AETNA CO-29 2 200.00 200.00 0.00 0.00 0.00 0.00 0.00 200.00 0.00 0.00 0.00",
    ]
    resubmitted(books, "C2")
    absorbed(books, "C1")
    appealed(books, "C3")
    paid(books, "C3")
    assert told(books) == [
        "AETNA CO-16 CO-29 1 100.00 0.00 100.00 0.00 0.00 0.00 0.00 100.00 0.00 0.00 0.00",
        "AETNA CO-29 2 200.00 0.00 0.00 100.00 100.00 0.00 0.00 0.00 100.00 0.00 100.00",
    ]
    # In June none of that had happened.
    assert told(books, "2026-06-30")[1] == (
        "AETNA CO-29 2 200.00 200.00 0.00 0.00 0.00 0.00 0.00 200.00 0.00 0.00 0.00"
    )
    paid(books, "C1")
    assert told(books)[1] == "AETNA CO-29 2 200.00 0.00 0.00 100.00 0.00 100.00 0.00 0.00 100.00 100.00 0.00"


def test_what_was_absorbed_without_a_denial_has_no_codes(books: Ledger) -> None:
    asked = {"book": books.book, "idempotency_key": key(), "claim": "C1", "effective_date": "2026-07-01"}
    number = books.postings.AbsorbDenial(
        po.AbsorbDenialRequest(**asked, amount=usd("40.00"), reason="x")
    ).entry.number
    books.post("2026-07-02", dr("Expenses:DenialsAbsorbed", "7.00"), cr("Assets:Cash", "7.00"))
    assert told(books) == [
        "- - 0 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 7.00 0.00 7.00",
        "AETNA - 0 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 40.00 0.00 40.00",
    ]
    undoing = {"book": books.book, "idempotency_key": key(), "number": number, "effective_date": "2026-07-05"}
    books.postings.ReverseEntry(po.ReverseEntryRequest(**undoing, reason="mistaken"))
    assert told(books)[1:] == ["AETNA - 0 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00"]


def test_a_loss_belongs_to_the_payer_whose_receivable_it_was(server: Ledger) -> None:
    """Of a claim of two payers, by the entry that absorbed it."""
    book = server.of("denied-by-two")
    open_book(book, book.book)
    for payer in ("AETNA", "CIGNA"):
        more = {"payer": payer, "session": f"for {payer}", "charge": "150.00", "patient_share": "20.00"}
        book.postings.RecordSession(session("C1", book=book.book, **more))
    asked = {"book": book.book, "claim": "C1", "effective_date": "2026-07-01", "reason": "x"}
    for payer, amount in (("CIGNA", "30.00"), ("AETNA", "20.00")):
        request = po.AbsorbDenialRequest(**asked, payer=payer, amount=usd(amount), idempotency_key=key())
        book.postings.AbsorbDenial(request)
    assert [line.split()[0] + line[line.rindex(" ") :] for line in told(book)] == ["AETNA 20.00", "CIGNA 30.00"]


def test_a_denial_that_was_matched_wrongly_is_none(server: Ledger) -> None:
    books = test_matches.opened(server)
    refusing = claim("C1", "150.00", "0.00", "CO-29 150.00", control="P1", status="4")
    wrong = test_matches.mailed(books, "0.00", refusing)
    assert [line.split()[1] for line in told(books)] == ["CO-29"]
    test_matches.unmatched(books, wrong)
    assert told(books) == []


@pytest.mark.parametrize(
    ("book", "as_of", "reason"),
    [("", "", "FIELD_MISSING"), ("mine", "", "FIELD_MISSING"), ("nowhere", "2026-06-30", "BOOK_NOT_FOUND")],
)
def test_refusals(books: Ledger, book: str, as_of: str, reason: str) -> None:
    asked = dn.GetDenialsByCodeRequest(book=books.book if book == "mine" else book, as_of=as_of)
    assert refused(books.denials.GetDenialsByCode, asked).reason == reason
