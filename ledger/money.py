"""The one gate between money as people and py-moneyed write it and money as the books keep it.

Inside the books an amount is a whole number of minor units and a currency. The gate is exact or refuses:
py-moneyed 3 itself accepts floats and NaN, truncates in `get_amount_in_sub_unit` and rounds in `str()`.
"""

import re
from decimal import Decimal
from functools import cache

from moneyed import Money, get_currency
from msgspec import Struct

from ledger.errors import AmountInvalid, AmountTooPrecise, CurrenciesMixed, CurrencyUnknown

LARGEST = 10**15
"""No posting exceeds this many minor units, so that sums stay far from the end of 63 bits."""

_LISTED = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD
    CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS
    GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD
    KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK
    NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP
    STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST
    XAF XAG XAU XBA XBB XBC XBD XCD XDR XOF XPD XPF XPT XSU XTS XUA XXX YER ZAR ZMW
"""
IN_USE = frozenset(_LISTED.split())
"""ISO 4217, list one: the currencies in use, as far as py-moneyed knows them.

py-moneyed knows withdrawn ones too (DEM, HRK) and some that were never in the standard (CNH), and what it says of
countries follows its locale data: SVC, which the standard lists, has none there. A code stays in this list when
ISO withdraws it, or the books that are kept in it could no longer be read.
"""

_DEEPEST = 40
"""Digits of a decimal that are looked at: beyond it even an exact value costs more than it is worth."""

_PLAIN = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,8})?")


@cache
def fraction_digits(currency: str) -> int:
    """Digits after the point: 2 for USD, 0 for JPY, 3 for BHD. Raises CurrencyUnknown."""
    if currency not in IN_USE:
        raise CurrencyUnknown(f"{currency!r} is not a currency of ISO 4217 that is in use", currency=currency)
    return len(str(get_currency(currency).sub_unit)) - 1


class Amount(Struct, frozen=True, order=True):
    """So many minor units of a currency; negative where the context allows it."""

    minor_units: int
    currency: str

    def __post_init__(self) -> None:
        """Refuses what is not a whole number (a float, a bool) or not a currency."""
        if type(self.minor_units) is not int:
            raise AmountInvalid(
                f"{self.minor_units!r} is not a whole number of minor units", value=self.minor_units
            )
        fraction_digits(self.currency)

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.minor_units + _same_currency(self, other).minor_units, self.currency)

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(self.minor_units - _same_currency(self, other).minor_units, self.currency)

    def __str__(self) -> str:
        return f"{plain(self.minor_units, self.currency)} {self.currency}"


def _same_currency(one: Amount, other: Amount) -> Amount:
    if one.currency != other.currency:
        raise CurrenciesMixed(
            f"{one.currency} and {other.currency} cannot be added up",
            currencies=f"{one.currency} {other.currency}",
        )
    return other


def plain(minor_units: int, currency: str) -> str:
    """The amount as digits with the currency's own number of decimals: `plain(-5, "USD") == "-0.05"`."""
    digits = fraction_digits(currency)
    whole, fraction = divmod(abs(minor_units), 10**digits)
    sign = "-" if minor_units < 0 else ""
    return f"{sign}{whole}.{fraction:0{digits}d}" if digits else f"{sign}{whole}"


def amount(text: str, currency: str) -> Amount:
    """Reads plain digits such as `"120.50"`. Raises AmountInvalid, AmountTooPrecise or CurrencyUnknown."""
    if not _PLAIN.fullmatch(text):
        raise AmountInvalid(f"{text!r} is not an amount in plain digits", value=text)
    return exact(Decimal(text), currency)


def exact(value: Decimal, currency: str) -> Amount:
    """A decimal number of units in whole minor units, or a refusal; nothing is ever rounded."""
    digits = fraction_digits(currency)
    sign, figures, exponent = value.as_tuple()
    if not value.is_finite() or not -_DEEPEST <= value.adjusted() <= 18 or len(figures) > _DEEPEST:
        raise AmountInvalid(f"{value} is not an amount", value=value)
    number, shift = int("".join(map(str, figures))), int(exponent) + digits
    minor_units, rest = divmod(number * 10 ** max(shift, 0), 10 ** max(-shift, 0))
    if rest:
        raise AmountTooPrecise(
            f"{value} has more than the {digits} decimals of {currency}", value=value, currency=currency
        )
    return Amount(-minor_units if sign else minor_units, currency)


def from_money(money: Money) -> Amount:
    """py-moneyed's value as the books keep it. Refuses NaN, infinities and parts of a minor unit."""
    return exact(money.amount, money.currency.code)


def to_money(value: Amount) -> Money:
    """The amount as a py-moneyed value, for Python callers at the edge."""
    return Money(plain(value.minor_units, value.currency), value.currency)
