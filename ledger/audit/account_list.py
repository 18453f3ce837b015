"""The accounts of a book as a checkpoint signs them: how each was opened, and how some were closed."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.audit.evidence import ACCOUNT, Json, written
from ledger.schema import accounts

Mark = tuple[int, datetime | None, datetime | None]


@dataclass(frozen=True, slots=True)
class AccountList:
    """Accounts in the order of their codes, as a bundle writes them; `mark` tells one list from a later one.

    Times of opening and closing never run backwards in a book, since whoever opens or closes holds its head.
    """

    rows: list[dict[str, Json]]
    mark: Mark


async def listed(connection: AsyncConnection, book: str, before: AccountList | None = None) -> AccountList:
    """All accounts of a book; `before` is an earlier list, which is good while nothing is opened or closed."""
    marking = select(func.count(), func.max(accounts.c.opened_at), func.max(accounts.c.closed_at))
    count, opened, closed = (await connection.execute(marking.where(accounts.c.book == book))).one()
    mark = count, opened, closed
    if before is not None and before.mark == mark:
        return before
    wanted = select(accounts).where(accounts.c.book == book).order_by(accounts.c.code)
    return AccountList([written(ACCOUNT, row) for row in await connection.execute(wanted)], mark)
