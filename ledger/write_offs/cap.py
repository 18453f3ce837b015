"""Up to which amount what a payer left open may be written off. Without a cap nothing is. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime

from ledger.errors import WriteOffAboveCap
from ledger.money import plain
from ledger.postings.entry import JournalEntry


@dataclass(frozen=True, slots=True)
class WriteOffCap:
    """What was said last for a currency: minor units. Version 0 where nobody ever said anything."""

    currency: str
    amount: int = 0
    version: int = 0
    reason: str = ""
    set_by: str = ""
    set_at: datetime | None = None

    def changed(self, amount: int, reason: str, set_by: str, set_at: datetime) -> "WriteOffCap":
        """The version after this one."""
        return replace(self, amount=amount, version=self.version + 1, reason=reason, set_by=set_by, set_at=set_at)


def refuse_above(entry: JournalEntry, cap: WriteOffCap) -> None:
    """What is written off is within the cap of its currency. Raises WriteOffAboveCap."""
    written_off = sum(max(posting.signed, 0) for posting in entry.postings)
    if written_off > cap.amount:
        amount, most = plain(written_off, cap.currency), plain(cap.amount, cap.currency)
        raise WriteOffAboveCap(
            f"{amount} {cap.currency} is more than the {most} that may be written off",
            currency=cap.currency,
            amount=amount,
            cap=most,
        )
