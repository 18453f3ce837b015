"""Parquet: postings in row groups, exact, with what they tie to in the file's own metadata.

Needs the extra `parquet` (pyarrow), which is large and which few want.
"""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from ledger.money import Amount, plain
from ledger.reports.report import Cell, Column, ColumnKind, Control
from service.printing import About, Row, control_as_json, for_spreadsheets
from service.spreadsheet import Digest

DIGITS, SCALE = 38, 4
"""No currency of ISO 4217 has more than four decimals: every amount is exact in one type."""
ROWS_A_GROUP = 20_000


class ParquetMissing(Exception):
    """pyarrow is not installed; the message says how to have it."""


def arrow() -> tuple[ModuleType, ModuleType]:
    """pyarrow and its Parquet part. Raises ParquetMissing."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ParquetMissing("Parquet needs pyarrow: pip install 'session-ledger[parquet]'") from None
    return pa, pq


class Parquet:
    """A table in a file. Memory holds a row group, however many rows there are."""

    def __init__(self, path: Path, rows_a_group: int = ROWS_A_GROUP) -> None:
        """Begins the file. Raises ParquetMissing."""
        self._pa, self._pq = arrow()
        self._path = path
        self._rows_a_group = rows_a_group
        self._digest = Digest()
        self._waiting: list[Row] = []
        self._writer: Any = None
        self._about: About | None = None
        self._read_at = datetime.now(UTC)
        self.count = 0

    def __enter__(self) -> "Parquet":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failed: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The file is complete when it is closed."""
        if self._writer is not None:
            self._writer.close()

    def begin(self, about: About) -> None:
        """The schema."""
        self._about = about
        fields = [(column.name, self._type(column)) for column in about.columns]
        self._writer = self._pq.ParquetWriter(str(self._path), self._pa.schema(fields))
        self._digest.line(column.name for column in about.columns)

    def rows(self, rows: Sequence[Row]) -> None:
        """As they come, a row group at a time."""
        assert self._about
        for row in rows:
            self._digest.line(for_spreadsheets(row[column.name]) for column in self._about.columns)
        self.count += len(rows)
        self._waiting += rows
        while len(self._waiting) >= self._rows_a_group:
            self._write(self._waiting[: self._rows_a_group])
            self._waiting = self._waiting[self._rows_a_group :]

    def end(self, totals: Sequence[Row], controls: Sequence[Control]) -> None:
        """What is left, and the metadata."""
        assert self._about
        if self._waiting or not self.count:
            self._write(self._waiting)
        said = {
            "title": self._about.title,
            "book": self._about.book,
            "as_of": self._about.as_of.isoformat(),
            "as_known_at_number": self._about.known,
            "read_at": self._read_at.isoformat(timespec="seconds"),
            "rows": self.count,
            "sha256_of_rows_as_csv": self._digest.hex(),
            "controls": [*map(control_as_json, controls)],
        }
        self._writer.add_key_value_metadata({"session_ledger": json.dumps(said)})

    def _write(self, rows: Sequence[Row]) -> None:
        assert self._about
        columns = {
            column.name: self._pa.array(
                [_value(column, row[column.name]) for row in rows], type=self._type(column)
            )
            for column in self._about.columns
        }
        self._writer.write_table(self._pa.table(columns))

    def _type(self, column: Column) -> Any:
        match column.kind:
            case ColumnKind.MONEY | ColumnKind.STANDING:
                return self._pa.decimal128(DIGITS, SCALE)
            case ColumnKind.COUNT | ColumnKind.NUMBER:
                return self._pa.int64()
        if column.name in _DAYS:
            return self._pa.date32()
        return self._pa.timestamp("us", tz="UTC") if column.name in _TIMES else self._pa.string()


_DAYS, _TIMES = {"effective_date", "service_date"}, {"recorded_at"}


def _value(column: Column, cell: Cell) -> Decimal | date | datetime | int | str | None:
    """A cell as Parquet keeps it."""
    if isinstance(cell, Amount):
        return Decimal(plain(cell.minor_units, cell.currency))
    if isinstance(cell, str) and column.name in _DAYS:
        return date.fromisoformat(cell)
    return datetime.fromisoformat(cell) if isinstance(cell, str) and column.name in _TIMES else cell
