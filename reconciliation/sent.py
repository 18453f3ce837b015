"""One claim payment as the payer sent it, read back from the file that was kept."""

import asyncio
from contextlib import closing
from typing import IO

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.errors import FileDamaged
from reconciliation.files import Files
from reconciliation.remittance import ClaimPayment, RemittanceOpened, read
from reconciliation.store import Delivery
from reconciliation.turns import parts_in_turn


async def sent_again(
    database: AsyncEngine, files: Files, delivery: Delivery, position: int, line: int
) -> ClaimPayment:
    """The claim payment of a line, in the remittance at this position of a file.

    Raises FileKeyUnknown, or FileDamaged where the file cannot be read back or has no such line.
    """
    async with files.whole(database, delivery) as file:
        found = await asyncio.to_thread(_found, file, position, line)
    if found is None:
        told = f"the file has no claim payment {line} in its remittance {position}"
        raise FileDamaged(told, sha256=delivery.sha256.hex())
    return found


def _found(file: IO[bytes], position: int, line: int) -> ClaimPayment | None:
    """Reads as far as that claim payment, and no further."""
    index = 0
    with closing(parts_in_turn(file)) as taken:
        for event in read(taken):
            if isinstance(event, RemittanceOpened):
                index = event.index
            elif isinstance(event, ClaimPayment) and (index, event.line) == (position, line):
                return event
    return None
