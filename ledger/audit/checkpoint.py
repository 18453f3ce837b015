"""A checkpoint: how many entries a book had, and the root over them, signed. Pure.

It is written as C2SP has it (tlog-checkpoint, signed-note):

    ledger.example/books/main       the origin: which book of which company
    1204                            so many entries
    CsUYapGG…                       the root of the tree over their hashes, base64

    accounts 2026-… 41 fYk2…        an extension line: so many accounts at a time, and the SHA-256 over them

    — ledger.example/books/main Az3grl…

Keys are Ed25519. A key of the service signs for every book under a name that ends with the book's, so that a
signature for one book is none for another.
"""

import base64
import binascii
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.audit.merkle import HASH_BYTES

_ED25519 = b"\x01"
_ACCOUNTS = "accounts"
_KEY_BYTES = 32
_ID_BYTES = 4
_LONGEST_NAME = 100
_MOST_SIGNATURES = 16
_LONGEST_NOTE = 64 * 1024


class KeysRefused(ValueError):
    """The signing keys cannot be used; the message says why and repeats none of them."""


class CheckpointWrong(Exception):
    """Not a checkpoint, or one that no trusted key has signed."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is signed. `origin` names the book; `more` are extension lines, of which this version writes one."""

    origin: str
    size: int
    root: bytes
    more: tuple[str, ...] = ()

    def text(self) -> str:
        """The lines that the signature covers."""
        lines = self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.more
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class SignedAccounts:
    """So many accounts were open, or closed, at a time, and the SHA-256 over how they stood then."""

    at: str
    count: int
    digest: bytes

    def __str__(self) -> str:
        """The extension line."""
        return f"{_ACCOUNTS} {self.at} {self.count} {base64.b64encode(self.digest).decode()}"


def signed_accounts(said: Checkpoint) -> SignedAccounts | None:
    """What a checkpoint says of accounts; None where it says nothing. Raises CheckpointWrong."""
    for line in said.more:
        name, *rest = line.split(" ")
        if name == _ACCOUNTS:
            at, count, encoded = rest if len(rest) == 3 else ("", "", "")
            if not (count.isascii() and count.isdigit() and len(_decoded(encoded)) == HASH_BYTES):
                raise CheckpointWrong(f"its line of accounts cannot be read: {line[:60]!r}")
            return SignedAccounts(at, int(count), _decoded(encoded))
    return None


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key by the name under which it signs; its text is C2SP's verifier key."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """What tells keys of one name apart."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        """`name+id+base64`, as an auditor keeps it."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line of a note."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        """The line as it stands in the note."""
        return f"— {self.name} {base64.b64encode(self.key_id + self.signature).decode()}"


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """A private key of the service. It never leaves the process."""

    name: str
    private: Ed25519PrivateKey

    def verifier(self, book: str) -> Verifier:
        """The public key under the name that it has for a book."""
        return Verifier(origin(self.name, book), self.private.public_key().public_bytes_raw())

    def signed(self, book: str, size: int, root: bytes, accounts: SignedAccounts | None = None) -> str:
        """The note that says and signs how many entries a book has, the root over them, and its accounts."""
        verifier = self.verifier(book)
        text = Checkpoint(verifier.name, size, root, (str(accounts),) if accounts else ()).text()
        signature = Signature(verifier.name, verifier.key_id, self.private.sign(text.encode()))
        return f"{text}\n{signature}\n"


@dataclass(frozen=True, slots=True)
class Signing:
    """The keys that the service was given: the first one signs, all of them are told to who asks for them."""

    keys: tuple[SigningKey, ...] = ()

    def verifiers(self, book: str) -> list[Verifier]:
        """The public keys, that which signs first."""
        return [key.verifier(book) for key in self.keys]


NO_KEY = Signing()
"""No checkpoint is signed."""


def origin(name: str, book: str) -> str:
    """What a key of this name signs a book's checkpoints as."""
    return f"{name}/{book}"


def read_signing_keys(text: str) -> Signing:
    """Keys written `name:base64, name:base64`, the one that signs first. Raises KeysRefused."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    keys = tuple(_signing_key(number, part) for number, part in enumerate(parts, 1))
    if not keys:
        raise KeysRefused("no key is given")
    if len({str(key.verifier("")) for key in keys}) != len(keys):
        raise KeysRefused("a key is given twice")
    return Signing(keys)


def _signing_key(number: int, text: str) -> SigningKey:
    """One key. A refusal names it by its number: where something is missing, the name may be the secret."""
    name, separator, encoded = text.rpartition(":")
    if not (separator and _is_name(name, _LONGEST_NAME)):
        raise KeysRefused(
            f"key {number} is not written name:base64, its name printable, without spaces and plus signs, "
            f"at most {_LONGEST_NAME} characters"
        )
    try:
        key = base64.b64decode(encoded.encode(), validate=True)
    except binascii.Error:
        raise KeysRefused(f"key {number} is not base64") from None
    if len(key) != _KEY_BYTES:
        raise KeysRefused(f"key {number} has {len(key)} bytes, not {_KEY_BYTES}")
    return SigningKey(name, Ed25519PrivateKey.from_private_bytes(key))


def read_verifier(text: str) -> Verifier:
    """A verifier key written `name+id+base64`. Raises KeysRefused."""
    name, _, rest = text.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    public = _decoded(encoded)
    if not _is_name(name) or public[:1] != _ED25519 or len(public) != 1 + _KEY_BYTES:
        raise KeysRefused("not a verifier key of Ed25519, written name+id+base64")
    found = Verifier(name, public[1:])
    if found.key_id.hex() != key_id:
        raise KeysRefused(f"the verifier key of {name} has the id {found.key_id.hex()}, not {key_id[:20]}")
    return found


def read_note(note: str) -> tuple[Checkpoint, tuple[Signature, ...]]:
    """What a note says, and who signed it; no signature is checked yet. Raises CheckpointWrong."""
    if len(note) > _LONGEST_NOTE or any(char < " " and char != "\n" for char in note):
        raise CheckpointWrong("it is too long for a checkpoint, or holds control characters")
    text, separator, below = note.rpartition("\n\n")
    lines = text.split("\n")
    if not separator or len(lines) < 3 or not all(lines) or not below.endswith("\n"):
        raise CheckpointWrong("it has no origin, size, root, empty line and signature")
    its_origin, size, root, *more = lines
    if not (size.isascii() and size.isdigit() and len(size) < 19 and str(int(size)) == size):
        raise CheckpointWrong(f"its size is not a number: {size[:20]!r}")
    if len(_decoded(root)) != HASH_BYTES:
        raise CheckpointWrong("its root is not 32 bytes in base64")
    signatures = below[:-1].split("\n")
    if len(signatures) > _MOST_SIGNATURES:
        raise CheckpointWrong(f"it has more than {_MOST_SIGNATURES} signatures")
    return Checkpoint(its_origin, int(size), _decoded(root), tuple(more)), tuple(map(_signature, signatures))


def _signature(line: str) -> Signature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    found = _decoded(encoded)
    if dash != "—" or not _is_name(name, longest=_LONGEST_NOTE) or len(found) <= _ID_BYTES:
        raise CheckpointWrong(f"not the line of a signature: {line[:60]!r}")
    return Signature(name, found[:_ID_BYTES], found[_ID_BYTES:])


def verified(note: str, trusted: Collection[Verifier]) -> tuple[Checkpoint, list[Verifier]]:
    """What a note says, once a trusted key has signed it, and which those are.

    Signatures of others are passed over. Raises CheckpointWrong where none is left, or one is broken.
    """
    said, signatures = read_note(note)
    known = {(verifier.name, verifier.key_id): verifier for verifier in trusted}
    found = []
    for signature in signatures:
        if verifier := known.get((signature.name, signature.key_id)):
            _refuse_broken(said, signature, verifier)
            found.append(verifier)
    if not found:
        raise CheckpointWrong(f"it is signed by {_named(signatures)}, and by no key that is trusted")
    if said.origin not in {verifier.name for verifier in found}:
        raise CheckpointWrong(f"its origin is {said.origin}, which is not what {_named(signatures)} signs")
    return said, found


def _refuse_broken(said: Checkpoint, signature: Signature, verifier: Verifier) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(verifier.public).verify(signature.signature, said.text().encode())
    except InvalidSignature:
        name = f"{signature.name}+{signature.key_id.hex()}"
        raise CheckpointWrong(f"the signature of {name} is not one of this text") from None


def _named(signatures: Sequence[Signature]) -> str:
    return ", ".join(f"{one.name}+{one.key_id.hex()}" for one in signatures)


def _is_name(name: str, longest: int = _LONGEST_NAME + 41) -> bool:
    """Whether a key may have this name. Behind a service's own there may stand a slash and a book."""
    return bool(name) and len(name) <= longest and name.isprintable() and not {*name} & {" ", "+", ","}


def _decoded(text: str) -> bytes:
    """The bytes behind base64 as it is written canonically; none for anything else."""
    try:
        found = base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return b""
    return found if base64.b64encode(found).decode() == text else b""
