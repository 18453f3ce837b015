"""How allowances are set, previewed and posted: `ledger.v1.AllowancesService`."""

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import caller, fields
from ledger.accounts.store import existing_book
from ledger.allowances import act, messages, store
from ledger.allowances.store import Policy
from ledger.database import reading
from ledger.errors import AllowanceNotFound
from ledger.periods.period import last_day
from ledger.postings import journal
from ledger.v1 import allowances_pb2 as pb
from ledger.v1.allowances_pb2_grpc import AllowancesServiceServicer
from ledger.wire import Context

_MOST_POLICIES = 1_000


class AllowancesServicer(AllowancesServiceServicer):
    """Answers AllowancesService from PostgreSQL. Whatever decides holds the head of the book."""

    def __init__(self, database: AsyncEngine) -> None:
        """`database` works under the program's own role."""
        self._database = database

    async def SetAllowancePolicy(
        self, request: pb.SetAllowancePolicyRequest, context: Context
    ) -> pb.SetAllowancePolicyResponse:
        """Sets a new version; the one in force set again changes nothing. Raises AllowanceTermsInvalid."""
        book, terms = fields.book_name(request.book), messages.required_terms(request)
        reason, kept = (
            fields.required("reason", request.reason, fields.TEXT_LENGTH),
            messages.terms_as_json(terms),
        )
        async with journal.posting(self._database, book) as (connection, head):
            found = await store.policies(connection, book, 1)
            if not found or (found[0].is_on, found[0].terms) != (request.on, kept):
                version = found[0].version + 1 if found else 1
                new = Policy(version, request.on, kept, reason, caller.actor.get(), head.recorded_at)
                await store.insert_policy(connection, book, new)
                found = [new]
        return pb.SetAllowancePolicyResponse(policy=messages.policy(found[0]))

    async def ListAllowancePolicies(
        self, request: pb.ListAllowancePoliciesRequest, context: Context
    ) -> pb.ListAllowancePoliciesResponse:
        """All versions, the newest first."""
        book = fields.book_name(request.book)
        async with reading(self._database) as connection:
            await existing_book(connection, book)
            found = await store.policies(connection, book, _MOST_POLICIES)
        return pb.ListAllowancePoliciesResponse(policies=map(messages.policy, found))

    async def PreviewAllowance(
        self, request: pb.PreviewAllowanceRequest, context: Context
    ) -> pb.PreviewAllowanceResponse:
        """What would be posted. Records nothing. Raises AllowancePolicyMissing where no terms are known."""
        book, day = fields.book_name(request.book), last_day(fields.month("month", request.month))
        tried = messages.terms(request.terms) if request.HasField("terms") else None
        async with reading(self._database) as connection:
            return pb.PreviewAllowanceResponse(allowance=await act.preview(connection, book, day, tried))

    async def PostAllowance(self, request: pb.PostAllowanceRequest, context: Context) -> pb.PostAllowanceResponse:
        """Posts the allowance of a month and its reversal, once. Raises what `act.post` refuses it for."""
        book, day = fields.book_name(request.book), last_day(fields.month("month", request.month))
        allowance, replayed = await act.post(self._database, book, day)
        return pb.PostAllowanceResponse(allowance=allowance, replayed=replayed)

    async def GetAllowance(self, request: pb.GetAllowanceRequest, context: Context) -> pb.GetAllowanceResponse:
        """What was posted for a month. Raises AllowanceNotFound."""
        book, day = fields.book_name(request.book), last_day(fields.month("month", request.month))
        async with reading(self._database) as connection:
            await existing_book(connection, book)
            found = await act.found(connection, book, day)
        if found is None:
            raise AllowanceNotFound(f"no allowance was posted for {day:%Y-%m}", month=f"{day:%Y-%m}")
        return pb.GetAllowanceResponse(allowance=found)
