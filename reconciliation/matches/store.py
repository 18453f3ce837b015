"""Where it is kept what people say of claim payments, and what one of them may match alone."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, exists, func, insert, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.postings.batch import Head
from reconciliation.denials import Place
from reconciliation.matches.hand_match import UNMATCHED, HandMatch, Part, State
from reconciliation.matches.schema import claim_matches, match_limits
from reconciliation.schema import claim_payments

_TABLE = claim_matches.c


async def under_key(connection: AsyncConnection, book: str, said_by: str, key: str) -> HandMatch | None:
    """What this caller said under this key."""
    return await _one(connection, book, _TABLE.said_by == said_by, _TABLE.idempotency_key == key)


async def numbered(connection: AsyncConnection, book: str, number: int) -> HandMatch | None:
    """One word by its number."""
    return await _one(connection, book, _TABLE.number == number)


async def decision(connection: AsyncConnection, book: str, proposal: int) -> HandMatch | None:
    """The word that decided on a proposal."""
    return await _one(connection, book, _TABLE.decides == proposal)


async def last(connection: AsyncConnection, book: str, remittance: UUID, line: int) -> HandMatch | None:
    """The word that counts on a claim payment."""
    return await _one(connection, book, _TABLE.remittance == remittance, _TABLE.line == line)


async def _one(connection: AsyncConnection, book: str, *conditions: ColumnElement[bool]) -> HandMatch | None:
    """The latest word of which this is so."""
    wanted = select(claim_matches).where(_TABLE.book == book, *conditions).order_by(_TABLE.number.desc()).limit(1)
    row = (await connection.execute(wanted)).one_or_none()
    return None if row is None else hand_match(row)


async def find(
    connection: AsyncConnection, book: str, remittance: UUID | None, after: int, limit: int, *, waiting: bool
) -> list[HandMatch]:
    """Words by number: of one remittance or of all, or of them those that wait for a second person."""
    wanted = select(claim_matches).where(claim_matches.c.book == book, claim_matches.c.number > after)
    if remittance is not None:
        wanted = wanted.where(claim_matches.c.remittance == remittance)
    if waiting:
        later = claim_matches.alias("later")
        decided = exists().where(later.c.book == book, later.c.decides == claim_matches.c.number)
        wanted = wanted.where(claim_matches.c.state == State.PROPOSED, ~decided)
    rows = await connection.execute(wanted.order_by(claim_matches.c.number).limit(limit))
    return [hand_match(row) for row in rows]


async def unmatched(connection: AsyncConnection, book: str, places: Collection[Place]) -> set[Place]:
    """Those of the claim payments that somebody has taken from their claims."""
    table = claim_payments.c
    asked = [(UUID(remittance), line) for remittance, line in places]
    of = and_(table.book == book, table.rule == UNMATCHED, tuple_(table.remittance, table.line).in_(asked))
    rows = await connection.execute(select(table.remittance, table.line).where(of))
    return {(str(row.remittance), row.line) for row in rows}


async def taken_back_by(connection: AsyncConnection, book: str, remittance: UUID, line: int) -> str:
    """REMITTANCE:LINE of the reversal that takes a claim payment back."""
    table = claim_payments.c
    of = (table.book == book, table.reverses_remittance == remittance, table.reverses_line == line)
    row = (await connection.execute(select(table.remittance, table.line).where(*of))).one()
    return f"{row.remittance}:{row.line}"


async def add(connection: AsyncConnection, head: Head, word: HandMatch) -> HandMatch:
    """Writes a word as the book's next one, while the head is held."""
    table = claim_matches.c
    most = select(func.coalesce(func.max(table.number), 0)).where(table.book == head.book)
    number = (await connection.execute(most)).scalar_one() + 1
    values = {
        "book": head.book,
        "number": number,
        "remittance": word.remittance,
        "line": word.line,
        "state": word.state,
        "claims": [part.claim for part in word.parts],
        "amounts": [part.amount for part in word.parts],
        "amount": word.amount,
        "currency": word.currency,
        "limit_amount": word.limit,
        "decides": word.decides,
        "proposed_by": word.proposed_by,
        "reason": word.reason,
        "said_by": word.said_by,
        "said_at": head.recorded_at,
        "idempotency_key": word.idempotency_key,
        "entry_number": word.entry_number,
        "original_remittance": word.original[0] if word.original else None,
        "original_line": word.original[1] if word.original else 0,
    }
    row = (await connection.execute(insert(claim_matches).values(values).returning(*claim_matches.c))).one()
    return hand_match(row)


def hand_match(row: Row[Any]) -> HandMatch:
    """A row as a word."""
    return HandMatch(
        remittance=row.remittance,
        line=row.line,
        state=State(row.state),
        parts=tuple(Part(*part) for part in zip(row.claims, row.amounts, strict=True)),
        currency=row.currency,
        reason=row.reason,
        said_by=row.said_by,
        idempotency_key=row.idempotency_key,
        limit=row.limit_amount,
        decides=row.decides,
        proposed_by=row.proposed_by,
        entry_number=row.entry_number,
        number=row.number,
        said_at=row.said_at,
        original=(row.original_remittance, row.original_line) if row.original_remittance else None,
    )


async def limits(connection: AsyncConnection, book: str) -> dict[str, Row[Any]]:
    """What one person may match alone, by currency."""
    wanted = select(match_limits).ext(distinct_on(match_limits.c.currency)).where(match_limits.c.book == book)
    rows = await connection.execute(wanted.order_by(match_limits.c.currency, match_limits.c.version.desc()))
    return {row.currency: row for row in rows}


async def set_limit(
    connection: AsyncConnection, head: Head, currency: str, amount: int | None, reason: str, actor: str
) -> Row[Any]:
    """Writes the next version of a limit, while the head is held."""
    before = (await limits(connection, head.book)).get(currency)
    values = {
        "book": head.book,
        "currency": currency,
        "version": before.version + 1 if before else 1,
        "amount": amount,
        "reason": reason,
        "set_by": actor,
        "set_at": head.recorded_at,
    }
    written = insert(match_limits).values(values).returning(*match_limits.c)
    return (await connection.execute(written)).one()
