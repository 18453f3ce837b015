"""The hash chain: each entry's hash covers the one before it and every column stored of it.

The form hashed is binary and unambiguous: a version byte, then each field as a four-byte big-endian length
and its bytes; an absent field is the length 0xFFFFFFFF alone. Numbers are eight bytes big-endian, dates are
`YYYY-MM-DD`, times are microseconds since 1970, texts are UTF-8. `ledger/audit/integrity.sql` computes the
same in SQL.
"""

import hashlib
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from ledger.accounts.account import Side
from ledger.postings.entry import Kind, PostedEntry

VERSION = b"\x01"
GENESIS = bytes(32)
"""The hash before the first entry of a book."""

_ABSENT = b"\xff\xff\xff\xff"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_length = struct.Struct(">I").pack
_number = struct.Struct(">q").pack


def _moment(value: datetime) -> bytes:
    since = value - _EPOCH
    return _number((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


_ENCODINGS: dict[type, Callable[[Any], bytes]] = {
    str: str.encode,
    Kind: str.encode,
    Side: str.encode,
    int: _number,
    bytes: bytes,
    UUID: lambda value: value.bytes,
    date: lambda value: value.isoformat().encode(),
    datetime: _moment,
}


def encoded(value: object) -> bytes:
    """One field's bytes; raises TypeError for a type that is never stored."""
    if type(value) not in _ENCODINGS:
        raise TypeError(f"{type(value).__name__} has no encoding")
    return _ENCODINGS[type(value)](value)


def joined(*values: object) -> bytes:
    """Fields one after the other, each behind its length."""
    parts: list[bytes] = []
    add = parts.append
    for value in values:
        if value is None:
            add(_ABSENT)
        else:
            content = _ENCODINGS.get(type(value), encoded)(value)
            add(_length(len(content)))
            add(content)
    return b"".join(parts)


def request_hash(stated: Mapping[str, str]) -> bytes:
    """SHA-256 of what a request says, field by field; a field that says nothing is left out.

    So the hash of a request stays the same when a later version knows more fields.
    """
    said = (part for item in stated.items() if item[1] for part in item)
    return hashlib.sha256(VERSION + joined(*said)).digest()


def entry_hash(previous: bytes, posted: PostedEntry) -> bytes:
    """SHA-256 over the hash before, the entry's columns and its postings' columns, in the tables' order."""
    lines = (value for line in posted.lines() for value in line)
    return hashlib.sha256(previous + VERSION + joined(*posted.columns(), *lines)).digest()
