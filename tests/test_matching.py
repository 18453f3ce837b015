"""Which claim a payment is about: a table of what was sent, what the books know, and what follows."""

from collections.abc import Collection
from dataclasses import replace
from datetime import date

import pytest
from payers import claim, file, line, remittance

from ledger.postings.entry import Dimensions
from ledger.postings.item import Item
from reconciliation.matching import Known, Match, match
from reconciliation.remittance import ClaimPayment, read

APRIL_8, APRIL_15 = date(2026, 4, 8), date(2026, 4, 15)
EVERYTHING = "payer, charge, date of service, procedure"


def sent(text: str) -> ClaimPayment:
    """A CLP loop as the reader gives it."""
    (found,) = (event for event in read([file(remittance("0.00", "T", text))]) if isinstance(event, ClaimPayment))
    return found


def pays(claim_id: str = "C1", charge: str = "150.00", **more: str) -> ClaimPayment:
    """100.00 for a claim of 150.00, on 8 April, for a visit of an hour."""
    return sent(claim(claim_id, charge, "100.00", **more))


def booked(
    name: str = "C1",
    *,
    payer: str = "AETNA",
    charge: int | None = 150_00,
    days: Collection[date] = (APRIL_8,),
    codes: Collection[str] = ("90837",),
    owed: int = 100_00,
) -> Item:
    """A claim as the books know it."""
    return Item(
        name=name,
        currency="USD",
        balances={f"Assets:Receivable:Insurer:{payer}": owed} if owed else {"Assets:Receivable:Patient": 20_00},
        dimensions=Dimensions(payer=payer, claim=name),
        charge=charge,
        service_dates=frozenset(days),
        service_codes=frozenset(codes),
    )


def knowing(*items: Item, **more: object) -> Known:
    """AETNA's payment, and the claims that the books know."""
    return replace(Known("AETNA", {item.name: item for item in items}), **more)


def cut(*names: str) -> Known:
    """Claims that agree in everything, and all of which an id begins."""
    return knowing(*map(booked, names), alike={1: {*names}})


BY_ID = knowing(booked())
BY_NUMBER = knowing(booked(), booked("C2"), by_control_number={"PCN1": {"C1"}})
BY_LINE = knowing(booked(), by_session={"S1": {"C1"}})
ON_THE_DAY = knowing(booked(), booked("C2", charge=90_00, codes=("90834",)), alike={1: {"C1", "C2"}})
LONG_IDS = knowing(booked("CLINIC-0001"), alike={1: {"CLINIC-0001"}})
TWO_VISITS = booked(charge=240_00, days=(APRIL_8, APRIL_15), codes=("90837", "90834"))

TABLE: dict[str, tuple[ClaimPayment, Known, str]] = {
    # The claim id that we gave.
    "the id and all else agree": (pays(), BY_ID, f"C1 by claim_id: {EVERYTHING}"),
    "the id in other letters": (pays("c1"), BY_ID, "UNKNOWN_CLAIM: the books know no claim c1"),
    "no such id": (pays("C9"), BY_ID, "UNKNOWN_CLAIM: the books know no claim C9"),
    "no id": (pays(""), BY_ID, "UNKNOWN_CLAIM: the books know no claim without id"),
    "the books know nothing": (pays(), knowing(), "UNKNOWN_CLAIM: the books know no claim C1"),
    "the charge differs": (
        pays(charge="150.01"),
        BY_ID,
        "CHARGE_MISMATCH C1: claim C1: the charge sent is 150.01, billed were 150.00 USD",
    ),
    "the day differs": (pays(day="2026-04-09"), BY_ID, "CLAIM_MISMATCH C1: claim C1 differs in date of service"),
    "the procedure differs": (pays(code="90834"), BY_ID, "CLAIM_MISMATCH C1: claim C1 differs in procedure"),
    "day and procedure differ": (
        pays(day="2026-04-09", code="90834"),
        BY_ID,
        "CLAIM_MISMATCH C1: claim C1 differs in date of service and procedure",
    ),
    "charge and day differ: the charge is named": (
        pays(charge="1.00", day="2026-04-09"),
        BY_ID,
        "CHARGE_MISMATCH C1: claim C1: the charge sent is 1.00, billed were 150.00 USD",
    ),
    "another payer's claim": (
        pays(),
        knowing(booked(payer="CIGNA")),
        "CLAIM_MISMATCH C1: claim C1 was never billed to AETNA",
    ),
    "paid already: it is still this claim": (pays(), knowing(booked(owed=0)), f"C1 by claim_id: {EVERYTHING}"),
    "the charge alone agrees": (
        pays(),
        knowing(booked(days=(), codes=())),
        "C1 by claim_id: payer, charge",
    ),
    "the day alone agrees": (
        pays(),
        knowing(booked(charge=None, codes=())),
        "C1 by claim_id: payer, date of service",
    ),
    "the procedure alone agrees": (
        pays(),
        knowing(booked(charge=None, days=())),
        "C1 by claim_id: payer, procedure",
    ),
    "nothing but the id": (
        pays(),
        knowing(booked(charge=None, days=(), codes=())),
        "CLAIM_MISMATCH C1: nothing but the id speaks for claim C1",
    ),
    "the day of the claim, where no line has one": (
        pays(lines="DTM*232*20260408~"),
        BY_ID,
        "C1 by claim_id: payer, charge, date of service",
    ),
    "another day of the claim": (
        pays(lines="DTM*232*20260409~DTM*233*20260410~"),
        BY_ID,
        "CLAIM_MISMATCH C1: claim C1 differs in date of service",
    ),
    "a day of the lines counts before one of the claim": (
        pays(lines="DTM*232*20260101~" + line("150.00", "100.00")),
        BY_ID,
        f"C1 by claim_id: {EVERYTHING}",
    ),
    "the payer changed the procedure and says from what": (
        pays(lines="SVC*HC:90834*150.00*100.00**1*HC:90837~DTM*472*20260408~"),
        BY_ID,
        f"C1 by claim_id: {EVERYTHING}",
    ),
    "modifiers are no other procedure": (pays(code="90837:95"), BY_ID, f"C1 by claim_id: {EVERYTHING}"),
    "two visits, both sent": (
        pays(charge="240.00", lines=line("150.00", "100.00") + line("90.00", "0.00", "", "2026-04-15", "90834")),
        knowing(TWO_VISITS),
        f"C1 by claim_id: {EVERYTHING}",
    ),
    "two visits, one of them sent": (
        pays(),
        knowing(TWO_VISITS),
        "CHARGE_MISMATCH C1: claim C1: the charge sent is 150.00, billed were 240.00 USD",
    ),
    # The payer's own number, where it settled a claim before.
    "a known number and no id of ours": (
        pays("X", control="PCN1"),
        BY_NUMBER,
        f"C1 by payer_control_number: {EVERYTHING}",
    ),
    "a known number needs nothing else": (
        pays("X", control="PCN1", charge="150.00", lines=""),
        knowing(booked(charge=None, days=(), codes=()), by_control_number={"PCN1": {"C1"}}),
        "C1 by payer_control_number: payer",
    ),
    "a known number and a charge that contradicts it": (
        pays("X", control="PCN1", charge="99.00"),
        BY_NUMBER,
        "CHARGE_MISMATCH C1: claim C1: the charge sent is 99.00, billed were 150.00 USD",
    ),
    "a number that stands for two claims": (
        pays("X", control="PCN1"),
        knowing(booked(), booked("C2"), by_control_number={"PCN1": {"C1", "C2"}}),
        "AMBIGUOUS_CLAIM: 2 claims agree by payer_control_number: C1, C2",
    ),
    "an unknown number: the id decides": (pays(control="PCN7"), BY_NUMBER, f"C1 by claim_id: {EVERYTHING}"),
    # Our session, sent back in a line.
    "our session in the line": (pays("X", session="S1"), BY_LINE, f"C1 by line_reference: {EVERYTHING}"),
    "our session and another day": (
        pays("X", session="S1", day="2026-04-09"),
        BY_LINE,
        "CLAIM_MISMATCH C1: claim C1 differs in date of service",
    ),
    "a session of nobody's": (pays("X", session="S9"), BY_LINE, "UNKNOWN_CLAIM: the books know no claim X"),
    "two lines of two claims": (
        pays("X", lines=line("75.00", "50.00", session="S1") + line("75.00", "50.00", session="S2")),
        knowing(booked(), booked("C2"), by_session={"S1": {"C1"}, "S2": {"C2"}}),
        "AMBIGUOUS_CLAIM: 2 claims agree by line_reference: C1, C2",
    ),
    "a session for which nobody owes anything": (
        pays("X", session="S1"),
        knowing(by_session={"S1": {"FREE"}}),
        "CLAIM_MISMATCH FREE: claim FREE was never billed to AETNA",
    ),
    # No id at all: payer, day, procedure and charge together.
    "no id, one claim on the day": (pays("0"), ON_THE_DAY, f"C1 by composite_key: {EVERYTHING}"),
    "an empty id, one claim on the day": (pays(""), ON_THE_DAY, f"C1 by composite_key: {EVERYTHING}"),
    "an id that is not ours looks for nothing": (
        pays("X"),
        ON_THE_DAY,
        "UNKNOWN_CLAIM: the books know no claim X",
    ),
    "no id, twins": (
        pays("0"),
        knowing(booked(), booked("C2"), alike={1: {"C1", "C2"}}),
        "AMBIGUOUS_CLAIM: 2 claims agree by composite_key: C1, C2",
    ),
    "no id, no charge in the books": (
        pays("0"),
        knowing(booked(charge=None), alike={1: {"C1"}}),
        "UNKNOWN_CLAIM: the books know no claim 0",
    ),
    "no id, no procedure sent": (
        pays("0", lines="DTM*232*20260408~"),
        ON_THE_DAY,
        "UNKNOWN_CLAIM: the books know no claim 0",
    ),
    "no id, a free session beside": (
        pays("0"),
        knowing(booked(), alike={1: {"C1", "FREE"}}),
        f"C1 by composite_key: {EVERYTHING}",
    ),
    # The order of the rules.
    "the number comes before the id, which contradicts it": (
        pays("C2", control="PCN1"),
        BY_NUMBER,
        "CLAIM_MISMATCH C1: claim C1 differs in claim id",
    ),
    "the id comes before the line, which contradicts it": (
        pays("C2", session="S1"),
        knowing(booked(), booked("C2"), by_session={"S1": {"C1"}}),
        "CLAIM_MISMATCH C2: claim C2 differs in line reference",
    ),
    "the line confirms the id": (
        pays(session="S1"),
        knowing(booked(), booked("C2"), by_session={"S1": {"C1"}}),
        f"C1 by claim_id: {EVERYTHING}",
    ),
    "another payer's claim has the id that was sent": (
        pays("C2", control="PCN1"),
        knowing(booked(), booked("C2", payer="CIGNA"), by_control_number={"PCN1": {"C1"}}),
        f"C1 by payer_control_number: {EVERYTHING}",
    ),
    # The id in other letters, or cut short: all else must agree, and with one claim only.
    "the id in small letters": (pays("clinic-0001"), LONG_IDS, f"CLINIC-0001 by claim_id_respelled: {EVERYTHING}"),
    "the id cut short": (
        pays("CLINIC-000"),
        cut("CLINIC-0001"),
        f"CLINIC-0001 by claim_id_respelled: {EVERYTHING}",
    ),
    "cut and in small letters": (
        pays("clinic-000"),
        cut("CLINIC-0001"),
        f"CLINIC-0001 by claim_id_respelled: {EVERYTHING}",
    ),
    "cut so short that two fit": (
        pays("CLINIC-000"),
        cut("CLINIC-0001", "CLINIC-0002"),
        "AMBIGUOUS_CLAIM: 2 claims agree by claim_id_respelled: CLINIC-0001, CLINIC-0002",
    ),
    "cut so short that two begin so, and one fits": (
        pays("CLINIC-000"),
        knowing(
            booked("CLINIC-0001"), booked("CLINIC-0002", charge=90_00), alike={1: {"CLINIC-0001", "CLINIC-0002"}}
        ),
        f"CLINIC-0001 by claim_id_respelled: {EVERYTHING}",
    ),
    "less than half of the id is left": (
        pays("CLINIC-0"),
        cut("CLINIC-000012345678"),
        "UNKNOWN_CLAIM: the books know no claim CLINIC-0",
    ),
    "seven letters are left": (pays("CLAIM-1"), cut("CLAIM-12"), "UNKNOWN_CLAIM: the books know no claim CLAIM-1"),
    "a number that begins a later one": (
        pays("C100"),
        cut("C1000"),
        "UNKNOWN_CLAIM: the books know no claim C100",
    ),
    "the end of the id": (pays("0001"), cut("CLINIC-0001"), "UNKNOWN_CLAIM: the books know no claim 0001"),
    "cut short, and the day differs": (
        pays("CLINIC-000", day="2026-04-09"),
        cut("CLINIC-0001"),
        "UNKNOWN_CLAIM: the books know no claim CLINIC-000",
    ),
    "cut short, and the books know no charge": (
        pays("CLINIC-000"),
        knowing(booked("CLINIC-0001", charge=None), alike={1: {"CLINIC-0001"}}),
        "UNKNOWN_CLAIM: the books know no claim CLINIC-000",
    ),
    "cut short, another payer's": (
        pays("CLINIC-000"),
        knowing(booked("CLINIC-0001", payer="CIGNA"), alike={1: {"CLINIC-0001"}}),
        "UNKNOWN_CLAIM: the books know no claim CLINIC-000",
    ),
    "an id of ours that may be cut from another's": (
        pays("CLINIC-000"),
        cut("CLINIC-000", "CLINIC-0001"),
        "AMBIGUOUS_CLAIM: 2 claims agree by claim_id_respelled: CLINIC-000, CLINIC-0001",
    ),
    "an id of ours, and another begins so but differs": (
        pays("CLINIC-000"),
        knowing(booked("CLINIC-000"), booked("CLINIC-0001", days=(APRIL_15,)), alike={1: {"CLINIC-0001"}}),
        f"CLINIC-000 by claim_id: {EVERYTHING}",
    ),
    "an id of ours that may be cut, and the line says whose it is": (
        pays("CLINIC-000", session="S1"),
        replace(cut("CLINIC-000", "CLINIC-0001"), by_session={"S1": {"CLINIC-000"}}),
        f"CLINIC-000 by claim_id: {EVERYTHING}",
    ),
    "an id of ours that contradicts, and one begins so": (
        pays("CLINIC-000"),
        knowing(booked("CLINIC-000", days=(APRIL_15,)), booked("CLINIC-0001"), alike={1: {"CLINIC-0001"}}),
        "CLAIM_MISMATCH CLINIC-000: claim CLINIC-000 differs in date of service",
    ),
}


def check(payment: ClaimPayment, known: Known, expected: str) -> None:
    found = match(payment, known, "USD")
    if isinstance(found, Match):
        assert f"{found.claim} by {found.rule}: {found.evidence}" == expected
    else:
        nearest = f" {found.claim}" if found.claim else ""
        assert f"{found.reason.name}{nearest}: {found.detail}" == expected


@pytest.mark.parametrize("name", TABLE)
def test_the_claim_of_a_payment(name: str) -> None:
    check(*TABLE[name])


def test_money_is_posted_on_nothing_less_than_two_facts() -> None:
    """Of all that a payment may say of C1, no single fact is enough, whichever it is."""
    only = {
        "the id": booked(charge=None, days=(), codes=()),
        "the charge": booked("C2", days=(), codes=()),
        "the day": booked("C2", charge=None, codes=()),
        "the procedure": booked("C2", charge=None, days=()),
    }
    for item in only.values():
        for claim_id in ("C1", "0", "X"):
            assert not isinstance(match(pays(claim_id), knowing(item, alike={1: {item.name}}), "USD"), Match)
