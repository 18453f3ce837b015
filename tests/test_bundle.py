"""Bundles for auditors: what they hold, that nothing in them can be another, and what is said of them."""

import asyncio
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
import serving
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import Ledger, cr, dr, payout, session

from ledger.audit import bundle, evidence
from ledger.audit.bundle import MANIFEST, MEMBERS
from ledger.audit.evidence import ENTRY, NULLABLE, POSTING, Wrong, canonical
from ledger.audit.examining import Before, Block, examined, hashed_accounts
from ledger.audit.tying import Kept
from ledger.audit.verify import verify
from ledger.database import engine, reading
from ledger.postings import chain
from ledger.schema import accounts, checkpoints, entries, postings
from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import audit_pb2 as au

SIZES = (3, 6, 9)
"""At so many entries the book was signed; it has twelve."""


@dataclass(frozen=True)
class Bundles:
    """A book with checkpoints, bundles of it, and a place for others."""

    ledger: Ledger
    whole: Path
    middle: Path
    """Of entries 5 to 8."""
    notes: dict[int, str]
    verifier: str
    folder: Path


@pytest.fixture(scope="module")
def bundles(server: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    serving.open_book(server)
    for code in ("Assets:Euro", "Equity:Euro"):
        server.accounts.OpenAccount(ac.OpenAccountRequest(book="main", code=code, currency_code="EUR"))
    notes, verifier = {}, ""
    for number in range(1, 13):
        posted(server, number)
        if number in SIZES:
            asked = au.WriteCheckpointRequest(book="main", reason=f"at {number}")
            found = server.audit.WriteCheckpoint(asked).checkpoint
            notes[found.size], verifier = found.note, found.verifier_key
    folder = tmp_path_factory.mktemp("bundles")
    whole = exported(server, folder / "whole")
    return Bundles(server, whole, exported(server, folder / "middle", 5, 8), notes, verifier, folder)


def posted(ledger: Ledger, number: int) -> None:
    """Sessions, a payout, and what is in another currency and strange letters."""
    if number == 4:
        ledger.postings.PayProvider(payout("ada", "105.00"))
    elif number == 5:
        lines = dr("Assets:Euro", "1.00", 'a "quoted" \\ item é 🙂', "EUR"), cr("Equity:Euro", "1.00", "", "EUR")
        ledger.post("9999-12-31", *lines)
    else:
        ledger.postings.RecordSession(session(f"C{number}", charge="150.00", patient_share="20.00"))


def exported(ledger: Ledger, path: Path, first: int = 1, last: int | None = None) -> Path:
    asyncio.run(_exported(ledger.url, path, first, last))
    return path


async def _exported(url: str, path: Path, first: int, last: int | None, book: str = "main") -> None:
    database = engine(url)
    try:
        async with reading(database) as connection:
            extent = await bundle.extent(connection, book, first, last)
            await bundle.write(connection, book, *extent, [], path, lambda _: None)
    finally:
        await database.dispose()


def judged(path: Path, *kept: str, keys: list[str] | None = None, **more: Any) -> str:
    """What is wrong with a bundle; nothing where it is sound."""
    try:
        verify(path, [Kept(f"kept {place}", note) for place, note in enumerate(kept, 1)], keys or (), **more)
    except Wrong as wrong:
        return str(wrong)
    return ""


# --- what is in it ------------------------------------------------------------------------------------


def test_it_holds_every_column() -> None:
    """One that is added later must be added there, or bundles would prove nothing about it."""
    assert [*ENTRY] == [column.name for column in entries.columns]
    assert ["book", "entry_number", *POSTING] == [column.name for column in postings.columns]
    assert ["book", *evidence.ACCOUNT] == [column.name for column in accounts.columns]
    assert ["book", *evidence.CHECKPOINT] == [column.name for column in checkpoints.columns]
    for table in (entries, postings, accounts, checkpoints):
        assert {column.name for column in table.columns if column.nullable} <= NULLABLE


def test_the_same_entries_make_the_same_bytes(bundles: Bundles) -> None:
    again = exported(bundles.ledger, bundles.folder / "again")
    assert again.read_bytes() == bundles.whole.read_bytes()


def test_a_bundle_is_sound_and_says_what_it_is(bundles: Bundles) -> None:
    found = verify(bundles.whole, [], [bundles.verifier])
    assert (found.book, found.name, found.first, found.last) == ("main", "main entity", 1, 12)
    assert (found.covered, len(found.signed), found.pinned) == (9, 3, True)
    part = verify(bundles.middle)
    assert (part.first, part.last, part.covered, part.pinned) == (5, 8, 8, False)
    with ZipFile(bundles.whole) as file:
        assert file.namelist() == [*MEMBERS, MANIFEST]
        lines = file.read("entries.jsonl").decode().splitlines()
    assert json.loads(lines[4])["postings"][0]["item"] == 'a "quoted" \\ item é 🙂'


def test_other_processes_find_the_same(bundles: Bundles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.audit.verify._WORTH_PROCESSES", 1)
    monkeypatch.setattr("ledger.audit.verify._PART", 2_000)
    done: list[int] = []
    verify(bundles.whole, processes=2, begun=lambda count: done.append if count == 12 else print)
    assert sum(done) == 12
    wrong = changed(bundles, "entries.jsonl", lambda text: text.replace('"claim":"C11"', '"claim":"C12"'))
    assert judged(wrong, processes=2).startswith("entries.jsonl line 11: entry 11: hash: ")


def test_a_book_without_entries(bundles: Bundles) -> None:
    serving.open_book(bundles.ledger, "empty")
    path = bundles.folder / "empty"
    asyncio.run(_exported(bundles.ledger.url, path, 1, None, "empty"))
    found = verify(path)
    assert (found.book, found.first, found.last, found.covered) == ("empty", 1, 0, 0)
    bundles.ledger.audit.WriteCheckpoint(au.WriteCheckpointRequest(book="empty", reason="nothing yet"))
    asyncio.run(_exported(bundles.ledger.url, path, 1, None, "empty"))
    assert len(verify(path).signed) == 1


# --- what is changed ----------------------------------------------------------------------------------


def changed(bundles: Bundles, name: str, change: Callable[[str], str], source: Path | None = None) -> Path:
    """A bundle with another member, and a manifest that goes with it: as whoever forges one would make it."""
    with ZipFile(source or bundles.whole) as file:
        contents = {one: file.read(one) for one in file.namelist()}
    contents[name] = change(contents[name].decode()).encode()
    manifest = json.loads(contents[MANIFEST])
    for member in manifest["members"] if name != MANIFEST else ():
        content = contents[member["name"]]
        member |= {"sha256": hashlib.sha256(content).hexdigest(), "lines": content.count(b"\n")}
        contents[MANIFEST] = f"{canonical(manifest)}\n".encode()
    path = bundles.folder / "changed"
    with ZipFile(path, "w", ZIP_DEFLATED) as file:
        for one, content in contents.items():
            file.writestr(one, content)
    return path


def without_line(number: int) -> Callable[[str], str]:
    return lambda text: "\n".join(line for place, line in enumerate(text.split("\n"), 1) if place != number)


def replacing(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, 1)


FORGED = {
    "an entry left out": (
        "entries.jsonl",
        without_line(3),
        r"entries.jsonl line 3: entry 3: number: it is entry 4",
    ),
    "the last one left out": ("entries.jsonl", without_line(12), r"entries.jsonl: it ends with entry 11, not 12"),
    "no end": ("entries.jsonl", str.rstrip, r"entries.jsonl line 12: it has no end"),
    "a space": ("entries.jsonl", replacing(":", ": "), r"line 1: entry 1: it is not canonical JSON"),
    "an escape": ("entries.jsonl", replacing("é", "\\u00e9"), r"line 5: entry 5: it is not canonical JSON"),
    "keys in another order": (
        "entries.jsonl",
        lambda text: (
            "\n".join(
                json.dumps(dict(reversed(json.loads(line).items())), separators=(",", ":"))
                for line in text.splitlines()
            )
            + "\n"
        ),
        "line 1: entry 1: its keys are not in order",
    ),
    "a key twice": ("entries.jsonl", replacing('{"actor"', '{"actor":"x","actor"'), "it is not canonical JSON"),
    "a key too many": ("entries.jsonl", replacing('{"actor"', '{"a":1,"actor"'), "its keys are others: a"),
    "no JSON": ("entries.jsonl", replacing("{", ""), "line 1: entry 1: it is not"),
    "something behind": ("entries.jsonl", replacing("}\n", "} \n"), "line 1: entry 1: it is not canonical JSON"),
    "no object": ("entries.jsonl", lambda _: "1\n" * 12, "line 1: entry 1: it is not a JSON object"),
    "a fraction": (
        "entries.jsonl",
        replacing('"number":2', '"number":2.0'),
        "line 2: entry 2: number: 2.0 is no number",
    ),
    "true for one": (
        "entries.jsonl",
        replacing('"number":1,', '"number":true,'),
        "entry 1: number: True is no number",
    ),
    "an amount that is a number": (
        "entries.jsonl",
        replacing('"amount":"10000"', '"amount":10000'),
        "line 1: entry 1: posting 1: amount or item: 10000",
    ),
    "an amount in another spelling": (
        "entries.jsonl",
        replacing('"amount":"10000"', '"amount":"010000"'),
        "line 1: entry 1: posting 1: amount or item: '010000'",
    ),
    "nothing where something must be": (
        "entries.jsonl",
        replacing('"kind":"session_earned"', '"kind":null'),
        "entry 1: kind: None is no text",
    ),
    "another account": (
        "entries.jsonl",
        replacing('"account":"Revenue:Sessions"', '"account":"Revenue:Sessionz"'),
        r"line 1: entry 1: posting \d: account: 'Revenue:Sessionz' is not there in 'USD'",
    ),
    "an account left out": (
        "accounts.jsonl",
        without_line(1),
        r"accounts.jsonl: checkpoint \d signed accounts .*: an account was changed, put in or taken away",
    ),
    "another opening balance": (
        "opening.jsonl",
        lambda _: canonical({"account": "Assets:Cash", "currency": "USD", "debits": "1", "credits": "1"}) + "\n",
        "closing.jsonl: Assets:Cash: it says debits 0 credits 10500, and it comes to debits 1 credits 10501",
    ),
    "an opening balance on one side": (
        "opening.jsonl",
        lambda _: canonical({"account": "Assets:Cash", "currency": "USD", "debits": "1", "credits": "0"}) + "\n",
        "opening.jsonl: debits less credits are 1 minor units of USD, not 0",
    ),
    "another closing balance": (
        "closing.jsonl",
        lambda text: text.replace(
            '"credits":"10500","currency":"USD","debits":"0"', '"credits":"10501","currency":"USD","debits":"1"'
        ),
        "closing.jsonl: Assets:Cash: it says debits 1 credits 10501",
    ),
    "an account without its closing balance": (
        "closing.jsonl",
        lambda text: "".join(line + "\n" for line in text.splitlines() if "Euro" not in line),
        "closing.jsonl: Assets:Euro: it says debits 0 credits 0",
    ),
    "a checkpoint left out": (
        "checkpoints.jsonl",
        without_line(2),
        "checkpoints.jsonl: line 2: number: it is checkpoint 3",
    ),
    "another key": ("keys.txt", lambda _: "a+b+c\n", "keys.txt: not a verifier key"),
    "no key": (
        "keys.txt",
        lambda _: "",
        r"checkpoint 1: it is signed by ledger.example/books/main\+\w+, and by no key",
    ),
    "another beginning": (
        "proofs.json",
        replacing('"edge":[]', f'"edge":["{"00" * 32}"]'),
        "proofs.json: before: it is not a tree of 0 entries",
    ),
    "no proofs": ("proofs.json", lambda _: "{}\n", "proofs.json: its keys are others"),
    "another format": (MANIFEST, replacing("bundle 1", "bundle 9"), "manifest.json: format"),
    "a manifest of something else": (MANIFEST, replacing('"to":12', '"to":"12"'), "manifest.json: "),
    "a manifest without a member": (MANIFEST, replacing("keys.txt", "key.txt"), "manifest.json: members"),
    "other totals": (MANIFEST, replacing('"USD":"', '"USD":"1'), "manifest.json: debits: it says"),
    "another count": (MANIFEST, replacing('"postings":', '"postings":1'), "manifest.json: postings: it says"),
    "another hash of a member": (MANIFEST, replacing('"sha256":"', '"sha256":"0'), "accounts.jsonl: it has "),
    "fewer entries than were signed": (MANIFEST, replacing('"head":12', '"head":8'), "manifest.json: from and to"),
}


@pytest.mark.parametrize("case", FORGED)
def test_what_is_forged_is_found_and_named(bundles: Bundles, case: str) -> None:
    name, change, expected = FORGED[case]
    said = judged(changed(bundles, name, change))
    assert re.search(expected, said), said


def test_no_byte_of_an_entry_can_be_another(bundles: Bundles) -> None:
    """Whichever byte of any line it is, with a manifest that goes with it: the line is named."""
    with ZipFile(bundles.whole) as file:
        text = file.read("entries.jsonl")
    lines = text.split(b"\n")[:-1]
    known = hashed_accounts({row["code"]: row["currency"] for row in rows(bundles, "accounts.jsonl")})
    for place in range(0, len(text), 7):
        other = text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :]
        found = examined(Block("main", 1, Before(chain.GENESIS), other), known)
        assert found.wrong is not None, place
        assert found.wrong[0] <= text.count(b"\n", 0, place) + 1
    assert len(lines) == 12


def rows(bundles: Bundles, name: str) -> list[dict[str, Any]]:
    with ZipFile(bundles.whole) as file:
        return [json.loads(line) for line in file.read(name).decode().splitlines()]


def test_what_is_no_bundle(bundles: Bundles) -> None:
    torn = bundles.folder / "torn"
    torn.write_bytes(bundles.whole.read_bytes()[:-40])
    assert "it is not a whole zip file" in judged(torn)
    with ZipFile(torn, "w") as file:
        file.writestr("hello", "world")
    assert judged(torn).startswith("its members are hello, not accounts.jsonl")
    content = bytearray(bundles.whole.read_bytes())
    content[200] ^= 255  # within what is packed
    torn.write_bytes(content)
    assert judged(torn)


# --- what an auditor has kept -------------------------------------------------------------------------


def test_what_was_kept_is_proved_to_be_the_beginning(bundles: Bundles) -> None:
    """Also where the bundle's entries begin after it, or end before it."""
    assert judged(bundles.whole, *bundles.notes.values(), keys=[bundles.verifier]) == ""
    assert judged(bundles.middle, *bundles.notes.values(), keys=[bundles.verifier]) == ""


def kept(size: int, root: bytes) -> str:
    return serving.SIGNING.keys[0].signed("main", size, root)


OTHERS = {
    "of entries that are here": (
        6,
        "kept 1 of 6 entries signed the root .*: history was rewritten, entries 1 to 6",
    ),
    "of entries before": (3, "kept 1 of 3 entries signed the root .*: history was rewritten, entries 1 to 3"),
    "of entries behind": (9, "kept 1 of 9 entries signed the root .*: history was rewritten, entries 1 to 9"),
    "that nobody wrote": (2, "kept 1 of 2 entries is unknown to the bundle: .* must reach from entry 3 to 8"),
    "of entries that are gone": (13, "kept 1 signed 13 entries, and the book has 12: those after were taken away"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_was_kept_is_of_another_history(bundles: Bundles, case: str) -> None:
    size, expected = OTHERS[case]
    said = judged(bundles.middle, kept(size, bytes(32)))
    assert re.search(expected, said), said


def test_where_history_was_rewritten_is_told_between_two_that_were_kept(bundles: Bundles) -> None:
    said = judged(bundles.whole, bundles.notes[6], kept(8, bytes(32)))
    assert "history was rewritten, entries 7 to 8 are not those that were signed" in said


def test_what_was_kept_must_be_signed_and_of_this_book(bundles: Bundles) -> None:
    assert judged(bundles.whole, "nothing").startswith("kept 1: it has no origin")
    forged = bundles.notes[6].replace("\n6\n", "\n7\n")
    assert "is not one of this text" in judged(bundles.whole, forged)
    other = serving.SIGNING.keys[0]
    note = other.signed("other", 6, bytes(32))
    said = judged(bundles.whole, note, keys=[bundles.verifier, str(other.verifier("other"))])
    assert said == "kept 1: it is of ledger.example/books/other, not of book main"


def test_a_key_that_is_trusted_must_have_signed(bundles: Bundles) -> None:
    other = str(serving.SIGNING.keys[0].verifier("other"))
    assert "and by no key that is trusted" in judged(bundles.whole, keys=[other])
    assert judged(bundles.whole, keys=["x"]) == "keys.txt: not a verifier key of Ed25519, written name+id+base64"


# --- the hash of an entry, by two ways ----------------------------------------------------------------

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(st.characters(exclude_categories=("C", "Z")), max_size=20),
    "number": st.integers(1, 2**62),
    "amount": st.integers(-(10**15), 10**15),
    "id": st.uuids(),
    "day": st.dates(),
    "moment": st.datetimes(timezones=st.just(UTC)),
    "hash": st.binary(min_size=32, max_size=32),
}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_quick_hash_is_that_of_the_chain(data: st.DataObject) -> None:
    """Straight from the line, and by way of the values: the same bytes."""
    kinds = {name: kind for name, kind in ENTRY.items() if name != "hash"}
    values = {
        name: data.draw(st.none() | VALUES[kind] if name in NULLABLE else VALUES[kind])
        for name, kind in kinds.items()
    }
    values |= {"number": 7, "posting_count": 2, "reverses": data.draw(st.none() | st.integers(1, 6))}
    amount = data.draw(st.integers(1, 10**15))
    items = data.draw(st.lists(st.none() | VALUES["text"], min_size=2, max_size=2))
    lines = [(1, "Assets:Cash", "USD", amount, items[0]), (2, "Equity:Opening", "USD", -amount, items[1])]
    previous = data.draw(VALUES["hash"])
    joined = chain.joined(*values.values(), *(value for line in lines for value in line))
    found = hashlib.sha256(previous + chain.VERSION + joined).digest()
    line = written(values | {"hash": found}, lines)
    known = hashed_accounts({"Assets:Cash": "USD", "Equity:Opening": "USD"})
    block = Block(values["book"], 7, Before(previous), f"{line}\n".encode())
    assert examined(block, known).wrong is None
    wrong = examined(Block(values["book"], 7, Before(bytes(32)), f"{line}\n".encode()), known).wrong
    assert wrong is not None or previous == bytes(32)


def written(values: dict[str, Any], lines: list[tuple[int, str, str, int, str | None]]) -> str:
    """A line as a bundle has it."""
    row = type("Row", (), values)
    names = ("line", "account", "currency", "amount", "item")
    day = values["effective_date"]
    of_lines = [type("Row", (), dict(zip(names, line, strict=True)) | {"effective_date": day}) for line in lines]
    said = evidence.written(ENTRY, row) | {"postings": [evidence.written(POSTING, line) for line in of_lines]}
    return canonical(said)
