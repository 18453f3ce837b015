"""Balance sheet, income statement, general ledger and the lists of an auditor, against sums over a plain list."""

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import count
from typing import Any

import payers
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import CR, DR, Ledger, cr, dr, entry, key, minor, open_book, payout, refused, session, written
from test_approvals import approved, limited, manual, proposed
from test_reports import lines

from ledger import wire
from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import postings_pb2 as po
from ledger.v1 import reports_pb2 as pb

ACCOUNTS = (
    *("Assets:Cash", "Liabilities:Loan", "Equity:Opening"),
    *("Revenue:Sessions", "Revenue:ContractualAdjustments", "Expenses:ProviderServices", "Expenses:Rent"),
)
FIRST = date(2025, 11, 1)
DAYS = [(FIRST + timedelta(days=day)).isoformat() for day in range(0, 200, 13)]
FEW = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_books = count(1)

Line = tuple[str, str, int]
"""A day, an account, and minor units, debit positive."""


@pytest.fixture
def book(server: Ledger) -> Ledger:
    """A book of the test's own."""
    return fresh(server)


posted = st.tuples(st.sampled_from(DAYS), st.permutations(ACCOUNTS), st.integers(1, 9_999))
histories = st.lists(posted, min_size=1, max_size=20)


def post(book: Ledger, history: list[Any]) -> list[list[Line]]:
    """Posts a history in one batch, and says by entry what was posted."""
    told = [[(day, order[0], units), (day, order[1], -units)] for day, order, units in history]
    asked = [
        entry(
            one[0][0],
            *(po.Posting(account=a, side=DR if u > 0 else CR, amount=minor(abs(u))) for _, a, u in one),
        )
        for one in told
    ]
    results = book.postings.PostEntries(po.PostEntriesRequest(book=book.book, entries=asked)).results
    assert all(result.HasField("entry") for result in results)
    return told


def total(told: list[list[Line]], *roots: str, first: str = "", last: str = "9999", known: int = 99) -> int:
    """Debit positive: all that was posted at and below these roots in a period, as known at an entry."""
    found = (line for one in told[:known] for line in one)
    return sum(units for day, account, units in found if first <= day <= last and account.startswith(roots))


# --- the two statements, over any history -------------------------------------------------------------


@FEW
@given(history=histories, as_of=st.sampled_from(DAYS), known=st.integers(0, 20))
def test_the_balance_sheet_is_what_the_entries_add_up_to(
    server: Ledger, history: list[Any], as_of: str, known: int
) -> None:
    book = fresh(server)
    told = post(book, history)
    known = min(known, len(told))
    asked = pb.GetBalanceSheetRequest(book=book.book, as_of=as_of, as_known_at_number=known)
    found = book.reports.GetBalanceSheet(asked)
    year = f"{as_of[:4]}-01-01"
    before = (date.fromisoformat(year) - timedelta(days=1)).isoformat()
    wanted = {
        (account_section(code), code): account_sign(code) * total(told, code, last=as_of, known=known)
        for code in ACCOUNTS[:3]
    }
    wanted[4, ""] = -total(told, "Revenue", "Expenses", last=before, known=known)
    wanted[5, ""] = -total(told, "Revenue", "Expenses", first=year, last=as_of, known=known)
    assert {(row.section, row.account): row.amount.minor_units for row in found.rows} == {
        place: units for place, units in wanted.items() if units
    }
    for one in found.totals:
        assert one.difference.minor_units == 0
        assert one.assets.minor_units == total(told, "Assets", last=as_of, known=known)
        assert one.liabilities.minor_units == -total(told, "Liabilities", last=as_of, known=known)


def account_section(code: str) -> int:
    return ("Assets", "Liabilities", "Equity").index(code.partition(":")[0]) + 1


def account_sign(code: str) -> int:
    return 1 if code.startswith("Assets") else -1


def fresh(server: Ledger) -> Ledger:
    """A book of its own, with accounts that no rule opens."""
    mine = server.of(f"fin{next(_books)}")
    open_book(mine, mine.book)
    for code in ("Liabilities:Loan", "Equity:Opening", "Expenses:Rent"):
        mine.accounts.OpenAccount(ac.OpenAccountRequest(book=mine.book, code=code, currency_code="USD"))
    return mine


def period_before(first: date, last: date) -> tuple[date, date]:
    """Counted by months where both ends are those of months, or else by days."""
    after = last + timedelta(days=1)
    if first.day == after.day == 1:
        months = (after.year - first.year) * 12 + after.month - first.month
        place = first.year * 12 + first.month - 1 - months
        return date(place // 12, place % 12 + 1, 1), first - timedelta(days=1)
    return first - (after - first), first - timedelta(days=1)


PERIODS = [
    ("2026-01-01", "2026-01-31"),
    ("2026-03-01", "2026-04-30"),
    ("2026-02-03", "2026-03-02"),
    ("2026-02-01", "2026-02-28"),
    ("2026-01-01", "2026-12-31"),
    ("2025-12-31", "2025-12-31"),
]


@FEW
@given(history=histories, period=st.sampled_from(PERIODS), known=st.integers(0, 20))
def test_the_income_statement_is_what_the_entries_add_up_to(
    server: Ledger, history: list[Any], period: tuple[str, str], known: int
) -> None:
    book = fresh(server)
    told = post(book, history)
    known = min(known, len(told))
    first, last = period
    asked = pb.GetIncomeStatementRequest(
        book=book.book, effective_from=first, as_of=last, as_known_at_number=known
    )
    found = book.reports.GetIncomeStatement(asked)
    first_before, last_before = map(str, period_before(date.fromisoformat(first), date.fromisoformat(last)))
    sums = {
        code: (
            -total(told, code, first=first, last=last, known=known),
            -total(told, code, first=first_before, last=last_before, known=known),
        )
        for code in ACCOUNTS[3:]
    }
    assert {row.account: (row.result.minor_units, row.result_before.minor_units) for row in found.rows} == {
        code: both for code, both in sums.items() if any(both)
    }
    for row in (*found.rows, *found.totals):
        assert row.revenue.minor_units - row.expenses.minor_units == row.result.minor_units
        assert row.result.minor_units - row.result_before.minor_units == row.change.minor_units


@FEW
@given(history=histories, size=st.integers(1, 5), known=st.integers(1, 20), first=st.sampled_from(["", *DAYS]))
def test_the_general_ledger_runs_through_its_pages(
    server: Ledger, history: list[Any], size: int, known: int, first: str
) -> None:
    """Whatever is posted between the pages: the first one settles what is known."""
    book = fresh(server)
    told = post(book, history)
    known = min(known, len(told))
    asked = pb.ListGeneralLedgerRequest(
        book=book.book, effective_from=first, page_size=size, as_known_at_number=known
    )
    found: list[tuple[str, str, int, int]] = []
    for row in walked(book, "ListGeneralLedger", asked, between=lambda: post(book, history[:1])):
        sign = 1 if row.posting.side == DR else -1
        units = sign * row.posting.amount.minor_units
        found.append((row.posting.account, row.effective_date, units, row.balance.minor_units))
    wanted = []
    for code in sorted(ACCOUNTS):
        balance = 0
        order = sorted(
            (line[0], number, line[2])
            for number, one in enumerate(told[:known])
            for line in one
            if line[1] == code
        )
        for day, _, units in order:
            balance += units
            if day >= first:
                wanted.append((code, day, units, balance))
    assert found == wanted


def walked(book: Ledger, rpc: str, asked: Any, between: Any = None) -> Iterator[Any]:
    """The rows of all pages; something may be done between them."""
    while True:
        answer = getattr(book.reports, rpc)(asked)
        yield from answer.rows
        if not answer.next_page_token:
            return
        if between:
            between()
        asked.page_token = answer.next_page_token


# --- the lists of an auditor --------------------------------------------------------------------------


def test_entries_by_actor_and_how_many_they_are(book: Ledger) -> None:
    post(book, [("2026-01-01", ACCOUNTS, 100), ("2026-01-02", ACCOUNTS, 50)])
    book.postings.PostEntry(by("ada", book, "2026-01-03", "2.00"), metadata=[("ledger-actor", "ada")])
    everybody = [*walked(book, "ListEntriesByActor", pb.ListEntriesByActorRequest(book=book.book, page_size=2))]
    assert [(row.entry_number, row.actor, written(row.debits)) for row in everybody] == [
        (1, "local", "1.00"),
        (2, "local", "0.50"),
        (3, "ada", "2.00"),
    ]
    hers = walked(book, "ListEntriesByActor", pb.ListEntriesByActorRequest(book=book.book, actor="ada"))
    assert [row.entry_number for row in hers] == [3]
    counted = book.reports.GetActors(pb.GetActorsRequest(book=book.book, as_of="2026-12-31"))
    assert lines(counted.rows) == ["ada 1 1 2.00 3 3", "local 1 2 1.50 1 2"]


def by(actor: str, book: Ledger, day: str, amount: str) -> po.PostEntryRequest:
    return po.PostEntryRequest(
        book=book.book, entry=entry(day, dr("Assets:Cash", amount), cr("Equity:Opening", amount), key=key())
    )


def test_reversed_entries_say_who_and_why(book: Ledger) -> None:
    post(book, [("2026-01-01", ACCOUNTS, 100), ("2026-01-02", ACCOUNTS, 50)])
    asked = po.ReverseEntryRequest(
        book=book.book, idempotency_key=key(), number=2, effective_date="2026-02-01", reason="of another book"
    )
    book.postings.ReverseEntry(asked, metadata=[("ledger-actor", "bob")])
    [row] = walked(book, "ListReversedEntries", pb.ListReversedEntriesRequest(book=book.book))
    assert (row.entry.entry_number, row.entry.actor, written(row.entry.debits)) == (2, "local", "0.50")
    assert (row.reversal.entry_number, row.reversal.actor, row.reversal.description) == (
        3,
        "bob",
        "of another book",
    )
    assert row.reversal.debits == row.entry.debits
    before = pb.ListReversedEntriesRequest(book=book.book, as_known_at_number=2)
    assert [*walked(book, "ListReversedEntries", before)] == []


def recorded(book: Ledger, day: date) -> date:
    """Posts an entry of a day; the day on which it was recorded."""
    posted = book.post(day.isoformat(), dr("Assets:Cash", "1.00"), cr("Equity:Opening", "1.00"))
    return posted.recorded_at.ToDatetime().date()


def recorded_in_one_day(book: Ledger) -> date | None:
    """The day on which entries of other days were recorded; none where it was midnight meanwhile."""
    today = recorded(book, date(2026, 1, 1))
    days = {recorded(book, today - timedelta(days=back)) for back in (0, 1, 40, -9)}
    return today if days == {today} else None


def test_back_dated_entries_are_those_more_than_so_many_days_late(server: Ledger) -> None:
    book, today = next(
        (book, day) for book in (fresh(server), fresh(server)) if (day := recorded_in_one_day(book))
    )

    def late(days: int) -> list[int]:
        asked = pb.ListBackDatedEntriesRequest(book=book.book, days=days, effective_from="2026-01-02")
        return [row.entry.entry_number for row in walked(book, "ListBackDatedEntries", asked)]

    assert (late(0), late(1), late(39), late(40)) == ([3, 4], [4], [4], [])
    asked = pb.ListBackDatedEntriesRequest(book=book.book, days=39)
    first, *_ = walked(book, "ListBackDatedEntries", asked)
    assert first.days_back == (today - date(2026, 1, 1)).days


def test_manual_entries_say_why_and_who_approved(book: Ledger) -> None:
    book.postings.RecordSession(session("C1", book=book.book))
    post(book, [("2026-01-01", ACCOUNTS, 100)])
    limited(book, po.KIND_MANUAL, 100)
    approved(book, proposed(book, manual(book, "9.00", description="capital")))
    [alone, second] = walked(book, "ListManualEntries", pb.ListManualEntriesRequest(book=book.book))
    assert (alone.entry.description, alone.approver) == ("by hand", "")
    assert (second.entry.description, bool(second.approver), bool(second.approved_because)) == (
        "capital",
        True,
        True,
    )
    assert second.approver != second.entry.actor


# --- margins and ages ---------------------------------------------------------------------------------


def test_a_margin_by_anything(book: Ledger) -> None:
    for claim, plan, state, month in (
        ("A", "PPO", "CA", "01"),
        ("B", "HMO", "CA", "01"),
        ("C", "PPO", "NV", "02"),
    ):
        book.postings.RecordSession(
            session(claim, f"2026-{month}-10", book=book.book, plan=plan, state=state, licence_type="LCSW")
        )

    def by_(*groups: int) -> list[str]:
        asked = pb.GetSessionMarginRequest(book=book.book, as_of="2026-12-31", group_by=groups)
        rows = book.reports.GetSessionMargin(asked).rows
        names = ("payer", "plan", "state", "licence_type", "month")
        return [
            " ".join(filter(None, [*(getattr(row, name) for name in names), str(row.session_count)]))
            for row in rows
        ]

    assert by_() == by_(pb.MARGIN_GROUP_PAYER) == ["AETNA 3"]
    assert by_(pb.MARGIN_GROUP_PLAN) == ["HMO 1", "PPO 2"]
    assert by_(pb.MARGIN_GROUP_STATE, pb.MARGIN_GROUP_MONTH) == ["CA 2026-01 2", "NV 2026-02 1"]
    assert by_(pb.MARGIN_GROUP_LICENCE_TYPE, pb.MARGIN_GROUP_PAYER) == ["AETNA LCSW 3"]
    wrong = pb.GetSessionMarginRequest(book=book.book, as_of="2026-12-31", group_by=[9])
    assert refused(book.reports.GetSessionMargin, wrong).reason == "CHOICE_INVALID"


events = st.lists(
    st.one_of(
        st.tuples(st.just("session"), st.sampled_from(DAYS), st.integers(1, 99)),
        st.tuples(st.just("payout"), st.sampled_from(DAYS), st.integers(1, 120)),
        st.tuples(st.just("undo"), st.sampled_from(DAYS), st.integers(0, 99)),
        st.tuples(st.just("owed"), st.sampled_from(DAYS), st.integers(1, 50)),
    ),
    min_size=1,
    max_size=14,
)
BUCKETS = ("days_0_30", "days_31_60", "days_61_90", "over_90_days")


@FEW
@given(history=events, as_of=st.sampled_from(DAYS[4:]))
def test_ages_of_payables_are_a_queue(server: Ledger, history: list[Any], as_of: str) -> None:
    """Whatever is earned, paid, undone or owed for another reason: by a queue in Python, cent by cent."""
    book = fresh(server)
    queue, paid = told_of_provider(book, history, as_of)
    wanted: Counter[str] = Counter()
    for day, units in sorted(queue.items()):
        taken = min(units, paid)
        paid -= taken
        age = (date.fromisoformat(as_of) - date.fromisoformat(day)).days
        wanted[BUCKETS[min(max(age - 1, 0) // 30, 3)]] += units - taken
    rows = book.reports.GetProviderPayables(pb.GetProviderPayablesRequest(book=book.book, as_of=as_of)).rows
    found = {name: sum(getattr(row, name).minor_units for row in rows) for name in BUCKETS}
    assert found == {name: wanted[name] for name in BUCKETS}
    assert sum(row.overpaid.minor_units for row in rows) == -paid


def told_of_provider(book: Ledger, history: list[Any], as_of: str) -> tuple[Counter[str], int]:
    """Posts what happened; what stands in the queue by day then, and what was paid or taken off."""
    earned, others, paid, undone = Counter[str](), Counter[str](), 0, set[int]()
    done: list[tuple[str, str, int, int]] = []
    for what, day, units in history:
        if what == "session":
            asked = session(key(), day, book=book.book, allowed="1.00", rate=f"0.{units:02}")
            number = book.postings.RecordSession(asked).entry.number
        elif what == "owed":
            line = dr("Assets:Cash", f"0.{units:02}"), cr("Liabilities:Payable:Provider:ada", f"0.{units:02}")
            number = book.post(day, *line).number
        elif what == "payout":
            lines_ = (
                dr("Liabilities:Payable:Provider:ada", written(minor(units))),
                cr("Assets:Cash", written(minor(units))),
            )
            number = book.post(day, *lines_).number
        else:
            open_ = [one for one in done if one[3] not in undone]
            if open_:
                what, _, units, number = open_[units % len(open_)]
                undone.add(number)
                asked_ = po.ReverseEntryRequest(
                    book=book.book, idempotency_key=key(), number=number, effective_date=day, reason="wrong"
                )
                book.postings.ReverseEntry(asked_)
                if day <= as_of:
                    first = next(one for one in done if one[3] == number)[1]
                    if what == "session":
                        earned[first] -= units
                    else:
                        others[day] += units if what == "payout" else -units
            continue
        done.append((what, day, units, number))
        if day <= as_of:
            if what == "session":
                earned[day] += units
            else:
                others[day] += units if what == "owed" else -units
    queue = Counter[str]()
    for day, units in [*earned.items(), *others.items()]:
        if units > 0:
            queue[day] += units
        else:
            paid -= units
    return queue, paid


def test_what_is_paid_settles_the_oldest_sessions_first(book: Ledger) -> None:
    """Against a queue: sessions stand in it by day, and each payout takes from its head."""
    queue: Counter[str] = Counter()
    for claim, day, rate in (
        ("A", "2026-01-05", "90.00"),
        ("B", "2026-02-05", "80.00"),
        ("C", "2026-03-05", "70.00"),
    ):
        book.postings.RecordSession(session(claim, day, book=book.book, rate=rate))
        queue[day] = int(rate.replace(".", ""))
    for paid in (10_000, 5_000):
        book.postings.PayProvider(payout("ada", f"{paid // 100}.00", "2026-03-10", book=book.book))
        for day in sorted(queue):
            taken = min(queue[day], paid)
            queue[day] -= taken
            paid -= taken
    asked = pb.GetProviderPayablesRequest(book=book.book, as_of="2026-03-31")
    [row] = book.reports.GetProviderPayables(asked).rows
    assert (row.days_0_30.minor_units, row.days_31_60.minor_units) == (queue["2026-03-05"], queue["2026-02-05"])
    assert row.oldest_unpaid == "2026-02-05"
    early = pb.GetProviderPayablesRequest(book=book.book, as_of="2026-03-31", as_known_at_number=3)
    assert book.reports.GetProviderPayables(early).rows[0].over_90_days.minor_units == 0
    assert written(book.reports.GetProviderPayables(early).rows[0].payable) == "240.00"


# --- the roll-forward of receivables -------------------------------------------------------------------


def rolled(book: Ledger, first: str, last: str, **more: Any) -> list[str]:
    """Payer, opening, each change in the order of the report, closing."""
    asked = pb.GetReceivablesRollforwardRequest(book=book.book, effective_from=first, as_of=last, **more)
    found = book.reports.GetReceivablesRollforward(asked)
    closings = {one.closing.currency_code: one.closing.minor_units for one in found.totals}
    assert {one.currency_code: one.minor_units for one in found.control if one.minor_units} == closings
    return lines(found.rows)


def test_the_roll_forward_says_what_changed_receivables(book: Ledger) -> None:
    for claim in ("A", "B"):
        book.postings.RecordSession(session(claim, "2026-01-10", book=book.book, allowed="100.00"))
    book.postings.RecordSession(session("C", "2026-02-03", book=book.book, payer="CIGNA", allowed="70.00"))
    about = {"book": book.book, "claim": "B", "reason": "too late"}
    denied = po.AbsorbDenialRequest(idempotency_key=key(), effective_date="2026-02-10", **about)
    book.postings.AbsorbDenial(denied)
    won = po.RecoverDenialRequest(idempotency_key=key(), effective_date="2026-02-20", **about)
    book.postings.RecoverDenial(won)
    by_hand = dr("Assets:Cash", "60.00"), cr("Assets:Receivable:Insurer:AETNA", "60.00", "A")
    number = book.post("2026-02-25", *by_hand).number
    undone = po.ReverseEntryRequest(
        book=book.book, idempotency_key=key(), number=number, effective_date="2026-03-02", reason="twice"
    )
    book.postings.ReverseEntry(undone)
    assert rolled(book, "2026-02-01", "2026-02-28") == [
        "AETNA 200.00 0.00 0.00 0.00 0.00 -100.00 100.00 0.00 0.00 -60.00 140.00",
        "CIGNA 0.00 70.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 70.00",
    ]
    assert rolled(book, "2026-03-01", "2026-03-31") == [
        "AETNA 140.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 60.00 0.00 200.00",
        "CIGNA 70.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 70.00",
    ]
    # As known before the denial was overturned, the payment and its reversal were recorded.
    assert rolled(book, "2026-03-01", "2026-03-31", as_known_at_number=4) == [
        "AETNA 100.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 100.00",
        "CIGNA 70.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 70.00",
    ]
    assert rolled(book, "2025-12-01", "2025-12-31") == []


# --- the lag triangle ---------------------------------------------------------------------------------


def test_the_lag_triangle_says_what_became_of_each_month(book: Ledger) -> None:
    for claim in ("A", "B"):
        book.postings.RecordSession(session(claim, "2026-01-10", book=book.book, allowed="100.00"))
    paid = dr("Assets:Cash", "60.00"), dr("Revenue:ContractualAdjustments", "40.00")
    book.post("2026-03-02", *paid, cr("Assets:Receivable:Insurer:AETNA", "100.00", "A"))
    about = {"book": book.book, "claim": "B", "effective_date": "2026-04-01", "reason": "too late"}
    book.postings.AbsorbDenial(po.AbsorbDenialRequest(idempotency_key=key(), **about))
    two = cr("Assets:Receivable:Insurer:AETNA", "1.00", "A"), dr("Assets:Receivable:Insurer:AETNA", "2.00", "B")
    book.post("2026-04-02", *two, cr("Assets:Cash", "1.00"))
    found = book.reports.GetLagTriangle(pb.GetLagTriangleRequest(book=book.book, as_of="2026-06-30"))
    assert lines(found.rows) == [
        "AETNA 2026-01 0 200.00 0.00 0.00 0.00 0.00 200.00 0.00 0.00 0.00",
        "AETNA 2026-01 2 0.00 60.00 40.00 0.00 0.00 -100.00 30.00 20.00 0.00",
        "AETNA 2026-01 3 0.00 0.00 0.00 100.00 -1.00 -99.00 30.00 20.00 50.00",
    ]
    assert [written(one) for one in found.control] == ["1.00"]


CAUSES = {
    "paid": "Assets:RemittanceClearing:AETNA:T1",
    "adjusted": "Revenue:ContractualAdjustments",
    "absorbed": "Expenses:DenialsAbsorbed",
    "other": "Expenses:Rent",
}
fates = st.lists(
    st.tuples(
        st.sampled_from("AB"), st.sampled_from([*CAUSES]), st.sampled_from(DAYS), st.integers(-50, 50).filter(bool)
    ),
    max_size=12,
)


@FEW
@given(history=fates, as_of=st.sampled_from(DAYS[5:]))
def test_the_lag_triangle_adds_up_what_entries_did(server: Ledger, history: list[Any], as_of: str) -> None:
    book = fresh(server)
    served = {"A": "2025-11-14", "B": "2025-12-23"}
    wanted: Counter[tuple[str, int, str]] = Counter()
    for claim, day in served.items():
        book.postings.RecordSession(session(claim, day, book=book.book, allowed="100.00"))
        wanted[day[:7], 0, "earned"] += 10_000
    for claim, cause, day, units in history:
        receivable = po.Posting(account="Assets:Receivable:Insurer:AETNA", amount=minor(abs(units)), item=claim)
        other = po.Posting(account=CAUSES[cause], amount=minor(abs(units)))
        receivable.side, other.side = (CR, DR) if units > 0 else (DR, CR)
        book.post(day, receivable, other)
        if day <= as_of:
            month = served[claim][:7]
            lag = max((int(day[:4]) - int(month[:4])) * 12 + int(day[5:7]) - int(month[5:]), 0)
            wanted[month, lag, cause] += units
    found = book.reports.GetLagTriangle(pb.GetLagTriangleRequest(book=book.book, as_of=as_of))
    told = {
        (row.month, row.months_since, name): getattr(row, name).minor_units
        for row in found.rows
        for name in ("earned", *CAUSES)
    }
    assert {place: units for place, units in told.items() if units} == {p: u for p, u in wanted.items() if u}
    [open_] = [control.minor_units for control in found.control]
    assert open_ == sum(row.change.minor_units for row in found.rows)


# --- how long payers take -----------------------------------------------------------------------------


def test_payer_lag_counts_days_to_the_first_payment(server: Ledger) -> None:
    """Against a plain list: ten claims of January, nine paid after 10, 20 … days, one of February that waits."""
    book = fresh(server)
    lags = [10 * n for n in range(1, 10)]
    for n, lag in enumerate(lags):
        book.postings.RecordSession(session(f"C{n}", "2026-01-05", book=book.book, allowed="100.00"))
        loop = payers.claim(f"C{n}", "100.00", "100.00", day="2026-01-05")
        paid = date(2026, 1, 5) + timedelta(days=lag)
        sent = payers.file(payers.remittance("100.00", f"T{n}", loop, day=paid.isoformat()))
        payers.deliver(book, sent, book.book)
    for name, day in (("W", "2026-01-31"), ("X", "2026-02-01")):
        book.postings.RecordSession(session(name, day, book=book.book, allowed="100.00"))
    found = book.reports.GetPayerLag(pb.GetPayerLagRequest(book=book.book, as_of="2026-06-30"))
    assert lines(found.rows) == [
        "AETNA 2026-01 10 9 1 50 70 90 90 90 100.00 90",
        "AETNA 2026-02 1 0 1 0 0 0 0 0 100.00 0",
    ]
    assert [written(one) for one in found.control] == ["200.00"]
    early = pb.GetPayerLagRequest(book=book.book, as_of="2026-02-15")
    [row] = [one for one in book.reports.GetPayerLag(early).rows if one.month == "2026-01"]
    count_ = sum(lag <= 41 for lag in lags)
    assert (row.paid_count, row.waiting_count, row.longest_days) == (count_, 10 - count_, max(lags[:count_]))
    assert not book.reports.GetPayerLag(early).rows[1].HasField("p50_days")


def test_payer_lag_leaves_out_what_was_undone(server: Ledger) -> None:
    """A reversed session, and payments that the payer took back or that were reversed by hand."""
    book = fresh(server)
    numbers = {
        name: book.postings.RecordSession(session(name, day, book=book.book, allowed="100.00")).entry.number
        for name, day in (("A", "2026-01-05"), ("B", "2026-01-05"), ("C", "2026-02-05"), ("D", "2026-03-01"))
    }
    # A claim with two sessions, of which the first did not take place: it is of April, not of March.
    again = session("D", "2026-04-01", book=book.book, allowed="100.00", session="second of D")
    book.postings.RecordSession(again)
    for claim, paid, status, day, trace in (
        ("A", "100.00", "1", "2026-01-25", "T1"),
        ("A", "-100.00", "22", "2026-02-25", "T2"),
        ("A", "100.00", "1", "2026-03-06", "T3"),
        ("B", "100.00", "1", "2026-01-15", "T4"),
        ("D", "100.00", "1", "2026-04-11", "T5"),
    ):
        served = "2026-04-01" if claim == "D" else "2026-01-05"
        loop = payers.claim(claim, paid, paid, status=status, control=f"P{claim}", day=served)
        payers.deliver(book, payers.file(payers.remittance(paid, trace, loop, day=day)), book.book)
    [of_b] = [
        one.number for one in book.entries() if one.kind == po.KIND_CLAIM_PAID and one.dimensions.claim == "B"
    ]
    for number in (numbers["C"], numbers["D"], of_b):
        undoing = {"idempotency_key": key(), "effective_date": "2026-04-20", "reason": "mistaken"}
        book.postings.ReverseEntry(po.ReverseEntryRequest(book=book.book, number=number, **undoing))

    def told(as_of: str) -> list[str]:
        return lines(book.reports.GetPayerLag(pb.GetPayerLagRequest(book=book.book, as_of=as_of)).rows)

    assert told("2026-02-20") == [
        "AETNA 2026-01 2 2 0 10 20 20 20 20 0.00 20",
        "AETNA 2026-02 1 0 1 0 0 0 0 0 100.00 0",
    ]
    assert told("2026-02-28")[0] == "AETNA 2026-01 2 1 1 10 10 10 10 10 100.00 10"
    assert told("2026-04-30") == [
        "AETNA 2026-01 2 1 1 60 60 60 60 60 100.00 60",
        "AETNA 2026-04 1 1 0 10 10 10 10 10 0.00 10",
    ]


# --- refusals -----------------------------------------------------------------------------------------

REFUSED = {
    "no first day": ("GetIncomeStatement", {"as_of": "2026-01-31"}, "FIELD_MISSING"),
    "no first day of the roll-forward": ("GetReceivablesRollforward", {"as_of": "2026-01-31"}, "FIELD_MISSING"),
    "a period that ends before it begins": (
        "GetIncomeStatement",
        {"effective_from": "2026-02-01", "as_of": "2026-01-31"},
        "DATE_INVALID",
    ),
    "a token of nobody": ("ListGeneralLedger", {"page_token": "x"}, "PAGE_INVALID"),
    "an account that is none": ("ListGeneralLedger", {"account": "a b"}, "ACCOUNT_CODE_INVALID"),
    "fewer than no days": ("ListBackDatedEntries", {"days": -1}, "NUMBER_INVALID"),
    "beyond the head": ("ListManualEntries", {"as_known_at_number": 9}, "NUMBER_BEYOND_HEAD"),
    "a page too large": ("ListEntriesByActor", {"page_size": 1001}, "PAGE_INVALID"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(book: Ledger, case: str) -> None:
    rpc, fields, reason = REFUSED[case]
    request = getattr(pb, f"{rpc}Request")(book=book.book, **fields)
    assert refused(getattr(book.reports, rpc), request).reason == reason


def test_a_token_that_somebody_made_up_is_no_way_in(book: Ledger) -> None:
    """A place in a token is read as what it must be, whoever wrote it."""
    post(book, [("2026-01-01", ACCOUNTS, 100), ("2026-01-02", ACCOUNTS, 50)])
    request = pb.ListGeneralLedgerRequest(book=book.book, page_size=1)
    for place in (
        "1 a'b 2026-01-01 1 1",
        "1 Assets:Cash never 1 1",
        "1 Assets:Cash 2026-01-01 1 99999999999",
        "1",
        "",
    ):
        request.page_token = wire.page_token(request, place) if place else "AAAA"
        assert refused(book.reports.ListGeneralLedger, request).reason == "PAGE_INVALID"


def test_one_book_does_not_see_another(book: Ledger) -> None:
    post(book, [("2026-01-01", ACCOUNTS, 100)])
    asked = pb.ListGeneralLedgerRequest(book=fresh(book).book)
    assert [*walked(book, "ListGeneralLedger", asked)] == []
