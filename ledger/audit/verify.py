"""Judges a bundle: every hash, the chain, the numbers, balances, totals, signatures. No database and no settings.

The first thing that is wrong is told with its place. What the entries say is examined in other processes where the
bundle is large; memory holds a few blocks of lines, the accounts and the checkpoints.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain as following
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile
from zlib import error as ZlibError  # noqa: N812 - it is an exception

from ledger.audit import evidence, examining, tying
from ledger.audit.bundle import FORMAT, MANIFEST, MEMBERS, Advance
from ledger.audit.evidence import Json, Wrong, decoded
from ledger.audit.examining import Accounts, Before, Block, Examined
from ledger.audit.merkle import EMPTY_ROOT, Tree
from ledger.audit.tying import Kept, Signed
from ledger.postings.chain import GENESIS

ENTRIES = "entries.jsonl"
_PART = 1024 * 1024
"""Bytes that are read, and examined, together."""
_AHEAD = 16
"""So many blocks are handed out before the first of them is needed."""
_LONGEST_LINE = 16 * 1024 * 1024
_LARGEST_MANIFEST = 1024 * 1024
_WORTH_PROCESSES = 20_000
"""Entries, from which on other processes are started."""
_MANIFEST_KEYS = tuple(
    sorted(("format", "book", "name", "head", "from", "to", "entries", "postings", "debits", "members"))
)
_MEMBER_KEYS = "lines", "name", "sha256"


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found to be so."""

    book: str
    name: str
    first: int
    last: int
    postings: int
    signed: Sequence[Signed]
    """Checkpoints that tie to these entries, by their sizes."""
    pinned: bool
    """Whether they were signed by keys that whoever verifies has named."""

    @property
    def covered(self) -> int:
        """The last entry that a checkpoint covers."""
        return max((min(one.size, self.last) for one in self.signed), default=0)


@dataclass(slots=True)
class Reading:
    """A bundle that is being read."""

    zip: ZipFile
    manifest: Mapping[str, Json]

    @property
    def book(self) -> str:
        """Whose entries they are."""
        return str(self.manifest["book"])

    def texts(self, name: str) -> Iterator[bytes]:
        """The whole lines of a member, many at a time; at its end, whether they are those of the manifest.

        Raises Wrong.
        """
        [stated] = [one for one in self.manifest["members"] if one["name"] == name]
        digest, count, rest = hashlib.sha256(), 0, b""
        with self.zip.open(name) as file:
            while part := file.read(_PART):
                digest.update(part)
                whole, newline, after = part.rpartition(b"\n")
                if newline:
                    text = b"".join([rest, whole, newline])
                    yield text
                    count, rest = count + text.count(b"\n"), after
                else:
                    rest += part
                if len(rest) > _LONGEST_LINE:
                    raise Wrong(f"{name} line {count + 1}: it is longer than {_LONGEST_LINE} bytes")
        if rest:
            raise Wrong(f"{name} line {count + 1}: it has no end")
        if (digest.hexdigest(), count) != (stated["sha256"], stated["lines"]):
            raise Wrong(
                f"{name}: it has {count} lines and the SHA-256 {digest.hexdigest()}, not those of {MANIFEST}"
            )

    def lines(self, name: str) -> Iterator[str]:
        """The lines of a member. Raises Wrong."""
        lines = (line for text in self.texts(name) for line in text.split(b"\n")[:-1])
        for number, line in enumerate(lines, 1):
            try:
                yield line.decode()
            except UnicodeDecodeError:
                raise Wrong(f"{name} line {number}: it is not UTF-8") from None

    def rows(self, name: str, kinds: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """The values of a member's lines, by field. Raises Wrong."""
        for said in self.said(name, kinds):
            yield dict(zip(kinds, evidence.read(kinds, said), strict=True))

    def said(self, name: str, kinds: Mapping[str, str]) -> Iterator[dict[str, Json]]:
        """The same as the lines say it, once it is seen that they can be read. Raises Wrong."""
        for number, line in enumerate(self.lines(name), 1):
            with placed(f"{name} line {number}"):
                said = decoded(line, evidence.keys_of(kinds))
                evidence.read(kinds, said)
            yield said


@contextmanager
def placed(place: str) -> Iterator[None]:
    """Says of whatever is wrong in the block where it is."""
    try:
        yield
    except Wrong as wrong:
        raise Wrong(f"{place}: {wrong}") from None


def verify(
    path: Path,
    kept: Sequence[Kept] = (),
    keys: Sequence[str] = (),
    *,
    processes: int = 1,
    begun: Callable[[int], Advance] = lambda _: lambda _: None,
) -> Verified:
    """Judges a bundle. Raises Wrong with the first thing that is not as it must be.

    `kept` are checkpoints that whoever verifies has kept, `keys` the public keys that are trusted; without any,
    those that the bundle brings. `begun` is told how many entries there are, and gives what is told of each
    thousand.
    """
    try:
        with ZipFile(path) as file:
            return _verified(Reading(file, _manifest(file)), kept, keys, processes, begun)
    except BadZipFile as broken:
        raise Wrong(f"{path.name}: it is not a whole zip file: {broken}") from None
    except (ZlibError, EOFError, NotImplementedError, RuntimeError) as broken:
        raise Wrong(f"{path.name}: a member cannot be unpacked: {broken}") from None


def _manifest(file: ZipFile) -> Mapping[str, Json]:
    if file.namelist() != [*MEMBERS, MANIFEST]:
        raise Wrong(f"its members are {', '.join(file.namelist())[:500]}, not {', '.join([*MEMBERS, MANIFEST])}")
    with placed(MANIFEST):
        try:
            return _stated(file)
        except (AttributeError, TypeError, KeyError):
            raise Wrong("it does not hold what it should") from None


def _stated(file: ZipFile) -> Mapping[str, Json]:
    if file.getinfo(MANIFEST).file_size > _LARGEST_MANIFEST:
        raise Wrong("it is too large")
    said = decoded(file.read(MANIFEST).decode(errors="replace").rstrip("\n"), _MANIFEST_KEYS)
    if said["format"] != FORMAT:
        raise Wrong(f"format: it is {said['format']!r:.60}, and this reads {FORMAT!r}")
    numbers = [said[name] for name in ("from", "to", "head", "entries", "postings")]
    if any(type(number) is not int or number < 0 for number in numbers) or type(said["debits"]) is not dict:
        raise Wrong("from, to, head, entries, postings and debits are not the numbers that they should be")
    if [(one["name"], *sorted(one)) for one in said["members"]] != [(one, *_MEMBER_KEYS) for one in MEMBERS]:
        raise Wrong("members: they are others, or in another order")
    if not 1 <= said["from"] <= said["to"] + 1 <= said["head"] + 1:
        raise Wrong(f"from and to: there are no entries from {said['from']} to {said['to']} of {said['head']}")
    return said


def _verified(
    reading: Reading, kept: Sequence[Kept], keys: Sequence[str], processes: int, begun: Callable[[int], Advance]
) -> Verified:
    said, book = reading.manifest, reading.book
    first, last = said["from"], said["to"]
    listed = [*reading.said("accounts.jsonl", evidence.ACCOUNT)]
    currencies = {row["code"]: row["currency"] for row in listed}
    opening = _totals(reading, "opening.jsonl", currencies)
    with placed("keys.txt"):
        trusted = tying.verifiers(keys or [*reading.lines("keys.txt")])
    with placed("checkpoints.jsonl"):
        signed = tying.signed(book, reading.rows("checkpoints.jsonl", evidence.CHECKPOINT), trusted)
        tying.refuse_beyond(signed, said["head"])
    own = tying.checked(book, kept, trusted)
    tying.refuse_other_accounts([*signed, *own], listed)
    proofs = tying.read_proofs(" ".join(reading.lines("proofs.json")))
    before, tree = tying.beginning(proofs, first)
    sizes = {one.size for one in [*signed, *own]}
    sums = Sums(tree, {first - 1: tree.root()} | {0: EMPTY_ROOT}, sizes, opening)
    accounts = examining.hashed_accounts(currencies)
    with _examiners(accounts, processes if said["entries"] >= _WORTH_PROCESSES else 1) as examine:
        _entries(reading, sums, before, accounts, examine, begun(said["entries"]))
    _refuse_other_sums(said, sums)
    _refuse_other_totals("closing.jsonl", sums.totals, _totals(reading, "closing.jsonl", currencies))
    sums.roots[last] = sums.tree.root()
    tying.refuse_untied(signed, sums.roots, first, last, proofs)
    tying.refuse_other_history(own, signed, sums.roots, first, last, said["head"])
    return Verified(book, said["name"], first, last, sums.posting_count, signed, bool(keys))


def _totals(reading: Reading, name: str, currencies: Mapping[str, str]) -> dict[str, list[int]]:
    """Debits and credits by account, which together are equal in every currency. Raises Wrong."""
    found: dict[str, list[int]] = {}
    sums: dict[str, int] = {}
    for row in reading.rows(name, evidence.TOTAL):
        account, currency, debits, credits_ = row.values()
        if currencies.get(account) != currency or account in found:
            raise Wrong(f"{name}: {account} is not there in {currency}, or twice")
        found[account] = [debits, credits_]
        sums[currency] = sums.get(currency, 0) + debits - credits_
    for currency, difference in sums.items():
        if difference:
            raise Wrong(f"{name}: debits less credits are {difference} minor units of {currency}, not 0")
    return found


def _refuse_other_sums(said: Mapping[str, Json], sums: "Sums") -> None:
    """Raises Wrong unless the manifest says of all entries what they come to."""
    if sums.tree.size != said["to"]:
        raise Wrong(f"{ENTRIES}: it ends with entry {sums.tree.size}, not {said['to']}")
    found: dict[str, Json] = {"entries": sums.tree.size - said["from"] + 1, "postings": sums.posting_count}
    found["debits"] = {currency: str(total) for currency, total in sums.debits.items()}
    for name, value in found.items():
        if said[name] != value:
            raise Wrong(f"{MANIFEST}: {name}: it says {said[name]}, and the entries come to {value}")


def _refuse_other_totals(name: str, found: Mapping[str, list[int]], stated: Mapping[str, list[int]]) -> None:
    for account in sorted(found.keys() | stated.keys()):
        debits, credits_ = found.get(account, [0, 0])
        if stated.get(account, [0, 0]) != [debits, credits_]:
            there = "debits {} credits {}".format(*stated.get(account, [0, 0]))
            raise Wrong(f"{name}: {account}: it says {there}, and it comes to debits {debits} credits {credits_}")


@dataclass(slots=True)
class Sums:
    """What the entries come to so far."""

    tree: Tree
    roots: dict[int, bytes]
    """Of the trees whose sizes are asked for."""
    sizes: set[int]
    totals: dict[str, list[int]]
    posting_count: int = 0
    debits: dict[str, int] = field(default_factory=dict)

    def add(self, examined: Examined, accounts: Accounts) -> None:
        """What a block comes to."""
        for leaf in examined.leaves:
            self.tree.append(leaf)
            if self.tree.size in self.sizes:
                self.roots[self.tree.size] = self.tree.root()
        self.posting_count += examined.posting_count
        for account, (debits, credits_) in examined.totals.items():
            totals, currency = self.totals.setdefault(account, [0, 0]), accounts[account][0]
            totals[0] += debits
            totals[1] += credits_
            self.debits[currency] = self.debits.get(currency, 0) + debits


def _entries(
    reading: Reading, sums: Sums, before: bytes, accounts: Accounts, examine: "_Examine", advance: Advance
) -> None:
    """Examines all entries, in order, some blocks ahead. Raises Wrong with the first line that is."""
    first = reading.manifest["from"]
    waiting: deque[tuple[Block, Callable[[], Examined]]] = deque()
    for block in following(_blocks(reading, first, Before(before)), [None] * _AHEAD):
        if block is not None:
            waiting.append((block, examine(block)))
        if waiting and (block is None or len(waiting) == _AHEAD):
            done, result = waiting.popleft()
            found = result()
            _judge(done, found, first)
            sums.add(found, accounts)
            advance(done.text.count(b"\n"))


def _judge(block: Block, found: Examined, first: int) -> None:
    if found.wrong:
        line, sentence = found.wrong
        raise Wrong(f"{ENTRIES} line {block.number - first + line}: {sentence}")


def _blocks(reading: Reading, number: int, before: Before) -> Iterator[Block]:
    """The lines of all entries, so many at a time."""
    for text in reading.texts(ENTRIES):
        yield Block(reading.book, number, before, text)
        number += text.count(b"\n")
        before = examining.before(text[text.rfind(b"\n", 0, -1) + 1 : -1])


_Examine = Callable[[Block], Callable[[], Examined]]


@contextmanager
def _examiners(accounts: Accounts, processes: int) -> Iterator[_Examine]:
    """What examines a block, at once or in another process, and gives what is asked for its result."""
    if processes < 2:

        def here(block: Block) -> Callable[[], Examined]:
            found = examining.examined(block, accounts)
            return lambda: found

        yield here
        return
    # Forked, since each would import the whole program otherwise; at once, before anything starts a thread.
    with ProcessPoolExecutor(processes, get_context("fork"), _learn, (accounts,)) as pool:
        pool.submit(_examined, Block("", 1, Before(GENESIS), b"")).result()
        yield lambda block: pool.submit(_examined, block).result


_ACCOUNTS: Accounts = {}


def _learn(accounts: Accounts) -> None:
    """What a process that examines is told once."""
    global _ACCOUNTS
    _ACCOUNTS = accounts


def _examined(block: Block) -> Examined:
    return examining.examined(block, _ACCOUNTS)
