"""For any amounts: what cancels out cancels out whole, nothing is lost, and a reference never closes twice."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.accounts import chart
from ledger.postings.entry import Dimensions, JournalEntry
from ledger.postings.item import Item
from reconciliation.coverage import Coverage, Leaving, applied, forwarded, in_order, taken_over
from reconciliation.patients import evened
from reconciliation.payment import Payment, after
from reconciliation.provider_level import adjust, places, unexplained
from reconciliation.remittance import ProviderLevelAdjustment

DAY = date(2026, 6, 5)
ABOUT = Dimensions(payer="AETNA", claim="C1")
FIRST, SECOND = chart.receivable("AETNA"), chart.receivable("CIGNA")
OVER = chart.overpayments("AETNA")
OWED, BACK = chart.PATIENT_RECEIVABLE, chart.PATIENT_REFUNDS
PAYMENT = Payment("R1", "AETNA", "EFT1", DAY, "USD")
units = st.integers(-500_00, 500_00)
MANY = settings(max_examples=300, deadline=None)


def item(balances: dict[str, int]) -> Item:
    return Item("C1", "USD", balances, ABOUT, patient_share=20_00)


def total(found: Item) -> int:
    return sum(found.balances.values())


@given(units, units)
@MANY
def test_a_patient_never_owes_and_gets_back(owed: int, back: int) -> None:
    before = item({OWED: owed, BACK: back})
    left = after(before, evened(before, DAY, ABOUT))
    assert (left.balance(OWED), left.balance(BACK)) == (max(owed + back, 0), min(owed + back, 0))
    assert left.patient_share == before.patient_share
    assert evened(left, DAY, ABOUT) is None


@given(units, units)
@MANY
def test_an_overpayment_never_stands_beside_what_is_owed(open_: int, over: int) -> None:
    before = item({FIRST: open_, OVER: over})
    left = after(before, applied(before, "AETNA", DAY, ABOUT))
    assert total(left) == total(before)
    assert left.balance(OVER) <= 0
    assert left.balance(OVER) == 0 or left.balance(FIRST) <= 0
    assert applied(left, "AETNA", DAY, ABOUT) is None


@given(st.integers(0, 500_00), st.integers(0, 200_00))
@MANY
def test_what_is_left_moves_whole_and_can_be_told_apart(open_: int, share: int) -> None:
    before = item({FIRST: open_, OWED: share})
    entry = forwarded(before, Leaving("AETNA", "CIGNA", open_, share), DAY, ABOUT)
    left = after(before, entry)
    assert (left.balance(FIRST), left.balance(OWED), left.balance(SECOND)) == (0, 0, open_ + share)
    taken = taken_over([("CIGNA", entry)] if entry else [], "C1")
    assert Coverage(("AETNA", "CIGNA"), taken).beyond("AETNA") == share
    assert Coverage(("AETNA", "CIGNA"), taken).beyond("CIGNA") == 0


def test_a_payer_is_known_by_its_receivable() -> None:
    """However its name is spelled where it is said: two spellings of one account are one payer."""
    coverage = Coverage(("Blue Cross", "CIGNA"))
    code = chart.segment("Blue Cross")
    assert coverage.has("Blue Cross")
    assert not coverage.has(code)  # a name that looks like another's code has an account of its own
    assert coverage.next_after("Blue Cross") == "CIGNA"
    assert coverage.next_after("CIGNA") is None
    assert coverage.next_after("HUMANA") is None
    assert in_order({3: "HUMANA", 2: "AETNA", 1: "AETNA"}) == ("AETNA", "HUMANA")


@given(units, units, units, units.filter(bool), st.sampled_from(["WO", "FB", "72"]))
@MANY
def test_a_reference_closes_what_it_opened_and_no_more(
    over: int, carried: int, of_claim: int, amount: int, code: str
) -> None:
    spots = places("AETNA", "F1", "C1")
    open_ = dict(zip(spots, (over, carried, of_claim), strict=True))
    sent = ProviderLevelAdjustment("1", None, code, "F1", Decimal(amount).scaleb(-2))
    found = adjust(PAYMENT, 1, sent, open_, "C1")
    assert sum(part for _, part in found.moved) == amount
    assert cleared(found.entry) == -amount
    own = (chart.forward_balances("AETNA") if code == "FB" else OVER, "F1")
    for place, part in found.moved:
        stood = open_.get(place, 0)
        assert place == own or abs(stood + part) <= abs(stood)  # others are closed, never opened
    left = {place: stood + sum(part for at, part in found.moved if at == place) for place, stood in open_.items()}
    if left[own] * amount > 0 and abs(left[own]) > abs(open_[own]):
        assert all(stood * amount >= 0 for stood in left.values())  # nothing is left that it could have closed


def cleared(entry: JournalEntry | None) -> int:
    return sum(line.signed for line in entry.postings if line.account == PAYMENT.clearing) if entry else 0


@given(units)
@MANY
def test_what_is_taken_without_a_cause_is_told(stands: int) -> None:
    found = unexplained(PAYMENT, "F1", stands)
    assert (found is None) == (stands <= 0)
    assert found is None or found.amount == -stands


def test_money_out_of_suspense_does_not_touch_the_clearing_account() -> None:
    assert replace(PAYMENT, waits_in=("Liabilities:Suspense:AETNA", "R1:1")).money(5)[0] != PAYMENT.clearing
