"""The 835's code tables as data: what a code means to the books, and a short label of our own for it.

The official texts of these codes are copyrighted; every label here is in this project's words. The tables
are the shipped defaults: finance's own, effective-dated tables and a payer's exceptions are laid over them by
the caller.

Pure: no I/O, no clock. Nothing here raises for an unknown code: unknown means suspense, never a guess.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

import moneyed

LONGEST_CODE = 10
"""Characters of a group, a reason or a provider-level code that somebody may say."""


class Bucket(StrEnum):
    """Where one CAS amount belongs. Every CAS cent lands in exactly one of these."""

    CONTRACTUAL = "contractual"  # the contract allows less than was charged: nobody owes it
    PATIENT = "patient"  # the patient owes it
    DENIAL = "denial"  # the payer refuses it: appeal, correct, or absorb
    OTHER_PAYER = "other_payer"  # another payer has paid or settled it
    SUSPENSE = "suspense"  # not understood: a person decides


class AccountRole(StrEnum):
    """Which kind of account a provider-level adjustment (PLB) is posted to."""

    INTEREST = "interest"
    PAYER_OVERPAYMENTS = "payer_overpayments"
    FORWARD_BALANCES = "forward_balances"
    PAYER_ADJUSTMENTS = "payer_adjustments"
    SUSPENSE = "suspense"


class AdjustmentReason(NamedTuple):
    """One claim adjustment reason code (CAS02, 05, 08, …): its label and its bucket outside group PR."""

    label: str
    bucket: Bucket


class ClaimStatus(NamedTuple):
    """One claim status code (CLP02). Where `posts` is False the claim decides nothing about money.

    A paid amount other than zero beside such a status is a contradiction: an exception, not a posting.
    """

    label: str
    posts: bool


class ProviderLevelCode(NamedTuple):
    """One provider-level adjustment code (PLB03-1, 05-1, …): its label and the account it belongs to."""

    label: str
    account: AccountRole


CLAIM_STATUSES: Mapping[str, ClaimStatus] = MappingProxyType(
    {
        "1": ClaimStatus("paid or decided as first payer", True),
        "2": ClaimStatus("paid or decided as second payer", True),
        "3": ClaimStatus("paid or decided as third payer", True),
        "4": ClaimStatus("denied", True),
        "5": ClaimStatus("pended (4010 only)", False),
        "10": ClaimStatus("received, not yet decided (4010 only)", False),
        "13": ClaimStatus("suspended (4010 only)", False),
        "15": ClaimStatus("suspended, under investigation (4010 only)", False),
        "16": ClaimStatus("suspended, returned with material (4010 only)", False),
        "17": ClaimStatus("suspended, review pending (4010 only)", False),
        "19": ClaimStatus("decided as first payer and forwarded", True),
        "20": ClaimStatus("decided as second payer and forwarded", True),
        "21": ClaimStatus("decided as third payer and forwarded", True),
        "22": ClaimStatus("reversal of an earlier payment", True),
        "23": ClaimStatus("not this payer's claim, forwarded", False),
        "25": ClaimStatus("predetermination of price, no payment", False),
        "27": ClaimStatus("reviewed (4010 only)", False),
    }
)

# A code stands here only where every such amount is the contract's own: what is written off without a person.
_CONTRACTUAL = {
    "24": "covered by a capitation agreement",
    "42": "charge above the allowable (old code)",
    "44": "discount for prompt payment",
    "45": "charge above the contracted fee",
    "59": "reduced under multiple-procedure rules",
    "90": "ingredient cost adjustment",
    "91": "dispensing fee adjustment",
    "94": "paid above the charge",
    "103": "promotional or employee discount",
    "122": "psychiatric reduction",
    "130": "claim submission fee",
    "131": "specially negotiated discount",
    "132": "prearranged demonstration adjustment",
    "139": "price for a contracted bundle",
    "144": "incentive added to the payment",
    "161": "provider performance bonus",
    "172": "reduced for this provider speciality",
    "223": "required by law or rule",
    "237": "legislated or regulated penalty",
    "253": "sequestration cut in federal payment",
    "P12": "workers' compensation fee schedule",
}

_DENIAL = {
    "4": "modifier missing or does not fit",
    "5": "place of service does not fit the procedure",
    "6": "procedure does not fit the patient's age",
    "7": "procedure does not fit the patient's sex",
    "8": "procedure does not fit the provider's speciality",
    "9": "diagnosis does not fit the patient's age",
    "11": "diagnosis does not fit the procedure",
    "12": "diagnosis does not fit the provider's speciality",
    "15": "authorisation number missing or not valid",
    "16": "information missing or wrong",
    "18": "exact duplicate",
    "19": "work injury: the work insurer's liability",
    "20": "injury covered by a liability insurer",
    "21": "injury covered by a no-fault insurer",
    "22": "another payer may come first",
    "26": "before coverage began",
    "27": "after coverage ended",
    "29": "filed after the time limit",
    "31": "patient not found as insured",
    "32": "dependant not eligible",
    "33": "no dependant coverage",
    "34": "no newborn coverage",
    "35": "lifetime maximum reached",
    "38": "not referred or authorised (old code)",
    "39": "authorisation was refused when asked for",
    "40": "not urgent or emergency care",
    "49": "routine care not covered",
    "50": "not medically necessary in the payer's view",
    "51": "condition existed before coverage",
    "54": "several physicians not covered here",
    "55": "experimental in the payer's view",
    "56": "not proven effective in the payer's view",
    "58": "wrong place of service",
    "95": "plan procedures were not followed",
    "96": "not a covered charge",
    "97": "included in another paid service",
    "107": "required related service not on the claim",
    "109": "sent to the wrong payer",
    "110": "billed before the service took place",
    "112": "not furnished directly or not documented",
    "114": "product not approved by the regulator",
    "116": "notice to the patient was not valid",
    "117": "nearest suitable facility only",
    "119": "benefit maximum for the period reached",
    "129": "earlier processing information wrong",
    "133": "waiting for further review",
    "138": "appeal rules or limits not met",
    "140": "patient number and name do not agree",
    "146": "diagnosis not valid on that date",
    "147": "contracted rate expired or not on file",
    "149": "lifetime benefit for this service reached",
    "150": "documents do not support this level",
    "151": "documents do not support this many",
    "153": "documents do not support this dose",
    "154": "documents do not support this day's supply",
    "155": "patient refused the service",
    "163": "attachment named but not received",
    "164": "attachment not received in time",
    "166": "sent after this payer's duty ended",
    "167": "diagnosis not covered",
    "170": "not covered from this kind of provider",
    "171": "not covered from this provider in this place",
    "173": "not prescribed by a physician",
    "177": "patient does not meet eligibility rules",
    "178": "patient's spend-down not met",
    "181": "procedure code not valid on that date",
    "182": "modifier not valid on that date",
    "183": "referring provider not eligible to refer",
    "184": "prescriber not eligible to prescribe",
    "185": "rendering provider not eligible to perform it",
    "186": "level of care changed",
    "188": "product covered only as approved",
    "189": "unlisted code used where a listed one exists",
    "193": "first decision upheld on review",
    "197": "no prior authorisation or notice",
    "198": "beyond what was authorised",
    "199": "revenue and procedure codes do not agree",
    "200": "coverage had lapsed",
    "204": "not in the patient's plan",
    "206": "provider identifier missing",
    "207": "provider identifier not valid",
    "208": "provider identifier does not match",
    "216": "review organisation's finding",
    "222": "above the contracted number",
    "226": "provider did not answer or answered too late",
    "227": "patient did not answer or answered too late",
    "231": "cannot be done together with another procedure",
    "234": "not paid separately",
    "236": "combination not allowed on the same day",
    "242": "not from a network provider",
    "243": "not authorised by the network or primary provider",
    "250": "attachment received is the wrong one",
    "251": "attachment received is incomplete",
    "252": "attachment needed",
    "256": "not payable under the managed-care contract",
    "272": "coverage rules of the programme not met",
    "273": "coverage limits of the programme exceeded",
    "288": "referral missing",
    "B1": "not-covered visit",
    "B7": "provider not certified for it on that date",
    "B9": "patient is in hospice care",
    "B11": "forwarded to another payer, not ours",
    "B13": "paid before, perhaps in another claim",
    "B14": "only one visit a day is covered",
    "B15": "qualifying service missing",
    "B16": "new-patient rule not met",
    "B20": "partly or wholly given by another provider",
}

_SUSPENSE = {
    "1": "deductible (patient share outside group PR)",
    "2": "coinsurance (patient share outside group PR)",
    "3": "copay (patient share outside group PR)",
    "23": "effect of an earlier payer's decision",
    "64": "reduced after denial was overturned in part",
    "66": "blood deductible",
    "70": "cost outlier adjustment",
    "74": "indirect medical education adjustment",
    "75": "direct medical education adjustment",
    "76": "disproportionate share adjustment",
    "85": "interest to the patient",
    "100": "paid to the patient or another person",
    "101": "predetermination: expected payment",
    "102": "major medical adjustment",
    "104": "managed-care withholding",
    "105": "tax withholding",
    "121": "indemnification between payers",
    "136": "earlier payer's rules were not followed",
    "137": "regulatory surcharge or health tax",
    "143": "part of the payment deferred",
    "152": "shorter or less than was charged",
    "169": "alternate benefit priced instead",
    "176": "prescription not current",
    "187": "consumer spending account payment",
    "203": "reduced or discontinued service",
    "209": "may not be charged to the patient",
    "215": "recovered from a third party",
    "219": "depends on the extent of an injury",
    "225": "penalty or interest paid by the payer",
    "229": "part charged to another payer not considered",
    "238": "split over periods of coverage",
    "A0": "patient refund",
    "A1": "refused with remarks",
    "W1": "workers' compensation adjustment (old code)",
    "B4": "late filing penalty",
}

ADJUSTMENT_REASONS: Mapping[str, AdjustmentReason] = MappingProxyType(
    {code: AdjustmentReason(label, Bucket.CONTRACTUAL) for code, label in _CONTRACTUAL.items()}
    | {code: AdjustmentReason(label, Bucket.DENIAL) for code, label in _DENIAL.items()}
    | {code: AdjustmentReason(label, Bucket.SUSPENSE) for code, label in _SUSPENSE.items()}
)

# Which buckets a group may reach by its reason. PR needs no reason; a group not named here reaches none.
_REACHABLE: Mapping[str, frozenset[Bucket]] = MappingProxyType(
    {
        "CO": frozenset({Bucket.CONTRACTUAL, Bucket.DENIAL}),
        "PI": frozenset({Bucket.CONTRACTUAL, Bucket.DENIAL}),
        "OA": frozenset({Bucket.DENIAL}),
    }
)


def adjustment_bucket(group: str, reason: str) -> Bucket:
    """Where a CAS amount of this group (CAS01) and reason (CAS02, …) belongs; unknown pairs go to suspense.

    PR is always the patient's. OA-23 is another payer's. CO and PI follow the reason's bucket; OA only into
    denial, for "other" is neither the contract's nor the patient's word.
    """
    if group == "PR":
        return Bucket.PATIENT
    if (group, reason) == ("OA", "23"):
        return Bucket.OTHER_PAYER
    known = ADJUSTMENT_REASONS.get(reason)
    reachable = _REACHABLE.get(group, frozenset())
    return known.bucket if known is not None and known.bucket in reachable else Bucket.SUSPENSE


def _suspense(labels: Mapping[str, str]) -> dict[str, ProviderLevelCode]:
    return {code: ProviderLevelCode(label, AccountRole.SUSPENSE) for code, label in labels.items()}


PLB: Mapping[str, ProviderLevelCode] = MappingProxyType(
    {
        "L6": ProviderLevelCode("interest owed or paid", AccountRole.INTEREST),
        "WO": ProviderLevelCode("recovery of an overpayment", AccountRole.PAYER_OVERPAYMENTS),
        "72": ProviderLevelCode("authorised return of a refund", AccountRole.PAYER_OVERPAYMENTS),
        "FB": ProviderLevelCode("balance carried between remittances", AccountRole.FORWARD_BALANCES),
        "CS": ProviderLevelCode("payer's adjustment", AccountRole.PAYER_ADJUSTMENTS),
    }
    | _suspense(
        {
            "50": "late charge",
            "51": "interest penalty",
            "90": "early payment allowance",
            "AH": "origination fee",
            "AM": "applied to the borrower's account",
            "AP": "benefits taken over",
            "B2": "rebate",
            "B3": "recovery allowance",
            "BD": "bad debt",
            "BN": "bonus",
            "C5": "temporary allowance",
            "CR": "capitation interest",
            "CT": "capitation payment",
            "CV": "capital passed through",
            "CW": "registered-nurse anaesthetist costs passed through",
            "DM": "direct medical education passed through",
            "E3": "withholding",
            "FC": "fund allocation",
            "GO": "graduate medical education passed through",
            "HM": "haemophilia clotting factor supplement",
            "IP": "incentive premium",
            "IR": "tax authority withholding",
            "IS": "interim settlement",
            "J1": "no reimbursement",
            "L3": "penalty",
            "LE": "levy",
            "LS": "lump sum",
            "OA": "organ acquisition passed through",
            "OB": "offset for affiliated providers",
            "PI": "periodic interim payment",
            "PL": "final payment",
            "RA": "retroactive adjustment",
            "RE": "return on equity",
            "SL": "student loan repayment",
            "TL": "third-party liability",
        }
    )
)


def provider_level_code(code: str) -> ProviderLevelCode:
    """The table's line for a PLB code; an unknown code is labelled so and goes to suspense."""
    return PLB.get(code, ProviderLevelCode("code not in the table", AccountRole.SUSPENSE))


# No currency of ISO 4217 has more minor digits; what is not a known currency is held to this.
MOST_FRACTION_DIGITS = 4


def fraction_digits(currency: str | None) -> int:
    """How many digits after the point an amount of this currency may have: USD 2, JPY 0, KWD 3; unknown 4."""
    try:
        sub_unit = moneyed.get_currency(currency).sub_unit if currency else 0
    except moneyed.CurrencyDoesNotExist:
        sub_unit = 0
    return len(str(sub_unit)) - 1 if sub_unit else MOST_FRACTION_DIGITS
