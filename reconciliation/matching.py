"""Which claim of the books a claim payment is about. Deterministic keys only; every decision says its rule.

The order, first unique hit: a payer control number that settled a claim before; the claim id that was sent
back, with corroboration; the line reference; the claim id in other letters or cut short, where payer, day,
procedure and charge agree too; then these alone, for a payment whose claim id is missing. A tie is an exception,
and so is a claim that other facts contradict, another claim's id or line reference among them: money is never
posted to a claim on a guess.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from msgspec import Struct

from ledger.accounts import chart
from ledger.money import plain
from ledger.postings.item import Item
from reconciliation.amounts import minor_units
from reconciliation.reasons import ExceptionReason
from reconciliation.remittance import ClaimPayment

NO_CLAIM_ID = frozenset({"", "0"})
"""CLP01 where the payer knows no claim id of ours (0 by the 835's own rule)."""

SHORTEST_CUT = 8
"""Characters that must be left of a claim id, and half of them, for a cut one to be recognised.

A shorter beginning is as likely a whole id of somebody else's: of numbers that run on, each begins later ones.
"""

_FACTS = 3
"""Charge, date of service and procedure."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the books and earlier remittances know, gathered for a number of claim payments of one payer.

    `by_control_number` are claims that this payer settled under a control number (CLP07) before; `by_session`
    are claims of sessions by the session's name (REF*6R); `alike` are, by line, claims of this payer with a
    session on a day and for a procedure that were sent, and with an id that begins like the one sent, in whatever
    letters; `items` are all of these claims.
    """

    payer: str
    items: Mapping[str, Item] = field(default_factory=dict)
    by_control_number: Mapping[str, Collection[str]] = field(default_factory=dict)
    by_session: Mapping[str, Collection[str]] = field(default_factory=dict)
    alike: Mapping[int, Collection[str]] = field(default_factory=dict)

    def owners(self, payment: ClaimPayment) -> set[str]:
        """The claims of the sessions to which a payment's lines refer."""
        return {claim for line in line_references(payment) for claim in self.by_session.get(line, ())}


class Match(Struct, frozen=True):
    """A claim of the books, the rule that found it and what agreed."""

    claim: str
    rule: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Mismatch:
    """No claim; why a person must look, in one sentence. `claim` is the one that came nearest."""

    reason: ExceptionReason
    detail: str
    claim: str | None = None


def match(payment: ClaimPayment, known: Known, currency: str) -> Match | Mismatch:
    """The claim that a payment is about, or why none is certain."""
    for rule, claims in _candidates(payment, known):
        judged = [_judged(rule, payment, known, claim, currency) for claim in sorted(claims)]
        if rule in _BY_ALL_FACTS:
            judged = [match for match in judged if isinstance(match, Match)]
        if len(judged) == 1:
            return _unrivalled(judged[0], payment, known, currency)
        if judged:
            return _tie(rule, [one.claim for one in judged if one.claim])
    named = payment.claim_as_sent or "without id"
    return Mismatch(ExceptionReason.UNKNOWN_CLAIM, f"the books know no claim {named}")


def _candidates(payment: ClaimPayment, known: Known) -> Iterable[tuple[str, Collection[str]]]:
    """The claims that each rule finds, in the order of the rules."""
    yield "payer_control_number", known.by_control_number.get(payment.payer_control_number, ())
    yield "claim_id", {payment.claim_as_sent} & known.items.keys()
    yield "line_reference", known.owners(payment)
    alike = known.alike.get(payment.line, ())
    if payment.claim_as_sent in NO_CLAIM_ID:
        yield "composite_key", alike
    else:
        yield "claim_id_respelled", [claim for claim in alike if _respelled(payment.claim_as_sent, claim)]


_BY_ALL_FACTS = frozenset({"claim_id_respelled", "composite_key"})
"""Rules under which a claim counts only where every fact agrees."""


def _respelled(sent: str, claim: str) -> bool:
    """Whether the id sent is the claim's in other letters, or its beginning."""
    folded, whole = sent.casefold(), claim.casefold()
    enough = len(folded) >= SHORTEST_CUT and 2 * len(folded) >= len(whole)
    return folded == whole or (enough and whole.startswith(folded))


def _unrivalled(found: Match | Mismatch, payment: ClaimPayment, known: Known, currency: str) -> Match | Mismatch:
    """The match by claim id, unless that id may as well be cut from another's with which every fact agrees."""
    if not isinstance(found, Match) or found.rule != "claim_id" or found.claim in known.owners(payment):
        return found
    others = (claim for claim in known.alike.get(payment.line, ()) if claim != found.claim)
    respelled = [claim for claim in sorted(others) if _respelled(payment.claim_as_sent, claim)]
    judged = (_judged("claim_id_respelled", payment, known, claim, currency) for claim in respelled)
    rivals = [one.claim for one in judged if isinstance(one, Match)]
    return _tie("claim_id_respelled", [found.claim, *rivals]) if rivals else found


def _tie(rule: str, claims: list[str]) -> Mismatch:
    named = ", ".join(claims[:5])
    return Mismatch(ExceptionReason.AMBIGUOUS_CLAIM, f"{len(claims)} claims agree by {rule}: {named}")


def _judged(rule: str, payment: ClaimPayment, known: Known, claim: str, currency: str) -> Match | Mismatch:
    """The claim, where the payer is its own, nothing contradicts it and something else agrees."""
    item = known.items.get(claim)
    if item is None or not billed(item, known.payer):
        return Mismatch(ExceptionReason.CLAIM_MISMATCH, f"claim {claim} was never billed to {known.payer}", claim)
    facts = _compared(payment, item, currency) | _named_otherwise(rule, payment, known, claim)
    contradicting = [name for name, agrees in facts.items() if agrees is False]
    agreeing = [name for name, agrees in facts.items() if agrees]
    if "charge" in contradicting:
        return Mismatch(ExceptionReason.CHARGE_MISMATCH, _charges(payment, item, claim, currency), claim)
    if contradicting:
        differing = f"claim {claim} differs in {' and '.join(contradicting)}"
        return Mismatch(ExceptionReason.CLAIM_MISMATCH, differing, claim)
    if not _enough(rule, agreeing):
        return Mismatch(ExceptionReason.CLAIM_MISMATCH, f"nothing but the id speaks for claim {claim}", claim)
    return Match(claim, rule, f"payer, {', '.join(agreeing)}".rstrip(", "))


def billed(item: Item, payer: str) -> bool:
    """Whether the payer has owed something on the claim, or its sessions name it and all was the patient's."""
    of_sessions = item.dimensions.payer
    receivable = chart.receivable(payer)
    return receivable in item.balances or (of_sessions is not None and chart.receivable(of_sessions) == receivable)


def _enough(rule: str, agreeing: Collection[str]) -> bool:
    """A control number was corroborated when it was first seen; a composite key needs every part of it."""
    if rule == "payer_control_number":
        return True
    return len(agreeing) == _FACTS if rule in _BY_ALL_FACTS else bool(agreeing)


def _named_otherwise(rule: str, payment: ClaimPayment, known: Known, claim: str) -> dict[str, bool | None]:
    """What names another claim than this one: the id as it was sent, or a line's reference."""
    other = known.items.get(payment.claim_as_sent) if rule == "payer_control_number" else None
    owners = known.owners(payment)
    return {
        "claim id": False if other and other.name != claim and billed(other, known.payer) else None,
        "line reference": False if owners and claim not in owners else None,
    }


def _compared(payment: ClaimPayment, item: Item, currency: str) -> dict[str, bool | None]:
    """What agrees, what contradicts, and what one side does not say (None)."""
    charge = minor_units(payment.charge, currency)
    return {
        "charge": None if charge is None or item.charge is None else charge == item.charge,
        "date of service": _overlap(service_days(payment), item.service_dates),
        "procedure": _overlap(procedures(payment), item.service_codes),
    }


def _overlap(sent: Collection[object], booked: Collection[object]) -> bool | None:
    return bool(set(sent) & set(booked)) if sent and booked else None


def _charges(payment: ClaimPayment, item: Item, claim: str, currency: str) -> str:
    of_sessions = plain(item.charge or 0, currency)
    return f"claim {claim}: the charge sent is {payment.charge}, billed were {of_sessions} {currency}"


def service_days(payment: ClaimPayment) -> set[date]:
    """Days of service of the lines, or of the claim where no line has one."""
    lines = {line.service_from for line in payment.service_lines} - {None}
    days: Iterable[date | None] = lines or {payment.claim_from, payment.claim_to}
    return {day for day in days if day is not None}


def procedures(payment: ClaimPayment) -> set[str]:
    """Procedure codes of the lines, as paid and as submitted where the payer changed them (SVC06)."""
    lines = payment.service_lines
    found = [line.procedure for line in lines] + [line.original_procedure for line in lines]
    return {code.code for code in found if code is not None and code.code}


def line_references(payment: ClaimPayment) -> set[str]:
    """What we called the lines (REF*6R)."""
    return {line.line_reference for line in payment.service_lines if line.line_reference}
