"""A patient's two sides of a claim: what is owed by the patient and what is owed back never stand side by side.

Pure. Estimates are corrected in both directions, again and again, and each correction may be taken back after the
patient has paid or was refunded meanwhile.
"""

from datetime import date

from ledger.accounts import chart
from ledger.money import Amount
from ledger.postings.entry import Dimensions, JournalEntry, Kind
from ledger.postings.item import Item
from ledger.postings.rules import without_zeros

EVENED = "evened"
"""What such a move is called beside its claim payment."""


def evened(item: Item, effective_date: date, about: Dimensions) -> JournalEntry | None:
    """Makes one side of the patient's two; None where there is only one.

    Paid more than is owed is to be refunded; refunded more than was due is owed again; owed and to be refunded
    cancel out.
    """
    off = min(item.balance(chart.PATIENT_RECEIVABLE), -item.balance(chart.PATIENT_REFUNDS))
    if not off:
        return None
    lines = ((chart.PATIENT_REFUNDS, off), (chart.PATIENT_RECEIVABLE, -off))
    postings = without_zeros(*((account, Amount(signed, item.currency), item.name) for account, signed in lines))
    told = "what the patient owes and what is owed back"
    return JournalEntry(Kind.PATIENT_EVENED, effective_date, postings, told, about)
