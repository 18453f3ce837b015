"""The tokenizer: the same segments whatever the spelling; segments or a refusal whatever the bytes."""

import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import date
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.elements import day, decimal
from reconciliation.x12 import LONGEST_SEGMENT, Run, Segment, Unreadable, cut

ISA = b"ISA*00*          *00*          *ZZ*PAYER          *ZZ*US             *260602*1400*^*00501*000000006*0*T*:~"
BODY = b"GS*HP*P*U*20260602*1400*6*X*005010X221A1~ST*835*0001~SVC*HC:99213*10~SE*3*0001~GE*1*6~IEA*1*000000006~"
IDS = ["ISA", "GS", "ST", "SVC", "SE", "GE", "IEA"]


def segments(chunks: Iterable[bytes]) -> Iterator[Segment]:
    """Each segment by itself, those in runs too."""
    for item in cut(chunks):
        yield from (item,) if isinstance(item, Segment) else item.segments()


def ids(data: bytes) -> list[str]:
    return [segment.id for segment in segments([data])]


def refusal(data: bytes) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        list(segments([data]))
    return caught.value


def respelled(data: bytes, **signs: bytes) -> bytes:
    """The same file with other delimiters."""
    for name, usual in (("element", b"*"), ("component", b":"), ("terminator", b"~")):
        data = data.replace(usual, signs.get(name, usual))
    return data


SPELLINGS = {
    "as usual": ISA + BODY,
    "line feed after each segment": respelled(ISA + BODY, terminator=b"~\n"),
    "CRLF after each segment": respelled(ISA + BODY, terminator=b"~\r\n"),
    "line feed for terminator": respelled(ISA + BODY, terminator=b"\n"),
    "CRLF for terminator": respelled(ISA + BODY, terminator=b"\r\n"),
    "CR for terminator": respelled(ISA + BODY, terminator=b"\r"),
    "lines padded with blanks": respelled(ISA + BODY, terminator=b"\n").replace(b"0001\n", b"0001      \n"),
    "bars": respelled(ISA + BODY, element=b"|", component=b"^", terminator=b"!"),
    "control signs": respelled(ISA + BODY, element=b"\x1d", component=b"\x1f", terminator=b"\x1c"),
    "byte-order mark": b"\xef\xbb\xbf" + ISA + BODY,
    "white space first": b" \r\n\t" + ISA + BODY,
    "blanks and ctrl-Z last": ISA + BODY + b"\r\n  \n\x1a",
    "lower-case ids": ISA.replace(b"ISA", b"isa") + BODY.replace(b"SVC", b"svc").replace(b"IEA", b"iea"),
    "short ISA": ISA.replace(b" ", b"") + BODY,
    "full stop and line feed after each segment, where the full stop ends no segment": respelled(
        ISA + BODY, terminator=b".\n"
    )
    .replace(b"0001.", b"0001")
    .replace(b"000000006.", b"000000006")
    .replace(b"10.", b"10"),
    "no last terminator": ISA + BODY[:-1],
    "wrapped at 80 columns": b"\r\n".join((ISA + BODY)[at : at + 80] for at in range(0, 300, 80)),
    "empty segments": ISA + BODY.replace(b"~", b"~~"),
    "ISA16 missing": ISA.replace(b":~", b"~") + BODY,
    "ISA16 missing, lines": respelled(ISA.replace(b":~", b"~") + BODY, terminator=b"\n"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_one_file_in_many_spellings(spelling: str) -> None:
    found = list(segments([SPELLINGS[spelling]]))
    assert [segment.id for segment in found] == IDS
    assert [segment.position for segment in found] == [1, 2, 3, 4, 5, 6, 7]
    assert (found[0].at(13), found[2].at(2), found[6].at(2)) == ("000000006", "0001", "000000006")
    assert found[3].parts(1) == ("HC", "99213")
    assert found[3].exact(2) == "10"


HEADLESS = {
    "tilde": b"ST*835*0001~BPR*I*1~SE*3*0001~",
    "tilde and line feed": b"ST*835*0001~\nBPR*I*1~\nSE*3*0001~\n",
    "line feed": b"ST*835*0001\nBPR*I*1\nSE*3*0001\n",
    "CRLF": b"ST*835*0001\r\nBPR*I*1\r\nSE*3*0001\r\n",
    "bar": b"st|835|0001!bpr|I|1!se|3|0001!",
}


@pytest.mark.parametrize("spelling", HEADLESS)
def test_without_isa_the_delimiters_are_deduced(spelling: str) -> None:
    found = list(segments([HEADLESS[spelling]]))
    assert [(segment.id, segment.elements[1:]) for segment in found] == [
        ("ST", ("835", "0001")),
        ("BPR", ("I", "1")),
        ("SE", ("3", "0001")),
    ]


def test_a_group_without_isa() -> None:
    assert ids(BODY) == IDS[1:]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_text_is_the_same_in_any_spelling(spelling: str) -> None:
    """But for the components, whose sign only who knows composites can look for."""
    [run] = [item for item in cut([SPELLINGS[spelling]]) if isinstance(item, Run)]
    [text] = run.texts
    sign = run.component or ":"
    assert (text.replace(sign, ":"), run.position, run.terminated) == ("SVC\nHC:99213\n10", 4, True)


def test_only_segments_of_an_envelope_end_a_run() -> None:
    between = b"LX*1~CLP*1~nm1*QC~SEX*1~~ SVC *2*~CAS~"
    items = list(cut([ISA + BODY.replace(b"SVC*HC:99213*10~", between)]))
    runs = [(run.position, run.texts) for run in items if isinstance(run, Run)]
    assert runs == [(4, ["LX\n1", "CLP\n1", "NM1\nQC", "SEX\n1", "SVC\n2", "CAS"])]
    assert [item.id for item in items if isinstance(item, Segment)] == ["ISA", "GS", "ST", "SE", "GE", "IEA"]
    assert items[4].position == 10


def test_each_interchange_has_its_own_delimiters() -> None:
    names = ("as usual", "bars", "line feed for terminator", "CRLF after each segment", "byte-order mark")
    found = list(segments([b"".join(SPELLINGS[name] for name in names)]))
    assert [segment.id for segment in found] == IDS * len(names)
    assert [segment.position for segment in found] == list(range(1, 7 * len(names) + 1))
    assert {segment.parts(1) for segment in found if segment.id == "SVC"} == {("HC", "99213")}


def test_an_isa_that_no_iea_precedes_is_seen() -> None:
    assert ids(ISA + BODY[: BODY.index(b"SE*")] + SPELLINGS["bars"]) == ["ISA", "GS", "ST", "SVC", *IDS]


def test_many_small_interchanges_are_quick() -> None:
    assert ids((ISA + BODY) * 5_000) == IDS * 5_000


def test_text_is_utf8_else_latin1() -> None:
    data = ISA + b"GS*HP~N1*PE*Caf\xc3\xa9~N1*PE*Caf\xe9~SVC*HC:1*10.00~"
    found = [segment for segment in segments([data]) if segment.id == "N1"]
    assert [segment.at(2) for segment in found] == ["Café", "Café"]


def test_the_last_words_without_terminator_are_marked() -> None:
    assert [segment.terminated for segment in segments([ISA + b"GS*HP~ST*835*00"])] == [True, True, False]


@pytest.mark.parametrize(
    ("text", "component", "expected"),
    [
        ("HC:99213:GO", ":", ("HC", "99213", "GO")),
        ("HC>99213", ">", ("HC", "99213")),
        ("CT:8888", ">", ("CT", "8888")),  # the sender's sign is not the envelope's
        ("WO:88>88", "", ("WO", "88>88")),
        ("99213", ":", ("99213",)),
        ("L6", ":", ("L6",)),
        ("", ":", ("",)),
    ],
)
def test_composites(text: str, component: str, expected: tuple[str, ...]) -> None:
    assert Segment("SVC", ("SVC", text), 1, component).parts(1) == expected


REFUSALS = {
    "nothing": (b"", "EMPTY_FILE"),
    "blanks": (b" \r\n\x00\x1a", "EMPTY_FILE"),
    "byte-order mark only": (b"\xef\xbb\xbf", "EMPTY_FILE"),
    "prose": (b"Dear Sir, please find the remittance of Mrs Doe", "NOT_AN_835"),
    "a word that begins like ISA": (b"ISABELLA*", "NOT_AN_835"),
    "full stops between elements": (ISA.replace(b"*", b".") + BODY.replace(b"*", b"."), "NOT_AN_835"),
    "minus signs between elements": (ISA.replace(b"*", b"-") + BODY.replace(b"*", b"-"), "NOT_AN_835"),
    "UTF-16": ("ISA*00*".encode("utf-16"), "NOT_AN_835"),
    "a lone ST": (b"ST*835*0001~", "NOT_AN_835"),
    "10 MB of one letter": (b"A" * 10_000_000, "NOT_AN_835"),
    "10 MB of ISA": (b"ISA*" + b"A" * 10_000_000, "SEGMENT_TOO_LONG"),
    "10 MB of ST": (b"ST*" + b"A" * 10_000_000, "SEGMENT_TOO_LONG"),
    "10 MB of blanks after ST": (b"ST*" + b" " * 10_000_000, "SEGMENT_TOO_LONG"),
    "10 MB of line ends after ST": (b"ST*" + b"\n" * 10_000_000, "SEGMENT_TOO_LONG"),
    "10 MB of separators": (b"ST" + b"*ST" * 3_000_000, "SEGMENT_TOO_LONG"),
    "10 MB inside an interchange": (ISA + b"GS*HP~N1*" + b"A" * 10_000_000, "SEGMENT_TOO_LONG"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused_with_a_reason(case: str) -> None:
    data, reason = REFUSALS[case]
    refused = refusal(data)
    assert (refused.reason, "byte" in refused.facts) == (reason, True)
    assert "Doe" not in str(refused)


@pytest.mark.parametrize(("length", "fits"), [(LONGEST_SEGMENT, True), (LONGEST_SEGMENT + 1, False)])
@pytest.mark.parametrize("before", [0, 1, 700, 16_000, 70_000])
def test_the_longest_segment(before: int, length: int, fits: bool) -> None:
    data = ISA + b"GS~" * before + b"N1*".ljust(length, b"A") + b"~GE~"
    if fits:
        assert ids(data) == ["ISA", *["GS"] * before, "N1", "GE"]
    else:
        assert refusal(data).facts["byte"] == str(len(ISA) + 3 * before)


def test_memory_is_flat() -> None:
    def endless() -> Iterator[bytes]:
        yield ISA
        for _ in range(300):
            yield b"CAS*CO*45*10.00~\n" * 500

    tracemalloc.start()
    try:
        assert sum(1 for _ in segments(endless())) == 150_001
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@given(st.lists(st.integers(0, 400), max_size=12), st.sampled_from(sorted(SPELLINGS)))
@settings(max_examples=100, deadline=None)
def test_chunks_do_not_matter(cuts: list[int], spelling: str) -> None:
    data = SPELLINGS[spelling]
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = [data[start:end] for start, end in pairwise(edges)]
    assert list(segments(chunks)) == list(segments([data]))


FRAGMENTS = [
    b"ISA",
    b"isa*",
    ISA,
    BODY,
    b"IEA*1*1~",
    b"GS*",
    b"ST*835*1~",
    b"BPR*",
    b"~",
    b"*",
    b"\n",
    b"\r",
    b" ",
    b"\xff",
]


@given(st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=30), max_size=12).map(b"".join))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_segments_or_a_refusal(data: bytes) -> None:
    found: list[Segment] = []
    with suppress(Unreadable):
        found += segments([data])
    assert [segment.position for segment in found] == list(range(1, len(found) + 1))
    assert all(segment.elements[0] == segment.id for segment in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("0", "0"), ("00", "0"), ("12.50", "12.50"), ("-3", "-3"), (".5", "0.5"), ("5.", "5"), ("-.5", "-0.5")),
        ("123456789012345678", "123456789012345678"),
        *((bad, None) for bad in ("", "-", ".", "-.", "1.2.3", "+1", "1,000", "1e3", "NaN", "Infinity", "$1")),
        *((bad, None) for bad in (" 1", "1 ", "--1", "1-", "0x1", "1_0", "١", "1234567890123456789", "1\n")),
    ],
)
def test_decimal(text: str, expected: str | None) -> None:
    assert decimal(text) == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20260602", date(2026, 6, 2)),
        ("260602", date(2026, 6, 2)),
        ("20240229", date(2024, 2, 29)),
        *((bad, None) for bad in ("20230229", "20261301", "00000000", "2026060", "", "2026-6-2", "٢٠٢٦٠٦٠٢")),
    ],
)
def test_day(text: str, expected: date | None) -> None:
    assert day(text) == expected
