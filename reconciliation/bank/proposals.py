"""What a deposit may be, for a person to decide: nothing is ever posted from this.

Remittances of the same payer, or of any where the payer is unknown, that wait for exactly what is unapplied of the
deposit, and were paid near its day.
"""

from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts import store as accounts

NEAR_DAYS = 10
MOST_PROPOSALS = 20

_NEAR = text("""
    SELECT id, trace, payer, signed_by, payment_date, currency, clearing,
        abs(payment_date - CAST(:day AS date)) AS days
    FROM remittances
    WHERE book = :book AND state = 'settled' AND applied <> paid AND currency = :currency
        AND payment_date BETWEEN CAST(:day AS date) - :near AND CAST(:day AS date) + :near
        AND paid - applied = :amount AND (CAST(:payer AS text) IS NULL OR payer IS NULL OR payer = :payer)
    ORDER BY payer IS NULL, days, id LIMIT :most
""")


async def proposed(
    connection: AsyncConnection, book: str, deposit: Row[Any], unapplied: int
) -> list[tuple[Row[Any], int, str]]:
    """Remittances that a deposit may be the money of, best first: what each waits for, and what agrees."""
    if unapplied <= 0:
        return []
    asked = {"book": book, "day": deposit.effective_date, "currency": deposit.currency, "amount": unapplied}
    limits = {"payer": deposit.payer, "near": NEAR_DAYS, "most": MOST_PROPOSALS}
    rows = (await connection.execute(_NEAR, asked | limits)).all()
    codes = [row.clearing for row in rows if row.clearing]
    found = await accounts.read(connection, book, codes) if codes else []
    open_ = {account.code: totals.balance for account, totals in found}
    return [(row, unapplied, _evidence(row, deposit)) for row in rows if open_.get(row.clearing) == unapplied]


def _evidence(row: Row[Any], deposit: Row[Any]) -> str:
    payer = f"payer {row.payer}, " if deposit.payer and row.payer == deposit.payer else ""
    return f"{payer}amount, {row.days} days apart"
