"""Checkpoints and proofs over the wire: what they prove, and what is refused."""

import asyncio
import base64
from collections.abc import Iterator

import psycopg
import pytest
import serving
from serving import Ledger, Loop, cr, dr, refused

from ledger.audit import tree
from ledger.audit.checkpoint import NO_KEY, read_signing_keys, read_verifier, verified
from ledger.audit.merkle import Tree, leaf_hash, refuse_inconsistent, refuse_not_included
from ledger.audit.store import write_checkpoint
from ledger.database import engine
from ledger.errors import HistoryRewritten
from ledger.postings import journal
from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import audit_pb2 as au
from ledger.v1 import postings_pb2 as po

COUNT = 600
"""Entries: two subtrees of 256 that are kept, and the rest."""


@pytest.fixture(scope="module")
def books(server: Ledger) -> Iterator[Ledger]:
    """A book whose subtrees are kept up to the second last of them."""
    serving.open_book(server, "proof")
    books = server.of("proof")
    fill_up(books, COUNT)
    asyncio.run(filled(server.url))
    yield books
    assert server.wrong() == []


def fill_up(books: Ledger, count: int) -> None:
    lines = dr("Assets:Cash", "1.00"), cr("Liabilities:UnappliedCash", "1.00")
    entries = [serving.entry("2026-04-08", *lines) for _ in range(count)]
    books.postings.PostEntries(po.PostEntriesRequest(book=books.book, entries=entries))


async def filled(url: str) -> int:
    database = engine(url)
    try:
        return await tree.fill(database)
    finally:
        await database.dispose()


def leaves(books: Ledger) -> list[bytes]:
    return [leaf_hash(entry.hash) for entry in books.entries()]


def roots(books: Ledger) -> list[bytes]:
    """The root over the first so many entries, as the definition has it."""
    grown = Tree()
    found = [grown.root()]
    for leaf in leaves(books):
        grown.append(leaf)
        found.append(grown.root())
    return found


def writing(books: Ledger, reason: str = "audit of April") -> au.WriteCheckpointRequest:
    return au.WriteCheckpointRequest(book=books.book, reason=reason)


def included(books: Ledger, number: int, size: int = 0) -> au.GetInclusionProofResponse:
    asked = au.GetInclusionProofRequest(book=books.book, entry_number=number, size=size)
    return books.audit.GetInclusionProof(asked)


def consistent(books: Ledger, first: int, second: int = 0) -> au.GetConsistencyProofResponse:
    asked = au.GetConsistencyProofRequest(book=books.book, first_size=first, second_size=second)
    return books.audit.GetConsistencyProof(asked)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 512, 513, 600, 0])
def test_every_kind_of_entry_is_proved_to_be_in_every_kind_of_tree(books: Ledger, size: int) -> None:
    by_size = roots(books)
    for number in {1, 2, 255, 256, 257, 511, 512, 513, 599, 600}:
        if number <= (size or COUNT):
            found = included(books, number, size)
            assert (found.size, found.root) == (size or COUNT, by_size[size or COUNT])
            leaf = leaf_hash(found.entry_hash)
            refuse_not_included(leaf, number - 1, found.size, list(found.path), found.root)


@pytest.mark.parametrize("first", [1, 2, 200, 256, 300, 512, 599, 600])
def test_every_kind_of_tree_is_proved_to_be_the_beginning_of_another(books: Ledger, first: int) -> None:
    by_size = roots(books)
    for second in {300, 512, 600, 0}:
        if first <= (second or COUNT):
            found = consistent(books, first, second)
            assert (found.first_root, found.second_root) == (by_size[first], by_size[second or COUNT])
            path = list(found.path)
            refuse_inconsistent(first, found.second_size, path, found.first_root, found.second_root)


def test_what_is_not_kept_yet_is_read_from_the_entries(books: Ledger) -> None:
    """The answer is the same where nothing is kept at all."""
    before = included(books, 3), consistent(books, 300)
    with psycopg.connect(books.url.replace("+psycopg", "")) as owner:
        owner.execute("DELETE FROM tree_nodes WHERE book = 'proof'")
    assert (included(books, 3), consistent(books, 300)) == before
    assert asyncio.run(filled(books.url)) == COUNT // 256
    assert asyncio.run(filled(books.url)) == 0
    assert (included(books, 3), consistent(books, 300)) == before


def test_a_checkpoint_is_signed_once_and_leads_to_every_entry(ledger: Ledger) -> None:
    empty = ledger.audit.WriteCheckpoint(writing(ledger, "nothing yet")).checkpoint
    assert (empty.number, empty.size) == (1, 0)
    fill_up(ledger, 3)
    first = ledger.audit.WriteCheckpoint(writing(ledger))
    again = ledger.audit.WriteCheckpoint(writing(ledger, "once more"))
    assert not first.replayed
    assert again.replayed
    assert again.checkpoint == first.checkpoint
    assert (first.checkpoint.number, first.checkpoint.reason) == (2, "audit of April")
    said, _ = verified(first.checkpoint.note, [read_verifier(first.checkpoint.verifier_key)])
    assert (said.origin, said.size, said.root) == ("ledger.example/books/main", 3, roots(ledger)[3])
    fill_up(ledger, 2)
    last = ledger.audit.WriteCheckpoint(writing(ledger)).checkpoint
    proof = consistent(ledger, said.size, last.size)
    refuse_inconsistent(3, 5, list(proof.path), said.root, last.root)
    listed = ledger.audit.ListCheckpoints(au.ListCheckpointsRequest(book="main", page_size=2))
    rest = ledger.audit.ListCheckpoints(
        au.ListCheckpointsRequest(book="main", page_size=2, page_token=listed.next_page_token)
    )
    assert [*listed.checkpoints, *rest.checkpoints] == [empty, first.checkpoint, last]
    assert not rest.next_page_token
    asked = au.GetCheckpointRequest(book="main")
    assert ledger.audit.GetCheckpoint(asked).checkpoint == last
    asked.number = 2
    assert ledger.audit.GetCheckpoint(asked).checkpoint == first.checkpoint
    assert ledger.wrong() == []


def test_what_is_wrong_in_one_book_keeps_no_other_waiting(ledger: Ledger) -> None:
    """Its subtrees are not kept, and a server goes on with those of the others."""
    for book in ("broken", "whole"):
        serving.open_book(ledger, book)
        fill_up(ledger.of(book), 300)
    with psycopg.connect(ledger.url.replace("+psycopg", "")) as owner:
        for table in ("entries", "entries_1"):
            owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL".encode())
        owner.execute("DELETE FROM entries WHERE book = 'broken' AND number = 7")
    with pytest.raises(HistoryRewritten, match="255 entries from 1 to 256 are there, not 256"):
        asyncio.run(filled(ledger.url))
    with psycopg.connect(ledger.url.replace("+psycopg", "")) as owner:
        assert owner.execute("SELECT book, level, nth FROM tree_nodes").fetchall() == [("whole", 8, 0)]
    said = refused(ledger.audit.WriteCheckpoint, writing(ledger.of("broken")))
    assert (said.reason, said.facts) == ("HISTORY_REWRITTEN", {"number": "1"})


def test_without_a_key_posting_goes_on_and_nothing_is_signed(loop: Loop, database: str) -> None:
    with serving.serving(loop, database, signing=NO_KEY) as ledger:
        serving.open_book(ledger)
        said = refused(ledger.audit.WriteCheckpoint, writing(ledger))
        assert (said.code, said.reason) == ("FAILED_PRECONDITION", "SIGNING_KEY_MISSING")
        fill_up(ledger, 2)
        assert included(ledger, 1).path
        keys = ledger.audit.ListVerifierKeys(au.ListVerifierKeysRequest(book="main"))
        assert (keys.signs, list(keys.verifier_keys)) == ("", [])


def test_one_key_follows_another(loop: Loop, ledger: Ledger) -> None:
    """The same size is signed again, and what the old key has signed is checked with the old key."""
    fill_up(ledger, 3)
    old = ledger.audit.WriteCheckpoint(writing(ledger)).checkpoint
    new = read_signing_keys(f"ledger.example/books:{base64.b64encode(bytes(32)).decode()}")
    with serving.serving(loop, ledger.url, signing=new) as renewed:
        fresh = renewed.audit.WriteCheckpoint(writing(renewed, "a new key"))
        assert not fresh.replayed
        keys = renewed.audit.ListVerifierKeys(au.ListVerifierKeysRequest(book="main"))
    assert fresh.checkpoint.root == old.root
    assert (fresh.checkpoint.number, fresh.checkpoint.size) == (2, 3)
    assert keys.signs == fresh.checkpoint.verifier_key
    assert list(keys.verifier_keys) == [fresh.checkpoint.verifier_key, old.verifier_key]
    for one in (old, fresh.checkpoint):
        assert verified(one.note, [read_verifier(one.verifier_key)])[0].size == 3
    assert ledger.audit.WriteCheckpoint(writing(ledger)).replayed
    assert ledger.wrong() == []


REWRITTEN = {
    "an entry's hash": "UPDATE entries SET hash = decode(repeat('11', 32), 'hex') WHERE number = 2",
    "an entry taken out": "DELETE FROM entries WHERE number = 2",
    "the tail taken off": "UPDATE heads SET number = 2",
}


@pytest.mark.parametrize("case", REWRITTEN)
def test_what_an_earlier_checkpoint_contradicts_is_not_signed(ledger: Ledger, case: str) -> None:
    fill_up(ledger, 4)
    ledger.audit.WriteCheckpoint(writing(ledger))
    with psycopg.connect(ledger.url.replace("+psycopg", "")) as owner:
        for table in ("entries", "entries_1", "heads"):
            owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL".encode())
        owner.execute(REWRITTEN[case].encode())
    said = refused(ledger.audit.WriteCheckpoint, writing(ledger))
    assert (said.code, said.reason) == ("FAILED_PRECONDITION", "HISTORY_REWRITTEN")


def test_accounts_are_signed_as_they_stand_then(ledger: Ledger) -> None:
    """What is opened or closed later is no fault, and is signed anew, also where no entry was posted."""
    fill_up(ledger, 2)
    opening = ac.OpenAccountRequest(book="main", code="Assets:Petty", currency_code="USD")
    closing = ac.CloseAccountRequest(book="main", code="Assets:Petty", reason="unused")
    signed = [ledger.audit.WriteCheckpoint(writing(ledger)).checkpoint]
    for work in (lambda: ledger.accounts.OpenAccount(opening), lambda: ledger.accounts.CloseAccount(closing)):
        work()
        signed.append(ledger.audit.WriteCheckpoint(writing(ledger)).checkpoint)
        assert ledger.audit.WriteCheckpoint(writing(ledger)).replayed
    lines = [one.note.split("\n")[3].split(" ") for one in signed]
    assert [(name, count) for name, _, count, _ in lines] == [
        ("accounts", "2"),
        ("accounts", "3"),
        ("accounts", "3"),
    ]
    assert len({digest for *_, digest in lines}) == 3
    assert {one.size for one in signed} == {2}
    assert ledger.wrong() == []


def test_a_clock_that_is_set_back_changes_nothing_that_was_signed(ledger: Ledger) -> None:
    """What is opened and closed afterwards is opened and closed after the checkpoint, whatever the clock says."""
    fill_up(ledger, 2)
    with psycopg.connect(ledger.url.replace("+psycopg", "")) as owner:
        owner.execute("UPDATE heads SET recorded_at = clock_timestamp() + interval '1 day'")  # it was a day ahead
    signed = ledger.audit.WriteCheckpoint(writing(ledger)).checkpoint
    ledger.accounts.OpenAccount(ac.OpenAccountRequest(book="main", code="Assets:Petty", currency_code="USD"))
    ledger.post("2026-04-08", dr("Assets:Cash", "1.00"), cr("Liabilities:UnappliedCash", "1.00"))
    closing = ac.CloseAccountRequest(book="main", code="Assets:Petty", reason="unused")
    closed = ledger.accounts.CloseAccount(closing).account
    times = [closed.opened_at, closed.closed_at]
    assert all(time.ToDatetime() >= signed.written_at.ToDatetime() for time in times)
    assert ledger.wrong() == []


OTHERS_NOW = {
    "who opened it": "UPDATE accounts SET opened_by = 'nobody' WHERE code = 'Assets:Cash'",
    "one is gone": "DELETE FROM accounts WHERE code = 'Assets:Cash'",
}


@pytest.mark.parametrize("case", OTHERS_NOW)
def test_accounts_that_an_earlier_checkpoint_contradicts_are_not_signed(ledger: Ledger, case: str) -> None:
    fill_up(ledger, 2)
    ledger.audit.WriteCheckpoint(writing(ledger))
    with psycopg.connect(ledger.url.replace("+psycopg", "")) as owner:
        for table in ("accounts", "balances"):
            owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL".encode())
        owner.execute(OTHERS_NOW[case].encode())
    assert refused(ledger.audit.WriteCheckpoint, writing(ledger)).reason == "HISTORY_REWRITTEN"


async def posted_and_signed(url: str) -> int:
    """As a closing of a period will: what it signs is what its own database transaction has posted."""
    database = engine(url)
    try:
        async with journal.posting(database, "main") as (connection, head):
            kept, _ = await write_checkpoint(connection, head, serving.SIGNING, "ada", "April is closed")
            return kept.size
    finally:
        await database.dispose()


def test_a_checkpoint_is_written_with_what_else_is_recorded(ledger: Ledger) -> None:
    fill_up(ledger, 3)
    assert asyncio.run(posted_and_signed(ledger.url)) == 3
    found = ledger.audit.GetCheckpoint(au.GetCheckpointRequest(book="main")).checkpoint
    assert (found.written_by, found.reason) == ("ada", "April is closed")
