"""Reads a whole book, a page at a time, and writes it as another program's journal."""

from collections.abc import AsyncIterator

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts.store import existing_book
from ledger.postings import store
from ledger.reports.plaintext import JOURNALS, Standing
from ledger.schema import entries

PAGE = 1_000

_STANDINGS = text("""
    SELECT a.code, a.type, a.currency, min(d.effective_date) AS first_day, max(d.effective_date) AS last_day,
        sum(d.debits - d.credits) AS balance
    FROM accounts AS a
    JOIN daily_totals AS d ON d.book = a.book AND d.account = a.code
    WHERE a.book = :book
    GROUP BY a.code, a.type, a.currency
    ORDER BY a.code
""")


async def lines(connection: AsyncConnection, book: str, form: str) -> AsyncIterator[str]:
    """The lines of a journal: accounts, entries in the order of their numbers, balances. Raises BookNotFound.

    `form` is the name of one of the JOURNALS. Memory holds a page of entries, however long the book.
    """
    journal, name = JOURNALS[form], (await existing_book(connection, book)).name
    standings = await _standings(connection, book)
    for line in journal.opening(book, name, standings):
        yield line
    after = 0
    while page := await store.find(connection, book, entries.c.number > after, limit=PAGE):
        for posted in page:
            for line in journal.entry(posted):
                yield line
        after = page[-1].number
    for line in journal.closing(standings):
        yield line


async def _standings(connection: AsyncConnection, book: str) -> list[Standing]:
    rows = await connection.execute(_STANDINGS, {"book": book})
    return [Standing(row.code, row.currency, int(row.balance), row.first_day, row.last_day) for row in rows]
