"""What callers ask for, before it is known whether the books allow it.

A command says what it states (two requests are the same when they state the same), which facts it needs, and
how it becomes an entry once the facts are there. Facts are read and decided under the head lock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from ledger.accounts import chart
from ledger.accounts.account import Totals
from ledger.errors import (
    ClaimExceeded,
    ClaimNotFound,
    EntryAlreadyReversed,
    EntryNotFound,
    PayableExceeded,
    PayerAmbiguous,
    ReversalNotReversible,
)
from ledger.money import Amount, plain
from ledger.postings import rules
from ledger.postings.entry import JournalEntry, Kind, PostedEntry
from ledger.postings.item import Item


class Books(Protocol):
    """The facts that a command may read while it is decided."""

    def totals(self, account: str) -> Totals:
        """An account's totals, at zero where it is not open."""

    def item(self, name: str) -> Item | None:
        """All that the books know of an open item."""

    def entry(self, number: int) -> PostedEntry | None:
        """A posted entry."""

    def reversed_by(self, number: int) -> int | None:
        """The number of the entry that reverses this one."""

    def open_day(self, day: date) -> date:
        """The day, or where its month is not open any more, the first one after it that is."""


class Command(Protocol):
    """One thing to post."""

    def stated(self) -> dict[str, str]:
        """What the caller said, by field."""

    def accounts(self) -> Iterable[str]:
        """Accounts known to be touched before any fact is read."""

    def items(self) -> Iterable[str]:
        """Open items that must be read to decide."""

    def originals(self) -> Iterable[int]:
        """Numbers of entries that must be read to decide."""

    @property
    def posting_count(self) -> int:
        """How many postings its entry will have, known before it is decided."""

    def entry(self, books: Books) -> JournalEntry:
        """The entry to post. Raises a Refusal."""


@dataclass(frozen=True, slots=True)
class Post:
    """An entry that is complete as it is."""

    complete: JournalEntry

    def stated(self) -> dict[str, str]:
        """The entry itself."""
        return self.complete.stated()

    def accounts(self) -> Iterable[str]:
        """Those of its postings."""
        return (posting.account for posting in self.complete.postings)

    def items(self) -> Iterable[str]:
        """None: nothing of it depends on an item."""
        return ()

    def originals(self) -> Iterable[int]:
        """The entry that it undoes, where it undoes one."""
        return (self.complete.reverses,) if self.complete.reverses else ()

    @property
    def posting_count(self) -> int:
        """Those it has."""
        return len(self.complete.postings)

    def entry(self, books: Books) -> JournalEntry:
        """The entry itself, once nothing else has reversed what it reverses."""
        if self.complete.reverses:
            _reversible(books, self.complete.reverses)
        return self.complete


class _OutOfPayable:
    """What takes money out of a provider's payable in two postings, never more than is payable."""

    __slots__ = ()
    provider: str
    amount: Amount

    def _taken(self) -> JournalEntry:
        raise NotImplementedError

    def stated(self) -> dict[str, str]:
        """The entry that it becomes."""
        return self._taken().stated()

    def accounts(self) -> Iterable[str]:
        """The payable, and the account beside it."""
        return (posting.account for posting in self._taken().postings)

    def items(self) -> Iterable[str]:
        """None."""
        return ()

    def originals(self) -> Iterable[int]:
        """None."""
        return ()

    @property
    def posting_count(self) -> int:
        """One to the payable, and one beside it."""
        return 2

    def entry(self, books: Books) -> JournalEntry:
        """Raises PayableExceeded."""
        _refuse_unpayable(books, self.provider, self.amount)
        return self._taken()


@dataclass(frozen=True, slots=True)
class PayProvider(_OutOfPayable):
    """Pay a provider, never more than is payable."""

    provider: str
    amount: Amount
    effective_date: date
    pay_cycle: str | None = None
    in_transit: bool = False
    reason: str = ""

    def _taken(self) -> JournalEntry:
        return rules.provider_paid(
            self.provider,
            self.amount,
            self.effective_date,
            self.pay_cycle,
            in_transit=self.in_transit,
            reason=self.reason,
        )


def _refuse_unpayable(books: Books, provider: str, amount: Amount) -> None:
    payable = -books.totals(chart.payable(provider)).balance
    if amount.minor_units > payable:
        raise PayableExceeded(
            f"{plain(payable, amount.currency)} is payable to {provider}, not {amount}",
            provider=provider,
            payable=plain(payable, amount.currency),
            amount=plain(amount.minor_units, amount.currency),
        )


@dataclass(frozen=True, slots=True)
class ChargeProvider(_OutOfPayable):
    """Less is payable to a provider for a fault of its own, never less than nothing. Needs a second person."""

    provider: str
    amount: Amount
    effective_date: date
    reason: str
    claim: str | None = None

    def _taken(self) -> JournalEntry:
        return rules.provider_charged(self.provider, self.claim, self.amount, self.effective_date, self.reason)


@dataclass(frozen=True, slots=True)
class ReverseEntry:
    """Undo a posted entry by a new one.

    `effective_date` is None where the caller leaves it to the books: that of the entry, or where its month is not
    open any more, the first open day after it. `posting_count` is that of the entry, which never changes once it
    is posted; 0 where the books had no such entry when this was asked for.
    """

    number: int
    effective_date: date | None
    reason: str
    posting_count: int

    def stated(self) -> dict[str, str]:
        """Which entry, when and why."""
        return {
            "kind": Kind.REVERSAL,
            "effective_date": self.effective_date.isoformat() if self.effective_date else "",
            "description": self.reason,
            "reverses": str(self.number),
        }

    def accounts(self) -> Iterable[str]:
        """Those of the original, which must be read first."""
        return ()

    def items(self) -> Iterable[str]:
        """None."""
        return ()

    def originals(self) -> Iterable[int]:
        """The entry to reverse; nothing is read of one that was not there to be counted."""
        return (self.number,) if self.posting_count else ()

    def entry(self, books: Books) -> JournalEntry:
        """Raises EntryNotFound, EntryAlreadyReversed or ReversalNotReversible."""
        original = _reversible(books, self.number)
        effective_date = self.effective_date or books.open_day(original.entry.effective_date)
        return rules.reversal(original.entry, self.number, effective_date, self.reason)


def _reversible(books: Books, number: int) -> PostedEntry:
    original = books.entry(number)
    if original is None:
        raise EntryNotFound(f"no entry {number} in this book", number=number)
    if original.entry.kind is Kind.REVERSAL:
        raise ReversalNotReversible(f"entry {number} is a reversal; post the entry anew", number=number)
    if reversed_by := books.reversed_by(number):
        raise EntryAlreadyReversed(
            f"entry {number} was reversed by entry {reversed_by}", number=number, reversed_by=reversed_by
        )
    return original


@dataclass(frozen=True, slots=True)
class _AboutClaim:
    """What absorbing and recovering a denial, and writing off a rest, have in common."""

    claim: str
    effective_date: date
    reason: str
    payer: str | None = None
    amount: Amount | None = None

    def accounts(self) -> Iterable[str]:
        """The expense; the receivables are the item's own."""
        named = (chart.receivable(self.payer),) if self.payer else ()
        return (chart.DENIALS_ABSORBED, *named)

    def items(self) -> Iterable[str]:
        """The claim."""
        return (self.claim,)

    def originals(self) -> Iterable[int]:
        """None."""
        return ()

    @property
    def posting_count(self) -> int:
        """One to the expense, one to the receivable."""
        return 2

    def _stated(self, kind: Kind) -> dict[str, str]:
        return {
            "kind": kind,
            "effective_date": self.effective_date.isoformat(),
            "description": self.reason,
            "claim": self.claim,
            **({"payer": self.payer} if self.payer else {}),
            "amount": str(self.amount or ""),
        }

    def _found(self, books: Books) -> Item:
        item = books.item(self.claim)
        if item is None:
            raise ClaimNotFound(f"the books know no claim {self.claim}", claim=self.claim)
        return item

    def _receivable(self, item: Item) -> str:
        """The account of the payer that owes something: the one named, or the only one."""
        if self.payer:
            return chart.receivable(self.payer)
        open_ = [account for account, due in item.receivables().items() if due > 0]
        if not open_:
            raise ClaimNotFound(f"no payer owes anything on claim {self.claim}", claim=self.claim)
        if len(open_) > 1:
            raise _ambiguous(self.claim, open_)
        return open_[0]

    def _within(self, item: Item, open_: int) -> Amount:
        """The amount asked for, or all of it, where that much is there."""
        if open_ <= 0:
            raise ClaimNotFound(f"nothing is left of claim {self.claim}", claim=self.claim)
        asked = self.amount or Amount(open_, item.currency)
        if asked.currency != item.currency or asked.minor_units > open_:
            raise ClaimExceeded(
                f"{plain(open_, item.currency)} {item.currency} is left of claim {self.claim}, not {asked}",
                claim=self.claim,
                open=plain(open_, item.currency),
                amount=plain(asked.minor_units, asked.currency),
            )
        return asked


@dataclass(frozen=True, slots=True)
class AbsorbDenial(_AboutClaim):
    """The payer will not pay this claim; the company takes the loss."""

    def stated(self) -> dict[str, str]:
        """Which claim, when, why and how much."""
        return self._stated(Kind.DENIAL_ABSORBED)

    def entry(self, books: Books) -> JournalEntry:
        """Raises ClaimNotFound, ClaimExceeded or PayerAmbiguous."""
        item = self._found(books)
        receivable = self._receivable(item)
        unpaid = self._within(item, item.balance(receivable))
        return rules.denial_absorbed(item, receivable, unpaid, self.effective_date, self.reason)


@dataclass(frozen=True, slots=True)
class WriteOffRemainder(_AboutClaim):
    """A small rest of what a payer owes is given up."""

    def accounts(self) -> Iterable[str]:
        """What the contract allows less; the receivables are the item's own."""
        named = (chart.receivable(self.payer),) if self.payer else ()
        return (chart.CONTRACTUAL_ADJUSTMENTS, *named)

    def stated(self) -> dict[str, str]:
        """Which claim, when, why and how much."""
        return self._stated(Kind.REMAINDER_WRITTEN_OFF)

    def entry(self, books: Books) -> JournalEntry:
        """Raises ClaimNotFound, ClaimExceeded or PayerAmbiguous."""
        item = self._found(books)
        receivable = self._receivable(item)
        unpaid = self._within(item, item.balance(receivable))
        return rules.remainder_written_off(item, receivable, unpaid, self.effective_date, self.reason)


@dataclass(frozen=True, slots=True)
class RecoverDenial(_AboutClaim):
    """An absorbed denial was overturned; the payer owes again."""

    def stated(self) -> dict[str, str]:
        """Which claim, when, why and how much."""
        return self._stated(Kind.DENIAL_RECOVERED)

    def entry(self, books: Books) -> JournalEntry:
        """Raises ClaimNotFound, ClaimExceeded or PayerAmbiguous."""
        item = self._found(books)
        recovered = self._within(item, item.balance(chart.DENIALS_ABSORBED))
        payer = self.payer or item.dimensions.payer
        if payer is None:
            raise _ambiguous(self.claim, item.balances)
        return rules.denial_recovered(item, chart.receivable(payer), recovered, self.effective_date, self.reason)


def _ambiguous(claim: str, accounts: Iterable[str]) -> PayerAmbiguous:
    below = f"{chart.INSURER_RECEIVABLES}:"
    payers = sorted(account.removeprefix(below) for account in accounts if account.startswith(below))
    return PayerAmbiguous(
        f"claim {claim} stands with several payers; name one", claim=claim, payers=", ".join(payers)
    )
