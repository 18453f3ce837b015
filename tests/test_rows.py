"""Rows as statements take them: any number in one text a column, read by PostgreSQL as they were."""

import asyncio
from datetime import date

import psycopg
import pytest
from psycopg.rows import TupleRow
from sqlalchemy import Column, Date, Integer, MetaData, Table, Text

from ledger.connection import Asked, Statement
from ledger.database import driver, engine, recording
from ledger.errors import TextInvalid
from ledger.rows import Insertion
from ledger.schema import (
    balances,
    daily_totals,
    entries,
    pay_cycle_lines,
    pay_cycle_results,
    period_balances,
    postings,
)
from reconciliation.schema import claim_payments

SEEN = Table(
    "seen",
    MetaData(),
    Column("book", Text, nullable=False),
    Column("line", Integer, nullable=False),
    Column("said", Text),
    Column("day", Date),
)
# Rows, and the columns that are written.
ROWS: dict[str, tuple[list[tuple[object, ...]], str]] = {
    "one": ([("main", 1, "it's", date(2026, 4, 8))], "book, line, said, day"),
    "with nothing that may be absent": ([("main", 1, None, None), ("main", 2, None, None)], "book, line"),
    "with something in one of them": ([("main", 1, None, None), ("main", 2, "", None)], "book, line, said, day"),
    "of a book with an odd name": ([("\\N, it's", 1, None, None)], "book, line"),
}


async def written(url: str, *asked: Asked) -> list[list[TupleRow]]:
    """What each statement gives, one after the other in one database transaction."""
    books = engine(url, pool_size=1)
    try:
        async with recording(books) as connection:
            return [(await driver(connection).exchange(one))[0] for one in asked]
    finally:
        await books.dispose()


@pytest.mark.parametrize("case", ROWS)
def test_rows_are_inserted_as_they_are(database: str, case: str) -> None:
    rows, columns = ROWS[case]
    asked = Insertion(SEEN, "RETURNING book, line, said, day").of(rows)
    assert asked[0].sql.decode().startswith(f"INSERT INTO seen ({columns}) SELECT")
    table = Statement("CREATE TEMPORARY TABLE seen (book text, line integer, said text, day date)")
    assert asyncio.run(written(database, (table, {}), asked))[1] == rows


@pytest.mark.parametrize("text", ["two\nlines", "\\N"])
def test_a_text_that_would_be_read_as_another_is_refused(text: str) -> None:
    with pytest.raises(TextInvalid):
        Insertion(SEEN).of([("main", 1, text, None)])


def test_rows_of_several_books_are_never_taken_for_one(database: str) -> None:
    with pytest.raises(ValueError, match="unpack"):
        Insertion(SEEN).of([("main", 1, None, None), ("other", 1, None, None)])


def test_what_may_be_left_out_of_an_insert_is_empty_by_itself(database: str) -> None:
    """A default would come in its place."""
    tables = [
        *(entries, postings, balances, daily_totals),
        *(period_balances, pay_cycle_lines, pay_cycle_results, claim_payments),
    ]
    optional = {(table.name, column.name) for table in tables for column in table.columns if column.nullable}
    with psycopg.connect(database.replace("+psycopg", "")) as looking:
        found = looking.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE column_default IS NOT NULL"
        ).fetchall()
    assert optional
    assert optional.isdisjoint(found)
