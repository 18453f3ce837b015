"""The tables as Python names them are those that the migrations make, and every key begins with the book."""

from collections.abc import Iterator

from conftest import connected
from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql

import ledger.schema
import reconciliation.bank.schema
import reconciliation.schema

TABLES: list[Table] = [
    *ledger.schema.metadata.sorted_tables,
    *reconciliation.schema.metadata.sorted_tables,
]
EXEMPT = {"alembic_version"}
"""Alembic's own table, which holds the version and no book."""
OWNERS = {"reader_books"}
"""What the owner writes by hand: the program does not know it."""

COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
    FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace
    ORDER BY c.relname, a.attnum
"""
PRIMARY_KEYS = """
    SELECT c.conrelid::regclass::text, array_agg(a.attname::text ORDER BY k.place)
    FROM pg_constraint AS c
    CROSS JOIN LATERAL unnest(c.conkey) WITH ORDINALITY AS k (number, place)
    JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.number
    JOIN pg_class AS t ON t.oid = c.conrelid AND NOT t.relispartition
    WHERE c.contype = 'p' AND c.connamespace = 'public'::regnamespace
    GROUP BY 1 ORDER BY 1
"""
# Each primary, unique and foreign key, and each unique index, with its first column here and where it points.
FIRST_OF_KEYS = """
    SELECT c.conrelid::regclass::text, c.conname, here.attname, there.attname
    FROM pg_constraint AS c
    JOIN pg_attribute AS here ON here.attrelid = c.conrelid AND here.attnum = c.conkey[1]
    LEFT JOIN pg_attribute AS there ON there.attrelid = c.confrelid AND there.attnum = c.confkey[1]
    WHERE c.contype IN ('p', 'u', 'f') AND c.connamespace = 'public'::regnamespace
    UNION
    SELECT i.indrelid::regclass::text, i.indexrelid::regclass::text, a.attname, NULL
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid AND c.relnamespace = 'public'::regnamespace
    LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indisunique
"""
EXTENSIONS = "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'"

Described = dict[str, list[tuple[str, str, bool]]]


def rows(database: str, sql: str) -> list[tuple[object, ...]]:
    with connected(database) as connection:
        return connection.execute(sql).fetchall()


def described(column: Column[object]) -> tuple[str, str, bool]:
    """A column as PostgreSQL would describe it: name, type and whether it must be filled."""
    dialect = postgresql.dialect()
    return column.name, column.type.compile(dialect=dialect).lower(), not column.nullable


def migrated(database: str) -> Described:
    """Every table of the database with its columns in order."""
    found: Described = {}
    for table, *column in rows(database, COLUMNS):
        if table not in EXEMPT | OWNERS:
            found.setdefault(str(table), []).append((str(column[0]), str(column[1]), bool(column[2])))
    return found


def test_both_sides_have_the_same_tables(database: str) -> None:
    assert sorted(migrated(database)) == sorted(table.name for table in TABLES)


def test_both_sides_have_the_same_columns_types_and_nulls(database: str) -> None:
    """In the same order too: rows are written and hashed in it."""
    found = migrated(database)
    assert {table.name: [described(column) for column in table.columns] for table in TABLES} == found


def test_both_sides_have_the_same_primary_keys(database: str) -> None:
    found = {table: columns for table, columns in rows(database, PRIMARY_KEYS) if table not in EXEMPT | OWNERS}
    assert {table.name: [column.name for column in table.primary_key] for table in TABLES} == found


def keys(database: str) -> Iterator[tuple[str, str, object, object]]:
    for table, key, here, there in rows(database, FIRST_OF_KEYS):
        if table not in EXEMPT:
            yield str(table), str(key), here, there


def test_every_key_begins_with_the_book(database: str) -> None:
    """The book is the unit of distribution: no key may cross it, and no foreign key may leave it."""
    found = list(keys(database))
    assert len(found) > len(TABLES)
    assert [key for key in found if key[2] != "book" or key[3] not in (None, "book")] == []


def test_a_key_that_does_not_begin_with_the_book_would_be_seen(database: str) -> None:
    """The question itself is right: it finds a constraint and an index that are made wrong on purpose."""
    with connected(database) as connection:
        connection.execute("ALTER TABLE accounts ADD CONSTRAINT wrong_key UNIQUE (code, book)")
        connection.execute("CREATE UNIQUE INDEX wrong_index ON accounts (lower(type), code)")
    assert {key[1] for key in keys(database) if key[2] != "book"} == {"wrong_key", "wrong_index"}


def test_no_extension_is_needed(database: str) -> None:
    assert rows(database, EXTENSIONS) == []
