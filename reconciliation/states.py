"""What became of each remittance, as it was said one after the other: rows are added and never changed.

Whatever changes a remittance says so in the statement that changes it, under the head lock.
"""

from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

_WHAT = ("state", "payer", "posted", "suspended", "settled_claim_count")
_NAMES = ", ".join(_WHAT)
_NOW, _LAST = (", ".join(f"{of}.{name}" for name in _WHAT) for of in ("changed", "last"))
_AS_IT_IS = "SELECT * FROM remittances WHERE book = :book AND id = :remittance"


def _said(changed: str) -> TextClause:
    """Says how a remittance stands, where that is not how it stood; the statement returns its file."""
    return text(f"""
        WITH changed AS ({changed}), said AS (
            INSERT INTO remittance_states (book, remittance, version, {_NAMES})
            SELECT changed.book, changed.id, coalesce(last.version, 0) + 1, {_NOW}
            FROM changed
            LEFT JOIN LATERAL (
                SELECT * FROM remittance_states AS s
                WHERE s.book = changed.book AND s.remittance = changed.id ORDER BY s.version DESC LIMIT 1
            ) AS last ON true
            WHERE last.version IS NULL OR ({_NOW}) IS DISTINCT FROM ({_LAST})
        )
        SELECT sha256 FROM changed
    """)  # noqa: S608 - our own


def changing(update: str) -> TextClause:
    """A statement that changes a remittance and says how it stands then; it returns the SHA-256 of its file."""
    return _said(f"{update} RETURNING *")


_SAY = _said(_AS_IT_IS)


async def say(connection: AsyncConnection, book: str, remittance: UUID) -> None:
    """Says how a remittance stands, once it is written."""
    await connection.execute(_SAY, {"book": book, "remittance": remittance})
