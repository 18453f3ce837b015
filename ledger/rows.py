"""Rows as statements take them: a column is one text, whose lines are its values, however many there are."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from types import NoneType
from typing import Any
from uuid import UUID

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql

from ledger.connection import Statement
from ledger.errors import TextInvalid


def inserting(table: Table, then: str = "") -> Statement:
    """One statement for the driver that inserts any number of rows, each column given as `listed` has it.

    `then` is what follows, such as an ON CONFLICT clause.
    """
    names = ", ".join(column.name for column in table.columns)
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    lists = ", ".join(
        f"unnest(CAST({taken_apart(column.name)} AS {column.type.compile(dialect=dialect)}[]))"
        for column in table.columns
    )
    return Statement(f"INSERT INTO {table.name} ({names}) SELECT {lists} {then}")


def taken_apart(name: str) -> str:
    """SQL for the array of texts behind a parameter that `listed` made. Before the first line there is nothing."""
    return f"(string_to_array(%({name})s, E'\\n', '\\N'))[2:]"


def columns(table: Table, rows: Sequence[Sequence[object]]) -> dict[str, str]:
    """Rows, each in the table's own order of columns, turned into the lists that `inserting` takes.

    Raises TextInvalid for a text that has a line break.
    """
    turned = zip(*rows, strict=True)
    return {column.name: listed(values) for column, values in zip(table.columns, turned, strict=True)}


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
