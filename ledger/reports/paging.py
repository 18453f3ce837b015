"""Reports that grow with the books, page by page: each page begins where the one before ended."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts.store import existing_book
from ledger.reports.report import NOTHING, Cell, Control, Question, Sums, found, scope, tied

Place = tuple[str, ...]
"""The values of the columns by which a page is found, in the order of the question's place."""
PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a report; `more` is the place after which the next page begins, None on the last."""

    rows: Sequence[Mapping[str, Cell]]
    more: Place | None


async def page(
    connection: AsyncConnection,
    question: Question,
    asked: Mapping[str, object],
    after: Place | None,
    size: int,
) -> Page:
    """So many places of a report, each with all its rows, after a place or from the beginning."""
    begins = zip(question.place, after or question.place.values(), strict=True)
    variables = {**asked, **{f"after_{name}": value for name, value in begins}, "page_size": size + 1}
    rows = await found(connection, question, variables)
    places = [place(question, row) for row in rows]
    distinct = [*dict.fromkeys(places)]
    if len(distinct) <= size:
        return Page(rows, None)
    return Page(rows[: places.index(distinct[size])], distinct[size - 1])


def place(question: Question, row: Mapping[str, Cell]) -> Place:
    """Where a row stands."""
    return tuple(str(row[name]) for name in question.place)


class Walk:
    """All pages of a report from one view of the books; once they were walked through, sums and control totals.

    `known` is the last entry that it knows of. Memory holds a page, however long the report.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        question: Question,
        book: str,
        as_of: date,
        known: int,
        narrowed: Mapping[str, str] = NOTHING,
    ) -> None:
        """Nothing is read until the pages are walked through."""
        self.known = known
        self.sums = Sums(question)
        self._connection = connection
        self._question = question
        self._asked = {"book": book, "as_of": as_of, "as_known_at": known, **narrowed}
        self._scope = scope(book, as_of, known, narrowed)

    async def pages(self) -> AsyncIterator[Sequence[Mapping[str, Cell]]]:
        """The rows, a page at a time. Raises BookNotFound."""
        await existing_book(self._connection, self._scope.book)
        after: Place | None = None
        while True:
            found_ = await page(self._connection, self._question, self._asked, after, PAGE)
            self.sums.add(found_.rows)
            yield found_.rows
            after = found_.more
            if after is None:
                return

    async def controls(self) -> list[Control]:
        """What the sums must tie to."""
        return await tied(self._connection, self._question, self.sums.rows(), self._scope)
