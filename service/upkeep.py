"""What is done behind the posting, by a server again and again and by `ledger maintain` at once.

Partitions are made ahead of the heads; recorded totals, the days of segments and the subtrees of proofs follow
them. Neither reads nor posting wait for it. Exceptions close once the books no longer bear them out, whoever has
posted what settles them.
"""

import asyncio
import time
from itertools import count

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.accounts import recorded
from ledger.audit import tree
from ledger.database import make_partitions
from ledger.errors import Refusal
from ledger.postings import segments
from reconciliation.closing import Sweep

log = structlog.get_logger()

_AGAIN_SECONDS = 2
_SHARE_OF_PARTS = 5
"""The largest segments are filled in parts, for a fifth of the pause at most: all at once they would keep one
processor from those who post, for as long as a million entries take to add up."""
_ROUNDS_TO_SWEEP = 12
"""Whoever has posted what settles an exception does not wait for it to close."""


async def once(database: AsyncEngine) -> tuple[int, int, int]:
    """All there is to do now: how many partitions were made, segments of totals filled, and subtrees kept."""
    partitions, totals = await make_partitions(database), await recorded.fill(database)
    await segments.fill(database)
    subtrees = await tree.fill(database)
    await Sweep().once(database)
    return partitions, totals, subtrees


async def follow(database: AsyncEngine, filling: recorded.Filling, seconds_of_parts: float) -> None:
    """What follows the heads; of segments that are filled in parts, parts for so long, and one at least."""
    await make_partitions(database)
    spent = 0.0
    while spent < seconds_of_parts:
        began = time.monotonic()
        step = await filling.step(database)
        if step is None:
            break
        if not step.whole:
            spent += time.monotonic() - began
    await segments.fill(database)
    await tree.fill(database)


async def for_ever(database: AsyncEngine, seconds: float) -> None:
    """The same again and again. A database that does not answer, or refuses, is asked again."""
    sweep, filling = Sweep(), recorded.Filling()
    for rounds in count():
        await asyncio.sleep(seconds)
        try:
            await follow(database, filling, seconds / _SHARE_OF_PARTS)
            if rounds % _ROUNDS_TO_SWEEP == 0:
                await sweep.once(database)
        except Refusal as refusal:
            log.warning("upkeep is not done", reason=refusal.reason)
        except DBAPIError as failed:
            log.warning("upkeep is not done", reason=type(failed.orig).__name__)
            await asyncio.sleep(_AGAIN_SECONDS)
