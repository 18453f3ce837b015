"""What adjustments of a whole payment (PLB) do to the books: each to its account, and balances by reference.

Pure. A positive amount reduces the payment. What opens in one remittance closes in another one under the same
reference, whichever code each of them uses: a balance carried forward (FB) may be collected as a recovery (WO).
Amounts are minor units of the remittance's currency.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ledger.accounts import chart
from ledger.money import plain
from ledger.postings.entry import Dimensions, JournalEntry, Kind
from reconciliation.amounts import minor_units
from reconciliation.codes import AccountRole
from reconciliation.payment import Payment, Raised
from reconciliation.reasons import ExceptionReason
from reconciliation.remittance import ProviderLevelAdjustment

Place = tuple[str, str]
"""An account and an item in it."""
BY_REFERENCE = frozenset({AccountRole.PAYER_OVERPAYMENTS, AccountRole.FORWARD_BALANCES})
"""What opens and closes by reference."""


@dataclass(frozen=True, slots=True)
class ProviderLevelSettlement:
    """What was decided on one provider-level adjustment. `moved` is what it does to each account and item."""

    account: str
    entry: JournalEntry | None
    raised: tuple[Raised, ...] = ()
    suspended: int = 0
    moved: tuple[tuple[Place, int], ...] = ()


def places(payer: str, reference: str, claim: str | None) -> list[Place]:
    """Where something may be open under a reference: under itself, or as an overpayment of the claim it names."""
    overpayments, forwarded = chart.overpayments(payer), chart.forward_balances(payer)
    found = [(overpayments, reference), (forwarded, reference)] if reference else []
    return found + ([(overpayments, claim)] if claim and claim != reference else [])


def adjust(
    payment: Payment,
    number: int,
    adjustment: ProviderLevelAdjustment,
    open_: Mapping[Place, int] | None = None,
    claim: str | None = None,
) -> ProviderLevelSettlement:
    """Posts one PLB pair. `open_` is what stands at the places of its reference, debit positive."""
    amount = minor_units(adjustment.amount, payment.currency)
    code = payment.codes.provider_level(adjustment.code)
    own = (_account(code.account, payment.payer), adjustment.reference or f"{payment.remittance}:PLB:{number}")
    moved: list[tuple[Place, int]] = []
    if code.account in BY_REFERENCE:
        candidates = sorted(places(payment.payer, adjustment.reference, claim), key=lambda place: place != own)
        moved = list(_closing(amount, candidates, open_ or {}))
    rest = amount - sum(part for _, part in moved)
    moved += [(own, rest)] if rest else []
    lines = ((account, part, item) for (account, item), part in moved)
    entry = payment.entry(
        Kind.PROVIDER_LEVEL_ADJUSTED,
        payment.postings(*lines, (payment.clearing, -amount, None)),
        Dimensions(),
        f"PLB {adjustment.code}: {code.label}",
    )
    account = moved[0][0][0] if moved else own[0]
    if code.account is not AccountRole.SUSPENSE or not amount:
        return ProviderLevelSettlement(account, entry, moved=tuple(moved))
    detail = f"PLB {adjustment.code} ({code.label}) of {adjustment.amount} has no account of its own"
    raised = (Raised(ExceptionReason.PLB_UNMAPPED, -amount, detail),)
    return ProviderLevelSettlement(account, entry, raised, suspended=-amount)


def _closing(amount: int, candidates: Iterable[Place], open_: Mapping[Place, int]) -> Iterable[tuple[Place, int]]:
    """So much of an amount as closes what stands open on the other side."""
    left = amount
    for place in candidates:
        stands = open_.get(place, 0)
        if left > 0 > stands:
            part = min(left, -stands)
        elif left < 0 < stands:
            part = max(left, -stands)
        else:
            continue
        left -= part
        yield place, part


def unexplained(payment: Payment, reference: str, stands: int) -> Raised | None:
    """Money that a payer has taken under a reference that nothing is open for; None where nothing is taken so."""
    if stands <= 0:
        return None
    taken = plain(stands, payment.currency)
    detail = f"{taken} was taken under reference {reference or '(none)'}, and nothing was open under it"
    return Raised(ExceptionReason.TAKEBACK_UNEXPLAINED, -stands, detail)


def _account(role: AccountRole, payer: str) -> str:
    return {
        AccountRole.INTEREST: chart.INTEREST,
        AccountRole.PAYER_OVERPAYMENTS: chart.overpayments(payer),
        AccountRole.FORWARD_BALANCES: chart.forward_balances(payer),
        AccountRole.PAYER_ADJUSTMENTS: chart.PAYER_ADJUSTMENTS,
        AccountRole.SUSPENSE: chart.suspense(payer),
    }[role]
