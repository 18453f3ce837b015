"""`ledger candidates`: which claims suspended money may be about, for people to look at. Nothing is posted."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import fields
from ledger.money import Amount
from ledger.reads import Reads
from ledger.v1 import money_pb2
from reconciliation.candidates_servicer import listed
from reconciliation.files import Files
from reconciliation.v1 import candidates_pb2 as pb
from service import settings
from service.connecting import files_of, reached, refuse_unmigrated, run
from service.noting import noted
from service.options import Book, claim_payment
from service.printing import grouped, print_table, printable

_SIGNS = {pb.AGREEMENT_AGREES: "=", pb.AGREEMENT_NEAR: "~", pb.AGREEMENT_DIFFERS: "≠"}
_MOST = 20


def candidates_command(
    about: Annotated[
        str,
        typer.Argument(
            metavar="EXCEPTION|REMITTANCE:LINE",
            help="The id of an exception, as in `ledger report exceptions`, or a remittance and a line of it.",
        ),
    ],
    book: Book = None,
    most: Annotated[int, typer.Option("--most", min=1, max=100, help="Candidates to show.")] = _MOST,
) -> None:
    """Show which claims a payment in suspense may be about, the likeliest first, with what speaks for each.

    In the last column = agrees, ~ is near and ≠ differs. Below stand open claims (of a deposit: remittances) that
    add up to what was paid, and in how many ways they do. Nothing is posted from any of it: a person decides.

    Example: ledger candidates 0197a9c2-7f3e-5d1a-9b1c-3a5e7c9d1f20
    """
    name = fields.book_name(book or settings.read().book)
    asked = pb.ListCandidatesRequest(book=name, page_size=most)
    if place := claim_payment(about):
        asked.remittance, asked.line = place
    else:
        asked.exception = about
    known = settings.read()
    with noted("candidates", name), reached(known) as urls:
        refuse_unmigrated(urls.server)
        _print(run(urls.server, _asked, files_of(known), asked))


async def _asked(
    database: AsyncEngine, files: Files, asked: pb.ListCandidatesRequest
) -> pb.ListCandidatesResponse:
    return await listed(database, Reads(database), files, asked)


def _print(found: pb.ListCandidatesResponse) -> None:
    print(printable(" · ".join(_sought(found.sought))))
    if found.candidates:
        print_table(_table(found))
    shown, tied = len(found.candidates), found.candidates[0].tied_count if found.candidates else 0
    more = ", more with --most" if found.next_page_token else ""
    if found.sought.claim_as_sent or found.compared_count:
        print(f"{shown} shown of {found.compared_count} claims compared{more}")
    if tied:
        print(f"the first has the same score as {tied} more: the score does not tell them apart")
    for line in _combinations(found):
        print(printable(line))


def _sought(sought: pb.SoughtPayment) -> Iterator[str]:
    yield sought.payer or f"unknown payer {sought.payer_name}".rstrip()
    if sought.claim_as_sent:
        yield f"claim as sent {sought.claim_as_sent}"
    yield f"paid {_money(sought.paid)}"
    if sought.HasField("charge"):
        yield f"charge {_money(sought.charge)}"
    yield " ".join([*sought.service_dates, *sought.service_codes])


def _table(found: pb.ListCandidatesResponse) -> Table:
    table = Table()
    for heading, justify in (("score", "right"), ("claim", "left"), ("rule", "left"), ("open", "right")):
        table.add_column(heading, justify="right" if justify == "right" else "left", overflow="fold")
    table.add_column("what speaks for it", overflow="fold")
    for one in found.candidates:
        told = "\n".join([*_evidence(one), *map(_original, one.originals)])
        cells = (str(one.score), printable(one.claim), one.rule, _money(one.open))
        table.add_row(*map(Text, cells), Text("\n".join(map(printable, told.splitlines()))))
    return table


def _evidence(one: pb.Candidate) -> Iterator[str]:
    for each in one.evidence:
        yield f"{_SIGNS[each.agreement]} {each.fact}: {each.detail}"


def _original(one: pb.Original) -> str:
    return (
        f"may take back {one.remittance}:{one.line}, {_money(one.paid)} on {one.payment_date}, trace {one.trace}"
    )


def _combinations(found: pb.ListCandidatesResponse) -> Iterator[str]:
    if not found.combination_count:
        yield "no combination of what is open adds up to it"
        return
    least = "at least " if found.combination_count_is_least else ""
    ways = "1 combination" if found.combination_count == 1 else f"{found.combination_count:,} combinations"
    yield f"{least}{ways} of what is open add up to it, {len(found.combinations)} of them:"
    for one in found.combinations:
        parts = " + ".join(f"{part.name} {_money(part.amount)}" for part in one.parts)
        yield f"  {one.rule}: {parts}"


def _money(amount: money_pb2.Money) -> str:
    return f"{grouped(Amount(amount.minor_units, amount.currency_code))} {amount.currency_code}"
