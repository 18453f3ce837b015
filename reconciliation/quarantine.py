"""Which remittances are not settled at all, and what is kept of every remittance. Pure."""

from typing import Any

from ledger.errors import Refusal
from ledger.money import fraction_digits
from reconciliation.amounts import minor_units
from reconciliation.payment import Raised
from reconciliation.reasons import ExceptionReason, RemittanceState
from reconciliation.remittance import Header, Survey

_DETAIL = 2_000


def quarantined(survey: Survey) -> Raised | None:
    """Why nothing of a remittance may be posted, or None where it may be settled."""
    if survey.broken is not None:
        return Raised(ExceptionReason.BROKEN_ENVELOPE, _paid(survey.header), survey.broken)
    missing = _missing(survey.header)
    if missing:
        return Raised(ExceptionReason.UNREADABLE, _paid(survey.header), f"the remittance {missing}")
    if not survey.balanced:
        told = "; ".join(str(problem) for problem in survey.problems) or "an equation cannot be evaluated"
        return Raised(ExceptionReason.UNBALANCED, _paid(survey.header), told[:_DETAIL])
    return None


def _missing(header: Header) -> str | None:
    """What an entry would need and the header does not say."""
    if not _known(header.currency):
        return "is in no currency of ISO 4217 (CUR02)"
    if header.amount is None:
        return "has no payment amount that can be read (BPR02)"
    if header.payment_date is None:
        return "has no payment date (BPR16, DTM*405, GS04, ISA09)"
    if not header.trace:
        return "has no trace number (TRN02)"
    if not signed_by(header):
        return "names no payer (TRN03, N104 or N102)"
    if header.credit_debit == "D":
        return "takes money instead of bringing it (BPR03 is D)"
    return None


def _known(currency: str | None) -> bool:
    try:
        return currency is not None and fraction_digits(currency) >= 0
    except Refusal:
        return False


def _paid(header: Header) -> int | None:
    """BPR02 in minor units, or None where it cannot be read."""
    if header.amount is None or not _known(header.currency) or header.currency is None:
        return None
    return minor_units(header.amount, header.currency)


def raised_by_header(survey: Survey, *, payer_known: bool) -> list[Raised]:
    """What a person must know of a remittance that is settled all the same."""
    header, paid, raised = survey.header, _paid(survey.header), []
    if not payer_known:
        told = f"no payer of the books is known as {', '.join(identifiers_of(header))}"
        raised.append(Raised(ExceptionReason.UNKNOWN_PAYER, paid, told))
    if paid is not None and paid < 0:
        raised.append(Raised(ExceptionReason.NEGATIVE_PAYMENT, paid, f"the payment is {header.amount}"))
    if header.usage == "T":
        raised.append(Raised(ExceptionReason.TEST_INTERCHANGE, paid, "the interchange says it is a test (ISA15)"))
    return raised


def signed_by(header: Header) -> str:
    """The name under which a payer signs: TRN03, else N104, else N102."""
    return header.originator or header.payer_id or header.payer_name


def identifiers_of(header: Header) -> list[str]:
    """Every name by which the remittance calls its payer: N104, REF*2U, TRN03, N102."""
    names = (header.payer_id, header.payer_reference, header.originator, header.payer_name)
    return list(dict.fromkeys(name for name in names if name))


def payees_of(header: Header) -> list[str]:
    """Every name by which the remittance calls whom it pays: N104, REF*TJ, N102."""
    return [name for name in (header.payee_id, header.payee_tax_id, header.payee_name) if name]


def to_another(survey: Survey) -> Raised:
    """A payment to somebody whom the book does not know as itself: it waits until a person says who that is."""
    told = f"it pays {', '.join(payees_of(survey.header)) or 'nobody by name'}, which is not this book"
    return Raised(ExceptionReason.PAYEE_UNKNOWN, _paid(survey.header), told)


def row_of(survey: Survey, state: RemittanceState, reason: str) -> dict[str, Any]:
    """What is kept of a remittance, as columns of `remittances`."""
    header = survey.header
    return {
        "state": state,
        "content_hash": survey.content_hash,
        "payer_name": header.payer_name,
        "signed_by": signed_by(header),
        "trace": header.trace,
        "payment_date": header.payment_date,
        "currency": header.currency if _known(header.currency) else None,
        "paid": _paid(header),
        "claim_count": survey.claim_count,
        "reason": reason,
    }
