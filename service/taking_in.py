"""Files that a command takes in one after the other: how far it is, and which of them are refused."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import fields
from ledger.database import engine
from ledger.errors import NotThere, Refusal
from reconciliation.files import Files
from service.noting import system_user
from service.printing import printable

T = TypeVar("T")
Told = Callable[[int], None]
Ingest = Callable[[AsyncEngine, Files, str, str, str, IO[bytes], Told], Awaitable[T]]
"""Takes one file in: where, under which keys, the book, the file's name, who, the file, and who watches."""
Count = Callable[[IO[bytes]], int | None]
"""How much there is to do in a file; None where it cannot be read, which its refusal will say."""


async def taken_in(
    url: str, kept: Files, book: str, paths: Sequence[Path], ingest: Ingest[T], count: Count
) -> tuple[list[T], list[str]]:
    """What became of each file, and a sentence for each that is refused, after which the next one goes on.

    Raises BookNotFound.
    """
    database, console = engine(url), Console()
    done: list[T] = []
    refused: list[str] = []
    try:
        for path in paths:
            try:
                with path.open("rb") as file, _bar(console, path, file, count) as told:
                    done.append(await ingest(database, kept, book, file_name(path), system_user(), file, told))
            except NotThere:
                raise
            except (Refusal, OSError) as refusal:
                refused.append(f"{file_name(path)} is not taken in: {what_is_wrong(refusal)}")
    finally:
        await database.dispose()
    return done, refused


@contextmanager
def _bar(console: Console, path: Path, file: IO[bytes], count: Count) -> Iterator[Told]:
    """A bar over what is in a file, where a person watches."""
    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*parts, console=console, transient=True, disable=not console.is_terminal) as progress:
        total = count(file) if console.is_terminal else None
        task = progress.add_task(Text(file_name(path)).markup, total=total)
        yield lambda steps: progress.advance(task, steps)


def file_name(path: Path) -> str:
    """The file's name as the books can keep it: printable, and not longer than a name may be."""
    return printable(path.name.encode("utf-8", "replace").decode())[-fields.NAME_LENGTH :]


def what_is_wrong(refusal: Refusal | OSError) -> str:
    """What is wrong, with the facts that the sentence does not already tell."""
    if isinstance(refusal, OSError):
        return refusal.strerror or type(refusal).__name__
    untold = {name: fact for name, fact in refusal.facts.items() if fact not in refusal.message}
    facts = ", ".join(f"{name} {fact}" for name, fact in untold.items())
    return f"{refusal.message} ({facts})" if facts else refusal.message
