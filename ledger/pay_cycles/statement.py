"""What a line of a cycle counted: the provider's sessions, and all else on the payable."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.pay_cycles.store import Cycle
from ledger.schema import entries, pay_cycle_items

_OF_ENTRY = (entries.c.book == pay_cycle_items.c.book) & (entries.c.number == pay_cycle_items.c.entry_number)


async def counted_items(
    connection: AsyncConnection, cycle: Cycle, account: str, after: int, count: int
) -> Sequence[Row[Any]]:
    """So many items after an entry, in the order of entries; of a line that is not settled there are none."""
    items, entry = pay_cycle_items.c, entries.c
    about = entry.effective_date, entry.service_date, entry.claim, entry.session, entry.service_code
    wanted = (
        select(items.entry_number, items.amount, items.kind, *about, entry.description)
        .join(entries, _OF_ENTRY)
        .where(items.book == cycle.book, items.account == account, items.cycle == cycle.cycle)
        .where(items.entry_number > after)
        .order_by(items.entry_number)
        .limit(count)
    )
    return [*await connection.execute(wanted)]
