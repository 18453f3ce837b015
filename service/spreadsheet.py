"""XLSX: rows over as many sheets as they need, and a sheet of control totals that says what they are.

A number in a spreadsheet is a double. An amount is written as a number where that is exact to the last digit and
in sight, which is up to 15 digits; beyond, it is text, and no digit is ever lost silently.
"""

import csv
import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from ledger.money import Amount, fraction_digits, plain
from ledger.reports.report import Cell, Column, Control
from service.printing import About, Row, for_spreadsheets, like_a_formula, sentence

ROWS_A_SHEET = 1_048_576
DIGITS_IN_SIGHT = 15
_OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}
_WIDE, _USUAL = 40, 16


class _Sheet(Worksheet):  # type: ignore[misc]
    """A worksheet whose numbers stand in the file as they are.

    The library writes 16 digits, which makes 9650.530000000001 of 9650.53: another double, and another amount.
    """

    def _xml_number_element(self, number: float, attributes: Sequence[tuple[str, object]] = ()) -> None:
        said = "".join(f' {name}="{value}"' for name, value in attributes)
        self.fh.write(f"<c{said}><v>{number!r}</v></c>")


class Digest:
    """SHA-256 of rows as our CSV has them: one file's content can be told from another's, whatever its form."""

    def __init__(self) -> None:
        """Of nothing yet."""
        self._hash = hashlib.sha256()
        self._lines = csv.writer(self, lineterminator="\n")

    def write(self, text: str) -> None:
        """What csv.writer writes to."""
        self._hash.update(text.encode())

    def line(self, cells: Iterable[str | int | None]) -> None:
        """One line of the CSV."""
        self._lines.writerow(cells)

    def hex(self) -> str:
        """The digest of all lines so far."""
        return self._hash.hexdigest()


class Xlsx:
    """A workbook in a file. Memory holds a row, however many there are."""

    def __init__(self, path: Path, rows_a_sheet: int = ROWS_A_SHEET) -> None:
        """Begins the workbook; `rows_a_sheet` counts the line of headings."""
        self._book = xlsxwriter.Workbook(str(path), _OPTIONS)
        self._control = self._book.add_worksheet("Control", _Sheet)
        self._rows_a_sheet = rows_a_sheet
        self._digest = Digest()
        self._formats: dict[int, Format] = {}
        self._quoted = self._book.add_format({"quote_prefix": True})
        self._bold = self._book.add_format({"bold": True})
        self._sheet: Worksheet | None = None
        self._next = self.count = 0
        self._about: About | None = None
        self._read_at = datetime.now(UTC)

    def __enter__(self) -> "Xlsx":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failed: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The file is written when all is in it."""
        self._book.close()

    def begin(self, about: About) -> None:
        """The first sheet."""
        self._about = about
        created = self._read_at.replace(tzinfo=None)
        self._book.set_properties({"title": about.title, "created": created})
        self._digest.line(column.name for column in about.columns)
        self._turn()

    def rows(self, rows: Sequence[Row]) -> None:
        """As they come; a full sheet is followed by the next."""
        assert self._about
        for row in rows:
            cells = [row[column.name] for column in self._about.columns]
            self._digest.line(map(for_spreadsheets, cells))
            if self._next == self._rows_a_sheet:
                self._turn()
            for place, cell in enumerate(cells):
                self._write(self._sheet, self._next, place, cell)
            self._next += 1
            self.count += 1

    def end(self, totals: Sequence[Row], controls: Sequence[Control]) -> None:
        """The sheet of control totals."""
        assert self._about
        known = self._about.known
        lines: list[Sequence[Cell]] = [
            [self._about.title],
            ["book", self._about.book],
            ["as of", self._about.as_of.isoformat()],
            *([name.replace("_", " "), said] for name, said in self._about.narrowed.items()),
            ["as known at entry", "what is known now" if known is None else str(known)],
            ["read at", self._read_at.isoformat(timespec="seconds")],
            ["rows", str(self.count)],
            ["SHA-256 of the rows as CSV", self._digest.hex()],
            [],
            ["sums", *(column.name for column in self._about.columns)],
            *(["", *(row[column.name] for column in self._about.columns)] for row in totals),
            [],
            ["control totals", "ties"],
            *([sentence(control), "yes" if control.ties else "NO"] for control in controls),
        ]
        for number, line in enumerate(lines):
            for place, cell in enumerate(line):
                self._write(self._control, number, place, cell)
        self._control.set_column(0, 0, _WIDE)

    def _turn(self) -> None:
        """The next sheet, with the headings."""
        assert self._about
        self._sheet = self._book.add_worksheet(None, _Sheet)
        self._sheet.freeze_panes(1, 0)
        for place, column in enumerate(self._about.columns):
            self._sheet.set_column(place, place, _width(column))
            self._sheet.write_string(0, place, column.name.replace("_", " "), self._bold)
        self._next = 1

    def _write(self, sheet: Worksheet | None, row: int, place: int, cell: Cell) -> None:
        assert sheet
        match cell:
            case Amount():
                self._write_amount(sheet, row, place, cell)
            case int() if len(str(abs(cell))) <= DIGITS_IN_SIGHT:
                sheet.write_number(row, place, cell)
            case None:
                return
            case _:
                text = inert(str(cell))
                sheet.write_string(row, place, text, self._quoted if like_a_formula(text) else None)

    def _write_amount(self, sheet: Worksheet, row: int, place: int, amount: Amount) -> None:
        number = exact_number(amount)
        if number is None:
            sheet.write_string(row, place, plain(amount.minor_units, amount.currency))
        else:
            sheet.write_number(row, place, number, self._format(fraction_digits(amount.currency)))

    def _format(self, digits: int) -> Format:
        if digits not in self._formats:
            pattern = f"#,##0.{'0' * digits}" if digits else "#,##0"
            self._formats[digits] = self._book.add_format({"num_format": pattern})
        return self._formats[digits]


def exact_number(amount: Amount) -> float | None:
    """The double that a sheet holds for an amount and shows to its last digit; None where there is none."""
    if len(str(abs(amount.minor_units))) > DIGITS_IN_SIGHT:
        return None
    text = plain(amount.minor_units, amount.currency)
    number = float(text)
    return number if Decimal(repr(number)) == Decimal(text) else None


def inert(text: str) -> str:
    """The text as it can be written: what looks like a sheet's own markup is told apart by an apostrophe."""
    return f"'{text}" if text.startswith("<r>") and text.endswith("</r>") else text


def _width(column: Column) -> int:
    return _WIDE if column.name in ("account", "description", "reason") else _USUAL
