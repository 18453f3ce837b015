"""What a reversal may take back: claim payments that were settled before, with all that was posted for them."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.postings import journal
from ledger.postings import store as books
from ledger.postings.entry import PostedEntry
from reconciliation.coverage import GIVEN_BACK, TAKEN_BACK, Move
from reconciliation.payment import Original
from reconciliation.reasons import Decision
from reconciliation.remittance import ClaimPayment

# Settled claim payments of the same sender that nothing has taken back yet: by control number, or where the
# reversal has none, by the claim id as it was sent.
_ORIGINALS = text("""
    SELECT c.*
    FROM unnest(CAST(:numbers AS text[]), CAST(:claims AS text[])) AS asked (number, claim_as_sent)
    CROSS JOIN LATERAL (
        SELECT * FROM claim_payments
        WHERE book = :book AND payer_control_number = asked.number
            AND (asked.number <> '' OR claim_as_sent = asked.claim_as_sent)
        OFFSET 0
    ) AS c
    JOIN remittances AS r ON r.book = c.book AND r.id = c.remittance
    WHERE (r.signed_by = :signed_by OR r.payer = :payer) AND c.status <> '22' AND c.decision <> 'noted'
        AND NOT EXISTS (
            SELECT FROM claim_payments AS later
            WHERE later.book = c.book AND later.reverses_remittance = c.remittance AND later.reverses_line = c.line
        )
    ORDER BY c.remittance, c.line
""")
_MOVES = text("""
    SELECT m.remittance, m.line, m.move, m.payer, m.entry_number
    FROM unnest(CAST(:remittances AS uuid[]), CAST(:lines AS integer[])) AS asked (remittance, line)
    CROSS JOIN LATERAL (
        SELECT * FROM claim_moves WHERE book = :book AND remittance = asked.remittance AND line = asked.line
        OFFSET 0
    ) AS m
    WHERE m.move <> ALL(CAST(:but AS text[]))
    ORDER BY m.entry_number
""")
_OF_LINE = text("""
    SELECT move, payer, entry_number FROM claim_moves
    WHERE book = :book AND remittance = :remittance AND line = :line AND move <> :but
    ORDER BY entry_number
""")


class Name(NamedTuple):
    """What a payment and its reversal are both known by: the control number, or without one the claim's id."""

    number: str
    claim_as_sent: str = ""


def name_of(sent: ClaimPayment | Row[Any]) -> Name:
    """The name of a claim payment, as it was sent or as it is kept."""
    return Name(sent.payer_control_number, "" if sent.payer_control_number else sent.claim_as_sent)


async def originals(
    connection: AsyncConnection, book: str, signed_by: str, payer: str, names: Collection[Name]
) -> defaultdict[Name, list[Original]]:
    """What was settled under each of these names and not undone in any other way."""
    found: defaultdict[Name, list[Original]] = defaultdict(list)
    if not names:
        return found
    numbers, claims = map(list, zip(*names, strict=True))
    asked = {"book": book, "signed_by": signed_by, "payer": payer, "numbers": numbers, "claims": claims}
    rows = (await connection.execute(_ORIGINALS, asked)).all()
    by_place = {(str(row.remittance), row.line): name_of(row) for row in rows}
    for one in await as_posted(connection, book, rows):
        found[by_place[one.remittance, one.line]].append(one)
    return found


async def as_posted(connection: AsyncConnection, book: str, rows: Sequence[Row[Any]]) -> list[Original]:
    """Claim payments with all that stands for them, but for those whose entry somebody has reversed.

    What a reversal took back and has given back stands by the entry that did so.
    """
    stands = await journal.standing_by(connection, book, [row.entry_number for row in rows if row.entry_number])
    posted = await books.numbered(connection, book, stands.values())
    moved = await _moved(connection, book, rows)
    return [
        _original(
            row, posted[stands[row.entry_number]] if row.entry_number else None, moved[row.remittance, row.line]
        )
        for row in rows
        if row.entry_number is None or row.entry_number in stands
    ]


async def as_taken(connection: AsyncConnection, book: str, row: Row[Any]) -> Original | None:
    """A reversal with all that it posted, what it took back among it; None where somebody has reversed its entry.

    Only what nothing has undone is its own: what stands again by another entry is the original's.
    """
    asked = {"book": book, "remittance": row.remittance, "line": row.line, "but": GIVEN_BACK}
    moves = (await connection.execute(_OF_LINE, asked)).all()
    numbers = {one.entry_number for one in (row, *moves) if one.entry_number}
    undone = await journal.reversals(connection, book, numbers)
    if row.entry_number in undone:
        return None
    posted = await books.numbered(connection, book, numbers - undone.keys())
    moved = [
        (one.entry_number, Move(one.move, one.payer, posted[one.entry_number].entry))
        for one in moves
        if one.entry_number in posted
    ]
    return _original(row, posted[row.entry_number] if row.entry_number else None, moved)


def _original(row: Row[Any], stands: PostedEntry | None, moves: Sequence[tuple[int, Move]]) -> Original:
    return Original(
        remittance=str(row.remittance),
        line=row.line,
        claim=row.claim,
        charge=row.charge,
        paid=row.paid or 0,
        entry_number=stands.number if stands else None,
        entry=stands.entry if stands else None,
        suspended=row.decision == Decision.SUSPENDED,
        moves=tuple(moves),
    )


async def _moved(
    connection: AsyncConnection, book: str, paid: Sequence[Row[Any]]
) -> dict[tuple[UUID, int], list[tuple[int, Move]]]:
    """What was posted beside these claim payments and not undone since."""
    places = {"remittances": [row.remittance for row in paid], "lines": [row.line for row in paid]}
    asked = {"book": book, "but": [TAKEN_BACK, GIVEN_BACK], **places}
    rows: Sequence[Row[Any]] = (await connection.execute(_MOVES, asked)).all() if paid else ()
    stands = await journal.standing_by(connection, book, [row.entry_number for row in rows])
    posted = await books.numbered(connection, book, stands.values())
    found: dict[tuple[UUID, int], list[tuple[int, Move]]] = defaultdict(list)
    for row in rows:
        if number := stands.get(row.entry_number):
            found[row.remittance, row.line].append((number, Move(row.move, row.payer, posted[number].entry)))
    return found
