"""Fills the days of segments behind the head of each book, by which a listing passes over whole segments.

Neither reads nor posting wait for it. What is not filled yet is read from the entries themselves.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.accounts.recorded import LEVELS
from ledger.database import reading, recording

SIZE, _ = LEVELS[0]
"""Entries in a segment: as many as in the smallest ones with totals. Programs that fill the same books at the same
time must have one size: of two that begin at one entry, a listing would tell the entries twice."""

# Books with a complete segment that is not filled.
_BEHIND = text("""
    SELECT h.book
    FROM heads AS h
    WHERE h.number >= :size + (SELECT coalesce(max(number), 0) FROM segment_days WHERE book = h.book)
    ORDER BY h.book
""")
# The next segment; whoever else fills it writes the same. OFFSET 0 keeps PostgreSQL from looking for the first day
# in the order of days, through the whole book.
_FILL = text("""
    INSERT INTO segment_days (book, number, size, first_day, last_day)
    SELECT h.book, next.number, CAST(:size AS bigint), days.first_day, days.last_day
    FROM heads AS h
    CROSS JOIN LATERAL (
        SELECT coalesce(max(number), 0) + :size AS number FROM segment_days WHERE book = h.book
    ) AS next
    CROSS JOIN LATERAL (
        SELECT min(effective_date) AS first_day, max(effective_date) AS last_day
        FROM (
            SELECT effective_date FROM entries
            WHERE book = h.book AND number > next.number - :size AND number <= next.number
            ORDER BY number OFFSET 0
        ) AS of_segment
        HAVING count(*) = :size
    ) AS days
    WHERE h.book = :book AND h.number >= next.number
    ON CONFLICT DO NOTHING
    RETURNING number
""")


async def fill(database: AsyncEngine, size: int = SIZE) -> int:
    """Fills all segments that are complete; returns how many those were. Raises DatabaseUnavailable."""
    async with reading(database) as connection:
        behind = [row.book for row in await connection.execute(_BEHIND, {"size": size})]
    count = 0
    for book in behind:
        while await _fill(database, book, size):
            count += 1
    return count


async def _fill(database: AsyncEngine, book: str, size: int) -> bool:
    """The next segment of a book, in a database transaction of its own; False where none is complete."""
    async with recording(database) as connection:
        return (await connection.execute(_FILL, {"book": book, "size": size})).first() is not None
