"""Allowances for denials: rates are fractions of what became of past claims; what is posted takes itself back."""

from datetime import date
from fractions import Fraction
from importlib.resources import files
from itertools import count
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import Ledger, cr, dr, key, open_book, payout, refused, session, set_by_hand, written
from test_approvals import limited
from test_command import Called, called
from test_concurrency import together

from ledger.accounts import chart
from ledger.allowances.allowance import History, Terms, needed, trued_up
from ledger.errors import AllowanceTermsInvalid
from ledger.v1 import allowances_pb2 as pb
from ledger.v1 import postings_pb2 as po

__all__ = ["called"]  # the command in this process
AGES = (0, 31, 61)
TERMS = pb.AllowanceTerms(
    currency_code="USD", age_buckets=AGES, matured_after_days=90, history_months=12, fewest_claims=2
)
AETNA = "Assets:Allowance:Denials:AETNA"
_books = count(1)


@pytest.fixture
def books(server: Ledger) -> Ledger:
    """Of five claims of January one is denied, another half; in June three claims are open.

    January: 500.00 were open on the day of the service, and at 31 days; at 61 days 200.00, since three were paid.
    """
    mine = server.of(f"allow{next(_books)}")
    open_book(mine, mine.book)
    for claim in "ABCDE":
        mine.postings.RecordSession(session(claim, "2026-01-10", book=mine.book, allowed="100.00", rate="80.00"))
    for claim in "ABC":
        receivable = cr("Assets:Receivable:Insurer:AETNA", "100.00", claim)
        mine.post("2026-03-01", dr("Assets:Cash", "100.00"), receivable)
    absorb(mine, "D", "100.00", "2026-04-20")
    absorb(mine, "E", "50.00", "2026-04-20")
    mine.post("2026-05-02", dr("Assets:Cash", "50.00"), cr("Assets:Receivable:Insurer:AETNA", "50.00", "E"))
    for claim, day, allowed in (
        ("X", "2026-06-20", "33.35"),
        ("Y", "2026-05-20", "70.01"),
        ("Z", "2026-04-10", "9.99"),
    ):
        mine.postings.RecordSession(session(claim, day, book=mine.book, allowed=allowed, rate="5.00"))
    mine.postings.RecordSession(session("N", "2026-06-20", payer="NEW", book=mine.book, allowed="500.00"))
    return mine


def absorb(books: Ledger, claim: str, amount: str, day: str) -> None:
    asked = po.AbsorbDenialRequest(
        book=books.book, idempotency_key=key(), claim=claim, effective_date=day, reason="too late"
    )
    asked.amount.CopyFrom(dr("Assets:Cash", amount).amount)
    books.postings.AbsorbDenial(asked)


def setting(books: Ledger, *, on: bool = True, reason: str = "policy of 2026", **changed: Any) -> Any:
    terms = pb.AllowanceTerms(**({f.name: getattr(TERMS, f.name) for f in TERMS.DESCRIPTOR.fields} | changed))
    return pb.SetAllowancePolicyRequest(book=books.book, on=on, terms=terms, reason=reason)


def set_policy(books: Ledger, **more: Any) -> pb.AllowancePolicy:
    return books.allowances.SetAllowancePolicy(setting(books, **more)).policy


def preview(books: Ledger, month: str = "2026-06", terms: pb.AllowanceTerms | None = TERMS) -> pb.Allowance:
    asked = pb.PreviewAllowanceRequest(book=books.book, month=month, terms=terms)
    return books.allowances.PreviewAllowance(asked).allowance


def posting(books: Ledger, month: str = "2026-06") -> pb.PostAllowanceRequest:
    return pb.PostAllowanceRequest(book=books.book, month=month)


def post(books: Ledger, month: str = "2026-06") -> pb.PostAllowanceResponse:
    return books.allowances.PostAllowance(posting(books, month))


def rates(found: pb.Allowance) -> list[str]:
    return [
        f"{one.payer} {one.from_days}-{one.to_days or ''} "
        f"{written(one.history_absorbed)}/{written(one.history_open)} of {one.history_claims}: "
        f"{written(one.open)} {written(one.allowance)}{' too few' if one.history_too_short else ''}"
        for one in found.rates
    ]


# --- what it comes to ---------------------------------------------------------------------------------


def test_rates_are_those_of_the_past_and_every_cent_is_accounted_for(books: Ledger) -> None:
    """X is 10 days old, Y 41, Z 81: 33.35 * 3/10 = 10.005, 70.01 * 3/10 = 21.003, 9.99 * 3/4 = 7.4925."""
    found = preview(books)
    assert rates(found) == [
        "AETNA 0-30 150.00/500.00 of 5: 33.35 10.00",
        "AETNA 31-60 150.00/500.00 of 5: 70.01 21.00",
        "AETNA 61- 150.00/200.00 of 2: 9.99 7.49",
        "NEW 0-30 0.00/0.00 of 0: 500.00 0.00 too few",
        "NEW 31-60 0.00/0.00 of 0: 0.00 0.00 too few",
        "NEW 61- 0.00/0.00 of 0: 0.00 0.00 too few",
    ]
    assert [(one.payer, written(one.needed), written(one.true_up)) for one in found.payers] == [
        ("AETNA", "38.49", "38.49"),
        ("NEW", "0.00", "0.00"),
    ]
    assert (found.policy_version, found.HasField("entry")) == (0, False)
    assert books.balance(AETNA) == "0.00"


def test_what_was_recovered_is_no_loss(books: Ledger) -> None:
    asked = po.RecoverDenialRequest(
        book=books.book, idempotency_key=key(), claim="D", effective_date="2026-06-02", reason="appeal"
    )
    books.postings.RecoverDenial(asked)
    assert rates(preview(books))[0].startswith("AETNA 0-30 50.00/500.00 of 5")


def test_history_is_no_older_and_no_younger_than_the_policy_says(books: Ledger) -> None:
    short = pb.AllowanceTerms()
    short.CopyFrom(TERMS)
    short.history_months = 5  # since 30 January
    assert rates(preview(books, terms=short))[0].startswith("AETNA 0-30 0.00/0.00 of 0")
    short.history_months, short.matured_after_days = 12, 172  # until 9 January
    assert rates(preview(books, terms=short))[0].startswith("AETNA 0-30 0.00/0.00 of 0")
    short.matured_after_days, short.fewest_claims = 171, 6
    assert rates(preview(books, terms=short))[0].endswith("of 5: 33.35 0.00 too few")


def test_only_the_payers_that_are_named(books: Ledger) -> None:
    named = pb.AllowanceTerms()
    named.CopyFrom(TERMS)
    named.payers.append("NEW")
    assert {one.payer for one in preview(books, terms=named).rates} == {"NEW"}


def test_an_auditor_can_paste_the_history_into_psql(books: Ledger) -> None:
    sql = files("ledger.allowances").joinpath("denial_history.sql").read_text()
    asked = {"book": books.book, "currency": "USD", "as_of": "2026-06-30", "as_known_at": "9223372036854775807"}
    terms = {"age_buckets": "0,31,61", "matured_after_days": "90", "history_months": "12"}
    with psycopg.connect(books.url.replace("+psycopg", "")) as connection:
        first, *_ = connection.execute(set_by_hand(sql, **asked, **terms)).fetchall()
    assert first == ("Assets:Receivable:Insurer:AETNA", "AETNA", 0, 30, 5, 50_000, 15_000, 3_335)


# --- posting ------------------------------------------------------------------------------------------


def test_it_is_off_until_somebody_says_otherwise(books: Ledger) -> None:
    assert refused(books.allowances.PostAllowance, posting(books)).reason == "ALLOWANCE_POLICY_MISSING"
    nothing = pb.PreviewAllowanceRequest(book=books.book, month="2026-06")
    assert refused(books.allowances.PreviewAllowance, nothing).reason == "ALLOWANCE_POLICY_MISSING"
    set_policy(books, on=False)
    assert refused(books.allowances.PostAllowance, posting(books)).reason == "ALLOWANCE_POLICY_MISSING"
    assert written(preview(books, terms=None).payers[0].needed) == "38.49"


def test_it_is_posted_at_the_end_of_the_month_and_taken_back_by_itself(books: Ledger) -> None:
    books.postings.PayProvider(payout("ada", "20.00", "2026-05-01", book=books.book))
    earned = books.control("Liabilities:Payable:Provider")
    set_policy(books)
    for kind in (po.KIND_REVERSAL, po.KIND_MANUAL):
        limited(books, kind, 0)  # no person chose the amount: it needs no second one
    found = post(books).allowance
    assert [(p.account, written(p.amount), p.side) for p in found.entry.postings] == [
        ("Expenses:DenialAllowance", "38.49", 1),
        (AETNA, "38.49", 2),
    ]
    assert (found.entry.kind, found.entry.effective_date) == (po.KIND_ALLOWANCE_TRUED_UP, "2026-06-30")
    assert found.reversal.kind == po.KIND_ALLOWANCE_TAKEN_BACK
    assert (found.reversal.reverses, found.reversal.effective_date) == (found.entry.number, "2026-07-01")
    assert (books.balance(AETNA, "2026-06-29"), books.balance(AETNA, "2026-06-30")) == ("0.00", "38.49 Cr")
    assert (books.balance(AETNA, "2026-07-01"), books.balance("Expenses:DenialAllowance")) == ("0.00", "0.00")
    assert books.control("Liabilities:Payable:Provider") == earned
    assert books.control("Assets:Receivable:Insurer", "2026-06-30") == "613.35 Dr"
    assert books.wrong() == []


def test_it_is_posted_once_a_month(books: Ledger) -> None:
    set_policy(books)
    first = post(books)
    again = books.allowances.PostAllowance(posting(books), metadata=[("ledger-actor", "another")])
    assert (first.replayed, again.replayed, again.allowance) == (False, True, first.allowance)
    got = books.allowances.GetAllowance(pb.GetAllowanceRequest(book=books.book, month="2026-06"))
    assert got.allowance == first.allowance
    assert rates(got.allowance)[0] == "AETNA 0-30 150.00/500.00 of 5: 33.35 10.00"
    assert (got.allowance.posted_by, got.allowance.policy_version) == ("local", 1)
    assert post(books, "2026-07").allowance.entry.effective_date == "2026-07-31"


def test_of_many_at_once_one_posts(books: Ledger) -> None:
    set_policy(books)
    answers = together(books.allowances.PostAllowance, [posting(books)] * 4)
    assert sorted(answer.replayed for answer in answers) == [False, True, True, True]
    assert len({answer.allowance.entry.number for answer in answers}) == 1
    assert [one.kind for one in books.entries()].count(po.KIND_ALLOWANCE_TRUED_UP) == 1


def test_it_can_be_posted_from_the_command_line(called: Called, books: Ledger) -> None:
    """A timer runs it again and again, and a month is posted once."""
    set_policy(books)
    settings = {"database_url": books.url, "book": books.book}
    code, shown = called("allowance", "preview", "2026-06", **settings)
    assert code in (0, None), shown
    assert "AETNA: needed 38.49 USD, standing 0.00 USD, true-up 38.49 USD" in shown
    assert "0, too few" in shown
    posted = len(books.entries())
    for said in ("posted as", "posted before as"):
        code, shown = called("allowance", "post", "2026-06", **settings)
        assert shown.endswith(f"{said} entry {posted + 1}, taken back by entry {posted + 2}\n"), shown
    code, shown = called("allowance", "post", "June", **settings)
    assert (code, shown) == (1, "ledger: month is not a month written YYYY-MM: 'June'\n")


def test_what_stands_already_is_trued_up(books: Ledger) -> None:
    """Too much stands there by hand: the entry takes the difference off again."""
    set_policy(books)
    books.post("2026-06-15", dr("Expenses:DenialAllowance", "50.00"), cr(AETNA, "50.00"))
    found = post(books).allowance
    assert [(p.account, written(p.amount), p.side) for p in found.entry.postings] == [
        ("Expenses:DenialAllowance", "11.51", 2),
        (AETNA, "11.51", 1),
    ]
    assert books.balance(AETNA, "2026-06-30") == "38.49 Cr"
    assert written(found.payers[0].standing) == "50.00"


def test_nothing_is_posted_where_nothing_is_to_be_changed(books: Ledger) -> None:
    set_policy(books)
    books.post("2026-06-30", dr("Expenses:DenialAllowance", "38.49"), cr(AETNA, "38.49"))
    assert refused(books.allowances.PostAllowance, posting(books)).reason == "ALLOWANCE_UNCHANGED"


def test_policies_are_kept_by_version(books: Ledger) -> None:
    first = set_policy(books)
    assert set_policy(books, reason="again").version == first.version == 1
    second = set_policy(books, on=False, reason="audit")
    assert (second.version, second.on, second.reason, second.set_by) == (2, False, "audit", "local")
    found = books.allowances.ListAllowancePolicies(pb.ListAllowancePoliciesRequest(book=books.book)).policies
    assert [(one.version, one.on) for one in found] == [(2, False), (1, True)]


def test_a_month_that_is_not_over_is_not_known_yet(books: Ledger) -> None:
    set_policy(books)
    assert refused(books.allowances.PostAllowance, posting(books, "9998-12")).reason == "ALLOWANCE_MONTH_OPEN"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no ages": ({"age_buckets": []}, "terms.age_buckets"),
    "ages that begin late": ({"age_buckets": [1]}, "terms.age_buckets"),
    "ages that fall": ({"age_buckets": [0, 30, 30]}, "terms.age_buckets"),
    "more ages than any table has": ({"age_buckets": range(21)}, "terms.age_buckets"),
    "a maturity before the service": ({"matured_after_days": -1}, "terms.matured_after_days"),
    "no history": ({"history_months": 0}, "terms.history_months"),
    "a rate from no claim": ({"fewest_claims": 0}, "terms.fewest_claims"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_terms_that_make_no_sense(books: Ledger, case: str) -> None:
    changed, field = REFUSED[case]
    found = refused(books.allowances.SetAllowancePolicy, setting(books, **changed))
    assert (found.reason, found.facts["field"]) == ("ALLOWANCE_TERMS_INVALID", field)


def test_other_refusals(books: Ledger) -> None:
    said = books.allowances
    none = pb.GetAllowanceRequest(book=books.book, month="2026-06")
    assert refused(said.GetAllowance, none).reason == "ALLOWANCE_NOT_FOUND"
    assert refused(said.SetAllowancePolicy, setting(books, reason="")).reason == "FIELD_MISSING"
    bare = pb.SetAllowancePolicyRequest(book=books.book, on=True, reason="x")
    assert refused(said.SetAllowancePolicy, bare).facts == {"field": "terms"}
    assert refused(said.SetAllowancePolicy, setting(books, currency_code="DEM")).reason == "CURRENCY_UNKNOWN"
    for month in ("2026", "2026-13", "2026-6", "June", "9999-12", "0000-01"):
        assert refused(said.PostAllowance, posting(books, month)).reason == "MONTH_INVALID"
    assert (
        refused(said.PostAllowance, pb.PostAllowanceRequest(book="nobody", month="2026-06")).reason
        == "BOOK_NOT_FOUND"
    )


# --- the rule by itself -------------------------------------------------------------------------------

whole = st.integers(0, 10**12)


@st.composite
def histories(draw: st.DrawFn) -> list[History]:
    found = []
    for payer in draw(st.lists(st.sampled_from("ABC"), min_size=1, max_size=3, unique=True)):
        for first in AGES:
            open_ = draw(whole)
            absorbed, claims = draw(st.integers(0, open_)), draw(st.integers(0, 5))
            now = draw(st.integers(-(10**9), 10**12))
            receivable = chart.receivable(payer)
            found.append(History(receivable, payer, first, 0, claims, open_, absorbed, now))
    return found


@given(histories(), st.dictionaries(st.sampled_from([chart.receivable(p) for p in "ABC"]), whole))
def test_the_entry_makes_what_stands_what_is_needed_and_names_no_provider(
    found: list[History], standing: dict[str, int]
) -> None:
    terms = Terms("USD", (), AGES, 90, 12, 2)
    needs = needed(terms, found)
    entry = trued_up(needs, standing, "USD", date(2026, 6, 30))
    moved = {posting.account: -posting.signed for posting in entry.postings} if entry else {}
    for receivable, need in needs.items():
        assert standing.get(receivable, 0) + moved.get(chart.allowance(receivable), 0) == need
    for account in moved:
        assert account == chart.DENIAL_ALLOWANCE or account.startswith(f"{chart.DENIAL_ALLOWANCES}:")


@given(whole, whole, st.integers(-(10**12), 10**12))
def test_an_allowance_is_the_nearest_cent_and_never_more_than_what_is_open(
    absorbed: int, more: int, now: int
) -> None:
    terms = Terms("USD", (), (0,), 90, 12, 1)
    history = History(chart.receivable("A"), "A", 0, 0, 1, absorbed + more, absorbed, now)
    found = history.allowance(terms)
    assert 0 <= found <= max(now, 0)
    if absorbed + more:
        exact = Fraction(max(now, 0) * absorbed, absorbed + more)
        assert abs(found - exact) <= Fraction(1, 2)
        assert abs(found - exact) < Fraction(1, 2) or found % 2 == 0


def test_what_are_no_terms() -> None:
    with pytest.raises(AllowanceTermsInvalid):
        Terms("USD", (), (0, 3_651), 0, 1, 1)


def test_the_allowance_is_a_contra_asset() -> None:
    account = chart.opened_by_rule(AETNA, "USD")
    assert account
    assert (account.type, account.normal_side) == ("asset", "credit")
