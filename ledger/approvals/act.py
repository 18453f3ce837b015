"""What an act does: shown when it is proposed, done when it is approved, both under the head lock of the book."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from msgspec import structs
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.approvals import messages, store
from ledger.approvals.messages import Asked, LimitWanted, ReopeningWanted
from ledger.approvals.proposal import Proposal
from ledger.charges.store import refuse_charging
from ledger.errors import IdempotencyKeyReused, Refusal
from ledger.pay_cycles import proposing
from ledger.pay_cycles.cycle import Plan
from ledger.pay_cycles.messages import CycleWanted, PayeeWanted
from ledger.periods import closing
from ledger.periods import messages as periods
from ledger.periods.period import written
from ledger.postings import journal
from ledger.postings import messages as entries
from ledger.postings.batch import Head, Outcome, Posted, Request, Submission
from ledger.postings.chain import request_hash
from ledger.postings.entry import PostedEntry
from ledger.postings.store import posting_count
from ledger.v1 import approvals_pb2 as pb
from ledger.write_offs.store import refuse_uncapped


@dataclass(frozen=True, slots=True)
class Done:
    """What an act does, or has done: as text by field, as the wire shows it, and the entry where it is one.

    A pay cycle has its plan too, which is kept beside the proposal.
    """

    stated: dict[str, str]
    shown: pb.Preview
    request_hash: bytes
    entry: PostedEntry | None = None
    plan: Plan | None = None


async def prepared(database: AsyncEngine, book: str, asked: Asked) -> Plan | None:
    """What of an act takes long, before the head is held: the plan of a pay cycle."""
    return await proposing.planned(database, book, asked.wanted) if isinstance(asked.wanted, CycleWanted) else None


async def preview(
    connection: AsyncConnection, head: Head, asked: Asked, maker: str, made: Plan | None = None
) -> Done:
    """What the act would do now. Records nothing. Raises what the books would refuse it for."""
    if made is not None:
        return Done(*await proposing.cycle_proposed(connection, head.book, made), plan=made)
    if isinstance(asked.wanted, PayeeWanted):
        return Done(*await proposing.payee_proposed(connection, head.book, asked.wanted, maker))
    if isinstance(asked.wanted, LimitWanted):
        return await _limited(connection, head, asked.wanted, maker, None)
    if isinstance(asked.wanted, ReopeningWanted):
        return await _reopened(connection, head, asked.wanted, maker, None)
    assert not isinstance(asked.wanted, CycleWanted)
    await refuse_charging(connection, head.book, asked.name)
    request = await _request(connection, head.book, asked, asked.wanted, maker)
    [[outcome]] = await journal.preview(connection, head.book, [Submission([request])])
    return await _entered(connection, head.book, request, outcome)


async def keep(connection: AsyncConnection, proposal: Proposal, done: Done) -> None:
    """Keeps a plan beside its proposal."""
    if done.plan is not None:
        await proposing.keep(connection, proposal.book, proposal.number, done.plan)


async def do(connection: AsyncConnection, head: Head, proposal: Proposal) -> Done:
    """Does what was proposed, in its maker's name. Raises what the books refuse it for now."""
    asked = messages.kept(proposal)
    if isinstance(asked.wanted, CycleWanted):
        shown = messages.kept_preview(proposal).pay_cycle
        return Done(*await proposing.cycle_approved(connection, head.book, proposal.number, shown))
    if isinstance(asked.wanted, PayeeWanted):
        made = head.book, asked.wanted, proposal.proposed_by, proposal.number
        return Done(*await proposing.payee_accepted(connection, *made))
    if isinstance(asked.wanted, LimitWanted):
        return await _limited(connection, head, asked.wanted, proposal.proposed_by, proposal.number)
    if isinstance(asked.wanted, ReopeningWanted):
        return await _reopened(connection, head, asked.wanted, proposal.proposed_by, proposal.number)
    await refuse_charging(connection, head.book, asked.name)
    request = await _request(connection, head.book, asked, asked.wanted, proposal.proposed_by)
    _, [[outcome]] = await journal.post(connection, head, [Submission([request])])
    return await _entered(connection, head.book, request, outcome)


async def _request(
    connection: AsyncConnection, book: str, asked: Asked, wanted: Request | Callable[[int], Request], maker: str
) -> Request:
    if not isinstance(wanted, Request):
        wanted = wanted(await posting_count(connection, book, asked.act.reverse_entry.number))
    return structs.replace(wanted, actor=maker, approved=True, by_finance=True)  # nobody else may propose


async def _entered(connection: AsyncConnection, book: str, request: Request, outcome: Outcome) -> Done:
    if isinstance(outcome, Refusal):
        raise outcome
    if outcome.replayed:
        raise _used(request, outcome)
    await refuse_uncapped(connection, book, outcome.entry.entry)
    stated = outcome.entry.entry.stated()
    shown = pb.Preview(entry=entries.entry(outcome.entry, recorded=False))
    return Done(stated, shown, request_hash(request.command.stated()), outcome.entry)


def _used(request: Request, posted: Posted) -> IdempotencyKeyReused:
    """Another way to the same entry was quicker: what is posted already needs nobody's approval."""
    number = posted.entry.number
    return IdempotencyKeyReused(
        f"the key {request.idempotency_key} was used for entry {number}, which is posted",
        idempotency_key=request.idempotency_key,
        number=number,
        differs="act",
    )


async def _limited(
    connection: AsyncConnection, head: Head, wanted: LimitWanted, maker: str, proposal: int | None
) -> Done:
    """A limit as it would be; written where a proposal is approved for it."""
    before = await store.limit(connection, head.book, wanted.kind, wanted.currency)
    after = replace(
        before.changed(wanted.amount, wanted.reason, maker),
        after_entry=head.number,
        set_at=head.recorded_at,
        proposal=proposal,
    )
    if proposal is not None:
        await store.insert_limit(connection, head.book, after)
    shown = replace(after, after_entry=0, set_at=None, proposal=None)
    change = pb.LimitChange(before=messages.limit(before), after=messages.limit(shown))
    return Done(after.stated(), pb.Preview(limit=change), request_hash(_said(wanted)))


def _said(wanted: LimitWanted) -> dict[str, str]:
    amount = "" if wanted.amount is None else str(wanted.amount)
    return {
        "kind": wanted.kind,
        "currency": wanted.currency,
        "minor_units": amount,
        "description": wanted.reason,
    }


async def _reopened(
    connection: AsyncConnection, head: Head, wanted: ReopeningWanted, maker: str, proposal: int | None
) -> Done:
    """A month as it would be; written where a proposal is approved for it."""
    before, after = await closing.reopened(connection, head, wanted.month, wanted.reason, maker)
    if proposal is not None:
        await closing.reopen(connection, head.book, after, proposal)
    shown = replace(after, after_entry=0, set_at=None)
    change = pb.PeriodChange(before=periods.period(before), after=periods.period(shown))
    said = {"month": written(wanted.month), "description": wanted.reason}
    return Done(after.stated(), pb.Preview(period=change), request_hash(said))
