"""How the demo's payers answer: claims as they decide them, written as 835 files of the form that payers send.

Amounts are whole cents until they are written. Every claim and remittance balances by construction, but for the
one that is meant not to.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from ledger.money import plain
from service.demo.world import CURRENCY, Claim, Payer, Session

REVERSAL = "22"
Adjusted = tuple[tuple[str, str, int], ...]
"""CAS: group, reason, amount."""


@dataclass(frozen=True, slots=True)
class Line:
    """A session as a payer decided it."""

    session: str
    service_code: str
    day: date
    charge: int
    adjusted: Adjusted

    @property
    def paid(self) -> int:
        """What is left of the charge."""
        return self.charge - sum(amount for _, _, amount in self.adjusted)


@dataclass(frozen=True, slots=True)
class Answer:
    """A claim as a payer decided it. `missing` is by how much it is said to be paid too little: a mistake."""

    claim: str
    control_number: str
    lines: tuple[Line, ...]
    status: str = "1"
    missing: int = 0

    @property
    def charge(self) -> int:
        """What was billed, as far as the payer knows."""
        return sum(line.charge for line in self.lines)

    @property
    def paid(self) -> int:
        """What is paid for the claim."""
        return sum(line.paid for line in self.lines) - self.missing

    @property
    def patient_share(self) -> int:
        """What the payer gives to the patient."""
        return sum(amount for line in self.lines for group, _, amount in line.adjusted if group == "PR")

    def taken_back(self) -> "Answer":
        """The same with all amounts negated: a reversal."""
        lines = (
            replace(
                line,
                charge=-line.charge,
                adjusted=tuple((group, reason, -n) for group, reason, n in line.adjusted),
            )
            for line in self.lines
        )
        return replace(self, status=REVERSAL, lines=tuple(lines))


@dataclass(frozen=True, slots=True)
class Remittance:
    """One payment of a payer: the claims it answers, and what it adjusts beside them (code, reference, amount)."""

    payer: Payer
    trace: str
    day: date
    answers: tuple[Answer, ...]
    adjusted: Adjusted = ()

    @property
    def paid(self) -> int:
        """The payment: what is paid for claims less what is adjusted beside them."""
        return sum(answer.paid for answer in self.answers) - sum(amount for _, _, amount in self.adjusted)


# --- how a claim may be decided -----------------------------------------------------------------------


def _line(session: Session, *, contract: int = 0, patient: int = 0, refused: int = 0) -> Line:
    """The session as booked, but for so much more by contract, more to the patient, or refused."""
    adjusted = (
        ("CO", "45", session.charge - session.allowed + contract),
        ("PR", "3", session.patient_share + patient),
        ("CO", "197", refused),
    )
    return Line(session.name, session.service_code, session.day, session.charge, _without_zeros(adjusted))


def _without_zeros(adjusted: Adjusted) -> Adjusted:
    return tuple(each for each in adjusted if each[2])


def _refused(session: Session, reason: str) -> Line:
    adjusted = (("CO", reason, session.charge),)
    return Line(session.name, session.service_code, session.day, session.charge, adjusted)


def as_booked(claim: Claim, number: str) -> Answer:
    """Paid in full."""
    return Answer(claim.name, number, tuple(_line(session) for session in claim.sessions))


def _changed(claim: Claim, number: str, **changes: int) -> tuple[Answer]:
    """As booked, but for its first session."""
    first, *others = claim.sessions
    lines = (_line(first, **changes), *(_line(session) for session in others))
    return (Answer(claim.name, number, lines),)


def _denied(claim: Claim, number: str, status: str, reason: str) -> tuple[Answer]:
    lines = tuple(_refused(session, reason) for session in claim.sessions)
    return (Answer(claim.name, number, lines, status),)


def _patients_own(claim: Claim, number: str) -> tuple[Answer]:
    """All that is allowed is the patient's, under the deductible."""
    lines = tuple(_line(session, patient=session.allowed - session.patient_share) for session in claim.sessions)
    return (Answer(claim.name, number, lines),)


def _corrected(claim: Claim, number: str) -> tuple[Answer, Answer, Answer]:
    """Paid, taken back and paid anew with more to the patient, in one file."""
    paid = as_booked(claim, number)
    return paid, paid.taken_back(), *_changed(claim, f"{number}A", patient=1000)


def _charge_differs(claim: Claim, number: str) -> tuple[Answer]:
    """A charge that was never billed."""
    first, *others = as_booked(claim, number).lines
    other = replace(first, charge=first.charge + 5000, adjusted=(*first.adjusted, ("CO", "45", 5000)))
    return (Answer(claim.name, number, (other, *others)),)


def _unknown(claim: Claim, number: str) -> tuple[Answer]:
    """A claim that is not ours, whatever we ever called it."""
    lines = (_line(replace(session, name=f"ELSEWHERE-{session.name}")) for session in claim.sessions)
    return (Answer(f"ELSEWHERE-{claim.name}", number, tuple(lines)),)


CASES: Mapping[str, Callable[[Claim, str], tuple[Answer, ...]]] = {
    "paid in full": lambda claim, number: (as_booked(claim, number),),
    "short paid": lambda claim, number: _changed(claim, number, refused=2500),
    "overpaid": lambda claim, number: _changed(claim, number, contract=-1000),
    "denied": lambda claim, number: _denied(claim, number, "4", "197"),
    "denied under status 1": lambda claim, number: _denied(claim, number, "1", "50"),
    "patient owes more": lambda claim, number: _changed(claim, number, patient=1500),
    "patient owes less": lambda claim, number: _changed(claim, number, patient=-1000),
    "patient owes all": _patients_own,
    "contract variance": lambda claim, number: _changed(claim, number, contract=800),
    "reversal and correction": _corrected,
    "another charge": _charge_differs,
    "unknown claim": _unknown,
    "predetermination": lambda claim, number: _denied(claim, number, "25", "101"),
    "forwarded": lambda claim, number: _denied(claim, number, "19", "22"),
}
"""Every case of the story; the answer to a claim is one claim payment or several."""


# --- the file -----------------------------------------------------------------------------------------


def written(remittances: Sequence[Remittance], number: int) -> bytes:
    """The remittances as one interchange, numbered as the sender numbers them."""
    day = f"{remittances[0].day:%y%m%d}"
    sets = [segment for place, one in enumerate(remittances, 1) for segment in _set(one, f"{place:04}")]
    segments = [
        f"ISA*00*{'':10}*00*{'':10}*ZZ*{'CLEARINGHOUSE':15}*ZZ*{'DEMO':15}*{day}*0600*^*00501*{number:09}*0*P*:",
        f"GS*HP*CLEARINGHOUSE*DEMO*20{day}*0600*{number}*X*005010X221A1",
        *sets,
        f"GE*{len(remittances)}*{number}",
        f"IEA*1*{number:09}",
    ]
    return "".join(f"{segment}~\n" for segment in segments).encode()


def _set(remittance: Remittance, control: str) -> list[str]:
    """One ST..SE."""
    payer, paid = remittance.payer, _money(remittance.paid)
    body = [
        f"ST*835*{control}",
        f"BPR*I*{paid}*C*ACH*CCP*01*111111118*DA*1*{payer.identifier}**01*222222226*DA*2*{remittance.day:%Y%m%d}",
        f"TRN*1*{remittance.trace}*{payer.identifier}",
        f"DTM*405*{remittance.day:%Y%m%d}",
        f"N1*PR*{payer.name}",
        "N1*PE*DEMO CARE*XX*1234567893",
        "LX*1",
        *(segment for answer in remittance.answers for segment in _claim(answer)),
        *_provider_level(remittance),
    ]
    return [*body, f"SE*{len(body) + 1}*{control}"]


def _claim(answer: Answer) -> list[str]:
    charge, paid, share = map(_money, (answer.charge, answer.paid, answer.patient_share))
    head = f"CLP*{answer.claim}*{answer.status}*{charge}*{paid}*{share}*12*{answer.control_number}*11*1"
    return [head, *(segment for line in answer.lines for segment in _service_line(line))]


def _service_line(line: Line) -> list[str]:
    return [
        f"SVC*HC:{line.service_code}*{_money(line.charge)}*{_money(line.paid)}**1",
        f"DTM*472*{line.day:%Y%m%d}",
        *(f"CAS*{group}*{reason}*{_money(amount)}" for group, reason, amount in line.adjusted),
        f"REF*6R*{line.session}",
    ]


def _provider_level(remittance: Remittance) -> list[str]:
    """One PLB for each pair: simple, and within the six pairs that a PLB has room for."""
    return [
        f"PLB*1234567893*{remittance.day:%Y}1231*{code}:{reference}*{_money(amount)}"
        for code, reference, amount in remittance.adjusted
    ]


def _money(cents: int) -> str:
    return plain(cents, CURRENCY)
