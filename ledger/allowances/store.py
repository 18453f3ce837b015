"""Where policies and allowances are kept, and where past claims are read. Nothing that is kept changes."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts import chart
from ledger.accounts.store import sums
from ledger.allowances.allowance import History, Terms
from ledger.database import query
from ledger.schema import allowance_policies, allowances

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Policy:
    """A version of the policy: its terms as the wire has them in JSON, whether it is on, who set it and why."""

    version: int
    is_on: bool
    terms: Json
    reason: str
    set_by: str
    set_at: datetime


@dataclass(frozen=True, slots=True)
class Posted:
    """What was posted for a month, with its evidence as the wire has it in JSON."""

    month: date
    policy: int
    entry_number: int
    reversal_number: int
    evidence: Json
    posted_by: str
    posted_at: datetime


async def policies(connection: AsyncConnection, book: str, limit: int | None = None) -> list[Policy]:
    """The versions of the policy, the newest first."""
    wanted = select(allowance_policies).where(allowance_policies.c.book == book)
    rows = await connection.execute(wanted.order_by(allowance_policies.c.version.desc()).limit(limit))
    return [_policy(row) for row in rows]


async def insert_policy(connection: AsyncConnection, book: str, new: Policy) -> None:
    """Writes a new version."""
    row = {name: getattr(new, name) for name in Policy.__slots__}
    await connection.execute(insert(allowance_policies), {"book": book, **row})


async def find(connection: AsyncConnection, book: str, month: date) -> Posted | None:
    """What was posted for a month, by its last day."""
    wanted = select(allowances).where(allowances.c.book == book, allowances.c.month == month)
    row = (await connection.execute(wanted)).one_or_none()
    return Posted(**{name: getattr(row, name) for name in Posted.__slots__}) if row else None


async def insert_allowance(connection: AsyncConnection, book: str, new: Posted) -> None:
    """Writes what was posted for a month, in the database transaction of its entries."""
    row = {name: getattr(new, name) for name in Posted.__slots__}
    await connection.execute(insert(allowances), {"book": book, **row})


async def histories(
    connection: AsyncConnection, book: str, terms: Terms, as_of: date, known: int
) -> list[History]:
    """What became of past claims, and what is open, of every payer with a receivable in the currency."""
    asked = {
        "book": book,
        "currency": terms.currency,
        "as_of": as_of,
        "as_known_at": known,
        "age_buckets": ",".join(map(str, terms.age_buckets)),
        "matured_after_days": terms.matured_after_days,
        "history_months": terms.history_months,
    }
    rows = await connection.execute(query("ledger.allowances", "denial_history.sql"), asked)
    return [_history(row) for row in rows]


async def standing(
    connection: AsyncConnection, book: str, receivables: Collection[str], as_of: date
) -> dict[str, int]:
    """What stands as an allowance at the end of a day, by receivable, credit positive."""
    found = {}
    for receivable in receivables:
        totals, _ = await sums(connection, book, chart.allowance(receivable), as_of, below=False)
        found[receivable] = -sum(one.balance for one in totals.values())
    return found


def _history(row: Row[Any]) -> History:
    whole = ("from_days", "to_days", "history_claims", "history_open", "history_absorbed", "open")
    return History(row.account, row.payer, **{name: int(getattr(row, name)) for name in whole})


def _policy(row: Row[Any]) -> Policy:
    return Policy(**{name: getattr(row, name) for name in Policy.__slots__})
