"""What stands in the records of a BAI2 file: codes, amounts, counts, days. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ledger.errors import CurrencyUnknown
from ledger.money import fraction_digits

_AMOUNT = re.compile(r"[+-]?[0-9]{1,18}")
_COUNT = re.compile(r"[0-9]{1,9}")


@dataclass(slots=True)
class Record:
    """A record with its continuations (88): the fields of each line."""

    code: str
    lines: list[str]

    def fields(self) -> list[str]:
        """All fields, where none of them is free text."""
        return [one.strip() for line in self.lines for one in line.split(",")]

    def field(self, place: int) -> str:
        """One field, empty where it is not there."""
        fields = self.fields()
        return fields[place] if place < len(fields) else ""


def currency_of(currency: str) -> str | None:
    """A currency of ISO 4217, or None."""
    try:
        fraction_digits(currency.upper())
    except CurrencyUnknown:
        return None
    return currency.upper()


def sign_of(code: str) -> int | None:
    """+1 for a credit, -1 for a debit, by the ranges of BAI2's type codes."""
    if not (len(code) == 3 and code.isascii() and code.isdigit()):
        return None
    if "100" <= code < "400" or "920" <= code < "960":
        return 1
    return -1 if "400" <= code < "700" or "960" <= code <= "999" else None


def taken_apart(record: Record) -> tuple[str, int | None, Sequence[str]]:
    """A line's type code, its amount, and its bank reference with the lines of its text.

    What stands between depends on the funds type: amounts by availability, a value date, a distribution.
    """
    places = [(one, number) for number, line in enumerate(record.lines) for one in line.split(",")]
    fields = [one.strip() for one, _ in places] + [""] * 3
    code, funds = fields[0], fields[2].upper()
    extra = {"S": 3, "V": 2}.get(funds, 0)
    if funds == "D":
        extra = 1 + 2 * (count_of(fields[3]) or 0)
    at = 3 + extra
    reference = fields[at] if at < len(places) else ""
    rest = places[at + 2 :]
    numbers = sorted({number for _, number in rest})
    text = [",".join(one for one, number in rest if number == each) for each in numbers]
    return code, amount_of(fields[1]), [reference, *text]


def status_amounts(fields: Sequence[str]) -> Iterator[int | None]:
    """The amounts of an account's header (03): type code, amount, count, funds type, and what that brings."""
    at = 0
    while at < len(fields):
        amount = fields[at + 1] if at + 1 < len(fields) else ""
        funds = fields[at + 3].upper() if at + 3 < len(fields) else ""
        if amount:
            yield amount_of(amount)
        at += 4 + {"S": 3, "V": 2}.get(funds, 0)
        if funds == "D":
            at += 1 + 2 * (count_of(fields[at]) or 0 if at < len(fields) else 0)


def amount_of(text: str) -> int | None:
    """Whole minor units in plain digits, or None: nothing is ever guessed."""
    return int(text) if _AMOUNT.fullmatch(text) and text.isascii() else None


def count_of(text: str) -> int | None:
    """A count in plain digits, or None."""
    return int(text) if _COUNT.fullmatch(text) and text.isascii() else None


def told(number: int | None) -> str:
    """A number for people."""
    return "nothing that can be read" if number is None else str(number)
