"""A network between the server and PostgreSQL that delays, cuts and swallows, also exactly at COMMIT."""

import asyncio
import re
from contextlib import suppress
from enum import Enum

COMMIT = re.compile(rb"(?:Q\x00\x00\x00\x0b|P\x00\x00\x00[\x00-\xff]\x00)COMMIT\x00")
"""A front end's message that holds COMMIT: a simple query, or one to be parsed among others of a pipeline."""
_OF_PIPELINES = (b"P", b"B", b"C", b"D", b"E")
_ENDS = (b"S\x00\x00\x00\x04", b"H\x00\x00\x00\x04")
"""Messages that belong to a pipeline, and those after which its answers are waited for (Sync, Flush)."""
_PART = 65_536


class Cut(Enum):
    """Where the next connection is cut."""

    BEFORE_COMMIT = "before COMMIT reaches PostgreSQL"
    AFTER_COMMIT = "after PostgreSQL answered COMMIT, before the answer arrives"
    WHILE_COMMITTING = "as soon as COMMIT is forwarded"
    IN_THE_MIDDLE = "before COMMIT is sent"


class Connection:
    """One connection of the server, and its other half to PostgreSQL."""

    def __init__(self, front: asyncio.StreamWriter, back: asyncio.StreamWriter) -> None:
        """Both halves are open."""
        self.front, self.back = front, back
        self.cut_at_answer = False
        self.is_silent = False
        self._ended = asyncio.Event()

    async def ended(self) -> None:
        """Returns when it is cut."""
        await self._ended.wait()

    def cut(self) -> None:
        """Resets both halves: what was on its way is gone."""
        self._ended.set()
        for half in (self.front, self.back):
            half.transport.abort()


class Proxy:
    """Listens on a port of its own and passes everything on, until it is told to do otherwise."""

    def __init__(self, port: int) -> None:
        """`port` is PostgreSQL's, on this machine."""
        self.armed: Cut | None = None
        self.silent_at: Cut | None = None
        self.passing = 0
        """How many more commits, or messages before a cut in the middle, pass before it."""
        self.cuts = 0
        self.delay = 0.0
        self.refusing = False
        self.flowing = asyncio.Event()
        """Cleared, everything is swallowed up: no byte arrives, and no connection ends."""
        self.flowing.set()
        self._behind = port
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Begins to listen; returns where."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Listens no more, and cuts what is open."""
        if self._server is not None:
            self._server.close()
        self.flowing.set()
        while self._connections:
            self.cut_all()
            await asyncio.sleep(0.01)

    def arm(self, where: Cut, passing: int = 0) -> None:
        """The connection that comes to this point is cut there, after so many that pass it."""
        self.armed, self.passing = where, passing

    def cut_all(self) -> None:
        """Every connection is cut, wherever it is."""
        self.cuts += len(self._connections)
        for connection in [*self._connections]:
            connection.cut()

    def silence(self, where: Cut | None = None) -> None:
        """Every open connection is silent from now on, or one at its COMMIT; others that come are not.

        No byte arrives on either side, nor the news that the other side has ended.
        """
        if where is None:
            for connection in self._connections:
                connection.is_silent = True
        self.silent_at = where

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        with suppress(OSError):
            back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._behind)
            connection = Connection(writer, back_writer)
            self._connections.add(connection)
            try:
                await asyncio.gather(self._forth(connection, reader), self._back(connection, back_reader))
            finally:
                self._connections.discard(connection)
                connection.cut()
            return
        writer.transport.abort()

    async def _forth(self, connection: Connection, reader: asyncio.StreamReader) -> None:
        """What the server says."""
        with suppress(OSError):
            while part := await self._at_once(connection, reader):
                if await self._falls_silent(connection, part, Cut.BEFORE_COMMIT) or self._cut_before(part):
                    break
                connection.cut_at_answer |= self._cut_after(part, Cut.AFTER_COMMIT)
                connection.back.write(part)
                await connection.back.drain()
                if await self._falls_silent(connection, part, Cut.WHILE_COMMITTING):
                    break
                if self._cut_after(part, Cut.WHILE_COMMITTING):
                    break
        connection.cut()

    async def _back(self, connection: Connection, reader: asyncio.StreamReader) -> None:
        """What PostgreSQL answers."""
        with suppress(OSError):
            while part := await self._passed(connection, reader):
                if connection.cut_at_answer:
                    break
                connection.front.write(part)
                await connection.front.drain()
        connection.cut()

    async def _at_once(self, connection: Connection, reader: asyncio.StreamReader) -> bytes:
        """What comes next; all of a pipeline where something is to happen at a COMMIT: none of it arrives then."""
        part = await self._passed(connection, reader)
        while part[:1] in _OF_PIPELINES and not part.endswith(_ENDS) and (self.armed or self.silent_at):
            if not (more := await self._passed(connection, reader)):
                break
            part += more
        return part

    async def _passed(self, connection: Connection, reader: asyncio.StreamReader) -> bytes:
        part = await reader.read(_PART)
        if self.delay:
            await asyncio.sleep(self.delay)
        await self.flowing.wait()
        if connection.is_silent:
            await connection.ended()
            return b""
        return part

    async def _falls_silent(self, connection: Connection, part: bytes, where: Cut) -> bool:
        """Whether the connection was silent from this COMMIT on; returns when it is cut."""
        if self.silent_at is not where or not COMMIT.search(part):
            return False
        self.silent_at = None
        connection.is_silent = True
        await connection.ended()
        return True

    def _cut_before(self, part: bytes) -> bool:
        if self.armed is Cut.IN_THE_MIDDLE:
            if COMMIT.search(part):  # it came to that too early: not in the middle any more
                self.armed = None
                return False
            return self._reached()
        return self._cut_after(part, Cut.BEFORE_COMMIT)

    def _cut_after(self, part: bytes, where: Cut) -> bool:
        return self.armed is where and COMMIT.search(part) is not None and self._reached()

    def _reached(self) -> bool:
        """Whether the point is reached at which to cut; it is then cut no more."""
        self.passing -= 1
        if self.passing >= 0:
            return False
        self.armed = None
        self.cuts += 1
        return True
