"""What a claim payment in suspense may be about: claims of the books, a bounded number of them, all by index."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.postings import store as books
from ledger.postings import visits
from ledger.postings.entry import Dimensions
from ledger.postings.item import Item
from ledger.postings.visits import Visit
from reconciliation import store
from reconciliation.amounts import minor_units
from reconciliation.candidates.scoring import Sought, ranked
from reconciliation.matching import NO_CLAIM_ID, line_references, procedures, service_days
from reconciliation.payment import REVERSAL
from reconciliation.remittance import ClaimPayment

MOST_PAYERS = 50
"""Payers among which is looked where the one that pays is not known."""
MOST_DAYS = 10
"""Days of service of one payment that are looked at."""
MOST_VISITS = 2_000
"""Visits of the payers that are read, whatever their number."""
_MOST_AROUND = 1_000
"""Visits of the days around that are read beside."""
_MOST_ALIKE = 200
"""Entries of claims that are read whose ids begin alike."""
MOST_ITEMS = 100
"""Claims of which everything is read and compared, after a first look at their visits."""
_AROUND = (-7, -3, -2, -1, 1, 2, 3, 7)
"""Days before and after that are looked at too: a day misread, a weekend, a week."""
_PROCEDURE = re.compile("[0-9A-Z][0-9]{3}[0-9A-Z]?")
"""What a procedure's code looks like (CPT, HCPCS, revenue code): whatever else stands there may name somebody."""
_FIRST, _LAST = date(1900, 1, 1), date(9000, 1, 1)
_LEFT_OUT = 2
"""Signs at the end of an id that may be wrong, so that it is looked for by what comes before them."""
_SHORTEST_BEGINNING = 4


@dataclass(frozen=True, slots=True)
class Paid:
    """A claim payment as its remittance knows it, and what its file says of it."""

    payer: str | None
    payer_name: str
    currency: str
    day: date | None
    sent: ClaimPayment


async def sought(connection: AsyncConnection, book: str, paid: Paid) -> Sought:
    """All that is known of a payment, with the claims to which its references lead."""
    sent, numbers = paid.sent, {paid.sent.payer_control_number} - {""}
    before = await store.control_numbers(connection, book, paid.payer, numbers) if paid.payer and numbers else {}
    named = await books.claims_of_sessions(connection, book, line_references(sent))
    return Sought(
        payer=paid.payer,
        payer_name=paid.payer_name,
        currency=paid.currency,
        claim_as_sent=sent.claim_as_sent,
        charge=_unsigned(minor_units(sent.charge, paid.currency)),
        paid=abs(minor_units(sent.paid, paid.currency) or 0),
        days=frozenset(service_days(sent)),
        codes=frozenset(code for code in procedures(sent) if _PROCEDURE.fullmatch(code)),
        of_control_number=frozenset().union(*before.values()),
        of_lines=frozenset(claim for _, claim in named),
        is_reversal=sent.status == REVERSAL,
    )


def _unsigned(amount: int | None) -> int | None:
    return None if amount is None else abs(amount)


async def items(connection: AsyncConnection, book: str, wanted: Sought, day: date | None) -> list[Item]:
    """The claims that fit best at a first look. `day` is that of the payment, for one without a day of service."""
    found = await visits.beginning(connection, book, _beginnings(wanted.claim_as_sent), _MOST_ALIKE)
    found += await _near(connection, book, wanted, day)
    named = wanted.of_control_number | wanted.of_lines | _spellings(wanted.claim_as_sent)
    first = ranked(wanted, _seen(found, wanted.currency).values(), least=0)[:MOST_ITEMS]
    known = await books.items(connection, book, named.union(one.claim for one in first))
    return [known[name] for name in sorted(known)]


async def _near(connection: AsyncConnection, book: str, wanted: Sought, day: date | None) -> list[Visit]:
    """Visits on the days of service and, with a payer that is known, around them; without a day, the latest."""
    payers = [wanted.payer] if wanted.payer else await visits.payers_of_book(connection, book, MOST_PAYERS)
    own = sorted(wanted.days)[:MOST_DAYS]
    if not own or not payers:
        each = MOST_VISITS // max(len(payers), 1)
        return await visits.up_to(connection, book, payers, day, each) if day else []
    found = await visits.on_days(connection, book, payers, own, MOST_VISITS // (len(own) * len(payers)))
    around = _around(own) if wanted.payer else []
    return found + await visits.on_days(connection, book, payers, around, _MOST_AROUND // max(len(around), 1))


def _around(days: Sequence[date]) -> list[date]:
    """Days near to these, without them."""
    near = {day + timedelta(apart) for day in days for apart in _AROUND if _FIRST < day < _LAST}
    return sorted(near.difference(days))


def _spellings(sent: str) -> set[str]:
    """Ids under which a claim may be kept; none where none was sent."""
    return set() if sent in NO_CLAIM_ID else {sent, sent.upper(), sent.lower()}


def _beginnings(sent: str) -> list[str]:
    """What ids begin with that are like the one sent, but for its last signs."""
    spelled = (one[: max(len(one) - _LEFT_OUT, _SHORTEST_BEGINNING)] for one in _spellings(sent))
    return sorted({one for one in spelled if len(one) >= _SHORTEST_BEGINNING})


def _seen(found: Iterable[Visit], currency: str) -> Mapping[str, Item]:
    """Claims as far as these visits tell of them; nothing is known of what is open."""
    of_claim: dict[str, set[Visit]] = {}
    for visit in found:
        of_claim.setdefault(visit.claim, set()).add(visit)
    return {claim: _item(claim, seen, currency) for claim, seen in of_claim.items()}


def _item(claim: str, seen: Collection[Visit], currency: str) -> Item:
    charges = [visit.charge for visit in seen]
    payers = {visit.payer for visit in seen}
    return Item(
        name=claim,
        currency=currency,
        balances={},
        dimensions=Dimensions(claim=claim, payer=payers.pop() if len(payers) == 1 else None),
        charge=sum(charge or 0 for charge in charges) if None not in charges else None,
        service_dates=frozenset(visit.day for visit in seen if visit.day),
        service_codes=frozenset(visit.code for visit in seen if visit.code),
    )
