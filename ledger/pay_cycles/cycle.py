"""Who is paid what in a cycle, and why. Pure.

Everything on a provider's payable is counted by one cycle, once: each session, and all else that was posted there.
What lowers the payable counts as soon as it is posted, what raises it once its effective date is reached; so
nothing is ever due beyond the payable. What is left below zero is carried into the next cycle.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from ledger.pay_cycles.refusals import PayCycleOutOfOrder, PayCycleUnfinished
from ledger.postings.chain import VERSION, joined


class Outcome(StrEnum):
    """What becomes of a provider: the first only in a plan, PAID and CHANGED only in what came of it."""

    TO_PAY = "to_pay"
    PAID = "paid"
    CARRIED = "carried"
    HELD = "held"
    NO_PAYEE = "no_payee"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Counted:
    """What is open on a payable up to a cut-off, as known at an entry.

    `carried` is what the cycle before left, zero or less; `since` is the first entry that is left to a later
    cycle.
    """

    account: str
    provider: str
    currency: str
    carried: int
    session_count: int
    sessions: int
    adjustment_count: int
    adjustments: int
    since: int

    @property
    def due(self) -> int:
        """What would be paid if nothing kept it; below zero where the provider owes."""
        return self.carried + self.sessions + self.adjustments


@dataclass(frozen=True, slots=True)
class PayeeInForce:
    """Which bank details a provider is paid by."""

    version: int
    currency: str


@dataclass(frozen=True, slots=True)
class Line:
    """A provider in a plan: what is due, and the amount that is paid of it: all or nothing."""

    counted: Counted
    outcome: Outcome
    amount: int = 0
    payee_version: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Now:
    """What may keep a planned payment back when it is posted: how a provider stands under the head lock."""

    hold: str | None = None
    payee: PayeeInForce | None = None
    has_fallen: bool = False
    """Whether anything lowered the payable after the plan."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a line. `closing` and `since` are there where its items were counted."""

    line: Line
    outcome: Outcome
    amount: int = 0
    entry_number: int | None = None
    reason: str = ""

    @property
    def is_settled(self) -> bool:
        """Whether the line's items are counted for good."""
        return self.outcome in (Outcome.PAID, Outcome.CARRIED)

    @property
    def closing(self) -> int | None:
        """What is carried into the next cycle, zero or less."""
        return self.line.counted.due - self.amount if self.is_settled else None

    @property
    def since(self) -> int | None:
        """The first entry that a later cycle counts."""
        return self.line.counted.since if self.is_settled else None


def planned(counted: Counted, hold: str | None, payee: PayeeInForce | None) -> Line:
    """What a cycle would do for a provider. Whoever is held is left as is; then, what is owed is carried."""
    if hold is not None:
        return Line(counted, Outcome.HELD, reason=hold)
    if counted.due <= 0:
        return Line(counted, Outcome.CARRIED)
    if payee is None:
        return Line(counted, Outcome.NO_PAYEE, reason="no bank details are in force")
    if payee.currency != counted.currency:
        return Line(counted, Outcome.NO_PAYEE, reason=f"the bank details are for {payee.currency}")
    return Line(counted, Outcome.TO_PAY, counted.due, payee.version)


def decided(line: Line, now: Now) -> Result:
    """What becomes of a line when it is posted: what was approved, or nothing; TO_PAY still has to be posted."""
    if line.outcome is not Outcome.TO_PAY:
        return Result(line, line.outcome, reason=line.reason)
    if now.hold is not None:
        return Result(line, Outcome.HELD, reason=now.hold)
    if now.payee is None or now.payee.version != line.payee_version:
        return Result(line, Outcome.CHANGED, reason="the bank details changed after the plan")
    if now.has_fallen:
        return Result(line, Outcome.CHANGED, reason="the payable fell after the plan")
    return Result(line, Outcome.TO_PAY, line.amount)


def paid(result: Result, entry_number: int) -> Result:
    """The same once its entry is posted."""
    return replace(result, outcome=Outcome.PAID, entry_number=entry_number)


def kept_back(result: Result, reason: str) -> Result:
    """The same where the books refuse its entry."""
    return replace(result, outcome=Outcome.CHANGED, amount=0, reason=f"the books refused it: {reason}")


@dataclass(frozen=True, slots=True)
class Plan:
    """A cycle as it would be, decided from the books as known at an entry, behind the cycle `after`."""

    cycle: date
    pay_date: date
    known: int
    after: date | None
    lines: tuple[Line, ...]

    @property
    def plan_hash(self) -> bytes:
        """SHA-256 over every line, field by field."""
        digest = hashlib.sha256(VERSION)
        for line in self.lines:
            one = line.counted
            digest.update(
                joined(
                    *(one.account, one.provider, one.currency, one.carried, one.session_count, one.sessions),
                    *(one.adjustment_count, one.adjustments, one.since),
                    *(line.amount, line.outcome.value, line.payee_version, line.reason),
                )
            )
        return digest.digest()

    def stated(self) -> dict[str, str]:
        """All that an approver approves, as text by field."""
        return {
            "kind": "run_pay_cycle",
            "cycle": self.cycle.isoformat(),
            "pay_date": self.pay_date.isoformat(),
            "known": str(self.known),
            "after": str(self.after or ""),
            "lines": str(len(self.lines)),
            "totals": ", ".join(f"{units} {currency}" for currency, units in sorted(self.amounts().items())),
            "plan_hash": self.plan_hash.hex(),
        }

    def amounts(self) -> Mapping[str, int]:
        """What is paid in all, by currency."""
        return sums((line.counted.currency, line.amount) for line in self.lines)


def sums(amounts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Minor units added up by currency."""
    found: dict[str, int] = {}
    for currency, units in amounts:
        found[currency] = found.get(currency, 0) + units
    return found


def refuse_order(cycle: date, last: date | None, *, is_finished: bool) -> None:
    """Cycles go forward, one after the other. Raises PayCycleOutOfOrder or PayCycleUnfinished."""
    if last is None:
        return
    if cycle <= last:
        raise PayCycleOutOfOrder(f"the cycle of {last} is there already", cycle=cycle, last=last)
    if not is_finished:
        raise PayCycleUnfinished(f"the cycle of {last} is not posted to its end: run it first", cycle=last)
