"""What a payer answers to a claim: one CLP with its lines, and what is right to make of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from benchmarks.remittances.world import Claim, Payer, Session

Adjustment = tuple[str, str, int]
"""Group, reason, cents."""


@dataclass(frozen=True, slots=True)
class Line:
    """One SVC. Amounts in cents."""

    code: str
    day: date
    charge: int
    paid: int
    adjustments: tuple[Adjustment, ...] = ()
    original: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One CLP."""

    payer: Payer
    claim_id: str
    status: str
    lines: tuple[Line, ...]
    control: str
    patient: tuple[str, str]
    forwarded_to: Payer | None = None

    @property
    def charge(self) -> int:
        """CLP03."""
        return sum(line.charge for line in self.lines)

    @property
    def paid(self) -> int:
        """CLP04."""
        return sum(line.paid for line in self.lines)

    def adjusted(self, *groups: str) -> int:
        """What its adjustments of these groups and reasons (`PR`, `CO-45`) add up to."""
        of_lines = (one for line in self.lines for one in line.adjustments)
        return sum(cents for group, reason, cents in of_lines if {group, f"{group}-{reason}"} & {*groups})

    def reversed(self) -> "Answer":
        """The same taken back: status 22 and every amount negated."""
        lines = (
            replace(
                line,
                charge=-line.charge,
                paid=-line.paid,
                adjustments=tuple((group, reason, -cents) for group, reason, cents in line.adjustments),
            )
            for line in self.lines
        )
        return replace(self, status="22", lines=tuple(lines))


MONEY = "money"
"""The line by which money comes, in the clearing account of its own remittance."""

Effect = Mapping[str, int]
"""What an entry adds to each account, in cents, debit positive; the clearing account is called `MONEY`."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What is right: the true claim (None where it is not ours), decision, exception, and the entry to the cent.

    `clerk` says whether somebody careful can tell the claim from the file and the books alone. `look` is the
    reason for which a person must look, empty where nobody need. `moved` is what is posted beside the entry, such
    as what a payer leaves to the next.
    """

    claim: str | None
    clerk: bool
    decision: str
    look: str
    effect: Effect = field(default_factory=dict)
    moved: Effect = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Written:
    """An answer with what is right, and the fate that made it so."""

    fate: str
    answer: Answer
    expected: Expected


def line(session: Session, payer: Payer, *, share: int | None = None, extra: Iterable[Adjustment] = ()) -> Line:
    """A session answered as the contract says, less further adjustments."""
    share = session.share if share is None else share
    contract = session.charge - session.allowed
    told = {("CO", "45"): contract, ("PR", "3"): share}
    for group, reason, cents in extra:
        told[group, reason] = told.get((group, reason), 0) + cents
    return Line(
        code=session.code,
        day=session.day,
        charge=session.charge,
        paid=session.charge - sum(told.values()),
        adjustments=tuple((group, reason, cents) for (group, reason), cents in told.items() if cents),
        reference=session.name if payer.echoes else "",
    )


def answer(claim: Claim, *first: Line, status: str = "1") -> Answer:
    """The claim answered; `first` lines stand for its first session, the others are as the contract says."""
    rest = [line(session, claim.payer) for session in (claim.sessions[1:] if first else claim.sessions)]
    return Answer(claim.payer, claim.id, status, (*first, *rest), claim.control, claim.patient)
