"""What is open on providers' payables, asked of PostgreSQL: `counting.sql` says how it is found."""

from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, TextClause, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts import chart
from ledger.database import query
from ledger.pay_cycles.cycle import Counted
from ledger.schema import accounts, pay_cycle_items

_FALLEN = text("""
    SELECT account FROM unnest(CAST(:accounts AS text[])) AS asked (account)
    WHERE EXISTS (
        SELECT FROM postings
        WHERE book = :book AND account = asked.account AND entry_number > :known AND amount > 0
    )
""")
"""A payable is a liability: a debit lowers it."""


class CountedOtherwise(Exception):
    """What a plan counted is not what is counted now, although nothing of it can change: the books are not
    sound."""


def _asked(book: str, codes: Sequence[str], cut_off: date, known: int) -> dict[str, Any]:
    return {"book": book, "accounts": [*codes], "cut_off": cut_off.isoformat(), "known": known}


async def payables(connection: AsyncConnection, book: str) -> list[str]:
    """The accounts of all providers, in order."""
    below: ColumnElement[bool] = accounts.c.code.between(
        f"{chart.PROVIDER_PAYABLES}:", f"{chart.PROVIDER_PAYABLES};"
    )
    wanted = select(accounts.c.code).where(accounts.c.book == book, below).order_by(accounts.c.code)
    return [*(await connection.execute(wanted)).scalars()]


async def counted(
    connection: AsyncConnection, book: str, codes: Sequence[str], cut_off: date, known: int
) -> list[Counted]:
    """What is open on these accounts, in their order; those with nothing are left out."""
    asked = _asked(book, codes, cut_off, known) | {"only_sums": "yes"}
    rows = await connection.execute(query("ledger.pay_cycles", "counting.sql"), asked)
    return [
        Counted(
            account=row.account,
            provider=row.provider,
            currency=row.currency,
            carried=int(row.carried),
            session_count=int(row.session_count),
            sessions=int(row.sessions),
            adjustment_count=int(row.adjustment_count),
            adjustments=int(row.adjustments),
            since=int(row.since),
        )
        for row in rows
    ]


async def fallen(connection: AsyncConnection, book: str, codes: Sequence[str], known: int) -> set[str]:
    """Accounts of which anything was taken after an entry."""
    rows = await connection.execute(_FALLEN, {"book": book, "accounts": [*codes], "known": known})
    return {*rows.scalars()}


@cache
def _counting_for_good() -> TextClause:
    """What is counted, written as links in one statement."""
    found = query("ledger.pay_cycles", "counting.sql").text.rstrip().removesuffix(";")
    return text(f"""
        INSERT INTO pay_cycle_items (book, entry_number, account, cycle, kind, amount)
        SELECT :book, entry_number, account, CAST(:cut_off AS date), kind, amount FROM ({found}) AS found
    """)  # noqa: S608 - our own file


async def count_for_good(
    connection: AsyncConnection, book: str, lines: Sequence[Counted], cut_off: date, known: int
) -> None:
    """Links what is open on the accounts to the cycle: PostgreSQL refuses to link any of it twice.

    Raises CountedOtherwise where that is not what the plan counted.
    """
    codes = [line.account for line in lines]
    await connection.execute(_counting_for_good(), _asked(book, codes, cut_off, known) | {"only_sums": "no"})
    items = pay_cycle_items.c
    is_session = items.kind == "session"
    sums = (
        select(
            items.account,
            func.count().filter(is_session),
            func.coalesce(func.sum(items.amount).filter(is_session), 0),
            func.count().filter(~is_session),
            func.coalesce(func.sum(items.amount).filter(~is_session), 0),
        )
        .where(items.book == book, items.cycle == cut_off, items.account.in_(codes))
        .group_by(items.account)
    )
    linked = {row[0]: tuple(map(int, row[1:])) for row in await connection.execute(sums)}
    for line in lines:
        planned = (line.session_count, line.sessions, line.adjustment_count, line.adjustments)
        if linked.get(line.account, (0, 0, 0, 0)) != planned:
            raise CountedOtherwise(f"{line.account} in the cycle of {cut_off}")
