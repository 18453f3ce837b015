"""Settles some claim payments of one remittance in a database transaction that holds the head.

Each payment is decided by pure functions against the claim as the payments before it left it, and entries,
decisions and exceptions are recorded together.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from ledger.postings import store as books
from reconciliation import awaiting, closing, covering, denying, store, takebacks
from reconciliation.amounts import minor_units
from reconciliation.chunk import MOST_PENDING, Chunk, Decided, entries_of, known_of, move_rows, post, raised_rows
from reconciliation.coverage import FORWARDS, Coverage
from reconciliation.matching import Known, Match, Mismatch, match
from reconciliation.originals import Name, name_of, originals
from reconciliation.payer import known_as
from reconciliation.payment import REVERSAL, Original, Settlement, adjusted
from reconciliation.reasons import ExceptionReason
from reconciliation.remittance import ClaimPayment, ProviderLevelAdjustment
from reconciliation.reversal import after_their_payments, reverse
from reconciliation.settlement import settle


async def settle_chunk(
    chunk: Chunk, claims: Sequence[ClaimPayment], provider_level: Iterable[ProviderLevelAdjustment]
) -> dict[str, int]:
    """Settles claim payments, and provider-level adjustments after them.

    Returns what this adds to the remittance's columns posted, suspended and settled_claim_count.
    """
    known = await known_of(chunk, claims)
    chunk.items = dict(known.items)
    earlier = await _originals(chunk, {name_of(one) for one in claims if one.status == REVERSAL})
    for claim_payment in _in_order(claims, earlier):
        if len(chunk.pending) == MOST_PENDING:
            await _post_pending(chunk)
        if claim_payment.status == REVERSAL:
            await _reverse(chunk, claim_payment, earlier)
        else:
            _decided(chunk, claim_payment, await _settled(chunk, known, claim_payment))
    await _post_pending(chunk)
    await awaiting.take_back(chunk, claims)
    adjusted = await takebacks.adjust_payment(chunk, list(provider_level))
    await closing.close_settled(chunk)
    money = sum(minor_units(one.paid, chunk.payment.currency) or 0 for one in claims) - adjusted
    return {
        "posted": money - chunk.suspended,
        "suspended": chunk.suspended,
        "settled_claim_count": len(claims),
    }


def _in_order(claims: Sequence[ClaimPayment], earlier: Mapping[Name, Sequence[Original]]) -> list[ClaimPayment]:
    """As sent, but reversals of what is in the books already come before what corrects it."""
    first = [one for one in claims if one.status == REVERSAL and earlier.get(name_of(one))]
    lines = {one.line for one in first}
    return first + after_their_payments([one for one in claims if one.line not in lines])


async def _originals(chunk: Chunk, names: Collection[Name]) -> defaultdict[Name, list[Original]]:
    return await originals(chunk.connection, chunk.head.book, chunk.signed_by, chunk.payment.payer, names)


async def _reverse(chunk: Chunk, sent: ClaimPayment, earlier: dict[Name, list[Original]]) -> None:
    """Takes back what was settled before: in an earlier payment, or in this one, which must be posted then."""
    name = name_of(sent)
    if name in chunk.decided:
        await _post_pending(chunk)
        earlier[name] = (await _originals(chunk, [name]))[name]
    found = earlier.get(name, [])
    await _read_missing(chunk, {one.claim for one in found if one.claim})
    _decided(chunk, sent, *reverse(chunk.payment, sent, found, chunk.items))


def _decided(chunk: Chunk, sent: ClaimPayment, settlement: Settlement, original: Original | None = None) -> None:
    chunk.follow([settlement.entry, *(move.entry for move in settlement.moves)])
    chunk.suspended += settlement.suspended
    chunk.pending.append(Decided(sent, settlement, original, chunk.open(settlement.claim)))
    chunk.decided.add(name_of(sent))
    if settlement.claim:
        chunk.uncertain.add(settlement.claim)


async def _settled(chunk: Chunk, known: Known, sent: ClaimPayment) -> Settlement:
    found = _found(chunk, known, sent)
    if found.claim and isinstance(found, Match) and sent.status in FORWARDS and sent.crossover_payer:
        await _learn_next(chunk, sent, found.claim)
    if found.claim and chunk.must_cover_again(found.claim):
        await cover_again(chunk, found.claim)
    item = chunk.items.get(found.claim) if found.claim else None
    return settle(chunk.payment, sent, found, item, chunk.coverage(found.claim))


def _found(chunk: Chunk, known: Known, claim_payment: ClaimPayment) -> Match | Mismatch:
    if chunk.payer_known:
        return match(claim_payment, known, chunk.payment.currency)
    return Mismatch(ExceptionReason.UNKNOWN_CLAIM, "no claim is looked for while the payer is unknown")


async def _learn_next(chunk: Chunk, sent: ClaimPayment, claim: str) -> None:
    """The payer says to whom it has sent the claim on (NM1*TT): known to the book, that is the next payer."""
    payer, first = chunk.payment.payer, chunk.items[claim].dimensions.payer
    coverage = chunk.coverages.get(claim, Coverage((first,) if first else ()))
    if not coverage.has(payer) or coverage.next_after(payer):
        return
    connection, book = chunk.connection, chunk.head.book
    next_payer = await known_as(connection, book, [sent.crossover_payer])
    if next_payer is None or coverage.has(next_payer):
        return
    reason = f"{payer} has sent it on, as line {sent.line} of its payment {chunk.payment.trace} says"[:500]
    await covering.record_next(connection, book, claim, next_payer, chunk.actor, reason)
    await cover_again(chunk, claim)


async def cover_again(chunk: Chunk, claim: str) -> None:
    """Reads who covers a claim and what they have taken over, once all that was decided on it is posted."""
    if claim in chunk.uncertain:
        await _post_pending(chunk)
    items = {claim: chunk.items[claim]} if claim in chunk.items else {}
    chunk.coverages |= await covering.coverages(chunk.connection, chunk.head.book, items)
    chunk.uncertain.discard(claim)


async def _read_missing(chunk: Chunk, claims: set[str]) -> None:
    """Claims that a reversal finds by what was posted, under whatever name it came."""
    missing = claims - chunk.items.keys()
    read = await books.items(chunk.connection, chunk.head.book, missing)
    chunk.coverages |= await covering.coverages(chunk.connection, chunk.head.book, read)
    chunk.items |= read


async def _post_pending(chunk: Chunk) -> None:
    """Posts what was decided so far and records the decisions."""
    decided, chunk.pending = chunk.pending, []
    posting = [entry for one in decided for entry in entries_of(one.settlement, str(one.sent.line))]
    numbers = await post(chunk, posting)
    rows = [_row(chunk, one, numbers.get(str(one.sent.line))) for one in decided]
    await store.add_claim_payments(chunk.connection, rows)
    raised = [row for one in decided for row in raised_rows(chunk, one.sent, one.settlement)]
    await store.add_exceptions(chunk.connection, raised, chunk.actor)
    await covering.add_moves(chunk.connection, [row for one in decided for row in _moved(chunk, one, numbers)])
    by_line = {one.sent.line: numbers[key] for one in decided if (key := str(one.sent.line)) in numbers}
    await denying.follow(chunk, decided, by_line)


def _moved(chunk: Chunk, one: Decided, numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    return move_rows(chunk, one.settlement, one.sent.line, str(one.sent.line), numbers)


def _row(chunk: Chunk, decided: Decided, number: int | None) -> dict[str, Any]:
    sent, settlement, original = decided.sent, decided.settlement, decided.original
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
        **adjusted(chunk.payment, sent),
    }
