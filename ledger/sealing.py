"""How bytes are sealed for their place in the database: AES-256 in GCM (NIST SP 800-38D). Pure.

Remittance files name patients, and payees have bank accounts: whoever gets hold of the database or of a backup
must not be able to read them.
"""

import base64
import binascii
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
_KEY_BYTES = 32
_OPEN = ""


class KeysRefused(ValueError):
    """The keys cannot be used; the message says why and repeats none of them."""


class SealUnknown(Exception):
    """Sealed under a key that is not among ours; the message is its name."""


class SealBroken(Exception):
    """The bytes, or their place, are not those that were sealed."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """Bytes as they are kept. `key_name` is empty where they lie open."""

    content: bytes
    key_name: str
    nonce: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Sealing:
    """Keys by name. The first one seals, all of them open; without any, bytes are kept as they are."""

    keys: tuple[tuple[str, bytes], ...] = ()

    @property
    def key_name(self) -> str:
        """The name of the key that seals; empty where there is none."""
        return self.keys[0][0] if self.keys else _OPEN

    def seal(self, content: bytes, place: bytes, nonce: bytes) -> Sealed:
        """Seals bytes for a place. A nonce must never be used twice."""
        if not self.keys:
            return Sealed(content, _OPEN, b"")
        name, key = self.keys[0]
        return Sealed(AESGCM(key).encrypt(nonce, content, place), name, nonce)

    def open(self, sealed: Sealed, place: bytes) -> bytes:
        """The bytes that were sealed for the place. Raises SealUnknown or SealBroken."""
        if sealed.key_name == _OPEN:
            return sealed.content
        key = dict(self.keys).get(sealed.key_name)
        if key is None:
            raise SealUnknown(sealed.key_name)
        try:
            return AESGCM(key).decrypt(sealed.nonce, sealed.content, place)
        except InvalidTag:
            raise SealBroken from None


def read_keys(text: str) -> Sealing:
    """Keys written `name:base64, name:base64`, the one that seals first. Raises KeysRefused."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    keys = tuple(_key(number, part) for number, part in enumerate(parts, 1))
    if not keys:
        raise KeysRefused("no key is given")
    if len(dict(keys)) != len(keys):
        raise KeysRefused("two keys have the same name")
    return Sealing(keys)


def _key(number: int, text: str) -> tuple[str, bytes]:
    """One key. A refusal names it by its number: where something is missing, the name may be the secret."""
    name, _, encoded = text.partition(":")
    if not (name.isascii() and name.isidentifier() and len(name) <= 40):
        raise KeysRefused(
            f"key {number} is not written name:base64, its name in letters, digits and underscores, at most 40"
        )
    try:
        key = base64.b64decode(encoded.encode(), validate=True)
    except binascii.Error:
        raise KeysRefused(f"key {number} is not base64") from None
    if len(key) != _KEY_BYTES:
        raise KeysRefused(f"key {number} has {len(key)} bytes, not {_KEY_BYTES}")
    return name, key
