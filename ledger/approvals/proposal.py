"""What a proposal is, what its content is, and who may decide on it. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ledger.errors import MakerIsChecker, NotTheMaker, ProposalDecided, ProposalDiffers, ProposalOutdated
from ledger.postings.chain import VERSION, joined

Json = Mapping[str, object]
"""A message of the wire in its JSON form."""


class State(StrEnum):
    """Where a proposal stands. All but the first are verdicts, and final."""

    OPEN = "open"
    APPROVED = "approved"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a proposal; `entry_number` is the entry that an approval has posted."""

    verdict: State
    decided_by: str
    decided_at: datetime
    reason: str
    entry_number: int | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """What somebody asks for and a second person decides on.

    `asked` is the act (the request) and `shown` its preview. `content_hash` stands for all that an approver sees,
    `request_hash` for what the maker's key was used for. `age_seconds` is counted until it was decided.
    """

    book: str
    number: int
    act: str
    asked: Json
    shown: Json
    request_hash: bytes
    content_hash: bytes
    proposed_by: str
    proposed_at: datetime
    idempotency_key: str
    reason: str
    age_seconds: int = 0
    decision: Decision | None = None

    @property
    def state(self) -> State:
        """Open until it is decided."""
        return self.decision.verdict if self.decision else State.OPEN


def content_hash(book: str, number: int, maker: str, key: str, reason: str, stated: Mapping[str, str]) -> bytes:
    """SHA-256 over a proposal and what it would do, field by field."""
    fields = (part for item in stated.items() for part in item)
    return hashlib.sha256(VERSION + joined(book, number, maker, key, reason, *fields)).digest()


def refuse_outdated(proposal: Proposal, stated: Mapping[str, str]) -> None:
    """What is done now is what was shown then. Raises ProposalOutdated."""
    made = (proposal.book, proposal.number, proposal.proposed_by, proposal.idempotency_key, proposal.reason)
    if content_hash(*made, stated) != proposal.content_hash:
        raise ProposalOutdated(
            f"proposal {proposal.number} would no longer become what was shown: withdraw it and propose it anew",
            proposal=proposal.number,
        )


def refuse_unseen(proposal: Proposal, seen: bytes) -> None:
    """What an approver has seen is what the proposal says. Raises ProposalDiffers."""
    if seen != proposal.content_hash:
        raise ProposalDiffers(
            f"the hash is not that of proposal {proposal.number}: look at it again", proposal=proposal.number
        )


def refuse_decider(proposal: Proposal, verdict: State, actor: str) -> None:
    """Maker is never checker, and only the maker withdraws. Raises MakerIsChecker or NotTheMaker."""
    is_maker = actor == proposal.proposed_by
    if verdict is State.WITHDRAWN and not is_maker:
        raise NotTheMaker(
            f"proposal {proposal.number} is {proposal.proposed_by}'s to withdraw", proposal=proposal.number
        )
    if verdict is not State.WITHDRAWN and is_maker:
        raise MakerIsChecker(
            f"{actor} has made proposal {proposal.number}, and another must decide on it", proposal=proposal.number
        )


def decided_before(proposal: Proposal, verdict: State, actor: str) -> bool:
    """Whether the same person decided the same before. Raises ProposalDecided for any other decision."""
    decision = proposal.decision
    if decision is None:
        return False
    if (decision.verdict, decision.decided_by) == (verdict, actor):
        return True
    raise ProposalDecided(
        f"proposal {proposal.number} was {decision.verdict} by {decision.decided_by}",
        proposal=proposal.number,
        state=decision.verdict,
        decided_by=decision.decided_by,
    )
