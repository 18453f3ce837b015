"""How allowances are set, previewed and posted: `ledger.v1.AllowancesService`."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import caller, fields
from ledger.accounts.store import existing_book
from ledger.allowances import messages, store
from ledger.allowances.allowance import History, Terms, covered, needed, taken_back, trued_up
from ledger.allowances.store import Policy, Posted
from ledger.database import reading
from ledger.errors import (
    AllowanceMonthOpen,
    AllowanceNotFound,
    AllowancePolicyMissing,
    AllowanceUnchanged,
    Refusal,
)
from ledger.periods.period import last_day
from ledger.postings import journal
from ledger.postings.batch import Head, Request, Submission
from ledger.postings.commands import Post
from ledger.postings.entry import JournalEntry, PostedEntry
from ledger.postings.store import numbered
from ledger.v1 import allowances_pb2 as pb
from ledger.v1.allowances_pb2_grpc import AllowancesServiceServicer
from ledger.wire import Context


@dataclass(frozen=True, slots=True)
class _Estimate:
    """What past claims say of a month, under a policy, as known at an entry."""

    policy: Policy | None
    terms: Terms
    histories: list[History]
    known: int

    @property
    def version(self) -> int:
        return self.policy.version if self.policy else 0


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
            estimate = await _estimate(connection, book, day, tried)
            shown, _ = await _computed(connection, book, day, estimate)
        return pb.PreviewAllowanceResponse(allowance=shown)

    async def PostAllowance(self, request: pb.PostAllowanceRequest, context: Context) -> pb.PostAllowanceResponse:
        """Posts the allowance of a month and its reversal, once.

        Raises AllowancePolicyMissing, AllowanceMonthOpen or AllowanceUnchanged, or what the books refuse an entry
        for. What takes time is read before the head is held; where the policy has changed meanwhile, once more.
        """
        book, day = fields.book_name(request.book), last_day(fields.month("month", request.month))
        while True:
            async with reading(self._database) as connection:
                earlier = await _found(connection, book, day)
                if earlier is not None:
                    return pb.PostAllowanceResponse(allowance=earlier, replayed=True)
                estimate = await _estimate(connection, book, day)
            async with journal.posting(self._database, book) as (connection, head):
                if (earlier := await _found(connection, book, day)) is not None:
                    return pb.PostAllowanceResponse(allowance=earlier, replayed=True)
                [policy] = await store.policies(connection, book, 1)
                if policy.version == estimate.version:
                    _refuse_off(policy, book)
                    _refuse_open(day, head)
                    return pb.PostAllowanceResponse(allowance=await _posted(connection, head, day, estimate))

    async def GetAllowance(self, request: pb.GetAllowanceRequest, context: Context) -> pb.GetAllowanceResponse:
        """What was posted for a month. Raises AllowanceNotFound."""
        book, day = fields.book_name(request.book), last_day(fields.month("month", request.month))
        async with reading(self._database) as connection:
            await existing_book(connection, book)
            found = await _found(connection, book, day)
        if found is None:
            raise AllowanceNotFound(f"no allowance was posted for {day:%Y-%m}", month=f"{day:%Y-%m}")
        return pb.GetAllowanceResponse(allowance=found)


_MOST_POLICIES = 1_000


async def _estimate(connection: AsyncConnection, book: str, day: date, tried: Terms | None = None) -> _Estimate:
    """What past claims say, under terms that are tried, or those of the policy that is on."""
    known = (await existing_book(connection, book)).last_number
    policy = None
    if tried is None:
        policy = await _in_force(connection, book)
    terms = tried or messages.kept_terms(policy.terms if policy else {})
    histories = await store.histories(connection, book, terms, day, known)
    return _Estimate(policy, terms, covered(terms, histories), known)


async def _in_force(connection: AsyncConnection, book: str) -> Policy:
    found = await store.policies(connection, book, 1)
    if not found:
        raise AllowancePolicyMissing("no policy for allowances was set in this book", book=book)
    return found[0]


async def _computed(
    connection: AsyncConnection, book: str, day: date, estimate: _Estimate
) -> tuple[pb.Allowance, JournalEntry | None]:
    """The allowance with all that it comes from, and its entry where there is one to post."""
    needs = needed(estimate.terms, estimate.histories)
    standing = await store.standing(connection, book, needs, day)
    shown = messages.allowance(
        day, estimate.version, estimate.terms, estimate.histories, needs, standing, estimate.known
    )
    return shown, trued_up(needs, standing, estimate.terms.currency, day)


async def _found(connection: AsyncConnection, book: str, day: date) -> pb.Allowance | None:
    found = await store.find(connection, book, day)
    if found is None:
        return None
    return messages.posted(found, await numbered(connection, book, [found.entry_number, found.reversal_number]))


def _refuse_off(policy: Policy, book: str) -> None:
    if not policy.is_on:
        raise AllowancePolicyMissing("the policy for allowances is off in this book", book=book)


def _refuse_open(day: date, head: Head) -> None:
    """A month that is not over is not known yet; what counts is the database's clock, in UTC."""
    if head.recorded_at.date() <= day:
        raise AllowanceMonthOpen(f"{day:%Y-%m} ends on {day}", month=f"{day:%Y-%m}", last_day=day.isoformat())


async def _posted(connection: AsyncConnection, head: Head, day: date, estimate: _Estimate) -> pb.Allowance:
    """Posts the true-up and its reversal, and records them with the evidence, all or nothing."""
    shown, entry = await _computed(connection, head.book, day, estimate)
    if entry is None:
        raise AllowanceUnchanged(f"nothing is to be posted for {day:%Y-%m}", month=f"{day:%Y-%m}")
    key = f"allowance of {day:%Y-%m}"
    head, made = await _post(connection, head, key, entry)
    head, reversal = await _post(connection, head, f"{key}, taken back", taken_back(entry, made.number))
    new = Posted(
        month=day,
        policy=estimate.version,
        entry_number=made.number,
        reversal_number=reversal.number,
        evidence=messages.as_json(shown),
        posted_by=made.actor,
        posted_at=made.recorded_at,
    )
    await store.insert_allowance(connection, head.book, new)
    return messages.posted(new, {made.number: made, reversal.number: reversal})


async def _post(
    connection: AsyncConnection, head: Head, key: str, entry: JournalEntry
) -> tuple[Head, PostedEntry]:
    request = Request(caller.actor.get(), key, Post(entry))
    head, [[outcome]] = await journal.post(connection, head, [Submission([request])])
    if isinstance(outcome, Refusal):
        raise outcome
    return head, outcome.entry
