"""Reads the single fields of a request: texts, names, dates and choices. Each refuses by the field's own name."""

import re
from collections.abc import Mapping
from datetime import date
from typing import TypeVar
from uuid import UUID

from ledger.errors import (
    ChoiceInvalid,
    CurrencyUnknown,
    DateInvalid,
    FieldMissing,
    MonthInvalid,
    NumberInvalid,
    TextInvalid,
)
from ledger.money import fraction_digits

Choice = TypeVar("Choice")

NAME_LENGTH = 100
"""Longest party, claim, session or other name."""
TEXT_LENGTH = 500
"""Longest description or reason."""
KEY_LENGTH = 200
"""Longest idempotency key."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_LAST_MONTH = "9999-12"
_BOOK = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,39}")


def required(field: str, value: str, limit: int = NAME_LENGTH) -> str:
    """A text that must be there. Raises FieldMissing or TextInvalid."""
    if not value.strip():
        raise FieldMissing(f"{field} is required", field=field)
    return text(field, value, limit)


def text(field: str, value: str, limit: int = NAME_LENGTH) -> str:
    """A text of at most `limit` characters, all printable. Raises TextInvalid."""
    if len(value) > limit:
        raise TextInvalid(f"{field} is longer than {limit} characters", field=field, limit=limit)
    if not value.isprintable():
        raise TextInvalid(f"{field} holds characters that cannot be printed", field=field, limit=limit)
    return value


def optional(field: str, value: str, limit: int = NAME_LENGTH) -> str | None:
    """A text that may be absent: an empty one is None."""
    return text(field, value, limit) if value else None


def uuid(field: str, value: str) -> UUID:
    """A UUID that must be there. Raises FieldMissing or TextInvalid."""
    try:
        return UUID(required(field, value))
    except ValueError:
        raise TextInvalid(f"{field} is not a UUID", field=field, limit=36) from None


def book_name(value: str) -> str:
    """The name of a book: letters, digits and dashes, at most 40. Raises FieldMissing or TextInvalid."""
    required("book", value)
    if not _BOOK.fullmatch(value):
        raise TextInvalid("book is letters, digits and dashes, at most 40", field="book", limit=40)
    return value


def day(field: str, value: str) -> date:
    """A date that must be there, written YYYY-MM-DD. Raises FieldMissing or DateInvalid."""
    if not value:
        raise FieldMissing(f"{field} is required", field=field)
    if not _DATE.fullmatch(value):
        raise DateInvalid(f"{field} is not written YYYY-MM-DD: {value[:20]!r}", field=field, value=value[:20])
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise DateInvalid(f"{field} is not a day of the calendar: {value}", field=field, value=value) from None


def optional_day(field: str, value: str) -> date | None:
    """A date that may be absent: an empty one is None."""
    return day(field, value) if value else None


def month(field: str, value: str) -> date:
    """The first day of a month that must be there, written YYYY-MM. Raises FieldMissing or MonthInvalid.

    December 9999 is none: no month comes after it.
    """
    if not value:
        raise FieldMissing(f"{field} is required", field=field)
    if not _MONTH.fullmatch(value) or value.startswith("0000") or value == _LAST_MONTH:
        raise MonthInvalid(
            f"{field} is not a month written YYYY-MM: {value[:20]!r}", field=field, value=value[:20]
        )
    return date.fromisoformat(f"{value}-01")


def number(field: str, value: int) -> int:
    """The number of an entry, or 0 for before the first. Raises NumberInvalid."""
    if value < 0:
        raise NumberInvalid(f"{field} is the number of an entry, or 0, not {value}", field=field, value=value)
    return value


def currency(field: str, value: str) -> str:
    """A currency of ISO 4217 that is in use. Raises CurrencyUnknown."""
    try:
        fraction_digits(value)
    except CurrencyUnknown as unknown:
        raise CurrencyUnknown(unknown.message, field=field, currency=value) from None
    return value


def choice(field: str, value: int, known: Mapping[int, Choice]) -> Choice | None:
    """One of a field's choices; None where the caller makes none. Raises ChoiceInvalid."""
    if value and value not in known:
        raise ChoiceInvalid(f"{field} {value} is no choice that this version knows", field=field, value=value)
    return known.get(value)
