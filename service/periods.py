"""`ledger period`: the months of a book on the command line."""

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import fields
from ledger.accounts.store import existing_book
from ledger.money import Amount
from ledger.periods import closing, messages, store
from ledger.periods.closing import Answer, Closing
from ledger.periods.period import LONGEST_LIMIT, Override, Period, last_day, written
from reconciliation.waiting import old_exceptions
from service import settings
from service.connecting import done, looked_up, signing_of
from service.noting import noted, system_user
from service.options import Book
from service.printing import grouped, print_table, printable

commands = typer.Typer(help="Close the months of a book, and look at what was closed.", no_args_is_help=True)

Month = Annotated[str, typer.Argument(help="YYYY-MM.")]
Reason = Annotated[str, typer.Option(help="Why, for the auditor.")]
Days = Annotated[
    int, typer.Option(help=f"What is older than so many days stands in the way: 0 to {LONGEST_LIMIT}.")
]
_ALL = 10_000


@commands.command("list")
def list_command(
    book: Book = None,
    history: Annotated[bool, typer.Option("--history", help="With versions that no longer count.")] = False,
) -> None:
    """List the months that were ever closed or soft-closed, with who did it and why.

    Example: ledger period list --history
    """
    wanted = _book(book)
    for found in looked_up(_listed, wanted, history):
        said = (
            written(found.month),
            found.state.replace("_", "-"),
            str(found.version),
            found.set_by,
            found.reason,
        )
        print("\t".join(map(printable, said)))


@commands.command("show")
def show(month: Month, book: Book = None) -> None:
    """Show a month as it stands, and what was frozen where it is closed.

    Example: ledger period show 2026-04
    """
    wanted, its_month = _book(book), fields.month("month", month)
    found = looked_up(_shown, wanted, its_month)
    state = found.state.replace("_", "-")
    by = f" by {printable(found.set_by)}: {printable(found.reason)}" if found.version else ""
    print(f"{month} of {wanted} is {state}{by}")
    if found.close:
        print(f"frozen after entry {found.after_entry} under hash {found.close.hash.hex()}")
        _print_frozen(found)


@commands.command("check")
def check(month: Month, book: Book = None, days: Days = LONGEST_LIMIT) -> None:
    """Show what stands in the way of closing a month, and the trial balance that would be frozen.

    Nothing is recorded. The exit code is not zero while something stands in the way.

    Example: ledger period check 2026-04
    """
    asked = _closing(_book(book), month, "looked at", days, None)
    found = _done("period check", asked.book, closing.foreseen, asked, old_exceptions).period
    _print_frozen(found)
    raise typer.Exit(1 if found.close and found.close.findings else 0)


@commands.command("soft-close")
def soft_close(month: Month, reason: Reason, book: Book = None) -> None:
    """Let only the finance team post into a month from now on, each entry with a reason.

    Example: ledger period soft-close 2026-04 --reason "all sessions of April are in"
    """
    wanted, its_month = _book(book), fields.month("month", month)
    its_reason = messages.reason(reason)
    _done("period soft-close", wanted, closing.soft_close, wanted, its_month, its_reason, system_user())
    print(f"{month} of {wanted} is soft-closed")


@commands.command("close")
def close(
    month: Month,
    reason: Reason,
    book: Book = None,
    days: Days = LONGEST_LIMIT,
    override_by: Annotated[str, typer.Option(help="Who takes responsibility for what stands in the way.")] = "",
    override_reason: Annotated[str, typer.Option(help="Why it may be closed all the same.")] = "",
) -> None:
    """Close a month: nothing may be effective in it any more, and its trial balance is frozen.

    A month is reopened by two people: one proposes it through the service, and another approves.

    Example: ledger period close 2026-04 --reason "reconciled to the bank"
    """
    override = None
    if override_by or override_reason:
        override = messages.override("--override-by", override_by, "--override-reason", override_reason)
    asked = _closing(_book(book), month, messages.reason(reason), days, override)
    signing = signing_of(settings.read())
    found = _done("period close", asked.book, closing.close, asked, old_exceptions, signing).period
    assert found.close is not None
    print(f"{month} of {asked.book} is closed after entry {found.after_entry} under hash {found.close.hash.hex()}")


def _book(book: str | None) -> str:
    return fields.book_name(book or settings.read().book)


def _closing(book: str, month: str, reason: str, days: int, override: Override | None) -> Closing:
    its_month = fields.month("month", month)
    return Closing(book, its_month, reason, system_user(), messages.limit_days("--days", days), override)


def _done(command: str, book: str, work: Callable[..., Awaitable[Answer]], *asked: object) -> Answer:
    """What is done with a month, with its line in the log."""
    with noted(command, book):
        return done(work, *asked)


async def _listed(connection: AsyncConnection, book: str, history: bool) -> list[Period]:
    await existing_book(connection, book)
    found = await store.find(connection, book, None, _ALL, history=history)
    known = await store.in_force(connection, book)
    return found if history else [one.within(known) for one in found]


async def _shown(connection: AsyncConnection, book: str, month: date) -> Period:
    await existing_book(connection, book)
    found = await store.current(connection, book, month, await store.in_force(connection, book))
    return await store.frozen(connection, book, found)


def _print_frozen(found: Period) -> None:
    """What was found, then the trial balance."""
    assert found.close is not None
    for one in found.close.findings:
        print(f"in the way: {printable(str(one))}, {one.days} days")
    title = f"trial balance as of {last_day(found.month)}, after entry {found.after_entry}"
    table = Table(title=Text(title), title_justify="left")
    for heading in ("account", "currency"):
        table.add_column(heading, overflow="fold")
    for heading in ("debits", "credits", "balance"):
        table.add_column(heading, justify="right", overflow="fold")
    for row in found.close.balances:
        units = row.debits, row.credits, row.debits - row.credits
        table.add_row(row.account, row.currency, *(grouped(Amount(one, row.currency)) for one in units))
    print_table(table)
