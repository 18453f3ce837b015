"""The three equations of an 835, exact and with no tolerance, and what may be wrong with an amount.

    line        SVC02 less its CAS                            = SVC03
    claim       CLP03 less the CAS of the claim and its lines = CLP04
    remittance  the sum of CLP04 less the sum of PLB          = BPR02   (a positive PLB reduces the payment)

An absent or unreadable amount is never zero: it makes an equation not evaluable. Reversals (CLP02 22) carry
negated amounts and obey the same equations. A predetermination (25) does too, its expected payment standing in
a CAS and CLP04 at zero, so that it is part of every sum like any other claim.

Amounts are Decimals of the currency's major unit. They have at most 18 digits, at most 4 of them after the point,
so that sums of millions of them stay exact in a decimal context of 28 digits.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Literal

from ledger.money import LARGEST as LARGEST_POSTING
from reconciliation.elements import LONGEST_DECIMAL, decimal

MOST_PROBLEMS = 20  # kept in full for one remittance or claim; the rest are counted
MOST_NOTES = 20  # told apart for one remittance
_REMEMBERED = 16_384  # amounts that are read once for all the times they come
ZERO = Decimal(0)
LARGEST = Decimal(LARGEST_POSTING)  # minor units
_SHORTEST_TOO_LARGE = 11  # digits of LARGEST in a currency of four decimals
Equation = Literal["line", "claim", "remittance"]


class Fault(StrEnum):
    """What is wrong with an equation or with one of its amounts."""

    UNBALANCED = "unbalanced"  # both sides are known and differ
    NOT_EVALUABLE = "not_evaluable"  # one side is not known
    AMOUNT_ABSENT = "amount_absent"  # a code without the amount that belongs to it
    AMOUNT_UNREADABLE = "amount_unreadable"  # text that is no amount
    AMOUNT_TOO_PRECISE = "amount_too_precise"  # more digits after the point than the currency has
    AMOUNT_TOO_LARGE = "amount_too_large"  # more than the books hold in one posting


_SENTENCES = {
    Fault.NOT_EVALUABLE: "the {equation} equation cannot be evaluated, for {element} is not known",
    Fault.AMOUNT_ABSENT: "{element} is absent beside its code",
    Fault.AMOUNT_UNREADABLE: "{element} is no amount",
    Fault.AMOUNT_TOO_PRECISE: "{element} has more digits after the point than the currency",
    Fault.AMOUNT_TOO_LARGE: "{element} is larger than the books can hold",
}
_TERMS = {
    "line": "charge {gross} less adjustments {less} is {left}, but paid is {right}",
    "claim": "charge {gross} less adjustments {less} is {left}, but paid is {right}",
    "remittance": "claims paid {gross} less provider-level adjustments {less} is {left}, but BPR02 is {right}",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One equation that does not hold or cannot be evaluated, or one amount that cannot be read.

    `left` = `gross` − `less`; all four amounts are known where the fault is UNBALANCED, else they are None.
    `str()` is a sentence for the finance team, naming claim and amounts and no patient.
    """

    equation: Equation
    fault: Fault
    claim: str | None  # CLP01; None where the problem is the remittance's own
    line: int | None  # the service line within its claim, from 1
    element: str  # such as "CLP04"; "" where UNBALANCED
    gross: Decimal | None = None
    less: Decimal | None = None
    left: Decimal | None = None
    right: Decimal | None = None

    def __str__(self) -> str:
        place = "remittance" if self.claim is None else f"claim CLP01={self.claim}"
        place += "" if self.line is None else f", line {self.line}"
        if self.fault is not Fault.UNBALANCED:
            return f"{place}: {_SENTENCES[self.fault].format(equation=self.equation, element=self.element)}"
        amounts = {name: f"{getattr(self, name):f}" for name in ("gross", "less", "left", "right")}
        return f"{place}: {_TERMS[self.equation].format(**amounts)}"


def unbalanced(
    equation: Equation, claim: str | None, line: int | None, gross: Decimal, less: Decimal, right: Decimal
) -> Problem | None:
    """The problem where gross − less differs from right, by whatever amount; None where they are equal."""
    left = gross - less
    if left == right:
        return None
    return Problem(equation, Fault.UNBALANCED, claim, line, "", gross, less, left, right)


def money(text: str, fraction_digits: int) -> Decimal | Fault:
    """An amount of a currency with this many minor digits, or what is wrong with it. Never rounded."""
    if not text:
        return Fault.AMOUNT_ABSENT
    return _money(text, fraction_digits) if len(text) <= LONGEST_DECIMAL else Fault.AMOUNT_UNREADABLE


@lru_cache(_REMEMBERED)
def _money(text: str, fraction_digits: int) -> Decimal | Fault:
    value = decimal(text)
    if value is None:
        return Fault.AMOUNT_UNREADABLE
    point = text.find(".")
    if point >= 0 and text[point + 1 + fraction_digits :].strip("0"):
        return Fault.AMOUNT_TOO_PRECISE
    if len(text) >= _SHORTEST_TOO_LARGE and abs(value) > LARGEST.scaleb(-fraction_digits):
        return Fault.AMOUNT_TOO_LARGE
    return value or abs(value)  # minus zero is zero


def added(total: Decimal | None, amount: Decimal | None) -> Decimal | None:
    """The sum, or None for good once a part of it is not known."""
    return None if total is None or amount is None else total + amount


class Problems:
    """The problems of one remittance: the first in full, the rest counted."""

    def __init__(self) -> None:
        self.kept: list[Problem] = []
        self.count = 0
        self.unbalanced = 0

    def add(self, problem: Problem | None) -> None:
        """Keep a problem, or count it where enough are kept; None is none."""
        if problem is not None:
            self.count += 1
            self.unbalanced += problem.fault is Fault.UNBALANCED
            if len(self.kept) < MOST_PROBLEMS:
                self.kept.append(problem)


class Notes:
    """Oddities that stop nothing, counted by their text; only so many different ones are told apart."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, note: str) -> None:
        """Count a note."""
        if note not in self._counts and len(self._counts) >= MOST_NOTES:
            note = "further oddities"
        self._counts[note] = self._counts.get(note, 0) + 1

    def add_unknown(self, name: str) -> None:
        """A segment that has no place here is skipped. Its id is told only where it looks like one."""
        known = len(name) in {2, 3} and name.isascii() and name.isalnum()
        self.add(f"segment {name if known else 'without a proper id'} skipped: not expected here")

    def all(self) -> tuple[str, ...]:
        """Every note, with how often it was made."""
        return tuple(note if times == 1 else f"{note} ({times} times)" for note, times in self._counts.items())
