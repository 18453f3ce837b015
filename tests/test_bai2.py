"""BAI2 as banks spell it: what is read, what is doubtful, and what is never taken for money."""

import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import bai2 as referee
import pytest
from bai2 import bai2 as referees
from banks import Moved, account, bai2, moved, statement
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.bank.addenda import company, traces
from reconciliation.bank.bai2 import read
from reconciliation.bank.deposit import Deposit, Trace, spellings
from reconciliation.bank.statement import Line, StatementClosed, Unreadable, numbered, survey

SOUND = statement(moved("100.00", "EFT1", reference="R1"), Moved("-7.00", "CK1"), moved("3.25", reference="R3"))
GOLDEN = (Path(__file__).parent / "bank" / "2026-06-15.bai").read_bytes()


def lines(data: bytes) -> list[Line]:
    return [event for event in read([data]) if isinstance(event, Line)]


def surveyed(data: bytes) -> list[StatementClosed]:
    return survey(read([data]))


def test_a_sound_statement() -> None:
    [found] = surveyed(SOUND)
    assert found == StatementClosed(1, "0012345678", "USD", date(2026, 6, 15), True, 10_325, 700, 3, ())
    first, second, third = (line.deposit for line in lines(SOUND))
    assert first == Deposit("0012345678", date(2026, 6, 15), 10_000, "USD", "R1", (Trace("EFT1", "1066033492"),))
    assert (second.amount, second.reference, third.amount) == (-700, "CK1", 325)


# --- spelling -----------------------------------------------------------------------------------------

SPELLINGS = {
    "carriage returns": SOUND.replace(b"\n", b"\r\n"),
    "carriage returns alone": SOUND.replace(b"\n", b"\r"),
    "a byte-order mark": b"\xef\xbb\xbf" + SOUND,
    "no slash at the end of a record": SOUND.replace(b"/\n", b"\n"),
    "padded records": SOUND.replace(b"\n", b"     \n"),
    "blank lines": SOUND.replace(b"\n", b"\n\n"),
    "a control character at the end": SOUND + b"\x1a",
    "dates with their century": SOUND.replace(b",260615,", b",20260615,"),
    "words in Latin-1": SOUND.replace(b"TRN*1*EFT1", b"PAYMENT \xc9 TRN*1*EFT1"),
    "the amount with a plus": SOUND.replace(b"16,165,10000,", b"16,165,+10000,"),
    "a value date": SOUND.replace(b"10000,0,R1", b"10000,V,260616,,R1"),
    "amounts by availability": SOUND.replace(b"10000,0,R1", b"10000,S,4000,6000,0,R1"),
    "a distribution": SOUND.replace(b"10000,0,R1", b"10000,D,2,0,4000,1,6000,R1"),
    "an availability that is not known": SOUND.replace(b"10000,0,R1", b"10000,Z,R1"),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_spelling_changes_nothing(name: str) -> None:
    assert surveyed(SPELLINGS[name]) == surveyed(SOUND)
    assert [line.deposit for line in lines(SPELLINGS[name])] == [line.deposit for line in lines(SOUND)]


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_it_does_not_matter_where_the_bytes_are_cut(size: int) -> None:
    cut = [GOLDEN[start : start + size] for start in range(0, len(GOLDEN), size)]
    assert [*read(cut)] == [*read([GOLDEN])]


def test_a_group_of_the_running_day_is_not_final() -> None:
    kinds = {kind: surveyed(statement(Moved("1.00"), kind=kind))[0].is_final for kind in ("", "1", "2", "3", "4")}
    assert kinds == {"": True, "1": False, "2": True, "3": False, "4": True}


def test_what_the_bank_takes_back() -> None:
    told = {code: lines(statement(Moved("-1.00", code=code)))[0].taken_back for code in ("555", "557", "475")}
    assert told == {"555": True, "557": True, "475": False}


# --- what does not add up -----------------------------------------------------------------------------

WRONG: dict[str, tuple[bytes, str]] = {
    "an amount": (
        SOUND.replace(b"16,165,10000,", b"16,165,10001,"),
        "is 12025 and its amounts add up to 12026",
    ),
    "an amount of the account": (SOUND.replace(b"010,1000", b"010,999"), "add up to 12024"),
    "a record that is missing": (SOUND.replace(b"16,475,700,0,CK1/\n", b""), "counts 5 records (49) and has 4"),
    "a record twice": (SOUND.replace(b"16,475,700,0,CK1/\n", b"16,475,700,0,CK1/\n" * 2), "has 6"),
    "the group's total": (SOUND.replace(b"98,12025,", b"98,12026,"), "the group (98) says 12026 total"),
    "the group's count": (
        SOUND.replace(b"98,12025,1,", b"98,12025,2,"),
        "group (98) says 2 parts and holds 1",
    ),
    "the group's records": (SOUND.replace(b",1,7/", b",1,8/"), "the group (98) says 8 records and holds 7"),
    "the file's total": (SOUND.replace(b"99,12025,", b"99,1,"), "the file (99) says 1 total and holds 12025"),
    "the file's count": (SOUND.replace(b"99,12025,1,", b"99,12025,3,"), "the file (99) says 3 parts and holds 1"),
    "the file's records": (SOUND.replace(b",1,9/", b",1,1/"), "the file (99) says 1 records and holds 9"),
    "no end of the file": (SOUND[: SOUND.index(b"99,")], "the file ends before its own total (99)"),
    "no end of the group": (SOUND.replace(b"98,12025,1,7/\n", b""), "a group ends without its total (98)"),
    "no end of the statement": (SOUND.replace(b"49,12025,5/\n", b""), "the statement ends without its total (49)"),
    "cut off in a line": (SOUND[: SOUND.index(b"CK1")], "the file ends before its own total (99)"),
    "an exponent": (SOUND.replace(b"16,165,10000,", b"16,165,1e4,"), "an amount of the statement cannot be read"),
    "a point": (SOUND.replace(b"16,165,10000,", b"16,165,100.00,"), "an amount of the statement cannot be read"),
    "other digits": (
        SOUND.replace(b"16,165,10000,", "16,165,١٠٠٠٠,".encode()),
        "an amount of the statement cannot be read",
    ),
    "no amount": (SOUND.replace(b"16,165,10000,", b"16,165,,"), "an amount of the statement cannot be read"),
    "more than any posting": (
        SOUND.replace(b"165,10000,", b"165,1000000000000001,"),
        "neither money that came in",
    ),
    "a negative amount": (SOUND.replace(b"165,10000,", b"165,-10000,"), "neither money that came in"),
    "a code of no direction": (SOUND.replace(b"16,165,", b"16,721,"), "neither money that came in"),
    "a record of no kind": (SOUND.replace(b"16,475", b"17,475"), "of a kind that BAI2 does not have"),
    "no account": (SOUND.replace(b"03,0012345678", b"03,"), "the statement names no account (03)"),
    "no currency that is one": (SOUND.replace(b",USD,", b",USX,"), "no currency of ISO 4217"),
    "no day": (SOUND.replace(b",1,260615,2359", b",1,261315,2359"), "no date that can be read"),
    "a deletion": (statement(Moved("1.00"), status="2"), "deletes, corrects or tests"),
    "a test": (statement(Moved("1.00"), status="4"), "deletes, corrects or tests"),
    "a continuation of nothing": (SOUND.replace(b"02,", b"88,X\n02,", 1), ""),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_statement_that_does_not_add_up_is_doubtful_and_says_why(name: str) -> None:
    data, why = WRONG[name]
    [found] = surveyed(data)
    assert found.problems
    assert why in "; ".join(found.problems)


def test_a_doubtful_statement_makes_its_neighbour_no_doubt() -> None:
    """As long as the totals of their group are those that the statements themselves give."""
    wrong = account(Moved("20.00"), account="2").replace(",2000,", ",2001,")
    first, second, third = surveyed(bai2(account(Moved("1.00")), wrong, account(Moved("2.00"), account="3")))
    assert (first.problems, bool(second.problems), third.problems) == ((), True, ())


def test_no_problem_repeats_what_the_bank_wrote_in_words() -> None:
    secret = b"ZEBROWSKA"
    for place in range(SOUND.count(b",")):
        before, _, after = SOUND.partition(b",")
        fields = SOUND.split(b",")
        spoilt = b",".join([*fields[:place], secret + fields[place], *fields[place + 1 :]])
        try:
            told = "".join(problem for one in surveyed(spoilt) for problem in one.problems)
        except Unreadable as unreadable:
            told = str(unreadable)
        assert "ZEBROWSKA" not in told, (place, before, after)


REFUSED = {
    "": "EMPTY_FILE",
    "\n \n": "EMPTY_FILE",
    "16,165,1,0/\n": "NOT_A_STATEMENT",
    "02,A,B,1,260615,,,/\n": "NOT_A_STATEMENT",
    "01,A,B,260615,,1,,,2/\n99,0,0,2/\n": "NOT_A_STATEMENT",
    "01," + "x" * 70_000: "LINE_TOO_LONG",
    "01,A\n" + "88,x\n" * 10_001: "LINE_TOO_LONG",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:20])
def test_a_file_that_is_none(text: str) -> None:
    with pytest.raises(Unreadable) as refused:
        surveyed(text.encode())
    assert refused.value.reason == REFUSED[text]


# --- addenda ------------------------------------------------------------------------------------------

ADDENDA: dict[str, tuple[list[str], list[tuple[str, str]]]] = {
    "whole": (["TRN*1*EFT1*1066033492\\"], [("EFT1", "1066033492")]),
    "with a tilde": (["X TRN*1*EFT1*1066033492~ Y"], [("EFT1", "1066033492")]),
    "with a supplement": (["TRN*1*EFT1*1066033492*000060054\\"], [("EFT1", "1066033492")]),
    "without a payer": (["TRN*1*EFT1\\"], [("EFT1", "")]),
    "two": (
        ["TRN*1*EFT1*1066033492\\", "TRN*1*EFT2*1066033492\\"],
        [("EFT1", "1066033492"), ("EFT2", "1066033492")],
    ),
    "the same twice": (["TRN*1*EFT1*1066033492\\TRN*1*EFT1*1066033492\\"], [("EFT1", "1066033492")]),
    "cut within the number": (["TRN*1*EF", "T1*1066033492\\"], [("EFT1", "1066033492")]),
    "cut within the payer": (["TRN*1*EFT1*10660", "33492\\"], [("EFT1", "1066033492")]),
    "one line without an end": (["TRN*1*EFT1*1066033492"], [("EFT1", "1066033492")]),
    "cut off within the number": (["TRN*1*EFT"], []),
    "cut off, with more lines": (["TRN*1*EFT1*106", "OTHER WORDS"], []),
    "lower case": (["trn*1*eft1*1066033492\\"], [("eft1", "1066033492")]),
    "another kind of trace": (["TRN*2*EFT1*1066033492\\"], []),
    "no words": ([], []),
}


@pytest.mark.parametrize("name", ADDENDA)
def test_the_addendum(name: str) -> None:
    text, expected = ADDENDA[name]
    assert [(one.number, one.payer_identifier) for one in traces(text)] == expected


def test_who_sent_the_money() -> None:
    assert company(["AETNA ORIG CO ID:1066033492 CCD"]) == "1066033492"
    assert company(["COMPANY ID: 1066033492"]) == "1066033492"
    assert company(["ORIG ID:1066033492", "CO ID:1591031071"]) == "", "two are none"
    assert company(["CO ID:12345678901"]) == "", "a longer number is not cut"
    assert company(["AETNA"]) == ""


def test_a_tax_number_is_spelt_with_its_one_and_without() -> None:
    assert spellings("1066033492") == spellings("066033492") == {"1066033492", "066033492"}
    assert spellings("2066033492") == {"2066033492"}
    assert spellings("1AETNA") == {"1AETNA"}


# --- identity -----------------------------------------------------------------------------------------

ONE = Deposit("1", date(2026, 6, 15), 100, "USD", "R1", (Trace("EFT1"),), "9")
SAME = {"traces": (Trace("EFT2"),), "payer_identifier": "8"}
OTHER: dict[str, Any] = {
    "account": "2",
    "effective_date": date(2026, 6, 16),
    "amount": 101,
    "currency": "EUR",
    "reference": "R2",
    "occurrence": 2,
}


def test_what_makes_a_deposit_the_same() -> None:
    """Where the bank gives a reference, its words may differ; in everything else each difference counts."""
    for field, value in SAME.items():
        assert replace(ONE, **{field: value}).id("main") == ONE.id("main"), field
    for field, value in OTHER.items():
        assert replace(ONE, **{field: value}).id("main") != ONE.id("main"), field
    assert ONE.id("main") != ONE.id("other")
    bare = replace(ONE, reference="")
    assert bare.id("main") != replace(bare, traces=(Trace("EFT2"),)).id("main"), "then its traces tell it"
    assert bare.id("main") != replace(bare, reference="EFT1").id("main"), "a reference is no trace"


def test_those_that_are_alike_are_counted() -> None:
    found = [line.deposit.occurrence for line in numbered(lines(statement(*[Moved("1.00")] * 3, Moved("2.00"))))]
    assert found == [1, 2, 3, 1]


# --- a second opinion, any bytes, any size ------------------------------------------------------------


def test_another_reader_says_the_same_of_the_golden_file() -> None:
    whole = referees.parse_from_string(GOLDEN.decode())
    [its] = whole.children[0].children
    assert referee is not None
    theirs = [(one.amount, one.bank_reference) for one in its.children]
    ours = [(line.deposit.amount, line.deposit.reference) for line in lines(GOLDEN)]
    assert ours == theirs == [(120_000, "2026166001"), (30_000, "2026166002"), (32_050, "2026166003")]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_change_of_bytes_is_read_or_refused_and_never_more_money(data: st.DataObject) -> None:
    """Whatever is changed: a sound statement's lines add up to what its own totals say."""
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


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_at_all(data: bytes) -> None:
    with suppress(Unreadable):
        [first, *_] = surveyed(b"01,A,B,260615,,1,,,2/\n02,A,B,1,260615,,USD,2/\n03,1,USD/\n" + data)
        assert first.problems


def test_memory_does_not_grow_with_the_file() -> None:
    """Six thousand lines take no more than two hundred."""

    def most(count: int) -> int:
        tracemalloc.start()
        for _ in read(_many(count)):
            continue
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    small = most(200)
    assert most(6_000) < small * 3


def _many(count: int) -> Iterator[bytes]:
    yield b"01,A,B,260615,,1,,,2/\n02,A,B,1,260615,,USD,2/\n03,1,USD/\n"
    for number in range(count):
        yield f"16,165,1,0,R{number},,TRN*1*EFT{number}*1066033492\\/\n".encode()
    yield f"49,{count},{count + 2}/\n98,{count},1,{count + 4}/\n99,{count},1,{count + 6}/\n".encode()
