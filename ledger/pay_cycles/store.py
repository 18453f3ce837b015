"""Where pay calendars, holds and what cycles planned and did are kept. Rows are added, and nothing of them
changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts import chart
from ledger.database import driver, insert_keyed
from ledger.money import Amount
from ledger.pay_cycles.calendar import Calendar, Rhythm
from ledger.pay_cycles.cycle import Counted, Line, Outcome, PayeeInForce, Plan, Result
from ledger.pay_cycles.payment import Payment, State
from ledger.pay_cycles.refusals import PayCalendarNotSet, PayCycleNotFound
from ledger.rows import Insertion
from ledger.schema import (
    pay_calendars,
    pay_cycle_lines,
    pay_cycle_results,
    pay_cycles,
    payment_states,
    proposals,
    provider_holds,
)

_INSERT_LINES = Insertion(pay_cycle_lines)
_INSERT_RESULTS = Insertion(pay_cycle_results)
_HELD = text("""
    SELECT provider, reason FROM (
        SELECT DISTINCT ON (provider) provider, held, reason FROM provider_holds
        WHERE book = :book ORDER BY provider, version DESC
    ) AS newest WHERE held
""")
_IN_FORCE = text("""
    SELECT DISTINCT ON (p.provider) p.provider, p.version, p.currency
    FROM payees AS p
    LEFT JOIN payee_acceptances AS a ON a.book = p.book AND a.provider = p.provider AND a.version = p.version
    WHERE p.book = :book AND (p.version = 1 OR a.version IS NOT NULL)
    ORDER BY p.provider, p.version DESC
""")
# Lines have their results in their own order, so those without one come after the last that has.
_PENDING = text("""
    SELECT * FROM pay_cycle_lines
    WHERE book = :book AND proposal = :proposal AND account > coalesce((
        SELECT account FROM pay_cycle_results WHERE book = :book AND cycle = :cycle ORDER BY account DESC LIMIT 1
    ), '')
    ORDER BY account LIMIT :count
""")
_PAYMENTS = text("""
    SELECT r.account, l.provider, r.amount, r.currency, r.entry_number, back.number AS returned_by,
        l.payee_version, ARRAY(
            SELECT state FROM payment_states
            WHERE book = r.book AND account = r.account AND cycle = r.cycle
        ) AS states
    FROM pay_cycles AS c
    JOIN pay_cycle_results AS r ON r.book = c.book AND r.cycle = c.cycle AND r.outcome = 'paid'
    CROSS JOIN LATERAL (
        SELECT provider, payee_version FROM pay_cycle_lines
        WHERE book = c.book AND proposal = c.proposal AND account = r.account LIMIT 1
    ) AS l
    LEFT JOIN LATERAL (
        SELECT number FROM entry_reversals WHERE book = r.book AND reverses = r.entry_number LIMIT 1
    ) AS back ON true
    WHERE c.book = :book AND c.cycle = :cycle
    ORDER BY r.account
""")


@dataclass(frozen=True, slots=True)
class CalendarVersion:
    """A calendar as it was set."""

    calendar: Calendar
    version: int
    reason: str
    set_by: str
    set_at: datetime


@dataclass(frozen=True, slots=True)
class Hold:
    """Whether a provider is held, as it was said; version 0 is that of a provider of whom nothing was said."""

    provider: str
    held: bool
    version: int = 0
    reason: str = ""
    set_by: str = ""
    set_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Cycle:
    """A cycle that was approved; `maker` proposed it, and it was approved at `approved_at`."""

    book: str
    cycle: date
    pay_date: date
    known: int
    line_count: int
    proposal: int
    maker: str


# --- calendars and holds ------------------------------------------------------------------------------


async def calendars(connection: AsyncConnection, book: str) -> list[CalendarVersion]:
    """All versions of a book's calendar, newest first."""
    wanted = select(pay_calendars).where(pay_calendars.c.book == book).order_by(pay_calendars.c.version.desc())
    return [
        CalendarVersion(
            Calendar(
                Rhythm(row.rhythm), tuple(map(int, row.days.split())), row.first_cut_off, row.days_to_payment
            ),
            row.version,
            row.reason,
            row.set_by,
            row.set_at,
        )
        for row in await connection.execute(wanted)
    ]


async def calendar_in_force(connection: AsyncConnection, book: str) -> Calendar:
    """The calendar that counts. Raises PayCalendarNotSet."""
    found = await calendars(connection, book)
    if not found:
        raise PayCalendarNotSet(f"book {book} has no pay calendar; set one first", book=book)
    return found[0].calendar


async def insert_calendar(connection: AsyncConnection, book: str, new: CalendarVersion) -> None:
    """Writes a new version."""
    calendar = new.calendar
    row = {
        "book": book,
        "version": new.version,
        "rhythm": calendar.rhythm,
        "days": " ".join(map(str, calendar.days)),
        "first_cut_off": calendar.first_cut_off,
        "days_to_payment": calendar.days_to_payment,
        "reason": new.reason,
        "set_by": new.set_by,
        "set_at": new.set_at,
    }
    await connection.execute(insert(pay_calendars), row)


async def hold(connection: AsyncConnection, book: str, provider: str) -> Hold:
    """What was said last of a provider."""
    table = provider_holds.c
    wanted = select(provider_holds).where(table.book == book, table.provider == provider)
    row = (await connection.execute(wanted.order_by(table.version.desc()).limit(1))).one_or_none()
    if row is None:
        return Hold(provider, held=False)
    return Hold(provider, row.held, row.version, row.reason, row.set_by, row.set_at)


async def insert_hold(connection: AsyncConnection, book: str, new: Hold) -> None:
    """Writes that a provider is held, or released."""
    row = {name: getattr(new, name) for name in Hold.__slots__}
    await connection.execute(insert(provider_holds), {"book": book, **row})


async def held(connection: AsyncConnection, book: str) -> Mapping[str, str]:
    """Why providers are held, by account."""
    rows = await connection.execute(_HELD, {"book": book})
    return {chart.payable(row.provider): row.reason for row in rows}


async def payees_in_force(connection: AsyncConnection, book: str) -> Mapping[str, PayeeInForce]:
    """By which bank details providers are paid, by account."""
    rows = await connection.execute(_IN_FORCE, {"book": book})
    return {chart.payable(row.provider): PayeeInForce(row.version, row.currency) for row in rows if row.provider}


# --- plans --------------------------------------------------------------------------------------------


async def insert_plan(connection: AsyncConnection, book: str, proposal: int, plan: Plan) -> None:
    """Writes the lines of a proposed cycle."""
    rows = [(book, proposal, *_columns(line)) for line in plan.lines]
    await driver(connection).exchange(_INSERT_LINES.of(rows))


def _columns(line: Line) -> tuple[object, ...]:
    one = line.counted
    return (
        *(one.account, one.provider, one.currency, one.carried, one.session_count, one.sessions),
        *(one.adjustment_count, one.adjustments, line.amount, line.outcome.value, line.reason),
        *(line.payee_version, one.since),
    )


async def lines(connection: AsyncConnection, book: str, proposal: int) -> tuple[Line, ...]:
    """The lines of a proposed cycle, in the order of their accounts."""
    table = pay_cycle_lines.c
    wanted = select(pay_cycle_lines).where(table.book == book, table.proposal == proposal)
    return tuple(_line(row) for row in await connection.execute(wanted.order_by(table.account)))


def _line(row: Row[Any]) -> Line:
    counted = Counted(
        account=row.account,
        provider=row.provider,
        currency=row.currency,
        carried=row.carried,
        session_count=row.session_count,
        sessions=row.sessions,
        adjustment_count=row.adjustment_count,
        adjustments=row.adjustments,
        since=row.since,
    )
    return Line(counted, Outcome(row.outcome), row.amount, row.payee_version, row.reason)


# --- cycles -------------------------------------------------------------------------------------------


async def insert_cycle(connection: AsyncConnection, book: str, proposal: int, plan: Plan) -> None:
    """Writes that a cycle is approved, beside the decision on its proposal."""
    row = {
        "book": book,
        "cycle": plan.cycle,
        "pay_date": plan.pay_date,
        "known": plan.known,
        "line_count": len(plan.lines),
        "proposal": proposal,
    }
    await connection.execute(insert(pay_cycles), row)


async def find_cycles(
    connection: AsyncConnection, book: str, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[Cycle]:
    """Cycles that were approved, newest first."""
    of_proposal = (proposals.c.book == pay_cycles.c.book) & (proposals.c.number == pay_cycles.c.proposal)
    wanted = select(pay_cycles, proposals.c.proposed_by.label("maker")).join(proposals, of_proposal)
    wanted = wanted.where(pay_cycles.c.book == book, *conditions).order_by(pay_cycles.c.cycle.desc()).limit(limit)
    return [
        Cycle(row.book, row.cycle, row.pay_date, row.known, row.line_count, row.proposal, row.maker)
        for row in await connection.execute(wanted)
    ]


async def find_cycle(connection: AsyncConnection, book: str, cycle: date) -> Cycle | None:
    """The cycle of a cut-off; None while nobody has approved one."""
    found = await find_cycles(connection, book, pay_cycles.c.cycle == cycle)
    return found[0] if found else None


async def existing_cycle(connection: AsyncConnection, book: str, cycle: date) -> Cycle:
    """The same where it must be there. Raises PayCycleNotFound."""
    found = await find_cycle(connection, book, cycle)
    if found is None:
        raise PayCycleNotFound(f"no pay cycle {cycle} in this book", cycle=cycle)
    return found


async def last_cycle(connection: AsyncConnection, book: str) -> tuple[date | None, bool]:
    """The cut-off of the last cycle, and whether it is posted to its end."""
    found = await find_cycles(connection, book, limit=1)
    return (found[0].cycle, await is_finished(connection, found[0])) if found else (None, True)


async def is_finished(connection: AsyncConnection, cycle: Cycle) -> bool:
    """Whether every line has its result."""
    table = pay_cycle_results.c
    counted = select(func.count()).where(table.book == cycle.book, table.cycle == cycle.cycle)
    return (await connection.execute(counted)).scalar_one() == cycle.line_count


async def pending(connection: AsyncConnection, cycle: Cycle, count: int) -> list[Line]:
    """The next lines that have no result yet, under the head lock."""
    asked = {"book": cycle.book, "proposal": cycle.proposal, "cycle": cycle.cycle, "count": count}
    return [_line(row) for row in await connection.execute(_PENDING, asked)]


async def insert_results(connection: AsyncConnection, cycle: Cycle, results: Sequence[Result]) -> None:
    """Writes what became of lines."""
    rows = [
        (
            *(cycle.book, one.line.counted.account, cycle.cycle, one.line.counted.currency, one.outcome.value),
            *(one.amount, one.entry_number, one.closing, one.since, one.reason),
        )
        for one in results
    ]
    await insert_keyed(connection, _INSERT_RESULTS.of(rows))


# --- payments -----------------------------------------------------------------------------------------


async def payments(connection: AsyncConnection, cycle: Cycle) -> list[tuple[Payment, int]]:
    """The payments of a cycle with the version of the bank details that each was approved for."""
    rows = await connection.execute(_PAYMENTS, {"book": cycle.book, "cycle": cycle.cycle})
    return [
        (
            Payment(
                account=row.account,
                provider=row.provider,
                amount=Amount(row.amount, row.currency),
                entry_number=row.entry_number,
                states=frozenset(map(State, row.states)),
                returned_by=row.returned_by,
            ),
            row.payee_version,
        )
        for row in rows
    ]


async def returned_with(connection: AsyncConnection, cycle: Cycle, account: str) -> int | None:
    """The entry with which a payment came back; None where nobody has marked it so."""
    table = payment_states.c
    key = (table.book == cycle.book, table.account == account, table.cycle == cycle.cycle)
    wanted = select(table.entry_number).where(*key, table.state == State.RETURNED)
    return (await connection.execute(wanted)).scalar_one_or_none()


async def mark(
    connection: AsyncConnection,
    cycle: Cycle,
    marked: Sequence[Payment],
    state: State,
    entry_numbers: Mapping[str, int],
    **said: object,
) -> None:
    """Writes a state of payments, with the entry of each one's currency; `said` is day, reason, by whom and
    when."""
    rows = [
        {
            "book": cycle.book,
            "account": one.account,
            "cycle": cycle.cycle,
            "state": state,
            "entry_number": entry_numbers.get(one.amount.currency),
            **said,
        }
        for one in marked
    ]
    if rows:
        await connection.execute(insert(payment_states), rows)
