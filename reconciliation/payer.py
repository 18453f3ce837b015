"""Which payer of the books somebody is, by the identifiers that it is called by."""

from collections.abc import Collection

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts import chart
from ledger.accounts import store as accounts
from ledger.postings import store as books
from reconciliation.schema import payer_identifiers

_IDENTIFY = text("""
    INSERT INTO payer_identifiers (book, identifier, payer, identified_by, version, reason)
    SELECT :book, said.identifier, :payer, :actor, coalesce(last.version, 0) + 1, :reason
    FROM (SELECT DISTINCT identifier FROM unnest(CAST(:identifiers AS text[])) AS identifier) AS said
    LEFT JOIN LATERAL (
        SELECT version, payer FROM payer_identifiers AS p
        WHERE p.book = :book AND p.identifier = said.identifier ORDER BY version DESC LIMIT 1
    ) AS last ON true
    WHERE last.payer IS DISTINCT FROM :payer
""")


async def known_as(connection: AsyncConnection, book: str, identifiers: Collection[str]) -> str | None:
    """The one payer that identifiers stand for: as a person said, else as the books call it."""
    said = await payers_of(connection, book, identifiers)
    if said:
        return said.pop() if len(said) == 1 else None
    codes = {chart.receivable(one): one for one in identifiers}
    found = {account.code for account, _ in await accounts.read(connection, book, [*codes])}
    called = {codes.get(code) or code.rpartition(":")[2] for code in found}
    called |= await books.payers_of_sessions(connection, book, identifiers)
    return called.pop() if len(called) == 1 else None


async def payers_of(connection: AsyncConnection, book: str, identifiers: Collection[str]) -> set[str]:
    """The payers for which these identifiers stand, as it was said last."""
    table = payer_identifiers.c
    said = select(table.identifier, table.payer).ext(distinct_on(table.identifier))
    last = said.where(table.book == book, table.identifier.in_(identifiers))
    rows = await connection.execute(last.order_by(table.identifier, table.version.desc()))
    return {row.payer for row in rows}


async def identify(
    connection: AsyncConnection, book: str, payer: str, identifiers: Collection[str], actor: str, reason: str
) -> None:
    """Says for which payer identifiers stand, from now on, while the head of the book is held.

    What was said before stays; what is said already is not said again.
    """
    asked = {"book": book, "payer": payer, "identifiers": [*identifiers], "actor": actor, "reason": reason}
    await connection.execute(_IDENTIFY, asked)
