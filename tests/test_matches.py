"""Claim payments that people match, split and unmatch: the same books as if a rule had known, and back again."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import grpc
import pytest
from payers import Payer, claim, deliver, file, remittance
from serving import Ledger, key, open_book, refusal, refused, session, usd
from test_approvals import ANOTHER, APPROVER, MAKER, by, told
from test_books import rolled_forward
from test_command import Called, called, without_log
from test_denials import absorbed, life
from tying import advances_tie

from ledger.v1 import periods_pb2 as pe
from reconciliation.v1 import coverage_pb2 as cv
from reconciliation.v1 import denials_pb2 as dn
from reconciliation.v1 import matches_pb2 as pb
from reconciliation.v1 import reconciliation_pb2 as rc

__all__ = ["called"]
MATCHED, PROPOSED = pb.MATCH_STATE_MATCHED, pb.MATCH_STATE_PROPOSED
SHARE = "CO-45 30.00, PR-3 20.00"
OWED, WAITS = "Assets:Receivable:Insurer:AETNA", "Liabilities:Suspense:AETNA"
_books, _traces = count(1), count(1)


@pytest.fixture
def books(server: Ledger) -> Iterator[Ledger]:
    """A book of its own with three claims, of each of which AETNA owes 100.00 and the patient 20.00."""
    ledger = opened(server)
    yield ledger
    assert ledger.wrong() == []
    rolled_forward(ledger, ledger.entries(), "2026-12-31")
    advances_tie(ledger, "2026-12-31")
    assert ledger.balance("Liabilities:Payable:Provider:ada") == "315.00 Cr"


def opened(server: Ledger) -> Ledger:
    ledger = server.of(f"matches-{next(_books)}")
    open_book(ledger, ledger.book)
    for one in ("C1", "C2", "C3"):
        ledger.postings.RecordSession(session(one, book=ledger.book, charge="150.00", patient_share="20.00"))
    return ledger


# --- words --------------------------------------------------------------------------------------------


def mailed(books: Ledger, amount: str, *loops: str, **more: Any) -> str:
    """The id of the remittance that was delivered."""
    data = file(remittance(amount, f"EFT{next(_traces)}", *loops, **more))
    return deliver(books, data, books.book).remittances[0].id


def garbled(paid: str = "100.00", cas: str = SHARE, *, charge: str = "150.00", **more: Any) -> str:
    """A payment whose claim id nobody knows, for a day on which no claim has a session."""
    return claim("?1C", charge, paid, cas, control=more.pop("control", "P1"), day="2026-04-09", **more)


def asking(books: Ledger, remittance_: str, *parts: str, **more: Any) -> pb.MatchClaimPaymentRequest:
    """`"C1"`, or `"C1 60.00", "C2 40.00"`."""
    asked: dict[str, Any] = {"line": 1, "reason": "the payer said so", "idempotency_key": key()} | more
    of = [one.split() or [""] for one in parts]
    split = [pb.MatchPart(claim=one[0], amount=usd(one[1]) if one[1:] else None) for one in of]
    return pb.MatchClaimPaymentRequest(book=books.book, remittance=remittance_, parts=split, **asked)


def matched(books: Ledger, remittance_: str, *parts: str, name: str = MAKER, **more: Any) -> pb.ClaimMatch:
    asked = asking(books, remittance_, *parts, **more)
    return books.matches.MatchClaimPayment(asked, metadata=by(name)).match


def undoing(books: Ledger, remittance_: str, **more: Any) -> pb.UnmatchClaimPaymentRequest:
    asked: dict[str, Any] = {"line": 1, "reason": "it was the twin's", "idempotency_key": key()} | more
    return pb.UnmatchClaimPaymentRequest(book=books.book, remittance=remittance_, **asked)


def unmatched(books: Ledger, remittance_: str, **more: Any) -> pb.ClaimMatch:
    return books.matches.UnmatchClaimPayment(undoing(books, remittance_, **more)).match


def limited(books: Ledger, amount: str | None) -> pb.MatchLimit:
    asked = pb.SetMatchLimitRequest(
        book=books.book, currency="USD", amount=usd(amount) if amount else None, reason="controls"
    )
    return books.matches.SetMatchLimit(asked).limit


def decided(books: Ledger, form: Any, number: int) -> Any:
    return form(book=books.book, number=number, reason="seen the letter")


def payment(books: Ledger, remittance_: str, number: int = 1) -> rc.ClaimPayment:
    found = books.reconciliation.GetRemittance(rc.GetRemittanceRequest(book=books.book, id=remittance_))
    return found.claim_payments[number - 1]


def stands(books: Ledger, remittance_: str) -> str:
    """The decision, the claim and the rule of its first claim payment."""
    one = payment(books, remittance_)
    return f"{rc.Decision.Name(one.decision).removeprefix('DECISION_').lower()} {one.claim} {one.rule}"


def posted_and_waiting(books: Ledger, remittance_: str) -> tuple[int, int]:
    found = books.reconciliation.GetRemittance(rc.GetRemittanceRequest(book=books.book, id=remittance_)).remittance
    return found.posted.minor_units, found.suspended.minor_units


def exceptions(books: Ledger) -> list[str]:
    found = books.reconciliation.ListExceptions(rc.ListExceptionsRequest(book=books.book)).exceptions
    told = (rc.ExceptionReason.Name(one.reason).removeprefix("EXCEPTION_REASON_").lower() for one in found)
    return sorted(f"{reason} {one.claim}" for reason, one in zip(told, found, strict=True))


def balances(books: Ledger) -> dict[str, str]:
    """All accounts that are not at zero; what waits for a deposit under whatever trace."""
    found = {one.code: books.balance(one.code) for one in books.codes() if "RemittanceClearing" not in one.code}
    return {code: amount for code, amount in found.items() if amount != "0.00"} | {
        "clearing": books.control("Assets:RemittanceClearing")
    }


def words(books: Ledger, **narrowed: Any) -> list[str]:
    """What was said, a page of one word at a time."""
    asked, found = pb.ListMatchesRequest(book=books.book, page_size=1, **narrowed), []
    while True:
        page = books.matches.ListMatches(asked)
        for one in page.matches:
            state = pb.MatchState.Name(one.state).removeprefix("MATCH_STATE_").lower()
            parts = " ".join(f"{part.claim}={part.amount.minor_units}" for part in one.parts)
            decides = f" {one.decides}" if one.decides else ""
            found.append(f"{one.number} {state} {parts} {one.said_by}{decides}")
        asked.page_token = page.next_page_token
        if not asked.page_token:
            return found


# --- one claim ----------------------------------------------------------------------------------------

PAYMENTS = {
    "in full": ("100.00", SHARE, {}),
    "too little": ("60.00", "CO-45 30.00, PR-3 20.00, CO-97 40.00", {}),
    "too much": ("130.00", "PR-3 20.00", {}),
    "less than the contract": ("90.00", "CO-45 40.00, PR-3 20.00", {}),
    "another patient share": ("85.00", "CO-45 30.00, PR-3 35.00", {}),
    "denied": ("0.00", "CO-29 150.00", {"status": "4"}),
    "sent on to the next payer": ("100.00", SHARE, {"status": "19"}),
}


@pytest.mark.parametrize(("paid", "cas", "more"), PAYMENTS.values(), ids=PAYMENTS)
def test_by_hand_it_is_what_a_rule_would_have_made_of_it(
    server: Ledger, books: Ledger, paid: str, cas: str, more: dict[str, Any]
) -> None:
    known = opened(server)
    for one in (books, known):
        covered = cv.RecordCoverRequest(book=one.book, claim="C1", payer="CIGNA", rank=2, reason="card")
        one.coverage.RecordCover(covered)
    by_rule = mailed(known, paid, claim("C1", "150.00", paid, cas, control="P1", **more))
    by_hand = mailed(books, paid, garbled(paid, cas, **more))
    assert exceptions(books) == ["unknown_claim "]
    word = matched(books, by_hand, "C1")
    assert (word.state, word.amount, word.said_by) == (MATCHED, usd(paid), MAKER)
    assert word.entry_number == payment(books, by_hand).entry_number
    assert balances(books) == balances(known)
    assert exceptions(books) == exceptions(known)
    assert posted_and_waiting(books, by_hand) == posted_and_waiting(known, by_rule)
    assert stands(books, by_hand) == stands(known, by_rule).replace("claim_id", "by_hand")
    assert payment(books, by_hand).evidence.startswith("mia said so: the payer said so")


def test_a_denial_by_hand_has_its_life(books: Ledger) -> None:
    matched(books, mailed(books, "0.00", garbled("0.00", "CO-29 150.00", status="4")), "C1")
    assert life(books) == ["denied 100"]
    absorbed(books)
    assert books.balance(OWED) == "200.00 Dr"


def test_an_absorbed_denial_is_recovered_by_hand_and_absorbed_again(books: Ledger) -> None:
    mailed(books, "0.00", claim("C1", "150.00", "0.00", "CO-29 150.00", control="P1", status="4"))
    absorbed(books)
    before = balances(books)
    late = mailed(books, "100.00", garbled(control="P9"))
    matched(books, late, "C1")
    assert life(books)[-1] == "recovered 0"
    assert books.balance("Expenses:DenialsAbsorbed") == "0.00"
    unmatched(books, late)
    assert life(books)[-1] == "absorbed 0"
    assert balances(books) == before | {WAITS: "100.00 Cr", "clearing": "100.00 Dr"}


def test_in_a_closed_month_it_counts_on_the_first_open_day(books: Ledger) -> None:
    waits = mailed(books, "100.00", garbled())
    for month in ("2026-04", "2026-05", "2026-06"):
        asked = pe.ClosePeriodRequest(book=books.book, month=month, reason="all of it is waited for")
        books.periods.ClosePeriod(asked)
    days = [
        books.entries()[one.entry_number - 1].effective_date
        for one in (matched(books, waits, "C1"), unmatched(books, waits), matched(books, waits, "C2"))
    ]
    assert days == ["2026-07-01"] * 3


# --- who may, and once --------------------------------------------------------------------------------


def test_above_the_limit_a_second_person_agrees(books: Ledger) -> None:
    assert limited(books, "99.99").version == 1
    waits = mailed(books, "100.00", garbled())
    before = balances(books)
    word = matched(books, waits, "C1")
    assert (word.state, word.entry_number, balances(books)) == (PROPOSED, 0, before)
    other = told(books.matches.MatchClaimPayment, asking(books, waits, "C2"), ANOTHER)
    assert (other.reason, other.facts) == ("MATCH_PROPOSED", {"number": "1", "proposed_by": MAKER})
    assert told(books.matches.UnmatchClaimPayment, undoing(books, waits)).reason == "MATCH_PROPOSED"
    asked = decided(books, pb.ApproveMatchRequest, word.number)
    assert told(books.matches.ApproveMatch, asked, MAKER).reason == "MAKER_IS_CHECKER"
    assert words(books, waiting_only=True) == ["1 proposed C1=10000 mia"]
    done = books.matches.ApproveMatch(asked, metadata=by(APPROVER)).match
    assert (done.state, done.proposed_by, done.decides, done.said_by) == (MATCHED, MAKER, 1, APPROVER)
    assert done == books.matches.ApproveMatch(asked, metadata=by(APPROVER)).match
    assert told(books.matches.ApproveMatch, asked, ANOTHER).reason == "MATCH_PROPOSAL_NOT_FOUND"
    assert payment(books, waits).evidence.startswith("abe said so, proposed by mia: seen the letter")
    assert words(books) == ["1 proposed C1=10000 mia", "2 matched C1=10000 abe 1"]
    assert words(books, waiting_only=True) == []
    assert limited(books, None).version == 2
    assert [one.HasField("amount") for one in listed_limits(books)] == [False]
    second = mailed(books, "100.00", garbled(control="P2"))
    assert matched(books, second, "C2").state == MATCHED


def listed_limits(books: Ledger) -> list[pb.MatchLimit]:
    return list(books.matches.ListMatchLimits(pb.ListMatchLimitsRequest(book=books.book)).limits)


def test_a_proposal_is_declined_or_taken_back_and_made_anew(books: Ledger) -> None:
    limited(books, "0.00")
    waits = mailed(books, "100.00", garbled())
    for name in (APPROVER, MAKER):
        number = matched(books, waits, "C1").number
        asked = decided(books, pb.DeclineMatchRequest, number)
        assert books.matches.DeclineMatch(asked, metadata=by(name)).match.state == pb.MATCH_STATE_DECLINED
        assert books.matches.DeclineMatch(asked, metadata=by(name)).match.decides == number
        again = decided(books, pb.ApproveMatchRequest, number)
        assert told(books.matches.ApproveMatch, again, APPROVER).reason == "MATCH_PROPOSAL_NOT_FOUND"
    assert stands(books, waits) == "suspended  "
    assert words(books, remittance=waits)[-1] == "4 declined C1=10000 mia 3"


def test_what_a_rule_has_found_meanwhile_is_not_approved(books: Ledger) -> None:
    limited(books, "0.00")
    data = file(remittance("100.00", "LATE1", claim("C4", "150.00", "100.00", SHARE, control="P4")))
    waits = deliver(books, data, books.book).remittances[0].id
    number = matched(books, waits, "C1").number
    books.postings.RecordSession(
        session("C4", book=books.book, charge="150.00", patient_share="20.00", provider="eve")
    )
    deliver(books, data, books.book)
    found = told(books.matches.ApproveMatch, decided(books, pb.ApproveMatchRequest, number), APPROVER)
    assert (found.reason, found.facts["claim"]) == ("CLAIM_PAYMENT_NOT_WAITING", "C4")
    books.matches.DeclineMatch(decided(books, pb.DeclineMatchRequest, number))
    assert unmatched(books, waits).parts[0].claim == "C4"


def test_the_same_again_is_said_once(books: Ledger) -> None:
    waits = mailed(books, "100.00", garbled())
    asked = asking(books, waits, "C1")
    first, second = books.matches.MatchClaimPayment(asked), books.matches.MatchClaimPayment(asked)
    assert (first.match, first.replayed, second.replayed) == (second.match, False, True)
    asked.parts[0].claim = "C2"
    other = refused(books.matches.MatchClaimPayment, asked)
    assert (other.reason, other.facts["differs"]) == ("IDEMPOTENCY_KEY_REUSED", "parts")
    undo = undoing(books, waits)
    once, twice = books.matches.UnmatchClaimPayment(undo), books.matches.UnmatchClaimPayment(undo)
    assert (once.match, once.replayed, twice.replayed) == (twice.match, False, True)
    undo.reason = "another"
    assert refused(books.matches.UnmatchClaimPayment, undo).facts["differs"] == "reason"
    undo.idempotency_key = asked.idempotency_key
    assert refused(books.matches.UnmatchClaimPayment, undo).facts["differs"] == "act reason"


def test_of_many_at_one_payment_one_wins_and_the_others_are_told(books: Ledger) -> None:
    waits = mailed(books, "100.00", garbled())
    with ThreadPoolExecutor(8) as pool:
        claims = [f"C{1 + n % 3}" for n in range(8)]
        outcomes = list(pool.map(lambda one: _outcome(books, asking(books, waits, one)), claims))
    [winner] = {one for one in outcomes if len(one) == len("C1")}
    assert sorted(outcomes) == [winner, *[f"CLAIM_PAYMENT_NOT_WAITING {winner}"] * 7]
    assert stands(books, waits) == f"paid_in_full {winner} by_hand"


def _outcome(books: Ledger, asked: pb.MatchClaimPaymentRequest) -> str:
    try:
        return books.matches.MatchClaimPayment(asked).match.parts[0].claim
    except grpc.RpcError as error:
        found = refusal(error)
        return f"{found.reason} {found.facts['claim']}"


# --- several claims -----------------------------------------------------------------------------------


def test_a_lump_is_split_among_its_claims(books: Ledger) -> None:
    waits = mailed(books, "250.00", garbled("250.00", "PR-3 60.00", charge="310.00"))
    word = matched(books, waits, "C1 100.00", "C2 120.00", "C3 30.00")
    assert (word.amount, len(word.parts)) == (usd("250.00"), 3)
    assert stands(books, waits) == "short_paid  by_hand"
    assert payment(books, waits).evidence.startswith("C1 100.00, C2 120.00, C3 30.00; mia said so")
    assert balances(books) == {
        "Assets:Receivable:Insurer:AETNA": "70.00 Dr",
        "Assets:Receivable:Patient": "60.00 Dr",
        "Expenses:ProviderServices": "315.00 Dr",
        "Liabilities:Payable:Provider:ada": "315.00 Cr",
        "Liabilities:PayerOverpayments:AETNA": "20.00 Cr",
        "Revenue:Sessions": "360.00 Cr",
        "clearing": "250.00 Dr",
    }
    assert exceptions(books) == ["overpaid C2", "short_paid C3"]
    lines = books.entries()[word.entry_number - 1].postings
    assert [(one.account, one.item) for one in lines if one.account == OWED] == [
        (OWED, "C1"),
        (OWED, "C2"),
        (OWED, "C3"),
    ]


def test_a_split_lump_is_taken_back_by_its_payer(books: Ledger) -> None:
    before = balances(books)
    waits = mailed(books, "200.00", garbled("200.00", "PR-3 40.00", charge="240.00"))
    matched(books, waits, "C1 100.00", "C2 100.00")
    negated = claim("?1C", "-240.00", "-200.00", "PR-3 -40.00", control="P1", status="22")
    mailed(books, "-200.00", negated, day="2026-07-05")
    assert balances(books) == before | {"clearing": "0.00"}
    assert told(books.matches.UnmatchClaimPayment, undoing(books, waits)).reason == "CLAIM_PAYMENT_NOT_MATCHED"


def test_a_split_lump_is_unmatched_and_split_otherwise(books: Ledger) -> None:
    waits = mailed(books, "150.00", garbled("150.00", "PR-3 40.00", charge="190.00"))
    matched(books, waits, "C1 100.00", "C2 50.00")
    word = unmatched(books, waits)
    assert [part.claim for part in word.parts] == ["C1", "C2"]
    assert books.balance(WAITS) == "150.00 Cr"
    assert exceptions(books) == ["unknown_claim "]
    matched(books, waits, "C3 100.00", "C2 50.00")
    assert exceptions(books) == ["short_paid C2"]
    assert posted_and_waiting(books, waits) == (15000, 0)


def test_a_split_part_recovers_a_denial(books: Ledger) -> None:
    mailed(books, "0.00", claim("C1", "150.00", "0.00", "CO-29 150.00", control="P1", status="4"))
    absorbed(books)
    matched(books, mailed(books, "150.00", garbled("150.00", "", control="P9")), "C1 100.00", "C2 50.00")
    assert life(books)[-1] == "recovered 0"
    assert books.balance("Expenses:DenialsAbsorbed") == "0.00"


# --- a match that was wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(("paid", "cas", "more"), PAYMENTS.values(), ids=PAYMENTS)
def test_what_is_unmatched_waits_as_if_it_had_never_been_matched(
    server: Ledger, books: Ledger, paid: str, cas: str, more: dict[str, Any]
) -> None:
    for one in (books, never := opened(server)):
        covered = cv.RecordCoverRequest(book=one.book, claim="C1", payer="CIGNA", rank=2, reason="card")
        one.coverage.RecordCover(covered)
    found = mailed(books, paid, claim("C1", "150.00", paid, cas, control="P1", **more))
    mailed(never, paid, garbled(paid, cas, **more))
    word = unmatched(books, found)
    assert ([part.claim for part in word.parts], word.amount) == (["C1"], usd(paid))
    assert balances(books) == balances(never)
    assert exceptions(books) == exceptions(never)
    assert stands(books, found) == "suspended  unmatched"
    said = "was matched to C1 by claim_id; local said it was wrong: it was the twin's"
    assert payment(books, found).evidence == said
    assert posted_and_waiting(books, found) == (0, usd(paid).minor_units)
    matched(books, found, "C2")
    matched_c1 = opened(server)
    covered = cv.RecordCoverRequest(book=matched_c1.book, claim="C1", payer="CIGNA", rank=2, reason="card")
    matched_c1.coverage.RecordCover(covered)
    mailed(matched_c1, paid, claim("C2", "150.00", paid, cas, control="P1", **more))
    assert balances(books) == balances(matched_c1)


def test_no_rule_matches_again_what_a_person_has_unmatched(books: Ledger) -> None:
    data = file(remittance("100.00", "AGAIN1", claim("C1", "150.00", "100.00", SHARE, control="P1")))
    found = deliver(books, data, books.book).remittances[0].id
    unmatched(books, found)
    deliver(books, data, books.book)
    assert stands(books, found) == "suspended  unmatched"
    matched(books, found, "C1")
    assert stands(books, found) == "paid_in_full C1 by_hand"
    unmatched(books, found)
    assert books.balance(WAITS) == "100.00 Cr"


def test_a_payer_takes_back_what_was_unmatched(books: Ledger) -> None:
    """Out of suspense, and nothing of the claim."""
    before = balances(books)
    found = mailed(books, "100.00", claim("C1", "150.00", "100.00", SHARE, control="P1"))
    unmatched(books, found)
    negated = "CO-45 -30.00, PR-3 -20.00"
    mailed(books, "-100.00", claim("C1", "-150.00", "-100.00", negated, control="P1", status="22"))
    assert balances(books) == before | {"clearing": "0.00"}


def test_a_reversal_that_came_first_takes_back_what_is_matched_by_hand(books: Ledger) -> None:
    before = balances(books)
    negated = "CO-45 -30.00, PR-3 -20.00"
    mailed(books, "-100.00", claim("?1C", "-150.00", "-100.00", negated, control="P1", status="22"))
    found = mailed(books, "100.00", garbled())
    assert books.balance(WAITS) == "0.00"
    matched(books, found, "C1")
    assert balances(books) == before | {"clearing": "0.00"}
    assert exceptions(books) == ["negative_payment "]


def test_a_denial_that_was_another_claims_is_withdrawn(books: Ledger) -> None:
    wrong = mailed(books, "0.00", claim("C1", "150.00", "0.00", "CO-29 150.00", control="P1", status="4"))
    unmatched(books, wrong)
    assert life(books) == ["denied 100", "withdrawn 100"]
    first = mailed(books, "0.00", claim("C2", "150.00", "0.00", "CO-29 150.00", control="P2", status="4"))
    second = mailed(books, "0.00", claim("C2", "150.00", "0.00", "CO-50 150.00", control="P3", status="4"))
    unmatched(books, second)
    assert life(books, "C2") == ["denied 100", "denied 100", "denied 100"]
    absorbed(books, "C2")
    found = refused(books.matches.UnmatchClaimPayment, undoing(books, first))
    assert (found.reason, found.facts["state"]) == ("DENIAL_STATE_REFUSED", "absorbed")


def test_a_denial_that_came_between_two_matches_stands(books: Ledger) -> None:
    """The payment was this claim's, then not, then again, and then not; meanwhile another payment denied it."""
    denial = claim("C1", "150.00", "0.00", "CO-29 150.00", control="P1", status="4")
    wrong = mailed(books, "0.00", denial)
    unmatched(books, wrong)
    mailed(books, "0.00", claim("C1", "150.00", "0.00", "CO-50 150.00", control="P3", status="4"))
    matched(books, wrong, "C1")
    unmatched(books, wrong)
    assert life(books) == ["denied 100", "withdrawn 100", "denied 100", "denied 100", "denied 100"]
    asked = dn.GetDenialRequest(book=books.book, claim="C1", payer="AETNA")
    assert list(books.denials.GetDenial(asked).history[-1].codes) == ["CO-50"]


def test_what_the_wrong_match_had_closed_is_open_again(books: Ledger) -> None:
    """A claim that was paid too little, and by mistake the rest."""
    little = claim("C1", "150.00", "60.00", "CO-45 30.00, PR-3 20.00, OA-23 40.00", control="P1")
    mailed(books, "60.00", little)
    assert exceptions(books) == ["short_paid C1"]
    rest = mailed(books, "40.00", garbled("40.00", "PR-3 20.00", charge="60.00", control="P2"))
    matched(books, rest, "C1")
    assert exceptions(books) == []
    unmatched(books, rest)
    assert exceptions(books) == ["short_paid C1", "unknown_claim "]


def test_an_absorbed_denial_keeps_its_payment(books: Ledger) -> None:
    wrong = mailed(books, "0.00", claim("C1", "150.00", "0.00", "CO-29 150.00", control="P1", status="4"))
    absorbed(books)
    found = refused(books.matches.UnmatchClaimPayment, undoing(books, wrong))
    assert (found.code, found.reason) == ("FAILED_PRECONDITION", "DENIAL_STATE_REFUSED")
    assert found.facts == {"claim": "C1", "payer": "AETNA", "state": "absorbed", "to": "withdrawn"}


# --- what is refused ----------------------------------------------------------------------------------

REFUSED: dict[str, tuple[tuple[str, ...], dict[str, Any], str]] = {
    "no part": ((), {}, "FIELD_MISSING"),
    "no claim": (("",), {}, "FIELD_MISSING"),
    "no reason": (("C1",), {"reason": ""}, "FIELD_MISSING"),
    "no key": (("C1",), {"idempotency_key": ""}, "FIELD_MISSING"),
    "no line": (("C1",), {"line": 0}, "NUMBER_INVALID"),
    "a line that there is not": (("C1",), {"line": 9}, "CLAIM_PAYMENT_NOT_FOUND"),
    "a claim that there is not": (("C9",), {}, "CLAIM_NOT_FOUND"),
    "another payer's claim": (("CX",), {}, "MATCH_REFUSED"),
    "too little of it": (("C1 99.99",), {}, "MATCH_PARTS_DIFFER"),
    "too much of it": (("C1 60.00", "C2 60.00"), {}, "MATCH_PARTS_DIFFER"),
    "a part of nothing": (("C1 100.00", "C2 0.00"), {}, "MATCH_PARTS_DIFFER"),
    "a part below zero": (("C1 110.00", "C2 -10.00"), {}, "MATCH_PARTS_DIFFER"),
    "a claim twice": (("C1 60.00", "C1 40.00"), {}, "MATCH_PARTS_DIFFER"),
    "more parts than there may be": (("C1 1.00",) * 101, {}, "CHOICE_INVALID"),
}


@pytest.mark.parametrize(("parts", "more", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(books: Ledger, parts: tuple[str, ...], more: dict[str, Any], reason: str) -> None:
    other = session("CX", book=books.book, payer="CIGNA", charge="150.00", provider="eve")
    books.postings.RecordSession(other)
    waits = mailed(books, "100.00", garbled())
    asked = asking(books, waits, *parts, **more)
    assert refused(books.matches.MatchClaimPayment, asked).reason == reason
    assert words(books) == []


NOWHERE = "5e0c94f6-6f0c-5d0f-8a54-0d6d2b0f0b6e"


def test_a_remittance_that_is_not_there_or_posts_nothing(books: Ledger) -> None:
    assert refused(books.matches.MatchClaimPayment, asking(books, NOWHERE, "C1")).reason == "REMITTANCE_NOT_FOUND"
    assert refused(books.matches.MatchClaimPayment, asking(books, "x", "C1")).reason == "TEXT_INVALID"
    assert refused(books.matches.UnmatchClaimPayment, undoing(books, NOWHERE)).reason == "REMITTANCE_NOT_FOUND"
    unbalanced = mailed(books, "99.00", garbled())
    assert (
        refused(books.matches.MatchClaimPayment, asking(books, unbalanced, "C1")).reason
        == "REMITTANCE_NOT_SETTLED"
    )
    absent = decided(books, pb.ApproveMatchRequest, 7)
    assert refused(books.matches.ApproveMatch, absent).reason == "MATCH_PROPOSAL_NOT_FOUND"
    assert refused(books.matches.DeclineMatch, decided(books, pb.DeclineMatchRequest, 7)).reason == (
        "MATCH_PROPOSAL_NOT_FOUND"
    )
    assert (
        refused(books.matches.ApproveMatch, decided(books, pb.ApproveMatchRequest, 0)).reason == "NUMBER_INVALID"
    )


def test_what_no_payer_has_sent_has_no_claim(books: Ledger) -> None:
    stranger = Payer("NOBODY", "11111", "1999999999")
    found = mailed(books, "100.00", claim("C1", "150.00", "100.00", SHARE), payer=stranger)
    assert refused(books.matches.MatchClaimPayment, asking(books, found, "C1")).reason == "MATCH_REFUSED"


NO_MATCH = {
    "what waits": (garbled(), "suspended"),
    "a predetermination": (claim("C1", "150.00", "0.00", "CO-45 150.00", status="25"), "noted"),
}


@pytest.mark.parametrize(("sent", "decision"), NO_MATCH.values(), ids=NO_MATCH)
def test_what_has_no_claim_is_not_unmatched(books: Ledger, sent: str, decision: str) -> None:
    paid = "0.00" if decision == "noted" else "100.00"
    found = refused(books.matches.UnmatchClaimPayment, undoing(books, mailed(books, paid, sent)))
    assert (found.reason, found.facts) == ("CLAIM_PAYMENT_NOT_MATCHED", {"line": "1", "decision": decision})


def test_a_payment_below_zero_is_none_of_a_claim(books: Ledger) -> None:
    negative = claim("?1C", "150.00", "-10.00", "PR-3 160.00", control="P1", day="2026-04-09")
    waits = mailed(books, "-10.00", negative)
    found = refused(books.matches.MatchClaimPayment, asking(books, waits, "C1"))
    assert (found.reason, found.facts) == ("MATCH_REFUSED", {"claim": "C1", "payer": "AETNA"})


@pytest.mark.parametrize("units", [-1, 10**18])
def test_a_limit_that_there_is_not(books: Ledger, units: int) -> None:
    asked = pb.SetMatchLimitRequest(book=books.book, currency="USD", amount=usd("1.00"), reason="r")
    asked.amount.minor_units = units
    assert refused(books.matches.SetMatchLimit, asked).reason == "AMOUNT_INVALID"


# --- on the command line ------------------------------------------------------------------------------


def test_the_commands(ledger: Ledger, called: Called) -> None:
    open_book(ledger, "main")
    for one in ("C1", "C2"):
        ledger.postings.RecordSession(session(one, book="main", charge="150.00", patient_share="20.00"))

    def said(*words: str, code: int = 0) -> list[str]:
        ended, text = called("match", *words, database_url=ledger.url)
        assert (ended or 0) == code, text
        return without_log(text).splitlines()

    waits = f"{mailed(ledger, '100.00', garbled())}:1"
    reason = ("--reason", "the payer said so")
    [line] = said("set", waits, "C1=60.00", "C2=40.00", *reason)
    assert line.split("\t")[:4] == ["1", "matched", waits, "C1 60.00 USD C2 40.00 USD"]
    assert said("undo", waits, "--reason", "wrong")[0].split("\t")[1] == "unmatched"
    limit = "USD: one person matches up to 50.00 USD alone"
    assert said("set-limit", "50.00", *reason)[0].startswith(limit)
    assert said("limits")[0].startswith(limit)
    [raised] = ledger.reconciliation.ListExceptions(rc.ListExceptionsRequest(book="main")).exceptions
    assert said("set", raised.id, "C1", *reason)[0].split("\t")[:3] == ["3", "proposed", waits]
    assert [line.split("\t")[0] for line in said("list", "--waiting")] == ["3"]
    assert "another person approves" in said("approve", "3", "--reason", "seen", code=1)[-1]
    assert said("decline", "3", "--reason", "no")[0].split("\t")[:2] == ["4", "declined"]
    assert "USD: one person matches any amount alone" in said("set-limit", "none", *reason)[0]
    for _ in range(2):
        assert said("set", waits, "C1", *reason, "--idempotency-key", "k")[0].split("\t")[0] == "5"
    assert len(said("list")) == 5
    for unread in ("x", "6e1", "+60", "60,00"):
        last = said("set", waits, f"C1={unread}", "C2=40.00", *reason, code=1)[-1]
        assert f"claims is an amount such as 50.00, not '{unread}'" in last
    assert "line is the number of a claim payment" in said("set", f"{NOWHERE}:x", "C1", *reason, code=1)[-1]
    assert f"no exception {NOWHERE}" in said("set", NOWHERE, "C1", *reason, code=1)[-1]
    assert stands(ledger, waits.removesuffix(":1")) == "paid_in_full C1 by_hand"
