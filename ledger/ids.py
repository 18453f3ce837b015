"""Ids of journal entries."""

import hashlib
from datetime import datetime
from uuid import UUID

_VERSION_AND_VARIANT = 0x7 << 76 | 0x2 << 62
_DRAWN = ~(0xF << 76 | 0x3 << 62)
"""All bits but those of the version and the variant."""


def entry_id(recorded_at: datetime, previous_hash: bytes, number: int) -> UUID:
    """A version 7 UUID (RFC 9562): the recording time in milliseconds, then bits drawn from the chain.

    The bits come from the hash before and the entry's number, which together occur once: so the id needs
    no random source, and the decision that makes it stays a pure function.
    """
    milliseconds = int(recorded_at.timestamp() * 1000)
    drawn = hashlib.sha256(previous_hash + number.to_bytes(8, "big")).digest()
    bits = milliseconds << 80 | int.from_bytes(drawn[:10], "big")
    return UUID(int=bits & _DRAWN | _VERSION_AND_VARIANT)
