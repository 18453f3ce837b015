"""Ids of journal entries."""

import hashlib
from datetime import datetime
from uuid import UUID


def entry_id(recorded_at: datetime, previous_hash: bytes, number: int) -> UUID:
    """A version 7 UUID (RFC 9562): the recording time in milliseconds, then bits drawn from the chain.

    The bits come from the hash before and the entry's number, which together occur once: so the id needs
    no random source, and the decision that makes it stays a pure function.
    """
    milliseconds = int(recorded_at.timestamp() * 1000)
    drawn = hashlib.sha256(previous_hash + number.to_bytes(8, "big")).digest()
    bits = bytearray(milliseconds.to_bytes(6, "big") + drawn[:10])
    bits[6] = 0x70 | (bits[6] & 0x0F)
    bits[8] = 0x80 | (bits[8] & 0x3F)
    return UUID(bytes=bytes(bits))
