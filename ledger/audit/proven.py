"""Whether checkpoints and kept subtrees agree with the entries as they are: what is hashed anew for the check."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.audit.account_list import listed
from ledger.audit.checkpoint import (
    CheckpointWrong,
    KeysRefused,
    read_note,
    read_verifier,
    signed_accounts,
    verified,
)
from ledger.audit.evidence import Json, accounts_at
from ledger.audit.fault import Fault
from ledger.audit.merkle import EMPTY_ROOT, Place, Tree, leaf_hash
from ledger.audit.store import Kept, find_checkpoints
from ledger.audit.tree import HEIGHT, entry_hashes
from ledger.schema import books, tree_nodes

Accounts = Sequence[Mapping[str, Json]]
"""As a bundle writes them."""
_PAGE = text("""
    SELECT string_agg(hash, CAST('' AS bytea) ORDER BY number) AS hashes, max(number) AS last
    FROM (
        SELECT number, hash FROM entries WHERE book = :book AND number > :after ORDER BY number LIMIT 65536
    ) AS page
""")


@dataclass(slots=True)
class Grown:
    """A tree that is grown anew from the entries, and what is compared with it."""

    nodes: dict[Place, bytes]
    """Kept subtrees that have not been met yet."""
    sizes: set[int]
    """Sizes of checkpoints."""
    tiles: int
    """So many of the smallest subtrees are kept, and all above them."""
    tree: Tree = field(default_factory=Tree)
    roots: dict[int, bytes] = field(default_factory=lambda: {0: EMPTY_ROOT})
    differing: list[tuple[Place, str, str]] = field(default_factory=list)

    def append(self, entry_hash: bytes) -> None:
        """Grows by an entry, and compares what that completes."""
        for place, found in self.tree.append(leaf_hash(entry_hash)):
            kept = self.nodes.pop(place, None)
            is_wanted = place.level >= HEIGHT and place.leaves.end <= self.tiles << HEIGHT
            if kept != found and (is_wanted or kept is not None):
                self.differing.append((place, found.hex(), kept.hex() if kept else "no row"))
        if self.tree.size in self.sizes:
            self.roots[self.tree.size] = self.tree.root()


async def faults(connection: AsyncConnection) -> list[Fault]:
    """What is wrong with checkpoints and kept subtrees, in all books. Holds a book's kept subtrees in memory."""
    found: list[Fault] = []
    for book in (await connection.execute(select(books.c.book).order_by(books.c.book))).scalars().all():
        kept = await find_checkpoints(connection, book)
        grown = await _grown(connection, book, {one.size for one in kept})
        found += _nodes(book, grown)
        accounts = (await listed(connection, book)).rows if kept else []
        found += _checkpoints(book, kept, grown, accounts)
    return found


async def _grown(connection: AsyncConnection, book: str, sizes: set[int]) -> Grown:
    wanted = select(tree_nodes.c.level, tree_nodes.c.nth, tree_nodes.c.hash).where(tree_nodes.c.book == book)
    nodes = {Place(level, nth): found for level, nth, found in await connection.execute(wanted)}
    tiles = max((place.nth + 1 for place in nodes if place.level == HEIGHT), default=0)
    grown, after = Grown(nodes, sizes, tiles), 0
    while (page := (await connection.execute(_PAGE, {"book": book, "after": after})).one()).last is not None:
        for one in entry_hashes(page.hashes):
            grown.append(one)
        after = page.last
    return grown


def _nodes(book: str, grown: Grown) -> Iterator[Fault]:
    beyond = [(place, "no row", found.hex()) for place, found in grown.nodes.items()]
    for place, expected, found in sorted([*grown.differing, *beyond]):
        start, end = place.leaves
        yield Fault("tree_nodes", book, f"entries {start + 1} to {end}", expected, found)


def _checkpoints(book: str, kept: list[Kept], grown: Grown, accounts: Accounts) -> Iterator[Fault]:
    size = 0
    for number, one in enumerate(kept, 1):
        subject = f"checkpoint {one.number} of {one.size} entries"
        if one.number != number:
            yield Fault("checkpoint_numbers", book, subject, f"number {number}", f"number {one.number}")
        if not size <= one.size <= grown.tree.size:
            said = f"between {size} and {grown.tree.size} entries"
            yield Fault("checkpoint_size", book, subject, said, f"{one.size} entries")
        elif (root := grown.roots[one.size]) != one.root:
            yield Fault("checkpoint_root", book, subject, root.hex(), one.root.hex())
        if fault := _other_accounts(one, accounts):
            yield Fault("checkpoint_accounts", book, subject, *fault)
        if wrong := _signature(book, one):
            yield Fault("checkpoint_signature", book, subject, "a note that says so, signed", wrong)
        size = one.size


def _other_accounts(one: Kept, accounts: Accounts) -> tuple[str, str] | None:
    """What the accounts should be at the time of a checkpoint, and what they are; None where they are that."""
    try:
        signed = signed_accounts(read_note(one.note)[0])
    except CheckpointWrong:
        return None  # its signature does not hold either
    found = accounts_at(accounts, signed.at) if signed else None
    return None if signed == found else (str(signed), str(found))


def _signature(book: str, one: Kept) -> str:
    """What is wrong with the note of a checkpoint; nothing where it says what the row does and is signed."""
    try:
        said, [by] = verified(one.note, [read_verifier(one.verifier)])
    except (CheckpointWrong, KeysRefused) as wrong:
        return str(wrong)
    if not by.name.endswith(f"/{book}"):
        return f"the checkpoint of {by.name}"
    return "" if (said.size, said.root) == (one.size, one.root) else f"{said.size} entries, root {said.root.hex()}"
