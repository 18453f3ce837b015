"""What a listing of entries is narrowed to, and how a page of it is read: in their order, and no further."""

from dataclasses import asdict, dataclass
from datetime import date

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.postings import store
from ledger.postings.entry import Kind, PostedEntry

# One segment after the other is read in the order of numbers, until the page is full. PostgreSQL is left no
# choice, whatever it knows of a book: by another index, or where it believes that there is next to nothing, it
# would read all that fits and sort it. So it sorts what has no order at all, and nothing else.
_UNSORTED = text("SET LOCAL enable_sort = off")
_PAGE = """
    SELECT found.*
    FROM ({segments}) AS segments
    CROSS JOIN LATERAL ({of_segment}) AS found
    ORDER BY segments.until, found.number
    LIMIT :limit
"""
_BOOK = "SELECT CAST(:after AS bigint) AS after, 9223372036854775807 AS until"
# Those that may have entries of these days, and what lies behind the last one. OFFSET 0 keeps their order.
_OF_DAYS = """
    SELECT greatest(after, :after) AS after, until
    FROM (
        SELECT number - size AS after, number AS until
        FROM segment_days
        WHERE book = :book AND number > :after
            AND last_day >= coalesce(CAST(:effective_from AS date), '-infinity')
            AND first_day <= coalesce(CAST(:effective_to AS date), 'infinity')
        UNION ALL
        SELECT coalesce(max(number), 0), 9223372036854775807 FROM segment_days WHERE book = :book
    ) AS either
    ORDER BY until OFFSET 0
"""
_SEGMENTS = {False: _BOOK, True: _OF_DAYS}
_WITHIN = """
    effective_date >= coalesce(CAST(:effective_from AS date), '-infinity')
        AND effective_date <= coalesce(CAST(:effective_to AS date), 'infinity')
"""
_OF_KIND = "coalesce(kind = CAST(:kind AS text), true)"
_BY_ENTRY = f"""
    SELECT * FROM entries
    WHERE book = :book AND number > segments.after AND number <= segments.until AND {_WITHIN} AND {_OF_KIND}
    ORDER BY number
    LIMIT :limit
"""  # noqa: S608 - our own
_BY_POSTING = """
    SELECT entries.*
    FROM (
        SELECT DISTINCT entry_number FROM {lines} AS lines
        WHERE book = :book AND entry_number > segments.after AND entry_number <= segments.until
            AND {condition} AND {within}
        ORDER BY entry_number OFFSET 0
    ) AS posted
    CROSS JOIN LATERAL (
        SELECT * FROM entries
        WHERE book = :book AND number >= posted.entry_number AND number <= posted.entry_number
        ORDER BY number LIMIT 1
    ) AS entries
    WHERE {of_kind}
    ORDER BY posted.entry_number
    LIMIT :limit
"""
_BY_ACCOUNT = _BY_POSTING.format(
    lines="postings", condition="account = :account", within=_WITHIN, of_kind=_OF_KIND
)
# An item has few postings, so they are read at once. Its account may be that of another posting of the entry.
_BY_ITEM = _BY_POSTING.format(
    lines="(SELECT * FROM postings WHERE book = :book AND item = :item OFFSET 0)",
    condition="""(CAST(:account AS text) IS NULL OR EXISTS (
        SELECT FROM postings AS p
        WHERE p.book = :book AND p.entry_number = lines.entry_number AND p.account = :account OFFSET 0
    ))""",
    within=_WITHIN,
    of_kind=_OF_KIND,
)


def _read(segments: str, of_segment: str) -> TextClause:
    return text(_PAGE.format(segments=segments, of_segment=of_segment))


_OF_ITEM = _read(_BOOK, _BY_ITEM)
_OF_ACCOUNT = {by_days: _read(segments, _BY_ACCOUNT) for by_days, segments in _SEGMENTS.items()}
_OF_ANY = {by_days: _read(segments, _BY_ENTRY) for by_days, segments in _SEGMENTS.items()}


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What an entry must be to be listed: all that is said here. The first and the last day are included."""

    account: str | None = None
    item: str | None = None
    kind: Kind | None = None
    effective_from: date | None = None
    effective_to: date | None = None


async def page(
    connection: AsyncConnection, book: str, narrowed: Narrowed, after: int, limit: int
) -> list[PostedEntry]:
    """The first so many of these entries behind a number, in the order of their numbers."""
    by_days = bool(narrowed.effective_from or narrowed.effective_to)
    statement = _OF_ITEM if narrowed.item else (_OF_ACCOUNT if narrowed.account else _OF_ANY)[by_days]
    asked = asdict(narrowed) | {"book": book, "after": after, "limit": limit}
    await connection.execute(_UNSORTED)
    return await store.whole(connection, book, (await connection.execute(statement, asked)).all())
