"""What PostgreSQL itself can do with the rows that a book consists of, when nobody looks at what they say.

The rows are those that the ledger wrote, read back. They go into tables of the same columns, keys and indexes, in
which nothing is checked: no trigger, no reference, no constraint but NOT NULL and the keys. Totals are written
once, as they stand at the end; the ledger had to add them up batch by batch.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import psycopg
from sqlalchemy import Table

from benchmarks.client import Measured
from benchmarks.entries import BATCH
from ledger.schema import balances, daily_totals, entries, entry_keys, entry_reversals, postings

_SCHEMA = "copied"
_BINARY = "WITH (FORMAT binary)"
TABLES = (postings, entries, entry_keys, entry_reversals, balances, daily_totals)
"""What a batch writes but for the head, in its own transaction."""
_NUMBERS = {table.name: "number" for table in (entries, entry_keys, entry_reversals)} | {
    postings.name: "entry_number"
}
"""Of tables with rows of each entry: the column with its number."""


@dataclass(frozen=True)
class Copying:
    """COPY of a book's entries after the first so many, committed as often as the ledger commits a batch."""

    url: str
    book: str
    after: int
    last: int

    @contextmanager
    def ready(self) -> Iterator[Callable[[], Measured]]:
        """Reads the rows back as PostgreSQL sends them, to be sent again as they are."""
        with psycopg.connect(plain(self.url)) as connection:
            make_tables(connection)
            batches = [self._numbered(connection, at) for at in range(self.after, self.last, BATCH)]
            batches.append([(table, _read(connection, table, self._where(table))) for table in _totals()])
            connection.commit()

            def run() -> Measured:
                measured = Measured(perf_counter())
                for batch in batches:
                    began = perf_counter()
                    for table, content in batch:
                        _copy(connection, table, content)
                    connection.commit()
                    measured.seconds.append(perf_counter() - began)
                return measured

            yield run

    def rows(self, connection: psycopg.Connection[Any]) -> int:
        """How many rows that is."""
        of_entries = (
            _count(connection, one, f"{self._where(one)} AND {_NUMBERS[one.name]} > {self.after}")
            for one in TABLES
            if one.name in _NUMBERS
        )
        return sum(of_entries) + sum(_count(connection, one, self._where(one)) for one in _totals())

    def _where(self, table: Table) -> str:
        return f"book = '{self.book}'"

    def _numbered(self, connection: psycopg.Connection[Any], after: int) -> list[tuple[Table, bytes]]:
        """One batch: the rows of entries with the next numbers."""
        last = min(after + BATCH, self.last)
        return [
            (
                table,
                _read(connection, table, f"{self._where(table)} AND {column} > {after} AND {column} <= {last}"),
            )
            for table in TABLES
            if (column := _NUMBERS.get(table.name))
        ]


@dataclass(frozen=True)
class Inserting:
    """INSERT of an entry's rows and COMMIT, in one round trip to PostgreSQL; one entry after the other."""

    url: str
    book: str
    after: int
    count: int

    @contextmanager
    def ready(self) -> Iterator[Callable[[], Measured]]:
        """Reads the rows of each entry back; writes them when told."""
        with psycopg.connect(plain(self.url)) as connection:
            make_tables(connection)
            numbers = range(self.after + 1, self.after + self.count + 1)
            each = [[(table, _of_entry(connection, table, self.book, one)) for table in TABLES] for one in numbers]
            connection.commit()

            def run() -> Measured:
                measured = Measured(perf_counter())
                for rows in each:
                    began = perf_counter()
                    with connection.pipeline():
                        for table, values in rows:
                            _insert(connection, table, values)
                        connection.commit()
                    measured.seconds.append(perf_counter() - began)
                return measured

            yield run


def plain(url: str) -> str:
    """The URL as psycopg takes it."""
    return url.replace("+psycopg", "", 1)


def make_tables(connection: psycopg.Connection[Any]) -> None:
    """Empty tables like those of the books, without anything that checks."""
    _run(connection, f"DROP SCHEMA IF EXISTS {_SCHEMA} CASCADE")
    _run(connection, f"CREATE SCHEMA {_SCHEMA}")
    for table in TABLES:
        _run(connection, f"CREATE TABLE {_SCHEMA}.{table.name} (LIKE {table.name} INCLUDING INDEXES)")
    connection.commit()


def _totals() -> list[Table]:
    return [table for table in TABLES if table.name not in _NUMBERS]


def _read(connection: psycopg.Connection[Any], table: Table, where: str) -> bytes:
    statement = f"COPY (SELECT * FROM {table.name} WHERE {where}) TO STDOUT {_BINARY}"
    with connection.cursor().copy(statement.encode()) as copy:
        return b"".join(copy)


def _copy(connection: psycopg.Connection[Any], table: Table, content: bytes) -> None:
    with connection.cursor().copy(f"COPY {_SCHEMA}.{table.name} FROM STDIN {_BINARY}".encode()) as copy:
        copy.write(content)


def _of_entry(connection: psycopg.Connection[Any], table: Table, book: str, number: int) -> list[Any]:
    """The rows of a table that an entry wrote; of totals, those that it added to."""
    if column := _NUMBERS.get(table.name):
        return _run(connection, f"SELECT * FROM {table.name} WHERE book = %s AND {column} = %s", book, number)
    day = "AND t.effective_date = e.effective_date" if table is daily_totals else ""
    of_entry = f"""
        SELECT DISTINCT t.* FROM {table.name} AS t JOIN entries AS e ON e.book = t.book {day}
        JOIN postings AS p ON p.book = e.book AND p.entry_number = e.number AND p.account = t.account
        WHERE e.book = %s AND e.number = %s"""
    return _run(connection, of_entry, book, number)


def _insert(connection: psycopg.Connection[Any], table: Table, rows: list[Any]) -> None:
    """One statement; totals that are there already are replaced."""
    if not rows:
        return
    names, keys = table.columns.keys(), table.primary_key.columns.keys()
    then = ""
    if table.name not in _NUMBERS:
        new = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
        then = f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {new}"
    values = ", ".join([f"({', '.join(['%s'] * len(names))})"] * len(rows))
    _run(
        connection, f"INSERT INTO {_SCHEMA}.{table.name} VALUES {values} {then}", *(v for row in rows for v in row)
    )


def _count(connection: psycopg.Connection[Any], table: Table, where: str) -> int:
    return int(_run(connection, f"SELECT count(*) FROM {table.name} WHERE {where}")[0][0])


def _run(connection: psycopg.Connection[Any], statement: str, *values: object) -> list[Any]:
    cursor = connection.execute(statement.encode(), values or None)
    return cursor.fetchall() if cursor.description else []
