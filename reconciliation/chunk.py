"""Settles some claim payments of one remittance in a database transaction that holds the head.

Facts are read by arrays, each payment is decided by pure functions against the claim as the payments before it
left it, and entries, decisions and exceptions are recorded together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.errors import Refusal
from ledger.postings import journal
from ledger.postings import store as books
from ledger.postings.batch import Head, Posted, Request, Submission
from ledger.postings.commands import Post
from ledger.postings.entry import JournalEntry
from ledger.postings.item import Item
from reconciliation import store
from reconciliation.amounts import minor_units
from reconciliation.gathering import gathered
from reconciliation.matching import Known, Match, Mismatch, match
from reconciliation.reasons import Decision, ExceptionReason
from reconciliation.remittance import ClaimPayment, ProviderLevelAdjustment
from reconciliation.settlement import (
    REVERSAL,
    Original,
    Payment,
    ProviderLevelSettlement,
    Raised,
    Settlement,
    adjust,
    reverse,
    settle,
)

_MOST_PENDING = 500
"""Entries that are posted in one batch of the journal."""
_DETAIL = 2_000


@dataclass(slots=True)
class Chunk:
    """Where a chunk is settled: the open database transaction and what is known of the payment."""

    connection: AsyncConnection
    head: Head
    actor: str
    payment: Payment
    signed_by: str
    payer_known: bool
    items: dict[str, Item] = field(default_factory=dict)
    pending: list[tuple[ClaimPayment, Settlement, Original | None]] = field(default_factory=list)
    suspended: int = 0

    @property
    def remittance(self) -> UUID:
        """The remittance's id."""
        return UUID(self.payment.remittance)


async def settle_chunk(
    chunk: Chunk, claims: Sequence[ClaimPayment], provider_level: Iterable[ProviderLevelAdjustment]
) -> dict[str, int]:
    """Settles claim payments, and provider-level adjustments after them.

    Returns what this adds to the remittance's columns posted, suspended and settled_claim_count.
    """
    known = await known_of(chunk, claims)
    chunk.items = dict(known.items)
    for claim_payment in await _in_order(chunk, claims):
        if len(chunk.pending) == _MOST_PENDING or claim_payment.status == REVERSAL:
            await _post_pending(chunk)
        await _decide(chunk, known, claim_payment)
    await _post_pending(chunk)
    adjusted = await _adjust(chunk, list(provider_level))
    money = sum(minor_units(one.paid, chunk.payment.currency) or 0 for one in claims) - adjusted
    return {
        "posted": money - chunk.suspended,
        "suspended": chunk.suspended,
        "settled_claim_count": len(claims),
    }


async def known_of(chunk: Chunk, claims: Sequence[ClaimPayment]) -> Known:
    """Everything that matching may need; nothing where the payer is unknown."""
    if not chunk.payer_known:
        return Known(chunk.payment.payer)
    return await gathered(chunk.connection, chunk.head.book, chunk.payment, claims)


async def _in_order(chunk: Chunk, claims: Sequence[ClaimPayment]) -> list[ClaimPayment]:
    """As sent, but reversals of what is in the books already come before what corrects it."""
    first = [one for one in claims if one.status == REVERSAL and await _originals(chunk, one)]
    lines = {one.line for one in first}
    return first + [one for one in claims if one.line not in lines]


async def _originals(chunk: Chunk, claim_payment: ClaimPayment) -> list[Original]:
    """What a reversal may take back: posted, and not undone in any other way."""
    number, sent = claim_payment.payer_control_number, claim_payment.claim_as_sent
    connection, book, payer = chunk.connection, chunk.head.book, chunk.payment.payer
    rows = await store.originals(connection, book, chunk.signed_by, payer, number, sent)
    numbers = [row.entry_number for row in rows if row.entry_number]
    undone = await journal.reversals(connection, book, numbers)
    posted = await books.numbered(connection, book, numbers)
    return [
        Original(
            remittance=str(row.remittance),
            line=row.line,
            claim=row.claim,
            charge=row.charge,
            paid=row.paid or 0,
            entry_number=row.entry_number,
            entry=posted[row.entry_number].entry if row.entry_number else None,
            suspended=row.decision == Decision.SUSPENDED,
        )
        for row in rows
        if row.entry_number not in undone
    ]


async def _decide(chunk: Chunk, known: Known, claim_payment: ClaimPayment) -> None:
    original = None
    if claim_payment.status == REVERSAL:
        originals = await _originals(chunk, claim_payment)
        settlement, original = reverse(chunk.payment, claim_payment, originals)
    else:
        found = _found(chunk, known, claim_payment)
        item = chunk.items.get(found.claim) if found.claim else None
        settlement = settle(chunk.payment, claim_payment, found, item)
    if settlement.entry is not None:
        follow(chunk, settlement.entry)
    chunk.suspended += settlement.suspended
    chunk.pending.append((claim_payment, settlement, original))


def _found(chunk: Chunk, known: Known, claim_payment: ClaimPayment) -> Match | Mismatch:
    if chunk.payer_known:
        return match(claim_payment, known, chunk.payment.currency)
    return Mismatch(ExceptionReason.UNKNOWN_CLAIM, "no claim is looked for while the payer is unknown")


def follow(chunk: Chunk, entry: JournalEntry) -> None:
    """Keeps the claims as the entry will leave them, for the payments that come after it."""
    for posting in entry.postings:
        if posting.item and (item := chunk.items.get(posting.item)):
            chunk.items[posting.item] = item.plus(posting)


async def _post_pending(chunk: Chunk) -> None:
    """Posts what was decided so far and records the decisions."""
    posting = [(one, settlement.entry) for one, settlement, _ in chunk.pending if settlement.entry]
    numbers = await post(chunk, [(str(one.line), entry) for one, entry in posting])
    rows = [_row(chunk, *decided, numbers.get(str(decided[0].line))) for decided in chunk.pending]
    await store.add_claim_payments(chunk.connection, rows)
    raised = [row for sent, settlement, _ in chunk.pending for row in raised_rows(chunk, sent, settlement)]
    await store.add_exceptions(chunk.connection, raised)
    chunk.pending.clear()


def raised_rows(chunk: Chunk, sent: ClaimPayment, settlement: Settlement) -> list[dict[str, Any]]:
    """What a decision raised, as columns of `exceptions`."""
    return [_exception(chunk, sent.line, why, sent.claim_as_sent, settlement.claim) for why in settlement.raised]


async def post(chunk: Chunk, posting: Sequence[tuple[str, JournalEntry]]) -> dict[str, int]:
    """Posts entries under the remittance's own keys; returns their numbers. Raises the books' refusal."""
    numbers = {}
    for start in range(0, len(posting), _MOST_PENDING):
        numbers.update(await _post_batch(chunk, posting[start : start + _MOST_PENDING]))
    return numbers


async def _post_batch(chunk: Chunk, posting: Sequence[tuple[str, JournalEntry]]) -> dict[str, int]:
    requests = [
        Request(chunk.actor, f"remittance:{chunk.payment.remittance}:{key}", Post(entry)) for key, entry in posting
    ]
    chunk.head, [outcomes] = await journal.post(chunk.connection, chunk.head, [Submission(requests, atomic=True)])
    numbers = {}
    for (key, _), outcome in zip(posting, outcomes, strict=True):
        if isinstance(outcome, Refusal):
            raise outcome
        assert isinstance(outcome, Posted)
        numbers[key] = outcome.entry.number
    return numbers


async def _adjust(chunk: Chunk, provider_level: Sequence[ProviderLevelAdjustment]) -> int:
    """Posts the PLB pairs; returns by how much they reduce the payment."""
    decided = [(n, one, adjust(chunk.payment, n, one)) for n, one in enumerate(provider_level, 1)]
    numbers = await post(chunk, [(f"PLB:{n}", settled.entry) for n, _, settled in decided if settled.entry])
    rows = [_plb_row(chunk, *each, numbers.get(f"PLB:{each[0]}")) for each in decided]
    await store.add_provider_level(chunk.connection, rows)
    raised = [_plb_exception(chunk, n, why) for n, _, settled in decided for why in settled.raised]
    await store.add_exceptions(chunk.connection, raised)
    chunk.suspended += sum(settled.suspended for _, _, settled in decided)
    return sum(minor_units(one.amount, chunk.payment.currency) for one in provider_level)


def _row(
    chunk: Chunk, sent: ClaimPayment, settlement: Settlement, original: Original | None, number: int | None
) -> dict[str, Any]:
    currency = chunk.payment.currency
    return {
        "book": chunk.head.book,
        "remittance": chunk.remittance,
        "line": sent.line,
        "claim_as_sent": sent.claim_as_sent,
        "payer_control_number": sent.payer_control_number,
        "status": sent.status,
        "charge": minor_units(sent.charge, currency),
        "paid": minor_units(sent.paid, currency),
        "claim": settlement.claim,
        "decision": settlement.decision,
        "rule": settlement.rule,
        "evidence": settlement.evidence,
        "entry_number": number,
        "reverses_remittance": UUID(original.remittance) if original else None,
        "reverses_line": original.line if original else None,
    }


def _plb_row(
    chunk: Chunk, line: int, sent: ProviderLevelAdjustment, settled: ProviderLevelSettlement, number: int | None
) -> dict[str, Any]:
    return {
        "book": chunk.head.book,
        "remittance": chunk.remittance,
        "line": line,
        "code": sent.code,
        "reference": sent.reference,
        "amount": minor_units(sent.amount, chunk.payment.currency),
        "account": settled.account,
        "entry_number": number,
    }


def _exception(chunk: Chunk, line: int, why: Raised, sent: str, claim: str | None) -> dict[str, Any]:
    return {
        "book": chunk.head.book,
        "id": uuid5(chunk.remittance, f"{line}/{why.reason}"),
        "remittance": chunk.remittance,
        "line": line,
        "reason": why.reason,
        "claim_as_sent": sent,
        "claim": claim,
        "amount": why.amount,
        "currency": chunk.payment.currency,
        "detail": why.detail[:_DETAIL],
    }


def _plb_exception(chunk: Chunk, number: int, why: Raised) -> dict[str, Any]:
    """About the remittance, not about one of its claims: line 0."""
    row = _exception(chunk, 0, why, "", None)
    return {**row, "id": uuid5(chunk.remittance, f"PLB:{number}/{why.reason}")}
