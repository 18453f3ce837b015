"""One CLP loop while it is being read: segments in, one ClaimPayment out, its equations checked.

Everything from a CLP to the next CLP, LX, PLB or SE belongs to the claim; everything from an SVC on to its line.
Names, member numbers and medical record numbers pass by unread (NM1*QC, IL, 74, GB and most REF).

Pure: no I/O, no clock, no logging.
"""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal

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

# The REF qualifiers kept: claim and authorisation numbers. All others may identify the patient.
REFERENCES = frozenset({"6R", "9A", "9C", "BB", "CE", "D9", "F8", "G1", "G3"})


class _Adjusted:
    """What a claim and a line have in common while open: adjustments with their sum, dates, remarks."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.adjustments: list[Adjustment] = []
        self.sum: Decimal | None = ZERO  # of all CAS amounts; None once one cannot be read
        self.dates: dict[str, date | None] = {}
        self.remarks: list[str] = []


class _OpenLine(_Adjusted):
    def __init__(self, segment: Segment) -> None:
        super().__init__(segment)
        self.charge: Decimal | None = None
        self.paid: Decimal | None = None
        self.reference = ""
        self.allowed: Decimal | None = None


class OpenClaim:
    """A claim being read. `take` its segments, then `close` it once."""

    def __init__(self, segment: Segment, line: int, fraction_digits: int, notes: Notes) -> None:
        self.line = line
        self.problems = Problems()
        self._digits = fraction_digits
        self._notes = notes
        self._claim = _Adjusted(segment)
        self._lines: list[_OpenLine] = []
        self._references: list[tuple[str, str]] = []
        self._parties: dict[str, str] = {}  # NM101 to NM109

    def take(self, segment: Segment) -> None:
        """One segment of the loop, whichever; what has no meaning here is passed over."""
        if handle := _HANDLERS.get(segment.id):
            handle(self, segment)
        elif segment.id not in _PASSED_OVER:
            self._notes.add_unknown(segment)

    def close(self) -> ClaimPayment:
        """The claim as a record, with the problems of its own equation and its lines'."""
        clp, dates, parties = self._claim.segment, self._claim.dates, self._parties
        charge, paid, patient = (self._money(clp, number, "claim") for number in (3, 4, 5))
        lines = tuple(self._service_line(number, line) for number, line in enumerate(self._lines, 1))
        self._balance(charge, paid)
        self._compare_charges(charge)
        self._compare_patient_share(patient)
        return ClaimPayment(
            line=self.line,
            claim_as_sent=clp.name(1),
            status=clp.code(2),
            charge=charge,
            paid=paid,
            patient_responsibility=patient,
            filing_indicator=clp.at(6),
            payer_control_number=clp.name(7),
            facility=clp.at(8),
            adjustments=tuple(self._claim.adjustments),
            service_lines=lines,
            claim_from=dates.get("232"),
            claim_to=dates.get("233"),
            received=dates.get("050"),
            references=tuple(self._references),
            rendering_provider=parties.get("82", ""),
            crossover_payer=parties.get("TT", ""),
            corrected_payer=parties.get("PR", ""),
            remarks=tuple(self._claim.remarks),
            problems=tuple(self.problems.kept),
        )

    # What each segment means in the loop.

    def svc(self, segment: Segment) -> None:
        """A service line begins."""
        line = _OpenLine(segment)
        self._lines.append(line)
        line.charge, line.paid = self._money(segment, 2, "line"), self._money(segment, 3, "line")

    def cas(self, segment: Segment) -> None:
        """Reason, amount, quantity, up to six times. An amount without a reason counts all the same."""
        place, equation = self._place()
        group = segment.code(1)
        for number in range(2, len(segment.elements), 3):
            reason = segment.code(number)
            if not reason and not segment.exact(number + 1):
                continue
            amount = self._money(segment, number + 1, equation, required=True)
            place.sum = added(place.sum, amount)
            if amount is not None:
                quantity = decimal(segment.at(number + 2))
                place.adjustments.append(Adjustment(group, reason, amount, quantity))

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
        place, _ = self._place()
        place.remarks.append(segment.at(2))

    def moa(self, segment: Segment) -> None:
        """Remarks on an outpatient claim."""
        self._claim.remarks += filter(None, map(segment.at, range(3, 8)))

    def mia(self, segment: Segment) -> None:
        """Remarks on an inpatient claim."""
        self._claim.remarks += filter(None, map(segment.at, (5, 20, 21, 22, 23)))

    # The equations.

    def _place(self) -> tuple[_Adjusted, Equation]:
        """What a CAS or LQ belongs to now: the last line, or the claim itself."""
        return (self._lines[-1], "line") if self._lines else (self._claim, "claim")

    def _money(self, segment: Segment, number: int, equation: Equation, required: bool = False) -> Decimal | None:
        value = money(segment.exact(number), self._digits)
        if not isinstance(value, Fault):
            return value
        if required or value is not Fault.AMOUNT_ABSENT:
            self._problem(equation, value, f"{segment.id}{number:02}")
        return None

    def _problem(self, equation: Equation, fault: Fault, element: str) -> None:
        line = len(self._lines) if equation == "line" else None
        self.problems.add(Problem(equation, fault, self._claim.segment.name(1), line, element))

    def _balance(self, charge: Decimal | None, paid: Decimal | None) -> None:
        less = self._claim.sum
        for line in self._lines:
            less = added(less, line.sum)
        if charge is not None and paid is not None and less is not None:
            self.problems.add(unbalanced("claim", self._claim.segment.name(1), None, charge, less, paid))
        elif charge is None or paid is None:
            self._problem("claim", Fault.NOT_EVALUABLE, "CLP03" if charge is None else "CLP04")

    def _compare_charges(self, charge: Decimal | None) -> None:
        """ΣSVC02 = CLP03 where there are lines: expected of payers, and no equation of the 835."""
        total: Decimal | None = ZERO
        for line in self._lines:
            total = added(total, line.charge)
        if self._lines and None not in (total, charge) and total != charge:
            self._notes.add("the lines' charges (SVC02) do not add up to the claim's (CLP03)")

    def _compare_patient_share(self, patient: Decimal | None) -> None:
        """CLP05 = ΣCAS of group PR. Real payers do not keep to it, so that it is a note."""
        places = (self._claim, *self._lines)
        shares = [each.amount for place in places for each in place.adjustments if each.group == "PR"]
        if patient is not None and patient != sum(shares, ZERO):
            self._notes.add("CLP05 (patient responsibility) differs from the adjustments of group PR")

    def _balance_line(self, number: int, line: _OpenLine) -> None:
        if line.charge is None or line.paid is None:
            self._notes.add("a service line without charge (SVC02) or paid (SVC03): not evaluable")
        elif line.sum is not None:
            claim = self._claim.segment.name(1)
            self.problems.add(unbalanced("line", claim, number, line.charge, line.sum, line.paid))

    def _service_line(self, number: int, line: _OpenLine) -> ServiceLine:
        svc = line.segment
        self._balance_line(number, line)
        return ServiceLine(
            procedure=_procedure(svc, 1),
            original_procedure=_procedure(svc, 6) if svc.at(6) else None,
            charge=line.charge,
            paid=line.paid,
            units=decimal(svc.at(5)),
            service_from=line.dates.get("150") or line.dates.get("472"),
            service_to=line.dates.get("151") or line.dates.get("472"),
            adjustments=tuple(line.adjustments),
            line_reference=line.reference,
            allowed=line.allowed,
            remarks=tuple(line.remarks),
        )


def _procedure(segment: Segment, number: int) -> Procedure:
    """SVC01 or SVC06: qualifier, code, up to four modifiers; the description after them is not read."""
    parts = segment.parts(number)
    if len(parts) == 1:
        return Procedure("", parts[0], ())
    return Procedure(parts[0], parts[1], tuple(filter(None, parts[2:6])))


_HANDLERS: Mapping[str, Callable[[OpenClaim, Segment], None]] = {
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
