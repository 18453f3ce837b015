"""Exceptions that close by themselves: what was open is paid, absorbed or recovered, too much is settled."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.accounts import chart
from ledger.accounts import store as accounts
from ledger.database import reading
from ledger.postings import journal
from ledger.postings import store as books
from ledger.postings.entry import Kind
from ledger.postings.item import Item
from ledger.postings.open_items import last_of_items, last_of_kind, touched_since
from reconciliation import carrying, denial_store
from reconciliation.chunk import Chunk
from reconciliation.denials import State
from reconciliation.reasons import ExceptionReason
from reconciliation.worklist import store as worklist
from reconciliation.worklist.item import Change, Event

_OPEN = (ExceptionReason.DENIED, ExceptionReason.SHORT_PAID)
_OVER = (ExceptionReason.OVERPAID,)
_CLOSE = text("""
    UPDATE exceptions AS x SET closed_at = clock_timestamp()
    FROM remittances AS r
    WHERE x.book = :book AND x.claim = ANY(CAST(:claims AS text[])) AND x.closed_at IS NULL
        AND x.reason = ANY(CAST(:reasons AS text[]))
        AND r.book = x.book AND r.id = x.remittance AND r.payer = :payer
    RETURNING x.id, x.claim
""")
_CLOSED_BY = text("""
    SELECT x.id, x.amount, x.detail
    FROM exception_events AS e
    JOIN exceptions AS x ON x.book = e.book AND x.id = e.exception
    WHERE e.book = :book AND e.entry_number = ANY(CAST(:numbers AS bigint[])) AND e.change = 'settled'
        AND x.claim = ANY(CAST(:claims AS text[])) AND x.reason = ANY(CAST(:reasons AS text[]))
        AND x.closed_at IS NOT NULL AND NOT EXISTS (
            SELECT FROM exception_events AS later
            WHERE later.book = e.book AND later.exception = e.exception AND later.version > e.version
        )
    ORDER BY x.id
""")
_CLAIMS = text("""
    SELECT DISTINCT claim FROM exceptions
    WHERE book = :book AND closed_at IS NULL AND claim IS NOT NULL AND reason = ANY(CAST(:reasons AS text[]))
""")
_WAITING = text("""
    SELECT DISTINCT r.payer, x.claim, x.reason
    FROM exceptions AS x JOIN remittances AS r ON r.book = x.book AND r.id = x.remittance
    WHERE x.book = :book AND x.closed_at IS NULL AND x.claim = ANY(CAST(:claims AS text[]))
        AND r.payer IS NOT NULL
        AND x.reason = ANY(CAST(:reasons AS text[]))
""")


async def close_settled(chunk: Chunk) -> None:
    """Closes what is settled on the claims of a chunk, as its payments leave them."""
    if chunk.payer_known:
        await close(chunk.connection, chunk.head.book, chunk.payment.payer, chunk.items)


async def open_again(chunk: Chunk, undone: Collection[int]) -> None:
    """What these entries had closed on the claims of a chunk is open again, once they are undone."""
    asked = {"book": chunk.head.book, "claims": [*chunk.items], "reasons": [*_OPEN, *_OVER], "numbers": [*undone]}
    rows = (await chunk.connection.execute(_CLOSED_BY, asked)).all()
    raised = [row._asdict() for row in rows]
    await worklist.open_again(chunk.connection, chunk.head.book, raised, chunk.actor)


class Sweep:
    """Closes what was settled otherwise than by the mail, in all books.

    Such as a denial that was absorbed with a second person's approval, or an entry by hand. Each time it looks at
    the claims that were touched since it looked last; the first time at all.
    """

    def __init__(self) -> None:
        """Begins with every book unseen."""
        self._seen: dict[str, int] = {}

    async def once(self, database: AsyncEngine) -> None:
        """Looks through all books; takes the head of those alone in which something is to be closed."""
        async with reading(database) as connection:
            names = [found.book for found in await accounts.find_books(connection)]
        for name in names:
            async with reading(database) as connection:
                asked = {"book": name, "reasons": [*_OPEN, *_OVER]}
                waiting = set((await connection.execute(_CLAIMS, asked)).scalars())
                head, touched = await touched_since(connection, name, self._seen.get(name, 0), waiting)
                found = await _settled(connection, name, touched) if touched else {}
                carried = await carrying.untrue(connection, name, self._seen.get(name, 0))
            if found:
                await _close_all(database, name, touched)
            if carried:
                async with journal.posting(database, name) as (posting, _):
                    again = await carrying.untrue(posting, name, self._seen.get(name, 0))
                    await carrying.make_true(posting, name, again)
            self._seen[name] = head


async def _close_all(database: AsyncEngine, book: str, touched: Collection[str]) -> None:
    async with journal.posting(database, book) as (connection, _):
        await notice(connection, book, touched)
        for payer, items in (await _settled(connection, book, touched)).items():
            await close(connection, book, payer, items)


async def notice(connection: AsyncConnection, book: str, claims: Collection[str]) -> None:
    """Denials that were absorbed in the books themselves, such as by an approved proposal, are so here too."""
    standing = await denial_store.all_open(connection, book, claims)
    items = await books.items(connection, book, {one.claim for one in standing})
    found = []
    for one in standing:
        item = items.get(one.claim)
        if item and _paid_up(item, one.payer) and item.balance(chart.DENIALS_ABSORBED) > 0:
            owed = chart.receivable(one.payer)
            posted = await last_of_kind(connection, book, one.claim, Kind.DENIAL_ABSORBED, owed)
            if posted:
                day, reason = posted.entry.effective_date, posted.entry.description
                new = one.to(State.ABSORBED, day, reason, posted.actor, 0)
                found.append(replace(new, entry_number=posted.number))
    await denial_store.add(connection, book, found)


async def _settled(
    connection: AsyncConnection, book: str, touched: Collection[str]
) -> Mapping[str, dict[str, Item]]:
    """Those of the claims by payer on which an exception is open that the books no longer bear out."""
    asked = {"book": book, "reasons": [*_OPEN, *_OVER], "claims": [*touched]}
    rows = (await connection.execute(_WAITING, asked)).all()
    items = await books.items(connection, book, {row.claim for row in rows})
    found: dict[str, dict[str, Item]] = defaultdict(dict)
    for row in rows:
        item = items.get(row.claim)
        if item and (_even(item, row.payer) if row.reason in _OVER else _paid_up(item, row.payer)):
            found[row.payer][row.claim] = item
    return found


def _paid_up(item: Item, payer: str) -> bool:
    return item.balance(chart.receivable(payer)) <= 0


def _even(item: Item, payer: str) -> bool:
    return item.balance(chart.overpayments(payer)) >= 0


async def close(connection: AsyncConnection, book: str, payer: str, items: Mapping[str, Item]) -> None:
    """An open receivable at zero or below closes the one kind, an overpayment at zero the other."""
    settled = [name for name, item in items.items() if _paid_up(item, payer)]
    even = [name for name, item in items.items() if _even(item, payer)]
    await _close_claims(connection, book, payer, settled, _OPEN, chart.receivable(payer))
    await _close_claims(connection, book, payer, even, _OVER, chart.overpayments(payer))


async def _close_claims(
    connection: AsyncConnection,
    book: str,
    payer: str,
    claims: Collection[str],
    reasons: Collection[str],
    account: str,
) -> None:
    """Closes them, and says that the last entry on the account has settled each."""
    if not claims:
        return
    asked = {"book": book, "payer": payer, "claims": [*claims], "reasons": [*reasons]}
    closed = (await connection.execute(_CLOSE, asked)).all()
    last = await last_of_items(connection, book, account, {row.claim for row in closed}) if closed else {}
    events = [
        Event(row.id, Change.SETTLED, f"by {one.kind} on claim {row.claim}", one.actor, one.number)
        for row in closed
        if (one := last.get(row.claim))
    ]
    await worklist.add(connection, book, events)
