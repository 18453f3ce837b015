"""`ledger ingest`: takes files in one after the other, shows how far it is, and says what became of them."""

import asyncio
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from rich.table import Table
from rich.text import Text

from ledger.money import Amount
from reconciliation.files import Files
from reconciliation.ingest import Ingested, ingest
from reconciliation.reasons import RemittanceState
from reconciliation.remittance import Unreadable, survey
from service.printing import grouped, print_table, printable
from service.taking_in import taken_in

_USUAL = "USD"
_HEADINGS = ("file", "trace", "state")
_NUMBERS = ("paid", "posted", "in suspense", "claims", "exceptions")
_IN_BOOKS = (RemittanceState.SETTLED, RemittanceState.DUPLICATE, RemittanceState.WAITING)


def ingest_files(url: str, kept: Files, book: str, paths: Sequence[Path]) -> bool:
    """Takes files in and prints what became of each.

    True where everything is settled, or was before. A file that is refused is told in one sentence, and the
    next one goes on. Raises BookNotFound.
    """
    return asyncio.run(_ingest_files(url, kept, book, paths))


async def _ingest_files(url: str, kept: Files, book: str, paths: Sequence[Path]) -> bool:
    settled, refused = await taken_in(url, kept, book, paths, ingest, _claims_to_settle)
    _print(settled, refused)
    return not refused and all(row.state in _IN_BOOKS for one in settled for row in one.remittances)


def _claims_to_settle(file: IO[bytes]) -> int | None:
    """How many claims will be settled; None where the file cannot be read, which its refusal will say."""
    try:
        return sum(one.claim_count for one in survey(iter(lambda: file.read(io.DEFAULT_BUFFER_SIZE), b"")))
    except Unreadable:
        return None


# --- what became of them ------------------------------------------------------------------------------


def _print(settled: Sequence[Ingested], refused: Sequence[str]) -> None:
    if settled:
        print_table(_table(settled))
    for sentence in (*(line for one in settled for line in _told(one)), *refused):
        print(printable(sentence))


def _table(settled: Sequence[Ingested]) -> Table:
    table = Table()
    for heading in _HEADINGS:
        table.add_column(heading, overflow="fold")
    for heading in _NUMBERS:
        table.add_column(heading, justify="right", overflow="fold")
    for one in settled:
        for cells in _rows(one):
            table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _rows(one: Ingested) -> Iterator[list[str]]:
    """One row for each remittance of a file."""
    for row in one.remittances:
        sums = [money(minor_units, row.currency) for minor_units in (row.paid, row.posted, row.suspended)]
        counts = [f"{row.claim_count:,}", f"{one.exceptions.get(row.id, 0):,}"]
        yield [one.delivery.file_name, row.trace, row.state, *sums, *counts]


def _told(one: Ingested) -> Iterator[str]:
    """A file in sentences: what was decided in it, and which of its remittances are not settled."""
    name = one.delivery.file_name
    if one.duplicate:
        yield f"{name} came before; nothing of it is posted again"
    if one.decisions:
        counts = (f"{decision.replace('_', ' ')} {count:,}" for decision, count in one.decisions.items())
        yield f"{name} decided: {', '.join(counts)}"
    for row in one.remittances:
        if row.reason:
            who = row.payer or row.payer_name
            yield f"{name}, remittance {row.position} of {who} is {row.state}: {row.reason}"


def money(minor_units: int | None, currency: str | None) -> str:
    """An amount for people, its currency named where it is not the usual one; empty where there is none."""
    if minor_units is None or currency is None:
        return ""
    amount = grouped(Amount(minor_units, currency))
    return amount if currency == _USUAL else f"{amount} {currency}"
