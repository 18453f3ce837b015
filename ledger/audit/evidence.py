"""How a bundle for auditors writes what the books hold, and how that is read again. Pure: no database, no files.

A line is canonical JSON: keys in order, no spaces, no other way to write the same. Amounts are whole minor units,
debit positive, in texts, since many readers of JSON hold no more than 53 bits. Hashes are hexadecimal, times have
six decimals and are UTC.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from ledger.audit.checkpoint import SignedAccounts
from ledger.money import LARGEST

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

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode
_decode = json.JSONDecoder().raw_decode
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)


UNREAD = ValueError, TypeError, AttributeError, OverflowError
"""What is raised for a value that is not of its kind."""


class Wrong(Exception):
    """Something of a bundle is not as it must be; the message says where, and what is there."""


# --- writing ------------------------------------------------------------------------------------------


def moment_text(value: datetime) -> str:
    """A time with six decimals, in UTC: two of them compare as the times do."""
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


_WRITTEN: dict[str, Callable[[Any], Json]] = {
    "text": lambda value: value,
    "number": lambda value: value,
    "flag": lambda value: value,
    "amount": str,
    "id": str,
    "day": date.isoformat,
    "moment": moment_text,
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


def amount(value: Json) -> int:
    """Minor units. Raises ValueError."""
    found = int(value) if type(value) is str else 0
    if str(found) != value or abs(found) > LARGEST:
        raise ValueError("whole minor units in a text")
    return found


def entry_id(value: Json) -> bytes:
    """The bytes of an id in its one spelling. Raises ValueError or TypeError."""
    if not _ID.fullmatch(value):
        raise ValueError("a UUID")
    return bytes.fromhex(value.replace("-", ""))


def day(value: Json) -> date:
    """A date. Raises ValueError or TypeError."""
    found = date.fromisoformat(value)
    if found.isoformat() != value:
        raise ValueError("a date")
    return found


def moment(value: Json) -> datetime:
    """A time. Raises ValueError or TypeError."""
    if not _MOMENT.fullmatch(value):
        raise ValueError("a time with six decimals, in UTC")
    return datetime.fromisoformat(value)


def hash_bytes(value: Json) -> bytes:
    """32 bytes. Raises ValueError or TypeError."""
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
    "amount": amount,
    "id": entry_id,
    "day": day,
    "moment": moment,
    "hash": hash_bytes,
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
    except UNREAD as unread:
        raise Wrong(f"{name}: {value!r:.60} cannot be read: {unread}") from None


def decoded(line: str, keys: tuple[str, ...]) -> dict[str, Json]:
    """An object with these keys, in its one spelling. Raises Wrong."""
    try:
        said, _ = _decode(line)
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


def accounts_at(rows: Sequence[Mapping[str, Json]], at: str) -> SignedAccounts:
    """Accounts, given as a bundle writes them and in the order of their codes, as they stood at a time."""
    digest, count = hashlib.sha256(), 0
    for row in rows:
        if row["opened_at"] < at:
            is_closed = row["closed_at"] is not None and row["closed_at"] < at
            stood = {**row} if is_closed else {**row, "closed_at": None, "closed_by": None, "close_reason": None}
            digest.update(f"{canonical(stood)}\n".encode())
            count += 1
    return SignedAccounts(at, count, digest.digest())


def undecided(line: str) -> Json:
    """What a line says, whatever that is. Raises ValueError."""
    return _decode(line)[0]


def keys_of(kinds: Mapping[str, str]) -> tuple[str, ...]:
    """The keys of a line, in order."""
    return tuple(sorted(kinds))
