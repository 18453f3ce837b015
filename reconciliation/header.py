"""The ST's header loop: each of its segments makes one Header of another.

Pure: no I/O, no clock, no logging.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal

from reconciliation.balancing import Notes
from reconciliation.elements import day
from reconciliation.envelope import InterchangeOpened
from reconciliation.events import Header
from reconciliation.x12 import Segment


def envelope_header(opened: InterchangeOpened, group: Segment | None) -> Header:
    """A header that knows only what ISA and GS say. The payment date is a last resort: GS04, else ISA09."""
    return Header(
        interchange_control_number=opened.control_number,
        sender=opened.sender,
        receiver=opened.receiver,
        usage=opened.usage,
        group_control_number=group.at(6) if group else "",
        version=group.at(8) if group else "",
        payment_date=(day(group.at(4)) if group else None) or opened.sent_on,
    )


def paid_by(header: Header, bpr: Segment, amount: Decimal | None) -> Header:
    """The header with its BPR. `amount` is BPR02, which only the currency (CUR, after BPR) makes readable."""
    at = bpr.at
    return header._replace(
        handling_code=at(1),
        amount=amount,
        credit_debit=at(3),
        method=at(4),
        payment_date=day(at(16)) or header.production_date or header.payment_date,
    )


def _trn(header: Header, segment: Segment, notes: Notes) -> Header:
    name = segment.name
    return header._replace(trace=name(2), originator=name(3), trace_supplement=name(4))


def _cur(header: Header, segment: Segment, notes: Notes) -> Header:
    code = segment.at(2).upper()
    if len(code) == 3 and code.isascii() and code.isalpha():
        return header._replace(currency=code)
    notes.add("CUR02 is no currency code")
    return header._replace(currency=None)


def _ref(header: Header, segment: Segment, notes: Notes) -> Header:
    match segment.at(1):
        case "EV":
            return header._replace(receiver_reference=segment.at(2))
        case "2U":
            return header._replace(payer_reference=segment.name(2))
        case "TJ":
            return header._replace(payee_tax_id=segment.at(2))
    return header


def _dtm(header: Header, segment: Segment, notes: Notes) -> Header:
    return header._replace(production_date=day(segment.at(2))) if segment.at(1) == "405" else header


def _n1(header: Header, segment: Segment, notes: Notes) -> Header:
    who, name, qualifier, identifier = map(segment.name, range(1, 5))
    if who == "PR":
        return header._replace(payer_name=name, payer_id_qualifier=qualifier, payer_id=identifier)
    if who == "PE":
        return header._replace(payee_name=name, payee_id_qualifier=qualifier, payee_id=identifier)
    return header


HEADER: Mapping[str, Callable[[Header, Segment, Notes], Header]] = {
    "TRN": _trn,
    "CUR": _cur,
    "REF": _ref,
    "DTM": _dtm,
    "N1": _n1,
}
