"""Every reason for which the books refuse to pay, on one page; `ledger/errors.py` has the groups."""

from ledger.errors import Invalid, NotAllowedNow, NotThere


class PayCalendarInvalid(Invalid):
    """Days that no calendar can have."""


class PayCalendarNotSet(NotAllowedNow):
    """The book has no pay calendar."""


class CutOffNotInCalendar(NotAllowedNow):
    """The calendar has no such cut-off."""


class PayCycleNotFound(NotThere):
    """No such pay cycle in this book, or none that names the provider."""


class PayCycleOutOfOrder(NotAllowedNow):
    """Cycles follow one another, and a later one is there."""


class PayCycleUnfinished(NotAllowedNow):
    """A cycle is approved and not posted to its end."""


class PayCycleEmpty(NotAllowedNow):
    """Nothing is due to anybody."""


class PayeeInvalid(Invalid):
    """Bank details that no bank would take."""


class PayeeNotFound(NotThere):
    """No such bank details, or none that are in force."""


class PayeeOutdated(NotAllowedNow):
    """Bank details that need no approval any more, or are not the newest."""


class PaymentNotFound(NotThere):
    """The cycle paid this provider nothing."""


class PaymentNotSent(NotAllowedNow):
    """A payment is settled or returned only after it was sent."""


class PaymentCameBack(NotAllowedNow):
    """The payment came back: it can neither be sent nor settle any more."""


class PaymentFileCurrency(NotAllowedNow):
    """NACHA files are in US dollars."""


class PaymentTooLarge(NotAllowedNow):
    """More than a field of the payment file can hold."""


class PaymentFileDiffers(NotAllowedNow):
    """The payment file would not be the one that was read before."""
