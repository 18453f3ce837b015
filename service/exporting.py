"""`ledger export`: a whole book as another program's journal or as a table, in a file that is whole or absent."""

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts.store import existing_book
from ledger.postings import store
from ledger.reports import export
from ledger.reports.export import JOURNAL, Walk
from ledger.schema import entries
from service.columnar import Parquet
from service.printing import About, Csv, Writer, print_controls
from service.reporting import refuse_untied
from service.spreadsheet import Xlsx

Went = Callable[[int, int], None]
"""Told how many entries are written, of how many."""


class ExportFormat(StrEnum):
    """Whose journal an export is, or which table."""

    BEANCOUNT = "beancount"
    HLEDGER = "hledger"
    CSV = "csv"
    XLSX = "xlsx"
    PARQUET = "parquet"

    @property
    def is_text(self) -> bool:
        """Whether it can be shown on a screen."""
        return self not in (ExportFormat.XLSX, ExportFormat.PARQUET)


class ExportRefused(Exception):
    """It cannot be written there; the message is for people."""


def refuse_binary(form: ExportFormat) -> None:
    """Raises ExportRefused for a form that no screen can show."""
    if not form.is_text:
        raise ExportRefused(f"{form} is no text: name a file with --output")


async def write(connection: AsyncConnection, book: str, form: ExportFormat, out: TextIO, went: Went) -> None:
    """Writes a whole book as text. Control totals go to standard error, and must tie.

    Raises BookNotFound, or ReportRefused where the postings are not what the accounts say.
    """
    if form is ExportFormat.CSV:
        await _write_table(connection, book, Csv(out, sys.stderr), went)
        return
    walk, last = Walk(connection, book), (await existing_book(connection, book)).last_number
    done = 0
    async for line in export.lines(connection, book, form, walk):
        out.write(f"{line}\n")
        if walk.entry_count != done:
            done = walk.entry_count
            went(done, last)
    await _ended(walk, last)


async def write_file(connection: AsyncConnection, book: str, form: ExportFormat, path: Path, went: Went) -> None:
    """The same into a file, in any form."""
    if form.is_text:
        with path.open("w", encoding="utf-8") as file:
            await write(connection, book, form, file, went)
    else:
        await existing_book(connection, book)
        with (Xlsx if form is ExportFormat.XLSX else Parquet)(path) as writer:
            await _write_table(connection, book, writer, went)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # read a piece at a time
    print(f"SHA-256 of the file {digest}", file=sys.stderr)


async def _write_table(connection: AsyncConnection, book: str, writer: Writer, went: Went) -> None:
    last = (await existing_book(connection, book)).last_number
    found = await store.find(connection, book, entries.c.number == last)
    day = found[0].recorded_at.date() if found else (await existing_book(connection, book)).opened_at.date()
    walk = Walk(connection, book)
    writer.begin(About(JOURNAL.name, book, day, last, JOURNAL.columns))
    async for rows in walk.pages():
        writer.rows(rows)
        went(walk.entry_count, last)
    writer.end(walk.sums.rows(), await walk.controls())
    await _ended(walk, last, told=isinstance(writer, Csv))


async def _ended(walk: Walk, last: int, *, told: bool = False) -> None:
    """What was written, and that it is all there is."""
    controls = await walk.controls()
    print(f"{walk.entry_count} entries with {walk.posting_count} postings, to entry {last}", file=sys.stderr)
    if not told:
        print_controls(controls, sys.stderr)
    refuse_untied(controls)


@contextmanager
def whole_path(path: Path) -> Iterator[Path]:
    """The name of a file to write; it is there under its own name once it is complete, and not before."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def quietly(done: int, of: int) -> None:
    """Tells nobody."""


@contextmanager
def bar() -> Iterator[Went]:
    """A progress bar on standard error, where that is a terminal."""
    console = Console(stderr=True)
    shown = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress: AbstractContextManager[Progress | None] = (
        Progress(*shown, console=console, transient=True) if console.is_terminal else nullcontext()
    )
    with progress as running:
        if running is None:
            yield quietly
            return
        task = running.add_task("entries")
        yield lambda done, of: running.update(task, completed=done, total=of)
