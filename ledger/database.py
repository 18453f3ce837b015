"""How the books reach PostgreSQL: migrations, connections under the program's own role, and what goes wrong."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import NoneType
from typing import Any
from uuid import UUID

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, Table, TextClause, create_engine, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeEngine

from ledger.errors import DatabaseUnavailable, OutcomeUnknown
from ledger.psql import with_parameters

PROGRAM_ROLE = "ledger_program"
_LOCK_SECONDS = 15
_IDLE_SECONDS = 10
_OLDEST = 150_000
_LOST = (OperationalError, InterfaceError, NoConnectionFree, psycopg.OperationalError, psycopg.InterfaceError)
_FAILED = (DBAPIError, NoConnectionFree, psycopg.Error)
_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class DatabaseUnfit(Exception):
    """This PostgreSQL cannot hold the books; the message says what must be done."""


def engine(url: str, pool_size: int = 10, longest_statement_seconds: int = 0) -> AsyncEngine:
    """Connections that work under the program's own role, whatever the URL's user may do.

    None of them waits for a lock, or holds one while its process does nothing, for longer than others can wait.
    `longest_statement_seconds` ends what runs longer; 0 lets it run.
    """
    limits = {
        "lock_timeout": _LOCK_SECONDS,
        "idle_in_transaction_session_timeout": _IDLE_SECONDS,
        "statement_timeout": longest_statement_seconds,
    }
    options = (f"-c {name}={round(seconds * 1000)}" for name, seconds in limits.items())
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        pool_use_lifo=True,  # the connection used last has its statements and plans ready
        pool_timeout=_LOCK_SECONDS,
        connect_args={
            "options": f"-c role={PROGRAM_ROLE} -c timezone=UTC {' '.join(options)}",
            "connect_timeout": _LOCK_SECONDS,
        },
    )


@asynccontextmanager
async def reading(database: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One consistent view of the books that waits for nobody. Raises DatabaseUnavailable."""
    with_snapshot = database.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    try:
        async with with_snapshot.connect() as connection:
            yield connection
    except _FAILED as failed:
        if not _is_lost(failed):
            raise
        raise _unavailable() from failed


@asynccontextmanager
async def recording(database: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A database transaction: all of the block is recorded, or nothing.

    Raises DatabaseUnavailable where nothing was recorded, OutcomeUnknown where the connection was lost while
    it committed.
    """
    try:
        async with database.connect() as connection:
            yield connection
            await _committed(connection)
    except _FAILED as failed:
        if not _is_lost(failed):
            raise
        raise _unavailable() from failed


async def _committed(connection: AsyncConnection) -> None:
    try:
        await connection.commit()
    except DBAPIError as lost:
        if _is_lost(lost):
            raise OutcomeUnknown(
                "the connection was lost at commit; the same idempotency key gives the answer on retry"
            ) from lost
        raise


def _is_lost(failed: Exception) -> bool:
    """Whether PostgreSQL did not answer, or ended the session, as it does with one that idles in a transaction."""
    return isinstance(failed, _LOST) or (isinstance(failed, DBAPIError) and failed.connection_invalidated)


def _unavailable() -> DatabaseUnavailable:
    return DatabaseUnavailable("the database does not answer; nothing was recorded; try again")


def column(
    name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]], *, key: bool = False, null: bool = False
) -> Column[Any]:
    """A column of a table, part of its key or not, that may be empty or not."""
    return Column(name, kind, primary_key=key, nullable=null)


async def copy(connection: AsyncConnection, table: Table, rows: Iterable[Iterable[object]]) -> None:
    """Writes any number of rows, each in the table's own order of columns, by one COPY."""
    names = ", ".join(column.name for column in table.columns)
    async with (
        (await driver(connection)).cursor() as cursor,
        cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copying,
    ):
        await copying.write("".join(map(_copied, rows)))


async def driver(connection: AsyncConnection) -> psycopg.AsyncConnection[Any]:
    """What SQLAlchemy's connection stands on, in the same database transaction: for COPY and whole batches."""
    found = (await connection.get_raw_connection()).driver_connection
    assert isinstance(found, psycopg.AsyncConnection)
    return found


def _copied(row: Iterable[object]) -> str:
    """A row as COPY's text format has it."""
    return "\t".join([_COPIED[type(value)](value) for value in row]) + "\n"


def _text(value: str) -> str:
    """Most texts are as they stand; a backslash or a control character is not."""
    return value if "\\" not in value and value.isprintable() else value.translate(_ESCAPED)


_COPIED: dict[type, Callable[[Any], str]] = {
    NoneType: lambda _: "\\N",
    str: _text,
    int: str,
    bytes: lambda value: f"\\\\x{value.hex()}",
    date: date.isoformat,
    datetime: str,
    UUID: str,
}


@cache
def query(package: str, name: str) -> TextClause:
    """A query kept as a .sql file in a package, written so that psql takes it too.

    There `:'book'` is a variable that psql quotes; here it becomes a bound parameter. Raises ValueError for SQL
    that cannot be read so.
    """
    try:
        return text(with_parameters(files(package).joinpath(name).read_text()))
    except ValueError as unread:
        raise ValueError(f"{name}, {unread}") from None


def migrate(url: str) -> list[str]:
    """Brings a database to the newest version, from nothing or from an older one; returns what it ran.

    Runs as the URL's own user, which then owns the tables. Raises DatabaseUnfit or DatabaseUnavailable.
    """
    try:
        with create_engine(url, poolclass=NullPool).connect() as connection:
            _refuse_unfit(connection)
            before = _version(connection)
            command.upgrade(_alembic(connection), "head")
            connection.commit()
            return _between(before, _version(connection))
    except OperationalError as lost:
        raise DatabaseUnavailable(f"the database does not answer: {lost.orig}") from lost


def migrations_pending(connection: Connection) -> bool:
    """Whether `ledger migrate` has something to do."""
    return _version(connection) != _newest()


def _refuse_unfit(connection: Connection) -> None:
    version = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one())
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if version < _OLDEST:
        raise DatabaseUnfit(f"PostgreSQL 15 or newer is needed; this one is {version // 10_000}")
    if encoding != "UTF8":
        raise DatabaseUnfit(f"the database must be encoded in UTF8; this one is in {encoding}")


def _alembic(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(str(files("migrations")))))
    return config


@cache
def _newest() -> str | None:
    """The version that this program was written for; a server asks again and again."""
    return _scripts().get_current_head()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_alembic())


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _between(before: str | None, after: str | None) -> list[str]:
    if before == after:
        return []
    found = _scripts().iterate_revisions(after or "base", before or "base")
    return [f"{script.revision} {script.doc}" for script in found][::-1]
