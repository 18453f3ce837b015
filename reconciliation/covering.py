"""Where the payers of claims by rank are kept, and what each has taken over from the patient."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec import structs
from sqlalchemy import Row, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.accounts import chart
from ledger.errors import NumberInvalid
from ledger.postings import journal
from ledger.postings import store as books
from ledger.postings.entry import JournalEntry
from ledger.postings.item import Item
from reconciliation.coverage import LAST_RANK, Coverage, in_order, taken_over
from reconciliation.schema import claim_moves

_COVERS = text("""
    SELECT DISTINCT ON (claim, payer_rank) * FROM claim_payers
    WHERE book = :book AND claim = ANY(CAST(:claims AS text[]))
    ORDER BY claim, payer_rank, version DESC
""")
_COVER = text("""
    INSERT INTO claim_payers (book, claim, payer_rank, version, payer, reason, said_by)
    SELECT :book, :claim, :rank, coalesce(max(version), 0) + 1, :payer, :reason, :actor
    FROM claim_payers WHERE book = :book AND claim = :claim AND payer_rank = :rank
""")
_LAST_RANK = text("SELECT max(payer_rank) FROM claim_payers WHERE book = :book AND claim = :claim")
# Entries by which a payer may have taken something over from the patient: its decisions, and what was left to it.
_TAKING = text("""
    SELECT c.claim, r.payer, c.entry_number
    FROM claim_payments AS c JOIN remittances AS r ON r.book = c.book AND r.id = c.remittance
    WHERE c.book = :book AND c.claim = ANY(CAST(:claims AS text[]))
        AND c.entry_number IS NOT NULL AND r.payer IS NOT NULL
    UNION ALL
    SELECT claim, payer, entry_number FROM claim_moves
    WHERE book = :book AND claim = ANY(CAST(:claims AS text[])) AND move = 'forwarded'
""")


async def covers(connection: AsyncConnection, book: str, claims: Collection[str]) -> Sequence[Row[Any]]:
    """The latest word on each rank of these claims, in the order of claim and rank."""
    return (await connection.execute(_COVERS, {"book": book, "claims": [*claims]})).all()


async def say(
    database: AsyncEngine, book: str, claim: str, rank: int, payer: str, actor: str, reason: str
) -> Row[Any]:
    """Says which payer pays a claim in a rank; the same again changes nothing. Raises NumberInvalid."""
    if not 1 <= rank <= LAST_RANK:
        raise NumberInvalid(f"rank is 1 to {LAST_RANK}, not {rank}", field="rank", value=rank)
    async with journal.posting(database, book) as (connection, _):
        before = {row.payer_rank: row for row in await covers(connection, book, [claim])}.get(rank)
        if before and before.payer == payer:
            return before
        await _record_cover(connection, book, claim, rank, payer, actor, reason)
        return next(row for row in await covers(connection, book, [claim]) if row.payer_rank == rank)


async def _record_cover(
    connection: AsyncConnection, book: str, claim: str, rank: int, payer: str, actor: str, reason: str
) -> None:
    """Says which payer pays a claim in a rank, while the head of the book is held."""
    values = {"book": book, "claim": claim, "rank": rank, "payer": payer, "actor": actor, "reason": reason}
    await connection.execute(_COVER, values)


async def record_next(
    connection: AsyncConnection, book: str, claim: str, payer: str, actor: str, reason: str
) -> None:
    """Says which payer pays a claim after all those that are known."""
    last = (await connection.execute(_LAST_RANK, {"book": book, "claim": claim})).scalar_one() or 1
    await _record_cover(connection, book, claim, last + 1, payer, actor, reason)


async def coverages(connection: AsyncConnection, book: str, items: Mapping[str, Item]) -> dict[str, Coverage]:
    """The coverage of those of the claims that have more than the payer of their sessions."""
    ranks: dict[str, dict[int, str]] = {}
    for row in await covers(connection, book, items.keys()):
        first = items[row.claim].dimensions.payer
        ranks.setdefault(row.claim, {1: first} if first else {})[row.payer_rank] = row.payer
    taking = await _taking(connection, book, ranks.keys())
    return {claim: Coverage(in_order(payers), taken_over(taking[claim], claim)) for claim, payers in ranks.items()}


async def _taking(
    connection: AsyncConnection, book: str, claims: Collection[str]
) -> dict[str, list[tuple[str, JournalEntry]]]:
    found: dict[str, list[tuple[str, JournalEntry]]] = defaultdict(list)
    if not claims:
        return found
    rows = (await connection.execute(_TAKING, {"book": book, "claims": [*claims]})).all()
    stands = await journal.standing_by(connection, book, {row.entry_number for row in rows})
    posted = await books.numbered(connection, book, {*stands, *stands.values()})
    for row in rows:
        if row.entry_number in stands and not posted[row.entry_number].entry.reverses:
            found[row.claim].append((row.payer, posted[stands[row.entry_number]].entry))
    return found


def billed(items: Mapping[str, Item], coverage: Mapping[str, Coverage], payer: str) -> dict[str, Item]:
    """The claims, each with a receivable from the payer where it pays in some rank, be it at zero."""
    account = chart.receivable(payer)
    return {
        name: structs.replace(item, balances={account: 0, **item.balances})
        if name in coverage and coverage[name].has(payer)
        else item
        for name, item in items.items()
    }


async def add_moves(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Writes what was posted beside claim payments."""
    if rows:
        await connection.execute(insert(claim_moves), list(rows))


async def moves(connection: AsyncConnection, book: str, remittance: object) -> Sequence[Row[Any]]:
    """What was posted beside the claim payments of a remittance, in the order of the entries."""
    wanted = claim_moves.select().where(claim_moves.c.book == book, claim_moves.c.remittance == remittance)
    return (await connection.execute(wanted.order_by(claim_moves.c.entry_number))).all()
