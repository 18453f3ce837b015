"""What faults of the callers share: others post meanwhile, and it is looked at what the server uses."""

import asyncio
import time

from grpc import StatusCode
from grpc.aio import AioRpcError
from serving import refusal

from torture.clients import name_of
from torture.fault import Outcome, Place, UnderLoad, outcome_of
from torture.processes import PATIENCE_SECONDS

_MOMENT_SECONDS = 5
"""Whatever takes longer than that must leave others time to be served."""
_MOST_GROWTH_MEGABYTES = 256
"""What a server may use more than at first, once its callers are gone or hold on to what they asked for."""


class Watched(UnderLoad):
    """Callers of one server that do what they should not, among others that go on."""

    name = ""
    may_stop_others = False
    """Whether nobody can be served while it happens."""

    def __init__(self, place: Place) -> None:
        """Nothing is started yet."""
        super().__init__(place)
        self.wrong: list[str] = []
        self._before = 0
        self._most = 0
        self._meanwhile: list[int] = []
        self._turns = 0

    async def prepare(self) -> None:
        """A server with a book, under load, that has warmed up."""
        await super().prepare()
        await self._load.answered(50)
        self._before = self._most = self._server.megabytes()

    async def disturb(self) -> None:
        """Callers do what they should not; the others are counted meanwhile, and go on afterwards."""
        before, began = self._of_others(), time.monotonic()
        await self.misbehave(self._turns)
        self._turns += 1
        self._meanwhile.append(self._of_others() - before)
        if not self._meanwhile[-1] and not self.may_stop_others and time.monotonic() > began + _MOMENT_SECONDS:
            self.wrong.append("nobody else was served meanwhile")
        self.weigh()
        await self._load.answered(20)

    def _of_others(self) -> int:
        """Entries acknowledged to those who only post: their keys begin with their number."""
        return sum(key[0].isdigit() for key in self._load.told.entries)

    async def misbehave(self, turn: int) -> None:
        """Does it once."""
        raise NotImplementedError

    def weigh(self) -> None:
        """Looks at how much memory the server uses now."""
        self._most = max(self._most, self._server.megabytes())

    def met(self, error: AioRpcError, *borne: StatusCode) -> None:
        """How a call failed: in a way that is documented, or it is kept for the report."""
        failure = refusal(error)
        self._load.told.failures[name_of(failure)] += 1
        if error.code() not in borne:
            self._load.told.mistake(f"a caller was answered {failure.code} {failure.reason}: {failure.message}")

    async def check(self, tried: int) -> Outcome:
        """As after any fault; everything is as before: no connection is in use, and memory did not grow."""
        told = await self._load.finish()
        self.weigh()
        await self._see_rest()
        if self._most > self._before + _MOST_GROWTH_MEGABYTES:
            self.wrong.append(f"the server's memory grew from {self._before} to {self._most} MiB")
        memory = f"{self._before} MiB at first, at most {self._most}, at last {self._server.megabytes()}"
        figures = (
            f"others had {min(self._meanwhile)} to {max(self._meanwhile)} entries acknowledged meanwhile",
            f"the server had {memory}",
        )
        return await asyncio.to_thread(outcome_of, self._place.url, told, tried, *figures, wrong=self.wrong)

    async def _see_rest(self) -> None:
        """Returns when the server has given back all its connections to the database."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while count := await asyncio.to_thread(self._server.in_use):
            if time.monotonic() > deadline:
                self.wrong.append(f"{count} connections to the database are in use, and nobody calls")
                return
            await asyncio.sleep(0.05)
