"""What a cycle amounts to, and what became of its lines, as the wire shows it."""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.json_format import ParseDict
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import wire
from ledger.money import Amount
from ledger.pay_cycles.cycle import Line, Outcome, Plan
from ledger.pay_cycles.payment import State
from ledger.pay_cycles.refusals import PayCycleNotFound
from ledger.v1 import approvals_pb2
from ledger.v1 import pay_cycles_pb2 as pb

_SHOWN = text("""
    SELECT p.number, p.shown, c.cycle IS NOT NULL AS is_approved
    FROM proposals AS p
    LEFT JOIN pay_cycles AS c ON c.book = p.book AND c.proposal = p.number
    WHERE p.book = :book AND p.act = 'run_pay_cycle' AND p.number = ANY(CAST(:proposals AS bigint[]))
""")
# LATERAL with LIMIT: one look into the index for each line, whatever the planner believes of a cycle half posted.
_SUMS = text("""
    SELECT
        l.proposal,
        l.currency,
        coalesce(r.outcome, l.outcome) AS outcome,
        count(*) AS line_count,
        count(r.account) AS posted_line_count,
        sum(l.session_count) AS session_count,
        sum(l.amount) AS planned,
        coalesce(sum(r.amount), 0) AS paid,
        count(r.entry_number) AS payment_count,
        sum(CASE coalesce(r.outcome, l.outcome)
            WHEN 'carried' THEN l.carried + l.sessions + l.adjustments ELSE 0
        END) AS carried
    FROM pay_cycle_lines AS l
    LEFT JOIN pay_cycles AS c ON c.book = l.book AND c.proposal = l.proposal
    LEFT JOIN LATERAL (
        SELECT * FROM pay_cycle_results
        WHERE book = :book AND account = l.account AND cycle = c.cycle LIMIT 1
    ) AS r ON true
    WHERE l.book = :book AND l.proposal = ANY(CAST(:proposals AS bigint[]))
    GROUP BY l.proposal, l.currency, coalesce(r.outcome, l.outcome)
    ORDER BY l.proposal, l.currency, outcome
""")
_LINES = text("""
    SELECT
        l.*,
        coalesce(r.outcome, l.outcome) AS came_to,
        coalesce(r.reason, l.reason) AS told,
        r.entry_number,
        r.closing,
        r.amount AS paid,
        CASE
            WHEN back.number IS NOT NULL THEN 'returned'
            WHEN EXISTS (SELECT FROM payment_states AS s WHERE s.book = r.book AND s.account = r.account
                AND s.cycle = r.cycle AND s.state = 'settled') THEN 'settled'
            WHEN EXISTS (SELECT FROM payment_states AS s WHERE s.book = r.book AND s.account = r.account
                AND s.cycle = r.cycle AND s.state = 'sent') THEN 'sent'
            WHEN r.entry_number IS NOT NULL THEN 'posted'
        END AS payment
    FROM pay_cycle_lines AS l
    LEFT JOIN pay_cycles AS c ON c.book = l.book AND c.proposal = l.proposal
    LEFT JOIN LATERAL (
        SELECT * FROM pay_cycle_results
        WHERE book = :book AND account = l.account AND cycle = c.cycle LIMIT 1
    ) AS r ON true
    LEFT JOIN LATERAL (
        SELECT number FROM entry_reversals WHERE book = :book AND reverses = r.entry_number LIMIT 1
    ) AS back ON true
    WHERE l.book = :book AND l.proposal = :proposal AND l.account > :after
        AND (CAST(:account AS text) = '' OR l.account = :account)
        AND (CAST(:outcome AS text) = '' OR coalesce(r.outcome, l.outcome) = :outcome)
    ORDER BY l.account LIMIT :count
""")
OUTCOMES: Mapping[int, Outcome] = {
    pb.PayLineOutcome.Value(f"PAY_LINE_OUTCOME_{one.upper()}"): one for one in Outcome
}


def of_plan(plan: Plan) -> pb.PayCycle:
    """A cycle that nobody has approved yet."""
    counts = [(line.outcome, line.counted.currency, line) for line in plan.lines]
    totals = [
        pb.PayCycleTotal(
            planned=wire.money(Amount(units, currency)),
            paid=wire.money(Amount(0, currency)),
            carried=wire.money(
                Amount(
                    sum(x.counted.due for o, c, x in counts if c == currency and o is Outcome.CARRIED), currency
                )
            ),
        )
        for currency, units in sorted(plan.amounts().items())
    ]
    return pb.PayCycle(
        cycle=plan.cycle.isoformat(),
        pay_date=plan.pay_date.isoformat(),
        state=pb.PAY_CYCLE_STATE_PLANNED,
        as_known_at_number=plan.known,
        line_count=len(plan.lines),
        session_count=sum(line.counted.session_count for line in plan.lines),
        counts=[
            _count(one, sum(1 for o, *_ in counts if o is one))
            for one in Outcome
            if any(o is one for o, *_ in counts)
        ],
        totals=totals,
        plan_hash=plan.plan_hash,
    )


async def of_proposals(connection: AsyncConnection, book: str, proposals: Sequence[int]) -> list[pb.PayCycle]:
    """Cycles as they were proposed, with what became of them, in the order asked for. Raises PayCycleNotFound."""
    asked = {"book": book, "proposals": [*proposals]}
    shown = {row.number: row for row in await connection.execute(_SHOWN, asked)}
    sums: dict[int, list[Row[Any]]] = {number: [] for number in shown}
    for row in await connection.execute(_SUMS, asked):
        sums[row.proposal].append(row)
    for number in proposals:
        if number not in shown:
            raise PayCycleNotFound(f"proposal {number} is of no pay cycle", proposal=number)
    return [_summed(shown[number], sums[number]) for number in proposals]


def _summed(row: Row[Any], sums: Sequence[Row[Any]]) -> pb.PayCycle:
    """What the proposal showed, and in numbers what the lines say now."""
    found = ParseDict(row.shown, approvals_pb2.Preview()).pay_cycle
    posted = sum(one.posted_line_count for one in sums)
    state = pb.PAY_CYCLE_STATE_POSTED if posted == found.line_count else pb.PAY_CYCLE_STATE_APPROVED
    found.state = state if row.is_approved else pb.PAY_CYCLE_STATE_PLANNED
    found.proposal, found.posted_line_count = row.number, posted
    del found.counts[:], found.totals[:]
    by_outcome = {one: sum(s.line_count for s in sums if s.outcome == one) for one in Outcome}
    found.counts.extend(_count(one, count) for one, count in by_outcome.items() if count)
    for currency in sorted({one.currency for one in sums}):
        found.totals.append(_total(currency, [one for one in sums if one.currency == currency]))
    return found


def _total(currency: str, sums: Sequence[Row[Any]]) -> pb.PayCycleTotal:
    planned, paid, carried = (
        wire.money(Amount(sum(int(getattr(one, name)) for one in sums), currency))
        for name in ("planned", "paid", "carried")
    )
    count = sum(one.payment_count for one in sums)
    return pb.PayCycleTotal(planned=planned, paid=paid, carried=carried, payment_count=count)


def _count(outcome: Outcome, count: int) -> pb.PayLineCount:
    return pb.PayLineCount(outcome=_outcome(outcome), line_count=count)


async def find_lines(
    connection: AsyncConnection,
    book: str,
    proposal: int,
    after: str = "",
    count: int = 1,
    *,
    account: str = "",
    outcome: Outcome | None = None,
) -> Sequence[Row[Any]]:
    """Lines of a proposed cycle with what became of them, in the order of their accounts."""
    asked = {"book": book, "proposal": proposal, "after": after, "count": count}
    narrowed = {"account": account, "outcome": outcome or ""}
    return (await connection.execute(_LINES, asked | narrowed)).all()


def line(row: Row[Any]) -> pb.PayLine:
    """A line as it is kept."""
    return pb.PayLine(
        provider=row.provider,
        carried=wire.money(Amount(row.carried, row.currency)),
        session_count=row.session_count,
        sessions=wire.money(Amount(row.sessions, row.currency)),
        adjustment_count=row.adjustment_count,
        adjustments=wire.money(Amount(row.adjustments, row.currency)),
        due=wire.money(Amount(row.carried + row.sessions + row.adjustments, row.currency)),
        amount=wire.money(Amount(row.amount, row.currency)),
        outcome=_outcome(Outcome(row.came_to)),
        reason=row.told,
        entry_number=row.entry_number or 0,
        payment=_payment(row.payment),
        payee_version=row.payee_version or 0,
    )


def planned_line(planned: Line) -> pb.PayLine:
    """A line of a preview."""
    one = planned.counted
    return pb.PayLine(
        provider=one.provider,
        carried=wire.money(Amount(one.carried, one.currency)),
        session_count=one.session_count,
        sessions=wire.money(Amount(one.sessions, one.currency)),
        adjustment_count=one.adjustment_count,
        adjustments=wire.money(Amount(one.adjustments, one.currency)),
        due=wire.money(Amount(one.due, one.currency)),
        amount=wire.money(Amount(planned.amount, one.currency)),
        outcome=_outcome(planned.outcome),
        reason=planned.reason,
        payee_version=planned.payee_version or 0,
    )


def _outcome(outcome: Outcome) -> pb.PayLineOutcome.ValueType:
    return pb.PayLineOutcome.Value(f"PAY_LINE_OUTCOME_{outcome.upper()}")


def _payment(state: str | None) -> pb.PaymentState.ValueType:
    return (
        pb.PaymentState.Value(f"PAYMENT_STATE_{State(state).upper()}") if state else pb.PAYMENT_STATE_UNSPECIFIED
    )
