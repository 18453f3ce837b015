"""A denial as a life: which states it has, which way each of them goes, and what a payer's decision makes of it.

Pure. No state and no move posts anything by itself, and none knows a provider: what is absorbed is the company's
loss, what is recovered is the company's again. Amounts are minor units.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import TypeAlias

from ledger.errors import DenialStateRefused
from reconciliation.codes import Bucket
from reconciliation.payment import Payment, Settlement, adjustments
from reconciliation.reasons import Decision
from reconciliation.remittance import ClaimPayment


class State(StrEnum):
    """Where a denial stands. One spelling in SQL, Python and on the wire."""

    DENIED = "denied"
    APPEALED = "appealed"
    RESUBMITTED = "resubmitted"
    OVERTURNED = "overturned"
    ABSORBED = "absorbed"
    RECOVERED = "recovered"
    TAKEN_BACK = "taken_back"
    WITHDRAWN = "withdrawn"


Place: TypeAlias = tuple[str, int]
"""A claim payment: its remittance, and its line there."""

OPEN = frozenset({State.DENIED, State.APPEALED, State.RESUBMITTED, State.TAKEN_BACK})
"""What is not settled yet: it is paid after all, or absorbed."""
SETTLED = frozenset({State.OVERTURNED, State.RECOVERED})
"""Paid after all."""
_WAYS: Mapping[State, frozenset[State]] = {
    State.DENIED: frozenset({State.APPEALED, State.RESUBMITTED, State.ABSORBED}),
    State.APPEALED: frozenset({State.RESUBMITTED, State.ABSORBED}),
    State.RESUBMITTED: frozenset({State.APPEALED, State.ABSORBED}),
    State.TAKEN_BACK: frozenset({State.APPEALED, State.RESUBMITTED, State.ABSORBED}),
    State.ABSORBED: frozenset({State.APPEALED, State.RESUBMITTED}),
    State.OVERTURNED: frozenset(),
    State.RECOVERED: frozenset(),
    State.WITHDRAWN: frozenset(),
}
"""Where people may send it. What payers make of it is not asked for: it comes with the mail."""


@dataclass(frozen=True, slots=True)
class Denial:
    """One state of one payer's denial of a claim; the highest version is how it stands.

    `open` is what the payer left open then; `effective_date` the day on which it became so.
    """

    claim: str
    payer: str
    state: State
    effective_date: date
    open: int
    currency: str
    codes: tuple[str, ...]
    reason: str = ""
    policy: str = ""
    version: int = 1
    remittance: str | None = None
    line: int | None = None
    entry_number: int | None = None
    said_by: str = ""

    @property
    def place(self) -> Place | None:
        """The claim payment that made it so; None where a person did."""
        return None if self.remittance is None or self.line is None else (self.remittance, self.line)

    def to(self, state: State, effective_date: date, reason: str, said_by: str, open_: int) -> "Denial":
        """The next version, in another state."""
        return replace(
            self,
            state=state,
            effective_date=effective_date,
            reason=reason,
            said_by=said_by,
            open=max(open_, 0),
            version=self.version + 1,
            policy="",
            remittance=None,
            line=None,
            entry_number=None,
        )


def refuse_way(denial: Denial, state: State) -> None:
    """A person sends a denial only where it can go. Raises DenialStateRefused."""
    if state not in _WAYS[denial.state]:
        raise DenialStateRefused(
            f"the denial of claim {denial.claim} by {denial.payer} is {denial.state}, and cannot become {state}",
            claim=denial.claim,
            payer=denial.payer,
            state=denial.state,
            to=state,
        )


def withdrawn(history: Sequence[Denial], place: Place, unmatched: Collection[Place]) -> Denial | None:
    """How a denial stands once the payment that made it so is none of this claim's; None where nothing changes.

    `history` is oldest first, `unmatched` are all claim payments that were taken from their claims, this one among
    them. What stood before stands again. Raises DenialStateRefused where it was absorbed meanwhile: the loss is to
    be taken back first.
    """
    made = [one for one in history if one.place is not None]
    if not made or made[-1].place != place:
        return None
    last = history[-1]
    if last.state is State.ABSORBED:
        raise DenialStateRefused(
            f"the denial of claim {last.claim} by {last.payer} was absorbed: that is taken back first",
            claim=last.claim,
            payer=last.payer,
            state=last.state,
            to=State.WITHDRAWN,
        )
    before = [one for one in history if one.version < made[-1].version and one.place not in unmatched]
    return before[-1] if before else replace(last, state=State.WITHDRAWN, remittance=None, line=None)


def codes_of(payment: Payment, sent: ClaimPayment) -> tuple[str, ...]:
    """By which codes a payer refuses: those of denial, else all but the patient's."""
    named = [
        (f"{one.group}-{one.reason}", payment.codes.bucket(one.group, one.reason)) for one in adjustments(sent)
    ]
    refusing = {name for name, bucket in named if bucket is Bucket.DENIAL}
    others = {name for name, bucket in named if bucket is not Bucket.PATIENT}
    return tuple(sorted(refusing or others))


def refuses(payment: Payment, sent: ClaimPayment) -> bool:
    """Whether a payer refuses a part of a claim, whatever it pays of the rest."""
    amounts = (
        one.amount for one in adjustments(sent) if payment.codes.bucket(one.group, one.reason) is Bucket.DENIAL
    )
    return any(amount > 0 for amount in amounts)


def caused(last: Denial | None, settlement: Settlement, *, refused: bool, open_: int) -> State | None:
    """What a payer's decision makes of a denial; None where nothing of it changes.

    `refused` where the payment names codes of denial; `open_` is what the payer owes after it.
    """
    if settlement.decision is Decision.DENIED:
        return State.DENIED if open_ > 0 else None
    if settlement.decision is Decision.SHORT_PAID and refused:
        return State.DENIED
    if last is None:
        return None
    if settlement.decision is Decision.REVERSED:
        return State.TAKEN_BACK if last.state in SETTLED else None
    if settlement.recovered:
        return State.RECOVERED
    if last.state in OPEN and open_ <= 0 and settlement.decision not in (Decision.SUSPENDED, Decision.NOTED):
        return State.OVERTURNED
    return None


@dataclass(frozen=True, slots=True)
class Policy:
    """Which denials are absorbed without a decision on each."""

    name: str
    enabled: bool
    codes: tuple[str, ...]
    payer: str
    currency: str
    largest: int
    age_days: int
    reason: str
    set_by: str = ""
    version: int = 0

    def covers(self, denial: Denial, day: date, open_: int) -> bool:
        """Whether a denial falls under it: still only denied, old and small enough, each of its codes named."""
        return (
            denial.state is State.DENIED
            and self.payer in ("", denial.payer)
            and denial.currency == self.currency
            and 0 < open_ <= self.largest
            and (day - denial.effective_date).days >= self.age_days
            and _all_named(denial.codes, self.codes)
        )


def _all_named(codes: Sequence[str], named: Collection[str]) -> bool:
    """Each code by itself or by its group; a denial without a code is named by none."""
    return bool(codes) and all(code in named or code.partition("-")[0] in named for code in codes)
