"""Pay cycles: who is paid what and why, by two persons, each session once, and never more than is payable."""

from collections.abc import Callable, Iterator
from datetime import date
from itertools import count
from typing import Any

import grpc
import nacha_reader
import psycopg
import pytest
import serving
from cycles import (
    APPROVER,
    CARRIED,
    CHANGED,
    HELD,
    MAKER,
    MONTHLY,
    NO_PAYEE,
    PAID,
    TO_PAY,
    approved,
    calendar_set,
    company,
    cycle_proposed,
    earned,
    file,
    held,
    lines,
    paid,
    payee,
    payee_accepted,
    payee_set,
    posted,
    preview,
    proposing,
    released,
    returned,
    returning,
    running,
    sent,
    settled,
    statement,
)
from psycopg import errors
from serving import Ledger, Refused, cr, dr, key, open_book, payout, refusal, refused, written
from test_approvals import approving, by, declining, withdrawing

from ledger.database import engine, reading
from ledger.pay_cycles import running as pay_cycle
from ledger.pay_cycles import store
from ledger.pay_cycles.payees import Payees
from ledger.sealing import Sealing
from ledger.v1 import approvals_pb2 as ap
from ledger.v1 import pay_cycles_pb2 as pb
from ledger.v1 import postings_pb2 as po
from reconciliation.files import Files

APRIL, MAY, JUNE = "2026-04-15", "2026-04-30", "2026-05-15"
"""Three cut-offs, one after the other."""
PAYABLE, TRANSIT = "Liabilities:Payable:Provider", "Liabilities:PayoutsInTransit"
CSV = pb.PAYMENT_FILE_FORMAT_CSV
_books = count(1)


@pytest.fixture(scope="module", autouse=True)
def all_sound(server: Ledger) -> Iterator[None]:
    """After all that is done here every book is sound, recomputed from its entries."""
    yield
    assert server.wrong() == []


@pytest.fixture
def books(server: Ledger) -> Ledger:
    """A book of its own with a calendar, where ada and bob can be paid."""
    ledger = server.of(f"pay-{next(_books)}")
    open_book(ledger, ledger.book)
    calendar_set(ledger)
    payee_set(ledger, "ada", "bob")
    return ledger


def told(call: Any, request: Any, name: str = MAKER) -> Refused:
    """How somebody was refused."""
    return refused(lambda asked: call(asked, metadata=by(name)), request)


def amounts(found: dict[str, pb.PayLine]) -> dict[str, tuple[str, int]]:
    """What each provider gets, and what became of the line."""
    return {provider: (written(line.amount), line.outcome) for provider, line in found.items()}


def by_hand(books: Ledger, account: str, amount: str, day: str = "2026-04-10") -> int:
    """Adds to a payable by hand, or takes from it."""
    side, other, plain = (dr, cr, amount[1:]) if amount.startswith("-") else (cr, dr, amount)
    lines_ = (side(f"{PAYABLE}:{account}", plain), other("Expenses:ProviderServices", plain))
    return books.post(day, *lines_).number


def reversed_(books: Ledger, number: int, day: str = "2026-04-20") -> int:
    asked = po.ReverseEntryRequest(
        book=books.book, idempotency_key=key(), number=number, effective_date=day, reason="mistaken"
    )
    return books.postings.ReverseEntry(asked).entry.number


def sound(books: Ledger) -> None:
    """Nobody was paid more than was payable. Whether the books are sound is asked once, of all of them."""
    for account in books.codes():
        if account.code.startswith(PAYABLE):
            assert not books.balance(account.code).endswith("Dr")


# --- who is paid what ---------------------------------------------------------------------------------


def test_each_provider_is_paid_its_sessions_up_to_the_cut_off(books: Ledger) -> None:
    earned(books, "C1", "ada", "105.00", "2026-04-08")
    earned(books, "C2", "ada", "95.00", APRIL)
    earned(books, "C3", "ada", "50.00", "2026-04-16")
    earned(books, "C4", "bob", "70.00", "2026-04-01")
    found = preview(books, APRIL)
    assert amounts({line.provider: line for line in found.lines}) == {
        "ada": ("200.00", TO_PAY),
        "bob": ("70.00", TO_PAY),
    }
    cycle = paid(books, APRIL)
    assert (cycle.state, cycle.pay_date, cycle.session_count) == (pb.PAY_CYCLE_STATE_POSTED, "2026-04-20", 3)
    assert cycle.plan_hash == found.cycle.plan_hash
    [total] = cycle.totals
    assert (written(total.planned), written(total.paid), total.payment_count) == ("270.00", "270.00", 2)
    assert books.balance(f"{PAYABLE}:ada") == "50.00 Cr"
    assert books.balance(TRANSIT) == "270.00 Cr"
    [entry, _] = books.entries(kind=po.KIND_PROVIDER_PAID)
    assert (entry.effective_date, entry.dimensions.pay_cycle, entry.actor) == ("2026-04-20", APRIL, MAKER)
    sound(books)


def test_the_date_of_confirmation_decides_not_that_of_the_service(books: Ledger) -> None:
    earned(books, "C1", "ada", "105.00", "2026-03-02", effective_date="2026-04-20")
    earned(books, "C2", "bob", "1.00", "2026-03-02", effective_date="2026-04-15")
    assert amounts({line.provider: line for line in preview(books, APRIL).lines}) == {"bob": ("1.00", TO_PAY)}


def test_a_session_that_is_reported_late_is_paid_by_the_next_cycle(books: Ledger) -> None:
    earned(books, "C1", "ada", "105.00")
    paid(books, APRIL)
    earned(books, "C2", "ada", "95.00", "2026-04-02")
    paid(books, MAY)
    assert [item.claim for item in statement(books, MAY, "ada").items] == ["C2"]
    sound(books)


def test_payouts_and_entries_by_hand_are_counted_and_shown(books: Ledger) -> None:
    """The sessions' sum is 200.00, and less than that is payable: what is paid is what is due."""
    earned(books, "C1", "ada", "200.00")
    books.postings.PayProvider(payout("ada", "40.00", "2026-04-09", book=books.book))
    by_hand(books, "ada", "-10.00")
    by_hand(books, "ada", "5.00")
    by_hand(books, "ada", "7.00", "2026-04-16")  # counts from its day on
    paid(books, APRIL)
    line = lines(books, cycle=APRIL)["ada"]
    assert (written(line.sessions), written(line.adjustments), line.adjustment_count) == ("200.00", "-45.00", 3)
    assert (written(line.due), written(line.amount)) == ("155.00", "155.00")
    kinds = [(item.kind, written(item.amount)) for item in statement(books, APRIL, "ada", size=2).items]
    adjusted = pb.PAY_ITEM_KIND_ADJUSTMENT
    assert kinds == [(1, "200.00"), (adjusted, "-40.00"), (adjusted, "-10.00"), (adjusted, "5.00")]
    assert books.balance(f"{PAYABLE}:ada") == "7.00 Cr"
    paid(books, MAY)
    assert books.balance(f"{PAYABLE}:ada") == "0.00"
    sound(books)


def test_a_negative_payable_is_carried(books: Ledger) -> None:
    earned(books, "C1", "ada", "100.00")
    by_hand(books, "ada", "-130.00")
    cycle = paid(books, APRIL)
    line = lines(books, cycle=APRIL)["ada"]
    assert (line.outcome, written(line.due), line.entry_number) == (CARRIED, "-30.00", 0)
    assert written(cycle.totals[0].carried) == "-30.00"
    earned(books, "C2", "ada", "50.00", "2026-04-20")
    paid(books, MAY)
    line = lines(books, cycle=MAY)["ada"]
    assert (written(line.carried), written(line.sessions), written(line.amount)) == ("-30.00", "50.00", "20.00")
    told_ = statement(books, MAY, "ada")
    assert (written(told_.paid), written(told_.closing), [item.claim for item in told_.items]) == (
        "20.00",
        "0.00",
        ["C2"],
    )
    sound(books)


def test_a_session_reversed_before_it_is_paid_is_never_listed(books: Ledger) -> None:
    earned(books, "C1", "ada", "100.00")
    reversed_(books, earned(books, "C2", "ada", "60.00"))
    reversed_(books, earned(books, "C3", "ada", "30.00", "2026-04-20"))
    paid(books, APRIL)
    assert [item.claim for item in statement(books, APRIL, "ada").items] == ["C1"]
    with_nothing = told(books.pay_cycles.RunPayCycle, running(books, MAY, validate_only=True))
    assert with_nothing.reason == "PAY_CYCLE_EMPTY"
    sound(books)


def test_a_session_reversed_after_it_was_paid_comes_back_as_a_negative_line(books: Ledger) -> None:
    first = earned(books, "C1", "ada", "100.00")
    paid(books, APRIL)
    reversed_(books, first)
    earned(books, "C2", "ada", "130.00", "2026-04-20")
    paid(books, MAY)
    kinds = {item.claim: (item.kind, written(item.amount)) for item in statement(books, MAY, "ada").items}
    assert kinds == {"C1": (pb.PAY_ITEM_KIND_SESSION_REVERSED, "-100.00"), "C2": (1, "130.00")}
    assert amounts(lines(books, cycle=MAY)) == {"ada": ("30.00", PAID)}
    sound(books)


def test_a_denied_and_absorbed_claim_changes_nothing_for_the_provider(books: Ledger) -> None:
    """The same sessions in two books, in one of which the claim is denied and absorbed: the same statement."""
    other = books.of(f"{books.book}-denied")
    open_book(other, other.book)
    calendar_set(other)
    payee_set(other, "ada")
    for one in (books, other):
        earned(one, "C1", "ada", "105.00")
    about = {"claim": "C1", "effective_date": "2026-04-10", "reason": "timely filing"}
    other.postings.AbsorbDenial(po.AbsorbDenialRequest(book=other.book, idempotency_key=key(), **about))
    for one in (books, other):
        paid(one, APRIL)

    def told_in(one: Ledger) -> list[tuple[str, ...]]:
        found = statement(one, APRIL, "ada")
        line = found.line
        return [
            *[(item.claim, item.service_date, written(item.amount)) for item in found.items],
            tuple(
                map(written, (line.carried, line.sessions, line.adjustments, line.due, found.paid, found.closing))
            ),
        ]

    assert told_in(books) == told_in(other)
    assert told_in(other)[0] == ("C1", "2026-04-08", "105.00")


def test_who_has_no_bank_details_is_left_and_paid_later(books: Ledger) -> None:
    earned(books, "C1", "ada", "105.00")
    earned(books, "C2", "cy", "95.00")
    paid(books, APRIL)
    assert amounts(lines(books, cycle=APRIL)) == {"ada": ("105.00", PAID), "cy": ("0.00", NO_PAYEE)}
    assert lines(books, cycle=APRIL)["cy"].reason == "no bank details are in force"
    payee_set(books, "cy")
    paid(books, MAY)
    assert amounts(lines(books, cycle=MAY)) == {"cy": ("95.00", PAID)}
    sound(books)


def test_bank_details_in_another_currency_pay_nothing(books: Ledger) -> None:
    payee_set(books, "cy", currency_code="EUR", routing_number="DEUTDEFF")
    earned(books, "C2", "cy", "95.00")
    found = lines(books, proposal=cycle_proposed(books, APRIL).number)["cy"]
    assert (found.outcome, found.reason) == (NO_PAYEE, "the bank details are for EUR")


def test_a_held_provider_is_paid_after_the_release(books: Ledger) -> None:
    earned(books, "C1", "ada", "105.00")
    assert not held(books, "ada", "licence lapsed").replayed
    assert held(books, "ada").replayed
    paid(books, APRIL)
    line = lines(books, cycle=APRIL)["ada"]
    assert (line.outcome, line.reason, written(line.due)) == (HELD, "licence lapsed", "105.00")
    assert released(books, "ada").hold.version == 2
    assert released(books, "ada").replayed
    earned(books, "C2", "ada", "5.00", "2026-04-20")
    paid(books, MAY)
    assert amounts(lines(books, cycle=MAY)) == {"ada": ("110.00", PAID)}
    assert [item.claim for item in statement(books, MAY, "ada").items] == ["C1", "C2"]
    sound(books)


def test_a_provider_whose_name_an_account_cannot_hold(books: Ledger) -> None:
    name = "Dr. Zoë, PhD"
    payee_set(books, name)
    earned(books, "C1", name, "105.00")
    paid(books, APRIL)
    assert amounts(lines(books, cycle=APRIL)) == {name: ("105.00", PAID)}
    assert written(statement(books, APRIL, name).paid) == "105.00"
    sound(books)


# --- calendars ----------------------------------------------------------------------------------------


def test_a_calendar_has_versions_and_the_newest_counts(books: Ledger) -> None:
    assert calendar_set(books, reason="the same again").version == 1
    fortnights = pb.PayCalendar(every_days=14, first_cut_off="2026-05-01", days_to_payment=3)
    assert calendar_set(books, fortnights).version == 2
    found = books.pay_cycles.GetPayCalendar(pb.GetPayCalendarRequest(book=books.book, after="2026-05-01"))
    assert [(one.version, one.calendar) for one in found.versions] == [(2, fortnights), (1, MONTHLY)]
    assert [(one.cycle, one.pay_date) for one in found.cut_offs][:2] == [
        ("2026-05-15", "2026-05-18"),
        ("2026-05-29", "2026-06-01"),
    ]
    assert len(found.cut_offs) == 12


# --- two persons --------------------------------------------------------------------------------------


def test_nothing_is_paid_before_another_has_approved(books: Ledger) -> None:
    earned(books, "C1", "ada", "105.00")
    found = told(books.pay_cycles.RunPayCycle, running(books, APRIL))
    assert (found.reason, found.facts["kind"]) == ("APPROVAL_NEEDED", "run_pay_cycle")
    proposal = cycle_proposed(books, APRIL)
    assert told(books.pay_cycles.RunPayCycle, running(books, APRIL)).reason == "APPROVAL_NEEDED"
    assert told(books.approvals.Approve, approving(books, proposal)).reason == "MAKER_IS_CHECKER"
    wrong_hash = approving(books, proposal, content_hash=bytes(32))
    assert told(books.approvals.Approve, wrong_hash, APPROVER).reason == "PROPOSAL_DIFFERS"
    assert len(books.entries()) == 1
    approved(books, proposal)
    assert posted(books, APRIL).posted_line_count == 1


def test_a_proposal_shows_what_the_cycle_would_pay(books: Ledger) -> None:
    earned(books, "C1", "ada", "105.00")
    proposal = cycle_proposed(books, APRIL)
    shown = proposal.preview.pay_cycle
    assert (shown.cycle, shown.line_count, written(shown.totals[0].planned)) == (APRIL, 1, "105.00")
    asked = pb.GetPayCycleRequest(book=books.book, proposal=proposal.number)
    found = books.pay_cycles.GetPayCycle(asked)
    assert (found.cycle.state, found.cycle.proposal) == (pb.PAY_CYCLE_STATE_PLANNED, proposal.number)
    assert amounts({line.provider: line for line in found.lines}) == {"ada": ("105.00", TO_PAY)}
    again = proposing(books, proposal.act, idempotency_key=proposal.idempotency_key)
    replayed = books.approvals.Propose(again, metadata=by(MAKER))
    assert (replayed.replayed, replayed.proposal.number) == (True, proposal.number)


@pytest.mark.parametrize("end", ["declined", "withdrawn"])
def test_a_cycle_that_nobody_approves_leaves_its_sessions_free(books: Ledger, end: str) -> None:
    earned(books, "C1", "ada", "105.00")
    first = cycle_proposed(books, APRIL)
    if end == "declined":
        books.approvals.Decline(declining(books, first), metadata=by(APPROVER))
    else:
        books.approvals.Withdraw(withdrawing(books, first), metadata=by(MAKER))
    assert paid(books, APRIL).posted_line_count == 1
    sound(books)


def test_of_two_proposals_one_is_paid(books: Ledger) -> None:
    earned(books, "C1", "ada", "105.00")
    first, second, later = (cycle_proposed(books, cut_off) for cut_off in (APRIL, APRIL, MAY))
    approved(books, first)
    assert told(books.approvals.Approve, approving(books, second), APPROVER).reason == "PAY_CYCLE_OUT_OF_ORDER"
    assert told(books.approvals.Approve, approving(books, later), APPROVER).reason == "PAY_CYCLE_UNFINISHED"
    posted(books, APRIL)
    assert told(books.approvals.Approve, approving(books, later), APPROVER).reason == "PROPOSAL_OUTDATED"
    assert told(books.pay_cycles.RunPayCycle, running(books, "2026-03-31")).reason == "PAY_CYCLE_OUT_OF_ORDER"
    sound(books)


def test_a_limit_on_payouts_does_not_ask_twice(books: Ledger) -> None:
    """The cycle was approved as a whole; a payout by hand still needs its own approval."""
    earned(books, "C1", "ada", "105.00")
    limit = ap.SetApprovalLimitRequest(
        book=books.book, kind=po.KIND_PROVIDER_PAID, currency_code="USD", reason="policy"
    )
    limit.minor_units = 0
    books.approvals.SetApprovalLimit(limit)
    assert told(books.postings.PayProvider, payout("ada", "1.00", book=books.book)).reason == "APPROVAL_NEEDED"
    paid(books, APRIL)
    sound(books)


# --- what was approved is what is paid ----------------------------------------------------------------


def payout_made(books: Ledger) -> None:
    books.postings.PayProvider(payout("ada", "1.00", book=books.book))


CHANGES: dict[str, tuple[Callable[[Ledger], Any], int, str]] = {
    "a payout": (payout_made, CHANGED, "the payable fell after the plan"),
    "an entry by hand": (lambda books: by_hand(books, "ada", "-1.00"), CHANGED, "the payable fell after the plan"),
    "a session reversed": (lambda books: reversed_(books, 1), CHANGED, "the payable fell after the plan"),
    "a hold": (held, HELD, "audit"),
    "other bank details": (
        lambda books: payee_accepted(
            books, books.pay_cycles.SetPayee(payee(books, "ada", account_number="1"), metadata=by(MAKER)).payee
        ),
        CHANGED,
        "the bank details changed after the plan",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_who_changed_after_the_plan_is_left_and_listed(books: Ledger, name: str) -> None:
    """Never another amount: nothing, with the reason, and the next cycle has it."""
    change, outcome, why = CHANGES[name]
    earned(books, "C1", "ada", "105.00")
    earned(books, "C2", "bob", "95.00")
    proposal = cycle_proposed(books, APRIL)
    if name == "a payout":
        approved(books, proposal)  # before or after the approval, it is the same
        change(books)
    elif name == "a hold":
        held(books, "ada", why)
        approved(books, proposal)
    else:
        change(books)
        approved(books, proposal)
    cycle = posted(books, APRIL)
    found = lines(books, cycle=APRIL)
    assert amounts(found)["bob"] == ("95.00", PAID)
    assert (found["ada"].outcome, found["ada"].reason, found["ada"].entry_number) == (outcome, why, 0)
    assert written(cycle.totals[0].paid) == "95.00"
    assert lines(books, cycle=APRIL, outcome=outcome).keys() == {"ada"}
    sound(books)


def test_what_is_earned_after_the_plan_is_left_to_the_next_cycle(books: Ledger) -> None:
    earned(books, "C1", "ada", "105.00")
    proposal = cycle_proposed(books, APRIL)
    earned(books, "C2", "ada", "95.00")
    approved(books, proposal)
    posted(books, APRIL)
    assert amounts(lines(books, cycle=APRIL)) == {"ada": ("105.00", PAID)}
    paid(books, MAY)
    assert amounts(lines(books, cycle=MAY)) == {"ada": ("95.00", PAID)}
    sound(books)


def test_a_payment_that_the_books_refuse_is_listed_with_the_reason(server: Ledger) -> None:
    """Cash and what is in transit are kept in one currency: a provider of another is not paid, and others are."""
    books = server.of(f"pay-{next(_books)}")
    open_book(books, books.book)
    calendar_set(books)
    payee_set(books, "ada")
    payee_set(books, "eve", currency_code="EUR", routing_number="DEUTDEFF")
    earned(books, "C1", "ada", "105.00")
    for code in ("Expenses:Euro", f"{PAYABLE}:eve"):
        asked = serving.accounts.OpenAccountRequest(book=books.book, code=code, currency_code="EUR")
        books.accounts.OpenAccount(asked)
    books.post(
        "2026-04-08", dr("Expenses:Euro", "5.00", currency="EUR"), cr(f"{PAYABLE}:eve", "5.00", currency="EUR")
    )
    paid(books, APRIL)
    found = lines(books, cycle=APRIL)["eve"]
    assert (found.outcome, found.reason) == (CHANGED, "the books refused it: ACCOUNT_CURRENCY_DIFFERS")
    assert amounts(lines(books, cycle=APRIL))["ada"] == ("105.00", PAID)
    sound(books)


# --- in parts, and again ------------------------------------------------------------------------------


def test_stopping_half_way_and_running_again_pays_nobody_twice(
    books: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pay_cycle, "PART", 2)
    names = [f"p{n}" for n in range(7)]
    payee_set(books, *names)
    for name in names:
        earned(books, name, name, "10.00")
    approved(books, cycle_proposed(books, APRIL))
    books.loop.run(one_part(books))
    found = books.pay_cycles.ListPayCycles(pb.ListPayCyclesRequest(book=books.book)).cycles[0]
    assert (found.state, found.posted_line_count) == (pb.PAY_CYCLE_STATE_APPROVED, 2)
    for call, request in (
        (books.pay_cycles.MarkSent, pb.MarkSentRequest(book=books.book, cycle=APRIL, day=APRIL, reason="sent")),
        (books.pay_cycles.RunPayCycle, running(books, MAY)),
    ):
        assert told(call, request).reason == "PAY_CYCLE_UNFINISHED"
    with pytest.raises(grpc.RpcError) as early:
        file(books, APRIL)
    assert refusal(early.value).reason == "PAY_CYCLE_UNFINISHED"
    runs = [books.pay_cycles.RunPayCycle.future(running(books, APRIL), metadata=by(MAKER)) for _ in range(4)]
    states = [run.result(serving.PATIENCE_SECONDS).cycle.state for run in runs]
    assert pb.PAY_CYCLE_STATE_POSTED in states
    again = books.pay_cycles.RunPayCycle(running(books, APRIL), metadata=by(MAKER))
    assert (again.replayed, again.cycle.posted_line_count) == (True, 7)
    assert amounts(lines(books, size=3, cycle=APRIL)) == dict.fromkeys(names, ("10.00", PAID))
    assert len(books.entries(kind=po.KIND_PROVIDER_PAID)) == 7
    sound(books)


async def one_part(books: Ledger) -> None:
    """Posts the first lines of a cycle, and no more."""
    database = engine(books.url)
    try:
        async with reading(database) as connection:
            cycle = await store.existing_cycle(connection, books.book, date.fromisoformat(APRIL))
        assert await pay_cycle.post_part(database, cycle)
    finally:
        await database.dispose()


def test_postgresql_itself_refuses_to_count_a_session_twice(books: Ledger) -> None:
    """Whatever the program does: by the entry and the account, and a session whatever the account."""
    number = earned(books, "C1", "ada", "105.00")
    earned(books, "C2", "bob", "1.00")
    paid(books, APRIL)
    with psycopg.connect(books.url.replace("+psycopg", "")) as owner:
        for account in ("ada", "bob"):
            again = [books.book, number, f"{PAYABLE}:{account}", APRIL]
            with pytest.raises(errors.UniqueViolation):
                owner.execute("INSERT INTO pay_cycle_items VALUES (%s, %s, %s, %s, 'session', 10500)", again)
            owner.rollback()


# --- sent, settled, returned --------------------------------------------------------------------------


def test_a_payment_is_sent_and_settled_once(books: Ledger) -> None:
    earned(books, "C1", "ada", "105.00")
    earned(books, "C2", "bob", "95.00")
    paid(books, APRIL)
    refused_ = told(
        books.pay_cycles.MarkSettled,
        pb.MarkSettledRequest(book=books.book, cycle=APRIL, providers=["ada"], day=APRIL, reason="statement"),
    )
    assert refused_.reason == "PAYMENT_NOT_SENT"
    assert settled(books, APRIL).payment_count == 0
    assert sent(books, APRIL, "ada").payment_count == 1
    assert sent(books, APRIL).payment_count == 1
    assert sent(books, APRIL).replayed
    assert settled(books, APRIL, "ada").payment_count == 1
    rest = settled(books, APRIL)
    assert (rest.payment_count, len(rest.entry_numbers), rest.replayed) == (1, 1, False)
    assert (settled(books, APRIL).replayed, settled(books, APRIL, "ada").replayed) == (True, True)
    assert books.balance(TRANSIT) == "0.00"
    assert books.balance("Assets:Cash") == "200.00 Cr"
    assert {line.payment for line in lines(books, cycle=APRIL).values()} == {pb.PAYMENT_STATE_SETTLED}
    sound(books)


@pytest.mark.parametrize("after", ["sent", "settled"])
def test_a_payment_that_came_back_is_payable_again_and_its_sessions_are_not_new(books: Ledger, after: str) -> None:
    earned(books, "C1", "ada", "105.00")
    paid(books, APRIL)
    assert told(books.pay_cycles.ReturnPayment, returning(books, APRIL, "ada")).reason == "PAYMENT_NOT_SENT"
    sent(books, APRIL)
    if after == "settled":
        settled(books, APRIL)
    first = returned(books, APRIL, "ada", "2026-04-22")
    assert returned(books, APRIL, "ada", "2026-04-23") == pb.ReturnPaymentResponse(
        entry_number=first.entry_number, replayed=True
    )
    [payment] = books.entries(kind=po.KIND_PROVIDER_PAID)
    [back] = books.entries(kind=po.KIND_PAYOUT_RETURNED)
    assert (back.number, back.reverses, back.description) == (first.entry_number, payment.number, "R03 no account")
    assert (books.balance(TRANSIT), books.balance("Assets:Cash")) == ("0.00", "0.00")
    assert books.balance(f"{PAYABLE}:ada") == "105.00 Cr"
    assert lines(books, cycle=APRIL)["ada"].payment == pb.PAYMENT_STATE_RETURNED
    again = po.ReverseEntryRequest(
        book=books.book, idempotency_key=key(), number=payment.number, effective_date=APRIL, reason="twice"
    )
    assert told(books.postings.ReverseEntry, again).reason == "ENTRY_ALREADY_REVERSED"
    paid(books, MAY)
    found = statement(books, MAY, "ada")
    assert (found.line.session_count, written(found.line.adjustments), written(found.paid)) == (
        0,
        "105.00",
        "105.00",
    )
    assert [item.kind for item in found.items] == [pb.PAY_ITEM_KIND_PAYMENT_RETURNED]
    assert [item.claim for item in statement(books, APRIL, "ada").items] == ["C1"]
    sound(books)


def test_what_came_back_is_neither_sent_nor_settled(books: Ledger) -> None:
    earned(books, "C1", "ada", "105.00")
    earned(books, "C2", "bob", "95.00")
    paid(books, APRIL)
    sent(books, APRIL, "ada")
    returned(books, APRIL, "ada")
    asked = pb.MarkSettledRequest(book=books.book, cycle=APRIL, providers=["ada"], day=APRIL, reason="statement")
    assert told(books.pay_cycles.MarkSettled, asked).reason == "PAYMENT_CAME_BACK"
    [payment] = [one for one in books.entries(kind=po.KIND_PROVIDER_PAID) if one.dimensions.provider == "bob"]
    reversed_(books, payment.number)  # by hand, before it went to the bank
    asked_ = pb.MarkSentRequest(book=books.book, cycle=APRIL, providers=["bob"], day=APRIL, reason="sent")
    assert told(books.pay_cycles.MarkSent, asked_).reason == "PAYMENT_CAME_BACK"
    assert (sent(books, APRIL).payment_count, settled(books, APRIL).payment_count) == (0, 0)
    paid(books, MAY)
    assert amounts(lines(books, cycle=MAY)) == {"ada": ("105.00", PAID), "bob": ("95.00", PAID)}
    sound(books)


# --- bank details -------------------------------------------------------------------------------------


def test_a_change_of_bank_details_needs_a_second_person(books: Ledger) -> None:
    change = payee(books, "ada", account_number="1111222233", reason="moved to another bank")
    new = books.pay_cycles.SetPayee(change, metadata=by(MAKER)).payee
    assert (new.version, new.in_force, new.last_four) == (2, False, "2233")
    assert books.pay_cycles.SetPayee(change, metadata=by(MAKER)).replayed
    act = ap.Act(accept_payee=pb.AcceptPayee(provider="ada", version=2))
    assert told(books.approvals.Propose, proposing(books, act), "another").reason == "NOT_THE_MAKER"
    proposal = books.approvals.Propose(proposing(books, act), metadata=by(MAKER)).proposal
    assert (proposal.preview.payee.before.version, proposal.preview.payee.after.last_four) == (1, "2233")
    assert told(books.approvals.Approve, approving(books, proposal)).reason == "MAKER_IS_CHECKER"
    asked = pb.GetPayeeRequest(book=books.book, provider="ada")
    assert [(one.version, one.in_force) for one in books.pay_cycles.GetPayee(asked).payees] == [
        (2, False),
        (1, True),
    ]
    approved(books, proposal)
    found = books.pay_cycles.GetPayee(asked).payees
    assert [(one.version, one.in_force, one.proposal) for one in found] == [
        (2, True, proposal.number),
        (1, False, 0),
    ]
    for version in (1, 2):
        outdated = ap.Act(accept_payee=pb.AcceptPayee(provider="ada", version=version))
        assert told(books.approvals.Propose, proposing(books, outdated)).reason == "PAYEE_OUTDATED"
    sound(books)


def test_the_newest_change_alone_is_accepted(books: Ledger) -> None:
    for number in ("11112222", "33334444"):
        books.pay_cycles.SetPayee(payee(books, "ada", account_number=number), metadata=by(MAKER))
    for version, reason in ((2, "PAYEE_OUTDATED"), (9, "PAYEE_NOT_FOUND")):
        act = ap.Act(accept_payee=pb.AcceptPayee(provider="ada", version=version))
        assert told(books.approvals.Propose, proposing(books, act)).reason == reason


def test_account_numbers_are_in_no_table_log_or_answer(
    server: Ledger, loop: serving.Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    """But in the payment file: they are looked for, as text and as bytes, wherever the database keeps anything."""
    sealing = Sealing((("k1", b"1" * 32),))
    with serving.serving(loop, server.url, files=Files(sealing)) as running_:
        books = running_.of(f"pay-{next(_books)}")
        open_book(books, books.book)
        calendar_set(books)
        secret, other = "771234500099", "882345600011"
        first = payee_set(books, "ada", account_number=secret)
        books.pay_cycles.SetPayee(company(books, account_number=other), metadata=by(MAKER))
        changed = books.pay_cycles.SetPayee(payee(books, "ada", account_number=f"{secret}1"), metadata=by(MAKER))
        proposal = payee_accepted(books, changed.payee)
        earned(books, "C1", "ada", "105.00")
        cycle = paid(books, APRIL)
        seen = [first, changed, proposal, cycle, lines(books, cycle=APRIL), statement(books, APRIL, "ada")]
        content = file(books, APRIL)
    assert secret.encode() in content
    assert other.encode() in content
    said = capsys.readouterr()
    for hidden in (secret, other):
        assert hidden not in f"{seen}{said.out}{said.err}"
        assert everywhere(server.url, hidden) == []


SWAPPED = """
    UPDATE payees SET content = other.content, nonce = other.nonce FROM payees AS other
    WHERE payees.book = %s AND other.book = payees.book AND payees.provider = 'ada' AND other.provider = 'bob'
"""


def everywhere(url: str, hidden: str) -> list[str]:
    """The tables in which a text is found, as text or as bytes."""
    with psycopg.connect(url.replace("+psycopg", "")) as owner:
        tables = [name for (name,) in owner.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        return [
            name
            for name in tables
            if owner.execute(
                f"SELECT 1 FROM {name} AS t WHERE CAST(t AS text) LIKE %s OR CAST(t AS text) LIKE %s LIMIT 1",
                [f"%{hidden}%", f"%{hidden.encode().hex()}%"],
            ).fetchone()
        ]


def test_auditors_see_bank_details_by_their_last_digits_alone(server: Ledger) -> None:
    asked = """
        SELECT column_name FROM information_schema.columns
        WHERE table_schema = 'ledger_reading' AND table_name = 'payees'
    """
    with psycopg.connect(server.url.replace("+psycopg", "")) as owner:
        seen = {name for (name,) in owner.execute(asked)}
    assert "last_four" in seen
    assert not seen & {"content", "key_name", "nonce"}


def test_accounts_are_sealed_anew_under_a_new_key_and_bound_to_their_place(
    server: Ledger, loop: serving.Loop
) -> None:
    old, new = ("k_old", b"o" * 32), ("k_new", b"n" * 32)
    name = f"pay-{next(_books)}"

    async def resealed(sealing: Sealing) -> int:
        database = engine(server.url)
        try:
            return await Payees(sealing).reseal(database)
        finally:
            await database.dispose()

    with psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True) as owner:
        with serving.serving(loop, server.url, files=Files(Sealing((old,)))) as running_:
            books = running_.of(name)
            open_book(books, name)
            calendar_set(books)
            payee_set(books, "ada", "bob")
            earned(books, "C1", "ada", "105.00")
            paid(books, APRIL)
            before = file(books, APRIL, CSV)
        assert loop.run(resealed(Sealing((new, old, ("k1", b"1" * 32))))) >= 2
        assert loop.run(resealed(Sealing((new, old)))) == 0
        with serving.serving(loop, server.url, files=Files(Sealing((new,)))) as running_:
            assert file(running_.of(name), APRIL, CSV) == before
            swapped = (
                "UPDATE payees SET content = o.content, nonce = o.nonce FROM payees AS o WHERE payees.book = %s"
            )
            swapped += " AND o.book = payees.book AND payees.provider = 'ada' AND o.provider = 'bob'"
            owner.execute(swapped, [name])
            with pytest.raises(grpc.RpcError) as damaged:
                file(running_.of(name), APRIL, CSV)
            assert refusal(damaged.value).reason == "FILE_DAMAGED"
        with serving.serving(loop, server.url, files=Files(Sealing())) as running_:
            with pytest.raises(grpc.RpcError) as unknown:
                file(running_.of(name), APRIL, CSV)
            assert refusal(unknown.value).reason == "FILE_KEY_UNKNOWN"


# --- payment files ------------------------------------------------------------------------------------


def test_the_same_cycle_has_the_same_file_for_ever_and_whoever_reads_it_is_written_down(books: Ledger) -> None:
    for n, name in enumerate(("ada", "bob")):
        earned(books, f"C{n}", name, f"{n + 1}00.00")
    paid(books, APRIL)
    nobody = pb.GetPaymentFileRequest(book=books.book, cycle=APRIL, format=1, reason="early")
    with pytest.raises(grpc.RpcError) as missing:
        list(books.pay_cycles.GetPaymentFile(nobody))
    assert refusal(missing.value).reason == "PAYEE_NOT_FOUND"
    books.pay_cycles.SetPayee(company(books), metadata=by(MAKER))
    first, table = file(books, APRIL), file(books, APRIL, CSV)
    _, batches = nacha_reader.read(first)
    entries = [entry for batch in batches for entry in batch.entries]
    assert {entry.who: entry.cents for entry in entries} == {"ADA": 10_000, "BOB": 20_000, "OFFSET": 30_000}
    changed = books.pay_cycles.SetPayee(payee(books, "ada", account_number="1"), metadata=by(MAKER)).payee
    payee_accepted(books, changed)
    own = books.pay_cycles.SetPayee(company(books, account_number="55"), metadata=by(MAKER)).payee
    payee_accepted(books, own)
    sent(books, APRIL)
    returned(books, APRIL, "ada")
    assert (file(books, APRIL), file(books, APRIL, CSV)) == (first, table)
    with psycopg.connect(books.url.replace("+psycopg", "")) as owner:
        reads = owner.execute(
            "SELECT format, number, payment_count, total, actor, reason FROM payment_file_reads WHERE book = %s"
            " ORDER BY format, number",
            [books.book],
        ).fetchall()
    why = (2, 30_000, MAKER, "for the bank")
    assert reads == [("csv", 1, *why), ("csv", 2, *why), ("nacha", 1, *why), ("nacha", 2, *why)]
    sound(books)


def test_a_payment_that_was_reversed_before_the_first_file_is_not_in_it(books: Ledger) -> None:
    earned(books, "C1", "ada", "105.00")
    earned(books, "C2", "bob", "95.00")
    paid(books, APRIL)
    [payment] = [one for one in books.entries(kind=po.KIND_PROVIDER_PAID) if one.dimensions.provider == "bob"]
    reversed_(books, payment.number)
    assert b",bob," not in file(books, APRIL, CSV)
    assert b",ada," in file(books, APRIL, CSV)


def test_a_file_that_would_be_another_is_refused(books: Ledger) -> None:
    """A name of the file's layout that a later version writes otherwise, say: the bank has the file of then."""
    earned(books, "C1", "ada", "105.00")
    paid(books, APRIL)
    file(books, APRIL, CSV)
    with psycopg.connect(books.url.replace("+psycopg", ""), autocommit=True) as owner:
        owner.execute("ALTER TABLE payment_file_reads DISABLE TRIGGER payment_file_reads_never_change")
        owner.execute("UPDATE payment_file_reads SET sha256 = sha256(sha256) WHERE book = %s", [books.book])
        owner.execute("ALTER TABLE payment_file_reads ENABLE ALWAYS TRIGGER payment_file_reads_never_change")
    with pytest.raises(grpc.RpcError) as differs:
        file(books, APRIL, CSV)
    assert refusal(differs.value).reason == "PAYMENT_FILE_DIFFERS"


def test_nacha_is_in_dollars_and_says_so(books: Ledger) -> None:
    earned(books, "C1", "ada", "105.00")
    paid(books, APRIL)
    for form, currency, reason in ((1, "EUR", "PAYMENT_FILE_CURRENCY"), (2, "EUR", "PAYMENT_NOT_FOUND")):
        with pytest.raises(grpc.RpcError) as other:
            file(books, APRIL, form, currency)
        assert refusal(other.value).reason == reason


def test_a_payment_that_the_file_cannot_hold_is_refused(books: Ledger) -> None:
    earned(books, "C1", "ada", "100000000.00", allowed="100000000.00")
    paid(books, APRIL)
    books.pay_cycles.SetPayee(company(books), metadata=by(MAKER))
    with pytest.raises(grpc.RpcError) as large:
        file(books, APRIL)
    assert refusal(large.value).reason == "PAYMENT_TOO_LARGE"
    assert b"100000000.00" in file(books, APRIL, CSV)


# --- listings -----------------------------------------------------------------------------------------


def test_cycles_and_lines_come_in_pages(books: Ledger) -> None:
    names = [f"p{n}" for n in range(5)]
    payee_set(books, *names)
    for cut_off, day in ((APRIL, "2026-04-01"), (MAY, "2026-04-20"), (JUNE, "2026-05-02")):
        for name in names:
            earned(books, f"{name} {cut_off}", name, "1.00", day)
        paged, token = [], ""
        while True:
            asked = running(books, cut_off, validate_only=True, page_size=2, page_token=token)
            page = books.pay_cycles.RunPayCycle(asked)
            paged += [line.provider for line in page.lines]
            token = page.next_page_token
            if not token:
                break
        assert paged == names
        paid(books, cut_off)
        assert [*lines(books, size=2, cycle=cut_off)] == names
    first = books.pay_cycles.ListPayCycles(pb.ListPayCyclesRequest(book=books.book, page_size=2))
    asked = pb.ListPayCyclesRequest(book=books.book, page_size=2, page_token=first.next_page_token)
    second = books.pay_cycles.ListPayCycles(asked)
    assert [one.cycle for one in (*first.cycles, *second.cycles)] == [JUNE, MAY, APRIL]
    assert second.next_page_token == ""


# --- refusals -----------------------------------------------------------------------------------------

Asking = Callable[[Ledger], tuple[Any, Any]]
REFUSALS: dict[str, tuple[Asking, str]] = {
    "a calendar of both kinds": (
        lambda books: (
            books.pay_cycles.SetPayCalendar,
            pb.SetPayCalendarRequest(
                book=books.book,
                reason="x",
                calendar=pb.PayCalendar(days_of_month=[15], every_days=14, first_cut_off="2026-01-01"),
            ),
        ),
        "INVALID_ARGUMENT PAY_CALENDAR_INVALID field=days_of_month",
    ),
    "no calendar": (
        lambda books: (books.pay_cycles.SetPayCalendar, pb.SetPayCalendarRequest(book=books.book, reason="x")),
        "INVALID_ARGUMENT FIELD_MISSING field=calendar",
    ),
    "a day that is no cut-off": (
        lambda books: (books.pay_cycles.RunPayCycle, running(books, "2026-04-14")),
        "FAILED_PRECONDITION CUT_OFF_NOT_IN_CALENDAR cut_off=2026-04-14 next=2026-04-15",
    ),
    "nothing due": (
        lambda books: (books.pay_cycles.RunPayCycle, running(books, APRIL, validate_only=True)),
        "FAILED_PRECONDITION PAY_CYCLE_EMPTY cycle=2026-04-15",
    ),
    "a cycle that is not there": (
        lambda books: (books.pay_cycles.GetPayCycle, pb.GetPayCycleRequest(book=books.book, cycle=APRIL)),
        "NOT_FOUND PAY_CYCLE_NOT_FOUND cycle=2026-04-15",
    ),
    "a proposal of nothing": (
        lambda books: (books.pay_cycles.GetPayCycle, pb.GetPayCycleRequest(book=books.book, proposal=9)),
        "NOT_FOUND PAY_CYCLE_NOT_FOUND proposal=9",
    ),
    "neither cycle nor proposal": (
        lambda books: (books.pay_cycles.GetPayCycle, pb.GetPayCycleRequest(book=books.book)),
        "INVALID_ARGUMENT FIELD_MISSING field=cycle",
    ),
    "bank details of nobody": (
        lambda books: (books.pay_cycles.GetPayee, pb.GetPayeeRequest(book=books.book, provider="cy")),
        "NOT_FOUND PAYEE_NOT_FOUND provider=cy",
    ),
    "a mistyped routing number": (
        lambda books: (books.pay_cycles.SetPayee, payee(books, "cy", routing_number="021000022")),
        "INVALID_ARGUMENT PAYEE_INVALID field=routing_number",
    ),
    "a name that no file can write": (
        lambda books: (books.pay_cycles.SetPayee, payee(books, "cy", name="???")),
        "INVALID_ARGUMENT PAYEE_INVALID field=name",
    ),
    "a provider with a bank's name": (
        lambda books: (books.pay_cycles.SetPayee, payee(books, "cy", bank_name="First")),
        "INVALID_ARGUMENT PAYEE_INVALID field=company_id",
    ),
    "a company without its number": (
        lambda books: (books.pay_cycles.SetPayee, company(books, company_id="1")),
        "INVALID_ARGUMENT PAYEE_INVALID field=company_id",
    ),
    "a company without its bank": (
        lambda books: (books.pay_cycles.SetPayee, company(books, bank_name="")),
        "INVALID_ARGUMENT PAYEE_INVALID field=bank_name",
    ),
    "whose account is not said": (
        lambda books: (books.pay_cycles.SetPayee, payee(books, "cy", holder=0)),
        "INVALID_ARGUMENT FIELD_MISSING field=holder",
    ),
    "a hold without a reason": (
        lambda books: (books.pay_cycles.HoldProvider, pb.HoldProviderRequest(book=books.book, provider="ada")),
        "INVALID_ARGUMENT FIELD_MISSING field=reason",
    ),
    "a proposal that is only validated": (
        lambda books: (
            books.approvals.Propose,
            proposing(books, ap.Act(run_pay_cycle=running(books, APRIL, validate_only=True))),
        ),
        "INVALID_ARGUMENT FIELDS_CONTRADICT field=act.run_pay_cycle.validate_only",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal(books: Ledger, name: str) -> None:
    asking, expected = REFUSALS[name]
    before = books.state()
    found = told(*asking(books))
    assert " ".join([found.code, found.reason, *(f"{k}={v}" for k, v in sorted(found.facts.items()))]) == expected
    assert books.state() == before


def test_a_book_without_a_calendar_pays_nobody(server: Ledger) -> None:
    books = server.of(f"pay-{next(_books)}")
    open_book(books, books.book)
    assert told(books.pay_cycles.RunPayCycle, running(books, APRIL)).reason == "PAY_CALENDAR_NOT_SET"
    assert (
        told(books.pay_cycles.GetPayCalendar, pb.GetPayCalendarRequest(book=books.book)).reason
        == "PAY_CALENDAR_NOT_SET"
    )


def test_a_provider_that_a_cycle_does_not_name(books: Ledger) -> None:
    earned(books, "C1", "ada", "105.00")
    paid(books, APRIL)
    asked = pb.GetProviderStatementRequest(book=books.book, cycle=APRIL, provider="bob")
    found = told(books.pay_cycles.GetProviderStatement, asked)
    assert (found.reason, found.facts) == ("PAY_CYCLE_NOT_FOUND", {"cycle": APRIL, "provider": "bob"})
    nobody = pb.MarkSentRequest(book=books.book, cycle=APRIL, providers=["bob"], day=APRIL, reason="sent")
    assert told(books.pay_cycles.MarkSent, nobody).reason == "PAYMENT_NOT_FOUND"
