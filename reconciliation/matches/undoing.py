"""A match that was wrong, a rule's or a person's, is undone by new entries: the money waits in suspense again."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.accounts import chart
from ledger.errors import ClaimMovedMeanwhile, ClaimPaymentNotMatched
from ledger.postings import journal
from ledger.postings import store as books
from ledger.postings.batch import Head
from ledger.postings.open_items import moved_since
from reconciliation import closing, covering, denial_store
from reconciliation import store as mail
from reconciliation.chunk import Chunk, chunk_of, entries_of, exception, move_rows, post
from reconciliation.denials import Denial, withdrawn
from reconciliation.matches import store
from reconciliation.matches.hand_match import (
    UNMATCHED,
    HandMatch,
    Part,
    State,
    refuse_other_request,
    refuse_proposed,
)
from reconciliation.matches.place import Place, place_of
from reconciliation.originals import as_posted, as_taken
from reconciliation.payment import REVERSAL, Original, Raised, Settlement, into_suspense
from reconciliation.reasons import Decision, ExceptionReason, RemittanceState
from reconciliation.reversal import given_back, taken_back
from reconciliation.taking_back import claims_of, entries_for, entry_numbers, takes_back

_NOT_MATCHED = (Decision.SUSPENDED, Decision.NOTED)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which claim payment is taken from its claims, and why."""

    remittance: UUID
    line: int
    reason: str
    idempotency_key: str
    said_by: str


async def unmatch(database: AsyncEngine, book: str, asked: Asked) -> tuple[HandMatch, bool]:
    """Undoes a match; whether the same was said before under the key.

    Raises RemittanceNotFound, RemittanceNotSettled, ClaimPaymentNotFound, ClaimPaymentNotMatched, MatchProposed,
    DenialStateRefused, ClaimMovedMeanwhile or IdempotencyKeyReused.
    """
    async with journal.posting(database, book) as (connection, head):
        place = await place_of(connection, book, asked.remittance, asked.line)
        last = await store.last(connection, book, asked.remittance, asked.line)
        word = _worded(asked, place, last)
        if earlier := await store.under_key(connection, book, asked.said_by, asked.idempotency_key):
            refuse_other_request(earlier, word)
            return earlier, True
        refuse_proposed(last)
        if place.claim_payment.status == REVERSAL:
            return await _given_back(connection, head, place, word), False
        original = await _original(connection, book, place)
        return await _undone(connection, head, place, original, word), False


def _worded(asked: Asked, place: Place, last: HandMatch | None) -> HandMatch:
    row = place.claim_payment
    matched = last is not None and last.state is State.MATCHED
    parts = last.parts if last and matched else (Part(row.claim or "", row.paid or 0),)
    original = (row.reverses_remittance, row.reverses_line) if row.reverses_remittance else None
    return HandMatch(
        remittance=asked.remittance,
        line=asked.line,
        state=State.UNMATCHED,
        parts=parts,
        currency=place.remittance.currency,
        reason=asked.reason,
        said_by=asked.said_by,
        idempotency_key=asked.idempotency_key,
        original=original,
    )


async def _original(connection: AsyncConnection, book: str, place: Place) -> Original:
    """What was posted for the claim payment. Raises ClaimPaymentNotMatched."""
    row = place.claim_payment
    found = await as_posted(connection, book, [row])
    if row.decision in _NOT_MATCHED or row.taken_back or not found:
        raise _not_matched(row, taken_back=row.taken_back or not found)
    return found[0]


def _not_matched(row: Row[Any], *, taken_back: bool) -> ClaimPaymentNotMatched:
    stands = "taken back" if taken_back else f"{row.decision}, of status {row.status}"
    return ClaimPaymentNotMatched(
        f"claim payment {row.line} has no claim from which it could be taken: it is {stands}",
        line=row.line,
        decision=row.decision,
    )


async def _undone(
    connection: AsyncConnection, head: Head, place: Place, original: Original, word: HandMatch
) -> HandMatch:
    row = place.claim_payment
    chunk = await _chunk(connection, head, place, {part.claim for part in word.parts}, word)
    settlement = taken_back(chunk.payment, original, chunk.items)
    why = f"{row.claim or 'split'} by {row.rule}; {word.said_by} said it was wrong: {word.reason}"
    number = await _suspended_again(chunk, row, settlement, f"was matched to {why}", word)
    await _withdraw_denials(chunk, row.line, word)
    await closing.open_again(chunk, entry_numbers(original))
    await closing.close_settled(chunk)
    back = {"posted": -original.paid, "suspended": original.paid}
    written = await _written(chunk, replace(word, entry_number=number), back)
    await _raise(chunk, written, row.claim_as_sent, ExceptionReason.UNKNOWN_CLAIM, f"unmatched from {why}")
    return written


async def _given_back(connection: AsyncConnection, head: Head, place: Place, word: HandMatch) -> HandMatch:
    """What a reversal took back stands again as it was, and the reversal waits. Raises ClaimPaymentNotMatched."""
    book, row = head.book, place.claim_payment
    taken = await as_taken(connection, book, row) if row.decision == Decision.REVERSED else None
    if taken is None or word.original is None:
        raise _not_matched(row, taken_back=row.decision == Decision.REVERSED)
    chunk = await _chunk(connection, head, place, claims_of(taken), word)
    days = [entry.effective_date for entry in entries_for(taken)]
    chunk.payment = replace(chunk.payment, effective_date=max([chunk.payment.effective_date, *days]))
    await _refuse_moved(chunk, taken)
    waited_too = await _waits(connection, book, word.original)
    why = f"line {word.original[1]} of remittance {word.original[0]} by {row.rule}"
    said = f"{word.said_by} said it was wrong: {word.reason}"
    number = await _suspended_again(
        chunk, row, given_back(chunk.payment, taken), f"had taken back {why}; {said}", word
    )
    await takes_back(chunk, row, None)
    await _withdraw_denials(chunk, row.line, word)
    await closing.open_again(chunk, entry_numbers(taken))
    await closing.close_settled(chunk)
    # A reversal of what had no claim was counted as suspended all the time: against the other, that waits again.
    back = {} if waited_too else {"posted": -taken.paid, "suspended": taken.paid}
    written = await _written(chunk, replace(word, entry_number=number), back)
    reason = ExceptionReason.REVERSAL_WITHOUT_ORIGINAL
    await _raise(chunk, written, row.claim_as_sent, reason, f"unmatched from {why}; {said}")
    return written


async def _waits(connection: AsyncConnection, book: str, original: tuple[UUID, int]) -> bool:
    """Whether what a reversal took back had no claim, and waits in suspense."""
    row = await mail.existing_claim_payment(connection, book, *original)
    return row is not None and row.decision == Decision.SUSPENDED


async def _refuse_moved(chunk: Chunk, taken: Original) -> None:
    """The claims amount to what the reversal left, but for the patient's own doing, and no denial came since.

    Raises ClaimMovedMeanwhile: what came was decided on what the reversal had opened, and is undone first.
    """
    numbers, claims = entry_numbers(taken), claims_of(taken)
    if not numbers:
        return
    connection, book = chunk.connection, chunk.head.book
    for row in await moved_since(connection, book, max(numbers), claims):
        if row.account not in (chart.PATIENT_RECEIVABLE, chart.PATIENT_REFUNDS):
            told = f"claim {row.item} went on since, with entry {row.entry_number}: that is undone first"
            raise ClaimMovedMeanwhile(told, claim=row.item, entry_number=row.entry_number)
    last = (await books.numbered(connection, book, [max(numbers)]))[max(numbers)]
    payer, place = chunk.payment.payer, (taken.remittance, taken.line)
    for claim in await denial_store.decided_since(connection, book, payer, claims, last.recorded_at, place):
        told = f"{payer} has decided on claim {claim} since: that is undone first"
        raise ClaimMovedMeanwhile(told, claim=claim, entry_number=0)


async def _chunk(
    connection: AsyncConnection, head: Head, place: Place, claims: Collection[str], word: HandMatch
) -> Chunk:
    """Where a match is undone, with the claims as they stand."""
    chunk = await chunk_of(connection, head, place.remittance, place.remittance.payer, word.said_by)
    items = await books.items(connection, head.book, {*claims})
    chunk.coverages = await covering.coverages(connection, head.book, items)
    chunk.items = covering.billed(items, chunk.coverages, chunk.payment.payer)
    return chunk


async def _suspended_again(
    chunk: Chunk, row: Row[Any], settlement: Settlement, evidence: str, word: HandMatch
) -> int | None:
    """Undoes what a match posted, and says that the claim payment waits; returns the entry by which it does."""
    number = await _post(chunk, row.line, settlement, row.paid or 0, word)
    decided = {
        "line": row.line,
        "decision": Decision.SUSPENDED,
        "claim": None,
        "rule": UNMATCHED,
        "evidence": evidence,
        "entry_number": number,
    }
    await mail.decide_again(chunk.connection, chunk.head.book, chunk.remittance, [decided], word.said_by)
    return number


async def _written(chunk: Chunk, word: HandMatch, back: dict[str, int]) -> HandMatch:
    """The word, kept, and the remittance's columns with what went back into suspense."""
    connection, book = chunk.connection, chunk.head.book
    await mail.progress(connection, book, chunk.remittance, RemittanceState.SETTLED, back)
    return await store.add(connection, chunk.head, word)


async def _raise(chunk: Chunk, word: HandMatch, sent: str, reason: ExceptionReason, detail: str) -> None:
    """Somebody must look for the claim again: an exception of its own each time, whatever became of others."""
    raised = exception(chunk, word.line, Raised(reason, word.amount, detail), sent, None)
    id_ = uuid5(chunk.remittance, f"{word.line}/unmatched/{word.number}")
    await mail.add_exceptions(chunk.connection, [raised | {"id": id_}], word.said_by)


async def _post(chunk: Chunk, line: int, settlement: Settlement, paid: int, word: HandMatch) -> int | None:
    """Posts what undoes the match, then the money's way into suspense; returns the number of that entry.

    The two are apart, so that what waits has an entry of its own that a later match or reversal can settle.
    """
    key = f"{line}:unmatched:{chunk.head.number + 1}"
    waits = into_suspense(chunk.payment, line, paid, f"unmatched: {word.reason}")
    posting = entries_of(settlement, key) + ([(f"{key}:suspended", waits)] if waits else [])
    numbers = await post(chunk, posting)
    chunk.follow([settlement.entry, *(move.entry for move in settlement.moves)])
    await covering.add_moves(chunk.connection, move_rows(chunk, settlement, line, key, numbers))
    return numbers.get(f"{key}:suspended")


async def _withdraw_denials(chunk: Chunk, line: int, word: HandMatch) -> None:
    """What the payment made of denials is as it was before. Raises DenialStateRefused."""
    claims = [part.claim for part in word.parts]
    denied = await denial_store.of_claims(chunk.connection, chunk.head.book, chunk.payment.payer, claims)
    found = [one for claim in denied if (one := await _withdrawn(chunk, line, claim, word))]
    await denial_store.add(chunk.connection, chunk.head.book, found)


async def _withdrawn(chunk: Chunk, line: int, claim: str, word: HandMatch) -> Denial | None:
    connection, book, payment = chunk.connection, chunk.head.book, chunk.payment
    rows = await denial_store.history(connection, book, claim, payment.payer)
    history = [denial_store.denial(row) for row in rows]
    unmatched = await store.unmatched(connection, book, {one.place for one in history if one.place})
    before = withdrawn(history, (payment.remittance, line), unmatched)
    if before is None:
        return None
    again = history[-1].to(
        before.state, payment.effective_date, f"unmatched: {word.reason}"[:500], word.said_by, chunk.open(claim)
    )
    kept = {name: getattr(before, name) for name in ("codes", "policy", "remittance", "line", "entry_number")}
    return replace(again, **kept)
