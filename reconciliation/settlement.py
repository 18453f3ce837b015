"""What a claim payment does to the books: the decision, the entry and what a person must still look at.

Pure. Amounts are minor units of the remittance's currency. With R the payer's open receivable on the claim, S
the patient's share as booked, P what was paid (CLP04) and PR what the payer gives to the patient (CAS group
PR), the patient's share is corrected by d = PR - S, and what should have come is R - d. Paid more is the
payer's overpayment; paid less is the contract's variance where the payer explains it by the contract alone,
and stays open where it does not. A payment on a claim whose denial was absorbed overturns the denial first.
Nothing here names a provider's payable.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from msgspec import structs

from ledger.accounts import chart
from ledger.money import plain
from ledger.postings.entry import Kind
from ledger.postings.item import Item
from reconciliation.codes import CLAIM_STATUSES, Bucket
from reconciliation.coverage import (
    ALONE,
    APPLIED,
    FORWARDED,
    FORWARDS,
    Coverage,
    Leaving,
    Move,
    applied,
    forwarded,
)
from reconciliation.matching import Match, Mismatch
from reconciliation.patients import EVENED, evened
from reconciliation.payment import Payment, Raised, Settlement, adjustments, after, by_bucket, paid_of, suspended
from reconciliation.reasons import Decision, ExceptionReason
from reconciliation.remittance import ClaimPayment


def settle(
    payment: Payment,
    claim_payment: ClaimPayment,
    found: Match | Mismatch,
    item: Item | None,
    coverage: Coverage = ALONE,
) -> Settlement:
    """Decides a claim payment that is no reversal."""
    if claim_payment.problems:
        return suspended(payment, claim_payment, ExceptionReason.UNREADABLE, str(claim_payment.problems[0]))
    if not _posts(claim_payment):
        return _noted(payment, claim_payment)
    if isinstance(found, Mismatch) or item is None:
        assert isinstance(found, Mismatch)
        return suspended(payment, claim_payment, found.reason, found.detail, found.claim)
    if paid_of(payment, claim_payment) < 0:
        detail = f"{claim_payment.paid} was paid for claim {found.claim} without saying that it is a reversal"
        return suspended(payment, claim_payment, ExceptionReason.NEGATIVE_PAYMENT, detail, found.claim)
    decided = _adjudicated(payment, claim_payment, item, coverage)
    return structs.replace(decided, claim=found.claim, rule=found.rule, evidence=found.evidence)


def _posts(claim_payment: ClaimPayment) -> bool:
    status = CLAIM_STATUSES.get(claim_payment.status)
    return status is not None and status.posts


def _noted(payment: Payment, claim_payment: ClaimPayment) -> Settlement:
    """A status that says nothing about money, such as a predetermination; money beside it is suspended."""
    if claim_payment.paid:
        detail = f"{claim_payment.paid} was paid beside status {claim_payment.status}, which pays nothing"
        return suspended(payment, claim_payment, ExceptionReason.UNREADABLE, detail)
    return Settlement(Decision.NOTED)


def settle_part(
    payment: Payment, claim_payment: ClaimPayment, item: Item, amount: int, coverage: Coverage
) -> Settlement:
    """Decides on a part of a claim payment that a person gives to a claim.

    No adjustment of the payment is known to be this claim's own: its patient's share stays as it is booked,
    nothing is written off, and what the part leaves open stays open.
    """
    share = item.patient_share + coverage.beyond(payment.payer)
    buckets = defaultdict(int, {Bucket.PATIENT: share})
    at = _Adjudication(item, chart.receivable(payment.payer), amount, buckets, share)
    decided = _paid_or_adjusted(payment, claim_payment, at)
    raised = tuple(structs.replace(why, claim=item.name) for why in decided.raised)
    return structs.replace(decided, claim=item.name, raised=raised, moves=_evening(payment, item, decided))


@dataclass(frozen=True)
class _Adjudication:
    """The amounts of one claim payment against one claim, all in minor units.

    `share` is the patient's share as booked, with what later payers have taken over of it; `later` where other
    payers come before this one. What follows from these is computed once.
    """

    item: Item
    receivable: str
    paid: int
    buckets: Mapping[Bucket, int]
    share: int
    later: bool = False

    @cached_property
    def patient_correction(self) -> int:
        """d: how much more (or less) the patient owes than was booked."""
        return self.buckets[Bucket.PATIENT] - self.share

    @cached_property
    def due(self) -> int:
        """What should have come: the open receivable less what moves to the patient."""
        return self.item.balance(self.receivable) + self.recovered - self.patient_correction

    @cached_property
    def recovered(self) -> int:
        """What the payer pays of a denial that was absorbed: the denial is overturned that far."""
        beyond = self.paid - max(self.item.balance(self.receivable) - self.patient_correction, 0)
        return max(min(self.item.balance(chart.DENIALS_ABSORBED), beyond), 0)

    @cached_property
    def unpaid(self) -> int:
        """What did not come; negative where more came."""
        return self.due - self.paid

    @cached_property
    def denied(self) -> bool:
        """Nothing is paid and nothing is the patient's, whatever the status says.

        A later payer whose contract leaves nothing to pay beyond what others have paid refuses nothing.
        """
        nothing = self.paid == 0 and self.buckets[Bucket.PATIENT] == 0
        return nothing and not (self.buckets[Bucket.OTHER_PAYER] and self.by_contract)

    @cached_property
    def by_contract(self) -> bool:
        """The payer explains what it did not pay by the contract, and by nothing else.

        Beside what other payers did (OA-23), CO-45 counts from what they have left: a later payer must take off to
        the cent what is open, or it was measured from something else.
        """
        contractual, others = self.buckets[Bucket.CONTRACTUAL], self.buckets[Bucket.OTHER_PAYER]
        if self.unpaid <= 0 or self.buckets[Bucket.DENIAL] or self.buckets[Bucket.SUSPENSE]:
            return False
        return self.unpaid == contractual and self.later if others else self.unpaid <= contractual


def _adjudicated(payment: Payment, claim_payment: ClaimPayment, item: Item, coverage: Coverage) -> Settlement:
    """Applies DESIGN's rules for a claim that is known, then leaves to the next payer what is the next one's."""
    at = _Adjudication(
        item=item,
        receivable=chart.receivable(payment.payer),
        paid=paid_of(payment, claim_payment),
        buckets=by_bucket(payment, claim_payment),
        share=item.patient_share + coverage.beyond(payment.payer),
        later=coverage.comes_later(payment.payer),
    )
    if at.denied:
        decided = Settlement(Decision.DENIED, raised=_denied(at, claim_payment, payment))
    else:
        decided = _paid_or_adjusted(payment, claim_payment, at)
    decided = _left_to_next(payment, claim_payment, at, decided, coverage)
    evening = _evening(payment, item, decided)
    return structs.replace(decided, moves=decided.moves + evening) if evening else decided


def _evening(payment: Payment, item: Item, decided: Settlement) -> tuple[Move, ...]:
    if decided.entry is None:
        return ()
    left = after(item, decided.entry, *(move.entry for move in decided.moves))
    entry = evened(left, payment.effective_date, decided.entry.dimensions)
    return (Move(EVENED, payment.payer, entry),) if entry else ()


def _paid_or_adjusted(payment: Payment, claim_payment: ClaimPayment, at: _Adjudication) -> Settlement:
    item = at.item
    decision, raised = _outcome(at, claim_payment, payment)
    variance = at.unpaid if at.by_contract else 0
    postings = payment.postings(
        payment.money(at.paid),
        (at.receivable, at.recovered, item.name),
        (chart.DENIALS_ABSORBED, -at.recovered, item.name),
        *_received(at, payment),
        *_patient(at),
        (chart.CONTRACTUAL_ADJUSTMENTS, variance, item.name),
        (at.receivable, -variance, item.name),
    )
    kind = Kind.CLAIM_PAID if at.paid else Kind.CLAIM_ADJUSTED
    entry = payment.entry(kind, postings, item.dimensions)
    return Settlement(decision, entry, raised, recovered=at.recovered)


def _left_to_next(
    payment: Payment, claim_payment: ClaimPayment, at: _Adjudication, decided: Settlement, coverage: Coverage
) -> Settlement:
    """What the payer leaves open and to the patient is the next payer's, where there is one.

    Where it has not sent the claim on, what it refuses is left to nobody: that is appealed or absorbed.
    """
    next_payer, sent_on = coverage.next_after(payment.payer), claim_payment.status in FORWARDS
    if next_payer is None or (decided.decision is Decision.DENIED and not sent_on):
        return decided
    item = after(at.item, decided.entry)
    unpaid = at.item.balance(at.receivable) if decided.decision is Decision.DENIED else at.unpaid
    still_open = decided.decision in (Decision.DENIED, Decision.SHORT_PAID)
    refused = 0 if sent_on else at.buckets[Bucket.DENIAL] + at.buckets[Bucket.SUSPENSE]
    left = Leaving(
        payer=payment.payer,
        next_payer=next_payer,
        open=max(unpaid - max(refused, 0), 0) if still_open else 0,
        of_patient=max(min(item.balance(chart.PATIENT_RECEIVABLE), at.buckets[Bucket.PATIENT]), 0),
    )
    moves = _forwarding(payment, item, left)
    if left.open and left.open == unpaid:
        return structs.replace(decided, decision=Decision.FORWARDED, raised=(), moves=moves)
    if left.open:
        kept = plain(unpaid - left.open, payment.currency)
        detail = f"{kept} of claim {item.name} is refused and stays open: {_codes(claim_payment)}"
        raised = Raised(ExceptionReason.SHORT_PAID, unpaid - left.open, detail)
        return structs.replace(decided, raised=(raised,), moves=moves)
    return structs.replace(decided, moves=moves)


def _forwarding(payment: Payment, item: Item, left: Leaving) -> tuple[Move, ...]:
    """To the next payer, and against what that one has paid already."""
    about = payment.about(item.dimensions)
    entry = forwarded(item, left, payment.effective_date, about)
    if entry is None:
        return ()
    netted = applied(after(item, entry), left.next_payer, payment.effective_date, about)
    moved = Move(FORWARDED, left.next_payer, entry)
    return (moved, Move(APPLIED, left.next_payer, netted)) if netted else (moved,)


def _received(at: _Adjudication, payment: Payment) -> Iterable[tuple[str, int, str]]:
    """The money settles the receivable up to what is due; the rest is owed back to the payer.

    Where less than nothing is due, since more became the patient's than was open, that is owed back too.
    """
    settled = min(at.paid, at.due)
    yield at.receivable, -settled, at.item.name
    yield chart.overpayments(payment.payer), settled - at.paid, at.item.name


def _patient(at: _Adjudication) -> Iterable[tuple[str, int, str]]:
    """More moves from payer to patient; less comes off what the patient still owes, the rest is refunded."""
    more, name = at.patient_correction, at.item.name
    still_owed = max(at.item.balance(chart.PATIENT_RECEIVABLE), 0)
    off = max(more, -still_owed)
    yield chart.PATIENT_RECEIVABLE, off, name
    yield chart.PATIENT_REFUNDS, more - off, name
    yield at.receivable, -more, name


def _outcome(
    at: _Adjudication, claim_payment: ClaimPayment, payment: Payment
) -> tuple[Decision, tuple[Raised, ...]]:
    if at.unpaid == 0:
        return (Decision.PAID_IN_FULL if at.paid else Decision.PATIENT_OWES), ()
    if at.unpaid < 0:
        over, paid, due = (plain(amount, payment.currency) for amount in (-at.unpaid, at.paid, at.due))
        detail = f"claim {at.item.name} is overpaid by {over}: {paid} was paid and {due} due"
        return Decision.OVERPAID, (Raised(ExceptionReason.OVERPAID, -at.unpaid, detail),)
    short = plain(at.unpaid, payment.currency)
    if at.by_contract:
        booked = f"the contract was booked {short} higher for claim {at.item.name} than the payer allows"
        detail = f"{booked}: {_codes(claim_payment)}"
        raised = Raised(ExceptionReason.UNDERPAID_AGAINST_CONTRACT, at.unpaid, detail)
        return Decision.CONTRACT_VARIANCE, (raised,)
    detail = f"{short} of claim {at.item.name} stays open: {_codes(claim_payment)}"
    return Decision.SHORT_PAID, (Raised(ExceptionReason.SHORT_PAID, at.unpaid, detail),)


def _denied(at: _Adjudication, claim_payment: ClaimPayment, payment: Payment) -> tuple[Raised, ...]:
    """What is open must be appealed or absorbed; where nothing is open there is nothing to do."""
    open_ = at.item.balance(at.receivable)
    if open_ <= 0:
        return ()
    detail = f"claim {at.item.name} was denied with {plain(open_, payment.currency)} open: {_codes(claim_payment)}"
    return (Raised(ExceptionReason.DENIED, open_, detail),)


def _codes(claim_payment: ClaimPayment) -> str:
    """The adjustments in the payer's own codes: `CO-45 30.00, CO-97 70.00`."""
    told = (f"{a.group}-{a.reason} {a.amount}" for a in adjustments(claim_payment))
    return ", ".join(told) or "without a reason"
