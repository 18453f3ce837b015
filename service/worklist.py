"""`ledger worklist`: what waits for people, asked of the same service that callers ask over gRPC."""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.reads import Reads
from ledger.v1 import money_pb2, write_offs_pb2
from ledger.write_offs.servicer import WriteOffsServicer
from reconciliation.reasons import ExceptionReason
from reconciliation.v1 import reconciliation_pb2
from reconciliation.v1 import worklist_pb2 as pb
from reconciliation.worklist.servicer import WorklistServicer
from service.calling import CONTEXT, called
from service.options import Book, amount
from service.paying import money, table, word
from service.printing import print_table, printable

commands = typer.Typer(
    help="What waits for people: list it, look at it, say whose it is and what becomes of it.",
    epilog="An item is named by its id, as the list shows it, and changed in the version that was seen: of two "
    "who change the same version, the first wins and the other is told. Repeating a command changes nothing more.",
    no_args_is_help=True,
)
_WHOLE_PAGE = 1_000
_Id = Annotated[str, typer.Argument(metavar="ITEM", help="The item's id.")]
_Version = Annotated[int, typer.Option(min=1, help="The version that was seen, as list and show print it.")]
_Note = Annotated[str, typer.Option(help="Why, for whoever looks at it later.")]
_Effective = Annotated[str, typer.Option("--day", help="The day on which it counts, YYYY-MM-DD; today (UTC).")]
_Day = Annotated[str, typer.Option(help="The day to which age is counted, YYYY-MM-DD; today (UTC) if left out.")]


class State(StrEnum):
    """Which items are meant."""

    OPEN = "open"
    CLOSED = "closed"


@commands.command("list")
def list_items(
    book: Book = None,
    state: Annotated[State, typer.Option(help="Those that wait, or those that are done with.")] = State.OPEN,
    reason: Annotated[ExceptionReason | None, typer.Option(help="Only for this reason.")] = None,
    owner: Annotated[str, typer.Option(help="Only this person's.")] = "",
    unowned: Annotated[bool, typer.Option("--unowned", help="Only those that are nobody's.")] = False,
    payer: Annotated[str, typer.Option(help="Only this payer's, as the list names it.")] = "",
    claim: Annotated[str, typer.Option(help="Only those on this claim of the books.")] = "",
    least_age: Annotated[int, typer.Option(min=0, help="Only those at least so many days old.")] = 0,
    least: Annotated[str, typer.Option(help="Only where at least so much is at stake, such as 250.00.")] = "",
    currency: Annotated[str, typer.Option(help="The currency of --least.")] = "USD",
    as_of: _Day = "",
) -> None:
    """List what waits for people, oldest first: reason, payer, claim, amount, age, owner, version, id.

    Example: ledger worklist list --unowned --least-age 7 --least 250.00
    """
    request = pb.ListItemsRequest(
        state=pb.ItemState.Value(f"ITEM_STATE_{state.upper()}"),
        payer=payer,
        claim=claim,
        as_of=as_of or _today(),
        least_age_days=least_age,
        page_size=_WHOLE_PAGE,
        **_narrowed(reason, owner, unowned=unowned, least=least, currency=currency),
    )

    async def work(database: AsyncEngine, chosen: str) -> list[pb.Item]:
        request.book = chosen
        return [one async for one in _pages(_service(database), request)]

    print_items(called("worklist list", book, work))


@commands.command()
def show(item: _Id, book: Book = None, as_of: _Day = "") -> None:
    """Show one item and all that became of it: who, when, what, why.

    Example: ledger worklist show 5f0c8f6e-5b0e-5d0e-9f3b-0d6f3f6f2c11
    """

    async def work(database: AsyncEngine, chosen: str) -> pb.GetItemResponse:
        request = pb.GetItemRequest(book=chosen, id=item, as_of=as_of or _today())
        return await _service(database).GetItem(request, CONTEXT)

    found = called("worklist show", book, work)
    print_items([found.item])
    print(printable(found.item.exception.detail))
    for one in found.history:
        print(_event(one))


@commands.command()
def assign(
    item: _Id,
    version: _Version,
    to: Annotated[str, typer.Option(help="Whose it is from now on; nobody's if left out.")] = "",
    note: Annotated[str, typer.Option(help="Why.")] = "",
    book: Book = None,
) -> None:
    """Say whose an item is, or that it is nobody's.

    Example: ledger worklist assign 5f0c8f6e-5b0e-5d0e-9f3b-0d6f3f6f2c11 --version 1 --to mia
    """

    async def work(database: AsyncEngine, chosen: str) -> pb.AssignItemResponse:
        about = _about("assign", item, version, note)
        return await _service(database).AssignItem(pb.AssignItemRequest(book=chosen, owner=to, **about), CONTEXT)

    print(_event(called("worklist assign", book, work).event))


@commands.command()
def close(item: _Id, version: _Version, note: _Note, book: Book = None) -> None:
    """Close an item about which nothing need be posted. It stays closed until something else is at stake.

    Example: ledger worklist close 5f0c8f6e-5b0e-5d0e-9f3b-0d6f3f6f2c11 --version 2 --note "the new fee schedule"
    """

    async def work(database: AsyncEngine, chosen: str) -> pb.CloseItemResponse:
        about = _about("close", item, version, note)
        return await _service(database).CloseItem(pb.CloseItemRequest(book=chosen, **about), CONTEXT)

    print(_event(called("worklist close", book, work).event))


@commands.command("send-back")
def send_back(item: _Id, version: _Version, note: _Note, book: Book = None) -> None:
    """Close an item because the payer, or the bank, has to answer first. Nothing is posted.

    Example: ledger worklist send-back 5f0c8f6e-5b0e-5d0e-9f3b-0d6f3f6f2c11 --version 2 --note "letter 4711"
    """

    async def work(database: AsyncEngine, chosen: str) -> pb.SendBackItemResponse:
        about = _about("send-back", item, version, note)
        return await _service(database).SendBackItem(pb.SendBackItemRequest(book=chosen, **about), CONTEXT)

    print(_event(called("worklist send-back", book, work).event))


@commands.command()
def absorb(item: _Id, version: _Version, note: _Note, book: Book = None, day: _Effective = "") -> None:
    """Take the loss of a denial, and close its item. The provider keeps what was earned.

    Example: ledger worklist absorb 5f0c8f6e-5b0e-5d0e-9f3b-0d6f3f6f2c11 --version 2 --note "filed too late"
    """

    async def work(database: AsyncEngine, chosen: str) -> pb.AbsorbItemResponse:
        about = _about("absorb", item, version, note) | {"effective_date": day or _today()}
        return await _service(database).AbsorbItem(pb.AbsorbItemRequest(book=chosen, **about), CONTEXT)

    print(_event(called("worklist absorb", book, work).event))


@commands.command("write-off")
def write_off(item: _Id, version: _Version, note: _Note, book: Book = None, day: _Effective = "") -> None:
    """Give up the small rest that a payer left open, never more than the cap, and close its item.

    Example: ledger worklist write-off 5f0c8f6e-5b0e-5d0e-9f3b-0d6f3f6f2c11 --version 1 --note "no letter for 3.00"
    """

    async def work(database: AsyncEngine, chosen: str) -> pb.WriteOffItemResponse:
        about = _about("write-off", item, version, note) | {"effective_date": day or _today()}
        return await _service(database).WriteOffItem(pb.WriteOffItemRequest(book=chosen, **about), CONTEXT)

    print(_event(called("worklist write-off", book, work).event))


@commands.command("set-cap")
def set_cap(
    most: Annotated[str, typer.Argument(help="The largest rest that may be written off, such as 5.00; 0: none.")],
    reason: Annotated[str, typer.Option(help="Why, for the auditor.")],
    currency: Annotated[str, typer.Option(help="The currency of the amount.")] = "USD",
    book: Book = None,
) -> None:
    """Say how much may be written off of a claim at once. Until somebody does, nothing may.

    Example: ledger worklist set-cap 5.00 --reason "a letter costs more"
    """
    units = amount("most", most, currency).minor_units

    async def work(database: AsyncEngine, chosen: str) -> write_offs_pb2.SetWriteOffCapResponse:
        cap = money_pb2.Money(currency_code=currency, minor_units=units)
        request = write_offs_pb2.SetWriteOffCapRequest(book=chosen, most=cap, reason=reason)
        return await WriteOffsServicer(database).SetWriteOffCap(request, CONTEXT)

    _print_caps([called("worklist set-cap", book, work).cap])


@commands.command()
def caps(book: Book = None) -> None:
    """Show how much may be written off of a claim at once, by currency.

    Example: ledger worklist caps
    """

    async def work(database: AsyncEngine, chosen: str) -> write_offs_pb2.ListWriteOffCapsResponse:
        request = write_offs_pb2.ListWriteOffCapsRequest(book=chosen)
        return await WriteOffsServicer(database).ListWriteOffCaps(request, CONTEXT)

    _print_caps(called("worklist caps", book, work).caps)


# --- how it is asked and how it looks -----------------------------------------------------------------


def _service(database: AsyncEngine) -> WorklistServicer:
    return WorklistServicer(database, Reads(database))


def _about(verb: str, item: str, version: int, note: str) -> dict[str, Any]:
    """What is said of an item; the same said again is the same request."""
    key = f"worklist {verb} {item} {version}"[:200]
    return {"id": item, "version": version, "note": note, "idempotency_key": key}


def _narrowed(
    reason: ExceptionReason | None, owner: str, *, unowned: bool, least: str, currency: str
) -> dict[str, Any]:
    if owner and unowned:
        raise typer.BadParameter("say --owner or --unowned, not both")
    found: dict[str, Any] = {"owner": owner} if owner else {"unowned": True} if unowned else {}
    if reason is not None:
        found["reason"] = reconciliation_pb2.ExceptionReason.Value(f"EXCEPTION_REASON_{reason.upper()}")
    if least:
        units = amount("--least", least, currency).minor_units
        found["least"] = money_pb2.Money(currency_code=currency, minor_units=units)
    return found


async def _pages(service: WorklistServicer, request: pb.ListItemsRequest) -> Any:
    while True:
        page = await service.ListItems(request, CONTEXT)
        for one in page.items:
            yield one
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return


def print_items(items: Iterable[pb.Item]) -> None:
    """Prints items as a table, and how many there are."""
    shown = table("reason", "payer", "claim", "trace", "owner", "item", right=("amount", "days", "version"))
    for one in items:
        about = one.exception
        texts = (one.payer, about.claim or about.claim_as_sent, one.trace, about.owner, about.id)
        at_stake = money(about.amount) if about.HasField("amount") else ""
        cells = (word(reconciliation_pb2.ExceptionReason, about.reason), *map(printable, texts), at_stake)
        shown.add_row(*map(Text, (*cells, f"{one.age_days:,}", str(one.version))))
    print_table(shown)
    print(f"{len(shown.rows):,} {'item' if len(shown.rows) == 1 else 'items'}")


def _event(one: pb.ItemEvent) -> str:
    day = one.said_at.ToDatetime(UTC).strftime("%Y-%m-%d %H:%M")
    whose = f" to {one.owner or 'nobody'}" if one.change == pb.ITEM_CHANGE_ASSIGNED else ""
    entry = f" (entry {one.entry_number})" if one.entry_number else ""
    told = f"{one.version}  {day}  {word(pb.ItemChange, one.change)}{whose} by {one.said_by}"
    return printable(f"{told}{': ' if one.note else ''}{one.note}{entry}")


def _print_caps(found: Iterable[write_offs_pb2.WriteOffCap]) -> None:
    for one in found:
        print(printable(f"{money(one.most)}  version {one.version} by {one.set_by}: {one.reason}"))


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
