"""`ledger export`: a whole book as another program's journal, in a file that is whole or absent."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.reports import export


class ExportFormat(StrEnum):
    """Whose journal an export is."""

    BEANCOUNT = "beancount"
    HLEDGER = "hledger"


async def write(connection: AsyncConnection, book: str, form: ExportFormat, out: TextIO) -> None:
    """Writes a whole book as a journal. Raises BookNotFound."""
    async for line in export.lines(connection, book, form):
        out.write(f"{line}\n")


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """A file that is there once it is complete, and not before."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            yield file
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
