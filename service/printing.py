"""How a report looks: a table for people, CSV for spreadsheets, JSON for programs."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from enum import StrEnum
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ledger.money import Amount, plain
from ledger.reports.report import Cell, ColumnKind, Control, Report

_UNCUT = 10_000
_FORMULA = ("=", "+", "-", "@")


class Format(StrEnum):
    """How a report is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def show(report: Report, form: Format, book: str, as_of: date) -> None:
    """Writes a report to standard output. Beside CSV, the control totals go to standard error."""
    match form:
        case Format.TABLE:
            known = "" if report.known is None else f", as known at entry {report.known}"
            _print_table(report, f"{report.name.replace('-', ' ').capitalize()} of {book}, as of {as_of}{known}")
            _print_controls(report, sys.stdout)
        case Format.CSV:
            _print_csv(report, sys.stdout)
            _print_controls(report, sys.stderr)
        case Format.JSON:
            json.dump(_as_json(report, book, as_of), sys.stdout, indent=2, ensure_ascii=False)
            sys.stdout.write("\n")


def grouped(amount: Amount) -> str:
    """An amount for people, thousands apart: `-1,234.50`."""
    whole, point, fraction = plain(abs(amount.minor_units), amount.currency).partition(".")
    return f"{'-' if amount.minor_units < 0 else ''}{int(whole):,}{point}{fraction}"


def sentence(control: Control) -> str:
    """A control total in words."""
    verb = "equals" if control.ties else "DOES NOT EQUAL"
    currency = control.reported.currency
    reported, expected = grouped(control.reported), grouped(control.expected)
    return f"{_heading(control.column)} {reported} {currency} {verb} {control.against} {expected} {currency}"


def print_table(table: Table) -> None:
    """Prints a table as wide as the terminal, or as its words and amounts need: none of them is ever cut."""
    for column in table.columns:
        texts = (str(cell) for cell in (column.header, *column.cells))
        column.min_width = max((cell_len(word) for text in texts for word in text.split()), default=1)
    console, uncut = Console(highlight=False), Console(highlight=False, width=_UNCUT)
    if console.is_terminal:
        needed = Measurement.get(uncut, uncut.options, table).minimum
        Console(highlight=False, width=max(console.width, needed)).print(table)
    else:
        uncut.print(table)


def _print_table(report: Report, title: str) -> None:
    table = Table(title=Text(title), title_justify="left", show_footer=False)
    for column in report.columns:
        text = column.kind is ColumnKind.TEXT
        heading = Text(_heading(column.name))
        table.add_column(heading, justify="left" if text else "right", overflow="fold")
    for row in report.rows:
        table.add_row(*(_for_people(cell) for cell in row.values()))
    table.add_section()
    for row in report.totals:
        first, *others = row.values()
        table.add_row(_for_people(first or "total"), *map(_for_people, others), style="bold")
    print_table(table)


def _print_controls(report: Report, out: TextIO) -> None:
    for control in report.controls:
        print(sentence(control), file=out)


def _print_csv(report: Report, out: TextIO) -> None:
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(column.name for column in report.columns)
    lines.writerows([_for_spreadsheets(cell) for cell in row.values()] for row in report.rows)


def _as_json(report: Report, book: str, as_of: date) -> dict[str, Any]:
    return {
        "report": report.name,
        "book": book,
        "as_of": as_of.isoformat(),
        **({} if report.known is None else {"as_known_at_number": report.known}),
        "rows": [*_plain_rows(report.rows)],
        "totals": [*_plain_rows(report.totals)],
        "controls": [
            {
                "column": control.column,
                "against": control.against,
                "currency": control.reported.currency,
                "reported": _plain(control.reported),
                "expected": _plain(control.expected),
                "ties": control.ties,
            }
            for control in report.controls
        ],
    }


def _plain_rows(rows: Iterable[Mapping[str, Cell]]) -> Iterator[dict[str, Any]]:
    return ({name: _plain(cell) for name, cell in row.items()} for row in rows)


def _plain(cell: Cell) -> str | int | None:
    """Money as digits with its decimals, never as a float."""
    return plain(cell.minor_units, cell.currency) if isinstance(cell, Amount) else cell


def printable(text: str) -> str:
    """The text with a ? for each sign that a terminal would obey instead of showing it."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _for_people(cell: Cell) -> Text:
    return Text(grouped(cell) if isinstance(cell, Amount) else "" if cell is None else printable(str(cell)))


def _for_spreadsheets(cell: Cell) -> str | int | None:
    """A text that a spreadsheet would take for a formula gets an apostrophe; numbers stay as they are."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else _plain(cell)


def _heading(name: str) -> str:
    return name.replace("_", " ")
