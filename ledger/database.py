"""How the books reach PostgreSQL: migrations, connections under the program's own role, and what goes wrong."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, Table, TextClause, create_engine, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeEngine

from ledger.connection import KEPT_ALIVE, RESTING_SECONDS, DriverConnection
from ledger.errors import DatabaseUnavailable, OutcomeUnknown
from ledger.psql import with_parameters

PROGRAM_ROLE = "ledger_program"
_LOCK_SECONDS = 15
_IDLE_SECONDS = 10
_SILENCE_SECONDS = 20
_TRAVEL_SECONDS = 5
_OLDEST = 150_000
_LOST = (OperationalError, InterfaceError, NoConnectionFree)


class DatabaseUnfit(Exception):
    """This PostgreSQL cannot hold the books; the message says what must be done."""


def engine(url: str, pool_size: int = 10, longest_statement_seconds: int = 0) -> AsyncEngine:
    """Connections that work under the program's own role, whatever the URL's user may do.

    None of them waits for a lock, or holds one while its process does nothing, for longer than others can wait.
    Nor does it wait for ever for an answer that a silent network has swallowed: whoever records waits longer than
    for a lock, whoever reads longer than a statement may run. `longest_statement_seconds` ends what runs longer; 0
    lets it run.
    """
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        pool_timeout=_LOCK_SECONDS,
        connect_args={
            "async_creator_fn": DriverConnection.connect,
            "options": _options(longest_statement_seconds),
            "connect_timeout": _LOCK_SECONDS,
            **KEPT_ALIVE,
        },
        execution_options={
            "reading_seconds": longest_statement_seconds and longest_statement_seconds + _TRAVEL_SECONDS,
            "recording_seconds": _SILENCE_SECONDS,
        },
    )


def _options(longest_statement_seconds: int) -> str:
    """What each session is set to: its own limits, and how PostgreSQL notices a program that is gone."""
    limits = {
        "lock_timeout": _LOCK_SECONDS,
        "idle_in_transaction_session_timeout": _IDLE_SECONDS,
        "statement_timeout": longest_statement_seconds,
    }
    settings = {name: round(seconds * 1000) for name, seconds in limits.items()}
    settings |= {f"tcp_{name.removeprefix('tcp_')}": value for name, value in KEPT_ALIVE.items()}
    options = (f"-c {name}={value}" for name, value in settings.items())
    return f"-c role={PROGRAM_ROLE} -c timezone=UTC {' '.join(options)}"


@asynccontextmanager
async def reading(database: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One consistent view of the books that waits for nobody. Raises DatabaseUnavailable."""
    with_snapshot = database.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    async with _connected(with_snapshot, "reading_seconds") as connection:
        yield connection


@asynccontextmanager
async def recording(database: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A database transaction: all of the block is recorded, or nothing.

    Raises DatabaseUnavailable where nothing was recorded, OutcomeUnknown where the connection was lost while
    it committed.
    """
    async with _connected(database, "recording_seconds") as connection:
        yield connection
        await _committed(connection)


@asynccontextmanager
async def _connected(database: AsyncEngine, patience: str) -> AsyncIterator[AsyncConnection]:
    """A connection of the pool, with the patience that the engine was given for this kind of work."""
    try:
        async with database.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert isinstance(driver, DriverConnection)
            driver.patience_seconds = database.sync_engine.get_execution_options()[patience]
            try:
                yield connection
            finally:
                driver.patience_seconds = RESTING_SECONDS
    except (DBAPIError, NoConnectionFree) as failed:
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


def inserting(table: Table, then: str = "") -> TextClause:
    """One statement that inserts any number of rows, each column given as an array under its name.

    `then` is what follows, such as an ON CONFLICT clause.
    """
    names = ", ".join(column.name for column in table.columns)
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    arrays = ", ".join(f"CAST(:{c.name} AS {c.type.compile(dialect=dialect)}[])" for c in table.columns)
    return text(f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({arrays}) {then}")  # noqa: S608


def columns(table: Table, rows: Sequence[Sequence[object]]) -> dict[str, list[object]]:
    """Rows, each in the table's own order of columns, turned into the arrays that `inserting` takes."""
    turned = zip(*rows, strict=True) if rows else ([] for _ in table.columns)
    return {column.name: list(values) for column, values in zip(table.columns, turned, strict=True)}


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
