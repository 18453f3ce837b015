"""Whose turn it is: so that large files in parallel hold up nobody else by more than one of them alone would.

Settling takes turns by book: of all chunks that are to be settled, one at a time waits for the head of the book,
and whoever posts an entry meanwhile stands behind that one only. Reading takes turns by parts of a file, for it
needs the interpreter all to itself: many threads that read would keep a server from answering.
"""

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager
from typing import IO, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.postings import journal
from ledger.postings.batch import Head

T = TypeVar("T")
PART = 1024 * 1024
"""Bytes of a file that are read at once."""

_settling: WeakKeyDictionary[Engine, defaultdict[str, asyncio.Lock]] = WeakKeyDictionary()
_reading = threading.Lock()


@asynccontextmanager
async def settling(database: AsyncEngine, book: str) -> AsyncIterator[tuple[AsyncConnection, Head]]:
    """A database transaction that holds the head, when it is this chunk's turn among those of all processes."""
    turns = _settling.setdefault(database.sync_engine, defaultdict(asyncio.Lock))
    async with turns[book], journal.posting(database, book, in_turn=True) as held:
        yield held


def parts(file: IO[bytes]) -> Iterator[bytes]:
    """The bytes of a file from its beginning on."""
    file.seek(0)
    while content := file.read(PART):
        yield content


def parts_in_turn(file: IO[bytes]) -> Generator[bytes, None, None]:
    """The same; while one part is looked at, nobody else reads. To be closed, or the turn stays with who stops."""
    for content in parts(file):
        with _reading:
            yield content


def next_in_turn(source: Iterator[T]) -> T | None:
    """What comes next, while nobody else reads; None at the end."""
    with _reading:
        return next(source, None)
