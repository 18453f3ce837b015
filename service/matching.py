"""`ledger match`: what people say of claim payments, and of matches that were wrong, on the command line."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar
from uuid import UUID, uuid4

import typer
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import fields
from ledger.accounts.store import existing_book
from ledger.money import Amount, plain
from ledger.postings import journal
from reconciliation import store as mail
from reconciliation.matches import deciding, store, undoing
from reconciliation.matches.hand_match import HandMatch
from service import settings
from service.connecting import done, files_of, looked_up
from service.noting import noted, system_user
from service.options import Book, amount
from service.printing import printable

T = TypeVar("T")
_PAGE = 1_000

commands = typer.Typer(
    help="Say which claims a payment in suspense is for, or that a match was wrong.", no_args_is_help=True
)
_Remittance = Annotated[str, typer.Argument(help="The remittance's id, as `ledger report exceptions` prints it.")]
_Line = Annotated[int, typer.Argument(help="The number of the claim payment within it.", min=1)]
_Number = Annotated[int, typer.Argument(help="The number of the match, as `ledger match list` prints it.", min=1)]
_Reason = Annotated[str, typer.Option(help="Why, for the auditor.")]
_Key = Annotated[str, typer.Option(help="A key of your own: the same command again under it does nothing twice.")]


@commands.command("set")
def set_match(
    remittance: _Remittance,
    line: _Line,
    claims: Annotated[
        list[str], typer.Argument(help="The claim; or several with what each gets, such as C1=60.00 C2=40.00.")
    ],
    reason: _Reason,
    book: Book = None,
    idempotency_key: _Key = "",
) -> None:
    """Say which claims a payment in suspense is for. Above the limit it waits for a second person.

    Example: ledger match set 5e0c94f6-6f0c-5d0f-8a54-0d6d2b0f0b6e 7 C1 --reason "the payer told us by phone"
    """
    name, id_ = _book(book), fields.uuid("remittance", remittance)
    with noted("match set", name):
        currency = looked_up(_currency, name, id_)
        asked = deciding.Asked(
            remittance=id_,
            line=line,
            parts=tuple(_part(one, currency) for one in claims),
            reason=_text(reason),
            idempotency_key=_key(idempotency_key),
            said_by=system_user(),
        )
        word, _ = done(deciding.match, files_of(settings.read()), name, asked)
    _print([word])


@commands.command()
def undo(
    remittance: _Remittance, line: _Line, reason: _Reason, book: Book = None, idempotency_key: _Key = ""
) -> None:
    """Say that a match was wrong, be it a rule's or a person's: its money waits in suspense again.

    Example: ledger match undo 5e0c94f6-6f0c-5d0f-8a54-0d6d2b0f0b6e 7 --reason "it was the twin's claim"
    """
    name = _book(book)
    id_, key = fields.uuid("remittance", remittance), _key(idempotency_key)
    asked = undoing.Asked(id_, line, _text(reason), key, system_user())
    _print([_done("undo", undoing.unmatch, name, asked)[0]])


@commands.command()
def approve(number: _Number, reason: _Reason, book: Book = None) -> None:
    """Agree to what another person has proposed: it is posted.

    Example: ledger match approve 3 --reason "seen the letter"
    """
    with noted("match approve", _book(book)):
        files = files_of(settings.read())
        word = done(deciding.approve, files, _book(book), number, _text(reason), system_user())
    _print([word])


@commands.command()
def decline(number: _Number, reason: _Reason, book: Book = None) -> None:
    """Do not post what was proposed; whoever has proposed it takes it back so.

    Example: ledger match decline 3 --reason "that is another patient"
    """
    _print([_done("decline", deciding.decline, _book(book), number, _text(reason), system_user())])


@commands.command("list")
def list_matches(
    book: Book = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only what waits for a second person.")] = False,
) -> None:
    """List what was said: number, state, remittance, line, claims with amounts, who, entry, why.

    Example: ledger match list --waiting
    """
    name = _book(book)
    with noted("match list", name):
        _print(looked_up(_listed, name, waiting))


@commands.command("set-limit")
def set_limit(
    limit: Annotated[str, typer.Argument(help="What one person may match alone, such as 1000.00; or: none.")],
    reason: _Reason,
    currency: Annotated[str, typer.Option(help="The currency of the amount.")] = "USD",
    book: Book = None,
) -> None:
    """Say above which amount a second person is needed, from now on.

    Example: ledger match set-limit 1000.00 --reason "controls of 2026"
    """
    money = None if limit == "none" else amount("limit", limit, fields.currency("--currency", currency))
    wanted = money and money.minor_units
    row = _done("set-limit", _limited, _book(book), currency, wanted, _text(reason), system_user())
    print(f"{row.currency}: one person matches {'any amount' if money is None else f'up to {money}'} alone")


# --- how it is done -----------------------------------------------------------------------------------


async def _currency(connection: AsyncConnection, book: str, remittance: UUID) -> str:
    await existing_book(connection, book)
    row = await mail.existing(connection, book, remittance)
    return (row and row.currency) or "USD"  # what is not there, or has none, is refused when it is matched


async def _listed(connection: AsyncConnection, book: str, waiting: bool) -> list[HandMatch]:
    await existing_book(connection, book)
    words: list[HandMatch] = []
    while page := await store.find(
        connection, book, None, words[-1].number if words else 0, _PAGE, waiting=waiting
    ):
        words += page
    return words


async def _limited(
    database: AsyncEngine, book: str, currency: str, amount: int | None, reason: str, actor: str
) -> Row[Any]:
    async with journal.posting(database, book) as (connection, head):
        return await store.set_limit(connection, head, currency, amount, reason, actor)


def _done(command: str, work: Callable[..., Awaitable[T]], book: str, *asked: Any) -> T:
    with noted(f"match {command}", book):
        return done(work, book, *asked)


def _part(text: str, currency: str) -> tuple[str, Amount | None]:
    """`C1`, or `C1=60.00`."""
    claim, given, part = text.rpartition("=")
    if not given:
        return fields.required("claims", text), None
    return fields.required("claims", claim), amount("claims", part, currency)


def _print(words: list[HandMatch]) -> None:
    for one in words:
        parts = " ".join(f"{part.claim}={plain(part.amount, one.currency)}" for part in one.parts)
        who = f"{one.said_by} on {one.proposed_by}'s proposal" if one.proposed_by else one.said_by
        entry = f"entry {one.entry_number}" if one.entry_number else "no entry"
        told = (str(one.number), one.state, str(one.remittance), str(one.line), parts, who, entry, one.reason)
        print("\t".join(map(printable, told)))


def _key(value: str) -> str:
    return fields.text("--idempotency-key", value, fields.KEY_LENGTH) or str(uuid4())


def _book(value: str | None) -> str:
    return fields.book_name(value or settings.read().book)


def _text(value: str) -> str:
    return fields.required("--reason", value, fields.TEXT_LENGTH)
