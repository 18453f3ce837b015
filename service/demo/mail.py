"""What the demo's payers send: every case in June, in one file, and what follows from it in July."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from random import Random

from service.demo.remittance import CASES, Remittance, as_booked
from service.demo.world import PAYERS, SPRING, Claim, Payer

JUNE = date(2026, 6, 12)
JULY = date(2026, 7, 10)
UNBALANCED = "ORCHARD"
"""The payer whose remittance does not add up."""
_ALWAYS_SILENT = 5
_SILENT_IN_JUNE = 15
_EVERY_CASE = {
    "short paid": 30,
    "overpaid": 16,
    "denied": 24,
    "denied under status 1": 12,
    "patient owes more": 20,
    "patient owes less": 20,
    "patient owes all": 8,
    "contract variance": 20,
    "reversal and correction": 12,
    "another charge": 3,
    "unknown claim": 6,
    "predetermination": 4,
    "forwarded": 4,
}
_SOME_CASES = {"short paid": 4, "overpaid": 2, "denied": 4, "patient owes more": 3, "contract variance": 4}


def cases(claims: Sequence[Claim]) -> dict[str, str]:
    """How each claim of the spring is decided in June; the last ones of each payer are not yet."""
    found: dict[str, str] = {}
    for payer in PAYERS:
        answered = _of(payer, claims)[:-_SILENT_IN_JUNE]
        found |= {claim.name: "paid in full" for claim in answered}
        found |= _special([claim for claim in answered if claim.sessions[0].patient_share >= 1000], _counts(payer))
    return found


def june(claims: Sequence[Claim], decided: Mapping[str, str]) -> list[Remittance]:
    """One remittance a payer, the first with every case and every kind of provider-level adjustment."""
    sent = [_june(payer, _of(payer, claims), decided) for payer in PAYERS]
    sent[0] = replace(sent[0], adjusted=_adjusted(decided))
    return [_unbalanced(one) if one.payer.code == UNBALANCED else one for one in sent]


def july(claims: Sequence[Claim], decided: Mapping[str, str], recovered: str) -> Remittance:
    """Late claims and a recovered one are paid, a payment of June is taken back, and balances are settled."""
    payer = PAYERS[0]
    own = {claim.name: claim for claim in _of(payer, claims)}
    late = [*own.values()][-_SILENT_IN_JUNE:-_ALWAYS_SILENT]
    taken_back = own[with_case(decided, "paid in full")[0]]
    answers = (
        as_booked(own[recovered], f"{_number(own[recovered])}B"),
        *(as_booked(claim, _number(claim)) for claim in late),
        as_booked(taken_back, _number(taken_back)).taken_back(),
    )
    settled = (("FB", "FB-0612", -6000), ("WO", with_case(decided, "overpaid")[1], 1000))
    return Remittance(payer, f"{payer.code}-0710", JULY, answers, settled)


def with_case(decided: Mapping[str, str], case: str) -> list[str]:
    """The claims that are decided so, in the order of their numbers."""
    return [claim for claim, found in decided.items() if found == case]


def _of(payer: Payer, claims: Sequence[Claim]) -> list[Claim]:
    """The payer's claims of the spring."""
    return [claim for claim in claims if claim.payer == payer.code and claim.sessions[0].day <= SPRING]


def _counts(payer: Payer) -> dict[str, int]:
    return _EVERY_CASE if payer is PAYERS[0] else _SOME_CASES


def _special(claims: Sequence[Claim], counts: Mapping[str, int]) -> dict[str, str]:
    """The cases spread over the claims, in a mixed order that is the same at every run."""
    mixed = [case for case, times in counts.items() for _ in range(times)]
    Random(835).shuffle(mixed)  # noqa: S311 - made-up data
    step = len(claims) // len(mixed)
    return {claim.name: case for claim, case in zip(claims[::step], mixed, strict=False)}


def _june(payer: Payer, claims: Sequence[Claim], decided: Mapping[str, str]) -> Remittance:
    known = (claim for claim in claims if claim.name in decided)
    answers = (answer for claim in known for answer in CASES[decided[claim.name]](claim, _number(claim)))
    return Remittance(payer, f"{payer.code}-0612", JUNE, tuple(answers))


def _number(claim: Claim) -> str:
    """The payer's own number for a claim."""
    return f"{claim.payer[0]}{claim.name.removeprefix('C-')}"


def _adjusted(decided: Mapping[str, str]) -> tuple[tuple[str, str, int], ...]:
    """Interest, recoveries and a returned refund, a balance carried to July, and a code that has no account."""
    return (
        ("L6", "INT-0612", -1840),
        ("WO", with_case(decided, "overpaid")[0], 1000),
        ("WO", "RF-0041", 1500),
        ("72", "RF-0041", -1500),
        ("FB", "FB-0612", 6000),
        ("CS", "CS-0612", 750),
        ("LE", "LE-0612", 425),
    )


def _unbalanced(remittance: Remittance) -> Remittance:
    """One claim of it is paid a dollar less than its charge and adjustments say."""
    first, *others = remittance.answers
    return replace(remittance, answers=(replace(first, missing=100), *others))
