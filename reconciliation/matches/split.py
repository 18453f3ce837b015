"""One claim payment for several claims: the parts that a person gives to each, posted by one entry. Pure."""

from collections.abc import Mapping

from msgspec import structs

from ledger.postings.entry import Dimensions, JournalEntry, Kind, Posting
from ledger.postings.item import Item
from reconciliation.coverage import ALONE, Coverage
from reconciliation.matches.hand_match import BY_HAND, HandMatch
from reconciliation.payment import Payment, Raised, Settlement, suspended
from reconciliation.reasons import Decision, ExceptionReason
from reconciliation.remittance import ClaimPayment
from reconciliation.settlement import settle_part

_WORST_FIRST = (Decision.SHORT_PAID, Decision.OVERPAID, Decision.PAID_IN_FULL)


def split(
    payment: Payment,
    sent: ClaimPayment,
    word: HandMatch,
    items: Mapping[str, Item],
    coverages: Mapping[str, Coverage],
) -> tuple[Settlement, tuple[Settlement, ...]]:
    """The decision on a claim payment whose money is for several claims, and the decision on each of them.

    The first bears all entries and no claim; the others bear none. What cannot be read stays suspended.
    """
    if sent.problems:
        unread = suspended(payment, sent, ExceptionReason.UNREADABLE, str(sent.problems[0]))
        return unread, ()
    parts = [
        settle_part(payment, sent, items[part.claim], part.amount, coverages.get(part.claim, ALONE))
        for part in word.parts
    ]
    raised: list[Raised] = [why for part in parts for why in part.raised]
    whole = Settlement(
        decision=next(one for one in _WORST_FIRST if any(part.decision is one for part in parts)),
        entry=_joined(payment, parts),
        raised=tuple(raised),
        rule=BY_HAND,
        evidence=word.evidence(),
        moves=tuple(move for part in parts for move in part.moves),
        recovered=sum(part.recovered for part in parts),
    )
    return whole, tuple(structs.replace(part, entry=None, moves=()) for part in parts)


def _joined(payment: Payment, parts: list[Settlement]) -> JournalEntry | None:
    """One entry with the money once, and behind it what each claim gets of it."""
    account, name = payment.waits_in or (payment.clearing, None)
    lines = [posting for part in parts if part.entry for posting in part.entry.postings]
    money = [one for one in lines if (one.account, one.item) == (account, name)]
    others = [one for one in lines if (one.account, one.item) != (account, name)]
    total: tuple[Posting, ...] = payment.postings((account, sum(one.signed for one in money), name))
    return payment.entry(Kind.CLAIM_PAID, (*total, *others), Dimensions())
