"""What a bundle for auditors holds, line by line, and what is wrong with a line. Pure: no database, no files.

A line is canonical JSON: keys in order, no spaces, no other way to write the same. Amounts are whole minor units,
debit positive, in texts, since many readers of JSON hold no more than 53 bits. Hashes are hexadecimal, times have
six decimals and are UTC.
"""

import hashlib
import json
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from ledger.audit.merkle import leaf_hash
from ledger.money import LARGEST
from ledger.postings import chain

Json = Any
"""What json gives: texts, whole numbers, lists and dictionaries."""

ENTRY = {
    "book": "text",
    "number": "number",
    "id": "id",
    "kind": "text",
    "effective_date": "day",
    "recorded_at": "moment",
    "description": "text",
    "actor": "text",
    "idempotency_key": "text",
    "request_hash": "hash",
    "reverses": "number",
    "payer": "text",
    "provider": "text",
    "claim": "text",
    "session": "text",
    "plan": "text",
    "service_code": "text",
    "licence_type": "text",
    "state": "text",
    "remittance": "text",
    "pay_cycle": "text",
    "service_date": "day",
    "charge": "amount",
    "charge_currency": "text",
    "posting_count": "number",
    "hash": "hash",
}
"""The columns of an entry in the table's order, which is the order in which they are hashed; the hash is last."""
POSTING = {
    "line": "number",
    "effective_date": "day",
    "account": "text",
    "currency": "text",
    "amount": "amount",
    "item": "text",
}
"""The columns of a posting after its book and entry. All but the day, which is its entry's, are hashed."""
ACCOUNT = {
    "code": "text",
    "type": "text",
    "currency": "text",
    "normal_side": "text",
    "balance_limit": "text",
    "item_required": "flag",
    "opened_at": "moment",
    "opened_by": "text",
    "closed_at": "moment",
    "closed_by": "text",
    "close_reason": "text",
}
CHECKPOINT = {
    "number": "number",
    "size": "number",
    "root": "hash",
    "note": "text",
    "verifier": "text",
    "written_at": "moment",
    "written_by": "text",
    "reason": "text",
}
NULLABLE = frozenset(
    {
        *("reverses", "payer", "provider", "claim", "session", "plan", "service_code", "licence_type", "state"),
        *("remittance", "pay_cycle", "service_date", "charge", "charge_currency", "item"),
        *("balance_limit", "closed_at", "closed_by", "close_reason"),
    }
)
"""The columns that may be empty, in whichever table."""
TOTAL = {"account": "text", "currency": "text", "debits": "amount", "credits": "amount"}

_ENTRY_KEYS = tuple(sorted([*ENTRY, "postings"]))
_POSTING_KEYS = tuple(sorted(POSTING))
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_decode = json.JSONDecoder().decode
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)


class Wrong(Exception):
    """Something of a bundle is not as it must be; the message says where, and what is there."""


# --- writing ------------------------------------------------------------------------------------------


def _moment_text(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


_WRITTEN: dict[str, Callable[[Any], Json]] = {
    "text": lambda value: value,
    "number": lambda value: value,
    "flag": lambda value: value,
    "amount": str,
    "id": str,
    "day": date.isoformat,
    "moment": _moment_text,
    "hash": bytes.hex,
}


def canonical(value: Json) -> str:
    """JSON that has one spelling: keys in order, no spaces, nothing escaped that need not be."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def written(kinds: Mapping[str, str], row: Any) -> dict[str, Json]:
    """A row's columns as a bundle has them."""
    values = ((name, kind, getattr(row, name)) for name, kind in kinds.items())
    return {name: None if value is None else _WRITTEN[kind](value) for name, kind, value in values}


# --- reading ------------------------------------------------------------------------------------------


def _whole(value: Json) -> int:
    if type(value) is not int:
        raise ValueError("a whole number")
    return value


def _amount(value: Json) -> int:
    found = int(value) if type(value) is str else 0
    if str(found) != value or abs(found) > LARGEST:
        raise ValueError("whole minor units in a text")
    return found


def _id(value: Json) -> UUID:
    found = UUID(value)
    if str(found) != value:
        raise ValueError("a UUID")
    return found


def _day(value: Json) -> date:
    found = date.fromisoformat(value)
    if found.isoformat() != value:
        raise ValueError("a date")
    return found


def _moment(value: Json) -> datetime:
    if not _MOMENT.fullmatch(value):
        raise ValueError("a time with six decimals, in UTC")
    return datetime.fromisoformat(value)


def _hash(value: Json) -> bytes:
    found = bytes.fromhex(value)
    if len(found) != 32 or found.hex() != value:
        raise ValueError("32 bytes in hexadecimal")
    return found


def _text(value: Json) -> str:
    if type(value) is not str:
        raise ValueError("a text")
    return value


def _flag(value: Json) -> bool:
    if type(value) is not bool:
        raise ValueError("true or false")
    return value


_READ: dict[str, Callable[[Json], object]] = {
    "text": _text,
    "number": _whole,
    "flag": _flag,
    "amount": _amount,
    "id": _id,
    "day": _day,
    "moment": _moment,
    "hash": _hash,
}


def read(kinds: Mapping[str, str], said: Mapping[str, Json]) -> list[Any]:
    """The values of fields, in their order. Raises Wrong with the field's name."""
    return [
        None if said[name] is None and name in NULLABLE else value_of(name, kind, said[name])
        for name, kind in kinds.items()
    ]


def value_of(name: str, kind: str, value: Json) -> Any:
    """The value of one field. Raises Wrong with its name."""
    try:
        return _READ[kind](value)
    except (ValueError, TypeError, OverflowError) as unread:
        raise Wrong(f"{name}: {value!r:.60} cannot be read: {unread}") from None


def decoded(line: str, keys: tuple[str, ...]) -> dict[str, Json]:
    """An object with these keys, in its one spelling. Raises Wrong."""
    try:
        said = _decode(line)
    except ValueError as broken:
        raise Wrong(f"it is not JSON: {broken}") from None
    if type(said) is not dict:
        raise Wrong("it is not a JSON object")
    if tuple(said) != keys:
        differing = sorted({*said} ^ {*keys})
        raise Wrong(f"its keys are {'others: ' + ', '.join(differing) if differing else 'not in order'}")
    if _encode(said) != line:
        raise Wrong("it is not canonical JSON: the same is spelled otherwise")
    return said


def keys_of(kinds: Mapping[str, str]) -> tuple[str, ...]:
    """The keys of a line, in order."""
    return tuple(sorted(kinds))


# --- entries ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Before:
    """The entry before a block: what the next one's hash covers, and the time that it must not precede."""

    hash: bytes
    recorded_at: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that follow each other; the first of them is of the entry with this number."""

    book: str
    number: int
    before: Before
    lines: Sequence[str]


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


def before(line: str) -> Before:
    """What a block's last line hands on to the next block, whose first line is judged by it."""
    try:
        said = _decode(line)
        return Before(bytes.fromhex(said["hash"]), str(said["recorded_at"]))
    except (ValueError, TypeError, KeyError):
        return Before(b"")  # the line itself is wrong, and that comes first


def examined(block: Block, accounts: Accounts) -> Examined:
    """Everything that lines say of themselves and of each other."""
    found, preceding = Examined(), block.before
    for place, line in enumerate(block.lines):
        number = block.number + place
        try:
            preceding = _entry(found, line, block.book, number, preceding, accounts)
        except Wrong as wrong:
            found.wrong = place + 1, f"entry {number}: {wrong}"
            break
    return found


def _entry(found: Examined, line: str, book: str, number: int, preceding: Before, accounts: Accounts) -> Before:
    said = decoded(line, _ENTRY_KEYS)
    if said["book"] != book or said["number"] != number:
        raise Wrong(f"number: it is entry {said['number']} of book {said['book']}, not {number} of {book}")
    parts = [b"".join([preceding.hash, chain.VERSION])]
    for name, encode, is_nullable in _ENCODED:
        value = said[name]
        try:
            parts.append(_ABSENT if value is None and is_nullable else encode(value))
        except (ValueError, TypeError, AttributeError, OverflowError, struct.error):
            raise Wrong(f"{name}: {value!r:.60} is no {ENTRY[name]}") from None
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
    if type(postings) is not list or len(postings) != said["posting_count"] or len(postings) < 2:
        raise Wrong(f"posting_count: it is {said['posting_count']}, and other postings are there")
    for place, posting in enumerate(postings, 1):
        if type(posting) is not dict or tuple(posting) != _POSTING_KEYS:
            raise Wrong(f"posting {place}: its keys are others, or not in order")
        account, amount, currency, its_day, item, line = posting.values()
        if type(line) is not int or line != place:
            raise Wrong(f"posting {place}: line: it is {line!r:.60}")
        if its_day != day:
            raise Wrong(f"posting {place}: effective_date: {its_day!r:.60} is not its entry's, {day}")
        its_currency, encoded = accounts.get(account, _NOWHERE) if type(account) is str else _NOWHERE
        if its_currency != currency:
            raise Wrong(f"posting {place}: account: {account!r:.250} is not there in {currency!r:.60}")
        minor = value_of(f"posting {place}: amount", "amount", amount)
        sums[currency] = sums.get(currency, 0) + minor
        text = _ABSENT if item is None else _text_bytes(value_of(f"posting {place}: item", "text", item))
        parts += (_number_bytes(place), encoded, _number_bytes(minor), text)
        totals = found.totals.setdefault(account, [0, 0])
        totals[minor < 0] += abs(minor)
    _refuse_unbalanced(sums, postings)
    found.posting_count += len(postings)


def _refuse_unbalanced(sums: Mapping[str, int], postings: Sequence[Mapping[str, Json]]) -> None:
    for currency, difference in sums.items():
        if difference:
            raise Wrong(f"amount: debits less credits are {difference} minor units of {currency}, not 0")
    for place, posting in enumerate(postings, 1):
        if posting["amount"] == "0":
            raise Wrong(f"posting {place}: amount: it is 0")


# --- the hash of an entry, straight from its line, which spares making its values ----------------------

_ABSENT = chain.joined(None)
_NOWHERE = "", b""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LENGTHS = [length.to_bytes(4, "big") for length in range(4096)]
_number = struct.Struct(">Iq").pack


def _text_bytes(value: str) -> bytes:
    content = value.encode()
    length = len(content)
    return (_LENGTHS[length] if length < 4096 else length.to_bytes(4, "big")) + content


def _number_bytes(value: int) -> bytes:
    if type(value) is not int:
        raise ValueError(value)
    return _number(8, value)


def _moment_bytes(value: str) -> bytes:
    since = _moment(value) - _EPOCH
    return _number(8, (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


_ENCODERS: dict[str, Callable[[Json], bytes]] = {
    "text": _text_bytes,
    "number": _number_bytes,
    "amount": lambda value: _number(8, _amount(value)),
    "id": lambda value: _LENGTHS[16] + _id(value).bytes,
    "day": lambda value: _text_bytes(_day(value).isoformat()),
    "moment": _moment_bytes,
    "hash": lambda value: _LENGTHS[32] + _hash(value),
}
_ENCODED = [(name, _ENCODERS[kind], name in NULLABLE) for name, kind in ENTRY.items() if name != "hash"]
