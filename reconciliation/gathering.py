"""What the books know of the claims that claim payments may be about, in a few queries for all of them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.postings import store as books
from ledger.postings.store import Alike
from reconciliation import store
from reconciliation.amounts import minor_units
from reconciliation.matching import NO_CLAIM_ID, Known, line_references, procedures, service_days
from reconciliation.payment import REVERSAL, Payment
from reconciliation.remittance import ClaimPayment


async def gathered(
    connection: AsyncConnection, book: str, payment: Payment, claims: Sequence[ClaimPayment]
) -> Known:
    """Everything that matching may need, in a few queries whatever the number of claims."""
    numbers = {one.payer_control_number for one in claims if one.payer_control_number}
    by_control_number = await store.control_numbers(connection, book, payment.payer, numbers)
    by_session: dict[str, set[str]] = defaultdict(set)
    references = {reference for one in claims for reference in line_references(one)}
    for session, claim in await books.claims_of_sessions(connection, book, references):
        by_session[session].add(claim)
    names = {one.claim_as_sent for one in claims}.union(*by_control_number.values(), *by_session.values())
    items = await books.items(connection, book, names)
    known = Known(payment.payer, items, by_control_number, by_session)
    alike = await _alike(connection, book, known, [*_asked(known, claims, payment.currency)])
    more = await books.items(connection, book, set().union(*alike.values()) - items.keys())
    return replace(known, items={**items, **more}, alike=alike)


async def _alike(
    connection: AsyncConnection, book: str, known: Known, asked: Sequence[Alike]
) -> dict[int, set[str]]:
    found: dict[int, set[str]] = defaultdict(set)
    for line, claim in await books.claims_alike(connection, book, known.payer, asked):
        found[line].add(claim)
    return found


def _asked(known: Known, claims: Sequence[ClaimPayment], currency: str) -> Iterator[Alike]:
    """Which claims to look for by the beginning of an id: any where it is none of ours, else those of longer ids.

    Where a line refers to one of our sessions, that is looked at instead.
    """
    for one in claims:
        if one.status == REVERSAL or known.owners(one):
            continue
        name = "" if one.claim_as_sent in NO_CLAIM_ID else one.claim_as_sent
        shortest = len(name) + (one.claim_as_sent in known.items)
        charge = minor_units(one.charge, currency)
        visits = ((day, code) for day in service_days(one) for code in procedures(one))
        yield from (Alike(one.line, name, day, code, shortest, charge) for day, code in visits)
