"""`ledger period`: months on the command line, and that its page in the docs shows what there is."""

import re
from pathlib import Path

import pytest
from serving import Ledger, cr, dr
from test_command import Called, called, without_log
from test_periods import APRIL, IN_APRIL, MAY, closed, in_use, listed
from test_readme import blocks
from typer.testing import CliRunner

from service.__main__ import app

__all__ = ["called"]
DOCS = (Path(__file__).parent.parent / "docs" / "periods.md").read_text()
SUSPENSE = "Liabilities:Suspense:AETNA"


@pytest.fixture
def books(ledger: Ledger) -> Ledger:
    """Its book has an entry in April, and 5.00 in suspense since the end of March."""
    in_use(ledger, "main")
    ledger.post("2026-03-30", dr("Assets:Cash", "5.00"), cr(SUSPENSE, "5.00", "one"))
    return ledger


def test_a_month_from_the_check_to_the_close(books: Ledger, called: Called) -> None:
    def said(*words: str, code: int = 0) -> str:
        ended, text = called("period", *words, database_url=books.url)
        assert (ended or 0) == code, text
        return without_log(text)

    about = ("--reason", "reconciled")
    assert said("soft-close", "2026-03", *about) == "2026-03 of main is soft-closed\n"
    assert listed(books) == [("2026-03", "soft-closed", 1)]
    closed_march = said("close", "2026-03", *about)
    assert re.fullmatch(r"2026-03 of main is closed after entry 2 under hash [0-9a-f]{64}\n", closed_march)
    found = said("check", APRIL, code=1)
    assert f"in the way: suspense {SUSPENSE} one -5.00 USD since 2026-03-30, 31 days" in found
    assert re.search(r"Assets:Cash +│ USD +│ +15.00 │ +0.00 │ +15.00", found)
    assert "1 finding stands in the way" in said("close", APRIL, *about, code=1)
    taken = ("--override-by", "cfo", "--override-reason", "AETNA was asked")
    said("close", APRIL, *about, *taken)
    assert said("check", MAY, "--days", "30", code=1)
    shown = said("show", APRIL)
    assert shown.startswith("2026-04 of main is closed by ")
    assert "frozen after entry 2 under hash" in shown
    assert said("show", MAY) == "2026-05 of main is open\n"
    assert [line.split("\t")[:3] for line in said("list", "--history").splitlines()] == [
        ["2026-03", "soft-closed", "1"],
        ["2026-03", "closed", "2"],
        ["2026-04", "closed", "1"],
    ]
    assert len(said("list").splitlines()) == 2


REFUSED = {
    "no such book": (("close", APRIL, "--reason", "r", "--book", "nowhere"), "no book nowhere"),
    "no month": (("close", "april", "--reason", "r"), "month is not a month"),
    "no reason": (("soft-close", APRIL, "--reason", " "), "reason is required"),
    "too wide a limit": (("check", APRIL, "--days", "31"), "--days is 0 to 30"),
    "half an override": (
        ("close", APRIL, "--reason", "r", "--override-by", "cfo"),
        "--override-reason is required",
    ),
    "a close out of order": (("close", APRIL, "--reason", "r"), "2026-03 is not closed"),
}


def test_what_cannot_be_is_one_sentence(books: Ledger, called: Called) -> None:
    for case, (words, sentence) in REFUSED.items():
        code, said = called("period", *words, database_url=books.url)
        assert (code, said.count("\n")) == (1, 1), (case, said)
        assert said.startswith("ledger: "), case
        assert sentence in said, case
    assert listed(books) == []


def test_the_report_of_service_months_ties(books: Ledger, called: Called) -> None:
    closed(books, "2026-03")
    code, said = called("report", "service-months", "--as-of", IN_APRIL, database_url=books.url)
    assert not code
    assert "revenue 0.00 USD" not in said
    assert "service month" in said


def test_the_docs_show_what_there_is() -> None:
    """Every command that the page shows, with its options."""
    shown = [line.split("#")[0] for block in blocks("sh", DOCS) for line in block.splitlines()]
    commands = [line.split()[1:] for line in shown if line.startswith("ledger ")]
    assert len(commands) >= 6
    for name, which, *rest in commands:
        helped = CliRunner().invoke(app, [name, which, "--help"], env={"COLUMNS": "200"})
        assert helped.exit_code == 0, helped.output
        for option in (word for word in rest if word.startswith("--")):
            assert option in helped.output
