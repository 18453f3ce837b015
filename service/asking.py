"""The `ledger report` command: which report, of what, and how it is written."""

from pathlib import Path
from typing import Annotated

import typer

from service import forms, reporting, settings
from service.connecting import looked_up
from service.noting import noted
from service.options import Book
from service.printing import Format
from service.questions import QUESTIONS


def report_command(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(QUESTIONS)}.")],
    book: Book = None,
    as_of: Annotated[
        str | None, typer.Option(help="Last day that counts, YYYY-MM-DD; today (UTC) if left out.")
    ] = None,
    as_known_at: Annotated[
        str | None, typer.Option(help="What was known then: a time, or an entry's number; all if left out.")
    ] = None,
    account: Annotated[
        str | None, typer.Option(help="Of a statement: the account. Of the general ledger: it and all below.")
    ] = None,
    item: Annotated[str | None, typer.Option(help="Of a statement: the open item, such as a claim.")] = None,
    effective_from: Annotated[
        str | None, typer.Option(help="The first day, YYYY-MM-DD, of a statement, a period or a list.")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Of receivables-aging: payer, provider, plan or state. "
            "Of session-margin: payer, plan, state, licence-type or month. "
            "Of automatic-rate: payer, month or rule. May be said again."
        ),
    ] = None,
    actor: Annotated[str | None, typer.Option(help="Of entries-by-actor: whose.")] = None,
    days: Annotated[str | None, typer.Option(help="Of back-dated-entries: more than so many days.")] = None,
    provider: Annotated[str | None, typer.Option(help="Of a provider's statement: the provider.")] = None,
    cycle: Annotated[str | None, typer.Option(help="Of a provider's statement: the cycle's cut-off.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How it is written.")] = Format.TABLE,
    output: Annotated[Path | None, typer.Option(help="The file to write, instead of showing it.")] = None,
) -> None:
    """Print a report, with control totals that tie it to the accounts.

    The exit code is not zero where a control total does not tie.

    Example: ledger report receivables-aging --as-of 2026-03-31 --format csv
    """
    narrowed = {"account": account, "item": item, "effective_from": effective_from, "actor": actor, "days": days}
    narrowed |= {"provider": provider, "cycle": cycle}
    wanted = reporting.asked(name, book or settings.read().book, as_of, as_known_at, narrowed, by or ())
    with noted(f"report {name}", wanted.book), forms.written(form, output) as writer:
        controls = looked_up(reporting.write, wanted, writer)
    reporting.refuse_untied(controls)
