"""A year of books with every kind of entry: two other programs read it, and agree account by account."""

import csv
import io
import json
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest
import serving
from day import worked
from serving import Ledger, entry, key, minor, payout, session
from test_export import BEANCOUNT_BALANCES, TOOLS, capitalised, exported, hledger, ours, ran

from ledger.postings.entry import Kind
from ledger.v1 import allowances_pb2 as al
from ledger.v1 import postings_pb2 as po
from ledger.v1 import reports_pb2 as rp

__all__ = ["hledger"]
YEAR = 2025


@pytest.fixture(scope="module")
def year(server: Ledger) -> Ledger:
    """A year of sessions, payouts, denials, money and allowances, and a day on which everything else happens."""
    serving.open_book(server)
    for month in range(1, 13):
        sessions(server, month)
        server.postings.PayProvider(payout(f"p{month % 3}", f"{month}.50", f"{YEAR}-{month:02}-28"))
        absorbing = {"book": serving.BOOK, "claim": f"Y{month}-0", "effective_date": f"{YEAR}-{month:02}-27"}
        server.postings.AbsorbDenial(po.AbsorbDenialRequest(idempotency_key=key(), reason="too late", **absorbing))
        received(server, month)
    worked(server, serving.BOOK)
    for month in ("2025-09", "2025-12"):
        server.allowances.PostAllowance(al.PostAllowanceRequest(book=serving.BOOK, month=month))
    return server


def sessions(server: Ledger, month: int) -> None:
    for number in range(6):
        day = date(YEAR, month, 1) + timedelta(days=number * 4)
        server.postings.RecordSession(
            session(
                f"Y{month}-{number}",
                day.isoformat(),
                payer=("AETNA", "CIGNA", "Blue Cross, CA")[number % 3],
                provider=f"p{number % 3}",
                allowed=f"{100 + number}.{month:02}",
                rate="90.00",
                patient_share="10.00",
            )
        )


def received(server: Ledger, month: int) -> None:
    """Money for the second claim of the month, and a correction that is reversed at once."""
    units = 10_100 + month - 1_000
    lines = (
        po.Posting(account="Assets:Cash", side=serving.DR, amount=minor(units)),
        po.Posting(
            account="Assets:Receivable:Insurer:CIGNA", side=serving.CR, amount=minor(units), item=f"Y{month}-1"
        ),
    )
    day = f"{YEAR}-{month:02}-28"
    asked = po.PostEntriesRequest(book=serving.BOOK, entries=[entry(day, *lines) for _ in range(2)])
    _, twice = server.postings.PostEntries(asked).results
    server.postings.ReverseEntry(
        po.ReverseEntryRequest(
            book=serving.BOOK,
            idempotency_key=key(),
            number=twice.entry.number,
            effective_date=day,
            reason="posted twice",
        )
    )


RARE = {
    *("claim_adjusted", "payment_suspended", "overpayment_applied", "patient_evened", "provider_charged"),
    *("deposit_applied", "deposit_unapplied", "remainder_written_off"),
}
"""Kinds that this year may go without; the stories have them."""


def test_every_kind_of_entry_is_in_it(year: Ledger) -> None:
    found = {po.Kind.Name(one.kind).removeprefix("KIND_").lower() for one in year.entries()}
    assert {*Kind} - found <= RARE
    assert len(year.entries()) > 120


def test_beancount_agrees_with_the_year(year: Ledger, tmp_path: Path) -> None:
    file = exported(year, "beancount", tmp_path)
    assert ran(TOOLS / "bean-check", file) == ""
    found = json.loads(ran(sys.executable, "-c", BEANCOUNT_BALANCES, file))
    assert found == {capitalised(account): balance for account, balance in ours(year).items()}


def test_hledger_agrees_with_the_year(year: Ledger, tmp_path: Path, hledger: str) -> None:
    file = exported(year, "hledger", tmp_path)
    assert ran(hledger, "-f", file, "check", "--strict") == ""
    said = ran(hledger, "-f", file, "balance", "--flat", "--output-format=csv")
    rows = csv.DictReader(io.StringIO(said))
    assert {row["account"]: row["balance"] for row in rows if row["account"] != "total"} == ours(year)


def test_hledger_agrees_on_the_result_of_each_month(year: Ledger, tmp_path: Path, hledger: str) -> None:
    """Its own income statement against ours, month by month and account by account."""
    file = exported(year, "hledger", tmp_path)
    said = ran(hledger, "-f", file, "incomestatement", "-M", "-b", f"{YEAR}", "-e", f"{YEAR + 1}", "-O", "csv")
    theirs = {
        (row[0], month): row[month]
        for row in csv.reader(io.StringIO(said))
        for month in range(1, 13)
        if len(row) > 12 and ":" in row[0].rstrip(":")
    }
    for month in range(1, 13):
        last = (date(YEAR + month // 12, month % 12 + 1, 1) - timedelta(days=1)).isoformat()
        asked = rp.GetIncomeStatementRequest(book="main", effective_from=f"{YEAR}-{month:02}-01", as_of=last)
        mine = {
            row.account: row.revenue if row.account.startswith("Revenue") else row.expenses
            for row in year.reports.GetIncomeStatement(asked).rows
            if row.result.minor_units
        }
        assert {account: f"{serving.written(amount)} USD" for account, amount in mine.items()} == {
            account: amount for (account, of), amount in theirs.items() if of == month and amount != "0"
        }
