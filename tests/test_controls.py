"""Every constraint, unique key and trigger of the database, taken away in turn: it, and nothing else, refuses.

For each control there is a statement that it refuses, and that is done once the control is dropped. The tables
of `controls.py` must name every control that PostgreSQL's catalogue has, and no other.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from controls import (
    BESIDE,
    BY_TRIGGER,
    CHECKS,
    FOREIGN_KEYS,
    FRESH,
    KEYS,
    LIKE,
    NEW,
    PROGRAM,
    TRIGGERS,
    Row,
)
from day import worked
from psycopg.errors import IntegrityError
from serving import BOOK, Ledger
from test_schema import EXEMPT, OWNERS, TABLES

Connection = psycopg.Connection[Any]


# --- the catalogue ------------------------------------------------------------------------------------

CATALOGUE = """
    WITH tables AS (
        SELECT oid, CAST(CAST(oid AS regclass) AS text) AS name FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    )
    SELECT conname, name, contype, '', ARRAY(
        SELECT attname::text FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY (conkey)
    ), format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', name, conname)
    FROM pg_constraint JOIN tables ON tables.oid = conrelid
    WHERE contype IN ('c', 'p', 'u', 'f', 'x') AND conparentid = 0
    UNION ALL
    SELECT indexrelid::regclass::text, name, 'u', '', ARRAY(
        SELECT attname::text FROM pg_attribute WHERE attrelid = indrelid AND attnum = ANY (indkey)
    ), format('DROP INDEX %s', indexrelid::regclass)
    FROM pg_index JOIN tables ON tables.oid = indrelid
    WHERE indisunique
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))
    UNION ALL
    SELECT tgname, name, 't', tgfoid::regproc::text, ARRAY(
        SELECT event
        FROM unnest(ARRAY['INSERT', 'DELETE', 'UPDATE', 'TRUNCATE'], ARRAY[4, 8, 16, 32]) AS e (event, bit)
        WHERE tgtype & bit <> 0
    ), format('DROP TRIGGER %I ON %s', tgname, name) || coalesce((
        SELECT string_agg(format('; DROP TRIGGER IF EXISTS %I ON %s', tgname, inhrelid::regclass), '')
        FROM pg_inherits WHERE inhparent = tgrelid
    ), '')
    FROM pg_trigger JOIN tables ON tables.oid = tgrelid
    WHERE NOT tgisinternal
"""
PARTS = "SELECT inhrelid::regclass::text, inhparent::regclass::text FROM pg_inherits"
FILLED = """
    SELECT c.relname, a.attname, EXISTS (
        SELECT FROM pg_constraint WHERE conrelid = c.oid AND contype = 'p' AND a.attnum = ANY (conkey)
    ), EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = c.oid AND a.attnum = ANY (partattrs))
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND a.attnotnull
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""


@dataclass(frozen=True)
class Control:
    """What PostgreSQL refuses by itself. `covers` are columns, or the events of a trigger."""

    name: str
    table: str
    kind: str
    function: str
    covers: Sequence[str]
    drop: str


@dataclass(frozen=True)
class Books:
    """Books in which a day was worked, and what keeps them as they are."""

    owner: Connection
    controls: dict[str, Control]
    whole: dict[str, str]

    def named(self, *kinds: str) -> set[str]:
        """The names of the controls of these kinds."""
        return {name for name, control in self.controls.items() if control.kind in kinds}


@pytest.fixture(scope="module")
def books(server: Ledger) -> Iterator[Books]:
    """A row in every table, and a book without a head."""
    worked(server, BOOK)
    with psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True) as owner:
        owner.execute("INSERT INTO books (book, name, opened_by) VALUES ('bare', 'Nothing yet', 'owner')")
        owner.execute("INSERT INTO reader_books (book, login) VALUES ('main', 'ada')")
        assert owner.execute("SELECT max(number) + 1 FROM entries").fetchone() == (NEW,)
        controls = {row[0]: Control(*row) for row in owner.execute(CATALOGUE)}
        yield Books(owner, controls, dict(owner.execute(PARTS).fetchall()))


def test_every_control_has_its_row(books: Books) -> None:
    """A new one without a row, and a row without its control, fail here."""
    assert books.named("c") == CHECKS.keys()
    assert books.named("f") == FOREIGN_KEYS.keys()
    assert books.named("p", "u") == KEYS.keys()
    assert books.named("t") == TRIGGERS.keys()
    assert books.named("x") == set()
    for name, events in TRIGGERS.items():
        assert {*books.controls[name].covers} == events.keys(), name
    assert {control.table for control in books.controls.values()} <= FRESH.keys()


def test_columns_that_must_be_filled(books: Books) -> None:
    filled = {(table, column) for table, column, *_ in books.owner.execute(FILLED) if table not in EXEMPT | OWNERS}
    assert filled == {(table.name, c.name) for table in TABLES for c in table.columns if not c.nullable}


# --- one trial ----------------------------------------------------------------------------------------


def refused(books: Books, work: Callable[[Connection], object], *dropped: str) -> str:
    """Which control refuses the work, where others are dropped; empty where none does. Nothing of it stays."""
    try:
        with books.owner.transaction(force_rollback=True):
            for statement in dropped:
                books.owner.execute(statement)
            work(books.owner)
    except IntegrityError as error:
        return teller(error, books.whole)
    return ""


def teller(error: psycopg.Error, whole: dict[str, str]) -> str:
    """The control that an error names: a constraint, a column that must be filled, or a trigger's function.

    `whole` is the table of each part of one: a part's own name for a control stands for the table's.
    """
    told = error.diag
    part, table = told.table_name or "", whole.get(told.table_name or "", told.table_name)
    if told.constraint_name:
        return told.constraint_name.replace(f"{part}_", f"{table}_", 1)
    if told.column_name:
        return f"{table}.{told.column_name}"
    if no_part := re.match(r'no partition of relation "(\w+)" found for row', told.message_primary or ""):
        return f"part of {no_part[1]}"
    return "".join(re.findall(r"PL/pgSQL function (?:public\.)?(\w+)\(\)", told.context or ""))


def check_alone(books: Books, name: str, work: Callable[[Connection], object]) -> None:
    """It refuses, by its name; and without it the same work is done."""
    control = books.controls[name]
    beside = [books.controls[other].drop for other in BESIDE.get(name, ())]
    assert refused(books, work, *beside) == (control.function or name)
    assert refused(books, work, *beside, control.drop) == ""


def inserting(table: str, changes: Row) -> Callable[[Connection], object]:
    """Writes a row like another but for what is changed.

    An entry as it is posted, with its head and postings; a decision with its proposal.
    """

    def work(connection: Connection) -> None:
        if table not in EXEMPT | OWNERS | BY_TRIGGER:
            connection.execute(PROGRAM)
        if table == "proposal_decisions":
            inserting("proposals", FRESH["proposals"])(connection)
        if table == "postings":
            connection.execute("UPDATE heads SET number = %s WHERE book = %s", [NEW, BOOK])
            like_another(connection, table, {"entry_number": NEW}, changes, OF_LIKE)
            return
        if table == "entries" and changes.get("number") is not None:
            connection.execute("UPDATE heads SET number = %s WHERE book = %s", [NEW, BOOK])
            of_entry = {"entry_number": changes["number"]}
            like_another(connection, "postings", of_entry, of_entry, OF_LIKE)
        like_another(connection, table, changes, changes, LIKE.get(table, "true"), limit=1)

    return work


OF_LIKE = f"entry_number = (SELECT min(number) FROM entries WHERE {LIKE['entries']})"


def like_another(
    connection: Connection, table: str, changes: Row, first: Row, like: str, limit: int | None = None
) -> None:
    """Rows like others but for what is changed; in the first line of several, `first` is."""
    is_first = "t.line = 1" if table == "postings" else "true"
    connection.execute(
        f"INSERT INTO {table} OVERRIDING SYSTEM VALUE"
        f" SELECT (jsonb_populate_record(t, CASE WHEN {is_first} THEN %s::jsonb ELSE %s::jsonb END)).*"
        f" FROM {table} AS t WHERE {like} LIMIT %s",
        [json.dumps(first), json.dumps(changes), limit],
    )


# --- the trials ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", FRESH)
def test_a_row_with_nothing_wrong_is_taken(books: Books, table: str) -> None:
    """Or else the refusals below would prove nothing."""
    assert refused(books, inserting(table, FRESH[table])) == ""


@pytest.mark.parametrize("name", CHECKS)
def test_a_check(books: Books, name: str) -> None:
    table = books.controls[name].table
    check_alone(books, name, inserting(table, FRESH[table] | CHECKS[name]))


@pytest.mark.parametrize("name", FOREIGN_KEYS)
def test_a_foreign_key(books: Books, name: str) -> None:
    table = books.controls[name].table
    work = inserting(table, FRESH[table] | FOREIGN_KEYS[name])

    def at_once(connection: Connection) -> None:
        work(connection)
        if connection.execute(
            "SELECT 1 FROM pg_constraint WHERE condeferrable AND conname = %s", [name]
        ).fetchone():
            connection.execute(f"SET CONSTRAINTS {name} IMMEDIATE")

    check_alone(books, name, at_once)


@pytest.mark.parametrize("name", KEYS)
def test_a_key(books: Books, name: str) -> None:
    control = books.controls[name]
    changes = {column: value for column, value in FRESH[control.table].items() if column not in control.covers}
    work = inserting(control.table, changes | KEYS[name])
    check_alone(books, name, work)


@pytest.mark.parametrize("table", FRESH)
def test_what_must_be_filled(books: Books, table: str) -> None:
    """The columns of a primary key are filled as long as it is there, so these are only seen to refuse.

    A row without the number that says in which part of its table it lies has no part to lie in.
    """
    for of, column, in_key, chooses_part in books.owner.execute(FILLED).fetchall():
        if of == table:
            work = inserting(table, FRESH[table] | {column: None})
            beside = [books.controls[other].drop for other in BESIDE.get((table, column), ())]
            drop = f"ALTER TABLE {table} ALTER {column} DROP NOT NULL"
            assert refused(books, work, *beside) == (f"part of {table}" if chooses_part else f"{table}.{column}")
            assert in_key or refused(books, work, *beside, drop) == "", column


CASES = [(name, event) for name, events in TRIGGERS.items() for event in events]


@pytest.mark.parametrize(("name", "event"), CASES)
def test_a_trigger(books: Books, name: str, event: str) -> None:
    for statements in TRIGGERS[name][event]:

        def work(connection: Connection, statements: Sequence[str] = statements) -> None:
            for statement in statements:
                connection.execute(statement)

        check_alone(books, name, work)
