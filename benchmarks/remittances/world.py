"""The seeded world: payers with contracts, providers, patients, sessions and the claims for them. All invented."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from itertools import pairwise
from random import Random

from benchmarks.remittances.rates import Rates

FIRST_DAY = date(2026, 1, 5)
WEEKDAYS = 60
FEES = {"90791": 310_00, "90832": 150_00, "90834": 195_00, "90837": 250_00, "99214": 220_00, "90847": 240_00}
"""What is billed for a procedure, whoever pays."""
RECODED = {
    "90791": "90792",
    "90832": "90833",
    "90834": "90832",
    "90837": "90834",
    "99214": "99213",
    "90847": "90846",
}
_FIRST = ("ALMA", "BRUNO", "CORA", "DARIO", "EDITH", "FELIX", "GRETA", "HUGO", "IRIS", "JONAS", "KLARA", "LEO")
_LAST = ("ABEND", "BIRKE", "CORDES", "DAHL", "EHLERS", "FINK", "GRIMM", "HOLM", "IHDE", "JUNG", "KERN", "LINDE")
_PAYERS = (
    *("NORTHWATER", "PLAINS-MUTUAL", "HARBOR", "STATECARE", "EVERGREEN", "SUMMIT"),
    *("LAKESIDE", "UNIONHEALTH"),
)
PAYERS = len(_PAYERS)
"""The most payers of a world."""


@dataclass(frozen=True, slots=True)
class Payer:
    """An insurer. `echoes` where it sends back our sessions' names (REF*6R)."""

    code: str
    number: str
    signed: str
    echoes: bool

    @property
    def name(self) -> str:
        """As it calls itself in its files."""
        return f"{self.code.replace('-', ' ')} HEALTH PLAN"


@dataclass(frozen=True, slots=True)
class Session:
    """A visit, as it is recorded. Amounts in cents."""

    name: str
    code: str
    day: date
    provider: str
    charge: int
    allowed: int
    share: int
    rate: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What a payer was billed under one id."""

    id: str
    payer: Payer
    patient: tuple[str, str]
    sessions: tuple[Session, ...]
    number: int

    @property
    def charge(self) -> int:
        """What was billed."""
        return sum(one.charge for one in self.sessions)

    @property
    def allowed(self) -> int:
        """What the contract allows."""
        return sum(one.allowed for one in self.sessions)

    @property
    def share(self) -> int:
        """The patient's part of it, as estimated."""
        return sum(one.share for one in self.sessions)

    @property
    def control(self) -> str:
        """The payer's own number for it (CLP07)."""
        return f"{self.payer.number}{self.number:08}"


@dataclass(frozen=True)
class World:
    """Everything that is true."""

    seed: int
    payers: tuple[Payer, ...]
    claims: tuple[Claim, ...]
    twins: int

    @cached_property
    def by_id(self) -> dict[str, Claim]:
        """The claims by their ids."""
        return {claim.id: claim for claim in self.claims}

    @cached_property
    def by_day(self) -> dict[tuple[str, date], list[Claim]]:
        """The claims of a payer's code with a session on a day."""
        found: dict[tuple[str, date], list[Claim]] = {}
        for claim in self.claims:
            for day in sorted({one.day for one in claim.sessions}):
                found.setdefault((claim.payer.code, day), []).append(claim)
        return found

    @cached_property
    def by_session(self) -> dict[str, Claim]:
        """The claim under which a session was billed."""
        return {session.name: claim for claim in self.claims for session in claim.sessions}


def world(seed: int, claims: int, rates: Rates, payers: int = PAYERS) -> World:
    """The same for the same seed, number of claims, rates and number of payers."""
    draw = Random(f"world {seed}")
    known = tuple(_payer(number, code) for number, code in enumerate(_PAYERS[:payers]))
    contracts = {(payer.code, code): _allowed(draw, fee) for payer in known for code, fee in FEES.items()}
    days = [day for day in (FIRST_DAY + timedelta(n) for n in range(2 * WEEKDAYS)) if day.weekday() < 5][:WEEKDAYS]
    numbers = [*range(claims)]
    made = [_claim(draw, number, draw.choice(known), contracts, days) for number in numbers]
    pairs = rates.count("twins", claims) // 2
    for one, other in _pairs(draw, numbers, pairs):
        made[other] = _twin(made[one], made[other])
    return World(seed, known, tuple(made), 2 * pairs)


def stranger(draw: Random, payer: Payer, number: int) -> Claim:
    """A claim of another practice with the same payer, on one of our days."""
    contracts = {(payer.code, code): _allowed(draw, fee) for code, fee in FEES.items()}
    days = [FIRST_DAY + timedelta(n) for n in range(WEEKDAYS)]
    claim = _claim(draw, number, payer, contracts, days)
    sessions = tuple(replace(one, name=f"X{one.name}") for one in claim.sessions)
    return replace(claim, id=f"OP{number:08}", sessions=sessions, number=90_000_000 + number)


def _payer(number: int, code: str) -> Payer:
    return Payer(code, f"{70_001 + 1_111 * number}", f"1{410_000_000 + 7_654_321 * number:09}", number % 3 == 0)


def _allowed(draw: Random, fee: int) -> int:
    return fee * draw.randint(45, 80) // 100 + draw.randint(0, 99)


def _claim(
    draw: Random, number: int, payer: Payer, contracts: dict[tuple[str, str], int], days: Sequence[date]
) -> Claim:
    """Nine of ten claims have one session; the others have two or three, on one or several days."""
    visits = draw.choices((1, 2, 3), (90, 8, 2))[0]
    day, patient = draw.choice(days), (draw.choice(_LAST) + draw.choice(_LAST).lower(), draw.choice(_FIRST))
    sessions = tuple(_session(draw, number, visit, payer, contracts, day) for visit in range(visits))
    return Claim(_id(number), payer, patient, sessions, number)


def _id(number: int) -> str:
    """Two systems number claims: one in nine digits, an older one as they come: an id may begin another."""
    return f"B{number + 11}" if number % 10 == 7 else f"SL{number + 1:09}"


def _session(
    draw: Random, number: int, visit: int, payer: Payer, contracts: dict[tuple[str, str], int], day: date
) -> Session:
    code = draw.choice([*FEES])
    allowed = contracts[payer.code, code]
    share = draw.choice((0, 10_00, 20_00, 25_00, 35_00))
    rate = allowed + draw.randint(-25_00, 5_00)
    on = day + timedelta(draw.choice((0, 0, 7)) * visit)
    provider = f"provider-{draw.randint(1, 40)}"
    return Session(f"V{number + 1:08}-{visit + 1}", code, on, provider, FEES[code], allowed, share, rate)


def _pairs(draw: Random, numbers: list[int], count: int) -> Iterator[tuple[int, int]]:
    chosen = draw.sample(numbers, 2 * count)
    yield from [*pairwise(chosen)][::2]


def _twin(one: Claim, other: Claim) -> Claim:
    """The other claim as of a patient of the same name on the same day; id and sessions stay its own."""
    sessions = tuple(
        Session(f"V{other.number + 1:08}-{visit}", s.code, s.day, s.provider, s.charge, s.allowed, s.share, s.rate)
        for visit, s in enumerate(one.sessions, 1)
    )
    return Claim(other.id, one.payer, one.patient, sessions, other.number)
