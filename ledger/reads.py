"""Where reads are answered: by the database that is posted to, or by a replica that may be behind or away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import reading
from ledger.errors import DatabaseUnavailable, NumberBeyondHead, ReplicaBehind, ReplicaUnavailable


@dataclass(frozen=True, slots=True)
class Reads:
    """The database that reads go to. They take no lock, so that they wait for nobody who posts."""

    database: AsyncEngine
    is_replica: bool = False

    @asynccontextmanager
    async def view(self) -> AsyncIterator[AsyncConnection]:
        """One consistent view of the books. Raises DatabaseUnavailable, or ReplicaUnavailable for a replica."""
        try:
            async with reading(self.database) as connection:
                yield connection
        except DatabaseUnavailable as away:
            if not self.is_replica:
                raise
            raise ReplicaUnavailable("the replica that answers reads does not answer; try again") from away


def refuse_beyond(field: str, number: int, head: int, *, is_replica: bool) -> None:
    """Raises NumberBeyondHead for an entry that is not there, or ReplicaBehind where it may only be late."""
    if number <= head:
        return
    if is_replica:
        sentence = f"the replica that answers reads has got entry {head}, not yet {number}; try again"
        raise ReplicaBehind(sentence, field=field, number=number, head=head)
    raise NumberBeyondHead(f"the last entry is {head}, not {number}", field=field, number=number, head=head)
