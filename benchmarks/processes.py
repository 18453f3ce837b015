"""The processes that are measured: PostgreSQL and the program's server, each with what it costs."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from ledger.database import migrate
from service.postgres import Urls, embedded

ROOT = Path(__file__).resolve().parents[1]
LEDGER, ECHO = "service", "benchmarks.echo"
"""Modules that are the program, and the program without a ledger."""
_PATIENCE_SECONDS = 60
_LAST_LINES = 12


class BenchFailed(Exception):
    """Nothing can be said of this run; the message says what went wrong."""


class Family:
    """A process and its descendants, those that have ended included."""

    def __init__(self, pid: int) -> None:
        """Nothing is read yet."""
        self._eldest = psutil.Process(pid)

    def cpu_seconds(self) -> float:
        """What all of them have used so far, as user and in the kernel.

        The eldest comes last: what a child had used when it ended is counted there.
        """
        return sum(map(_cpu_seconds, [*self._eldest.children(recursive=True), self._eldest]))

    def resident_bytes(self) -> int:
        """The memory that they hold; shared pages count in each."""
        return sum(map(_resident_bytes, [*self._eldest.children(recursive=True), self._eldest]))


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0
    return times.user + times.system + times.children_user + times.children_system


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


@contextmanager
def postgres(folder: Path) -> Iterator[tuple[Urls, Family]]:
    """The PostgreSQL that comes with the program, as the program sets it up, with the ledger's tables."""
    folder.chmod(0o711)  # PostgreSQL's own user must pass where the bench runs as root
    with embedded(folder / "postgres") as urls:
        migrate(urls.owner)
        pid = int((folder / "postgres" / "cluster" / "data" / "postmaster.pid").read_text().split()[0])
        yield urls, Family(pid)


@contextmanager
def serving(module: str, url: str, folder: Path) -> Iterator[tuple[str, Family]]:
    """A server in a process of its own, as `ledger serve` starts it; yields its address."""
    log = folder / f"{module}.log"
    with log.open("ab") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", module, "serve", "--insecure", "--listen", "127.0.0.1:0"],
            cwd=ROOT,
            env=_environment(url),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=written,
            text=True,
        )
    try:
        assert process.stdout is not None
        said = re.match(r"serving on (\S+);", process.stdout.readline())
        if said is None:
            ending = log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
            raise BenchFailed("\n".join(["the server did not start:", *ending]))
        yield said[1], Family(process.pid)
    finally:
        process.terminate()
        process.wait(_PATIENCE_SECONDS)


def _environment(url: str) -> dict[str, str]:
    """Our own environment, but of the ledger's settings only the database: all others as they come."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEDGER_")}
    return kept | {"LEDGER_DATABASE_URL": url, "PYTHONUNBUFFERED": "1"}
