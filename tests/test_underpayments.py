"""Underpayments against contract: what payers allowed less than was booked, claim by claim and in sums."""

from itertools import count

import pytest
from payers import claim, deliver, file, remittance
from serving import Ledger, cr, dr, key, open_book, refused, session
from test_reports import lines

from ledger.v1 import postings_pb2 as po
from reconciliation.v1 import reconciliation_pb2 as pb

ADJUSTED = "Revenue:ContractualAdjustments"
_books = count(1)


@pytest.fixture
def books(server: Ledger) -> Ledger:
    """AETNA allows 110.00 and 95.00 of 120.00; pays a third claim in full, and refuses a part of a fourth."""
    mine = server.of(f"underpaid-{next(_books)}")
    open_book(mine, mine.book)
    for name in ("C1", "C2", "C3", "C4"):
        asked = session(name, book=mine.book, allowed="120.00", patient_share="20.00", charge="150.00")
        mine.postings.RecordSession(asked)
    paid(
        mine, "T1", "2026-06-05", claim("C1", "150.00", "90.00", "CO-45 40.00, PR-3 20.00", control="P1"), "90.00"
    )
    july = (
        claim("C2", "150.00", "75.00", "CO-45 50.00, CO-253 5.00, PR-3 20.00"),
        claim("C3", "150.00", "100.00", "CO-45 30.00, PR-3 20.00"),
        claim("C4", "150.00", "60.00", "CO-45 30.00, CO-97 40.00, PR-3 20.00"),
    )
    paid(mine, "T2", "2026-07-05", "".join(july), "235.00")
    return mine


def paid(books: Ledger, trace: str, day: str, loops: str, amount: str) -> None:
    deliver(books, file(remittance(amount, trace, loops, day=day)), books.book)


def told(books: Ledger, as_of: str = "2026-12-31", **more: int) -> list[str]:
    """Payer, month, claims; underpaid, of it by hand."""
    asked = pb.GetUnderpaymentsRequest(book=books.book, as_of=as_of, **more)
    found = books.reconciliation.GetUnderpayments(asked)
    assert [row.underpaid for row in found.totals] == [one for one in found.control if found.totals]
    return lines(found.rows)


def listed(books: Ledger, **more: str) -> list[str]:
    """Entry, day, payer, claim, trace; booked, paid, underpaid; what was said. A row a page."""
    asked = pb.ListUnderpaidClaimsRequest(book=books.book, page_size=1, **more)
    found = []
    while True:
        page = books.reconciliation.ListUnderpaidClaims(asked)
        found += lines(page.rows)
        if not page.next_page_token:
            return found
        asked.page_token = page.next_page_token


BY_CONTRACT = "the contract was booked {} higher for claim {} than the payer allows: {}"
FIRST = "5 2026-06-05 AETNA C1 T1 120.00 90.00 10.00 " + BY_CONTRACT.format(
    "10.00", "C1", "CO-45 40.00, PR-3 20.00"
)
SECOND = "6 2026-07-05 AETNA C2 T2 120.00 75.00 25.00 " + BY_CONTRACT.format(
    "25.00", "C2", "CO-45 50.00, CO-253 5.00, PR-3 20.00"
)


def test_what_was_allowed_less_is_told_with_its_codes(books: Ledger) -> None:
    """Neither what was paid in full nor what was refused is an underpayment."""
    assert listed(books) == [FIRST, SECOND]
    assert listed(books, as_of="2026-06-30") == [FIRST]
    assert listed(books, effective_from="2026-06-06") == [SECOND]
    assert told(books) == ["AETNA 2026-06 1 10.00 0.00", "AETNA 2026-07 1 25.00 0.00"]
    assert told(books, "2026-06-30") == ["AETNA 2026-06 1 10.00 0.00"]
    assert told(books, as_known_at_number=5) == ["AETNA 2026-06 1 10.00 0.00"]


def test_what_is_taken_back_takes_off_and_what_is_by_hand_is_told_apart(books: Ledger) -> None:
    back = claim("C1", "-150.00", "-90.00", "CO-45 -40.00, PR-3 -20.00", status="22", control="P1")
    paid(books, "T3", "2026-07-20", back, "-90.00")
    receivable = cr("Assets:Receivable:Insurer:AETNA", "5.00", "C3")
    number = books.post("2026-07-21", dr(ADJUSTED, "5.00", "C3"), receivable).number
    assert [line.split(" the ")[0] for line in listed(books, effective_from="2026-07-06")] == [
        f"{number - 1} 2026-07-20 AETNA C1 T3 120.00 -90.00 -10.00 -",
        f"{number} 2026-07-21 - C3 - 120.00 - 5.00 by hand",
    ]
    assert told(books) == ["- 2026-07 1 5.00 5.00", "AETNA 2026-06 1 10.00 0.00", "AETNA 2026-07 2 15.00 0.00"]
    undoing = {"number": number, "effective_date": "2026-07-22", "reason": "mistaken"}
    books.postings.ReverseEntry(po.ReverseEntryRequest(book=books.book, idempotency_key=key(), **undoing))
    assert told(books)[0] == "- 2026-07 1 0.00 0.00"
    assert listed(books, effective_from="2026-07-22") == [
        f"{number + 1} 2026-07-22 - C3 - 120.00 - -5.00 mistaken"
    ]


def test_refusals(books: Ledger) -> None:
    for form, call, asked, reason in (
        (pb.GetUnderpaymentsRequest, "GetUnderpayments", {}, "FIELD_MISSING"),
        (pb.GetUnderpaymentsRequest, "GetUnderpayments", {"as_of": "July"}, "DATE_INVALID"),
        (pb.ListUnderpaidClaimsRequest, "ListUnderpaidClaims", {"page_token": "x"}, "PAGE_INVALID"),
        (pb.ListUnderpaidClaimsRequest, "ListUnderpaidClaims", {"as_known_at_number": 99}, "NUMBER_BEYOND_HEAD"),
    ):
        assert refused(getattr(books.reconciliation, call), form(book=books.book, **asked)).reason == reason
