"""What somebody careful can tell of a payment from the file and the books alone, without knowing the truth.

The clerk goes by our id, by our session's name on a line, by the id in other letters or cut short, and where there
is no id by payer, charge, and the day and procedure of a line together. A fact that contradicts, or a second claim
that fits as well, stops the clerk: then somebody must ask the payer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.remittances.answer import Answer
from benchmarks.remittances.world import Claim, World

SHORTEST_CUT = 8
"""Characters of an id that must be left, and half of it, for the clerk to take it for a cut one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim, or the reason why there is none."""

    claim: Claim | None
    look: str = ""


def told(world: World, answer: Answer) -> Verdict:
    """The claim that the clerk would post to."""
    named = world.by_id.get(answer.claim_id)
    if named is not None:
        return _of_id(world, answer, named)
    echoed = {world.by_session[ref].id for ref in _references(answer) if ref in world.by_session}
    if len(echoed) > 1:
        return Verdict(None, "AMBIGUOUS_CLAIM")
    if echoed:
        return _judged(answer, world.by_id[echoed.pop()])
    alike = [claim for claim in _that_day(world, answer) if _alike(answer, claim) and _spelled(answer, claim)]
    if len(alike) == 1:
        return Verdict(alike[0])
    return Verdict(None, "AMBIGUOUS_CLAIM" if alike else "UNKNOWN_CLAIM")


def _of_id(world: World, answer: Answer, named: Claim) -> Verdict:
    """The claim of that id, unless it is as likely the beginning of another's."""
    others = {world.by_session[ref].id for ref in _references(answer) if ref in world.by_session} - {named.id}
    verdict = _judged(answer, named)
    if others and verdict.look != "CHARGE_MISMATCH":
        return Verdict(None, "CLAIM_MISMATCH")
    if verdict.claim is None or _references(answer):
        return verdict
    longer = [claim for claim in _that_day(world, answer) if _cut(answer, claim) and _alike(answer, claim)]
    return Verdict(None, "AMBIGUOUS_CLAIM") if longer else verdict


def _judged(answer: Answer, claim: Claim) -> Verdict:
    if claim.payer != answer.payer:
        return Verdict(None, "CLAIM_MISMATCH")
    if answer.charge != claim.charge:
        return Verdict(None, "CHARGE_MISMATCH")
    return Verdict(claim) if _fits(answer, claim) else Verdict(None, "CLAIM_MISMATCH")


def _that_day(world: World, answer: Answer) -> Sequence[Claim]:
    days = sorted({line.day for line in answer.lines})
    found = {claim.id: claim for day in days for claim in world.by_day.get((answer.payer.code, day), ())}
    return [*found.values()]


def _fits(answer: Answer, claim: Claim) -> bool:
    """Payer, charge, day and procedure agree."""
    codes = {code for line in answer.lines for code in (line.code, line.original) if code}
    return (
        claim.payer == answer.payer
        and claim.charge == answer.charge
        and bool(codes & {one.code for one in claim.sessions})
        and bool({line.day for line in answer.lines} & {one.day for one in claim.sessions})
    )


def _alike(answer: Answer, claim: Claim) -> bool:
    """The same, and some line has the day and the procedure of one session: lines are read one by one."""
    visits = {(one.day, one.code) for one in claim.sessions}
    lines = {(line.day, code) for line in answer.lines for code in (line.code, line.original)}
    return _fits(answer, claim) and bool(visits & lines)


def _spelled(answer: Answer, claim: Claim) -> bool:
    """Whether the id sent can be this claim's: none at all, in other letters, or cut short."""
    sent = answer.claim_id.casefold()
    return sent in ("", "0") or sent == claim.id.casefold() or _cut(answer, claim)


def _cut(answer: Answer, claim: Claim) -> bool:
    sent, whole = answer.claim_id.casefold(), claim.id.casefold()
    enough = len(sent) >= SHORTEST_CUT and 2 * len(sent) >= len(whole)
    return enough and len(sent) < len(whole) and whole.startswith(sent)


def _references(answer: Answer) -> set[str]:
    return {line.reference for line in answer.lines if line.reference}
