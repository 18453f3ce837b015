"""The summary of remittances and the automatic rate, by payer and month."""

from itertools import count

import pytest
from payers import claim, deliver, file, remittance
from serving import Ledger, open_book, refused, session
from test_reports import lines

from reconciliation.v1 import reconciliation_pb2 as pb

_books = count(1)


MIXED = (
    claim("C1", "100.00", "100.00"),
    claim("C2", "100.00", "0.00", "CO-29 100.00", status="4"),
    claim("X9", "50.00", "50.00"),
    "PLB*1234567893*20261231*L6:INT*-5.00~",
)
IN_JUNE = remittance("155.00", "T1", *MIXED)


@pytest.fixture
def books(server: Ledger) -> Ledger:
    """AETNA pays C1, denies C2, and pays X9, which nobody knows, in June; what it says in July does not add up."""
    mine = server.of(f"summed-{next(_books)}")
    open_book(mine, mine.book)
    for name in ("C1", "C2", "C3"):
        mine.postings.RecordSession(session(name, book=mine.book, allowed="100.00", charge="100.00"))
    wrong = remittance("90.00", "T2", claim("C3", "100.00", "100.00"), day="2026-07-03")
    for number, sent in ((101, IN_JUNE), (102, wrong), (103, IN_JUNE)):
        deliver(mine, file(sent, number=number), mine.book)
    return mine


def summary(books: Ledger, as_of: str) -> pb.GetRemittanceSummaryResponse:
    return books.reconciliation.GetRemittanceSummary(pb.GetRemittanceSummaryRequest(book=books.book, as_of=as_of))


def rate(books: Ledger, as_of: str, *groups: int) -> pb.GetAutomaticRateResponse:
    asked = pb.GetAutomaticRateRequest(book=books.book, as_of=as_of, group_by=groups)
    return books.reconciliation.GetAutomaticRate(asked)


def test_the_summary_says_where_the_money_is(books: Ledger) -> None:
    """Remittances, duplicates, claims; received and its parts; what PLB took off or added."""
    june = "AETNA 2026-06 1 1 3 155.00 105.00 50.00 0.00 0.00 0.00 -5.00"
    assert lines(summary(books, "2026-06-30").rows) == [june]
    july = "AETNA 2026-07 1 0 1 90.00 0.00 0.00 90.00 0.00 0.00 0.00"
    assert lines(summary(books, "2026-07-31").rows) == [june, july]
    assert lines(summary(books, "2026-07-31").totals) == ["- - 2 1 4 245.00 105.00 50.00 90.00 0.00 0.00 -5.00"]
    assert lines(summary(books, "2026-05-31").rows) == []


def test_the_rate_counts_what_nobody_looked_at(books: Ledger) -> None:
    """Payments, untouched, looked at, suspended, quarantined; share; paid, of untouched and of those looked at."""
    june = "AETNA 2026-06 3 1 2 1 0 33.33 150.00 100.00 50.00 -"
    july = "AETNA 2026-07 0 0 0 0 1 0.00 0.00 0.00 0.00 -"
    assert lines(rate(books, "2026-07-31").rows) == [june, july]


def test_the_rate_by_the_rule_that_found_the_claim(books: Ledger) -> None:
    """What no rule has found, and what is quarantined, is in the row without one."""
    assert lines(rate(books, "2026-07-31", pb.RATE_GROUP_RULE).rows) == [
        "- - 1 0 1 1 1 0.00 50.00 0.00 50.00 -",
        "- - 2 1 1 0 0 50.00 100.00 100.00 0.00 claim_id",
    ]
    assert lines(rate(books, "2026-06-30", pb.RATE_GROUP_PAYER, pb.RATE_GROUP_RULE).rows)[1] == (
        "AETNA - 2 1 1 0 0 50.00 100.00 100.00 0.00 claim_id"
    )
    assert lines(rate(books, "2026-07-31", pb.RATE_GROUP_PAYER).rows) == [
        "AETNA - 3 1 2 1 1 25.00 150.00 100.00 50.00 -"
    ]


def test_what_is_found_later_was_looked_at_all_the_same(books: Ledger) -> None:
    books.postings.RecordSession(session("X9", book=books.book, allowed="50.00", charge="50.00"))
    deliver(books, file(IN_JUNE, number=101), books.book)
    assert lines(summary(books, "2026-06-30").rows) == [
        "AETNA 2026-06 1 1 3 155.00 155.00 0.00 0.00 0.00 0.00 -5.00"
    ]
    assert lines(rate(books, "2026-06-30").rows) == ["AETNA 2026-06 3 1 2 0 0 33.33 150.00 100.00 50.00 -"]


def test_what_is_refused(books: Ledger) -> None:
    by_colour = pb.GetAutomaticRateRequest(book=books.book, as_of="2026-06-30", group_by=[9])
    assert refused(books.reconciliation.GetAutomaticRate, by_colour).reason == "CHOICE_INVALID"
    for form, call in (
        (pb.GetRemittanceSummaryRequest, books.reconciliation.GetRemittanceSummary),
        (pb.GetAutomaticRateRequest, books.reconciliation.GetAutomaticRate),
    ):
        assert refused(call, form(book=books.book)).reason == "FIELD_MISSING"
        assert refused(call, form(book="nowhere", as_of="2026-06-30")).reason == "BOOK_NOT_FOUND"
