"""Reversals that came before what they take back: once that is settled, it is undone out of suspense.

Mail comes in any order. A reversal without a known original waits with its money in suspense; when the payment
that it negates arrives, both are in the books as if they had come in their order.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, text

from ledger.postings.entry import PostedEntry
from reconciliation.chunk import Chunk
from reconciliation.originals import name_of, originals
from reconciliation.payment import REVERSAL, Payment
from reconciliation.remittance import ClaimPayment
from reconciliation.reversal import negated, taken_back
from reconciliation.states import changing
from reconciliation.taking_back import out_of_suspense, waited
from reconciliation.taking_back import take_back as record

_WAITING = text("""
    SELECT c.*, r.trace, r.payment_date, r.currency
    FROM claim_payments AS c JOIN remittances AS r ON r.book = c.book AND r.id = c.remittance
    WHERE c.book = :book AND c.payer_control_number = ANY(CAST(:numbers AS text[])) AND c.status = '22'
        AND c.decision = 'suspended' AND c.rule <> 'unmatched' AND (r.signed_by = :signed_by OR r.payer = :payer)
    ORDER BY r.payment_date, c.remittance, c.line
""")
_OUT_OF_SUSPENSE = changing("""
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
    name = name_of(row)
    found = await originals(connection, book, chunk.signed_by, payer, [name])
    fitting = [one for one in negated(row.paid or 0, row.charge, found[name]) if not one.suspended]
    waits = await waited(chunk, row)
    if len(fitting) != 1 or waits is False:
        return
    own, chunk.payment = chunk.payment, _of(chunk, row, waits)
    settlement = taken_back(chunk.payment, fitting[0], chunk.items)
    await record(chunk, row, settlement, fitting[0], f"{row.line}:taken_back")
    chunk.payment = own
    if str(row.remittance) == own.remittance:
        chunk.suspended -= row.paid or 0
        return
    moved = {"book": book, "remittance": row.remittance, "paid": row.paid or 0}
    await connection.execute(_OUT_OF_SUSPENSE, moved)


def _of(chunk: Chunk, row: Row[Any], waits: PostedEntry | bool | None) -> Payment:
    """The payment that the reversal came with; what it undoes counts from the later of the two days."""
    payment = replace(
        chunk.payment,
        remittance=str(row.remittance),
        trace=row.trace,
        effective_date=max(row.payment_date, chunk.payment.effective_date),
    )
    return out_of_suspense(payment, row.line, waits)
