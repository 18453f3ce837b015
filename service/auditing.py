"""`ledger audit`: what auditors keep, take away, and judge by themselves."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import fields
from ledger.audit import bundle, store
from ledger.audit.bundle import Advance
from ledger.audit.checkpoint import Signing
from ledger.audit.evidence import Wrong
from ledger.audit.servicer import checkpoint
from ledger.audit.tying import Kept
from ledger.audit.verify import Verified, verify
from ledger.database import reading
from service import settings
from service.connecting import looked_up, reached, refuse_unmigrated, run, signing_of
from service.noting import noted, system_user
from service.options import Book

audit = typer.Typer(help="Sign checkpoints, write bundles for auditors, and judge them.", no_args_is_help=True)


@audit.command("key")
def key_command(book: Book = None) -> None:
    """Print the public keys that check a book's checkpoints: first the one that signs, then those before it.

    Whoever audits keeps them, and compares what a bundle brings with them.

    Example: ledger audit key --book CA-PC
    """
    known = settings.read()
    wanted = fields.book_name(book or known.book)
    used = looked_up(store.verifiers, wanted)
    given = [str(one) for one in signing_of(known).verifiers(wanted)]
    for one in [*given, *(other for other in used if other not in given)]:
        print(one)


@audit.command("checkpoint")
def checkpoint_command(
    reason: Annotated[str, typer.Option(help="What it is for.")],
    book: Book = None,
    output: Annotated[Path | None, typer.Option(help="The file to write, instead of showing it.")] = None,
) -> None:
    """Sign how many entries a book has and the root of the tree over them, and show the signed text.

    Keep it where nobody who runs these books can change it. What is verified later is verified against it.

    Example: ledger audit checkpoint --reason "audit of 2026" --output 2026.checkpoint
    """
    known = settings.read()
    wanted, why = fields.book_name(book or known.book), fields.required("--reason", reason, fields.TEXT_LENGTH)
    with noted("audit checkpoint", wanted), reached(known) as urls:
        refuse_unmigrated(urls.server)
        signing = signing_of(known)
        kept, _ = run(urls.server, checkpoint, wanted, signing, system_user(), why)
    if output is None:
        print(kept.note, end="")
    else:
        output.write_text(kept.note, encoding="utf-8")


@audit.command("export")
def export_command(
    output: Annotated[Path, typer.Option(help="The file to write; one that is there is replaced.")],
    book: Book = None,
    first: Annotated[int, typer.Option("--from", help="The number of the first entry.")] = 1,
    last: Annotated[
        int | None, typer.Option("--to", help="The number of the last entry; the head's if left out.")
    ] = None,
) -> None:
    """Write entries and all that proves them into one file, which ledger audit verify judges without a database.

    Entries are taken by their numbers, which are the order of recording. Where a period is meant, the numbers come
    from ledger report statement or ListEntries: what is back-dated into it was recorded later.

    Example: ledger audit export --book CA-PC --output CA-PC-2026.bundle
    """
    known = settings.read()
    wanted = fields.book_name(book or known.book)
    unfinished = output.with_name(f"{output.name}.unfinished")
    with noted("audit export", wanted), reached(known) as urls:
        refuse_unmigrated(urls.server)
        try:
            first, last = run(urls.server, _export, wanted, first, last, signing_of(known), unfinished)
            unfinished.replace(output)
        finally:
            unfinished.unlink(missing_ok=True)
    print(f"{max(0, last - first + 1)} entries of book {wanted}, from {first} to {last}, are in {output}")


async def _export(
    database: AsyncEngine, book: str, first: int, last: int | None, signing: Signing, path: Path
) -> tuple[int, int]:
    async with reading(database) as connection:
        extent = await bundle.extent(connection, book, first, last)
        await _write(connection, book, extent, [str(one) for one in signing.verifiers(book)], path)
    return extent


async def _write(
    connection: AsyncConnection, book: str, extent: tuple[int, int], keys: list[str], path: Path
) -> None:
    with shown("exporting") as begun:
        advance = begun(max(0, extent[1] - extent[0] + 1))
        await bundle.write(connection, book, *extent, keys, path, advance)


@audit.command("verify")
def verify_command(
    file: Annotated[Path, typer.Argument(metavar="BUNDLE", help="What ledger audit export has written.")],
    kept: Annotated[
        list[Path] | None, typer.Option("--checkpoint", help="A checkpoint that you have kept; may be said often.")
    ] = None,
    keys: Annotated[
        list[str] | None, typer.Option("--key", help="A public key that you trust; may be said often.")
    ] = None,
) -> None:
    """Judge a bundle: every hash, the chain, numbers, balances, totals, proofs and signatures. Needs no database.

    The first thing that is wrong is said with its place, and the exit code is not zero. With a checkpoint that you
    have kept, it is proved that the books have only grown since. Without a key that you trust, signatures are
    checked by the keys that the bundle brings, which prove nothing about who signed.

    Example: ledger audit verify CA-PC-2026.bundle --checkpoint 2025.checkpoint
    """
    notes = [Kept(path.name, path.read_text(encoding="utf-8", errors="replace")) for path in kept or ()]
    try:
        with shown("verifying") as begun:
            found = verify(file, notes, keys or (), processes=_processes(), begun=begun)
    except Wrong as wrong:
        print(f"{file.name}: {wrong}")
        raise typer.Exit(1) from None
    for line in _told(found, len(notes)):
        print(line)


def _processes() -> int:
    return min(os.cpu_count() or 1, 8)


def _told(found: Verified, kept: int) -> Iterator[str]:
    count = max(0, found.last - found.first + 1)
    yield f"book {found.book} ({found.name}): {count} entries, from {found.first} to {found.last}, are sound"
    if found.covered >= found.first:
        yield f"signed up to entry {found.covered}, by {_many(len(found.signed))}"
    else:
        yield "no checkpoint signs any of them: nothing but the hashes themselves ties them to the book"
    if found.covered < found.last and found.covered >= found.first:
        yield f"what follows entry {found.covered} is signed by no checkpoint yet"
    if found.first > 1:
        yield f"what stood before entry {found.first} is as the bundle says; a bundle from entry 1 proves it"
    if kept:
        yield f"the book has only grown since {_many(kept)} that you have kept"
    if not found.pinned:
        yield "signatures were checked by the keys in the bundle: compare them with those that you know (--key)"


def _many(count: int) -> str:
    return f"{count} checkpoint{'s' * (count != 1)}"


@contextmanager
def shown(what: str) -> Iterator[Callable[[int], Advance]]:
    """A bar on the terminal, where there is one, for so many entries."""
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: lambda _: None
        return
    progress = Progress(*columns, console=console, transient=True)

    def begun(count: int) -> Advance:
        progress.start()  # and its thread, not before others were forked
        bar = progress.add_task(f"{what} {count:,} entries", total=count)
        return lambda done: progress.advance(bar, done)

    try:
        yield begun
    finally:
        progress.stop()
