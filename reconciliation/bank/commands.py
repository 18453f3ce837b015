"""What a person says of a deposit: whose money it is, or is not. Decided from facts under the head lock."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from ledger.accounts import chart
from ledger.errors import AmountInvalid, ApplicationExceeded, ClearingExceeded, CurrenciesMixed, DepositExceeded
from ledger.money import Amount, plain
from ledger.postings.commands import Books
from ledger.postings.entry import JournalEntry, Kind
from reconciliation.bank import rules
from reconciliation.bank.rules import Told


@dataclass(frozen=True, slots=True)
class _AboutDeposit:
    """What applying and unapplying have in common. No `amount`: all that can be moved.

    `sign` is -1 where the deposit is money that the bank took back. `paid` is what the remittance said.
    """

    deposit: UUID
    remittance: UUID
    clearing: str
    currency: str
    amount: Amount | None
    effective_date: date
    reason: str
    payer: str | None
    sign: int
    paid: int

    def accounts(self) -> Iterable[str]:
        """Unapplied cash, and where the remittance's money waits."""
        return (chart.UNAPPLIED_CASH, self.clearing)

    def items(self) -> Iterable[str]:
        """The deposit."""
        return (str(self.deposit),)

    def originals(self) -> Iterable[int]:
        """None."""
        return ()

    @property
    def posting_count(self) -> int:
        """One to unapplied cash, one to clearing."""
        return 2

    def _stated(self, kind: Kind) -> dict[str, str]:
        return {
            "kind": kind,
            "effective_date": self.effective_date.isoformat(),
            "description": self.reason,
            "deposit": str(self.deposit),
            "remittance": str(self.remittance),
            "amount": str(self.amount or ""),
        }

    def _told(self) -> Told:
        return Told(self.deposit, self.currency, self.payer, self.remittance, self.reason)

    def _asked(self, most: int) -> int:
        """How much is to be moved, in the deposit's own direction. Raises AmountInvalid or CurrenciesMixed."""
        if self.amount is None:
            return self.sign * most
        if self.amount.currency != self.currency:
            currencies = f"{self.currency} {self.amount.currency}"
            raise CurrenciesMixed("the deposit is in another currency", currencies=currencies)
        if self.amount.minor_units * self.sign <= 0:
            told = f"the amount {self.amount} is none that this deposit can bring"
            raise AmountInvalid(told, field="amount", minor_units=self.amount.minor_units)
        return self.amount.minor_units


@dataclass(frozen=True, slots=True)
class ApplyDeposit(_AboutDeposit):
    """So much of what is unapplied is the money of the remittance."""

    def stated(self) -> dict[str, str]:
        """Which deposit, which remittance, when, why and how much."""
        return self._stated(Kind.DEPOSIT_APPLIED)

    def entry(self, books: Books) -> JournalEntry:
        """Raises AmountInvalid, CurrenciesMixed, DepositExceeded or ClearingExceeded."""
        item = books.item(str(self.deposit))
        unapplied = self.sign * -(item.balance(chart.UNAPPLIED_CASH) if item else 0)
        waits = books.totals(self.clearing).balance
        room = waits if self.sign > 0 else self.paid - waits
        amount = self._asked(max(min(unapplied, room), 0))
        if not amount or abs(amount) > unapplied:
            left, asked = plain(self.sign * unapplied, self.currency), plain(amount, self.currency)
            told = f"{left} of the deposit is unapplied, not {asked}" if amount else "nothing can be applied"
            raise DepositExceeded(told, deposit=self.deposit, unapplied=left, amount=asked)
        if abs(amount) > room:
            left, asked = plain(self.sign * room, self.currency), plain(amount, self.currency)
            told = f"the remittance waits for {left}, not {asked}"
            raise ClearingExceeded(told, remittance=self.remittance, open=left, amount=asked)
        return rules.applied(self._told(), self.clearing, amount, self.effective_date)


@dataclass(frozen=True, slots=True)
class UnapplyDeposit(_AboutDeposit):
    """It was not: `applied` is what was, up to now."""

    applied: int = 0

    def stated(self) -> dict[str, str]:
        """Which deposit, which remittance, when, why and how much."""
        return self._stated(Kind.DEPOSIT_UNAPPLIED)

    def entry(self, books: Books) -> JournalEntry:
        """Raises AmountInvalid, CurrenciesMixed or ApplicationExceeded."""
        applied = self.sign * self.applied
        amount = self._asked(max(applied, 0))
        if not amount or abs(amount) > applied:
            left, asked = plain(self.applied, self.currency), plain(amount, self.currency)
            told = f"{left} of the deposit is applied to the remittance, not {asked}"
            raise ApplicationExceeded(told, deposit=self.deposit, applied=left, amount=asked)
        return rules.unapplied(self._told(), self.clearing, amount, self.effective_date)
