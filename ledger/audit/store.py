"""Where checkpoints are kept, and how one is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.audit import tree
from ledger.audit.account_list import AccountList, listed
from ledger.audit.checkpoint import Signing, read_note, signed_accounts
from ledger.audit.evidence import Json, accounts_at, moment_text
from ledger.audit.merkle import Range
from ledger.errors import HistoryRewritten, SigningKeyMissing
from ledger.postings.batch import Head
from ledger.schema import checkpoints, heads

_SHORTLY = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint as it is kept: `note` is the signed text, `verifier` the public key that checks it."""

    number: int
    size: int
    root: bytes
    note: str
    verifier: str
    written_at: datetime
    written_by: str
    reason: str


async def write_checkpoint(
    connection: AsyncConnection,
    head: Head,
    signing: Signing,
    actor: str,
    reason: str,
    seen: AccountList | None = None,
) -> tuple[Kept, bool]:
    """Signs the book as it stands, in a database transaction that holds its head, and says whether it was before.

    `head` is where the head stands now, after what the same transaction has posted. Filling the tree beforehand
    (`tree.fill_book`), and a list of accounts that was `seen` before, keep this short: then it reads a few hashes
    and at most 256 entries. What an earlier checkpoint contradicts is not signed.
    Raises SigningKeyMissing or HistoryRewritten.
    """
    if not signing.keys:
        raise SigningKeyMissing("the service was given no key to sign with: set LEDGER_SIGNING_KEYS")
    key, last = signing.keys[0], await last_checkpoint(connection, head.book)
    accounts = (await listed(connection, head.book, seen)).rows
    root, verifier = await _root(connection, head, last, accounts), str(key.verifier(head.book))
    at = head.recorded_at + _SHORTLY
    signed = accounts_at(accounts, moment_text(at))
    is_same = checkpoints.c.size == head.number, checkpoints.c.verifier == verifier
    for one in reversed(await find_checkpoints(connection, head.book, *is_same)):
        before = signed_accounts(read_note(one.note)[0])
        if before and (before.count, before.digest) == (signed.count, signed.digest):
            return one, True
    note = key.signed(head.book, head.number, root, signed)
    fresh = Kept(last.number + 1 if last else 1, head.number, root, note, verifier, at, actor, reason)
    values = {name: getattr(fresh, name) for name in Kept.__slots__}
    await connection.execute(insert(checkpoints).values(book=head.book, **values))
    # From now on accounts are opened and closed later than that, whatever the database's clock does.
    await connection.execute(update(heads).where(heads.c.book == head.book).values(recorded_at=at))
    return fresh, False


async def _root(
    connection: AsyncConnection, head: Head, last: Kept | None, accounts: Sequence[Mapping[str, Json]]
) -> bytes:
    """The root of the book as it stands, once it is the continuation of the last checkpoint."""
    if last is None:
        return await tree.root(connection, head.book, head.number)
    if last.size > head.number:
        raise _rewritten(last, f"and the last entry is {head.number}")
    before, now = await tree.hashes(connection, head.book, [Range(0, last.size), Range(0, head.number)])
    if before != last.root:
        raise _rewritten(last, "and the entries up to there are others now")
    signed = signed_accounts(read_note(last.note)[0])
    if signed and signed != accounts_at(accounts, signed.at):
        raise _rewritten(last, "and the accounts that were there are others now")
    return now


def _rewritten(last: Kept, found: str) -> HistoryRewritten:
    said = f"checkpoint {last.number} signed {last.size} entries, {found}; run ledger check"
    return HistoryRewritten(said, checkpoint=last.number, size=last.size)


async def find_checkpoints(
    connection: AsyncConnection, book: str, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[Kept]:
    """Checkpoints of a book that meet the conditions, in the order in which they were written."""
    names = [checkpoints.c[name] for name in Kept.__slots__]
    wanted = select(*names).where(checkpoints.c.book == book, *conditions).order_by(checkpoints.c.number)
    return [Kept(*row) for row in await connection.execute(wanted.limit(limit))]


async def last_checkpoint(connection: AsyncConnection, book: str) -> Kept | None:
    """The checkpoint that was written last; None where there is none."""
    number = select(func.max(checkpoints.c.number)).where(checkpoints.c.book == book).scalar_subquery()
    found = await find_checkpoints(connection, book, checkpoints.c.number == number)
    return found[0] if found else None


async def verifiers(connection: AsyncConnection, book: str) -> list[str]:
    """The public keys that have signed checkpoints of a book, in the order of their text."""
    wanted = select(checkpoints.c.verifier).where(checkpoints.c.book == book).distinct()
    return sorted((await connection.execute(wanted)).scalars())
