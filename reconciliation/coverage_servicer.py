"""How the payers of a claim by rank are said and asked for: `reconciliation.v1.CoverageService`."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import caller, fields, wire
from ledger.accounts import chart
from ledger.accounts.store import existing_book
from ledger.errors import Refusal
from ledger.money import Amount
from ledger.postings import journal
from ledger.postings import store as books
from ledger.postings.batch import Posted, Request, Submission
from ledger.reads import Reads
from ledger.wire import Context
from reconciliation import closing, covering
from reconciliation.coverage import ALONE, FORWARDED
from reconciliation.forwarding import ForwardClaim
from reconciliation.v1 import coverage_pb2 as pb
from reconciliation.v1.coverage_pb2_grpc import CoverageServiceServicer


class CoverageServicer(CoverageServiceServicer):
    """Answers CoverageService from PostgreSQL."""

    def __init__(self, database: AsyncEngine, reads: Reads) -> None:
        """`database` works under the program's own role."""
        self._database = database
        self._reads = reads

    async def RecordCover(self, request: pb.RecordCoverRequest, context: Context) -> pb.RecordCoverResponse:
        """Says who pays a claim in a rank; the same again changes nothing."""
        book, claim = fields.book_name(request.book), fields.required("claim", request.claim)
        payer = fields.required("payer", request.payer)
        reason, actor = fields.required("reason", request.reason, fields.TEXT_LENGTH), caller.actor.get()
        found = await covering.say(self._database, book, claim, request.rank, payer, actor, reason)
        return pb.RecordCoverResponse(cover=_cover(found))

    async def ListCovers(self, request: pb.ListCoversRequest, context: Context) -> pb.ListCoversResponse:
        """Who pays a claim after the payer of its sessions."""
        book, claim = fields.book_name(request.book), fields.required("claim", request.claim)
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            found = await covering.covers(connection, book, [claim])
        return pb.ListCoversResponse(covers=map(_cover, found))

    async def ForwardClaim(self, request: pb.ForwardClaimRequest, context: Context) -> pb.ForwardClaimResponse:
        """Posts what a payer leaves to the next one. Raises ClaimNotFound or NextPayerUnknown."""
        book = fields.book_name(request.book)
        key = fields.required("idempotency_key", request.idempotency_key, fields.KEY_LENGTH)
        command = _forwarding(request)
        async with journal.posting(self._database, book) as (connection, head):
            items = await books.items(connection, book, [command.claim])
            coverage = (await covering.coverages(connection, book, items)).get(command.claim, ALONE)
            asked = Request(caller.actor.get(), key, replace(command, coverage=coverage))
            _, [[outcome]] = await journal.post(connection, head, [Submission([asked])])
            if isinstance(outcome, Refusal):
                raise outcome
            return await _answered(connection, book, command.claim, outcome)


def _forwarding(request: pb.ForwardClaimRequest) -> ForwardClaim:
    return ForwardClaim(
        claim=fields.required("claim", request.claim),
        payer=fields.optional("payer", request.payer),
        with_patient_share=request.with_patient_share,
        effective_date=fields.day("effective_date", request.effective_date),
        reason=fields.required("reason", request.reason, fields.TEXT_LENGTH),
        coverage=ALONE,
    )


async def _answered(
    connection: AsyncConnection, book: str, claim: str, outcome: Posted
) -> pb.ForwardClaimResponse:
    """The entry, whom it goes to and how much; written down where it is new."""
    posted = outcome.entry
    [debit, *_] = posted.entry.postings
    coverage = (await covering.coverages(connection, book, await books.items(connection, book, [claim])))[claim]
    payer = next(one for one in coverage.payers if chart.receivable(one) == debit.account)
    if not outcome.replayed:
        row = {"book": book, "entry_number": posted.number, "claim": claim, "move": FORWARDED, "payer": payer}
        await covering.add_moves(connection, [{**row, "remittance": None, "line": None}])
        items = await books.items(connection, book, [claim])
        await closing.close(connection, book, posted.entry.dimensions.payer or "", items)
    moved = sum(one.signed for one in posted.entry.postings if one.account == debit.account)
    return pb.ForwardClaimResponse(
        entry_number=posted.number,
        payer=payer,
        amount=wire.money(Amount(moved, debit.amount.currency)),
        replayed=outcome.replayed,
    )


def _cover(row: Row[Any]) -> pb.Cover:
    return pb.Cover(
        claim=row.claim,
        rank=row.payer_rank,
        payer=row.payer,
        version=row.version,
        reason=row.reason,
        said_by=row.said_by,
        said_at=wire.moment(row.said_at),
    )
