"""Fault 3, continued: connections to PostgreSQL that fall silent for good, without an end and without an error."""

import asyncio
import time

from torture.books import at_rest
from torture.clients import BOOK, Load
from torture.fault import BehindProxy, Outcome, Place, outcome_of
from torture.processes import connected
from torture.proxy import Cut

LONGEST_SILENCE_SECONDS = 30
"""After so long at most the server has hung up and posts over another connection: its own limits are below it."""
LONGEST_HOLD_SECONDS = 15
"""After so long at most PostgreSQL has let go of the head that a silent connection holds."""
_TAKEN = "SELECT FROM heads WHERE book = %s FOR UPDATE"


class Silenced(BehindProxy):
    """All connections, or the one that commits, are silent for good; others that come are not."""

    name = "connections to PostgreSQL silent for good (no reset)"

    def __init__(self, place: Place) -> None:
        """Nothing is started yet."""
        super().__init__(place)
        self._load: Load | None = None
        self._turns = 0
        self._longest_hold = 0.0
        self._longest_silence = 0.0
        self._wrong: list[str] = []

    async def prepare(self) -> None:
        """A server behind the proxy, with a book, under load."""
        await super().prepare()
        self._load = Load([self.server.address], self._place.lots)
        self._load.start()

    async def disturb(self) -> None:
        """Silence: PostgreSQL lets go of the book, the server finds another connection, and the queue goes on."""
        assert self._load is not None
        await self._load.answered(20)
        where = (None, Cut.BEFORE_COMMIT, Cut.WHILE_COMMITTING)[self._turns % 3]
        self._turns += 1
        began = time.monotonic()
        self._proxy.silence(where)
        await asyncio.sleep(0.5)  # what was already answered has arrived
        freed = asyncio.create_task(asyncio.to_thread(self._take_head))
        answered = asyncio.create_task(self._load.answered(1))
        await asyncio.wait([answered], timeout=2 * self._place.pause_seconds)
        if not answered.done():
            self._proxy.cut_all()
        await asyncio.gather(answered, freed)
        self._longest_silence = max(self._longest_silence, time.monotonic() - began)
        await self._load.answered(50)

    def _take_head(self) -> None:
        """Waits for the head of the book as another program would, and lets go of it."""
        began = time.monotonic()
        with connected(self._place.url) as connection, connection.transaction():
            connection.execute(_TAKEN, [BOOK])
        self._longest_hold = max(self._longest_hold, time.monotonic() - began)

    async def check(self, tried: int) -> Outcome:
        """As after any fault; and nothing waited for longer than the limits."""
        assert self._load is not None
        told = await self._load.finish()
        await asyncio.to_thread(at_rest, self._place.url)
        if self._longest_hold > LONGEST_HOLD_SECONDS:
            self._wrong.append(f"PostgreSQL kept the head for {self._longest_hold:.1f} s")
        if self._longest_silence > LONGEST_SILENCE_SECONDS:
            self._wrong.append(f"the queue of the book stood still for {self._longest_silence:.1f} s")
        figure = (
            f"PostgreSQL let go of the head after at most {self._longest_hold:.1f} s, "
            f"the book's queue went on after at most {self._longest_silence:.1f} s"
        )
        return await asyncio.to_thread(outcome_of, self._place.url, told, tried, figure, wrong=self._wrong)
