"""`ledger audit` as people type it: what it writes, what it says, and with which exit code."""

import base64
from pathlib import Path

import pytest
import serving
from serving import Ledger, session
from test_command import Called, called

from service import settings
from service.connecting import signing_of
from service.settings import SettingRefused

__all__ = ["called"]
SEED = base64.b64encode(bytes(range(32))).decode()
KEYS = f"ledger.example/books:{SEED}"


@pytest.fixture
def books(ledger: Ledger) -> Ledger:
    for claim in ("C1", "C2", "C3"):
        ledger.postings.RecordSession(session(claim))
    return ledger


def test_the_whole_of_an_audit(books: Ledger, called: Called, tmp_path: Path) -> None:
    """A checkpoint is kept, the books go on, a bundle is written, and judged without any database."""
    kept, file = tmp_path / "kept", tmp_path / "books.bundle"
    known = {"database_url": books.url, "signing_keys": KEYS}
    assert called("audit", "checkpoint", "--reason", "audit of April", "--output", str(kept), **known) == (
        None,
        "",
    )
    note = kept.read_text()
    assert note.startswith("ledger.example/books/main\n3\n")
    assert called("audit", "checkpoint", "--reason", "again") == (None, note)
    code, key = called("audit", "key")
    assert (code, key) == (None, f"{serving.SIGNING.keys[0].verifier('main')}\n")
    books.postings.RecordSession(session("C4"))
    said = f"4 entries of book main, from 1 to 4, are in {file}\n"
    assert called("audit", "export", "--output", str(file))[1].endswith(said)
    nowhere = {"database_url": "postgresql://nobody@127.0.0.1:1/none", "signing_keys": "broken"}
    verify = "audit", "verify", str(file), "--checkpoint", str(kept)
    assert called(*verify, "--key", key.strip(), **nowhere) == (
        None,
        (
            "book main (main entity): 4 entries, from 1 to 4, are sound\n"
            "signed up to entry 3, by 1 checkpoint\n"
            "what follows entry 3 is signed by no checkpoint yet\n"
            "the book has only grown since 1 checkpoint that you have kept\n"
        ),
    )
    assert "compare them with those that you know (--key)" in called(*verify)[1]
    kept.write_text(serving.SIGNING.keys[0].signed("main", 2, bytes(32)))
    code, wrong = called(*verify)
    assert code == 1
    assert wrong.startswith("books.bundle: kept of 2 entries signed the root")
    assert called("audit", "verify", str(kept)) == (
        1,
        "kept: kept: it is not a whole zip file: File is not a zip file\n",
    )


def test_a_part_of_a_book(books: Ledger, called: Called, tmp_path: Path) -> None:
    file = tmp_path / "part"
    known = {"database_url": books.url, "signing_keys": KEYS}
    assert called("audit", "export", "--from", "2", "--to", "3", "--output", str(file), **known)[0] is None
    assert called("audit", "verify", str(file)) == (
        None,
        (
            "book main (main entity): 2 entries, from 2 to 3, are sound\n"
            "no checkpoint signs any of them: nothing but the hashes themselves ties them to the book\n"
            "what stood before entry 2 is as the bundle says; a bundle from entry 1 proves it\n"
            "signatures were checked by the keys in the bundle: compare them with those that you know (--key)\n"
        ),
    )
    for first, last, said in (("2", "9", "the last entry is 3, not 9"), ("0", "3", "entries are counted from 1")):
        code, refused = called("audit", "export", "--from", first, "--to", last, "--output", str(file))
        assert (code, said in refused) == (1, True), refused
    assert list(tmp_path.iterdir()) == [file]


def test_without_a_key(books: Ledger, called: Called) -> None:
    code, said = called("audit", "checkpoint", "--reason", "audit", database_url=books.url)
    assert (code, "set LEDGER_SIGNING_KEYS" in said) == (1, True)
    assert called("audit", "key") == (None, "")


def test_a_key_of_no_use_is_told_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_SIGNING_KEYS", f"{SEED}")
    with pytest.raises(SettingRefused, match="LEDGER_SIGNING_KEYS: key 1 is not written name:base64") as refused:
        signing_of(settings.read())
    assert SEED not in str(refused.value)


def test_the_embedded_database_has_a_key_beside_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Made once, for its owner alone, and not in the folder of the database itself."""
    monkeypatch.setenv("LEDGER_DATA_FOLDER", str(tmp_path))
    monkeypatch.delenv("LEDGER_DATABASE_URL", raising=False)
    [first] = signing_of(settings.read()).verifiers("main")
    assert signing_of(settings.read()).verifiers("main") == [first]
    [file] = tmp_path.iterdir()
    assert (file.name, file.stat().st_mode & 0o777) == ("signing_key", 0o600)
    assert first.name.startswith("session-ledger.invalid/")


def test_a_terminal_sees_how_far_it_is(
    books: Ledger, called: Called, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # by which rich takes any output for a terminal
    file = str(tmp_path / "file")
    for what, *command in (("exporting", "export", "--output", file), ("verifying", "verify", file)):
        code, said = called("audit", *command, database_url=books.url)
        assert code is None
        assert f"{what} 3 entries" in said
