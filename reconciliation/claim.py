"""One CLP loop while it is being read: segments in, one ClaimPayment out, its equations checked.

Everything from a CLP to the next CLP, LX, PLB or SE belongs to the claim; everything from an SVC on to its line.
Names, member numbers and medical record numbers pass by unread (NM1*QC, IL, 74, GB and most REF).

A contract makes the same CAS, SVC and DTM come again and again: what one says is remembered by its text.

Pure: no I/O, no clock, no logging.
"""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from reconciliation.balancing import (
    MOST_PROBLEMS,
    ZERO,
    Equation,
    Fault,
    Notes,
    Problem,
    Problems,
    added,
    money,
    unbalanced,
)
from reconciliation.elements import code, day, decimal, shortened
from reconciliation.events import Adjustment, ClaimPayment, Procedure, ServiceLine
from reconciliation.x12 import ABSENT, BLANKS, ELEMENT, LONGEST_REMEMBERED, REMEMBERED, Segment

# The REF qualifiers kept: claim and authorisation numbers. All others may identify the patient.
REFERENCES = frozenset({"6R", "9A", "9C", "BB", "CE", "D9", "F8", "G1", "G3"})


class _Adjusted:
    """What a claim and a line have in common while open: adjustments with their sum, dates, remarks."""

    __slots__ = ("adjustments", "dates", "remarks", "sum")

    def __init__(self) -> None:
        self.adjustments: list[Adjustment] = []
        self.sum: Decimal | None = ZERO  # of all CAS amounts; None once one cannot be read
        self.dates: dict[str, date | None] = {}
        self.remarks: list[str] = []


class _OpenLine(_Adjusted):
    __slots__ = ("allowed", "reference", "service")

    def __init__(self, service: "_Service") -> None:
        super().__init__()
        self.service = service
        self.reference = ""
        self.allowed: Decimal | None = None

    def record(self) -> ServiceLine:
        """The line as a record, by place, as ClaimPayment."""
        service, dates = self.service, self.dates
        return ServiceLine(
            service.procedure,
            service.original,
            service.charge,
            service.paid,
            service.units,
            dates.get("150") or dates.get("472"),
            dates.get("151") or dates.get("472"),
            tuple(self.adjustments),
            self.reference,
            self.allowed,
            tuple(self.remarks),
        )


class ClaimLoop:
    """A claim being read. OF_CLAIM and `take` read its segments, `close` balances it, then `payment` tells it."""

    __slots__ = (
        *("charge", "paid", "_claim", "_clp", "_digits", "_kept", "_line", "_lines", "_name", "_notes"),
        *("_parties", "_patient", "_place", "_problems", "_references", "_shares"),
    )

    def __init__(self, clp: str, line: int, fraction_digits: int, problems: Problems, notes: Notes) -> None:
        self._line = line
        self._problems = problems  # of the remittance
        self._kept: list[Problem] = []  # of the claim, its first
        self._clp = (clp + ABSENT).split(ELEMENT, 9)  # CLP00 to CLP08, and what follows
        self._name = shortened(self._clp[1].strip(BLANKS))
        self._digits = fraction_digits
        self._notes = notes
        self._claim = self._place = _Adjusted()  # `_place`: what a CAS or LQ belongs to now
        self._lines: list[_OpenLine] = []
        self._shares = ZERO  # of all CAS amounts of group PR that can be read
        self._references: list[tuple[str, str]] = []
        self._parties: dict[str, str] = {}  # NM101 to NM109

    def take(self, name: str, text: str) -> None:
        """One segment of the loop, whichever its id; what has no meaning here is passed over."""
        if handle := OF_CLAIM.get(f"{name}{ELEMENT}"):
            handle(self, text)
        elif name not in _PASSED_OVER:
            self._notes.add_unknown(name)

    def close(self) -> None:
        """After the last segment: its amounts, and the equations of its lines and its own."""
        self.charge, self.paid = self._amount("CLP03", self._clp[3]), self._amount("CLP04", self._clp[4])
        self._patient = self._amount("CLP05", self._clp[5])
        for number, line in enumerate(self._lines, 1):
            self._balance_line(number, line)
        self._balance()
        self._compare()

    def payment(self) -> ClaimPayment:
        """The closed claim as a record, with the problems of its own equation and its lines'."""
        dates, parties = self._claim.dates, self._parties
        _, _, status, _, _, _, filing_indicator, control_number, facility, _ = self._clp
        return ClaimPayment(  # by place: by name takes thrice the time, and this is made a million times
            self._line,
            self._name,
            code(status.strip(BLANKS)),
            self.charge,
            self.paid,
            self._patient,
            filing_indicator.strip(BLANKS),
            shortened(control_number.strip(BLANKS)),
            facility.strip(BLANKS),
            tuple(self._claim.adjustments),
            tuple([line.record() for line in self._lines]),
            dates.get("232"),
            dates.get("233"),
            dates.get("050"),
            tuple(self._references),
            parties.get("82", ""),
            parties.get("TT", ""),
            parties.get("PR", ""),
            tuple(self._claim.remarks),
            tuple(self._kept),
        )

    # What each segment means in the loop.

    def svc(self, text: str) -> None:
        """A service line begins."""
        service = (_service if len(text) <= LONGEST_REMEMBERED else _service.__wrapped__)(text, self._digits)
        self._place = line = _OpenLine(service)
        self._lines.append(line)
        for number, fault in service.faults:
            self._problem("line", fault, f"SVC{number:02}", len(self._lines))

    def cas(self, text: str) -> None:
        """What a group of reasons takes off the claim or the line."""
        read = (_adjustments if len(text) <= LONGEST_REMEMBERED else _adjustments.__wrapped__)(text, self._digits)
        place = self._place
        place.adjustments += read.adjustments
        place.sum = added(place.sum, read.sum)
        self._shares += read.share
        for number, fault in read.faults:
            self._problem("line" if self._lines else "claim", fault, f"CAS{number:02}", len(self._lines) or None)

    def dtm(self, text: str) -> None:
        """Dates of the claim, or of service of the line."""
        qualifier, found = (_dated if len(text) <= LONGEST_REMEMBERED else _dated.__wrapped__)(text)
        if qualifier in {"232", "233", "050"}:
            self._claim.dates[qualifier] = found
        elif self._lines and qualifier in {"472", "150", "151"}:
            self._lines[-1].dates[qualifier] = found

    def ref(self, text: str) -> None:
        """References that name claims and lines, and no patient."""
        _, qualifier, value, _ = (text + ABSENT).split(ELEMENT, 3)
        qualifier, value = qualifier.strip(BLANKS), shortened(value.strip(BLANKS))
        if qualifier in REFERENCES and value:
            self._references.append((qualifier, value))
        if qualifier == "6R" and self._lines:
            self._lines[-1].reference = value

    def nm1(self, text: str) -> None:
        """Who rendered the service, and which other payer is named."""
        _, who, _ = (text + ABSENT).split(ELEMENT, 2)
        if (who := who.strip(BLANKS)) in {"82", "TT", "PR"}:
            self._parties[who] = Segment.of(text).at(9)

    def amt(self, text: str) -> None:
        """What the payer allows for the line."""
        segment = Segment.of(text)
        if segment.at(1) == "B6" and self._lines:
            allowed = money(segment.exact(2), self._digits)
            if isinstance(allowed, Fault):
                self._notes.add("AMT*B6 (allowed amount) cannot be read")
            else:
                self._lines[-1].allowed = allowed

    def lq(self, text: str) -> None:
        """A remark on the line, or on the claim."""
        self._place.remarks.append(Segment.of(text).at(2))

    def moa(self, text: str) -> None:
        """Remarks on an outpatient claim."""
        self._claim.remarks += filter(None, map(Segment.of(text).at, range(3, 8)))

    def mia(self, text: str) -> None:
        """Remarks on an inpatient claim."""
        self._claim.remarks += filter(None, map(Segment.of(text).at, (5, 20, 21, 22, 23)))

    # The equations.

    def _amount(self, element: str, text: str) -> Decimal | None:
        """An amount of the CLP that may be absent; what cannot be read is a problem."""
        value = money(text, self._digits)
        if isinstance(value, Decimal):  # quicker to ask than whether it is a fault
            return value
        if value is not Fault.AMOUNT_ABSENT:
            self._problem("claim", value, element)
        return None

    def _problem(self, equation: Equation, fault: Fault, element: str, line: int | None = None) -> None:
        self._add(Problem(equation, fault, self._name, line, element))

    def _add(self, problem: Problem | None) -> None:
        self._problems.add(problem)
        if problem is not None and len(self._kept) < MOST_PROBLEMS:
            self._kept.append(problem)

    def _balance(self) -> None:
        charge, paid, less = self.charge, self.paid, self._claim.sum
        for line in self._lines:
            less = added(less, line.sum)
        if charge is None or paid is None:
            self._problem("claim", Fault.NOT_EVALUABLE, "CLP03" if charge is None else "CLP04")
        elif less is not None and charge - less != paid:
            self._add(unbalanced("claim", self._name, None, charge, less, paid))

    def _balance_line(self, number: int, line: _OpenLine) -> None:
        charge, paid = line.service.charge, line.service.paid
        if charge is None or paid is None:
            self._notes.add("a service line without charge (SVC02) or paid (SVC03): not evaluable")
        elif line.sum is not None and charge - line.sum != paid:
            self._add(unbalanced("line", self._name, number, charge, line.sum, paid))

    def _compare(self) -> None:
        """ΣSVC02 = CLP03 where there are lines, and CLP05 = ΣCAS of group PR: no equations of the 835.

        Real payers do not keep to them, so that they are notes.
        """
        charges: Decimal | None = ZERO
        for line in self._lines:
            charges = added(charges, line.service.charge)
        if self._lines and charges is not None and self.charge is not None and charges != self.charge:
            self._notes.add("the lines' charges (SVC02) do not add up to the claim's (CLP03)")
        if self._patient is not None and self._patient != self._shares:
            self._notes.add("CLP05 (patient responsibility) differs from the adjustments of group PR")


class _Adjustments(NamedTuple):
    """What one CAS says. The sums are of all its amounts, and of those that are the patient's share."""

    adjustments: tuple[Adjustment, ...]
    sum: Decimal | None  # None where an amount cannot be read
    share: Decimal  # of group PR, of those that can be read
    faults: tuple[tuple[int, Fault], ...]  # each with the number of its element


@lru_cache(REMEMBERED)
def _adjustments(text: str, fraction_digits: int) -> _Adjustments:
    """Reason, amount, quantity, up to six times. An amount without a reason counts all the same."""
    cas, found, faults, total = Segment.of(text), [], [], ZERO
    group = cas.code(1)
    for number in range(2, len(cas.elements), 3):
        reason, stated = cas.code(number), cas.exact(number + 1)
        if not reason and not stated:
            continue
        amount = money(stated, fraction_digits)
        if isinstance(amount, Decimal):
            found.append(Adjustment(group, reason, amount, decimal(cas.at(number + 2))))
            total += amount
        else:  # an amount that is absent beside its reason is a problem too
            faults.append((number + 1, amount))
    share = total if group == "PR" else ZERO
    return _Adjustments(tuple(found), None if faults else total, share, tuple(faults))


class _Service(NamedTuple):
    """What one SVC says."""

    procedure: Procedure
    original: Procedure | None
    charge: Decimal | None
    paid: Decimal | None
    units: Decimal | None
    faults: tuple[tuple[int, Fault], ...]  # as of _Adjustments; an amount that is absent is none


@lru_cache(REMEMBERED)
def _service(text: str, fraction_digits: int) -> _Service:
    svc = Segment.of(text)
    charge, paid = (money(svc.exact(number), fraction_digits) for number in (2, 3))
    faults = [(number, fault) for number, fault in ((2, charge), (3, paid)) if isinstance(fault, Fault)]
    return _Service(
        _procedure(svc.parts(1)),
        _procedure(svc.parts(6)) if svc.at(6) else None,
        None if isinstance(charge, Fault) else charge,
        None if isinstance(paid, Fault) else paid,
        decimal(svc.at(5)),
        tuple((number, fault) for number, fault in faults if fault is not Fault.AMOUNT_ABSENT),
    )


def _procedure(parts: tuple[str, ...]) -> Procedure:
    """SVC01 or SVC06: qualifier, code, up to four modifiers; the description after them is not read."""
    if len(parts) == 1:
        return Procedure("", parts[0], ())
    return Procedure(parts[0], parts[1], tuple(filter(None, parts[2:6])) if len(parts) > 2 else ())


@lru_cache(REMEMBERED)
def _dated(text: str) -> tuple[str, date | None]:
    """The qualifier of a DTM, and its day."""
    dtm = Segment.of(text)
    return dtm.at(1), day(dtm.at(2))


OF_CLAIM: Mapping[str, Callable[[ClaimLoop, str], None]] = {
    f"{name}{ELEMENT}": handle
    for name, handle in {
        "SVC": ClaimLoop.svc,
        "CAS": ClaimLoop.cas,
        "DTM": ClaimLoop.dtm,
        "REF": ClaimLoop.ref,
        "NM1": ClaimLoop.nm1,
        "AMT": ClaimLoop.amt,
        "LQ": ClaimLoop.lq,
        "MOA": ClaimLoop.moa,
        "MIA": ClaimLoop.mia,
    }.items()
}
"""What each segment of the loop means, by how its text begins: its id and ELEMENT."""
_PASSED_OVER = frozenset({"QTY", "PER", "TS2", "TS3", "N3", "N4"})
