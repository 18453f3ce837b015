"""CSV, XLSX and Parquet: what is read back is what the books hold, to the last digit, and no text is a formula."""

import asyncio
import csv
import hashlib
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import Ledger, cr, dr, entry, session
from test_command import Called, called

from ledger.database import engine, reading
from ledger.money import IN_USE, Amount, fraction_digits, plain
from ledger.reports import export
from ledger.reports.export import JOURNAL
from ledger.reports.report import columns
from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import postings_pb2 as po
from ledger.v1 import reports_pb2
from service.columnar import Parquet
from service.printing import About, Tables, like_a_formula
from service.questions import QUESTIONS
from service.spreadsheet import Xlsx, exact_number, inert

HOSTILE = [
    '=HYPERLINK("http://example.org","x")',
    "=1+1",
    "+1",
    "-2+3",
    "@SUM(A1)",
    "<r><t>rich</t></r>",
    "{=1+1}",
    "http://example.org",
    "internal:Sheet1!A1",
    "00123",
    "1E5",
    "TRUE",
    "#REF!",
]
SMALL = columns("name currency amount:money number:number")


__all__ = ["called"]  # the command in this process, which is quicker


@pytest.fixture
def books(ledger: Ledger) -> Ledger:
    """Texts that a spreadsheet would work out, three currencies, and an amount that no double holds."""
    for text in HOSTILE:
        lines = dr("Assets:Cash", "9650.53"), cr("Revenue:Interest", "9650.53")
        ledger.postings.PostEntry(
            po.PostEntryRequest(book="main", entry=entry("2026-01-05", *lines, description=text))
        )
    ledger.postings.RecordSession(session("=1+1", plan="@plan", charge="150.00"))
    for code, currency in (
        ("Assets:Yen", "JPY"),
        ("Equity:Yen", "JPY"),
        ("Assets:Dinar", "BHD"),
        ("Equity:Dinar", "BHD"),
    ):
        opening = ac.OpenAccountRequest(book="main", code=code, currency_code=currency)
        ledger.accounts.OpenAccount(opening)
    for name, largest, currency in (("Yen", "1000000000000000", "JPY"), ("Dinar", "123456789012.345", "BHD")):
        ledger.post(
            "2026-02-01",
            dr(f"Assets:{name}", largest, currency=currency),
            cr(f"Equity:{name}", largest, currency=currency),
        )
    return ledger


def cells(path: Path) -> Iterator[list[Any]]:
    """Every cell of every sheet of rows."""
    book = openpyxl.load_workbook(path)
    for sheet in book.worksheets[1:]:
        yield from (list(row) for row in sheet.iter_rows(min_row=2))


def control_sheet(path: Path) -> dict[str, Any]:
    sheet = openpyxl.load_workbook(path)["Control"]
    return {str(row[0]): row[1] for row in sheet.iter_rows(values_only=True) if row[0]}


def exported(called: Called, books: Ledger, form: str, file: Path) -> None:
    code, said_ = called("export", "--format", form, "--output", str(file), database_url=books.url)
    assert code in (0, None), said_
    assert f"{len(books.entries())} entries with " in said_
    assert f"SHA-256 of the file {hashlib.sha256(file.read_bytes()).hexdigest()}\n" in said_


# --- exports ------------------------------------------------------------------------------------------


def test_all_three_tables_hold_the_same_rows(called: Called, books: Ledger, tmp_path: Path) -> None:
    """And say so: the digest of the CSV stands in the other two."""
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    files = {}
    for form in ("csv", "xlsx", "parquet"):
        files[form] = tmp_path / f"book.{form}"
        exported(called, books, form, files[form])
    text = files["csv"].read_bytes()
    digest = hashlib.sha256(text).hexdigest()
    rows = list(csv.DictReader(io.StringIO(text.decode())))
    assert len(rows) == sum(len(one.postings) for one in books.entries())
    assert control_sheet(files["xlsx"])["SHA-256 of the rows as CSV"] == digest
    in_sheets = [[said(cell) for cell in row] for row in cells(files["xlsx"])]
    assert in_sheets == [[as_written(name, value) for name, value in row.items()] for row in rows]
    check_parquet(pq, files["parquet"], rows, digest)


def said(cell: Any) -> str:
    """What a cell of a sheet says: a number to its last digit, with its own decimals."""
    if cell.value is None:
        return ""
    assert cell.data_type in ("n", "s", "inlineStr"), (cell.coordinate, cell.data_type)
    if cell.data_type != "n":
        return str(cell.value)
    digits = len(cell.number_format.partition(".")[2]) if cell.number_format != "General" else 0
    exact = Decimal(str(cell.value))
    assert exact == exact.quantize(Decimal(1).scaleb(-digits))
    return f"{exact:.{digits}f}"


def as_written(name: str, value: str) -> str:
    """A cell of the CSV as the sheet has it: no apostrophe before what is no formula there."""
    bare = value.removeprefix("'") if like_a_formula(value.removeprefix("'")) else value
    return inert(bare) if name == "description" else bare


def check_parquet(pq: Any, path: Path, rows: list[dict[str, str]], digest: str) -> None:
    table = pq.read_table(path)
    about = json.loads(pq.read_metadata(path).metadata[b"session_ledger"])
    assert (about["sha256_of_rows_as_csv"], about["rows"]) == (digest, len(rows))
    assert all(control["ties"] for control in about["controls"])
    assert str(table.schema.field("debits").type) == "decimal128(38, 4)"
    found = table.to_pylist()
    for row, line in zip(found, rows, strict=True):
        units = int(line["minor_units"])
        assert row["minor_units"] == units
        assert row["debits"] - row["credits"] == Decimal(units).scaleb(-fraction_digits(line["currency"]))
        assert row["effective_date"] == date.fromisoformat(line["effective_date"])
    assert [row["description"] for row in found[: 2 * len(HOSTILE) : 2]] == HOSTILE


def test_an_amount_that_no_double_holds_is_text(called: Called, books: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "journal.xlsx"
    exported(called, books, "xlsx", path)
    debits = JOURNAL.columns.index(next(c for c in JOURNAL.columns if c.name == "debits"))
    found = [row[debits] for row in cells(path)]
    assert ("1000000000000000", "inlineStr") in {(cell.value, kind(cell)) for cell in found}
    assert 123456789012.345 in {cell.value for cell in found if cell.data_type == "n"}


def kind(cell: Any) -> str:
    return "inlineStr" if cell.data_type in ("s", "inlineStr") else str(cell.data_type)


def test_no_text_is_a_formula(called: Called, books: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "list.xlsx"
    asked = ("report", "manual-entries", "--as-of", "2026-12-31")
    called(*asked, "--format", "xlsx", "--output", str(path), database_url=books.url)
    found = [cell for row in cells(path) for cell in row]
    assert {cell.data_type for cell in found} <= {"n", "s", "inlineStr"}
    assert {text for text in HOSTILE if not text.startswith("<r>")} <= {cell.value for cell in found}
    assert all(cell.quotePrefix for cell in found if isinstance(cell.value, str) and like_a_formula(cell.value))
    called(*asked, "--format", "csv", "--output", str(tmp_path / "list.csv"), database_url=books.url)
    said_ = (tmp_path / "list.csv").read_text()
    reasons = [row["reason"] for row in csv.DictReader(io.StringIO(said_))]
    assert [reason for reason in reasons if like_a_formula(reason)] == []
    assert "'=1+1" in reasons


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@1", "\t=1", "\r=1"])
def test_what_looks_like_a_formula(text: str) -> None:
    assert like_a_formula(text)


def test_the_control_sheet_says_what_it_is(called: Called, books: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "trial.xlsx"
    words = ("report", "trial-balance", "--as-of", "2026-12-31", "--as-known-at", "3")
    called(*words, "--format", "xlsx", "--output", str(path), database_url=books.url)
    found = control_sheet(path)
    assert (found["book"], found["as of"], found["as known at entry"], found["rows"]) == (
        "main",
        "2026-12-31",
        "3",
        "2",
    )
    assert found["debits 28,951.59 USD equals credits 28,951.59 USD"] == "yes"
    called(*words, "--format", "csv", "--output", str(tmp_path / "trial.csv"), database_url=books.url)
    assert found["SHA-256 of the rows as CSV"] == hashlib.sha256((tmp_path / "trial.csv").read_bytes()).hexdigest()


def test_the_table_of_reports_is_complete() -> None:
    """Every name and every method stands in docs/reports.md, and nothing else does."""
    table = (Path(__file__).parents[1] / "docs" / "reports.md").read_text()
    rows_ = re.findall(r"^\| .* \| `([a-z-]+)` \| (?:`(\w+)`|–) \| .* \|$", table, re.MULTILINE)
    assert {name for name, _ in rows_} == QUESTIONS.keys()
    methods = {method.name for method in reports_pb2.DESCRIPTOR.services_by_name["ReportsService"].methods}
    elsewhere = {
        *("ListProposals", "ListExceptions", "GetServiceMonths", "GetProviderStatement", "ListDenials"),
        *("ListOpenBalances", "GetCashInTransit", "GetUnappliedCash"),
        *("GetRemittanceSummary", "GetAutomaticRate", "GetDenialsByCode"),
        *("GetUnderpayments", "ListUnderpaidClaims"),
    }
    assert {rpc for _, rpc in rows_} == methods | elsewhere | {""}


# --- the forms by themselves --------------------------------------------------------------------------


def rows(amounts: Iterable[Amount]) -> list[dict[str, Any]]:
    return [
        {"name": f"row {number}", "currency": one.currency, "amount": one, "number": number}
        for number, one in enumerate(amounts)
    ]


def test_a_full_sheet_is_followed_by_the_next(tmp_path: Path) -> None:
    """Each with its headings; a sheet holds 1,048,576 rows, here four."""
    path, written = tmp_path / "many.xlsx", rows(Amount(n, "USD") for n in range(10))
    with Xlsx(path, rows_a_sheet=4) as writer:
        writer.begin(About("many", "main", date(2026, 1, 1), 1, SMALL))
        writer.rows(written[:5])
        writer.rows(written[5:])
        writer.end([], [])
    book = openpyxl.load_workbook(path)
    assert [sheet.max_row for sheet in book.worksheets[1:]] == [4, 4, 4, 2]
    assert {sheet["A1"].value for sheet in book.worksheets[1:]} == {"name"}
    assert [row[3].value for row in cells(path)] == [*range(10)]


def test_without_pyarrow_it_says_how_to_have_it(
    called: Called, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    arguments = ("export", "--format", "parquet", "--output", str(tmp_path / "a"))
    code, said_ = called(*arguments, database_url=ledger.url)
    assert (code, said_) == (1, "ledger: Parquet needs pyarrow: pip install 'session-ledger[parquet]'\n")
    assert [*tmp_path.iterdir()] == []


def test_every_report_is_json_and_ties(called: Called, books: Ledger, tmp_path: Path) -> None:
    """All that can be asked by name, written as it is read."""
    needed = {"statement": ["--account", "Assets:Cash"], "income-statement": ["--effective-from", "2026-01-01"]}
    needed["receivables-rollforward"] = needed["income-statement"]
    needed["general-ledger"] = ["--account", "Assets", "--effective-from", "2026-02-01"]
    needed["provider-statement"] = ["--provider", "ada", "--cycle", "2026-04-15"]
    for name in QUESTIONS:
        file = tmp_path / f"{name}.json"
        dated = ["--as-of", "2026-12-31"] if QUESTIONS[name].dated else []
        words = ["report", name, *needed.get(name, []), *dated, "--format", "json", "--output", str(file)]
        code, said_ = called(*words, database_url=books.url)
        assert code in (0, None), said_
        found = json.loads(file.read_text())
        assert [found[word.removeprefix("--").replace("-", "_")] for word in needed.get(name, [])[::2]] == (
            needed.get(name, [])[1::2]
        )
        assert all(control["ties"] for control in found["controls"]), name
        assert found["controls"] or not (QUESTIONS[name].ties and found["totals"])
        assert {*found["rows"][0]} <= {c.name for c in QUESTIONS[name].columns} if found["rows"] else True


UNTIED = {
    "balance-sheet": [],
    "general-ledger": [],
    "statement": ["--account", "Assets:Receivable:Insurer:AETNA"],
    "receivables-aging": [],
    "lag-triangle": [],
    "actors": [],
    "entries-by-actor": [],
}


def test_a_report_that_does_not_tie_says_so(called: Called, books: Ledger, tmp_path: Path) -> None:
    """A cent too much in the totals by day of a receivable: each report finds it by its own control."""
    with psycopg.connect(books.url.replace("+psycopg", "")) as connection:
        connection.execute("UPDATE daily_totals SET debits = debits + 1 WHERE account LIKE '%:AETNA'")
    for name, more in UNTIED.items():
        words = ["report", name, *more, "--as-of", "2026-12-31", "--output", str(tmp_path / name)]
        code, said_ = called(*words, database_url=books.url)
        assert code == 1, name
        assert said_.startswith("ledger: the report does not tie: "), name
        assert "DOES NOT EQUAL" in (tmp_path / name).read_text(), name


def test_a_margin_shows_what_it_is_grouped_by(called: Called, books: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "margin.csv"
    words = ("report", "session-margin", "--as-of", "2026-12-31", "--by", "plan", "--by", "month")
    called(*words, "--format", "csv", "--output", str(file), database_url=books.url)
    [row] = csv.DictReader(io.StringIO(file.read_text()))
    assert (row["plan"], row["month"], row["session_count"]) == ("'@plan", "2026-04", "1")
    assert not row.keys() & {"payer", "state", "licence_type"}


def test_a_long_table_goes_on_in_the_next() -> None:
    """So that no more than a thousand rows are held, and every one is under its headings."""
    out = io.StringIO()
    tables = Tables(out)
    tables.begin(About("many", "main", date(2026, 1, 1), 1, SMALL))
    for _ in range(3):
        tables.rows(rows(Amount(n, "USD") for n in range(600)))
    tables.end([], [])
    assert (out.getvalue().count("Many of main"), out.getvalue().count("continued")) == (3, 2)
    assert out.getvalue().count("row 599 ") == 3


def test_row_groups_are_written_as_they_fill(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    path, written = tmp_path / "many.parquet", rows(Amount(n, "JPY") for n in range(10))
    with Parquet(path, rows_a_group=4) as writer:
        writer.begin(About("many", "main", date(2026, 1, 1), 1, SMALL))
        writer.rows(written)
        writer.end([], [])
    file = pq.ParquetFile(path)
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [4, 4, 2]
    assert [row["amount"] for row in file.read().to_pylist()] == [Decimal(n) for n in range(10)]


@given(st.integers(-(10**18), 10**18), st.sampled_from(sorted(IN_USE)))
def test_a_number_in_a_sheet_is_the_amount_or_text(units: int, currency: str) -> None:
    """Whatever the currency: as the file has it, and as fifteen digits show it. Beyond them it is text."""
    number, exact = exact_number(Amount(units, currency)), Decimal(plain(units, currency))
    assert (number is None) == (abs(units) >= 10**15)
    assert number is None or Decimal(repr(number)) == Decimal(f"{number:.15G}") == exact


def test_an_empty_book_has_headings(called: Called, ledger: Ledger, tmp_path: Path) -> None:
    for form in ("csv", "xlsx"):
        file = tmp_path / f"book.{form}"
        exported(called, ledger, form, file)
    assert (tmp_path / "book.csv").read_text() == ",".join(column.name for column in JOURNAL.columns) + "\n"
    assert [*cells(tmp_path / "book.xlsx")] == []


def test_an_export_that_does_not_tie_leaves_no_file(called: Called, books: Ledger, tmp_path: Path) -> None:
    with psycopg.connect(books.url.replace("+psycopg", "")) as connection:
        connection.execute("UPDATE daily_totals SET debits = debits + 1 WHERE account = 'Assets:Cash'")
    code, said_ = called("export", "--format", "csv", "--output", str(tmp_path / "a"), database_url=books.url)
    assert code == 1
    assert "DOES NOT EQUAL all debits of the accounts" in said_
    assert [*tmp_path.iterdir()] == []


def test_more_entries_than_a_page(books: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is another process, so this asks the export itself."""
    monkeypatch.setattr(export, "PAGE", 3)

    async def walked() -> tuple[int, int, list[bool]]:
        database = engine(books.url)
        try:
            async with reading(database) as connection:
                walk = export.Walk(connection, "main")
                sizes = [len(page) async for page in walk.pages()]
                return len(sizes), sum(sizes), [control.ties for control in await walk.controls()]
        finally:
            await database.dispose()

    pages, count, ties = asyncio.run(walked())
    assert (pages, count) == (-(-len(books.entries()) // 3), sum(len(one.postings) for one in books.entries()))
    assert ties
    assert all(ties)
