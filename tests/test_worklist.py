"""The worklist: whose each item is, what became of it, and two people who reach for the same one."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import grpc
import psycopg
import pytest
from banks import banked, moved, statement
from hypothesis import given, settings
from hypothesis import strategies as st
from payers import claim, deliver, file, plb, remittance
from serving import Ledger, key, open_book, payout, refusal, refused, session, usd
from test_approvals import approved, by, limited, proposed, proposing
from test_books import rolled_forward
from test_command import without_log
from test_denials import swept
from tying import advances_tie
from typer.testing import CliRunner

from ledger.errors import Refusal
from ledger.money import plain
from ledger.v1 import postings_pb2 as po
from ledger.v1 import reports_pb2 as rp
from ledger.v1 import write_offs_pb2 as wo
from reconciliation.v1 import bank_pb2 as bk
from reconciliation.v1 import denials_pb2 as dn
from reconciliation.v1 import reconciliation_pb2 as pb
from reconciliation.v1 import worklist_pb2 as wl
from service import calling, noting
from service.__main__ import app

SHARE = "CO-45 30.00, PR-3 20.00"
DENIED = "CO-29 150.00"
_books, _traces = count(1), count(1)


@pytest.fixture
def books(server: Ledger) -> Iterator[Ledger]:
    """A book of its own with four claims of 100.00 for the payer; in the end everything adds up."""
    ledger = server.of(f"worklist-{next(_books)}")
    open_book(ledger, ledger.book)
    for one in ("C1", "C2", "C3", "C4"):
        ledger.postings.RecordSession(session(one, book=ledger.book, charge="150.00", patient_share="20.00"))
    yield ledger
    assert ledger.wrong() == []
    rolled_forward(ledger, ledger.entries(), "2026-12-31")
    advances_tie(ledger, "2026-12-31")
    assert ledger.balance("Liabilities:Payable:Provider:ada") == "420.00 Cr"


# --- the words ----------------------------------------------------------------------------------------


def mailed(books: Ledger, amount: str, *loops: str, day: str = "2026-06-05", trace: str = "") -> None:
    deliver(books, file(remittance(amount, trace or f"EFT{next(_traces)}", *loops, day=day)), books.book)


def denied(books: Ledger, one: str = "C1") -> None:
    mailed(books, "0.00", claim(one, "150.00", "0.00", DENIED, control=f"P{one}", status="4"))


def short(books: Ledger, one: str = "C1", left: str = "40.00", paid: str = "60.00") -> None:
    """Less is paid than was open, and the payer does not say that the contract is why."""
    mailed(books, paid, claim(one, "150.00", paid, f"{SHARE}, OA-23 {left}", control=f"P{one}"))


def paid(books: Ledger, one: str = "C1") -> None:
    mailed(books, "100.00", claim(one, "150.00", "100.00", SHARE, control=f"P{one}"), day="2026-08-05")


def unknown(books: Ledger, one: str = "X1", amount: str = "55.00") -> None:
    mailed(books, amount, claim(one, amount, amount, control=f"P{one}"))


def listed(books: Ledger, **narrowed: Any) -> list[wl.Item]:
    """Items over all pages, of one item each."""
    found, request = [], wl.ListItemsRequest(book=books.book, page_size=1, **narrowed)
    while True:
        page = books.worklist.ListItems(request)
        assert len(page.items) <= 1
        found += page.items
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return [one for one in found if one.exception.reason != pb.EXCEPTION_REASON_NEGATIVE_PAYMENT]


def shown(items: list[wl.Item]) -> list[str]:
    return [f"{reason(one)} {one.exception.claim or one.exception.claim_as_sent}" for one in items]


def reason(one: wl.Item) -> str:
    return pb.ExceptionReason.Name(one.exception.reason).removeprefix("EXCEPTION_REASON_").lower()


def only(books: Ledger, **narrowed: Any) -> wl.Item:
    [found] = listed(books, **narrowed)
    return found


def got(books: Ledger, item: wl.Item, as_of: str = "") -> wl.GetItemResponse:
    return books.worklist.GetItem(wl.GetItemRequest(book=books.book, id=item.exception.id, as_of=as_of))


def told(books: Ledger, item: wl.Item) -> list[str]:
    """The history of an item: version, change, owner, by whom."""
    found = got(books, item)
    assert [one.version for one in found.history] == [*range(2, len(found.history) + 2)]
    assert found.item.version == len(found.history) + 1
    assert {one.id for one in found.history} <= {item.exception.id}
    return [f"{change(one)} {one.owner or '-'} {one.said_by}" for one in found.history]


def change(one: wl.ItemEvent) -> str:
    return wl.ItemChange.Name(one.change).removeprefix("ITEM_CHANGE_").lower()


def assigning(books: Ledger, item: wl.Item, owner: str, **changed: Any) -> wl.AssignItemRequest:
    wanted: dict[str, Any] = {
        "book": books.book,
        "id": item.exception.id,
        "version": item.version,
        "owner": owner,
        "idempotency_key": key(),
    }
    return wl.AssignItemRequest(**(wanted | changed))


def assigned(books: Ledger, item: wl.Item, owner: str, actor: str = "mia") -> wl.ItemEvent:
    answer = books.worklist.AssignItem(assigning(books, item, owner), metadata=by(actor))
    assert not answer.replayed
    return answer.event


# --- what is listed -----------------------------------------------------------------------------------


def test_items_are_listed_with_all_that_a_person_needs(books: Ledger) -> None:
    denied(books)
    item = only(books, as_of="9999-12-31")
    assert (item.payer, item.exception.claim, item.state) == ("AETNA", "C1", wl.ITEM_STATE_OPEN)
    assert (item.exception.amount.minor_units, item.version, item.exception.owner) == (100_00, 1, "")
    assert re.fullmatch(r"EFT\d+", item.trace)
    assert item.age_days > 2_000_000
    assert only(books).age_days == 0
    assert got(books, item, "9999-12-31").item == item


# What a listing is narrowed to, and the claims that are left of C1 (denied, 100.00, bob's), C2 (short) and X1.
NARROWED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "C1 C2 X1"),
    "reason": ({"reason": pb.EXCEPTION_REASON_DENIED}, "C1"),
    "owner": ({"owner": "bob"}, "C1"),
    "nobody's": ({"owner": "mia"}, ""),
    "unowned": ({"unowned": True}, "C2 X1"),
    "owned or not": ({"unowned": False}, "C1 C2 X1"),
    "payer": ({"payer": "AETNA"}, "C1 C2 X1"),
    "another payer": ({"payer": "CIGNA"}, ""),
    "claim": ({"claim": "C2"}, "C2"),
    "closed": ({"state": wl.ITEM_STATE_CLOSED}, ""),
    "amount": ({"least": usd("55.00")}, "C1 X1"),
    "a cent more": ({"least": usd("55.01")}, "C1"),
    "age": ({"as_of": "9999-12-31", "least_age_days": 1}, "C1 C2 X1"),
    "too young": ({"as_of": "2026-01-01", "least_age_days": 1}, ""),
}


def test_a_listing_is_narrowed(books: Ledger) -> None:
    denied(books)
    short(books, "C2")
    unknown(books)
    assigned(books, listed(books)[0], "bob")
    for name, (narrowed, expected) in NARROWED.items():
        found = [one.partition(" ")[2] for one in shown(listed(books, **narrowed))]
        assert " ".join(found) == expected, name


WRONG = {
    "an age without a day": ({"least_age_days": 1}, "FIELD_MISSING as_of"),
    "an age below zero": ({"least_age_days": -1}, "NUMBER_INVALID least_age_days"),
    "an amount below zero": ({"least": usd("-1.00")}, "AMOUNT_INVALID least"),
    "no such state": ({"state": 9}, "CHOICE_INVALID state"),
    "no such reason": ({"reason": 999}, "CHOICE_INVALID reason"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_listing_that_makes_no_sense(books: Ledger, case: str) -> None:
    narrowed, expected = WRONG[case]
    found = refused(books.worklist.ListItems, wl.ListItemsRequest(book=books.book, **narrowed))
    assert f"{found.reason} {found.facts['field']}" == expected


# --- whose it is --------------------------------------------------------------------------------------


def test_an_item_goes_from_hand_to_hand(books: Ledger) -> None:
    denied(books)
    item = only(books)
    event = assigned(books, item, "bob")
    assert (event.version, event.owner, event.said_by, event.entry_number) == (2, "bob", "mia", 0)
    assert only(books).exception.owner == "bob"
    assigned(books, only(books), "", "bob")
    assert only(books, unowned=True).version == 3
    assert told(books, item) == ["assigned bob mia", "assigned - bob"]
    listing = books.reconciliation.ListExceptions(pb.ListExceptionsRequest(book=books.book))
    assert [one.owner for one in listing.exceptions] == [""]


def test_of_two_who_saw_the_same_item_the_second_is_told(books: Ledger) -> None:
    denied(books)
    seen = only(books)
    assigned(books, seen, "bob", "bob")
    found = refused(books.worklist.AssignItem, assigning(books, seen, "mia"))
    assert (found.code, found.reason) == ("FAILED_PRECONDITION", "WORKLIST_ITEM_CHANGED")
    assert found.facts == {"id": seen.exception.id, "version": "2", "owner": "bob"}
    assert told(books, seen) == ["assigned bob bob"]


def test_twenty_people_reach_for_one_item(books: Ledger) -> None:
    """One wins; each of the others is told who."""
    denied(books)
    seen = only(books)

    def reach(n: int) -> str:
        try:
            answer = books.worklist.AssignItem(assigning(books, seen, f"p{n}"), metadata=by(f"p{n}"))
        except grpc.RpcError as error:
            found = refusal(error)
            assert found.reason == "WORKLIST_ITEM_CHANGED"
            return f"lost to {found.facts['owner']}"
        return answer.event.owner

    with ThreadPoolExecutor(20) as people:
        outcomes = [*people.map(reach, range(20))]
    [winner] = [one for one in outcomes if not one.startswith("lost")]
    assert sorted(set(outcomes)) == sorted({winner, f"lost to {winner}"})
    assert told(books, seen) == [f"assigned {winner} {winner}"]


def test_the_same_again_is_the_same_answer(books: Ledger) -> None:
    denied(books)
    request = assigning(books, only(books), "bob")
    first = books.worklist.AssignItem(request)
    again = books.worklist.AssignItem(request)
    assert (again.replayed, again.event) == (True, first.event)
    request.owner = "mia"
    found = refused(books.worklist.AssignItem, request)
    assert (found.code, found.reason) == ("ALREADY_EXISTS", "IDEMPOTENCY_KEY_REUSED")
    assert only(books).exception.owner == "bob"


def test_a_refused_request_burns_no_key(books: Ledger) -> None:
    denied(books)
    item = only(books)
    stale = assigning(books, item, "bob", version=7)
    assert refused(books.worklist.AssignItem, stale).reason == "WORKLIST_ITEM_CHANGED"
    stale.version = 1
    assert not books.worklist.AssignItem(stale).replayed


NAMED = {
    "an item that is not there": ({"id": "00000000-0000-4000-8000-000000000001"}, "EXCEPTION_NOT_FOUND"),
    "no id": ({"id": ""}, "FIELD_MISSING"),
    "an id that is none": ({"id": "C1"}, "TEXT_INVALID"),
    "no version": ({"version": 0}, "FIELD_MISSING"),
    "no key": ({"idempotency_key": ""}, "FIELD_MISSING"),
    "no book": ({"book": "nowhere"}, "BOOK_NOT_FOUND"),
}


@pytest.mark.parametrize("case", NAMED)
def test_an_assignment_that_makes_no_sense(books: Ledger, case: str) -> None:
    denied(books)
    changed, expected = NAMED[case]
    assert refused(books.worklist.AssignItem, assigning(books, only(books), "bob", **changed)).reason == expected


# --- what closes by itself ----------------------------------------------------------------------------


def test_what_is_paid_after_all_says_so_in_its_history(books: Ledger) -> None:
    denied(books)
    item = only(books)
    assigned(books, item, "bob")
    paid(books)
    assert listed(books) == []
    assert told(books, item) == ["assigned bob mia", "settled bob local"]
    closed = only(books, state=wl.ITEM_STATE_CLOSED)
    assert (closed.exception.owner, closed.state) == ("bob", wl.ITEM_STATE_CLOSED)
    [_, settled] = got(books, item).history
    [payment] = [one for one in books.entries() if one.number == settled.entry_number]
    assert (payment.effective_date, settled.note) == ("2026-08-05", "by claim_paid on claim C1")


def test_a_closed_item_is_nobody_s_to_change(books: Ledger) -> None:
    denied(books)
    item = only(books)
    paid(books)
    found = refused(books.worklist.AssignItem, assigning(books, item, "bob"))
    assert (found.code, found.reason) == ("FAILED_PRECONDITION", "WORKLIST_ITEM_CLOSED")
    assert found.facts == {"id": item.exception.id, "version": "2", "owner": "", "change": "settled"}


def test_an_unknown_claim_that_is_found_later(books: Ledger) -> None:
    """The file is delivered again when its session is there: what waited is decided again."""
    lost = file(remittance("100.00", "EFT-LATE", claim("C9", "150.00", "100.00", SHARE, control="P9")))
    deliver(books, lost, books.book)
    item = only(books)
    assert shown([item]) == ["unknown_claim C9"]
    books.postings.RecordSession(session("C9", book=books.book, charge="150.00", patient_share="20.00"))
    deliver(books, lost, books.book)
    [settled] = got(books, item).history
    assert (change(settled), settled.note) == ("settled", "decided again: paid_in_full, claim C9")
    assert settled.entry_number == books.entries()[-1].number
    assert books.balance("Liabilities:Payable:Provider:ada") == "525.00 Cr"
    books.postings.PayProvider(payout("ada", "105.00", "2026-06-30", book=books.book))


def test_closing_by_itself_while_somebody_assigns(books: Ledger) -> None:
    """Either comes first; nothing is lost, the versions have no gap, and the item ends closed."""
    for round_ in range(4):
        name = f"C{round_ + 1}"
        denied(books, name)
        item = only(books)
        with ThreadPoolExecutor(2) as both:
            assigning_ = both.submit(_tried, books, item)
            both.submit(paid, books, name).result()
        outcome = assigning_.result()
        assert outcome in ("assigned", "WORKLIST_ITEM_CLOSED", "WORKLIST_ITEM_CHANGED")
        expected = ["assigned bob mia", "settled bob local"] if outcome == "assigned" else ["settled - local"]
        assert told(books, item) == expected


def _tried(books: Ledger, item: wl.Item) -> str:
    try:
        books.worklist.AssignItem(assigning(books, item, "bob"), metadata=by("mia"))
    except grpc.RpcError as error:
        return refusal(error).reason
    return "assigned"


def test_the_check_finds_what_no_history_tells(books: Ledger) -> None:
    denied(books)
    with psycopg.connect(books.url.replace("+psycopg", ""), autocommit=True) as owner:
        owner.execute("UPDATE exceptions SET closed_at = now() WHERE book = %s", [books.book])
        assert {one.partition(":")[0] for one in books.wrong()} == {"closed_as_its_history_says"}
        owner.execute("UPDATE exceptions SET closed_at = NULL WHERE book = %s", [books.book])


# --- what people close --------------------------------------------------------------------------------


def closing(books: Ledger, form: Any, item: wl.Item, **changed: Any) -> Any:
    wanted: dict[str, Any] = {
        "book": books.book,
        "id": item.exception.id,
        "version": item.version,
        "note": "as agreed with the payer",
        "idempotency_key": key(),
    }
    return form(**(wanted | changed))


@pytest.mark.parametrize(
    ("form", "expected"), [(wl.CloseItemRequest, "closed"), (wl.SendBackItemRequest, "sent_back")]
)
def test_an_item_is_closed_by_a_word(books: Ledger, form: Any, expected: str) -> None:
    """Nothing is posted; it is closed once, and the same again is the same answer."""
    denied(books)
    item, before = only(books), len(books.entries())
    request = closing(books, form, item)
    call = getattr(books.worklist, form.__name__.removesuffix("Request"))
    first = call(request, metadata=by("mia"))
    assert (change(first.event), first.event.note, first.replayed) == (expected, request.note, False)
    assert call(request, metadata=by("mia")).replayed
    assert (listed(books), told(books, item)) == ([], [f"{expected} - mia"])
    assert refused(call, closing(books, form, item)).facts["change"] == expected
    assert refused(call, closing(books, form, item, note="")).reason == "FIELD_MISSING"
    assert len(books.entries()) == before


def test_what_a_person_has_closed_stays_closed(books: Ledger) -> None:
    """Until another amount is at stake under the same name: then it is open again, and the history says why."""
    taken(books, "25.00")
    item = only(books)
    assert shown([item]) == ["takeback_unexplained "]
    books.worklist.CloseItem(closing(books, wl.CloseItemRequest, item), metadata=by("mia"))
    taken(books, "40.00")
    again = only(books)
    assert (again.exception.id, again.version) == (item.exception.id, 3)
    assert told(books, item) == ["closed - mia", "opened_again - local"]
    assert "65.00" in got(books, item).history[-1].note


def taken(books: Ledger, amount: str) -> None:
    """Money is taken off a payment under a reference that nothing is open for."""
    adjusting = plb(("WO", "R-77", amount))
    one = claim(f"X{next(_traces)}", "100.00", "100.00", control="")
    mailed(books, plain(100_00 - usd(amount).minor_units, "USD"), one, adjusting)
    for waiting_ in listed(books, reason=pb.EXCEPTION_REASON_UNKNOWN_CLAIM):
        books.worklist.CloseItem(closing(books, wl.CloseItemRequest, waiting_))


def test_a_file_delivered_again_does_not_open_what_a_person_has_closed(books: Ledger) -> None:
    """It is quarantined again for the same reason, and nobody has to look at that twice."""
    broken = file(remittance("60.00", "EFT-BROKEN", claim("X1", "55.00", "55.00")))
    deliver(books, broken, books.book)
    item = only(books)
    assert reason(item) == "unbalanced"
    deliver(books, broken, books.book)
    assert told(books, item) == []
    books.worklist.CloseItem(closing(books, wl.CloseItemRequest, item), metadata=by("mia"))
    deliver(books, broken, books.book)
    assert (listed(books), told(books, item)) == ([], ["closed - mia"])


# --- the bank -----------------------------------------------------------------------------------------


def test_a_deposit_applied_by_hand_says_so(books: Ledger) -> None:
    """The history names the entry, and the reason that the person gave."""
    paid(books, "C1")
    [remitted] = books.reconciliation.ListRemittances(pb.ListRemittancesRequest(book=books.book)).remittances
    banked(books, statement(moved("100.00", reference="R1"), day="2026-08-06"))
    item = only(books, reason=pb.EXCEPTION_REASON_UNAPPLIED_CASH)
    request = bk.ApplyDepositRequest(
        book=books.book,
        deposit=item.exception.deposit,
        remittance=remitted.id,
        effective_date="2026-08-06",
        reason="the payer confirmed it",
        idempotency_key=key(),
    )
    number = books.bank.ApplyDeposit(request, metadata=by("mia")).entry_number
    [settled] = got(books, item).history
    assert (settled.entry_number, settled.said_by) == (number, "mia")
    assert settled.note == "by_hand by a person: the payer confirmed it"


# --- on the command line ------------------------------------------------------------------------------


class Desk:
    """The command line of a system on which somebody is logged in."""

    def __init__(self, books: Ledger, patch: pytest.MonkeyPatch, name: str) -> None:
        self._env = {"LEDGER_DATABASE_URL": books.url, "LEDGER_BOOK": books.book, "COLUMNS": "250"}
        for module in (noting, calling):
            patch.setattr(module, "system_user", lambda: name)

    def type(self, *words: str) -> str:
        done = CliRunner().invoke(app, ["worklist", *words], env=self._env)
        assert done.exit_code == 0, (done.output, done.exception)
        return without_log(done.stdout)

    def refused(self, *words: str) -> str:
        found = CliRunner().invoke(app, ["worklist", *words], env=self._env).exception
        assert isinstance(found, Refusal)
        return found.reason


def test_the_list_is_worked_from_the_command_line(books: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    denied(books)
    short(books, "C2")
    first, second = (one.exception.id for one in listed(books))
    desk = Desk(books, monkeypatch, "mia")
    table = desk.type("list", "--unowned", "--least", "50.00", "--as-of", "9999-12-31", "--least-age", "1")
    assert first in table
    assert second not in table
    assert table.splitlines()[-1] == "1 item"
    assert "denied" in desk.type("list", "--reason", "denied", "--payer", "AETNA", "--claim", "C1")
    assigned_ = desk.type("assign", first, "--version", "1", "--to", "bob", "--note", "your payer")
    assert re.fullmatch(r"2  [-0-9]{10} [:0-9]{5}  assigned to bob by mia: your payer\n", assigned_)
    assert desk.type("assign", first, "--version", "1", "--to", "bob", "--note", "your payer") == assigned_
    assert desk.refused("close", first, "--version", "1", "--note", "nothing to do") == "WORKLIST_ITEM_CHANGED"
    assert desk.type("close", first, "--version", "2", "--note", "known").endswith("closed by mia: known\n")
    assert "sent back by mia: letter 4" in desk.type("send-back", second, "--version", "1", "--note", "letter 4")
    assert desk.type("list").splitlines()[-1] == "0 items"
    assert desk.type("list", "--state", "closed", "--owner", "bob").splitlines()[-1] == "1 item"
    shown_ = desk.type("show", first).splitlines()
    assert [one.partition("  ")[2][18:] for one in shown_[-2:]] == [
        "assigned to bob by mia: your payer",
        "closed by mia: known",
    ]


# --- what is given up ---------------------------------------------------------------------------------


def giving_up(books: Ledger, form: Any, item: wl.Item, **changed: Any) -> Any:
    return closing(books, form, item, **({"effective_date": "2026-07-01"} | changed))


def capped(books: Ledger, most: str) -> wo.WriteOffCap:
    asked = wo.SetWriteOffCapRequest(book=books.book, most=usd(most), reason="policy of 2026")
    return books.write_offs.SetWriteOffCap(asked, metadata=by("abe")).cap


def test_an_absorbed_item_names_its_entry(books: Ledger) -> None:
    """One key, one entry: the same again posts nothing; the denial's own life goes on with it."""
    denied(books)
    request = giving_up(books, wl.AbsorbItemRequest, only(books))
    event = books.worklist.AbsorbItem(request, metadata=by("mia")).event
    posted = books.entries()[-1]
    assert (event.entry_number, posted.kind) == (posted.number, po.KIND_DENIAL_ABSORBED)
    assert (posted.description, posted.actor, posted.effective_date) == (request.note, "mia", "2026-07-01")
    again = books.worklist.AbsorbItem(request, metadata=by("mia"))
    assert (again.replayed, again.event, len(books.entries())) == (True, event, posted.number)
    life = books.denials.GetDenial(dn.GetDenialRequest(book=books.book, claim="C1", payer="AETNA")).history
    assert [one.entry_number for one in life][-1] == posted.number
    request.effective_date = "2026-07-02"
    found = refused(lambda asked: books.worklist.AbsorbItem(asked, metadata=by("mia")), request)
    assert found.reason == "IDEMPOTENCY_KEY_REUSED"


def test_absorbing_closes_what_else_waits_on_the_claim(books: Ledger) -> None:
    """Two remittances have denied it: one item is absorbed, the other closes by itself."""
    denied(books)
    denied(books)
    first, second = listed(books)
    books.worklist.AbsorbItem(giving_up(books, wl.AbsorbItemRequest, first), metadata=by("mia"))
    assert (listed(books), told(books, first), told(books, second)) == ([], ["absorbed - mia"], ["settled - mia"])


def test_twenty_people_absorb_one_item(books: Ledger) -> None:
    """One entry."""
    denied(books)
    seen = only(books)

    def reach(n: int) -> str:
        request = giving_up(books, wl.AbsorbItemRequest, seen)
        try:
            books.worklist.AbsorbItem(request, metadata=by(f"p{n}"))
        except grpc.RpcError as error:
            return refusal(error).reason
        return "absorbed"

    with ThreadPoolExecutor(20) as people:
        outcomes = [*people.map(reach, range(20))]
    assert sorted(outcomes) == ["WORKLIST_ITEM_CLOSED"] * 19 + ["absorbed"]
    assert [one.kind for one in books.entries()].count(po.KIND_DENIAL_ABSORBED) == 1


def test_what_is_refused_leaves_the_item_as_it_was(books: Ledger) -> None:
    denied(books)
    limited(books, po.KIND_DENIAL_ABSORBED, 99_99)
    item, before = only(books), books.state()
    assert refused(books.worklist.AbsorbItem, giving_up(books, wl.AbsorbItemRequest, item)).reason == (
        "APPROVAL_NEEDED"
    )
    assert (only(books), books.state()) == (item, before)


def test_above_the_limit_a_second_person_writes_off(books: Ledger) -> None:
    """Never more than the cap, whoever agrees; upkeep closes the item, and its history names the entry."""
    short(books, "C1", "4.00", "96.00")
    limited(books, po.KIND_REMAINDER_WRITTEN_OFF, 3_00)
    item = only(books)
    act = wo.WriteOffRequest(book=books.book, claim="C1", effective_date="2026-07-01", reason="no letter")
    found = refused(lambda asked: books.approvals.Propose(asked, metadata=by("mia")), proposing(books, act))
    assert (found.reason, found.facts) == (
        "WRITE_OFF_ABOVE_CAP",
        {"currency": "USD", "amount": "4.00", "cap": "0.00"},
    )
    capped(books, "5.00")
    asked = giving_up(books, wl.WriteOffItemRequest, item)
    assert refused(books.worklist.WriteOffItem, asked).reason == "APPROVAL_NEEDED"
    proposal = proposed(books, act, "mia")
    capped(books, "3.99")
    assert refused(lambda one: approved(books, one), proposal).reason == "WRITE_OFF_ABOVE_CAP"
    capped(books, "4.00")
    number = approved(books, proposal).entry.number
    books.loop.run(swept(books.url))
    [settled] = got(books, item).history
    assert (settled.note, settled.entry_number) == ("by remainder_written_off on claim C1", number)
    assert settled.said_by == "mia"


def test_a_cap_is_set_by_version(books: Ledger) -> None:
    assert list(books.write_offs.ListWriteOffCaps(wo.ListWriteOffCapsRequest(book=books.book)).caps) == []
    assert (capped(books, "5.00").version, capped(books, "5.00").version) == (1, 1)
    assert (capped(books, "0.00").version, capped(books, "0.00").set_by) == (2, "abe")
    [found] = books.write_offs.ListWriteOffCaps(wo.ListWriteOffCapsRequest(book=books.book)).caps
    assert (found.most.minor_units, found.version, found.reason) == (0, 2, "policy of 2026")
    below = wo.SetWriteOffCapRequest(book=books.book, most=usd("-1.00"), reason="no")
    assert refused(books.write_offs.SetWriteOffCap, below).reason == "AMOUNT_INVALID"


def test_what_is_written_off_is_contractual_in_the_roll_forward(books: Ledger) -> None:
    short(books, "C1", "4.00", "96.00")
    capped(books, "5.00")
    books.worklist.WriteOffItem(giving_up(books, wl.WriteOffItemRequest, only(books)))
    asked = rp.GetReceivablesRollforwardRequest(book=books.book, effective_from="2026-07-01", as_of="2026-07-31")
    [row] = books.reports.GetReceivablesRollforward(asked).rows
    assert (row.contractual.minor_units, row.other.minor_units) == (-4_00, 0)


def test_a_denial_and_a_rest_are_given_up_on_the_command_line(
    books: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied(books)
    short(books, "C2", "4.00", "96.00")
    loss, rest = (one.exception.id for one in listed(books))
    desk = Desk(books, monkeypatch, "mia")
    assert desk.type("caps") == ""
    assert desk.refused("write-off", rest, "--version", "1", "--note", "coins") == "WRITE_OFF_ABOVE_CAP"
    assert desk.type("set-cap", "5.00", "--reason", "a letter costs more") == (
        "5.00 USD  version 1 by mia: a letter costs more\n"
    )
    assert desk.type("caps").startswith("5.00 USD")
    day = ("--day", "2026-07-01")
    off = desk.type("write-off", rest, "--version", "1", "--note", "coins", *day)
    assert re.search(r"written off by mia: coins \(entry \d+\)\n", off)
    absorbed = desk.type("absorb", loss, "--version", "1", "--note", "too late", *day)
    assert re.search(r"absorbed by mia: too late \(entry \d+\)\n", absorbed)
    assert desk.type("absorb", loss, "--version", "1", "--note", "too late", *day) == absorbed


# --- a model ------------------------------------------------------------------------------------------

WORDS = {
    "assign mia": "assigned",
    "assign bob": "assigned",
    "assign ": "assigned",
    "close": "closed",
    "send back": "sent_back",
    "absorb": "absorbed",
    "stale": "",
    "the payer pays": "settled",
}


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.sampled_from([*WORDS]), max_size=6))
def test_an_item_is_what_its_history_says(server: Ledger, steps: list[str]) -> None:
    """Whatever people and the mail do in whatever order: one change a version, and none once it is closed."""
    books = server.of(f"worklist-{next(_books)}")
    open_book(books, books.book)
    books.postings.RecordSession(session("C1", book=books.book, charge="150.00", patient_share="20.00"))
    denied(books)
    item, expected, owner, closed = only(books), [], "-", False
    for step in steps:
        seen = got(books, item).item
        done = _stepped(books, seen, step)
        if step != "the payer pays":
            refusal_ = "WORKLIST_ITEM_CLOSED" if closed else "WORKLIST_ITEM_CHANGED" if step == "stale" else ""
            assert done == refusal_, steps
        if closed or step == "stale":
            continue
        owner = (step.removeprefix("assign ") or "-") if step.startswith("assign ") else owner
        closed = not step.startswith("assign ")
        expected.append(f"{WORDS[step]} {owner} local")
    assert told(books, item) == expected
    assert (got(books, item).item.state == wl.ITEM_STATE_CLOSED) is closed
    assert books.wrong() == []


def _stepped(books: Ledger, seen: wl.Item, step: str) -> str:
    """Does it, and says how it was refused."""
    if step == "the payer pays":
        paid(books)
        return ""
    if step.startswith("assign ") or step == "stale":
        stale = {"version": seen.version + 1} if step == "stale" else {}
        call, request = books.worklist.AssignItem, assigning(books, seen, step.removeprefix("assign "), **stale)
    elif step == "absorb":
        call, request = books.worklist.AbsorbItem, giving_up(books, wl.AbsorbItemRequest, seen)
    elif step == "close":
        call, request = books.worklist.CloseItem, closing(books, wl.CloseItemRequest, seen)
    else:
        call, request = books.worklist.SendBackItem, closing(books, wl.SendBackItemRequest, seen)
    try:
        call(request)
    except grpc.RpcError as error:
        return refusal(error).reason
    return ""
