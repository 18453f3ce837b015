"""One PostgreSQL for the whole run, and a fresh migrated database for each test that asks for one.

``LEDGER_TEST_DATABASE_URL`` names a PostgreSQL to use instead of the embedded one; its user must be a superuser.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import service  # noqa: F401 - says how gRPC behaves, so it comes before whatever imports that

# isort: split
import psycopg
import pytest
import serving
from hypothesis import HealthCheck, settings
from sqlalchemy import make_url

from ledger.database import migrate
from service.postgres import embedded
from service.server import spare_the_collector
from service.settings import normalised

RUN_FOLDER = "LEDGER_TEST_RUN_FOLDER"
EXTERNAL_URL = "LEDGER_TEST_DATABASE_URL"
MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 2 * 1024**3
NEEDS_POSTGRES = {"cluster_url", "open_folder"}
# Every run tries the same examples, however slow the machine is: what one run accepts the next does not refuse.
# `--hypothesis-profile=exploring` tries others.
PATIENT = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("exploring", PATIENT)
settings.register_profile("repeatable", PATIENT, derandomize=True)
settings.load_profile("repeatable")
WATCH = pytest.StashKey[subprocess.Popen[bytes]]()

# Waits until the run is over, however it ends; then stops its servers by their process ids and removes its files.
WATCHER = """
cat >/dev/null
for file in "$0"/*/cluster/data/postmaster.pid "$0"/*/*/cluster/data/postmaster.pid; do
  pid=$(head -n 1 "$file" 2>/dev/null) && kill -INT "$pid" && running="$running $pid"
done
for tenth in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
  kill -0 $running 2>/dev/null || break
  sleep 0.1
done
rm -rf "$0"
"""


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder of this run, and start what cleans it up even where this process is killed."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    folder = make_open_folder(quick_place())
    os.environ[RUN_FOLDER] = str(folder)
    keep_bytecode(folder)
    config.stash[WATCH] = subprocess.Popen(
        ["sh", "-c", WATCHER, str(folder)], stdin=subprocess.PIPE, start_new_session=True
    )


def keep_bytecode(folder: Path) -> None:
    """Let the processes of a run share what one of them has compiled, where nothing may be written beside sources.

    There are hundreds of them, and each would take a second or more to compile all of the program again.
    """
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
        sys.dont_write_bytecode = False


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let the watcher see the end of the run, and wait until it has cleaned up."""
    if watcher := config.stash.get(WATCH, None):
        drop_external_template()
        watcher.communicate(timeout=30)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the pure tests first: they are quick, and what they find explains what the others show."""
    items.sort(key=lambda item: not NEEDS_POSTGRES.isdisjoint(getattr(item, "fixturenames", ())))


def pytest_collection_finish() -> None:
    """Keep the collector from going through thousands of tests again and again, as the server does."""
    spare_the_collector()


def make_open_folder(parent: Path | None) -> Path:
    """A temporary folder that PostgreSQL's own user may pass through where the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="session-ledger-tests-", dir=parent))
    folder.chmod(0o711)
    return folder


def quick_place() -> Path | None:
    """Memory, where there is enough of it: a database is copied there in 15 ms, on a disk in 200 to 400."""
    usable = MEMORY.exists() and os.access(MEMORY, os.W_OK) and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC
    return MEMORY if usable and shutil.disk_usage(MEMORY).free > ENOUGH_BYTES else None


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder for a PostgreSQL of the test's own."""
    folder = make_open_folder(Path(os.environ[RUN_FOLDER]))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def cluster_url() -> Iterator[str]:
    """The URL of the run's PostgreSQL, as its superuser; all workers share it, and the last one stops it."""
    if external := os.environ.get(EXTERNAL_URL):
        yield normalised(external)
    else:
        # Who dies in the middle of logging in holds up every DROP DATABASE until PostgreSQL gives up waiting.
        settings = {"max_wal_size": "256MB", "authentication_timeout": "5s"}
        with embedded(Path(os.environ[RUN_FOLDER]) / "postgres", settings) as (_, url):
            yield url


@pytest.fixture(scope="session")
def template(cluster_url: str) -> str:
    """The name of a migrated database that others are copied from: made once a run, by whoever is first."""
    name = template_name()
    with (Path(os.environ[RUN_FOLDER]) / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not exists(cluster_url, name):
            if EXTERNAL_URL not in os.environ:
                make_logins_quick(cluster_url)
            build(cluster_url, name)
    return name


def make_logins_quick(cluster_url: str) -> None:
    """Hash the owner's password once instead of 4,096 times, 4 ms at a login; a test logs in some ten times."""
    url = make_url(cluster_url)
    with connected(cluster_url) as connection:
        connection.execute("SET scram_iterations = 1")
        connection.execute(f"ALTER ROLE {url.username} PASSWORD '{url.password}'")


@pytest.fixture
def database(cluster_url: str, template: str, worker_id: str) -> Iterator[str]:
    """The URL of a clean, migrated database, which nobody else uses and which is gone after the test."""
    with copied(cluster_url, template, f"{template.replace('template', 'test')}_{worker_id}") as url:
        yield url


@contextmanager
def copied(cluster_url: str, source: str, name: str) -> Iterator[str]:
    """The URL of a copy of a database that nobody uses, for as long as the block."""
    execute(
        cluster_url,
        f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)',
        f'CREATE DATABASE "{name}" TEMPLATE "{source}"',
    )
    yield url_of(cluster_url, name)
    execute(cluster_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def template_name() -> str:
    """A name of this run's own, since several runs may share a server."""
    return f"template_{os.environ[RUN_FOLDER].rpartition('-')[2]}"


def drop_external_template() -> None:
    """Leave nothing on a server that is not ours. Done when all workers have ended."""
    external = os.environ.get(EXTERNAL_URL)
    if external and (Path(os.environ[RUN_FOLDER]) / "template.lock").exists():
        for name in (template_name(), f"{template_name()}_unfinished"):
            execute(normalised(external), f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def build(cluster_url: str, name: str) -> None:
    """Migrate a new database, and only then give it the name that says it is ready to be copied."""
    unfinished = f"{name}_unfinished"
    execute(cluster_url, f'DROP DATABASE IF EXISTS "{unfinished}" WITH (FORCE)', f'CREATE DATABASE "{unfinished}"')
    migrate(url_of(cluster_url, unfinished))
    execute(cluster_url, f'ALTER DATABASE "{unfinished}" RENAME TO "{name}"')


def exists(cluster_url: str, name: str) -> bool:
    """Whether there is a database of this name."""
    with connected(cluster_url) as connection:
        return bool(connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchall())


def execute(cluster_url: str, *statements: str) -> None:
    """Run statements one by one, outside a transaction."""
    with connected(cluster_url) as connection:
        for statement in statements:
            connection.execute(statement)


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection]:
    """A plain connection, for what is done to databases and not in them."""
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        yield connection


def url_of(cluster_url: str, database: str) -> str:
    """The same server and user, another database."""
    return make_url(cluster_url).set(database=database).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def loop() -> Iterator[serving.Loop]:
    """The thread on which servers run."""
    with serving.looping() as running:
        yield running


@pytest.fixture
def ledger(loop: serving.Loop, database: str) -> Iterator[serving.Ledger]:
    """A running server on a clean database, with the book "main" open."""
    with serving.serving(loop, database) as running:
        serving.open_book(running)
        yield running


@pytest.fixture(scope="module")
def server(loop: serving.Loop, cluster_url: str, template: str, worker_id: str) -> Iterator[serving.Ledger]:
    """A running server for all tests of a module, each of which opens a book of its own."""
    name = f"{template.replace('template', 'module')}_{worker_id}"
    with copied(cluster_url, template, name) as url, serving.serving(loop, url) as running:
        yield running
