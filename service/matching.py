"""`ledger match`: what people say of claim payments, asked of the same service that callers ask over gRPC."""

from collections.abc import Iterable
from typing import Annotated
from uuid import uuid4

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import fields
from ledger.reads import Reads
from ledger.v1 import money_pb2
from reconciliation.matches.servicer import MatchesServicer
from reconciliation.v1 import matches_pb2 as pb
from reconciliation.v1 import worklist_pb2 as wl
from reconciliation.worklist.servicer import WorklistServicer
from service import settings
from service.calling import CONTEXT, called
from service.connecting import files_of
from service.options import Book, amount, claim_payment
from service.paying import money, word
from service.printing import printable

commands = typer.Typer(
    help="Say which claims a payment in suspense is for, what a reversal takes back, or that a match was wrong.",
    epilog="A payment is named by its exception, or as REMITTANCE:LINE. Repeating a command under its own "
    "--idempotency-key does nothing twice.",
    no_args_is_help=True,
)
_WHOLE_PAGE = 1_000
_Payment = Annotated[str, typer.Argument(metavar="PAYMENT", help="Its exception, or REMITTANCE:LINE.")]
_Number = Annotated[int, typer.Argument(help="The number of the match, as `ledger match list` prints it.", min=1)]
_Reason = Annotated[str, typer.Option(help="Why, for the auditor.")]
_Key = Annotated[str, typer.Option(help="A key of your own: the same command again under it does nothing twice.")]


@commands.command("set")
def set_match(
    payment: _Payment,
    claims: Annotated[
        list[str], typer.Argument(help="The claim; or several with what each gets, such as C1=60.00 C2=40.00.")
    ],
    reason: _Reason,
    book: Book = None,
    currency: Annotated[str, typer.Option(help="The currency of the amounts.")] = "USD",
    idempotency_key: _Key = "",
) -> None:
    """Say which claims a payment in suspense is for. Above the limit it waits for a second person.

    Example: ledger match set 0a3c1c57-6f0e-5d53-9a06-0f5f4f0f4a11 C1 --reason "the payer told us by phone"
    """
    parts = [_part(one, currency) for one in claims]

    async def work(database: AsyncEngine, chosen: str) -> pb.ClaimMatch:
        remittance, line = await _place(database, chosen, payment)
        request = pb.MatchClaimPaymentRequest(
            book=chosen,
            remittance=remittance,
            line=line,
            parts=parts,
            reason=reason,
            idempotency_key=idempotency_key or str(uuid4()),
        )
        return (await _service(database).MatchClaimPayment(request, CONTEXT)).match

    _print([called("match set", book, work)])


@commands.command("reversal")
def reverse(
    payment: _Payment,
    original: Annotated[str, typer.Argument(help="REMITTANCE:LINE of the payment that it takes back.")],
    reason: _Reason,
    book: Book = None,
    idempotency_key: _Key = "",
) -> None:
    """Say which payment a reversal in suspense takes back. Above the limit it waits for a second person.

    Example: ledger match reversal 0a3c1c57-6f0e-5d53-9a06-0f5f4f0f4a11 5e0c94f6-6f0c-5d0f-8a54-0d6d2b0f0b6e:7
    --reason "the payer's clerk told us by phone"
    """
    if (taken := claim_payment(original)) is None:
        raise typer.BadParameter(f"REMITTANCE:LINE is wanted, not {original}", param_hint="ORIGINAL")

    async def work(database: AsyncEngine, chosen: str) -> pb.ClaimMatch:
        remittance, line = await _place(database, chosen, payment)
        request = pb.MatchReversalRequest(
            book=chosen,
            remittance=remittance,
            line=line,
            original_remittance=taken[0],
            original_line=taken[1],
            reason=reason,
            idempotency_key=idempotency_key or str(uuid4()),
        )
        return (await _service(database).MatchReversal(request, CONTEXT)).match

    _print([called("match reversal", book, work)])


@commands.command()
def undo(payment: _Payment, reason: _Reason, book: Book = None, idempotency_key: _Key = "") -> None:
    """Say that a match was wrong, be it a rule's or a person's: its money waits in suspense again.

    Example: ledger match undo 5e0c94f6-6f0c-5d0f-8a54-0d6d2b0f0b6e:7 --reason "it was the twin's claim"
    """

    async def work(database: AsyncEngine, chosen: str) -> pb.ClaimMatch:
        remittance, line = await _place(database, chosen, payment)
        key = idempotency_key or str(uuid4())
        request = pb.UnmatchClaimPaymentRequest(
            book=chosen, remittance=remittance, line=line, reason=reason, idempotency_key=key
        )
        return (await _service(database).UnmatchClaimPayment(request, CONTEXT)).match

    _print([called("match undo", book, work)])


@commands.command()
def approve(number: _Number, reason: _Reason, book: Book = None) -> None:
    """Agree to what another person has proposed: it is posted.

    Example: ledger match approve 3 --reason "seen the letter"
    """

    async def work(database: AsyncEngine, chosen: str) -> pb.ClaimMatch:
        request = pb.ApproveMatchRequest(book=chosen, number=number, reason=reason)
        return (await _service(database).ApproveMatch(request, CONTEXT)).match

    _print([called("match approve", book, work)])


@commands.command()
def decline(number: _Number, reason: _Reason, book: Book = None) -> None:
    """Do not post what was proposed; whoever has proposed it takes it back so.

    Example: ledger match decline 3 --reason "that is another patient"
    """

    async def work(database: AsyncEngine, chosen: str) -> pb.ClaimMatch:
        request = pb.DeclineMatchRequest(book=chosen, number=number, reason=reason)
        return (await _service(database).DeclineMatch(request, CONTEXT)).match

    _print([called("match decline", book, work)])


@commands.command("list")
def list_matches(
    book: Book = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only what waits for a second person.")] = False,
) -> None:
    """List what was said: number, state, payment, claims with amounts, who, entry, why.

    Example: ledger match list --waiting
    """

    async def work(database: AsyncEngine, chosen: str) -> list[pb.ClaimMatch]:
        request = pb.ListMatchesRequest(book=chosen, waiting_only=waiting, page_size=_WHOLE_PAGE)
        found: list[pb.ClaimMatch] = []
        while True:
            page = await _service(database).ListMatches(request, CONTEXT)
            found += page.matches
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    _print(called("match list", book, work))


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
    wanted = None if limit == "none" else _amount("limit", limit, currency)

    async def work(database: AsyncEngine, chosen: str) -> pb.MatchLimit:
        request = pb.SetMatchLimitRequest(book=chosen, currency=currency, amount=wanted, reason=reason)
        return (await _service(database).SetMatchLimit(request, CONTEXT)).limit

    _print_limits([called("match set-limit", book, work)])


@commands.command()
def limits(book: Book = None) -> None:
    """List what one person may match alone, by currency; without a limit any amount.

    Example: ledger match limits
    """

    async def work(database: AsyncEngine, chosen: str) -> Iterable[pb.MatchLimit]:
        request = pb.ListMatchLimitsRequest(book=chosen)
        return (await _service(database).ListMatchLimits(request, CONTEXT)).limits

    _print_limits(called("match limits", book, work))


# --- how it is done -----------------------------------------------------------------------------------


def _service(database: AsyncEngine) -> MatchesServicer:
    return MatchesServicer(database, Reads(database), files_of(settings.read()))


async def _place(database: AsyncEngine, book: str, payment: str) -> tuple[str, int]:
    """Remittance and line, as they were given or as the exception has them. Raises ExceptionNotFound."""
    if place := claim_payment(payment):
        return place
    asked = wl.GetItemRequest(book=book, id=payment)
    found = (await WorklistServicer(database, Reads(database)).GetItem(asked, CONTEXT)).item.exception
    return found.remittance, found.line


def _part(text: str, currency: str) -> pb.MatchPart:
    """`C1`, or `C1=60.00`."""
    claim, given, part = text.rpartition("=")
    return pb.MatchPart(
        claim=claim if given else text, amount=_amount("claims", part, currency) if given else None
    )


def _amount(option: str, value: str, currency: str) -> money_pb2.Money:
    found = amount(option, value, fields.currency("--currency", currency))
    return money_pb2.Money(currency_code=found.currency, minor_units=found.minor_units)


def _print(found: Iterable[pb.ClaimMatch]) -> None:
    for one in found:
        parts = " ".join(f"{part.claim} {money(part.amount)}" for part in one.parts)
        if one.original_remittance:
            parts += f" of {one.original_remittance}:{one.original_line}"
        who = f"{one.said_by} on {one.proposed_by}'s proposal" if one.proposed_by else one.said_by
        entry = f"entry {one.entry_number}" if one.entry_number else "no entry"
        place, state = f"{one.remittance}:{one.line}", word(pb.MatchState, one.state)
        print("\t".join(map(printable, (str(one.number), state, place, parts, who, entry, one.reason))))


def _print_limits(found: Iterable[pb.MatchLimit]) -> None:
    for one in found:
        alone = f"up to {money(one.amount)}" if one.HasField("amount") else "any amount"
        print(printable(f"{one.currency}: one person matches {alone} alone ({one.set_by}: {one.reason})"))
