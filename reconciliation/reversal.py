"""What a reversal (CLP02 22) does to the books: what it takes back is undone, whatever came in between.

Pure. A reversal matches the claim payment whose amounts it negates, never a claim by its name.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from msgspec import structs

from ledger.postings.entry import JournalEntry, Kind
from ledger.postings.item import Item
from reconciliation.amounts import minor_units
from reconciliation.coverage import APPLIED, GIVEN_BACK, TAKEN_BACK, Move, applied
from reconciliation.patients import EVENED, evened
from reconciliation.payment import REVERSAL, Original, Payment, Settlement, after, paid_of, suspended
from reconciliation.reasons import Decision, ExceptionReason
from reconciliation.remittance import ClaimPayment

_NO_ITEMS: Mapping[str, Item] = {}
_Name = tuple[str, Decimal | None, Decimal | None]


def reverse(
    payment: Payment,
    claim_payment: ClaimPayment,
    originals: Iterable[Original],
    items: Mapping[str, Item] = _NO_ITEMS,
) -> tuple[Settlement, Original | None]:
    """Undoes what was posted for the one original that a reversal negates; `items` are claims as they stand."""
    if claim_payment.problems:
        return suspended(payment, claim_payment, ExceptionReason.UNREADABLE, str(claim_payment.problems[0])), None
    paid, charge = paid_of(payment, claim_payment), minor_units(claim_payment.charge, payment.currency)
    fitting = negated(paid, charge, originals)
    if len(fitting) != 1:
        detail = f"{len(fitting)} earlier payments fit the reversal of {claim_payment.claim_as_sent}"
        reason = ExceptionReason.REVERSAL_WITHOUT_ORIGINAL
        return suspended(payment, claim_payment, reason, detail), None
    [original] = fitting
    return taken_back(payment, original, items), original


def after_their_payments(claims: Sequence[ClaimPayment]) -> list[ClaimPayment]:
    """As sent, but a reversal that stands before the payment it negates comes right after it."""
    to_come = Counter(_name(one, 1) for one in claims if one.status != REVERSAL)
    come: Counter[_Name] = Counter()
    waiting: dict[_Name, list[ClaimPayment]] = defaultdict(list)
    found: list[ClaimPayment] = []
    for one in claims:
        reverses = one.status == REVERSAL
        name = _name(one, -1 if reverses else 1)
        if reverses and come[name] <= 0 < to_come[name]:
            waiting[name].append(one)
            continue
        found.append(one)
        come[name] += -1 if reverses else 1
        to_come[name] -= not reverses
        if not reverses and waiting[name]:
            found.append(waiting[name].pop(0))
            come[name] -= 1
    return found + [one for left in waiting.values() for one in left]


def _name(one: ClaimPayment, sign: int) -> "_Name":
    """What a payment and its reversal have in common."""
    paid, charge = (None if amount is None else sign * amount for amount in (one.paid, one.charge))
    return one.payer_control_number or one.claim_as_sent, paid, charge


def negated(paid: int, charge: int | None, originals: Iterable[Original]) -> list[Original]:
    """The earlier payments whose amounts these negate."""
    return [one for one in originals if one.paid == -paid and _negates(charge, one.charge)]


def taken_back(payment: Payment, original: Original, items: Mapping[str, Item]) -> Settlement:
    """The decision to undo one earlier payment: its entry and all that was moved beside it."""
    entry = _undone(payment, original)
    return Settlement(
        Decision.REVERSED,
        entry,
        claim=original.claim,
        rule="posted_remittance_line",
        evidence=f"line {original.line} of remittance {original.remittance}",
        suspended=-original.paid if original.suspended else 0,
        moves=_moves(payment, original, entry, items.get(original.claim or "")),
    )


def given_back(payment: Payment, taken: Original) -> Settlement:
    """The decision that a reversal took back the wrong payment: all that it posted is undone.

    `taken` is the reversal with what it posted. Nothing meets anything after that: the claim stands as before it.
    """
    moves = [_moved_back(payment, number, move, GIVEN_BACK) for number, move in reversed(taken.moves)]
    return Settlement(Decision.SUSPENDED, _undone(payment, taken), moves=tuple(moves))


def _negates(charge: int | None, original: int | None) -> bool:
    return charge is None or original is None or charge == -original


def _undone(payment: Payment, original: Original) -> JournalEntry | None:
    """Every posting of the original on its other side, the money where this payment has it."""
    if original.entry is None:
        return None
    account, name = payment.waits_in or (payment.clearing, None)
    postings = (
        structs.replace(posting.exchanged(), account=account, item=name)
        if original.brought(posting)
        else posting.exchanged()
        for posting in original.entry.postings
    )
    undone = payment.entry(Kind.PAYMENT_REVERSED, tuple(postings), original.entry.dimensions)
    return undone and structs.replace(undone, reverses=original.entry_number)


def _moves(
    payment: Payment, original: Original, entry: JournalEntry | None, item: Item | None
) -> tuple[Move, ...]:
    """What moved beside the original goes back, and then an overpayment meets what is open again."""
    moves = [_moved_back(payment, number, move) for number, move in original.moves]
    if item is not None:
        left = after(item, entry, *(move.entry for move in moves))
        netted = applied(left, payment.payer, payment.effective_date, payment.about(item.dimensions))
        moves += [Move(APPLIED, payment.payer, netted)] if netted else []
        patients = evened(after(left, netted), payment.effective_date, payment.about(item.dimensions))
        moves += [Move(EVENED, payment.payer, patients)] if patients else []
    return tuple(moves)


def _moved_back(payment: Payment, number: int, move: Move, name: str = TAKEN_BACK) -> Move:
    entry = structs.replace(
        move.entry,
        kind=Kind.PAYMENT_REVERSED,
        effective_date=payment.effective_date,
        postings=tuple(posting.exchanged() for posting in move.entry.postings),
        dimensions=payment.about(move.entry.dimensions),
        reverses=number,
    )
    return Move(name, move.payer, entry)
