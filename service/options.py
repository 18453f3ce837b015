"""Options that commands share."""

from typing import Annotated

import typer

Book = Annotated[str | None, typer.Option(help="The book to work on. Where it is left out: LEDGER_BOOK, or main.")]
