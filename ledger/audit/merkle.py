"""The Merkle tree over the hashes of a book's entries, as RFC 6962, section 2.1, defines it. Pure.

Leaf n is entry n + 1. What proofs name are ranges of leaves, each of which begins at a multiple of the power of
two that it fits into and so is a node of the tree. A node over a whole power of two never changes again.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

_LEAF, _NODE = b"\x00", b"\x01"
HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256().digest()
"""The root of a tree without leaves."""


class ProofWrong(Exception):
    """A proof does not prove what it is said to prove."""


class Range(NamedTuple):
    """Leaves from `start` up to and without `end`, counted from 0."""

    start: int
    end: int


class Place(NamedTuple):
    """A complete subtree: the `nth`, counted from 0, of those that cover 2 ** `level` leaves."""

    level: int
    nth: int

    @property
    def leaves(self) -> Range:
        """What it covers."""
        return Range(self.nth << self.level, (self.nth + 1) << self.level)

    @property
    def halves(self) -> "tuple[Place, Place]":
        """The two subtrees below it; a leaf has none."""
        left = Place(self.level - 1, self.nth * 2)
        return left, Place(left.level, left.nth + 1)


def leaf_hash(entry_hash: bytes) -> bytes:
    """The hash of a leaf: an entry's hash behind a zero byte."""
    return hashlib.sha256(_LEAF + entry_hash).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node over its two halves."""
    return hashlib.sha256(_NODE + left + right).digest()


def subtrees(covered: Range) -> list[Place]:
    """The complete subtrees that a range is made of, from left to right, the largest first.

    The range begins at a multiple of the power of two that it fits into, as all do that proofs name.
    """
    start, end = covered
    found = []
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        found.append(Place(level, start >> level))
        start += 1 << level
    return found


def folded(hashes: Sequence[bytes]) -> bytes:
    """The hash over complete subtrees, the largest first: each is the left half of what follows it."""
    if not hashes:
        return EMPTY_ROOT
    found = hashes[-1]
    for left in reversed(hashes[:-1]):
        found = node_hash(left, found)
    return found


@dataclass(slots=True)
class Tree:
    """A tree that grows leaf by leaf and holds no more than the complete subtrees at its right edge."""

    size: int = 0
    edge: list[bytes] = field(default_factory=list)
    """Their hashes, the largest first."""

    def append(self, leaf: bytes) -> list[tuple[Place, bytes]]:
        """Adds the hash of a leaf; returns the subtrees that it completes, the smallest first."""
        return self.append_subtree(0, leaf)

    def append_subtree(self, level: int, found: bytes) -> list[tuple[Place, bytes]]:
        """Adds a complete subtree where one of its level begins; returns what it completes, itself first."""
        nth = self.size >> level
        completed = [(Place(level, nth), found)]
        self.size += 1 << level
        while nth & 1:
            found = node_hash(self.edge.pop(), found)
            nth, level = nth >> 1, level + 1
            completed.append((Place(level, nth), found))
        self.edge.append(found)
        return completed

    def root(self) -> bytes:
        """The root over all leaves so far."""
        return folded(self.edge)


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over the hashes of leaves, level by level: a last one without a neighbour goes up as it is."""
    level = [*leaves]
    while len(level) > 1:
        above = [node_hash(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
        level = above + level[len(above) * 2 :]
    return level[0] if level else EMPTY_ROOT


# --- what a proof is made of --------------------------------------------------------------------------


def inclusion_path(index: int, size: int) -> list[Range]:
    """The ranges whose hashes prove that a leaf is in the tree of this size, from the leaf up to the root."""
    start, end, found = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            found.append(Range(middle, end))
            end = middle
        else:
            found.append(Range(start, middle))
            start = middle
    return found[::-1]


def consistency_path(first: int, second: int) -> list[Range]:
    """The ranges whose hashes prove that the tree of the first size is the beginning of the second's."""
    if not 0 < first < second:
        return []
    start, end, found, is_whole = 0, second, [], True
    while first != end:
        middle = start + _split(end - start)
        if first <= middle:
            found.append(Range(middle, end))
            end = middle
        else:
            found.append(Range(start, middle))
            start, is_whole = middle, False
    if not is_whole:
        found.append(Range(start, end))
    return found[::-1]


def _split(count: int) -> int:
    """The largest power of two below a count of at least two."""
    return 1 << ((count - 1).bit_length() - 1)


# --- what a proof proves ------------------------------------------------------------------------------


def refuse_not_included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Raises ProofWrong unless the path leads from the leaf to the root (RFC 9162, section 2.1.3.2)."""
    if not 0 <= index < size:
        raise ProofWrong(f"a tree of {size} leaves has no leaf {index}")
    place, last, found = index, size - 1, leaf
    for step in path:
        if not last:
            raise ProofWrong("the proof is too long")
        if place & 1 or place == last:
            found = node_hash(step, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, step)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofWrong("the proof is too short")
    if found != root:
        raise ProofWrong("the proof leads to another root")


def refuse_inconsistent(
    first: int, second: int, path: Sequence[bytes], first_root: bytes, second_root: bytes
) -> None:
    """Raises ProofWrong unless one tree is the beginning of the other (RFC 9162, section 2.1.4.2).

    Where the sizes are equal the roots are, and the tree without leaves is the beginning of every tree: there the
    path is empty.
    """
    if not 0 < first < second:
        _refuse_trivial(first, second, path, first_root, second_root)
        return
    steps = [*path] if first & (first - 1) else [first_root, *path]
    if not path:
        raise ProofWrong("the proof is empty")
    before, last = first - 1, second - 1
    while before & 1:
        before, last = before >> 1, last >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if not last:
            raise ProofWrong("the proof is too long")
        if before & 1 or before == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not before & 1 and before:
                before, last = before >> 1, last >> 1
        else:
            new = node_hash(new, step)
        before, last = before >> 1, last >> 1
    if last:
        raise ProofWrong("the proof is too short")
    if old != first_root:
        raise ProofWrong("the proof leads to another root of the smaller tree")
    if new != second_root:
        raise ProofWrong("the proof leads to another root of the larger tree")


def _refuse_trivial(first: int, second: int, path: Sequence[bytes], first_root: bytes, second_root: bytes) -> None:
    if first > second:
        raise ProofWrong(f"a tree of {second} leaves has no beginning of {first}")
    if path:
        raise ProofWrong("the proof is too long")
    if first == second and first_root != second_root:
        raise ProofWrong("two trees of one size have two roots")
    if first == 0 and first_root != EMPTY_ROOT:
        raise ProofWrong("a tree without leaves has another root")
