"""Fault 5, continued: the connections to the database are used up, the server's own and PostgreSQL's."""

import asyncio
from contextlib import ExitStack

import grpc
import psycopg
from grpc.aio import AioRpcError

from reconciliation.v1 import reconciliation_pb2
from reconciliation.v1.reconciliation_pb2_grpc import ReconciliationServiceStub
from torture.clients import BOOK, channel
from torture.processes import PATIENCE_SECONDS, connected
from torture.watched import Watched

_READERS = 60
_HELD_SECONDS = 3
_LONGEST_HELD_SECONDS = 10
"""By then somebody has posted, and readers still wait: the program gives up a lock after 15 seconds."""
_END_SESSIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename <> current_user
"""


class SlowReaders(Watched):
    """Many readers whose questions take long have all the connections that the server reads with."""

    name = "the server's connections used up by slow readers"

    async def misbehave(self, turn: int) -> None:
        """Nobody can read a table for a while that posting does not need."""
        asked = reconciliation_pb2.ListExceptionsRequest(book=BOOK, page_size=10)
        async with channel(self._server.address) as opened:
            stub = ReconciliationServiceStub(opened)
            with connected(self._place.url) as holder, holder.transaction():
                holder.execute("LOCK TABLE exceptions IN ACCESS EXCLUSIVE MODE")
                waiting = [stub.ListExceptions(asked, timeout=PATIENCE_SECONDS) for _ in range(_READERS)]
                await asyncio.sleep(0.5)  # they have what they can get
                posted = asyncio.create_task(self._load.answered(1))
                await asyncio.sleep(min(_HELD_SECONDS, self._place.pause_seconds))
                if not (await asyncio.wait([posted], timeout=_LONGEST_HELD_SECONDS))[0]:
                    self.wrong.append("nobody could post while readers waited")
            await posted
            for one in waiting:
                try:
                    await one
                except AioRpcError as error:
                    self.met(error, grpc.StatusCode.UNAVAILABLE)


class NoConnectionLeft(Watched):
    """Somebody else has all the connections of PostgreSQL, and the server has lost its own."""

    name = "PostgreSQL's connections used up by somebody else"
    may_stop_others = True

    async def misbehave(self, turn: int) -> None:
        """All of them, until clients have been told; then they are given back."""
        before = self._load.told.failures.total()
        with ExitStack() as held:
            await asyncio.to_thread(self._take_all, held)
            while self._load.told.failures.total() < before + 10:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await asyncio.sleep(self._place.lots.random())

    def _take_all(self, held: ExitStack) -> None:
        """Ends the server's sessions, and takes their places and all others."""
        first = held.enter_context(connected(self._place.url))
        while True:
            first.execute(_END_SESSIONS)
            try:
                held.enter_context(connected(self._place.url))
            except psycopg.OperationalError as full:
                if "too many clients" not in str(full):
                    raise
                if first.execute(_END_SESSIONS).fetchone() is None:
                    return
