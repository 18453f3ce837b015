"""Writes a bundle for auditors: entries of a book, and all that is needed to judge them without a database.

One zip file, its members in this order; `manifest.json` has the SHA-256 of each and the totals over all.

    accounts.jsonl      every account of the book
    opening.jsonl       debits and credits of each account before the first entry
    entries.jsonl       the entries, in the order of their numbers, with every column that is stored of them
    closing.jsonl       debits and credits of each account after the last one
    checkpoints.jsonl   every checkpoint of the book
    proofs.json         the tree before the first entry, and what ties checkpoints to these entries
    keys.txt            public keys
    manifest.json
"""

import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from sqlalchemy import Row, and_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts.store import existing_book
from ledger.audit import evidence, store, tree
from ledger.audit.evidence import Json, canonical, written
from ledger.audit.merkle import consistency_path
from ledger.errors import NumberInvalid
from ledger.postings.store import hash_of
from ledger.reads import refuse_beyond
from ledger.schema import accounts, entries, postings

FORMAT = "session-ledger audit bundle 1"
MEMBERS = (
    *("accounts.jsonl", "opening.jsonl", "entries.jsonl", "closing.jsonl", "checkpoints.jsonl"),
    *("proofs.json", "keys.txt"),
)
MANIFEST = "manifest.json"
PAGE = 1_000
_SPEED = 1
"""Of compression: the quickest, which leaves a seventh."""
_WHEN = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can name: the same entries make the same file."""

_TOTALS = text("""
    SELECT account, currency, sum(greatest(amount, 0)) AS debits, sum(greatest(-amount, 0)) AS credits
    FROM postings
    WHERE book = :book AND entry_number <= :number
    GROUP BY account, currency
    ORDER BY account, currency
""")

Advance = Callable[[int], None]
"""Is told of so many entries more that are done."""


@dataclass(slots=True)
class Writing:
    """A zip file that is being written, and what its manifest will say."""

    zip: ZipFile
    members: list[dict[str, Json]] = field(default_factory=list)

    @contextmanager
    def member(self, name: str) -> "Any":
        """Takes the lines of one member."""
        info = ZipInfo(name, _WHEN)
        info.compress_type = ZIP_DEFLATED
        with self.zip.open(info, "w", force_zip64=True) as file:
            member = Member(file)
            yield member
        self.members.append({"name": name, "lines": member.lines, "sha256": member.digest.hexdigest()})

    def whole(self, name: str, lines: Sequence[str]) -> None:
        """Writes a member that is there as a whole."""
        with self.member(name) as member:
            for line in lines:
                member.write(line)


@dataclass(slots=True)
class Member:
    """One member, line by line."""

    file: IO[bytes]
    lines: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def write(self, line: str) -> None:
        """Adds a line."""
        content = f"{line}\n".encode()
        self.digest.update(content)
        self.file.write(content)
        self.lines += 1


@dataclass(slots=True)
class Sums:
    """What the manifest says of all entries together."""

    entries: int = 0
    postings: int = 0
    debits: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """By currency, in minor units; credits are the same."""


async def extent(connection: AsyncConnection, book: str, first: int, last: int | None) -> tuple[int, int]:
    """First and last entry of a bundle; without a last one, up to the head.

    Raises BookNotFound, NumberInvalid or NumberBeyondHead.
    """
    head = (await existing_book(connection, book)).last_number
    if first < 1 or (last is not None and last < first - 1):
        raise NumberInvalid(f"entries are counted from 1, and from {first} to {last} there are none", field="from")
    found = head if last is None else last
    refuse_beyond("to", max(found, first - 1), head, is_replica=False)
    return first, found


async def write(
    connection: AsyncConnection,
    book: str,
    first: int,
    last: int,
    keys: Sequence[str],
    path: Path,
    advance: Advance,
) -> None:
    """Writes the entries from the first to the last into a file. `keys` are the public keys that are known.

    Memory holds a page of entries, the accounts and the checkpoints. Raises BookNotFound or HistoryRewritten.
    """
    found = await existing_book(connection, book)
    with ZipFile(path, "w", ZIP_DEFLATED, compresslevel=_SPEED) as file:
        out = Writing(file)
        out.whole("accounts.jsonl", await _accounts(connection, book))
        out.whole("opening.jsonl", await _totals(connection, book, first - 1))
        sums = await _entries(connection, book, first, last, out, advance)
        out.whole("closing.jsonl", await _totals(connection, book, last))
        kept = await store.find_checkpoints(connection, book)
        sizes = {one.size for one in kept if one.size <= found.last_number}
        out.whole("checkpoints.jsonl", [canonical(written(evidence.CHECKPOINT, one)) for one in kept])
        out.whole("proofs.json", [await _proofs(connection, book, first, last, sizes)])
        out.whole("keys.txt", sorted({*keys, *(one.verifier for one in kept)}))
        said = {"format": FORMAT, "book": book, "name": found.name, "head": found.last_number}
        said |= {"from": first, "to": last, "entries": sums.entries, "postings": sums.postings}
        said |= {"debits": {currency: str(total) for currency, total in sums.debits.items()}}
        with file.open(ZipInfo(MANIFEST, _WHEN), "w") as manifest:
            manifest.write(f"{canonical(said | {'members': out.members})}\n".encode())


async def _accounts(connection: AsyncConnection, book: str) -> list[str]:
    rows = await connection.execute(select(accounts).where(accounts.c.book == book).order_by(accounts.c.code))
    return [canonical(written(evidence.ACCOUNT, row)) for row in rows]


async def _totals(connection: AsyncConnection, book: str, number: int) -> list[str]:
    rows = await connection.execute(_TOTALS, {"book": book, "number": number})
    return [canonical(written(evidence.TOTAL, row)) for row in rows]


async def _entries(
    connection: AsyncConnection, book: str, first: int, last: int, out: Writing, advance: Advance
) -> Sums:
    sums = Sums()
    with out.member("entries.jsonl") as member:
        async for rows, lines in _pages(connection, book, first, last):
            for row in rows:
                of_entry = lines.get(row.number, [])
                said = written(evidence.ENTRY, row)
                said["postings"] = [written(evidence.POSTING, line) for line in of_entry]
                member.write(canonical(said))
                for line in of_entry:
                    sums.debits[line.currency] += max(line.amount, 0)
                sums.postings += len(of_entry)
            sums.entries += len(rows)
            advance(len(rows))
    return sums


_Page = tuple[Sequence[Row[Any]], dict[int, list[Row[Any]]]]


async def _pages(connection: AsyncConnection, book: str, first: int, last: int) -> AsyncIterator[_Page]:
    """Entries with their postings as they are stored, whatever they say: what is wrong with them must show."""
    after = first - 1
    while after < last:
        its_entries = and_(entries.c.book == book, entries.c.number > after, entries.c.number <= last)
        rows = (
            await connection.execute(select(entries).where(its_entries).order_by(entries.c.number).limit(PAGE))
        ).all()
        if not rows:
            return
        lines: dict[int, list[Row[Any]]] = defaultdict(list)
        number = postings.c.entry_number
        of_page = and_(postings.c.book == book, number >= rows[0].number, number <= rows[-1].number)
        for line in await connection.execute(select(postings).where(of_page).order_by(number, postings.c.line)):
            lines[line.entry_number].append(line)
        yield rows, lines
        after = rows[-1].number


async def _proofs(connection: AsyncConnection, book: str, first: int, last: int, sizes: set[int]) -> str:
    """The tree before the first entry, and how it ties to checkpoints that these entries do not reach."""
    grown = await tree.grown_to(connection, book, first - 1)
    entry_hash = await hash_of(connection, book, first - 1)
    tied = []
    for size in sorted(size for size in sizes if 0 < size < first - 1 or last < size):
        smaller, larger = sorted((size, last))
        path = await tree.hashes(connection, book, consistency_path(smaller, larger))
        tied.append({"first": smaller, "second": larger, "path": [one.hex() for one in path]})
    edge = {"hash": (entry_hash or b"").hex(), "edge": [one.hex() for one in grown.edge]}
    return canonical({"before": edge, "consistency": tied})
