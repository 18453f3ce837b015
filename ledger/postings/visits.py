"""Visits by which a claim may be recognised: found by index, so many at most, however large the book is.

Nothing is decided from what is found here, and not all that fits need be among it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

# Each look-up is bounded by itself, before anything is joined or sorted: LIMIT stops the scan of the index.
_ON_DAYS = text("""
    SELECT DISTINCT e.claim, e.payer, e.session, e.service_date, e.service_code, e.charge
    FROM unnest(CAST(:payers AS text[])) AS asked (payer)
    CROSS JOIN unnest(CAST(:days AS date[])) AS d (day)
    CROSS JOIN LATERAL (
        SELECT claim, payer, session, service_date, service_code, charge FROM entries
        WHERE book = :book AND kind = 'session_earned' AND payer = asked.payer AND service_date = d.day
        LIMIT :most
    ) AS e
    WHERE e.claim IS NOT NULL
""")
_UP_TO = text("""
    SELECT DISTINCT e.claim, e.payer, e.session, e.service_date, e.service_code, e.charge
    FROM unnest(CAST(:payers AS text[])) AS asked (payer)
    CROSS JOIN LATERAL (
        SELECT claim, payer, session, service_date, service_code, charge FROM entries
        WHERE book = :book AND kind = 'session_earned' AND payer = asked.payer
            AND service_date <= CAST(:day AS date)
        ORDER BY service_date DESC LIMIT :most
    ) AS e
    WHERE e.claim IS NOT NULL
""")
# In the order of the index on claims: fewer are found where that is not the order of the signs' codes.
_BEGINNING = text("""
    SELECT DISTINCT e.claim, e.payer, e.session, e.service_date, e.service_code, e.charge
    FROM unnest(CAST(:beginnings AS text[])) AS asked (beginning)
    CROSS JOIN LATERAL (
        SELECT * FROM entries WHERE book = :book AND claim >= asked.beginning ORDER BY claim LIMIT :most
    ) AS e
    WHERE e.kind = 'session_earned' AND starts_with(e.claim, asked.beginning)
""")
# From one payer to the next by the index on payers and days, without reading the visits of any.
_PAYERS = text("""
    WITH RECURSIVE payers AS (
        (SELECT payer, 1 AS place FROM entries
         WHERE book = :book AND kind = 'session_earned' AND payer IS NOT NULL ORDER BY payer LIMIT 1)
        UNION ALL
        SELECT next.payer, payers.place + 1 FROM payers CROSS JOIN LATERAL (
            SELECT payer FROM entries
            WHERE book = :book AND kind = 'session_earned' AND payer > payers.payer ORDER BY payer LIMIT 1
        ) AS next
        WHERE payers.place < :most
    )
    SELECT payer FROM payers
""")


@dataclass(frozen=True, slots=True)
class Visit:
    """One recorded session of a claim; the charge in minor units."""

    claim: str
    payer: str
    session: str
    day: date | None
    code: str | None
    charge: int | None


async def on_days(
    connection: AsyncConnection, book: str, payers: Collection[str], days: Collection[date], most: int
) -> list[Visit]:
    """Visits of these payers on these days, so many of each payer and day at most."""
    asked = {"book": book, "payers": [*payers], "days": [*days], "most": most}
    return [_visit(row) for row in await connection.execute(_ON_DAYS, asked)]


async def up_to(
    connection: AsyncConnection, book: str, payers: Collection[str], day: date, most: int
) -> list[Visit]:
    """The latest visits of these payers up to a day, so many of each at most."""
    asked = {"book": book, "payers": [*payers], "day": day, "most": most}
    return [_visit(row) for row in await connection.execute(_UP_TO, asked)]


async def beginning(connection: AsyncConnection, book: str, beginnings: Collection[str], most: int) -> list[Visit]:
    """Visits of claims whose ids begin so: among so many entries of each beginning."""
    asked = {"book": book, "beginnings": [*beginnings], "most": most}
    return [_visit(row) for row in await connection.execute(_BEGINNING, asked)]


async def payers_of_book(connection: AsyncConnection, book: str, most: int) -> list[str]:
    """The payers of recorded sessions, so many at most, in the order of their names."""
    return list((await connection.execute(_PAYERS, {"book": book, "most": most})).scalars())


def _visit(row: Row[Any]) -> Visit:
    return Visit(row.claim, row.payer, row.session or "", row.service_date, row.service_code, row.charge)
