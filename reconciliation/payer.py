"""Which payer of the books somebody is, by the identifiers that it is called by."""

from collections.abc import Collection

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts import chart
from ledger.accounts import store as accounts
from ledger.postings import store as books
from reconciliation import store


async def known_as(connection: AsyncConnection, book: str, identifiers: Collection[str]) -> str | None:
    """The one payer that identifiers stand for: as a person said, else as the books call it."""
    said = await store.payers_of(connection, book, identifiers)
    if said:
        return said.pop() if len(said) == 1 else None
    codes = {chart.receivable(one): one for one in identifiers}
    found = {account.code for account, _ in await accounts.read(connection, book, [*codes])}
    called = {codes.get(code) or code.rpartition(":")[2] for code in found}
    called |= await books.payers_of_sessions(connection, book, identifiers)
    return called.pop() if len(called) == 1 else None
