"""A book as a journal of beancount or of hledger, line by line. No amount is rounded."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Protocol

from ledger.accounts.account import AccountType, type_of
from ledger.money import Amount, fraction_digits, plain
from ledger.postings.entry import PostedEntry


@dataclass(frozen=True, slots=True)
class Standing:
    """An account that was posted to: where it stands, debit positive, and its first and last effective date."""

    account: str
    currency: str
    balance: int
    first_day: date
    last_day: date


class Journal(Protocol):
    """What every form of a journal can write."""

    def opening(self, book: str, name: str, standings: Sequence[Standing]) -> Iterator[str]:
        """What comes before the entries: the book and its accounts."""

    def entry(self, posted: PostedEntry) -> Iterator[str]:
        """One entry."""

    def closing(self, standings: Sequence[Standing]) -> Iterator[str]:
        """What every account must stand at in the end; the reader checks it."""


class Beancount:
    """The form that beancount reads; its tolerances are set to zero."""

    def opening(self, book: str, name: str, standings: Sequence[Standing]) -> Iterator[str]:
        """Options, then `open` directives, each on the first day of its account."""
        yield f'option "title" {_quoted(f"{name} ({book})")}'
        yield 'option "name_income" "Revenue"'
        yield 'option "tolerance_multiplier" "0"'
        for currency in _currencies(standings):
            yield f'option "operating_currency" "{currency}"'
        yield ""
        for s in standings:
            yield f"{s.first_day} open {_capitalised(s.account)} {s.currency}"

    def entry(self, posted: PostedEntry) -> Iterator[str]:
        """A transaction with its number, kind and dimensions as metadata, and items on the postings."""
        yield ""
        yield f"{posted.entry.effective_date} * {_quoted(posted.entry.description or posted.entry.kind)}"
        for name, value in _about(posted).items():
            yield f"  {name}: {_quoted(value)}"
        for posting in posted.entry.postings:
            amount = Amount(posting.signed, posting.amount.currency)
            yield f"  {_capitalised(posting.account)}  {amount}"
            if posting.item:
                yield f"    item: {_quoted(posting.item)}"

    def closing(self, standings: Sequence[Standing]) -> Iterator[str]:
        """Balances on the morning after the last day. beancount counts an account's parts in."""
        last = max((s.last_day for s in standings), default=date.max)
        if last == date.max:
            return
        yield ""
        sums = _with_parts(standings)
        for s in standings:
            account = _capitalised(s.account)
            balance = plain(sums[account, s.currency], s.currency)
            yield f"{last + timedelta(days=1)} balance {account}  {balance} ~ 0 {s.currency}"


class Hledger:
    """The form that hledger reads, with all that its strict mode asks for."""

    def opening(self, book: str, name: str, standings: Sequence[Standing]) -> Iterator[str]:
        """Commodities and accounts, declared."""
        yield f"; {name} ({book})"
        yield "decimal-mark ."
        for currency in _currencies(standings):
            yield f"commodity {_style(currency)} {currency}"
        yield ""
        for s in standings:
            yield f"account {s.account}  ; type:{_LETTERS[type_of(s.account)]}"

    def entry(self, posted: PostedEntry) -> Iterator[str]:
        """A transaction whose code is the entry's number, with kind and dimensions as tags."""
        yield ""
        description = (posted.entry.description or posted.entry.kind).replace(";", ",")
        yield f"{posted.entry.effective_date} * ({posted.number}) {description}"
        for name, value in _about(posted).items():
            yield f"    ; {name}:{_tag_value(value)}"
        for posting in posted.entry.postings:
            amount = Amount(posting.signed, posting.amount.currency)
            item = f"  ; item:{_tag_value(posting.item)}" if posting.item else ""
            yield f"    {posting.account}  {amount}{item}"

    def closing(self, standings: Sequence[Standing]) -> Iterator[str]:
        """One transaction of zeros on the last day, which asserts every balance."""
        if not standings:
            return
        yield ""
        yield f"{max(s.last_day for s in standings)} * closing balances"
        for s in standings:
            yield f"    {s.account}  {Amount(0, s.currency)} = {Amount(s.balance, s.currency)}"


JOURNALS: Mapping[str, Journal] = {"beancount": Beancount(), "hledger": Hledger()}

_LETTERS = {
    AccountType.ASSET: "A",
    AccountType.LIABILITY: "L",
    AccountType.EQUITY: "E",
    AccountType.REVENUE: "R",
    AccountType.EXPENSE: "X",
}
_NOT_IN_TAGS = str.maketrans({",": ";", "[": "(", "]": ")"})


def _about(posted: PostedEntry) -> dict[str, str]:
    """Number, kind and the dimensions that are there."""
    reverses = str(posted.entry.reverses or "")
    stated = {"number": str(posted.number), "kind": posted.entry.kind, "reverses": reverses}
    return {name: value for name, value in (stated | posted.entry.dimensions.stated()).items() if value}


def _currencies(standings: Sequence[Standing]) -> list[str]:
    return sorted({s.currency for s in standings})


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _capitalised(account: str) -> str:
    """beancount wants a capital or a digit first in each part. Codes stay apart: none differ in case alone."""
    return ":".join(part[:1].upper() + part[1:] for part in account.split(":"))


def _with_parts(standings: Sequence[Standing]) -> dict[tuple[str, str], int]:
    """Balances of accounts with all accounts below them, by capitalised account and currency."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for s in standings:
        account = _capitalised(s.account)
        while account:
            sums[account, s.currency] += s.balance
            account = account.rpartition(":")[0]
    return sums


def _tag_value(value: str) -> str:
    """A tag ends at a comma, and brackets in a comment hold dates."""
    return value.translate(_NOT_IN_TAGS)


def _style(currency: str) -> str:
    """How hledger is told a currency's decimals: `1000.00`, and `1000.` for none."""
    return f"1000.{'0' * fraction_digits(currency)}"
