"""Entries to whoever watches a book: read once for all who are near its head; who is behind reads by itself."""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncGenerator

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts.store import existing_book
from ledger.errors import WatchEnded
from ledger.postings import messages, store
from ledger.reads import Reads, refuse_beyond
from ledger.schema import entries
from ledger.v1 import postings_pb2 as pb

_LOOK_MILLISECONDS = 50
"""How often the head of a book is looked at while somebody watches it, where few do."""
_MESSAGES_A_SECOND = 500
"""What all who watch a book get together at most: the more they are, the more entries one message gathers."""
_MOST_ENTRIES = 500
_MOST_POSTINGS = 2_000
"""What one message holds at most, but for an entry that has more postings by itself."""
_KEPT_POSTINGS = 20_000
"""Of the newest entries so many are kept for all watchers, in postings."""
_READERS = 2
"""How many watchers who are behind may read at the same time: posting needs connections too."""

# As far as one message reaches.
_REACH = text("""
    SELECT max(number) FROM (
        SELECT number, sum(posting_count) OVER (ORDER BY number) AS lines
        FROM entries WHERE book = :book AND number > :after ORDER BY number LIMIT :most_entries
    ) AS following
    WHERE lines <= :most_postings OR number = :after + 1
""")


class _Followed:
    """One book that is watched: where its head stands, and its newest entries as they go out to all."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.watchers = 0
        self.task: asyncio.Task[None] | None = None
        self.failed: Exception | None = None
        self._recent: list[pb.WatchEntriesResponse] = []
        self._kept = 0
        self._changed = asyncio.Event()

    def add(self, message: pb.WatchEntriesResponse) -> None:
        """The entries that follow those before."""
        self._recent.append(message)
        self.last = _last(message)
        self._kept += _weight(message)
        gone = 0
        while self._kept > _KEPT_POSTINGS and gone < len(self._recent) - 1:
            self._kept -= _weight(self._recent[gone])
            gone += 1
        del self._recent[:gone]
        self._wake()

    def fail(self, failed: Exception) -> None:
        """All who watch are told so."""
        self.failed = failed
        self._wake()

    def _wake(self) -> None:
        waiting, self._changed = self._changed, asyncio.Event()
        waiting.set()

    async def changed(self) -> None:
        """Waits until there is something new."""
        await self._changed.wait()

    def is_behind(self, number: int) -> bool:
        """Whether what follows a number is there and not kept here."""
        return number < self.last and not (self._recent and self._recent[0].entries[0].number <= number + 1)

    def following(self, number: int) -> pb.WatchEntriesResponse | None:
        """What follows a number that is not behind; None where nothing does yet."""
        place = bisect_left(self._recent, number + 1, key=_last)
        if place == len(self._recent):
            return None
        message = self._recent[place]
        missing = number + 1 - message.entries[0].number
        return message if missing == 0 else pb.WatchEntriesResponse(entries=message.entries[missing:])


class Feed:
    """What all watchers of a process share."""

    def __init__(self, reads: Reads) -> None:
        """Reads nothing until somebody watches."""
        self._reads = reads
        self._followed: dict[str, _Followed] = {}
        self._following: set[asyncio.Task[None]] = set()
        self._reading = asyncio.Semaphore(_READERS)
        self._ended = False

    async def after(self, book: str, number: int) -> AsyncGenerator[pb.WatchEntriesResponse]:
        """Every entry of a book after a number, in order and without a gap, for as long as somebody asks.

        Nothing of the database is held while the reader takes its time. Raises BookNotFound, NumberBeyondHead or
        ReplicaBehind first, WatchEnded at a stop, DatabaseUnavailable or ReplicaUnavailable.
        """
        self._refuse_ended()
        async with self._reads.view() as connection:
            head = (await existing_book(connection, book)).last_number
        refuse_beyond("after_number", number, head, is_replica=self._reads.is_replica)
        followed = self._joined(book, head)
        try:
            while True:
                self._refuse_ended()
                behind = followed.is_behind(number)
                message = await self._read(book, number) if behind else followed.following(number)
                if message is not None:
                    number = _last(message)
                    yield message
                elif followed.failed is not None:
                    raise followed.failed
                else:
                    await followed.changed()
        finally:
            self._leave(book, followed)

    async def end(self) -> None:
        """Ends every watch, and refuses new ones: the service stops. No connection is in use afterwards."""
        self._ended = True
        for followed in self._followed.values():
            followed.fail(WatchEnded("the service stops; watch again after the last number received"))
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)

    def _refuse_ended(self) -> None:
        if self._ended:
            raise WatchEnded("the service stops; watch again after the last number received")

    def _joined(self, book: str, head: int) -> _Followed:
        """The book as it is followed for all who watch it; the first to come starts that, from the head on."""
        followed = self._followed.get(book)
        if followed is None or followed.failed is not None:
            followed = self._followed[book] = _Followed(head)
            followed.task = asyncio.create_task(self._follow(book, followed))
            self._following.add(followed.task)
            followed.task.add_done_callback(self._following.discard)
        followed.watchers += 1
        return followed

    def _leave(self, book: str, followed: _Followed) -> None:
        followed.watchers -= 1
        if not followed.watchers and followed.task is not None:
            followed.task.cancel()
            if self._followed.get(book) is followed:
                del self._followed[book]

    async def _follow(self, book: str, followed: _Followed) -> None:
        """Reads what is posted to a book, once for all, until nobody watches it or the database is away."""
        try:
            while True:
                async with self._reads.view() as connection:
                    while message := await _range(connection, book, followed.last):
                        followed.add(message)
                await asyncio.sleep(max(_LOOK_MILLISECONDS / 1000, followed.watchers / _MESSAGES_A_SECOND))
        except Exception as failed:  # noqa: BLE001 - each watcher is told, whatever it was
            followed.fail(failed)

    async def _read(self, book: str, number: int) -> pb.WatchEntriesResponse | None:
        async with self._reading, self._reads.view() as connection:
            return await _range(connection, book, number)


async def _range(connection: AsyncConnection, book: str, after: int) -> pb.WatchEntriesResponse | None:
    """The entries that follow a number, as many as one message holds; None where there are none yet."""
    asked = {"book": book, "after": after, "most_entries": _MOST_ENTRIES, "most_postings": _MOST_POSTINGS}
    reach = (await connection.execute(_REACH, asked)).scalar_one()
    if reach is None:
        return None
    found = await store.find(connection, book, entries.c.number > after, entries.c.number <= reach)
    return pb.WatchEntriesResponse(entries=map(messages.entry, found))


def _weight(message: pb.WatchEntriesResponse) -> int:
    return sum(len(entry.postings) for entry in message.entries)


def _last(message: pb.WatchEntriesResponse) -> int:
    return message.entries[-1].number
