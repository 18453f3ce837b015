"""Who is paid what and why, as tables: never more than is due, nor another amount than was approved."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.pay_cycles.cycle import (
    Counted,
    Line,
    Now,
    Outcome,
    PayeeInForce,
    Plan,
    decided,
    kept_back,
    paid,
    planned,
    refuse_order,
)
from ledger.pay_cycles.refusals import PayCycleOutOfOrder, PayCycleUnfinished

USD, EUR = PayeeInForce(3, "USD"), PayeeInForce(3, "EUR")
PAYEES = {"usd": USD, "eur": EUR, "-": None}

# carried, sessions, adjustments, hold, bank details: outcome, amount, what is left once it is settled
PLANNED = """
         0  10500      0  -     usd : to_pay    10500     0
     -3000  10500      0  -     usd : to_pay     7500     0
         0  10500  -4000  -     usd : to_pay     6500     0
         0      0  10500  -     usd : to_pay    10500     0
         0  10500 -10500  -     usd : carried       0     0
         0  10500 -13000  -     usd : carried       0 -2500
     -3000   1000      0  -     -   : carried       0 -2000
     -3000      0      0  -     usd : carried       0 -3000
         0  10500      0  audit usd : held          0     .
     -3000      0      0  audit usd : held          0     .
         0  10500      0  -     -   : no_payee      0     .
         0  10500      0  -     eur : no_payee      0     .
"""
# What changed after the plan of 105.00 by bank details of version 3: what becomes of it
DECIDED = {
    "nothing": (Now(payee=USD), Outcome.TO_PAY, 10_500, ""),
    "something was taken": (
        Now(payee=USD, has_fallen=True),
        Outcome.CHANGED,
        0,
        "the payable fell after the plan",
    ),
    "other bank details": (
        Now(payee=PayeeInForce(4, "USD")),
        Outcome.CHANGED,
        0,
        "the bank details changed after the plan",
    ),
    "none any more": (Now(), Outcome.CHANGED, 0, "the bank details changed after the plan"),
    "a hold": (Now(hold="audit", payee=USD), Outcome.HELD, 0, "audit"),
    "a hold, and all else": (Now(hold="audit", has_fallen=True), Outcome.HELD, 0, "audit"),
}


def counted(carried: int = 0, sessions: int = 10_500, adjustments: int = 0) -> Counted:
    return Counted("Liabilities:Payable:Provider:ada", "ada", "USD", carried, 1, sessions, 1, adjustments, since=9)


@pytest.mark.parametrize("row", PLANNED.strip().splitlines())
def test_planned(row: str) -> None:
    told, _, expected = row.partition(" : ")
    carried, sessions, adjustments, hold, payee = told.split()
    line = planned(
        counted(int(carried), int(sessions), int(adjustments)), None if hold == "-" else hold, PAYEES[payee]
    )
    result = decided(line, Now(payee=PAYEES[payee]))
    ended = paid(result, 7) if result.outcome is Outcome.TO_PAY else result
    left = "." if ended.closing is None else str(ended.closing)
    assert [line.outcome, str(line.amount), left] == expected.split()
    assert (ended.since is None) == (left == ".")


@pytest.mark.parametrize("name", DECIDED)
def test_decided(name: str) -> None:
    now, outcome, amount, reason = DECIDED[name]
    result = decided(planned(counted(), None, USD), now)
    assert (result.outcome, result.amount, result.reason) == (outcome, amount, reason)


def test_a_payment_that_the_books_refuse_counts_nothing() -> None:
    result = kept_back(decided(planned(counted(), None, USD), Now(payee=USD)), "ACCOUNT_CLOSED")
    assert (result.outcome, result.amount, result.closing, result.since) == (Outcome.CHANGED, 0, None, None)
    assert result.reason == "the books refused it: ACCOUNT_CLOSED"


amounts = st.integers(-(10**9), 10**9)
lines = st.builds(counted, st.integers(-(10**9), 0), st.integers(0, 10**9), amounts)
nows = st.builds(Now, st.sampled_from([None, "audit"]), st.sampled_from([USD, EUR, None]), st.booleans())


@given(lines, st.sampled_from([None, "audit"]), st.sampled_from([USD, EUR, None]), nows)
def test_never_more_than_is_due_and_never_another_amount(
    one: Counted, hold: str | None, payee: PayeeInForce | None, now: Now
) -> None:
    """All that is due, or nothing; after the plan the same amount, or nothing; no cent is made or lost."""
    line = planned(one, hold, payee)
    assert line.amount in (0, one.due)
    assert line.amount >= 0
    result = decided(line, now)
    assert result.amount in (0, line.amount)
    ended = paid(result, 7) if result.outcome is Outcome.TO_PAY else result
    if ended.closing is not None:
        assert ended.closing + ended.amount == one.due
        assert ended.closing <= 0


def plan(*made: Line) -> Plan:
    return Plan(date(2026, 4, 15), date(2026, 4, 20), 9, None, made)


def test_a_plan_s_hash_stands_for_every_field_of_every_line() -> None:
    """And what is stated, for where it stands among the cycles and what it knew."""
    line = planned(counted(), None, USD)
    others = [
        replace(line, amount=1),
        replace(line, payee_version=4),
        replace(line, reason="because"),
        replace(line, outcome=Outcome.HELD),
        *(replace(line, counted=replace(line.counted, **{name: 1})) for name in ("carried", "sessions", "since")),
        replace(line, counted=replace(line.counted, adjustment_count=2)),
        replace(line, counted=replace(line.counted, provider="bob")),
    ]
    hashes = {plan(line).plan_hash, plan(line, line).plan_hash, *(plan(one).plan_hash for one in others)}
    assert len(hashes) == len(others) + 2
    stated = plan(line).stated()
    for changed in ({"known": 10}, {"after": date(2026, 3, 31)}, {"pay_date": date(2026, 4, 21)}):
        assert replace(plan(line), **changed).stated() != stated


@pytest.mark.parametrize(
    ("cycle", "last", "is_finished", "refusal"),
    [
        ("2026-04-30", None, True, None),
        ("2026-04-30", "2026-04-15", True, None),
        ("2026-04-30", "2026-04-15", False, PayCycleUnfinished),
        ("2026-04-15", "2026-04-15", True, PayCycleOutOfOrder),
        ("2026-04-15", "2026-04-30", False, PayCycleOutOfOrder),
    ],
)
def test_cycles_go_forward(
    cycle: str, last: str | None, *, is_finished: bool, refusal: type[Exception] | None
) -> None:
    days = date.fromisoformat(cycle), date.fromisoformat(last) if last else None
    if refusal is None:
        refuse_order(*days, is_finished=is_finished)
    else:
        with pytest.raises(refusal):
            refuse_order(*days, is_finished=is_finished)
