"""One CLP loop while it is being read: segments in, one ClaimPayment out, its equations checked.

Everything from a CLP to the next CLP, LX, PLB or SE belongs to the claim; everything from an SVC on to its line.
Names, member numbers and medical record numbers pass by unread (NM1*QC, IL, 74, GB and most REF).

Pure: no I/O, no clock, no logging.
"""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache
from itertools import count
from typing import NamedTuple

from reconciliation.balancing import (
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
from reconciliation.events import Adjustment, ClaimPayment, Procedure, ServiceLine
from reconciliation.x12 import Segment, day, decimal

_REMEMBERED = 2_048  # CAS segments that are read once for all the times they come
_LONGEST_REMEMBERED = 200  # characters of one of them, so that no file fills the memory
# The REF qualifiers kept: claim and authorisation numbers. All others may identify the patient.
REFERENCES = frozenset({"6R", "9A", "9C", "BB", "CE", "D9", "F8", "G1", "G3"})


class _Adjusted:
    """What a claim and a line have in common while open: adjustments with their sum, dates, remarks."""

    __slots__ = ("adjustments", "dates", "remarks", "segment", "sum")

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.adjustments: list[Adjustment] = []
        self.sum: Decimal | None = ZERO  # of all CAS amounts; None once one cannot be read
        self.dates: dict[str, date | None] = {}
        self.remarks: list[str] = []


class _OpenLine(_Adjusted):
    __slots__ = ("allowed", "charge", "paid", "reference")

    def __init__(self, segment: Segment, charge: Decimal | None, paid: Decimal | None) -> None:
        super().__init__(segment)
        self.charge = charge
        self.paid = paid
        self.reference = ""
        self.allowed: Decimal | None = None


class OpenClaim:
    """A claim being read. `take` its segments, then `close` it once."""

    __slots__ = (
        *("line", "problems", "_charges", "_claim", "_digits", "_less", "_lines", "_notes", "_parties"),
        *("_place", "_references", "_shares"),
    )

    def __init__(self, segment: Segment, line: int, fraction_digits: int, notes: Notes) -> None:
        self.line = line
        self.problems = Problems()
        self._digits = fraction_digits
        self._notes = notes
        self._claim = self._place = _Adjusted(segment)  # `_place`: what a CAS or LQ belongs to now
        self._lines: list[_OpenLine] = []
        self._less: Decimal | None = (
            ZERO  # all CAS amounts of the claim and its lines; None once one cannot be read
        )
        self._charges: Decimal | None = ZERO  # all SVC02, likewise
        self._shares = ZERO  # of all CAS amounts of group PR that can be read
        self._references: list[tuple[str, str]] = []
        self._parties: dict[str, str] = {}  # NM101 to NM109

    def take(self, segment: Segment) -> None:
        """One segment of the loop, whichever; what has no meaning here is passed over."""
        if handle := OF_CLAIM.get(segment.id):
            handle(self, segment)
        elif segment.id not in _PASSED_OVER:
            self._notes.add_unknown(segment)

    def close(self) -> ClaimPayment:
        """The claim as a record, with the problems of its own equation and its lines'."""
        clp, dates, parties = self._claim.segment, self._claim.dates, self._parties
        charge, paid = self._money(clp, 3, "claim"), self._money(clp, 4, "claim")
        patient = self._money(clp, 5, "claim")
        lines = tuple(map(self._service_line, count(1), self._lines))
        self._balance(charge, paid)
        self._compare(charge, patient)
        return ClaimPayment(  # by place: by name takes thrice the time, and this is made a million times
            self.line,
            clp.name(1),
            clp.code(2),
            charge,
            paid,
            patient,
            clp.at(6),
            clp.name(7),
            clp.at(8),
            tuple(self._claim.adjustments),
            lines,
            dates.get("232"),
            dates.get("233"),
            dates.get("050"),
            tuple(self._references),
            parties.get("82", ""),
            parties.get("TT", ""),
            parties.get("PR", ""),
            tuple(self._claim.remarks),
            tuple(self.problems.kept),
        )

    # What each segment means in the loop.

    def svc(self, segment: Segment) -> None:
        """A service line begins."""
        number = len(self._lines) + 1
        line = _OpenLine(segment, self._money(segment, 2, "line", number), self._money(segment, 3, "line", number))
        self._lines.append(line)
        self._place = line
        self._charges = added(self._charges, line.charge)

    def cas(self, segment: Segment) -> None:
        """What a group of reasons takes off the claim or the line."""
        place, read = self._place, _adjustments(segment.elements, self._digits)
        for number, fault in read.faults:
            equation: Equation = "line" if self._lines else "claim"
            self._problem(equation, fault, f"CAS{number:02}", len(self._lines) or None)
        place.adjustments += read.adjustments
        place.sum = added(place.sum, read.sum)
        self._less = added(self._less, read.sum)
        self._shares += read.share

    def dtm(self, segment: Segment) -> None:
        """Dates of the claim, or of service of the line."""
        qualifier = segment.at(1)
        if qualifier in {"232", "233", "050"}:
            self._claim.dates[qualifier] = day(segment.at(2))
        elif self._lines and qualifier in {"472", "150", "151"}:
            self._lines[-1].dates[qualifier] = day(segment.at(2))

    def ref(self, segment: Segment) -> None:
        """References that name claims and lines, and no patient."""
        qualifier, value = segment.at(1), segment.name(2)
        if qualifier in REFERENCES and value:
            self._references.append((qualifier, value))
        if qualifier == "6R" and self._lines:
            self._lines[-1].reference = value

    def nm1(self, segment: Segment) -> None:
        """Who rendered the service, and which other payer is named."""
        if (who := segment.at(1)) in {"82", "TT", "PR"}:
            self._parties[who] = segment.at(9)

    def amt(self, segment: Segment) -> None:
        """What the payer allows for the line."""
        if segment.at(1) == "B6" and self._lines:
            allowed = money(segment.exact(2), self._digits)
            if isinstance(allowed, Fault):
                self._notes.add("AMT*B6 (allowed amount) cannot be read")
            else:
                self._lines[-1].allowed = allowed

    def lq(self, segment: Segment) -> None:
        """A remark on the line, or on the claim."""
        self._place.remarks.append(segment.at(2))

    def moa(self, segment: Segment) -> None:
        """Remarks on an outpatient claim."""
        self._claim.remarks += filter(None, map(segment.at, range(3, 8)))

    def mia(self, segment: Segment) -> None:
        """Remarks on an inpatient claim."""
        self._claim.remarks += filter(None, map(segment.at, (5, 20, 21, 22, 23)))

    # The equations.

    def _money(self, segment: Segment, number: int, equation: Equation, line: int | None = None) -> Decimal | None:
        """An amount that may be absent; what cannot be read is a problem."""
        value = money(segment.exact(number), self._digits)
        if isinstance(value, Decimal):  # quicker to ask than whether it is a fault
            return value
        if value is not Fault.AMOUNT_ABSENT:
            self._problem(equation, value, f"{segment.id}{number:02}", line)
        return None

    def _problem(self, equation: Equation, fault: Fault, element: str, line: int | None = None) -> None:
        self.problems.add(Problem(equation, fault, self._claim.segment.name(1), line, element))

    def _balance(self, charge: Decimal | None, paid: Decimal | None) -> None:
        less = self._less
        if charge is None or paid is None:
            self._problem("claim", Fault.NOT_EVALUABLE, "CLP03" if charge is None else "CLP04")
        elif less is not None and charge - less != paid:
            self.problems.add(unbalanced("claim", self._claim.segment.name(1), None, charge, less, paid))

    def _compare(self, charge: Decimal | None, patient: Decimal | None) -> None:
        """ΣSVC02 = CLP03 where there are lines, and CLP05 = ΣCAS of group PR: no equations of the 835.

        Real payers do not keep to them, so that they are notes.
        """
        charges = self._charges
        if self._lines and charges is not None and charge is not None and charges != charge:
            self._notes.add("the lines' charges (SVC02) do not add up to the claim's (CLP03)")
        if patient is not None and patient != self._shares:
            self._notes.add("CLP05 (patient responsibility) differs from the adjustments of group PR")

    def _balance_line(self, number: int, line: _OpenLine) -> None:
        if line.charge is None or line.paid is None:
            self._notes.add("a service line without charge (SVC02) or paid (SVC03): not evaluable")
        elif line.sum is not None and line.charge - line.sum != line.paid:
            claim = self._claim.segment.name(1)
            self.problems.add(unbalanced("line", claim, number, line.charge, line.sum, line.paid))

    def _service_line(self, number: int, line: _OpenLine) -> ServiceLine:
        svc = line.segment
        self._balance_line(number, line)
        dates = line.dates
        return ServiceLine(  # by place, as ClaimPayment
            _procedure(svc.parts(1)),
            _procedure(svc.parts(6)) if svc.at(6) else None,
            line.charge,
            line.paid,
            decimal(svc.at(5)),
            dates.get("150") or dates.get("472"),
            dates.get("151") or dates.get("472"),
            tuple(line.adjustments),
            line.reference,
            line.allowed,
            tuple(line.remarks),
        )


class _Adjustments(NamedTuple):
    """What one CAS says. The sums are of all its amounts, and of those that are the patient's share."""

    adjustments: tuple[Adjustment, ...]
    sum: Decimal | None  # None where an amount cannot be read
    share: Decimal  # of group PR, of those that can be read
    faults: tuple[tuple[int, Fault], ...]  # each with the number of its element


def _adjustments(elements: tuple[str, ...], fraction_digits: int) -> _Adjustments:
    """What a CAS says, remembered where it is as long as they are."""
    is_usual = sum(map(len, elements)) <= _LONGEST_REMEMBERED
    return (_remembered if is_usual else _read)(elements, fraction_digits)


def _read(elements: tuple[str, ...], fraction_digits: int) -> _Adjustments:
    """Reason, amount, quantity, up to six times. An amount without a reason counts all the same."""
    cas, found, faults = Segment("CAS", elements, 0, ""), [], []
    for number in range(2, len(elements), 3):
        reason, text = cas.code(number), cas.exact(number + 1)
        if not reason and not text:
            continue
        amount = money(text, fraction_digits)
        if isinstance(amount, Decimal):
            found.append(Adjustment(cas.code(1), reason, amount, decimal(cas.at(number + 2))))
        else:  # an amount that is absent beside its reason is a problem too
            faults.append((number + 1, amount))
    total = sum((one.amount for one in found), ZERO)
    share = total if cas.code(1) == "PR" else ZERO
    return _Adjustments(tuple(found), None if faults else total, share, tuple(faults))


_remembered = lru_cache(_REMEMBERED)(_read)


def _procedure(parts: tuple[str, ...]) -> Procedure:
    """SVC01 or SVC06: qualifier, code, up to four modifiers; the description after them is not read."""
    if len(parts) == 1:
        return Procedure("", parts[0], ())
    return Procedure(parts[0], parts[1], tuple(filter(None, parts[2:6])) if len(parts) > 2 else ())


OF_CLAIM: Mapping[str, Callable[[OpenClaim, Segment], None]] = {
    "SVC": OpenClaim.svc,
    "CAS": OpenClaim.cas,
    "DTM": OpenClaim.dtm,
    "REF": OpenClaim.ref,
    "NM1": OpenClaim.nm1,
    "AMT": OpenClaim.amt,
    "LQ": OpenClaim.lq,
    "MOA": OpenClaim.moa,
    "MIA": OpenClaim.mia,
}
_PASSED_OVER = frozenset({"QTY", "PER", "TS2", "TS3", "N3", "N4"})
