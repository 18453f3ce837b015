"""The Merkle tree is that of RFC 6962: known trees, and a naive reading of the definition for all others."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.audit.merkle import (
    EMPTY_ROOT,
    ProofWrong,
    Range,
    Tree,
    consistency_path,
    folded,
    inclusion_path,
    leaf_hash,
    node_hash,
    refuse_inconsistent,
    refuse_not_included,
    root_of,
    subtrees,
)

# The eight leaves with which projects of certificate transparency test their trees, and the roots over the first
# one, the first two, … of them.
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
FEW = settings(max_examples=60, deadline=None)
SIZES = st.integers(0, 70)


def naive(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = halved(len(leaves))
    return node_hash(naive(leaves[:k]), naive(leaves[k:]))


def halved(n: int) -> int:
    return max(2**power for power in range(n.bit_length()) if 2**power < n)


def naive_path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = halved(len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive(leaves[:k])]


def naive_proof(m: int, leaves: Sequence[bytes], *, whole: bool = True) -> list[bytes]:
    """SUBPROOF of section 2.1.2."""
    if m == len(leaves):
        return [] if whole else [naive(leaves)]
    k = halved(len(leaves))
    if m <= k:
        return [*naive_proof(m, leaves[:k], whole=whole), naive(leaves[k:])]
    return [*naive_proof(m - k, leaves[k:], whole=False), naive(leaves[:k])]


def some(count: int) -> list[bytes]:
    return [leaf_hash(bytes([number])) for number in range(count)]


def hashed(leaves: Sequence[bytes], ranges: Sequence[Range]) -> list[bytes]:
    return [naive(leaves[start:end]) for start, end in ranges]


@pytest.mark.parametrize("size", range(9))
def test_the_known_trees(size: int) -> None:
    assert root_of(map(leaf_hash, LEAVES[:size])).hex() == ROOTS[size]


@FEW
@given(SIZES)
def test_a_tree_that_grows_is_the_tree_of_the_definition(count: int) -> None:
    tree, leaves = Tree(), some(count)
    for number, leaf in enumerate(leaves, 1):
        for place, found in tree.append(leaf):
            assert found == naive(leaves[slice(*place.leaves)])
            assert place.leaves.end == number
        assert tree.root() == naive(leaves[:number]) == root_of(leaves[:number])
    assert tree.size == count


@FEW
@given(st.integers(0, 9), st.integers(0, 60))
def test_a_tree_that_grows_by_whole_subtrees_is_the_same(level: int, more: int) -> None:
    leaves = some(255)[: (1 << level) * 2 + more % (1 << level)]
    tree = Tree()
    for start in range(0, len(leaves) >> level << level, 1 << level):
        tree.append_subtree(level, naive(leaves[start : start + (1 << level)]))
    for leaf in leaves[tree.size :]:
        tree.append(leaf)
    assert tree.root() == naive(leaves)


@FEW
@given(st.data())
def test_ranges_are_made_of_whole_subtrees(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 200))
    for one in inclusion_path(data.draw(st.integers(0, size - 1)), size):
        places = subtrees(one)
        assert [n for place in places for n in range(*place.leaves)] == list(range(*one))
        assert folded([naive(some(200)[slice(*place.leaves)]) for place in places]) == naive(
            some(200)[slice(*one)]
        )


@FEW
@given(st.data())
def test_an_inclusion_proof_is_that_of_the_definition_and_proves(data: st.DataObject) -> None:
    leaves = some(data.draw(st.integers(1, 70)))
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = hashed(leaves, inclusion_path(index, len(leaves)))
    assert path == naive_path(index, leaves)
    refuse_not_included(leaves[index], index, len(leaves), path, naive(leaves))


@FEW
@given(st.data())
def test_a_consistency_proof_is_that_of_the_definition_and_proves(data: st.DataObject) -> None:
    leaves = some(data.draw(st.integers(1, 70)))
    first = data.draw(st.integers(1, len(leaves)))
    path = hashed(leaves, consistency_path(first, len(leaves)))
    assert path == naive_proof(first, leaves)
    refuse_inconsistent(first, len(leaves), path, naive(leaves[:first]), naive(leaves))


def test_the_tree_without_leaves_is_the_beginning_of_all() -> None:
    refuse_inconsistent(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
    refuse_inconsistent(0, 7, [], EMPTY_ROOT, naive(some(7)))


def changed(path: list[bytes]) -> list[list[bytes]]:
    """A path with one step another, one missing, one too many, or two exchanged."""
    return [
        *([*path[:n], bytes(32), *path[n + 1 :]] for n in range(len(path))),
        *([*path[:n], *path[n + 1 :]] for n in range(len(path))),
        [*path, bytes(32)],
        *([path[1], path[0], *path[2:]] for _ in path[1:2]),
    ]


def proves(prove: Callable[..., None], *said: object) -> bool:
    try:
        prove(*said)
    except ProofWrong:
        return False
    return True


@FEW
@given(st.data())
def test_what_is_changed_proves_nothing(data: st.DataObject) -> None:
    """Neither another path, nor another leaf, root, place or size."""
    leaves = some(data.draw(st.integers(2, 40)))
    size, root = len(leaves), naive(leaves)
    index = data.draw(st.integers(0, size - 1))
    path = naive_path(index, leaves)
    for other in changed(path):
        assert not proves(refuse_not_included, leaves[index], index, size, other, root)
    assert not proves(refuse_not_included, bytes(32), index, size, path, root)
    assert not proves(refuse_not_included, leaves[index], index, size, path, bytes(32))
    assert not proves(refuse_not_included, leaves[index], (index + 1) % size, size, path, root)
    assert not proves(refuse_not_included, leaves[index], size, size, path, root)
    first = data.draw(st.integers(1, size - 1))
    before, proof = naive(leaves[:first]), naive_proof(first, leaves)
    for other in changed(proof):
        assert not proves(refuse_inconsistent, first, size, other, before, root)
    assert not proves(refuse_inconsistent, first, size, proof, bytes(32), root)
    assert not proves(refuse_inconsistent, first, size, proof, before, bytes(32))
    assert not proves(refuse_inconsistent, size, first, proof, root, before)
    assert not proves(refuse_inconsistent, size, size, [], root, before)
    assert not proves(refuse_inconsistent, size, size, proof, root, root)
    assert not proves(refuse_inconsistent, 0, size, [], before, root)
