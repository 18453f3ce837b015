"""Rows as statements take them: a column is one text, whose lines are its values, however many there are."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from types import NoneType
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql

from ledger.connection import Asked, Statement
from ledger.errors import TextInvalid

_BOOK = "book"
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


class Insertion:
    """Inserts any number of rows of one book into a table, whose first column is the book's name.

    Columns that may be empty are left out where all of them are so in all rows: most of an entry's are.
    """

    def __init__(self, table: Table, then: str = "") -> None:
        """`then` is what follows, such as an ON CONFLICT clause."""
        self._names = [column.name for column in table.columns]
        self._optional = [column.name for column in table.columns if column.nullable]
        self._whole = _inserting(table, table.columns, then)
        self._short = _inserting(table, [column for column in table.columns if not column.nullable], then)

    def of(self, rows: Sequence[Sequence[object]]) -> Asked:
        """The statement with rows, each in the table's own order of columns, of which there is at least one.

        Raises TextInvalid for a text that has a line break.
        """
        given = dict(zip(self._names, zip(*rows, strict=True), strict=True))
        is_short = all(given[name].count(None) == len(rows) for name in self._optional)
        statement = self._short if is_short else self._whole
        [book] = set(given[_BOOK])
        return statement, {
            name: as_text(book) if name == _BOOK else listed(given[name]) for name in statement.names
        }


def _inserting(table: Table, columns: Iterable[Column[Any]], then: str) -> Statement:
    names, values = zip(*((column.name, _value(column)) for column in columns), strict=True)
    return Statement(f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {', '.join(values)} {then}")


def _value(column: Column[Any]) -> str:
    kind = column.type.compile(dialect=_DIALECT)
    if column.name == _BOOK:
        return f"CAST(%({_BOOK})s AS {kind})"
    return f"unnest(CAST({taken_apart(column.name)} AS {kind}[]))"


def taken_apart(name: str) -> str:
    """SQL for the array of texts behind a parameter that `listed` made. Before the first line there is nothing."""
    return f"(string_to_array(%({name})s, E'\\n', '\\N'))[2:]"


def listed(values: Sequence[object]) -> str:
    """A line for each value, \\N for an absent one: one text costs a hundredth of an array. Raises TextInvalid."""
    lines = [_AS_TEXT[type(value)](value) for value in values]
    found = "\n".join(["", *lines])
    if found.count("\n") > len(lines) or "\\N" in (value for value in values if type(value) is str):
        raise TextInvalid("a text with a line break, or that is \\N, cannot be kept", field="text", limit=0)
    return found


def as_text(value: object) -> str:
    """A value as PostgreSQL reads it."""
    return _AS_TEXT[type(value)](value)


_AS_TEXT: dict[type, Callable[[Any], str]] = {
    NoneType: lambda _: "\\N",
    str: lambda value: value,
    int: str,
    bytes: lambda value: f"\\x{value.hex()}",
    date: date.isoformat,
    datetime: str,
    UUID: str,
}
