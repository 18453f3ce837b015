"""Advance exposure: what providers were paid before payers paid, by hand and against a plain model."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta
from itertools import count
from typing import Any

import cycles
import grpc
import payers
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import DR, Ledger, cr, dr, key, open_book, payout, refused, session, usd, written
from tying import AGES, LOST, exposure_ties

from ledger.v1 import money_pb2
from ledger.v1 import postings_pb2 as po
from ledger.v1 import reports_pb2 as pb

AETNA, CASH = "Assets:Receivable:Insurer:AETNA", "Assets:Cash"
ADA = "Liabilities:Payable:Provider:ada"
_books = count(1)


@pytest.fixture
def book(server: Ledger) -> Ledger:
    return fresh(server)


def fresh(server: Ledger) -> Ledger:
    mine = server.of(f"exposed-{next(_books)}")
    open_book(mine, mine.book)
    return mine


def earned(book: Ledger, claim: str, day: str = "2026-04-08", **more: Any) -> int:
    asked = session(claim, day, book=book.book, **({"session": f"{claim} {next(_books)}"} | more))
    return book.postings.RecordSession(asked).entry.number


def paid(book: Ledger, amount: str, day: str, provider: str = "ada") -> int:
    return book.postings.PayProvider(payout(provider, amount, day, book=book.book)).entry.number


def undone(book: Ledger, number: int, day: str) -> None:
    asked = po.ReverseEntryRequest(
        book=book.book, idempotency_key=key(), number=number, effective_date=day, reason="x"
    )
    book.postings.ReverseEntry(asked)


def absorbed(book: Ledger, claim: str, amount: str, day: str) -> None:
    asked = {"book": book.book, "idempotency_key": key(), "claim": claim, "effective_date": day}
    book.postings.AbsorbDenial(po.AbsorbDenialRequest(**asked, amount=usd(amount), reason="timely filing"))


def remitted(book: Ledger, day: str, trace: str, amount: str, *loops: str) -> None:
    payers.deliver(book, payers.file(payers.remittance(amount, trace, *loops, day=day)), book.book)


def answer(book: Ledger, as_of: str, **more: Any) -> pb.GetAdvanceExposureResponse:
    found = book.reports.GetAdvanceExposure(pb.GetAdvanceExposureRequest(book=book.book, as_of=as_of, **more))
    exposure_ties(found)
    return found


def told(book: Ledger, as_of: str, **more: Any) -> list[str]:
    """Each row as its payer and what is not zero."""
    return [row.payer + "".join(not_zero(row)) for row in answer(book, as_of, **more).rows]


def not_zero(row: pb.AdvanceExposureRow) -> Iterator[str]:
    for name in (one.name for one in row.DESCRIPTOR.fields):
        value = getattr(row, name)
        if isinstance(value, money_pb2.Money) and value.minor_units:
            yield f" {name}={written(value)}"


# --- one session, from the payout to its end ----------------------------------------------------------


def test_a_session_from_its_payout_to_the_payers_payment(book: Ledger) -> None:
    """Earned on 8 April, paid to the provider on the 30th, by the payer in two parts, in June and in July."""
    earned(book, "C1", allowed="120.00", patient_share="20.00", rate="105.00")
    paid(book, "105.00", "2026-04-30")
    remitted(book, "2026-06-05", "T1", "60.00", payers.claim("C1", "120.00", "60.00", "CO-96 40.00, PR-3 20.00"))
    remitted(book, "2026-07-10", "T2", "40.00", payers.claim("C1", "120.00", "40.00", "CO-18 60.00, PR-3 20.00"))
    assert told(book, "2026-04-07") == []
    assert told(book, "2026-04-29") == ["AETNA unpaid=105.00 receivable=100.00"]
    # Of 105.00 the payer owes 100.00 and the patient the rest.
    assert told(book, "2026-05-30") == [
        "AETNA paid=105.00 days_0_30=100.00 exposure=100.00 patient=5.00 receivable=100.00"
    ]
    assert told(book, "2026-06-05") == [
        "AETNA paid=105.00 received=60.00 days_31_60=40.00 exposure=40.00 patient=5.00 receivable=40.00"
    ]
    assert told(book, "2026-07-10") == ["AETNA paid=105.00 received=100.00 patient=5.00"]
    book.post("2026-07-20", dr(CASH, "20.00"), cr("Assets:Receivable:Patient", "20.00", "C1"))
    assert told(book, "2026-07-31") == ["AETNA paid=105.00 received=105.00"]


@pytest.mark.parametrize(
    ("days", "bucket"),
    [(0, 0), (30, 0), (31, 1), (60, 1), (61, 2), (90, 2), (91, 3), (120, 3), (121, 4)],
)
def test_ages_at_their_edges(book: Ledger, days: int, bucket: int) -> None:
    """Since the payout, however long ago the visit was."""
    earned(book, "C1", "2025-01-01", allowed="100.00", rate="100.00")
    paid(book, "100.00", "2026-01-01")
    day = date(2026, 1, 1) + timedelta(days=days)
    assert told(book, day.isoformat()) == [
        f"AETNA paid=100.00 {AGES[bucket]}=100.00 exposure=100.00 receivable=100.00"
    ]


def test_what_never_comes_is_told_by_its_cause(book: Ledger) -> None:
    earned(book, "C1", allowed="150.00", rate="160.00")  # absorbed in part; the rate is above what was allowed
    earned(book, "C2", allowed="100.00", rate="90.00", provider="bob")  # the contract allows less
    earned(book, "C3", allowed="50.00", rate="50.00", provider="cat", payer="CIGNA")  # written off by hand
    earned(book, "C4", allowed="0.00", rate="30.00", provider="dan")  # nobody owes anything
    for provider, amount in (("ada", "160.00"), ("bob", "90.00"), ("cat", "50.00"), ("dan", "30.00")):
        paid(book, amount, "2026-04-30", provider)
    absorbed(book, "C1", "100.00", "2026-06-10")
    remitted(book, "2026-06-12", "T1", "70.00", payers.claim("C2", "100.00", "70.00", "CO-45 30.00"))
    cigna = "Assets:Receivable:Insurer:CIGNA"
    book.post("2026-06-20", dr("Revenue:Sessions", "50.00"), cr(cigna, "50.00", "C3"))
    aetna, cigna_ = told(book, "2026-06-30")
    assert aetna == (
        "AETNA paid=280.00 received=70.00 days_61_90=50.00 exposure=50.00 absorbed=100.00 contractual=20.00 "
        "above_allowed=40.00 receivable=50.00 absorption_cost=100.00"
    )
    assert cigna_ == "CIGNA paid=50.00 other=50.00"


def test_absorption_costs_what_it_cost_in_the_period(book: Ledger) -> None:
    """The whole loss, in the days that are asked about, less what was recovered."""
    earned(book, "C1", allowed="150.00", rate="105.00")
    paid(book, "105.00", "2026-04-30")
    absorbed(book, "C1", "110.00", "2026-05-10")
    absorbed(book, "C1", "40.00", "2026-06-10")
    asked = {"book": book.book, "idempotency_key": key(), "claim": "C1", "effective_date": "2026-06-20"}
    book.postings.RecoverDenial(po.RecoverDenialRequest(**asked, amount=usd("30.00"), reason="appeal won"))
    june = told(book, "2026-06-30", effective_from="2026-06-01")
    lost = "AETNA paid=105.00 days_61_90=30.00 exposure=30.00 absorbed=75.00 receivable=30.00"
    assert june == [f"{lost} absorption_cost=10.00"]
    assert told(book, "2026-06-30") == [f"{lost} absorption_cost=120.00"]


# --- which sessions a payout pays ---------------------------------------------------------------------


def test_a_lump_pays_the_oldest_sessions_first(book: Ledger) -> None:
    """By effective date, then by entry; whichever was recorded first."""
    earned(book, "C2", "2026-04-02", payer="CIGNA", allowed="100.00", rate="100.00")
    earned(book, "C1", "2026-04-01", allowed="100.00", rate="100.00")
    earned(book, "C3", "2026-04-02", payer="UHC", allowed="100.00", rate="100.00")
    paid(book, "130.00", "2026-04-10")
    paid(book, "40.00", "2026-06-01")
    assert told(book, "2026-04-30") == [
        "AETNA paid=100.00 days_0_30=100.00 exposure=100.00 receivable=100.00",
        "CIGNA paid=30.00 days_0_30=30.00 exposure=30.00 unpaid=70.00 receivable=100.00",
        "UHC unpaid=100.00 receivable=100.00",
    ]
    assert told(book, "2026-06-30")[1] == (
        "CIGNA paid=70.00 days_0_30=40.00 days_61_90=30.00 exposure=70.00 unpaid=30.00 receivable=100.00"
    )
    # What came covers the older payout first.
    book.post("2026-06-15", dr(CASH, "50.00"), cr("Assets:Receivable:Insurer:CIGNA", "50.00", "C2"))
    assert told(book, "2026-06-30")[1] == (
        "CIGNA paid=70.00 received=50.00 days_0_30=20.00 exposure=20.00 unpaid=30.00 receivable=50.00"
    )


def test_a_charge_settles_and_pays_nothing(book: Ledger) -> None:
    earned(book, "C1", "2026-04-01", allowed="100.00", rate="100.00")
    book.post("2026-04-05", dr(ADA, "25.00"), cr("Revenue:ProviderCharges", "25.00"))
    paid(book, "75.00", "2026-04-10")
    assert told(book, "2026-04-30") == ["AETNA paid=75.00 days_0_30=75.00 exposure=75.00 receivable=100.00"]


def test_what_is_paid_for_no_session_stands_in_the_row_without_a_payer(book: Ledger) -> None:
    earned(book, "C1", "2026-04-01", allowed="100.00", rate="100.00")
    book.post("2026-04-02", dr("Expenses:ProviderServices", "15.00"), cr(ADA, "15.00"))
    paid(book, "115.00", "2026-04-10")
    book.post("2026-04-12", dr(ADA, "7.00"), cr(CASH, "7.00"))  # by hand, and more than was earned
    assert told(book, "2026-04-30") == [
        " paid=15.00 other=15.00 unpaid=-7.00",
        "AETNA paid=100.00 days_0_30=100.00 exposure=100.00 receivable=100.00",
    ]


def test_what_was_undone_leaves_nothing(book: Ledger) -> None:
    wrong = earned(book, "C0", "2026-03-01", allowed="900.00", rate="900.00")
    earned(book, "C1", "2026-04-01", allowed="100.00", rate="100.00")
    returned = paid(book, "100.00", "2026-04-10")
    undone(book, returned, "2026-04-20")
    undone(book, wrong, "2026-04-25")
    before = ["AETNA paid=100.00 days_0_30=100.00 exposure=100.00 unpaid=900.00 receivable=1000.00"]
    assert told(book, "2026-04-19") == before
    assert told(book, "2026-04-30") == ["AETNA unpaid=100.00 receivable=100.00"]
    paid(book, "100.00", "2026-05-10")
    assert told(book, "2026-05-31") == ["AETNA paid=100.00 days_0_30=100.00 exposure=100.00 receivable=100.00"]


def test_a_cycle_pays_what_it_counted(book: Ledger) -> None:
    """Not a session that was confirmed for an earlier day once the cycle had paid: a later one pays that."""
    cycles.calendar_set(book)
    cycles.payee_set(book, "ada")
    earned(book, "C1", "2026-04-08", allowed="100.00", rate="100.00")
    cycles.paid(book, "2026-04-15")
    earned(book, "C2", "2026-04-01", payer="CIGNA", allowed="50.00", rate="50.00")
    late = "CIGNA unpaid=50.00 receivable=50.00"
    first = "AETNA paid=100.00 days_0_30=100.00 exposure=100.00 receivable=100.00"
    assert told(book, "2026-04-20") == [first, late]
    known = len(book.entries())
    cycles.paid(book, "2026-04-30")
    assert told(book, "2026-05-05") == [first, "CIGNA paid=50.00 days_0_30=50.00 exposure=50.00 receivable=50.00"]
    assert told(book, "2026-05-05", as_known_at_number=known) == [first, late]


def test_a_payment_that_came_back_is_paid_by_the_next_cycle(book: Ledger) -> None:
    cycles.calendar_set(book)
    cycles.payee_set(book, "ada")
    earned(book, "C1", "2026-04-08", allowed="100.00", rate="100.00")
    cycles.paid(book, "2026-04-15")
    cycles.sent(book, "2026-04-15")
    cycles.returned(book, "2026-04-15", "ada", "2026-04-22")
    assert told(book, "2026-04-22") == ["AETNA unpaid=100.00 receivable=100.00"]
    cycles.paid(book, "2026-04-30")
    # Since the payout that reached the provider.
    assert told(book, "2026-06-04") == ["AETNA paid=100.00 days_0_30=100.00 exposure=100.00 receivable=100.00"]


def test_what_was_paid_for_a_reversed_session_pays_the_next(book: Ledger) -> None:
    """A cycle that carries counts its sessions; what is carried into the next is what paid them."""
    cycles.calendar_set(book)
    cycles.payee_set(book, "ada")
    wrong = earned(book, "C1", "2026-04-08", allowed="100.00", rate="100.00")
    cycles.paid(book, "2026-04-15")
    undone(book, wrong, "2026-04-20")
    earned(book, "C2", "2026-04-22", payer="CIGNA", allowed="60.00", rate="60.00")
    cycles.paid(book, "2026-04-30")
    earned(book, "C3", "2026-05-05", payer="UHC", allowed="90.00", rate="90.00")
    assert told(book, "2026-04-21") == [" paid=100.00 other=100.00 unpaid=-100.00"]
    cycles.paid(book, "2026-05-15")
    # The first payment is 60 days old, the second 30.
    assert told(book, "2026-06-19") == [
        "CIGNA paid=60.00 days_31_60=60.00 exposure=60.00 receivable=60.00",
        "UHC paid=90.00 days_0_30=50.00 days_31_60=40.00 exposure=90.00 receivable=90.00",
    ]


# --- whose it is --------------------------------------------------------------------------------------


def test_a_claim_of_several_payers_is_of_none_and_one_without_a_session_of_its_account(book: Ledger) -> None:
    earned(book, "C1", allowed="100.00", rate="60.00")
    earned(book, "C1", payer="CIGNA", allowed="100.00", rate="60.00")
    book.post("2026-04-09", dr(AETNA, "40.00", "old"), cr("Revenue:Sessions", "40.00"))
    paid(book, "120.00", "2026-04-30")
    assert told(book, "2026-05-30") == [
        " paid=120.00 days_0_30=120.00 exposure=120.00 receivable=200.00",
        "AETNA receivable=40.00",
    ]


def test_a_later_payers_debt_stands_with_the_first(book: Ledger) -> None:
    """What a payer leaves to the next is exposed all the same, and what that one pays is received."""
    earned(book, "C1", allowed="100.00", rate="90.00")
    paid(book, "90.00", "2026-04-30")
    second = "Assets:Receivable:Insurer:SECOND"
    book.post("2026-05-10", dr(second, "60.00", "C1"), cr(AETNA, "60.00", "C1"))
    exposed = "AETNA paid=90.00 days_0_30=90.00 exposure=90.00 receivable=100.00"
    assert told(book, "2026-05-20") == [exposed]
    book.post("2026-05-15", dr(CASH, "60.00"), cr(second, "60.00", "C1"))
    assert told(book, "2026-05-20") == [
        "AETNA paid=90.00 received=60.00 days_0_30=30.00 exposure=30.00 receivable=40.00"
    ]


def test_currencies_and_refusals(book: Ledger) -> None:
    earned(book, "C1", allowed="100.00", rate="90.00")
    assert told(book, "2026-05-20") == ["AETNA unpaid=90.00 receivable=100.00"]
    for asked, reason in (
        ({"as_of": ""}, "FIELD_MISSING"),
        ({"as_of": "2026-05-20", "effective_from": "May"}, "DATE_INVALID"),
        ({"as_of": "2026-05-20", "as_known_at_number": 9}, "NUMBER_BEYOND_HEAD"),
    ):
        request = pb.GetAdvanceExposureRequest(book=book.book, **asked)
        assert refused(book.reports.GetAdvanceExposure, request).reason == reason


# --- against a plain model ----------------------------------------------------------------------------

DAYS = [(date(2026, 4, 1) + timedelta(days=day)).isoformat() for day in range(0, 40, 5)]
CLAIMS = {"A": "AETNA", "B": "AETNA", "C": "CIGNA"}
cents = st.integers(1, 300)
events = st.lists(
    st.one_of(
        st.tuples(st.just("earn"), st.sampled_from([*CLAIMS]), st.sampled_from(DAYS), cents, cents),
        st.tuples(st.just("earn"), st.sampled_from([*CLAIMS]), st.sampled_from(DAYS), cents, cents),
        st.tuples(st.just("pay"), st.sampled_from(DAYS), cents),
        st.tuples(st.just("come"), st.sampled_from([*CLAIMS]), st.sampled_from(DAYS), cents),
        st.tuples(st.just("lose"), st.sampled_from([*CLAIMS]), st.sampled_from(DAYS), cents),
        st.tuples(st.just("charge"), st.sampled_from(DAYS), cents),
        st.tuples(st.just("undo"), st.integers(0, 30), st.sampled_from(DAYS)),
    ),
    max_size=14,
)


def dollars(amount: int) -> str:
    return f"{amount // 100}.{amount % 100:02d}"


def tell(book: Ledger, what: str, *more: Any) -> None:
    """One event; what the books refuse, such as undoing twice, did not happen."""
    match what, more:
        case "earn", (claim, day, allowed, rate):
            earned(book, claim, day, payer=CLAIMS[claim], allowed=dollars(allowed), rate=dollars(rate))
        case "pay", (day, amount):
            refused_or(book.postings.PayProvider, payout("ada", dollars(amount), day, book=book.book))
        case "come", (claim, day, amount):
            receivable = f"Assets:Receivable:Insurer:{CLAIMS[claim]}"
            book.post(day, dr(CASH, dollars(amount)), cr(receivable, dollars(amount), claim))
        case "lose", (claim, day, amount):
            receivable = f"Assets:Receivable:Insurer:{CLAIMS[claim]}"
            lines = dr("Expenses:DenialsAbsorbed", dollars(amount), claim), cr(receivable, dollars(amount), claim)
            book.post(day, *lines)
        case "charge", (day, amount):
            book.post(day, dr(ADA, dollars(amount)), cr("Revenue:ProviderCharges", dollars(amount)))
        case "undo", (which, day):
            entries = book.entries()
            if entries:
                asked = {"number": entries[which % len(entries)].number, "effective_date": day, "reason": "x"}
                request = po.ReverseEntryRequest(book=book.book, idempotency_key=key(), **asked)
                refused_or(book.postings.ReverseEntry, request)


def refused_or(call: Any, request: Any) -> None:
    with suppress(grpc.RpcError):
        call(request)


def modelled(entries: list[po.JournalEntry], as_of: str) -> dict[str, Counter[str]]:
    """By payer what must be told: cent by cent, without a window or a mark."""
    told_ = [one for one in entries if one.effective_date <= as_of]
    undone_ = {one.reverses for one in told_ if one.reverses} & {one.number for one in told_}
    standing = [one for one in told_ if one.number not in undone_ and one.reverses not in undone_]
    standing.sort(key=lambda one: (one.effective_date, one.number))
    owed: list[str | None] = []  # a cent each: the claim that it was earned for
    taken: list[bool] = []  # a cent each: whether it was a payout
    for one in standing:
        amount = sum(signed(line) for line in one.postings if line.account == ADA)
        is_session = one.kind == po.KIND_SESSION_EARNED
        owed += [one.dimensions.claim if is_session else None] * -amount
        taken += [one.kind == po.KIND_PROVIDER_PAID] * amount
    cover = {claim: covers(told_, claim) for claim in CLAIMS}
    found: dict[str, Counter[str]] = defaultdict(Counter)
    parts: Counter[str] = Counter()
    for n in range(max(len(owed), len(taken))):
        claim = owed[n] if n < len(owed) else None
        row = found[CLAIMS[claim] if claim else ""]
        if n >= len(taken):
            row["unpaid"] += 1
            continue
        row["unpaid"] -= n >= len(owed)
        if taken[n]:
            row["paid"] += 1
            if claim:
                parts[claim] += 1
            else:
                row["other"] += 1
    for claim, cents_paid in parts.items():
        for _ in range(cents_paid):
            found[CLAIMS[claim]][next(cover[claim], "above_allowed")] += 1
    return found


def covers(entries: list[po.JournalEntry], claim: str) -> Iterator[str]:
    """What a claim's payments to providers are held against, cent by cent."""
    sums: Counter[str] = Counter()
    sessions = {one.number for one in entries if one.kind == po.KIND_SESSION_EARNED}
    for one in entries:
        change = 0
        for line in (line for line in one.postings if line.item == claim):
            change += signed(line)
            sums["absorbed" if line.account.startswith("Expenses") else "exposure"] += signed(line)
        if one.number not in sessions and one.reverses not in sessions:
            sums["received"] -= change
    return iter([cause for cause in ("received", "exposure", "absorbed") for _ in range(max(sums[cause], 0))])


def signed(line: po.Posting) -> int:
    return line.amount.minor_units if line.side == DR else -line.amount.minor_units


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=events, as_of=st.sampled_from(DAYS))
def test_it_is_what_a_plain_model_says(server: Ledger, history: list[Any], as_of: str) -> None:
    book = fresh(server)
    for event in history:
        tell(book, *event)
    expected = modelled(book.entries(), as_of)
    names = ("paid", "unpaid", "received", "exposure", *LOST)
    found = {
        row.payer: {name: getattr(row, name).minor_units for name in names} for row in answer(book, as_of).rows
    }
    for payer in expected.keys() | found.keys():
        wanted, got = expected.get(payer, Counter()), found.get(payer, dict.fromkeys(names, 0))
        assert {name: wanted[name] for name in names} == got, payer
