"""What the bank says: when and in how many parts the payments arrive, and where they differ."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from benchmarks.remittances.mail import File, Remittance
from benchmarks.remittances.rates import Rates

ODD = ("late", "early", "missing", "different", "split")


@dataclass(frozen=True, slots=True)
class Deposit:
    """One line of a bank statement: whose trace it names, and under which number that payer signs.

    `early` where it comes before its remittance.
    """

    payer: str
    signed: str
    trace: str
    day: date
    cents: int
    oddity: str = ""

    @property
    def early(self) -> bool:
        """Whether it comes before its remittance."""
        return self.oddity == "early"

    @property
    def differs(self) -> bool:
        """Whether it is another amount than its remittance says: nobody can tell what for, and it waits."""
        return self.oddity == "different"


def deposits(seed: int, rates: Rates, files: Sequence[File]) -> list[Deposit]:
    """A deposit for every payment that is right and brings money, but for those that never come."""
    draw = Random(f"bank {seed}")
    paying = [
        one
        for file in files
        if not file.again
        for one in file.remittances
        if one.state == "SETTLED" and one.amount > 0
    ]
    odd = draw.sample(range(len(paying)), rates.count("deposits", len(paying)))
    oddities = {place: ODD[number % len(ODD)] for number, place in enumerate(odd)}
    return [line for place, one in enumerate(paying) for line in _lines(draw, one, oddities.get(place, ""))]


def _lines(draw: Random, one: Remittance, oddity: str) -> Iterator[Deposit]:
    after = {"late": 30, "early": -3}.get(oddity, draw.randint(0, 2))
    day, cents = one.day + timedelta(after), one.amount
    if oddity == "missing":
        return
    if oddity == "different":
        cents -= min(draw.randint(1, 10_00), cents - 1)
    parts = [cents // 2, cents - cents // 2] if oddity == "split" else [cents]
    for part in parts:
        if part:
            yield Deposit(one.payer.code, one.payer.signed, one.trace, day, part, oddity)
