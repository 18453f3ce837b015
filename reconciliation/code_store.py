"""Where it is kept what a book says of payers' codes. Rows are added, and nothing of them changes."""

from dataclasses import replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.postings import journal
from reconciliation.code_tables import CodeMeaning, Codes, counting
from reconciliation.schema import codes


async def revision(connection: AsyncConnection, book: str) -> int:
    """How much was said so far."""
    wanted = select(func.max(codes.c.revision)).where(codes.c.book == book)
    return (await connection.execute(wanted)).scalar_one() or 0


async def counting_for(connection: AsyncConnection, book: str, payer: str, day: date, known: int) -> Codes:
    """The meanings that count for a payment of this day that was taken up at this revision."""
    wanted = select(codes).where(
        codes.c.book == book,
        codes.c.revision <= known,
        codes.c.effective_from <= day,
        codes.c.payer.in_(["", payer]),
    )
    return counting((_meaning(row) for row in await connection.execute(wanted)), payer, day, known)


async def said(
    connection: AsyncConnection, book: str, before: int, most: int
) -> list[tuple[CodeMeaning, datetime]]:
    """What was said, newest first, with the time; before a revision where that is not 0."""
    wanted = select(codes).where(codes.c.book == book)
    wanted = wanted.where(codes.c.revision < before) if before else wanted
    rows = await connection.execute(wanted.order_by(codes.c.revision.desc()).limit(most))
    return [(_meaning(row), row.set_at) for row in rows]


async def say(database: AsyncEngine, book: str, wanted: CodeMeaning, actor: str) -> tuple[CodeMeaning, datetime]:
    """Says what a code means from now on, as the book's next revision; and when that was. Raises BookNotFound."""
    async with journal.posting(database, book) as (connection, head):
        written = replace(wanted, revision=await revision(connection, book) + 1, set_by=actor)
        await _insert(connection, book, written)
    return written, head.recorded_at


async def _insert(connection: AsyncConnection, book: str, one: CodeMeaning) -> None:
    values = {
        "book": book,
        "revision": one.revision,
        "list": one.list,
        "code_group": one.group,
        "code": one.code,
        "payer": one.payer,
        "effective_from": one.effective_from,
        "meaning": one.meaning,
        "label": one.label,
        "reason": one.reason,
        "set_by": one.set_by,
    }
    await connection.execute(insert(codes).values(values))


def _meaning(row: Row[Any]) -> CodeMeaning:
    names = ("list", "code", "payer", "effective_from", "meaning", "label", "reason", "set_by", "revision")
    return CodeMeaning(group=row.code_group, **{name: getattr(row, name) for name in names})
