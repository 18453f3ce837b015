"""What reading a bank statement yields, whatever its form: statements, their lines, and what is wrong with them.

A file is read twice: first all of it is surveyed, because a total at its end makes everything before it
doubtful; then the lines of each sound statement are taken. Pure. No sentence here repeats what a bank wrote
in words: that may name a patient.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date

from reconciliation.bank.deposit import Deposit

MOST_LINES = 100_000
"""Lines of one statement."""
MOST_PROBLEMS = 5
"""Problems of a statement that are told."""


class Unreadable(Exception):
    """The whole file is refused. `reason` is one of EMPTY_FILE, NOT_A_STATEMENT, LINE_TOO_LONG."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class StatementOpened:
    """A statement of an account begins. `index` counts those of the file from 1."""

    index: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line that moves money. `names` are those of who sent it: to know the payer by, and never kept.

    `taken_back` where the bank itself says that it takes a deposit back; any other debit may be what we paid.
    """

    number: int
    deposit: Deposit
    names: tuple[str, ...] = ()
    taken_back: bool = False


@dataclass(frozen=True, slots=True)
class StatementClosed:
    """All of a statement was read. Amounts are minor units; `problems` are empty where it adds up.

    `is_final` where the day it tells of is over.
    """

    index: int
    account: str
    currency: str | None
    as_of: date | None
    is_final: bool
    credits: int
    debits: int
    line_count: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Broken:
    """What holds several statements together does not add up: those from `first` to `last` are doubtful."""

    first: int
    last: int
    sentence: str


Event = StatementOpened | Line | StatementClosed | Broken


def survey(events: Iterable[Event]) -> list[StatementClosed]:
    """The statements of a file in its order, each with all that is wrong with it or what it stands in."""
    found: list[StatementClosed] = []
    broken: list[Broken] = []
    for event in events:
        if isinstance(event, StatementClosed):
            found.append(event)
        elif isinstance(event, Broken):
            broken.append(event)
    return [_with(broken, one) for one in found]


def _with(broken: Iterable[Broken], one: StatementClosed) -> StatementClosed:
    around = tuple(each.sentence for each in broken if each.first <= one.index <= each.last)
    return replace(one, problems=(one.problems + around)[:MOST_PROBLEMS])


def numbered(lines: Iterable[Line]) -> Iterator[Line]:
    """The lines of one statement, those that are alike told apart by which of its like each is."""
    seen: dict[str, int] = {}
    for line in lines:
        likeness = line.deposit.likeness()
        seen[likeness] = seen.get(likeness, 0) + 1
        yield replace(line, deposit=replace(line.deposit, occurrence=seen[likeness]))
