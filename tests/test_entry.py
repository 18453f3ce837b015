"""Holding a JournalEntry is proof that it balances; whatever else is asked for is refused."""

import re
from datetime import date
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.accounts.account import Account, AccountType, BalanceLimit, Side, Totals, type_of, usual_side
from ledger.accounts.chart import opened_by_rule, segment
from ledger.errors import AccountCodeInvalid, AmountInvalid, CurrencyUnknown, EntryUnbalanced, PostingCountInvalid
from ledger.money import LARGEST, Amount
from ledger.postings.entry import Dimensions, JournalEntry, Kind, Posting, credit, debit

DAY = date(2026, 4, 8)
CASH, OPENING = "Assets:Cash", "Equity:Opening"


def usd(minor_units: int) -> Amount:
    return Amount(minor_units, "USD")


def entry(*postings: Posting) -> JournalEntry:
    return JournalEntry(Kind.MANUAL, DAY, postings)


# --- balance ------------------------------------------------------------------------------------------

LINES = st.tuples(st.sampled_from(["USD", "EUR", "JPY"]), st.sampled_from(Side), st.integers(1, LARGEST))


@given(st.lists(LINES, min_size=2, max_size=12))
def test_an_entry_balances_in_every_currency_or_is_none(lines: list[tuple[str, Side, int]]) -> None:
    """Against a sum by hand: refused exactly where some currency's columns differ."""
    columns = {(currency, side): 0 for currency, _, _ in lines for side in Side}
    for currency, side, units in lines:
        columns[currency, side] += units
    balanced = all(columns[currency, Side.DEBIT] == columns[currency, Side.CREDIT] for currency, _ in columns)
    postings = tuple(Posting(CASH, side, Amount(units, currency)) for currency, side, units in lines)
    if balanced:
        assert entry(*postings).postings == postings
    else:
        with pytest.raises(EntryUnbalanced):
            entry(*postings)


def test_the_refusal_names_both_columns() -> None:
    with pytest.raises(EntryUnbalanced) as refused:
        entry(debit(CASH, usd(10_000)), credit(OPENING, usd(9_000)))
    assert refused.value.facts == {"currency": "USD", "debits": "100.00", "credits": "90.00"}


def test_one_cent_is_enough() -> None:
    with pytest.raises(EntryUnbalanced):
        entry(debit(CASH, usd(LARGEST)), credit(OPENING, usd(LARGEST - 1)))


@pytest.mark.parametrize("count", [0, 1, 10_001])
def test_an_entry_has_two_to_ten_thousand_postings(count: int) -> None:
    with pytest.raises(PostingCountInvalid):
        entry(*[debit(CASH, usd(1))] * count)


def test_ten_thousand_postings_are_an_entry() -> None:
    assert len(entry(*[debit(CASH, usd(1)), credit(OPENING, usd(1))] * 5_000).postings) == 10_000


@pytest.mark.parametrize("units", [0, -1, LARGEST + 1, 2**63])
def test_the_amount_of_a_posting(units: int) -> None:
    with pytest.raises(AmountInvalid):
        debit(CASH, usd(units))


def test_a_posting_turns_to_the_other_side() -> None:
    assert (debit(CASH, usd(5), "C1").signed, debit(CASH, usd(5), "C1").exchanged()) == (
        5,
        credit(CASH, usd(5), "C1"),
    )


def test_an_entry_cannot_be_changed() -> None:
    whole = entry(debit(CASH, usd(1)), credit(OPENING, usd(1)))
    with pytest.raises(AttributeError):
        whole.postings = ()  # type: ignore[misc]


def test_what_an_entry_states() -> None:
    """All of it as text, so that two requests are the same exactly when they say the same."""
    whole = JournalEntry(
        Kind.MANUAL,
        DAY,
        (debit(CASH, usd(150), "C1"), credit(OPENING, usd(150))),
        "why",
        Dimensions(payer="AETNA", service_date=DAY, charge=usd(200)),
        reverses=7,
    )
    stated = {name: value for name, value in whole.stated().items() if value}
    assert stated == {
        "kind": "manual",
        "effective_date": "2026-04-08",
        "description": "why",
        "reverses": "7",
        "payer": "AETNA",
        "service_date": "2026-04-08",
        "charge": "2.00 USD",
        "postings": "Assets:Cash\t150\tUSD\tC1\nEquity:Opening\t-150\tUSD\t",
    }


# --- accounts -----------------------------------------------------------------------------------------

CODES = {
    "Assets:Cash": True,
    "Assets:Receivable:Insurer:AETNA": True,
    "Expenses:1-800-X": True,
    "Assets:" + "x" * 193: True,
    "Assets:" + "x" * 194: False,
    "Assets": False,
    "Assets:": False,
    "Assets::Cash": False,
    "Assets:Cash:": False,
    "Assets:-Cash": False,
    "Assets:Ca sh": False,
    "Assets:Cash\n": False,
    "Assets:Caffè": False,
    "Assets:Cash_Box": False,
    "assets:Cash": False,
    "Income:Sessions": False,
    "Cash": False,
    "": False,
}


@pytest.mark.parametrize(("code", "valid"), CODES.items())
def test_account_codes(code: str, valid: bool) -> None:
    if valid:
        assert debit(code, usd(1)).account == code
    else:
        with pytest.raises(AccountCodeInvalid):
            debit(code, usd(1))


@pytest.mark.parametrize(
    ("code", "kind", "side"),
    [
        ("Assets:Cash", AccountType.ASSET, Side.DEBIT),
        ("Liabilities:Suspense", AccountType.LIABILITY, Side.CREDIT),
        ("Equity:Opening", AccountType.EQUITY, Side.CREDIT),
        ("Revenue:Sessions", AccountType.REVENUE, Side.CREDIT),
        ("Expenses:Rent", AccountType.EXPENSE, Side.DEBIT),
    ],
)
def test_the_type_follows_from_the_code(code: str, kind: AccountType, side: Side) -> None:
    assert (type_of(code), usual_side(type_of(code))) == (kind, side)


def test_an_account_is_in_a_currency() -> None:
    with pytest.raises(CurrencyUnknown):
        Account(CASH, "USX", Side.DEBIT)


@pytest.mark.parametrize(
    ("limit", "debit_stands", "zero_stands", "credit_stands"),
    [(BalanceLimit.MUST_NOT_GO_DEBIT, False, True, True), (BalanceLimit.MUST_NOT_GO_CREDIT, True, True, False)],
)
def test_limits(limit: BalanceLimit, debit_stands: bool, zero_stands: bool, credit_stands: bool) -> None:
    assert (limit.allows(1), limit.allows(0), limit.allows(-1)) == (debit_stands, zero_stands, credit_stands)


@given(st.lists(st.integers(-LARGEST, LARGEST).filter(bool)))
def test_totals_add_up(signed: list[int]) -> None:
    """Debits and credits apart, none of them ever negative, and the balance between them."""
    totals = Totals()
    for amount in signed:
        totals = totals.plus(amount)
    assert totals.debits == sum(amount for amount in signed if amount > 0)
    assert totals.credits == -sum(amount for amount in signed if amount < 0)
    assert totals.balance == sum(signed)


# What opens itself, with its normal side and whether its postings name an item; None: nothing does.
CHART = {
    "Assets:Cash": (Side.DEBIT, False),
    "Assets:Receivable:Insurer:AETNA": (Side.DEBIT, True),
    "Assets:Receivable:Patient": (Side.DEBIT, True),
    "Assets:RemittanceClearing:AETNA:T1": (Side.DEBIT, False),
    "Liabilities:Payable:Provider:ada": (Side.CREDIT, False),
    "Liabilities:PayoutsInTransit": (Side.CREDIT, False),
    "Liabilities:PayerOverpayments:AETNA": (Side.CREDIT, False),
    "Liabilities:ForwardBalances:AETNA": (Side.CREDIT, False),
    "Liabilities:Suspense:AETNA": (Side.CREDIT, False),
    "Liabilities:PatientRefunds": (Side.CREDIT, False),
    "Liabilities:UnappliedCash": (Side.CREDIT, False),
    "Revenue:Sessions": (Side.CREDIT, False),
    "Revenue:ContractualAdjustments": (Side.DEBIT, False),
    "Revenue:PayerAdjustments": (Side.CREDIT, False),
    "Revenue:Interest": (Side.CREDIT, False),
    "Expenses:ProviderServices": (Side.DEBIT, False),
    "Expenses:DenialsAbsorbed": (Side.DEBIT, False),
    "Assets:Petty": None,
    "Assets:Cash:Drawer": None,
    "Assets:Receivable": None,
    "Assets:Receivable:Insurer": None,
    "Assets:Receivable:Insurer:AETNA:West": None,
    "Assets:Receivable:Patient:P1": None,
    "Assets:RemittanceClearing:AETNA": None,
    "Assets:RemittanceClearing:AETNA:T1:X": None,
    "Equity:Opening": None,
    "Revenue:Other": None,
}


@pytest.mark.parametrize(("code", "expected"), CHART.items())
def test_the_chart_opens_itself(code: str, expected: tuple[Side, bool] | None) -> None:
    account = opened_by_rule(code, "USD")
    assert (account and (account.normal_side, account.item_required)) == expected


NAMES = st.text(min_size=1, max_size=100)
PLAIN = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,48}[A-Za-z0-9])?", fullmatch=True)
AS_IF_SUFFIXED = re.compile(r"-[0-9a-f]{8}")


@given(NAMES | PLAIN, NAMES | PLAIN)
def test_two_parties_never_share_an_account(one: str, other: str) -> None:
    """Whatever they are called, their parts of a code are valid and differ."""
    assert opened_by_rule(f"Assets:Receivable:Insurer:{segment(one)}", "USD")
    if one != other:
        assert segment(one) != segment(other)


@given(NAMES | PLAIN)
def test_nobody_gets_an_account_by_the_name_of_its_part(name: str) -> None:
    """A name, its part, the part of its part and so on: where the names differ, so do their parts."""
    names = [name]
    for _ in range(3):
        names.append(segment(names[-1]))
    assert len({segment(one) for one in names}) == len(set(names))


@given(PLAIN.filter(lambda name: not AS_IF_SUFFIXED.fullmatch(name[-9:])))
def test_a_plain_name_is_its_own_part(name: str) -> None:
    assert segment(name) == name


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("AETNA", "AETNA"),
        ("87726", "87726"),
        ("a-b", "a-b"),
        ("Blue Cross", "Blue-Cross-4c3860ce"),
        ("-x", "x-a4209624"),
        ("日本", "x-cf2abf0c"),
        ("Blue-Cross-4c3860ce", "Blue-Cross-4c3860ce-" + sha256(b"Blue-Cross-4c3860ce").hexdigest()[:8]),
        ("A-4c3860c", "A-4c3860c"),
    ],
)
def test_the_part_of_a_code_that_stands_for_a_party(name: str, part: str) -> None:
    """A part once given is given for good: accounts of old books are found by it."""
    assert segment(name) == part
