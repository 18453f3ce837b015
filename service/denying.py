"""`ledger denial`: what became of denials, and what people decide on them, on the command line."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Annotated, Any, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import fields
from ledger.accounts.store import existing_book
from ledger.money import plain
from ledger.postings import journal
from reconciliation import deciding, denial_store
from reconciliation.denials import Denial, Policy, State
from service import settings
from service.connecting import done, looked_up
from service.noting import noted, system_user
from service.options import Book, amount

T = TypeVar("T")

commands = typer.Typer(
    help="List denials; appeal, resubmit or absorb them, one by one or by a policy.", no_args_is_help=True
)
_Claim = Annotated[str, typer.Argument(help="The claim.")]
_Payer = Annotated[str, typer.Argument(help="The payer that has denied it, as the books call it.")]
_Reason = Annotated[str, typer.Option(help="Why, for the auditor.")]
_Day = Annotated[str | None, typer.Option(help="The day on which it counts, YYYY-MM-DD; today (UTC) if left out.")]
_MOST = 1_000


@commands.command("list")
def list_denials(
    book: Book = None,
    state: Annotated[State | None, typer.Option(help="Only those that stand so.")] = None,
    as_of: _Day = None,
) -> None:
    """List denials: claim, payer, state, days since it was denied, what it left open, codes.

    Example: ledger denial list --state denied
    """
    name, day = _book(book), _day(as_of)
    with noted("denial list", name):
        rows = looked_up(_found, name, [state] if state else None)
    for row in rows:
        one = denial_store.denial(row)
        age = denial_store.age(row.denied_on, day)
        print(f"{one.claim}\t{one.payer}\t{one.state}\t{age}\t{_left(one)}\t{' '.join(one.codes)}")


@commands.command()
def appeal(claim: _Claim, payer: _Payer, reason: _Reason, book: Book = None, day: _Day = None) -> None:
    """The payer is asked to think again.

    Example: ledger denial appeal C1 AETNA --reason "records sent"
    """
    _say(_done("appeal", deciding.send, _book(book), claim, payer, State.APPEALED, _day(day), _text(reason)))


@commands.command()
def resubmit(claim: _Claim, payer: _Payer, reason: _Reason, book: Book = None, day: _Day = None) -> None:
    """The claim is sent again, corrected.

    Example: ledger denial resubmit C1 AETNA --reason "modifier 95 added"
    """
    _say(_done("resubmit", deciding.send, _book(book), claim, payer, State.RESUBMITTED, _day(day), _text(reason)))


@commands.command()
def absorb(claim: _Claim, payer: _Payer, reason: _Reason, book: Book = None, day: _Day = None) -> None:
    """The company takes the loss; the provider keeps what was earned. Refused above the limit for one person.

    Example: ledger denial absorb C1 AETNA --reason "filed too late, no appeal"
    """
    _say(_done("absorb", deciding.absorb, _book(book), claim, payer, _day(day), _text(reason)))


@commands.command("set-policy")
def set_policy(
    name: Annotated[str, typer.Argument(help="The name of the policy.")],
    code: Annotated[list[str], typer.Option(help="A code such as CO-29, or a whole group: CO. May be repeated.")],
    largest: Annotated[str, typer.Option(help="A denial that leaves more open is not absorbed, such as 50.00.")],
    age_days: Annotated[int, typer.Option(help="Days since the denial.", min=0, max=3650)],
    reason: _Reason,
    payer: Annotated[str, typer.Option(help="Only this payer's; of all payers if left out.")] = "",
    currency: Annotated[str, typer.Option(help="The currency of the amount.")] = "USD",
    on: Annotated[bool, typer.Option("--on/--off", help="Whether it may be applied.")] = False,
    book: Book = None,
) -> None:
    """Say which denials are absorbed without a decision on each. Off until it is switched on.

    Example: ledger denial set-policy late --code CO-29 --largest 50.00 --age-days 90 --reason "no appeal left"
    """
    money = amount("--largest", largest, fields.currency("--currency", currency))
    codes = tuple(fields.required("--code", one, 10) for one in code)
    wanted = Policy(
        fields.required("name", name), on, codes, payer, money.currency, money.minor_units, age_days, _text(reason)
    )
    _done("set-policy", _set_policy, _book(book), wanted)
    print(f"policy {name} is {'on' if on else 'off'}")


@commands.command("apply-policy")
def apply_policy(
    name: Annotated[str, typer.Argument(help="The name of the policy.")],
    dry_run: Annotated[
        bool, typer.Option(help="Say what it would absorb, be it on or off; record nothing.")
    ] = False,
    book: Book = None,
    day: _Day = None,
) -> None:
    """Absorb what a policy covers: each denial once, within the limits for one person.

    Example: ledger denial apply-policy late --dry-run
    """
    found, more = _done("apply-policy", _applied, _book(book), name, _day(day), not dry_run)
    for one in found:
        outcome = one.refusal or (f"entry {one.entry_number}" if one.entry_number else "would be absorbed")
        amount = f"{plain(one.amount.minor_units, one.amount.currency)} {one.amount.currency}"
        print(f"{one.denial.claim}\t{one.denial.payer}\t{amount}\t{outcome}")
    if more:
        print("there are more: run it again")


# --- how it is done -----------------------------------------------------------------------------------


async def _found(connection: AsyncConnection, book: str, states: list[State] | None) -> list[Any]:
    await existing_book(connection, book)
    rows: list[Any] = []
    while page := await denial_store.latest(connection, book, states, _after(rows), _MOST):
        rows += page
    return rows


def _after(rows: list[Any]) -> tuple[str, str]:
    return (rows[-1].claim, rows[-1].payer) if rows else ("", "")


async def _set_policy(database: AsyncEngine, book: str, wanted: Policy, actor: str) -> None:
    async with journal.posting(database, book) as (connection, _):
        versions = {row.name: row.version for row in await denial_store.policies(connection, book)}
        written = replace(wanted, version=versions.get(wanted.name, 0) + 1, set_by=actor)
        await denial_store.set_policy(connection, book, written)


async def _applied(
    database: AsyncEngine, book: str, name: str, day: date, record: bool, actor: str
) -> tuple[list[deciding.PolicyOutcome], bool]:
    return await deciding.apply(database, book, name, day, actor, record=record)


def _done(command: str, work: Callable[..., Awaitable[T]], book: str, *asked: Any) -> T:
    """Does it in the name of the system's user, in books that are guarded."""
    with noted(f"denial {command}", book):
        return done(work, book, *asked, system_user())


def _say(one: Denial) -> None:
    print(f"{one.claim}\t{one.payer}\t{one.state}\t{_left(one)}")


def _left(one: Denial) -> str:
    return f"{plain(one.open, one.currency)} {one.currency}"


def _book(value: str | None) -> str:
    return fields.book_name(value or settings.read().book)


def _day(value: str | None) -> date:
    return fields.day("the day", value) if value is not None else datetime.now(UTC).date()


def _text(value: str) -> str:
    return fields.required("--reason", value, fields.TEXT_LENGTH)
