"""Files are sealed in the database, open under our keys alone, and whoever reads one is written down."""

import base64
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
import serving
from banks import Moved, banked, statement
from conftest import execute
from hypothesis import given
from hypothesis import strategies as st
from payers import claim, deliver, file, remittance
from serving import BOOK, Ledger, Loop, Refused, refusal
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import engine
from ledger.errors import FileDamaged, FileKeyUnknown
from ledger.sealing import NONCE_BYTES, KeysRefused, SealBroken, Sealed, Sealing, SealUnknown, read_keys
from ledger.v1 import accounts_pb2 as accounts
from reconciliation.files import Files
from reconciliation.ingest import resume
from reconciliation.v1 import reconciliation_pb2 as pb
from service import server
from service.connecting import files_of
from service.settings import SettingRefused, Settings

OLD, NEW = ("old", b"o" * 32), ("new", b"n" * 32)
FILE = file(remittance("100.00", "EFT1", claim("C1", "150.00", "100.00", "CO-45 50.00")))
NONCE = b"0" * NONCE_BYTES


# --- the seal -----------------------------------------------------------------------------------------


@given(st.binary(max_size=300), st.binary(max_size=30))
def test_what_is_sealed_opens_in_its_place(content: bytes, place: bytes) -> None:
    sealed = Sealing((OLD,)).seal(content, place, NONCE)
    assert sealed.content[: len(content)] != content or not content
    assert Sealing((NEW, OLD)).open(sealed, place) == content


def test_what_is_changed_or_moved_does_not_open() -> None:
    ours = Sealing((OLD,))
    sealed = ours.seal(b"JANE DOE", b"here", NONCE)
    for changed, place in (
        (Sealed(sealed.content[:-1] + b"x", "old", NONCE), b"here"),
        (Sealed(sealed.content[:-1], "old", NONCE), b"here"),
        (Sealed(sealed.content, "old", b"1" * NONCE_BYTES), b"here"),
        (sealed, b"there"),
    ):
        with pytest.raises(SealBroken):
            ours.open(changed, place)
    with pytest.raises(SealBroken):
        Sealing((("old", b"x" * 32),)).open(sealed, b"here")
    with pytest.raises(SealUnknown, match="old"):
        Sealing((NEW,)).open(sealed, b"here")


def test_without_keys_bytes_are_kept_as_they_are() -> None:
    kept = Sealing().seal(b"JANE DOE", b"here", NONCE)
    assert kept == Sealed(b"JANE DOE", "", b"")
    assert Sealing((OLD,)).open(kept, b"here") == b"JANE DOE"


def encoded(key: bytes) -> str:
    return base64.b64encode(key).decode()


KEYS = {
    "no name": encoded(OLD[1]),
    "a name that is none": f"a b:{encoded(OLD[1])}",
    "nothing but a secret": "abcdefabcdefabcdef",
    "no base64": "old:secret!",
    "letters that base64 has not": "old:sécret",
    "blank": " , ",
    "too short": f"old:{encoded(b'short')}",
    "the same name twice": f"old:{encoded(OLD[1])},old:{encoded(NEW[1])}",
}


@pytest.mark.parametrize("case", KEYS)
def test_keys_that_cannot_be_used(case: str) -> None:
    """Refused in a sentence that repeats nothing of them."""
    with pytest.raises(KeysRefused) as refused:
        read_keys(KEYS[case])
    assert not KEYS[case].strip(" ,") or KEYS[case].rpartition(":")[2] not in str(refused.value)
    with pytest.raises(SettingRefused, match="LEDGER_FILE_KEYS: "):
        files_of(Settings(file_keys=KEYS[case]))


def test_keys_as_they_are_written() -> None:
    assert read_keys(f"new:{encoded(NEW[1])}, old:{encoded(OLD[1])}") == Sealing((NEW, OLD))
    assert "nnnn" not in repr(Sealing((NEW,)))


def test_an_embedded_database_has_a_key_beside_it(tmp_path: Path) -> None:
    """Made once, for its owner's eyes; a database of one's own has none unless one is given."""
    known = Settings(data_folder=tmp_path)
    first = files_of(known)
    assert first == files_of(known)
    [(name, key)] = first.sealing.keys
    assert len(key) == 32
    assert name == f"local_{sha256(key).hexdigest()[:8]}"
    [made] = tmp_path.iterdir()
    assert made.stat().st_mode & 0o077 == 0
    assert files_of(Settings(database_url="postgresql://somewhere/books")).sealing.keys == ()


def test_a_key_of_an_earlier_version_keeps_its_name(tmp_path: Path) -> None:
    """Files were sealed under it; beside it another name may be written, to seal from now on."""
    (tmp_path / "file_key").write_text(f"local:{encoded(OLD[1])}")
    assert files_of(Settings(data_folder=tmp_path)).sealing.keys == (("local", OLD[1]),)
    (tmp_path / "file_key").write_text(f"own:{encoded(OLD[1])},local:{encoded(OLD[1])}")
    assert files_of(Settings(data_folder=tmp_path)).sealing.key_name == "own"


# --- files in the database ----------------------------------------------------------------------------


@pytest.fixture
def books(loop: Loop, database: str) -> Iterator[Ledger]:
    """A server that seals, and a file that it took in."""
    with serving.serving(loop, database, files=Files(Sealing((OLD,)))) as running:
        serving.open_book(running)
        deliver(running, FILE)
        yield running


def rows(books: Ledger, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(books.url.replace("+psycopg", "")) as owner:
        return owner.execute(sql).fetchall()


def changed(books: Ledger, sql: str) -> None:
    with psycopg.connect(books.url.replace("+psycopg", "")) as owner:
        owner.execute(sql)


def asking(**about: Any) -> pb.ReadDeliveryRequest:
    usual = {"book": BOOK, "file_sha256": sha256(FILE).digest(), "reason": "audit of June"}
    return pb.ReadDeliveryRequest(**(usual | about))


def read(books: Ledger, **about: Any) -> bytes | Refused:
    try:
        return b"".join(answer.chunk for answer in books.reconciliation.ReadDelivery(asking(**about)))
    except grpc.RpcError as error:
        return refusal(error)


def test_the_database_holds_nothing_that_can_be_read(books: Ledger) -> None:
    [(content, key_name, nonce)] = rows(books, "SELECT content, key_name, nonce FROM delivery_parts")
    assert key_name == "old"
    assert len(nonce) == NONCE_BYTES
    pieces = {FILE[at : at + 8] for at in range(len(FILE) - 7)}
    assert not any(content[at : at + 8] in pieces for at in range(len(content) - 7))


def test_a_file_is_read_back_and_the_reader_written_down(books: Ledger) -> None:
    assert read(books) == FILE
    [(book, actor, reason)] = rows(books, "SELECT book, actor, reason FROM file_reads")
    assert (book, actor, reason) == (BOOK, "local", "audit of June")


REFUSED = {
    "without a reason": ({"reason": " "}, "FIELD_MISSING"),
    "a file that never came": ({"file_sha256": b"x" * 32}, "DELIVERY_NOT_FOUND"),
    "no file": ({"file_sha256": b""}, "DELIVERY_NOT_FOUND"),
    "another book": ({"book": "other"}, "BOOK_NOT_FOUND"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_not_read(books: Ledger, case: str) -> None:
    about, reason = REFUSED[case]
    found = read(books, **about)
    assert isinstance(found, Refused)
    assert found.reason == reason
    assert rows(books, "SELECT * FROM file_reads") == []


TAMPERED = {
    "a byte changed": "UPDATE delivery_parts SET content = set_byte(content, 5, get_byte(content, 5) # 1)",
    "a part gone": "DELETE FROM delivery_parts",
    "in the open instead": "UPDATE delivery_parts SET content = 'forged', key_name = '', nonce = ''",
    "in another place": "UPDATE delivery_parts SET part = 2",
}


@pytest.mark.parametrize("case", TAMPERED)
def test_a_file_that_is_not_what_came_is_named(books: Ledger, case: str) -> None:
    changed(books, TAMPERED[case])
    found = read(books)
    assert isinstance(found, Refused)
    assert (found.code, found.reason) == ("FAILED_PRECONDITION", "FILE_DAMAGED")


def test_those_who_read_slowly_keep_nobody_waiting(books: Ledger) -> None:
    """As many readers as there are connections take a first chunk and stand still; others are served."""
    large = FILE + b"\n" * 16 * 1024 * 1024
    deliver(books, large)
    slow = [books.reconciliation.ReadDelivery(asking(file_sha256=sha256(large).digest())) for _ in range(10)]
    began = [next(one).chunk for one in slow]
    books.accounts.ListBooks(accounts.ListBooksRequest(), timeout=10)
    assert began[0] + b"".join(answer.chunk for answer in slow[0]) == large
    for one in slow:
        one.cancel()


def test_a_file_that_cannot_be_read_back_holds_up_no_other(loop: Loop, books: Ledger) -> None:
    """Of two files left half done the first is under a key that is gone; the second is finished all the same."""
    with serving.serving(loop, books.url, files=Files(Sealing((NEW,)))) as later:
        deliver(later, FILE.replace(b"EFT1", b"EFT2"))
    changed(books, "UPDATE deliveries SET finished_at = NULL")
    with pytest.raises(FileKeyUnknown, match="under the key old"):
        loop.run(done(books.url, lambda database: resume(database, Files(Sealing((NEW,))))))
    unfinished = rows(books, "SELECT sha256 FROM deliveries WHERE finished_at IS NULL")
    assert unfinished == [(sha256(FILE).digest(),)]


def test_a_file_that_cannot_be_read_back_holds_up_no_statement(loop: Loop, books: Ledger) -> None:
    """A remittance under a key that is gone, and a bank's statement, both left half done."""
    new = Files(Sealing((NEW,)))
    with serving.serving(loop, books.url, files=new) as later:
        banked(later, statement(Moved("1.00", "R1")))
    changed(books, "UPDATE deliveries SET finished_at = NULL")
    loop.run(done(books.url, lambda database: server._finish(database, new)))
    unfinished = rows(books, "SELECT sha256 FROM deliveries WHERE finished_at IS NULL")
    assert unfinished == [(sha256(FILE).digest(),)]


def test_a_key_that_is_not_known_is_named(loop: Loop, books: Ledger) -> None:
    with serving.serving(loop, books.url, files=Files(Sealing((NEW,)))) as elsewhere:
        found = read(elsewhere)
    assert isinstance(found, Refused)
    assert (found.code, found.reason, found.facts) == ("FAILED_PRECONDITION", "FILE_KEY_UNKNOWN", {"key": "old"})


def test_a_backup_restored_beside_another_key_names_the_one_it_needs(
    loop: Loop, database: str, tmp_path: Path
) -> None:
    """Each embedded database names its key for itself: a file of another is not damaged, its key is missing."""
    folders = tmp_path / "here", tmp_path / "there"
    for folder in folders:
        folder.mkdir()
    here, there = (files_of(Settings(data_folder=folder)) for folder in folders)
    with serving.serving(loop, database, files=here) as running:
        serving.open_book(running)
        deliver(running, FILE)
    with serving.serving(loop, database, files=there) as restored:
        found = read(restored)
    assert isinstance(found, Refused)
    assert (found.reason, found.facts) == ("FILE_KEY_UNKNOWN", {"key": here.sealing.key_name})


def test_a_new_key_takes_over(loop: Loop, books: Ledger) -> None:
    """Files are sealed anew under it, as many as there are, and then the old key is not needed any more."""
    for number in range(40):
        deliver(books, FILE.replace(b"EFT1", b"EFT%d" % (number + 2)))
    assert loop.run(done(books.url, Files(Sealing((NEW, OLD))).reseal)) == 41
    assert loop.run(done(books.url, Files(Sealing((NEW, OLD))).reseal)) == 0
    with serving.serving(loop, books.url, files=Files(Sealing((NEW,)))) as later:
        assert read(later) == FILE


def test_a_damaged_part_keeps_no_other_under_the_old_key(loop: Loop, books: Ledger) -> None:
    """It stays as it is, and is told by the file's SHA-256."""
    changed(books, TAMPERED["a byte changed"])
    before = rows(books, "SELECT * FROM delivery_parts")
    for number in range(20):
        deliver(books, FILE.replace(b"EFT1", b"EFT%d" % (number + 2)))
    with pytest.raises(FileDamaged, match=sha256(FILE).hexdigest()):
        loop.run(done(books.url, Files(Sealing((NEW, OLD))).reseal))
    assert rows(books, "SELECT * FROM delivery_parts WHERE key_name = 'old'") == before


def test_the_program_cannot_change_what_is_kept(books: Ledger) -> None:
    """Neither the bytes nor who has read them."""
    assert read(books) == FILE
    for table, column in (("delivery_parts", "content"), ("delivery_parts", "key_name"), ("file_reads", "reason")):
        for forbidden in (f"UPDATE {table} SET {column} = ''", f"DELETE FROM {table}", f"TRUNCATE {table}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                changed(books, f"SET ROLE ledger_program; {forbidden}")


async def done(url: str, work: Callable[[AsyncEngine], Awaitable[Any]]) -> Any:
    database = engine(url)
    try:
        return await work(database)
    finally:
        await database.dispose()


def test_nonces_are_never_the_same(books: Ledger) -> None:
    for number in range(5):
        deliver(books, FILE + os.urandom(3).hex().encode() * number)
    nonces = [nonce for (nonce,) in rows(books, "SELECT nonce FROM delivery_parts")]
    assert len(set(nonces)) == len(nonces)


# --- what an earlier run left -------------------------------------------------------------------------


def finished(url: str) -> bool:
    """Whether the one delivery is said to be worked through."""
    with psycopg.connect(url.replace("+psycopg", "")) as owner:
        return owner.execute("SELECT finished_at IS NOT NULL FROM deliveries").fetchone() == (True,)


def test_a_start_while_the_database_is_away_finishes_files_when_it_is_back(
    loop: Loop, books: Ledger, cluster_url: str
) -> None:
    changed(books, "UPDATE deliveries SET finished_at = NULL")
    name = books.url.rpartition("/")[2]
    execute(cluster_url, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    with serving.serving(loop, books.url, files=Files(Sealing((OLD,)))):
        execute(cluster_url, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        deadline = time.monotonic() + serving.PATIENCE_SECONDS
        while not finished(books.url) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert finished(books.url)


def test_a_start_without_the_key_serves_and_leaves_the_file(loop: Loop, books: Ledger) -> None:
    changed(books, "UPDATE deliveries SET finished_at = NULL")
    with serving.serving(loop, books.url, files=Files(Sealing((NEW,)))) as running:
        assert running.state() == books.state()
    assert not finished(books.url)
