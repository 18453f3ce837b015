"""What a payer left open is given up from the worklist: a denial is absorbed, a small rest written off.

Posted through the books' own commands, within the limits for one person and the cap on write-offs, in the database
transaction that closes the item. Nothing here names a provider's payable.
"""

from dataclasses import dataclass
from datetime import date

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import caller
from ledger.errors import Refusal, WorklistActionRefused
from ledger.postings import journal
from ledger.postings import store as books
from ledger.postings.batch import Head, Request, Submission
from ledger.postings.commands import WriteOffRemainder
from ledger.write_offs.store import refuse_uncapped
from reconciliation import closing, deciding, denial_store
from reconciliation.denials import OPEN
from reconciliation.reasons import ExceptionReason
from reconciliation.worklist.item import Change, Item

_ABSORBED = frozenset({ExceptionReason.DENIED, ExceptionReason.SHORT_PAID})
_WRITTEN_OFF = frozenset({ExceptionReason.SHORT_PAID})


@dataclass(frozen=True, slots=True)
class Saying:
    """Who gives something up, why, and on which day it counts."""

    actor: str
    reason: str
    day: date


async def absorb(connection: AsyncConnection, head: Head, item: Item, said: Saying) -> int:
    """The company takes the loss of a denial; returns the entry's number, while the head is held.

    Raises WorklistActionRefused, DenialNotFound, DenialStateRefused, ApprovalNeeded, or what else the books
    refuse it for.
    """
    if item.reason not in _ABSORBED or item.claim is None:
        raise _refused(item, Change.ABSORBED, "there is no denial to absorb")
    about = item.claim, item.payer, said.day, said.reason, said.actor
    found = await deciding.absorb_held(connection, head, *about)
    assert found.entry_number is not None
    return found.entry_number


async def write_off(connection: AsyncConnection, head: Head, item: Item, said: Saying) -> int:
    """All that the payer left open of the claim; returns the entry's number, while the head is held.

    What the payer has refused is absorbed instead. Raises WorklistActionRefused, WriteOffAboveCap, ApprovalNeeded,
    or what else the books refuse it for.
    """
    if item.reason not in _WRITTEN_OFF or item.claim is None:
        raise _refused(item, Change.WRITTEN_OFF, "there is no rest to write off")
    if await _is_denied(connection, head.book, item.claim, item.payer):
        raise _refused(item, Change.WRITTEN_OFF, "the payer has refused it: absorb the denial")
    command = WriteOffRemainder(item.claim, said.day, said.reason, item.payer)
    key = f"worklist:{item.id}:{item.version}"
    request = Request(said.actor, key, command, by_finance=caller.is_finance.get())
    _, [[outcome]] = await journal.post(connection, head, [Submission([request])])
    if isinstance(outcome, Refusal):
        raise outcome
    await refuse_uncapped(connection, head.book, outcome.entry.entry)
    touched = await books.items(connection, head.book, [item.claim])
    await closing.close(connection, head.book, item.payer, touched)
    return outcome.entry.number


async def _is_denied(connection: AsyncConnection, book: str, claim: str, payer: str) -> bool:
    last = (await denial_store.of_claims(connection, book, payer, [claim])).get(claim)
    return last is not None and last.state in OPEN


def _refused(item: Item, action: Change, why: str) -> WorklistActionRefused:
    told = f"the item is for {item.reason}: {why}"
    return WorklistActionRefused(told, id=item.id, reason=item.reason, action=action)
