"""What the figures must be to each other, and whether they are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.figures import Figures

Round = Mapping[str, Figures]
"""The figures of one round, by the name of the case."""


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio of two figures of the same round, and where it must lie."""

    what: str
    goal: float
    of: tuple[str, ...]
    """The cases that it needs."""
    ratio: Callable[[Round], float]
    at_most: bool = False

    def verdict(self, rounds: Sequence[Round]) -> "Verdict | None":
        """The median of the rounds' ratios; None where a case was not measured."""
        if not all(name in one for one in rounds for name in self.of):
            return None
        return judged(self.what, self.goal, median(self.ratio(one) for one in rounds), at_most=self.at_most)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target, what was found, and whether that is good enough."""

    what: str
    goal: str
    found: str
    met: bool


def judged(what: str, goal: float, found: float, *, at_most: bool = False, unit: str = "×") -> Verdict:
    """Compares a figure with its goal."""
    met = found <= goal if at_most else found >= goal
    return Verdict(what, f"{'≤' if at_most else '≥'} {_written(goal)} {unit}", f"{_written(found)} {unit}", met)


def _written(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.1f}" if figure >= 10 else f"{figure:.2f}"


def _against(what: str, goal: float, one: str, other: str) -> Target:
    """A rate against another rate."""
    return Target(what, goal, (one, other), lambda round_: round_[one].rate / round_[other].rate)


def _alone(round_: Round) -> float:
    return round_["unary-1"].p50 / (round_["insert"].p50 + round_["echo-1"].p50)


TARGETS = (
    _against("batches of 1,000 against the naive poster, random accounts", 25, "batch-1000", "naive"),
    _against("batches of 1,000 against the naive poster, hot account", 40, "hot-1000", "naive-hot"),
    _against("batches of 1,000 against COPY of the same rows", 0.30, "batch-1000", "copy"),
    _against("unary, 64 in flight, against the echo RPC", 0.75, "unary-64", "echo-64"),
    _against("stream against the echo stream", 0.75, "stream", "echo-stream"),
    _against("hot account against random accounts", 0.95, "hot-1000", "batch-1000"),
    Target(
        "p50 of a lone unary request against a bare INSERT … COMMIT and an echo",
        2,
        ("unary-1", "insert", "echo-1"),
        _alone,
        at_most=True,
    ),
)
