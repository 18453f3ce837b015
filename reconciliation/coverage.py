"""A claim with several payers: what one leaves is the next one's, and what belongs to whom in any order of mail.

Pure. Each payer says what it leaves to the patient (PR), as if nobody came after it. So a payer's PR is held
against the patient's share as booked and what later payers have taken over from the patient: then a first payer's
correction is right whether or not the second one has paid meanwhile.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from ledger.accounts import chart
from ledger.money import Amount
from ledger.postings.entry import Dimensions, JournalEntry, Kind, Posting
from ledger.postings.item import Item
from ledger.postings.rules import without_zeros

FORWARDS = frozenset({"19", "20", "21"})
"""CLP02 of a payer that has sent the claim on to the next one."""
FORWARDED, APPLIED, TAKEN_BACK, GIVEN_BACK = "forwarded", "applied", "taken_back", "given_back"
"""What can move beside a claim payment's own entry."""
_OF_PATIENT = (chart.PATIENT_RECEIVABLE, chart.PATIENT_REFUNDS)


@dataclass(frozen=True, slots=True)
class Move:
    """What is posted beside a claim payment's own entry; `payer` is whom it goes to."""

    name: str
    payer: str
    entry: JournalEntry


@dataclass(frozen=True, slots=True)
class Coverage:
    """Who pays a claim, in the order of their ranks, and what each has taken over from the patient.

    A payer is known by its receivable, however its name is spelled; `taken_over` is by that account.
    """

    payers: tuple[str, ...] = ()
    taken_over: Mapping[str, int] = field(default_factory=dict)

    def has(self, payer: str) -> bool:
        """Whether this payer pays the claim in some rank."""
        return chart.receivable(payer) in self._accounts

    def comes_later(self, payer: str) -> bool:
        """Whether other payers come before this one."""
        return chart.receivable(payer) in self._accounts[1:]

    def next_after(self, payer: str) -> str | None:
        """Whose turn it is after this payer; None where nobody's is, or the payer is none of the claim's."""
        later = self._later(payer)
        return later[0] if later else None

    def beyond(self, payer: str) -> int:
        """What payers after this one have taken over from the patient, in minor units."""
        return sum(self.taken_over.get(chart.receivable(one), 0) for one in self._later(payer))

    @property
    def _accounts(self) -> tuple[str, ...]:
        return tuple(map(chart.receivable, self.payers))

    def _later(self, payer: str) -> tuple[str, ...]:
        account, accounts = chart.receivable(payer), self._accounts
        return self.payers[accounts.index(account) + 1 :] if account in accounts else ()


def in_order(ranks: Mapping[int, str]) -> tuple[str, ...]:
    """Payers in the order of their ranks; one that is named in two of them pays in the first."""
    found: dict[str, str] = {}
    for _, payer in sorted(ranks.items()):
        found.setdefault(chart.receivable(payer), payer)
    return tuple(found.values())


LAST_RANK = 9
"""The rank of the last payer that a claim can have."""
ALONE = Coverage()


def taken_over(entries: Iterable[tuple[str, JournalEntry]], claim: str) -> dict[str, int]:
    """What each payer, by its receivable, has taken over from the patient, from the entries that stand for it."""
    sums: dict[str, int] = {}
    for payer, entry in entries:
        lines = (one for one in entry.postings if one.item == claim and one.account in _OF_PATIENT)
        account = chart.receivable(payer)
        sums[account] = sums.get(account, 0) - sum(one.signed for one in lines)
    return sums


@dataclass(frozen=True, slots=True)
class Leaving:
    """What a payer leaves to the next one: of its own receivable, and of what the patient still owes."""

    payer: str
    next_payer: str
    open: int
    of_patient: int

    @property
    def amount(self) -> int:
        """All of it, in minor units."""
        return self.open + self.of_patient


def forwarded(item: Item, left: Leaving, effective_date: date, about: Dimensions) -> JournalEntry | None:
    """What one payer leaves becomes the next one's to pay; None where nothing is left."""
    name, next_account = item.name, chart.receivable(left.next_payer)
    lines = (
        (next_account, left.open, name),
        (chart.receivable(left.payer), -left.open, name),
        (next_account, left.of_patient, name),
        (chart.PATIENT_RECEIVABLE, -left.of_patient, name),
    )
    postings = _postings(item, lines)
    if not postings:
        return None
    told = f"left by {left.payer} to {left.next_payer}"
    return JournalEntry(Kind.CLAIM_FORWARDED, effective_date, postings, told[:500], about)


def applied(item: Item, payer: str, effective_date: date, about: Dimensions) -> JournalEntry | None:
    """An overpayment of a claim and what its payer owes on the same claim cancel out; None where nothing does.

    What came before it was due (a correction before its reversal, a second payer before the first) is set against
    what became due later; an overpayment that was undone after that is owed again.
    """
    receivable, overpayments = chart.receivable(payer), chart.overpayments(payer)
    overpaid, open_ = -item.balance(overpayments), item.balance(receivable)
    amount = overpaid if overpaid < 0 else max(min(overpaid, open_), 0)
    postings = _postings(item, ((overpayments, amount, item.name), (receivable, -amount, item.name)))
    if not postings:
        return None
    told = f"paid by {payer} before it was due"
    return JournalEntry(Kind.OVERPAYMENT_APPLIED, effective_date, postings, told[:500], about)


def _postings(item: Item, lines: Iterable[tuple[str, int, str]]) -> tuple[Posting, ...]:
    return without_zeros(*((account, Amount(signed, item.currency), name) for account, signed, name in lines))
