"""Balances that payers carry forward: one item of the worklist for each, for as long as it is open."""

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from payers import SIGNED, Payer, deliver, file, plb, remittance
from serving import Ledger, cr, dr, key, open_book, written
from test_approvals import by
from test_command import Called, called
from test_denials import swept
from test_worklist import assigned, closing, got, listed, only, shown, told

from ledger.v1 import postings_pb2 as po
from reconciliation.v1 import reconciliation_pb2 as pb
from reconciliation.v1 import worklist_pb2 as wl

__all__ = ["called"]
ROOT = Path(__file__).parents[1]
CIGNA = Payer("CIGNA", "62308", "1999999999")
CARRIED = "Liabilities:ForwardBalances"
_books, _traces = count(1), count(1)


@pytest.fixture
def books(server: Ledger) -> Iterator[Ledger]:
    """A book that knows two payers; in the end everything adds up."""
    mine = server.of(f"carrying-{next(_books)}")
    open_book(mine, mine.book)
    for payer, signed in (("AETNA", SIGNED), ("CIGNA", CIGNA.signed)):
        asked = pb.IdentifyPayerRequest(book=mine.book, payer=payer, identifiers=[signed], reason="so it signs")
        mine.reconciliation.IdentifyPayer(asked)
    yield mine
    assert mine.wrong() == []


def mailed(books: Ledger, *pairs: tuple[str, str, str], day: str = "2026-06-05", **more: Any) -> bytes:
    """A payment of nothing but these adjustments, made even by interest."""
    net = sum(round(float(amount) * 100) for *_, amount in pairs)
    even = ("L6", "I", f"{-net / 100:.2f}")
    data = file(remittance("0.00", f"T{next(_traces)}", plb(*pairs, even), day=day, **more))
    deliver(books, data, books.book)
    return data


def stands(books: Ledger, *narrowed: Any) -> list[str]:
    """What is listed: reference, amount and since when."""
    found = (one.exception for one in listed(books))
    return [f"{one.detail.split()[-1]} {written(one.amount)} {one.since}" for one in found]


def closed(books: Ledger) -> wl.Item:
    return only(books, state=wl.ITEM_STATE_CLOSED)


def test_it_opens_with_what_is_carried_and_closes_with_what_takes_it_in(books: Ledger) -> None:
    mailed(books, ("FB", "F1", "-50.00"))
    item = only(books, as_of="2026-07-05")
    assert (shown([item]), item.payer, item.trace) == (["forward_balance_open "], "AETNA", f"T{next(_traces) - 1}")
    assert stands(books) == ["F1 50.00 2026-06-05"]
    assert item.age_days == 30
    assert item.exception.detail == "50.00 is carried forward under reference F1"
    assert only(books, as_of="2026-07-05", least_age_days=30) == item
    assert listed(books, as_of="2026-07-05", least_age_days=31) == []
    assert books.control(CARRIED) == "50.00 Cr"
    assigned(books, item, "mia")
    mailed(books, ("FB", "F1", "30.00"), day="2026-06-19")
    assert stands(books) == ["F1 50.00 2026-06-05"], "what was at stake when it was opened"
    mailed(books, ("WO", "F1", "20.00"), day="2026-07-03")
    assert listed(books) == []
    assert told(books, item) == ["assigned mia mia", "settled mia local"]
    last = got(books, item).history[-1]
    assert last.note == "nothing is open any more under F1"
    taken = books.entries()[last.entry_number - 1].postings[0]
    assert (taken.account, taken.item, taken.amount.minor_units) == (f"{CARRIED}:AETNA", "F1", 20_00)
    assert books.control(CARRIED) == "0.00"


def test_a_balance_that_is_carried_on_and_on_is_one_item(books: Ledger) -> None:
    """Under another reference each time; whose it is stays, and so does the day from which it is old."""
    first = mailed(books, ("FB", "F1", "-100.00"))
    item = only(books)
    assigned(books, item, "mia")
    second = mailed(books, ("FB", "F1", "100.00"), ("FB", "F2", "-40.00"), day="2026-06-19")
    third = mailed(books, ("FB", "F3", "-25.00"), ("FB", "F2", "40.00"), day="2026-07-03")
    assert stands(books) == ["F1 100.00 2026-06-05"]
    assert (only(books).exception.id, told(books, item)) == (item.exception.id, ["assigned mia mia"])
    assert books.control(CARRIED) == "25.00 Cr"
    mailed(books, ("WO", "F3", "25.00"), day="2026-07-17")
    assert listed(books) == []
    assert told(books, item)[1:] == ["settled mia local"]
    assert got(books, item).history[-1].note == "nothing is open any more under F1, F2, F3"
    for again in (first, second, third):
        deliver(books, again, books.book)
    assert (listed(books), len(told(books, item))) == ([], 2)


def test_two_balances_are_two_items(books: Ledger) -> None:
    """What is taken in together and carried on as one is a third: nothing says which of the two goes on."""
    mailed(books, ("FB", "F1", "-50.00"), ("FB", "F2", "-30.00"))
    mailed(books, ("FB", "F1", "-7.00"), payer=CIGNA)
    assert sorted(stands(books)) == ["F1 50.00 2026-06-05", "F1 7.00 2026-06-05", "F2 30.00 2026-06-05"]
    pairs = ("FB", "F1", "50.00"), ("FB", "F2", "30.00"), ("FB", "F3", "-10.00")
    mailed(books, *pairs, day="2026-06-19")
    assert sorted(stands(books)) == ["F1 7.00 2026-06-05", "F3 10.00 2026-06-19"]
    mailed(books, ("FB", "F3", "4.00"), ("FB", "F4", "-6.00"), day="2026-07-03")
    assert sorted(stands(books)) == ["F1 7.00 2026-06-05", "F3 10.00 2026-06-19", "F4 6.00 2026-07-03"]
    assert books.control(CARRIED) == "19.00 Cr"


def test_a_reference_that_is_used_again_opens_its_item_again(books: Ledger) -> None:
    mailed(books, ("FB", "F1", "-50.00"))
    item = only(books)
    mailed(books, ("FB", "F1", "50.00"), day="2026-06-19")
    mailed(books, ("FB", "F1", "-30.00"), day="2026-07-03")
    assert (only(books).exception.id, stands(books)) == (item.exception.id, ["F1 50.00 2026-06-05"])
    assert told(books, item) == ["settled - local", "opened_again - local"]
    assert got(books, item).history[-1].note == "30.00 is carried forward under reference F1"


def test_what_never_was_open_is_no_item(books: Ledger) -> None:
    """Announced and taken in by the same payment; taken in before it was announced."""
    mailed(books, ("FB", "F1", "-50.00"), ("FB", "F1", "50.00"))
    mailed(books, ("FB", "F2", "30.00"))
    assert shown(listed(books)) == ["takeback_unexplained "]
    mailed(books, ("FB", "F2", "-30.00"))
    assert listed(books) == []


def test_under_no_reference_it_is_open_under_its_own_place(books: Ledger) -> None:
    """No later payment can name it: somebody has to ask the payer."""
    mailed(books, ("FB", "", "-50.00"))
    assert re.fullmatch(r"50.00 is carried forward under reference \S{36}:PLB:1", only(books).exception.detail)


# --- what is done and undone by hand ------------------------------------------------------------------


def undone(books: Ledger, number: int) -> None:
    asked = po.ReverseEntryRequest(
        book=books.book, number=number, effective_date="2026-08-01", reason="wrong", idempotency_key=key()
    )
    books.postings.ReverseEntry(asked)


def test_what_undoes_the_taking_in_opens_it_again(books: Ledger) -> None:
    mailed(books, ("FB", "F1", "-50.00"))
    item = only(books)
    mailed(books, ("FB", "F1", "50.00"), day="2026-06-19")
    assert listed(books) == []
    _, taking, *_ = [entry.number for entry in books.entries(account=f"{CARRIED}:AETNA")]
    undone(books, taking)
    books.loop.run(swept(books.url))
    assert stands(books) == ["F1 50.00 2026-06-05"]
    again = got(books, item).history[-1]
    assert again.note == "50.00 is open again under F1, by reversal"
    books.post("2026-08-02", dr(f"{CARRIED}:AETNA", "50.00", "F1"), cr("Revenue:Interest", "50.00"))
    books.loop.run(swept(books.url))
    assert listed(books) == []
    assert [line.split()[0] for line in told(books, item)] == ["settled", "opened_again", "settled"]
    assert got(books, item).history[-1].note == "by manual on F1"
    assert got(books, item).history[-1].entry_number == books.entries()[-1].number
    books.loop.run(swept(books.url))
    assert len(told(books, item)) == 3


def test_what_a_person_has_closed_stays_closed(books: Ledger) -> None:
    """Until more is carried under it."""
    mailed(books, ("FB", "F1", "-50.00"))
    item = only(books)
    books.worklist.CloseItem(closing(books, wl.CloseItemRequest, item), metadata=by("mia"))
    mailed(books, ("FB", "F1", "50.00"), ("FB", "F2", "-20.00"), day="2026-06-19")
    books.post("2026-06-20", dr(f"{CARRIED}:AETNA", "1.00", "F2"), cr("Revenue:Interest", "1.00"))
    assert listed(books) == []
    mailed(books, ("FB", "F2", "-70.00"), day="2026-07-03")
    assert only(books).exception.id == item.exception.id
    assert told(books, item) == ["closed - mia", "opened_again - local"]


# --- what was open before there were such items -------------------------------------------------------


def test_what_is_open_already_gets_its_item(books: Ledger) -> None:
    """The migration makes one for each balance that is open, and none for what was taken in."""
    mailed(books, ("FB", "F1", "-50.00"), ("FB", "F2", "-30.00"))
    mailed(books, ("FB", "F1", "20.00"), ("FB", "F2", "30.00"), ("FB", "", "-5.00"), day="2026-06-19")
    sql = (ROOT / "migrations/versions/0015_decisions.sql").read_text()
    [statement] = re.findall(r"^WITH carried AS .*?;$", sql, re.DOTALL | re.MULTILINE)
    with psycopg.connect(books.url.replace("+psycopg", "", 1)) as owner:
        for table in ("forward_balances", "exception_events"):
            owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_never_change")
            owner.execute(f"DELETE FROM {table}")
        owner.execute("DELETE FROM exceptions")
        owner.execute(statement)
        found = owner.execute(
            "SELECT f.item, x.amount, x.currency, CAST(x.since AS text), x.line, x.closed_at"
            " FROM forward_balances AS f JOIN exceptions AS x ON x.book = f.book AND x.id = f.exception"
            " WHERE f.book = %s ORDER BY x.amount DESC",
            [books.book],
        ).fetchall()
        owner.rollback()
    assert [(re.sub(r"\S{36}:", "", item), *rest) for item, *rest in found] == [
        ("F1", 30_00, "USD", "2026-06-05", 0, None),
        ("PLB:3", 5_00, "USD", "2026-06-19", 0, None),
    ]


def test_the_check_finds_a_balance_without_an_item(books: Ledger) -> None:
    mailed(books, ("FB", "F1", "-50.00"), ("FB", "F2", "-30.00"))
    check = (ROOT / "reconciliation/reports/integrity.sql").read_text()
    with psycopg.connect(books.url.replace("+psycopg", "", 1)) as owner:
        owner.execute("ALTER TABLE forward_balances DISABLE TRIGGER forward_balances_never_change")
        owner.execute("DELETE FROM forward_balances WHERE book = %s AND item = 'F2'", [books.book])
        found = [row for row in owner.execute(check) if row[1] == books.book]
        owner.rollback()
    assert found == [("carried_forward_has_its_item", books.book, f"{CARRIED}:AETNA F2", "an item", "none")]


def test_the_command_lists_it_by_its_own_day(called: Called, books: Ledger) -> None:
    mailed(books, ("FB", "F1", "-50.00"))
    asked = ("worklist", "list", "--book", books.book, "--reason", "forward_balance_open", "--as-of", "2026-06-08")
    for age, expected in (("3", "1 item"), ("4", "0 items")):
        code, said = called(*asked, "--least-age", age, database_url=books.url)
        assert not code
        assert said.splitlines()[-1] == expected
