"""What a payment is, and what can be decided on each claim in it.

Pure. Amounts are minor units of the remittance's currency.
"""

from dataclasses import dataclass
from datetime import date

from msgspec import Struct, structs

from ledger.accounts import chart
from ledger.money import LARGEST, Amount
from ledger.postings.entry import Dimensions, JournalEntry, Kind, Posting
from ledger.postings.item import Item
from ledger.postings.rules import without_zeros
from reconciliation.amounts import minor_units
from reconciliation.code_tables import SHIPPED, Codes
from reconciliation.codes import Bucket
from reconciliation.coverage import Move
from reconciliation.reasons import Decision, ExceptionReason
from reconciliation.remittance import Adjustment, ClaimPayment

REVERSAL = "22"
"""CLP02 of a payment that is taken back."""
_BUCKETS = [bucket.value for bucket in Bucket]


@dataclass(frozen=True, slots=True)
class Payment:
    """The payment that a remittance explains: whose it is and when it counts.

    `payer` is the books' code, or where the payer is unknown the name under which it signs. `effective_date` is
    BPR16. `waits_in` is the account and item in which the money has waited since it was suspended; None where it
    only arrives now. `codes` are the meanings that count for it.
    """

    remittance: str
    payer: str
    trace: str
    effective_date: date
    currency: str
    waits_in: tuple[str, str] | None = None
    codes: Codes = SHIPPED

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
        return JournalEntry(kind, self.effective_date, postings, description, self.about(about))

    def about(self, dimensions: Dimensions) -> Dimensions:
        """What its entries are about: this payer and this remittance beside what the claim is."""
        return structs.replace(dimensions, payer=self.payer, remittance=self.remittance)

    def postings(self, *lines: tuple[str, int, str | None]) -> tuple[Posting, ...]:
        """Lines of signed minor units, debit positive, those of zero left out."""
        amounts = ((account, Amount(signed, self.currency), item) for account, signed, item in lines if signed)
        return without_zeros(*amounts)


class Raised(Struct, frozen=True):
    """Something a person must look at: why, how much is at stake, and the facts in one sentence.

    `claim` where a payment is split among several.
    """

    reason: ExceptionReason
    amount: int | None
    detail: str
    claim: str | None = None


class Settlement(Struct, frozen=True):
    """What was decided on one claim payment. `suspended` is the part of its money that waits in suspense.

    `moves` are posted after the entry; `recovered` is the part of an absorbed denial that was paid after all.
    """

    decision: Decision
    entry: JournalEntry | None = None
    raised: tuple[Raised, ...] = ()
    claim: str | None = None
    rule: str = ""
    evidence: str = ""
    suspended: int = 0
    moves: tuple[Move, ...] = ()
    recovered: int = 0


@dataclass(frozen=True, slots=True)
class Original:
    """A claim payment that was settled before and not taken back since; `entry` is what was posted for it.

    `suspended` where its money waits in suspense; `moves` are what was posted beside it, by entry number.
    """

    remittance: str
    line: int
    claim: str | None
    charge: int | None
    paid: int
    entry_number: int | None
    entry: JournalEntry | None
    suspended: bool = False
    moves: tuple[tuple[int, Move], ...] = ()

    def brought(self, posting: Posting) -> bool:
        """Whether a line of its entry is the money coming: from the payer, or later out of suspense."""
        waited = posting.item == f"{self.remittance}:{self.line}" and not self.suspended
        return waited or posting.account.startswith(f"{chart.REMITTANCE_CLEARING}:")


def paid_of(payment: Payment, claim_payment: ClaimPayment) -> int:
    """What was paid for a claim (CLP04), in minor units."""
    return minor_units(claim_payment.paid, payment.currency) or 0


def adjustments(claim_payment: ClaimPayment) -> list[Adjustment]:
    """Every CAS of the claim and of its lines."""
    lines = (adjustment for line in claim_payment.service_lines for adjustment in line.adjustments)
    return [*claim_payment.adjustments, *lines]


def by_bucket(payment: Payment, claim_payment: ClaimPayment) -> dict[Bucket, int]:
    """Every CAS cent that can be read, in the bucket that its code means for this payment."""
    sums = dict.fromkeys(Bucket, 0)
    for adjustment in adjustments(claim_payment):
        bucket = payment.codes.bucket(adjustment.group, adjustment.reason)
        sums[bucket] += minor_units(adjustment.amount, payment.currency)
    return sums


def adjusted(payment: Payment, claim_payment: ClaimPayment) -> dict[str, int | None]:
    """The same as columns of `claim_payments`.

    All of them are unknown where any of it cannot be read, or is more in a bucket than the books hold.
    """
    if claim_payment.problems:
        return dict.fromkeys(_BUCKETS)
    sums = by_bucket(payment, claim_payment).values()
    if any(abs(amount) > LARGEST for amount in sums):
        return dict.fromkeys(_BUCKETS)
    return dict(zip(_BUCKETS, sums, strict=True))


def suspended(
    payment: Payment,
    claim_payment: ClaimPayment,
    reason: ExceptionReason,
    detail: str,
    nearest: str | None = None,
) -> Settlement:
    """The money is in the books, its purpose is not known: it waits in suspense under the payment's own line."""
    paid = paid_of(payment, claim_payment)
    entry = into_suspense(payment, claim_payment.line, paid, detail)
    evidence = f"nearest: claim {nearest}" if nearest else ""
    raised = (Raised(reason, paid, detail),)
    return Settlement(Decision.SUSPENDED, entry, raised, evidence=evidence, suspended=paid)


def into_suspense(payment: Payment, line: int, paid: int, detail: str) -> JournalEntry | None:
    """What was paid waits under the claim payment's own name; None where nothing was."""
    name = payment.own_name(line)
    postings = payment.postings(payment.money(paid), (chart.suspense(payment.payer), -paid, name))
    return payment.entry(Kind.PAYMENT_SUSPENDED, postings, Dimensions(), detail[:500])


def after(item: Item, *entries: JournalEntry | None) -> Item:
    """The claim once entries are posted."""
    for posting in (posting for entry in entries if entry for posting in entry.postings):
        if posting.item == item.name:
            item = item.plus(posting)
    return item
