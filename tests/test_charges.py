"""A provider's own fault: off by default, two persons, an account of its own, and no way there from a denial."""

from itertools import count

import pytest
from serving import Ledger, open_book, session, usd
from test_approvals import APPROVER, MAKER, approved, by, told

from ledger.v1 import approvals_pb2 as ap
from ledger.v1 import charges_pb2 as ch
from ledger.v1 import postings_pb2 as po

PAYABLE, CHARGED = "Liabilities:Payable:Provider:ada", "Revenue:ProviderCharges"
_books = count(1)


@pytest.fixture
def books(server: Ledger) -> Ledger:
    """A book of its own, in which 105.00 are payable to ada."""
    ledger = server.of(f"charges-{next(_books)}")
    open_book(ledger, ledger.book)
    ledger.postings.RecordSession(session("C1", book=ledger.book))
    return ledger


def charging(books: Ledger, amount: str = "40.00", key: str = "fault") -> ap.ProposeRequest:
    act = ch.ChargeProviderRequest(
        provider="ada",
        claim="C1",
        amount=usd(amount),
        effective_date="2026-06-30",
        reason="notes were never signed",
    )
    return ap.ProposeRequest(
        book=books.book, idempotency_key=key, reason="see file 7", act=ap.Act(charge_provider=act)
    )


def allowed(books: Ledger, *, allowed: bool, name: str = APPROVER) -> ch.ProviderCharging:
    asked = ch.SetProviderChargingRequest(book=books.book, allowed=allowed, reason="as agreed with providers")
    return books.charges.SetProviderCharging(asked, metadata=by(name)).charging


def test_nobody_is_charged_until_the_book_says_so(books: Ledger) -> None:
    got = books.charges.GetProviderCharging(ch.GetProviderChargingRequest(book=books.book)).charging
    assert (got.allowed, got.version) == (False, 0)
    found = told(books.approvals.Propose, charging(books))
    assert (found.code, found.reason) == ("FAILED_PRECONDITION", "PROVIDER_CHARGING_OFF")
    assert found.facts == {"book": books.book}
    assert books.balance(PAYABLE) == "105.00 Cr"


def test_a_charge_is_one_persons_word_and_anothers_approval(books: Ledger) -> None:
    assert allowed(books, allowed=True).version == 1
    assert allowed(books, allowed=True).version == 1  # the same again is no new word
    proposal = books.approvals.Propose(charging(books), metadata=by(MAKER)).proposal
    assert books.balance(PAYABLE) == "105.00 Cr"
    own = ap.ApproveRequest(
        book=books.book, number=proposal.number, content_hash=proposal.content_hash, reason="my own"
    )
    assert told(books.approvals.Approve, own).reason == "MAKER_IS_CHECKER"
    entry = approved(books, proposal).entry
    assert (entry.kind, entry.actor, entry.description) == (
        *(po.KIND_PROVIDER_CHARGED, MAKER),
        "notes were never signed",
    )
    assert (books.balance(PAYABLE), books.balance(CHARGED)) == ("65.00 Cr", "40.00 Cr")
    assert books.wrong() == []


def test_what_was_allowed_may_be_forbidden_before_it_is_approved(books: Ledger) -> None:
    allowed(books, allowed=True)
    proposal = books.approvals.Propose(charging(books), metadata=by(MAKER)).proposal
    assert allowed(books, allowed=False).version == 2
    asked = ap.ApproveRequest(
        book=books.book, number=proposal.number, content_hash=proposal.content_hash, reason="seen"
    )
    assert told(books.approvals.Approve, asked, APPROVER).reason == "PROVIDER_CHARGING_OFF"
    assert books.balance(PAYABLE) == "105.00 Cr"


def test_no_more_is_charged_than_is_payable(books: Ledger) -> None:
    allowed(books, allowed=True)
    assert told(books.approvals.Propose, charging(books, "105.01")).reason == "PAYABLE_EXCEEDED"
