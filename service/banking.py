"""`ledger bank`: takes bank statements in, and lists deposits."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import fields
from ledger.accounts.store import existing_book
from ledger.errors import Refusal
from reconciliation.bank import store
from reconciliation.bank.ingest import Ingested, ingest, surveyed
from reconciliation.files import Files
from service import settings
from service.connecting import files_of, looked_up, reached, refuse_unmigrated
from service.ingesting import money
from service.noting import noted
from service.options import Book
from service.printing import print_table, printable
from service.taking_in import taken_in

bank = typer.Typer(help="Take in bank statements, or list what the bank has received.", no_args_is_help=True)

_STATEMENT = ("file", "account", "day", "state")
_STATEMENT_SUMS = ("credits", "debits", "posted", "repeated", "noted")
_DEPOSIT = ("day", "account", "reference", "traces", "payer")
MOST_DEPOSITS = 1_000


@bank.command("ingest")
def ingest_command(
    files: Annotated[list[Path], typer.Argument(help="Statements as banks send them (BAI2, CAMT.053).")],
    book: Book = None,
) -> None:
    """Take in bank statements: bring deposits into the books, and clear the remittances whose money they are.

    What the books know already is not posted again. The exit code is not zero where a statement does not add up:
    nothing of that is posted, and the sentence below the table says why.

    Example: ledger bank ingest bank/2026-06-15.bai
    """
    known = settings.read()
    with reached(known) as urls:
        refuse_unmigrated(urls.server)
        raise typer.Exit(0 if ingest_files(urls.server, files_of(known), book or known.book, files) else 1)


@bank.command("deposits")
def deposits_command(
    book: Book = None,
    unapplied: Annotated[bool, typer.Option("--unapplied", help="Only those that wait for a person.")] = False,
) -> None:
    """List deposits, newest first, and what of each is not applied to a remittance.

    Example: ledger bank deposits --unapplied
    """
    wanted = fields.book_name(book or settings.read().book)
    with noted("bank deposits", wanted):
        found = looked_up(_deposits, wanted, unapplied)
    _print_deposits(*found)


# --- statements ---------------------------------------------------------------------------------------


def ingest_files(url: str, kept: Files, book: str, paths: Sequence[Path]) -> bool:
    """Takes files in and prints what became of each; True where every statement is recorded.

    A file that is refused is told in one sentence, and the next one goes on. Raises BookNotFound.
    """
    return asyncio.run(_ingest_files(url, kept, book, paths))


async def _ingest_files(url: str, kept: Files, book: str, paths: Sequence[Path]) -> bool:
    done, refused = await taken_in(url, kept, book, paths, ingest, _lines_to_record)
    _print_statements(done, refused)
    return not refused and all(row.state == "recorded" for one in done for row in one.statements)


def _lines_to_record(file: IO[bytes]) -> int | None:
    """How many lines there are; None where the file cannot be read, which its refusal will say."""
    try:
        return sum(one.line_count for one in surveyed(file))
    except Refusal:
        return None


def _print_statements(done: Sequence[Ingested], refused: Sequence[str]) -> None:
    if done:
        print_table(_statements(done))
    for sentence in (*(line for one in done for line in _told(one)), *refused):
        print(printable(sentence))


def _statements(done: Sequence[Ingested]) -> Table:
    table = _headed(_STATEMENT, (*_STATEMENT_SUMS, "lines"))
    for one in done:
        for row in one.statements:
            sums = [money(getattr(row, name), row.currency) for name in _STATEMENT_SUMS]
            day = row.as_of.isoformat() if row.as_of else ""
            _add(table, one.delivery.file_name, row.account, day, row.state, *sums, f"{row.line_count:,}")
    return table


def _told(one: Ingested) -> Iterator[str]:
    """A file in sentences: whether it came before, and which of its statements are not recorded."""
    name = one.delivery.file_name
    if one.duplicate:
        yield f"{name} came before; nothing of it is posted again"
    for row in one.statements:
        if row.reason:
            yield f"{name}, statement {row.position} of {row.account} is {row.state}: {row.reason}"


# --- deposits -----------------------------------------------------------------------------------------


async def _deposits(
    connection: AsyncConnection,
    book: str,
    unapplied: bool,
) -> tuple[list[Row[Any]], dict[Any, Row[Any]], dict[Any, Any]]:
    """Rows, how much of each is applied, and what each names."""
    await existing_book(connection, book)
    rows = await store.find(connection, book, unapplied=unapplied, limit=MOST_DEPOSITS)
    ids = [row.id for row in rows]
    return rows, await store.sums(connection, book, ids), await store.traces_of(connection, book, ids)


def _print_deposits(rows: Sequence[Row[Any]], sums: dict[Any, Row[Any]], traces: dict[Any, Any]) -> None:
    table = _headed(_DEPOSIT, ("amount", "unapplied"), ("deposit",))
    for row in rows:
        is_over = row.returns is not None or sums[row.id].returned
        left = 0 if is_over else row.amount - int(sums[row.id].applied)
        named = " ".join(one.number for one in traces.get(row.id, ()))
        texts = (row.effective_date.isoformat(), row.account, row.reference, named, row.payer or "")
        amounts = money(row.amount, row.currency), money(left, row.currency)
        _add(table, *texts, *amounts, str(row.id))
    print_table(table)
    if len(rows) == MOST_DEPOSITS:
        print(f"these are the newest {MOST_DEPOSITS:,}; ledger report unapplied-cash has all that is unapplied")


def _headed(texts: Sequence[str], numbers: Sequence[str], more: Sequence[str] = ()) -> Table:
    table = Table()
    for heading in texts:
        table.add_column(heading, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", overflow="fold")
    for heading in more:
        table.add_column(heading, overflow="fold")
    return table


def _add(table: Table, *cells: str) -> None:
    table.add_row(*(Text(printable(cell)) for cell in cells))
