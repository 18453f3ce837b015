"""Queries are kept as psql takes them, and reach the database as the same question, or are refused when loaded."""

import asyncio
import re
from collections.abc import Coroutine, Generator
from contextlib import suppress
from importlib.resources import files
from itertools import count
from pathlib import Path
from types import coroutine
from typing import Any

import pytest
from psycopg import DataError, waiting
from psycopg.errors import DivisionByZero
from psycopg.rows import TupleRow
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.connection import Asked, Statement
from ledger.database import driver, engine, insert_keyed, query, reading, recording
from ledger.errors import DatabaseUnavailable
from ledger.psql import with_parameters

# As psql takes it, and as it reaches the database: %% there is one percent sign.
QUERIES = {
    "a comment": ("SELECT 1 -- one :not_a_parameter", "SELECT 1 "),
    "a line of psql's own": ("\\set book 'main'\nSELECT 1", "SELECT 1"),
    "a backslash further on": ("SELECT '\\xff'", "SELECT '\\xff'"),
    "a variable": ("SELECT :'book', :'as_of'", "SELECT %(book)s, %(as_of)s"),
    "dashes in a text": ("SELECT 'a -- b', 1 -- c", "SELECT 'a -- b', 1 "),
    "dashes in a name": ('SELECT 1 AS "a -- b" -- c', 'SELECT 1 AS "a -- b" '),
    "a text of two lines": ("SELECT 'a\n-- b', 1 -- c", "SELECT 'a\n-- b', 1 "),
    "an apostrophe in a comment": ("SELECT 1 -- the payer's\n, 'x'", "SELECT 1 \n, 'x'"),
    "an apostrophe in a text": ("SELECT 'it''s -- so' -- c", "SELECT 'it''s -- so' "),
    "an apostrophe in a name": ("SELECT 1 AS \"it's\" -- so'", 'SELECT 1 AS "it\'s" '),
    "a quotation mark in a text": ("SELECT '\"', 1 -- \"", "SELECT '\"', 1 "),
    "a colon in a text": ("SELECT 'at :noon', :'book'", "SELECT 'at :noon', %(book)s"),
    "colons in a text": ("SELECT ':a:b ::c: d'", "SELECT ':a:b ::c: d'"),
    "an account in a text": ("SELECT 'Assets:Cash:'", "SELECT 'Assets:Cash:'"),
    "a text that ends in a colon": ("SELECT 'a:'AS'b'", "SELECT 'a:'AS'b'"),
    "a text that ends in a colon before a word in quotes": ("SELECT 'a:'or'b'", "SELECT 'a:'or'b'"),
    "a cast": ("SELECT '1'::integer", "SELECT '1'::integer"),
    "a slice": ("SELECT (ARRAY[1, 2])[1:2]", "SELECT (ARRAY[1, 2])[1:2]"),
    "a percent sign": ("SELECT 'x' LIKE '%'", "SELECT 'x' LIKE '%%'"),
    "no more than asked": ("SELECT 1 - -1", "SELECT 1 - -1"),
    "subtraction without blanks": ("SELECT 2-1", "SELECT 2-1"),
}

# What it does not read, it refuses, by its line.
UNREAD = {
    "a block comment": "SELECT 1 /* the payer's */",
    "a dollar quote": "SELECT $$it's$$",
    "a dollar quote with a tag": "SELECT $of$it's$of$",
    "a text with escapes": r"SELECT E'it\'s -- so'",
    "a variable without quotes": "SELECT :book",
    "a variable as a name": 'SELECT :"book"',
    "a text without an end": "SELECT 'a -- b",
    "a name without an end": 'SELECT 1 AS "a',
    "a backslash before a colon": r"SELECT 'a\:b'",
}


def sent(sql: str) -> str:
    """The SQL as the driver gets it."""
    return str(text(with_parameters(sql)).compile(dialect=psycopg.dialect()))


@pytest.mark.parametrize("case", QUERIES)
def test_a_query_as_psql_takes_it(case: str) -> None:
    written, expected = QUERIES[case]
    assert sent(written) == expected


@pytest.mark.parametrize("case", UNREAD)
def test_what_is_not_read_is_refused(case: str) -> None:
    with pytest.raises(ValueError, match=r"^line 2: "):
        with_parameters(f"-- it's\n{UNREAD[case]}")


QUERY_FILES = [
    (package, file.name)
    for package in ("ledger.accounts", "ledger.audit", "ledger.reports", "reconciliation.reports")
    for file in files(package).iterdir()
    if Path(file.name).suffix == ".sql"
]


@pytest.mark.parametrize(("package", "name"), QUERY_FILES)
def test_every_query_of_ours_is_read(package: str, name: str) -> None:
    """Its parameters are the variables of its file, and no comment is left in it."""
    found = query(package, name).compile(dialect=psycopg.dialect())
    told = re.findall(r"^-- \\set (\w+) ", files(package).joinpath(name).read_text(), re.MULTILINE)
    assert set(found.params) == set(told)
    assert "--" not in str(found)


def test_keys_into_partitioned_tables_are_planned_once_and_all_else_as_usual(database: str) -> None:
    assert asyncio.run(modes(database)) == ["force_generic_plan", "auto"]


async def modes(url: str) -> list[str]:
    """How PostgreSQL makes plans while keyed rows are inserted, and after it in the same database transaction."""
    books = engine(url)
    async with recording(books) as connection:
        await connection.execute(text("CREATE TEMPORARY TABLE seen (mode text)"))
        inserting = Statement(
            "INSERT INTO seen SELECT current_setting('plan_cache_mode') FROM unnest(CAST(%(rows)s AS int[]))"
        )
        await insert_keyed(connection, (inserting, {"rows": "{1}"}))
        found = await connection.execute(
            text("SELECT mode FROM seen UNION ALL SELECT current_setting('plan_cache_mode')")
        )
        modes = [*found.scalars()]
    await books.dispose()
    return modes


@pytest.mark.parametrize("planning_once", [False, True])
def test_no_question_is_compiled(database: str, planning_once: bool) -> None:
    """PostgreSQL 15 to 18 would where they can: the look at the guards for 3.4 s, to run for 0.1."""

    async def asked() -> object:
        books = engine(database, pool_size=1, planning_once=planning_once)
        try:
            async with reading(books) as connection:
                return (await connection.execute(text("SHOW jit"))).scalar_one()
        finally:
            await books.dispose()

    assert asyncio.run(asked()) == "off"


# --- statements sent together -------------------------------------------------------------------------

GIVEN = Statement("SELECT %(text)s, CAST(%(number)s AS int) + 1, %(text)s")
GONE = Statement("SELECT 1 / CAST(%(number)s AS int)")


async def exchanged(url: str, *asked: Asked) -> list[list[TupleRow]]:
    books = engine(url, pool_size=1)
    try:
        async with recording(books) as connection:
            return await driver(connection).exchange(*asked)
    finally:
        await books.dispose()


def test_each_statement_has_its_rows(database: str) -> None:
    """A value stands as often as it is named, and is never read as SQL; what gives no rows has none."""
    odd = "it's %(number)s \\ $1; é"
    assert asyncio.run(
        exchanged(database, (GIVEN, {"number": "41", "text": odd}), (Statement("SET LOCAL lock_timeout = 7"), {}))
    ) == [[(odd, 42, odd)], []]


def test_of_several_the_first_failure_is_told_and_the_connection_lives_on(database: str) -> None:
    async def working() -> list[list[TupleRow]]:
        books = engine(database, pool_size=1)
        with pytest.raises(DivisionByZero):
            async with recording(books) as connection:
                await driver(connection).exchange((GIVEN, {"number": "1", "text": ""}), (GONE, {"number": "0"}))
        async with recording(books) as connection:
            found = await driver(connection).exchange(
                (GONE, {"number": "1"}), (GIVEN, {"number": "1", "text": ""})
            )
        await books.dispose()
        return found

    assert asyncio.run(working()) == [[(1,)], [("", 2, "")]]


def test_what_psycopg_gives_up_after_a_rollback_is_prepared_again(database: str) -> None:
    """It keeps statements of its own, and drops those of the whole session with them."""

    async def working() -> list[list[TupleRow]]:
        books = engine(database, pool_size=1)
        async with recording(books) as connection:
            await driver(connection).exchange((GONE, {"number": "1"}))
            await driver(connection).execute("SELECT 1", prepare=True)
            await driver(connection).rollback()
            found = await driver(connection).exchange((GONE, {"number": "1"}))
        await books.dispose()
        return found

    assert asyncio.run(working()) == [[(1,)]]


ENDING = Statement("SET ROLE NONE"), Statement("SELECT pg_terminate_backend(pg_backend_pid())")


@pytest.mark.parametrize("others", [0, 1])
def test_a_session_that_ends_in_the_middle_is_a_lost_connection(database: str, others: int) -> None:
    """Its last answer says why; after it there is none, however long one waits."""
    with pytest.raises(DatabaseUnavailable):
        asyncio.run(exchanged(database, *[(one, {}) for one in ENDING], *[(GONE, {"number": "1"})] * others))


def test_a_text_with_a_nul_is_refused(database: str) -> None:
    """PostgreSQL would read it up to there."""
    with pytest.raises(DataError, match="NUL"):
        asyncio.run(exchanged(database, (GIVEN, {"number": "1", "text": "a\0b"})))


# --- given up -----------------------------------------------------------------------------------------


@coroutine
def given_up(work: Coroutine[Any, Any, None], step: int) -> Generator[Any, Any, None]:
    """The same work, given up where it waits for the so-manieth time."""
    task = asyncio.current_task()
    assert task
    with suppress(StopIteration):
        waits = work.send(None)
        for waited in count():
            if waited == step:
                task.cancel()
            try:
                yield waits
            except asyncio.CancelledError as cancelled:
                waits = work.throw(cancelled)
            else:
                waits = work.send(None)


async def asked(database: AsyncEngine, how: Any) -> None:
    async with how(database) as connection:
        await connection.execute(text("SELECT count(*) FROM books"))


@pytest.mark.parametrize("how", [reading, recording])
def test_a_connection_comes_back_wherever_its_user_gives_up(
    database: str, how: Any, recwarn: pytest.WarningsRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not as one that nobody holds any more, which would be ended."""
    monkeypatch.setattr(waiting, "MAX_BUSY_TIME", 0)  # psycopg lets others run wherever it may

    async def at_every_step() -> int:
        made = engine(database)
        for step in count():
            await asked(made, how)  # so that nobody is cut off who logs in, for whom PostgreSQL waits
            task = asyncio.create_task(given_up(asked(made, how), step))
            await asyncio.wait([task])
            await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)
            assert (made.pool.checkedout(), made.pool.checkedin()) == (0, 1), f"given up at step {step}"
            assert [str(one.message) for one in recwarn] == []
            if not task.cancelled():
                break
        await made.dispose()
        return step

    assert asyncio.run(at_every_step()) > 3
