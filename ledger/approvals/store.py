"""Where approval limits, proposals and decisions are kept. Rows are added, and nothing of them changes."""

from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, insert, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.approvals.limit import ApprovalLimit, Limits
from ledger.approvals.proposal import Decision, Proposal, State
from ledger.errors import ProposalNotFound
from ledger.postings.entry import Kind
from ledger.schema import approval_limits, heads, proposal_decisions, proposals

_IN_FORCE = text("""
    SELECT DISTINCT ON (kind, currency) kind, currency, amount FROM approval_limits
    WHERE book = :book ORDER BY kind, currency, version DESC
""")
_AGE = func.floor(
    func.extract(
        "epoch",
        func.coalesce(proposal_decisions.c.decided_at, func.clock_timestamp()) - proposals.c.proposed_at,
    )
)
_DECIDED = and_(proposal_decisions.c.book == proposals.c.book, proposal_decisions.c.proposal == proposals.c.number)

LimitPlace = tuple[str, str, int]
"""Kind, currency and version: where a limit stands in a listing."""


async def limits_in_force(connection: AsyncConnection, book: str) -> Limits:
    """The limits of a book; a kind and currency without one is left out."""
    rows = await connection.execute(_IN_FORCE, {"book": book})
    return {(row.kind, row.currency): row.amount for row in rows if row.amount is not None}


async def limit(connection: AsyncConnection, book: str, kind: Kind, currency: str) -> ApprovalLimit:
    """The limit in force, or one of version 0 where none was ever set."""
    table = approval_limits.c
    wanted = select(approval_limits).where(table.book == book, table.kind == kind, table.currency == currency)
    row = (await connection.execute(wanted.order_by(table.version.desc()).limit(1))).one_or_none()
    return _limit(row) if row else ApprovalLimit(kind, currency)


async def find_limits(
    connection: AsyncConnection, book: str, after: LimitPlace, limit: int, *, history: bool
) -> list[ApprovalLimit]:
    """Limits in the order of kind, currency and version: the newest versions, or all."""
    table, later = approval_limits.c, approval_limits.alias("later").c
    place = tuple_(table.kind, table.currency, table.version)
    wanted = select(approval_limits).where(table.book == book, place > after)
    if not history:
        same = and_(later.book == table.book, later.kind == table.kind, later.currency == table.currency)
        wanted = wanted.where(~select(later.version).where(same, later.version > table.version).exists())
    rows = await connection.execute(wanted.order_by(table.kind, table.currency, table.version).limit(limit))
    return [_limit(row) for row in rows]


async def insert_limit(connection: AsyncConnection, book: str, new: ApprovalLimit) -> None:
    """Writes a new version, which is in force from then on; whoever remembers the old one sees it at the head."""
    row = {name: getattr(new, name) for name in ApprovalLimit.__slots__}
    await connection.execute(insert(approval_limits), {"book": book, **row})
    await connection.execute(update(heads).where(heads.c.book == book).values(changes=heads.c.changes + 1))


async def next_number(connection: AsyncConnection, book: str) -> int:
    """The number of the next proposal of a book whose head is held."""
    last = select(func.max(proposals.c.number)).where(proposals.c.book == book)
    return ((await connection.execute(last)).scalar_one() or 0) + 1


async def insert_proposal(connection: AsyncConnection, new: Proposal) -> None:
    """Writes a new proposal."""
    row = {column.name: getattr(new, column.name) for column in proposals.columns}
    await connection.execute(insert(proposals), row)


async def decide(connection: AsyncConnection, proposal: Proposal, decision: Decision) -> None:
    """Writes what became of a proposal."""
    row = {
        "book": proposal.book,
        "proposal": proposal.number,
        "proposed_by": proposal.proposed_by,
        "content_hash": proposal.content_hash,
        **{name: getattr(decision, name) for name in Decision.__slots__},
    }
    await connection.execute(insert(proposal_decisions), row)


async def existing_proposal(connection: AsyncConnection, book: str, number: int) -> Proposal:
    """A proposal that must be there. Raises ProposalNotFound."""
    found = await find_proposals(connection, book, proposals.c.number == number)
    if not found:
        raise ProposalNotFound(f"no proposal {number} in this book", proposal=number)
    return found[0]


async def find_proposals(
    connection: AsyncConnection, book: str, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[Proposal]:
    """Proposals that meet the conditions, oldest first, with what became of them."""
    decided = proposal_decisions.c
    wanted = (
        select(
            proposals,
            func.greatest(_AGE, 0).label("age_seconds"),
            decided.verdict,
            decided.decided_by,
            decided.decided_at,
            decided.reason.label("decided_because"),
            decided.entry_number,
        )
        .join(proposal_decisions, _DECIDED, isouter=True)
        .where(proposals.c.book == book, *conditions)
    )
    rows = await connection.execute(wanted.order_by(proposals.c.number).limit(limit))
    return [_proposal(row) for row in rows]


async def open_by_book(connection: AsyncConnection) -> dict[str, int]:
    """How many proposals are open in each book that has any."""
    counted = select(proposals.c.book, func.count()).join(proposal_decisions, _DECIDED, isouter=True)
    rows = (await connection.execute(counted.where(in_state(State.OPEN)).group_by(proposals.c.book))).all()
    return {book: count for book, count in rows}  # noqa: C416 - a row is no pair to mypy


def in_state(state: State) -> ColumnElement[bool]:
    """The condition that a proposal stands there."""
    if state is State.OPEN:
        return proposal_decisions.c.verdict.is_(None)
    return proposal_decisions.c.verdict == state


def _proposal(row: Row[Any]) -> Proposal:
    decision = row.verdict and Decision(
        State(row.verdict), row.decided_by, row.decided_at, row.decided_because, row.entry_number
    )
    return Proposal(
        book=row.book,
        number=row.number,
        act=row.act,
        asked=row.asked,
        shown=row.shown,
        request_hash=row.request_hash,
        content_hash=row.content_hash,
        proposed_by=row.proposed_by,
        proposed_at=row.proposed_at,
        idempotency_key=row.idempotency_key,
        reason=row.reason,
        age_seconds=int(row.age_seconds),
        decision=decision or None,
    )


def _limit(row: Row[Any]) -> ApprovalLimit:
    return ApprovalLimit(
        kind=Kind(row.kind),
        currency=row.currency,
        amount=row.amount,
        version=row.version,
        before=row.before,
        after_entry=row.after_entry,
        reason=row.reason,
        set_by=row.set_by,
        set_at=row.set_at,
        proposal=row.proposal,
    )
