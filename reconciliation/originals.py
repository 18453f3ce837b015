"""What a reversal may take back: claim payments that were settled before, with all that was posted for them."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.postings import journal
from ledger.postings import store as books
from reconciliation import store
from reconciliation.coverage import TAKEN_BACK, Move
from reconciliation.payment import Original
from reconciliation.reasons import Decision

_MOVES = text("""
    SELECT remittance, line, move, payer, entry_number FROM claim_moves
    WHERE book = :book AND remittance = ANY(CAST(:remittances AS uuid[])) AND move <> :but
    ORDER BY entry_number
""")


async def originals(
    connection: AsyncConnection, book: str, signed_by: str, payer: str, number: str, claim_as_sent: str
) -> list[Original]:
    """Settled under this control number, or without one under this claim id, and not undone in any other way."""
    rows = await store.originals(connection, book, signed_by, payer, number, claim_as_sent)
    return await as_posted(connection, book, rows)


async def as_posted(connection: AsyncConnection, book: str, rows: Sequence[Row[Any]]) -> list[Original]:
    """Claim payments with all that was posted for them, but for those whose entry somebody has reversed."""
    numbers = [row.entry_number for row in rows if row.entry_number]
    undone = await journal.reversals(connection, book, numbers)
    posted = await books.numbered(connection, book, numbers)
    moved = await _moved(connection, book, {row.remittance for row in rows})
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
            moves=tuple(moved[row.remittance, row.line]),
        )
        for row in rows
        if row.entry_number not in undone
    ]


async def _moved(
    connection: AsyncConnection, book: str, remittances: Collection[UUID]
) -> dict[tuple[UUID, int], list[tuple[int, Move]]]:
    """What was posted beside the claim payments of these remittances and not undone since."""
    asked = {"book": book, "remittances": [*remittances], "but": TAKEN_BACK}
    rows: Sequence[Row[Any]] = (await connection.execute(_MOVES, asked)).all() if remittances else ()
    numbers = [row.entry_number for row in rows]
    undone = await journal.reversals(connection, book, numbers)
    posted = await books.numbered(connection, book, numbers)
    found: dict[tuple[UUID, int], list[tuple[int, Move]]] = defaultdict(list)
    for row in rows:
        if row.entry_number not in undone:
            move = Move(row.move, row.payer, posted[row.entry_number].entry)
            found[row.remittance, row.line].append((row.entry_number, move))
    return found
