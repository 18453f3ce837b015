"""Balances that payers carry forward (PLB FB): an item of the worklist for each, for as long as it is open.

A payer may take a balance in and carry the rest on under another reference, time and again: that is one item.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from sqlalchemy import Row, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts import chart
from ledger.money import plain
from ledger.postings.open_items import last_of_items, standing, touched_since
from reconciliation import store
from reconciliation.chunk import Chunk, exception
from reconciliation.payment import Raised
from reconciliation.provider_level import Place
from reconciliation.reasons import ExceptionReason
from reconciliation.schema import forward_balances
from reconciliation.worklist import store as worklist

_TOGETHER = text("""
    SELECT f.account, f.item, f.exception, x.currency, x.closed_at
    FROM forward_balances AS f JOIN exceptions AS x ON x.book = f.book AND x.id = f.exception
    WHERE f.book = :book AND f.exception IN (
        SELECT exception FROM forward_balances WHERE book = :book AND item = ANY(CAST(:items AS text[]))
    )
    ORDER BY f.account, f.item
""")
_ALL = text("SELECT item FROM forward_balances WHERE book = :book")


@dataclass(frozen=True, slots=True)
class Carried:
    """An item of the worklist, the references under which its balance was carried, and what is open of it now."""

    exception: UUID
    account: str
    references: tuple[str, ...]
    open: int
    currency: str
    closed: bool

    def is_untrue(self) -> bool:
        """Whether the item is closed while the balance is open, or open while it is not."""
        return self.closed == (self.open > 0)


async def follow(
    chunk: Chunk, before: Mapping[Place, int], after: Mapping[Place, int], by: Mapping[Place, int]
) -> None:
    """Opens items for what a payment carries forward, and closes those of what it takes in.

    `before` and `after` are what stands at its places, debit positive; `by` are the entries that moved them last.
    """
    account = chart.forward_balances(chunk.payment.payer)
    stands = {item: (before.get((account, item), 0), now) for (of, item), now in after.items() if of == account}
    opened = [item for item, (was, now) in stands.items() if now < min(was, 0)]
    taken_in = [item for item, (was, now) in stands.items() if was < 0 <= now]
    if not opened and not taken_in:
        return
    known = await _known(chunk, account, stands)
    goes_on = known.get(taken_in[0]) if len(opened) == len(taken_in) == 1 else None
    for item in opened:
        await _open(chunk, account, item, -stands[item][1], known.get(item), goes_on)
    for one in await _together(chunk.connection, chunk.head.book, taken_in):
        if one.account == account and not one.open and not one.closed:
            said = f"nothing is open any more under {_named(one.references)}"
            last = max(by[account, item] for item in taken_in if item in one.references)
            await store.close_exception(chunk.connection, chunk.head.book, one.exception, said, chunk.actor, last)


async def _known(chunk: Chunk, account: str, items: Collection[str]) -> dict[str, UUID]:
    found = await _together(chunk.connection, chunk.head.book, items)
    return {item: one.exception for one in found if one.account == account for item in one.references}


async def _open(
    chunk: Chunk, account: str, item: str, amount: int, known: UUID | None, goes_on: UUID | None
) -> None:
    """Opens the item of a reference, again where there was one; what only goes on is in the item that is open."""
    book, payment = chunk.head.book, chunk.payment
    id_ = known or goes_on or uuid5(NAMESPACE_OID, f"{book}/forward balance/{account}/{item}")
    if id_ != goes_on:
        told = f"{plain(amount, payment.currency)} is carried forward under reference {item}"
        why = Raised(ExceptionReason.FORWARD_BALANCE_OPEN, amount, told)
        row = exception(chunk, 0, why, "", None) | {"id": id_, "since": payment.effective_date}
        await store.add_exceptions(chunk.connection, [row], chunk.actor)
    if known is None:
        place = {"book": book, "account": account, "item": item, "exception": id_}
        await chunk.connection.execute(insert(forward_balances).values(place))


async def _together(connection: AsyncConnection, book: str, items: Collection[str]) -> list[Carried]:
    """The worklist's items of these references, each with all of its references and what is open under them."""
    rows = (await connection.execute(_TOGETHER, {"book": book, "items": [*items]})).all() if items else []
    stands = await standing(connection, book, {row.account for row in rows}, {row.item for row in rows})
    by_item: dict[UUID, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        by_item[row.exception].append(row)
    return [_carried(several, stands) for several in by_item.values()]


def _carried(rows: Sequence[Row[Any]], stands: Mapping[Place, int]) -> Carried:
    first = rows[0]
    return Carried(
        exception=first.exception,
        account=first.account,
        references=tuple(row.item for row in rows),
        open=sum(max(-stands.get((row.account, row.item), 0), 0) for row in rows),
        currency=first.currency,
        closed=first.closed_at is not None,
    )


def _named(references: Sequence[str]) -> str:
    return ", ".join(references)


# --- settled otherwise than by the mail ---------------------------------------------------------------


async def untrue(connection: AsyncConnection, book: str, number: int) -> list[Carried]:
    """Items of the worklist that entries after a number, by hand or reversing, have made untrue."""
    items = set((await connection.execute(_ALL, {"book": book})).scalars())
    _, touched = await touched_since(connection, book, number, items)
    return [one for one in await _together(connection, book, touched) if one.is_untrue()]


async def make_true(connection: AsyncConnection, book: str, found: Sequence[Carried]) -> None:
    """Closes those that nothing is open of, and opens the others again where no person has closed them."""
    for one in found:
        last = await last_of_items(connection, book, one.account, set(one.references))
        entry = max(last.values(), key=lambda row: row.number)
        if one.open:
            told = f"{plain(one.open, one.currency)} is open again under {_named(one.references)}, by {entry.kind}"
            raised = {"id": one.exception, "amount": one.open, "detail": told}
            await worklist.open_again(connection, book, [raised], entry.actor)
        else:
            said = f"by {entry.kind} on {_named(one.references)}"
            await store.close_exception(connection, book, one.exception, said, entry.actor, entry.number)
