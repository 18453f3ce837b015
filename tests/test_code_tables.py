"""What codes mean is data: for whom, from when, and as it was said when a remittance was first taken up."""

from datetime import date
from itertools import count

import pytest
from payers import claim, deliver, file, plb, remittance
from serving import Ledger, open_book, refused, session

from ledger.errors import CodeMeaningRefused
from reconciliation.code_tables import ADJUSTMENT, AS_SHIPPED, CodeMeaning, counting, refuse_meaning
from reconciliation.codes import Bucket
from reconciliation.v1 import codes_pb2 as cd
from reconciliation.v1 import reconciliation_pb2 as pb

_books = count(1)
MAY, JUNE, JULY = date(2026, 5, 1), date(2026, 6, 1), date(2026, 7, 1)


def said(revision: int, meaning: str, payer: str = "", day: date = MAY) -> CodeMeaning:
    """CO-97, of which something is said."""
    return CodeMeaning(ADJUSTMENT, "CO", "97", payer, day, meaning, "", "why", "ada", revision)


# What was said, of which payer and day, known up to which revision; then what CO-97 is.
TABLE: dict[str, tuple[list[CodeMeaning], str, date, int, Bucket]] = {
    "nothing said": ([], "AETNA", JUNE, 9, Bucket.DENIAL),
    "said of all": ([said(1, "contractual")], "AETNA", JUNE, 9, Bucket.CONTRACTUAL),
    "said of another payer": ([said(1, "contractual", "CIGNA")], "AETNA", JUNE, 9, Bucket.DENIAL),
    "said from a later day on": ([said(1, "contractual", day=JULY)], "AETNA", JUNE, 9, Bucket.DENIAL),
    "from the very day on": ([said(1, "contractual", day=JUNE)], "AETNA", JUNE, 9, Bucket.CONTRACTUAL),
    "said after it was taken up": ([said(2, "contractual")], "AETNA", JUNE, 1, Bucket.DENIAL),
    "the payer's own comes first, though it is older": (
        [said(1, "suspense", "AETNA", MAY), said(2, "contractual", "", JUNE)],
        *("AETNA", JUNE, 9, Bucket.SUSPENSE),
    ),
    "the latest day comes first, though it was said before": (
        [said(1, "contractual", day=JUNE), said(2, "suspense", day=MAY)],
        *("AETNA", JULY, 9, Bucket.CONTRACTUAL),
    ),
    "said again of the same day": (
        [said(1, "contractual"), said(2, "suspense")],
        *("AETNA", JUNE, 9, Bucket.SUSPENSE),
    ),
    "taken back": ([said(1, "contractual"), said(2, AS_SHIPPED)], "AETNA", JUNE, 9, Bucket.DENIAL),
    "taken back for one payer": (
        [said(1, "contractual"), said(2, AS_SHIPPED, "AETNA")],
        *("AETNA", JUNE, 9, Bucket.DENIAL),
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_which_meaning_counts(case: str) -> None:
    meanings, payer, day, known, expected = TABLE[case]
    assert counting(meanings, payer, day, known).bucket("CO", "97") is expected
    assert counting(reversed(meanings), payer, day, known).bucket("CO", "97") is expected


@pytest.mark.parametrize("meaning", [*Bucket, AS_SHIPPED])
def test_what_another_payer_paid_is_no_write_off(meaning: str) -> None:
    """And the patient's part is the patient's."""
    for group, code, own in (("OA", "23", "other_payer"), ("PR", "1", "patient")):
        one = CodeMeaning(ADJUSTMENT, group, code, "", MAY, meaning, "", "why")
        if meaning in (own, "suspense", AS_SHIPPED):
            refuse_meaning(one)
        else:
            with pytest.raises(CodeMeaningRefused):
                refuse_meaning(one)


# --- through the server -------------------------------------------------------------------------------


@pytest.fixture
def books(server: Ledger) -> Ledger:
    """A book of its own with two claims."""
    ledger = server.of(f"codes-{next(_books)}")
    open_book(ledger, ledger.book)
    for one in ("C1", "C2"):
        ledger.postings.RecordSession(session(one, book=ledger.book, charge="150.00", patient_share="20.00"))
    return ledger


def saying(books: Ledger, bucket: int, day: str = "2026-05-01", payer: str = "") -> cd.CodeMeaning:
    """CO-97 becomes something."""
    asked = cd.SetAdjustmentCodeRequest(
        book=books.book,
        group="CO",
        code="97",
        payer=payer,
        effective_from=day,
        bucket=bucket,  # type: ignore[arg-type]
        label="bundled, as we agreed",
        reason="amendment 4 of the contract",
    )
    return books.meanings.SetAdjustmentCode(asked).meaning


def paying(one: str, trace: str, control: str) -> bytes:
    """90.00 of 100.00, the rest under CO-97."""
    cas = "CO-45 30.00, CO-97 10.00, PR-3 20.00"
    return file(remittance("90.00", trace, claim(one, "150.00", "90.00", cas, control=control)))


def decision(books: Ledger, data: bytes) -> str:
    [found] = deliver(books, data, books.book).remittances
    asked = pb.GetRemittanceRequest(book=books.book, id=found.id)
    [one] = books.reconciliation.GetRemittance(asked).claim_payments
    return pb.Decision.Name(one.decision).removeprefix("DECISION_").lower()


def test_finance_says_what_a_code_means_and_it_does(books: Ledger) -> None:
    assert decision(books, paying("C1", "EFT1", "P1")) == "short_paid"
    first = saying(books, cd.BUCKET_CONTRACTUAL)
    assert (first.revision, first.set_by, first.reason) == (1, "local", "amendment 4 of the contract")
    assert decision(books, paying("C2", "EFT2", "P2")) == "contract_variance"


def test_last_months_file_gives_last_months_answer(books: Ledger) -> None:
    """It waited in suspense for its session, and meanwhile what the code means was changed, back-dated."""
    late = paying("C3", "EFT1", "P1")
    assert decision(books, late) == "suspended"
    saying(books, cd.BUCKET_CONTRACTUAL, "2026-01-01")
    assert decision(books, paying("C1", "EFT2", "P2")) == "contract_variance"
    books.postings.RecordSession(session("C3", book=books.book, charge="150.00", patient_share="20.00"))
    assert decision(books, late) == "short_paid"


def test_a_change_from_a_day_on_leaves_earlier_payments_alone(books: Ledger) -> None:
    saying(books, cd.BUCKET_CONTRACTUAL, "2026-06-06")
    assert decision(books, paying("C1", "EFT1", "P1")) == "short_paid"  # paid on 5 June
    saying(books, cd.BUCKET_CONTRACTUAL, "2026-06-05", "CIGNA")
    assert decision(books, paying("C2", "EFT2", "P2")) == "short_paid"


def test_a_provider_level_code_gets_an_account(books: Ledger) -> None:
    asked = cd.SetProviderLevelCodeRequest(
        book=books.book,
        code="IP",
        effective_from="2026-01-01",
        account_role=cd.ACCOUNT_ROLE_PAYER_ADJUSTMENTS,
        label="incentive",
        reason="agreed",
    )
    books.meanings.SetProviderLevelCode(asked)
    paid = claim("C1", "150.00", "100.00", "CO-45 30.00, PR-3 20.00", control="P1")
    deliver(books, file(remittance("105.00", "EFT1", paid, plb(("IP", "X1", "-5.00")))), books.book)
    assert books.balance("Revenue:PayerAdjustments") == "5.00 Cr"
    assert not list(books.reconciliation.ListExceptions(pb.ListExceptionsRequest(book=books.book)).exceptions)


def test_what_was_said_is_kept_and_listed_newest_first(books: Ledger) -> None:
    for bucket in (cd.BUCKET_CONTRACTUAL, cd.BUCKET_SUSPENSE, cd.BUCKET_UNSPECIFIED):
        saying(books, bucket)
    asked = cd.ListCodesRequest(book=books.book, page_size=2)
    first = books.meanings.ListCodes(asked)
    asked.page_token = first.next_page_token
    second = books.meanings.ListCodes(asked)
    listed = [(one.revision, one.group, one.code, one.meaning) for one in (*first.meanings, *second.meanings)]
    assert listed == [(3, "CO", "97", ""), (2, "CO", "97", "suspense"), (1, "CO", "97", "contractual")]
    assert second.next_page_token == ""


def test_a_meaning_that_a_code_cannot_have(books: Ledger) -> None:
    asked = cd.SetAdjustmentCodeRequest(
        book=books.book,
        group="OA",
        code="23",
        effective_from="2026-01-01",
        bucket=cd.BUCKET_CONTRACTUAL,
        reason="write it off",
    )
    found = refused(books.meanings.SetAdjustmentCode, asked)
    assert (found.code, found.reason) == ("INVALID_ARGUMENT", "CODE_MEANING_REFUSED")
    assert found.facts == {"field": "bucket", "code": "OA-23", "meaning": "contractual"}
    assert not books.meanings.ListCodes(cd.ListCodesRequest(book=books.book)).meanings
