"""What the bank did with payments, recorded under the head lock with the entries that follow from it."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import caller
from ledger.errors import Refusal
from ledger.pay_cycles import store
from ledger.pay_cycles.payment import State, payout_returned, payouts_settled, to_return, to_send, to_settle
from ledger.pay_cycles.store import Cycle
from ledger.postings import journal
from ledger.postings.batch import Head, Request, Submission
from ledger.postings.commands import Post
from ledger.postings.entry import JournalEntry


async def mark_sent(
    connection: AsyncConnection, head: Head, cycle: Cycle, named: Sequence[str], day: date, reason: str
) -> int:
    """Marks payments as sent; returns how many were not before. Raises PaymentNotFound or PaymentCameBack."""
    sent = to_send([one for one, _ in await store.payments(connection, cycle)], named)
    said = {"day": day, "reason": reason, "marked_by": caller.actor.get(), "marked_at": head.recorded_at}
    await store.mark(connection, cycle, sent, State.SENT, {}, **said)
    return len(sent)


async def mark_settled(
    connection: AsyncConnection, head: Head, cycle: Cycle, named: Sequence[str], day: date, reason: str
) -> tuple[int, list[int]]:
    """Posts that payments are settled, an entry a currency; how many were not before, and the entries."""
    settled = to_settle([one for one, _ in await store.payments(connection, cycle)], named)
    entries = payouts_settled(cycle.cycle.isoformat(), settled, day)
    posted = {
        entry.postings[0].amount.currency: number
        for entry, number in zip(entries, await _posted(connection, head, cycle, entries), strict=True)
    }
    said = {"day": day, "reason": reason, "marked_by": caller.actor.get(), "marked_at": head.recorded_at}
    await store.mark(connection, cycle, settled, State.SETTLED, posted, **said)
    return len(settled), [*posted.values()]


async def return_payment(
    connection: AsyncConnection, head: Head, cycle: Cycle, provider: str, day: date, reason: str
) -> tuple[int, bool]:
    """Posts that a payment came back; its entry, and whether it was posted before. Raises as `to_return`."""
    one = to_return([one for one, _ in await store.payments(connection, cycle)], provider)
    if (before := await store.returned_with(connection, cycle, one.account)) is not None:
        return before, True
    entry = payout_returned(cycle.cycle.isoformat(), one, day, reason)
    [number] = await _posted(connection, head, cycle, [entry])
    said = {"day": day, "reason": reason, "marked_by": caller.actor.get(), "marked_at": head.recorded_at}
    await store.mark(connection, cycle, [one], State.RETURNED, {one.amount.currency: number}, **said)
    return number, False


async def _posted(
    connection: AsyncConnection, head: Head, cycle: Cycle, entries: Sequence[JournalEntry]
) -> list[int]:
    """The numbers of entries that are posted together. Raises what the books refuse one for.

    Their keys name the entry before them, so that no other call can have had them.
    """
    keys = (f"pay cycle {cycle.cycle} after entry {head.number} {place}" for place in range(len(entries)))
    requests = [Request(caller.actor.get(), key, Post(entry)) for key, entry in zip(keys, entries, strict=False)]
    _, [outcomes] = await journal.post(connection, head, [Submission(requests)])
    for outcome in outcomes:
        if isinstance(outcome, Refusal):
            raise outcome
    return [outcome.entry.number for outcome in outcomes if not isinstance(outcome, Refusal)]
