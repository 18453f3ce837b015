"""Backup and restore: a whole database as one file of PostgreSQL's own custom format, and back.

Made by pg_dump from one snapshot while the service goes on posting. Logins are not in it: they belong to the
server and not to the database.
"""

import os
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from sqlalchemy import URL, Connection, create_engine, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from ledger.database import PROGRAM_ROLE, DatabaseUnfit
from ledger.errors import DatabaseUnavailable
from service.postgres import programs

READER_ROLE = "ledger_reader"
_IN_USE = text("""
    SELECT count(*) FROM pg_class
    WHERE relkind IN ('r', 'p', 'v')
        AND relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_|^information_schema$')
""")

_UNKNOWN_BEFORE_17 = b"SET transaction_timeout = 0;\n"
_PREAMBLE = 40
"""Lines in which such settings stand; after them begin people's data."""


class BackupFailed(Exception):
    """What was asked cannot be done; the message says why, in PostgreSQL's own words where it had some."""


def backup(owner_url: str, file: Path) -> None:
    """Writes all books to a file that is there once it is complete. Raises BackupFailed."""
    unfinished = file.with_name(f"{file.name}.unfinished")
    try:
        unfinished.touch(mode=0o600)
        _run("pg_dump", owner_url, "--format=custom", "--no-owner", f"--file={unfinished}")
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def restore(owner_url: str, file: Path) -> None:
    """Fills an empty database from a file, wholly or not at all. Raises BackupFailed or DatabaseUnfit."""
    if not file.is_file():
        raise BackupFailed(f"{file}: no such file")
    try:
        with create_engine(owner_url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
            _refuse_used(connection)
            _make_roles(connection)
    except OperationalError as lost:
        raise DatabaseUnavailable(f"the database does not answer: {lost.orig}") from lost
    _fill(owner_url, file)


def _refuse_used(connection: Connection) -> None:
    if connection.execute(_IN_USE).scalar_one():
        raise DatabaseUnfit("the database is not empty: restore into one that is, so that nothing is mixed up")


def _make_roles(connection: Connection) -> None:
    """The roles that the grants in the file name."""
    for role in (PROGRAM_ROLE, READER_ROLE):
        known = text("SELECT count(*) FROM pg_roles WHERE rolname = :role")
        if not connection.execute(known, {"role": role}).scalar_one():
            connection.exec_driver_sql(f"CREATE ROLE {role} NOLOGIN")


def _fill(owner_url: str, file: Path) -> None:
    """Has pg_restore write what psql runs in one database transaction.

    Not pg_restore by itself: it sets transaction_timeout, which PostgreSQL knows from 17 on, and then gives up.
    """
    script = [str(programs() / "bin" / "pg_restore"), "--no-owner", "--file=-", str(file)]
    psql = str(programs() / "bin" / "psql")
    options = ("--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", "--output=/dev/null")
    command, environment = call(psql, make_url(owner_url), *options, "--file=-")
    with tempfile.TemporaryFile() as said:
        writing = subprocess.Popen(script, stdout=subprocess.PIPE, stderr=said)
        running = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=said)
        assert writing.stdout is not None
        assert running.stdin is not None
        with suppress(BrokenPipeError):  # psql has met an error, and says which
            for number, line in enumerate(writing.stdout):
                if number > _PREAMBLE or line != _UNKNOWN_BEFORE_17:
                    running.stdin.write(line)
        writing.stdout.close()
        whole = writing.wait() == 0
        if not whole:
            running.kill()  # or it would commit the half that it has
        with suppress(BrokenPipeError):
            running.stdin.close()
        if running.wait() != 0 or not whole:
            said.seek(0)
            raise BackupFailed(said.read().decode(errors="replace").strip())


def _run(program: str, url: str, *arguments: str) -> None:
    """Runs one of PostgreSQL's programs."""
    command, environment = call(str(programs() / "bin" / program), make_url(url), *arguments)
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise BackupFailed(done.stderr.strip() or f"{program} ended with code {done.returncode}")


def call(program: str, url: URL, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """A program's arguments and environment. The password is in the latter: everybody can read arguments."""
    place = URL.create("postgresql", url.username, None, url.host, url.port, url.database, url.query)
    environment = {"PATH": os.defpath, "LC_ALL": "C", "HOME": os.environ.get("HOME", "/")}
    if url.password:
        environment["PGPASSWORD"] = str(url.password)
    return [program, f"--dbname={place.render_as_string(hide_password=False)}", *arguments], environment
