"""`ledger allowance`: what a month needs for denials, shown or posted, from the command line or a timer."""

from datetime import date
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import caller, fields
from ledger.allowances import act
from ledger.money import Amount
from ledger.periods.period import last_day
from ledger.v1 import allowances_pb2 as pb
from ledger.v1 import money_pb2
from service import settings
from service.connecting import done, looked_up
from service.noting import noted, system_user
from service.options import Book
from service.printing import grouped, print_table, printable

app = typer.Typer(
    help="Allowances for denials: what a month needs under the policy in force.", no_args_is_help=True
)
Month = Annotated[str, typer.Argument(help="The month, YYYY-MM.")]


@app.command()
def preview(month: Month, book: Book = None) -> None:
    """Show what would be posted for a month, with the rates behind it. Records nothing.

    Example: ledger allowance preview 2026-06
    """
    wanted, day = fields.book_name(book or settings.read().book), last_day(fields.month("month", month))
    with noted("allowance preview", wanted):
        _show(looked_up(act.preview, wanted, day))


@app.command()
def post(month: Month, book: Book = None) -> None:
    """Post the allowance of a month that is over, and its reversal on the first of the next.

    Once a month: again it posts nothing and shows the same, so that a timer may run it.

    Example: ledger allowance post 2026-06 --book CA-PC
    """
    wanted, day = fields.book_name(book or settings.read().book), last_day(fields.month("month", month))
    with noted("allowance post", wanted):
        found, replayed = done(_post, wanted, day)
    _show(found)
    before = " before" if replayed else ""
    print(f"posted{before} as entry {found.entry.number}, taken back by entry {found.reversal.number}")


async def _post(database: AsyncEngine, book: str, day: date) -> tuple[pb.Allowance, bool]:
    """In the name of the system's user."""
    caller.actor.set(system_user())
    return await act.post(database, book, day)


def _show(found: pb.Allowance) -> None:
    table = Table(title=Text(f"Allowance for denials of {found.month}"), title_justify="left")
    for heading in ("payer", "days", "claims then", "open then", "absorbed since", "open now", "allowance"):
        table.add_column(heading, justify="left" if heading == "payer" else "right", overflow="fold")
    for rate in found.rates:
        table.add_row(
            printable(rate.payer),
            f"{rate.from_days} to {rate.to_days}" if rate.to_days else f"from {rate.from_days}",
            f"{rate.history_claims}{', too few' if rate.history_too_short else ''}",
            *map(_shown, (rate.history_open, rate.history_absorbed, rate.open, rate.allowance)),
        )
    print_table(table)
    for one in found.payers:
        needed, standing, true_up = map(_shown, (one.needed, one.standing, one.true_up))
        print(f"{printable(one.payer)}: needed {needed}, standing {standing}, true-up {true_up}")


def _shown(money: money_pb2.Money) -> str:
    return f"{grouped(Amount(money.minor_units, money.currency_code))} {money.currency_code}"
