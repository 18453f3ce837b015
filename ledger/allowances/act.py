"""What allowances do: estimated from one view of the books, posted with their reversal under the head lock."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import caller
from ledger.accounts.store import existing_book
from ledger.allowances import messages, store
from ledger.allowances.allowance import History, Terms, covered, needed, taken_back, trued_up
from ledger.allowances.store import Policy, Posted
from ledger.database import reading
from ledger.errors import AllowanceMonthOpen, AllowancePolicyMissing, AllowanceUnchanged, Refusal
from ledger.postings import journal
from ledger.postings.batch import Head, Request, Submission
from ledger.postings.commands import Post
from ledger.postings.entry import JournalEntry, PostedEntry
from ledger.postings.store import numbered
from ledger.v1 import allowances_pb2 as pb


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


async def preview(connection: AsyncConnection, book: str, day: date, tried: Terms | None = None) -> pb.Allowance:
    """What would be posted for the month that ends on a day. Records nothing.

    Raises BookNotFound, or AllowancePolicyMissing where no terms are tried and none were ever set.
    """
    shown, _ = await _computed(connection, book, day, await _estimate(connection, book, day, tried))
    return shown


async def post(database: AsyncEngine, book: str, day: date) -> tuple[pb.Allowance, bool]:
    """Posts the allowance of a month and its reversal, once; whether it was posted before.

    Raises AllowancePolicyMissing, AllowanceMonthOpen or AllowanceUnchanged, or what the books refuse an entry for.
    What takes time is read before the head is held; where the policy has changed meanwhile, once more.
    """
    while True:
        async with reading(database) as connection:
            if (earlier := await found(connection, book, day)) is not None:
                return earlier, True
            estimate = await _estimate(connection, book, day)
        async with journal.posting(database, book) as (connection, head):
            if (earlier := await found(connection, book, day)) is not None:
                return earlier, True
            [policy] = await store.policies(connection, book, 1)
            if policy.version == estimate.version:
                _refuse_off(policy, book)
                _refuse_open(day, head)
                return await _posted(connection, head, day, estimate), False


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
    kept = await store.policies(connection, book, 1)
    if not kept:
        raise AllowancePolicyMissing("no policy for allowances was set in this book", book=book)
    return kept[0]


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


async def found(connection: AsyncConnection, book: str, day: date) -> pb.Allowance | None:
    """What was posted for the month that ends on a day; None where nothing was."""
    kept = await store.find(connection, book, day)
    if kept is None:
        return None
    entries = await numbered(connection, book, [kept.entry_number, kept.reversal_number])
    return messages.posted(kept, entries)


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
