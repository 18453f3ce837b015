"""Looks again for the claims of payments that wait in suspense, when their file is delivered again.

A session may have been recorded after the payer paid for it, or the payer identified after its first remittance.
What is found now is settled out of suspense by a new entry; what is not goes on waiting.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row

from ledger.postings import journal
from ledger.postings import store as books
from ledger.postings.entry import JournalEntry, PostedEntry
from reconciliation import awaiting, closing, covering, denying, store
from reconciliation.amounts import minor_units
from reconciliation.chunk import Chunk, Decided, entries_of, known_of, move_rows, post, raised_rows
from reconciliation.matching import Match, match
from reconciliation.payment import Payment, Settlement, adjusted
from reconciliation.reasons import Decision
from reconciliation.remittance import ClaimPayment
from reconciliation.settlement import settle
from reconciliation.settling import cover_again


@dataclass(frozen=True, slots=True)
class Found:
    """A claim payment whose claim is known now, and the entry under which its money waited.

    `key` is that under which its entries are posted; `parts` is the decision on each of its claims.
    """

    sent: ClaimPayment
    settlement: Settlement
    waited_as: int | None
    parts: tuple[Decided, ...]
    key: str


async def match_again(chunk: Chunk, claims: Sequence[ClaimPayment]) -> dict[str, int]:
    """Settles out of suspense what can be matched now.

    Returns what this adds to the remittance's columns posted and suspended.
    """
    connection, book = chunk.connection, chunk.head.book
    waiting = await store.waiting(connection, book, chunk.remittance, [one.line for one in claims])
    again = [one for one in claims if one.line in waiting]
    known = await known_of(chunk, again)
    chunk.items = dict(known.items)
    entries = await still_suspended(chunk, [row.entry_number for row in waiting.values() if row.entry_number])
    found: list[Found] = []
    moved: Counter[str] = Counter()
    for sent in again:
        row = waiting[sent.line]
        matched = match(sent, known, chunk.payment.currency)
        if isinstance(matched, Match) and (not row.entry_number or row.entry_number in entries):
            if chunk.must_cover_again(matched.claim):
                moved.update(await record(chunk, found))
                found = []
                await cover_again(chunk, matched.claim)
            found += _settled(chunk, sent, matched, row, entries)
    moved.update(await record(chunk, found))
    return dict(moved)


async def still_suspended(chunk: Chunk, numbers: Sequence[int]) -> dict[int, PostedEntry]:
    """The entries by which the money waits, by those that suspended it, but for what somebody has reversed."""
    stands = await journal.standing_by(chunk.connection, chunk.head.book, numbers)
    posted = await books.numbered(chunk.connection, chunk.head.book, stands.values())
    return {number: posted[by] for number, by in stands.items()}


def _settled(
    chunk: Chunk, sent: ClaimPayment, matched: Match, row: Row[Any], entries: dict[int, PostedEntry]
) -> list[Found]:
    payment = chunk.payment
    if row.entry_number:
        payment = out_of_suspense(payment, sent, entries[row.entry_number].entry)
    settlement = settle(payment, sent, matched, chunk.items[matched.claim], chunk.coverage(matched.claim))
    if settlement.decision is Decision.SUSPENDED:
        return []
    chunk.follow([settlement.entry, *(move.entry for move in settlement.moves)])
    chunk.uncertain.add(matched.claim)
    decided = Decided(sent, settlement, open=chunk.open(settlement.claim))
    return [Found(sent, settlement, row.entry_number, (decided,), f"{sent.line}:matched")]


def out_of_suspense(payment: Payment, sent: ClaimPayment, suspended: JournalEntry) -> Payment:
    """The payment, its money coming from where the first entry put it."""
    name = payment.own_name(sent.line)
    [account] = [posting.account for posting in suspended.postings if posting.item == name]
    return replace(payment, waits_in=(account, name))


async def record(chunk: Chunk, found: Sequence[Found]) -> dict[str, int]:
    """Posts what is settled out of suspense and writes it down.

    Returns what this adds to the remittance's columns posted and suspended.
    """
    numbers = await post(chunk, [entry for one in found for entry in entries_of(one.settlement, one.key)])
    rows = [_row(one, numbers.get(one.key)) | adjusted(chunk.payment, one.sent) for one in found]
    await store.decide_again(chunk.connection, chunk.head.book, chunk.remittance, rows, chunk.actor)
    raised = [row for one in found for row in raised_rows(chunk, one.sent, one.settlement)]
    await store.add_exceptions(chunk.connection, raised, chunk.actor)
    moved = [row for one in found for row in move_rows(chunk, one.settlement, one.sent.line, one.key, numbers)]
    await covering.add_moves(chunk.connection, moved)
    decided = [part for one in found for part in one.parts]
    await denying.follow(chunk, decided, {one.sent.line: numbers[one.key] for one in found if one.key in numbers})
    await awaiting.take_back(chunk, [one.sent for one in found])
    await closing.close_settled(chunk)
    moved_out = sum(minor_units(one.sent.paid, chunk.payment.currency) or 0 for one in found)
    return {"posted": moved_out, "suspended": -moved_out}


def _row(found: Found, number: int | None) -> dict[str, Any]:
    """The new decision, as columns of `claim_payments`."""
    waited = f"; waited in suspense as entry {found.waited_as}" if found.waited_as else ""
    return {
        "line": found.sent.line,
        "decision": found.settlement.decision,
        "claim": found.settlement.claim,
        "rule": found.settlement.rule,
        "evidence": found.settlement.evidence + waited,
        "entry_number": number,
    }
