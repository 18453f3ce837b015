"""Backup and restore: what comes back is what was there, guards included, and nothing is ever mixed up."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import serving
from conftest import connected, execute, url_of
from serving import Ledger, Loop, session
from sqlalchemy import make_url
from test_approvals import APPROVED, OPEN, approved, got, limited, paying, proposed
from test_integrity import found

from ledger.database import DatabaseUnfit, migrate
from ledger.v1 import postings_pb2 as po
from service.backup import BackupFailed, backup, call, restore
from service.postgres import embedded


@pytest.fixture
def books(ledger: Ledger) -> Ledger:
    """Two books with some sessions, a limit, a proposal that was approved and one that waits."""
    serving.open_book(ledger, "NV")
    limited(ledger, po.KIND_PROVIDER_PAID, 100)
    for number in range(20):
        ledger.postings.RecordSession(session(f"C{number}", book="NV" if number % 2 else serving.BOOK))
    approved(ledger, proposed(ledger, paying(ledger, "2.00")))
    proposed(ledger, paying(ledger, "3.00"))
    return ledger


@pytest.fixture
def empty(cluster_url: str, worker_id: str) -> Iterator[str]:
    """A database with nothing in it."""
    name = f"restored_{worker_id}"
    execute(cluster_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}"')
    yield url_of(cluster_url, name)
    execute(cluster_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def test_what_comes_back_is_what_was_there(loop: Loop, books: Ledger, empty: str, tmp_path: Path) -> None:
    """Books, hashes, guards and rights; and the next entry follows on."""
    file = tmp_path / "books.backup"
    backup(books.url, file)
    assert file.stat().st_mode & 0o077 == 0, "nobody else may read it"
    before = books.state()
    books.postings.RecordSession(session("later"))
    restore(empty, file)
    assert migrate(empty) == []
    assert found(empty) == []
    with serving.serving(loop, empty) as running:
        assert running.state() == before
        assert running.postings.RecordSession(session("next")).entry.number == 12
        assert [got(running, number=number).state for number in (1, 2)] == [APPROVED, OPEN]
        assert approved(running, got(running, number=2)).entry.number == 13
    for table in ("entries", "proposals", "proposal_decisions", "approval_limits"):
        with connected(empty) as owner, pytest.raises(psycopg.errors.RestrictViolation):
            owner.execute(f"DELETE FROM {table}")


def test_a_database_that_is_used_is_left_alone(books: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "books.backup"
    backup(books.url, file)
    before = books.state()
    with pytest.raises(DatabaseUnfit, match="is not empty"):
        restore(books.url, file)
    assert books.state() == before


def test_a_file_that_is_cut_restores_nothing(books: Ledger, empty: str, tmp_path: Path) -> None:
    file, cut = tmp_path / "books.backup", tmp_path / "cut.backup"
    backup(books.url, file)
    cut.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(BackupFailed):
        restore(empty, cut)
    restore(empty, file)  # still empty, so it can be tried again


def test_what_is_no_backup_is_refused(empty: str, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("Dear finance team")
    with pytest.raises(BackupFailed, match="valid archive"):
        restore(empty, tmp_path / "letter")
    with pytest.raises(BackupFailed, match="no such file"):
        restore(empty, tmp_path / "nothing")


def test_a_backup_that_fails_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="refused"):
        backup("postgresql+psycopg://ada:secret@127.0.0.1:1/books", tmp_path / "books.backup")
    assert list(tmp_path.iterdir()) == []


def test_the_password_is_in_no_argument() -> None:
    """Everybody on a machine can read the arguments of a program."""
    url = make_url("postgresql+psycopg://ada:s%40cret@127.0.0.1:1/books?sslmode=require")
    command, environment = call("pg_dump", url, "--format=custom")
    assert command == [
        "pg_dump",
        "--dbname=postgresql://ada@127.0.0.1:1/books?sslmode=require",
        "--format=custom",
    ]
    assert environment["PGPASSWORD"] == "s@cret"


def test_into_a_new_embedded_postgresql(books: Ledger, open_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "books.backup"
    backup(books.url, file)
    with embedded(open_folder / "restored") as (server, owner):
        restore(owner, file)
        assert found(server) == []
