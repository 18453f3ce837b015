"""A number of claim payments of one remittance in a database transaction that holds the head: facts and posting.

Facts are read by arrays; claims are kept as the payments decided so far will leave them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid5

from msgspec import Struct
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts import chart
from ledger.errors import Refusal
from ledger.periods.store import in_force
from ledger.postings import journal
from ledger.postings.batch import Head, Posted, Request, Submission
from ledger.postings.commands import Post
from ledger.postings.entry import JournalEntry
from ledger.postings.item import Item
from ledger.postings.memory import Memory
from reconciliation import code_store, covering
from reconciliation.coverage import ALONE, Coverage
from reconciliation.gathering import gathered
from reconciliation.matching import Known
from reconciliation.originals import Name
from reconciliation.payment import Original, Payment, Raised, Settlement
from reconciliation.remittance import ClaimPayment

MOST_PENDING = 500
"""Entries that are posted in one batch of the journal."""
_DETAIL = 2_000


class Decided(Struct, frozen=True):
    """A claim payment, what was decided on it, what it takes back, and what its payer owes on the claim then."""

    sent: ClaimPayment
    settlement: Settlement
    original: Original | None = None
    open: int = 0


@dataclass(slots=True)
class Chunk:
    """Where a chunk is settled: the open database transaction and what is known of the payment.

    `memory` is what its batches have met of the books, `decided` are the names of payments that were decided;
    `uncertain` are claims on which that was done since their coverage was read, which it may have changed.
    """

    connection: AsyncConnection
    head: Head
    actor: str
    payment: Payment
    signed_by: str
    payer_known: bool
    items: dict[str, Item] = field(default_factory=dict)
    coverages: dict[str, Coverage] = field(default_factory=dict)
    pending: list[Decided] = field(default_factory=list)
    suspended: int = 0
    memory: Memory = field(default_factory=Memory)
    decided: set[Name] = field(default_factory=set)
    uncertain: set[str] = field(default_factory=set)

    @property
    def remittance(self) -> UUID:
        """The remittance's id."""
        return UUID(self.payment.remittance)

    def coverage(self, claim: str | None) -> Coverage:
        """Who pays a claim beside the payer of its sessions."""
        return self.coverages.get(claim or "", ALONE)

    def must_cover_again(self, claim: str) -> bool:
        """Whether what a claim's payers have taken over may be other than when it was read."""
        return claim in self.uncertain and claim in self.coverages

    def open(self, claim: str | None) -> int:
        """What this payer owes on a claim, as the payments decided so far leave it."""
        item = self.items.get(claim or "")
        return item.balance(chart.receivable(self.payment.payer)) if item else 0

    def follow(self, entries: Iterable[JournalEntry | None]) -> None:
        """Keeps the claims as entries will leave them, for the payments that come after."""
        for posting in (posting for entry in entries if entry for posting in entry.postings):
            if posting.item and (item := self.items.get(posting.item)):
                self.items[posting.item] = item.plus(posting)


async def chunk_of(
    connection: AsyncConnection, head: Head, remittance: Row[Any], payer: str | None, actor: str
) -> Chunk:
    """Where claims of a remittance are settled: on the payment's day, or on the first open day after it."""
    name, day = payer or remittance.signed_by, remittance.payment_date
    codes = await code_store.counting_for(connection, head.book, name, day, remittance.code_revision)
    periods = await in_force(connection, head.book)
    trace, currency = remittance.trace, remittance.currency
    return Chunk(
        connection=connection,
        head=head,
        actor=actor,
        payment=Payment(str(remittance.id), name, trace, periods.open_day(day), currency, codes=codes),
        signed_by=remittance.signed_by,
        payer_known=payer is not None,
        memory=Memory(head=head, periods=periods),
    )


async def known_of(chunk: Chunk, claims: Sequence[ClaimPayment]) -> Known:
    """Everything that matching may need; nothing where the payer is unknown."""
    connection, book, payment = chunk.connection, chunk.head.book, chunk.payment
    if not chunk.payer_known:
        return Known(payment.payer)
    known = await gathered(connection, book, payment, claims)
    chunk.coverages = await covering.coverages(connection, book, known.items)
    return replace(known, items=covering.billed(known.items, chunk.coverages, payment.payer))


def raised_rows(chunk: Chunk, sent: ClaimPayment, settlement: Settlement) -> list[dict[str, Any]]:
    """What a decision raised, as columns of `exceptions`."""
    return [
        exception(chunk, sent.line, why, sent.claim_as_sent, why.claim or settlement.claim)
        for why in settlement.raised
    ]


async def post(chunk: Chunk, posting: Sequence[tuple[str, JournalEntry]]) -> dict[str, int]:
    """Posts entries under the remittance's own keys; returns their numbers. Raises the books' refusal."""
    numbers = {}
    for start in range(0, len(posting), MOST_PENDING):
        numbers.update(await _post_batch(chunk, posting[start : start + MOST_PENDING]))
    return numbers


async def _post_batch(chunk: Chunk, posting: Sequence[tuple[str, JournalEntry]]) -> dict[str, int]:
    requests = [
        Request(chunk.actor, f"remittance:{chunk.payment.remittance}:{key}", Post(entry)) for key, entry in posting
    ]
    submission = Submission(requests, atomic=True)
    chunk.head, [outcomes] = await journal.post(chunk.connection, chunk.head, [submission], chunk.memory)
    numbers = {}
    for (key, _), outcome in zip(posting, outcomes, strict=True):
        if isinstance(outcome, Refusal):
            raise outcome
        assert isinstance(outcome, Posted)
        numbers[key] = outcome.entry.number
    return numbers


def entries_of(settlement: Settlement, key: str) -> list[tuple[str, JournalEntry]]:
    """What is posted for a claim payment, each entry under a key of its own, in order."""
    own = [(key, settlement.entry)] if settlement.entry else []
    return own + [(f"{key}:{n}:{move.name}", move.entry) for n, move in enumerate(settlement.moves, 1)]


def move_rows(
    chunk: Chunk, settlement: Settlement, line: int, key: str, numbers: Mapping[str, int]
) -> list[dict[str, Any]]:
    """What was posted beside a claim payment's own entry, as columns of `claim_moves`."""
    return [
        {
            "book": chunk.head.book,
            "entry_number": numbers[f"{key}:{n}:{move.name}"],
            "claim": settlement.claim or move.entry.dimensions.claim,
            "move": move.name,
            "payer": move.payer,
            "remittance": chunk.remittance,
            "line": line,
        }
        for n, move in enumerate(settlement.moves, 1)
    ]


def exception(chunk: Chunk, line: int, why: Raised, sent: str, claim: str | None) -> dict[str, Any]:
    """What was raised on a claim payment, or on the remittance (line 0), as columns of `exceptions`."""
    return {
        "book": chunk.head.book,
        "id": uuid5(chunk.remittance, f"{line}/{why.reason}" + (f"/{why.claim}" if why.claim else "")),
        "remittance": chunk.remittance,
        "line": line,
        "reason": why.reason,
        "claim_as_sent": sent,
        "claim": claim,
        "amount": why.amount,
        "currency": chunk.payment.currency,
        "detail": why.detail[:_DETAIL],
    }
