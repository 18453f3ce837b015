"""A person says which payment a reversal in suspense takes back; above a limit, two persons do.

The reversal is read again from the file that was kept, and decided and posted by what takes back the mail's own.
"""

from dataclasses import dataclass, replace
from uuid import UUID

from msgspec import structs
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.errors import (
    ClaimPaymentNotReversal,
    MatchRefused,
    OriginalNotPosted,
    OriginalOfAnotherPayer,
    OriginalTakenBack,
    ReversalAmountsDiffer,
)
from ledger.money import plain
from ledger.postings import journal
from ledger.postings import store as books
from ledger.postings.batch import Head
from reconciliation import closing, covering
from reconciliation import store as mail
from reconciliation.chunk import Chunk, chunk_of
from reconciliation.files import Files
from reconciliation.matches import store
from reconciliation.matches.hand_match import (
    BY_HAND,
    HandMatch,
    Part,
    State,
    refuse_other_request,
    refuse_proposed,
)
from reconciliation.matches.place import Place, known_payer, not_waiting, place_of, refuse_not_waiting, sent_of
from reconciliation.originals import as_posted
from reconciliation.payment import REVERSAL, Original, Settlement
from reconciliation.reasons import Decision, RemittanceState
from reconciliation.remittance import ClaimPayment
from reconciliation.reversal import negated, reverse
from reconciliation.taking_back import claims_of, entries_for, out_of_suspense, take_back, waited


@dataclass(frozen=True, slots=True)
class Asked:
    """Which reversal takes back which payment, and why."""

    remittance: UUID
    line: int
    original: tuple[UUID, int]
    reason: str
    idempotency_key: str
    said_by: str


@dataclass(frozen=True, slots=True)
class Found:
    """What the books make of it: the decision, and what is taken back."""

    chunk: Chunk
    place: Place
    settlement: Settlement
    original: Original


async def match_reversal(database: AsyncEngine, files: Files, book: str, asked: Asked) -> tuple[HandMatch, bool]:
    """Takes a payment back or proposes to; whether the same was said before under the key.

    Raises RemittanceNotFound, RemittanceNotSettled, ClaimPaymentNotFound, ClaimPaymentNotReversal,
    ClaimPaymentNotWaiting, OriginalNotPosted, OriginalTakenBack, OriginalOfAnotherPayer, ReversalAmountsDiffer,
    MatchProposed, MatchRefused, IdempotencyKeyReused, FileKeyUnknown or FileDamaged.
    """
    sent = await sent_of(database, files, book, asked.remittance, asked.line)
    async with journal.posting(database, book) as (connection, head):
        place = await place_of(connection, book, asked.remittance, asked.line)
        word = _worded(asked, place)
        if earlier := await store.under_key(connection, book, asked.said_by, asked.idempotency_key):
            refuse_other_request(earlier, word)
            return earlier, True
        refuse_proposed(await store.last(connection, book, asked.remittance, asked.line))
        found = await _found(connection, head, place, sent, word)
        limit = (await store.limits(connection, book)).get(word.currency)
        parts = (Part(found.original.claim or "", word.amount),)
        word = replace(word, parts=parts, limit=limit.amount if limit else None)
        if word.above_limit:
            return await store.add(connection, head, replace(word, state=State.PROPOSED)), False
        return await _recorded(found, word), False


async def approved(
    connection: AsyncConnection, head: Head, place: Place, sent: ClaimPayment, word: HandMatch
) -> HandMatch:
    """A second person agrees to what was proposed, where it still takes back the same claim's payment.

    Raises what `match_reversal` raises of the payments as they stand now.
    """
    found = await _found(connection, head, place, sent, word)
    proposed, claim = word.parts[0].claim, found.original.claim or ""
    if claim != proposed:
        told = f"what is to be taken back was of claim {proposed or 'none'}, and is of claim {claim or 'none'} now"
        raise MatchRefused(told, claim=claim, payer=found.chunk.payment.payer)
    return await _recorded(found, word)


def _worded(asked: Asked, place: Place) -> HandMatch:
    """What is asked for, before it is known whose claim that is."""
    return HandMatch(
        remittance=asked.remittance,
        line=asked.line,
        state=State.MATCHED,
        parts=(Part("", place.claim_payment.paid or 0),),
        currency=place.remittance.currency,
        reason=asked.reason,
        said_by=asked.said_by,
        idempotency_key=asked.idempotency_key,
        original=asked.original,
    )


async def _found(
    connection: AsyncConnection, head: Head, place: Place, sent: ClaimPayment, word: HandMatch
) -> Found:
    """The decision, once nothing speaks against it; `chunk` is of the reversal's payment and knows the claims."""
    row, payer = place.claim_payment, known_payer(place)
    if row.status != REVERSAL:
        told = f"claim payment {row.line} takes nothing back: its status is {row.status}"
        raise ClaimPaymentNotReversal(told, line=row.line, status=row.status)
    refuse_not_waiting(place)
    assert word.original
    original_place = await place_of(connection, head.book, *word.original)
    original = await _original(connection, head.book, original_place)
    _refuse_other_payer(place, original_place)
    _refuse_amounts(place, original_place, original)
    chunk = await chunk_of(connection, head, place.remittance, payer, word.said_by)
    await _read(chunk, original)
    if (waits := await waited(chunk, row)) is False:
        raise not_waiting(row, f"entry {row.entry_number}, under which the money waited, was reversed")
    days = [entry.effective_date for entry in entries_for(original)]
    later = replace(chunk.payment, effective_date=max([chunk.payment.effective_date, *days]))
    chunk.payment = out_of_suspense(later, row.line, waits)
    settlement, _ = reverse(chunk.payment, sent, [original], chunk.items)
    if settlement.decision is Decision.SUSPENDED:
        raise MatchRefused(settlement.raised[0].detail, claim=original.claim or "", payer=payer)
    evidence = f"{settlement.evidence}; {word.evidence()}"
    return Found(chunk, place, structs.replace(settlement, rule=BY_HAND, evidence=evidence), original)


async def _original(connection: AsyncConnection, book: str, place: Place) -> Original:
    """What was posted for the payment that is to be taken back. Raises OriginalNotPosted or OriginalTakenBack."""
    row = place.claim_payment
    facts = {"remittance": row.remittance, "line": row.line}
    if row.taken_back:
        by = await store.taken_back_by(connection, book, row.remittance, row.line)
        raise OriginalTakenBack(f"it was taken back before, by {by}", **facts, taken_back_by=by)
    if row.status == REVERSAL or row.decision in (Decision.SUSPENDED, Decision.NOTED):
        stands = "a reversal itself" if row.status == REVERSAL else row.decision
        told = (
            f"claim payment {row.line} of remittance {row.remittance} is {stands}: there is nothing to take back"
        )
        raise OriginalNotPosted(told, **facts, decision=row.decision, status=row.status)
    if found := await as_posted(connection, book, [row]):
        return found[0]
    number = row.entry_number
    while later := await journal.reversals(connection, book, [number]):
        number = later[number]
    raise OriginalTakenBack(f"entry {number} has reversed what it had posted", **facts, taken_back_by=number)


def _refuse_other_payer(place: Place, original: Place) -> None:
    """As for a rule: the same payer, or the same signature. Raises OriginalOfAnotherPayer."""
    own, other = place.remittance, original.remittance
    if own.payer != other.payer and own.signed_by != other.signed_by:
        payer = other.payer or other.signed_by
        told = f"{own.payer} takes nothing back of {payer}"
        raise OriginalOfAnotherPayer(told, payer=own.payer, original_payer=payer)


def _refuse_amounts(place: Place, original_place: Place, original: Original) -> None:
    """All of what was paid and charged is taken back, or nothing. Raises ReversalAmountsDiffer."""
    row, currency = place.claim_payment, place.remittance.currency
    original_currency = original_place.remittance.currency
    if currency == original_currency and negated(row.paid or 0, row.charge, [original]):
        return
    facts = {
        "paid": plain(row.paid or 0, currency),
        "charge": "" if row.charge is None else plain(row.charge, currency),
        "original_paid": plain(original.paid, original_currency),
        "original_charge": "" if original.charge is None else plain(original.charge, original_currency),
        "currency": currency,
        "original_currency": original_currency,
    }
    told = (
        f"{facts['paid']} {currency} of a charge of {facts['charge'] or 'nothing said'} does not take back "
        f"{facts['original_paid']} {original_currency} of a charge of {facts['original_charge'] or 'nothing said'}"
    )
    raise ReversalAmountsDiffer(told, **facts)


async def _read(chunk: Chunk, original: Original) -> None:
    """Puts the claims that were paid into the chunk."""
    connection, book = chunk.connection, chunk.head.book
    items = await books.items(connection, book, claims_of(original) | {original.claim or ""})
    chunk.coverages = await covering.coverages(connection, book, items)
    chunk.items = covering.billed(items, chunk.coverages, chunk.payment.payer)


async def _recorded(found: Found, word: HandMatch) -> HandMatch:
    """Posts it, and writes down what was said."""
    chunk, row = found.chunk, found.place.claim_payment
    connection, book = chunk.connection, chunk.head.book
    key = f"{row.line}:by_hand:{chunk.head.number + 1}"
    number = await take_back(chunk, row, found.settlement, found.original, key)
    await closing.close_settled(chunk)
    moved = {"posted": row.paid or 0, "suspended": -(row.paid or 0)}
    await mail.progress(connection, book, row.remittance, RemittanceState.SETTLED, moved)
    return await store.add(connection, chunk.head, replace(word, entry_number=number))
