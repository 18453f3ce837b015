"""Who calls: proven by a client certificate or a bearer token, or believed on loopback where that is allowed.

A proof gives a name. What the name may do is in the callers file, which the one who runs the service writes.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ledger.errors import CallerNotAuthenticated
from service.rights import Role
from service.settings import SettingRefused

HEADER = "ledger-actor"
"""Metadata key under which a caller names itself where it is believed."""
UNNAMED = "local"
"""Who it is where the caller does not say."""
EVERY_BOOK = "*"
_LONGEST_NAME = 100

Metadata = Sequence[tuple[str, str | bytes]]
Peer = Mapping[str, Iterable[bytes]]
"""What TLS knows of the other side (gRPC's auth context)."""


class _Grant(BaseModel):
    """One `[[caller]]` of the callers file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=_LONGEST_NAME)
    roles: frozenset[Role] = Field(min_length=1)
    books: frozenset[str] = Field(min_length=1)


class _Callers(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    caller: tuple[_Grant, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose name is known. `roles` are by book; EVERY_BOOK stands for all of them."""

    name: str
    roles: Mapping[str, frozenset[Role]]

    def roles_in(self, book: str) -> frozenset[Role]:
        """Its roles in a book."""
        return self.roles.get(book, frozenset()) | self.roles.get(EVERY_BOOK, frozenset())

    def roles_anywhere(self) -> frozenset[Role]:
        """Its roles in any book at all."""
        return frozenset().union(*self.roles.values())

    def books(self) -> frozenset[str] | None:
        """The books it may know of; None where that is all."""
        return None if EVERY_BOOK in self.roles else frozenset(self.roles)


class Proof(Protocol):
    """A way to know a caller."""

    async def name(self, metadata: Metadata, peer: Peer) -> str | None:
        """The caller's name, or None where it offers no proof of this kind.

        Raises CallerNotAuthenticated where it offers one that is wrong.
        """


class Callers(Protocol):
    """Who is known."""

    def get(self, name: str, /) -> Principal | None:
        """The principal of this name."""


class Gate:
    """Knows a caller by the first kind of proof that it offers."""

    def __init__(self, proofs: Sequence[Proof], callers: Callers) -> None:
        self._proofs = proofs
        self._callers = callers

    async def admit(self, metadata: Metadata, peer: Peer) -> Principal:
        """The caller. Raises CallerNotAuthenticated, in the same words whatever is wrong with it."""
        for proof in self._proofs:
            if (name := await proof.name(metadata, peer)) is not None:
                if principal := self._callers.get(name):
                    return principal
                break
        raise CallerNotAuthenticated("the caller did not prove who it is")


class OpenGate:
    """Believes everybody: for a machine of one's own, on loopback only."""

    async def admit(self, metadata: Metadata, peer: Peer) -> Principal:
        """The caller under the name it gives itself, in all roles."""
        return Principal(believed(metadata), {EVERY_BOOK: frozenset(Role)})


class Certificate:
    """A client certificate that our authority signed: its common name."""

    async def name(self, metadata: Metadata, peer: Peer) -> str | None:
        """The one common name of the certificate that TLS has verified."""
        names = list(peer.get("x509_common_name", ()))
        return names[0].decode("utf-8", "replace") if len(names) == 1 else None


def believed(metadata: Metadata) -> str:
    """The name that a believed caller gives itself: at most 100 printable characters."""
    for key, value in metadata:
        if key == HEADER and isinstance(value, str) and value.strip():
            return "".join(letter for letter in value if letter.isprintable())[:_LONGEST_NAME]
    return UNNAMED


def read_callers(path: Path) -> dict[str, Principal]:
    """The principals of a callers file, by name. Raises SettingRefused."""
    try:
        found = _Callers.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as failed:
        raise SettingRefused(f"LEDGER_CALLERS: {path}: {failed.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as failed:
        raise SettingRefused(f"LEDGER_CALLERS: {path} is no TOML: {failed}") from None
    except ValidationError as refused:
        raise SettingRefused(f"LEDGER_CALLERS: {path}: {'; '.join(map(_sentence, _errors(refused)))}") from None
    roles: dict[str, dict[str, frozenset[Role]]] = {}
    for grant in found.caller:
        of_caller = roles.setdefault(grant.name, {})
        for book in grant.books:
            of_caller[book] = of_caller.get(book, frozenset()) | grant.roles
    return {name: Principal(name, by_book) for name, by_book in roles.items()}


def _errors(refused: ValidationError) -> list[Any]:
    return refused.errors(include_input=False, include_url=False)


def _sentence(error: Any) -> str:
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}"


def is_public(address: str) -> bool:
    """Whether others than this machine could reach an address."""
    host = address.rpartition(":")[0].strip("[]")
    return host != "localhost" and not host.startswith("127.") and host != "::1"
