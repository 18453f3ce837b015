"""`ledger code` and `ledger cover`: what the mail room is told by people on the command line."""

import pytest
from serving import Ledger, open_book, session
from test_command import Called, called, without_log

from reconciliation.v1 import codes_pb2 as co
from reconciliation.v1 import coverage_pb2 as cv

__all__ = ["called"]
LATER = ("--from", "2026-07-01", "--reason", "the new contract")


@pytest.fixture
def books(ledger: Ledger) -> Ledger:
    """The book `main`, with a claim C1 of AETNA."""
    open_book(ledger, "main")
    ledger.postings.RecordSession(session(book="main", claim="C1", payer="AETNA"))
    return ledger


def said(books: Ledger, called: Called, *words: str, code: int = 0) -> str:
    ended, text = called(*words, database_url=books.url)
    assert (ended or 0) == code, text
    return without_log(text)


def test_codes_are_said_and_listed(books: Ledger, called: Called) -> None:
    adjusted = ("code", "set-adjustment", "CO-253", *LATER)
    expected = "CO-253 is contractual from 2026-07-01 on, revision 1\n"
    assert said(books, called, *adjusted, "--bucket", "contractual", "--payer", "AETNA") == expected
    account = ("code", "set-provider-level", "ZZ", *LATER, "--account", "payer_adjustments")
    assert said(books, called, *account) == "ZZ is payer_adjustments from 2026-07-01 on, revision 2\n"
    assert said(books, called, *adjusted) == "CO-253 is as shipped from 2026-07-01 on, revision 3\n"
    lines = [line.split("\t") for line in said(books, called, "code", "list").splitlines()]
    assert [line[:5] for line in lines] == [
        ["3", "CO-253", "every payer", "from 2026-07-01", "as shipped"],
        ["2", "ZZ", "every payer", "from 2026-07-01", "payer_adjustments"],
        ["1", "CO-253", "AETNA", "from 2026-07-01", "contractual"],
    ]
    assert {line[6] for line in lines} == {"the new contract"}
    found = books.meanings.ListCodes(co.ListCodesRequest(book="main")).meanings
    assert [(one.revision, one.meaning, one.set_by) for one in found] == [
        (int(line[0]), line[4].replace("as shipped", ""), line[5]) for line in lines
    ]


def test_covers_are_said_and_listed(books: Ledger, called: Called) -> None:
    record = ("cover", "record", "C1", "CIGNA", "--reason", "the second card")
    first = said(books, called, *record)
    assert first.split("\t")[:3] == ["C1", "2", "CIGNA"]
    assert first.endswith("\tthe second card\n")
    assert said(books, called, *record) == first
    said(books, called, "cover", "record", "C1", "HUMANA", "--rank", "3", "--reason", "the third")
    listed = said(books, called, "cover", "list", "C1").splitlines()
    assert [line.split("\t")[:3] for line in listed] == [["C1", "2", "CIGNA"], ["C1", "3", "HUMANA"]]
    found = books.coverage.ListCovers(cv.ListCoversRequest(book="main", claim="C1")).covers
    assert [(one.rank, one.payer, one.version) for one in found] == [(2, "CIGNA", 1), (3, "HUMANA", 1)]


REFUSED = {
    "a write-off of what another payer paid": (
        ("code", "set-adjustment", "OA-23", *LATER, "--bucket", "contractual"),
        "OA-23 cannot be contractual",
    ),
    "no reason in the code": (("code", "set-adjustment", "CO", *LATER), "code"),
    "no day": (("code", "set-provider-level", "WO", "--from", "June", "--reason", "r"), "--from"),
    "an empty reason": (("cover", "record", "C1", "CIGNA", "--reason", ""), "--reason"),
    "a rank too many": (("cover", "record", "C1", "CIGNA", "--rank", "10", "--reason", "r"), "rank is 1 to 9"),
    "no such book": (("code", "list", "--book", "nowhere"), "no book nowhere"),
    "no such book of covers": (("cover", "list", "C1", "--book", "nowhere"), "no book nowhere"),
}


@pytest.mark.parametrize(("words", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(books: Ledger, called: Called, words: tuple[str, ...], sentence: str) -> None:
    assert sentence in said(books, called, *words, code=1)
    assert not books.meanings.ListCodes(co.ListCodesRequest(book="main")).meanings
