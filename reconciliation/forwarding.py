"""A claim passed on to the next payer by hand, as a command to the books. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from msgspec import structs

from ledger.accounts import chart
from ledger.errors import ClaimNotFound, NextPayerUnknown
from ledger.postings.commands import Books
from ledger.postings.entry import JournalEntry, Kind
from ledger.postings.item import Item
from reconciliation.coverage import Coverage, Leaving, forwarded


@dataclass(frozen=True, slots=True)
class ForwardClaim:
    """What a payer has left open on a claim becomes the next payer's; None is the first that owes something."""

    claim: str
    payer: str | None
    with_patient_share: bool
    effective_date: date
    reason: str
    coverage: Coverage

    def stated(self) -> dict[str, str]:
        """Which claim, whose part of it, when and why."""
        return {
            "kind": Kind.CLAIM_FORWARDED,
            "effective_date": self.effective_date.isoformat(),
            "description": self.reason,
            "claim": self.claim,
            "of": self.payer or "",
            "with_patient_share": str(self.with_patient_share),
        }

    def accounts(self) -> Iterable[str]:
        """The receivables of all payers of the claim, and the patient's."""
        return [chart.PATIENT_RECEIVABLE, *map(chart.receivable, self.coverage.payers)]

    def items(self) -> Iterable[str]:
        """The claim."""
        return (self.claim,)

    def originals(self) -> Iterable[int]:
        """None."""
        return ()

    @property
    def posting_count(self) -> int:
        """Two of the payers, two of the patient."""
        return 4

    def entry(self, books: Books) -> JournalEntry:
        """Raises ClaimNotFound or NextPayerUnknown."""
        item = books.item(self.claim)
        if item is None:
            raise ClaimNotFound(f"the books know no claim {self.claim}", claim=self.claim)
        payer = self.payer or self._first_owing(item)
        next_payer = self.coverage.next_after(payer)
        if next_payer is None:
            raise NextPayerUnknown(
                f"no payer of claim {self.claim} comes after {payer}", claim=self.claim, payer=payer
            )
        share = item.balance(chart.PATIENT_RECEIVABLE) if self.with_patient_share else 0
        left = Leaving(payer, next_payer, max(item.balance(chart.receivable(payer)), 0), max(share, 0))
        about = structs.replace(item.dimensions, payer=payer)
        found = forwarded(item, left, self.effective_date, about) if left.amount else None
        if found is None:
            raise ClaimNotFound(f"nothing is left of claim {self.claim}", claim=self.claim)
        return structs.replace(found, description=self.reason)

    def _first_owing(self, item: Item) -> str:
        owing = (one for one in self.coverage.payers if item.balance(chart.receivable(one)) > 0)
        payer = next(owing, None) or next(iter(self.coverage.payers), None) or item.dimensions.payer
        if payer is None:
            raise ClaimNotFound(f"no payer owes anything on claim {self.claim}", claim=self.claim)
        return payer
