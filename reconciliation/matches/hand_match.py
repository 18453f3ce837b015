"""What a person says of a claim payment: which claims it pays, or that what it was matched to was wrong.

Pure. Amounts are minor units of the remittance's currency. Words are added and nothing of them changes; the last
one on a claim payment counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from ledger.errors import (
    IdempotencyKeyReused,
    MakerIsChecker,
    MatchPartsDiffer,
    MatchProposalNotFound,
    MatchProposed,
)
from ledger.money import plain

BY_HAND = "by_hand"
"""The rule of a claim payment whose claims a person has named."""
UNMATCHED = "unmatched"
"""The rule of one that a person has taken from its claim: no other rule matches it again."""
MOST_PARTS = 100
"""Claims among which one claim payment is split."""


class State(StrEnum):
    """What a word makes of a claim payment. One spelling in SQL, Python and on the wire."""

    PROPOSED = "proposed"
    MATCHED = "matched"
    DECLINED = "declined"
    UNMATCHED = "unmatched"


@dataclass(frozen=True, slots=True)
class Part:
    """So much of a claim payment is for this claim."""

    claim: str
    amount: int


@dataclass(frozen=True, slots=True)
class HandMatch:
    """One word on a claim payment, numbered within its book.

    `parts` is what it is matched to, proposed to be, or was until it was unmatched. Of a reversal, `original` is
    the payment that it takes back, and the one part that payment's claim with what is taken back, below zero.
    `limit` is what one person might match alone then, None where there was none. `decides` is the number of the
    proposal that this word approves or declines, and `proposed_by` whose it was. `entry_number` is what was posted
    for it; None where no money moved.
    """

    remittance: UUID
    line: int
    state: State
    parts: tuple[Part, ...]
    currency: str
    reason: str
    said_by: str
    idempotency_key: str = ""
    limit: int | None = None
    decides: int | None = None
    proposed_by: str | None = None
    entry_number: int | None = None
    number: int = 0
    said_at: datetime | None = None
    original: tuple[UUID, int] | None = None

    @property
    def amount(self) -> int:
        """All of its parts."""
        return sum(part.amount for part in self.parts)

    @property
    def above_limit(self) -> bool:
        """Whether a second person is needed, be it paid or taken back."""
        return self.limit is not None and abs(self.amount) > self.limit

    def decided(self, state: State, said_by: str, reason: str) -> "HandMatch":
        """The word that approves or declines this proposal."""
        return replace(
            self,
            state=state,
            said_by=said_by,
            reason=reason,
            idempotency_key="",
            decides=self.number,
            proposed_by=self.said_by,
            number=0,
            said_at=None,
        )

    def evidence(self) -> str:
        """What a claim payment shows of it: `ada said so: called the payer`, with amounts where it is split."""
        split = ", ".join(f"{part.claim} {plain(part.amount, self.currency)}" for part in self.parts)
        approved = f", proposed by {self.proposed_by}" if self.proposed_by else ""
        told = f"{self.said_by} said so{approved}: {self.reason}"
        return f"{split}; {told}" if len(self.parts) > 1 else told


def refuse_other_request(earlier: HandMatch, asked: HandMatch) -> None:
    """A key stands for one request. Raises IdempotencyKeyReused with what differs."""
    differing = [name for name, one, other in _compared(earlier, asked) if one != other]
    if differing:
        raise IdempotencyKeyReused(
            f"the key {asked.idempotency_key} was used for another request on a claim payment",
            idempotency_key=asked.idempotency_key,
            number=earlier.number,
            differs=" ".join(differing),
        )


def _compared(earlier: HandMatch, asked: HandMatch) -> Sequence[tuple[str, object, object]]:
    unmatched = State.UNMATCHED in (earlier.state, asked.state)
    compared = [
        ("act", earlier.state is State.UNMATCHED, asked.state is State.UNMATCHED),
        ("remittance", earlier.remittance, asked.remittance),
        ("line", earlier.line, asked.line),
        ("reason", earlier.reason, asked.reason),
    ]
    if unmatched:
        return compared
    if earlier.original or asked.original:  # whose claim that payment is may have changed since
        return [*compared, ("original", earlier.original, asked.original)]
    return [*compared, ("parts", set(earlier.parts), set(asked.parts))]


def refuse_parts(parts: Sequence[Part], paid: int, currency: str) -> None:
    """The parts are all of what was paid, each above zero, each claim once. Raises MatchPartsDiffer."""
    if len(parts) == 1 and parts[0].amount == paid:
        return
    told = [plain(part.amount, currency) for part in parts]
    if sum(part.amount for part in parts) != paid or any(part.amount <= 0 for part in parts):
        raise MatchPartsDiffer(
            f"{plain(paid, currency)} was paid, and the parts are {' and '.join(told)}",
            paid=plain(paid, currency),
            parts=" ".join(told),
        )
    if len({part.claim for part in parts}) != len(parts):
        raise MatchPartsDiffer("a claim is named twice", paid=plain(paid, currency), parts=" ".join(told))


def refuse_proposed(last: HandMatch | None) -> None:
    """A proposal is decided on before anything else is said of its claim payment. Raises MatchProposed."""
    if last is not None and last.state is State.PROPOSED:
        raise MatchProposed(
            f"{last.said_by} has proposed a match of this claim payment: approve or decline that",
            number=last.number,
            proposed_by=last.said_by,
        )


def refuse_decision(last: HandMatch | None, number: int, decider: str, *, approves: bool) -> HandMatch:
    """The proposal that is decided on. Raises MatchProposalNotFound or MakerIsChecker."""
    if last is None or last.number != number or last.state is not State.PROPOSED:
        raise MatchProposalNotFound(f"no match {number} waits for a second person", number=number)
    if approves and decider == last.said_by:
        raise MakerIsChecker(f"{decider} has proposed match {number}: another person approves it", number=number)
    return last
