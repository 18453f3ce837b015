"""Which currencies the books can be kept in: those that ISO 4217 lists as in use, and no other."""

import pytest
from moneyed import CURRENCIES

from ledger.errors import CurrencyUnknown
from ledger.money import IN_USE, Amount, fraction_digits

# ISO 4217, list one: how many digits follow the point, and the codes.
LISTED = {
    "no minor unit": (
        0,
        """
        BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF
        """,
    ),
    "no money that is coined, and no minor unit either": (
        0,
        """
        XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX
        """,
    ),
    "hundredths": (
        2,
        """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD
        CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP
        GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD
        MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP
        PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT
        TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD YER ZAR ZMW
        """,
    ),
    "thousandths": (
        3,
        """
        BHD IQD JOD KWD LYD OMR TND
        """,
    ),
    "ten-thousandths": (
        4,
        """
        CLF UYW
        """,
    ),
}

# What py-moneyed knows beside them: withdrawn, or never in the standard.
REFUSED = """
    ADP AFA ALK ANG AOK AON AOR ARA ARL ARM ARP ATS AZM BAD BAN BEC BEF BEL BGL BGM BGO BOL BOP BRB BRC
    BRE BRN BRR BRZ BUK BYB BYR CLE CNH CNX CSD CSK CUC CYP DDM DEM ECS ECV EEK ESA ESB ESP FIM FRF GEK
    GHC GNS GQE GRD GWE GWP HRD HRK IEP ILP ILR IMP ISJ ITL KRH KRO LTL LTT LUC LUF LUL LVL LVR MAF MCF
    MDC MGF MKN MLF MRO MTL MTP MVP MXP MZE MZM NIC NLG PEI PES PLZ PTE RHD ROL RUR SDD SDP SIT SKK SLL
    SRG STD SUR TJR TMM TPE TRL TVD UAK UGS USS UYP VEB VEF VNN XEU XFO XFU XRE YDD YUD YUM YUN YUR ZAL
    ZMK ZRN ZRZ ZWD ZWL ZWN ZWR
"""


@pytest.mark.parametrize("case", LISTED)
def test_the_currencies_in_use(case: str) -> None:
    digits, codes = LISTED[case]
    assert {code: fraction_digits(code) for code in codes.split()} == dict.fromkeys(codes.split(), digits)


def test_the_list_is_whole() -> None:
    """Nothing is accepted that is not listed here, and whatever else py-moneyed knows is refused by name below."""
    listed = {code for _, codes in LISTED.values() for code in codes.split()}
    assert listed == IN_USE
    assert listed | {*REFUSED.split()} == CURRENCIES.keys()


@pytest.mark.parametrize("code", REFUSED.split())
def test_currencies_that_are_none_any_more(code: str) -> None:
    with pytest.raises(CurrencyUnknown) as refused:
        Amount(1, code)
    assert refused.value.facts == {"currency": code}
