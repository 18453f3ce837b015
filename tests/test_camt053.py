"""CAMT.053 as banks write it: what is read, what is doubtful, and what no XML can do to the reader."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from banks import Moved, camt053, moved, statement
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.bank import bai2
from reconciliation.bank.camt053 import read
from reconciliation.bank.deposit import Deposit, Trace
from reconciliation.bank.statement import Line, StatementClosed, Unreadable, survey

LINES = (moved("100.00", "EFT1", reference="R1"), Moved("-7.00", "CK1"), moved("3.25", reference="R3"))
SOUND = camt053(*LINES)
GOLDEN = (Path(__file__).parent / "bank" / "2026-06-15.xml").read_bytes()
SUMMARY = "<TxsSummry><{0}><NbOfNtries>{1}</NbOfNtries><Sum>{2}</Sum></{0}></TxsSummry><Ntry>"


def lines(data: bytes) -> list[Line]:
    return [event for event in read([data]) if isinstance(event, Line)]


def surveyed(data: bytes) -> list[StatementClosed]:
    return survey(read([data]))


def test_a_sound_statement() -> None:
    [found] = surveyed(SOUND)
    assert found == StatementClosed(1, "0012345678", "USD", date(2026, 6, 15), True, 10_325, 700, 3, ())
    first = lines(SOUND)[0].deposit
    assert first == Deposit("0012345678", date(2026, 6, 15), 10_000, "USD", "R1", (Trace("EFT1", "1066033492"),))


def test_it_tells_of_the_same_deposits_as_bai2() -> None:
    """So that what both tell of is in the books once."""
    there = [event for event in bai2.read([statement(*LINES)]) if isinstance(event, Line)]
    assert [line.deposit.id("main") for line in lines(SOUND)] == [line.deposit.id("main") for line in there]


def test_the_golden_file() -> None:
    """One entry of several payments, one that is not booked, a sum in tenths."""
    found = lines(GOLDEN)
    assert [line.deposit.amount for line in found] == [120_000, 30_000, 32_050]
    assert [len(line.deposit.traces) for line in found] == [1, 2, 0]
    assert (found[0].deposit.payer_identifier, found[0].names) == ("1066033492", ("AETNA",))
    assert surveyed(GOLDEN)[0].problems == ()


# --- spelling -----------------------------------------------------------------------------------------

SPELLINGS = {
    "an older version": SOUND.replace(b"camt.053.001.08", b"camt.053.001.02"),
    "a newer version": SOUND.replace(b"camt.053.001.08", b"camt.053.001.13"),
    "no namespace": SOUND.replace(b' xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"', b""),
    "a byte-order mark": b"\xef\xbb\xbf" + SOUND,
    "comments and white space": SOUND.replace(b"><", b"> <!-- nothing -->\n<"),
    "character data": SOUND.replace(b"TRN*1*EFT1", b"<![CDATA[TRN*1*EFT1]]>"),
    "UTF-16": SOUND.decode().replace("UTF-8", "UTF-16").encode("utf-16"),
    "Latin-1": SOUND.replace(b"UTF-8", b"ISO-8859-1"),
    "tenths": SOUND.replace(b">100.00<", b">100.0<"),
    "more zeros than cents": SOUND.replace(b">100.00<", b">100.00000<"),
    "no cents": SOUND.replace(b">100.00<", b">100<"),
    "an account by its IBAN": SOUND.replace(b"<Othr><Id>0012345678</Id></Othr>", b"<IBAN>0012345678</IBAN>"),
    "a state as before version 4": SOUND.replace(b"<Sts><Cd>BOOK</Cd></Sts>", b"<Sts>BOOK</Sts>"),
    "a time for a day": SOUND.replace(
        b"<BookgDt><Dt>2026-06-15</Dt>", b"<BookgDt><DtTm>2026-06-15T01:02:03Z</DtTm>"
    ),
    "a balance as before": SOUND.replace(b"<Cd>OPBD</Cd>", b"<Cd>PRCD</Cd>"),
    "sums that are right": SOUND.replace(b"<Ntry>", SUMMARY.format("TtlNtries", 3, "110.25").encode(), 1),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_spelling_changes_nothing(name: str) -> None:
    assert surveyed(SPELLINGS[name]) == surveyed(SOUND)
    assert [line.deposit for line in lines(SPELLINGS[name])] == [line.deposit for line in lines(SOUND)]


@pytest.mark.parametrize("size", [1, 3, 64])
def test_it_does_not_matter_where_the_bytes_are_cut(size: int) -> None:
    cut = [GOLDEN[start : start + size] for start in range(0, len(GOLDEN), size)]
    assert [*read(cut)] == [*read([GOLDEN])]


def test_what_the_bank_takes_back() -> None:
    """It says so, or gives the reason of a return."""
    said = camt053(Moved("-1.00", "R1", code="x"))
    why = camt053(Moved("-1.00", "R1", "X")).replace(
        b"<RmtInf>", b"<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf><RmtInf>"
    )
    assert [lines(data)[0].taken_back for data in (said, why, camt053(Moved("-1.00", "R1")))] == [
        True,
        True,
        False,
    ]


# --- what does not add up -----------------------------------------------------------------------------

WRONG: dict[str, tuple[bytes, str]] = {
    "an amount": (SOUND.replace(b">100.00<", b">100.01<"), "do not make the closing balance"),
    "a direction": (SOUND.replace(b"DBIT", b"CRDT"), "do not make the closing balance"),
    "an entry twice": (SOUND.replace(b"<Ntry>", b"<Ntry>" + SOUND.split(b"<Ntry>")[2] + b"<Ntry>", 1), "closing"),
    "no opening balance": (SOUND.replace(b"OPBD", b"ITAV"), "no opening or no closing balance"),
    "no closing balance": (SOUND.replace(b"CLBD", b"ITAV"), "no opening or no closing balance"),
    "an exponent": (SOUND.replace(b">100.00<", b">1e2<"), "the amount of an entry cannot be read"),
    "a sign": (SOUND.replace(b">100.00<", b">-100.00<"), "the amount of an entry cannot be read"),
    "not a number": (SOUND.replace(b">100.00<", b">NaN<"), "the amount of an entry cannot be read"),
    "other digits": (SOUND.replace(b">100.00<", ">١٠٠<".encode()), "the amount of an entry cannot be read"),
    "a tenth of a cent": (SOUND.replace(b">100.00<", b">100.001<"), "the amount of an entry cannot be read"),
    "more than any posting": (SOUND.replace(b">100.00<", b">99999999999999999<"), "cannot be read"),
    "another currency": (SOUND.replace(b'<Ntry><Amt Ccy="USD">', b'<Ntry><Amt Ccy="EUR">', 1), "another currency"),
    "no currency that is one": (SOUND.replace(b"USD", b"USX"), "no currency of ISO 4217"),
    "no account": (SOUND.replace(b"0012345678", b""), "the statement names no account"),
    "no day": (
        SOUND.replace(b"<BookgDt><Dt>2026-06-15<", b"<BookgDt><Dt>2026-13-15<"),
        "no date that can be read",
    ),
    "a page of several": (
        SOUND.replace(b"<Id>S1</Id>", b"<StmtPgntn><PgNb>1</PgNb><LastPgInd>false</LastPgInd></StmtPgntn>"),
        "one page of several",
    ),
    "a count of the summary": (
        SOUND.replace(b"<Ntry>", SUMMARY.format("TtlNtries", 4, "110.25").encode(), 1),
        "the count of its summary (TtlNtries)",
    ),
    "a sum of the summary": (
        SOUND.replace(b"<Ntry>", SUMMARY.format("TtlCdtNtries", 2, "103.26").encode(), 1),
        "the sum of its summary (TtlCdtNtries)",
    ),
    "cut off in a line": (SOUND[: SOUND.index(b"CK1")], "the file ends within the statement"),
    "cut off after its statement": (SOUND[: SOUND.index(b"</BkTo")], "the file breaks off"),
    "not well-formed at its end": (SOUND.replace(b"</BkTo", b"</BkFrom"), "the file breaks off"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_statement_that_does_not_add_up_is_doubtful_and_says_why(name: str) -> None:
    data, why = WRONG[name]
    [found] = surveyed(data)
    assert why in "; ".join(found.problems)


def test_a_doubtful_statement_makes_its_neighbour_no_doubt() -> None:
    middle = SOUND[SOUND.index(b"<Stmt>") : SOUND.index(b"</BkToCstmrStmt>")]
    first, second = surveyed(SOUND.replace(middle, middle.replace(b">100.00<", b">100.01<") + middle))
    assert (bool(first.problems), second.problems) == (True, ())
    assert replace(second, index=1) == surveyed(SOUND)[0]


# --- what XML can do ----------------------------------------------------------------------------------

LAUGHS = b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
HOSTILE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "NOT_A_STATEMENT"),
    "no XML": (b"hello", "NOT_A_STATEMENT"),
    "entities of entities": (LAUGHS + b"<Document>&b;</Document>", "NOT_A_STATEMENT"),
    "an external entity": (
        b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Document>&x;</Document>',
        "NOT_A_STATEMENT",
    ),
    "an external document type": (b'<!DOCTYPE d SYSTEM "http://example.com/d.dtd"><Document/>', "NOT_A_STATEMENT"),
    "an entity that is not declared": (b"<Document>&x;</Document>", "NOT_A_STATEMENT"),
    "an encoding that is none": (b'<?xml version="1.0" encoding="none"?><Document/>', "NOT_A_STATEMENT"),
    "elements without end": (b"<Document><BkToCstmrStmt><Stmt>" + b"<a>" * 100, "NOT_A_STATEMENT"),
    "a text without end": (SOUND.replace(b">R1<", b">" + b"R" * 70_000 + b"<"), "LINE_TOO_LONG"),
    "texts without end": (
        SOUND.replace(b"<RmtInf>", b"<RmtInf>" + b"<Ustrd>X</Ustrd>" * 10_001, 1),
        "LINE_TOO_LONG",
    ),
    "another document": (b"<Document><BkToCstmrAcctRpt/></Document>", "NOT_A_STATEMENT"),
    "no statement": (b"<Document><BkToCstmrStmt></BkToCstmrStmt></Document>", "NOT_A_STATEMENT"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_none_or_means_harm(name: str) -> None:
    data, reason = HOSTILE[name]
    with pytest.raises(Unreadable) as refused:
        surveyed(data)
    assert refused.value.reason == reason
    assert "passwd" not in str(refused.value)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_change_of_bytes_is_read_or_refused_and_never_more_money(data: st.DataObject) -> None:
    """Whatever is changed: a sound statement's lines are what its balances say."""
    place = data.draw(st.integers(0, len(GOLDEN) - 1))
    instead = data.draw(st.binary(max_size=6))
    spoilt = GOLDEN[:place] + instead + GOLDEN[place + data.draw(st.integers(0, 6)) :]
    try:
        found = surveyed(spoilt)
    except Unreadable:
        return
    for one in found:
        if not one.problems:
            assert one.credits - one.debits == sum(line.deposit.amount for line in lines(spoilt))


def test_memory_does_not_grow_with_the_file() -> None:
    """Two thousand entries take no more than a hundred."""

    def most(count: int) -> int:
        tracemalloc.start()
        for _ in read(_many(count)):
            continue
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    most(10)
    small = most(100)
    assert most(2_000) < small * 3


def _many(count: int) -> Iterator[bytes]:
    head, _, rest = camt053(Moved("1.00", "R1", "X")).partition(b"<Ntry>")
    entry, _, tail = rest.partition(b"</Ntry>")
    yield head
    for _ in range(count):
        yield b"<Ntry>" + entry + b"</Ntry>"
    yield tail
