"""The closed lists of what can be decided on a claim payment, and of why a person must look.

One spelling in SQL, Python and on the wire (`Decision` and `ExceptionReason` in reconciliation.proto).
"""

from enum import StrEnum


class RemittanceState(StrEnum):
    """What became of a remittance."""

    SETTLED = "settled"
    SETTLING = "settling"
    QUARANTINED = "quarantined"
    DUPLICATE = "duplicate"
    WAITING = "waiting"


class Decision(StrEnum):
    """What was decided on a claim payment."""

    PAID_IN_FULL = "paid_in_full"
    SHORT_PAID = "short_paid"
    OVERPAID = "overpaid"
    CONTRACT_VARIANCE = "contract_variance"
    DENIED = "denied"
    PATIENT_OWES = "patient_owes"
    REVERSED = "reversed"
    SUSPENDED = "suspended"
    NOTED = "noted"
    FORWARDED = "forwarded"


class ExceptionReason(StrEnum):
    """Why a person must look."""

    UNKNOWN_PAYER = "unknown_payer"
    UNKNOWN_CLAIM = "unknown_claim"
    AMBIGUOUS_CLAIM = "ambiguous_claim"
    CHARGE_MISMATCH = "charge_mismatch"
    CLAIM_MISMATCH = "claim_mismatch"
    UNDERPAID_AGAINST_CONTRACT = "underpaid_against_contract"
    SHORT_PAID = "short_paid"
    OVERPAID = "overpaid"
    DENIED = "denied"
    REVERSAL_WITHOUT_ORIGINAL = "reversal_without_original"
    TRACE_REUSED = "trace_reused"
    UNBALANCED = "unbalanced"
    BROKEN_ENVELOPE = "broken_envelope"
    UNREADABLE = "unreadable"
    PLB_UNMAPPED = "plb_unmapped"
    NEGATIVE_PAYMENT = "negative_payment"
    TEST_INTERCHANGE = "test_interchange"
    REFUSED_BY_BOOKS = "refused_by_books"
    PAYEE_UNKNOWN = "payee_unknown"
    TAKEBACK_UNEXPLAINED = "takeback_unexplained"
    FORWARD_BALANCE_OPEN = "forward_balance_open"
    DEPOSIT_MISSING = "deposit_missing"
    DEPOSIT_DIFFERS = "deposit_differs"
    UNAPPLIED_CASH = "unapplied_cash"
    DEPOSIT_AMBIGUOUS = "deposit_ambiguous"
    RETURN_WITHOUT_DEPOSIT = "return_without_deposit"
