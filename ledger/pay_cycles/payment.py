"""What a payment of a posted cycle is, in which states it can stand, and the entries that move its money. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from ledger.accounts import chart
from ledger.money import Amount
from ledger.pay_cycles.payee import BankAccount, Payee
from ledger.pay_cycles.refusals import PaymentCameBack, PaymentNotFound, PaymentNotSent
from ledger.postings.entry import Dimensions, JournalEntry, Kind, credit, debit


class State(StrEnum):
    """Where a payment stands. All but the first are marked by hand, each once."""

    POSTED = "posted"
    SENT = "sent"
    SETTLED = "settled"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class Payment:
    """A provider paid in a cycle. `returned_by` is the entry that reverses it, however that came about."""

    account: str
    provider: str
    amount: Amount
    entry_number: int
    states: frozenset[State] = frozenset()
    returned_by: int | None = None

    @property
    def came_back(self) -> bool:
        """Whether its money is payable again."""
        return self.returned_by is not None


@dataclass(frozen=True, slots=True)
class Remitted:
    """A payment with what the bank must know: to whom, and into which account."""

    payment: Payment
    payee: Payee
    to: BankAccount


def to_send(payments: Collection[Payment], named: Collection[str]) -> list[Payment]:
    """Those that are marked as sent now: all that are left, or those that are named. Raises PaymentCameBack."""
    chosen = _chosen(payments, named)
    _refuse_returned([one for one in chosen if named and State.SENT not in one.states])
    return [one for one in chosen if State.SENT not in one.states and not one.came_back]


def to_settle(payments: Collection[Payment], named: Collection[str]) -> list[Payment]:
    """The same for those that the bank has paid. Raises PaymentNotSent or PaymentCameBack."""
    chosen = [one for one in _chosen(payments, named) if State.SETTLED not in one.states]
    if named:
        _refuse_returned(chosen)
        for one in chosen:
            _refuse_unsent(one)
    return [one for one in chosen if State.SENT in one.states and not one.came_back]


def to_return(payments: Collection[Payment], named: str) -> Payment:
    """The payment that came back. Raises PaymentNotFound or PaymentNotSent."""
    [one] = _chosen(payments, [named])
    _refuse_unsent(one)
    return one


def payouts_settled(cycle: str, settled: Iterable[Payment], day: date) -> list[JournalEntry]:
    """The bank has paid them: what was in transit leaves the account, in one entry a currency."""
    sums: dict[str, int] = {}
    for one in settled:
        sums[one.amount.currency] = sums.get(one.amount.currency, 0) + one.amount.minor_units
    return [
        JournalEntry(
            kind=Kind.PAYOUT_SETTLED,
            effective_date=day,
            postings=(
                debit(chart.PAYOUTS_IN_TRANSIT, Amount(units, currency)),
                credit(chart.CASH, Amount(units, currency)),
            ),
            dimensions=Dimensions(pay_cycle=cycle),
        )
        for currency, units in sorted(sums.items())
    ]


def payout_returned(cycle: str, payment: Payment, day: date, reason: str) -> JournalEntry:
    """The money came back, out of transit or into the account that it had left: it is payable again."""
    whence = chart.CASH if State.SETTLED in payment.states else chart.PAYOUTS_IN_TRANSIT
    return JournalEntry(
        kind=Kind.PAYOUT_RETURNED,
        effective_date=day,
        postings=(debit(whence, payment.amount), credit(payment.account, payment.amount)),
        description=reason,
        dimensions=Dimensions(provider=payment.provider, pay_cycle=cycle),
        reverses=payment.entry_number,
    )


def _chosen(payments: Collection[Payment], named: Collection[str]) -> list[Payment]:
    """Those that are named, or all. Raises PaymentNotFound."""
    by_provider = {one.provider: one for one in payments}
    for provider in named:
        if provider not in by_provider:
            raise PaymentNotFound(f"the cycle paid {provider} nothing", provider=provider)
    return [by_provider[provider] for provider in dict.fromkeys(named)] if named else [*payments]


def _refuse_returned(payments: Iterable[Payment]) -> None:
    for one in payments:
        if one.came_back:
            raise PaymentCameBack(
                f"the payment to {one.provider} came back with entry {one.returned_by}",
                provider=one.provider,
                entry=one.returned_by,
            )


def _refuse_unsent(one: Payment) -> None:
    if State.SENT not in one.states:
        raise PaymentNotSent(f"the payment to {one.provider} was not marked as sent", provider=one.provider)
