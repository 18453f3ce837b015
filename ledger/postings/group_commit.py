"""Group commit: what arrives while one batch commits becomes the next, in one database transaction a batch."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.connection import Asked
from ledger.database import recording
from ledger.errors import QueueFull
from ledger.postings import journal
from ledger.postings.batch import MOST_ENTRIES, MOST_POSTINGS, Batch, Outcome, Submission
from ledger.postings.journal import SupposedWrongly
from ledger.postings.memory import Memory

MOST_WAITING = 20_000
"""Requests that may wait for one book; beyond it callers are told to come back."""
MOST_OF_ONE = 10_000
"""Those of one caller, so that none fills the queue for the others."""
LINGER = timedelta(milliseconds=2)
"""How long a batch waits, under load, for as many requests as the one before had."""
FORESIGHT = 200
"""So many requests must wait for a batch to be decided while the one before is still recorded."""
UNDISTURBED = 8
"""So many batches must have begun where the one before ended for the next to suppose that it does."""
TOLD_ON = timedelta(seconds=10)
"""So long PostgreSQL's time is told on; the clocks of two machines part by less than a millisecond a second."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    submission: Submission
    outcomes: asyncio.Future[list[Outcome]]


@dataclass(slots=True)
class _Next:
    """What is posted next, and as far as it was foreseen, what it comes to."""

    taken: list[_Waiting]
    batch: Batch | None = None
    rows: Sequence[Asked] = ()

    def submissions(self) -> list[Submission]:
        return [waiting.submission for waiting in self.taken]


class _Turns:
    """What waits for one book: each caller's submissions in their order, the callers in turn."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, deque[_Waiting]] = OrderedDict()
        self._counts: dict[str, int] = {}
        self.count = 0

    def __bool__(self) -> bool:
        return bool(self._of)

    def count_of(self, caller: str) -> int:
        return self._counts.get(caller, 0)

    def add(self, caller: str, waiting: _Waiting) -> None:
        self._of.setdefault(caller, deque()).append(waiting)
        self._add(caller, len(waiting.submission.requests))

    def batch(self) -> list[_Waiting]:
        """As many submissions as one batch holds, one of each caller in turn, and at least one."""
        taken: list[_Waiting] = []
        requests = lines = 0
        while self._of:
            caller, mine = next(iter(self._of.items()))
            following = mine[0].submission
            requests, lines = requests + len(following.requests), lines + following.postings
            if taken and (requests > MOST_ENTRIES or lines > MOST_POSTINGS):
                break
            taken.append(mine.popleft())
            self._add(caller, -len(following.requests))
            self._of.move_to_end(caller)
            if not mine:
                del self._of[caller], self._counts[caller]
        return taken

    def _add(self, caller: str, count: int) -> None:
        self._counts[caller] = self.count_of(caller) + count
        self.count += count


class _Clock:
    """PostgreSQL's time, told on from when it was last heard."""

    def __init__(self) -> None:
        self._heard: tuple[datetime, timedelta] | None = None

    def hear(self, now: datetime) -> None:
        self._heard = now, _ticks()

    def now(self) -> datetime | None:
        """None where it was not heard for too long. It is never ahead, since what is heard has travelled."""
        if self._heard is None:
            return None
        heard, at = self._heard
        since = _ticks() - at
        return heard + since if since < TOLD_ON else None


def _ticks() -> timedelta:
    """What the event loop counts."""
    return timedelta(seconds=asyncio.get_running_loop().time())


class _Queue:
    """What waits for one book, and the task that posts it."""

    def __init__(
        self, database: AsyncEngine, book: str, posted: Callable[[int], None], forgotten: Callable[[str], object]
    ) -> None:
        self._database = database
        self._book = book
        self._posted = posted
        self._forgotten = forgotten
        self._waiting = _Turns()
        self._memory = Memory()
        self._clock = _Clock()
        self._undisturbed = 0
        self._posting: asyncio.Task[None] | None = None
        self._arrived = asyncio.Event()
        self._awaited = 0

    async def post(self, submission: Submission) -> list[Outcome]:
        caller = submission.requests[0].actor if submission.requests else ""
        self._refuse_overflow(caller, len(submission.requests))
        waiting = _Waiting(submission, asyncio.get_running_loop().create_future())
        self._waiting.add(caller, waiting)
        if self._waiting.count >= self._awaited:
            self._arrived.set()
        if self._posting is None:
            self._posting = asyncio.create_task(self._post_all())
        return await waiting.outcomes

    def _refuse_overflow(self, caller: str, count: int) -> None:
        waiting, of_one = self._waiting.count, self._waiting.count_of(caller)
        if waiting + count > MOST_WAITING or of_one + count > min(MOST_OF_ONE, MOST_WAITING):
            raise QueueFull(f"{waiting} requests wait for book {self._book}", book=self._book)

    @property
    def count(self) -> int:
        return self._waiting.count

    async def drained(self) -> None:
        if self._posting is not None:
            await self._posting

    async def _post_all(self) -> None:
        following = _Next(self._waiting.batch())
        while following.taken:
            posting, decided, memory = following, asyncio.Event(), self._memory
            recording = asyncio.create_task(self._post_batch(posting, decided))
            following = await self._ahead(decided, memory)
            await recording
            if not following.taken:
                await self._lingered(posting.taken)
                following = _Next(self._waiting.batch())
        self._posting = None
        if self._memory.head is None:  # nothing is remembered: there may be no such book
            self._forgotten(self._book)

    async def _ahead(self, decided: asyncio.Event, memory: Memory) -> _Next:
        """The next batch, decided while the one before is recorded, where enough waits for it."""
        await decided.wait()
        if self._waiting.count < FORESIGHT:
            return _Next([])
        following = _Next(self._waiting.batch())
        try:
            following.batch = await journal.foreseen(self._database, following.submissions(), memory)
            if following.batch is not None and following.batch.entries:
                following.rows = journal.written(following.batch)
        except Exception:  # noqa: BLE001 - it is decided again under the lock, and callers are told what fails there
            memory.forget()
            return _Next(following.taken)
        return following

    async def _lingered(self, before: list[_Waiting]) -> None:
        """Under load, lets those who were just answered ask again: a larger batch costs little more."""
        if len(before) == 1:
            return
        self._awaited = sum(len(waiting.submission.requests) for waiting in before)
        self._arrived.clear()
        if self._waiting.count < self._awaited:
            try:
                await asyncio.wait_for(self._arrived.wait(), LINGER.total_seconds())
            except TimeoutError:
                return

    async def _post_batch(self, posting: _Next, decided: asyncio.Event) -> None:
        try:
            answers = await self._recorded(posting, decided)
        except Exception as failed:  # noqa: BLE001 - each caller is told, whatever it was
            self._memory.forget()
            for waiting in posting.taken:
                if not waiting.outcomes.done():
                    waiting.outcomes.set_exception(failed)
            return
        finally:
            decided.set()
        self._posted(sum(len(waiting.submission.requests) for waiting in posting.taken))
        for waiting, answer in zip(posting.taken, answers, strict=True):
            if not waiting.outcomes.done():
                waiting.outcomes.set_result(answer)

    async def _recorded(self, posting: _Next, decided: asyncio.Event) -> list[list[Outcome]]:
        """Records it at once where nobody else seems to post to the book, or else once the head is held."""
        if self._undisturbed >= UNDISTURBED and self._supposed(posting):
            try:
                return await self._recorded_unheld(posting, decided)
            except SupposedWrongly:
                self._begin_anew()
                posting.batch, posting.rows = None, ()
        return await self._recorded_held(posting, decided)

    def _supposed(self, posting: _Next) -> bool:
        """Whether the batch is known before the head is, and if not foreseen supposes what it is."""
        if posting.batch is None and (now := self._clock.now()):
            posting.batch = journal.supposed(posting.submissions(), self._memory, now)
        return posting.batch is not None and bool(posting.batch.entries) and not posting.batch.opened

    def _begin_anew(self) -> None:
        """Remembers nothing of what it supposed, from which the next batch may already be foreseen."""
        self._undisturbed = 0
        self._memory.forget()
        self._memory = Memory()

    async def _recorded_unheld(self, posting: _Next, decided: asyncio.Event) -> list[list[Outcome]]:
        """Raises SupposedWrongly."""
        assert posting.batch
        async with recording(self._database) as connection:
            decided.set()  # now, and no earlier: the next batch is decided while PostgreSQL has this one
            self._clock.hear(await journal.record_unheld(connection, posting.batch, posting.rows))
        return posting.batch.outcomes

    async def _recorded_held(self, posting: _Next, decided: asyncio.Event) -> list[list[Outcome]]:
        """Records what was foreseen, if it starts where the head stands; or else what is decided now."""
        submissions = posting.submissions()
        async with recording(self._database) as connection:
            head, posted = await journal.held(connection, self._book, [] if posting.batch else submissions)
            left = posting.batch.start if posting.batch else self._memory.head
            self._undisturbed = self._undisturbed + 1 if left and left.is_at(head) and not posted else 0
            self._clock.hear(head.recorded_at)
            if posting.batch is not None and not posting.batch.start.is_at(head):
                posting.batch, posting.rows = None, ()
            if posting.batch is None:
                posting.batch = await journal.decided(connection, head, submissions, self._memory, posted)
            decided.set()
            await journal.record(connection, posting.batch, posting.rows, then_commit=True)
        return posting.batch.outcomes


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
        if book not in self._queues:
            self._queues[book] = _Queue(self._database, book, self._posted, self._queues.pop)
        return await self._queues[book].post(submission)

    def waiting(self) -> int:
        """How many requests wait, of all books."""
        return sum(queue.count for queue in self._queues.values())

    async def drained(self) -> None:
        """Returns when nothing waits any more."""
        for queue in [*self._queues.values()]:
            await queue.drained()
