"""What proposals are asked about: claim payments in suspense, and deposits with something unapplied."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciliation.candidates.scoring import Sought

MOST_ORIGINALS = 1_000
"""Payments that a reversal may take back."""
MOST_REMITTANCES = 100
"""Remittances of which a deposit may be a lump, the nearest first."""
NEAR_DAYS = 10

_CLAIM_PAYMENT = text("""
    SELECT c.decision, c.claim, c.rule, c.line, r.id, r.sha256, r.position, r.payer, r.payer_name, r.payment_date,
        r.currency, d.file_name, d.size, d.received_by, d.form
    FROM claim_payments AS c
    JOIN remittances AS r ON r.book = c.book AND r.id = c.remittance
    JOIN deliveries AS d ON d.book = r.book AND d.sha256 = r.sha256
    WHERE c.book = :book AND c.remittance = :remittance AND c.line = :line
""")
_NOT_TAKEN_BACK = """
    AND NOT EXISTS (
        SELECT FROM claim_payments AS later
        WHERE later.book = c.book AND later.reverses_remittance = c.remittance AND later.reverses_line = c.line
    )
"""
# What stands of a payer's answers to these claims, the last of each.
_ANSWERED = text(f"""
    SELECT DISTINCT ON (c.claim) c.claim, c.decision, r.payment_date AS day
    FROM claim_payments AS c JOIN remittances AS r ON r.book = c.book AND r.id = c.remittance
    WHERE c.book = :book AND c.claim = ANY(CAST(:claims AS text[])) AND r.payer = :payer
        AND c.decision NOT IN ('suspended', 'noted', 'reversed') {_NOT_TAKEN_BACK}
    ORDER BY c.claim, r.payment_date DESC, c.remittance, c.line
""")  # noqa: S608
# As a reversal is matched: by the same payer, of the amounts that it negates, settled and not taken back.
_ORIGINALS = text(f"""
    SELECT c.claim, c.remittance, c.line, c.paid, c.charge, r.payment_date, r.trace
    FROM claim_payments AS c JOIN remittances AS r ON r.book = c.book AND r.id = c.remittance
    WHERE c.book = :book AND c.claim = ANY(CAST(:claims AS text[]))
        AND c.status <> '22' AND c.decision NOT IN ('suspended', 'noted')
        AND c.paid = :paid AND coalesce(c.charge = :charge, true) AND r.currency = :currency AND r.payer = :payer
        {_NOT_TAKEN_BACK}
    ORDER BY r.payment_date DESC, c.remittance, c.line LIMIT :most
""")  # noqa: S608
# As reconciliation/bank/proposals.py looks for one that waits for exactly the amount, by the same index.
_IN_TRANSIT = text("""
    SELECT id, payment_date, clearing, paid - applied AS waiting FROM remittances
    WHERE book = :book AND state = 'settled' AND applied <> paid AND currency = :currency
        AND payment_date BETWEEN CAST(:day AS date) - :near AND CAST(:day AS date) + :near
        AND paid > applied AND clearing IS NOT NULL
        AND (CAST(:payer AS text) IS NULL OR payer IS NULL OR payer = :payer)
    ORDER BY payer IS NULL, abs(payment_date - CAST(:day AS date)), id LIMIT :most
""")


async def claim_payment(connection: AsyncConnection, book: str, remittance: UUID, line: int) -> Row[Any] | None:
    """A claim payment with its remittance and the delivery that brought it."""
    asked = {"book": book, "remittance": remittance, "line": line}
    return (await connection.execute(_CLAIM_PAYMENT, asked)).one_or_none()


async def answered(
    connection: AsyncConnection, book: str, payer: str, claims: Collection[str]
) -> Mapping[str, Row[Any]]:
    """Which of these claims a payer has answered: what was decided then (`decision`), and the `day` of payment."""
    rows = await connection.execute(_ANSWERED, {"book": book, "payer": payer, "claims": [*claims]})
    return {row.claim: row for row in rows}


async def originals(
    connection: AsyncConnection, book: str, claims: Collection[str], sought: Sought
) -> Mapping[str, Sequence[Row[Any]]]:
    """Payments for each of these claims that a reversal may take back, the latest first."""
    asked = {"book": book, "claims": [*claims], "payer": sought.payer, "most": MOST_ORIGINALS}
    amounts = {"paid": sought.paid, "charge": sought.charge, "currency": sought.currency}
    found: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in await connection.execute(_ORIGINALS, asked | amounts):
        found[row.claim].append(row)
    return found


async def in_transit(
    connection: AsyncConnection, book: str, payer: str | None, currency: str, day: date
) -> Collection[Row[Any]]:
    """Remittances that wait for money: of this payer or of one that is not known, paid near a day."""
    asked = {"book": book, "payer": payer, "currency": currency, "day": day}
    return (await connection.execute(_IN_TRANSIT, asked | {"near": NEAR_DAYS, "most": MOST_REMITTANCES})).all()
