"""What stands open under each item of some accounts, from their postings."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts import chart
from ledger.money import Amount
from ledger.postings.entry import Kind, PostedEntry
from ledger.postings.journal import reversals
from ledger.postings.store import numbered
from ledger.schema import accounts, entries, heads

_OPEN = text("""
    SELECT account, item, currency, sum(amount) AS amount FROM postings
    WHERE book = :book AND item IS NOT NULL AND (account, item) > (:account, :item)
        AND account = ANY(CAST(:accounts AS text[]))
    GROUP BY account, item, currency HAVING sum(amount) <> 0
    ORDER BY account, item, currency LIMIT :most
""")
_UNDER = text("""
    SELECT account, item, sum(amount) AS amount FROM postings
    WHERE book = :book AND account = ANY(CAST(:accounts AS text[])) AND item = ANY(CAST(:items AS text[]))
    GROUP BY account, item
""")

_LAST = text("""
    SELECT asked.item, e.number, e.kind, e.actor
    FROM unnest(CAST(:items AS text[])) AS asked (item)
    CROSS JOIN LATERAL (
        SELECT p.entry_number FROM postings AS p
        WHERE p.book = :book AND p.item = asked.item AND p.account = :account
        ORDER BY p.entry_number DESC LIMIT 1
    ) AS last
    JOIN entries AS e ON e.book = :book AND e.number = last.entry_number
""")

_TOUCHED = text("""
    SELECT item FROM unnest(CAST(:items AS text[])) AS asked (item)
    WHERE EXISTS (
        SELECT FROM postings AS p WHERE p.book = :book AND p.item = asked.item AND p.entry_number > :number
    )
""")

_MOVED = text("""
    SELECT item, account, max(entry_number) AS entry_number FROM postings
    WHERE book = :book AND item = ANY(CAST(:items AS text[])) AND entry_number > :number
    GROUP BY item, account HAVING sum(amount) <> 0
    ORDER BY item, account
""")


@dataclass(frozen=True, slots=True)
class OpenItem:
    """One item of an account; the amount is debit positive."""

    account: str
    item: str
    amount: Amount


async def open_items(
    connection: AsyncConnection, book: str, accounts: Collection[str], after: tuple[str, str], most: int
) -> Sequence[OpenItem]:
    """Items of these accounts that are not at zero, in the order of account and item."""
    asked = {"book": book, "accounts": [*accounts], "account": after[0], "item": after[1], "most": most}
    rows = await connection.execute(_OPEN, asked)
    return [OpenItem(row.account, row.item, Amount(int(row.amount), row.currency)) for row in rows]


async def standing(
    connection: AsyncConnection, book: str, accounts: Collection[str], items: Collection[str]
) -> dict[tuple[str, str], int]:
    """What each of these items amounts to in each of these accounts, debit positive."""
    rows = await connection.execute(_UNDER, {"book": book, "accounts": [*accounts], "items": [*items]})
    return {(row.account, row.item): int(row.amount) for row in rows}


async def balances_by_reference(connection: AsyncConnection, book: str, payer: str) -> list[str]:
    """The accounts of what is owed back to payers or carried forward: those of one payer, or of all ("")."""
    if payer:
        return [chart.overpayments(payer), chart.forward_balances(payer)]
    above = (f"{chart.PAYER_OVERPAYMENTS}:", f"{chart.FORWARD_BALANCES}:")
    wanted = select(accounts.c.code).where(accounts.c.book == book)
    started = or_(*(accounts.c.code.startswith(one, autoescape=True) for one in above))
    return list((await connection.execute(wanted.where(started))).scalars())


async def last_of_kind(
    connection: AsyncConnection, book: str, claim: str, kind: Kind, account: str
) -> PostedEntry | None:
    """The last entry of a kind on a claim and an account that nothing has reversed."""
    of_claim = (entries.c.book == book, entries.c.claim == claim, entries.c.kind == kind)
    wanted = select(entries.c.number).where(*of_claim).order_by(entries.c.number.desc())
    numbers = list((await connection.execute(wanted)).scalars())
    undone = await reversals(connection, book, numbers)
    found = await numbered(connection, book, [number for number in numbers if number not in undone])
    touching = (one for one in found.values() if account in {line.account for line in one.entry.postings})
    return max(touching, key=lambda one: one.number, default=None)


async def last_of_items(
    connection: AsyncConnection, book: str, account: str, items: Collection[str]
) -> dict[str, Row[Any]]:
    """The number, kind and actor of the last entry on an account that names each of these items."""
    rows = await connection.execute(_LAST, {"book": book, "account": account, "items": [*items]})
    return {row.item: row for row in rows}


async def moved_since(
    connection: AsyncConnection, book: str, number: int, items: Collection[str]
) -> Sequence[Row[Any]]:
    """Where these items amount to something else than right after an entry, with the last entry there."""
    asked = {"book": book, "items": [*items], "number": number}
    return (await connection.execute(_MOVED, asked)).all()


async def touched_since(
    connection: AsyncConnection, book: str, number: int, items: Collection[str]
) -> tuple[int, set[str]]:
    """The last entry of a book, and those of the items that entries after a number have touched."""
    head = (await connection.execute(select(heads.c.number).where(heads.c.book == book))).scalar_one()
    if head == number or not items:
        return head, set()
    asked = {"book": book, "number": number, "items": [*items]}
    return head, set((await connection.execute(_TOUCHED, asked)).scalars())
