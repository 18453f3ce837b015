"""How well a claim fits a claim payment whose money waits in suspense: a score, its rule, and what speaks for it.

For a person to read and decide; no money ever moves on a score. Pure. Amounts are minor units.

A score is the points that agree, of a hundred: 45 for what names the claim (its id, the payer's own number, a
line's reference), 20 for the day of service, 15 for the charge, 12 for what is open, 8 for the procedure. What one
side does not say earns nothing, so that a payment without an id reaches 55 at most.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from rapidfuzz import fuzz
from rapidfuzz.distance import OSA

from ledger.accounts import chart
from ledger.money import plain
from ledger.postings.item import Item
from reconciliation.matching import NO_CLAIM_ID

FOR_NAME, FOR_DAY, FOR_CHARGE, FOR_OPEN, FOR_PROCEDURE = 45, 20, 15, 12, 8
"""Points for what agrees wholly."""
_OTHER_PAYER = 20
"""Points off where the claim was never billed to this payer."""
_ANSWERED = 6
"""Points off where the payer has answered the claim already: of two that are open, it pays the other one."""
_OTHER_NAME = 10
"""Points off, at most, where the payer is not known and its name is not like this one."""
LEAST_SCORE = 15
"""What scores less is not worth a look."""
_ALIKE = 50
"""Percent of an id that must agree for it to count at all: ids that run on share their beginnings."""
_CUT = 90
"""What a beginning of an id counts, in percent of the whole."""
_SHORTEST_BEGINNING = 3
_NEAR_DAYS = 7
_NEAR_CHARGE = 20
"""A charge is near where the difference is at most one part of so many."""


class Agreement(StrEnum):
    """Whether a fact speaks for a claim."""

    AGREES = "agrees"
    NEAR = "near"
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One fact compared: what it is, whether it agrees, the two sides in words, and what it earned."""

    fact: str
    agreement: Agreement
    detail: str
    points: int = 0


@dataclass(frozen=True, slots=True)
class Sought:
    """What is known of a claim payment: from the remittance, its file, and what its references led to.

    `payer` is None where nobody has said whose `payer_name` is. `of_control_number` are claims that this payer
    settled under the same number (CLP07) before, `of_lines` those of the sessions that its lines name (REF*6R).
    `answered` are claims on which this payer has decided already, and nobody took it back, with what it said.
    `is_reversal` where it takes back what was paid: amounts are without their sign then, too.
    """

    payer: str | None
    payer_name: str
    currency: str
    claim_as_sent: str
    charge: int | None
    paid: int
    days: frozenset[date]
    codes: frozenset[str]
    of_control_number: frozenset[str] = frozenset()
    of_lines: frozenset[str] = frozenset()
    answered: Mapping[str, str] = field(default_factory=dict)
    is_reversal: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """A claim that a payment may be about. `open` is what its payer still owes on it, in minor units."""

    item: Item
    rule: str
    score: int
    evidence: tuple[Evidence, ...]
    open: int

    @property
    def claim(self) -> str:
        """Its name."""
        return self.item.name


def ranked(sought: Sought, items: Iterable[Item], least: int = LEAST_SCORE) -> list[Candidate]:
    """Candidates, the likeliest first; of the same score in the order of their names."""
    found = (scored(sought, item) for item in items)
    return sorted((one for one in found if one.score >= least), key=lambda one: (-one.score, one.claim))


def tied(candidates: Collection[Candidate], with_: Candidate) -> int:
    """How many others have the same score: more than none, and the score does not tell them apart."""
    return sum(one.score == with_.score for one in candidates) - 1


def scored(sought: Sought, item: Item) -> Candidate:
    """One claim compared with what is sought."""
    rule, named = _named(sought, item.name)
    facts = (
        _day(sought, item),
        _charge(sought, item),
        _procedure(sought, item),
        _open(sought, item),
        _answered(sought, item),
    )
    evidence = [one for one in (*named, *facts, _payer(sought, item)) if one]
    score = max(0, min(100, sum(one.points for one in evidence)))
    return Candidate(item, rule or _rule_of(evidence), score, tuple(evidence), owed(sought, item))


def owed(sought: Sought, item: Item) -> int:
    """What is open of a claim with the payer, or with all of its payers where this one is not known."""
    if sought.payer is None:
        return sum(item.receivables().values())
    return item.balance(chart.receivable(sought.payer))


# --- what names a claim -------------------------------------------------------------------------------


def _named(sought: Sought, claim: str) -> tuple[str, list[Evidence]]:
    """The strongest rule by which something names this claim ("" for none), and all that was compared."""
    spelled, evidence = _spelled(sought.claim_as_sent, claim)
    found = [(spelled, evidence)] if evidence else []
    found += _led("payer_control_number", "payer control number", sought.of_control_number, claim)
    found += _led("line_reference", "line reference", sought.of_lines, claim)
    if not found:
        return "", []
    rule, best = max(found, key=lambda one: one[1].points)
    rest = [Evidence(one.fact, one.agreement, one.detail) for _, one in found if one is not best]
    return (rule if best.points else ""), [best, *rest]


def _led(rule: str, fact: str, claims: Collection[str], claim: str) -> list[tuple[str, Evidence]]:
    """Whether a reference of the payment leads to this claim, or to others."""
    if not claims:
        return []
    if claim in claims:
        return [(rule, Evidence(fact, Agreement.AGREES, f"it is that of claim {claim}", FOR_NAME))]
    others = ", ".join(sorted(claims)[:3])
    return [(rule, Evidence(fact, Agreement.DIFFERS, f"it is that of claim {others}"))]


def _spelled(sent: str, claim: str) -> tuple[str, Evidence | None]:
    """How like the id that was sent is to the claim's."""
    if sent in NO_CLAIM_ID:
        return "", None
    if sent == claim:
        return "claim_id", Evidence("claim id", Agreement.AGREES, claim, FOR_NAME)
    folded, whole = sent.casefold(), claim.casefold()
    letters = OSA.distance(folded, whole)
    likeness = likeness_of(folded, whole)
    points = FOR_NAME * max(0, likeness - _ALIKE) // (100 - _ALIKE)
    if begins := _begins(folded, whole):
        told = (
            "in other letters" if folded == whole else f"{len(whole) - len(folded)} signs are missing at its end"
        )
    else:
        told = f"{letters} of {max(len(folded), len(whole))} signs differ"
    agreement = Agreement.NEAR if points else Agreement.DIFFERS
    rule = "claim_id_respelled" if begins else "claim_id_similar"
    return rule, Evidence("claim id", agreement, f"sent {sent}, billed {claim}: {told}", points)


def likeness_of(sent: str, claim: str) -> int:
    """Percent of the signs of two ids that agree, swapped neighbours counted as one sign; rounded down.

    A beginning of an id counts as nine tenths of it at least: ids are cut short at their ends.
    """
    longest = max(len(sent), len(claim), 1)
    alike = 100 * (longest - OSA.distance(sent, claim)) // longest
    return max(alike, _CUT) if _begins(sent, claim) else alike


def _begins(sent: str, claim: str) -> bool:
    return len(sent) >= _SHORTEST_BEGINNING and claim.startswith(sent)


def _rule_of(evidence: Collection[Evidence]) -> str:
    """Of a claim that nothing names."""
    agreeing = {one.fact for one in evidence if one.agreement is Agreement.AGREES}
    return "composite_key" if {"date of service", "charge", "procedure"} <= agreeing else "some_facts"


# --- what corroborates it -----------------------------------------------------------------------------


def _day(sought: Sought, item: Item) -> Evidence | None:
    if not sought.days or not item.service_dates:
        return None
    apart = min(abs((one - other).days) for one in sought.days for other in item.service_dates)
    told = f"sent {_listed(sought.days)}, booked {_listed(item.service_dates)}"
    if apart == 0:
        return Evidence("date of service", Agreement.AGREES, told, FOR_DAY)
    if apart <= _NEAR_DAYS:
        points, far = (FOR_DAY // 2, "a day") if apart == 1 else (FOR_DAY // 4, f"{apart} days")
        return Evidence("date of service", Agreement.NEAR, f"{told}: {far} apart", points)
    return Evidence("date of service", Agreement.DIFFERS, f"{told}: {apart} days apart")


def _charge(sought: Sought, item: Item) -> Evidence | None:
    if sought.charge is None or item.charge is None:
        return None
    apart = abs(sought.charge - item.charge)
    told = f"sent {_money(sought.charge, sought)}, billed {_money(item.charge, sought)}"
    if apart == 0:
        return Evidence("charge", Agreement.AGREES, told, FOR_CHARGE)
    told = f"{told}: {_money(apart, sought)} apart"
    if apart * _NEAR_CHARGE <= item.charge:
        return Evidence("charge", Agreement.NEAR, told, FOR_CHARGE // 2)
    return Evidence("charge", Agreement.DIFFERS, told)


def _procedure(sought: Sought, item: Item) -> Evidence | None:
    if not sought.codes or not item.service_codes:
        return None
    told = f"sent {_listed(sought.codes)}, booked {_listed(item.service_codes)}"
    if sought.codes & item.service_codes:
        return Evidence("procedure", Agreement.AGREES, told, FOR_PROCEDURE)
    return Evidence("procedure", Agreement.DIFFERS, told)


def _open(sought: Sought, item: Item) -> Evidence | None:
    """What was paid against what the payer still owes; a reversal says nothing about that."""
    if sought.is_reversal:
        return None
    open_ = owed(sought, item)
    told = f"paid {_money(sought.paid, sought)}, open {_money(open_, sought)}"
    if open_ <= 0:
        return Evidence("open amount", Agreement.DIFFERS, told)
    if sought.paid == open_:
        return Evidence("open amount", Agreement.AGREES, told, FOR_OPEN)
    over = sought.paid > open_
    return Evidence("open amount", Agreement.NEAR, told, FOR_OPEN // 4 if over else FOR_OPEN * 2 // 3)


def _answered(sought: Sought, item: Item) -> Evidence | None:
    """Whether the payer has answered this claim before; a reversal takes back just such an answer."""
    if sought.is_reversal or item.name not in sought.answered:
        return None
    return Evidence("answered before", Agreement.DIFFERS, sought.answered[item.name], -_ANSWERED)


def _payer(sought: Sought, item: Item) -> Evidence | None:
    """Whether the claim was billed to this payer, or to one whose name is like the one in the file."""
    billed = item.dimensions.payer or ""
    if sought.payer is None:
        alike = int(fuzz.token_set_ratio(_words(sought.payer_name), _words(billed)))
        agreement = Agreement.NEAR if alike > _ALIKE else Agreement.DIFFERS
        told = f"unknown, it calls itself {sought.payer_name}; billed to {billed or 'several'}"
        return Evidence("payer", agreement, told, -(_OTHER_NAME * (100 - alike) // 100))
    receivable = chart.receivable(sought.payer)
    if receivable in item.balances or (billed and chart.receivable(billed) == receivable):
        return Evidence("payer", Agreement.AGREES, sought.payer)
    return Evidence("payer", Agreement.DIFFERS, f"{sought.payer}; billed to {billed or 'others'}", -_OTHER_PAYER)


def _words(name: str) -> str:
    return name.casefold().replace("-", " ")


def _listed(values: Iterable[object]) -> str:
    return ", ".join(sorted(map(str, values))[:3])


def _money(minor_units: int, sought: Sought) -> str:
    return f"{plain(minor_units, sought.currency)} {sought.currency}"
