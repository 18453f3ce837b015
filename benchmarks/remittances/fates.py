"""What becomes of claims at their payers: for each fate the answers, step by step, with what is right of each."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle
from random import Random

from benchmarks.remittances.accountant import (
    PATIENT,
    Standing,
    adjudicated,
    overpayments,
    receivable,
    undone,
    waiting,
    without_zeros,
)
from benchmarks.remittances.answer import MONEY, Adjustment, Answer, Expected, Line, Written, answer, line
from benchmarks.remittances.clerk import told
from benchmarks.remittances.rates import FATES, Rates
from benchmarks.remittances.world import RECODED, Claim, Payer, World, stranger

_REFUSALS = ("16", "27", "29", "50", "96", "197")
_DRAWS = 100


@dataclass(frozen=True, slots=True)
class Step:
    """What a payer sends together. `kept_back` is a part of a later payment, by reference, for an earlier one."""

    payer: Payer
    written: tuple[Written, ...] = ()
    kept_back: tuple[str, int] | None = None
    alone: bool = False
    """In a remittance of its own, which then has less than nothing to pay."""


Course = tuple[Step, ...]
"""What is sent about a claim, each step in a later remittance than the one before."""


def courses(world: World, rates: Rates) -> list[Course]:
    """A course for every claim of the world, in the order of their numbers, then those of strangers."""
    draw = Random(f"fates {world.seed}")
    fates = _dealt(draw, world, rates)
    made = [_FATES[fate](draw, world, claim) for fate, claim in zip(fates, world.claims, strict=True)]
    foreign = rates.count("foreign", len(world.claims))
    return [*made, *(_foreign(draw, world, number) for number in range(foreign))]


def _dealt(draw: Random, world: World, rates: Rates) -> list[str]:
    """Fates in their exact numbers; those that need a patient's share fall on claims that have one."""
    numbers = [*range(len(world.claims))]
    draw.shuffle(numbers)
    dealt = ["clean"] * len(numbers)
    shares = rates.count("share", len(numbers))
    wanted = {name: rates.count(name, len(numbers)) for name in FATES}
    for name, count in {**wanted, "share": shares}.items():
        chosen = [n for n in numbers if name != "secondary" or world.claims[n].share][:count]
        for number, kind in zip(chosen, cycle(_DAMAGES if name == "damaged" else [name])):
            dealt[number] = kind
        taken = {*chosen}
        numbers = [number for number in numbers if number not in taken]
    return dealt


def _one(fate: str, world: World, sent: Answer, claim: Claim | None) -> Written:
    """A first answer: right is what the claim makes of it, if the clerk can tell the claim."""
    verdict = told(world, sent)
    if verdict.claim is None:
        return Written(fate, sent, waiting(claim.id if claim else None, sent, verdict.look))
    assert verdict.claim is claim, "an answer from which nobody can tell that it is another claim's"
    return Written(fate, sent, adjudicated(claim, sent))


def _clean(draw: Random, world: World, claim: Claim) -> Course:
    return (Step(claim.payer, (_one("clean", world, answer(claim), claim),)),)


def _share(draw: Random, world: World, claim: Claim) -> Course:
    """The first session's patient owes nothing, more, or all of it."""
    first = claim.sessions[0]
    other = draw.choice((0, first.share + 5_00, first.share + 15_00, first.allowed))
    sent = answer(claim, line(first, claim.payer, share=min(other, first.allowed)))
    return (Step(claim.payer, (_one("share", world, sent, claim),)),)


def _damaged(fate: str, draw: Random, world: World, claim: Claim) -> Course:
    damage = _DAMAGES[fate]
    for _ in range(_DRAWS):
        sent = replace(answer(claim), claim_id=damage(draw, claim.id))
        if told(world, sent).claim in (None, claim):
            return (Step(claim.payer, (_one(fate, world, sent, claim),)),)
    raise AssertionError("every damage of this id makes it another claim's, with which all else agrees")


def _garbled(draw: Random, whole: str) -> str:
    """One or two signs are others; never the id itself."""
    signs = [*whole]
    for place in draw.sample(range(1, len(signs)), 2):
        signs[place] = draw.choice("0123456789QXZ")
    return "".join(signs) if "".join(signs) != whole else f"{whole[:-1]}Q"


_DAMAGES: Mapping[str, Callable[[Random, str], str]] = {
    "id missing": lambda draw, whole: "0",
    "id cut short": lambda draw, whole: whole[: -min(draw.randint(1, 3), len(whole) - 1)],
    "id in small letters": lambda draw, whole: whole.lower(),
    "id garbled": _garbled,
}


def _foreign(draw: Random, world: World, number: int) -> Course:
    """Another practice's claim; one in three has an id that is ours, too."""
    payer = draw.choice(world.payers)
    for _ in range(_DRAWS):
        claim = stranger(draw, payer, number)
        taken = draw.random() < 1 / 3
        sent = replace(answer(claim), claim_id=draw.choice(world.claims).id if taken else claim.id)
        if told(world, sent).claim is None:
            return (Step(payer, (_one("foreign", world, sent, None),)),)
    raise AssertionError("whatever another practice sends is ours")


def _charge(draw: Random, world: World, claim: Claim) -> Course:
    by = draw.choice((1, 50, 10_00, 45_00))
    first = line(claim.sessions[0], claim.payer, extra=[("CO", "45", by)])
    changed = replace(first, charge=first.charge + by, paid=first.paid + by)
    return (Step(claim.payer, (_one("charge", world, answer(claim, changed), claim),)),)


def _recoded(draw: Random, world: World, claim: Claim) -> Course:
    """Two sessions are bundled; one is paid under another code, three times of four with ours beside it."""
    if len(claim.sessions) > 1:
        return _bundled(world, claim)
    less = draw.randint(5_00, 20_00)
    first = line(claim.sessions[0], claim.payer, extra=[("CO", "45", less)])
    original = first.code if draw.random() < 3 / 4 else ""
    sent = answer(claim, replace(first, code=RECODED[first.code], original=original))
    return (Step(claim.payer, (_one("recoded", world, sent, claim),)),)


def _bundled(world: World, claim: Claim) -> Course:
    """The second session counts as a part of the first and is not paid."""
    sent, second = answer(claim), claim.sessions[1]
    refused = replace(sent.lines[1], paid=0, adjustments=(("CO", "97", second.charge),))
    sent = replace(sent, lines=(sent.lines[0], refused, *sent.lines[2:]))
    return (Step(claim.payer, (_one("bundled", world, sent, claim),)),)


def _split(draw: Random, world: World, claim: Claim) -> Course:
    whole = line(claim.sessions[0], claim.payer)
    sent = answer(claim, *_halves(whole))
    sent = replace(sent, lines=(*sent.lines[:2], *(line(one, claim.payer) for one in claim.sessions[1:])))
    return (Step(claim.payer, (_one("split", world, sent, claim),)),)


def _halves(whole: Line) -> Iterator[Line]:
    """The line in two that add up to it."""
    first = tuple((group, reason, cents // 2) for group, reason, cents in whole.adjustments)
    rest = tuple(
        (group, reason, cents - half[2])
        for (group, reason, cents), half in zip(whole.adjustments, first, strict=True)
    )
    charge = whole.charge // 2
    for amount, adjustments in ((charge, first), (whole.charge - charge, rest)):
        paid = amount - sum(cents for _, _, cents in adjustments)
        yield replace(whole, charge=amount, paid=paid, adjustments=tuple(one for one in adjustments if one[2]))


def _differing(world: World, claim: Claim, fate: str, adjustment: Adjustment) -> Written:
    first = line(claim.sessions[0], claim.payer, extra=[adjustment])
    return _one(fate, world, answer(claim, first), claim)


def _partial(draw: Random, world: World, claim: Claim) -> Course:
    """Half of them explained by the contract, half by a refusal."""
    reason = draw.choice(("45", "50"))
    return (
        Step(
            claim.payer,
            (_differing(world, claim, f"partial CO-{reason}", ("CO", reason, draw.randint(1, 30_00))),),
        ),
    )


def _overpaid(draw: Random, world: World, claim: Claim) -> Course:
    return (Step(claim.payer, (_differing(world, claim, "overpaid", ("CO", "45", -draw.randint(1, 25_00))),)),)


def _refused(draw: Random, claim: Claim, status: str) -> Answer:
    reason = draw.choice(_REFUSALS)
    sent = answer(claim, status=status)
    lines = (replace(one, paid=0, adjustments=(("CO", reason, one.charge),)) for one in sent.lines)
    return replace(sent, lines=tuple(lines))


def _denied(draw: Random, world: World, claim: Claim) -> Course:
    return (Step(claim.payer, (_one("denied", world, _refused(draw, claim, "4"), claim),)),)


def _denied_unsaid(draw: Random, world: World, claim: Claim) -> Course:
    return (Step(claim.payer, (_one("denied unsaid", world, _refused(draw, claim, "1"), claim),)),)


def _secondary(draw: Random, world: World, claim: Claim) -> Course:
    """The payer forwards the claim; the next one pays what the first left to the patient."""
    other = draw.choice([payer for payer in world.payers if payer != claim.payer])
    sent = replace(answer(claim, status="19"), forwarded_to=other)
    lines = tuple(
        replace(one, paid=cents, adjustments=(("OA", "23", one.charge - cents),))
        for one in sent.lines
        for cents in [sum(cents for group, _, cents in one.adjustments if group == "PR")]
    )
    control = f"{other.number}5{claim.number:07}"
    second = Answer(other, claim.id, "2", lines, control, claim.patient)
    left = {MONEY: second.paid, receivable(other): -second.paid}
    right = Expected(claim.id, True, "PAID_IN_FULL", "", without_zeros(left))
    first = _one("forwarded on", world, sent, claim)
    moved = {PATIENT: -second.paid, receivable(other): second.paid}
    return (
        Step(claim.payer, (replace(first, expected=replace(first.expected, moved=moved)),)),
        Step(other, (Written("secondary", second, right),)),
    )


def _corrected(claim: Claim, fate: str, standing: Standing | None = None) -> Written:
    """The patient owes five dollars more than at first."""
    first = claim.sessions[0]
    sent = answer(claim, line(first, claim.payer, share=first.share + 5_00))
    return Written(fate, sent, adjudicated(claim, sent, standing))


def _first_and_reversal(world: World, claim: Claim, fate: str) -> tuple[Written, Written]:
    first = _one(fate, world, answer(claim), claim)
    return first, Written(f"{fate}: reversal", first.answer.reversed(), undone(first.expected))


def _evened(written: Written) -> Written:
    """Nobody need look at what is too much once it has become due, or was taken back."""
    return replace(written, expected=replace(written.expected, look=""))


def _reversed_together(draw: Random, world: World, claim: Claim) -> Course:
    first, back = _first_and_reversal(world, claim, "reversed together")
    both = (back, _corrected(claim, "reversed together: correction"))
    return Step(claim.payer, (first,)), Step(claim.payer, both)


def _reversed_later(draw: Random, world: World, claim: Claim) -> Course:
    first, back = _first_and_reversal(world, claim, "reversed later")
    corrected = _corrected(claim, "reversed later: correction")
    return tuple(Step(claim.payer, (one,)) for one in (first, back, corrected))


def _corrected_first(draw: Random, world: World, claim: Claim) -> Course:
    """The correction comes while the first payment stands: too much, until the reversal comes and it is due."""
    first, back = _first_and_reversal(world, claim, "corrected first")
    corrected = _corrected(claim, "corrected first: correction", Standing(0, claim.share))
    over = corrected.expected.effect.get(overpayments(claim.payer), 0)
    corrected = _evened(corrected)
    moved = without_zeros({overpayments(claim.payer): -over, receivable(claim.payer): over})
    back = replace(back, expected=replace(back.expected, moved=moved))
    return tuple(Step(claim.payer, (one,)) for one in (first, corrected, back))


def _taken_back(draw: Random, world: World, claim: Claim) -> Course:
    much = draw.randint(1_00, 25_00)
    first = _evened(_differing(world, claim, "taken back", ("CO", "45", -much)))
    return Step(claim.payer, (first,)), Step(claim.payer, kept_back=(claim.control, much))


_FATES: Mapping[str, Callable[[Random, World, Claim], Course]] = {
    "clean": _clean,
    "share": _share,
    **{fate: partial(_damaged, fate) for fate in _DAMAGES},
    "charge": _charge,
    "recoded": _recoded,
    "split": _split,
    "partial": _partial,
    "overpaid": _overpaid,
    "denied": _denied,
    "denied_unsaid": _denied_unsaid,
    "secondary": _secondary,
    "reversed_together": _reversed_together,
    "reversed_later": _reversed_later,
    "corrected_first": _corrected_first,
    "taken_back": _taken_back,
}
