"""The Merkle tree of a book where it is kept: its leaves in `entries`, complete subtrees in `tree_nodes`.

Subtrees of 256 entries and more are filled behind the head, off the posting path. What is not filled yet is read
from the entries, so that every answer is right, and quick once it is.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as insert_into
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import BigInteger, Integer

from ledger.audit.merkle import HASH_BYTES, Place, Range, Tree, folded, leaf_hash, node_hash, root_of, subtrees
from ledger.database import reading, recording
from ledger.errors import HistoryRewritten, Refusal
from ledger.schema import tree_nodes

HEIGHT = 8
"""The smallest subtrees that are kept cover 2 ** 8 entries."""
_SUBTREES_AT_ONCE = 256
_TILES_AT_ONCE = 16
"""So many of 256 entries in one database transaction: a server that hashes them keeps its callers waiting."""

_KEPT = text("""
    SELECT level, nth, hash FROM tree_nodes
    JOIN unnest(:levels, :places) AS asked (level, nth) USING (level, nth)
    WHERE book = :book
""").bindparams(bindparam("levels", type_=ARRAY(Integer)), bindparam("places", type_=ARRAY(BigInteger)))
_LEAVES = text("""
    SELECT (
        SELECT string_agg(hash, CAST('' AS bytea) ORDER BY number) FROM entries
        WHERE book = :book AND number > asked.start AND number <= asked.finish
    ) AS hashes
    FROM unnest(:starts, :ends) WITH ORDINALITY AS asked (start, finish, place)
    ORDER BY place
""").bindparams(bindparam("starts", type_=ARRAY(BigInteger)), bindparam("ends", type_=ARRAY(BigInteger)))
# Where each book's kept subtrees end, and where they could.
_BEHIND = text("""
    SELECT h.book
    FROM heads AS h
    WHERE h.number >> :height > (
        SELECT coalesce(max(nth) + 1, 0) FROM tree_nodes WHERE book = h.book AND level = :height
    )
    ORDER BY h.book
""")
_STANDS = text("""
    SELECT h.number, (
        SELECT coalesce(max(nth) + 1, 0) FROM tree_nodes WHERE book = h.book AND level = :height
    ) AS tiles
    FROM heads AS h WHERE h.book = :book
""")
_INSERT = insert_into(tree_nodes).on_conflict_do_nothing()


async def hashes(connection: AsyncConnection, book: str, ranges: Sequence[Range]) -> list[bytes]:
    """The hash over each range of leaves. Raises HistoryRewritten where an entry is not there."""
    made_of = [subtrees(one) for one in ranges]
    found = await _found(connection, book, {place for places in made_of for place in places})
    return [folded([found[place] for place in places]) for places in made_of]


async def root(connection: AsyncConnection, book: str, size: int) -> bytes:
    """The root over the first so many entries. Raises HistoryRewritten."""
    [found] = await hashes(connection, book, [Range(0, size)])
    return found


async def grown_to(connection: AsyncConnection, book: str, size: int) -> Tree:
    """The tree over the first so many entries, ready to grow on. Raises HistoryRewritten."""
    places = subtrees(Range(0, size))
    found = await _found(connection, book, {*places})
    return Tree(size, [found[place] for place in places])


async def _found(connection: AsyncConnection, book: str, places: set[Place]) -> dict[Place, bytes]:
    """Subtrees as they are kept; those that are not, from their halves, and the small ones from their leaves."""
    found = await _kept(connection, book, [place for place in places if place.level >= HEIGHT])
    missing = places - found.keys()
    large = {place for place in missing if place.level > HEIGHT}
    if large:
        halves = await _found(connection, book, {half for place in large for half in place.halves})
        found |= {place: node_hash(*(halves[half] for half in place.halves)) for place in large}
    return found | await _small(connection, book, [*(missing - large)])


async def _kept(connection: AsyncConnection, book: str, places: Sequence[Place]) -> dict[Place, bytes]:
    if not places:
        return {}
    levels, nths = ([*values] for values in zip(*places, strict=True))
    rows = await connection.execute(_KEPT, {"book": book, "levels": levels, "places": nths})
    return {Place(row.level, row.nth): row.hash for row in rows}


async def _small(connection: AsyncConnection, book: str, places: Sequence[Place]) -> dict[Place, bytes]:
    """Subtrees of at most 256 leaves, from the entries."""
    found: dict[Place, bytes] = {}
    for start in range(0, len(places), _SUBTREES_AT_ONCE):
        some = places[start : start + _SUBTREES_AT_ONCE]
        leaves = await leaf_hashes(connection, book, [place.leaves for place in some])
        found |= {place: root_of(of_place) for place, of_place in zip(some, leaves, strict=True)}
    return found


async def leaf_hashes(connection: AsyncConnection, book: str, ranges: Sequence[Range]) -> list[list[bytes]]:
    """The leaves of each range. Raises HistoryRewritten where an entry is not there."""
    starts, ends = ([*values] for values in zip(*ranges, strict=True))
    rows = await connection.execute(_LEAVES, {"book": book, "starts": starts, "ends": ends})
    found = [list(map(leaf_hash, entry_hashes(row.hashes))) for row in rows]
    for (start, end), leaves in zip(ranges, found, strict=True):
        if len(leaves) != end - start:
            raise HistoryRewritten(
                f"{len(leaves)} entries from {start + 1} to {end} are there, not {end - start}", number=start + 1
            )
    return found


def entry_hashes(joined: bytes | None) -> Iterable[bytes]:
    """Hashes that were joined to one, apart again."""
    return [joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)] if joined else []


# --- filling ------------------------------------------------------------------------------------------


async def fill(database: AsyncEngine, height: int = HEIGHT) -> int:
    """Keeps all subtrees that are complete; returns how many of the smallest those were.

    What is wrong in one book keeps no other waiting. Raises DatabaseUnavailable, or HistoryRewritten at the end.
    """
    async with reading(database) as connection:
        behind = [row.book for row in await connection.execute(_BEHIND, {"height": height})]
    count, refusals = 0, []
    for book in behind:
        try:
            count += await fill_book(database, book, height)
        except HistoryRewritten as refusal:
            refusals.append(refusal)
    _raise_first(refusals)
    return count


async def fill_book(database: AsyncEngine, book: str, height: int = HEIGHT) -> int:
    """The same for one book; none where there is no such book. Raises DatabaseUnavailable or HistoryRewritten."""
    count = 0
    while filled := await _fill(database, book, height):
        count += filled
    return count


def _raise_first(refusals: Sequence[Refusal]) -> None:
    for refusal in refusals:
        raise refusal


async def _fill(database: AsyncEngine, book: str, height: int) -> int:
    """The next few subtrees of a book, in one database transaction. Whoever else fills them writes the same."""
    async with recording(database) as connection:
        stands = (await connection.execute(_STANDS, {"book": book, "height": height})).one_or_none()
        tiles = min((stands.number >> height) - stands.tiles, _TILES_AT_ONCE) if stands else 0
        if stands and tiles > 0:
            tree = await grown_to(connection, book, stands.tiles << height)
            [leaves] = await leaf_hashes(connection, book, [Range(tree.size, tree.size + (tiles << height))])
            rows = [
                {"book": book, "level": place.level, "nth": place.nth, "hash": found}
                for leaf in leaves
                for place, found in tree.append(leaf)
                if place.level >= height
            ]
            await connection.execute(_INSERT, rows)
        return tiles
