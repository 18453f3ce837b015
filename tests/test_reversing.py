"""Reversals that people match to what they take back: the same books as if a rule had known, and back again."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import psycopg
import pytest
import test_matches
from payers import Payer, claim, deliver, file, remittance
from serving import Ledger, cr, dr, key, open_book, refusal, refused, session, usd
from test_approvals import ANOTHER, APPROVER, MAKER, by, told
from test_books import rolled_forward
from test_command import Called, called, without_log
from test_denials import absorbed, life
from test_matches import (
    NOWHERE,
    OWED,
    PAYMENTS,
    SHARE,
    WAITS,
    asking,
    balances,
    decided,
    garbled,
    limited,
    mailed,
    matched,
    opened,
    payment,
    posted_and_waiting,
    stands,
    undoing,
    unmatched,
    words,
)
from tying import advances_tie

from ledger.v1 import periods_pb2 as pe
from ledger.v1 import postings_pb2 as po
from ledger.v1 import reports_pb2 as rp
from reconciliation.v1 import candidates_pb2 as ca
from reconciliation.v1 import coverage_pb2 as cv
from reconciliation.v1 import matches_pb2 as pb

__all__ = ["called"]
MATCHED, PROPOSED = pb.MATCH_STATE_MATCHED, pb.MATCH_STATE_PROPOSED
UNKNOWN = "reversal_without_original "


@pytest.fixture
def books(server: Ledger) -> Iterator[Ledger]:
    """A book of its own with three claims, of each of which AETNA owes 100.00 and the patient 20.00."""
    ledger = opened(server)
    yield ledger
    sound(ledger)


def sound(ledger: Ledger) -> None:
    """Nothing is wrong in it, every report ties, and no provider is touched."""
    assert ledger.wrong() == []
    rolled_forward(ledger, ledger.entries(), "2026-12-31")
    advances_tie(ledger, "2026-12-31")
    assert ledger.balance("Liabilities:Payable:Provider:ada") == "315.00 Cr"


# --- words --------------------------------------------------------------------------------------------


def exceptions(books: Ledger) -> list[str]:
    """What is open, but for the payments below zero that each of these reversals comes with."""
    return [one for one in test_matches.exceptions(books) if one != "negative_payment "]


def negative(amounts: str) -> str:
    """`"CO-45 30.00, PR-3 20.00"` with the signs exchanged."""
    split = [one.split() for one in filter(None, amounts.split(", "))]
    return ", ".join(f"{code} -{amount}" for code, amount in split).replace("--", "")


def reversal(paid: str = "100.00", cas: str = SHARE, *, control: str = "X9", charge: str = "150.00") -> str:
    """What takes such a payment back, under a number that the payer has never given before."""
    minus = "-" if paid != "0.00" else ""
    return claim("?1C", f"-{charge}", f"{minus}{paid}", negative(cas), control=control, status="22")


def taken(books: Ledger, paid: str = "100.00", cas: str = SHARE, day: str = "2026-07-05", **more: Any) -> str:
    """The id of the remittance that a reversal came in."""
    minus = "-" if paid != "0.00" else ""
    return mailed(books, f"{minus}{paid}", reversal(paid, cas, **more), day=day)


def asking_back(books: Ledger, waits: str, original: str, **more: Any) -> pb.MatchReversalRequest:
    asked: dict[str, Any] = {
        "line": 1,
        "original_line": 1,
        "reason": "the clerk said so",
        "idempotency_key": key(),
    }
    return pb.MatchReversalRequest(
        book=books.book, remittance=waits, original_remittance=original, **(asked | more)
    )


def took_back(books: Ledger, waits: str, original: str, name: str = MAKER, **more: Any) -> pb.ClaimMatch:
    asked = asking_back(books, waits, original, **more)
    return books.matches.MatchReversal(asked, metadata=by(name)).match


def covered(*ledgers: Ledger) -> None:
    """C1 has a second payer."""
    for one in ledgers:
        one.coverage.RecordCover(
            cv.RecordCoverRequest(book=one.book, claim="C1", payer="CIGNA", rank=2, reason="card")
        )


def paid(books: Ledger, amount: str, cas: str, **more: Any) -> str:
    return mailed(books, amount, claim("C1", "150.00", amount, cas, control="P1", **more))


def closed(books: Ledger, *months: str) -> None:
    for month in months:
        asked = pe.ClosePeriodRequest(book=books.book, month=month, reason="all of it is waited for")
        books.periods.ClosePeriod(asked)


# --- as a rule would have done it ---------------------------------------------------------------------


def history(server: Ledger, amount: str, cas: str, **more: Any) -> tuple[Ledger, str]:
    """A book in which C1 has a second payer, and the remittance in which its first payer paid."""
    ledger = opened(server)
    covered(ledger)
    return ledger, paid(ledger, amount, cas, **more)


def lags(books: Ledger) -> list[rp.PayerLagRow]:
    return list(books.reports.GetPayerLag(rp.GetPayerLagRequest(book=books.book, as_of="2026-12-31")).rows)


def alike(books: Ledger, known: Ledger) -> None:
    """The same balances, exceptions and days until payers paid, and nothing wrong in either."""
    assert balances(books) == balances(known)
    assert lags(books) == lags(known)
    assert exceptions(books) == exceptions(known)
    sound(books)
    sound(known)


@pytest.mark.parametrize(("amount", "cas", "more"), PAYMENTS.values(), ids=PAYMENTS)
def test_by_hand_it_takes_back_what_a_rule_would_have(
    server: Ledger, amount: str, cas: str, more: dict[str, Any]
) -> None:
    books, first = history(server, amount, cas, **more)
    known, _ = history(server, amount, cas, **more)
    by_rule, by_hand = taken(known, amount, cas, control="P1"), taken(books, amount, cas)
    assert exceptions(books).count(UNKNOWN) == 1
    word = took_back(books, by_hand, first)
    assert (word.state, word.amount.minor_units, word.said_by) == (MATCHED, -usd(amount).minor_units, MAKER)
    assert (word.original_remittance, word.original_line, word.parts[0].claim) == (first, 1, "C1")
    assert word.entry_number == payment(books, by_hand).entry_number
    assert posted_and_waiting(books, by_hand) == posted_and_waiting(known, by_rule)
    assert stands(books, by_hand) == stands(known, by_rule).replace("posted_remittance_line", "by_hand")
    evidence = f"line 1 of remittance {first}; mia said so: the clerk said so"
    assert payment(books, by_hand).evidence.startswith(evidence)
    assert books.entries()[-1].effective_date == known.entries()[-1].effective_date
    alike(books, known)


@pytest.mark.parametrize(("amount", "cas", "more"), PAYMENTS.values(), ids=PAYMENTS)
@pytest.mark.parametrize("by_hand", [True, False], ids=["by hand", "by a rule"])
def test_unmatched_it_is_as_if_it_had_never_been_matched(
    server: Ledger, amount: str, cas: str, more: dict[str, Any], *, by_hand: bool
) -> None:
    """The payment that it took back, too: it can be corrected by its payer as ever."""
    books, first = history(server, amount, cas, **more)
    never, other = history(server, amount, cas, **more)
    before = payment(books, first)
    found, waits = taken(books, amount, cas, control="X9" if by_hand else "P1"), taken(never, amount, cas)
    if by_hand:
        took_back(books, found, first)
    word = unmatched(books, found)
    assert (word.original_remittance, word.original_line, word.parts[0].claim) == (first, 1, "C1")
    assert stands(books, found) == "suspended  unmatched"
    rule = "by_hand" if by_hand else "posted_remittance_line"
    why = f"line 1 of remittance {first} by {rule}; local said it was wrong: it was the twin's"
    assert payment(books, found).evidence == f"had taken back {why}"
    assert payment(books, first) == before
    assert posted_and_waiting(books, found) == posted_and_waiting(never, waits)
    assert posted_and_waiting(books, first) == posted_and_waiting(never, other)
    alike(books, never)
    for one in (books, never):
        taken(one, amount, cas, control="P1")
        paid(one, "90.00", "CO-45 40.00, PR-3 20.00")
        mailed(one, "20.00", claim("C1", "150.00", "20.00", "OA-23 130.00", control="S1", status="2"), payer=CIGNA)
    alike(books, never)


CIGNA = Payer("CIGNA", "62308", "1999999998")


SISTER = Payer("CIGNA", "62308")
"""Another name in the books, and AETNA's signature."""


def paid_by_sister(server: Ledger) -> tuple[Ledger, str]:
    """A book in which a claim of CIGNA's was paid under the signature of AETNA, and that remittance."""
    ledger = opened(server)
    ledger.postings.RecordSession(session("CX", book=ledger.book, payer="CIGNA", charge="150.00", provider="eve"))
    sent = claim("CX", "150.00", "100.00", "CO-45 30.00, PR-3 20.00", control="P1")
    return ledger, mailed(ledger, "100.00", sent, payer=SISTER)


def test_what_was_paid_under_another_name_and_the_same_signature_is_taken_back(server: Ledger) -> None:
    """As a rule does it, which knows who sent it by either."""
    (books, first), (known, other) = paid_by_sister(server), paid_by_sister(server)
    assert stands(books, first) == stands(known, other)
    by_rule, by_hand = taken(known, control="P1"), taken(books)
    assert exceptions(books).count(UNKNOWN) == 1
    word = took_back(books, by_hand, first)
    assert (word.state, word.original_remittance, word.parts[0].claim) == (MATCHED, first, "CX")
    assert posted_and_waiting(books, by_hand) == posted_and_waiting(known, by_rule)
    assert stands(books, by_hand) == stands(known, by_rule).replace("posted_remittance_line", "by_hand")
    alike(books, known)


def test_one_that_had_waited_for_its_payment_is_unmatched(server: Ledger) -> None:
    """A rule took the payment back as soon as it came: it stands, and the reversal waits, as if it had not."""
    books, never = opened(server), opened(server)
    found, waits = taken(books, control="P1"), taken(never)
    for one in (books, never):
        paid(one, "100.00", SHARE)
    assert stands(books, found) == "reversed C1 posted_remittance_line"
    unmatched(books, found)
    assert posted_and_waiting(books, found) == posted_and_waiting(never, waits)
    alike(books, never)


def test_what_the_payer_left_to_the_next_is_left_to_it_again(server: Ledger) -> None:
    """A word of the first payer on the patient's share is held against what the second has taken over of it."""
    for_patient = ("85.00", "CO-45 30.00, PR-3 35.00")
    books, first = history(server, *for_patient, status="19")
    never, _ = history(server, *for_patient, status="19")
    waits = taken(books, *for_patient)
    taken(never, *for_patient)
    for _ in range(2):
        took_back(books, waits, first)
        unmatched(books, waits)
    for one in (books, never):
        more = claim("C1", "150.00", "5.00", "CO-45 115.00, PR-3 30.00", control="P5")
        mailed(one, "5.00", more)
        second = claim("C1", "150.00", "15.00", "OA-23 135.00", control="S1", status="2")
        mailed(one, "15.00", second, payer=CIGNA)
        taken(one, *for_patient, control="P1")
    alike(books, never)


def test_it_is_matched_and_unmatched_again_and_again(books: Ledger) -> None:
    one, two = (
        paid(books, "100.00", SHARE),
        mailed(books, "100.00", claim("C2", "150.00", "100.00", SHARE, control="P2")),
    )
    waits = taken(books)
    before = balances(books)
    for original, owes in ((one, "C1"), (two, "C2"), (one, "C1"), (one, "C1")):
        took_back(books, waits, original)
        assert stands(books, waits) == f"reversed {owes} by_hand"
        assert books.balance(OWED) == "200.00 Dr"
        assert exceptions(books) == []
        unmatched(books, waits)
        assert balances(books) == before
        assert exceptions(books) == [UNKNOWN]
    unmatched(books, one)
    assert exceptions(books) == [UNKNOWN, "unknown_claim "]
    assert books.balance(OWED) == "200.00 Dr"
    matched(books, one, "C3")
    took_back(books, waits, one)
    assert stands(books, waits) == "reversed C3 by_hand"
    said = ["matched", "unmatched"] * 4 + ["unmatched", "matched", "matched"]
    assert [line.split()[1] for line in words(books)] == said


def test_a_split_lump_is_taken_back_by_hand_and_stands_again(books: Ledger) -> None:
    before = balances(books)
    lump = mailed(books, "230.00", garbled("230.00", "PR-3 40.00", charge="270.00"))
    matched(books, lump, "C1 100.00", "C2 130.00")
    split = balances(books), exceptions(books)
    assert split[1] == ["overpaid C2"]
    waits = taken(books, "230.00", "PR-3 40.00", charge="270.00")
    word = took_back(books, waits, lump)
    assert [(part.claim, part.amount.minor_units) for part in word.parts] == [("", -23000)]
    assert (balances(books), exceptions(books)) == (before, [])
    unmatched(books, waits)
    assert exceptions(books) == ["overpaid C2", UNKNOWN]
    assert balances(books) | {WAITS: "0.00", "clearing": "230.00 Dr"} == split[0] | {WAITS: "0.00"}


def test_a_reversal_that_took_back_what_waited_is_unmatched(books: Ledger) -> None:
    """Both wait again, each under its own name; the payment can be matched as ever."""
    waits = mailed(books, "100.00", garbled(control="P7"))
    found = taken(books, control="P7")
    assert stands(books, found) == "reversed  posted_remittance_line"
    unmatched(books, found)
    assert (posted_and_waiting(books, waits), posted_and_waiting(books, found)) == ((0, 10000), (0, -10000))
    assert books.balance(WAITS) == "0.00"
    assert books.control("Assets:RemittanceClearing") == "0.00"
    assert exceptions(books) == [UNKNOWN, "unknown_claim "]
    matched(books, waits, "C1")
    assert (books.balance(WAITS), books.balance(OWED)) == ("100.00 Dr", "200.00 Dr")
    took_back(books, found, waits)
    assert (books.balance(WAITS), books.balance(OWED)) == ("0.00", "300.00 Dr")


def test_a_file_that_comes_again_changes_nothing(books: Ledger) -> None:
    first = file(remittance("100.00", "AGAIN7", claim("C1", "150.00", "100.00", SHARE, control="P1")))
    second = file(remittance("-100.00", "AGAIN8", reversal(), day="2026-07-05"))
    original, waits = (deliver(books, data, books.book).remittances[0].id for data in (first, second))
    took_back(books, waits, original)
    for _ in range(2):
        before = balances(books), exceptions(books), books.entries()
        for data in (first, second):
            deliver(books, data, books.book)
        assert (balances(books), exceptions(books), books.entries()) == before
        if stands(books, waits).startswith("reversed"):
            unmatched(books, waits)


def test_no_rule_takes_back_again_what_a_person_has_unmatched(books: Ledger) -> None:
    """Nor when the one payment comes that fits; a person may say so."""
    first = paid(books, "100.00", SHARE)
    found = taken(books, control="P1")
    unmatched(books, found)
    unmatched(books, first)
    second = paid(books, "100.00", SHARE)
    assert stands(books, found) == "suspended  unmatched"
    assert stands(books, second) == "paid_in_full C1 claim_id"
    took_back(books, found, second)
    assert stands(books, found) == "reversed C1 by_hand"


def test_in_a_closed_month_it_counts_on_the_first_open_day(books: Ledger) -> None:
    original, waits = paid(books, "100.00", SHARE), taken(books, day="2026-06-20")
    closed(books, "2026-04", "2026-05", "2026-06")
    days = [
        books.entries()[one.entry_number - 1].effective_date
        for one in (took_back(books, waits, original), unmatched(books, waits), took_back(books, waits, original))
    ]
    assert days == ["2026-07-01"] * 3


def test_it_never_counts_before_what_it_takes_back(books: Ledger) -> None:
    waits = taken(books)
    late = mailed(books, "100.00", claim("C1", "150.00", "100.00", SHARE, control="P1"), day="2026-09-01")
    number = took_back(books, waits, late).entry_number
    assert books.entries()[number - 1].effective_date == "2026-09-01"


# --- what came meanwhile ------------------------------------------------------------------------------


def test_what_is_settled_since_stands_in_the_way(books: Ledger) -> None:
    """The claim was paid again: what was taken back cannot stand beside that. Once that is undone, it can."""
    original, waits = paid(books, "100.00", SHARE), taken(books)
    took_back(books, waits, original)
    again = mailed(books, "90.00", claim("C1", "150.00", "90.00", "CO-45 40.00, PR-3 20.00", control="P3"))
    number = payment(books, again).entry_number
    found = refused(books.matches.UnmatchClaimPayment, undoing(books, waits))
    assert (found.code, found.reason) == ("FAILED_PRECONDITION", "CLAIM_MOVED_MEANWHILE")
    assert found.facts == {"claim": "C1", "entry_number": str(number)}
    unmatched(books, again)
    unmatched(books, waits)
    assert books.balance(OWED) == "200.00 Dr"


def test_a_denial_since_stands_in_the_way(books: Ledger) -> None:
    """It was decided while the claim was open, and posts nothing."""
    original, waits = paid(books, "100.00", SHARE), taken(books)
    took_back(books, waits, original)
    denial = mailed(books, "0.00", claim("C1", "150.00", "0.00", "CO-29 150.00", control="P4", status="4"))
    found = refused(books.matches.UnmatchClaimPayment, undoing(books, waits))
    assert (found.reason, found.facts) == ("CLAIM_MOVED_MEANWHILE", {"claim": "C1", "entry_number": "0"})
    unmatched(books, denial)
    unmatched(books, waits)
    assert (books.balance(OWED), life(books)) == ("200.00 Dr", ["denied 100", "withdrawn 100"])


def test_a_loss_since_stands_in_the_way(books: Ledger) -> None:
    """What was denied, paid after all and taken back is given up: no payment stands beside that."""
    mailed(books, "0.00", claim("C1", "150.00", "0.00", "CO-29 150.00", control="P0", status="4"))
    original, waits = paid(books, "100.00", SHARE), taken(books)
    took_back(books, waits, original)
    assert life(books) == ["denied 100", "overturned 0", "taken_back 100"]
    absorbed(books)
    found = refused(books.matches.UnmatchClaimPayment, undoing(books, waits))
    assert (found.reason, found.facts["claim"]) == ("CLAIM_MOVED_MEANWHILE", "C1")
    assert books.balance("Expenses:DenialsAbsorbed") == "100.00 Dr"


def test_a_denial_from_before_does_not_stand_in_the_way(books: Ledger) -> None:
    """Of another payment, or of the one that was taken back, even where it was said again since."""
    refusing = ("60.00", "CO-45 30.00, PR-3 20.00, CO-97 40.00")
    original, waits = paid(books, *refusing), taken(books, *refusing)
    took_back(books, waits, original)
    later = mailed(books, "0.00", claim("C1", "150.00", "0.00", "CO-29 150.00", control="P4", status="4"))
    unmatched(books, later)
    assert life(books) == ["denied 40", "denied 100", "denied 100"]
    unmatched(books, waits)
    assert books.balance(OWED) == "240.00 Dr"


def test_a_patient_may_pay_meanwhile(books: Ledger) -> None:
    original, waits = (
        paid(books, "85.00", "CO-45 30.00, PR-3 35.00"),
        taken(books, "85.00", "CO-45 30.00, PR-3 35.00"),
    )
    before = balances(books)
    took_back(books, waits, original)
    books.post("2026-07-06", dr("Assets:Cash", "20.00"), cr("Assets:Receivable:Patient", "20.00", "C1"))
    unmatched(books, waits)
    assert before["Assets:Receivable:Patient"] == "75.00 Dr"
    assert books.balance("Assets:Receivable:Patient") == "55.00 Dr"


def test_an_absorbed_denial_that_was_paid_after_all(books: Ledger) -> None:
    """Recovered, the loss is ours again once that is taken back, and recovered again once it was not."""
    mailed(books, "0.00", claim("C1", "150.00", "0.00", "CO-29 150.00", control="P0", status="4"))
    absorbed(books)
    original = paid(books, "100.00", SHARE)
    before = balances(books)
    assert life(books) == ["denied 100", "absorbed 0", "recovered 0"]
    waits = taken(books)
    took_back(books, waits, original)
    assert life(books)[3:] == ["taken_back 0"]
    unmatched(books, waits)
    assert life(books)[4:] == ["recovered 0"]
    assert balances(books) == before | {WAITS: "100.00 Dr", "clearing": "0.00"}


def test_a_correction_that_came_before_its_reversal(books: Ledger) -> None:
    """Paid twice, one of them taken back: what was overpaid meets what is open, and is overpaid again."""
    original = paid(books, "100.00", SHARE)
    mailed(books, "100.00", claim("C1", "150.00", "100.00", SHARE, control="P2"))
    before = balances(books), exceptions(books)
    assert before[1] == ["overpaid C1"]
    waits = taken(books)
    for _ in range(2):
        took_back(books, waits, original)
        assert (books.balance(OWED), exceptions(books)) == ("200.00 Dr", [])
        unmatched(books, waits)
        assert exceptions(books) == ["overpaid C1", UNKNOWN]
        assert balances(books) == before[0] | {WAITS: "100.00 Dr", "clearing": "100.00 Dr"}


# --- who may, and once --------------------------------------------------------------------------------


def test_above_the_limit_a_second_person_agrees(books: Ledger) -> None:
    """The limit is on what is taken back, whatever its sign."""
    limited(books, "99.99")
    original, waits = paid(books, "100.00", SHARE), taken(books)
    before = balances(books)
    word = took_back(books, waits, original)
    assert (word.state, word.entry_number, balances(books)) == (PROPOSED, 0, before)
    other = told(books.matches.MatchReversal, asking_back(books, waits, original), ANOTHER)
    assert (other.reason, other.facts) == ("MATCH_PROPOSED", {"number": "1", "proposed_by": MAKER})
    assert told(books.matches.UnmatchClaimPayment, undoing(books, waits)).reason == "MATCH_PROPOSED"
    asked = decided(books, pb.ApproveMatchRequest, word.number)
    assert told(books.matches.ApproveMatch, asked, MAKER).reason == "MAKER_IS_CHECKER"
    assert words(books, waiting_only=True) == ["1 proposed C1=-10000 mia"]
    done = books.matches.ApproveMatch(asked, metadata=by(APPROVER)).match
    assert (done.state, done.proposed_by, done.original_remittance) == (MATCHED, MAKER, original)
    assert done == books.matches.ApproveMatch(asked, metadata=by(APPROVER)).match
    assert payment(books, waits).evidence.endswith(
        f"abe said so, proposed by mia: seen the letter; waited in suspense as entry {books.entries()[-2].number}"
    )
    assert words(books) == ["1 proposed C1=-10000 mia", "2 matched C1=-10000 abe 1"]
    limited(books, "100.00")
    unmatched(books, waits)
    assert took_back(books, waits, original).state == MATCHED


def test_what_became_of_the_original_meanwhile_is_not_approved(books: Ledger) -> None:
    limited(books, "0.00")
    original, waits, second = paid(books, "100.00", SHARE), taken(books), taken(books)
    numbers = [took_back(books, one, original).number for one in (waits, second)]
    asked = [decided(books, pb.ApproveMatchRequest, number) for number in numbers]
    unmatched(books, original)
    assert told(books.matches.ApproveMatch, asked[0], APPROVER).reason == "ORIGINAL_NOT_POSTED"
    limited(books, None)
    matched(books, original, "C2")
    found = told(books.matches.ApproveMatch, asked[0], APPROVER)
    assert (found.reason, found.facts) == ("MATCH_REFUSED", {"claim": "C2", "payer": "AETNA"})
    unmatched(books, original)
    matched(books, original, "C1")
    books.matches.ApproveMatch(asked[0], metadata=by(APPROVER))
    found = told(books.matches.ApproveMatch, asked[1], APPROVER)
    assert (found.reason, found.facts["taken_back_by"]) == ("ORIGINAL_TAKEN_BACK", f"{waits}:1")
    assert books.matches.DeclineMatch(decided(books, pb.DeclineMatchRequest, numbers[1])).match.state == (
        pb.MATCH_STATE_DECLINED
    )


REFUSED_BY_POSTGRESQL = {
    "above the limit alone": ("matched_within_limit", {"limit_amount": "9999"}),
    "its own second person": (
        "second_person_matches",
        {"limit_amount": "9999", "decides": "2", "proposed_by": "'mia'", "said_by": "'mia'"},
    ),
    "another original than was proposed": (
        "match_decides_on_original",
        {"decides": "2", "proposed_by": "'mia'", "said_by": "'abe'", "original_remittance": "remittance"},
    ),
    "another line than was proposed": (
        "match_decides_on_proposal",
        {"decides": "2", "proposed_by": "'mia'", "said_by": "'abe'", "original_line": "2"},
    ),
    "no original where one was proposed": (
        "match_decides_on_proposal",
        {
            "decides": "2",
            "proposed_by": "'mia'",
            "said_by": "'abe'",
            "original_remittance": "NULL",
            "original_line": "0",
        },
    ),
}


@pytest.mark.parametrize(("constraint", "told_"), REFUSED_BY_POSTGRESQL.values(), ids=REFUSED_BY_POSTGRESQL)
def test_postgresql_refuses_it_too(books: Ledger, constraint: str, told_: dict[str, str]) -> None:
    """Whatever a program might write: the first word is matched, the second waits for a second person."""
    lines = (
        claim("C1", "150.00", "100.00", SHARE, control="P1"),
        claim("C2", "150.00", "100.00", SHARE, control="P2"),
    )
    original, waits = mailed(books, "200.00", *lines), taken(books)
    took_back(books, waits, original)
    unmatched(books, waits)
    limited(books, "0.00")
    second = taken(books)
    took_back(books, second, original)
    proposal = books.matches.ListMatches(pb.ListMatchesRequest(book=books.book, waiting_only=True)).matches[0]
    names = (
        "book number remittance line state claims amounts amount currency limit_amount decides proposed_by reason"
    )
    columns = [
        *names.split(),
        "said_by",
        "said_at",
        "idempotency_key",
        "entry_number",
        "original_remittance",
        "original_line",
    ]
    said = {"number": "99", "state": "'matched'", "idempotency_key": "'fresh'"} | told_
    if "decides" in said:
        said["decides"] = str(proposal.number)
    values = ", ".join(said.get(column, column) for column in columns)
    insert = (
        f"INSERT INTO claim_matches ({', '.join(columns)}) "
        f"SELECT {values} FROM claim_matches WHERE book = %s AND number = %s"
    )
    with (
        psycopg.connect(books.url.replace("+psycopg", "")) as owner,
        pytest.raises(psycopg.IntegrityError) as found,
    ):
        owner.execute(insert, (books.book, proposal.number))
    assert found.value.diag.constraint_name == constraint


def test_the_same_again_is_said_once(books: Ledger) -> None:
    original, waits = paid(books, "100.00", SHARE), taken(books)
    other = mailed(books, "100.00", claim("C2", "150.00", "100.00", SHARE, control="P2"))
    asked = asking_back(books, waits, original)
    first, second = books.matches.MatchReversal(asked), books.matches.MatchReversal(asked)
    assert (first.match, first.replayed, second.replayed) == (second.match, False, True)
    undo = undoing(books, waits)
    once, twice = books.matches.UnmatchClaimPayment(undo), books.matches.UnmatchClaimPayment(undo)
    assert (once.match, once.replayed, twice.replayed) == (twice.match, False, True)
    assert books.matches.MatchReversal(asked).match == first.match
    asked.original_remittance = other
    found = refused(books.matches.MatchReversal, asked)
    assert (found.reason, found.facts["differs"]) == ("IDEMPOTENCY_KEY_REUSED", "original")
    undo.idempotency_key = asked.idempotency_key
    assert refused(books.matches.UnmatchClaimPayment, undo).facts["differs"] == "act reason"


def together(work: Callable[[Any], str], asked: list[Any]) -> list[str]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(work, asked))


def test_of_many_at_one_reversal_one_wins_and_the_others_are_told(books: Ledger) -> None:
    originals = [
        mailed(books, "100.00", claim(f"C{n}", "150.00", "100.00", SHARE, control=f"P{n}")) for n in (1, 2, 3)
    ]
    waits = taken(books)
    outcomes = together(
        lambda one: _outcome(books, one, "claim"), [asking_back(books, waits, originals[n % 3]) for n in range(8)]
    )
    [winner] = {one for one in outcomes if len(one) == len("C1")}
    assert sorted(outcomes) == [winner, *[f"CLAIM_PAYMENT_NOT_WAITING {winner}"] * 7]
    assert stands(books, waits) == f"reversed {winner} by_hand"


def test_of_many_reversals_at_one_payment_one_takes_it_back(books: Ledger) -> None:
    original = paid(books, "100.00", SHARE)
    waiting = [taken(books) for _ in range(4)]
    asked = [asking_back(books, one, original) for one in waiting]
    outcomes = together(lambda one: _outcome(books, one, "taken_back_by"), asked)
    [winner] = [waits for waits, outcome in zip(waiting, outcomes, strict=True) if outcome == "C1"]
    assert sorted(outcomes) == ["C1", *[f"ORIGINAL_TAKEN_BACK {winner}:1"] * 3]
    assert exceptions(books) == [UNKNOWN] * 3


def _outcome(books: Ledger, asked: pb.MatchReversalRequest, fact: str) -> str:
    try:
        return books.matches.MatchReversal(asked).match.parts[0].claim
    except grpc.RpcError as error:
        found = refusal(error)
        return f"{found.reason} {found.facts[fact]}"


# --- what is refused ----------------------------------------------------------------------------------

FORM: dict[str, tuple[dict[str, Any], str]] = {
    "no reason": ({"reason": ""}, "FIELD_MISSING"),
    "no key": ({"idempotency_key": ""}, "FIELD_MISSING"),
    "no line": ({"line": 0}, "NUMBER_INVALID"),
    "no line of the original": ({"original_line": 0}, "NUMBER_INVALID"),
    "no remittance": ({"remittance": "x"}, "TEXT_INVALID"),
    "no original": ({"original_remittance": "x"}, "TEXT_INVALID"),
    "a remittance that there is not": ({"remittance": NOWHERE}, "REMITTANCE_NOT_FOUND"),
    "a line that there is not": ({"line": 9}, "CLAIM_PAYMENT_NOT_FOUND"),
    "an original that there is not": ({"original_remittance": NOWHERE}, "REMITTANCE_NOT_FOUND"),
    "a line of the original that there is not": ({"original_line": 9}, "CLAIM_PAYMENT_NOT_FOUND"),
}


@pytest.mark.parametrize(("wrong", "reason"), FORM.values(), ids=FORM)
def test_what_is_asked_wrongly(books: Ledger, wrong: dict[str, Any], reason: str) -> None:
    original, waits = paid(books, "100.00", SHARE), taken(books)
    asked = asking_back(books, waits, original)
    for name, value in wrong.items():
        setattr(asked, name, value)
    assert refused(books.matches.MatchReversal, asked).reason == reason
    assert words(books) == []


def reversal_of_its_own(books: Ledger) -> str:
    paid(books, "100.00", SHARE)
    return taken(books, control="P1")


def taken_back_already(books: Ledger) -> str:
    original = paid(books, "100.00", SHARE)
    taken(books, control="P1")
    return original


def reversed_by_hand(books: Ledger) -> str:
    original = paid(books, "100.00", SHARE)
    asked = {"book": books.book, "idempotency_key": key(), "effective_date": "2026-06-20", "reason": "mistaken"}
    number = payment(books, original).entry_number
    books.postings.ReverseEntry(po.ReverseEntryRequest(number=number, **asked))
    return original


def of_another_payer(books: Ledger) -> str:
    books.postings.RecordSession(session("CX", book=books.book, payer="CIGNA", charge="150.00", provider="eve"))
    return mailed(books, "100.00", claim("CX", "150.00", "100.00", "CO-45 50.00"), payer=CIGNA)


def of_another_charge(books: Ledger) -> str:
    books.postings.RecordSession(session("C4", book=books.book, charge="160.00", provider="eve"))
    return mailed(books, "100.00", claim("C4", "160.00", "100.00", "CO-45 40.00, PR-3 20.00"))


ORIGINALS: dict[str, tuple[Callable[[Ledger], str], str, dict[str, str]]] = {
    "one that waits": (
        lambda books: mailed(books, "100.00", garbled()),
        "ORIGINAL_NOT_POSTED",
        {"decision": "suspended", "status": "1"},
    ),
    "a predetermination": (
        lambda books: mailed(books, "0.00", claim("C1", "150.00", "0.00", "CO-45 150.00", status="25")),
        "ORIGINAL_NOT_POSTED",
        {"decision": "noted", "status": "25"},
    ),
    "a reversal": (reversal_of_its_own, "ORIGINAL_NOT_POSTED", {"decision": "reversed", "status": "22"}),
    "a quarantined one": (
        lambda books: mailed(books, "99.00", garbled()),
        "REMITTANCE_NOT_SETTLED",
        {"state": "quarantined"},
    ),
    "one that was taken back": (taken_back_already, "ORIGINAL_TAKEN_BACK", {"line": "1"}),
    "one whose entry was reversed": (reversed_by_hand, "ORIGINAL_TAKEN_BACK", {"line": "1"}),
    "another payer's": (
        of_another_payer,
        "ORIGINAL_OF_ANOTHER_PAYER",
        {"payer": "AETNA", "original_payer": "CIGNA"},
    ),
    "a larger one": (
        lambda books: paid(books, "110.00", "CO-45 20.00, PR-3 20.00"),
        "REVERSAL_AMOUNTS_DIFFER",
        {"paid": "-100.00", "original_paid": "110.00", "charge": "-150.00", "original_charge": "150.00"},
    ),
    "one of another charge": (
        of_another_charge,
        "REVERSAL_AMOUNTS_DIFFER",
        {"charge": "-150.00", "original_charge": "160.00", "currency": "USD", "original_currency": "USD"},
    ),
}


@pytest.mark.parametrize(("original", "reason", "facts"), ORIGINALS.values(), ids=ORIGINALS)
def test_what_is_not_taken_back(
    books: Ledger, original: Callable[[Ledger], str], reason: str, facts: dict[str, str]
) -> None:
    """By name, and nothing is posted or said."""
    first, waits = original(books), taken(books)
    before = books.entries()
    found = refused(books.matches.MatchReversal, asking_back(books, waits, first))
    assert (found.code, found.reason) == ("FAILED_PRECONDITION", reason)
    assert facts.items() <= found.facts.items()
    assert (books.entries(), words(books)) == (before, [])


def test_what_takes_nothing_back(books: Ledger) -> None:
    original = paid(books, "100.00", SHARE)
    waits = mailed(books, "100.00", garbled())
    found = refused(books.matches.MatchReversal, asking_back(books, waits, original))
    assert (found.reason, found.facts) == ("CLAIM_PAYMENT_NOT_REVERSAL", {"line": "1", "status": "1"})
    found = refused(books.matches.MatchClaimPayment, asking(books, taken(books), "C1"))
    assert (found.reason, found.facts["decision"]) == ("CLAIM_PAYMENT_NOT_WAITING", "suspended")


def test_what_no_known_payer_takes_back(books: Ledger) -> None:
    original = paid(books, "100.00", SHARE)
    stranger = Payer("NOBODY", "11111", "1999999999")
    waits = mailed(books, "-100.00", reversal(), payer=stranger)
    found = refused(books.matches.MatchReversal, asking_back(books, waits, original))
    assert (found.reason, found.facts) == ("MATCH_REFUSED", {"claim": "", "payer": ""})


def test_what_cannot_be_read_takes_nothing_back(books: Ledger) -> None:
    original = paid(books, "100.00", SHARE)
    unreadable = claim("?1C", "-150.00", "-100.00", "CO-45 -3O.00, PR-3 -20.00", control="X9", status="22")
    waits = mailed(books, "-100.00", unreadable)
    found = refused(books.matches.MatchReversal, asking_back(books, waits, original))
    assert (found.reason, found.facts) == ("MATCH_REFUSED", {"claim": "C1", "payer": "AETNA"})


def test_a_reversal_that_waits_has_nothing_to_give_back(books: Ledger) -> None:
    found = refused(books.matches.UnmatchClaimPayment, undoing(books, taken(books)))
    assert (found.reason, found.facts) == ("CLAIM_PAYMENT_NOT_MATCHED", {"line": "1", "decision": "suspended"})


# --- what is proposed ---------------------------------------------------------------------------------


def proposed(books: Ledger, waits: str) -> dict[str, list[str]]:
    """By claim, which payments the reversal may take back."""
    asked = ca.ListCandidatesRequest(book=books.book, remittance=waits, line=1)
    found = books.candidates.ListCandidates(asked).candidates
    return {one.claim: [f"{each.remittance}:{each.line}" for each in one.originals] for one in found}


def test_the_payments_that_it_may_take_back_are_proposed(books: Ledger) -> None:
    """Those of its payer and its amounts that stand, the latest first; what is proposed is taken."""
    early = paid(books, "100.00", SHARE)
    late = mailed(books, "100.00", claim("C1", "150.00", "100.00", SHARE, control="P2"), day="2026-06-20")
    mailed(books, "90.00", claim("C2", "150.00", "90.00", "CO-45 40.00, PR-3 20.00", control="P3"))
    waits, taking = taken(books), taken(books)
    assert proposed(books, waits) == {"C1": [f"{late}:1", f"{early}:1"], "C2": [], "C3": []}
    took_back(books, taking, late)
    assert proposed(books, waits)["C1"] == [f"{early}:1"]
    unmatched(books, taking)
    unmatched(books, early)
    assert proposed(books, waits)["C1"] == [f"{late}:1"]
    took_back(books, waits, late)
    assert stands(books, waits) == "reversed C1 by_hand"


def test_a_payment_is_proposed_none_that_it_may_take_back(books: Ledger) -> None:
    paid(books, "100.00", SHARE)
    assert proposed(books, mailed(books, "100.00", garbled()))["C1"] == []


# --- on the command line ------------------------------------------------------------------------------


def test_the_command(ledger: Ledger, called: Called) -> None:
    open_book(ledger, "main")
    ledger.postings.RecordSession(session("C1", book="main", charge="150.00", patient_share="20.00"))
    original, waits = f"{paid(ledger, '100.00', SHARE)}:1", f"{taken(ledger)}:1"

    def said(*words: str, code: int = 0) -> str:
        ended, text = called("match", *words, database_url=ledger.url)
        assert (ended or 0) == code, text
        return without_log(text).splitlines()[-1]

    reason = ("--reason", "the clerk said so")
    assert "REMITTANCE:LINE" in said("reversal", waits, "C1", *reason, code=2)
    _, text = called("candidates", waits, database_url=ledger.url)
    assert f"may take back {original}, 100.00 USD on 2026-06-05" in " ".join(text.replace("│", " ").split())
    line = said("reversal", waits, original, *reason).split("\t")
    assert line[:4] == ["1", "matched", waits, f"C1 -100.00 USD of {original}"]
    assert "was taken back before" in said("reversal", f"{taken(ledger)}:1", original, *reason, code=1)
    assert said("undo", waits, "--reason", "wrong").split("\t")[1] == "unmatched"
    assert said("list").split("\t")[3] == f"C1 -100.00 USD of {original}"
