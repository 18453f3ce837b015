"""An export is checked by the programs it is written for, and their balances are ours, account by account."""

import asyncio
import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from serving import Ledger, cr, dr, entry, key, payout, session, usd, written

from ledger.database import engine, reading
from ledger.errors import BookNotFound
from ledger.reports import export
from ledger.v1 import accounts_pb2 as accounts
from ledger.v1 import postings_pb2 as postings
from ledger.v1 import reports_pb2 as reports

TOOLS = Path(sys.executable).parent
BEANCOUNT_BALANCES = """
import json, sys
from beancount import loader
from beancount.core.realization import iter_children, realize
entries, errors, options = loader.load_file(sys.argv[1])
assert not errors, errors
found = {}
for node in iter_children(realize(entries)):
    for position in node.balance:
        found[node.account] = f"{position.units.number} {position.units.currency}"
print(json.dumps(found))
"""
HOSTILE = 'a "quote", a \\ backslash; a comma, [2027-01-01] date:2027-01-02 | pipe * ! 100% é 🙂'


async def _exported(url: str, form: str, book: str) -> list[str]:
    database = engine(url)
    try:
        async with reading(database) as connection:
            return [line async for line in export.lines(connection, book, form)]
    finally:
        await database.dispose()


def exported(ledger: Ledger, form: str, folder: Path, book: str = "main") -> Path:
    file = folder / f"{book}.{form}"
    file.write_text("".join(f"{line}\n" for line in asyncio.run(_exported(ledger.url, form, book))))
    return file


def ran(*command: str | Path) -> str:
    done = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ours(ledger: Ledger) -> dict[str, str]:
    """Every account that is not at zero, with its balance as plain digits, debit positive."""
    asked = reports.GetTrialBalanceRequest(book="main", as_of="9999-12-31")
    found = {}
    for row in ledger.reports.GetTrialBalance(asked).rows:
        amount = row.balance.amount
        sign = "-" if row.balance.side == accounts.SIDE_CREDIT else ""
        if amount.minor_units:
            found[row.account] = f"{sign}{written(amount)} {amount.currency_code}"
    return found


@pytest.fixture
def hledger() -> str:
    if program := shutil.which("hledger"):
        return program
    pytest.skip("hledger is not installed (Debian, Ubuntu: apt-get install hledger)")


@pytest.fixture
def books(ledger: Ledger) -> Ledger:
    """Hostile texts, three currencies, codes in lower case, an account with accounts below it, back-dating."""
    ledger.postings.RecordSession(session("C1", charge="200.00", patient_share="20.00"))
    ledger.postings.PayProvider(payout("ada", "105.00"))
    ledger.postings.RecordSession(session(HOSTILE[:60], "2026-01-02", payer="Blue, Cross; [CA]", provider="zoë"))
    for code, currency in (("Assets:petty", "USD"), ("Equity:x-1:yen", "JPY"), ("Equity:9:dinar", "BHD")):
        opening = accounts.OpenAccountRequest(book="main", code=code, currency_code=currency)
        ledger.accounts.OpenAccount(opening)
    for code, currency in (("Assets:Petty:Till", "USD"), ("Assets:yen", "JPY"), ("Assets:dinar", "BHD")):
        opening = accounts.OpenAccountRequest(book="main", code=code, currency_code=currency)
        ledger.accounts.OpenAccount(opening)
    about = postings.Dimensions(plan=HOSTILE[:90], charge=usd("0.01"), service_date="2026-02-28")
    hostile = entry(
        "2026-03-01",
        dr("Assets:petty", "5.05", item=HOSTILE[:90]),
        cr("Assets:Petty:Till", "0.06"),
        cr("Assets:Cash", "4.99"),
        description=HOSTILE,
        dimensions=about,
    )
    ledger.postings.PostEntry(postings.PostEntryRequest(book="main", entry=hostile))
    ledger.post(
        "2025-12-31", dr("Assets:yen", "1234567", currency="JPY"), cr("Equity:x-1:yen", "1234567", currency="JPY")
    )
    ledger.post(
        "2026-04-01", dr("Assets:dinar", "1.001", currency="BHD"), cr("Equity:9:dinar", "1.001", currency="BHD")
    )
    wrong = ledger.post(
        "2026-06-30", dr("Assets:Cash", "9999999999999.99"), cr("Revenue:Interest", "9999999999999.99")
    )
    ledger.postings.ReverseEntry(
        postings.ReverseEntryRequest(
            book="main",
            idempotency_key=key(),
            number=wrong.number,
            effective_date="2026-06-30",
            reason="(1) ; typo",
        )
    )
    return ledger


def capitalised(account: str) -> str:
    return ":".join(part[:1].upper() + part[1:] for part in account.split(":"))


def test_beancount_accepts_it_and_agrees(books: Ledger, tmp_path: Path) -> None:
    file = exported(books, "beancount", tmp_path)
    assert ran(TOOLS / "bean-check", file) == ""
    found = json.loads(ran(sys.executable, "-c", BEANCOUNT_BALANCES, file))
    assert found == {capitalised(account): balance for account, balance in ours(books).items()}


def test_hledger_accepts_it_and_agrees(books: Ledger, tmp_path: Path, hledger: str) -> None:
    file = exported(books, "hledger", tmp_path)
    assert ran(hledger, "-f", file, "check", "--strict") == ""
    rows = csv.DictReader(io.StringIO(ran(hledger, "-f", file, "balance", "--flat", "--output-format=csv")))
    assert {row["account"]: row["balance"] for row in rows if row["account"] != "total"} == ours(books)


def test_hledger_reads_no_date_from_a_text(books: Ledger, tmp_path: Path, hledger: str) -> None:
    file = exported(books, "hledger", tmp_path)
    register = ran(hledger, "-f", file, "register", "--output-format=csv", "date:2027-")
    assert register.strip().splitlines() == ['"txnidx","date","code","description","account","amount","total"']


@pytest.mark.parametrize("form", ["beancount", "hledger"])
def test_a_cent_too_many_is_noticed(books: Ledger, tmp_path: Path, form: str) -> None:
    if form == "hledger" and not shutil.which("hledger"):
        pytest.skip("hledger is not installed (Debian, Ubuntu: apt-get install hledger)")
    file = exported(books, form, tmp_path)
    text = file.read_text()
    assert text.count("-4.99 USD") == 1
    file.write_text(text.replace("-4.99 USD", "-5.00 USD").replace("5.05 USD", "5.06 USD", 1))
    checked = [str(TOOLS / "bean-check"), file] if form == "beancount" else ["hledger", "-f", file, "check"]
    assert subprocess.run(list(map(str, checked)), check=False, capture_output=True).returncode != 0


def test_texts_come_through_beancount_unchanged(books: Ledger, tmp_path: Path) -> None:
    file = exported(books, "beancount", tmp_path)
    program = (
        "import json, sys; from beancount import loader;"
        "entries, _, _ = loader.load_file(sys.argv[1]);"
        "print(json.dumps([[e.narration, e.meta['plan'], e.postings[0].meta['item'], e.meta['number']]"
        " for e in entries if getattr(e, 'meta', {}).get('plan')]))"
    )
    assert json.loads(ran(sys.executable, "-c", program, file)) == [[HOSTILE, HOSTILE[:90], HOSTILE[:90], "4"]]


def test_more_entries_than_a_page(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE", 2)
    for claim in "12345":
        ledger.postings.RecordSession(session(f"C{claim}"))
    file = exported(ledger, "beancount", tmp_path)
    assert file.read_text().count("\n  number: ") == 5
    assert ran(TOOLS / "bean-check", file) == ""


@pytest.mark.parametrize("form", ["beancount", "hledger"])
def test_an_empty_book_is_an_empty_journal(ledger: Ledger, tmp_path: Path, form: str) -> None:
    file = exported(ledger, form, tmp_path)
    assert "main entity (main)" in file.read_text()
    if form == "beancount":
        assert ran(TOOLS / "bean-check", file) == ""


def test_the_last_day_of_the_calendar(ledger: Ledger, tmp_path: Path) -> None:
    """There is no morning after it on which beancount could assert a balance."""
    ledger.post("9999-12-31", dr("Assets:Cash", "1.00"), cr("Revenue:Interest", "1.00"))
    assert ran(TOOLS / "bean-check", exported(ledger, "beancount", tmp_path)) == ""


def test_no_such_book(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(BookNotFound):
        exported(ledger, "hledger", tmp_path, "nobody")
