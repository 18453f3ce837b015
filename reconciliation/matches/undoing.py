"""A match that was wrong, a rule's or a person's, is undone by new entries: the money waits in suspense again."""

from dataclasses import dataclass, replace
from uuid import UUID, uuid5

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.errors import ClaimPaymentNotMatched
from ledger.postings import journal
from ledger.postings import store as books
from ledger.postings.batch import Head
from reconciliation import closing, covering, denial_store
from reconciliation import store as mail
from reconciliation.chunk import Chunk, chunk_of, entries_of, exception, move_rows, post
from reconciliation.denials import Denial, withdrawn
from reconciliation.matches import store
from reconciliation.matches.deciding import Place, place_of
from reconciliation.matches.hand_match import (
    UNMATCHED,
    HandMatch,
    Part,
    State,
    refuse_other_request,
    refuse_proposed,
)
from reconciliation.originals import as_posted
from reconciliation.payment import REVERSAL, Original, Raised, Settlement, into_suspense
from reconciliation.reasons import Decision, ExceptionReason, RemittanceState
from reconciliation.reversal import taken_back

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
    DenialStateRefused or IdempotencyKeyReused.
    """
    async with journal.posting(database, book) as (connection, head):
        place = await place_of(connection, book, asked.remittance, asked.line)
        last = await store.last(connection, book, asked.remittance, asked.line)
        word = _worded(asked, place, last)
        if earlier := await store.under_key(connection, book, asked.said_by, asked.idempotency_key):
            refuse_other_request(earlier, word)
            return earlier, True
        refuse_proposed(last)
        original = await _original(connection, book, place)
        return await _undone(connection, head, place, original, word), False


def _worded(asked: Asked, place: Place, last: HandMatch | None) -> HandMatch:
    row = place.claim_payment
    matched = last is not None and last.state is State.MATCHED
    parts = last.parts if last and matched else (Part(row.claim or "", row.paid or 0),)
    return HandMatch(
        remittance=asked.remittance,
        line=asked.line,
        state=State.UNMATCHED,
        parts=parts,
        currency=place.remittance.currency,
        reason=asked.reason,
        said_by=asked.said_by,
        idempotency_key=asked.idempotency_key,
    )


async def _original(connection: AsyncConnection, book: str, place: Place) -> Original:
    """What was posted for the claim payment. Raises ClaimPaymentNotMatched."""
    row = place.claim_payment
    found = await as_posted(connection, book, [row])
    if row.status != REVERSAL and row.decision not in _NOT_MATCHED and not row.taken_back and found:
        return found[0]
    stands = "taken back" if row.taken_back or not found else f"{row.decision}, of status {row.status}"
    raise ClaimPaymentNotMatched(
        f"claim payment {row.line} has no claim from which it could be taken: it is {stands}",
        line=row.line,
        decision=row.decision,
    )


async def _undone(
    connection: AsyncConnection, head: Head, place: Place, original: Original, word: HandMatch
) -> HandMatch:
    book, row = head.book, place.claim_payment
    chunk = await chunk_of(connection, head, place.remittance, place.remittance.payer, word.said_by)
    items = await books.items(connection, book, {part.claim for part in word.parts})
    chunk.coverages = await covering.coverages(connection, book, items)
    chunk.items = covering.billed(items, chunk.coverages, chunk.payment.payer)
    settlement = taken_back(chunk.payment, original, chunk.items)
    number = await _post(chunk, row.line, settlement, original.paid, word)
    said = f"{row.claim or 'split'} by {row.rule}; {word.said_by} said it was wrong: {word.reason}"
    decided = {
        "line": row.line,
        "decision": Decision.SUSPENDED,
        "claim": None,
        "rule": UNMATCHED,
        "evidence": f"was matched to {said}",
        "entry_number": number,
    }
    await mail.decide_again(connection, book, chunk.remittance, [decided], word.said_by)
    await _withdraw_denials(chunk, row.line, word)
    await closing.close_settled(chunk)
    back = {"posted": -original.paid, "suspended": original.paid}
    await mail.progress(connection, book, chunk.remittance, RemittanceState.SETTLED, back)
    written = await store.add(connection, chunk.head, replace(word, entry_number=number))
    await _raise(chunk, written, row.claim_as_sent, f"unmatched from {said}")
    return written


async def _raise(chunk: Chunk, word: HandMatch, sent: str, detail: str) -> None:
    """Somebody must look for the claim again: an exception of its own each time, whatever became of others."""
    why = Raised(ExceptionReason.UNKNOWN_CLAIM, word.amount, detail)
    raised = exception(chunk, word.line, why, sent, None)
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
