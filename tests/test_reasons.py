"""Who did it and why: what a person changes leaves both, and what was said before stays."""

import psycopg
import pytest
from serving import Ledger, open_book
from test_approvals import by

from ledger.database import engine, reading
from ledger.v1 import accounts_pb2 as ac
from reconciliation import payer
from reconciliation.v1 import reconciliation_pb2 as pb


@pytest.fixture
def books(server: Ledger, request: pytest.FixtureRequest) -> Ledger:
    book = f"reasons-{abs(hash(request.node.name)) % 10**8}"
    open_book(server, book)
    return server.of(book)


def rows(books: Ledger, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(books.url.replace("+psycopg", "")) as connection:
        return connection.execute(sql.encode(), [books.book]).fetchall()


def test_an_account_is_closed_by_somebody_for_a_reason(books: Ledger) -> None:
    books.accounts.OpenAccount(
        ac.OpenAccountRequest(book=books.book, code="Assets:Petty", currency_code="USD"), metadata=by("mia")
    )
    closing = ac.CloseAccountRequest(book=books.book, code="Assets:Petty", reason="no longer used")
    closed = books.accounts.CloseAccount(closing, metadata=by("abe")).account
    asked = ac.GetAccountRequest(book=books.book, code="Assets:Petty")
    assert books.accounts.GetAccount(asked).account == closed
    assert (closed.opened_by, closed.closed_by, closed.close_reason) == ("mia", "abe", "no longer used")
    kept = rows(books, "SELECT opened_by, closed_by, close_reason FROM accounts WHERE book = %s")
    assert kept == [("mia", "abe", "no longer used")]


def identify(books: Ledger, payer: str, name: str, reason: str, *identifiers: str) -> None:
    asked = pb.IdentifyPayerRequest(book=books.book, payer=payer, identifiers=identifiers, reason=reason)
    books.reconciliation.IdentifyPayer(asked, metadata=by(name))


def test_what_an_identifier_stood_for_before_stays(books: Ledger) -> None:
    """The last word counts; the same again is not written twice."""
    identify(books, "AETNA", "mia", "its letter of May", "1234567893", "1234567893", "AETNA HEALTH")
    identify(books, "CIGNA", "abe", "was mistaken for AETNA", "1234567893")
    identify(books, "CIGNA", "mia", "said once more", "1234567893")
    kept = """
        SELECT identifier, version, payer, identified_by, reason FROM payer_identifiers
        WHERE book = %s ORDER BY identifier, version
    """
    assert rows(books, kept) == [
        ("1234567893", 1, "AETNA", "mia", "its letter of May"),
        ("1234567893", 2, "CIGNA", "abe", "was mistaken for AETNA"),
        ("AETNA HEALTH", 1, "AETNA", "mia", "its letter of May"),
    ]
    assert books.loop.run(payers_of(books, "1234567893")) == {"CIGNA"}
    assert books.loop.run(payers_of(books, "1234567893", "AETNA HEALTH")) == {"AETNA", "CIGNA"}


async def payers_of(books: Ledger, *identifiers: str) -> set[str]:
    database = engine(books.url)
    try:
        async with reading(database) as connection:
            return await payer.payers_of(connection, books.book, identifiers)
    finally:
        await database.dispose()
