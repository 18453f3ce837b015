"""Examines entries of a bundle: each line by itself, against the one before, and what they add up to. Pure."""

import hashlib
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from ledger.audit import evidence
from ledger.audit.evidence import ENTRY, NULLABLE, POSTING, Json, Wrong, amount, decoded, value_of
from ledger.audit.merkle import leaf_hash
from ledger.postings import chain
from ledger.postings.entry import MOST_POSTINGS

_ENTRY_KEYS = tuple(sorted([*ENTRY, "postings"]))
_POSTING_KEYS = tuple(sorted(POSTING))


@dataclass(frozen=True, slots=True)
class Before:
    """The entry before a block: what the next one's hash covers, and the time that it must not precede."""

    hash: bytes
    recorded_at: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that follow each other, whole ones; the first of them is of the entry with this number."""

    book: str
    number: int
    before: Before
    text: bytes


@dataclass(slots=True)
class Examined:
    """What a block comes to. `wrong` is the first thing that is wrong, and where: its line, counted from 1."""

    leaves: list[bytes] = field(default_factory=list)
    totals: dict[str, list[int]] = field(default_factory=dict)
    """Debits and credits by account."""
    posting_count: int = 0
    wrong: tuple[int, str] | None = None


Accounts = Mapping[str, tuple[str, bytes]]
"""Accounts by code: the currency of each, and both as they are hashed."""


def hashed_accounts(currencies: Mapping[str, str]) -> Accounts:
    """Accounts as lines are examined with: what every posting names is encoded once."""
    return {code: (currency, chain.joined(code, currency)) for code, currency in currencies.items()}


def before(line: bytes) -> Before:
    """What a block's last line hands on to the next block, whose first line is judged by it."""
    try:
        said = evidence.undecided(line.decode())
        return Before(bytes.fromhex(said["hash"]), str(said["recorded_at"]))
    except (ValueError, TypeError, KeyError):
        return Before(b"")  # the line itself is wrong, and that comes first


def examined(block: Block, accounts: Accounts) -> Examined:
    """Everything that lines say of themselves and of each other."""
    found, preceding = Examined(), block.before
    for place, line in enumerate(block.text.split(b"\n")[:-1]):
        number = block.number + place
        try:
            preceding = _entry(found, line.decode(), block.book, number, preceding, accounts)
        except (Wrong, UnicodeDecodeError) as wrong:
            found.wrong = place + 1, f"entry {number}: {wrong}"
            break
    return found


def _entry(found: Examined, line: str, book: str, number: int, preceding: Before, accounts: Accounts) -> Before:
    said = decoded(line, _ENTRY_KEYS)
    if said["book"] != book or said["number"] != number:
        raise Wrong(f"number: it is entry {said['number']} of book {said['book']}, not {number} of {book}")
    parts = [preceding.hash, chain.VERSION, *_hashed_columns(said)]
    _add_postings(found, parts, said, accounts)
    if said["reverses"] is not None and not 0 < said["reverses"] < number:
        raise Wrong(f"reverses: entry {said['reverses']} is not before it")
    computed, stated = hashlib.sha256(b"".join(parts)).digest(), value_of("hash", "hash", said["hash"])
    if computed != stated:
        raise Wrong(f"hash: its columns and the hash before give {computed.hex()}, and it bears {stated.hex()}")
    if said["recorded_at"] < preceding.recorded_at:
        raise Wrong(
            f"recorded_at: {said['recorded_at']} is before that of the entry before, {preceding.recorded_at}"
        )
    found.leaves.append(leaf_hash(stated))
    return Before(stated, said["recorded_at"])


def _add_postings(found: Examined, parts: list[bytes], said: Mapping[str, Json], accounts: Accounts) -> None:
    """Adds what is hashed of the postings, and their totals. Raises Wrong where they do not make an entry."""
    postings, day, sums = said["postings"], said["effective_date"], dict[str, int]()
    if (
        type(postings) is not list
        or len(postings) != said["posting_count"]
        or not 2 <= len(postings) <= MOST_POSTINGS
    ):
        raise Wrong(f"posting_count: it is {said['posting_count']}, and other postings are there")
    for place, posting in enumerate(postings, 1):
        if type(posting) is not dict or tuple(posting) != _POSTING_KEYS:
            raise Wrong(f"posting {place}: its keys are others, or not in order")
        account, sum_, currency, its_day, item, line = posting.values()
        if type(line) is not int or line != place:
            raise Wrong(f"posting {place}: line: it is {line!r:.60}")
        if its_day != day:
            raise Wrong(f"posting {place}: effective_date: {its_day!r:.60} is not its entry's, {day}")
        its_currency, encoded = accounts.get(account, _NOWHERE) if type(account) is str else _NOWHERE
        if its_currency != currency:
            raise Wrong(f"posting {place}: account: {account!r:.250} is not there in {currency!r:.60}")
        try:
            minor, in_bytes = _amount_and_bytes(sum_)
            parts += (_PLACES[place], encoded, in_bytes, _optional_text(item))
        except _UNREAD:
            raise Wrong(
                f"posting {place}: amount or item: {sum_!r:.60} and {item!r:.120} cannot be read"
            ) from None
        sums[currency] = sums.get(currency, 0) + minor
        totals = found.totals.setdefault(account, [0, 0])
        totals[minor < 0] += abs(minor)
    for currency, difference in sums.items():
        if difference:
            raise Wrong(f"amount: debits less credits are {difference} minor units of {currency}, not 0")
    found.posting_count += len(postings)


# --- the hash of an entry, straight from its line, which spares making its values ----------------------
# What is often the same, such as a payer or a day, is encoded once and remembered.

_ABSENT = chain.joined(None)
_NOWHERE = "", b""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LENGTHS = [length.to_bytes(4, "big") for length in range(4096)]
_UNREAD = *evidence.UNREAD, struct.error
_number = struct.Struct(">Iq").pack
_remembered = lru_cache(maxsize=50_000, typed=True)


def _text_bytes(value: str) -> bytes:
    content = value.encode()
    length = len(content)
    return (_LENGTHS[length] if length < 4096 else length.to_bytes(4, "big")) + content


def _number_bytes(value: int) -> bytes:
    if type(value) is not int:
        raise ValueError(value)
    return _number(8, value)


def _moment_bytes(value: str) -> bytes:
    since = evidence.moment(value) - _EPOCH
    return _number(8, (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


_PLACES = [_number_bytes(place) for place in range(MOST_POSTINGS + 1)]


@_remembered
def _amount_and_bytes(value: str) -> tuple[int, bytes]:
    minor = amount(value)
    if not minor:
        raise ValueError("an amount of a posting is not 0")
    return minor, _number(8, minor)


_ENCODERS: dict[str, Callable[[Json], bytes]] = {
    "text": _text_bytes,
    "number": _number_bytes,
    "amount": lambda value: _number(8, amount(value)),
    "id": lambda value: _LENGTHS[16] + evidence.entry_id(value),
    "day": lambda value: _text_bytes(evidence.day(value).isoformat()),
    "moment": _moment_bytes,
    "hash": lambda value: _LENGTHS[32] + evidence.hash_bytes(value),
}
_SELDOM_THE_SAME = {"number", "id", "recorded_at", "idempotency_key", "request_hash"}


def _or_absent(encode: Callable[[Json], bytes]) -> Callable[[Json], bytes]:
    return lambda value: _ABSENT if value is None else encode(value)


def _encoder(name: str, kind: str) -> Callable[[Json], bytes]:
    encode = _or_absent(_ENCODERS[kind]) if name in NULLABLE else _ENCODERS[kind]
    return encode if name in _SELDOM_THE_SAME else _remembered(encode)


_optional_text = _encoder("item", "text")
_ENCODED = [(name, _encoder(name, kind)) for name, kind in ENTRY.items() if name != "hash"]


def _hashed_columns(said: Mapping[str, Json]) -> list[bytes]:
    """The columns of an entry as they are hashed. Raises Wrong with the name of one that cannot be."""
    try:
        return [encode(said[name]) for name, encode in _ENCODED]
    except _UNREAD:
        name, value = next((name, said[name]) for name, encode in _ENCODED if not _is_readable(encode, said[name]))
        raise Wrong(f"{name}: {value!r:.60} is no {ENTRY[name]}") from None


def _is_readable(encode: Callable[[Json], bytes], value: Json) -> bool:
    try:
        encode(value)
    except _UNREAD:
        return False
    return True
