"""A connection to PostgreSQL that waits for no answer for ever.

Where the network falls silent nothing arrives and nothing ends: no error tells it, and TCP itself goes on for a
quarter of an hour. After its patience a connection is hung up. Whoever waits for its answer then meets a lost
connection, as after any other cut, and it can never come back into use.
"""

import asyncio
import socket
from contextlib import suppress
from typing import Any, TypeVar

from psycopg import AsyncConnection
from psycopg.abc import PQGen
from psycopg.rows import TupleRow

T = TypeVar("T")

RESTING_SECONDS = 5
"""What an answer may take while nobody works with the connection: whether it still lives, and the end of work."""

KEPT_ALIVE: dict[str, int] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""How the operating system notices that the other side is gone: by libpq's names, in seconds and milliseconds."""


class DriverConnection(AsyncConnection[TupleRow]):
    """A connection of psycopg's that is hung up where an answer takes longer than its patience."""

    patience_seconds = RESTING_SECONDS
    """For one answer; 0 waits for ever."""

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
