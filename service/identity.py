"""Who calls. There is no authentication yet, so the server listens on loopback only and believes the caller."""

from collections.abc import Sequence

HEADER = "ledger-actor"
"""Metadata key under which a caller names itself."""
UNNAMED = "local"
"""Who it is where the caller does not say."""


def actor(metadata: Sequence[tuple[str, str | bytes]] | None) -> str:
    """The name that goes into the books: at most 100 printable characters."""
    for key, value in metadata or ():
        if key == HEADER and isinstance(value, str) and value.strip():
            return "".join(letter for letter in value if letter.isprintable())[:100]
    return UNNAMED


def refuse_public(address: str) -> None:
    """Raises ValueError for an address that others than this machine could reach."""
    host = address.rpartition(":")[0].strip("[]")
    if host != "localhost" and not host.startswith("127.") and host != "::1":
        raise ValueError(
            f"{address} can be reached from other machines, and this version does not authenticate callers: "
            "listen on 127.0.0.1, ::1 or localhost"
        )
