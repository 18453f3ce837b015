"""Fills recorded totals behind the head of each book, in whole segments. Neither reads nor posting wait for it."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import recording

LEVELS = ((4_096, 64), (65_536, 1), (1_048_576, 1))
"""Entries in a segment, a multiple of the one before, and the fewest postings of an account with totals there."""

_LEVELS = text("""
    INSERT INTO recorded_levels (book, size, fewest, number)
    SELECT b.book, l.size, l.fewest, 0
    FROM books AS b CROSS JOIN unnest(CAST(:sizes AS bigint[]), CAST(:fewest AS integer[])) AS l (size, fewest)
    ON CONFLICT DO NOTHING
""")
# One segment that is complete. Where somebody else fills a level, another one is taken.
_NEXT = text("""
    SELECT l.book, l.size, l.fewest, l.number
    FROM recorded_levels AS l
    JOIN heads AS h ON h.book = l.book
    WHERE l.number + l.size <= h.number
    ORDER BY l.size, l.number
    LIMIT 1
    FOR UPDATE OF l SKIP LOCKED
""")
_FILL = text("""
    INSERT INTO recorded_totals (book, account, size, number, effective_date, debits, credits)
    WITH days AS (
        SELECT
            p.account,
            p.effective_date,
            sum(greatest(p.amount, 0)) AS debits,
            sum(greatest(-p.amount, 0)) AS credits,
            sum(count(*)) OVER (PARTITION BY p.account) AS posting_count
        FROM postings AS p
        WHERE p.book = :of_book AND p.entry_number > :last AND p.entry_number <= :next
        GROUP BY p.account, p.effective_date
    ), kept AS (
        SELECT * FROM days WHERE posting_count >= :fewest
    )
    SELECT :of_book, account, CAST(:size AS bigint), CAST(:next AS bigint), effective_date,
        sum(debits) OVER up_to_the_day, sum(credits) OVER up_to_the_day
    FROM kept
    WINDOW up_to_the_day AS (PARTITION BY account ORDER BY effective_date)
    UNION ALL
    SELECT DISTINCT :of_book, account, CAST(:size AS bigint), CAST(:next AS bigint), DATE '-infinity', 0, 0
    FROM kept
    WHERE :fewest > 1
""")
# The largest segments take longer than a caller may wait, and no caller does.
_NO_HASTE = text("SET LOCAL statement_timeout = 0")
_MOVE = text("UPDATE recorded_levels SET number = :next WHERE book = :of_book AND size = :size")


@dataclass(frozen=True, slots=True)
class Filled:
    """A segment that was filled: so many entries, up to one with this number."""

    book: str
    size: int
    number: int


async def prepare(connection: AsyncConnection, levels: tuple[tuple[int, int], ...] = LEVELS) -> None:
    """Gives books that have none yet their levels, with nothing filled."""
    sizes, fewest = ([*values] for values in zip(*levels, strict=True))
    await connection.execute(_LEVELS, {"sizes": sizes, "fewest": fewest})


async def fill_next(database: AsyncEngine) -> Filled | None:
    """Fills one segment of any book, the smallest first, in one database transaction; None where all are."""
    async with recording(database) as connection:
        await prepare(connection)
        level = (await connection.execute(_NEXT)).one_or_none()
        if level is None:
            return None
        moved = {"of_book": level.book, "size": level.size, "next": level.number + level.size}
        await connection.execute(_NO_HASTE)
        await connection.execute(_FILL, moved | {"last": level.number, "fewest": level.fewest})
        await connection.execute(_MOVE, moved)
        return Filled(level.book, level.size, level.number + level.size)


async def fill(database: AsyncEngine) -> int:
    """Fills all segments that are complete; returns how many those were. Raises DatabaseUnavailable."""
    count = 0
    while await fill_next(database):
        count += 1
    return count
