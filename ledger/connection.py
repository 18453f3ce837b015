"""A connection to PostgreSQL that waits for no answer for ever.

Where the network falls silent nothing arrives and nothing ends: no error tells it, and TCP itself goes on for a
quarter of an hour. After its patience a connection is hung up. Whoever waits for its answer then meets a lost
connection, as after any other cut, and it can never come back into use.
"""

import asyncio
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, TypeVar

from psycopg import AsyncConnection, DataError, OperationalError
from psycopg.abc import PQGen
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.generators import fetch_many, send
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult
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


class Statement:
    """SQL that each connection prepares once. `%(name)s` in it stands for a value."""

    def __init__(self, sql: str, *, prepared: bool = True) -> None:
        """`prepared` is False for what must be seen in full on its way, as COMMIT is."""
        self.names = tuple(dict.fromkeys(_VALUE.findall(sql)))
        self.sql = _VALUE.sub(lambda found: f"${self.names.index(found[1]) + 1}", sql).encode()
        self.name = b"ledger_%d" % next(_numbers) if prepared else b""


Asked = tuple[Statement, Mapping[str, str]]
"""A statement with its values, each as the text that PostgreSQL reads there."""
_VALUE = re.compile(r"%\((\w+)\)s")
_numbers = count(1)
_BEGIN: Asked = (Statement("BEGIN"), {})


class DriverConnection(AsyncConnection[TupleRow]):
    """A connection of psycopg's that is hung up where an answer takes longer than its patience."""

    patience_seconds = RESTING_SECONDS
    """For one answer; 0 waits for ever."""

    def __init__(self, *given: Any, **named: Any) -> None:
        """As psycopg makes it. Nothing is prepared yet."""
        super().__init__(*given, **named)
        self._known: set[bytes] = set()

    @property
    def is_idle(self) -> bool:
        """Whether no transaction is open."""
        return self.pgconn.transaction_status == TransactionStatus.IDLE

    async def exchange(self, *asked: Asked) -> list[list[TupleRow]]:
        """The rows that each statement gives. They are sent together, behind BEGIN where no transaction is open.

        psycopg's own pipeline costs as much as PostgreSQL where statements are small. It also sends a Flush behind
        its Sync, a sign of life for PostgreSQL: that no longer ends the transaction of a program that then stands
        still (idle_in_transaction_session_timeout), which would hold a book for ever.
        Raises what PostgreSQL says of the first statement that failed, or OperationalError for a lost connection.
        """
        async with self.lock:
            answers = await self.wait(self._exchanged([_BEGIN, *asked] if self.is_idle else asked))
        return [self._rows(answer) for answer in answers[-len(asked) :]]

    def _exchanged(self, asked: Sequence[Asked]) -> PQGen[list[PGresult]]:
        new = {one.name: one.sql for one, _ in asked if one.name and one.name not in self._known}
        messages = [(one, [_encoded(values[name]) for name in one.names]) for one, values in asked]
        answers = yield from self._answered(new, messages)
        self._known |= {
            name for name, one in zip(new, answers, strict=False) if one.status == ExecStatus.COMMAND_OK
        }
        for answer in answers:
            if answer.status == ExecStatus.FATAL_ERROR:
                raise error_from_result(answer, encoding="utf-8")
        return answers

    def _answered(
        self, new: Mapping[bytes, bytes], messages: Sequence[tuple[Statement, Sequence[bytes]]]
    ) -> PQGen[list[PGresult]]:
        """What PostgreSQL answers to each message. A connection on which that ended in the middle is of no use."""
        answers: list[PGresult] = []
        try:
            self.pgconn.enter_pipeline_mode()
            for name, sql in new.items():
                self.pgconn.send_prepare(name, sql)
            for statement, values in messages:
                self._send(statement, values)
            self.pgconn.pipeline_sync()
            yield from send(self.pgconn)
            while not answers or answers[-1].status != ExecStatus.PIPELINE_SYNC:
                found = yield from fetch_many(self.pgconn)
                answers += _there(found)
            self.pgconn.exit_pipeline_mode()
        except BaseException:
            self.pgconn.finish()
            raise
        return answers[:-1]

    def _send(self, statement: Statement, values: Sequence[bytes]) -> None:
        if statement.name:
            self.pgconn.send_query_prepared(statement.name, values)
        else:
            self.pgconn.send_query_params(statement.sql, values)

    def _rows(self, answer: PGresult) -> list[TupleRow]:
        if answer.status != ExecStatus.TUPLES_OK:
            return []
        read = Transformer(self)
        read.set_pgresult(answer)
        return read.load_rows(0, answer.ntuples, tuple)

    def _deallocate(self, name: bytes | None) -> PQGen[None]:
        """psycopg gives up one of its statements, or after a rollback all that there are: ours too."""
        if name is None:
            self._known.clear()
        return super()._deallocate(name)

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


def _there(answer: list[PGresult]) -> list[PGresult]:
    """An answer, where there is one: PostgreSQL may have ended the session with the one before."""
    if not answer:
        raise OperationalError("the connection was lost")
    return answer


def _encoded(value: str) -> bytes:
    made = value.encode()
    if b"\0" in made:
        raise DataError("PostgreSQL keeps no text with a NUL in it")
    return made


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
