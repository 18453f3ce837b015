"""A person says which claims a payment in suspense is for; above a limit, two persons do.

The claim payment is read again from the file that was kept, before anybody waits for the book. Under the head lock
it is decided by the rules that settle the mail, and posted out of suspense with the words that led to it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.accounts.store import existing_book
from ledger.database import reading
from ledger.errors import (
    ClaimNotFound,
    CurrenciesMixed,
    MatchProposalNotFound,
    MatchRefused,
)
from ledger.money import Amount
from ledger.postings import journal
from ledger.postings import store as books
from ledger.postings.batch import Head
from reconciliation import covering
from reconciliation import store as mail
from reconciliation.chunk import Chunk, Decided, chunk_of
from reconciliation.files import Files
from reconciliation.matches import reversing, store
from reconciliation.matches.hand_match import (
    BY_HAND,
    HandMatch,
    Part,
    State,
    refuse_decision,
    refuse_other_request,
    refuse_parts,
    refuse_proposed,
)
from reconciliation.matches.place import Place, known_payer, not_waiting, place_of, refuse_not_waiting, sent_of
from reconciliation.matches.split import split
from reconciliation.matching import Match, billed
from reconciliation.payment import REVERSAL, Payment, Settlement
from reconciliation.reasons import Decision, RemittanceState
from reconciliation.rematch import Found, out_of_suspense, record, still_suspended
from reconciliation.remittance import ClaimPayment
from reconciliation.settlement import settle


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller asks for. A part without an amount gets all that was paid."""

    remittance: UUID
    line: int
    parts: tuple[tuple[str, Amount | None], ...]
    reason: str
    idempotency_key: str
    said_by: str


async def match(database: AsyncEngine, files: Files, book: str, asked: Asked) -> tuple[HandMatch, bool]:
    """Matches a claim payment or proposes it; whether the same was said before under the key.

    Raises RemittanceNotFound, RemittanceNotSettled, ClaimPaymentNotFound, ClaimPaymentNotWaiting, ClaimNotFound,
    CurrenciesMixed, MatchPartsDiffer, MatchProposed, MatchRefused, IdempotencyKeyReused, FileKeyUnknown or
    FileDamaged.
    """
    sent = await sent_of(database, files, book, asked.remittance, asked.line)
    async with journal.posting(database, book) as (connection, head):
        place = await place_of(connection, book, asked.remittance, asked.line)
        word = _worded(asked, place)
        if earlier := await store.under_key(connection, book, asked.said_by, asked.idempotency_key):
            refuse_other_request(earlier, word)
            return earlier, True
        refuse_proposed(await store.last(connection, book, asked.remittance, asked.line))
        _refuse_reversal(place)
        refuse_not_waiting(place)
        refuse_parts(word.parts, place.claim_payment.paid or 0, word.currency)
        found = await _found(connection, head, place, sent, word)
        limit = (await store.limits(connection, book)).get(word.currency)
        word = replace(word, limit=limit.amount if limit else None)
        if word.above_limit:
            return await store.add(connection, head, replace(word, state=State.PROPOSED)), False
        return await _recorded(found, word), False


async def approve(
    database: AsyncEngine, files: Files, book: str, number: int, reason: str, actor: str
) -> HandMatch:
    """A second person agrees: what was proposed is posted.

    Raises MatchProposalNotFound, MakerIsChecker, and what `match` or `reversing.match_reversal` raises as things
    stand now.
    """
    async with reading(database) as connection:
        await existing_book(connection, book)
        proposed = await store.numbered(connection, book, number)
    if proposed is None:
        raise MatchProposalNotFound(f"no match {number} waits for a second person", number=number)
    sent = await sent_of(database, files, book, proposed.remittance, proposed.line)
    async with journal.posting(database, book) as (connection, head):
        if earlier := await _decided(connection, book, number, State.MATCHED, actor):
            return earlier
        last = await store.last(connection, book, proposed.remittance, proposed.line)
        word = refuse_decision(last, number, actor, approves=True).decided(State.MATCHED, actor, reason)
        place = await place_of(connection, book, word.remittance, word.line)
        if word.original:
            return await reversing.approved(connection, head, place, sent, word)
        refuse_not_waiting(place)
        return await _recorded(await _found(connection, head, place, sent, word), word)


async def decline(database: AsyncEngine, book: str, number: int, reason: str, actor: str) -> HandMatch:
    """What was proposed is not posted. Raises MatchProposalNotFound."""
    async with journal.posting(database, book) as (connection, head):
        if earlier := await _decided(connection, book, number, State.DECLINED, actor):
            return earlier
        proposed = await store.numbered(connection, book, number)
        last = proposed and await store.last(connection, book, proposed.remittance, proposed.line)
        word = refuse_decision(last, number, actor, approves=False).decided(State.DECLINED, actor, reason)
        return await store.add(connection, head, word)


async def _decided(
    connection: AsyncConnection, book: str, number: int, state: State, actor: str
) -> HandMatch | None:
    """What the same person has said of the proposal before, where that was the same."""
    earlier = await store.decision(connection, book, number)
    return earlier if earlier and (earlier.state, earlier.said_by) == (state, actor) else None


def _worded(asked: Asked, place: Place) -> HandMatch:
    """What is asked for, in the remittance's own currency. Raises CurrenciesMixed."""
    all_of_it = Amount(place.claim_payment.paid or 0, place.remittance.currency)
    amounts = [amount or all_of_it for _, amount in asked.parts]
    if currencies := {one.currency for one in amounts} - {all_of_it.currency}:
        told = f"the remittance is in {all_of_it.currency}"
        raise CurrenciesMixed(told, currencies=" ".join([all_of_it.currency, *sorted(currencies)]))
    claims = [claim for claim, _ in asked.parts]
    return HandMatch(
        remittance=asked.remittance,
        line=asked.line,
        state=State.MATCHED,
        parts=tuple(Part(claim, one.minor_units) for claim, one in zip(claims, amounts, strict=True)),
        currency=all_of_it.currency,
        reason=asked.reason,
        said_by=asked.said_by,
        idempotency_key=asked.idempotency_key,
    )


def _refuse_reversal(place: Place) -> None:
    """A reversal takes a payment back, and is none of a claim. Raises ClaimPaymentNotWaiting."""
    row = place.claim_payment
    if row.status == REVERSAL:
        raise not_waiting(row, f"claim payment {row.line} is a reversal: say which payment it takes back")


async def _found(
    connection: AsyncConnection, head: Head, place: Place, sent: ClaimPayment, word: HandMatch
) -> tuple[Chunk, Found]:
    """What the books make of the words. Raises ClaimNotFound, ClaimPaymentNotWaiting or MatchRefused."""
    row, payer = place.claim_payment, known_payer(place, word.parts[0].claim)
    chunk = await chunk_of(connection, head, place.remittance, payer, word.said_by)
    await _read(chunk, [part.claim for part in word.parts])
    entries = await still_suspended(chunk, [row.entry_number] if row.entry_number else [])
    if row.entry_number and row.entry_number not in entries:
        raise not_waiting(row, f"entry {row.entry_number}, under which the money waited, was reversed")
    payment = chunk.payment
    if row.entry_number:
        payment = out_of_suspense(payment, sent, entries[row.entry_number].entry)
    settlement, parts = _settled(chunk, payment, sent, word)
    key = f"{sent.line}:by_hand:{head.number + 1}"
    return chunk, Found(sent, settlement, row.entry_number, parts, key)


async def _read(chunk: Chunk, claims: Iterable[str]) -> None:
    """Puts the claims into the chunk. Raises ClaimNotFound or MatchRefused."""
    connection, book, payer = chunk.connection, chunk.head.book, chunk.payment.payer
    items = await books.items(connection, book, set(claims))
    chunk.coverages = await covering.coverages(connection, book, items)
    chunk.items = covering.billed(items, chunk.coverages, payer)
    for claim in claims:
        if claim not in items:
            raise ClaimNotFound(f"the books know no claim {claim}", claim=claim)
        if not billed(chunk.items[claim], payer):
            raise MatchRefused(f"claim {claim} was never billed to {payer}", claim=claim, payer=payer)


def _settled(
    chunk: Chunk, payment: Payment, sent: ClaimPayment, word: HandMatch
) -> tuple[Settlement, tuple[Decided, ...]]:
    """The decision, and the decision on each claim; the chunk keeps its claims as they will be."""
    if len(word.parts) > 1:
        settlement, parts = split(payment, sent, word, chunk.items, chunk.coverages)
    else:
        claim = word.parts[0].claim
        found = Match(claim, BY_HAND, word.evidence())
        settlement = settle(payment, sent, found, chunk.items[claim], chunk.coverage(claim))
        parts = (settlement,)
    if settlement.decision is Decision.SUSPENDED:
        told, claims = settlement.raised[0].detail, " ".join(part.claim for part in word.parts)
        raise MatchRefused(told, claim=claims, payer=payment.payer)
    chunk.follow([settlement.entry, *(move.entry for move in settlement.moves)])
    return settlement, tuple(Decided(sent, part, open=chunk.open(part.claim)) for part in parts)


async def _recorded(found: tuple[Chunk, Found], word: HandMatch) -> HandMatch:
    chunk, one = found
    connection, book = chunk.connection, chunk.head.book
    moved = await record(chunk, [one])
    await mail.progress(connection, book, chunk.remittance, RemittanceState.SETTLED, moved)
    row = await mail.existing_claim_payment(connection, book, chunk.remittance, one.sent.line)
    assert row is not None
    return await store.add(connection, chunk.head, replace(word, entry_number=row.entry_number))
