"""Which open parts a lump of money may be the sum of, and in how many ways: exact, bounded, the same every time.

Pure. Amounts are minor units. Many combinations reach the same sum by chance, so that their number is always told
beside the few that are shown; nothing is ever posted on one.

For each part, from the first to the last, a table holds in how many ways each sum is reached by so many of the
parts up to there. The table counts without listing, and a listing that follows it never turns into a dead end.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice

MOST_PARTS = 8
"""Parts of one combination."""
MOST_STEPS = 200_000
"""Sums that are looked at before the rest of the parts is left out: a tenth of a second, tens of MiB."""
SHOWN = 5
"""Combinations that are told, of however many."""

_Sums = dict[tuple[int, int], int]
"""In how many ways a sum is reached by a number of parts."""


@dataclass(frozen=True, slots=True)
class Part:
    """Something open that may be a part: a claim or a remittance. The amount is positive."""

    name: str
    amount: int
    day: date | None = None
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class Combination:
    """Parts that add up, and what they have in common."""

    rule: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Combinations:
    """The first few, and how many there are in all: exactly, or at least so many where parts were left out."""

    first: tuple[Combination, ...]
    count: int
    is_exact: bool


def _day_and_provider(part: Part) -> Hashable:
    return None if part.day is None or part.provider is None else (part.day, part.provider)


_RULES: Sequence[tuple[str, Callable[[Part], Hashable]]] = (
    ("same_day_and_provider", _day_and_provider),
    ("same_day", lambda part: part.day),
    ("same_provider", lambda part: part.provider),
    ("same_sum", lambda part: ""),
)
"""What the parts have in common, the likeliest first; None is in common with nobody."""


def combined(parts: Sequence[Part], total: int, most_steps: int = MOST_STEPS) -> Combinations:
    """Combinations of two parts or more that add up to a total, those that have most in common first.

    The likeliest parts come first: where the steps run out, it is the last ones that are left out.
    """
    fitting = [part for part in parts if 0 < part.amount < total]
    whole = _Table(fitting, total, most_steps)
    found: dict[tuple[Part, ...], str] = {}
    for rule, common in _RULES if whole.count else ():
        for group in _groups(whole.parts, common):
            table = (
                whole if len(group) == len(whole.parts) else _Table(group, total, most_steps // len(whole.parts))
            )
            for one in islice(table.listed(), SHOWN):
                found.setdefault(one, rule)
    ranks = [rule for rule, _ in _RULES]
    first = sorted(found, key=lambda one: (ranks.index(found[one]), len(one)))[:SHOWN]
    return Combinations(tuple(Combination(found[one], one) for one in first), whole.count, whole.is_whole)


def _groups(parts: Sequence[Part], common: Callable[[Part], Hashable]) -> list[list[Part]]:
    """Parts that have something in common, two or more, in their own order."""
    groups: dict[Hashable, list[Part]] = defaultdict(list)
    for part in parts:
        groups[common(part)].append(part)
    return [group for key, group in groups.items() if key is not None and len(group) > 1]


class _Table:
    """All sums that parts reach, as far as the steps go."""

    def __init__(self, parts: Sequence[Part], total: int, most_steps: int) -> None:
        self._total = total
        self._rows: list[_Sums] = [{(0, 0): 1}]
        steps = 0
        for part in parts:
            row = self._with(part)
            steps += len(row)
            if steps > most_steps:
                break
            self._rows.append(row)
        self.parts = parts[: len(self._rows) - 1]
        self.is_whole = len(self.parts) == len(parts)
        self.count = sum(self._rows[-1].get((total, size), 0) for size in range(2, MOST_PARTS + 1))

    def _with(self, part: Part) -> _Sums:
        """The sums that are reached with one more part, or without it."""
        row = dict(self._rows[-1])
        for (reached, size), ways in self._rows[-1].items():
            if reached + part.amount <= self._total and size < MOST_PARTS:
                place = (reached + part.amount, size + 1)
                row[place] = row.get(place, 0) + ways
        return row

    def listed(self) -> Iterator[tuple[Part, ...]]:
        """Every combination, those of few and early parts first."""
        for size in range(2, MOST_PARTS + 1):
            yield from self._listed(len(self.parts), self._total, size)

    def _listed(self, upto: int, left: int, size: int) -> Iterator[tuple[Part, ...]]:
        if (left, size) not in self._rows[upto]:
            return
        if upto == 0:
            yield ()
            return
        part = self.parts[upto - 1]
        yield from self._listed(upto - 1, left, size)
        for others in self._listed(upto - 1, left - part.amount, size - 1):
            yield (*others, part)
