"""The reports over gRPC, against sums made by hand."""

from collections.abc import Iterable
from datetime import date, timedelta
from importlib.resources import files
from typing import Any

import psycopg
import pytest
from google.protobuf.message import Message
from serving import Ledger, cr, dr, key, open_book, payout, refused, session, set_by_hand, usd, written

from ledger.accounts import chart
from ledger.accounts.store import ALL_RECORDED
from ledger.reports import financial, report
from ledger.v1 import accounts_pb2 as accounts
from ledger.v1 import money_pb2
from ledger.v1 import postings_pb2 as postings
from ledger.v1 import reports_pb2 as pb

MARCH, JUNE, FAR = "2026-03-31", "2026-06-30", "2027-01-31"
ANY_CASH = {"account": "Assets:Cash", "item": "", "effective_from": "-infinity"}
OPEN_TO_ALL = (
    *("GetTrialBalance", "GetReceivablesAging", "GetProviderPayables", "GetSessionMargin"),
    *("GetBalanceSheet", "GetLagTriangle", "GetAdvanceExposure"),
)


def asked(rpc: str, as_of: str, book: str = "main") -> Any:
    return getattr(pb, f"{rpc}Request")(book=book, as_of=as_of)


def answer(ledger: Ledger, rpc: str, as_of: str, book: str = "main") -> Any:
    return getattr(ledger.reports, rpc)(asked(rpc, as_of, book))


def lines(rows: Iterable[Message]) -> list[str]:
    """Each row as its fields in order, one space apart; money other than USD names its currency."""
    return [" ".join(shown(getattr(row, field.name)) for field in row.DESCRIPTOR.fields) for row in rows]


def shown(value: Any) -> str:
    if isinstance(value, money_pb2.Money) and not value.currency_code:
        return "-"
    if isinstance(value, money_pb2.Money):
        return written(value) + ("" if value.currency_code == "USD" else value.currency_code)
    if isinstance(value, accounts.Balance):
        return " ".join(map(shown, (value.debits, value.credits, value.amount)))
    return str(value) or "-"


def absorb(ledger: Ledger, claim: str, day: str, amount: str = "") -> None:
    ledger.postings.AbsorbDenial(
        postings.AbsorbDenialRequest(
            book="main",
            idempotency_key=key(),
            claim=claim,
            effective_date=day,
            reason="timely filing",
            amount=usd(amount) if amount else None,
        )
    )


def reverse(ledger: Ledger, number: int, day: str) -> None:
    asked = postings.ReverseEntryRequest(
        book="main", idempotency_key=key(), number=number, effective_date=day, reason="posted in error"
    )
    ledger.postings.ReverseEntry(asked)


@pytest.fixture(scope="module")
def books(server: Ledger) -> Ledger:
    """Books for those who only ask."""
    open_book(server)
    return filled(server)


@pytest.fixture
def own(ledger: Ledger) -> Ledger:
    """The same for those who add to them."""
    return filled(ledger)


def filled(ledger: Ledger) -> Ledger:
    """Four payers, one of them with a name that no account code can hold; three providers."""
    record = ledger.postings.RecordSession
    record(session("C1", "2026-01-10", allowed="120.00", rate="105.00", patient_share="20.00"))
    record(session("C2", "2026-02-20", allowed="80.00", rate="90.00"))
    record(session("C3", "2026-03-31", payer="CIGNA", provider="bob", allowed="100.00", rate="70.00"))
    record(session("C4", "2026-05-31", payer="Blue Cross, CA", provider="Dr. Eve", allowed="60.00", rate="50.00"))
    record(session("C5", "2026-06-01", payer="UHC", allowed="40.00", rate="30.00"))
    wrong = record(session("C6", "2026-03-01", payer="UHC", provider="bob", allowed="500.00", rate="400.00")).entry
    reverse(ledger, wrong.number, "2026-06-15")
    ledger.postings.PayProvider(payout("ada", "150.00", "2026-03-15"))
    returned = ledger.postings.PayProvider(payout("bob", "70.00", "2026-04-15")).entry
    reverse(ledger, returned.number, "2026-04-20")
    ledger.post("2026-04-30", dr("Assets:Cash", "10.00"), cr("Liabilities:Payable:Provider:ada", "10.00"))
    absorb(ledger, "C2", "2026-06-10", "30.00")
    ledger.post(
        "2026-06-12",
        dr("Revenue:ContractualAdjustments", "5.00"),
        cr("Assets:Receivable:Insurer:CIGNA", "5.00", item="C3"),
    )
    return ledger


def test_trial_balance_in_the_past(books: Ledger) -> None:
    found = answer(books, "GetTrialBalance", "2026-01-31")
    assert [line for line in lines(found.rows) if not line.endswith(" 0.00 0.00 0.00")] == [
        "Assets:Receivable:Insurer:AETNA 100.00 0.00 100.00",
        "Assets:Receivable:Patient 20.00 0.00 20.00",
        "Expenses:ProviderServices 105.00 0.00 105.00",
        "Liabilities:Payable:Provider:ada 0.00 105.00 105.00",
        "Revenue:Sessions 0.00 120.00 120.00",
    ]
    assert lines(found.totals) == ["225.00 225.00"]


def test_trial_balance_of_everything(books: Ledger) -> None:
    found = answer(books, "GetTrialBalance", FAR)
    assert lines(found.rows) == [
        "Assets:Cash 80.00 220.00 140.00",
        "Assets:Receivable:Insurer:AETNA 180.00 30.00 150.00",
        f"{chart.receivable('Blue Cross, CA')} 60.00 0.00 60.00",
        "Assets:Receivable:Insurer:CIGNA 100.00 5.00 95.00",
        "Assets:Receivable:Insurer:UHC 540.00 500.00 40.00",
        "Assets:Receivable:Patient 20.00 0.00 20.00",
        "Expenses:DenialsAbsorbed 30.00 0.00 30.00",
        "Expenses:ProviderServices 745.00 400.00 345.00",
        f"{chart.payable('Dr. Eve')} 0.00 50.00 50.00",
        "Liabilities:Payable:Provider:ada 150.00 235.00 85.00",
        "Liabilities:Payable:Provider:bob 470.00 540.00 70.00",
        "Revenue:ContractualAdjustments 5.00 0.00 5.00",
        "Revenue:Sessions 500.00 900.00 400.00",
    ]
    assert lines(found.totals) == ["2880.00 2880.00"]


def ages(rows: Iterable[Message]) -> list[str]:
    """Rows of an aging by payer alone: they say nothing of provider, plan and state."""
    return without_groups(rows, " - - -")


@pytest.mark.parametrize(
    ("as_of", "expected", "control"),
    [
        ("2026-01-09", [], "0.00"),
        # C1 is 80 days old, C2 39; C3 is of the day itself; C6 is still there, 30 days old.
        (
            MARCH,
            [
                "AETNA 0.00 80.00 100.00 0.00 0.00 180.00 2",
                "CIGNA 100.00 0.00 0.00 0.00 0.00 100.00 1",
                "UHC 500.00 0.00 0.00 0.00 0.00 500.00 1",
            ],
            "780.00",
        ),
        # C1 is 171 days old, C2 130, C3 91, C4 30, C5 29; C6 was reversed.
        (
            JUNE,
            [
                "AETNA 0.00 0.00 0.00 0.00 150.00 150.00 2",
                "Blue Cross, CA 60.00 0.00 0.00 0.00 0.00 60.00 1",
                "CIGNA 0.00 0.00 0.00 95.00 0.00 95.00 1",
                "UHC 40.00 0.00 0.00 0.00 0.00 40.00 1",
            ],
            "345.00",
        ),
    ],
)
def test_receivables_aging(books: Ledger, as_of: str, expected: list[str], control: str) -> None:
    found = answer(books, "GetReceivablesAging", as_of)
    assert ages(found.rows) == expected
    assert [written(amount) for amount in found.control] == [control]
    assert sum(row.total.minor_units for row in found.totals) == found.control[0].minor_units
    assert books.control("Assets:Receivable:Insurer", as_of) == control + (" Dr" if control != "0.00" else "")


@pytest.mark.parametrize(
    ("days", "bucket"),
    [(-5, 0), (0, 0), (30, 0), (31, 1), (60, 1), (61, 2), (90, 2), (91, 3), (120, 3), (121, 4), (400, 4)],
)
def test_aging_buckets_at_their_edges(server: Ledger, days: int, bucket: int) -> None:
    book, service = f"aged-{days}", date(2026, 6, 30) - timedelta(days=days)
    open_book(server, book)
    early = session("C1", service.isoformat(), allowed="100.00", effective_date="2025-01-01", book=book)
    server.postings.RecordSession(early)
    buckets = ["0.00"] * 5
    buckets[bucket] = "100.00"
    found = answer(server, "GetReceivablesAging", JUNE, book).rows
    assert ages(found) == [f"AETNA {' '.join(buckets)} 100.00 1"]


def test_aging_keeps_credits_in_their_bucket_and_dates_the_unknown_by_its_posting(ledger: Ledger) -> None:
    ledger.postings.RecordSession(session("C1", "2026-06-01", allowed="100.00"))
    receivable = "Assets:Receivable:Insurer:AETNA"
    ledger.post("2026-06-02", dr("Assets:Cash", "130.00"), cr(receivable, "130.00", item="C1"))
    ledger.post("2026-04-15", dr(receivable, "70.00", item="old"), cr("Revenue:Sessions", "70.00"))
    ledger.post("2026-06-20", dr("Assets:Cash", "20.00"), cr(receivable, "20.00", item="old"))
    found = answer(ledger, "GetReceivablesAging", JUNE)
    assert ages(found.rows) == ["AETNA -30.00 0.00 50.00 0.00 0.00 20.00 2"]
    assert ages(found.totals) == ["- -30.00 0.00 50.00 0.00 0.00 20.00 2"]


def test_an_aging_that_was_known_keeps_its_answer(ledger: Ledger) -> None:
    """The name of a payer too, which a later session tells."""
    receivable = chart.receivable("Blue Cross, CA")
    ledger.post("2026-04-15", dr(receivable, "70.00", item="old"), cr("Revenue:Sessions", "70.00"))
    asked = pb.GetReceivablesAgingRequest(book="main", as_of=JUNE, as_known_at_number=1)
    before = ledger.reports.GetReceivablesAging(asked)
    ledger.postings.RecordSession(session("C1", "2026-06-01", payer="Blue Cross, CA", allowed="60.00"))
    assert ledger.reports.GetReceivablesAging(asked) == before
    assert [row.payer for row in answer(ledger, "GetReceivablesAging", JUNE).rows] == ["Blue Cross, CA"]


PLACED = {"plan": "GOLD", "state": "NV"}


def test_aging_by_provider_plan_and_state(ledger: Ledger) -> None:
    """What a claim's sessions all name; where they name several, or none, it is in the row without."""
    record = ledger.postings.RecordSession
    record(session("C1", "2026-06-10", allowed="100.00", **PLACED))
    record(session("C2", "2026-04-15", allowed="80.00", provider="bob", plan="GOLD", state="CA"))
    record(session("C3", "2026-06-10", allowed="60.00", payer="CIGNA", **PLACED))
    # Two providers on one claim, of which one session was in another plan and one in none.
    record(session("C4", "2026-06-01", allowed="30.00", session="C4 a", **PLACED))
    record(session("C4", "2026-05-01", allowed="10.00", session="C4 b", provider="bob", state="NV"))
    ledger.post("2026-06-20", dr("Assets:Receivable:Insurer:AETNA", "5.00", "old"), cr("Revenue:Sessions", "5.00"))
    for groups, expected in (
        (
            [pb.AGING_GROUP_PAYER],
            ["AETNA 105.00 40.00 80.00 225.00 4 - - -", "CIGNA 60.00 0.00 0.00 60.00 1 - - -"],
        ),
        (
            [pb.AGING_GROUP_PROVIDER],
            [
                "- 5.00 40.00 0.00 45.00 2 - - -",
                "- 160.00 0.00 0.00 160.00 2 ada - -",
                "- 0.00 0.00 80.00 80.00 1 bob - -",
            ],
        ),
        ([pb.AGING_GROUP_PLAN], ["- 5.00 40.00 0.00 45.00 2 - - -", "- 160.00 0.00 80.00 240.00 3 - GOLD -"]),
        (
            [pb.AGING_GROUP_STATE, pb.AGING_GROUP_PAYER],
            [
                "AETNA 5.00 0.00 0.00 5.00 1 - - -",
                "AETNA 0.00 0.00 80.00 80.00 1 - - CA",
                "AETNA 100.00 40.00 0.00 140.00 2 - - NV",
                "CIGNA 60.00 0.00 0.00 60.00 1 - - NV",
            ],
        ),
    ):
        asked = pb.GetReceivablesAgingRequest(book="main", as_of=JUNE, group_by=groups)
        found = ledger.reports.GetReceivablesAging(asked)
        assert [*map(young, found.rows)] == expected
        assert [row.total for row in found.totals] == list(found.control)


def young(row: pb.ReceivablesAgingRow) -> str:
    """A row without its two oldest buckets, in which nothing is."""
    assert (row.days_91_120.minor_units, row.over_120_days.minor_units) == (0, 0)
    names = [one.name for one in row.DESCRIPTOR.fields if one.name not in ("days_91_120", "over_120_days")]
    return " ".join(shown(getattr(row, name)) for name in names)


def test_aging_is_by_nothing_else(ledger: Ledger) -> None:
    asked = pb.GetReceivablesAgingRequest(book="main", as_of=JUNE, group_by=[9])
    assert refused(ledger.reports.GetReceivablesAging, asked).reason == "CHOICE_INVALID"


def test_provider_payables(books: Ledger) -> None:
    march = answer(books, "GetProviderPayables", MARCH)
    # ada was paid 150.00, which settles C1 of January and 45.00 of C2, which is 39 days old.
    assert lines(march.rows) == [
        "ada 195.00 150.00 45.00 0.00 0.00 45.00 0.00 0.00 0.00 2026-02-20",
        "bob 470.00 0.00 470.00 0.00 470.00 0.00 0.00 0.00 0.00 2026-03-01",
    ]
    found = answer(books, "GetProviderPayables", JUNE)
    # The 10.00 that came by hand are as old as their entry; bob's reversed session and payout leave nothing.
    assert lines(found.rows) == [
        "Dr. Eve 50.00 0.00 50.00 0.00 50.00 0.00 0.00 0.00 0.00 2026-05-31",
        "ada 225.00 150.00 85.00 10.00 30.00 0.00 10.00 45.00 0.00 2026-02-20",
        "bob 70.00 0.00 70.00 0.00 0.00 0.00 0.00 70.00 0.00 2026-03-31",
    ]
    assert lines(found.totals) == ["- 345.00 150.00 205.00 10.00 80.00 0.00 10.00 115.00 0.00 -"]
    assert lines(found.control) == ["USD 20500"]


def margins(rows: Iterable[Message]) -> list[str]:
    """Rows by payer alone: they say nothing of plan, state, licence type and month."""
    return without_groups(rows, " - - - -")


def without_groups(rows: Iterable[Message], groups: str) -> list[str]:
    """Rows that end with groups of which none is said."""
    found = lines(rows)
    assert all(line.endswith(groups) for line in found)
    return [line.removesuffix(groups) for line in found]


def test_session_margin(own: Ledger) -> None:
    own.post("2026-06-30", dr("Assets:Cash", "7.00"), cr("Revenue:Sessions", "7.00"))
    march = answer(own, "GetSessionMargin", MARCH)
    assert margins(march.rows) == [
        "AETNA 2 200.00 195.00 5.00 0.00 0.00 5.00",
        "CIGNA 1 100.00 70.00 30.00 0.00 0.00 30.00",
        "UHC 1 500.00 400.00 100.00 0.00 0.00 100.00",
    ]
    found = answer(own, "GetSessionMargin", JUNE)
    assert margins(found.rows) == [
        "- 0 7.00 0.00 7.00 5.00 0.00 2.00",
        "AETNA 2 200.00 195.00 5.00 0.00 30.00 -25.00",
        "Blue Cross, CA 1 60.00 50.00 10.00 0.00 0.00 10.00",
        "CIGNA 1 100.00 70.00 30.00 0.00 0.00 30.00",
        "UHC 1 40.00 30.00 10.00 0.00 0.00 10.00",
    ]
    assert margins(found.totals) == ["- 5 407.00 345.00 62.00 5.00 30.00 27.00"]
    assert own.balance("Revenue:Sessions", JUNE) == "407.00 Cr"


def test_a_session_that_only_costs_is_counted(ledger: Ledger) -> None:
    ledger.postings.RecordSession(session("C1", allowed="0.00", rate="105.00"))
    found = answer(ledger, "GetSessionMargin", JUNE)
    assert margins(found.rows) == ["AETNA 1 0.00 105.00 -105.00 0.00 0.00 -105.00"]


def test_currencies_stay_apart(own: Ledger) -> None:
    for code in ("Revenue:Sessions:Tokyo", "Revenue:Sessions:Manama"):
        currency = "JPY" if code.endswith("Tokyo") else "BHD"
        own.accounts.OpenAccount(accounts.OpenAccountRequest(book="main", code=code, currency_code=currency))
    yen = {"currency": "JPY"}
    own.post(
        "2026-06-30",
        dr("Assets:Receivable:Insurer:TK", "900", "C9", **yen),
        cr("Revenue:Sessions:Tokyo", "900", **yen),
    )
    dinar = {"currency": "BHD"}
    own.post(
        "2026-06-30",
        dr("Assets:Receivable:Insurer:BH", "1.005", "C8", **dinar),
        cr("Revenue:Sessions:Manama", "1.005", **dinar),
    )
    aging = answer(own, "GetReceivablesAging", JUNE)
    assert [written(amount) for amount in aging.control] == ["1.005", "900", "345.00"]
    assert ages(aging.totals) == [
        "- 1.005BHD 0.000BHD 0.000BHD 0.000BHD 0.000BHD 1.005BHD 1",
        "- 900JPY 0JPY 0JPY 0JPY 0JPY 900JPY 1",
        "- 100.00 0.00 0.00 95.00 150.00 345.00 5",
    ]
    assert lines(answer(own, "GetTrialBalance", JUNE).totals)[0] == "1.005BHD 1.005BHD"
    assert lines(answer(own, "GetSessionMargin", JUNE).totals)[1].startswith("- 0 900JPY 0JPY 900JPY")


@pytest.mark.parametrize("rpc", OPEN_TO_ALL)
def test_an_empty_book_has_no_rows(server: Ledger, rpc: str) -> None:
    open_book(server, f"empty-{rpc}")
    found = answer(server, rpc, JUNE, f"empty-{rpc}")
    assert not found.rows
    assert not found.totals


@pytest.mark.parametrize("rpc", OPEN_TO_ALL)
@pytest.mark.parametrize(
    ("as_of", "book", "reason"),
    [
        ("", "main", "FIELD_MISSING"),
        ("2026-02-30", "main", "DATE_INVALID"),
        ("31.3.2026", "main", "DATE_INVALID"),
        (JUNE, "nobody", "BOOK_NOT_FOUND"),
        (JUNE, "", "FIELD_MISSING"),
    ],
)
def test_refusals(books: Ledger, rpc: str, as_of: str, book: str, reason: str) -> None:
    assert refused(getattr(books.reports, rpc), asked(rpc, as_of, book)).reason == reason


def test_one_book_does_not_see_another(books: Ledger) -> None:
    books.accounts.OpenBook(accounts.OpenBookRequest(book="other", name="Other"))
    assert not answer(books, "GetTrialBalance", FAR, "other").rows


ALL = [*report.QUESTIONS, report.STATEMENT, *financial.QUESTIONS]


@pytest.mark.parametrize("question", ALL, ids=lambda question: question.name)
def test_an_auditor_can_paste_it_into_psql(books: Ledger, question: report.Question) -> None:
    """What psql does with its variables is done here by hand: the file itself must be whole as it is."""
    sql = files(question.package).joinpath(f"{question.name.replace('-', '_')}.sql").read_text()
    assert sql.rstrip().endswith(";")
    said = question.narrowed | (ANY_CASH if question is report.STATEMENT else {})
    said |= {"effective_from": "2026-01-01"} if question.needs else {}
    place = {f"after_{name}": value for name, value in question.place.items()} | {"page_size": "1000"}
    filled = set_by_hand(sql, book="main", as_of="2026-12-31", as_known_at=str(ALL_RECORDED), **said, **place)
    with psycopg.connect(books.url.replace("+psycopg", "")) as connection:
        cursor = connection.execute(filled)
        assert [column.name for column in cursor.description or ()] == [c.name for c in question.columns]
        assert cursor.fetchall()
