"""Whether the payee that an 835 names is the book itself, by its identifiers."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_OURS = text("""
    SELECT DISTINCT ON (identifier) identifier, ours FROM payee_identifiers
    WHERE book = :book ORDER BY identifier, version DESC
""")
_IDENTIFY = text("""
    INSERT INTO payee_identifiers (book, identifier, version, ours, reason, said_by)
    SELECT :book, said.identifier, coalesce(last.version, 0) + 1, :ours, :reason, :actor
    FROM (SELECT DISTINCT identifier FROM unnest(CAST(:identifiers AS text[])) AS identifier) AS said
    LEFT JOIN LATERAL (
        SELECT version, ours FROM payee_identifiers AS p
        WHERE p.book = :book AND p.identifier = said.identifier ORDER BY version DESC LIMIT 1
    ) AS last ON true
    WHERE last.ours IS DISTINCT FROM :ours
""")


async def is_payee(connection: AsyncConnection, book: str, identifiers: Sequence[str]) -> bool:
    """Whether one of the identifiers is the book's own. A book that knows none of its own takes what comes."""
    ours = {row.identifier for row in await connection.execute(_OURS, {"book": book}) if row.ours}
    return not ours or bool(ours & set(identifiers))


async def identify_payee(
    connection: AsyncConnection, book: str, identifiers: Sequence[str], actor: str, reason: str, *, ours: bool
) -> None:
    """Says which identifiers are the book's own, or no longer are, while the head of the book is held."""
    asked = {"book": book, "identifiers": [*identifiers], "actor": actor, "reason": reason, "ours": ours}
    await connection.execute(_IDENTIFY, asked)
