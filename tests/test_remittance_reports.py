"""The summary of remittances and the automatic rate, by payer and month."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import count
from typing import Any

import psycopg
import pytest
from payers import Payer, claim, deliver, file, remittance
from serving import Ledger, key, open_book, refused, session
from sqlalchemy import Row
from test_command import Called, called
from test_reports import lines

from ledger.database import engine, query
from ledger.money import Amount
from ledger.reports.report import Report, ask
from reconciliation.questions import REMITTANCE_SUMMARY
from reconciliation.v1 import codes_pb2 as cd
from reconciliation.v1 import matches_pb2 as mt
from reconciliation.v1 import reconciliation_pb2 as pb

__all__ = ["called"]  # the command in this process, which is quicker

_books = count(1)


MIXED = (
    claim("C1", "100.00", "100.00"),
    claim("C2", "100.00", "0.00", "CO-29 100.00", status="4"),
    claim("X9", "50.00", "50.00"),
    "PLB*1234567893*20261231*L6:INT*-5.00~",
)
IN_JUNE = remittance("155.00", "T1", *MIXED)
OF_JUNE = "250.00 0.00 0.00 100.00 0.00 0.00 150.00 0 0.00 150.00 0.00"
OF_NONE = "0.00 0.00 0.00 0.00 0.00 0.00 0.00 0 0.00 0.00 0.00"
EVERY_BUCKET = "CO-45 30.00, PR-3 20.00, CO-97 25.00, OA-23 15.00, CO-ZZ9 20.00"


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
    """Remittances, duplicates, claims; received and its parts; what PLB took off or added; then the claims.

    Of these: charged, contractual, patient, denial, other payer, suspense, paid; unsorted; all paid; difference.
    """
    june = f"AETNA 2026-06 1 1 3 155.00 105.00 50.00 0.00 0.00 0.00 -5.00 {OF_JUNE}"
    assert lines(summary(books, "2026-06-30").rows) == [june]
    july = f"AETNA 2026-07 1 0 1 90.00 0.00 0.00 90.00 0.00 0.00 0.00 {OF_NONE}"
    assert lines(summary(books, "2026-07-31").rows) == [june, july]
    assert lines(summary(books, "2026-07-31").totals) == [
        f"- - 2 1 4 245.00 105.00 50.00 90.00 0.00 0.00 -5.00 {OF_JUNE}"
    ]
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
        f"AETNA 2026-06 1 1 3 155.00 155.00 0.00 0.00 0.00 0.00 -5.00 {OF_JUNE}"
    ]
    assert lines(rate(books, "2026-06-30").rows) == ["AETNA 2026-06 3 1 2 0 0 33.33 150.00 100.00 50.00 -"]


# --- adjustments by bucket ----------------------------------------------------------------------------


def adjusted(books: Ledger, as_of: str = "2026-08-31") -> list[str]:
    """Month; charged, contractual, patient, denial, other payer, suspense, paid; unsorted; paid; difference."""
    return [line.split(" ", 2)[1] + " " + line.split(" ", 12)[12] for line in lines(summary(books, as_of).rows)]


@pytest.fixture
def fresh(server: Ledger) -> Iterator[Ledger]:
    """A book with two claims of AETNA; in the end everything adds up."""
    mine = server.of(f"adjusted-{next(_books)}")
    open_book(mine, mine.book)
    for name in ("C1", "C2"):
        mine.postings.RecordSession(session(name, book=mine.book, allowed="120.00", charge="150.00"))
    yield mine
    assert mine.wrong() == []


def test_every_adjusted_cent_is_in_one_bucket(fresh: Ledger) -> None:
    """Whatever was decided: CO-ZZ9 is a code that nobody knows, and C9 a claim that nobody knows."""
    known = claim("C1", "150.00", "40.00", EVERY_BUCKET, control="P1")
    unknown = claim("C9", "80.00", "10.00", "CO-45 65.00, PI-97 5.00")
    deliver(fresh, file(remittance("50.00", "T1", known, unknown)), fresh.book)
    june = "2026-06 230.00 95.00 20.00 30.00 15.00 20.00 50.00 0 0.00 50.00 0.00"
    assert adjusted(fresh) == [june]
    back = EVERY_BUCKET.replace(" 30", " -30").replace(" 2", " -2").replace(" 15", " -15")
    taken = claim("C1", "-150.00", "-40.00", back, status="22", control="P1")
    again = claim("C1", "150.00", "100.00", "CO-45 30.00, PR-3 20.00", control="P2")
    deliver(fresh, file(remittance("60.00", "T2", taken, again, day="2026-07-03")), fresh.book)
    assert adjusted(fresh) == [june, "2026-07 0.00 0.00 0.00 -25.00 -15.00 -20.00 60.00 0 0.00 60.00 0.00"]


def test_what_cannot_be_read_is_in_no_bucket(fresh: Ledger) -> None:
    unread = claim("C1", "150.00", "100.00", "CO-45 3O.00, PR-3 20.00")
    sound = claim("C2", "150.00", "100.00", "CO-45 30.00, PR-3 20.00")
    deliver(fresh, file(remittance("200.00", "T1", unread, sound)), fresh.book)
    assert adjusted(fresh) == ["2026-06 150.00 30.00 20.00 0.00 0.00 0.00 100.00 1 100.00 200.00 0.00"]


def test_a_predetermination_is_told_with_what_it_holds_back(fresh: Ledger) -> None:
    """It pays nothing: its expected payment stands in an adjustment, which no code of a payment explains."""
    deliver(
        fresh,
        file(remittance("0.00", "T1", claim("C1", "150.00", "0.00", "OA-101 150.00", status="25"))),
        fresh.book,
    )
    assert adjusted(fresh) == ["2026-06 150.00 0.00 0.00 0.00 0.00 150.00 0.00 0 0.00 0.00 0.00"]


def unsorted(books: Ledger) -> None:
    """As a version that did not keep the buckets left the claim payments."""
    with owned(books) as owner:
        owner.execute(
            "UPDATE claim_payments SET (contractual, patient, denial, other_payer, suspense) ="
            " (NULL, NULL, NULL, NULL, NULL) WHERE book = %s",
            [books.book],
        )


def owned(books: Ledger) -> psycopg.Connection[Any]:
    return psycopg.connect(books.url.replace("+psycopg", ""), autocommit=True)


def test_what_was_decided_before_is_told_as_unsorted_until_it_is_decided_again(fresh: Ledger) -> None:
    """Unknown is not zero: charged is of those whose buckets are known. A later match puts them into buckets."""
    cas = "CO-45 30.00, PR-3 20.00"
    sent = file(
        remittance("200.00", "T1", claim("C1", "150.00", "100.00", cas), claim("C3", "150.00", "100.00", cas))
    )
    deliver(fresh, sent, fresh.book)
    unsorted(fresh)
    assert adjusted(fresh) == ["2026-06 0.00 0.00 0.00 0.00 0.00 0.00 0.00 2 200.00 200.00 0.00"]
    fresh.postings.RecordSession(session("C3", book=fresh.book, allowed="120.00", charge="150.00"))
    deliver(fresh, sent, fresh.book)
    assert adjusted(fresh) == ["2026-06 150.00 30.00 20.00 0.00 0.00 0.00 100.00 1 100.00 200.00 0.00"]


def test_a_payer_who_is_known_later_is_decided_by_its_own_codes(fresh: Ledger) -> None:
    """CO-97 is no denial with CIGNA, who signs under a number that nobody knows yet."""
    bundled = cd.SetAdjustmentCodeRequest(
        book=fresh.book,
        group="CO",
        code="97",
        payer="CIGNA",
        effective_from="2026-05-01",
        bucket=cd.BUCKET_CONTRACTUAL,
        label="bundled",
        reason="the contract",
    )
    fresh.meanings.SetAdjustmentCode(bundled)
    fresh.postings.RecordSession(session("C7", book=fresh.book, payer="CIGNA", allowed="100.00", charge="150.00"))
    cigna = Payer("STRANGER", "99999", "1999999999")
    sent = file(remittance("100.00", "T1", claim("C7", "150.00", "100.00", "CO-97 50.00"), payer=cigna))
    deliver(fresh, sent, fresh.book)
    assert adjusted(fresh) == ["2026-06 150.00 0.00 0.00 50.00 0.00 0.00 100.00 0 0.00 100.00 0.00"]
    asked = pb.IdentifyPayerRequest(book=fresh.book, payer="CIGNA", identifiers=["1999999999"], reason="card")
    fresh.reconciliation.IdentifyPayer(asked)
    deliver(fresh, sent, fresh.book)
    assert adjusted(fresh) == ["2026-06 150.00 50.00 0.00 0.00 0.00 0.00 100.00 0 0.00 100.00 0.00"]


def test_a_match_by_hand_that_is_undone_leaves_the_buckets(fresh: Ledger) -> None:
    sent = claim("C1", "150.00", "100.00", "CO-45 30.00, PR-3 20.00")
    [one] = deliver(fresh, file(remittance("100.00", "T1", sent)), fresh.book).remittances
    before = adjusted(fresh)
    wrong = mt.UnmatchClaimPaymentRequest(
        book=fresh.book, remittance=one.id, line=1, reason="another's", idempotency_key=key()
    )
    fresh.matches.UnmatchClaimPayment(wrong)
    assert adjusted(fresh) == before == ["2026-06 150.00 30.00 20.00 0.00 0.00 0.00 100.00 0 0.00 100.00 0.00"]


def test_a_bucket_that_was_changed_is_found(fresh: Ledger) -> None:
    """By the report, whose difference is not zero, and by the check, where PostgreSQL no longer refuses it."""
    deliver(fresh, file(remittance("100.00", "T1", claim("C1", "150.00", "100.00", "CO-45 50.00"))), fresh.book)
    found, wrong = asyncio.run(_changed(fresh))
    [month] = found.rows
    assert (month["contractual"], month["difference"]) == (Amount(4900, "USD"), Amount(100, "USD"))
    untied = [(one.column, one.against) for one in found.controls if not one.ties]
    buckets = "contractual + patient + denial + other_payer + suspense + sorted_paid"
    assert untied == [("charged", buckets), ("difference", "zero")]
    assert [(row.check_name, row.expected, row.found) for row in wrong] == [
        ("adjusted_to_what_was_paid", "10000", "10100")
    ]


async def _changed(books: Ledger) -> tuple[Report, Sequence[Row[Any]]]:
    """The report and the check over a changed bucket; nothing of it stays."""
    database = engine(books.url)
    try:
        async with database.connect() as connection:
            for statement in (
                "RESET ROLE",
                "SET ROLE NONE",
                "ALTER TABLE claim_payments DROP CONSTRAINT adjusted_to_what_was_paid",
                f"UPDATE claim_payments SET contractual = contractual - 100 WHERE book = '{books.book}'",
            ):
                await connection.exec_driver_sql(statement)
            found = await ask(connection, REMITTANCE_SUMMARY, books.book, date(2026, 6, 30))
            rows = await connection.execute(query("reconciliation.reports", "integrity.sql"), {})
            wrong = [row for row in rows if row.book == books.book]
            await connection.rollback()
            return found, wrong
    finally:
        await database.dispose()


def test_the_command_ends_with_the_control_totals(called: Called, fresh: Ledger) -> None:
    deliver(fresh, file(remittance("40.00", "T1", claim("C1", "150.00", "40.00", EVERY_BUCKET))), fresh.book)
    words = ("report", "remittance-summary", "--book", fresh.book, "--as-of", "2026-06-30")
    code, said = called(*words, database_url=fresh.url)
    assert not code
    told = " ".join(said.split())
    assert (
        "charged 150.00 USD equals contractual + patient + denial + other_payer + suspense + sorted_paid 150.00"
        in told
    )
    assert "claims paid 40.00 USD equals posted + suspended + provider_level 40.00 USD" in told
    assert "difference 0.00 USD equals zero 0.00 USD" in told


# --- what is refused ----------------------------------------------------------------------------------


def test_what_is_refused(books: Ledger) -> None:
    by_colour = pb.GetAutomaticRateRequest(book=books.book, as_of="2026-06-30", group_by=[9])
    assert refused(books.reconciliation.GetAutomaticRate, by_colour).reason == "CHOICE_INVALID"
    for form, call in (
        (pb.GetRemittanceSummaryRequest, books.reconciliation.GetRemittanceSummary),
        (pb.GetAutomaticRateRequest, books.reconciliation.GetAutomaticRate),
    ):
        assert refused(call, form(book=books.book)).reason == "FIELD_MISSING"
        assert refused(call, form(book="nowhere", as_of="2026-06-30")).reason == "BOOK_NOT_FOUND"
