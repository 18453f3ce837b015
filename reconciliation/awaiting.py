"""Reversals that came before what they take back: once that is settled, it is undone out of suspense.

Mail comes in any order. A reversal without a known original waits with its money in suspense; when the payment
that it negates arrives, both are in the books as if they had come in their order.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, text

from ledger.postings import journal
from ledger.postings import store as books
from ledger.postings.entry import PostedEntry
from reconciliation import covering, denying, store
from reconciliation.chunk import Chunk, entries_of, move_rows, post
from reconciliation.originals import originals
from reconciliation.payment import REVERSAL, Original, Payment, Settlement
from reconciliation.remittance import ClaimPayment
from reconciliation.reversal import negated, taken_back

_WAITING = text("""
    SELECT c.*, r.trace, r.payment_date, r.currency
    FROM claim_payments AS c JOIN remittances AS r ON r.book = c.book AND r.id = c.remittance
    WHERE c.book = :book AND c.payer_control_number = ANY(CAST(:numbers AS text[])) AND c.status = '22'
        AND c.decision = 'suspended' AND (r.signed_by = :signed_by OR r.payer = :payer)
    ORDER BY r.payment_date, c.remittance, c.line
""")
_TAKES_BACK = text("""
    UPDATE claim_payments SET reverses_remittance = :reverses_remittance, reverses_line = :reverses_line
    WHERE book = :book AND remittance = :remittance AND line = :line
""")
_OUT_OF_SUSPENSE = text("""
    UPDATE remittances SET posted = posted + :paid, suspended = suspended - :paid
    WHERE book = :book AND id = :remittance
""")


async def take_back(chunk: Chunk, claims: Sequence[ClaimPayment]) -> None:
    """Undoes what waiting reversals negate among the payments that were just settled."""
    numbers = {one.payer_control_number for one in claims if one.status != REVERSAL and one.payer_control_number}
    if not numbers or not chunk.payer_known:
        return
    payer = chunk.payment.payer
    asked = {"book": chunk.head.book, "numbers": [*numbers], "signed_by": chunk.signed_by, "payer": payer}
    for row in (await chunk.connection.execute(_WAITING, asked)).all():
        await _take_back(chunk, row)


async def _take_back(chunk: Chunk, row: Row[Any]) -> None:
    connection, book, payer = chunk.connection, chunk.head.book, chunk.payment.payer
    found = await originals(connection, book, chunk.signed_by, payer, row.payer_control_number, row.claim_as_sent)
    fitting = [one for one in negated(row.paid or 0, row.charge, found) if not one.suspended]
    waited = await _waited(chunk, row)
    if len(fitting) != 1 or waited is False:
        return
    own, chunk.payment = chunk.payment, _of(chunk, row, waited)
    settlement = taken_back(chunk.payment, fitting[0], chunk.items)
    number = await _record(chunk, row, settlement, fitting[0])
    await denying.taken_back(chunk, fitting[0].claim or "", row.line, number)
    chunk.payment = own
    if str(row.remittance) == own.remittance:
        chunk.suspended -= row.paid or 0
        return
    moved = {"book": book, "remittance": row.remittance, "paid": row.paid or 0}
    await connection.execute(_OUT_OF_SUSPENSE, moved)


async def _waited(chunk: Chunk, row: Row[Any]) -> PostedEntry | bool | None:
    """The entry that put the money into suspense; None where there was no money, False where it is gone."""
    if row.entry_number is None:
        return None
    if await journal.reversals(chunk.connection, chunk.head.book, [row.entry_number]):
        return False
    return (await books.numbered(chunk.connection, chunk.head.book, [row.entry_number]))[row.entry_number]


def _of(chunk: Chunk, row: Row[Any], waited: PostedEntry | bool | None) -> Payment:
    """The payment that the reversal came with; what it undoes counts from the later of the two days."""
    payment = replace(
        chunk.payment,
        remittance=str(row.remittance),
        trace=row.trace,
        effective_date=max(row.payment_date, chunk.payment.effective_date),
        waits_in=None,
    )
    if isinstance(waited, PostedEntry):
        name = payment.own_name(row.line)
        [account] = [posting.account for posting in waited.entry.postings if posting.item == name]
        payment = replace(payment, waits_in=(account, name))
    return payment


async def _record(chunk: Chunk, row: Row[Any], settlement: Settlement, original: Original) -> int | None:
    """Posts what is taken back and says so of the reversal; returns the number of its entry."""
    connection, book, key = chunk.connection, chunk.head.book, f"{row.line}:taken_back"
    numbers = await post(chunk, entries_of(settlement, key))
    chunk.follow([settlement.entry, *(move.entry for move in settlement.moves)])
    again = _again(row, settlement, numbers.get(key))
    await store.decide_again(connection, book, row.remittance, [again], chunk.actor)
    place = {"book": book, "remittance": row.remittance, "line": row.line}
    taken = {"reverses_remittance": original.remittance, "reverses_line": original.line}
    await connection.execute(_TAKES_BACK, {**place, **taken})
    await covering.add_moves(connection, move_rows(chunk, settlement, row.line, key, numbers))
    return numbers.get(key)


def _again(row: Row[Any], settlement: Settlement, number: int | None) -> dict[str, Any]:
    waited = f"; waited in suspense as entry {row.entry_number}" if row.entry_number else ""
    return {
        "line": row.line,
        "decision": settlement.decision,
        "claim": settlement.claim,
        "rule": settlement.rule,
        "evidence": settlement.evidence + waited,
        "entry_number": number,
    }
