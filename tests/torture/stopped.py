"""Fault 7: the server is told to stop (SIGTERM) while clients post."""

import asyncio
import time
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from torture.books import at_rest, held, key_of
from torture.clients import channel
from torture.fault import Outcome, Place, UnderLoad, outcome_of

_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_NOT_OF_STOPPING = {"DATABASE_UNAVAILABLE", "OUTCOME_UNKNOWN"}


class Stopped(UnderLoad):
    """SIGTERM in mid-work: health says so, what is in flight is finished, and the exit code is 0."""

    name = "server told to stop (SIGTERM) under load"

    def __init__(self, place: Place) -> None:
        """Nothing is started yet."""
        super().__init__(place)
        self._wrong: list[str] = []
        self._longest = 0.0

    async def disturb(self) -> None:
        """Stops, is looked at while it is away, and is started again."""
        await self._load.answered(1)
        await asyncio.sleep(self._place.lots.random() * 0.5)
        async with channel(self._server.address) as opened:
            health: Any = health_pb2_grpc.HealthStub(opened)
            told = health.Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True)
            await told.read()
            began = time.monotonic()
            self._server.terminate()
            await self._see_not_serving(told)
        code = await asyncio.to_thread(self._server.ended)
        self._longest = max(self._longest, time.monotonic() - began)
        if code != 0:
            self._wrong.append(f"the exit code is {code}:\n{self._server.last_lines()}")
        await self._see_nothing_cut_off()
        await asyncio.to_thread(self._server.start)

    async def _see_not_serving(self, told: Any) -> None:
        try:
            state = await asyncio.wait_for(told.read(), 30)
            if state is grpc.aio.EOF or state.status != _NOT_SERVING:
                self._wrong.append(f"health did not say NOT_SERVING, but {state}")
        except grpc.aio.AioRpcError as error:
            self._wrong.append(f"health was cut off before it said NOT_SERVING: {error.code()}")
        told.cancel()

    async def _see_nothing_cut_off(self) -> None:
        """A call that failed must have posted nothing: one that had would have been cut off in flight."""
        failed = {*self._load.told.failed}
        await asyncio.to_thread(at_rest, self._place.url)
        there = {key_of(one) for one in await asyncio.to_thread(held, self._place.url)}
        self._wrong += [f"{key} was posted, and its call was cut off" for key in sorted(failed & there)]

    async def check(self, tried: int) -> Outcome:
        """As after any fault; and the clients met nothing but a server that is away."""
        await self._load.answered(1)
        told = await self._load.finish()
        self._wrong += [f"clients met {met}" for met in told.failures.keys() & _NOT_OF_STOPPING]
        figure = f"the server ended with exit code 0 at most {self._longest:.1f} s after SIGTERM"
        return await asyncio.to_thread(outcome_of, self._place.url, told, tried, figure, wrong=self._wrong)
