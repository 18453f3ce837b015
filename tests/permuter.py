"""A small permuter: runs actors against PostgreSQL in every order in which their steps can fall.

An actor is anything that works on a database through an engine. Before each of its steps it waits until it is its
turn; a step that waits for somebody's lock counts as begun, and the order goes on with the others. The orders are
found by running: each run records who could have gone instead, and the next one takes the last turn not yet taken.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import psycopg
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_only

from ledger.database import engine
from ledger.errors import Refusal

Work = Callable[[AsyncEngine, str], Awaitable[str]]
"""What an actor does in a book; a word for how it ended."""

_PATIENCE_SECONDS = 120
_BLOCKED = "SELECT cardinality(pg_blocking_pids(%s)) > 0"


class Steps(Enum):
    """How fine an actor's work is cut."""

    STATEMENTS = "every statement is a step"
    PHASES = "to lock the head, to read, to record and to commit are steps"
    LOCKS = "to lock the head and to commit are steps"


@dataclass(frozen=True)
class Run:
    """One order: whose turn it was, step by step, and how each actor ended."""

    turns: tuple[int, ...]
    steps: tuple[str, ...]
    ends: tuple[str, ...]

    def __str__(self) -> str:
        return f"{' · '.join(self.steps)}: {', '.join(self.ends)}"


class Actor:
    """One connection of its own, and a gate before each step."""

    def __init__(self, name: str, url: str, steps: Steps) -> None:
        """Not connected yet."""
        self.name = name
        self.engine = engine(url, pool_size=1)
        self.step = ""
        """The step before which it waits; empty while it does something, or has ended."""
        self._steps = steps
        self._phase = ""
        self._pid = 0
        self._turn = asyncio.Event()
        self._ending: asyncio.Task[str] | None = None

    async def prepare(self) -> None:
        """Connects, and puts the gate in place."""
        async with self.engine.connect() as connection:
            self._pid = int((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())
        event.listen(self.engine.sync_engine, "before_cursor_execute", self._before_statement)
        event.listen(self.engine.sync_engine, "commit", lambda _: self._wait_for_turn("commit"))

    def begin(self, work: Work, book: str) -> None:
        """Starts the work, which comes to its first gate."""
        self._phase = ""
        self._ending = asyncio.create_task(_word(work(self.engine, book)))

    @property
    def end(self) -> str:
        """How it ended; empty while it has not."""
        return self._ending.result() if self._ending is not None and self._ending.done() else ""

    def go(self) -> None:
        """Takes the step before which it waits."""
        self.step = ""
        self._turn.set()

    async def settled(self, observer: psycopg.AsyncConnection) -> None:
        """Returns when it waits at a gate, has ended, or waits for a lock that another actor holds."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not self.step and not self.end:
                row = await (await observer.execute(_BLOCKED, [self._pid])).fetchone()
                if row and row[0]:
                    return
                await asyncio.sleep(0.001)

    async def close(self) -> None:
        """Ends what is not ended, and the connection."""
        if self._ending is not None:
            self._ending.cancel()
            with suppress(asyncio.CancelledError):
                await self._ending
        await self.engine.dispose()

    def _before_statement(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        phase = " ".join(statement.split()) if self._steps is Steps.STATEMENTS else _phase(statement)
        if self._steps is not Steps.LOCKS or phase == "lock":
            self._wait_for_turn(phase)

    def _wait_for_turn(self, step: str) -> None:
        if self._steps is Steps.PHASES and step == self._phase:
            return
        self._phase = step
        await_only(self._at_gate(step))

    async def _at_gate(self, step: str) -> None:
        self._turn.clear()
        self.step = step
        await self._turn.wait()


def _phase(statement: str) -> str:
    if "FOR UPDATE" in statement:
        return "lock"
    return "read" if statement.lstrip().startswith(("SELECT", "WITH")) else "record"


async def _word(work: Awaitable[str]) -> str:
    """How work ends: its own word, the reason of a refusal, or whatever else went wrong."""
    try:
        return await work
    except Refusal as refusal:
        return refusal.reason
    except Exception as failed:  # noqa: BLE001 - an order that ends so is reported
        return f"{type(failed).__name__}: {failed}"


@dataclass
class Permuter:
    """Actors that are ready to run, once for each order."""

    actors: Sequence[Actor]
    observer: psycopg.AsyncConnection
    _untried: list[tuple[int, ...]] = field(default_factory=lambda: [()])

    async def orders(self, work: Sequence[Work], fresh: Callable[[], Awaitable[str]]) -> AsyncIterator[Run]:
        """Every order, each in a book of its own that `fresh` opens."""
        while self._untried:
            yield await self._run(self._untried.pop(), work, await fresh())

    async def _run(self, script: tuple[int, ...], work: Sequence[Work], book: str) -> Run:
        """Follows the script to its end, then takes the first who can go; others who could are tried later."""
        for actor, its in zip(self.actors, work, strict=True):
            actor.begin(its, book)
            await actor.settled(self.observer)
        turns: list[int] = []
        steps: list[str] = []
        while ready := await self._ready():
            chosen = script[len(turns)] if len(turns) < len(script) else ready[0]
            if len(turns) >= len(script):
                self._untried += [(*turns, other) for other in ready[1:]]
            assert chosen in ready, f"after {steps} it is not the turn of {self.actors[chosen].name} any more"
            turns.append(chosen)
            steps.append(f"{self.actors[chosen].name} {self.actors[chosen].step[:40]}")
            self.actors[chosen].go()
            await self._settled(self.actors[chosen])
        return Run(tuple(turns), tuple(steps), tuple(actor.end for actor in self.actors))

    async def _ready(self) -> list[int]:
        """Who waits for its turn; nobody once all have ended. Where all wait for locks, PostgreSQL ends one."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                ready = [n for n, actor in enumerate(self.actors) if actor.step]
                if ready or all(actor.end for actor in self.actors):
                    return ready
                await asyncio.sleep(0.01)
                await self._settled(self.actors[0])

    async def _settled(self, moved: Actor) -> None:
        """First who moved, then those whom that may have freed."""
        for actor in [moved, *(other for other in self.actors if other is not moved)]:
            await actor.settled(self.observer)


@asynccontextmanager
async def permuter(url: str, count: int, steps: Steps = Steps.STATEMENTS) -> AsyncIterator[Permuter]:
    """So many actors on a database."""
    async with AsyncExitStack() as stack:
        plain = url.replace("+psycopg", "", 1)
        observer = await psycopg.AsyncConnection.connect(plain, autocommit=True)
        stack.push_async_callback(observer.close)
        actors = [Actor("ABC"[n], url, steps) for n in range(count)]
        for actor in actors:
            stack.push_async_callback(actor.close)
            await actor.prepare()
        yield Permuter(actors, observer)
