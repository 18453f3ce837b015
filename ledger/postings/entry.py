"""What a journal entry is. Holding one is proof that it balances."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct, structs

from ledger.accounts.account import Side, account_code
from ledger.errors import AmountInvalid, EntryUnbalanced, PostingCountInvalid
from ledger.money import LARGEST, Amount, plain

MOST_POSTINGS = 10_000
"""Postings in one entry."""


class Kind(StrEnum):
    """What happened. One spelling in SQL, Python and on the wire."""

    MANUAL = "manual"
    REVERSAL = "reversal"
    SESSION_EARNED = "session_earned"
    PROVIDER_PAID = "provider_paid"
    DENIAL_ABSORBED = "denial_absorbed"
    DENIAL_RECOVERED = "denial_recovered"
    CLAIM_PAID = "claim_paid"
    CLAIM_ADJUSTED = "claim_adjusted"
    PAYMENT_REVERSED = "payment_reversed"
    PAYMENT_SUSPENDED = "payment_suspended"
    PROVIDER_LEVEL_ADJUSTED = "provider_level_adjusted"
    PAYOUT_SETTLED = "payout_settled"
    PAYOUT_RETURNED = "payout_returned"
    ALLOWANCE_TRUED_UP = "allowance_trued_up"
    ALLOWANCE_TAKEN_BACK = "allowance_taken_back"
    CLAIM_FORWARDED = "claim_forwarded"
    OVERPAYMENT_APPLIED = "overpayment_applied"
    PROVIDER_CHARGED = "provider_charged"
    PATIENT_EVENED = "patient_evened"
    DEPOSIT_RECEIVED = "deposit_received"
    DEPOSIT_APPLIED = "deposit_applied"
    DEPOSIT_UNAPPLIED = "deposit_unapplied"
    DEPOSIT_RETURNED = "deposit_returned"
    REMAINDER_WRITTEN_OFF = "remainder_written_off"


class Posting(Struct, frozen=True):
    """One line of an entry: a positive amount on one side of one account.

    `item` is the open item that the line opens or settles, such as a claim.
    """

    account: str
    side: Side
    amount: Amount
    item: str | None = None

    def __post_init__(self) -> None:
        """Refuses a malformed account code and an amount that is not positive, or too large."""
        account_code(self.account)
        if not 0 < self.amount.minor_units <= LARGEST:
            raise AmountInvalid(
                f"{self.account}: an amount is between 1 and {LARGEST} minor units, not {self.amount.minor_units}",
                field="amount",
                minor_units=self.amount.minor_units,
            )

    @property
    def signed(self) -> int:
        """Minor units, debit positive."""
        return self.amount.minor_units if self.side is Side.DEBIT else -self.amount.minor_units

    def exchanged(self) -> "Posting":
        """The same line on the other side."""
        return structs.replace(self, side=self.side.opposite)


def debit(account: str, amount: Amount, item: str | None = None) -> Posting:
    """A line in the debit column."""
    return Posting(account, Side.DEBIT, amount, item)


def credit(account: str, amount: Amount, item: str | None = None) -> Posting:
    """A line in the credit column."""
    return Posting(account, Side.CREDIT, amount, item)


class Dimensions(Struct, frozen=True):
    """What an entry is about, for reports and for matching. No posting rule reads these.

    `service_date` is the day of the visit; `charge` is what the payer was billed (835 CLP03).
    """

    payer: str | None = None
    provider: str | None = None
    claim: str | None = None
    session: str | None = None
    plan: str | None = None
    service_code: str | None = None
    licence_type: str | None = None
    state: str | None = None
    remittance: str | None = None
    pay_cycle: str | None = None
    service_date: date | None = None
    charge: Amount | None = None

    def stated(self) -> dict[str, str]:
        """Every dimension as text, empty where it is absent."""
        values = ((name, getattr(self, name)) for name in _DIMENSIONS)
        return {name: "" if value is None else str(value) for name, value in values}


_DIMENSIONS = Dimensions.__struct_fields__


class JournalEntry(Struct, frozen=True):
    """What is posted: at least two postings that balance in every currency.

    Raises PostingCountInvalid or EntryUnbalanced when made from anything else. `reverses` is the number of
    the entry that this one undoes.
    """

    kind: Kind
    effective_date: date
    postings: tuple[Posting, ...]
    description: str = ""
    dimensions: Dimensions = Dimensions()
    reverses: int | None = None

    def __post_init__(self) -> None:
        """Parse, don't validate: there is no unbalanced JournalEntry."""
        if not 2 <= len(self.postings) <= MOST_POSTINGS:
            raise PostingCountInvalid(
                f"an entry has 2 to {MOST_POSTINGS} postings, not {len(self.postings)}",
                postings=len(self.postings),
                limit=MOST_POSTINGS,
            )
        _refuse_unbalanced(self.postings)

    def stated(self) -> dict[str, str]:
        """The whole entry as text by field: two entries are the same when these are."""
        return {
            "kind": self.kind,
            "effective_date": self.effective_date.isoformat(),
            "description": self.description,
            "reverses": str(self.reverses or ""),
            **self.dimensions.stated(),
            "postings": "\n".join(
                f"{p.account}\t{p.signed}\t{p.amount.currency}\t{p.item or ''}" for p in self.postings
            ),
        }


def _refuse_unbalanced(postings: tuple[Posting, ...]) -> None:
    sums: dict[str, int] = defaultdict(int)
    for posting in postings:
        sums[posting.amount.currency] += posting.signed
    for currency, difference in sums.items():
        if difference:
            debits, credits_ = (_total(postings, currency, side) for side in Side)
            raise EntryUnbalanced(
                f"debits are {debits} and credits {credits_} {currency}",
                currency=currency,
                debits=debits,
                credits=credits_,
            )


def _total(postings: tuple[Posting, ...], currency: str, side: Side) -> str:
    return plain(
        sum(p.amount.minor_units for p in postings if p.side is side and p.amount.currency == currency),
        currency,
    )


class PostedEntry(Struct, frozen=True):
    """An entry with its place in the book: number, time, author and hash.

    `recorded_at` is the database's clock; `request_hash` tells a repeated request from another one under the
    same idempotency key; `hash` covers the hash before and every field here.
    """

    book: str
    number: int
    id: UUID
    recorded_at: datetime
    actor: str
    idempotency_key: str
    request_hash: bytes
    entry: JournalEntry
    hash: bytes = b""

    def with_hash(self, hash_: bytes) -> "PostedEntry":
        """The same under its hash."""
        return structs.replace(self, hash=hash_)

    def columns(self) -> tuple[object, ...]:
        """What the table `entries` holds of it, in the table's order, but for the hash over all of this."""
        entry, about = self.entry, self.entry.dimensions
        return (
            self.book,
            self.number,
            self.id,
            entry.kind.value,
            entry.effective_date,
            self.recorded_at,
            entry.description,
            self.actor,
            self.idempotency_key,
            self.request_hash,
            entry.reverses,
            about.payer,
            about.provider,
            about.claim,
            about.session,
            about.plan,
            about.service_code,
            about.licence_type,
            about.state,
            about.remittance,
            about.pay_cycle,
            about.service_date,
            about.charge.minor_units if about.charge else None,
            about.charge.currency if about.charge else None,
            len(entry.postings),
        )

    def lines(self) -> Iterator[tuple[object, ...]]:
        """What the table `postings` holds of it, in the table's order after book and entry number."""
        for line, posting in enumerate(self.entry.postings, 1):
            yield line, posting.account, posting.amount.currency, posting.signed, posting.item
