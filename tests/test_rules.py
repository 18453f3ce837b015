"""The posting rules, each as the journal entry that a bookkeeper would write. Amounts in dollars."""

import inspect
from datetime import date

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ledger.errors import AmountInvalid, CurrenciesMixed, SessionAmountsInvalid
from ledger.money import Amount, amount
from ledger.postings import rules
from ledger.postings.entry import Dimensions, JournalEntry, Kind, credit, debit
from ledger.postings.item import Item
from ledger.postings.rules import (
    Session,
    denial_absorbed,
    denial_recovered,
    provider_paid,
    remainder_written_off,
    reversal,
    session_earned,
)

DAY, LATER = date(2026, 4, 8), date(2026, 4, 30)
AETNA = "Assets:Receivable:Insurer:AETNA"
ABOUT = Dimensions(payer="AETNA", provider="ada", claim="C1", session="S1")


def session(allowed: str, patient: str, rate: str) -> Session:
    return Session("AETNA", "ada", "C1", usd(allowed), usd(patient), usd(rate), ABOUT)


def usd(text: str) -> Amount:
    return amount(text, "USD")


def written(entry: JournalEntry) -> str:
    """The entry as lines of account, amount, side and item."""
    rows = [
        f"{p.account} {str(p.amount).split()[0]} {'Dr' if p.signed > 0 else 'Cr'} {p.item or ''}".strip()
        for p in entry.postings
    ]
    return "\n".join(rows)


def lines(text: str) -> str:
    """A journal entry as a test writes it, one line a posting, with any number of blanks."""
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())


def claim(**balances: int) -> Item:
    return Item("C1", "USD", {AETNA: balances.get("open", 0)}, ABOUT)


SESSIONS = {
    "allowed 120 of which patient 20, provider 105: a margin of 15": (
        session("120.00", "20.00", "105.00"),
        """
        Assets:Receivable:Insurer:AETNA     100.00 Dr C1
        Assets:Receivable:Patient            20.00 Dr C1
        Expenses:ProviderServices           105.00 Dr
        Revenue:Sessions                    120.00 Cr
        Liabilities:Payable:Provider:ada    105.00 Cr
        """,
    ),
    "no patient share": (
        session("120.00", "0.00", "105.00"),
        """
        Assets:Receivable:Insurer:AETNA     120.00 Dr C1
        Expenses:ProviderServices           105.00 Dr
        Revenue:Sessions                    120.00 Cr
        Liabilities:Payable:Provider:ada    105.00 Cr
        """,
    ),
    "no margin": (
        session("105.00", "0.00", "105.00"),
        """
        Assets:Receivable:Insurer:AETNA     105.00 Dr C1
        Expenses:ProviderServices           105.00 Dr
        Revenue:Sessions                    105.00 Cr
        Liabilities:Payable:Provider:ada    105.00 Cr
        """,
    ),
    "a negative margin: the same lines, no branch for its sign": (
        session("100.00", "0.00", "105.00"),
        """
        Assets:Receivable:Insurer:AETNA     100.00 Dr C1
        Expenses:ProviderServices           105.00 Dr
        Revenue:Sessions                    100.00 Cr
        Liabilities:Payable:Provider:ada    105.00 Cr
        """,
    ),
    "all of it the patient's: the payer owes nothing, and no line says so": (
        session("120.00", "120.00", "105.00"),
        """
        Assets:Receivable:Patient           120.00 Dr C1
        Expenses:ProviderServices           105.00 Dr
        Revenue:Sessions                    120.00 Cr
        Liabilities:Payable:Provider:ada    105.00 Cr
        """,
    ),
    "nothing allowed: the provider has earned the rate all the same": (
        session("0.00", "0.00", "105.00"),
        """
        Expenses:ProviderServices           105.00 Dr
        Liabilities:Payable:Provider:ada    105.00 Cr
        """,
    ),
    "no rate: an owner who sees patients": (
        session("120.00", "20.00", "0.00"),
        """
        Assets:Receivable:Insurer:AETNA     100.00 Dr C1
        Assets:Receivable:Patient            20.00 Dr C1
        Revenue:Sessions                    120.00 Cr
        """,
    ),
    "a cent": (
        session("0.01", "0.01", "0.01"),
        """
        Assets:Receivable:Patient             0.01 Dr C1
        Expenses:ProviderServices             0.01 Dr
        Revenue:Sessions                      0.01 Cr
        Liabilities:Payable:Provider:ada      0.01 Cr
        """,
    ),
}
OTHERS = {
    "pay cycle": (
        provider_paid("ada", usd("105.00"), LATER, "2026-04-B", in_transit=False),
        """
        Liabilities:Payable:Provider:ada    105.00 Dr
        Assets:Cash                         105.00 Cr
        """,
    ),
    "pay cycle, until the bank confirms": (
        provider_paid("ada", usd("105.00"), LATER, "2026-04-B", in_transit=True),
        """
        Liabilities:Payable:Provider:ada    105.00 Dr
        Liabilities:PayoutsInTransit        105.00 Cr
        """,
    ),
    "denial absorbed": (
        denial_absorbed(claim(open=10_000), AETNA, usd("100.00"), LATER, "timely filing"),
        """
        Expenses:DenialsAbsorbed            100.00 Dr C1
        Assets:Receivable:Insurer:AETNA     100.00 Cr C1
        """,
    ),
    "denial overturned after write-off": (
        denial_recovered(claim(), AETNA, usd("100.00"), LATER, "appeal won"),
        """
        Assets:Receivable:Insurer:AETNA     100.00 Dr C1
        Expenses:DenialsAbsorbed            100.00 Cr C1
        """,
    ),
    "a small rest written off": (
        remainder_written_off(claim(open=10_000), AETNA, usd("3.00"), LATER, "coins"),
        """
        Revenue:ContractualAdjustments        3.00 Dr C1
        Assets:Receivable:Insurer:AETNA       3.00 Cr C1
        """,
    ),
    "reversal": (
        reversal(session_earned(session("120.00", "20.00", "105.00"), DAY), 7, LATER, "no show"),
        """
        Assets:Receivable:Insurer:AETNA     100.00 Cr C1
        Assets:Receivable:Patient            20.00 Cr C1
        Expenses:ProviderServices           105.00 Cr
        Revenue:Sessions                    120.00 Dr
        Liabilities:Payable:Provider:ada    105.00 Dr
        """,
    ),
}


@pytest.mark.parametrize("case", SESSIONS)
def test_a_session(case: str) -> None:
    earned, expected = SESSIONS[case]
    assert written(session_earned(earned, DAY)) == lines(expected)


@pytest.mark.parametrize("case", OTHERS)
def test_what_follows(case: str) -> None:
    entry, expected = OTHERS[case]
    assert written(entry) == lines(expected)


@pytest.mark.parametrize(
    ("entry", "kind", "day", "description", "about"),
    [
        (session_earned(session("1.00", "0.00", "1.00"), DAY), Kind.SESSION_EARNED, DAY, "", ABOUT),
        (
            OTHERS["pay cycle"][0],
            Kind.PROVIDER_PAID,
            LATER,
            "",
            Dimensions(provider="ada", pay_cycle="2026-04-B"),
        ),
        (OTHERS["denial absorbed"][0], Kind.DENIAL_ABSORBED, LATER, "timely filing", ABOUT),
        (
            OTHERS["denial overturned after write-off"][0],
            Kind.DENIAL_RECOVERED,
            LATER,
            "appeal won",
            ABOUT,
        ),
        (OTHERS["a small rest written off"][0], Kind.REMAINDER_WRITTEN_OFF, LATER, "coins", ABOUT),
        (OTHERS["reversal"][0], Kind.REVERSAL, LATER, "no show", ABOUT),
    ],
)
def test_what_an_entry_is_about(
    entry: JournalEntry, kind: Kind, day: date, description: str, about: Dimensions
) -> None:
    """A denial and a reversal are about what their claim or original is about."""
    assert (entry.kind, entry.effective_date, entry.description, entry.dimensions) == (
        kind,
        day,
        description,
        about,
    )


def test_a_reversal_names_its_original_and_undoes_it() -> None:
    original = session_earned(session("120.00", "20.00", "105.00"), DAY)
    undone = reversal(original, 7, LATER, "no show")
    assert undone.reverses == 7
    for one, other in zip(original.postings, undone.postings, strict=True):
        assert (one.account, one.item, one.signed) == (other.account, other.item, -other.signed)


REFUSED = {
    "a share above the allowed amount": (("20.00", "20.01", "1.00"), SessionAmountsInvalid),
    "nobody earns anything": (("0.00", "0.00", "0.00"), SessionAmountsInvalid),
    "a negative allowed amount": (("-1.00", "0.00", "1.00"), AmountInvalid),
    "a negative share": (("1.00", "-1.00", "1.00"), AmountInvalid),
    "a negative rate": (("1.00", "0.00", "-1.00"), AmountInvalid),
}


@pytest.mark.parametrize("case", REFUSED)
def test_sessions_that_cannot_be(case: str) -> None:
    amounts, refusal = REFUSED[case]
    with pytest.raises(refusal):
        session(*amounts)


def test_a_session_has_one_currency() -> None:
    with pytest.raises(CurrenciesMixed):
        Session("AETNA", "ada", "C1", usd("1.00"), Amount(0, "EUR"), usd("1.00"), ABOUT)


CENTS = st.integers(0, 10**9)


@given(allowed=CENTS, patient=CENTS, rate=CENTS)
def test_every_session_shows_revenue_and_cost_gross(allowed: int, patient: int, rate: int) -> None:
    """The allowed amount is revenue and is owed by payer and patient; the rate is cost and payable."""
    assume(patient <= allowed and (allowed or rate))
    earned = Session(
        "AETNA", "ada", "C1", Amount(allowed, "USD"), Amount(patient, "USD"), Amount(rate, "USD"), ABOUT
    )
    sums = {posting.account: posting.signed for posting in session_earned(earned, DAY).postings}
    assert sums == {
        account: signed
        for account, signed in {
            AETNA: allowed - patient,
            "Assets:Receivable:Patient": patient,
            "Expenses:ProviderServices": rate,
            "Revenue:Sessions": -allowed,
            "Liabilities:Payable:Provider:ada": -rate,
        }.items()
        if signed
    }


@pytest.mark.parametrize("rule", [denial_absorbed, denial_recovered])
@given(cents=st.integers(1, 10**12), payer=st.sampled_from(["AETNA", "CIGNA"]))
def test_no_denial_touches_a_payable(rule: object, cents: int, payer: str) -> None:
    entry = rule(claim(open=cents), f"Assets:Receivable:Insurer:{payer}", Amount(cents, "USD"), DAY, "why")  # type: ignore[operator]
    assert {posting.account.split(":")[0] for posting in entry.postings} == {"Assets", "Expenses"}


@pytest.mark.parametrize("rule", [denial_absorbed, denial_recovered, remainder_written_off])
def test_no_denial_can_even_name_a_payable(rule: object) -> None:
    """Nothing in the rule's own words speaks of a provider or of a payable."""
    source = inspect.getsource(rule).lower()  # type: ignore[arg-type]
    code = source.replace(inspect.getdoc(rule).lower(), "")  # type: ignore[union-attr]
    assert "payable" not in code
    assert "provider" not in code


def test_lines_of_zero_are_no_lines() -> None:
    found = rules.without_zeros(
        (AETNA, usd("1.00"), "C1"), ("Assets:Cash", usd("0.00"), None), (AETNA, usd("-1.00"), None)
    )
    assert found == (debit(AETNA, usd("1.00"), "C1"), credit(AETNA, usd("1.00")))


# --- what a claim amounts to --------------------------------------------------------------------------


def test_a_claim_as_it_stands_after_one_more_posting() -> None:
    before = Item("C1", "USD", {AETNA: 10_000}, ABOUT)
    after = before.plus(credit(AETNA, usd("40.00"), "C1"))
    assert (after.balance(AETNA), before.balance(AETNA)) == (6_000, 10_000)


def test_the_receivables_of_a_claim_are_those_from_payers_that_are_not_at_zero() -> None:
    cigna = "Assets:Receivable:Insurer:CIGNA"
    balances = {AETNA: 100, cigna: 0, "Assets:Receivable:Patient": 5, "Expenses:DenialsAbsorbed": 7}
    assert Item("C1", "USD", balances).receivables() == {AETNA: 100}
