"""Fault 14: the synchronous replica is lost in mid-commit, and in the end the primary too."""

import asyncio
import time
from pathlib import Path
from typing import Any

from grpc_health.v1 import health_pb2, health_pb2_grpc
from serving import eventually

from service.postgres import Urls
from torture.books import held, key_of
from torture.clients import Load, channel, open_book
from torture.fault import Outcome, Place, outcome_of
from torture.processes import PATIENCE_SECONDS, Postgres, Served, connected
from torture.recovery import REPLICA, Receiver, base_backup, recover

_SYNCHRONOUS = f"ALTER SYSTEM SET synchronous_standby_names = '{REPLICA}'"
_IN_STEP = "SELECT count(*) FROM pg_stat_replication WHERE application_name = %s AND sync_state = 'sync'"
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
_CANCEL = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
_TERMINATE = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
_PROMOTE = "SELECT CAST(pg_promote() AS integer)"
_QUIET_SECONDS = 0.5
_LATEST_SECONDS = 10
_TOLD_SECONDS = 30
UNKNOWN = "OUTCOME_UNKNOWN"


class ReplicaLost:
    """Commits wait for a replica that is gone; somebody cancels the wait; nobody may be told that all is well."""

    name = "synchronous replica lost in mid-commit, waits cancelled, then failed over to"

    def __init__(self, place: Place) -> None:
        """Nothing is started yet."""
        self._place = place
        self._postgres = Postgres(place.folder / "replicated")
        self._urls = Urls("", "")
        self._receiver: Receiver | None = None
        self._servers: list[Served] = []
        self._load: Load | None = None
        self._cancelled = 0
        self._held_longest = place.pause_seconds
        self._wrong: list[str] = []

    @property
    def receiver(self) -> Receiver:
        """The replica."""
        assert self._receiver is not None
        return self._receiver

    @property
    def load(self) -> Load:
        """The clients."""
        assert self._load is not None
        return self._load

    async def prepare(self) -> None:
        """A primary with a replica that it waits for, and two servers under load."""
        await asyncio.to_thread(self._start_replicated)
        for name in ("one", "other"):
            self._servers.append(Served(self._urls.server, self._place.folder, name, LEDGER_GUARD_SECONDS="0.5"))
        for server in self._servers:
            await asyncio.to_thread(server.start)
        addresses = [server.address for server in self._servers]
        await open_book(addresses[0])
        borne = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
        self._load = Load(addresses, self._place.lots, borne=borne, deadlines=(2, 30))
        self._load.start()

    def _start_replicated(self) -> None:
        self._postgres.start()
        self._urls = self._postgres.database("torture")
        base_backup(self._urls.owner, self._base)
        self._receiver = Receiver(self._urls.owner, self._place.folder / "received")
        self._receiver.start()
        with connected(self._urls.owner) as owner:
            owner.execute(_SYNCHRONOUS.encode())
            owner.execute("SELECT pg_reload_conf()")
        self._wait_in_step()

    @property
    def _base(self) -> Path:
        return self._place.folder / "base"

    def _asked(self, question: str, *about: Any) -> int:
        with connected(self._urls.owner) as owner:
            row = owner.execute(question.encode(), about).fetchone()
            return int(row[0]) if row else 0

    def _wait_in_step(self) -> None:
        eventually(lambda: self._asked(_IN_STEP, REPLICA), "the replica is in step")

    async def disturb(self) -> None:
        """The replica dies, waits are cancelled, nothing is acknowledged; it comes back and posting goes on."""
        await self._lose_replica()
        acknowledged = len(self.load.told.entries)
        await self._cancel_waits(self._place.lots.randint(1, 3))
        await asyncio.sleep(self._held_longest)  # the first time long enough for locks to be waited for in vain
        self._held_longest = 0
        if more := len(self.load.told.entries) - acknowledged:
            self._wrong.append(f"{more} entries were acknowledged while the replica was away")
        await asyncio.to_thread(self.receiver.start)
        await asyncio.to_thread(self._wait_in_step)
        await self.load.answered(50)

    async def _lose_replica(self) -> None:
        """Returns once commits hang, and what was committed before has been answered."""
        await self.load.answered(1)
        await asyncio.sleep(self._place.lots.random() * 0.5)
        await asyncio.to_thread(self.receiver.kill)
        await asyncio.to_thread(eventually, lambda: self._asked(_WAITING), "a commit waits for the replica")
        await self._answered_so_far()

    async def _answered_so_far(self) -> None:
        """Returns once clients know of all that is committed, and nothing more is acknowledged to them.

        Of what was left in doubt before they may not know as long as the replica is away.
        """
        deadline = time.monotonic() + _LATEST_SECONDS
        while await asyncio.to_thread(self._untold) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_QUIET_SECONDS / 10)
        seen = -1
        while seen != (seen := len(self.load.told.entries)):  # noqa: ASYNC110
            await asyncio.sleep(_QUIET_SECONDS)

    def _untold(self) -> bool:
        """Whether the books hold an entry of which no client was told."""
        return bool({key_of(one) for one in held(self._urls.owner)} - self.load.told.entries.keys())

    async def _cancel_waits(self, times: int) -> None:
        """Each time clients are told that the outcome is unknown; those who ask again wait for the replica too."""
        for _ in range(times):
            before = self.load.told.failures[UNKNOWN]
            await asyncio.to_thread(eventually, lambda: self._asked(_WAITING), "a commit waits for the replica")
            await asyncio.to_thread(self._asked, self._place.lots.choice((_CANCEL, _TERMINATE)))
            self._cancelled += 1
            if not await self._told_unknown(before):
                self._wrong.append("a wait for the replica was cancelled, and nobody was told that it is unknown")

    async def _told_unknown(self, before: int) -> bool:
        deadline = time.monotonic() + _TOLD_SECONDS
        while self.load.told.failures[UNKNOWN] == before and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return self.load.told.failures[UNKNOWN] > before

    async def check(self, tried: int) -> Outcome:
        """The primary is lost after the replica was: what the replica holds is all there is, and it is enough."""
        await self._lose_replica()
        await self._cancel_waits(2)
        wal = self.receiver.kept(self._place.folder / "kept")
        self._postgres.kill()
        await asyncio.to_thread(recover, self._postgres, self._base, wal, standby=True)
        await self._see_not_serving()
        await asyncio.to_thread(self._asked, _PROMOTE)
        await self.load.answered(50)
        told = await self.load.finish()
        figure = f"{self._cancelled} waits for the replica cancelled; failed over once to what it holds"
        return await asyncio.to_thread(outcome_of, self._urls.owner, told, tried, figure, wrong=self._wrong)

    async def _see_not_serving(self) -> None:
        """A standby can be read, and health comes to say that nothing can be posted to it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        async with channel(self._servers[0].address) as opened:
            health: Any = health_pb2_grpc.HealthStub(opened)
            while time.monotonic() < deadline:
                told = await health.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_SECONDS)
                if told.status == health_pb2.HealthCheckResponse.NOT_SERVING:
                    return
                await asyncio.sleep(0.1)
        self._wrong.append("health did not say NOT_SERVING of a standby")

    async def close(self) -> None:
        """Ends the servers, the replica and PostgreSQL."""
        for server in self._servers:
            server.close()
        if self._receiver is not None:
            self._receiver.kill()
        await asyncio.to_thread(self._postgres.close)
