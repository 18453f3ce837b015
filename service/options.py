"""Options that commands share."""

from typing import Annotated

import typer

from ledger import money
from ledger.errors import AmountInvalid
from ledger.money import Amount

Book = Annotated[str | None, typer.Option(help="The book to work on. Where it is left out: LEDGER_BOOK, or main.")]


def amount(option: str, value: str, currency: str) -> Amount:
    """An amount in plain digits, such as 50.00. Raises AmountInvalid, AmountTooPrecise or CurrencyUnknown."""
    try:
        return money.amount(value, currency)
    except AmountInvalid:
        raise AmountInvalid(f"{option} is an amount such as 50.00, not {value[:20]!r}", field=option) from None


def claim_payment(value: str) -> tuple[str, int] | None:
    """`REMITTANCE:LINE` taken apart; None where it is no such pair. What is no number is line 0."""
    remittance, colon, line = value.rpartition(":")
    if not colon:
        return None
    return remittance, int(line) if line.isascii() and line.isdigit() and len(line) < 10 else 0
