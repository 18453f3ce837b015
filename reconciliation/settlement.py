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
from dataclasses import dataclass, replace
from datetime import date

from ledger.accounts import chart
from ledger.money import Amount, plain
from ledger.postings.entry import Dimensions, JournalEntry, Kind, Posting
from ledger.postings.item import Item
from ledger.postings.rules import without_zeros
from reconciliation.amounts import minor_units
from reconciliation.codes import CLAIM_STATUSES, AccountRole, Bucket, adjustment_bucket, provider_level_code
from reconciliation.matching import Match, Mismatch
from reconciliation.reasons import Decision, ExceptionReason
from reconciliation.remittance import Adjustment, ClaimPayment, ProviderLevelAdjustment

REVERSAL = "22"
"""CLP02 of a payment that is taken back."""


@dataclass(frozen=True, slots=True)
class Payment:
    """The payment that a remittance explains: whose it is and when it counts.

    `payer` is the books' code, or where the payer is unknown the name under which it signs. `effective_date` is
    BPR16, or where its month is not open any more, the first open day after it. `waits_in` is the account and item
    in which the money has waited since it was suspended; None where it only arrives now.
    """

    remittance: str
    payer: str
    trace: str
    effective_date: date
    currency: str
    waits_in: tuple[str, str] | None = None

    @property
    def clearing(self) -> str:
        """Where the payment waits for its deposit."""
        return chart.clearing(self.payer, self.trace)

    def money(self, paid: int) -> tuple[str, int, str | None]:
        """The line by which the money comes: from the payer, or out of suspense."""
        account, item = self.waits_in or (self.clearing, None)
        return account, paid, item

    def own_name(self, line: int) -> str:
        """The item under which a claim payment's money waits in suspense."""
        return f"{self.remittance}:{line}"

    def entry(
        self, kind: Kind, postings: tuple[Posting, ...], about: Dimensions, description: str = ""
    ) -> JournalEntry | None:
        """The entry, or None where nothing moves."""
        if not postings:
            return None
        dimensions = replace(about, payer=self.payer, remittance=self.remittance)
        return JournalEntry(kind, self.effective_date, postings, description, dimensions)

    def postings(self, *lines: tuple[str, int, str | None]) -> tuple[Posting, ...]:
        """Lines of signed minor units, debit positive, those of zero left out."""
        amounts = ((account, Amount(signed, self.currency), item) for account, signed, item in lines)
        return without_zeros(*amounts)


@dataclass(frozen=True, slots=True)
class Raised:
    """Something a person must look at: why, how much is at stake, and the facts in one sentence."""

    reason: ExceptionReason
    amount: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class Settlement:
    """What was decided on one claim payment. `suspended` is the part of its money that waits in suspense."""

    decision: Decision
    entry: JournalEntry | None = None
    raised: tuple[Raised, ...] = ()
    claim: str | None = None
    rule: str = ""
    evidence: str = ""
    suspended: int = 0


@dataclass(frozen=True, slots=True)
class Original:
    """A claim payment that was settled before and not taken back since; `entry` is what was posted for it.

    `suspended` where its money waits in suspense.
    """

    remittance: str
    line: int
    claim: str | None
    charge: int | None
    paid: int
    entry_number: int | None
    entry: JournalEntry | None
    suspended: bool = False

    def brought(self, posting: Posting) -> bool:
        """Whether a line of its entry is the money coming: from the payer, or later out of suspense."""
        waited = posting.item == f"{self.remittance}:{self.line}" and not self.suspended
        return waited or posting.account.startswith(f"{chart.REMITTANCE_CLEARING}:")


def settle(
    payment: Payment, claim_payment: ClaimPayment, found: Match | Mismatch, item: Item | None
) -> Settlement:
    """Decides a claim payment that is no reversal."""
    if claim_payment.problems:
        return _suspended(payment, claim_payment, ExceptionReason.UNREADABLE, str(claim_payment.problems[0]))
    if not _posts(claim_payment):
        return _noted(payment, claim_payment)
    if isinstance(found, Mismatch) or item is None:
        assert isinstance(found, Mismatch)
        return _suspended(payment, claim_payment, found.reason, found.detail, found.claim)
    if _paid(payment, claim_payment) < 0:
        detail = f"{claim_payment.paid} was paid for claim {found.claim} without saying that it is a reversal"
        return _suspended(payment, claim_payment, ExceptionReason.NEGATIVE_PAYMENT, detail, found.claim)
    decided = _adjudicated(payment, claim_payment, item)
    return replace(decided, claim=found.claim, rule=found.rule, evidence=found.evidence)


def _posts(claim_payment: ClaimPayment) -> bool:
    status = CLAIM_STATUSES.get(claim_payment.status)
    return status is not None and status.posts


def _paid(payment: Payment, claim_payment: ClaimPayment) -> int:
    return minor_units(claim_payment.paid, payment.currency) or 0


def _noted(payment: Payment, claim_payment: ClaimPayment) -> Settlement:
    """A status that says nothing about money, such as a predetermination; money beside it is suspended."""
    if claim_payment.paid:
        detail = f"{claim_payment.paid} was paid beside status {claim_payment.status}, which pays nothing"
        return _suspended(payment, claim_payment, ExceptionReason.UNREADABLE, detail)
    return Settlement(Decision.NOTED)


def _suspended(
    payment: Payment,
    claim_payment: ClaimPayment,
    reason: ExceptionReason,
    detail: str,
    nearest: str | None = None,
) -> Settlement:
    """The money is in the books, its purpose is not known: it waits in suspense under the payment's own line."""
    paid = _paid(payment, claim_payment)
    name = payment.own_name(claim_payment.line)
    postings = payment.postings(payment.money(paid), (chart.suspense(payment.payer), -paid, name))
    entry = payment.entry(Kind.PAYMENT_SUSPENDED, postings, Dimensions(), detail[:500])
    evidence = f"nearest: claim {nearest}" if nearest else ""
    raised = (Raised(reason, paid, detail),)
    return Settlement(Decision.SUSPENDED, entry, raised, evidence=evidence, suspended=paid)


@dataclass(frozen=True, slots=True)
class _Adjudication:
    """The amounts of one claim payment against one claim, all in minor units."""

    item: Item
    receivable: str
    paid: int
    buckets: Mapping[Bucket, int]

    @property
    def patient_correction(self) -> int:
        """d: how much more (or less) the patient owes than was booked."""
        return self.buckets[Bucket.PATIENT] - self.item.patient_share

    @property
    def due(self) -> int:
        """What should have come: the open receivable less what moves to the patient."""
        return self.item.balance(self.receivable) + self.recovered - self.patient_correction

    @property
    def recovered(self) -> int:
        """What the payer pays of a denial that was absorbed: the denial is overturned that far."""
        beyond = self.paid - max(self.item.balance(self.receivable) - self.patient_correction, 0)
        return max(min(self.item.balance(chart.DENIALS_ABSORBED), beyond), 0)

    @property
    def unpaid(self) -> int:
        """What did not come; negative where more came."""
        return self.due - self.paid

    @property
    def denied(self) -> bool:
        """Nothing is paid and nothing is the patient's, whatever the status says."""
        return self.paid == 0 and self.buckets[Bucket.PATIENT] == 0

    @property
    def by_contract(self) -> bool:
        """The payer explains what it did not pay by the contract, and by nothing else."""
        others = (Bucket.DENIAL, Bucket.OTHER_PAYER, Bucket.SUSPENSE)
        return 0 < self.unpaid <= self.buckets[Bucket.CONTRACTUAL] and not any(self.buckets[b] for b in others)


def _adjudicated(payment: Payment, claim_payment: ClaimPayment, item: Item) -> Settlement:
    """Applies DESIGN's rules for a claim that is known."""
    at = _Adjudication(
        item=item,
        receivable=chart.receivable(payment.payer),
        paid=_paid(payment, claim_payment),
        buckets=_buckets(claim_payment, payment.currency),
    )
    if at.denied:
        return Settlement(Decision.DENIED, raised=_denied(at, claim_payment, payment))
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
    return Settlement(decision, payment.entry(kind, postings, item.dimensions), raised)


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
        detail = f"the contract was booked {short} higher for claim {at.item.name} than the payer allows"
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


def _adjustments(claim_payment: ClaimPayment) -> list[Adjustment]:
    """Every CAS of the claim and of its lines."""
    lines = (adjustment for line in claim_payment.service_lines for adjustment in line.adjustments)
    return [*claim_payment.adjustments, *lines]


def _buckets(claim_payment: ClaimPayment, currency: str) -> Mapping[Bucket, int]:
    sums: dict[Bucket, int] = defaultdict(int)
    for adjustment in _adjustments(claim_payment):
        bucket = adjustment_bucket(adjustment.group, adjustment.reason)
        sums[bucket] += minor_units(adjustment.amount, currency)
    return sums


def _codes(claim_payment: ClaimPayment) -> str:
    """The adjustments in the payer's own codes: `CO-45 30.00, CO-97 70.00`."""
    told = (f"{a.group}-{a.reason} {a.amount}" for a in _adjustments(claim_payment))
    return ", ".join(told) or "without a reason"


def reverse(
    payment: Payment, claim_payment: ClaimPayment, originals: Iterable[Original]
) -> tuple[Settlement, Original | None]:
    """Decides a reversal (CLP02 22): undoes what was posted for the one original whose amounts it negates."""
    if claim_payment.problems:
        return _suspended(payment, claim_payment, ExceptionReason.UNREADABLE, str(claim_payment.problems[0])), None
    paid, charge = _paid(payment, claim_payment), minor_units(claim_payment.charge, payment.currency)
    fitting = [one for one in originals if one.paid == -paid and _negates(charge, one.charge)]
    if len(fitting) != 1:
        detail = f"{len(fitting)} earlier payments fit the reversal of {claim_payment.claim_as_sent}"
        reason = ExceptionReason.REVERSAL_WITHOUT_ORIGINAL
        return _suspended(payment, claim_payment, reason, detail), None
    [original] = fitting
    settlement = Settlement(
        Decision.REVERSED,
        _undone(payment, original),
        claim=original.claim,
        rule="posted_remittance_line",
        evidence=f"line {original.line} of remittance {original.remittance}",
        suspended=paid if original.suspended else 0,
    )
    return settlement, original


def _negates(charge: int | None, original: int | None) -> bool:
    return charge is None or original is None or charge == -original


def _undone(payment: Payment, original: Original) -> JournalEntry | None:
    """Every posting of the original on its other side, the money in this payment's clearing account."""
    if original.entry is None:
        return None
    postings = (
        replace(posting.exchanged(), account=payment.clearing, item=None)
        if original.brought(posting)
        else posting.exchanged()
        for posting in original.entry.postings
    )
    undone = payment.entry(Kind.PAYMENT_REVERSED, tuple(postings), original.entry.dimensions)
    return undone and replace(undone, reverses=original.entry_number)


@dataclass(frozen=True, slots=True)
class ProviderLevelSettlement:
    """What was decided on one provider-level adjustment."""

    account: str
    entry: JournalEntry | None
    raised: tuple[Raised, ...] = ()
    suspended: int = 0


def adjust(payment: Payment, number: int, adjustment: ProviderLevelAdjustment) -> ProviderLevelSettlement:
    """Posts one PLB pair to the account of its code; a positive amount reduces the payment."""
    amount = minor_units(adjustment.amount, payment.currency)
    code = provider_level_code(adjustment.code)
    account = _account(code.account, payment.payer)
    name = adjustment.reference or f"{payment.remittance}:PLB:{number}"
    entry = payment.entry(
        Kind.PROVIDER_LEVEL_ADJUSTED,
        payment.postings((account, amount, name), (payment.clearing, -amount, None)),
        Dimensions(),
        f"PLB {adjustment.code}: {code.label}",
    )
    if code.account is not AccountRole.SUSPENSE or not amount:
        return ProviderLevelSettlement(account, entry)
    detail = f"PLB {adjustment.code} ({code.label}) of {adjustment.amount} has no account of its own"
    raised = (Raised(ExceptionReason.PLB_UNMAPPED, -amount, detail),)
    return ProviderLevelSettlement(account, entry, raised, suspended=-amount)


def _account(role: AccountRole, payer: str) -> str:
    return {
        AccountRole.INTEREST: chart.INTEREST,
        AccountRole.PAYER_OVERPAYMENTS: chart.overpayments(payer),
        AccountRole.FORWARD_BALANCES: chart.forward_balances(payer),
        AccountRole.PAYER_ADJUSTMENTS: chart.PAYER_ADJUSTMENTS,
        AccountRole.SUSPENSE: chart.suspense(payer),
    }[role]
