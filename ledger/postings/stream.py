"""A stream of entries: read ahead as far as one batch, posted together, answered one by one in their order.

Three hands work at once: one reads, one posts, and whoever iterates takes the answers. Each waits for the next, so
that a caller that does not take its answers is soon not read from either.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from ledger.errors import Refusal
from ledger.postings.batch import MOST_ENTRIES, MOST_POSTINGS, Outcome, Request

Posting = Callable[[Sequence[Request]], Awaitable[list[Outcome]]]


@dataclass(frozen=True, slots=True)
class _End:
    """The stream is over, by itself or by a failure."""

    failed: Exception | None = None


_Read = Request | Refusal | _End


@dataclass(slots=True)
class _Hands:
    """What lies between the three."""

    read: asyncio.Queue[_Read] = field(default_factory=lambda: asyncio.Queue(MOST_ENTRIES))
    answered: asyncio.Queue[list[Outcome] | _End] = field(default_factory=lambda: asyncio.Queue(1))
    held: _Read | None = None

    async def take_all(self, requests: AsyncIterator[Request | Refusal]) -> None:
        """Reads until the end."""
        try:
            async for request in requests:
                await self.read.put(request)
        except Exception as failed:  # noqa: BLE001 - it is raised where the answers are taken
            await self.read.put(_End(failed))
        else:
            await self.read.put(_End())

    async def post_all(self, post: Posting) -> None:
        """Posts what has been read meanwhile, again and again."""
        while True:
            taken, end = await self._group()
            try:
                posted = iter(await post([one for one in taken if isinstance(one, Request)]) if taken else ())
            except Exception as failed:  # noqa: BLE001 - it is raised where the answers are taken
                await self.answered.put(_End(failed))
                return
            await self.answered.put([one if isinstance(one, Refusal) else next(posted) for one in taken])
            if end is not None:
                await self.answered.put(end)
                return

    async def _group(self) -> tuple[list[Request | Refusal], _End | None]:
        """All that waits, as far as one batch may hold it; at least one request, or the end."""
        taken: list[Request | Refusal] = []
        lines = 0
        following = self.held or await self.read.get()
        self.held = None
        while True:
            if isinstance(following, _End):
                return taken, following
            lines += following.command.posting_count if isinstance(following, Request) else 0
            if taken and (lines > MOST_POSTINGS or len(taken) == MOST_ENTRIES):
                self.held = following
                return taken, None
            taken.append(following)
            if self.read.empty():
                return taken, None
            following = self.read.get_nowait()


async def answers(requests: AsyncIterator[Request | Refusal], post: Posting) -> AsyncIterator[Outcome]:
    """The outcome of each request, in order; a request that is refused already is its own answer.

    Raises what reading or posting raises, once everything before it is answered.
    """
    hands = _Hands()
    tasks = [asyncio.create_task(hands.take_all(requests)), asyncio.create_task(hands.post_all(post))]
    try:
        while not isinstance(group := await hands.answered.get(), _End):
            for outcome in group:
                yield outcome
        if group.failed is not None:
            raise group.failed
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
