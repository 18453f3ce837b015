"""Fault 5, continued: a thousand connections at once, each of which posts."""

import asyncio
import resource
from random import Random

import grpc
from grpc.aio import AioRpcError

from ledger.v1 import postings_pb2
from ledger.v1.postings_pb2_grpc import PostingsServiceStub
from service.identity import HEADER
from torture.clients import BOOK, channel, manual
from torture.fault import Place
from torture.processes import PATIENCE_SECONDS
from torture.watched import Watched

_CALLER = ((HEADER, "crowd"),)
"""One caller, other than those who post meanwhile: it may have 512 calls in flight, and is told so beyond that."""


class Crowd(Watched):
    """A thousand channels are opened at the same time, post until each is answered, and are closed together."""

    name = "1,000 connections at once"

    def __init__(self, place: Place) -> None:
        """Nothing is started yet; both ends of the connections need a file each, the server asks for its own."""
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        super().__init__(place)

    async def misbehave(self, turn: int) -> None:
        """All at once."""
        opened = [channel(self._server.address) for _ in range(self._place.crowd)]
        try:
            await asyncio.gather(*(self._post(one, f"crowd-{turn}-{n}") for n, one in enumerate(opened)))
            self.weigh()
        finally:
            await asyncio.gather(*(one.close() for one in opened))

    async def _post(self, opened: grpc.aio.Channel, key: str) -> None:
        told = self._load.told
        request = postings_pb2.PostEntryRequest(book=BOOK, entry=manual(key, Random(key)))
        told.asked[key] = request.entry
        while key not in told.entries:
            told.calls += 1
            call = PostingsServiceStub(opened).PostEntry
            try:
                answer = await call(request, metadata=_CALLER, timeout=PATIENCE_SECONDS, wait_for_ready=True)
                told.answer(key, answer.entry, replayed=answer.replayed)
            except AioRpcError as error:
                told.retried.add(key)
                self.met(error, grpc.StatusCode.RESOURCE_EXHAUSTED)
                await asyncio.sleep(0.1)
