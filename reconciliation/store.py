"""Where deliveries, remittances, decisions and exceptions are kept."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Table, and_, exists, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import insert_keyed
from ledger.errors import TextInvalid
from ledger.rows import Insertion
from reconciliation import states
from reconciliation.codes import Bucket
from reconciliation.reasons import Decision, RemittanceState
from reconciliation.schema import (
    claim_payments,
    deliveries,
    exceptions,
    provider_level_adjustments,
    remittances,
)
from reconciliation.worklist import store as worklist

_INSERT_CLAIM_PAYMENTS = Insertion(claim_payments)
_CONTROL_NUMBERS = text("""
    SELECT DISTINCT c.payer_control_number, c.claim
    FROM claim_payments AS c JOIN remittances AS r ON r.book = c.book AND r.id = c.remittance
    WHERE c.book = :book AND c.payer_control_number = ANY(CAST(:numbers AS text[]))
        AND r.payer = :payer AND c.claim IS NOT NULL
""")
_DECISIONS = text("""
    SELECT c.decision, count(*) AS times
    FROM claim_payments AS c JOIN remittances AS r ON r.book = c.book AND r.id = c.remittance
    WHERE r.book = :book AND r.sha256 = :sha256 GROUP BY c.decision ORDER BY c.decision
""")
_OPEN_EXCEPTIONS = text("""
    SELECT remittance, count(*) AS times FROM exceptions
    WHERE book = :book AND remittance = ANY(CAST(:ids AS uuid[])) AND closed_at IS NULL GROUP BY remittance
""")
_FINISH = text("""
    UPDATE deliveries SET finished_at = clock_timestamp() WHERE book = :book AND sha256 = :sha256
        AND NOT EXISTS (
            SELECT FROM remittances AS r
            WHERE r.book = deliveries.book AND r.sha256 = deliveries.sha256 AND r.state = 'settling'
        )
        AND NOT EXISTS (
            SELECT FROM bank_statements AS s
            WHERE s.book = deliveries.book AND s.sha256 = deliveries.sha256 AND s.state = 'recording'
        )
""")
_CLOSE_EXCEPTIONS = text("""
    UPDATE exceptions SET closed_at = clock_timestamp()
    WHERE book = :book AND remittance = :remittance AND closed_at IS NULL RETURNING id
""")
_CLOSE_LINE = text("""
    UPDATE exceptions SET closed_at = clock_timestamp()
    WHERE book = :book AND remittance = :remittance AND line = :line AND closed_at IS NULL RETURNING id
""")
_WAITING = text("""
    SELECT c.* FROM claim_payments AS c
    WHERE c.book = :book AND c.remittance = :remittance AND c.line = ANY(CAST(:lines AS integer[]))
        AND c.decision = 'suspended' AND c.status <> '22' AND c.rule <> 'unmatched'
        AND NOT EXISTS (
            SELECT FROM claim_payments AS later
            WHERE later.book = c.book AND later.reverses_remittance = c.remittance AND later.reverses_line = c.line
        )
""")
_PROGRESS = states.changing("""
    UPDATE remittances
    SET state = :state, posted = posted + :posted, suspended = suspended + :suspended,
        settled_claim_count = settled_claim_count + :settled_claim_count
    WHERE book = :book AND id = :remittance
""")
_NAME_PAYER = states.changing("UPDATE remittances SET payer = :payer WHERE book = :book AND id = :remittance")
_DECIDE_AGAIN = text("""
    WITH decided AS (
        SELECT * FROM claim_payments WHERE book = :book AND remittance = :remittance AND line = :line
    ), kept AS (
        INSERT INTO earlier_decisions (
            book, remittance, line, version, claim, decision, rule, evidence, entry_number,
            contractual, patient, denial, other_payer, suspense
        )
        SELECT d.book, d.remittance, d.line, 1 + (
                SELECT count(*) FROM earlier_decisions AS e
                WHERE e.book = d.book AND e.remittance = d.remittance AND e.line = d.line
            ), d.claim, d.decision, d.rule, d.evidence, d.entry_number,
            d.contractual, d.patient, d.denial, d.other_payer, d.suspense
        FROM decided AS d
    )
    UPDATE claim_payments
    SET decision = :decision, claim = :claim, rule = :rule, evidence = :evidence, entry_number = :entry_number,
        contractual = coalesce(CAST(:contractual AS bigint), contractual),
        patient = coalesce(CAST(:patient AS bigint), patient),
        denial = coalesce(CAST(:denial AS bigint), denial),
        other_payer = coalesce(CAST(:other_payer AS bigint), other_payer),
        suspense = coalesce(CAST(:suspense AS bigint), suspense)
    WHERE book = :book AND remittance = :remittance AND line = :line
""")
_CLOSE_EXCEPTION = text("""
    UPDATE exceptions SET closed_at = clock_timestamp() WHERE book = :book AND id = :id AND closed_at IS NULL
    RETURNING id
""")


_SUMS = ("posted", "suspended", "settled_claim_count")

REMITTANCE, STATEMENT = "remittance", "statement"
"""What a file is: an 835, or a statement of the bank."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file as it came."""

    book: str
    sha256: bytes
    file_name: str
    size: int
    received_by: str
    form: str = REMITTANCE


async def deliver(connection: AsyncConnection, delivery: Delivery) -> bool:
    """Writes a delivery; False where the same bytes came before."""
    values = {
        "book": delivery.book,
        "sha256": delivery.sha256,
        "file_name": delivery.file_name,
        "size": delivery.size,
        "received_by": delivery.received_by,
        "form": delivery.form,
    }
    written = insert(deliveries).values(values).on_conflict_do_nothing().returning(deliveries.c.size)
    return (await connection.execute(written)).one_or_none() is not None


async def delivered(connection: AsyncConnection, book: str, sha256: bytes) -> Delivery | None:
    """A delivery by what its bytes amount to."""
    wanted = select(deliveries).where(deliveries.c.book == book, deliveries.c.sha256 == sha256)
    row = (await connection.execute(wanted)).one_or_none()
    return None if row is None else _delivery(row)


async def unfinished(connection: AsyncConnection, form: str = REMITTANCE) -> list[Delivery]:
    """Deliveries of a form that were not wholly worked through, oldest first."""
    wanted = select(deliveries).where(deliveries.c.finished_at.is_(None), deliveries.c.form == form)
    return [_delivery(row) for row in await connection.execute(wanted.order_by(deliveries.c.received_at))]


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(row.book, row.sha256, row.file_name, row.size, row.received_by, row.form)


async def finish(connection: AsyncConnection, delivery: Delivery) -> None:
    """Says that all of a delivery is settled or kept; says nothing while a part of it is half done."""
    await connection.execute(_FINISH, {"book": delivery.book, "sha256": delivery.sha256})


def _of_delivery(table: Table, delivery: Delivery) -> ColumnElement[bool]:
    return and_(table.c.book == delivery.book, table.c.sha256 == delivery.sha256)


async def find(
    connection: AsyncConnection, book: str, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[Row[Any]]:
    """Remittances of a book with their file names and open exceptions, newest first."""
    wanted = (
        select(remittances, deliveries.c.file_name)
        .join(deliveries, and_(deliveries.c.book == book, deliveries.c.sha256 == remittances.c.sha256))
        .where(remittances.c.book == book, *conditions)
        .order_by(remittances.c.received_at.desc(), remittances.c.id.desc())
    )
    return list((await connection.execute(wanted.limit(limit))).all())


async def open_exceptions_by_book(connection: AsyncConnection) -> dict[str, int]:
    """How many exceptions are open in each book that has any."""
    counted = select(exceptions.c.book, func.count()).where(exceptions.c.closed_at.is_(None))
    rows = (await connection.execute(counted.group_by(exceptions.c.book))).all()
    return {book: count for book, count in rows}  # noqa: C416 - a row is no pair to mypy


async def open_exceptions(connection: AsyncConnection, book: str, ids: Collection[UUID]) -> dict[UUID, int]:
    """How many exceptions are open on each of these remittances."""
    rows = await connection.execute(_OPEN_EXCEPTIONS, {"book": book, "ids": [*ids]})
    return {row.remittance: row.times for row in rows}


async def of_delivery(connection: AsyncConnection, delivery: Delivery) -> list[Row[Any]]:
    """The remittances of one delivery, in the order of the file."""
    found = await find(connection, delivery.book, remittances.c.sha256 == delivery.sha256)
    return sorted(found, key=lambda row: row.position)


async def decisions(connection: AsyncConnection, delivery: Delivery) -> dict[Decision, int]:
    """How often each decision was taken in a delivery."""
    rows = await connection.execute(_DECISIONS, {"book": delivery.book, "sha256": delivery.sha256})
    return {Decision(row.decision): row.times for row in rows}


async def existing(connection: AsyncConnection, book: str, remittance: UUID) -> Row[Any] | None:
    """A remittance as it stands."""
    wanted = select(remittances).where(remittances.c.book == book, remittances.c.id == remittance)
    return (await connection.execute(wanted)).one_or_none()


async def same_content(connection: AsyncConnection, book: str, content_hash: str) -> UUID | None:
    """The remittance that is, or will be, in the books with this content, whatever its envelope."""
    return await _in_books(connection, book, remittances.c.content_hash == content_hash)


async def same_trace(connection: AsyncConnection, book: str, signed_by: str, trace: str) -> UUID | None:
    """The remittance that is, or will be, in the books with this trace of this sender."""
    same = and_(remittances.c.signed_by == signed_by, remittances.c.trace == trace)
    return await _in_books(connection, book, same)


async def quarantined_twin(connection: AsyncConnection, book: str, content_hash: str, but: UUID) -> UUID | None:
    """Another quarantined remittance with this content: its money was received once, not twice."""
    if not content_hash:
        return None
    wanted = select(remittances.c.id).where(
        remittances.c.book == book,
        remittances.c.content_hash == content_hash,
        remittances.c.state == RemittanceState.QUARANTINED,
        remittances.c.id != but,
    )
    return (await connection.execute(wanted.limit(1))).scalars().first()


async def _in_books(connection: AsyncConnection, book: str, condition: ColumnElement[bool]) -> UUID | None:
    states = RemittanceState.SETTLED, RemittanceState.SETTLING, RemittanceState.WAITING
    posted = remittances.c.state.in_(states)
    wanted = select(remittances.c.id).where(remittances.c.book == book, posted, condition)
    return (await connection.execute(wanted)).scalars().first()


async def put(connection: AsyncConnection, book: str, remittance: UUID, values: dict[str, Any]) -> Row[Any]:
    """Writes a remittance, or what has changed of it since it was first written; returns it as it stands.

    One that is to be settled says how it stands once a part of it is.
    """
    changed = (
        *("state", "payer", "clearing", "posted", "suspended", "settled_claim_count", "reason"),
        "code_revision",
    )
    row = insert(remittances).values({"book": book, "id": remittance, **values})
    again = {name: row.excluded[name] for name in changed if name in values}
    written = row.on_conflict_do_update(index_elements=["book", "id"], set_=again).returning(remittances)
    found: Row[Any] = (await connection.execute(written)).one()
    if values["state"] != RemittanceState.SETTLING:
        await states.say(connection, book, remittance)
    return found


async def progress(
    connection: AsyncConnection, book: str, remittance: UUID, state: RemittanceState, added: dict[str, int]
) -> None:
    """Adds to what is posted, suspended and settled of a remittance, and says its state."""
    asked = {"book": book, "remittance": remittance, "state": state}
    await connection.execute(_PROGRESS, asked | dict.fromkeys(_SUMS, 0) | added)


async def add_claim_payments(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Writes decisions: in one statement, or one by one where a name in them cannot be put into a list."""
    if not rows:
        return
    names = [column.name for column in claim_payments.columns]
    values = [[str(row[name]) if name == "decision" else row[name] for name in names] for row in rows]
    try:
        asked = _INSERT_CLAIM_PAYMENTS.of(values)
    except TextInvalid:
        await connection.execute(insert(claim_payments), list(rows))
    else:
        await insert_keyed(connection, asked)


async def waiting(
    connection: AsyncConnection, book: str, remittance: UUID, lines: Collection[int]
) -> dict[int, Row[Any]]:
    """Claim payments whose money waits in suspense for a rule, and was not taken back, by line."""
    asked = {"book": book, "remittance": remittance, "lines": [*lines]}
    return {row.line: row for row in await connection.execute(_WAITING, asked)}


async def decide_again(
    connection: AsyncConnection, book: str, remittance: UUID, rows: Sequence[dict[str, Any]], actor: str
) -> None:
    """Changes the decisions on claim payments, keeps what they were, and closes what was raised on their lines.

    What was adjusted stays in its buckets where a row does not say it.
    """
    as_they_are = {"book": book, "remittance": remittance, **dict.fromkeys(bucket.value for bucket in Bucket)}
    for row in rows:
        await connection.execute(_DECIDE_AGAIN, as_they_are | row)
        of_line = {"book": book, "remittance": remittance, "line": row["line"]}
        closed = (await connection.execute(_CLOSE_LINE, of_line)).scalars().all()
        said = f"decided again: {row['decision']}, claim {row['claim']}"
        await worklist.settled(connection, book, closed, said, actor, row["entry_number"])


async def name_payer(connection: AsyncConnection, book: str, remittance: UUID, payer: str) -> None:
    """Says whose a remittance is, once that is known."""
    await connection.execute(_NAME_PAYER, {"book": book, "remittance": remittance, "payer": payer})


async def add_provider_level(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Writes provider-level adjustments."""
    if rows:
        await connection.execute(insert(provider_level_adjustments), list(rows))


async def add_exceptions(connection: AsyncConnection, rows: Sequence[dict[str, Any]], actor: str) -> None:
    """Opens exceptions of one book; one that was closed before is open again, where nobody has decided on it."""
    if rows:
        await connection.execute(insert(exceptions).on_conflict_do_nothing(), list(rows))
        await worklist.open_again(connection, rows[0]["book"], rows, actor)


async def close_exceptions(connection: AsyncConnection, book: str, remittance: UUID, actor: str) -> None:
    """Closes what was open on a remittance, because it was taken up again."""
    closed = await connection.execute(_CLOSE_EXCEPTIONS, {"book": book, "remittance": remittance})
    said = "the remittance was taken up again"
    await worklist.settled(connection, book, closed.scalars().all(), said, actor)


async def close_exception(
    connection: AsyncConnection,
    book: str,
    exception: UUID,
    note: str,
    actor: str,
    entry_number: int | None = None,
) -> None:
    """Closes one exception, because its reason is gone, and says by what."""
    closed = await connection.execute(_CLOSE_EXCEPTION, {"book": book, "id": exception})
    await worklist.settled(connection, book, closed.scalars().all(), note, actor, entry_number)


async def control_numbers(
    connection: AsyncConnection, book: str, payer: str, numbers: Collection[str]
) -> dict[str, set[str]]:
    """Claims that a payer settled before under each of these control numbers."""
    asked = {"book": book, "payer": payer, "numbers": [*numbers]}
    found: dict[str, set[str]] = defaultdict(set)
    for row in await connection.execute(_CONTROL_NUMBERS, asked):
        found[row.payer_control_number].add(row.claim)
    return found


async def find_claim_payments(
    connection: AsyncConnection, book: str, remittance: UUID, after: int, limit: int
) -> list[Row[Any]]:
    """Decisions of a remittance, by line."""
    table = claim_payments
    of = (table.c.book == book) & (table.c.remittance == remittance) & (table.c.line > after)
    return list((await connection.execute(select(table).where(of).order_by(table.c.line).limit(limit))).all())


async def existing_claim_payment(
    connection: AsyncConnection, book: str, remittance: UUID, line: int
) -> Row[Any] | None:
    """A claim payment as it stands, and whether a later one takes it back."""
    later = claim_payments.alias("later")
    taken = exists().where(
        later.c.book == book, later.c.reverses_remittance == remittance, later.c.reverses_line == line
    )
    table = claim_payments
    of = (table.c.book == book) & (table.c.remittance == remittance) & (table.c.line == line)
    return (await connection.execute(select(table, taken.label("taken_back")).where(of))).one_or_none()


async def find_provider_level(connection: AsyncConnection, book: str, remittance: UUID) -> list[Row[Any]]:
    """Provider-level adjustments of a remittance, in its own order."""
    table = provider_level_adjustments
    of = (table.c.book == book) & (table.c.remittance == remittance)
    return list((await connection.execute(select(table).where(of).order_by(table.c.line))).all())
