"""The gate between decimals and minor units: exact, or a named refusal. Never a float, never a rounded cent."""

from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moneyed import Money

from ledger.errors import AmountInvalid, AmountTooPrecise, CurrenciesMixed, CurrencyUnknown, Refusal
from ledger.money import Amount, amount, exact, fraction_digits, from_money, plain, to_money

CURRENCIES = {"USD": 2, "EUR": 2, "JPY": 0, "KRW": 0, "BHD": 3, "KWD": 3, "CLF": 4}
MINOR_UNITS = st.integers(-(10**18), 10**18)
ANY_CURRENCY = st.sampled_from(sorted(CURRENCIES))


@pytest.mark.parametrize(("currency", "digits"), CURRENCIES.items())
def test_the_digits_of_a_currency(currency: str, digits: int) -> None:
    assert fraction_digits(currency) == digits


READ = {
    "120.50 USD": 12050,
    "120.5 USD": 12050,
    "120 USD": 12000,
    "0.01 USD": 1,
    "-0.01 USD": -1,
    "0 USD": 0,
    "-0.00 USD": 0,
    "1.50000000 USD": 150,
    "0001.00 USD": 100,
    "9999999999999999.99 USD": 999999999999999999,
    "120 JPY": 120,
    "120.00 JPY": 120,
    "1.234 BHD": 1234,
    "0.1 BHD": 100,
}


@pytest.mark.parametrize(("text", "minor_units"), READ.items())
def test_text_that_is_an_amount(text: str, minor_units: int) -> None:
    figures, currency = text.split()
    assert amount(figures, currency) == Amount(minor_units, currency)


REFUSED = {
    "1.005 USD": AmountTooPrecise,
    "0.00000001 USD": AmountTooPrecise,
    "1.5 JPY": AmountTooPrecise,
    "1.2345 BHD": AmountTooPrecise,
    "1.234 EUR": AmountTooPrecise,
    "1e2 USD": AmountInvalid,
    "1E+2 USD": AmountInvalid,
    "NaN USD": AmountInvalid,
    "sNaN USD": AmountInvalid,
    "Infinity USD": AmountInvalid,
    "-Infinity USD": AmountInvalid,
    "+1.00 USD": AmountInvalid,
    "--1.00 USD": AmountInvalid,
    "1,000.00 USD": AmountInvalid,
    "1_000.00 USD": AmountInvalid,
    "1. USD": AmountInvalid,
    ".5 USD": AmountInvalid,
    "- USD": AmountInvalid,
    "$5 USD": AmountInvalid,
    "١٢ USD": AmountInvalid,
    "１２ USD": AmountInvalid,
    "0x10 USD": AmountInvalid,
    "12345678901234567.00 USD": AmountInvalid,
    "1.123456789 USD": AmountInvalid,
    "1.00 usd": CurrencyUnknown,
    "1.00 USX": CurrencyUnknown,
    "1.00 840": CurrencyUnknown,
    "1.00 EURO": CurrencyUnknown,
    "1.00 DEM": CurrencyUnknown,
    "1.00 HRK": CurrencyUnknown,
    "1.00 VEF": CurrencyUnknown,
}


@pytest.mark.parametrize(("text", "refusal"), REFUSED.items())
def test_text_that_is_none(text: str, refusal: type[Refusal]) -> None:
    figures, currency = text.split()
    with pytest.raises(refusal):
        amount(figures, currency)


@pytest.mark.parametrize("text", ["", " ", " 1.00", "1.00 ", "1.00\n", "1 00", "\n"])
def test_blanks_are_no_part_of_an_amount(text: str) -> None:
    with pytest.raises(AmountInvalid):
        amount(text, "USD")


# py-moneyed takes all of these without a word; the gate takes none.
UNTRUE = {
    "a float that is not what it shows": Money(0.1 + 0.2, "USD"),
    "not a number": Money("NaN", "USD"),
    "a signalling not a number": Money(Decimal("sNaN"), "USD"),
    "infinity": Money("Infinity", "USD"),
    "a tenth of a cent": Money("1.001", "USD"),
    "half a yen": Money("0.5", "JPY"),
    "an exponent beyond all": Money("1e1000000", "USD"),
    "an exponent below all": Money("1e-1000000", "USD"),
    "an exponent at the end of all": Money("1e-999999999999999999", "USD"),
    "more digits than can be right": Money("1e19", "USD"),
    "a page of noughts": Money("1." + "0" * 10_000, "USD"),
}


@pytest.mark.parametrize("case", UNTRUE)
def test_py_moneyed_is_not_believed(case: str) -> None:
    with pytest.raises((AmountInvalid, AmountTooPrecise)):
        from_money(UNTRUE[case])


def test_what_py_moneyed_would_lose() -> None:
    """Its sub-unit truncates, its text rounds; neither is how an amount leaves or enters."""
    money = Money("1.999", "USD")
    assert money.get_amount_in_sub_unit() == 199
    assert "2.00" in str(money)
    with pytest.raises(AmountTooPrecise):
        from_money(money)


@pytest.mark.parametrize(
    ("value", "minor_units"),
    [("1e2", 10000), ("12E+3", 1200000), ("-1.50", -150), ("0e-30", 0), ("0E+18", 0), ("1.000000000000", 100)],
)
def test_decimals_of_any_form_that_are_exact(value: str, minor_units: int) -> None:
    assert exact(Decimal(value), "USD").minor_units == minor_units


def test_the_decimal_context_loses_no_digit() -> None:
    """py-moneyed and Decimal calculate in the context's 28 digits; the gate in none."""
    with localcontext() as context:
        context.prec = 3
        assert exact(Decimal("123456789.12"), "USD").minor_units == 12345678912


@pytest.mark.parametrize("minor_units", [1.0, 0.5, True, False, "1", None, Decimal(1), Fraction(1), float("nan")])
def test_minor_units_are_whole_numbers(minor_units: Any) -> None:
    """A bool is an int to Python, and no amount to the books."""
    with pytest.raises(AmountInvalid):
        Amount(minor_units, "USD")


@pytest.mark.parametrize("currency", ["", "usd", "US", "USDX", "USX", "U\0D"])
def test_an_amount_has_a_currency(currency: str) -> None:
    with pytest.raises(CurrencyUnknown):
        Amount(1, currency)


def test_amounts_of_two_currencies_are_never_added_or_compared_away() -> None:
    dollars, euros = Amount(1, "USD"), Amount(1, "EUR")
    for calculate in (lambda: dollars + euros, lambda: dollars - euros):
        with pytest.raises(CurrenciesMixed):
            calculate()
    assert dollars != euros


@pytest.mark.parametrize(
    ("minor_units", "currency", "text"),
    [
        (0, "USD", "0.00"),
        (5, "USD", "0.05"),
        (-5, "USD", "-0.05"),
        (-100, "USD", "-1.00"),
        (12050, "USD", "120.50"),
        (7, "JPY", "7"),
        (-7, "JPY", "-7"),
        (7, "BHD", "0.007"),
        (10**18, "USD", "10000000000000000.00"),
    ],
)
def test_written_plainly(minor_units: int, currency: str, text: str) -> None:
    assert plain(minor_units, currency) == text


@given(MINOR_UNITS, ANY_CURRENCY)
def test_out_and_in_again_is_the_same(minor_units: int, currency: str) -> None:
    """By text and by py-moneyed, for every amount and currency."""
    value = Amount(minor_units, currency)
    assert exact(Decimal(plain(minor_units, currency)), currency) == value
    assert from_money(to_money(value)) == value


@given(st.decimals(allow_nan=True, allow_infinity=True), ANY_CURRENCY)
def test_exact_or_refused(value: Decimal, currency: str) -> None:
    """Whatever the decimal, what comes out is it, to the last digit, or nothing comes out."""
    try:
        found = exact(value, currency)
    except (AmountInvalid, AmountTooPrecise):
        return
    assert Fraction(found.minor_units, 10 ** CURRENCIES[currency]) == Fraction(value)


@given(MINOR_UNITS, MINOR_UNITS)
def test_sums_are_those_of_whole_numbers(one: int, other: int) -> None:
    assert (Amount(one, "USD") + Amount(other, "USD")).minor_units == one + other
    assert (Amount(one, "USD") - Amount(other, "USD")).minor_units == one - other
