"""Where statements, deposits, what they were applied to, and policies are kept."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciliation.bank.association import Application
from reconciliation.bank.deposit import Deposit, Trace
from reconciliation.bank.schema import (
    bank_statements,
    deposit_applications,
    deposit_policies,
    deposit_traces,
    deposits,
)
from reconciliation.schema import deliveries, remittances
from reconciliation.states import changing
from reconciliation.worklist import store as worklist
from reconciliation.worklist.item import Change, Event

# Deposits that name one of these traces, of which something is unapplied, and which nobody has taken back or
# apart: what a person has undone, no rule puts together again.
_NAMING = text("""
    SELECT d.id, d.effective_date, d.currency, d.payer_identifier FROM deposits AS d
    WHERE d.book = :book AND d.amount > 0
        AND d.id IN (
            SELECT deposit FROM deposit_traces WHERE book = :book AND trace = ANY(CAST(:traces AS text[]))
        )
        AND NOT EXISTS (SELECT FROM deposits AS r WHERE r.book = d.book AND r.returns = d.id)
        AND NOT EXISTS (
            SELECT FROM deposit_applications AS u
            WHERE u.book = d.book AND u.deposit = d.id AND u.rule = 'unapplied'
        )
        AND d.amount <> coalesce((
            SELECT sum(a.amount) FROM deposit_applications AS a WHERE a.book = d.book AND a.deposit = d.id
        ), 0)
    ORDER BY d.id
""")
_RETURNABLE = text("""
    SELECT d.id, d.account, d.amount, d.currency, d.reference, ARRAY(
        SELECT trace FROM deposit_traces AS t WHERE t.book = d.book AND t.deposit = d.id
    ) AS traces
    FROM deposits AS d
    WHERE d.book = :book AND d.account = :account AND d.amount = :amount
        AND (
            (d.reference = :reference AND d.reference <> '')
            OR EXISTS (
                SELECT FROM deposit_traces AS t
                WHERE t.book = d.book AND t.deposit = d.id AND t.trace = ANY(CAST(:traces AS text[]))
            )
        )
        AND NOT EXISTS (SELECT FROM deposits AS r WHERE r.book = d.book AND r.returns = d.id)
    ORDER BY d.id
""")
_APPLIED = text("""
    SELECT a.remittance, r.clearing, sum(a.amount) AS amount FROM deposit_applications AS a
    JOIN remittances AS r ON r.book = a.book AND r.id = a.remittance
    WHERE a.book = :book AND a.deposit = :deposit
    GROUP BY a.remittance, r.clearing HAVING sum(a.amount) <> 0 ORDER BY a.remittance
""")
_SUMS = text("""
    SELECT d.id, coalesce((
        SELECT sum(a.amount) FROM deposit_applications AS a WHERE a.book = d.book AND a.deposit = d.id
    ), 0) AS applied, EXISTS (SELECT FROM deposits AS r WHERE r.book = d.book AND r.returns = d.id) AS returned
    FROM deposits AS d WHERE d.book = :book AND d.id = ANY(CAST(:ids AS uuid[]))
""")
_UNAPPLIED = text("""
    deposits.returns IS NULL
    AND NOT EXISTS (SELECT FROM deposits AS r WHERE r.book = deposits.book AND r.returns = deposits.id)
    AND deposits.amount <> coalesce((
        SELECT sum(a.amount) FROM deposit_applications AS a
        WHERE a.book = deposits.book AND a.deposit = deposits.id
    ), 0)
""")
_ADD_APPLIED = text("""
    UPDATE remittances SET applied = applied + :amount WHERE book = :book AND id = :remittance
""")
_RELEASE = changing("""
    UPDATE remittances SET state = 'settling', reason = ''
    WHERE book = :book AND id = :remittance AND state IN ('waiting', 'settling')
""")
_REOPEN = text("""
    UPDATE deliveries SET finished_at = NULL WHERE book = :book AND sha256 = :sha256
""")
_HELD_BACK = text("""
    SELECT id, payer FROM remittances
    WHERE book = :book AND state = 'waiting' AND (:payer = '' OR payer = :payer) ORDER BY id
""")
# Settled long enough before the last day that the bank has told of, not all of it applied, and nobody told yet.
_MISSING = text("""
    SELECT r.id, r.trace, r.payer, r.signed_by, r.payment_date, r.currency, r.clearing, r.paid
    FROM remittances AS r
    LEFT JOIN LATERAL (
        SELECT missing_after_days FROM deposit_policies AS p
        WHERE p.book = r.book AND p.payer IN ('', coalesce(r.payer, ''))
        ORDER BY p.payer = '', p.version DESC LIMIT 1
    ) AS policy ON true
    WHERE r.book = :book AND r.state = 'settled' AND r.applied <> r.paid AND r.paid > 0 AND r.currency = :currency
        AND r.payment_date + coalesce(policy.missing_after_days, :usual_days) < :as_of
        AND NOT EXISTS (
            SELECT FROM exceptions AS x
            WHERE x.book = r.book AND x.remittance = r.id AND x.reason = 'deposit_missing' AND x.closed_at IS NULL
        )
    ORDER BY r.payment_date, r.id LIMIT 1000
""")
_CLOSE_EXCEPTIONS = text("""
    UPDATE exceptions SET closed_at = clock_timestamp()
    WHERE book = :book AND closed_at IS NULL
        AND (deposit = ANY(CAST(:deposits AS uuid[])) OR id = ANY(CAST(:ids AS uuid[])))
        AND id <> ALL(CAST(:but AS uuid[]))
    RETURNING id, deposit
""")
USUAL_MISSING_AFTER_DAYS = 5
"""Days without its money after which a payment is missing, where no policy says otherwise."""


class Policy(StrEnum):
    """When a payer's remittances are posted."""

    ON_REMITTANCE = "on_remittance"
    ON_DEPOSIT = "on_deposit"


@dataclass(frozen=True, slots=True)
class PolicyInForce:
    """What was said last for a payer, or for all that have none of their own (""). Version 0: nothing was said."""

    payer: str
    policy: Policy = Policy.ON_REMITTANCE
    missing_after_days: int = USUAL_MISSING_AFTER_DAYS
    version: int = 0
    reason: str = ""
    set_by: str = ""
    set_at: datetime | None = None

    def says_the_same(self, other: "PolicyInForce") -> bool:
        """Whether another would change nothing."""
        return (self.policy, self.missing_after_days) == (other.policy, other.missing_after_days)


@dataclass(frozen=True, slots=True)
class Settled:
    """What has settled an exception of the bank: in words, and by its entry where there is one."""

    note: str
    entry_number: int | None = None


# --- deposits -----------------------------------------------------------------------------------------


async def existing(connection: AsyncConnection, book: str, ids: Collection[UUID]) -> dict[UUID, Row[Any]]:
    """Those of these deposits that are in the books."""
    wanted = select(deposits).where(deposits.c.book == book, deposits.c.id.in_(ids))
    return {row.id: row for row in await connection.execute(wanted)} if ids else {}


async def naming(connection: AsyncConnection, book: str, traces: Collection[str]) -> list[Row[Any]]:
    """Deposits that name one of these traces and wait."""
    return list((await connection.execute(_NAMING, {"book": book, "traces": [*traces]})).all())


async def traces_of(
    connection: AsyncConnection, book: str, ids: Collection[UUID]
) -> dict[UUID, tuple[Trace, ...]]:
    """What deposits name."""
    table = deposit_traces.c
    wanted = select(deposit_traces).where(table.book == book, table.deposit.in_(ids)).order_by(table.trace)
    found: dict[UUID, tuple[Trace, ...]] = defaultdict(tuple)
    for row in await connection.execute(wanted) if ids else ():
        found[row.deposit] += (Trace(row.trace, row.payer_identifier),)
    return found


async def of_traces(connection: AsyncConnection, book: str, traces: Collection[str]) -> list[Row[Any]]:
    """Remittances under these traces that money may be for."""
    wanted = select(remittances).where(
        remittances.c.book == book,
        remittances.c.trace.in_(traces),
        remittances.c.state.in_(["settled", "settling", "waiting"]),
        remittances.c.paid.is_not(None),
    )
    return list((await connection.execute(wanted.order_by(remittances.c.id))).all()) if traces else []


async def returnable(
    connection: AsyncConnection, book: str, told: Deposit, traces: Collection[str]
) -> list[Row[Any]]:
    """Deposits that a return may mean, and that were not taken back, with their traces."""
    if not (told.reference or traces):
        return []
    asked = {"book": book, "account": told.account, "amount": -told.amount, "reference": told.reference}
    return list((await connection.execute(_RETURNABLE, asked | {"traces": [*traces]})).all())


async def applied(connection: AsyncConnection, book: str, deposit: UUID) -> list[Row[Any]]:
    """To which remittances a deposit is applied, with their clearing accounts and how much."""
    return list((await connection.execute(_APPLIED, {"book": book, "deposit": deposit})).all())


async def add(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Writes deposits."""
    if rows:
        await connection.execute(insert(deposits), list(rows))


async def add_traces(connection: AsyncConnection, book: str, found: Iterable[tuple[UUID, Deposit]]) -> None:
    """Writes what deposits name."""
    rows = [
        {"book": book, "deposit": id_, "trace": one.number, "payer_identifier": one.payer_identifier}
        for id_, deposit in found
        for one in {trace.number: trace for trace in deposit.named()}.values()
    ]
    if rows:
        await connection.execute(insert(deposit_traces).on_conflict_do_nothing(), rows)


async def add_applications(
    connection: AsyncConnection, book: str, actor: str, posted: Iterable[tuple[int, Application]]
) -> None:
    """Writes what was applied, and adds it to what the remittances have received."""
    rows = [
        {
            "book": book,
            "entry_number": number,
            "deposit": one.deposit,
            "remittance": one.remittance.id,
            "amount": one.amount,
            "rule": one.rule,
            "evidence": one.evidence,
            "applied_by": actor,
        }
        for number, one in posted
    ]
    if rows:
        await connection.execute(insert(deposit_applications), rows)
        moved = [{name: row[name] for name in ("book", "remittance", "amount")} for row in rows]
        await connection.execute(_ADD_APPLIED, moved)


async def sums(connection: AsyncConnection, book: str, ids: Collection[UUID]) -> dict[UUID, Row[Any]]:
    """How much of each deposit is applied, and whether it was taken back."""
    rows = await connection.execute(_SUMS, {"book": book, "ids": [*ids]})
    return {row.id: row for row in rows}


async def find(
    connection: AsyncConnection,
    book: str,
    *conditions: ColumnElement[bool],
    unapplied: bool = False,
    limit: int | None = None,
) -> list[Row[Any]]:
    """Deposits of a book, newest first."""
    wanted = select(deposits).where(deposits.c.book == book, *conditions)
    if unapplied:
        wanted = wanted.where(_UNAPPLIED)
    ordered = wanted.order_by(deposits.c.recorded_at.desc(), deposits.c.id.desc())
    return list((await connection.execute(ordered.limit(limit))).all())


async def find_applications(connection: AsyncConnection, book: str, deposit: UUID) -> list[Row[Any]]:
    """What moved between a deposit and remittances, in order."""
    table = deposit_applications
    wanted = select(table).where(table.c.book == book, table.c.deposit == deposit)
    return list((await connection.execute(wanted.order_by(table.c.entry_number, table.c.remittance))).all())


async def close_exceptions(
    connection: AsyncConnection,
    book: str,
    of: Mapping[UUID, Settled],
    ids: Mapping[UUID, Settled],
    but: Collection[UUID],
    actor: str,
) -> None:
    """Closes what was open on deposits, and exceptions by their own ids, each with what settled it.

    `but` is what is raised again, and so never was settled.
    """
    if not (of or ids):
        return
    asked = {"book": book, "deposits": [*of], "ids": [*ids], "but": [*but]}
    closed = (await connection.execute(_CLOSE_EXCEPTIONS, asked)).all()
    told = ((row.id, ids.get(row.id) or of[row.deposit]) for row in closed)
    events = [Event(id_, Change.SETTLED, one.note, actor, one.entry_number) for id_, one in told]
    await worklist.add(connection, book, events)


# --- remittances that wait ----------------------------------------------------------------------------


async def release(connection: AsyncConnection, book: str, waiting: Iterable[UUID]) -> set[bytes]:
    """Remittances that wait, or are half settled, are to be settled now; returns the files to take up again."""
    again: set[bytes] = set()
    for remittance in waiting:
        again |= set((await connection.execute(_RELEASE, {"book": book, "remittance": remittance})).scalars())
    for sha256 in again:
        await connection.execute(_REOPEN, {"book": book, "sha256": sha256})
    return again


async def held_back(connection: AsyncConnection, book: str, payer: str) -> list[Row[Any]]:
    """Remittances that wait for their deposits: of one payer, or where none is named of all."""
    return list((await connection.execute(_HELD_BACK, {"book": book, "payer": payer})).all())


async def missing(connection: AsyncConnection, book: str, currency: str, as_of: date) -> list[Row[Any]]:
    """Remittances whose money should have come by a day, and of which nobody was told."""
    asked = {"book": book, "currency": currency, "as_of": as_of, "usual_days": USUAL_MISSING_AFTER_DAYS}
    return list((await connection.execute(_MISSING, asked)).all())


# --- policies -----------------------------------------------------------------------------------------


async def policies(connection: AsyncConnection, book: str) -> dict[str, PolicyInForce]:
    """What is in force, by payer; "" for those that have none of their own."""
    table = deposit_policies
    wanted = select(table).where(table.c.book == book).order_by(table.c.payer, table.c.version)
    return {
        row.payer: PolicyInForce(
            row.payer,
            Policy(row.policy),
            row.missing_after_days,
            row.version,
            row.reason,
            row.set_by,
            row.set_at,
        )
        for row in await connection.execute(wanted)
    }


def in_force(known: dict[str, PolicyInForce], payer: str | None) -> PolicyInForce:
    """The policy of a payer: its own, else the one for all."""
    return known.get(payer or "") or known.get("") or PolicyInForce("")


async def set_policy(connection: AsyncConnection, book: str, said: PolicyInForce) -> None:
    """Writes the next version."""
    values = {
        "book": book,
        "payer": said.payer,
        "version": said.version,
        "policy": said.policy,
        "missing_after_days": said.missing_after_days,
        "reason": said.reason,
        "set_by": said.set_by,
        "set_at": said.set_at,
    }
    await connection.execute(insert(deposit_policies).values(values))


# --- statements ---------------------------------------------------------------------------------------


async def existing_statement(connection: AsyncConnection, book: str, statement: UUID) -> Row[Any] | None:
    """A statement as it stands."""
    table = bank_statements
    wanted = select(table).where(table.c.book == book, table.c.id == statement)
    return (await connection.execute(wanted)).one_or_none()


async def put_statement(connection: AsyncConnection, values: dict[str, Any]) -> None:
    """Writes a statement, or its state and reason where it is there already."""
    row = insert(bank_statements).values(values)
    again = {name: row.excluded[name] for name in ("state", "reason")}
    await connection.execute(row.on_conflict_do_update(index_elements=["book", "id"], set_=again))


async def progress(
    connection: AsyncConnection, book: str, statement: UUID, state: str, line: int, added: dict[str, int]
) -> None:
    """Adds to what of a statement is posted, repeated and noted, and says how far it is recorded."""
    table = bank_statements
    of = and_(table.c.book == book, table.c.id == statement)
    moved = {name: table.c[name] + value for name, value in added.items()}
    await connection.execute(update(table).where(of).values(state=state, recorded_line=line, **moved))


async def find_statements(
    connection: AsyncConnection, book: str, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[Row[Any]]:
    """Statements of a book with their file names, newest first."""
    table = bank_statements
    named = and_(deliveries.c.book == book, deliveries.c.sha256 == table.c.sha256)
    wanted = select(table, deliveries.c.file_name).join(deliveries, named).where(table.c.book == book, *conditions)
    ordered = wanted.order_by(table.c.received_at.desc(), table.c.id.desc())
    return list((await connection.execute(ordered.limit(limit))).all())
