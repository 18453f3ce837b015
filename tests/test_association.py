"""Whose money a deposit is: every rule by a table, and by any deposits and remittances that can be thought of."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.bank.association import Association, Known, Received, Remitted, Standing, associate, taken_back
from reconciliation.bank.deposit import Trace
from reconciliation.reasons import ExceptionReason

DAY = date(2026, 6, 15)
TAX = "1066033492"
DIFFERS, AMBIGUOUS = ExceptionReason.DEPOSIT_DIFFERS, ExceptionReason.DEPOSIT_AMBIGUOUS
UNAPPLIED = ExceptionReason.UNAPPLIED_CASH


def remitted(number: int, trace: str = "EFT1", open_: int = 100, **more: object) -> Remitted:
    """A settled remittance of AETNA."""
    about = {"signed_by": TAX, "payer": "AETNA", "currency": "USD", "is_settled": True} | more
    return Remitted(
        id=UUID(int=number), trace=trace, effective_date=DAY, clearing=f"C{number}", open=open_, **about
    )


def came(number: int, amount: int = 100, *traces: str, signer: str = TAX, currency: str = "USD") -> Standing:
    """A deposit that names traces."""
    named = tuple(Trace(one, signer) for one in traces or ("EFT1",))
    return Standing(UUID(int=1000 + number), DAY, currency, amount, named, {"ZELIS": "AETNA", "1CIGNA": "CIGNA"})


def known(deposits: Sequence[Standing], remittances: Sequence[Remitted]) -> Known:
    found = Known()
    for deposit in deposits:
        found.deposit(deposit)
    for remittance in remittances:
        found.remittance(remittance)
    return found


def said(found: Association) -> str:
    """What was found, in a few words."""
    if found.come:
        return f"come {' '.join(str(one.int) for one in found.come)}"
    if found.raised is not None:
        return found.raised.reason
    return " ".join(
        f"{one.deposit.int}>{one.remittance.id.int}:{one.amount}:{one.rule}" for one in found.applications
    )


BY_PAYER, BY_TRACE = "trace_payer_amount", "trace_amount"
CASES: dict[str, tuple[list[Standing], list[Remitted], str]] = {
    "trace, payer and amount": ([came(1)], [remitted(1)], f"1001>1:100:{BY_PAYER}"),
    "the tax number without its 1": ([came(1, signer=TAX[1:])], [remitted(1)], f"1001>1:100:{BY_PAYER}"),
    "another name of the payer": ([came(1, signer="ZELIS")], [remitted(1)], f"1001>1:100:{BY_PAYER}"),
    "no payer said": ([came(1, signer="")], [remitted(1)], f"1001>1:100:{BY_TRACE}"),
    "another payer": ([came(1, signer="1CIGNA")], [remitted(1)], AMBIGUOUS),
    "an unknown payer": ([came(1, signer="1999999999")], [remitted(1)], AMBIGUOUS),
    "no trace": ([replace(came(1), traces=())], [remitted(1)], UNAPPLIED),
    "a trace that has not come": ([came(1, 100, "EFT9")], [remitted(1)], UNAPPLIED),
    "another currency": ([came(1, currency="EUR")], [remitted(1)], UNAPPLIED),
    "a cent less": ([came(1, 99)], [remitted(1)], DIFFERS),
    "a cent more": ([came(1, 101)], [remitted(1)], DIFFERS),
    "a remittance that is paid": ([came(1)], [remitted(1, open_=0)], DIFFERS),
    "what is left of a remittance": ([came(1, 40)], [remitted(1, open_=40)], f"1001>1:40:{BY_PAYER}"),
    "two payers under one trace, one said": (
        [came(1)],
        [remitted(1), remitted(2, signed_by="1CIGNA", payer="CIGNA")],
        f"1001>1:100:{BY_PAYER}",
    ),
    "two payers under one trace, none said": (
        [came(1, signer="")],
        [remitted(1), remitted(2, signed_by="1CIGNA", payer="CIGNA")],
        AMBIGUOUS,
    ),
    "two payers under one trace, one of this amount": (
        [came(1, signer="")],
        [remitted(1), remitted(2, open_=99, signed_by="1CIGNA", payer="CIGNA")],
        f"1001>1:100:{BY_TRACE}",
    ),
    "two parts": ([came(1, 60), came(2, 40)], [remitted(1)], f"1001>1:60:{BY_PAYER} 1002>1:40:{BY_PAYER}"),
    "two parts that are too little": ([came(1, 60), came(2, 30)], [remitted(1)], DIFFERS),
    "a right one beside a wrong one": ([came(1, 100), came(2, 7)], [remitted(1)], DIFFERS),
    "the same twice": ([came(1), came(2)], [remitted(1)], DIFFERS),
    "one of two remittances": (
        [came(1, 150, "EFT1", "EFT2")],
        [remitted(1), remitted(2, "EFT2", 50)],
        f"1001>1:100:{BY_PAYER} 1001>2:50:{BY_PAYER}",
    ),
    "one of two remittances, one not there": ([came(1, 150, "EFT1", "EFT2")], [remitted(1)], UNAPPLIED),
    "one of two remittances, a cent less": (
        [came(1, 149, "EFT1", "EFT2")],
        [remitted(1), remitted(2, "EFT2", 50)],
        DIFFERS,
    ),
    "two of two remittances": (
        [came(1, 75, "EFT1", "EFT2"), came(2, 75, "EFT1", "EFT2")],
        [remitted(1), remitted(2, "EFT2", 50)],
        AMBIGUOUS,
    ),
    "another that names it and one that is not there": (
        [came(1), came(2, 50, "EFT1", "EFT9")],
        [remitted(1)],
        AMBIGUOUS,
    ),
    "one that waits": ([came(1)], [remitted(1, is_settled=False)], "come 1"),
    "one that waits, a cent less": ([came(1, 99)], [remitted(1, is_settled=False)], DIFFERS),
    "one that waits beside one that does not": (
        [came(1, 150, "EFT1", "EFT2")],
        [remitted(1), remitted(2, "EFT2", 50, is_settled=False)],
        "come 2",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule(name: str) -> None:
    deposits, remittances, expected = CASES[name]
    assert said(associate(deposits[0], known(deposits, remittances))) == expected


def test_what_does_not_wait_is_applied_beside_what_does() -> None:
    deposits, remittances, _ = CASES["one that waits beside one that does not"]
    [one] = associate(deposits[0], known(deposits, remittances)).applications
    assert (one.remittance.id.int, one.amount) == (1, 100)


TRACES = st.sampled_from(["EFT1", "EFT2", "EFT3"])
DEPOSITS = st.builds(
    lambda amount, traces, signer: (amount, traces, signer),
    st.sampled_from([10, 20, 30, 50, 100]),
    st.lists(TRACES, max_size=3, unique=True),
    st.sampled_from([TAX, "", "ZELIS", "1CIGNA"]),
)
REMITTED = st.builds(
    lambda trace, open_, settled, payer: (trace, open_, settled, payer),
    TRACES,
    st.sampled_from([0, 10, 20, 30, 50, 100]),
    st.booleans(),
    st.sampled_from([(TAX, "AETNA"), ("1CIGNA", "CIGNA")]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(DEPOSITS, min_size=1, max_size=4), st.lists(REMITTED, max_size=4))
def test_no_rule_ever_applies_more_than_there_is_or_in_part(
    money: list[tuple[int, list[str], str]], paid: list[tuple[str, int, bool, tuple[str, str]]]
) -> None:
    """What is applied is named by a trace, contradicts no payer, and leaves each it touches at exactly zero."""
    deposits = [
        replace(
            came(n, amount, *(traces or ["X"]), signer=signer), traces=tuple(Trace(one, signer) for one in traces)
        )
        for n, (amount, traces, signer) in enumerate(money)
    ]
    remittances = [
        remitted(n, trace, open_, is_settled=settled, signed_by=by, payer=payer)
        for n, (trace, open_, settled, (by, payer)) in enumerate(paid)
    ]
    standing = known(deposits, remittances)
    found = associate(deposits[0], standing)
    for one in found.applications:
        signer = standing.deposits[one.deposit].traces[0].payer_identifier
        assert one.amount > 0
        assert one.remittance.is_settled
        assert one.remittance.trace in {trace.number for trace in standing.deposits[one.deposit].traces}
        assert signer in {"", one.remittance.signed_by} or (signer, one.remittance.payer) == ("ZELIS", "AETNA")
        standing.follow(one)
    for one in found.applications:
        assert standing.remittances[one.remittance.id].open == 0
        assert found.come or standing.deposits[one.deposit].unapplied == 0
    if not found.applications and deposits[0].unapplied:
        assert found.raised is not None, "nobody would look at it"


def test_which_deposit_is_taken_back() -> None:
    first = Received(UUID(int=1), "A", 100, "USD", "R1", frozenset({"EFT1"}))
    back = Received(UUID(int=9), "A", -100, "USD", "R9", frozenset({"EFT1"}))
    assert taken_back(back, [first]) == first
    assert taken_back(replace(back, traces=frozenset(), reference="R1"), [first]) == first
    for other in (
        replace(back, account="B"),
        replace(back, amount=-99),
        replace(back, currency="EUR"),
        replace(back, traces=frozenset()),
        replace(back, traces=frozenset(), reference=""),
    ):
        assert taken_back(other, [first, replace(first, reference="")]) is None
    assert taken_back(back, [first, replace(first, id=UUID(int=2))]) is None, "two are none"
