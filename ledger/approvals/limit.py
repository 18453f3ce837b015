"""What an approval limit is: the amount above which nobody asks for an entry alone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from ledger.errors import ApprovalNeeded
from ledger.money import plain
from ledger.postings.entry import JournalEntry, Kind

LIMITED = (
    *(Kind.MANUAL, Kind.REVERSAL, Kind.PROVIDER_PAID),
    *(Kind.DENIAL_ABSORBED, Kind.DENIAL_RECOVERED, Kind.REMAINDER_WRITTEN_OFF),
)
"""What people ask for by hand. What sessions earn and what remittances settle has no limit."""

NONE = "none"
"""What a refusal calls a limit that there is not."""

Limits = Mapping[tuple[str, str], int]
"""The limits in force: minor units by kind and currency."""


@dataclass(frozen=True, slots=True)
class ApprovalLimit:
    """What one person may ask for alone, of a kind in a currency; more needs a second one.

    `amount` is minor units, None where there is no limit, and `before` is what was in force until then. The limit
    is in force for every entry after number `after_entry`. Version 0 is that of a limit never set.
    """

    kind: Kind
    currency: str
    amount: int | None = None
    version: int = 0
    before: int | None = None
    after_entry: int = 0
    reason: str = ""
    set_by: str = ""
    set_at: datetime | None = None
    proposal: int | None = None

    def changed(self, amount: int | None, reason: str, set_by: str) -> "ApprovalLimit":
        """The version after this one; the book and the proposal give it its place."""
        return replace(
            self,
            amount=amount,
            version=self.version + 1,
            before=self.amount,
            reason=reason,
            set_by=set_by,
            proposal=None,
        )

    def stated(self) -> dict[str, str]:
        """The change as text by field."""
        return {
            "kind": self.kind,
            "currency": self.currency,
            "version": str(self.version),
            "before": _written(self.before, self.currency),
            "after": _written(self.amount, self.currency),
            "description": self.reason,
        }


def refuse_raised(wanted: ApprovalLimit) -> None:
    """A limit is lowered by one person, and raised or removed by two. Raises ApprovalNeeded."""
    if wanted.before is None or (wanted.amount is not None and wanted.amount <= wanted.before):
        return
    amount, limit = (_written(units, wanted.currency) for units in (wanted.amount, wanted.before))
    raise ApprovalNeeded(
        f"a limit of {limit} {wanted.currency} becomes {amount} when a second person approves: propose it",
        kind=wanted.kind,
        currency=wanted.currency,
        amount=amount,
        limit=limit,
    )


def refuse_unapproved(entry: JournalEntry, limits: Limits) -> None:
    """An entry's debits in a currency are within the limit of its kind. Raises ApprovalNeeded."""
    if entry.kind is Kind.PROVIDER_CHARGED:
        raise _needed_always(entry)
    if not limits:
        return
    for currency, debits in _debits(entry).items():
        limit = limits.get((entry.kind, currency))
        if limit is not None and debits > limit:
            raise ApprovalNeeded(
                f"{plain(debits, currency)} {currency} is more than the {plain(limit, currency)} that one person "
                f"may ask for alone ({entry.kind}): propose it",
                kind=entry.kind,
                currency=currency,
                amount=plain(debits, currency),
                limit=plain(limit, currency),
            )


def _needed_always(entry: JournalEntry) -> ApprovalNeeded:
    [(currency, debits)] = _debits(entry).items()
    amount, limit = (_written(units, currency) for units in (debits, 0))
    sentence = f"a provider is charged {amount} {currency} when a second person approves, whatever the amount"
    return ApprovalNeeded(sentence, kind=entry.kind, currency=currency, amount=amount, limit=limit)


def _debits(entry: JournalEntry) -> dict[str, int]:
    sums: dict[str, int] = {}
    for posting in entry.postings:
        currency = posting.amount.currency
        sums[currency] = sums.get(currency, 0) + max(posting.signed, 0)
    return sums


def _written(units: int | None, currency: str) -> str:
    return NONE if units is None else plain(units, currency)
