"""How the books reach PostgreSQL: migrations, connections under the program's own role, and what goes wrong."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import Diagnostic, FeatureNotSupported, LockNotAvailable, ReadOnlySqlTransaction
from sqlalchemy import Column, Connection, TextClause, create_engine, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeEngine

from ledger.connection import KEPT_ALIVE, RESTING_SECONDS, Asked, DriverConnection, Statement, look_at_the_rested
from ledger.errors import DatabaseUnavailable, OutcomeUnknown
from ledger.psql import with_parameters

PROGRAM_ROLE = "ledger_program"
_LOCK_SECONDS = 15
_IDLE_SECONDS = 10
_SILENCE_SECONDS = 20
_TRAVEL_SECONDS = 5
_OLDEST = 150_000
_LOCK_MILLISECONDS = 250
_TRY_AGAIN_SECONDS = 1
_MOST_TRIES = 120
_ONE_AT_A_TIME = "SELECT pg_advisory_lock(hashtext('ledger migrate'))"
_OLDEST_PROGRAM = "SELECT obj_description(to_regclass('alembic_version'), 'pg_class')"
"""`migrations/env.py` keeps there which version a program must know at least, where a version says so."""
_PLAN_ONCE = Statement("SET LOCAL plan_cache_mode = force_generic_plan")
_PLAN_AS_USUAL = Statement("SET LOCAL plan_cache_mode TO DEFAULT")
_AHEAD = 1_000_000
_MAKE_PARTITIONS = text("SELECT make_partitions(:ahead)")
_READ_ONLY = (ReadOnlySqlTransaction, FeatureNotSupported)
_LOST = (OperationalError, InterfaceError, NoConnectionFree, psycopg.OperationalError, psycopg.InterfaceError)
_FAILED = (DBAPIError, NoConnectionFree, psycopg.Error)


class DatabaseUnfit(Exception):
    """This PostgreSQL cannot hold the books; the message says what must be done."""


def engine(
    url: str, pool_size: int = 10, longest_statement_seconds: int = 0, *, planning_once: bool = False
) -> AsyncEngine:
    """Connections that work under the program's own role, whatever the URL's user may do.

    None of them waits for a lock, or holds one while its process does nothing, for longer than others can wait.
    Nor does it wait for ever for an answer that a silent network has swallowed: whoever records waits longer than
    for a lock, whoever reads longer than a statement may run. `longest_statement_seconds` ends what runs longer; 0
    lets it run. Warnings reach us whatever the server is set to: one of them says that a commit is in doubt.
    `planning_once` is for questions whose plan does not depend on what is asked: PostgreSQL makes it once, never
    for one book alone, of which it may have no statistics.
    """
    made = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_use_lifo=True,  # the connection used last has its statements and plans ready
        pool_timeout=_LOCK_SECONDS,
        connect_args={
            "async_creator_fn": DriverConnection.connect,
            "options": _options(longest_statement_seconds, planning_once=planning_once),
            "connect_timeout": _LOCK_SECONDS,
            **KEPT_ALIVE,
        },
        execution_options={
            "reading_seconds": longest_statement_seconds and longest_statement_seconds + _TRAVEL_SECONDS,
            "recording_seconds": _SILENCE_SECONDS,
        },
    )
    look_at_the_rested(made.sync_engine)
    return made


def _options(longest_statement_seconds: int, *, planning_once: bool) -> str:
    """What each session is set to: its own limits, and how PostgreSQL notices a program that is gone."""
    limits = {
        "lock_timeout": _LOCK_SECONDS,
        "idle_in_transaction_session_timeout": _IDLE_SECONDS,
        "statement_timeout": longest_statement_seconds,
    }
    settings: dict[str, object] = {name: round(seconds * 1000) for name, seconds in limits.items()}
    settings["jit"] = "off"  # it compiles for seconds what it takes for costly, and runs that for milliseconds
    settings |= {f"tcp_{name.removeprefix('tcp_')}": value for name, value in KEPT_ALIVE.items()}
    if planning_once:
        settings["plan_cache_mode"] = "force_generic_plan"
    options = (f"-c {name}={value}" for name, value in settings.items())
    return f"-c role={PROGRAM_ROLE} -c timezone=UTC -c client_min_messages=warning {' '.join(options)}"


@asynccontextmanager
async def reading(database: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One consistent view of the books that waits for nobody. Raises DatabaseUnavailable."""
    async with _connected(database, "reading_seconds") as connection:
        # Not asked of the engine: whoever gives up while it is set there takes the connection out of the pool.
        await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        yield connection


@asynccontextmanager
async def recording(database: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A database transaction: all of the block is recorded, or nothing.

    Raises DatabaseUnavailable where nothing was recorded, OutcomeUnknown where the connection was lost while
    it committed, or where a synchronous replica may not have what was committed.
    """
    async with _connected(database, "recording_seconds") as connection:
        yield connection
        if not driver(connection).is_idle:  # or it has committed what it recorded
            async with committing(connection):
                await connection.commit()


@asynccontextmanager
async def _connected(database: AsyncEngine, patience: str) -> AsyncIterator[AsyncConnection]:
    """A connection of the pool, with the patience that the engine was given for this kind of work."""
    try:
        async with database.connect() as connection:
            below = driver(connection)
            below.patience_seconds = database.sync_engine.get_execution_options()[patience]
            try:
                yield connection
            finally:
                below.patience_seconds = RESTING_SECONDS
    except _FAILED as failed:
        if _is_refusing_writes(failed):
            raise DatabaseUnavailable("the database takes no writes; nothing was recorded; try again") from failed
        if not _is_lost(failed):
            raise
        raise _unavailable() from failed


@asynccontextmanager
async def committing(connection: AsyncConnection) -> AsyncIterator[None]:
    """Around what commits. Raises OutcomeUnknown where the connection was lost meanwhile, or PostgreSQL warned.

    A wait for a synchronous replica that somebody cancels ends as a success with a warning, the only one that
    COMMIT has in these books: what is committed here may be gone after a fail-over.
    """
    try:
        async with _warnings(connection) as said:
            yield
    except _FAILED as failed:
        if _is_answered(failed):
            raise
        await connection.invalidate()  # what the driver itself was asked, SQLAlchemy does not know to be lost
        raise _unknown("the connection was lost at commit") from failed
    if said:
        raise _unknown("it was committed, but may not have reached the synchronous replica")


@asynccontextmanager
async def _warnings(connection: AsyncConnection) -> AsyncIterator[list[str]]:
    """The warnings that PostgreSQL sends during the block, in its own words."""
    said: list[str] = []

    def heard(notice: Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            said.append(notice.message_primary or "")

    below = driver(connection)
    below.add_notice_handler(heard)
    try:
        yield said
    finally:
        below.remove_notice_handler(heard)


def _unknown(why: str) -> OutcomeUnknown:
    return OutcomeUnknown(f"{why}; the same idempotency key gives the answer on retry")


def _is_lost(failed: Exception) -> bool:
    """Whether PostgreSQL did not answer, or ended the session, as it does with one that idles in a transaction."""
    return isinstance(failed, _LOST) or (isinstance(failed, DBAPIError) and failed.connection_invalidated)


def _is_answered(failed: Exception) -> bool:
    """Whether PostgreSQL said of a statement that it failed: then nothing of its transaction is recorded."""
    diagnostic = getattr(getattr(failed, "orig", failed), "diag", None)
    return diagnostic is not None and diagnostic.severity_nonlocalized == "ERROR"


def _is_refusing_writes(failed: Exception) -> bool:
    """Whether this PostgreSQL can only be read, as a standby is until it is promoted.

    One that is asked to begin a transaction that may write says that the feature is not supported.
    """
    return isinstance(getattr(failed, "orig", failed), _READ_ONLY)


def _unavailable() -> DatabaseUnavailable:
    return DatabaseUnavailable("the database does not answer; nothing was recorded; try again")


def column(
    name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]], *, key: bool = False, null: bool = False
) -> Column[Any]:
    """A column of a table, part of its key or not, that may be empty or not."""
    return Column(name, kind, primary_key=key, nullable=null)


def driver(connection: AsyncConnection) -> DriverConnection:
    """What SQLAlchemy's connection stands on, in the same database transaction: for whole batches in one go."""
    assert connection.sync_connection
    found = connection.sync_connection.connection.driver_connection
    assert isinstance(found, DriverConnection)
    return found


async def insert_keyed(connection: AsyncConnection, asked: Asked) -> None:
    """Sends what an `Insertion` made of rows whose foreign keys lead into the partitioned tables of the books.

    Left to itself PostgreSQL makes a plan for each such key of each row, at several times the cost of all else.
    """
    await driver(connection).exchange((_PLAN_ONCE, {}), asked, (_PLAN_AS_USUAL, {}))


async def make_partitions(database: AsyncEngine) -> int:
    """Makes the next partitions of entries and postings where a head comes near the end; returns how many."""
    async with recording(database) as connection:
        return int((await connection.execute(_MAKE_PARTITIONS, {"ahead": _AHEAD})).scalar_one())


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

    A newer database stays as it is. Runs as the URL's own user, which then owns the tables, each version in a
    database transaction of its own. Raises DatabaseUnfit or DatabaseUnavailable.
    """
    try:
        with create_engine(url, poolclass=NullPool).connect() as connection:
            _refuse_unfit(connection)
            return [] if _is_newer(_version(connection)) else _upgrade(connection)
    except OperationalError as lost:
        raise DatabaseUnavailable(f"the database does not answer: {lost.orig}") from lost


def _upgrade(connection: Connection) -> list[str]:
    """One program at a time; returns what this one ran."""
    _patiently(connection, lambda: connection.exec_driver_sql(_ONE_AT_A_TIME))
    before = _version(connection)
    _patiently(connection, lambda: command.upgrade(_alembic(connection), "head"))
    return _between(before, _version(connection))


def _patiently(connection: Connection, work: Callable[[], object]) -> None:
    """Waits for a lock no longer than callers bear: all who come behind wait with it. Then it tries again."""
    for _ in range(_MOST_TRIES):
        connection.rollback()
        connection.exec_driver_sql(f"SET lock_timeout = '{_LOCK_MILLISECONDS}ms'")
        connection.commit()  # or all versions would be one transaction, and hold the locks of each to the end
        try:
            work()
            connection.commit()
        except (OperationalError, LockNotAvailable) as failed:
            if not isinstance(getattr(failed, "orig", failed), LockNotAvailable):
                raise
            time.sleep(_TRY_AGAIN_SECONDS)
        else:
            return
    raise DatabaseUnavailable(
        "another migration runs, or a table that this one changes is in use all the time; nothing is half done; "
        "see who holds it (pg_stat_activity) and try again"
    )


def out_of_step(connection: Connection) -> str:
    """Why this program cannot work on a database of this version; empty where it can.

    It can at its own version, and at a newer one, which only adds, unless that says that it does more.
    """
    version = _version(connection)
    if version == _newest():
        return ""
    if not _is_newer(version):
        return "the database is not at this program's version: run ledger migrate"
    oldest = connection.exec_driver_sql(_OLDEST_PROGRAM).scalar_one()
    if _is_newer(oldest):
        return f"the database has left this program behind: run one that knows version {oldest}"
    return ""


def _is_newer(version: str | None) -> bool:
    """Whether it comes after the version that this program was written for."""
    newest = _newest()
    return version is not None and newest is not None and version.isdecimal() and version > newest


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
