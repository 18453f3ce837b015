"""What arrives, in order: answers put into remittances, remittances into files, and what goes wrong on the way."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import count
from random import Random

from benchmarks.remittances.accountant import INTEREST, forwarded, overpayments, without_zeros
from benchmarks.remittances.answer import MONEY, Effect, Written
from benchmarks.remittances.fates import Course, Step
from benchmarks.remittances.pen import Payment, interchange
from benchmarks.remittances.rates import Rates
from benchmarks.remittances.world import Payer, World

FIRST_PAYMENT = date(2026, 4, 20)
ROUNDS_A_DAY = 3
_LATER = (1, 2, 3)
_HOPS = 4


@dataclass(frozen=True, slots=True)
class Remittance:
    """One ST as it should be, with what is right of it.

    `state` and `look` are what must become of it; `fault` and `amount_fault` are cents by which an adjustment or
    BPR02 is wrong. `effect` is that of its provider-level adjustments.
    """

    payer: Payer
    trace: str
    day: date
    written: tuple[Written, ...]
    provider_level: tuple[tuple[str, str, int], ...] = ()
    effect: Effect = field(default_factory=dict)
    state: str = "SETTLED"
    look: str = ""
    fault: int = 0
    amount_fault: int = 0

    @property
    def amount(self) -> int:
        """BPR02 as it stands in the file."""
        claims = sum(one.answer.paid for one in self.written)
        return claims - sum(cents for _, _, cents in self.provider_level) + self.amount_fault

    def payment(self) -> Payment:
        """As the pen writes it."""
        answers = [one.answer for one in self.written]
        return Payment(self.payer, self.trace, self.day, self.amount, answers, self.provider_level, self.fault)


@dataclass(frozen=True, slots=True)
class File:
    """What is delivered at once. `again` where these bytes came before."""

    name: str
    content: bytes
    remittances: tuple[Remittance, ...]
    again: bool = False


def arriving(world: World, rates: Rates, courses: Sequence[Course], size: int) -> Iterator[File]:
    """The files in the order of their arrival; a remittance has about `size` claims."""
    post = _Post(world, rates, courses, size)
    rounds = [[*payments] for payments in post.rounds()]
    rounds = [[post.as_it_ends(one) for one in payments] for payments in rounds]
    remittances = [one for payments in rounds for one in payments]
    draw = Random(f"mail {world.seed}")
    marked = {name: _drawn(draw, rates, name, remittances) for name in ("unbalanced", "trace_reused")}
    repeated = {name: _drawn(draw, rates, name, rounds) for name in ("same_bytes", "reenveloped")}
    numbers = count(1)
    for place, payments in enumerate(rounds):
        for broken in (one for one in payments if one.trace in marked["unbalanced"]):
            yield _file([_unbalanced(broken, draw)], next(numbers))
        file = _file(payments, next(numbers))
        yield file
        for reused in (one for one in payments if one.trace in marked["trace_reused"]):
            yield _file([_with_other_content(reused)], next(numbers))
        if place in repeated["same_bytes"]:
            yield replace(file, again=True)
        if place in repeated["reenveloped"]:
            yield _file([replace(one, state="DUPLICATE", look="") for one in payments], next(numbers))


def _drawn(draw: Random, rates: Rates, name: str, among: Sequence[object]) -> set[object]:
    """Traces of remittances with claims, or places of files, in their exact number."""
    usable = [
        one.trace if isinstance(one, Remittance) else place for place, one in enumerate(among) if _usable(one)
    ]
    return {*draw.sample(usable, min(rates.count(name, len(among)), len(usable)))}


def _usable(one: object) -> bool:
    """Whether a remittance pays for something that can be wrong; every file can come again."""
    return not isinstance(one, Remittance) or any(written.answer.paid > 0 for written in one.written)


def _file(payments: Sequence[Remittance], number: int) -> File:
    content = interchange([one.payment() for one in payments], number)
    return File(f"{payments[0].payer.code.lower()}-{number:06}.835", content, tuple(payments))


def _unbalanced(one: Remittance, draw: Random) -> Remittance:
    fault = draw.choice((0, 1))
    return replace(one, state="QUARANTINED", look="UNBALANCED", fault=fault, amount_fault=1 - fault)


def _with_other_content(one: Remittance) -> Remittance:
    """The same trace with a payment less."""
    return replace(one, written=one.written[1:], state="QUARANTINED", look="TRACE_REUSED")


@dataclass(slots=True)
class _Carried:
    """A balance below zero that a payer carries to its next remittance."""

    reference: str
    cents: int
    hops: int
    since: str
    """The trace of the payment that carried it first, under whatever reference; empty until it has one."""


class _Post:
    """The payers' rounds: first answers a share at a time, each later step some rounds after the one before."""

    def __init__(self, world: World, rates: Rates, courses: Sequence[Course], size: int) -> None:
        self._draw = Random(f"rounds {world.seed}")
        self._payers = world.payers
        self._size = size
        self._firsts: dict[str, list[Course]] = defaultdict(list)
        for course in courses:
            self._firsts[course[0].payer.code].append(course)
        for several in self._firsts.values():
            self._draw.shuffle(several)
        self._waiting: dict[tuple[str, int], list[Course]] = defaultdict(list)
        self._carried: dict[str, _Carried] = {}
        self._alone = rates.count("forwarded", len(courses) // size + 1)
        self._interest = rates.interest
        self._traces = count(1)

    def rounds(self) -> Iterator[list[Remittance]]:
        """What each payer sends at once, in order."""
        number = 0
        while any(self._firsts.values()) or self._waiting:
            for payer in self._payers:
                if payments := [*self._of(payer, number)]:
                    yield payments
            number += 1

    def as_it_ends(self, one: Remittance) -> Remittance:
        """Somebody must look at the payment that first carried what no later one has taken in."""
        is_open = one.trace in {carried.since for carried in self._carried.values()}
        return replace(one, look="FORWARD_BALANCE_OPEN") if is_open else one

    def _of(self, payer: Payer, number: int) -> Iterator[Remittance]:
        """The payer's remittances of a round: balances carried alone, then the usual one."""
        due = [self._moved_on(course, number) for course in self._waiting.pop((payer.code, number), ())]
        carried = self._carried.get(payer.code)
        if carried and carried.hops:
            yield self._remittance(payer, number, ())
        for step in due:
            if self._goes_alone(step):
                yield self._remittance(payer, number, (step,))
                due.remove(step)
                break
        firsts = self._firsts[payer.code]
        while firsts and sum(len(step.written) for step in due) < self._size:
            due.append(self._moved_on(firsts.pop(), number))
        if due:
            yield self._remittance(payer, number, due)

    def _moved_on(self, course: Course, number: int) -> Step:
        """The first step of a course; what follows waits for a later round."""
        step, *later = course
        if later:
            self._waiting[later[0].payer.code, number + self._draw.choice(_LATER)].append(tuple(later))
        return step

    def _goes_alone(self, step: Step) -> bool:
        only = [one.answer.status for one in step.written] == ["22"]
        if not only or not self._alone or step.payer.code in self._carried:
            return False
        self._alone -= 1
        return True

    def _remittance(self, payer: Payer, number: int, steps: Sequence[Step]) -> Remittance:
        written = tuple(one for step in steps for one in step.written)
        pairs = [("WO", *step.kept_back) for step in steps if step.kept_back]
        if self._draw.random() < self._interest and written:
            pairs.append(("L6", f"INT{next(self._traces)}", -self._draw.randint(1, 5_00)))
        net = sum(one.answer.paid for one in written) - sum(cents for _, _, cents in pairs)
        pairs += self._forwarded(payer, net)
        trace = f"{payer.number}{next(self._traces):07}"
        if (carried := self._carried.get(payer.code)) and not carried.since:
            carried.since = trace
        day = FIRST_PAYMENT + timedelta(number // ROUNDS_A_DAY)
        return Remittance(payer, trace, day, written, tuple(pairs), _effect(payer, pairs))

    def _forwarded(self, payer: Payer, net: int) -> Iterator[tuple[str, str, int]]:
        """Takes in what was carried; what is then below zero is carried on."""
        carried = self._carried.pop(payer.code, None)
        if carried:
            yield "FB", carried.reference, carried.cents
            net -= carried.cents
        if net < 0:
            hops = max(carried.hops - 1, 0) if carried else self._draw.randrange(_HOPS)
            since = carried.since if carried else ""
            self._carried[payer.code] = _Carried(f"FB{next(self._traces)}", -net, hops, since)
            yield "FB", self._carried[payer.code].reference, net


def _effect(payer: Payer, pairs: Sequence[tuple[str, str, int]]) -> Effect:
    accounts = {"WO": overpayments(payer), "L6": INTEREST, "FB": forwarded(payer)}
    effect: dict[str, int] = defaultdict(int)
    for code, _, cents in pairs:
        effect[accounts[code]] += cents
        effect[MONEY] -= cents
    return without_zeros(effect)
