"""A connection to PostgreSQL that waits for no answer for ever.

Where the network falls silent nothing arrives and nothing ends: no error tells it, and TCP itself goes on for a
quarter of an hour. After its patience a connection is hung up. Whoever waits for its answer then meets a lost
connection, as after any other cut, and it can never come back into use.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from psycopg import AsyncConnection, AsyncPipeline
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

T = TypeVar("T")

RESTING_SECONDS = 5
"""What an answer may take while nobody works with the connection: whether it still lives, and the end of work."""

LOOKED_AT_SECONDS = 1
"""Who has rested for longer is asked whether it lives before it is used; asking costs a round trip."""

KEPT_ALIVE: dict[str, int] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""How the operating system notices that the other side is gone: by libpq's names, in seconds and milliseconds."""


class _Pipeline(AsyncPipeline):
    """A pipeline that sends its statements together when it ends, and ends with its Sync, as the protocol has it.

    psycopg waits for the network with each statement, for an answer to BEGIN, and sends a Flush behind the Sync.
    The first costs as many rounds of the event loop as there are statements, the second a round trip. The third is
    for PostgreSQL a sign of life: it no longer ends the transaction of a program that then stands still
    (idle_in_transaction_session_timeout), which would hold a book for ever. So answers are there once the block
    has ended, and not before.
    """

    begins = False
    """Whether a transaction begins in it."""

    def _communicate_gen(self) -> PQGen[None]:
        while self.command_queue:
            self.command_queue.popleft()()  # into the connection's buffer, which grows as it must
        yield from ()

    def _exit_gen(self) -> PQGen[None]:
        try:
            self._enqueue_sync()
            yield from super()._communicate_gen()
        finally:
            yield from self._fetch_gen(flush=False)


class DriverConnection(AsyncConnection[TupleRow]):
    """A connection of psycopg's that is hung up where an answer takes longer than its patience."""

    patience_seconds = RESTING_SECONDS
    """For one answer; 0 waits for ever."""

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[AsyncPipeline]:
        """Statements sent together: their answers are there once the block has ended."""
        if self._pipeline is None:
            self._pipeline = _Pipeline(self)
        async with super().pipeline() as begun:
            yield begun

    def _start_query(self) -> PQGen[None]:
        """Begins a transaction where there is none; in a pipeline with the message of its first statement."""
        if not isinstance(self._pipeline, _Pipeline):
            yield from super()._start_query()
        elif not (
            self.autocommit or self._pipeline.begins or self.pgconn.transaction_status != TransactionStatus.IDLE
        ):
            self._pipeline.begins = True
            yield from self._exec_command(self._get_tx_start_command())

    async def wait(self, gen: PQGen[T], *limits: Any, **named: Any) -> T:
        """One answer of PostgreSQL. Raises OperationalError where the connection was hung up."""
        if not self.patience_seconds:
            return await super().wait(gen, *limits, **named)
        timer = asyncio.get_running_loop().call_later(self.patience_seconds, self._hang_up)
        try:
            return await super().wait(gen, *limits, **named)
        finally:
            timer.cancel()

    def _hang_up(self) -> None:
        """Both directions end. The socket stays open until psycopg, which reads from it, has seen that."""
        with (
            socket.fromfd(self.pgconn.socket, socket.AF_INET, socket.SOCK_STREAM) as same,
            suppress(OSError),  # the other side has ended it meanwhile, which psycopg sees as well
        ):
            same.shutdown(socket.SHUT_RDWR)


def look_at_the_rested(pool_of: Engine) -> None:
    """No connection of the pool that has rested is given out before it was seen to live; a dead one is replaced.

    One that was in use just now is not asked: should it have died since, whoever gets it is told to try again.
    """

    def given_back(_: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info["rests since"] = asyncio.get_running_loop().time()

    def given_out(connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
        now = asyncio.get_running_loop().time()
        if now - record.info.pop("rests since", now) < LOOKED_AT_SECONDS:
            return
        try:
            pool_of.dialect.do_ping(connection)
        except pool_of.dialect.loaded_dbapi.Error as dead:
            raise InvalidatePoolError from dead

    event.listen(pool_of.pool, "checkin", given_back)
    event.listen(pool_of.pool, "checkout", given_out)
