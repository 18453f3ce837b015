"""Reads a whole book, a page at a time, and writes it as another program's journal or as rows of postings."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts.account import Side
from ledger.accounts.store import existing_book
from ledger.money import Amount
from ledger.postings import store
from ledger.postings.entry import PostedEntry
from ledger.reports.plaintext import JOURNALS, Standing
from ledger.reports.report import Cell, Control, Question, Sums, Tie, columns, scope, tied
from ledger.schema import entries

PAGE = 1_000

JOURNAL = Question(
    name="journal",
    package="ledger.reports",
    columns=columns(
        "entry_number:number line:number effective_date recorded_at kind description actor reverses:number payer "
        "provider claim session plan service_code licence_type state remittance pay_cycle service_date account "
        "item currency debits:money credits:money minor_units:number id"
    ),
    ties=(Tie("debits", turnover=True), Tie("credits", side=Side.CREDIT, turnover=True)),
    knows=True,
)
"""Every posting with what its entry says. `minor_units` is the amount again, as a whole number, debit positive."""

_STANDINGS = text("""
    SELECT a.code, a.type, a.currency, min(d.effective_date) AS first_day, max(d.effective_date) AS last_day,
        sum(d.debits - d.credits) AS balance
    FROM accounts AS a
    JOIN daily_totals AS d ON d.book = a.book AND d.account = a.code
    WHERE a.book = :book
    GROUP BY a.code, a.type, a.currency
    ORDER BY a.code
""")


class Walk:
    """All entries of a book in the order of their numbers, from one view of it; then sums and control totals.

    Memory holds a page of entries, however long the book.
    """

    def __init__(self, connection: AsyncConnection, book: str) -> None:
        """Nothing is read until the pages are walked through."""
        self.sums = Sums(JOURNAL)
        self.entry_count = self.posting_count = 0
        self._connection = connection
        self._book = book

    async def entries(self) -> AsyncIterator[Sequence[PostedEntry]]:
        """The entries, a page at a time. Raises BookNotFound."""
        await existing_book(self._connection, self._book)
        while page := await store.find(
            self._connection, self._book, entries.c.number > self.entry_count, limit=PAGE
        ):
            self.sums.add(row for posted in page for row in rows(posted))
            self.entry_count = page[-1].number
            self.posting_count += sum(len(posted.entry.postings) for posted in page)
            yield page

    async def pages(self) -> AsyncIterator[Sequence[Mapping[str, Cell]]]:
        """Their postings as rows, a page of entries at a time. Raises BookNotFound."""
        async for page in self.entries():
            yield [row for posted in page for row in rows(posted)]

    async def controls(self) -> list[Control]:
        """Debits and credits of all that was walked through, against the accounts."""
        last = (await self._connection.execute(_LAST_DAY, {"book": self._book})).scalar_one()
        return await tied(self._connection, JOURNAL, self.sums.rows(), scope(self._book, last, None, {}))


_LAST_DAY = text("SELECT coalesce(max(effective_date), '9999-12-31') FROM entries WHERE book = :book")


async def lines(connection: AsyncConnection, book: str, form: str, walk: Walk | None = None) -> AsyncIterator[str]:
    """The lines of a journal: accounts, entries in the order of their numbers, balances. Raises BookNotFound.

    `form` is the name of one of the JOURNALS; `walk` knows the sums afterwards.
    """
    journal, name = JOURNALS[form], (await existing_book(connection, book)).name
    standings = await _standings(connection, book)
    for line in journal.opening(book, name, standings):
        yield line
    async for page in (walk or Walk(connection, book)).entries():
        for posted in page:
            for line in journal.entry(posted):
                yield line
    for line in journal.closing(standings):
        yield line


async def _standings(connection: AsyncConnection, book: str) -> list[Standing]:
    rows = await connection.execute(_STANDINGS, {"book": book})
    return [Standing(row.code, row.currency, int(row.balance), row.first_day, row.last_day) for row in rows]


def rows(posted: PostedEntry) -> Iterator[dict[str, Cell]]:
    """The postings of an entry, as JOURNAL has them."""
    entry = posted.entry
    said: dict[str, Cell] = {
        "entry_number": posted.number,
        "effective_date": entry.effective_date.isoformat(),
        "recorded_at": str(posted.recorded_at),
        "kind": entry.kind.value,
        "description": entry.description,
        "actor": posted.actor,
        "reverses": entry.reverses,
        "id": str(posted.id),
        **{name: value or None for name, value in entry.dimensions.stated().items() if name != "charge"},
    }
    for line, posting in enumerate(entry.postings, 1):
        currency = posting.amount.currency
        yield {
            **said,
            "line": line,
            "account": posting.account,
            "item": posting.item,
            "currency": currency,
            "debits": Amount(max(posting.signed, 0), currency),
            "credits": Amount(max(-posting.signed, 0), currency),
            "minor_units": posting.signed,
        }
