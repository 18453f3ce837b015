"""The payer's pen: remittances as X12 835 files. Payers differ in their signs and in how they write amounts."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from benchmarks.remittances.answer import Answer, Line
from benchmarks.remittances.world import Payer

NPI = "1234567893"
PROVIDER_LEVEL_END = "20261231"
PAIRS = 6
"""Provider-level adjustments in one PLB."""


@dataclass(frozen=True, slots=True)
class Hand:
    """How a payer writes."""

    element: str = "*"
    component: str = ":"
    terminator: str = "~\n"
    terse: bool = False
    """Without the zeros at the end of amounts."""


HANDS = (
    Hand(),
    Hand(terminator="~"),
    Hand(terse=True),
    Hand(terminator="~\r\n"),
    Hand(element="|", component=">", terminator="~\n", terse=True),
)


@dataclass(frozen=True, slots=True)
class Payment:
    """One ST. `amount` is BPR02; a `fault` is a number of cents by which the first adjustment is wrong."""

    payer: Payer
    trace: str
    day: date
    amount: int
    answers: Sequence[Answer]
    provider_level: Sequence[tuple[str, str, int]]
    fault: int = 0


def hand(payer: Payer) -> Hand:
    """How this payer writes."""
    return HANDS[int(payer.number) % len(HANDS)]


def interchange(payments: Sequence[Payment], number: int) -> bytes:
    """The payments of one payer in one envelope."""
    payer, day, by = payments[0].payer, payments[0].day, hand(payments[0].payer)
    isa = _isa(payer, day, number, by)
    segments: list[tuple[str, ...]] = [
        ("GS", "HP", payer.number, NPI, f"{day:%Y%m%d}", "0930", str(number), "X", "005010X221A1")
    ]
    for control, payment in enumerate(payments, 1):
        segments.extend(_numbered(f"{control:04}", [*_payment(payment, by)]))
    segments += [("GE", str(len(payments)), str(number)), ("IEA", "1", f"{number:09}")]
    return (isa + by.terminator + "".join(_written(segments, by))).encode("ascii")


def _isa(payer: Payer, day: date, number: int, by: Hand) -> str:
    elements = ("ISA", "00", " " * 10, "00", " " * 10, "ZZ", f"{payer.number:15}", "ZZ", f"{NPI:15}")
    when = (f"{day:%y%m%d}", "0930", "^", "00501", f"{number:09}", "0", "P", by.component)
    return by.element.join((*elements, *when))


def _written(segments: Iterable[tuple[str, ...]], by: Hand) -> Iterator[str]:
    for segment in segments:
        yield by.element.join(segment).rstrip(by.element) + by.terminator


def _numbered(control: str, body: list[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    yield "ST", "835", control
    yield from body
    yield "SE", str(len(body) + 2), control


def _payment(payment: Payment, by: Hand) -> Iterator[tuple[str, ...]]:
    payer, day = payment.payer, f"{payment.day:%Y%m%d}"
    amount = money(payment.amount, by)
    account = ("ACH", "CCP", "01", "021000021", "DA", "1111111") if payment.amount else ("NON", "", "", "", "", "")
    yield "BPR", "I", amount, "C", *account, payer.signed, "", "01", "121000358", "DA", "2222222", day
    yield "TRN", "1", payment.trace, payer.signed
    yield "DTM", "405", day
    yield "N1", "PR", payer.name, "XV", payer.number
    yield "N3", "1 PAYER PLAZA"
    yield "N4", "SPRINGFIELD", "NV", "89000"
    yield "PER", "BL", "PROVIDER SERVICES", "TE", "8005550100"
    yield "N1", "PE", "EXAMPLE CARE PC", "XX", NPI
    yield "REF", "TJ", "123456789"
    if payment.answers:
        yield "LX", "1"
    fault = payment.fault
    for answer in payment.answers:
        yield from _answer(answer, by, fault)
        fault = 0
    for start in range(0, len(payment.provider_level), PAIRS):
        pairs = payment.provider_level[start : start + PAIRS]
        told = (text for code, ref, cents in pairs for text in (f"{code}{by.component}{ref}", money(cents, by)))
        yield "PLB", NPI, PROVIDER_LEVEL_END, *told


def _answer(answer: Answer, by: Hand, fault: int) -> Iterator[tuple[str, ...]]:
    share = answer.adjusted("PR")
    amounts = (money(answer.charge, by), money(answer.paid, by), money(share, by) if share else "")
    yield "CLP", answer.claim_id, answer.status, *amounts, "12", answer.control, "11", "1"
    last, first = answer.patient
    yield "NM1", "QC", "1", last.upper(), first, "", "", "", "MI", f"W{int(answer.control):09}"[:10]
    if answer.forwarded_to:
        yield "NM1", "TT", "2", answer.forwarded_to.name, "", "", "", "", "PI", answer.forwarded_to.number
    for line in answer.lines:
        yield from _line(line, by, fault)
        fault = 0


def _line(line: Line, by: Hand, fault: int) -> Iterator[tuple[str, ...]]:
    procedure = f"HC{by.component}{line.code}"
    original = f"HC{by.component}{line.original}" if line.original else ""
    yield "SVC", procedure, money(line.charge, by), money(line.paid, by), "", "1", original
    yield "DTM", "472", f"{line.day:%Y%m%d}"
    for group, reason, cents in line.adjustments:
        yield "CAS", group, reason, money(cents + fault, by)
        fault = 0
    if line.reference:
        yield "REF", "6R", line.reference


def money(cents: int, by: Hand) -> str:
    """Cents as a payer writes dollars."""
    whole, rest = divmod(abs(cents), 100)
    text = f"{'-' if cents < 0 else ''}{whole}.{rest:02}"
    return text.rstrip("0").rstrip(".") if by.terse else text
