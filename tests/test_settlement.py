"""What a claim payment does to the books: a table to check with a pencil, and the algebra for any amounts."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payers import claim, file, remittance

from ledger.money import plain
from ledger.postings.entry import Dimensions, JournalEntry, Kind
from ledger.postings.item import Item
from reconciliation.codes import Bucket, adjustment_bucket
from reconciliation.coverage import ALONE, Coverage
from reconciliation.matching import Match, Mismatch
from reconciliation.payment import Original, Payment, Settlement
from reconciliation.provider_level import adjust
from reconciliation.reasons import Decision, ExceptionReason
from reconciliation.remittance import Adjustment, ClaimPayment, ProviderLevelAdjustment, read
from reconciliation.reversal import reverse
from reconciliation.settlement import settle

PAYMENT = Payment("REMITTANCE", "AETNA", "EFT1", date(2026, 6, 5), "USD")
FOUND = Match("C1", "claim_id", "payer, charge")
INSURER, PATIENT = "Assets:Receivable:Insurer:AETNA", "Assets:Receivable:Patient"
CLEARING, SUSPENSE = "Assets:RemittanceClearing:AETNA:EFT1", "Liabilities:Suspense:AETNA"
OVERPAYMENTS, REFUNDS = "Liabilities:PayerOverpayments:AETNA", "Liabilities:PatientRefunds"
ABSORBED, CONTRACT = "Expenses:DenialsAbsorbed", "Revenue:ContractualAdjustments"
SHORT = {
    "clearing": CLEARING,
    "insurer": INSURER,
    "patient": PATIENT,
    "refunds": REFUNDS,
    "overpaid": OVERPAYMENTS,
    "absorbed": ABSORBED,
    "contract": CONTRACT,
    "suspense": SUSPENSE,
}


def sent(text: str) -> ClaimPayment:
    """A CLP loop as the reader gives it."""
    (found,) = (event for event in read([file(remittance("0.00", "T", text))]) if isinstance(event, ClaimPayment))
    return found


def cents(text: str) -> int:
    return int(Decimal(text) * 100)


def owing(insurer: str, patient: str, share: str = "20.00", absorbed: str = "0.00", refunds: str = "0.00") -> Item:
    """A claim: what payer and patient owe now, the patient's share as booked, what was absorbed and refunded."""
    balances = {INSURER: insurer, PATIENT: patient, ABSORBED: absorbed, REFUNDS: f"-{refunds}"}
    found = {account: cents(amount) for account, amount in balances.items() if cents(amount)}
    return Item("C1", "USD", found, Dimensions(payer="AETNA", provider="ada", claim="C1"), cents(share))


def net(entry: JournalEntry | None) -> dict[str, int]:
    """What an entry does to each account, debit positive."""
    sums: dict[str, int] = {}
    for posting in entry.postings if entry else ():
        sums[posting.account] = sums.get(posting.account, 0) + posting.signed
    return {account: amount for account, amount in sums.items() if amount}


def told(entry: JournalEntry | None) -> str:
    """The same in a bookkeeper's words: `clearing 100.00 Dr, insurer 100.00 Cr`."""
    names = {account: name for name, account in SHORT.items()}
    sides = ((names[account], amount) for account, amount in net(entry).items())
    return ", ".join(f"{name} {plain(abs(each), 'USD')} {'Dr' if each > 0 else 'Cr'}" for name, each in sides)


def decide(item: Item, paid: str, cas: str, status: str = "1", coverage: Coverage = ALONE) -> Settlement:
    charge = sum((Decimal(one.split()[1]) for one in filter(None, cas.split(", "))), Decimal(paid))
    return settle(PAYMENT, sent(claim("C1", str(charge), paid, cas, status=status)), FOUND, item, coverage)


BOOKED = owing("100.00", "20.00")
SETTLED = owing("0.00", "20.00")
WRITTEN_OFF = owing("0.00", "20.00", absorbed="100.00")
PATIENT_PAID = owing("100.00", "0.00")
NO_SHARE = owing("120.00", "0.00", share="0.00")

# The claim, what is paid, the payer's adjustments; then decision, what people look at, and entry by account.
TABLE: dict[str, tuple[Item, str, str, str, str]] = {
    "paid in full": (
        *(BOOKED, "100.00", "CO-45 30.00, PR-3 20.00"),
        *("PAID_IN_FULL", "clearing 100.00 Dr, insurer 100.00 Cr"),
    ),
    "short, and nothing explained: no share of the patient's either": (
        *(BOOKED, "60.00", ""),
        *("SHORT_PAID 60.00", "clearing 60.00 Dr, insurer 40.00 Cr, patient 20.00 Cr"),
    ),
    "short by a refusal": (
        *(BOOKED, "60.00", "CO-45 30.00, CO-97 40.00, PR-3 20.00"),
        *("SHORT_PAID 40.00", "clearing 60.00 Dr, insurer 60.00 Cr"),
    ),
    "short by a cent": (
        *(BOOKED, "99.99", "CO-45 30.00, CO-97 0.01, PR-3 20.00"),
        *("SHORT_PAID 0.01", "clearing 99.99 Dr, insurer 99.99 Cr"),
    ),
    "short by another payer": (
        *(BOOKED, "60.00", "CO-45 30.00, OA-23 40.00, PR-3 20.00"),
        *("SHORT_PAID 40.00", "clearing 60.00 Dr, insurer 60.00 Cr"),
    ),
    "short by a code nobody knows": (
        *(BOOKED, "60.00", "CO-45 30.00, CO-ZZZ 40.00, PR-3 20.00"),
        *("SHORT_PAID 40.00", "clearing 60.00 Dr, insurer 60.00 Cr"),
    ),
    "the contract allows less": (
        *(BOOKED, "90.00", "CO-45 40.00, PR-3 20.00"),
        *("CONTRACT_VARIANCE 10.00", "clearing 90.00 Dr, insurer 100.00 Cr, contract 10.00 Dr"),
    ),
    "the contract explains less than is missing": (
        *(BOOKED, "90.00", "CO-45 9.99, PR-3 20.00"),
        *("SHORT_PAID 10.00", "clearing 90.00 Dr, insurer 90.00 Cr"),
    ),
    "contract and refusal together": (
        *(BOOKED, "80.00", "CO-45 40.00, CO-97 10.00, PR-3 20.00"),
        *("SHORT_PAID 20.00", "clearing 80.00 Dr, insurer 80.00 Cr"),
    ),
    "a cut by law is the contract's": (
        *(BOOKED, "98.00", "CO-45 30.00, CO-253 2.00, PR-3 20.00"),
        *("CONTRACT_VARIANCE 2.00", "clearing 98.00 Dr, insurer 100.00 Cr, contract 2.00 Dr"),
    ),
    "overpaid": (
        *(BOOKED, "110.00", "CO-45 20.00, PR-3 20.00"),
        *("OVERPAID 10.00", "clearing 110.00 Dr, insurer 100.00 Cr, overpaid 10.00 Cr"),
    ),
    "paid again": (
        *(SETTLED, "100.00", "CO-45 30.00, PR-3 20.00"),
        *("OVERPAID 100.00", "clearing 100.00 Dr, overpaid 100.00 Cr"),
    ),
    "all the patient's": (
        *(BOOKED, "0.00", "CO-45 30.00, PR-1 120.00"),
        *("PATIENT_OWES", "patient 100.00 Dr, insurer 100.00 Cr"),
    ),
    "the patient's, and a refusal": (
        *(BOOKED, "0.00", "CO-45 30.00, CO-97 40.00, PR-1 80.00"),
        *("SHORT_PAID 40.00", "patient 60.00 Dr, insurer 60.00 Cr"),
    ),
    "the patient owes more": (
        *(BOOKED, "85.00", "CO-45 30.00, PR-2 35.00"),
        *("PAID_IN_FULL", "clearing 85.00 Dr, insurer 100.00 Cr, patient 15.00 Dr"),
    ),
    "the patient owes more, and the contract allows less": (
        *(BOOKED, "75.00", "CO-45 40.00, PR-2 35.00"),
        *("CONTRACT_VARIANCE 10.00", "clearing 75.00 Dr, insurer 100.00 Cr, patient 15.00 Dr, contract 10.00 Dr"),
    ),
    "the patient owes more, after the payer has paid": (
        *(SETTLED, "0.00", "CO-97 115.00, PR-2 35.00"),
        *("OVERPAID 15.00", "overpaid 15.00 Cr, patient 15.00 Dr"),
    ),
    "the patient owes less": (
        *(BOOKED, "110.00", "CO-45 30.00, PR-3 10.00"),
        *("PAID_IN_FULL", "clearing 110.00 Dr, insurer 100.00 Cr, patient 10.00 Cr"),
    ),
    "the patient owes less, and has paid": (
        *(PATIENT_PAID, "110.00", "CO-45 30.00, PR-3 10.00"),
        *("PAID_IN_FULL", "clearing 110.00 Dr, insurer 100.00 Cr, refunds 10.00 Cr"),
    ),
    "the patient owes less, and has paid in part": (
        *(owing("100.00", "5.00"), "115.00", "CO-45 30.00, PR-3 5.00"),
        *("PAID_IN_FULL", "clearing 115.00 Dr, insurer 100.00 Cr, patient 5.00 Cr, refunds 10.00 Cr"),
    ),
    "the patient owes nothing, and the payer pays it all": (
        *(BOOKED, "120.00", "CO-45 30.00"),
        *("PAID_IN_FULL", "clearing 120.00 Dr, insurer 100.00 Cr, patient 20.00 Cr"),
    ),
    "the patient owes less, and nobody pays the difference": (
        *(BOOKED, "100.00", "CO-45 30.00, CO-97 10.00, PR-3 10.00"),
        *("SHORT_PAID 10.00", "clearing 100.00 Dr, insurer 90.00 Cr, patient 10.00 Cr"),
    ),
    "no share was booked": (
        *(NO_SHARE, "100.00", "CO-45 30.00, PR-3 20.00"),
        *("PAID_IN_FULL", "clearing 100.00 Dr, insurer 120.00 Cr, patient 20.00 Dr"),
    ),
    "denied": (BOOKED, "0.00", "CO-197 150.00", "DENIED 100.00", ""),
    "denied by the contract alone": (BOOKED, "0.00", "CO-45 150.00", "DENIED 100.00", ""),
    "denied without a word": (BOOKED, "0.00", "", "DENIED 100.00", ""),
    "denied, with nothing open": (SETTLED, "0.00", "CO-18 150.00", "DENIED", ""),
    "a denial that was absorbed, paid": (
        *(WRITTEN_OFF, "100.00", "CO-45 30.00, PR-3 20.00"),
        *("PAID_IN_FULL", "clearing 100.00 Dr, absorbed 100.00 Cr"),
    ),
    "a denial that was absorbed, paid in part": (
        *(WRITTEN_OFF, "70.00", "CO-45 30.00, CO-97 30.00, PR-3 20.00"),
        *("PAID_IN_FULL", "clearing 70.00 Dr, absorbed 70.00 Cr"),
    ),
    "a denial that was absorbed, overpaid": (
        *(WRITTEN_OFF, "130.00", "PR-3 20.00"),
        *("OVERPAID 30.00", "clearing 130.00 Dr, absorbed 100.00 Cr, overpaid 30.00 Cr"),
    ),
    "a denial absorbed in part: what is open comes first": (
        *(owing("60.00", "20.00", absorbed="40.00"), "80.00", "CO-97 20.00, PR-3 20.00"),
        *("PAID_IN_FULL", "clearing 80.00 Dr, insurer 60.00 Cr, absorbed 20.00 Cr"),
    ),
    "a denial that was absorbed, denied again": (WRITTEN_OFF, "0.00", "CO-197 150.00", "DENIED", ""),
}


@pytest.mark.parametrize("name", TABLE)
def test_what_a_payment_does_to_a_claim(name: str) -> None:
    item, paid, cas, decision, entry = TABLE[name]
    found = decide(item, paid, cas)
    looks = "".join(f" {plain(raised.amount or 0, 'USD')}" for raised in found.raised)
    assert (f"{found.decision.name}{looks}", told(found.entry)) == (decision, entry)
    assert (found.claim, found.rule, found.evidence, found.suspended) == ("C1", "claim_id", "payer, charge", 0)


# What the first payer has left, 20.00 of it open: what the second one pays, its adjustments; decision and entry.
LEFT_OPEN = owing("20.00", "0.00", share="0.00")
SECOND = Coverage(("CIGNA", "AETNA"))
OF_A_LATER_PAYER: dict[str, tuple[str, str, str, str]] = {
    "the contract takes off what is open, to the cent": (
        *("5.00", "CO-45 15.00, OA-23 130.00"),
        *("CONTRACT_VARIANCE 15.00", "clearing 5.00 Dr, insurer 20.00 Cr, contract 15.00 Dr"),
    ),
    "a cent more than what is open": (
        *("5.00", "CO-45 15.01, OA-23 129.99"),
        *("SHORT_PAID 15.00", "clearing 5.00 Dr, insurer 5.00 Cr"),
    ),
    "a cent less": (
        *("5.00", "CO-45 14.99, OA-23 130.01"),
        *("SHORT_PAID 15.00", "clearing 5.00 Dr, insurer 5.00 Cr"),
    ),
    "a refusal beside it": (
        *("5.00", "CO-45 15.00, CO-97 1.00, OA-23 129.00"),
        *("SHORT_PAID 15.00", "clearing 5.00 Dr, insurer 5.00 Cr"),
    ),
    "the patient's share beside it": (
        *("5.00", "CO-45 12.00, OA-23 130.00, PR-3 3.00"),
        *("CONTRACT_VARIANCE 12.00", "clearing 5.00 Dr, insurer 20.00 Cr, patient 3.00 Dr, contract 12.00 Dr"),
    ),
    "nothing paid, since the others have paid all that the contract allows": (
        *("0.00", "CO-45 20.00, OA-23 130.00"),
        *("CONTRACT_VARIANCE 20.00", "contract 20.00 Dr, insurer 20.00 Cr"),
    ),
    "nothing paid, and measured from something else": ("0.00", "CO-45 50.00, OA-23 100.00", "DENIED 20.00", ""),
    "nothing paid, and nobody else named": ("0.00", "CO-45 150.00", "DENIED 20.00", ""),
    "nobody else named: the contract as of a first payer": (
        *("5.00", "CO-45 145.00"),
        *("CONTRACT_VARIANCE 15.00", "clearing 5.00 Dr, insurer 20.00 Cr, contract 15.00 Dr"),
    ),
}


@pytest.mark.parametrize("name", OF_A_LATER_PAYER)
def test_what_a_later_payers_contract_takes_off(name: str) -> None:
    paid, cas, decision, entry = OF_A_LATER_PAYER[name]
    found = decide(LEFT_OPEN, paid, cas, coverage=SECOND)
    [raised] = found.raised
    assert raised.amount is not None
    assert f"{found.decision.name} {plain(raised.amount, 'USD')}" == decision
    assert told(found.entry) == entry


def test_a_first_payer_names_others_and_nothing_is_written_off() -> None:
    found = decide(LEFT_OPEN, "5.00", "CO-45 15.00, OA-23 130.00", coverage=Coverage(("AETNA", "CIGNA")))
    assert (found.decision, told(found.entry)) == (Decision.FORWARDED, "clearing 5.00 Dr, insurer 5.00 Cr")
    alone = decide(LEFT_OPEN, "5.00", "CO-45 15.00, OA-23 130.00")
    assert (alone.decision, told(alone.entry)) == (Decision.SHORT_PAID, "clearing 5.00 Dr, insurer 5.00 Cr")


# Status, what is paid, whether the claim is known; then the decision, why people look, and the entry.
ODD: dict[str, tuple[str, str, Match | Mismatch, str, str]] = {
    "a predetermination": ("25", "0.00", FOUND, "NOTED", ""),
    "not the payer's claim": ("23", "0.00", FOUND, "NOTED", ""),
    "a status nobody knows": ("99", "0.00", FOUND, "NOTED", ""),
    "money beside a predetermination": (
        *("25", "100.00", FOUND),
        *("SUSPENDED UNREADABLE", "clearing 100.00 Dr, suspense 100.00 Cr"),
    ),
    "money beside a status nobody knows": (
        *("99", "100.00", FOUND),
        *("SUSPENDED UNREADABLE", "clearing 100.00 Dr, suspense 100.00 Cr"),
    ),
    "less than nothing, and no reversal": (
        *("1", "-5.00", FOUND),
        *("SUSPENDED NEGATIVE_PAYMENT", "clearing 5.00 Cr, suspense 5.00 Dr"),
    ),
    "no claim": (
        *("1", "100.00", Mismatch(ExceptionReason.UNKNOWN_CLAIM, "no claim")),
        *("SUSPENDED UNKNOWN_CLAIM", "clearing 100.00 Dr, suspense 100.00 Cr"),
    ),
    "no claim and no money": (
        *("4", "0.00", Mismatch(ExceptionReason.UNKNOWN_CLAIM, "no claim")),
        *("SUSPENDED UNKNOWN_CLAIM", ""),
    ),
    "a claim that came near": (
        *("1", "100.00", Mismatch(ExceptionReason.CHARGE_MISMATCH, "other charge", "C1")),
        *("SUSPENDED CHARGE_MISMATCH", "clearing 100.00 Dr, suspense 100.00 Cr"),
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_not_understood_waits_in_suspense(name: str) -> None:
    """All of its money, and under no claim."""
    status, paid, found, decision, entry = ODD[name]
    settled = settle(PAYMENT, sent(claim("C1", paid, paid, status=status)), found, BOOKED)
    looks = "".join(f" {raised.reason.name}" for raised in settled.raised)
    assert (f"{settled.decision.name}{looks}", told(settled.entry)) == (decision, entry)
    assert settled.suspended == (cents(paid) if settled.decision is Decision.SUSPENDED else 0)
    assert settled.claim is None


def test_an_adjustment_that_cannot_be_read_suspends_the_claim() -> None:
    unreadable = sent(claim("C1", "150.00", "100.00", "CO-45 3O.00, PR-3 20.00"))
    found = settle(PAYMENT, unreadable, FOUND, BOOKED)
    assert (found.decision, found.raised[0].reason) == (Decision.SUSPENDED, ExceptionReason.UNREADABLE)
    assert told(found.entry) == "clearing 100.00 Dr, suspense 100.00 Cr"


# --- for any amounts ----------------------------------------------------------------------------------

ALLOWED_ACCOUNTS = {CLEARING, INSURER, PATIENT, REFUNDS, OVERPAYMENTS, ABSORBED, CONTRACT}
CODES = ("CO-45", "CO-253", "CO-97", "CO-197", "OA-23", "PR-1", "PR-3", "CO-ZZZ", "XX-1")
owed = st.integers(0, 500_00)
any_item = st.builds(
    lambda insurer, patient, share, absorbed, refunds: Item(
        "C1",
        "USD",
        {INSURER: insurer, PATIENT: patient, ABSORBED: absorbed, REFUNDS: -refunds},
        Dimensions(payer="AETNA", provider="ada", claim="C1"),
        share,
    ),
    st.integers(-100_00, 500_00),
    st.integers(-50_00, 200_00),
    st.integers(0, 200_00),
    st.just(0) | owed,
    st.just(0) | owed,
)
any_adjustments = st.lists(st.tuples(st.sampled_from(CODES), st.integers(-20_00, 300_00)), max_size=5)


@st.composite
def balanced(draw: st.DrawFn) -> ClaimPayment:
    """A claim payment whose charge is what is paid and what is adjusted; the patient's part is not below zero."""
    paid = draw(st.just(0) | owed)
    adjustments = tuple(
        Adjustment(*code.split("-"), dollars(abs(amount) if code.startswith("PR") else amount), None)
        for code, amount in draw(any_adjustments)
    )
    charge = dollars(paid) + sum((one.amount for one in adjustments), Decimal(0))
    empty = sent(claim("C1", "0.00", "0.00", lines="DTM*232*20260408~"))
    return empty._replace(charge=charge, paid=dollars(paid), adjustments=adjustments, problems=())


def dollars(minor_units: int) -> Decimal:
    return Decimal(minor_units).scaleb(-2)


def after(item: Item, entry: JournalEntry | None) -> Item:
    """The claim once an entry is posted."""
    for posting in entry.postings if entry else ():
        if posting.item == item.name:
            item = item.plus(posting)
    return item


def bucket(payment: ClaimPayment, *buckets: Bucket) -> int:
    """What the payer adjusts under these heads."""
    found = (one for one in payment.adjustments if adjustment_bucket(one.group, one.reason) in buckets)
    return sum(int(one.amount * 100) for one in found)


def paid_of(payment: ClaimPayment) -> int:
    assert payment.paid is not None
    return int(payment.paid * 100)


@given(any_item, balanced())
@settings(max_examples=1000, deadline=None)
def test_whatever_is_paid_the_algebra_holds(item: Item, payment: ClaimPayment) -> None:
    """The entry's money is P, the patient's share becomes PR, and R less what is due is all that may be over.

    Recomputed here in another way than there: from the claim before and the claim after.
    """
    found = settle(PAYMENT, payment, FOUND, item)
    paid, share = paid_of(payment), bucket(payment, Bucket.PATIENT)
    moved, left = net(found.entry), after(item, found.entry)
    assert moved.keys() <= ALLOWED_ACCOUNTS
    assert moved.get(CLEARING, 0) == paid
    assert sum(moved.values()) == 0
    if found.decision is Decision.DENIED:
        assert (paid, share, moved) == (0, 0, {})
        return
    assert left.patient_share == share
    assert moved.get(PATIENT, 0) + moved.get(REFUNDS, 0) == share - item.patient_share
    assert left.balance(INSURER) >= 0
    check_rest(item, payment, found, moved)


def check_rest(item: Item, payment: ClaimPayment, found: Settlement, moved: dict[str, int]) -> None:
    """What is too little stays open or is the contract's; what is too much is first a denial's, then owed back."""
    open_ = item.balance(INSURER) - (bucket(payment, Bucket.PATIENT) - item.patient_share)
    too_much = paid_of(payment) - open_
    recovered, over = -moved.get(ABSORBED, 0), -moved.get(OVERPAYMENTS, 0)
    variance, left = moved.get(CONTRACT, 0), item.balance(INSURER) + moved.get(INSURER, 0)
    assert over + recovered - left - variance == too_much
    assert 0 <= recovered <= max(item.balance(ABSORBED), 0)
    assert min(over, left) == 0
    assert min(over, variance) == 0
    assert not variance or (left == 0 and variance <= bucket(payment, Bucket.CONTRACTUAL))
    expected = {
        Decision.PAID_IN_FULL: (0, 0, 0),
        Decision.PATIENT_OWES: (0, 0, 0),
        Decision.SHORT_PAID: (left, 0, 0),
        Decision.OVERPAID: (0, over, 0),
        Decision.CONTRACT_VARIANCE: (0, 0, variance),
    }[found.decision]
    assert (left, over, variance) == expected
    assert [raised.amount for raised in found.raised] == [amount for amount in expected if amount]


@given(any_item, balanced())
@settings(max_examples=1000, deadline=None)
def test_what_is_settled_and_taken_back_leaves_no_trace(item: Item, payment: ClaimPayment) -> None:
    """Every account and the patient's share are what they were, and the money has gone back to the payer."""
    found = settle(PAYMENT, payment, FOUND, item)
    undone, _ = reverse(PAYMENT, negated(payment), [original(payment, found)])
    left = after(after(item, found.entry), undone.entry)
    assert undone.decision is Decision.REVERSED
    assert settled(left) == settled(item)
    assert left.patient_share == item.patient_share
    assert net(undone.entry) == {account: -amount for account, amount in net(found.entry).items()}


@given(balanced())
def test_what_is_suspended_and_taken_back_leaves_no_trace(payment: ClaimPayment) -> None:
    found = settle(PAYMENT, payment, Mismatch(ExceptionReason.UNKNOWN_CLAIM, "no claim"), None)
    undone, _ = reverse(PAYMENT, negated(payment), [original(payment, found)])
    assert undone.suspended == -found.suspended
    assert net(undone.entry) == {account: -amount for account, amount in net(found.entry).items()}


def settled(item: Item) -> dict[str, int]:
    return {account: amount for account, amount in item.balances.items() if amount}


def negated(payment: ClaimPayment) -> ClaimPayment:
    """The payer's reversal: every amount with the other sign."""
    assert payment.charge is not None
    assert payment.paid is not None
    back = tuple(one._replace(amount=-one.amount) for one in payment.adjustments)
    return payment._replace(status="22", charge=-payment.charge, paid=-payment.paid, adjustments=back)


def original(payment: ClaimPayment, found: Settlement, line: int = 1) -> Original:
    """The payment as the mail room remembers it."""
    charge = None if payment.charge is None else int(payment.charge * 100)
    suspended = found.decision is Decision.SUSPENDED
    number = 7 if found.entry else None
    return Original("EARLIER", line, found.claim, charge, paid_of(payment), number, found.entry, suspended)


# --- reversals ----------------------------------------------------------------------------------------

PAID = sent(claim("C1", "150.00", "100.00", "CO-45 30.00, PR-3 20.00"))
FIRST = original(PAID, settle(PAYMENT, PAID, FOUND, BOOKED))
LATER = replace(PAYMENT, remittance="LATER", trace="EFT2", effective_date=date(2026, 6, 19))
REVERSALS: dict[str, tuple[ClaimPayment, list[Original], str]] = {
    "the one payment": (negated(PAID), [FIRST], "REVERSED C1"),
    "no payment": (negated(PAID), [], "SUSPENDED REVERSAL_WITHOUT_ORIGINAL"),
    "two payments alike": (negated(PAID), [FIRST, replace(FIRST, line=2)], "SUSPENDED REVERSAL_WITHOUT_ORIGINAL"),
    "two payments, one of this amount": (negated(PAID), [FIRST, replace(FIRST, line=2, paid=1)], "REVERSED C1"),
    "another amount": (
        negated(PAID)._replace(paid=Decimal("-99.99")),
        [FIRST],
        "SUSPENDED REVERSAL_WITHOUT_ORIGINAL",
    ),
    "another charge": (
        negated(PAID)._replace(charge=Decimal("-151.00")),
        [FIRST],
        "SUSPENDED REVERSAL_WITHOUT_ORIGINAL",
    ),
    "a charge that was never known": (negated(PAID), [replace(FIRST, charge=None)], "REVERSED C1"),
    "an amount that was not negated": (
        negated(PAID)._replace(paid=Decimal("100.00")),
        [FIRST],
        "SUSPENDED REVERSAL_WITHOUT_ORIGINAL",
    ),
    "an adjustment that cannot be read": (
        sent(claim("C1", "-150.00", "-100.00", "CO-45 -3O.00, PR-3 -20.00", status="22")),
        [FIRST],
        "SUSPENDED UNREADABLE",
    ),
}


@pytest.mark.parametrize("name", REVERSALS)
def test_a_reversal_takes_back_the_one_payment_that_it_negates(name: str) -> None:
    """The money comes out of the later payment's clearing account; every other line is undone as it was."""
    back, originals, expected = REVERSALS[name]
    found, taken = reverse(LATER, back, originals)
    assert f"{found.decision.name} {found.claim or found.raised[0].reason.name}" == expected
    assert (taken is None) == (found.decision is Decision.SUSPENDED)
    if found.decision is Decision.REVERSED:
        assert found.entry is not None
        assert (found.entry.kind, found.entry.reverses) == (Kind.PAYMENT_REVERSED, 7)
        assert net(found.entry) == {LATER.clearing: -100_00, INSURER: 100_00}


def test_a_denial_that_is_taken_back_posts_nothing() -> None:
    denied = sent(claim("C1", "150.00", "0.00", "CO-197 150.00", status="4"))
    before = original(denied, settle(PAYMENT, denied, FOUND, BOOKED))
    found, taken = reverse(LATER, negated(denied), [before])
    assert (found.decision, found.entry, taken) == (Decision.REVERSED, None, before)


# --- provider-level adjustments -----------------------------------------------------------------------

# The code, the amount as sent (positive reduces the payment); the account, the side on which it is posted.
LEVEL: dict[str, tuple[str, str, str, str]] = {
    "interest that comes": ("L6", "-1.25", "Revenue:Interest", "Cr"),
    "interest taken back": ("L6", "1.25", "Revenue:Interest", "Dr"),
    "an overpayment recovered": ("WO", "40.00", OVERPAYMENTS, "Dr"),
    "a refund returned": ("72", "-40.00", OVERPAYMENTS, "Cr"),
    "a balance carried forward": ("FB", "-100.00", "Liabilities:ForwardBalances:AETNA", "Cr"),
    "a balance brought forward": ("FB", "100.00", "Liabilities:ForwardBalances:AETNA", "Dr"),
    "the payer's own adjustment": ("CS", "7.00", "Revenue:PayerAdjustments", "Dr"),
    "a code without account": ("IP", "-12.00", SUSPENSE, "Cr"),
    "a code nobody knows": ("??", "12.00", SUSPENSE, "Dr"),
}


@pytest.mark.parametrize("name", LEVEL)
def test_a_provider_level_adjustment_has_one_account(name: str) -> None:
    code, amount, account, side = LEVEL[name]
    found = adjust(PAYMENT, 1, level(code, amount))
    posted = cents(amount)
    assert found.account == account
    assert net(found.entry) == {account: posted, CLEARING: -posted}
    assert side == ("Dr" if posted > 0 else "Cr")
    in_suspense = account == SUSPENSE
    assert [raised.reason for raised in found.raised] == [ExceptionReason.PLB_UNMAPPED] * in_suspense
    assert found.suspended == (-posted if in_suspense else 0)


@pytest.mark.parametrize("code", ["L6", "WO", "FB", "CS", "IP", "??"])
def test_an_adjustment_of_nothing_moves_nothing(code: str) -> None:
    found = adjust(PAYMENT, 1, level(code, "0.00"))
    assert (found.entry, found.raised, found.suspended) == (None, (), 0)


def level(code: str, amount: str) -> ProviderLevelAdjustment:
    return ProviderLevelAdjustment("1234567893", date(2026, 12, 31), code, "REF", Decimal(amount))


def test_no_account_named_here_is_a_providers() -> None:
    """No code, no status and no amount reaches what a provider has earned."""
    entries: list[JournalEntry | None] = [
        adjust(PAYMENT, 1, level(each[0], "1.00")).entry for each in LEVEL.values()
    ]
    entries += [decide(item, paid, cas).entry for item, paid, cas, *_ in TABLE.values()]
    assert not [
        account for entry in entries for account in net(entry) if account.startswith("Liabilities:Payable:")
    ]
