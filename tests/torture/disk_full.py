"""Fault 4: the disk that PostgreSQL writes to is full for a while."""

import asyncio
import os
import subprocess
from contextlib import suppress
from pathlib import Path

import psycopg

from service.postgres import Urls
from torture.books import Verdict
from torture.clients import Load, open_book
from torture.fault import Outcome, Place, outcome_of
from torture.processes import Postgres, Served, connected

_SMALL_WAL = {"max_wal_size": "48MB", "min_wal_size": "32MB", "max_connections": "20", "shared_buffers": "16MB"}
_MEGABYTES = 400
_LOG_FILES = 20
_ANOTHER_LOG_FILE = "SELECT pg_switch_wal(), pg_logical_emit_message(false, 'torture', %s)"
_BLOCK = bytes(1024 * 1024)


class DiskFull:
    """A small file system is filled to the last byte under load, and space comes back later."""

    name = "disk full"

    def __init__(self, place: Place) -> None:
        """Nothing is started yet; the database is one of the fault's own."""
        self._place = place
        self._disk = place.folder / "disk"
        self._is_mounted = False
        self._postgres: Postgres | None = None
        self._urls = Urls("", "")
        self._server: Served | None = None
        self._load: Load | None = None
        self._restarts = 0

    async def prepare(self) -> None:
        """A PostgreSQL on a small file system, a server with a book, under load. Only root may mount one."""
        self._is_mounted = await asyncio.to_thread(self._mounted)
        if not self._is_mounted:
            return
        self._postgres = Postgres(self._disk / "postgres", _SMALL_WAL)
        await asyncio.to_thread(self._postgres.start)
        self._urls = await asyncio.to_thread(self._postgres.database, "torture")
        self._server = Served(self._urls.server, self._place.folder)
        await asyncio.to_thread(self._server.start)
        await open_book(self._server.address)
        self._load = Load([self._server.address], self._place.lots)
        self._load.start()

    def _mounted(self) -> bool:
        self._disk.mkdir()
        options = f"size={_MEGABYTES}m,mode=0711"
        mount = ["mount", "-t", "tmpfs", "-o", options, "session-ledger-torture", str(self._disk)]
        return os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0

    async def disturb(self) -> None:
        """No space until clients were refused; then space again, and PostgreSQL where it gave up."""
        if self._load is None or self._postgres is None:
            return
        await self._load.answered(20)
        ballast = self._disk / "ballast"
        await asyncio.to_thread(_fill, ballast)
        if self._place.lots.random() < 0.5:
            await asyncio.to_thread(self._use_up_log)
        before = self._load.told.failures.total()
        while self._load.told.failures.total() < before + 10:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(self._place.lots.random())
        ballast.unlink()
        if not await asyncio.to_thread(self._postgres.runs):
            self._restarts += 1
            await asyncio.to_thread(self._postgres.start)
        await self._load.answered(100)

    def _use_up_log(self) -> None:
        """Makes PostgreSQL need new files for its log too, where it otherwise has some in reserve."""
        with suppress(psycopg.OperationalError), connected(self._urls.owner) as connection:
            for turn in range(_LOG_FILES):
                connection.execute(_ANOTHER_LOG_FILE, [str(turn)])

    async def check(self, tried: int) -> Outcome:
        """As after any fault: what was refused is not there, and what was acknowledged is whole."""
        if self._load is None:
            return Outcome(0, Verdict(), figures=["not tried: only root may mount a small file system"])
        told = await self._load.finish()
        figure = f"PostgreSQL gave up and was started again {self._restarts} times"
        return await asyncio.to_thread(outcome_of, self._urls.owner, told, tried, figure)

    async def close(self) -> None:
        """Ends the server and PostgreSQL, and takes the file system away."""
        if self._server is not None:
            self._server.close()
        if self._postgres is not None:
            await asyncio.to_thread(self._postgres.close)
        if self._is_mounted:
            await asyncio.to_thread(subprocess.run, ["umount", str(self._disk)], check=True)


def _fill(path: Path) -> None:
    """Writes until nothing more fits, in blocks and then in bytes."""
    with path.open("wb", buffering=0) as file:
        for size in (len(_BLOCK), 4096):
            with suppress(OSError):
                while file.write(_BLOCK[:size]):
                    continue
