"""Fills recorded totals behind the head of each book, in whole segments. Neither reads nor posting wait for it."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import recording

LEVELS = ((4_096, 64), (65_536, 1), (1_048_576, 1))
"""Entries in a segment, a multiple of the one before, and the fewest postings of an account with totals there."""
_ACCOUNTS_AT_ONCE = 200
_LOOKED_AT_ONCE = 10_000

_LEVELS = text("""
    INSERT INTO recorded_levels (book, size, fewest, number)
    SELECT b.book, l.size, l.fewest, 0
    FROM books AS b CROSS JOIN unnest(CAST(:sizes AS bigint[]), CAST(:fewest AS integer[])) AS l (size, fewest)
    ON CONFLICT DO NOTHING
""")
# One segment that is complete, and the size of those that it can be added up from: they leave no account out, and
# all of them are filled. Where somebody else fills a level, another one is taken.
_NEXT = text("""
    SELECT l.book, l.size, l.fewest, l.number AS last, l.number + l.size AS next, smaller.size AS smaller,
        pg_relation_filenode('recorded_totals') AS file
    FROM recorded_levels AS l
    JOIN heads AS h ON h.book = l.book
    LEFT JOIN LATERAL (
        SELECT s.size, s.number FROM recorded_levels AS s
        WHERE s.book = l.book AND s.size < l.size AND l.size % s.size = 0 AND s.fewest = 1 AND l.fewest = 1
        ORDER BY s.size DESC
        LIMIT 1
    ) AS smaller ON true
    WHERE l.number + l.size <= h.number AND coalesce(smaller.number >= l.number + l.size, true)
    ORDER BY l.size, l.number
    LIMIT 1
    FOR UPDATE OF l SKIP LOCKED
""")
# Counting amounts, which no index of accounts holds, keeps the search in the primary key.
_FROM_POSTINGS = text("""
    INSERT INTO recorded_totals (book, account, size, number, days, debits, credits)
    WITH busy AS MATERIALIZED (
        SELECT account
        FROM postings
        WHERE book = :book AND entry_number > :last AND entry_number <= :next AND CAST(:fewest AS integer) > 1
        GROUP BY account
        HAVING count(amount) >= :fewest
    )
    SELECT :book, account, CAST(:size AS bigint), CAST(:next AS bigint),
        array_agg(effective_date ORDER BY effective_date),
        array_agg(debits ORDER BY effective_date),
        array_agg(credits ORDER BY effective_date)
    FROM (
        SELECT
            p.account,
            p.effective_date,
            CAST(sum(CAST(sum(greatest(p.amount, 0)) AS bigint)) OVER up_to_the_day AS bigint) AS debits,
            CAST(sum(CAST(sum(greatest(-p.amount, 0)) AS bigint)) OVER up_to_the_day AS bigint) AS credits
        FROM postings AS p
        WHERE p.book = :book AND p.entry_number > :last AND p.entry_number <= :next
            AND (CAST(:fewest AS integer) = 1 OR p.account = ANY(ARRAY(SELECT account FROM busy)))
        GROUP BY p.account, p.effective_date
        WINDOW up_to_the_day AS (PARTITION BY p.account ORDER BY p.effective_date)
    ) AS totals
    GROUP BY account
""")
# Some accounts of a segment that are in its smaller ones and not in it yet, by their codes; one is there whole
# or not at all. Of many accounts some are looked at. LIMIT keeps each search in the primary key.
_FROM_SMALLER = text("""
    WITH looked_at AS MATERIALIZED (
        SELECT code FROM accounts WHERE book = :book AND code > :after ORDER BY code LIMIT :look_at
    ), missing AS MATERIALIZED (
        SELECT a.code
        FROM accounts AS a
        CROSS JOIN LATERAL (
            SELECT FROM recorded_totals AS t
            WHERE t.book = a.book AND t.account = a.code AND t.size = :smaller
                AND t.number > :last AND t.number <= :next
            LIMIT 1
        ) AS posted
        LEFT JOIN LATERAL (
            SELECT t.account FROM recorded_totals AS t
            WHERE t.book = a.book AND t.account = a.code AND t.size = :size AND t.number = :next
            LIMIT 1
        ) AS there ON true
        WHERE a.book = :book AND a.code > :after AND a.code <= (SELECT max(code) FROM looked_at)
            AND there.account IS NULL
        ORDER BY a.code
        LIMIT :at_once
    ), filled AS (
        INSERT INTO recorded_totals (book, account, size, number, days, debits, credits)
        SELECT :book, m.code, CAST(:size AS bigint), CAST(:next AS bigint), added.days, added.debits, added.credits
        FROM missing AS m
        CROSS JOIN LATERAL (
            SELECT
                array_agg(day ORDER BY day) AS days,
                array_agg(debits ORDER BY day) AS debits,
                array_agg(credits ORDER BY day) AS credits
            FROM (
                SELECT
                    day,
                    CAST(sum(CAST(sum(debits) AS bigint)) OVER up_to_the_day AS bigint) AS debits,
                    CAST(sum(CAST(sum(credits) AS bigint)) OVER up_to_the_day AS bigint) AS credits
                FROM (
                    SELECT
                        d.day,
                        d.debits - coalesce(t.debits[d.nth - 1], 0) AS debits,
                        d.credits - coalesce(t.credits[d.nth - 1], 0) AS credits
                    FROM recorded_totals AS t
                    CROSS JOIN LATERAL unnest(t.days, t.debits, t.credits)
                        WITH ORDINALITY AS d (day, debits, credits, nth)
                    WHERE t.book = :book AND t.account = m.code AND t.size = :smaller
                        AND t.number > :last AND t.number <= :next
                ) AS of_each_day
                GROUP BY day
                WINDOW up_to_the_day AS (ORDER BY day)
            ) AS totals
        ) AS added
    )
    SELECT
        (SELECT count(*) FROM looked_at) AS looked_at,
        (SELECT max(code) FROM looked_at) AS last_looked_at,
        (SELECT count(*) FROM missing) AS filled,
        (SELECT max(code) FROM missing) AS last_filled
""")
# No caller waits for it, however slow the machine is.
_NO_HASTE = text("SET LOCAL statement_timeout = 0")
_MOVE = text("UPDATE recorded_levels SET number = :next WHERE book = :book AND size = :size")


@dataclass(frozen=True, slots=True)
class Filled:
    """What a step has filled: of the segment of so many entries that ends with this number, a part or the rest."""

    book: str
    size: int
    number: int
    whole: bool
    """Whether the segment is complete with it."""


async def prepare(connection: AsyncConnection, levels: tuple[tuple[int, int], ...] = LEVELS) -> None:
    """Gives books that have none yet their levels, with nothing filled."""
    sizes, fewest = ([*values] for values in zip(*levels, strict=True))
    await connection.execute(_LEVELS, {"sizes": sizes, "fewest": fewest})


class Filling:
    """Fills one segment after the other, the smallest first, in steps that are database transactions of their own.

    What can be added up from smaller segments is filled for some accounts at a time. Several may fill the same
    books: which accounts are missing is seen from those that are there.
    """

    def __init__(self, accounts_at_once: int = _ACCOUNTS_AT_ONCE, looked_at_once: int = _LOOKED_AT_ONCE) -> None:
        """Nothing is known of what is there already."""
        self._at_once, self._look_at = accounts_at_once, looked_at_once
        self._reached: dict[tuple[str, int, int, int], str] = {}
        """Up to which account all have been seen in a segment, and in which file: TRUNCATE begins another."""

    async def step(self, database: AsyncEngine) -> Filled | None:
        """Fills a segment of any book, or some accounts of it; None where all is. Raises DatabaseUnavailable."""
        async with recording(database) as connection:
            await prepare(connection)
            segment = (await connection.execute(_NEXT)).one_or_none()
            if segment is None:
                return None
            await connection.execute(_NO_HASTE)
            whole = await self._fill(connection, segment)
            if whole:
                await connection.execute(_MOVE, segment._asdict())
            return Filled(segment.book, segment.size, segment.next, whole)

    async def _fill(self, connection: AsyncConnection, segment: Row[Any]) -> bool:
        """Fills it, or a part; tells whether all is there: each account has been looked at since the first."""
        if segment.smaller is None:
            await connection.execute(_FROM_POSTINGS, segment._asdict())
            return True
        place = segment.book, segment.size, segment.next, segment.file
        asked = {"after": self._reached.pop(place, ""), "at_once": self._at_once, "look_at": self._look_at}
        found = (await connection.execute(_FROM_SMALLER, segment._asdict() | asked)).one()
        if found.filled == self._at_once:
            self._reached[place] = found.last_filled
        elif found.looked_at == self._look_at:
            self._reached[place] = found.last_looked_at
        return place not in self._reached


async def fill(database: AsyncEngine) -> int:
    """Fills all segments that are complete; returns how many those were. Raises DatabaseUnavailable."""
    filling = Filling()
    count = 0
    while step := await filling.step(database):
        count += step.whole
    return count
