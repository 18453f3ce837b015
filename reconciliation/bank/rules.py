"""What a deposit does to the books. Pure; amounts are minor units.

Each entry names the deposit as the item of what is unapplied, so that the books by themselves say of which deposit
how much nobody has said yet what for.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from ledger.accounts import chart
from ledger.money import Amount
from ledger.postings.entry import Dimensions, JournalEntry, Kind
from ledger.postings.rules import without_zeros
from reconciliation.bank.association import Application


@dataclass(frozen=True, slots=True)
class Told:
    """What an entry about a deposit says beside its postings."""

    deposit: UUID
    currency: str
    payer: str | None = None
    remittance: UUID | None = None
    description: str = ""

    def entry(self, kind: Kind, day: date, *lines: tuple[str, int, str | None]) -> JournalEntry:
        """An entry of signed lines, debit positive."""
        about = Dimensions(payer=self.payer, remittance=str(self.remittance) if self.remittance else None)
        amounts = ((account, Amount(signed, self.currency), item) for account, signed, item in lines)
        return JournalEntry(kind, day, without_zeros(*amounts), self.description, about)


def received(told: Told, amount: int, day: date, applied: Iterable[Application]) -> JournalEntry:
    """Money is on our account: it clears remittances that wait for it, and the rest is unapplied."""
    cleared: dict[str, int] = defaultdict(int)
    for one in applied:
        cleared[one.remittance.clearing] += one.amount
    rest = amount - sum(cleared.values())
    lines = ((account, -part, None) for account, part in cleared.items())
    unapplied = (chart.UNAPPLIED_CASH, -rest, str(told.deposit))
    return told.entry(Kind.DEPOSIT_RECEIVED, day, (chart.CASH, amount, None), *lines, unapplied)


def applied(told: Told, clearing: str, amount: int, day: date) -> JournalEntry:
    """Unapplied cash is the money of a remittance."""
    unapplied = (chart.UNAPPLIED_CASH, amount, str(told.deposit))
    return told.entry(Kind.DEPOSIT_APPLIED, day, unapplied, (clearing, -amount, None))


def unapplied(told: Told, clearing: str, amount: int, day: date) -> JournalEntry:
    """It was not: the remittance waits again."""
    rest = (chart.UNAPPLIED_CASH, -amount, str(told.deposit))
    return told.entry(Kind.DEPOSIT_UNAPPLIED, day, (clearing, amount, None), rest)


def returned(told: Told, amount: int, day: date, cleared: Iterable[tuple[str, int]], rest: int) -> JournalEntry:
    """The bank has taken money back: what it had cleared waits again, and what was unapplied is gone."""
    lines = ((account, part, None) for account, part in cleared)
    unapplied_rest = (chart.UNAPPLIED_CASH, rest, str(told.deposit))
    return told.entry(Kind.DEPOSIT_RETURNED, day, *lines, unapplied_rest, (chart.CASH, -amount, None))
