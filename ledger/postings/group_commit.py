"""Group commit: what arrives while one batch commits becomes the next, in one database transaction a batch."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.errors import QueueFull
from ledger.postings import journal
from ledger.postings.batch import MOST_ENTRIES, MOST_POSTINGS, Outcome, Submission
from ledger.postings.memory import Memory

MOST_WAITING = 20_000
"""Requests that may wait for one book; beyond it callers are told to come back."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    submission: Submission
    outcomes: asyncio.Future[list[Outcome]]


class _Queue:
    """What waits for one book, and the task that posts it."""

    def __init__(self, database: AsyncEngine, book: str, posted: Callable[[int], None]) -> None:
        self._database = database
        self._book = book
        self._posted = posted
        self._waiting: deque[_Waiting] = deque()
        self._count = 0
        self._posting: asyncio.Task[None] | None = None
        self._memory = Memory()

    async def post(self, submission: Submission) -> list[Outcome]:
        if self._count + len(submission.requests) > MOST_WAITING:
            raise QueueFull(f"{self._count} requests wait for book {self._book}", book=self._book)
        waiting = _Waiting(submission, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._count += len(submission.requests)
        if self._posting is None:
            self._posting = asyncio.create_task(self._post_all())
        return await waiting.outcomes

    @property
    def count(self) -> int:
        return self._count

    @property
    def idle(self) -> bool:
        return self._posting is None

    async def drained(self) -> None:
        if self._posting is not None:
            await self._posting

    async def _post_all(self) -> None:
        while self._waiting:
            await self._post_batch(self._taken())
        self._posting = None

    def _taken(self) -> list[_Waiting]:
        taken = [self._waiting.popleft()]
        requests, lines = len(taken[0].submission.requests), taken[0].submission.postings
        while self._waiting:
            following = self._waiting[0].submission
            requests, lines = requests + len(following.requests), lines + following.postings
            if requests > MOST_ENTRIES or lines > MOST_POSTINGS:
                break
            taken.append(self._waiting.popleft())
        self._count -= sum(len(waiting.submission.requests) for waiting in taken)
        return taken

    async def _post_batch(self, taken: list[_Waiting]) -> None:
        try:
            async with journal.posting(self._database, self._book) as (connection, head):
                _, outcomes = await journal.post(
                    connection, head, [waiting.submission for waiting in taken], self._memory
                )
        except Exception as failed:  # noqa: BLE001 - each caller is told, whatever it was
            for waiting in taken:
                if not waiting.outcomes.done():
                    waiting.outcomes.set_exception(failed)
            return
        self._posted(sum(len(waiting.submission.requests) for waiting in taken))
        for waiting, answer in zip(taken, outcomes, strict=True):
            if not waiting.outcomes.done():
                waiting.outcomes.set_result(answer)


class GroupCommit:
    """Posts what callers submit, batch by batch, each book in an order of its own."""

    def __init__(self, database: AsyncEngine, posted: Callable[[int], None]) -> None:
        """Begins with no book; a queue is made for each on first use. `posted` is told the size of each batch."""
        self._database = database
        self._posted = posted
        self._queues: dict[str, _Queue] = {}

    async def post(self, book: str, submission: Submission) -> list[Outcome]:
        """The outcome of each request, once the batch that it fell into is committed.

        Raises BookNotFound, QueueFull, DatabaseUnavailable or OutcomeUnknown.
        """
        queue = self._queues.setdefault(book, _Queue(self._database, book, self._posted))
        try:
            return await queue.post(submission)
        finally:
            if queue.idle:
                self._queues.pop(book, None)

    def waiting(self) -> int:
        """How many requests wait, of all books."""
        return sum(queue.count for queue in self._queues.values())

    async def drained(self) -> None:
        """Returns when nothing waits any more."""
        for queue in [*self._queues.values()]:
            await queue.drained()
