"""The chart of accounts of a company that pays providers before payers pay it.

Accounts named here open themselves on first use, in the currency of that use: the fixed ones, and one for
each payer, provider and remittance. Any other account is opened by hand.
"""

import hashlib
import re
from functools import lru_cache

from ledger.accounts.account import Account, type_of, usual_side

CASH = "Assets:Cash"
INSURER_RECEIVABLES = "Assets:Receivable:Insurer"
PATIENT_RECEIVABLE = "Assets:Receivable:Patient"
DENIAL_ALLOWANCES = "Assets:Allowance:Denials"
REMITTANCE_CLEARING = "Assets:RemittanceClearing"
PROVIDER_PAYABLES = "Liabilities:Payable:Provider"
PAYOUTS_IN_TRANSIT = "Liabilities:PayoutsInTransit"
PAYER_OVERPAYMENTS = "Liabilities:PayerOverpayments"
FORWARD_BALANCES = "Liabilities:ForwardBalances"
PATIENT_REFUNDS = "Liabilities:PatientRefunds"
UNAPPLIED_CASH = "Liabilities:UnappliedCash"
SUSPENSE = "Liabilities:Suspense"
SESSIONS = "Revenue:Sessions"
CONTRACTUAL_ADJUSTMENTS = "Revenue:ContractualAdjustments"
PAYER_ADJUSTMENTS = "Revenue:PayerAdjustments"
INTEREST = "Revenue:Interest"
PROVIDER_CHARGES = "Revenue:ProviderCharges"
PROVIDER_SERVICES = "Expenses:ProviderServices"
DENIALS_ABSORBED = "Expenses:DenialsAbsorbed"
DENIAL_ALLOWANCE = "Expenses:DenialAllowance"

_FIXED = {
    CASH,
    PATIENT_RECEIVABLE,
    PAYOUTS_IN_TRANSIT,
    PATIENT_REFUNDS,
    UNAPPLIED_CASH,
    SESSIONS,
    CONTRACTUAL_ADJUSTMENTS,
    PAYER_ADJUSTMENTS,
    INTEREST,
    PROVIDER_CHARGES,
    PROVIDER_SERVICES,
    DENIALS_ABSORBED,
    DENIAL_ALLOWANCE,
}
_ONE_A_PARTY = {
    INSURER_RECEIVABLES,
    DENIAL_ALLOWANCES,
    PROVIDER_PAYABLES,
    PAYER_OVERPAYMENTS,
    FORWARD_BALANCES,
    SUSPENSE,
}
_CONTRA = {CONTRACTUAL_ADJUSTMENTS, DENIAL_ALLOWANCES}
_BY_ITEM = {INSURER_RECEIVABLES, PATIENT_RECEIVABLE}

_SEGMENT_LENGTH = 50
_SUFFIXED = re.compile(r"-[0-9a-f]{8}\Z")


def receivable(payer: str) -> str:
    """What a payer owes; each posting names its claim."""
    return f"{INSURER_RECEIVABLES}:{segment(payer)}"


def allowance(receivable: str) -> str:
    """What of a payer's receivable is not expected to come; it stands on the credit side."""
    return f"{DENIAL_ALLOWANCES}:{receivable.rpartition(':')[2]}"


def payable(provider: str) -> str:
    """What a provider has earned and not been paid."""
    return f"{PROVIDER_PAYABLES}:{segment(provider)}"


def clearing(payer: str, trace: str) -> str:
    """A payer's payment between its remittance and its deposit; zero once both are in."""
    return f"{REMITTANCE_CLEARING}:{segment(payer)}:{segment(trace)}"


def overpayments(payer: str) -> str:
    """What a payer paid beyond what it owed."""
    return f"{PAYER_OVERPAYMENTS}:{segment(payer)}"


def forward_balances(payer: str) -> str:
    """What a payer carries from one remittance into a later one."""
    return f"{FORWARD_BALANCES}:{segment(payer)}"


def suspense(payer: str) -> str:
    """A payer's money whose purpose is not known yet."""
    return f"{SUSPENSE}:{segment(payer)}"


@lru_cache(4_096)
def segment(name: str) -> str:
    """A party's name as one part of an account code.

    Letters, digits and dashes stay as they are. Where anything else had to be replaced, eight digits of the
    name's SHA-256 follow, and so they do where a name ends as if they did already: two names never share an
    account.
    """
    plain = re.sub(r"[^A-Za-z0-9-]", "-", name).strip("-")[:_SEGMENT_LENGTH]
    if plain == name and not _SUFFIXED.search(name):
        return plain
    return f"{plain or 'x'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def opened_by_rule(code: str, currency: str) -> Account | None:
    """The account as the chart opens it, or None where no rule knows the code."""
    group = code if code in _FIXED else _group(code)
    if group is None:
        return None
    usual = usual_side(type_of(code))
    side = usual.opposite if group in _CONTRA else usual
    return Account(code, currency, side, item_required=group in _BY_ITEM)


def _group(code: str) -> str | None:
    parent = code.rpartition(":")[0]
    if parent in _ONE_A_PARTY:
        return parent
    grandparent = parent.rpartition(":")[0]
    return REMITTANCE_CLEARING if grandparent == REMITTANCE_CLEARING else None
