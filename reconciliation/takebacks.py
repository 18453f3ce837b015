"""Posts the adjustments of a whole payment (PLB), with what stands open under their references.

Raises an exception for money that a payer takes under a reference that nothing is open for, and closes it once the
reference is at zero.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from ledger.accounts import chart
from ledger.postings import store as books
from ledger.postings.open_items import standing
from reconciliation import carrying, store
from reconciliation.amounts import minor_units
from reconciliation.chunk import Chunk, exception, post
from reconciliation.payment import Raised
from reconciliation.provider_level import BY_REFERENCE, Place, ProviderLevelSettlement, adjust, places, unexplained
from reconciliation.remittance import ProviderLevelAdjustment


async def adjust_payment(chunk: Chunk, provider_level: Sequence[ProviderLevelAdjustment]) -> int:
    """Posts the PLB pairs; returns by how much they reduce the payment."""
    if not provider_level:
        return 0
    claims = await _claims(chunk, {one.reference for one in provider_level if one.reference})
    open_ = await _standing(chunk, claims, provider_level)
    before = dict(open_)
    decided = []
    for n, one in enumerate(provider_level, 1):
        settled = adjust(chunk.payment, n, one, open_, claims.get(one.reference))
        for place, amount in settled.moved:
            open_[place] = open_.get(place, 0) + amount
        decided.append((n, one, settled))
    numbers = await post(chunk, [(f"PLB:{n}", settled.entry) for n, _, settled in decided if settled.entry])
    rows = [_row(chunk, *each, numbers.get(f"PLB:{each[0]}")) for each in decided]
    await store.add_provider_level(chunk.connection, rows)
    raised = [_exception(chunk, n, why) for n, _, settled in decided for why in settled.raised]
    await store.add_exceptions(chunk.connection, raised, chunk.actor)
    await _unexplained(chunk, decided, open_, numbers)
    by = {place: numbers[f"PLB:{n}"] for n, _, settled in decided for place, _ in settled.moved}
    await carrying.follow(chunk, before, open_, by)
    chunk.follow(settled.entry for _, _, settled in decided)
    chunk.suspended += sum(settled.suspended for _, _, settled in decided)
    return sum(minor_units(one.amount, chunk.payment.currency) for one in provider_level)


async def _claims(chunk: Chunk, references: set[str]) -> dict[str, str]:
    """The one claim that each reference names: by its own id, or by the payer's control number."""
    if not chunk.payer_known:
        return {}
    connection, book = chunk.connection, chunk.head.book
    by_number = await store.control_numbers(connection, book, chunk.payment.payer, references)
    named = {number: next(iter(claims)) for number, claims in by_number.items() if len(claims) == 1}
    wanted = references.union(named.values()) - chunk.items.keys()
    chunk.items |= await books.items(connection, book, wanted)
    return {name: name for name in references if name in chunk.items} | named


async def _standing(
    chunk: Chunk, claims: Mapping[str, str], provider_level: Sequence[ProviderLevelAdjustment]
) -> dict[Place, int]:
    payer = chunk.payment.payer
    wanted = [place for one in provider_level for place in places(payer, one.reference, claims.get(one.reference))]
    accounts, items = {account for account, _ in wanted}, {item for _, item in wanted}
    return await standing(chunk.connection, chunk.head.book, accounts, items)


async def _unexplained(
    chunk: Chunk,
    decided: Sequence[tuple[int, ProviderLevelAdjustment, ProviderLevelSettlement]],
    open_: Mapping[Place, int],
    numbers: Mapping[str, int],
) -> None:
    """One exception for each reference under which more was taken than was open, for as long as it is so."""
    payer, codes = chunk.payment.payer, chunk.payment.codes
    touched = {
        (one.reference, place)
        for _, one, settled in decided
        for place, _ in settled.moved
        if codes.provider_level(one.code).account in BY_REFERENCE
    }
    by_item: dict[str, tuple[str, int]] = {}
    for reference, (_, item) in sorted(touched):
        liabilities = (chart.overpayments(payer), chart.forward_balances(payer))
        by_item[item] = (reference, sum(open_.get((account, item), 0) for account in liabilities))
    for item, (reference, stands) in by_item.items():
        name = uuid5(NAMESPACE_OID, f"{chunk.head.book}/takeback/{payer}/{item}")
        why = unexplained(chunk.payment, reference, stands)
        if why is None:
            last = max((n for n, one, _ in decided if one.reference == reference), default=0)
            said = f"as much is open under {reference} as is taken"
            place_ = chunk.connection, chunk.head.book, name
            await store.close_exception(*place_, said, chunk.actor, numbers.get(f"PLB:{last}"))
        else:
            row = exception(chunk, 0, why, "", None)
            await store.add_exceptions(chunk.connection, [{**row, "id": name}], chunk.actor)


def _row(
    chunk: Chunk, line: int, sent: ProviderLevelAdjustment, settled: ProviderLevelSettlement, number: int | None
) -> dict[str, Any]:
    return {
        "book": chunk.head.book,
        "remittance": chunk.remittance,
        "line": line,
        "code": sent.code,
        "reference": sent.reference,
        "amount": minor_units(sent.amount, chunk.payment.currency),
        "account": settled.account,
        "entry_number": number,
    }


def _exception(chunk: Chunk, number: int, why: Raised) -> dict[str, Any]:
    """About the remittance, not about one of its claims: line 0."""
    row = exception(chunk, 0, why, "", None)
    return {**row, "id": uuid5(chunk.remittance, f"PLB:{number}/{why.reason}")}
