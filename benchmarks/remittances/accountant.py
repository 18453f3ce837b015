"""What an accountant makes of an answer to a known claim: the decision and the entry, to the cent.

Written from the posting rules as people know them, not from the product: what the contract says is due is the open
receivable less what became the patient's; more is owed back, less is the contract's word or stays open.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.remittances.answer import MONEY, Answer, Effect, Expected
from benchmarks.remittances.world import Claim, Payer

PATIENT = "Assets:Receivable:Patient"
CONTRACT = "Revenue:ContractualAdjustments"
INTEREST = "Revenue:Interest"


def receivable(payer: Payer) -> str:
    """What the payer owes."""
    return f"Assets:Receivable:Insurer:{payer.code}"


def overpayments(payer: Payer) -> str:
    """What is owed back to the payer."""
    return f"Liabilities:PayerOverpayments:{payer.code}"


def forwarded(payer: Payer) -> str:
    """What the payer carries to a later remittance."""
    return f"Liabilities:ForwardBalances:{payer.code}"


def suspense(payer: Payer) -> str:
    """The payer's money whose purpose is not known."""
    return f"Liabilities:Suspense:{payer.code}"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is open of a claim with its payer, and the patient's part as known so far."""

    open: int
    share: int


def fresh(claim: Claim) -> Standing:
    """As it was billed."""
    return Standing(claim.allowed - claim.share, claim.share)


def adjudicated(claim: Claim, answer: Answer, standing: Standing | None = None) -> Expected:
    """What is right where the claim is known."""
    before = standing or fresh(claim)
    paid, share = answer.paid, answer.adjusted("PR")
    if not paid and not share:
        return Expected(claim.id, True, "DENIED", "DENIED" if before.open > 0 else "")
    more = share - before.share
    missing = before.open - more - paid
    by_contract = 0 < missing <= answer.adjusted("CO-45") and not _unexplained(answer)
    over, variance = max(-missing, 0), missing if by_contract else 0
    effect = {
        MONEY: paid,
        PATIENT: more,
        CONTRACT: variance,
        overpayments(answer.payer): -over,
        receivable(answer.payer): over - paid - more - variance,
    }
    decision, look = _word(paid, missing, by_contract=by_contract)
    return Expected(claim.id, True, decision, look, without_zeros(effect))


def _unexplained(answer: Answer) -> int:
    """Adjustments that are neither the contract's nor the patient's word."""
    return answer.adjusted("CO", "OA", "PI") - answer.adjusted("CO-45")


def _word(paid: int, missing: int, *, by_contract: bool) -> tuple[str, str]:
    if missing == 0:
        return ("PAID_IN_FULL" if paid else "PATIENT_OWES"), ""
    if missing < 0:
        return "OVERPAID", "OVERPAID"
    return ("CONTRACT_VARIANCE", "UNDERPAID_AGAINST_CONTRACT") if by_contract else ("SHORT_PAID", "SHORT_PAID")


def waiting(claim: str | None, answer: Answer, look: str) -> Expected:
    """What is right where nobody can tell the claim: the money waits in suspense, and somebody must look."""
    effect = {MONEY: answer.paid, suspense(answer.payer): -answer.paid}
    return Expected(claim, False, "SUSPENDED", look, without_zeros(effect))


def undone(expected: Expected) -> Expected:
    """What is right of a reversal: every posting of what it takes back, on its other side."""
    effect = {account: -cents for account, cents in expected.effect.items()}
    return Expected(expected.claim, True, "REVERSED", "", effect)


def without_zeros(effect: Mapping[str, int]) -> Effect:
    """Only what moves."""
    return {account: cents for account, cents in effect.items() if cents}
