"""The demo's world: who sees whom, for which payer and at which price. Made up, and the same at every run.

Amounts are whole cents. Providers earn by service and licence, whatever the payer allows, so that the margin of
a session is positive, zero or negative.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

CURRENCY = "USD"
PROVIDERS = tuple(f"PT-{number:02}" for number in range(1, 21))
LICENCES = ("LCSW", "LMFT", "LPC", "PSYD")
STATES = ("CA", "NY", "TX", "WA")


@dataclass(frozen=True, slots=True)
class Payer:
    """An insurer: its code in the books, how it calls itself in remittances, and how it compares with others.

    `share` is how many of a hundred claims are its own, `allows` how much more it allows than the price list.
    """

    code: str
    name: str
    identifier: str
    share: int
    allows: int


@dataclass(frozen=True, slots=True)
class Service:
    """What a session may be: its code, what is billed, what contracts allow and what providers earn."""

    code: str
    charge: int
    allowed: int
    rate: int


@dataclass(frozen=True, slots=True)
class Session:
    """One visit, as it is recorded."""

    name: str
    claim: str
    payer: str
    provider: str
    plan: str
    service_code: str
    licence_type: str
    state: str
    day: date
    charge: int
    allowed: int
    patient_share: int
    provider_rate: int

    @property
    def margin(self) -> int:
        """What is left of the allowed amount once the provider has earned the rate."""
        return self.allowed - self.provider_rate


@dataclass(frozen=True, slots=True)
class Claim:
    """What is billed together: one session, or two of the same provider."""

    name: str
    payer: str
    sessions: tuple[Session, ...]

    @property
    def provider(self) -> str:
        """Whose sessions they are."""
        return self.sessions[0].provider

    @property
    def patient_share(self) -> int:
        """What the patient is expected to owe."""
        return sum(session.patient_share for session in self.sessions)


PAYERS = (
    Payer("HARBOR", "HARBOR BENEFITS (INVENTED)", "9000000001", 56, 0),
    Payer("SUMMIT", "SUMMIT BENEFITS (INVENTED)", "9000000002", 16, 700),
    Payer("MEADOW", "MEADOW BENEFITS (INVENTED)", "9000000003", 12, -500),
    Payer("LANTERN", "LANTERN BENEFITS (INVENTED)", "9000000004", 9, 1200),
    Payer("ORCHARD", "ORCHARD BENEFITS (INVENTED)", "9000000005", 7, -1500),
)
SERVICES = (
    Service("90834", 18000, 11000, 9500),
    Service("90837", 22000, 14000, 12500),
    Service("90837", 22000, 14000, 12500),
    Service("90847", 20500, 12500, 11000),
    Service("90791", 28000, 16500, 14500),
)
_EXTRA_FOR_LICENCE = {"LCSW": 0, "LMFT": 0, "LPC": -250, "PSYD": 1500}
_EVERY_SO_MANY_HAS_TWO = 12
SPRING = date(2026, 4, 30)
"""Claims up to this day may be answered by the remittances of June; later ones are still on their way."""


def claims() -> list[Claim]:
    """All claims in the order of their numbers: a thousand of the spring, and some of each month after it."""
    lots = Random(835)  # noqa: S311 - made-up data, the same at every run
    return [
        *_claims(lots, 1, 1000, date(2026, 3, 16), SPRING),
        *_claims(lots, 1001, 100, date(2026, 5, 1), date(2026, 5, 31)),
        *_claims(lots, 1101, 100, date(2026, 6, 1), date(2026, 6, 30)),
        *_claims(lots, 1201, 100, date(2026, 7, 1), date(2026, 7, 24)),
    ]


def _claims(lots: Random, first: int, count: int, since: date, until: date) -> Iterator[Claim]:
    payers = [payer for payer in PAYERS for _ in range(payer.share * count // 100)]
    lots.shuffle(payers)
    days = list(_working_days(since, until))
    for number, payer in enumerate(payers, first):
        place = (number - first) * (len(days) - 1) // count
        visits = 2 if number % _EVERY_SO_MANY_HAS_TWO == 0 else 1
        yield _claim(lots, f"C-{number:04}", payer, days[place : place + visits])


def _working_days(since: date, until: date) -> Iterator[date]:
    for number in range((until - since).days + 1):
        day = since + timedelta(days=number)
        if day.weekday() < 5:
            yield day


def _claim(lots: Random, name: str, payer: Payer, days: list[date]) -> Claim:
    provider, plan = lots.randrange(len(PROVIDERS)), lots.choice(("PPO", "HMO", "EPO", "HDHP"))
    licence = LICENCES[provider % len(LICENCES)]
    visits = []
    for number, day in enumerate(days, 1):
        service = lots.choice(SERVICES)
        allowed = service.allowed + payer.allows
        session = Session(
            name=f"{name}-S{number}",
            claim=name,
            payer=payer.code,
            provider=PROVIDERS[provider],
            plan=plan,
            service_code=service.code,
            licence_type=licence,
            state=STATES[provider // 5],
            day=day,
            charge=service.charge,
            allowed=allowed,
            patient_share=_patient_share(plan, allowed),
            provider_rate=service.rate + _EXTRA_FOR_LICENCE[licence],
        )
        visits.append(session)
    return Claim(name, payer.code, tuple(visits))


def _patient_share(plan: str, allowed: int) -> int:
    """A copay, a tenth, nothing, or the first 60.00 of each visit."""
    return {"PPO": 2500, "HMO": allowed // 10, "EPO": 0, "HDHP": 6000}[plan]
