"""Fault 3: the network between the server and PostgreSQL."""

import asyncio
from collections import Counter
from typing import Any

import grpc
from serving import refusal

from ledger.v1 import postings_pb2
from ledger.v1.postings_pb2_grpc import PostingsServiceStub
from torture.books import at_rest, held, key_of
from torture.clients import WAYS, Load, Told, call_of, channel, name_of
from torture.fault import BehindProxy, Outcome, Place, outcome_of
from torture.proxy import Cut

UNKNOWN, AWAY = "OUTCOME_UNKNOWN", "DATABASE_UNAVAILABLE"


class CutAtCommit(BehindProxy):
    """One call at a time, whose connection is cut at a chosen point: what was told must be what is there."""

    name = "connection cut at COMMIT"

    def __init__(self, place: Place) -> None:
        """Nothing is started yet."""
        super().__init__(place)
        self._told = Told()
        self._cuts: Counter[Cut] = Counter()

    async def disturb(self) -> None:
        """Every kind of call is cut at every point, and made again."""
        for where in Cut:
            for way in WAYS:
                await self._cut(where, way)

    async def _cut(self, where: Cut, way: str) -> None:
        key = f"{len(self._told.asked)}-{way}"
        request, asked = call_of(way, key, self._place.lots)
        self._told.asked.update(asked)
        async with channel(self.server.address) as opened:
            before = self._proxy.cuts
            call = getattr(PostingsServiceStub(opened), way)
            self._proxy.arm(where, self._place.lots.randint(0, 6) if where is Cut.IN_THE_MIDDLE else 0)
            met = await self._first(call, request)
            was_cut, self._proxy.armed = self._proxy.cuts > before, None
            await asyncio.to_thread(at_rest, self._place.url)
            there = {key_of(one) for one in await asyncio.to_thread(held, self._place.url)}
            self._judge(where, key, met if was_cut else "", are_there=asked.keys() <= there)
            self._answer(key, await call(request))
            self._cuts[where] += was_cut

    async def _first(self, call: Any, request: Any) -> str:
        """How the first call ends; an empty word where it is answered."""
        self._told.calls += 1
        try:
            await call(request)
        except grpc.aio.AioRpcError as error:
            self._told.failures[name_of(refusal(error))] += 1
            return name_of(refusal(error))
        return ""

    def _judge(self, where: Cut, key: str, met: str, *, are_there: bool) -> None:
        """What is told of a cut must be true of the books."""
        expected = {AWAY, ""} if where is Cut.IN_THE_MIDDLE else {UNKNOWN}
        if where is Cut.BEFORE_COMMIT and are_there:
            self._told.mistake(f"{key} is in the books although its COMMIT never arrived")
        if where is Cut.AFTER_COMMIT and not are_there:
            self._told.mistake(f"{key} is not in the books although PostgreSQL answered its COMMIT")
        if met == AWAY and are_there:
            self._told.mistake(f"{key} is in the books although it was answered that nothing was recorded")
        if met not in expected:
            self._told.mistake(f"{key}, cut {where.value}, was answered {met or 'as posted'}")
        if are_there:
            self._told.failed[key] = "posted"

    def _answer(self, key: str, answer: Any) -> None:
        """The second call: a replay where the first one had posted, and the entry either way."""
        was_there = self._told.failed.pop(key, None) is not None
        results = answer.results if isinstance(answer, postings_pb2.PostEntriesResponse) else [answer]
        for result in results:
            name = result.entry.idempotency_key
            self._told.retried.add(name)
            if result.replayed != was_there:
                self._told.mistake(f"{name}: replayed is {result.replayed}, and it was there before: {was_there}")
            self._told.answer(name, result.entry, replayed=result.replayed)

    async def check(self, tried: int) -> Outcome:
        """The books hold each entry once."""
        cuts = ", ".join(f"{count} {where.value}" for where, count in self._cuts.items())
        tried = sum(self._cuts.values())
        return await asyncio.to_thread(outcome_of, self._place.url, self._told, tried, f"cut {cuts}")


class BadNetwork(BehindProxy):
    """Clients post under load while the network delays, cuts, refuses and falls silent."""

    name = "network delayed, cut, refused, silent"

    def __init__(self, place: Place) -> None:
        """Nothing is started yet."""
        super().__init__(place)
        self._load: Load | None = None
        self._turns = 0

    async def prepare(self) -> None:
        """A server behind the proxy, with a book, under load."""
        await super().prepare()
        self._load = Load([self.server.address], self._place.lots)
        self._load.start()

    async def disturb(self) -> None:
        """One trouble after the other, in turn; then a quiet moment."""
        assert self._load is not None
        troubles = (self._slow, self._at_commit, self._cut, self._refuse, self._silent)
        await troubles[self._turns % len(troubles)]()
        self._turns += 1
        await self._load.answered(20)

    async def _moment(self) -> None:
        await asyncio.sleep(0.1 + self._place.lots.random() * 0.5)

    async def _slow(self) -> None:
        self._proxy.delay = self._place.lots.random() * 0.05
        await self._moment()
        self._proxy.delay = 0.0

    async def _at_commit(self) -> None:
        self._proxy.arm(self._place.lots.choice([*Cut]), self._place.lots.randint(0, 3))
        await self._moment()

    async def _cut(self) -> None:
        await self._moment()
        self._proxy.cut_all()

    async def _refuse(self) -> None:
        self._proxy.refusing = True
        self._proxy.cut_all()
        await self._moment()
        self._proxy.refusing = False

    async def _silent(self) -> None:
        """Nothing arrives any more, and nothing ends; half of the times it goes on, otherwise it is cut."""
        self._proxy.flowing.clear()
        await self._moment()
        if self._place.lots.random() < 0.5:
            self._proxy.cut_all()
        self._proxy.flowing.set()

    async def check(self, tried: int) -> Outcome:
        """All that was asked is answered in the end, and the books hold that and nothing else."""
        assert self._load is not None
        told = await self._load.finish()
        figure = f"{self._proxy.cuts} connections cut"
        return await asyncio.to_thread(outcome_of, self._place.url, told, tried, figure)
