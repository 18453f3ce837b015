"""How any report is answered over gRPC: whole, or a page at a time, as known at an entry."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from google.protobuf.message import Message

from ledger import fields, wire
from ledger.accounts import known
from ledger.accounts.known import ALL, KnownAt, entry_known, known_at
from ledger.reads import Reads
from ledger.reports import report, rows
from ledger.reports.paging import page
from ledger.reports.report import Cell, Question, Report


class Asked(Protocol):
    """What every report is asked with."""

    @property
    def book(self) -> str:
        """The book."""

    @property
    def as_of(self) -> str:
        """The effective date."""


class Paged(known.Asked, rows.Paged, Protocol):
    """What a report in pages is asked with."""


async def whole(
    reads: Reads,
    question: Question,
    request: Asked,
    asked: KnownAt = ALL,
    narrowed: Mapping[str, str] = report.NOTHING,
) -> Report:
    """The whole answer. Raises BookNotFound, or what as_known_at is refused for."""
    book, as_of = fields.book_name(request.book), fields.day("as_of", request.as_of)
    async with reads.view() as connection:
        number = await entry_known(connection, book, asked, is_replica=reads.is_replica)
        return await report.ask(connection, question, book, as_of, number, narrowed)


async def paged(
    reads: Reads,
    question: Question,
    request: Paged,
    row: Callable[[Mapping[str, Cell]], Any],
    narrowed: Mapping[str, str] = report.NOTHING,
) -> dict[str, Any]:
    """A page of a report that grows with the books, as the wire has it. Raises PageInvalid as well."""
    assert isinstance(request, Message)
    book, (first, as_of) = fields.book_name(request.book), rows.period(request)
    size, start = wire.page_size(request.page_size), rows.start(request, question)
    asked = KnownAt(number=start[0]) if start else known_at(request)
    async with reads.view() as connection:
        number = await entry_known(connection, book, asked, is_replica=reads.is_replica)
        variables = {"book": book, "as_of": as_of, "as_known_at": number, **first, **narrowed}
        found = await page(connection, question, variables, start[1] if start else None, size)
    return {
        "rows": map(row, found.rows),
        "as_known_at_number": number,
        "next_page_token": rows.more(request, number, found),
    }
