"""Sums of many accounts beyond 63 bits: refused by name on the wire, never INTERNAL and never another figure.

No account can hold more than 63 bits by itself, and no posting more than a thousandth of that; so everything here
is posted as anybody could post it.
"""

import asyncio
from datetime import date
from typing import Any

import pytest
from serving import BOOK, CR, DR, Ledger, minor, open_book, refused

from ledger.database import engine, reading
from ledger.money import LARGEST
from ledger.reports import report
from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import postings_pb2 as po
from ledger.v1 import reports_pb2 as pb

DAY = "2026-04-08"
LINES = 5_000
EACH = LINES * LARGEST
"""What is posted to each account: two of them are more than 63 bits hold."""
EAST, WEST = "Assets:Receivable:Insurer:AETNA", "Assets:Receivable:Insurer:West:AETNA"
PAIRS = (
    (EAST, "Revenue:Sessions:East"),
    (WEST, "Revenue:Sessions:West"),
    ("Expenses:ProviderServices:East", "Liabilities:Payable:Provider:ada"),
    ("Expenses:ProviderServices:West", "Liabilities:Payable:Provider:bob"),
)


@pytest.fixture(scope="module")
def books(server: Ledger) -> Ledger:
    """Each account holds 5,000 times the largest amount."""
    open_book(server)
    for debited, credited in PAIRS:
        for code in (debited, credited):
            server.accounts.OpenAccount(ac.OpenAccountRequest(book=BOOK, code=code, currency_code="USD"))
        lines = (
            po.Posting(account=debited, side=DR, amount=minor(LARGEST), item="C1"),
            po.Posting(account=credited, side=CR, amount=minor(LARGEST)),
        )
        server.post(DAY, *lines * LINES)
    return server


BEYOND: dict[str, Any] = {
    "the balance of a control account": ac.GetBalanceRequest(book=BOOK, prefix="Assets:Receivable:Insurer"),
    "the same as of a day": ac.GetBalanceRequest(book=BOOK, prefix="Assets:Receivable:Insurer", as_of=DAY),
    "the balance of a type": ac.GetBalanceRequest(book=BOOK, prefix="Liabilities"),
    "the trial balance": pb.GetTrialBalanceRequest(book=BOOK, as_of=DAY),
    "receivables aging": pb.GetReceivablesAgingRequest(book=BOOK, as_of=DAY),
    "provider payables": pb.GetProviderPayablesRequest(book=BOOK, as_of=DAY),
    "session margin": pb.GetSessionMarginRequest(book=BOOK, as_of=DAY),
}


@pytest.mark.parametrize("case", BEYOND)
def test_a_sum_beyond_63_bits_is_refused_by_name(books: Ledger, case: str) -> None:
    request = BEYOND[case]
    name = type(request).__name__.removesuffix("Request")
    call = getattr(books.accounts, name, None) or getattr(books.reports, name)
    found = refused(call, request)
    assert (found.code, found.reason) == ("FAILED_PRECONDITION", "TOTAL_OUT_OF_RANGE")
    assert found.facts == {"currency": "USD"}


def test_its_parts_are_answered(books: Ledger) -> None:
    for code in (EAST, WEST):
        found = books.accounts.GetBalance(ac.GetBalanceRequest(book=BOOK, account=code, as_of=DAY))
        assert found.balances[0].amount.minor_units == EACH


def test_more_than_a_posting_can_hold_is_not_absorbed_at_once(books: Ledger) -> None:
    """What is open of a claim may be more than that; it is absorbed in parts."""
    asked = po.AbsorbDenialRequest(
        book=BOOK,
        idempotency_key="absorb",
        claim="C1",
        payer="AETNA",
        effective_date="2026-04-09",
        reason="unpaid",
    )
    found = refused(books.postings.AbsorbDenial, asked)
    assert (found.reason, found.facts) == ("AMOUNT_INVALID", {"field": "amount", "minor_units": str(EACH)})
    asked.amount.CopyFrom(minor(LARGEST))
    assert books.postings.AbsorbDenial(asked).entry.postings[0].amount.minor_units == LARGEST
    assert books.wrong() == []


async def _asked(url: str, question: report.Question) -> report.Report:
    database = engine(url)
    try:
        async with reading(database) as connection:
            return await report.ask(connection, question, BOOK, date.fromisoformat(DAY))
    finally:
        await database.dispose()


EXACT = {
    # a report, one of its columns, and what it adds up to
    "trial-balance": ("debits", 4 * EACH),
    "statement": ("debits", 4 * EACH),
    "receivables-aging": ("total", 2 * EACH),
    "provider-payables": ("payable", 2 * EACH),
    "session-margin": ("revenue", 2 * EACH),
    "service-months": ("revenue", 2 * EACH),
}


@pytest.mark.parametrize("question", [*report.QUESTIONS, report.STATEMENT], ids=lambda question: question.name)
def test_a_report_itself_has_no_end(books: Ledger, question: report.Question) -> None:
    """Where figures do not travel as 64 bits they are exact however large, and tie to their control totals."""
    column, expected = EXACT[question.name]
    found = asyncio.run(_asked(books.url, question))
    assert found.ties
    assert [str(row[column]) for row in found.totals] == [f"{expected // 100}.{expected % 100:02d} USD"]
