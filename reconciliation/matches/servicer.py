"""How people match claim payments and undo matches: `reconciliation.v1.MatchesService`."""

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import caller, fields, wire
from ledger.accounts.store import existing_book
from ledger.errors import NumberInvalid
from ledger.postings import journal
from ledger.reads import Reads
from ledger.wire import Context
from reconciliation.files import Files
from reconciliation.matches import deciding, messages, reversing, store, undoing
from reconciliation.v1 import matches_pb2 as pb
from reconciliation.v1.matches_pb2_grpc import MatchesServiceServicer


class MatchesServicer(MatchesServiceServicer):
    """Answers MatchesService from PostgreSQL. Whatever decides holds the head of the book."""

    def __init__(self, database: AsyncEngine, reads: Reads, files: Files) -> None:
        """`database` works under the program's own role; `files` has the keys of what is kept in it."""
        self._database = database
        self._reads = reads
        self._files = files

    async def MatchClaimPayment(
        self, request: pb.MatchClaimPaymentRequest, context: Context
    ) -> pb.MatchClaimPaymentResponse:
        """A person says whose a claim payment is. Raises what `deciding.match` raises."""
        book, asked = fields.book_name(request.book), messages.matching(request)
        word, replayed = await deciding.match(self._database, self._files, book, asked)
        return pb.MatchClaimPaymentResponse(match=messages.match(word), replayed=replayed)

    async def MatchReversal(self, request: pb.MatchReversalRequest, context: Context) -> pb.MatchReversalResponse:
        """A person says what a reversal takes back. Raises what `reversing.match_reversal` raises."""
        book, asked = fields.book_name(request.book), messages.taking_back(request)
        word, replayed = await reversing.match_reversal(self._database, self._files, book, asked)
        return pb.MatchReversalResponse(match=messages.match(word), replayed=replayed)

    async def ApproveMatch(self, request: pb.ApproveMatchRequest, context: Context) -> pb.ApproveMatchResponse:
        """A second person agrees. Raises what `deciding.approve` raises."""
        book, number, reason = _decision(request)
        actor = caller.actor.get()
        word = await deciding.approve(self._database, self._files, book, number, reason, actor)
        return pb.ApproveMatchResponse(match=messages.match(word))

    async def DeclineMatch(self, request: pb.DeclineMatchRequest, context: Context) -> pb.DeclineMatchResponse:
        """A proposal is not posted. Raises MatchProposalNotFound."""
        book, number, reason = _decision(request)
        word = await deciding.decline(self._database, book, number, reason, caller.actor.get())
        return pb.DeclineMatchResponse(match=messages.match(word))

    async def UnmatchClaimPayment(
        self, request: pb.UnmatchClaimPaymentRequest, context: Context
    ) -> pb.UnmatchClaimPaymentResponse:
        """A match was wrong. Raises what `undoing.unmatch` raises."""
        book, asked = fields.book_name(request.book), messages.unmatching(request)
        word, replayed = await undoing.unmatch(self._database, book, asked)
        return pb.UnmatchClaimPaymentResponse(match=messages.match(word), replayed=replayed)

    async def ListMatches(self, request: pb.ListMatchesRequest, context: Context) -> pb.ListMatchesResponse:
        """What was said, oldest first, a page at a time. Raises BookNotFound."""
        book, size = fields.book_name(request.book), wire.page_size(request.page_size)
        remittance = fields.uuid("remittance", request.remittance) if request.remittance else None
        after, waiting = wire.page_start_number(request), request.waiting_only
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            found = await store.find(connection, book, remittance, after, size + 1, waiting=waiting)
        more = len(found) > size
        return pb.ListMatchesResponse(
            matches=map(messages.match, found[:size]),
            next_page_token=wire.page_token(request, str(found[size - 1].number)) if more else "",
        )

    async def SetMatchLimit(self, request: pb.SetMatchLimitRequest, context: Context) -> pb.SetMatchLimitResponse:
        """Says what one person may match alone. Raises BookNotFound."""
        book, wanted = fields.book_name(request.book), messages.limit_wanted(request)
        async with journal.posting(self._database, book) as (connection, head):
            row = await store.set_limit(connection, head, *wanted, caller.actor.get())
        return pb.SetMatchLimitResponse(limit=messages.limit(row))

    async def ListMatchLimits(
        self, request: pb.ListMatchLimitsRequest, context: Context
    ) -> pb.ListMatchLimitsResponse:
        """The limits in force, by currency. Raises BookNotFound."""
        book = fields.book_name(request.book)
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            found = await store.limits(connection, book)
        return pb.ListMatchLimitsResponse(limits=map(messages.limit, found.values()))


def _decision(request: pb.ApproveMatchRequest | pb.DeclineMatchRequest) -> tuple[str, int, str]:
    book = fields.book_name(request.book)
    if request.number <= 0:
        raise NumberInvalid(
            f"number is that of a match, not {request.number}", field="number", value=request.number
        )
    return book, request.number, fields.required("reason", request.reason, fields.TEXT_LENGTH)
