"""Where books and accounts are kept."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_into
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts import chart
from ledger.accounts.account import Account, BalanceLimit, Side, Totals
from ledger.database import query
from ledger.errors import BookNotFound
from ledger.schema import accounts, books, heads

# By the code in lower case, so that an account whose code differs in case alone is seen too. LATERAL with LIMIT:
# one look into the index for each account, whatever the planner believes of how many there are.
_READ = text("""
    SELECT a.*, coalesce(b.debits, 0) AS debits, coalesce(b.credits, 0) AS credits
    FROM unnest(CAST(:folded AS text[])) AS asked (folded)
    CROSS JOIN LATERAL (
        SELECT * FROM accounts WHERE book = :book AND lower(code) = asked.folded LIMIT 1
    ) AS a
    LEFT JOIN LATERAL (
        SELECT debits, credits FROM balances WHERE book = :book AND account = a.code LIMIT 1
    ) AS b ON true
""")


# One statement for any number: psycopg's executemany ends with a Flush, after which PostgreSQL waits without a
# limit for a program that stands still, and here it holds the book.
_INSERT = text("""
    INSERT INTO accounts (
        book, code, type, currency, normal_side, balance_limit, item_required, opened_by, opened_at
    )
    SELECT :book, opened.*, greatest((SELECT recorded_at FROM heads WHERE book = :book), clock_timestamp())
    FROM unnest(
        CAST(:codes AS text[]), CAST(:types AS text[]), CAST(:currencies AS text[]), CAST(:normal_sides AS text[]),
        CAST(:balance_limits AS text[]), CAST(:item_required AS boolean[]), CAST(:opened_by AS text[])
    ) AS opened
""")


def _now(book: object) -> ColumnElement[datetime]:
    """The database's time, or the last one that was recorded in the book where its clock was set back."""
    recorded = select(heads.c.recorded_at).where(heads.c.book == book).scalar_subquery()
    return func.greatest(recorded, func.clock_timestamp())


_CLOSE = (
    update(accounts)
    .values(closed_at=_now(text(":its_book")), closed_by=text(":actor"), close_reason=text(":reason"))
    .where(accounts.c.book == text(":its_book"), accounts.c.code == text(":its_code"))
    .returning(accounts)
)
ALL_RECORDED = 2**63 - 1
"""Stands for the head, wherever it is: as known at all that is recorded."""
# The first day on which an account of payments without a deposit was used, where it is not at zero again.
_OLDEST_CLEARING = text("""
    SELECT b.book, min(d.effective_date) AS since
    FROM balances AS b
    JOIN daily_totals AS d ON d.book = b.book AND d.account = b.account
    WHERE b.account > :clearing || ':' AND b.account < :clearing || ';' AND b.debits <> b.credits
    GROUP BY b.book
""")


@dataclass(frozen=True, slots=True)
class Book:
    """One legal entity's books, and where they stand."""

    book: str
    name: str
    opened_at: datetime
    last_number: int
    last_hash: bytes


async def open_book(connection: AsyncConnection, book: str, name: str, actor: str) -> None:
    """Writes a new book and its head; where the book is there already, nothing."""
    new_book = insert_into(books).values(book=book, name=name, opened_by=actor)
    await connection.execute(new_book.on_conflict_do_nothing())
    await connection.execute(insert_into(heads).values(book=book).on_conflict_do_nothing())


async def find_books(connection: AsyncConnection, book: str | None = None) -> list[Book]:
    """All books, or one, in the order of their names."""
    wanted = select(books, heads.c.number, heads.c.hash).join(heads, heads.c.book == books.c.book)
    if book is not None:
        wanted = wanted.where(books.c.book == book)
    rows = await connection.execute(wanted.order_by(books.c.book))
    return [Book(row.book, row.name, row.opened_at, row.number, row.hash) for row in rows]


async def existing_book(connection: AsyncConnection, book: str) -> Book:
    """A book that must be there. Raises BookNotFound."""
    found = await find_books(connection, book)
    if not found:
        raise BookNotFound(f"no book {book}; open it first", book=book)
    return found[0]


async def read(connection: AsyncConnection, book: str, codes: Collection[str]) -> list[tuple[Account, Totals]]:
    """Accounts with their totals, found by code whatever its case; those that are not open are left out."""
    asked = {"book": book, "folded": [code.lower() for code in codes]}
    rows = await connection.execute(_READ, asked)
    return [(_account(row), Totals(row.debits, row.credits)) for row in rows]


async def insert(connection: AsyncConnection, book: str, opened: Sequence[Account]) -> None:
    """Writes new accounts."""
    if not opened:
        return
    rows = {
        "codes": [account.code for account in opened],
        "types": [str(account.type) for account in opened],
        "currencies": [account.currency for account in opened],
        "normal_sides": [str(account.normal_side) for account in opened],
        "balance_limits": [account.balance_limit and str(account.balance_limit) for account in opened],
        "item_required": [account.item_required for account in opened],
        "opened_by": [account.opened_by for account in opened],
    }
    await connection.execute(_INSERT, {"book": book, **rows})


async def close(connection: AsyncConnection, book: str, code: str, actor: str, reason: str) -> Account:
    """Marks an account closed, by whom and why, and returns it."""
    asked = {"its_book": book, "its_code": code, "actor": actor, "reason": reason}
    return _account((await connection.execute(_CLOSE, asked)).one())


async def find(
    connection: AsyncConnection, book: str, prefix: str = "", after: str = "", limit: int | None = None
) -> list[Account]:
    """Accounts at and below a prefix, in the order of their codes, those after a code only."""
    wanted = select(accounts).where(accounts.c.book == book, accounts.c.code > after)
    if prefix:
        below = accounts.c.code.between(f"{prefix}:", f"{prefix};")
        wanted = wanted.where((accounts.c.code == prefix) | below)
    rows = await connection.execute(wanted.order_by(accounts.c.code).limit(limit))
    return [_account(row) for row in rows]


async def sums(
    connection: AsyncConnection,
    book: str,
    code: str,
    as_of: date | None,
    known: int = ALL_RECORDED,
    *,
    below: bool,
) -> tuple[dict[str, Totals], int]:
    """Totals by currency of an account, or of all at and below it, and how many accounts those are.

    Up to a day or altogether, as known at an entry. Those of several accounts may exceed 63 bits.
    """
    until = as_of.isoformat() if as_of else "infinity"
    asked = {"book": book, "code": code, "below": below, "as_of": until, "as_known_at": known}
    rows = (await connection.execute(query("ledger.accounts", "balance.sql"), asked)).all()
    found = {row.currency: Totals(int(row.debits), int(row.credits)) for row in rows}
    return found, sum(row.account_count for row in rows)


async def oldest_clearing(connection: AsyncConnection) -> dict[str, date]:
    """Since when the oldest payment waits for its deposit, by book."""
    rows = await connection.execute(_OLDEST_CLEARING, {"clearing": chart.REMITTANCE_CLEARING})
    return {row.book: row.since for row in rows}


def _account(row: Row[Any]) -> Account:
    return Account(
        code=row.code,
        currency=row.currency,
        normal_side=Side(row.normal_side),
        balance_limit=BalanceLimit(row.balance_limit) if row.balance_limit else None,
        item_required=row.item_required,
        opened_by=row.opened_by,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        closed_by=row.closed_by or "",
        close_reason=row.close_reason or "",
    )
