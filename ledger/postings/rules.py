"""The posting rules: what happened in the trade, as a journal entry.

Gross throughout: revenue and cost are both shown, and the margin between them, of whatever sign, is a report.
No rule for a denial can even name a provider's payable.
"""

from dataclasses import dataclass
from datetime import date

from msgspec import structs

from ledger.accounts import chart
from ledger.errors import AmountInvalid, CurrenciesMixed, SessionAmountsInvalid
from ledger.money import Amount
from ledger.postings.entry import Dimensions, JournalEntry, Kind, Posting, credit, debit
from ledger.postings.item import Item


@dataclass(frozen=True, slots=True)
class Session:
    """A visit: who saw whom for which payer, and what each side gets for it.

    `allowed` is what the contract allows and includes `patient_share`; `provider_rate` is what the provider
    earns. Raises SessionAmountsInvalid where these contradict each other.
    """

    payer: str
    provider: str
    claim: str
    allowed: Amount
    patient_share: Amount
    provider_rate: Amount
    dimensions: Dimensions

    def __post_init__(self) -> None:
        """Refuses negative amounts, mixed currencies, a share above the allowed amount, and nothing at all."""
        amounts = {
            "allowed": self.allowed,
            "patient_share": self.patient_share,
            "provider_rate": self.provider_rate,
        }
        currencies = sorted({a.currency for a in amounts.values()})
        if len(currencies) > 1:
            raise CurrenciesMixed("a session has one currency", currencies=" ".join(currencies))
        for name, amount in amounts.items():
            if amount.minor_units < 0:
                raise AmountInvalid(f"{name} is negative", field=name, minor_units=amount.minor_units)
        if self.patient_share > self.allowed:
            raise SessionAmountsInvalid(
                f"the patient's share {self.patient_share} exceeds the allowed amount {self.allowed}",
                allowed=self.allowed,
                patient_share=self.patient_share,
            )
        if not (self.allowed.minor_units or self.provider_rate.minor_units):
            raise SessionAmountsInvalid("the session earns nobody anything", allowed=self.allowed)


def session_earned(session: Session, effective_date: date, reason: str = "") -> JournalEntry:
    """The payer and the patient owe the allowed amount; the provider has earned the rate.

    `reason` says why it is posted now, where that needs to be said.
    """
    return JournalEntry(
        kind=Kind.SESSION_EARNED,
        effective_date=effective_date,
        postings=without_zeros(
            (chart.receivable(session.payer), session.allowed - session.patient_share, session.claim),
            (chart.PATIENT_RECEIVABLE, session.patient_share, session.claim),
            (chart.PROVIDER_SERVICES, session.provider_rate, None),
            (chart.SESSIONS, _minus(session.allowed), None),
            (chart.payable(session.provider), _minus(session.provider_rate), None),
        ),
        description=reason,
        dimensions=session.dimensions,
    )


def provider_paid(
    provider: str,
    amount: Amount,
    effective_date: date,
    pay_cycle: str | None,
    *,
    in_transit: bool,
    reason: str = "",
) -> JournalEntry:
    """The provider is paid, whether or not any payer has paid.

    `reason` says why it is posted now, where that needs to be said.
    """
    return JournalEntry(
        kind=Kind.PROVIDER_PAID,
        effective_date=effective_date,
        postings=(
            debit(chart.payable(provider), amount),
            credit(chart.PAYOUTS_IN_TRANSIT if in_transit else chart.CASH, amount),
        ),
        description=reason,
        dimensions=Dimensions(provider=provider, pay_cycle=pay_cycle),
    )


def denial_absorbed(
    claim: Item, receivable: str, unpaid: Amount, effective_date: date, reason: str
) -> JournalEntry:
    """The payer will not pay. The loss is the company's: no posting touches the provider's payable."""
    return JournalEntry(
        kind=Kind.DENIAL_ABSORBED,
        effective_date=effective_date,
        postings=(
            debit(chart.DENIALS_ABSORBED, unpaid, claim.name),
            credit(receivable, unpaid, claim.name),
        ),
        description=reason,
        dimensions=claim.dimensions,
    )


def denial_recovered(
    claim: Item, receivable: str, recovered: Amount, effective_date: date, reason: str
) -> JournalEntry:
    """The denial was overturned after it was absorbed: the payer owes again, and then pays as usual."""
    return JournalEntry(
        kind=Kind.DENIAL_RECOVERED,
        effective_date=effective_date,
        postings=(
            debit(receivable, recovered, claim.name),
            credit(chart.DENIALS_ABSORBED, recovered, claim.name),
        ),
        description=reason,
        dimensions=claim.dimensions,
    )


def remainder_written_off(
    claim: Item, receivable: str, unpaid: Amount, effective_date: date, reason: str
) -> JournalEntry:
    """A small rest is not worth asking for: it counts as what the contract allows less."""
    return JournalEntry(
        kind=Kind.REMAINDER_WRITTEN_OFF,
        effective_date=effective_date,
        postings=(
            debit(chart.CONTRACTUAL_ADJUSTMENTS, unpaid, claim.name),
            credit(receivable, unpaid, claim.name),
        ),
        description=reason,
        dimensions=claim.dimensions,
    )


def provider_charged(
    provider: str, claim: str | None, amount: Amount, effective_date: date, reason: str
) -> JournalEntry:
    """The provider bears a fault of its own. Two people say so, and no denial ever leads here."""
    return JournalEntry(
        kind=Kind.PROVIDER_CHARGED,
        effective_date=effective_date,
        postings=(debit(chart.payable(provider), amount), credit(chart.PROVIDER_CHARGES, amount)),
        description=reason,
        dimensions=Dimensions(provider=provider, claim=claim),
    )


def reversal(original: JournalEntry, number: int, effective_date: date, reason: str) -> JournalEntry:
    """The entry again with its sides exchanged."""
    return structs.replace(
        original,
        kind=Kind.REVERSAL,
        effective_date=effective_date,
        postings=tuple(posting.exchanged() for posting in original.postings),
        description=reason,
        reverses=number,
    )


def without_zeros(*lines: tuple[str, Amount, str | None]) -> tuple[Posting, ...]:
    """Postings from signed amounts, debit positive; a line of zero is no line."""
    return tuple(
        debit(account, amount, item) if amount.minor_units > 0 else credit(account, _minus(amount), item)
        for account, amount, item in lines
        if amount.minor_units
    )


def _minus(amount: Amount) -> Amount:
    return Amount(-amount.minor_units, amount.currency)
