"""How a report looks: a table for people, CSV for spreadsheets, JSON for programs."""

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from textwrap import indent
from typing import Any, Protocol, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ledger.money import Amount, plain
from ledger.reports.report import Cell, Column, ColumnKind, Control

_UNCUT = 10_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
Row = Mapping[str, Cell]


class Format(StrEnum):
    """How a report is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    XLSX = "xlsx"


@dataclass(frozen=True, slots=True)
class About:
    """What a report is of, and its columns. `known` is the last entry it knows of, where it can be asked so.

    `narrowed` is what it is narrowed to, such as a first day or an account.
    """

    name: str
    book: str
    as_of: date
    known: int | None
    columns: Sequence[Column]
    narrowed: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """In one line."""
        known = "" if self.known is None else f", as known at entry {self.known}"
        narrowed = "".join(f", {_heading(name)} {printable(said)}" for name, said in self.narrowed.items())
        return f"{self.name.replace('-', ' ').capitalize()} of {self.book}, as of {self.as_of}{known}{narrowed}"


class Writer(Protocol):
    """Writes a report as it comes: what it is, its rows in any number of pages, sums and control totals."""

    def begin(self, about: About) -> None:
        """Once, before the rows."""

    def rows(self, rows: Sequence[Row]) -> None:
        """A page of them."""

    def end(self, totals: Sequence[Row], controls: Sequence[Control]) -> None:
        """Once, after the rows."""


class Tables:
    """A table for each page, the last one with the sums; control totals below."""

    def __init__(self, out: TextIO) -> None:
        """`out` is where it is shown."""
        self._out = out
        self._waiting: Sequence[Row] = ()
        self._title = ""
        self._columns: Sequence[Column] = ()

    def begin(self, about: About) -> None:
        """The title comes with the first table."""
        self._title, self._columns = about.title, about.columns

    def rows(self, rows: Sequence[Row]) -> None:
        """Shown once it is known that more follow; few rows are kept for the same table."""
        if len(self._waiting) + len(rows) > _PAGE_OF_PEOPLE and self._waiting:
            self._show(self._waiting, ())
            self._waiting = ()
        self._waiting = [*self._waiting, *rows]

    def end(self, totals: Sequence[Row], controls: Sequence[Control]) -> None:
        """The last table, and what ties it to the accounts."""
        self._show(self._waiting, totals)
        print_controls(controls, self._out)

    def _show(self, rows: Sequence[Row], totals: Sequence[Row]) -> None:
        table = Table(title=Text(self._title), title_justify="left", show_footer=False)
        self._title = f"{self._title.removesuffix(_CONTINUED)}{_CONTINUED}"
        for column in self._columns:
            text = column.kind is ColumnKind.TEXT
            heading = Text(_heading(column.name))
            table.add_column(heading, justify="left" if text else "right", overflow="fold")
        for row in rows:
            table.add_row(*(_for_people(row[column.name]) for column in self._columns))
        table.add_section()
        for row in totals:
            first, *others = (row[column.name] for column in self._columns)
            table.add_row(_for_people(first or "total"), *map(_for_people, others), style="bold")
        print_table(table, self._out)


_PAGE_OF_PEOPLE = 1_000
_CONTINUED = ", continued"


class Csv:
    """One line a row, with the columns' names first. The control totals go elsewhere, so that it stays a table."""

    def __init__(self, out: TextIO, beside: TextIO) -> None:
        """`out` is for the table, `beside` for the control totals."""
        self._lines = csv.writer(out, lineterminator="\n")
        self._beside = beside
        self._columns: Sequence[Column] = ()

    def begin(self, about: About) -> None:
        """The names of the columns."""
        self._columns = about.columns
        self._lines.writerow(column.name for column in about.columns)

    def rows(self, rows: Sequence[Row]) -> None:
        """As they come."""
        self._lines.writerows([for_spreadsheets(row[column.name]) for column in self._columns] for row in rows)

    def end(self, totals: Sequence[Row], controls: Sequence[Control]) -> None:
        """Whoever reads the table adds it up."""
        print_controls(controls, self._beside)


class Json:
    """One object, whose rows are written as they come."""

    def __init__(self, out: TextIO) -> None:
        """`out` is where it is written."""
        self._out = out
        self._columns: Sequence[Column] = ()
        self._follows = False

    def begin(self, about: About) -> None:
        """All that comes before the rows."""
        self._columns = about.columns
        said: dict[str, Any] = {"report": about.name, "book": about.book, "as_of": about.as_of.isoformat()}
        said |= about.narrowed
        if about.known is not None:
            said["as_known_at_number"] = about.known
        self._out.write(json.dumps(said, indent=2, ensure_ascii=False).removesuffix("\n}") + ',\n  "rows": [')

    def rows(self, rows: Sequence[Row]) -> None:
        """As they come."""
        for row in rows:
            written = json.dumps(self._plain(row), indent=2, ensure_ascii=False)
            self._out.write(f"{',' if self._follows else ''}\n{indent(written, '    ')}")
            self._follows = True

    def end(self, totals: Sequence[Row], controls: Sequence[Control]) -> None:
        """Sums and control totals, and the end of the object."""
        rest = {"totals": [*map(self._plain, totals)], "controls": [*map(control_as_json, controls)]}
        written = json.dumps(rest, indent=2, ensure_ascii=False).removeprefix("{\n")
        self._out.write(f"\n  ],\n{written}\n")

    def _plain(self, row: Row) -> dict[str, Any]:
        return {column.name: _plain(row[column.name]) for column in self._columns}


def control_as_json(control: Control) -> dict[str, Any]:
    """A control total for programs."""
    return {
        "column": control.column,
        "against": control.against,
        "currency": control.reported.currency,
        "reported": _plain(control.reported),
        "expected": _plain(control.expected),
        "ties": control.ties,
    }


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


def print_controls(controls: Iterable[Control], out: TextIO) -> None:
    """Prints control totals, a sentence each."""
    for control in controls:
        print(sentence(control), file=out)


def print_table(table: Table, out: TextIO | None = None) -> None:
    """Prints a table as wide as the terminal, or as its words and amounts need: none of them is ever cut."""
    out = out or sys.stdout
    for column in table.columns:
        texts = (str(cell) for cell in (column.header, *column.cells))
        column.min_width = max((cell_len(word) for text in texts for word in text.split()), default=1)
    console, uncut = Console(highlight=False, file=out), Console(highlight=False, width=_UNCUT, file=out)
    if console.is_terminal:
        needed = Measurement.get(uncut, uncut.options, table).minimum
        Console(highlight=False, width=max(console.width, needed), file=out).print(table)
    else:
        uncut.print(table)


def printable(text: str) -> str:
    """The text with a ? for each sign that a terminal would obey instead of showing it."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def like_a_formula(text: str) -> bool:
    """Whether a spreadsheet would take the text for a formula, and work it out."""
    return text.startswith(_FORMULA)


def for_spreadsheets(cell: Cell) -> str | int | None:
    """A text that a spreadsheet would take for a formula gets an apostrophe; numbers stay as they are."""
    return f"'{cell}" if isinstance(cell, str) and like_a_formula(cell) else _plain(cell)


def _plain(cell: Cell) -> str | int | None:
    """Money as digits with its decimals, never as a float."""
    return plain(cell.minor_units, cell.currency) if isinstance(cell, Amount) else cell


def _for_people(cell: Cell) -> Text:
    return Text(grouped(cell) if isinstance(cell, Amount) else "" if cell is None else printable(str(cell)))


def _heading(name: str) -> str:
    return name.replace("_", " ")
