"""Flows over several files and payers: the same books whatever the order of the mail, and what stands open."""

from importlib.resources import files
from itertools import count, permutations

import psycopg
import pytest
from payers import NPI, Payer, claim, deliver, file, plb, remittance
from serving import Ledger, open_book, refused, session, usd

from reconciliation import reports
from reconciliation.v1 import coverage_pb2 as cv
from reconciliation.v1 import reconciliation_pb2 as pb

CIGNA = Payer("CIGNA", "62308", "1133445566")
SHARE, ALL = "CO-45 30.00, PR-3 20.00", "OA-23 130.00"
_books = count(1)


@pytest.fixture
def books(server: Ledger) -> Ledger:
    return opened(server)


def opened(server: Ledger) -> Ledger:
    """A book of its own with a claim of 120.00, of which the patient's part is 20.00."""
    ledger = server.of(f"flows-{next(_books)}")
    open_book(ledger, ledger.book)
    ledger.postings.RecordSession(session("C1", book=ledger.book, charge="150.00", patient_share="20.00"))
    identified = pb.IdentifyPayerRequest(book=ledger.book, payer="CIGNA", identifiers=["62308"], reason="card")
    ledger.reconciliation.IdentifyPayer(identified)
    return ledger


def covered(books: Ledger, payer: str = "CIGNA", rank: int = 2) -> cv.Cover:
    asked = cv.RecordCoverRequest(book=books.book, claim="C1", payer=payer, rank=rank, reason="the card says so")
    return books.coverage.RecordCover(asked).cover


def first(paid: str, cas: str = SHARE, status: str = "19") -> str:
    return claim("C1", "150.00", paid, cas, status=status, control="PCN1")


def second(paid: str, cas: str = ALL) -> str:
    return claim("C1", "150.00", paid, cas, status="2", control="CG1")


def back(paid: str, cas: str, control: str) -> str:
    negated = ", ".join(f"{one.split()[0]} -{one.split()[1]}" for one in cas.split(", "))
    return claim("C1", "-150.00", f"-{paid}", negated, status="22", control=control)


LOWER = "CO-45 30.00, PR-3 30.00"
MAIL = {
    "the first payer pays": file(remittance("100.00", "EFT1", first("100.00"))),
    "the second payer pays": file(remittance("20.00", "CIG1", second("20.00"), payer=CIGNA)),
    "the first takes back": file(remittance("-100.00", "EFT2", back("100.00", SHARE, "PCN1"))),
    "the first corrects": file(remittance("90.00", "EFT3", first("90.00", LOWER))),
}
FOLLOWING = file(
    remittance("10.00", "CIG2", back("20.00", ALL, "CG1"), second("30.00", "OA-23 120.00"), payer=CIGNA)
)
SETTLED = {
    "Assets:Receivable": "0.00",
    "Liabilities:PayerOverpayments": "0.00",
    "Liabilities:PatientRefunds": "0.00",
    "Liabilities:Suspense": "0.00",
    "Assets:RemittanceClearing": "120.00 Dr",
    "Liabilities:Payable": "105.00 Cr",
}


@pytest.mark.parametrize("order", list(permutations(MAIL)), ids=" - ".join)
def test_the_books_are_the_same_in_any_order_of_the_mail(server: Ledger, order: tuple[str, ...]) -> None:
    """Paid, taken back and corrected by the first payer, paid by the second, who follows at last."""
    books = opened(server)
    covered(books)
    for name in order:
        deliver(books, MAIL[name], books.book, name)
    deliver(books, FOLLOWING, books.book)
    codes = {account.code for account in books.codes()}
    for prefix, expected in SETTLED.items():
        if any(f"{code}:".startswith(f"{prefix}:") for code in codes):
            assert books.control(prefix) == expected, prefix
    assert {books.balance(code) for code in codes if code.startswith("Assets:Receivable:")} == {"0.00"}
    assert books.wrong() == []
    waiting = books.reconciliation.ListExceptions(pb.ListExceptionsRequest(book=books.book)).exceptions
    assert {one.reason for one in waiting} <= {pb.EXCEPTION_REASON_NEGATIVE_PAYMENT}


# --- who pays in which rank ---------------------------------------------------------------------------


def forwarding(books: Ledger, **more: object) -> cv.ForwardClaimRequest:
    asked = {
        "book": books.book,
        "claim": "C1",
        "effective_date": "2026-06-30",
        "reason": "found",
        "idempotency_key": "k",
    }
    return cv.ForwardClaimRequest(**(asked | more))  # type: ignore[arg-type]


def test_what_was_said_of_a_rank_stays_and_the_last_word_counts(books: Ledger) -> None:
    assert [covered(books).version, covered(books).version, covered(books, "HUMANA").version] == [1, 1, 2]
    listed = books.coverage.ListCovers(cv.ListCoversRequest(book=books.book, claim="C1")).covers
    assert [(one.rank, one.payer, one.version, one.said_by) for one in listed] == [(2, "HUMANA", 2, "local")]


@pytest.mark.parametrize("rank", [0, 10, -1])
def test_a_rank_that_there_is_not(books: Ledger, rank: int) -> None:
    asked = cv.RecordCoverRequest(book=books.book, claim="C1", payer="CIGNA", rank=rank, reason="card")
    assert refused(books.coverage.RecordCover, asked).reason == "NUMBER_INVALID"


def test_a_claim_without_a_next_payer_is_not_forwarded(books: Ledger) -> None:
    found = refused(books.coverage.ForwardClaim, forwarding(books))
    assert (found.code, found.reason) == ("FAILED_PRECONDITION", "NEXT_PAYER_UNKNOWN")
    assert found.facts == {"claim": "C1", "payer": "AETNA"}
    covered(books)
    assert refused(books.coverage.ForwardClaim, forwarding(books, payer="CIGNA")).reason == "NEXT_PAYER_UNKNOWN"
    assert refused(books.coverage.ForwardClaim, forwarding(books, claim="C9")).reason == "CLAIM_NOT_FOUND"


def test_a_claim_is_forwarded_by_hand_with_what_the_patient_owes(books: Ledger) -> None:
    covered(books)
    found = books.coverage.ForwardClaim(forwarding(books, with_patient_share=True))
    assert (found.payer, found.amount, found.replayed) == ("CIGNA", usd("120.00"), False)
    assert books.balance("Assets:Receivable:Insurer:CIGNA") == "120.00 Dr"
    other = refused(books.coverage.ForwardClaim, forwarding(books, reason="another"))
    assert other.reason == "IDEMPOTENCY_KEY_REUSED"
    assert (
        refused(books.coverage.ForwardClaim, forwarding(books, idempotency_key="k2")).reason
        == "NEXT_PAYER_UNKNOWN"
    )


# --- what stands open under references ----------------------------------------------------------------


def open_balances(books: Ledger, payer: str = "") -> list[str]:
    """Account, reference and amount, one on each page."""
    asked, found = pb.ListOpenBalancesRequest(book=books.book, payer=payer, page_size=1), []
    while True:
        page = books.reconciliation.ListOpenBalances(asked)
        found += [f"{one.account} {one.item} {one.amount.minor_units}" for one in page.balances]
        asked.page_token = page.next_page_token
        if not asked.page_token:
            return found


def test_open_balances_are_listed_until_they_close(books: Ledger) -> None:
    paid = first("110.00", "CO-45 20.00, PR-3 20.00", status="1")
    pairs = ("FB", "F1", "-50.00"), ("WO", "W1", "7.00")
    deliver(books, file(remittance("153.00", "EFT1", paid, plb(*pairs))), books.book)
    deliver(books, file(remittance("5.00", "CIG1", plb(("FB", "F2", "-5.00")), payer=CIGNA)), books.book)
    over, carried = "Liabilities:PayerOverpayments:AETNA", "Liabilities:ForwardBalances:AETNA"
    of_aetna = [f"{carried} F1 5000", f"{over} C1 1000", f"{over} W1 -700"]
    assert open_balances(books, "AETNA") == of_aetna
    assert open_balances(books) == sorted([*of_aetna, "Liabilities:ForwardBalances:CIGNA F2 500"])
    closing = plb(("WO", "F1", "50.00"), ("WO", "PCN1", "10.00"), ("WO", "W1", "-7.00"))
    deliver(books, file(remittance("-53.00", "EFT2", closing)), books.book)
    assert open_balances(books, "AETNA") == []
    waiting = books.reconciliation.ListExceptions(pb.ListExceptionsRequest(book=books.book)).exceptions
    reasons = [one.reason for one in waiting]
    assert reasons == [pb.EXCEPTION_REASON_FORWARD_BALANCE_OPEN, pb.EXCEPTION_REASON_NEGATIVE_PAYMENT]
    assert (waiting[0].amount.minor_units, waiting[0].detail.split()[-1]) == (500, "F2"), "CIGNA's is open still"


def test_more_is_taken_than_was_carried(books: Ledger) -> None:
    """What is open closes, and the rest is told of."""
    deliver(books, file(remittance("50.00", "EFT1", plb(("FB", "F1", "-50.00")))), books.book)
    deliver(books, file(remittance("-60.00", "EFT2", plb(("WO", "F1", "60.00")))), books.book)
    assert open_balances(books) == ["Liabilities:PayerOverpayments:AETNA F1 -1000"]
    waiting = books.reconciliation.ListExceptions(pb.ListExceptionsRequest(book=books.book)).exceptions
    taken = [one for one in waiting if one.reason == pb.EXCEPTION_REASON_TAKEBACK_UNEXPLAINED]
    assert [one.amount.minor_units for one in taken] == [-1000]


# --- whom a remittance pays ---------------------------------------------------------------------------


def test_a_payee_that_is_ours_no_longer(books: Ledger) -> None:
    def ours(*, withdrawn: bool) -> None:
        asked = pb.IdentifyPayeeRequest(
            book=books.book, identifiers=[NPI], withdrawn=withdrawn, reason="so the registry says"
        )
        books.reconciliation.IdentifyPayee(asked)

    def state(trace: str) -> int:
        data = file(remittance("1.00", trace, plb(("L6", trace, "-1.00"))))
        return deliver(books, data, books.book).remittances[0].state

    other = pb.IdentifyPayeeRequest(book=books.book, identifiers=["OURS"], reason="our other name")
    books.reconciliation.IdentifyPayee(other)
    assert state("EFT1") == pb.REMITTANCE_STATE_QUARANTINED
    ours(withdrawn=False)
    assert state("EFT1") == pb.REMITTANCE_STATE_SETTLED
    ours(withdrawn=True)
    assert state("EFT2") == pb.REMITTANCE_STATE_QUARANTINED


# --- that the mail room's integrity check can find something ------------------------------------------

FOUND = {
    "moves_clear_nothing": """
        INSERT INTO claim_moves SELECT book, number, claim, 'forwarded', 'CIGNA', NULL, NULL
        FROM entries WHERE kind = 'claim_paid' AND book = %(book)s
    """,
    "absorbed_as_posted": """
        INSERT INTO denials SELECT book, claim, 'AETNA', 1, 'absorbed', effective_date, 0, 'USD', '{}', '', '',
            NULL, NULL, number, 'mallory', now()
        FROM entries WHERE kind = 'claim_paid' AND book = %(book)s
    """,
    "claim_payment_as_said": """
        UPDATE claim_payments SET rule = 'by_hand' WHERE book = %(book)s
    """,
    "reversal_takes_back_as_said": """
        WITH said AS (
            UPDATE claim_payments SET rule = 'by_hand' WHERE book = %(book)s
            RETURNING remittance, line, paid, entry_number
        )
        INSERT INTO claim_matches
        SELECT %(book)s, 1, remittance, line, 'matched', '{C1}', ARRAY[paid], paid, 'USD', NULL, NULL, NULL,
            'said', 'mallory', now(), '', entry_number, remittance, line
        FROM said
    """,
}


@pytest.mark.parametrize("check", FOUND)
def test_what_was_written_wrongly_is_found(books: Ledger, check: str) -> None:
    deliver(books, MAIL["the first payer pays"], books.book)
    sql = files(reports).joinpath("integrity.sql").read_text()
    with psycopg.connect(books.url.replace("+psycopg", "", 1)) as owner:
        assert owner.execute(sql).fetchall() == []
        owner.execute(FOUND[check], {"book": books.book})
        found = [(name, book) for name, book, *_ in owner.execute(sql)]
        owner.rollback()
    assert found == [(check, books.book)]
