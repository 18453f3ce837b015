"""What may stand in an element: numbers and dates, X12's two plain types, codes and names.

An amount is ASCII digits or none (`decimal`); what stands in a code's place may be a patient's name.

Pure: no I/O, no clock, no logging.
"""

import hashlib
import re
from datetime import date
from decimal import Decimal
from functools import lru_cache

LONGEST_NAME = 100  # characters of a claim id, trace, payer or other name; the 835 itself allows 60
_KEPT = 60  # of a longer one
NO_CODE = "?"
_CODE = re.compile(r"[A-Za-z]{1,2}|[A-Za-z]{0,2}[0-9]{1,4}[A-Za-z]?")
_LONGEST_CODE = 7
_DECIMAL = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
MOST_DIGITS = 18
LONGEST_DECIMAL = MOST_DIGITS + 2  # with a minus and a point
_REMEMBERED = 16_384  # codes that are looked at once for all the times they come


def decimal(text: str) -> Decimal | None:
    """X12's number type R, strictly: an optional minus, digits, at most one point. Anything else is None.

    No exponent, plus sign, separator, blank, NaN or Infinity; at most 18 digits. Exact.
    """
    if len(text) > LONGEST_DECIMAL or not _DECIMAL.fullmatch(text):
        return None
    if len(text) > MOST_DIGITS and len(text) - text.count("-") - text.count(".") > MOST_DIGITS:
        return None
    return Decimal(text)


def day(text: str) -> date | None:
    """X12's date types, CCYYMMDD and YYMMDD (taken for 20YY). None where it is no date that exists."""
    if len(text) not in {6, 8} or not (text.isascii() and text.isdigit()):
        return None
    digits = text if len(text) == 8 else f"20{text}"
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def code(text: str) -> str:
    """A text from a list of codes as it is ("CO", "45", "N30", "B2"), "" too; NO_CODE where it looks like none.

    What stands in a code's place may be a patient's name, and codes are told to people.
    """
    return _code(text) if len(text) <= _LONGEST_CODE else NO_CODE


@lru_cache(_REMEMBERED)
def _code(text: str) -> str:
    return text if not text or _CODE.fullmatch(text) else NO_CODE


def shortened(name: str) -> str:
    """A name of at most LONGEST_NAME characters.

    Of a longer one the beginning is kept, and a part of its SHA-256, so that two names never become one.
    """
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[:_KEPT]}…{hashlib.sha256(name.encode()).hexdigest()[:32]}"
