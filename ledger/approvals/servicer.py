"""How limits are set, and proposals made and decided: `ledger.v1.ApprovalsService`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import caller, fields, wire
from ledger.accounts.store import existing_book
from ledger.approvals import act, messages, store
from ledger.approvals.limit import refuse_raised
from ledger.approvals.messages import Asked
from ledger.approvals.proposal import (
    Decision,
    Proposal,
    State,
    content_hash,
    decided_before,
    refuse_decider,
    refuse_outdated,
    refuse_unseen,
)
from ledger.database import reading
from ledger.errors import FieldMissing, IdempotencyKeyReused, ProposalNotFound
from ledger.pay_cycles.cycle import Plan
from ledger.pay_cycles.messages import CycleWanted
from ledger.postings import journal
from ledger.postings import messages as entries
from ledger.postings.batch import Head
from ledger.postings.store import numbered
from ledger.schema import proposal_decisions, proposals
from ledger.v1 import approvals_pb2 as pb
from ledger.v1.approvals_pb2_grpc import ApprovalsServiceServicer
from ledger.wire import Context


class ApprovalsServicer(ApprovalsServiceServicer):
    """Answers ApprovalsService from PostgreSQL. Whatever decides holds the head of the book."""

    def __init__(self, database: AsyncEngine) -> None:
        """`database` works under the program's own role."""
        self._database = database

    async def SetApprovalLimit(
        self, request: pb.SetApprovalLimitRequest, context: Context
    ) -> pb.SetApprovalLimitResponse:
        """Sets a first limit, or a lower one. Raises ApprovalNeeded for a higher one, or none."""
        book, wanted = fields.book_name(request.book), messages.limit_wanted(request)
        async with journal.posting(self._database, book) as (connection, head):
            found = await store.limit(connection, book, wanted.kind, wanted.currency)
            if wanted.amount != found.amount:
                found = found.changed(wanted.amount, wanted.reason, caller.actor.get())
                refuse_raised(found)
                found = replace(found, after_entry=head.number, set_at=head.recorded_at)
                await store.insert_limit(connection, book, found)
            return pb.SetApprovalLimitResponse(limit=messages.limit(found))

    async def ListApprovalLimits(
        self, request: pb.ListApprovalLimitsRequest, context: Context
    ) -> pb.ListApprovalLimitsResponse:
        """Limits in force, or all that ever were, a page at a time."""
        book, size = fields.book_name(request.book), wire.page_size(request.page_size)
        after = messages.limit_place(request)
        async with reading(self._database) as connection:
            await existing_book(connection, book)
            found = await store.find_limits(connection, book, after, size + 1, history=request.history)
        last = found[size - 1] if len(found) > size else None
        more = wire.page_token(request, f"{last.kind} {last.currency} {last.version}") if last else ""
        return pb.ListApprovalLimitsResponse(limits=map(messages.limit, found[:size]), next_page_token=more)

    async def Propose(self, request: pb.ProposeRequest, context: Context) -> pb.ProposeResponse:
        """Keeps an act for a second person. Raises what the books would refuse it for now."""
        book, key = fields.book_name(request.book), messages.key(request)
        reason, asked, maker = messages.reason(request.reason), messages.asked(request), caller.actor.get()
        same_key = (proposals.c.proposed_by == maker, proposals.c.idempotency_key == key)
        made = await self._prepared(book, asked, same_key)
        async with journal.posting(self._database, book) as (connection, head):
            if earlier := await store.find_proposals(connection, book, *same_key):
                _refuse_other(earlier[0], asked, reason)
                return pb.ProposeResponse(proposal=messages.proposal(earlier[0]), replayed=True)
            found = await _proposed(connection, head, asked, maker, key, reason, made)
        return pb.ProposeResponse(proposal=messages.proposal(found))

    async def _prepared(self, book: str, asked: Asked, same_key: Sequence[ColumnElement[bool]]) -> Plan | None:
        """What takes long is found before the head is held, unless it was proposed before."""
        if not isinstance(asked.wanted, CycleWanted):
            return None
        async with reading(self._database) as connection:
            await existing_book(connection, book)
            earlier = await store.find_proposals(connection, book, *same_key)
        return None if earlier else await act.prepared(self._database, book, asked)

    async def GetProposal(self, request: pb.GetProposalRequest, context: Context) -> pb.GetProposalResponse:
        """One proposal, by its number or that of the entry that it has become. Raises ProposalNotFound."""
        book, named = fields.book_name(request.book), _named(request)
        async with reading(self._database) as connection:
            await existing_book(connection, book)
            found = await store.find_proposals(connection, book, named)
        if not found:
            raise ProposalNotFound("no such proposal in this book", book=book)
        return pb.GetProposalResponse(proposal=messages.proposal(found[0]))

    async def ListProposals(self, request: pb.ListProposalsRequest, context: Context) -> pb.ListProposalsResponse:
        """Proposals, oldest first, a page at a time."""
        book, state = fields.book_name(request.book), messages.state(request.state)
        size, after = wire.page_size(request.page_size), wire.page_start_number(request)
        conditions = [store.in_state(state)] if state else []
        async with reading(self._database) as connection:
            await existing_book(connection, book)
            found = await store.find_proposals(
                connection, book, proposals.c.number > after, *conditions, limit=size + 1
            )
        more = wire.page_token(request, str(found[size - 1].number)) if len(found) > size else ""
        return pb.ListProposalsResponse(proposals=map(messages.proposal, found[:size]), next_page_token=more)

    async def Approve(self, request: pb.ApproveRequest, context: Context) -> pb.ApproveResponse:
        """Does what was proposed, in the same database transaction as the approval is recorded in.

        Raises ProposalNotFound, MakerIsChecker, ProposalDiffers, ProposalDecided, ProposalOutdated, or what the
        books refuse the entry for; then nothing is recorded, and the proposal stays open.
        """
        book, number = fields.book_name(request.book), messages.number(request.number)
        seen, reason, actor = (
            messages.seen(request.content_hash),
            messages.reason(request.reason),
            caller.actor.get(),
        )
        async with journal.posting(self._database, book) as (connection, head):
            proposal = await store.existing_proposal(connection, book, number)
            refuse_decider(proposal, State.APPROVED, actor)
            refuse_unseen(proposal, seen)
            if replayed := decided_before(proposal, State.APPROVED, actor):
                return await _approved(connection, proposal, replayed=replayed)
            done = await act.do(connection, head, proposal)
            refuse_outdated(proposal, done.stated)
            posted = done.entry.number if done.entry else None
            decision = Decision(State.APPROVED, actor, head.recorded_at, reason, posted)
            await store.decide(connection, proposal, decision)
            return await _approved(connection, await store.existing_proposal(connection, book, number))

    async def Decline(self, request: pb.DeclineRequest, context: Context) -> pb.DeclineResponse:
        """Ends a proposal without doing it. Raises ProposalNotFound, MakerIsChecker or ProposalDecided."""
        return pb.DeclineResponse(**await self._ended(request, State.DECLINED))

    async def Withdraw(self, request: pb.WithdrawRequest, context: Context) -> pb.WithdrawResponse:
        """Takes a proposal back. Raises ProposalNotFound, NotTheMaker or ProposalDecided."""
        return pb.WithdrawResponse(**await self._ended(request, State.WITHDRAWN))

    async def _ended(self, request: pb.DeclineRequest | pb.WithdrawRequest, verdict: State) -> "_Ended":
        book, number = fields.book_name(request.book), messages.number(request.number)
        reason, actor = messages.reason(request.reason), caller.actor.get()
        async with journal.posting(self._database, book) as (connection, head):
            proposal = await store.existing_proposal(connection, book, number)
            refuse_decider(proposal, verdict, actor)
            replayed = decided_before(proposal, verdict, actor)
            if not replayed:
                await store.decide(connection, proposal, Decision(verdict, actor, head.recorded_at, reason))
                proposal = await store.existing_proposal(connection, book, number)
            return {"proposal": messages.proposal(proposal), "replayed": replayed}


class _Ended(TypedDict):
    proposal: pb.Proposal
    replayed: bool


async def _proposed(
    connection: AsyncConnection, head: Head, asked: Asked, maker: str, key: str, reason: str, made: Plan | None
) -> Proposal:
    """Writes a proposal with its preview."""
    done = await act.preview(connection, head, asked, maker, made)
    number = await store.next_number(connection, head.book)
    new = Proposal(
        book=head.book,
        number=number,
        act=asked.name,
        asked=asked.json(),
        shown=messages.as_json(done.shown),
        request_hash=done.request_hash,
        content_hash=content_hash(head.book, number, maker, key, reason, done.stated),
        proposed_by=maker,
        proposed_at=head.recorded_at,
        idempotency_key=key,
        reason=reason,
    )
    await store.insert_proposal(connection, new)
    await act.keep(connection, new, done)
    return new


def _refuse_other(earlier: Proposal, asked: Asked, reason: str) -> None:
    differs = messages.differing(earlier.asked, asked.json())
    differs += ["reason of the proposal"] if earlier.reason != reason else []
    if differs:
        raise IdempotencyKeyReused(
            f"the key {earlier.idempotency_key} was used for proposal {earlier.number}, which was made otherwise",
            idempotency_key=earlier.idempotency_key,
            proposal=earlier.number,
            differs=", ".join(differs),
        )


async def _approved(
    connection: AsyncConnection, proposal: Proposal, *, replayed: bool = False
) -> pb.ApproveResponse:
    number = proposal.decision.entry_number if proposal.decision else None
    posted = await numbered(connection, proposal.book, [number] if number else [])
    return pb.ApproveResponse(
        proposal=messages.proposal(proposal),
        entry=entries.entry(posted[number]) if number else None,
        replayed=replayed,
    )


def _named(request: pb.GetProposalRequest) -> ColumnElement[bool]:
    match request.WhichOneof("name"):
        case "number":
            return proposals.c.number == request.number
        case "entry_number":
            return proposal_decisions.c.entry_number == request.entry_number
        case _:
            raise FieldMissing("number or entry_number is required", field="number")
