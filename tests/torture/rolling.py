"""Fault 7, continued: two servers on one database are replaced one after the other while clients post to both."""

import asyncio
import json
import time
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from torture.clients import Load, channel, open_book
from torture.fault import Outcome, Place, outcome_of
from torture.processes import PATIENCE_SECONDS, Served

_ANY = [{}]
_RETRIED = {
    "maxAttempts": 5,
    "initialBackoff": "0.05s",
    "maxBackoff": "0.5s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
_SERVICE = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": ""},
    "methodConfig": [{"name": _ANY, "retryPolicy": _RETRIED}],
}
"""What a client of several servers asks of gRPC: all in turn, only those that say SERVING, and retries."""


class RollingRestart:
    """SIGTERM to one, a new one in its place, then the other; clients know both and retry UNAVAILABLE."""

    name = "rolling restart of two servers (SIGTERM)"

    def __init__(self, place: Place) -> None:
        """Nothing is started yet."""
        self._place = place
        self._servers = [Served(place.urls.server, place.folder, name) for name in ("one", "other")]
        address = ",".join(server.address for server in self._servers)
        self._load = Load([f"ipv4:{address}"], place.lots, made=_balanced)
        self._wrong: list[str] = []
        self._longest = 0.0

    async def prepare(self) -> None:
        """Two servers with one book, both under load."""
        for server in self._servers:
            await asyncio.to_thread(server.start)
        await open_book(self._servers[0].address)
        self._load.start()

    async def disturb(self) -> None:
        """One round: each is replaced once the new one before it serves."""
        for server in self._servers:
            await self._load.answered(50)
            await asyncio.sleep(self._place.lots.random() * 0.2)
            began = time.monotonic()
            server.terminate()
            code = await asyncio.to_thread(server.ended)
            self._longest = max(self._longest, time.monotonic() - began)
            if code != 0:
                self._wrong.append(f"the exit code is {code}:\n{server.last_lines()}")
            await asyncio.to_thread(server.start)
            await _serving(server.address)

    async def check(self, tried: int) -> Outcome:
        """As after any fault; and no call failed with anything but UNAVAILABLE."""
        await self._load.answered(1)
        told = await self._load.finish()
        met = told.failures.total()
        figure = (
            f"{2 * tried} servers replaced, {met} calls failed for a client that retries UNAVAILABLE four times; "
            f"a server ended at most {self._longest:.1f} s after SIGTERM"
        )
        return await asyncio.to_thread(outcome_of, self._place.url, told, tried, figure, wrong=self._wrong)

    async def close(self) -> None:
        """Ends both servers."""
        for server in self._servers:
            server.close()


def _balanced(address: str) -> grpc.aio.Channel:
    """A channel to all the servers of an address, as the service's clients are told to make one."""
    return channel(address, ("grpc.service_config", json.dumps(_SERVICE)))


async def _serving(address: str) -> None:
    """Returns when the server there says SERVING."""
    async with channel(address) as opened:
        told: Any = health_pb2_grpc.HealthStub(opened).Watch(
            health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=PATIENCE_SECONDS
        )
        async for state in told:
            if state.status == health_pb2.HealthCheckResponse.SERVING:
                told.cancel()
                return
