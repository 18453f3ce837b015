"""Faults 1 and 2: the server is killed, and the postmaster of its PostgreSQL is killed."""

import asyncio
import time

from torture.fault import Outcome, Place, UnderLoad, outcome_of


class ServerKilled(UnderLoad):
    """The server process gets SIGKILL at a random moment of its work, and is started again."""

    name = "server killed (`kill -9`)"

    async def disturb(self) -> None:
        """Dies in mid-work, and comes back."""
        await self._load.answered(1)
        await asyncio.sleep(self._place.lots.random() * 0.8)
        await asyncio.to_thread(self._server.kill)
        await asyncio.to_thread(self._server.start)

    async def check(self, tried: int) -> Outcome:
        """All that was asked is answered in the end, and the books hold that and nothing else."""
        await self._load.answered(1)
        told = await self._load.finish()
        return await asyncio.to_thread(outcome_of, self._place.url, told, tried)


class PostgresKilled(UnderLoad):
    """The postmaster gets SIGKILL; the server stays, says so, and serves again once PostgreSQL is back."""

    name = "PostgreSQL killed (`kill -9` of the postmaster)"

    def __init__(self, place: Place) -> None:
        """Nothing is started yet but PostgreSQL, which the place brings."""
        assert place.postgres is not None
        super().__init__(place)
        self._postgres = place.postgres
        self._longest = 0.0

    async def disturb(self) -> None:
        """The database dies, is away for a moment and is started again; the server is left alone."""
        await self._load.answered(1)
        await asyncio.sleep(self._place.lots.random() * 0.8)
        self._postgres.kill()
        await asyncio.sleep(self._place.lots.random() * 0.5)
        await asyncio.to_thread(self._postgres.start)
        began = time.monotonic()
        await self._load.answered(1)
        self._longest = max(self._longest, time.monotonic() - began)

    async def check(self, tried: int) -> Outcome:
        """As after any fault; and the server is the process that it was."""
        wrong = [] if self._server.lives() else [f"the server ended:\n{self._server.last_lines()}"]
        told = await self._load.finish()
        figure = f"served again at most {self._longest:.1f} s after PostgreSQL was back"
        return await asyncio.to_thread(outcome_of, self._place.url, told, tried, figure, wrong=wrong)
