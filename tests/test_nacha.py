"""The payment files: as a bank reads them, byte by byte the same, and exact or refused."""

import csv
import io
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import nacha_reader
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacha_reader import Wrong

from ledger.money import Amount
from ledger.pay_cycles import nacha, payment_csv
from ledger.pay_cycles.payee import AccountType, BankAccount, Holder, Payee, ascii_text
from ledger.pay_cycles.payment import Payment, Remitted
from ledger.pay_cycles.refusals import PayeeInvalid, PaymentFileCurrency, PaymentTooLarge

GOLDEN = Path(__file__).parent / "payments"
CHECKING, SAVINGS = AccountType.CHECKING, AccountType.SAVINGS
ROUTINGS = ("021000021", "011401533", "091000019", "122105155")
"""Numbers whose check digits are right."""


def bank_details(provider: str, name: str, holder: Holder = Holder.PERSON, kind: AccountType = CHECKING) -> Payee:
    company = {"company_id": "1234567890", "bank_name": "First Example Bank"} if not provider else {}
    rest = {"company_id": "", "bank_name": ""} | company
    return Payee(provider, name, holder, kind, "USD", "6789", reason="W-9", set_by="mia", **rest)


def remitted(
    provider: str,
    cents: int,
    holder: Holder = Holder.PERSON,
    kind: AccountType = CHECKING,
    *,
    routing: str = ROUTINGS[1],
    name: str = "",
    currency: str = "USD",
    number: int = 7,
) -> Remitted:
    payment = Payment(f"Liabilities:Payable:Provider:{provider}", provider, Amount(cents, currency), number)
    to = BankAccount(routing, "000123456789", currency)
    return Remitted(payment, replace(bank_details(provider, name or provider.title(), holder, kind)), to)


ORIGIN = nacha.Origin(
    company=bank_details("", "Example Care PC", Holder.COMPANY),
    account=BankAccount(ROUTINGS[0], "9988776655", "USD"),
    cycle=date(2026, 4, 15),
    pay_date=date(2026, 4, 20),
    made_at=datetime(2026, 4, 16, 9, 5, tzinfo=UTC),
)
FILES = {
    "one_person": [remitted("ada", 31_500)],
    "persons_and_companies": [
        remitted("ada", 31_500),
        remitted("bob", 1, kind=SAVINGS, routing=ROUTINGS[2], name="Bob O'Neill-Smith (Jr.)"),
        remitted("Clinic 7", 9_999_999_999, Holder.COMPANY, routing=ROUTINGS[3], name="Clinic & Sons, P.C."),
        remitted("zoe", 1_234_567, name="Zoë Łukasz Ñandú"),
        remitted("dept", 50, Holder.COMPANY, SAVINGS),
    ],
    "more_than_one_debit": [remitted(f"p{n}", 9_000_000_000 + n, routing=ROUTINGS[n % 4]) for n in range(3)],
}


@pytest.mark.parametrize("name", FILES)
def test_a_golden_file(name: str) -> None:
    """Byte by byte what is kept beside the tests, which a person has compared with the layout."""
    assert nacha.written(ORIGIN, FILES[name]) == (GOLDEN / f"{name}.ach").read_bytes()
    assert payment_csv.written("2026-04-15", "2026-04-20", FILES[name]) == (GOLDEN / f"{name}.csv").read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_an_independent_reader_finds_the_payments(name: str) -> None:
    header, batches = nacha_reader.read(nacha.written(ORIGIN, FILES[name]))
    assert (header["destination"], header["origin"]) == (" 021000021", "1234567890")
    assert (header["date"], header["time"], header["modifier"]) == ("260416", "0905", "A")
    found = [
        (entry.who, entry.cents, batch.kind, entry.code, entry.routing, entry.account)
        for batch in batches
        for entry in batch.entries
        if entry.who != "OFFSET"
    ]
    assert sorted(found) == sorted(
        (
            one.payment.provider.upper(),
            one.payment.amount.minor_units,
            "PPD" if one.payee.holder is Holder.PERSON else "CCD",
            "22" if one.payee.account_type is CHECKING else "32",
            one.to.routing_number,
            one.to.account_number,
        )
        for one in FILES[name]
    )
    for batch in batches:
        assert (batch.header["effective"], batch.header["descriptive_date"]) == ("260420", "260415")
        for entry in batch.entries:
            if entry.who != "OFFSET":
                assert entry.text == f"PAY CYCLE 2026-04-15 PROVIDER {entry.who}"
            else:
                assert (entry.routing, entry.account, entry.code) == ("021000021", "9988776655", "27")


def test_names_are_written_in_the_bank_s_letters() -> None:
    content = nacha.written(ORIGIN, FILES["persons_and_companies"])
    assert b"ZOE  UKASZ NANDU" in content
    assert b"CLINIC & SONS, P.C." in content


payments = st.lists(
    st.tuples(
        st.integers(1, nacha.LARGEST_ENTRY),
        st.sampled_from(Holder),
        st.sampled_from(AccountType),
        st.sampled_from(ROUTINGS),
    ),
    min_size=1,
    max_size=40,
)


@given(payments)
def test_every_file_ties(given_: list[tuple[int, Holder, AccountType, str]]) -> None:
    """Whatever is paid, the independent reader finds counts, hashes and totals right, and every cent once."""
    asked = [remitted(f"p{n}", c, h, k, routing=r) for n, (c, h, k, r) in enumerate(given_)]
    _, batches = nacha_reader.read(nacha.written(ORIGIN, asked))
    entries = [entry for batch in batches for entry in batch.entries]
    assert sum(e.cents for e in entries if e.code in nacha_reader.CREDITS) == sum(cents for cents, *_ in given_)
    assert len([e for e in entries if e.who != "OFFSET"]) == len(given_)
    assert nacha.written(ORIGIN, asked) == nacha.written(ORIGIN, asked)


# --- exact or refused ---------------------------------------------------------------------------------


def test_an_amount_of_more_than_ten_digits_is_refused() -> None:
    with pytest.raises(PaymentTooLarge) as refused:
        nacha.written(ORIGIN, [remitted("ada", nacha.LARGEST_ENTRY + 1)])
    assert refused.value.facts == {"amount": "100000000.00", "limit": "99999999.99"}


def test_a_total_of_more_than_twelve_digits_is_refused() -> None:
    """Each batch holds its own; together they are the file's."""
    person = [remitted(f"p{n}", 9_900_000_000) for n in range(60)]
    clinic = [remitted(f"c{n}", 9_900_000_000, Holder.COMPANY) for n in range(60)]
    nacha_reader.read(nacha.written(ORIGIN, person))
    for asked in (person * 2, person + clinic):
        with pytest.raises(PaymentTooLarge) as refused:
            nacha.written(ORIGIN, asked)
        assert refused.value.facts["limit"] == "9999999999.99"


def test_more_records_than_six_digits_count_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nacha, "MOST_ENTRIES", 4)
    with pytest.raises(PaymentTooLarge):
        nacha.written(ORIGIN, [remitted("ada", 1), remitted("bob", 1)])


def test_another_currency_is_refused_and_csv_takes_it() -> None:
    euro = [remitted("ada", 5, currency="EUR", routing="DEUTDEFF")]
    for origin, asked in ((ORIGIN, euro), (replace(ORIGIN, account=euro[0].to), FILES["one_person"])):
        with pytest.raises(PaymentFileCurrency) as refused:
            nacha.written(origin, asked)
        assert refused.value.facts == {"currency": "EUR"}
    assert b"EUR,0.05,1" in payment_csv.written("2026-04-15", "2026-04-20", euro)


INVALID = {
    "eight digits": ("02100002", "1234", "routing_number"),
    "a mistyped digit": ("021000022", "1234", "routing_number"),
    "two digits exchanged": ("012000021", "1234", "routing_number"),
    "letters": ("02100002A", "1234", "routing_number"),
    "nothing but zeros": ("000000000", "1234", "routing_number"),
    "digits of another script": ("٠٢١٠٠٠٠٢١", "1234", "routing_number"),
    "no account": ("021000021", "", "account_number"),
    "an account with a space": ("021000021", "12 34", "account_number"),
    "an account of 18": ("021000021", "1" * 18, "account_number"),
}


@pytest.mark.parametrize("name", INVALID)
def test_bank_details_that_no_bank_would_take(name: str) -> None:
    routing, account, field = INVALID[name]
    with pytest.raises(PayeeInvalid) as refused:
        BankAccount(routing, account, "USD")
    assert refused.value.facts == {"field": field}
    assert routing not in refused.value.message
    assert not account or account not in refused.value.message


@given(st.sampled_from(ROUTINGS), st.integers(0, 8), st.integers(1, 9))
def test_every_mistyped_digit_of_a_routing_number_is_seen(routing: str, place: int, by: int) -> None:
    typed = f"{routing[:place]}{(int(routing[place]) + by) % 10}{routing[place + 1 :]}"
    with pytest.raises(PayeeInvalid):
        BankAccount(typed, "1", "USD")


def test_no_more_than_half_of_an_account_number_is_shown() -> None:
    shown = {
        number: BankAccount(ROUTINGS[0], number, "USD").last_four for number in ("1", "123", "123456", "987654321")
    }
    assert shown == {"1": "", "123": "3", "123456": "456", "987654321": "4321"}
    assert "987654321" not in repr(BankAccount(ROUTINGS[0], "987654321", "USD"))


@given(st.text(max_size=40))
def test_any_name_is_written_in_allowed_characters(text: str) -> None:
    assert set(ascii_text(text)) <= nacha_reader.ALLOWED


# --- CSV ----------------------------------------------------------------------------------------------


def test_csv_has_no_formula_and_control_totals() -> None:
    names = ("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", 'quote " and, comma')
    asked = [remitted(f"p{n}", n + 1, name=name) for n, name in enumerate(names)]
    rows = [*csv.DictReader(io.StringIO(payment_csv.written("2026-04-15", "2026-04-20", asked).decode()))]
    assert [row["name"] for row in rows[:-1]] == [f"'{name}" for name in names[:4]] + [names[4]]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    assert (rows[-1]["record"], rows[-1]["amount"], rows[-1]["entry_number"]) == ("control", "0.15", "5")


# --- the reader sees what it is there to see ----------------------------------------------------------

SOUND = nacha.written(ORIGIN, FILES["persons_and_companies"]).decode()
BROKEN = {
    "another amount": SOUND.replace("0000031500", "0000031501"),
    "a mistyped routing number": SOUND.replace("011401533", "011401534", 1),
    "another block count": SOUND.replace("9000002000002", "9000002000003"),
    "a missing addenda record": "\n".join(line for line in SOUND.split("\n") if "PROVIDER ADA" not in line),
    "a record that is too long": SOUND.replace("\n5200", " \n5200", 1),
    "a block that is not filled": SOUND.replace("9" * 94 + "\n", "", 1),
    "a character of no bank": SOUND.replace("ADA ", "AD* ", 1),
    "a trace that is there twice": SOUND.replace("1021000020000002\n7", "1021000020000001\n7"),
    "another hash": SOUND[: SOUND.rindex("\n9000002")].replace("\n8200000", "\n8200009", 1)
    + SOUND[SOUND.rindex("\n9000002") :],
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_reader_refuses_a_file_that_is_wrong(name: str) -> None:
    assert BROKEN[name] != SOUND, "this row changes nothing"
    with pytest.raises(Wrong):
        nacha_reader.read(BROKEN[name].encode())
