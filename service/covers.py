"""`ledger cover`: who pays a claim after the payer of its sessions, on the command line."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import fields
from ledger.accounts.store import existing_book
from reconciliation import covering
from service import settings
from service.connecting import done, looked_up
from service.noting import noted, system_user
from service.options import Book
from service.printing import printable

commands = typer.Typer(help="Say or list who pays a claim after the payer of its sessions.", no_args_is_help=True)
_Claim = Annotated[str, typer.Argument(help="The claim.")]


@commands.command()
def record(
    claim: _Claim,
    payer: Annotated[str, typer.Argument(help="The payer, as the books call it.")],
    reason: Annotated[str, typer.Option(help="Why, for the auditor.")],
    rank: Annotated[int, typer.Option(help="2 is whom the first payer's rest goes to; up to 9.")] = 2,
    book: Book = None,
) -> None:
    """Say that a payer pays a claim in this rank, from now on. The same again changes nothing.

    Example: ledger cover record C1 CIGNA --rank 2 --reason "the patient's second card"
    """
    name = fields.book_name(book or settings.read().book)
    said = (fields.required("claim", claim), rank, fields.required("payer", payer))
    why = fields.required("--reason", reason, fields.TEXT_LENGTH)
    with noted("cover record", name):
        found = done(covering.say, name, *said, system_user(), why)
    _print([found])


@commands.command("list")
def list_covers(claim: _Claim, book: Book = None) -> None:
    """List who pays a claim by rank: claim, rank, payer, who said so, why.

    Example: ledger cover list C1
    """
    name = fields.book_name(book or settings.read().book)
    with noted("cover list", name):
        _print(looked_up(_covers, name, fields.required("claim", claim)))


async def _covers(connection: AsyncConnection, book: str, claim: str) -> Sequence[Row[Any]]:
    await existing_book(connection, book)
    return await covering.covers(connection, book, [claim])


def _print(found: Sequence[Row[Any]]) -> None:
    for one in found:
        told = (one.claim, str(one.payer_rank), one.payer, one.said_by, one.reason)
        print("\t".join(map(printable, told)))
