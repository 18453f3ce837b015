"""What people decide on denials: appeal, send again, absorb one by one or by a policy.

Everything is decided under the head lock, and what is absorbed is posted through the books' own command, within
the limits that the book has set for one person.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date
from uuid import NAMESPACE_OID, uuid5

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.accounts import chart
from ledger.accounts.store import existing_book
from ledger.database import reading
from ledger.errors import DenialPolicyOff, Refusal
from ledger.money import Amount
from ledger.postings import journal
from ledger.postings import store as books
from ledger.postings.batch import MOST_ENTRIES, Head, Outcome, Request, Submission
from ledger.postings.commands import AbsorbDenial
from reconciliation import closing, denial_store
from reconciliation.denials import Denial, Policy, State, refuse_way


async def send(
    database: AsyncEngine, book: str, claim: str, payer: str, state: State, day: date, reason: str, actor: str
) -> Denial:
    """A denial is appealed, or the claim sent again. Raises DenialNotFound or DenialStateRefused."""
    async with journal.posting(database, book) as (connection, _):
        await closing.notice(connection, book, [claim])
        standing = await denial_store.standing(connection, book, claim, payer)
        refuse_way(standing, state)
        open_ = (await _open(connection, book, [standing]))[0]
        found = standing.to(state, day, reason, actor, open_)
        await denial_store.add(connection, book, [found])
    return found


async def absorb(
    database: AsyncEngine, book: str, claim: str, payer: str, day: date, reason: str, actor: str
) -> Denial:
    """The company takes the loss. Raises DenialNotFound, DenialStateRefused, or what the books refuse it for."""
    async with journal.posting(database, book) as (connection, head):
        return await absorb_held(connection, head, claim, payer, day, reason, actor)


async def absorb_held(
    connection: AsyncConnection, head: Head, claim: str, payer: str, day: date, reason: str, actor: str
) -> Denial:
    """The same in a database transaction that holds the head."""
    book = head.book
    await closing.notice(connection, book, [claim])
    standing = await denial_store.standing(connection, book, claim, payer)
    refuse_way(standing, State.ABSORBED)
    request = _absorbing(book, standing, day, reason, actor)
    _, [[outcome]] = await journal.post(connection, head, [Submission([request])])
    if isinstance(outcome, Refusal):
        raise outcome
    return await _absorbed(connection, book, standing, request, outcome, "")


@dataclass(frozen=True, slots=True)
class PolicyOutcome:
    """What a policy did, or would do, with one denial; `refusal` is the books' reason where they refused it."""

    denial: Denial
    amount: Amount
    entry_number: int = 0
    refusal: str = ""


async def apply(
    database: AsyncEngine, book: str, name: str, day: date, actor: str, *, record: bool
) -> tuple[list[PolicyOutcome], bool]:
    """Absorbs what a policy covers, each denial once, and says whether there is more than one call absorbs.

    Without `record` it says what it would do, be the policy on or off. Raises DenialPolicyNotFound or
    DenialPolicyOff.
    """
    candidates, more = await _candidates(database, book, name, day)
    async with journal.posting(database, book) as (connection, head):
        policy = await denial_store.policy(connection, book, name)
        if record and not policy.enabled:
            raise DenialPolicyOff(
                f"policy {name} is off: ask what it would absorb, then switch it on", policy=name
            )
        if record:
            await closing.notice(connection, book, candidates)
        chosen = (await _covered(connection, book, policy, day, candidates))[:MOST_ENTRIES]
        reason = f"policy {policy.name}, version {policy.version}: {policy.reason}"[:500]
        requests = [_absorbing(book, one, day, reason, actor) for one, _ in chosen]
        outcomes = await _decided(connection, head, requests, record=record)
        found = [
            await _told(connection, book, one, amount, request, outcome, policy if record else None)
            for (one, amount), request, outcome in zip(chosen, requests, outcomes, strict=True)
        ]
    return found, more


async def _candidates(database: AsyncEngine, book: str, name: str, day: date) -> tuple[list[str], bool]:
    """Claims that one call may absorb, and whether there are more: found before anybody waits for the book."""
    async with reading(database) as connection:
        await existing_book(connection, book)
        policy = await denial_store.policy(connection, book, name)
        covered = await _covered(connection, book, policy, day, None)
    return [one.claim for one, _ in covered[:MOST_ENTRIES]], len(covered) > MOST_ENTRIES


async def _covered(
    connection: AsyncConnection, book: str, policy: Policy, day: date, claims: Collection[str] | None
) -> list[tuple[Denial, Amount]]:
    standing = await denial_store.all_open(connection, book, claims)
    left = await _open(connection, book, standing)
    return [
        (one, Amount(open_, one.currency))
        for one, open_ in zip(standing, left, strict=True)
        if policy.covers(one, day, open_)
    ]


async def _decided(
    connection: AsyncConnection, head: Head, requests: Sequence[Request], *, record: bool
) -> list[Outcome]:
    submissions = [Submission(requests)]
    if record:
        return (await journal.post(connection, head, submissions))[1][0]
    return (await journal.preview(connection, head.book, submissions))[0]


async def _told(
    connection: AsyncConnection,
    book: str,
    one: Denial,
    amount: Amount,
    request: Request,
    outcome: Outcome,
    policy: Policy | None,
) -> PolicyOutcome:
    """What became of one denial; written down where a policy is applied and not only asked."""
    if isinstance(outcome, Refusal):
        return PolicyOutcome(one, amount, refusal=outcome.reason)
    if policy is None:
        return PolicyOutcome(one, amount)
    found = await _absorbed(connection, book, one, request, outcome, policy.name)
    return PolicyOutcome(found, amount, found.entry_number or 0)


def _absorbing(book: str, one: Denial, day: date, reason: str, actor: str) -> Request:
    """One denial is absorbed once in each of its lives, whoever asks for it."""
    key = f"denial:{uuid5(NAMESPACE_OID, f'{book}/{one.claim}/{one.payer}/{one.version}')}"
    return Request(actor, key, AbsorbDenial(one.claim, day, reason, one.payer))


async def _absorbed(
    connection: AsyncConnection, book: str, one: Denial, request: Request, outcome: Outcome, policy: str
) -> Denial:
    assert not isinstance(outcome, Refusal)
    entry, command = outcome.entry, request.command
    assert isinstance(command, AbsorbDenial)
    new = one.to(State.ABSORBED, entry.entry.effective_date, command.reason, request.actor, 0)
    found = replace(new, policy=policy, entry_number=entry.number)
    await denial_store.add(connection, book, [found])
    await closing.close(connection, book, one.payer, await books.items(connection, book, [one.claim]))
    return found


async def _open(connection: AsyncConnection, book: str, found: Sequence[Denial]) -> list[int]:
    """What the payer of each denial owes on its claim now."""
    items = await books.items(connection, book, {one.claim for one in found})
    return [items[one.claim].balance(chart.receivable(one.payer)) if one.claim in items else 0 for one in found]
