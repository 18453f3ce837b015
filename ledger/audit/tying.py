"""What ties entries to signed checkpoints, within a bundle and to those that an auditor has kept. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ledger.audit.checkpoint import (
    CheckpointWrong,
    KeysRefused,
    SignedAccounts,
    Verifier,
    origin,
    read_verifier,
    signed_accounts,
    verified,
)
from ledger.audit.evidence import Json, Wrong, accounts_at, decoded, value_of
from ledger.audit.merkle import EMPTY_ROOT, ProofWrong, Range, Tree, refuse_inconsistent, subtrees
from ledger.postings.chain import GENESIS


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint whose signature holds. `said_by` names it to people."""

    said_by: str
    size: int
    root: bytes
    accounts: SignedAccounts | None


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint that an auditor has kept: where it lies, and the note."""

    place: str
    note: str


@dataclass(frozen=True, slots=True)
class Proofs:
    """What comes with the entries of a bundle."""

    before: bytes
    """The hash of the entry before the first."""
    edge: Sequence[bytes]
    """The complete subtrees of the tree before the first."""
    consistency: Mapping[tuple[int, int], Sequence[bytes]]


def verifiers(keys: Iterable[str]) -> list[Verifier]:
    """Public keys. Raises Wrong."""
    try:
        return [read_verifier(key) for key in keys]
    except KeysRefused as refused:
        raise Wrong(str(refused)) from None


def signed(book: str, rows: Iterable[Mapping[str, Any]], trusted: Sequence[Verifier]) -> list[Signed]:
    """The checkpoints of a bundle: each signed by a trusted key, numbered, and none smaller than before."""
    found: list[Signed] = []
    for number, row in enumerate(rows, 1):
        one = _signed(f"checkpoint {row['number']}", book, row["note"], trusted)
        if row["number"] != number:
            raise Wrong(f"line {number}: number: it is checkpoint {row['number']}, not {number}")
        if (row["size"], row["root"]) != (one.size, one.root):
            raise Wrong(f"{one.said_by}: its note signs {one.size} entries and the root {one.root.hex()}")
        if found and one.size < found[-1].size:
            raise Wrong(f"{one.said_by}: size: {one.size} is less than before, {found[-1].size}")
        found.append(one)
    return found


def checked(book: str, kept: Sequence[Kept], trusted: Sequence[Verifier]) -> list[Signed]:
    """Checkpoints that an auditor has kept, by their sizes. Raises Wrong where one is not signed."""
    found = [_signed(one.place, book, one.note, trusted) for one in kept]
    return sorted(found, key=lambda one: one.size)


def _signed(place: str, book: str, note: str, trusted: Sequence[Verifier]) -> Signed:
    try:
        said, _ = verified(note, trusted)
        accounts = signed_accounts(said)
    except CheckpointWrong as wrong:
        raise Wrong(f"{place}: {wrong}") from None
    if not said.origin.endswith(origin("", book)):
        raise Wrong(f"{place}: it is of {said.origin}, not of book {book}")
    return Signed(place, said.size, said.root, accounts)


def refuse_beyond(found: Sequence[Signed], head: int) -> None:
    """Raises Wrong where more entries were signed than the book has."""
    for one in found:
        if one.size > head:
            raise Wrong(_taken_away(one, head))


def _taken_away(one: Signed, head: int) -> str:
    return f"{one.said_by} signed {one.size} entries, and the book has {head}: those after were taken away"


def refuse_other_accounts(found: Sequence[Signed], accounts: Sequence[Mapping[str, Json]]) -> None:
    """Raises Wrong where accounts are not as they stood when they were signed."""
    for one in found:
        if one.accounts and one.accounts != (now := accounts_at(accounts, one.accounts.at)):
            raise Wrong(
                f"accounts.jsonl: {one.said_by} signed {one.accounts}, and it is {now}: "
                "an account was changed, put in or taken away"
            )


def read_proofs(line: str) -> Proofs:
    """What comes with the entries. Raises Wrong."""
    try:
        said = decoded(line, ("before", "consistency"))
        paths = {(one["first"], one["second"]): _hashes(one["path"]) for one in said["consistency"]}
        return Proofs(bytes.fromhex(said["before"]["hash"]), _hashes(said["before"]["edge"]), paths)
    except (TypeError, KeyError, ValueError, AttributeError):
        raise Wrong("proofs.json: it does not hold what it should") from None
    except Wrong as wrong:
        raise Wrong(f"proofs.json: {wrong}") from None


def _hashes(texts: Sequence[Json]) -> list[bytes]:
    return [value_of("hash", "hash", text) for text in texts]


def beginning(proofs: Proofs, first: int) -> tuple[bytes, Tree]:
    """The hash before the first entry, and the tree so far. Raises Wrong."""
    if len(proofs.edge) != len(subtrees(Range(0, first - 1))) or bool(proofs.before) != (first > 1):
        raise Wrong(f"proofs.json: before: it is not a tree of {first - 1} entries")
    return proofs.before or GENESIS, Tree(first - 1, [*proofs.edge])


def refuse_untied(
    found: Sequence[Signed], roots: Mapping[int, bytes], first: int, last: int, proofs: Proofs
) -> None:
    """Raises Wrong unless each checkpoint signs these entries, or what they are proved to continue or begin."""
    good = 0
    for one in sorted(found, key=lambda one: one.size):
        if one.size in roots and first - 1 <= one.size <= last:
            if roots[one.size] != one.root:
                raise Wrong(_rewritten(one, roots[one.size], good))
        elif one.size:
            _refuse_unproved(one, roots[last], last, proofs)
        elif one.root != EMPTY_ROOT:
            raise Wrong(f"{one.said_by}: a tree without entries has another root")
        good = one.size


def _rewritten(one: Signed, root: bytes, good: int) -> str:
    since = f"entries {good + 1} to {one.size}" if good < one.size else f"the first {one.size} entries"
    return (
        f"{one.said_by} of {one.size} entries signed the root {one.root.hex()}, and it is {root.hex()}: "
        f"history was rewritten, {since} are not those that were signed"
    )


def _refuse_unproved(one: Signed, root: bytes, last: int, proofs: Proofs) -> None:
    smaller, larger = sorted(((one.size, one.root), (last, root)))
    path = proofs.consistency.get((smaller[0], larger[0]))
    if path is None:
        raise Wrong(f"proofs.json: {one.said_by} of {one.size} entries is tied to no entry here")
    try:
        refuse_inconsistent(smaller[0], larger[0], path, smaller[1], larger[1])
    except ProofWrong as wrong:
        raise Wrong(
            f"{one.said_by} of {one.size} entries is not that of the tree up to entry {last}: {wrong}: "
            f"history before entry {smaller[0] + 1} was rewritten"
        ) from None


def refuse_other_history(
    kept: Sequence[Signed],
    found: Sequence[Signed],
    roots: Mapping[int, bytes],
    first: int,
    last: int,
    head: int,
) -> None:
    """Raises Wrong unless what an auditor has kept is of the history that the bundle tells.

    Outside of its entries the bundle's own checkpoints tell of it, which are tied to the entries already.
    """
    refuse_beyond(kept, head)
    told, good = {one.size: one.root for one in found} | {0: EMPTY_ROOT}, 0
    for one in kept:
        root = roots[one.size] if first - 1 <= one.size <= last else told.get(one.size)
        if root is None:
            raise Wrong(
                f"{one.said_by} of {one.size} entries is unknown to the bundle: either it is not in the book any "
                f"more, or the bundle must reach from entry {min(first, one.size + 1)} to {max(last, one.size)}"
            )
        if root != one.root:
            raise Wrong(_rewritten(one, root, good))
        good = one.size
