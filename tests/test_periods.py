"""Months of a book: who may post into which, in what order they close, what a close freezes, and for how long."""

from collections.abc import Iterator
from datetime import date
from itertools import count
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.message import Message
from serving import (
    Ledger,
    Loop,
    cr,
    dr,
    entry,
    key,
    open_book,
    payout,
    refusal,
    serving,
    session,
    standing,
    usd,
)
from test_approvals import APPROVER, MAKER, approved, approving, by, proposed, told

from ledger.periods.period import Periods
from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import approvals_pb2 as ap
from ledger.v1 import periods_pb2 as pb
from ledger.v1 import postings_pb2 as po
from ledger.v1 import reports_pb2 as rp
from service.admission import Admission
from service.identity import HEADER, Gate, Principal
from service.rights import Role

MARCH, APRIL, MAY, JUNE = "2026-03", "2026-04", "2026-05", "2026-06"
IN_MARCH, IN_APRIL, IN_MAY = "2026-03-10", "2026-04-08", "2026-05-05"
CASH, OPENING = "Assets:Cash", "Equity:Opening"
OPEN, SOFT_CLOSED, CLOSED = pb.PERIOD_STATE_OPEN, pb.PERIOD_STATE_SOFT_CLOSED, pb.PERIOD_STATE_CLOSED
_books = count(1)


# --- words --------------------------------------------------------------------------------------------


@pytest.fixture
def books(server: Ledger) -> Ledger:
    """A book of its own with an entry in April: 10.00 of cash."""
    return in_use(server, f"periods-{next(_books)}")


def in_use(ledger: Ledger, book: str) -> Ledger:
    open_book(ledger, book)
    found = ledger.of(book)
    found.accounts.OpenAccount(ac.OpenAccountRequest(book=book, code=OPENING, currency_code="USD"))
    found.post(IN_APRIL, dr(CASH, "10.00"), cr(OPENING, "10.00"))
    return found


def soft_closing(books: Ledger, month: str, **more: Any) -> pb.SoftClosePeriodRequest:
    return pb.SoftClosePeriodRequest(**({"book": books.book, "month": month, "reason": "end of month"} | more))


def closing_of(books: Ledger, month: str, **more: Any) -> pb.ClosePeriodRequest:
    return pb.ClosePeriodRequest(**({"book": books.book, "month": month, "reason": "end of month"} | more))


def soft_closed(books: Ledger, month: str, name: str = MAKER) -> pb.Period:
    return books.periods.SoftClosePeriod(soft_closing(books, month), metadata=by(name)).period


def closed(books: Ledger, month: str, name: str = MAKER, **more: Any) -> pb.ClosePeriodResponse:
    """Closes a month; the answer with the figures that were frozen, which it does not bring by itself."""
    answer = books.periods.ClosePeriod(closing_of(books, month, **more), metadata=by(name))
    assert not answer.balances
    answer.balances.extend(got(books, month).balances)
    return answer


def reopening(books: Ledger, month: str, **more: Any) -> pb.ReopenPeriodRequest:
    return pb.ReopenPeriodRequest(**({"book": books.book, "month": month, "reason": "a mistake"} | more))


def reopened(books: Ledger, month: str) -> ap.ApproveResponse:
    return approved(books, proposed(books, reopening(books, month)))


def got(books: Ledger, month: str, version: int = 0) -> pb.GetPeriodResponse:
    asked = pb.GetPeriodRequest(book=books.book, month=month, version=version, page_size=1000)
    return books.periods.GetPeriod(asked)


def posting(books: Ledger, day: str, amount: str = "1.00", **more: Any) -> po.PostEntryRequest:
    return po.PostEntryRequest(book=books.book, entry=entry(day, dr(CASH, amount), cr(OPENING, amount), **more))


def posted(books: Ledger, day: str, amount: str = "1.00") -> po.JournalEntry:
    return books.postings.PostEntry(posting(books, day, amount)).entry


def why(books: Ledger, call: Any, request: Message, name: str = MAKER) -> str:
    """The reason for which a request is refused, with its facts; a refusal leaves the book as it is."""
    before = books.state(), listed(books)
    found = told(call, request, name)
    assert (books.state(), listed(books)) == before
    facts = "; ".join(f"{fact}={found.facts[fact]}" for fact in sorted(found.facts))
    return f"{found.reason} {facts}".strip()


def listed(books: Ledger, *, history: bool = False, size: int = 0) -> list[tuple[str, str, int]]:
    """Months with their states and versions, over all pages."""
    found: list[tuple[str, str, int]] = []
    asked = pb.ListPeriodsRequest(book=books.book, history=history, page_size=size)
    while True:
        page = books.periods.ListPeriods(asked)
        found += [(one.month, state(one), one.version) for one in page.periods]
        asked.page_token = page.next_page_token
        if not asked.page_token:
            return found


def state(period: pb.Period) -> str:
    return pb.PeriodState.Name(period.state).removeprefix("PERIOD_STATE_").lower().replace("_", "-")


def frozen(answer: Any) -> dict[str, str]:
    return {one.account: standing(one.balance) for one in answer.balances}


def rows(ledger: Ledger, sql: str) -> list[Any]:
    with psycopg.connect(ledger.url.replace("+psycopg", ""), autocommit=True) as owner:
        cursor = owner.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


# --- what a close does --------------------------------------------------------------------------------


def test_a_month_is_soft_closed_closed_and_reopened(books: Ledger) -> None:
    soft = soft_closed(books, APRIL)
    assert (soft.state, soft.version, soft.after_entry) == (SOFT_CLOSED, 1, 1)
    assert (soft.reason, soft.set_by, soft.proposal) == ("end of month", MAKER, 0)
    posted(books, IN_APRIL, "5.00")
    done = closed(books, APRIL, APPROVER)
    assert (done.period.state, done.period.version, done.period.after_entry) == (CLOSED, 2, 2)
    assert (done.period.set_by, len(done.period.close.hash), done.period.close.limit_days) == (APPROVER, 32, 30)
    assert done.period.close.last_entry_hash == books.entries()[-1].hash
    assert frozen(done) == {CASH: "15.00 Dr", OPENING: "15.00 Cr"}
    assert got(books, APRIL) == pb.GetPeriodResponse(period=done.period, balances=done.balances)
    answer = reopened(books, APRIL)
    assert answer.proposal.preview.period.before.state == CLOSED
    assert answer.proposal.preview.period.after.state == OPEN
    assert not answer.HasField("entry")
    again = got(books, APRIL)
    assert (again.period.state, again.period.version, again.period.proposal) == (OPEN, 3, answer.proposal.number)
    assert (again.period.set_by, again.balances) == (MAKER, [])
    posted(books, IN_APRIL, "1.00")
    anew = closed(books, APRIL)
    assert frozen(anew) == {CASH: "16.00 Dr", OPENING: "16.00 Cr"}
    assert frozen(got(books, APRIL, version=2)) == {CASH: "15.00 Dr", OPENING: "15.00 Cr"}
    assert books.wrong() == []


def test_what_was_frozen_is_read_page_by_page(books: Ledger) -> None:
    """All pages of the close that the first one showed, though it is opened and closed again meanwhile."""
    books.postings.RecordSession(session("C1", IN_APRIL, book=books.book))
    whole = closed(books, APRIL)
    asked = pb.GetPeriodRequest(book=books.book, month=APRIL, page_size=2)
    pages = [books.periods.GetPeriod(asked)]
    reopened(books, APRIL)
    posted(books, IN_APRIL)
    closed(books, APRIL)
    while asked.page_token != pages[-1].next_page_token != "":
        asked.page_token = pages[-1].next_page_token
        pages.append(books.periods.GetPeriod(asked))
    assert [len(page.balances) for page in pages] == [2, 2, 2]
    assert [one for page in pages for one in page.balances] == [*whole.balances]
    assert {page.period.version for page in pages} == {1}


def test_a_close_answers_again_to_who_asked(books: Ledger) -> None:
    """Who was not told the answer asks again; somebody else, or for another reason, is refused."""
    soft = books.periods.SoftClosePeriod(soft_closing(books, APRIL), metadata=by(MAKER))
    again = books.periods.SoftClosePeriod(soft_closing(books, APRIL), metadata=by(MAKER))
    assert (again.replayed, again.period) == (True, soft.period)
    softly = books.periods.SoftClosePeriod
    assert why(books, softly, soft_closing(books, APRIL), "abe") == f"PERIOD_SOFT_CLOSED month={APRIL}; set_by=mia"
    first, second = closed(books, APRIL), closed(books, APRIL)
    assert (first.replayed, second.replayed) == (False, True)
    second.replayed = False
    assert first == second
    other = closing_of(books, APRIL, reason="once more")
    assert why(books, books.periods.ClosePeriod, other) == f"PERIOD_CLOSED month={APRIL}; set_by=mia"
    assert why(books, softly, soft_closing(books, APRIL)) == f"PERIOD_CLOSED month={APRIL}; set_by=mia"


def test_months_close_in_their_order(books: Ledger) -> None:
    posted(books, IN_MAY)
    close = books.periods.ClosePeriod
    assert why(books, close, closing_of(books, MAY)) == f"PERIOD_OUT_OF_ORDER first={APRIL}; month={MAY}"
    closed(books, APRIL)
    assert why(books, close, closing_of(books, JUNE)) == f"PERIOD_OUT_OF_ORDER first={MAY}; month={JUNE}"
    closed(books, MAY)
    assert listed(books) == [(APRIL, "closed", 1), (MAY, "closed", 1)]
    propose = books.approvals.Propose
    april = ap.ProposeRequest(
        book=books.book, idempotency_key=key(), reason="why", act=ap.Act(reopen_period=reopening(books, APRIL))
    )
    assert why(books, propose, april) == f"PERIOD_OUT_OF_ORDER first={MAY}; month={APRIL}"
    reopened(books, MAY)
    reopened(books, APRIL)
    june = ap.ProposeRequest(
        book=books.book, idempotency_key=key(), reason="why", act=ap.Act(reopen_period=reopening(books, JUNE))
    )
    assert why(books, propose, june) == f"PERIOD_OPEN month={JUNE}"
    assert listed(books, history=True, size=1) == [
        (APRIL, "closed", 1),
        (APRIL, "open", 2),
        (MAY, "closed", 1),
        (MAY, "open", 2),
    ]
    assert books.wrong() == []


def test_what_lies_before_the_first_month_is_closed_with_it(books: Ledger) -> None:
    """An entry there would change every later balance."""
    assert got(books, "2025-12").period == pb.Period(month="2025-12", state=OPEN)
    closed(books, APRIL)
    assert got(books, "2025-12").period == pb.Period(month="2025-12", state=CLOSED)
    early = posting(books, "2025-12-31")
    assert why(books, books.postings.PostEntry, early) == (
        "PERIOD_CLOSED effective_date=2025-12-31; month=2025-12"
    )
    assert (
        why(books, books.periods.ClosePeriod, closing_of(books, MARCH)) == f"PERIOD_CLOSED month={MARCH}; set_by="
    )


def test_a_month_without_entries_is_closed_with_the_next(books: Ledger) -> None:
    """So an entry of long ago does not ask for a close of every month since."""
    posted(books, "1926-04-08")
    asked = closing_of(books, APRIL)
    assert why(books, books.periods.ClosePeriod, asked) == f"PERIOD_OUT_OF_ORDER first=1926-04; month={APRIL}"
    closed(books, "1926-04")
    soft_closed(books, "1926-05")
    assert why(books, books.periods.ClosePeriod, asked) == f"PERIOD_OUT_OF_ORDER first=1926-05; month={APRIL}"
    reopened(books, "1926-05")
    closed(books, APRIL)
    assert got(books, MARCH).period == pb.Period(month=MARCH, state=CLOSED)
    assert got(books, "1926-05").period == pb.Period(month="1926-05", state=CLOSED, version=2)
    assert listed(books) == [("1926-04", "closed", 1), ("1926-05", "closed", 2), (APRIL, "closed", 1)]
    reopened(books, APRIL)
    assert got(books, MARCH).period == pb.Period(month=MARCH, state=OPEN)
    assert listed(books) == [("1926-04", "closed", 1), ("1926-05", "open", 2), (APRIL, "open", 2)]
    assert books.wrong() == []


def test_a_book_without_entries_closes_any_month_first(server: Ledger) -> None:
    books = server.of(f"periods-{next(_books)}")
    open_book(books, books.book)
    done = closed(books, JUNE)
    assert (done.period.after_entry, list(done.balances), done.period.close.last_entry_hash) == (0, [], bytes(32))
    assert books.wrong() == []


def test_the_frozen_figures_are_those_of_every_later_question(books: Ledger) -> None:
    posted(books, IN_MAY, "2.00")
    done = closed(books, APRIL)
    assert frozen(done) == {CASH: "10.00 Dr", OPENING: "10.00 Cr"}
    wrong = posted(books, IN_MAY, "3.00")
    books.postings.ReverseEntry(reversing(books, wrong.number))
    books.postings.ReverseEntry(reversing(books, 1))
    later = books.reports.GetTrialBalance(rp.GetTrialBalanceRequest(book=books.book, as_of="2026-04-30"))
    assert {row.account: standing(row.balance) for row in later.rows} == frozen(done) == frozen(got(books, APRIL))


# --- what may be posted -------------------------------------------------------------------------------


def reversing(books: Ledger, number: int, day: str = "") -> po.ReverseEntryRequest:
    return po.ReverseEntryRequest(
        book=books.book, idempotency_key=key(), number=number, effective_date=day, reason="mistaken"
    )


def requests(books: Ledger, reason: str) -> dict[str, tuple[str, Message]]:
    """Everything that posts by itself, effective in April: the method and what it is asked."""
    about = {"book": books.book, "idempotency_key": key(), "effective_date": IN_APRIL, "reason": "too late"}
    return {
        "an entry": ("PostEntry", posting(books, IN_APRIL)),
        "a session": ("RecordSession", session("C2", IN_APRIL, book=books.book, reason=reason)),
        "a payout": ("PayProvider", payout("ada", "1.00", IN_APRIL, book=books.book, reason=reason)),
        "a denial": ("AbsorbDenial", po.AbsorbDenialRequest(claim="C1", amount=usd("1.00"), **about)),
        "a reversal": ("ReverseEntry", reversing(books, 1, IN_APRIL)),
    }


KINDS = ["an entry", "a session", "a payout", "a denial", "a reversal"]
UNREASONED = ["a session", "a payout"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_closed_month_takes_nothing(books: Ledger, kind: str) -> None:
    books.postings.RecordSession(session("C1", IN_APRIL, book=books.book))
    closed(books, APRIL)
    method, request = requests(books, "late")[kind]
    call = getattr(books.postings, method)
    assert why(books, call, request) == f"PERIOD_CLOSED effective_date={IN_APRIL}; month={APRIL}"
    request.validate_only = True  # type: ignore[attr-defined]
    assert why(books, call, request) == f"PERIOD_CLOSED effective_date={IN_APRIL}; month={APRIL}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_soft_closed_month_takes_what_finance_gives_a_reason_for(books: Ledger, kind: str) -> None:
    books.postings.RecordSession(session("C1", IN_APRIL, book=books.book))
    soft_closed(books, APRIL)
    method, request = requests(books, "the therapist was on holiday")[kind]
    entered = getattr(books.postings, method)(request).entry
    assert entered.effective_date == IN_APRIL
    assert entered.description
    assert books.wrong() == []


@pytest.mark.parametrize("kind", UNREASONED)
def test_without_a_reason_it_is_refused(books: Ledger, kind: str) -> None:
    books.postings.RecordSession(session("C1", IN_APRIL, book=books.book))
    soft_closed(books, APRIL)
    for blank in ("", " "):
        method, request = requests(books, blank)[kind]
        assert why(books, getattr(books.postings, method), request) == (
            f"PERIOD_SOFT_CLOSED effective_date={IN_APRIL}; missing=reason; month={APRIL}"
        )


def test_one_entry_of_a_closed_month_refuses_none_of_its_neighbours(books: Ledger) -> None:
    closed(books, APRIL)
    days = (IN_MAY, IN_APRIL, "2026-05-06")
    asked = po.PostEntriesRequest(book=books.book, entries=[posting(books, day).entry for day in days])
    first, second, third = books.postings.PostEntries(asked).results
    assert (first.entry.number, second.refusal.reason, third.entry.number) == (2, 112, 3)
    asked.atomic = True
    for one in asked.entries:
        one.idempotency_key = key()
    assert why(books, books.postings.PostEntries, asked) == (
        f"PERIOD_CLOSED effective_date={IN_APRIL}; index=1; month={APRIL}"
    )
    stream = [po.StreamEntriesRequest(book=books.book, entry=posting(books, day).entry) for day in days]
    answers = [one.result for one in books.postings.StreamEntries(iter(stream))]
    assert [one.WhichOneof("outcome") for one in answers] == ["entry", "refusal", "entry"]
    assert answers[1].refusal.metadata["month"] == APRIL


def test_what_was_posted_before_the_close_is_answered_after_it(books: Ledger) -> None:
    request = posting(books, IN_APRIL)
    first = books.postings.PostEntry(request)
    closed(books, APRIL)
    again = books.postings.PostEntry(request)
    assert (again.replayed, again.entry) == (True, first.entry)


# What is closed up to a day, which months are soft-closed, and the first open day on or after another.
OPEN_DAYS = [
    (None, [], "2026-04-08", "2026-04-08"),
    ("2026-03-31", [], "2026-04-01", "2026-04-01"),
    ("2026-04-30", [], "2026-04-08", "2026-05-01"),
    ("2026-04-30", [], "1926-04-08", "2026-05-01"),
    ("2026-04-30", ["2026-05"], "2026-04-30", "2026-06-01"),
    ("2026-04-30", ["2026-06"], "2026-04-30", "2026-05-01"),
    (None, ["2026-04", "2026-05"], "2026-04-08", "2026-06-01"),
    ("2026-12-31", ["2027-01"], "2026-12-31", "2027-02-01"),
    ("9999-11-30", [], "2026-04-08", "9999-12-01"),
]


@pytest.mark.parametrize(("closed_through", "soft", "day", "expected"), OPEN_DAYS)
def test_the_first_open_day(closed_through: str | None, soft: list[str], day: str, expected: str) -> None:
    through = date.fromisoformat(closed_through) if closed_through else None
    periods = Periods(through, frozenset(date.fromisoformat(f"{month}-01") for month in soft))
    assert periods.open_day(date.fromisoformat(day)).isoformat() == expected


# --- roles --------------------------------------------------------------------------------------------


class Believed:
    """A caller is believed who it is, but not what it may do."""

    async def name(self, metadata: Any, peer: Any) -> str | None:
        return dict(metadata).get(HEADER)


@pytest.fixture(scope="module")
def guarded(loop: Loop, server: Ledger) -> Iterator[Ledger]:
    """Another server on the same books, whose callers have one role each, named like it."""
    callers = {role.value: Principal(role.value, {"*": frozenset({role})}) for role in Role}
    callers["elsewhere"] = Principal(
        "elsewhere", {"other": frozenset({Role.FINANCE}), "*": frozenset({Role.POSTER})}
    )
    with serving(loop, server.url, Admission(Gate([Believed()], callers))) as running:
        yield running


def posting_as(guarded: Ledger, books: Ledger, name: str) -> list[str]:
    """Which roads into April are open to a caller; for each refused one, what is missing."""
    lines = dr(CASH, "1.00"), cr(OPENING, "1.00")
    missing = []
    for call, request in (
        (guarded.postings.PostEntry, posting(books, IN_APRIL)),
        (guarded.postings.RecordSession, session(key(), IN_APRIL, book=books.book, reason="late")),
    ):
        try:
            call(request, metadata=by(name))
            missing.append("")
        except grpc.RpcError as error:
            missing.append(refusal(error).facts["missing"])
    both = po.PostEntriesRequest(book=books.book, entries=[entry(IN_APRIL, *lines), entry(IN_MAY, *lines)])
    results = guarded.postings.PostEntries(both, metadata=by(name)).results
    assert results[1].entry.number
    missing.append(results[0].refusal.metadata.get("missing", ""))
    first = po.StreamEntriesRequest(book=books.book, entry=entry(IN_MAY, *lines))
    second = po.StreamEntriesRequest(entry=entry(IN_APRIL, *lines))
    answers = [one.result for one in guarded.postings.StreamEntries(iter([first, second]), metadata=by(name))]
    assert answers[0].entry.number
    missing.append(answers[1].refusal.metadata.get("missing", ""))
    return missing


def test_only_finance_posts_into_a_soft_closed_month(books: Ledger, guarded: Ledger) -> None:
    """By every road, and by its role in this very book."""
    soft_closed(books, APRIL)
    assert posting_as(guarded, books, "finance") == ["", "", "", ""]
    assert posting_as(guarded, books, "poster") == ["role"] * 4
    assert posting_as(guarded, books, "elsewhere") == ["role"] * 4
    assert books.wrong() == []


MAY_DO = {
    "SoftClosePeriod": {"finance"},
    "ClosePeriod": {"finance"},
    "GetPeriod": {"finance", "approver", "auditor"},
    "ListPeriods": {"poster", "finance", "approver", "auditor"},
    "GetServiceMonths": {"finance", "approver", "auditor"},
}


@pytest.mark.parametrize("method", MAY_DO)
def test_who_may_do_what_with_months(books: Ledger, guarded: Ledger, method: str) -> None:
    request = {
        "SoftClosePeriod": soft_closing(books, APRIL),
        "ClosePeriod": closing_of(books, APRIL),
        "GetPeriod": pb.GetPeriodRequest(book=books.book, month=APRIL),
        "ListPeriods": pb.ListPeriodsRequest(book=books.book),
        "GetServiceMonths": pb.GetServiceMonthsRequest(book=books.book, as_of=IN_MAY),
    }[method]
    call = getattr(guarded.periods, method)
    for role in sorted(role.value for role in Role if role.value not in MAY_DO[method]):
        assert told(call, request, role).reason == "CALL_NOT_PERMITTED", role
    for role in sorted(MAY_DO[method]):
        call(request, metadata=by(role))


def test_a_month_is_reopened_by_two(books: Ledger, guarded: Ledger) -> None:
    """Finance proposes, an approver approves; there is no limit that would let one do it alone."""
    closed(books, APRIL)
    there = guarded.of(books.book)
    asked = ap.ProposeRequest(
        book=books.book, idempotency_key=key(), reason="why", act=ap.Act(reopen_period=reopening(books, APRIL))
    )
    assert told(there.approvals.Propose, asked, "approver").reason == "CALL_NOT_PERMITTED"
    found = there.approvals.Propose(asked, metadata=by("finance")).proposal
    assert told(there.approvals.Approve, approving(books, found), "finance").reason == "CALL_NOT_PERMITTED"
    assert told(books.approvals.Approve, approving(books, found), "finance").reason == "MAKER_IS_CHECKER"
    assert listed(books) == [(APRIL, "closed", 1)]
    there.approvals.Approve(approving(books, found), metadata=by("approver"))
    assert listed(books) == [(APRIL, "open", 2)]
    period = got(books, APRIL).period
    assert (period.set_by, period.reason, period.proposal) == ("finance", "a mistake", found.number)


def test_a_reopening_that_is_no_longer_so_is_refused_and_stays_open(books: Ledger) -> None:
    closed(books, APRIL)
    first, second = (proposed(books, reopening(books, APRIL)) for _ in "12")
    closed(books, MAY)
    assert told(books.approvals.Approve, approving(books, first), APPROVER).reason == "PERIOD_OUT_OF_ORDER"
    reopened(books, MAY)
    approved(books, first)
    assert told(books.approvals.Approve, approving(books, second), APPROVER).reason == "PERIOD_OPEN"
    closed(books, APRIL)
    assert told(books.approvals.Approve, approving(books, second), APPROVER).reason == "PROPOSAL_OUTDATED"
    waiting = books.approvals.GetProposal(ap.GetProposalRequest(book=books.book, number=second.number)).proposal
    assert waiting.state == ap.PROPOSAL_STATE_OPEN
    assert books.wrong() == []


def test_an_approved_entry_whose_month_was_closed_meanwhile(books: Ledger) -> None:
    """It is refused, and the proposal stays open: to be withdrawn, or approved once the month is open again."""
    into_april = proposed(books, posting(books, IN_APRIL, "7.00"))
    undated = proposed(books, reversing(books, 1))
    closed(books, APRIL)
    assert told(books.approvals.Approve, approving(books, into_april), APPROVER).reason == "PERIOD_CLOSED"
    assert told(books.approvals.Approve, approving(books, undated), APPROVER).reason == "PROPOSAL_OUTDATED"
    for one in (into_april, undated):
        asked = ap.GetProposalRequest(book=books.book, number=one.number)
        assert books.approvals.GetProposal(asked).proposal.state == ap.PROPOSAL_STATE_OPEN
    reopened(books, APRIL)
    soft_closed(books, APRIL)
    assert approved(books, into_april).entry.effective_date == IN_APRIL
    assert books.wrong() == []
