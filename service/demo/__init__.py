"""`ledger demo`: the whole story on books of its own, which are gone afterwards.

A PostgreSQL, a server and a client, real ones, in a temporary folder and on free ports of this machine. Real
books are never touched: the settings are not even read.
"""

import asyncio
import logging
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import grpc
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.audit import integrity
from ledger.database import engine, migrate, reading
from ledger.reports import export, report
from ledger.reports.financial import BALANCE_SHEET
from ledger.reports.report import Question, columns
from service import server
from service.demo.client import Client
from service.demo.story import AS_OF, Story
from service.postgres import Urls, embedded
from service.printing import About, Tables, sentence
from service.questions import EXCEPTIONS, RECEIVED

BOOK = "demo"
_SHOWN = 15
_INTERRUPTED = 130
_WORKLIST = replace(EXCEPTIONS, columns=columns("reason payer claim_as_sent currency amount:money detail"))
_OF_BOOKS = (*report.QUESTIONS, BALANCE_SHEET)
_REFEREES: tuple[tuple[str, Callable[[str], list[str]]], ...] = (
    ("beancount", lambda file: ["bean-check", file]),
    ("hledger", lambda file: ["hledger", "-f", file, "check", "--strict"]),
)


def run() -> int:
    """Tells the story and prints the reports; 0 where every control total ties and the books are sound."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    began, noticed = time.perf_counter(), list[int]()
    signal.signal(signal.SIGINT, lambda number, _: noticed.append(number))
    try:
        with tempfile.TemporaryDirectory(prefix="session-ledger-demo-") as folder:
            Path(folder).chmod(0o711)  # PostgreSQL's own user must pass where the demo runs as root
            with embedded(Path(folder) / "postgres") as urls:
                doubts = _run_on(urls, Path(folder), noticed)
    except (KeyboardInterrupt, asyncio.CancelledError):
        noticed.append(signal.SIGINT)
    except grpc.aio.AioRpcError as refused:
        doubts = [f"the server refused: {refused.details()}"]
    if noticed:
        print("Stopped before the end. What was started is stopped, and its files are removed.")
        return _INTERRUPTED
    return _closed(doubts, time.perf_counter() - began)


def _run_on(urls: Urls, folder: Path, noticed: list[int]) -> list[str]:
    """Ctrl-C is noticed, and cancels the story: an exception raised just anywhere could be swallowed there."""
    try:
        print("A PostgreSQL of the demo's own is running; it and its files are removed at the end.", flush=True)
        migrate(urls.owner)
        if noticed:
            return []
        doubts = asyncio.run(_told(urls.server, folder, noticed))
        for name, command in _REFEREES:
            doubts += _refereed(name, command(str(_journal(folder, name))))
        return doubts
    finally:  # from here on nothing interrupts the clean stop
        signal.signal(signal.SIGINT, signal.SIG_IGN)


async def _told(url: str, folder: Path, noticed: list[int]) -> list[str]:
    """The story by a client of a real server, then the reports; returns what is not as it must be."""
    telling = asyncio.current_task()
    assert telling is not None

    def interrupted() -> None:
        noticed.append(signal.SIGINT)
        telling.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupted)
    running = await server.start(url, "127.0.0.1:0")
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel:
            story = Story(Client(channel, BOOK))
            await story.tell()
        return [*story.doubts, *await _reported(url, folder)]
    finally:
        await running.stop(0)


async def _reported(url: str, folder: Path) -> list[str]:
    database = engine(url)
    try:
        async with reading(database) as connection:
            doubts = await _reports(connection)
            doubts += await _unsound(connection)
            for name, _ in _REFEREES:
                await _write(connection, name, _journal(folder, name))
            return doubts
    finally:
        await database.dispose()


async def _reports(connection: AsyncConnection) -> list[str]:
    doubts = []
    for question in (*_OF_BOOKS, RECEIVED, _WORKLIST):
        print()
        doubts += await _report(connection, question)
    print()
    return doubts


async def _report(connection: AsyncConnection, question: Question) -> list[str]:
    """Prints a report, a long worklist only in part; returns the control totals that do not tie.

    The mail room's own reports are of today: the story plays in its own year, but its mail came just now.
    """
    day = date.fromisoformat(AS_OF) if question in _OF_BOOKS else datetime.now(UTC).date()
    found = await report.ask(connection, question, BOOK, day)
    shown = replace(found, rows=found.rows[:_SHOWN]) if question is _WORKLIST else found
    tables = Tables(sys.stdout)
    tables.begin(About(question.name, BOOK, day, shown.known, shown.columns))
    tables.rows(shown.rows)
    tables.end(shown.totals, shown.controls)
    if len(shown.rows) < len(found.rows):
        print(f"the first {_SHOWN} of {len(found.rows)} exceptions are shown; the total is of all of them")
    return [sentence(control) for control in found.controls if not control.ties]


async def _unsound(connection: AsyncConnection) -> list[str]:
    """Everything that `ledger check` would find."""
    found = await integrity.faults(connection)
    found += await integrity.found_by(connection, "reconciliation.reports", "integrity.sql")
    if not found:
        print("- integrity checked: the books are recomputed from their entries and are sound")
    return [str(fault) for fault in found]


def _journal(folder: Path, name: str) -> Path:
    return folder / f"{BOOK}.{name}"


async def _write(connection: AsyncConnection, name: str, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        async for line in export.lines(connection, BOOK, name):
            file.write(f"{line}\n")


def _refereed(name: str, command: list[str]) -> list[str]:
    """Lets another program check the books' export, with the balance of every account in it."""
    program = shutil.which(command[0]) or shutil.which(command[0], path=str(Path(sys.executable).parent))
    if program is None:
        print(f"- exported for {name}, unchecked: {command[0]} is not installed here")
        return []
    said = subprocess.run([program, *command[1:]], check=False, capture_output=True, text=True)
    if said.returncode:
        return [f"{command[0]} refuses the export: {(said.stdout + said.stderr).strip()[:1000]}"]
    print(f"- exported for {name}: {command[0]} accepts every entry and the balance of every account")
    return []


def _closed(doubts: list[str], seconds: float) -> int:
    print()
    for doubt in doubts:
        print(f"NOT AS IT MUST BE: {doubt}")
    if not doubts:
        print("All control totals tie, and the books are sound.")
    print(f"The demo took {seconds:.1f} seconds. Its server and its database are stopped and removed.")
    return 1 if doubts else 0
