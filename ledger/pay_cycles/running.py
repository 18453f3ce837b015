"""A cycle from its plan to its last payment: planned from one view of the books, approved and posted under the
head.

A cycle is posted in parts, each one database transaction that holds the head of the book: its entries, its
results and the links of what it counted are recorded together, or nothing is. Whoever runs it again goes on
behind the last part.
"""

from collections.abc import Sequence
from datetime import date

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.accounts import chart
from ledger.accounts.store import existing_book
from ledger.errors import ApprovalNeeded, Refusal
from ledger.money import Amount
from ledger.pay_cycles import counting, store
from ledger.pay_cycles.cycle import (
    Line,
    Now,
    Outcome,
    Plan,
    Result,
    decided,
    kept_back,
    paid,
    planned,
    refuse_order,
)
from ledger.pay_cycles.refusals import PayCycleEmpty, PayCycleOutOfOrder
from ledger.pay_cycles.store import Cycle
from ledger.postings import journal
from ledger.postings.batch import Head, Request, Submission
from ledger.postings.commands import PayProvider

PART = 500
"""Lines that are posted in one database transaction."""


async def plan(connection: AsyncConnection, book: str, cut_off: date) -> Plan:
    """What a cycle would do, from one view of the books.

    Raises BookNotFound, PayCalendarNotSet, CutOffNotInCalendar, PayCycleOutOfOrder, PayCycleUnfinished or
    PayCycleEmpty.
    """
    known = (await existing_book(connection, book)).last_number
    pay_date = (await store.calendar_in_force(connection, book)).pay_date(cut_off)
    after = await _following(connection, book, cut_off)
    codes = await counting.payables(connection, book)
    open_ = await counting.counted(connection, book, codes, cut_off, known)
    holds, payees = await store.held(connection, book), await store.payees_in_force(connection, book)
    lines = tuple(planned(one, holds.get(one.account), payees.get(one.account)) for one in open_)
    if not lines:
        raise PayCycleEmpty(f"nothing is due to anybody up to {cut_off}", cycle=cut_off)
    return Plan(cut_off, pay_date, known, after, lines)


async def _following(connection: AsyncConnection, book: str, cut_off: date) -> date | None:
    """The cycle before, once it is certain that this one may follow it."""
    last, is_finished = await store.last_cycle(connection, book)
    refuse_order(cut_off, last, is_finished=is_finished)
    return last


async def refuse_overtaken(connection: AsyncConnection, book: str, made: Plan) -> None:
    """Under the head lock: no cycle was approved since the plan was made. Raises as `plan`."""
    last = await _following(connection, book, made.cycle)
    if last != made.after:
        raise PayCycleOutOfOrder(
            f"the cycle of {last} was approved meanwhile: plan anew", cycle=made.cycle, last=last or ""
        )


async def approved(
    connection: AsyncConnection, book: str, proposal: int, cycle: date, pay_date: date, known: int
) -> Plan:
    """The plan as it is kept, which is a cycle from now on, beside the decision on its proposal."""
    after = await _following(connection, book, cycle)
    kept = Plan(cycle, pay_date, known, after, await store.lines(connection, book, proposal))
    await store.insert_cycle(connection, book, proposal, kept)
    return kept


async def refused(connection: AsyncConnection, book: str, cut_off: date) -> ApprovalNeeded:
    """Why a cycle that nobody has approved is not posted. Raises as `plan` where none could be proposed."""
    (await store.calendar_in_force(connection, book)).pay_date(cut_off)
    await _following(connection, book, cut_off)
    return ApprovalNeeded(
        f"the cycle of {cut_off} is paid once a second person has approved it: propose it",
        kind="run_pay_cycle",
        book=book,
        cycle=cut_off,
    )


async def post(database: AsyncEngine, cycle: Cycle) -> bool:
    """Posts what is left of a cycle, part by part; whether anything was."""
    count = 0
    while await post_part(database, cycle):
        count += 1
    return count > 0


async def post_part(database: AsyncEngine, cycle: Cycle) -> bool:
    """Posts the next lines under the head lock; whether there were any."""
    async with journal.posting(database, cycle.book) as (connection, head):
        lines = await store.pending(connection, cycle, PART)
        if lines:
            results = await _posted(connection, head, cycle, await _decided(connection, cycle, lines))
            await store.insert_results(connection, cycle, results)
            settled = [one.line.counted for one in results if one.is_settled]
            await counting.count_for_good(connection, cycle.book, settled, cycle.cycle, cycle.known)
    return bool(lines)


async def _decided(connection: AsyncConnection, cycle: Cycle, lines: Sequence[Line]) -> list[Result]:
    """What becomes of each line as the books stand."""
    codes = [line.counted.account for line in lines]
    fallen = await counting.fallen(connection, cycle.book, codes, cycle.known)
    holds = await store.held(connection, cycle.book)
    payees = await store.payees_in_force(connection, cycle.book)
    return [
        decided(line, Now(holds.get(code), payees.get(code), code in fallen))
        for code, line in zip(codes, lines, strict=True)
    ]


async def _posted(
    connection: AsyncConnection, head: Head, cycle: Cycle, results: Sequence[Result]
) -> list[Result]:
    """The same with an entry for each payment, unless the books refuse it."""
    to_pay = [one for one in results if one.outcome is Outcome.TO_PAY]
    requests = [_request(cycle, one) for one in to_pay]
    _, [outcomes] = await journal.post(connection, head, [Submission(requests)])
    ended = {}
    for one, outcome in zip(to_pay, outcomes, strict=True):
        account = one.line.counted.account
        if isinstance(outcome, Refusal):
            ended[account] = kept_back(one, outcome.reason)
        elif outcome.replayed:
            ended[account] = kept_back(one, f"its key was used for entry {outcome.entry.number}")
        else:
            ended[account] = paid(one, outcome.entry.number)
    return [ended.get(one.line.counted.account, one) for one in results]


def _request(cycle: Cycle, one: Result) -> Request:
    """The payment in the name of whoever has proposed it, under a key that no other payment of the book can
    have."""
    counted, name = one.line.counted, cycle.cycle.isoformat()
    segment = counted.account.removeprefix(f"{chart.PROVIDER_PAYABLES}:")
    command = PayProvider(
        provider=counted.provider,
        amount=Amount(one.amount, counted.currency),
        effective_date=cycle.pay_date,
        pay_cycle=name,
        in_transit=True,
    )
    return Request(cycle.maker, f"pay cycle {name} {segment}", command, approved=True)
