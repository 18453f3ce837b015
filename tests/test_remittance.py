"""The reader: what an 835 says, whether it balances, and that a broken file is never taken for a sound one."""

import csv
import os
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.claim import _adjustments, _service
from reconciliation.remittance import (
    Adjustment,
    ClaimPayment,
    Event,
    Fault,
    Header,
    InterchangeBroken,
    Problem,
    Procedure,
    ProviderLevelAdjustment,
    RemittanceClosed,
    RemittanceOpened,
    Survey,
    Unreadable,
    read,
    survey,
)

ISA = "ISA*00*          *00*          *ZZ*PAYER          *ZZ*US             *260602*1400*^*00501*000000006*0*T*:~"
GS = "GS*HP*P*U*20260603*1400*6*X*005010X221A1~"
HEADER = "BPR*I*80.00*C*ACH************20260605~TRN*1*EFT1*1512345678~N1*PR*ACME*XV*A1~N1*PE*US*XX*1234567893~"
CLAIM = "CLP*C1*1*100.00*80.00*5.00*12*PC1*11*1~"
LINE = "SVC*HC:90837*100.00*80.00**1~CAS*CO*45*15.00~CAS*PR*3*5.00~"
TAIL = "GE*1*6~IEA*1*000000006~"


def remittance(*loops: str, header: str = HEADER, number: str = "0001") -> str:
    """An ST..SE with a right count."""
    body = header + "".join(loops)
    return f"ST*835*{number}~{body}SE*{body.count('~') + 2}*{number}~"


def file(*sets: str) -> bytes:
    """The sets in one sound interchange."""
    return (ISA + GS + "".join(sets) + f"GE*{len(sets)}*6~IEA*1*000000006~").encode()


def events(data: bytes) -> list[Event]:
    return list(read([data]))


def surveys(data: bytes) -> list[Survey]:
    return list(survey([data]))


def only(data: bytes) -> Survey:
    (found,) = surveys(data)
    return found


def claims(data: bytes) -> list[ClaimPayment]:
    return [event for event in events(data) if isinstance(event, ClaimPayment)]


SOUND = file(remittance(CLAIM, LINE))


def test_the_order_of_events() -> None:
    plb = "PLB*1234567893*20261231*L6:I1*-1.00~"
    data = file(
        remittance(CLAIM, LINE, CLAIM, LINE, plb, header=HEADER.replace("80.00", "161.00")), remittance(CLAIM)
    )
    names = [type(event).__name__ for event in events(data)]
    assert names == [
        *("InterchangeOpened", "RemittanceOpened", "ClaimPayment", "ClaimPayment", "ProviderLevelAdjustment"),
        *("RemittanceClosed", "RemittanceOpened", "ClaimPayment", "RemittanceClosed", "InterchangeClosed"),
    ]


def test_the_header() -> None:
    header = (
        "BPR*I*80.00*C*ACH*CCP*01*1*DA*2*1512345678**01*3*DA*4*20260605~TRN*1*EFT1*1512345678*SUP~CUR*PR*usd~"
        "REF*EV*RECEIVER~DTM*405*20260604~N1*PR*ACME*XV*A1~N3*STREET~N4*TOWN*NV*1~REF*2U*87726~PER*CX*X~"
        "N1*PE*CLINIC*XX*1234567893~REF*TJ*999999999~RDM*EM*X~"
    )
    assert only(file(remittance(CLAIM, header=header))).header == Header(
        interchange_control_number="000000006",
        sender="PAYER",
        receiver="US",
        usage="T",
        group_control_number="6",
        version="005010X221A1",
        control_number="0001",
        handling_code="I",
        amount=Decimal("80.00"),
        credit_debit="C",
        method="ACH",
        payment_date=date(2026, 6, 5),
        trace="EFT1",
        originator="1512345678",
        trace_supplement="SUP",
        currency="USD",
        receiver_reference="RECEIVER",
        production_date=date(2026, 6, 4),
        payer_name="ACME",
        payer_id_qualifier="XV",
        payer_id="A1",
        payer_reference="87726",
        payee_name="CLINIC",
        payee_id_qualifier="XX",
        payee_id="1234567893",
        payee_tax_id="999999999",
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (SOUND, date(2026, 6, 5)),
        (SOUND.replace(b"20260605~", b"~DTM*405*20260604~"), date(2026, 6, 4)),
        (SOUND.replace(b"20260605~", b"20261305~"), date(2026, 6, 3)),  # GS04
        (SOUND.replace(b"20260605~", b"~").replace(b"20260603", b""), date(2026, 6, 2)),  # ISA09
        (remittance(CLAIM, LINE).replace("20260605~", "~").encode(), None),
    ],
)
def test_the_payment_date(data: bytes, expected: date | None) -> None:
    assert only(data).header.payment_date == expected


def test_a_claim_with_everything() -> None:
    loop = (
        "LX*1~TS3*1*11*20261231*1*100~CLP*C1*22*-100.00*-73.00*-12.00*MC*PC1*11*1~CAS*CO*45*-5.00*1*253*-2.00~"
        "NM1*QC*1*DOE*JANE****MI*W123~NM1*IL*1*DOE*JOHN****MI*W123~NM1*74*1*DOES~NM1*82*1*CARE*ADA****XX*1112223334~"
        "NM1*TT*2*OTHER*****PI*TT1~NM1*PR*2*FIRST*****PI* PR1~MIA*0****MA01~MOA***MA02*N1~"
        "REF*F8*ORIGINAL~REF*EA*RECORD~REF*SY*SECRET~REF*1W*MEMBER~DTM*232*20260401~DTM*233*20260402~DTM*050*20260403~"
        "PER*CX*X~AMT*AU*1~QTY*CA*1~"
        "SVC*HC:90837:GT:95:::ROOM*-60.00*-50.00*0900*2*HC:90834~DTM*150*20260401~DTM*151*20260402~"
        "CAS*CO*45*-8.00~CAS*PR*1*-2.00~REF*6R*L1~REF*LU*X~AMT*B6*-52.00~QTY*ZL*1~LQ*HE*N130~"
        "SVC*90785*-40.00*-30.00~DTM*472*20260402~CAS*PR*3*-10.00~"
    )
    (claim,) = claims(file(remittance(loop, header=HEADER.replace("80.00", "-73.00"))))
    first, second = claim.service_lines
    contractual = Adjustment("CO", "45", Decimal("-5.00"), Decimal(1))
    assert claim.adjustments == (contractual, Adjustment("CO", "253", Decimal("-2.00"), None))
    assert (claim.line, claim.claim_as_sent, claim.status, claim.filing_indicator) == (1, "C1", "22", "MC")
    amounts = (claim.charge, claim.paid, claim.patient_responsibility)
    assert amounts == (Decimal(-100), Decimal(-73), Decimal(-12))
    assert (claim.payer_control_number, claim.facility) == ("PC1", "11")
    assert (claim.claim_from, claim.claim_to) == (date(2026, 4, 1), date(2026, 4, 2))
    assert claim.received == date(2026, 4, 3)
    assert claim.references == (("F8", "ORIGINAL"), ("6R", "L1"))
    assert (claim.rendering_provider, claim.crossover_payer, claim.corrected_payer) == ("1112223334", "TT1", "PR1")
    assert claim.remarks == ("MA01", "MA02", "N1")
    assert claim.problems == ()
    assert first.procedure == Procedure("HC", "90837", ("GT", "95"))
    assert first.original_procedure == Procedure("HC", "90834", ())
    assert (first.charge, first.paid, first.allowed) == (Decimal(-60), Decimal(-50), Decimal(-52))
    assert (first.units, first.service_from, first.service_to) == (Decimal(2), date(2026, 4, 1), date(2026, 4, 2))
    assert (first.line_reference, first.remarks) == ("L1", ("N130",))
    assert (second.procedure, second.units) == (Procedure("", "90785", ()), None)
    assert second.service_from == second.service_to == date(2026, 4, 2)


@pytest.mark.parametrize("secret", ["DOE", "JANE", "JOHN", "W123", "RECORD", "SECRET", "MEMBER", "ROOM"])
def test_nothing_that_names_a_patient_leaves_the_reader(secret: str) -> None:
    people = "NM1*QC*1*DOE*JANE****MI*W123~NM1*IL*1*DOE*JOHN****MI*W123~REF*EA*RECORD~REF*SY*SECRET~REF*1W*MEMBER~"
    data = file(remittance(CLAIM, people, LINE.replace("90837", "90837:::::ROOM"))).replace(b"80.00**", b"DOE**")
    broken = data[:-30] + b"DOE*JANE~"
    assert secret not in "".join(f"{event!r} {event}" for event in events(data) + events(broken))
    assert secret not in "".join(str(problem) for problem in only(data).problems)


def test_ids_alone_and_in_small_letters() -> None:
    """A segment without elements says that all of them are absent; one in small letters says what it says."""
    loops = (CLAIM, "SVC~LQ~CAS~DTM~REF~NM1~AMT~MOA~MIA~", "svc*HC:1*2*2~dtm*472*20260401~")
    (claim,) = claims(file(remittance(*loops)))
    alone, small = claim.service_lines
    assert (alone.procedure, alone.charge, alone.paid, alone.remarks) == (Procedure("", "", ()), None, None, ("",))
    assert (small.procedure, small.charge) == (Procedure("HC", "1", ()), Decimal(2))
    assert small.service_from == date(2026, 4, 1)


def test_provider_level_adjustments() -> None:
    plb = "PLB*1234567893*20261231*WO:REF1*30.00*L6>REF2*-2.50*FB*-10*72:A:B*5~PLB*2**CS:X*-22.50~"
    found = only(file(remittance(CLAIM, LINE, plb)))
    first = ProviderLevelAdjustment("1234567893", date(2026, 12, 31), "WO", "REF1", Decimal("30.00"))
    assert found.provider_level[0] == first
    assert [(item.code, item.reference, item.amount) for item in found.provider_level[1:]] == [
        ("L6", "REF2", Decimal("-2.50")),
        ("FB", "", Decimal(-10)),
        ("72", "A", Decimal(5)),
        ("CS", "X", Decimal("-22.50")),
    ]
    assert (found.totals.provider_level, found.balanced) == (Decimal("0.00"), True)


BALANCED = {
    "as usual": remittance(CLAIM, LINE),
    "adjustments of the claim only": remittance(CLAIM, "CAS*CO*45*15*1*253*2*1*131*-2~CAS*PR*3*5~NM1*QC*1~"),
    "adjustments of claim and line": remittance(CLAIM, "CAS*CO*253*2~SVC*HC:1*100*82~CAS*CO*45*13~CAS*PR*3*5~"),
    "zero paid, zero notice": remittance("CLP*C*4*50*0*0~CAS*CO*29*50~", header="BPR*H*0*C*NON~"),
    "a reversal and its correction": remittance(
        "CLP*C*22*-100*-70*0~CAS*CO*45*-30~CLP*C*1*100*150.00*0~CAS*CO*94*-50~"
    ),
    "a predetermination": remittance("CLP*C*25*100*0*0~CAS*OA*101*100~", CLAIM, LINE),
    "a positive PLB reduces": remittance(
        "CLP*C*1*100*100*0~", "PLB*1*20261231*WO:1*20~", header="BPR*I*80*C*ACH~"
    ),
    "no claim, only PLB": remittance("PLB*1*20261231*CT:1*-80~"),
    "no claim, no money": remittance(header="BPR*H*0*C*NON~"),
    "trailing zeros": remittance("CLP*C*1*80.0000*80.00*0~"),
    "a line without paid": remittance(CLAIM, "SVC*HC:1*100.00~CAS*CO*45*15~CAS*PR*3*5~"),
    "yen": remittance("CLP*C*1*80*80*0~", header="BPR*I*80*C*ACH~CUR*PR*JPY~"),
}


@pytest.mark.parametrize("case", BALANCED)
def test_balanced(case: str) -> None:
    found = only(file(BALANCED[case]))
    assert ([str(problem) for problem in found.problems], found.settleable) == ([], True)


UNBALANCED = {
    "a line": (
        remittance(CLAIM, LINE + "SVC*HC:1*9*1~CAS*CO*45*7~", "CAS*CO*45*-9~"),
        "claim CLP01=C1, line 2: charge 9 less adjustments -2 is 11, but paid is 1",
    ),
    "a claim": (
        remittance(CLAIM, "CAS*CO*45*15.00~CAS*PR*3*5.01~"),
        "claim CLP01=C1: charge 100.00 less adjustments 20.01 is 79.99, but paid is 80.00",
    ),
    "a remittance": (
        remittance(CLAIM, LINE, "PLB*1*20261231*WO:1*0.01~"),
        "remittance: claims paid 80.00 less provider-level adjustments 0.01 is 79.99, but BPR02 is 80.00",
    ),
    "no claim": (
        remittance(),
        "remittance: claims paid 0 less provider-level adjustments 0 is 0, but BPR02 is 80.00",
    ),
    "no amount": (
        remittance(CLAIM, LINE, header="BPR*I**C*ACH~"),
        "remittance: BPR02 is absent beside its code",
    ),
    "no BPR": (
        remittance(CLAIM, LINE, header="TRN*1*X~"),
        "remittance: the remittance equation cannot be evaluated, for BPR02 is not known",
    ),
    "two BPR": (
        remittance(CLAIM, LINE, "BPR*I*80.00~"),
        "remittance: the remittance equation cannot be evaluated, for BPR02 is not known",
    ),
    "a claim without paid": (
        remittance("CLP*C1*1*100.00**5.00~"),
        "claim CLP01=C1: the claim equation cannot be evaluated, for CLP04 is not known",
    ),
    "paid in words": (remittance("CLP*C1*1*100.00*EIGHTY~"), "claim CLP01=C1: CLP04 is no amount"),
    "an amount with a blank": (remittance("CLP*C1*1*100.00* 80.00~"), "claim CLP01=C1: CLP04 is no amount"),
    "a PLB without amount": (
        remittance(CLAIM, LINE, "PLB*1*20261231*WO:1~"),
        "remittance: PLB04 is absent beside its code",
    ),
    "a tenth of a cent": (
        remittance("CLP*C1*1*80*80.001~"),
        "claim CLP01=C1: CLP04 has more digits after the point than the currency",
    ),
    "half a yen": (
        remittance(CLAIM, LINE, header="BPR*I*80.50*C*ACH~CUR*PR*JPY~"),
        "remittance: BPR02 has more digits after the point than the currency",
    ),
}


@pytest.mark.parametrize("case", UNBALANCED)
def test_unbalanced(case: str) -> None:
    data, sentence = UNBALANCED[case]
    found = only(file(data))
    assert (str(found.problems[0]), found.balanced, found.settleable) == (sentence, False, False)


@pytest.mark.parametrize(
    ("loop", "sentence"),
    [
        ("CLP*C1*1**80.00~", "claim CLP01=C1: the claim equation cannot be evaluated, for CLP03 is not known"),
        (CLAIM + "CAS*CO*45~", "claim CLP01=C1: CAS03 is absent beside its code"),
        (CLAIM + "CAS*CO*45*20*1*253*x~", "claim CLP01=C1: CAS06 is no amount"),
        (CLAIM + LINE + "CAS*CO*45*1e2~", "claim CLP01=C1, line 1: CAS03 is no amount"),
        (CLAIM + LINE + "SVC*HC:1*NaN*0~", "claim CLP01=C1, line 2: SVC02 is no amount"),
        (
            CLAIM.replace("5.00*", "5.005*") + LINE,
            "claim CLP01=C1: CLP05 has more digits after the point than the currency",
        ),
    ],
)
def test_a_claim_in_doubt_in_a_balanced_remittance(loop: str, sentence: str) -> None:
    """The money of the remittance ties, so that it need not wait; the claim itself says that it is in doubt."""
    data = file(remittance(loop))
    (claim,) = claims(data)
    assert (str(claim.problems[0]), only(data).balanced) == (sentence, True)


def test_a_problem_carries_its_amounts() -> None:
    (problem,) = only(file(remittance(CLAIM, "CAS*CO*45*1~"))).problems
    amounts = (Decimal("100.00"), Decimal(1), Decimal("99.00"), Decimal("80.00"))
    assert problem == Problem("claim", Fault.UNBALANCED, "C1", None, "", *amounts)


def test_an_unknown_amount_is_never_zero() -> None:
    found = only(file(remittance(CLAIM, LINE, "CLP*C2*1*10**0~", "PLB*1*20261231*L6:1*?~")))
    assert (found.totals.charged, found.totals.paid, found.totals.provider_level) == (
        Decimal("110.00"),
        None,
        None,
    )


def test_problems_are_kept_up_to_a_limit_and_counted() -> None:
    found = only(file(remittance(*["CLP*C*1*2*1*0~"] * 30)))
    assert (len(found.problems), found.problem_count) == (20, 31)
    assert (len(claims(file(remittance(CLAIM, *["SVC*HC:1*2*1~"] * 30)))[0].problems)) == 20


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (SOUND.replace(b"SE*10", b"SE*8"), "SE01 does not agree with the number of segments"),
        (SOUND.replace(b"*0001~GE", b"*0002~GE"), "SE02 differs from ST02"),
        (SOUND.replace(b"GE*1*6", b"GE*2*6"), "GE01 does not agree with the number of sets"),
        (SOUND.replace(b"GE*1*6", b"GE*1*7"), "GE02 differs from GS06"),
        (SOUND.replace(b"IEA*1", b"IEA*x"), "IEA01 does not agree with the number of groups"),
        (SOUND.replace(b"IEA*1*000000006", b"IEA*1*000000007"), "IEA02 differs from ISA13"),
        (file(remittance(CLAIM, LINE, "ZZZ*1~ZZZ*2~")), "segment ZZZ skipped: not expected here (2 times)"),
        (file(remittance(CLAIM, LINE, "JANE DOE~")), "segment without a proper id skipped: not expected here"),
        (file(remittance(CLAIM, LINE, header=HEADER + "CUR*PR*DOLLAR~")), "CUR02 is no currency code"),
        (SOUND.replace(b"80.00*C*", b"80.00*D*"), "BPR03 is D, a debit: the payer takes money"),
        (
            SOUND.replace(b"*5.00*12", b"*6.00*12"),
            "CLP05 (patient responsibility) differs from the adjustments of group PR",
        ),
        (
            file(remittance(CLAIM, "SVC*HC:1*90.00*70.00~", LINE[28:])),
            "the lines' charges (SVC02) do not add up to the claim's (CLP03)",
        ),
    ],
)
def test_oddities_are_noted_and_stop_nothing(data: bytes, note: str) -> None:
    found = only(data)
    assert (note in found.notes, found.broken) == (True, None)


def test_notes_are_limited() -> None:
    found = only(file(remittance(CLAIM, LINE, *[f"Z{number:02}*1~" for number in range(50)])))
    assert found.notes[-1] == "further oddities (30 times)"


BROKEN = {
    "no SE": (SOUND.replace(b"SE*10*0001~", b""), "ST_WITHOUT_SE"),
    "no GE": (SOUND.replace(b"GE*1*6~", b""), "GS_WITHOUT_GE"),
    "no IEA": (SOUND.replace(b"IEA*1*000000006~", b""), "TRUNCATED"),
    "no IEA before the next ISA": (SOUND.replace(b"IEA*1*000000006~", b"") + SOUND, "ISA_WITHOUT_IEA"),
    "ends inside ST": (SOUND[:250], "TRUNCATED"),
    "ST in ST": (
        file(remittance(CLAIM, LINE).replace("SE*10*0001~", "") + remittance(CLAIM, LINE)),
        "ST_WITHOUT_SE",
    ),
    "GS in ST": (SOUND.replace(b"CLP*", GS.encode() + b"CLP*"), "ST_WITHOUT_SE"),
    "GS in GS": (SOUND.replace(b"ST*835", GS.encode() + b"ST*835"), "GS_WITHOUT_GE"),
    "SE twice": (SOUND.replace(b"SE*10*0001~", b"SE*10*0001~SE*10*0001~"), "SE_WITHOUT_ST"),
    "GE twice": (SOUND.replace(b"GE*1*6~", b"GE*1*6~GE*1*6~"), "GE_WITHOUT_GS"),
    "a claim after SE": (SOUND.replace(b"GE*1*6~", CLAIM.encode() + b"GE*1*6~"), "SEGMENT_OUTSIDE_ST"),
    "IEA without ISA": ((GS + remittance(CLAIM, LINE) + TAIL).encode(), "IEA_WITHOUT_ISA"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_envelope_makes_all_of_its_interchange_doubtful(case: str) -> None:
    data, reason = BROKEN[case]
    first = next(event for event in events(data) if isinstance(event, InterchangeBroken))
    found = surveys(data)
    assert first.reason == reason
    assert found[0].broken == str(first)
    assert found[0].header.amount == 80
    assert not found[0].settleable


def test_interchanges_do_not_share_their_faults() -> None:
    cut = SOUND.replace(b"IEA*1*000000006~", b"")
    found = surveys(SOUND + b"\n" + cut + b"\n" + SOUND + cut[:250])
    assert [one.settleable for one in found] == [True, False, True, False]
    assert [one.interchange for one in found] == [1, 2, 3, 4]
    assert [one.index for one in found] == [1, 2, 3, 4]


def test_a_broken_interchange_without_remittance_is_not_forgotten() -> None:
    whole, pieces = surveys(SOUND + (ISA + GS).encode())
    assert (whole.settleable, pieces.settleable) == (True, False)
    assert (pieces.index, pieces.header.sender, pieces.header.amount) == (0, "PAYER", None)


def test_other_sets_are_skipped_and_noted() -> None:
    other = "ST*999*0007~AK1*HP*6~CLP*X~SE*4*0007~"
    found = only(file(remittance(CLAIM, LINE), other))
    assert (found.settleable, found.notes) == (True, ("a set that is not an 835 was skipped",))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "EMPTY_FILE"),
        (b"claim;paid\n1;2\n", "NOT_AN_835"),
        (file("ST*837*0001~BHT*0019~SE*3*0001~"), "NOT_AN_835"),
        (ISA.encode() + b"IEA*0*000000006~", "NOT_AN_835"),
        (ISA.encode() + GS.encode(), "TRUNCATED"),
        (ISA.encode()[:50], "TRUNCATED"),
        (SOUND[:-30] + b"A" * 10_000_000, "SEGMENT_TOO_LONG"),
    ],
)
def test_unreadable(data: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        surveys(data)
    assert caught.value.reason == reason


def settled(data: bytes) -> list[Survey]:
    """What a caller would settle of these bytes."""
    with suppress(Unreadable):
        return [found for found in surveys(data) if found.settleable]
    return []


def test_cut_off_anywhere_it_is_never_sound_unless_all_is_there() -> None:
    data = SOUND + b"\r\n"
    complete = len(SOUND) - 1  # only the last terminator is missing
    for end in range(len(data)):
        assert bool(settled(data[:end])) == (end >= complete), end


def test_cut_off_without_isa() -> None:
    data = remittance(CLAIM, LINE).encode()
    for end in range(len(data)):
        assert bool(settled(data[:end])) == (end >= len(data) - 1), end


def test_an_amount_cut_by_the_file_end_is_not_read() -> None:
    found = only(SOUND[: SOUND.index(b"80.00*C") + 3])  # BPR*I*80.
    assert found.header.amount is None


REWRITTEN = {
    "the same again": SOUND,
    "other control numbers": SOUND.replace(b"000000006", b"000000077").replace(b"0001~", b"4711~"),
    "a wrong count": SOUND.replace(b"SE*10", b"SE*99"),
    "other delimiters": SOUND.replace(b"*", b"|").replace(b":", b">").replace(b"~", b"\n"),
    "lines": SOUND.replace(b"~", b"~\r\n"),
    "without envelope": remittance(CLAIM, LINE).encode(),
    "without envelope, other delimiters": remittance(CLAIM, LINE).replace("*", "|").replace(":", "^").encode(),
    "lower-case ids": SOUND.replace(b"SVC*", b"svc*").replace(b"CAS*", b"cas*"),
    "empty last elements": SOUND.replace(b"CAS*CO*45*15.00~", b"CAS*CO*45*15.00****~"),
    "among others": file(remittance(CLAIM, LINE), remittance(CLAIM)),
}


@pytest.mark.parametrize("case", REWRITTEN)
def test_the_hash_knows_the_content_in_any_envelope(case: str) -> None:
    assert surveys(REWRITTEN[case])[0].content_hash == only(SOUND).content_hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"80.00*C", b"80.01*C"),
        (b"C1*1", b"C2*1"),
        (b"*CO*45", b"*CO**45"),
        (b"EFT1", b"EFT2"),
        (b"HC:90837", b"HC90837"),
    ],
)
def test_the_hash_sees_every_change(old: bytes, new: bytes) -> None:
    assert surveys(SOUND.replace(old, new))[0].content_hash != only(SOUND).content_hash


def test_4010_is_read_alike() -> None:
    old = SOUND.replace(b"*^*00501*", b"*U*00401*").replace(b"005010X221A1", b"004010X091A1")
    found = only(old)
    assert (found.header.version, found.settleable) == ("004010X091A1", True)
    assert found.content_hash == only(SOUND).content_hash


@given(st.lists(st.integers(0, len(SOUND)), max_size=8))
@settings(max_examples=50, deadline=None)
def test_chunks_do_not_matter(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(SOUND)]
    assert list(read(SOUND[a:b] for a, b in pairwise(edges))) == events(SOUND)


PIECES = [
    *(ISA, GS, "ST*835*0001~", HEADER, "LX*1~", CLAIM, LINE, "PLB*1*20261231*WO:1*5.00*L6*~", "SE*10*0001~"),
    *(
        "GE*1*6~",
        "IEA*1*000000006~",
        "CAS*~",
        "SVC~",
        "CLP~",
        "BPR~",
        "N1~",
        "CUR*PR*~",
        "**~",
        "~",
        "ISA~",
        "ISA",
    ),
    *(
        "CAS*CO*1*1*1*2~",
        "DTM*472*2026~",
        "CLP*C*1*1e9*-~",
        "ST*837*1~",
        "TA1*~",
        "IEA~",
        "SE~",
        "GE~",
        "GS~",
        "ST~",
    ),
]


def check_any(data: bytes) -> None:
    """No crash; and what balances really adds up."""
    for found in settled(data):
        totals = found.totals
        assert totals.paid is not None
        assert totals.provider_level is not None
        assert found.header.amount == totals.paid - totals.provider_level


@given(st.lists(st.sampled_from(PIECES), max_size=25))
@settings(max_examples=400, deadline=None)
def test_any_order_of_segments(pieces: Sequence[str]) -> None:
    check_any("".join(pieces).encode())
    check_any((ISA + GS + "".join(pieces)).encode())


@given(st.integers(0, len(SOUND) - 1), st.binary(max_size=6), st.integers(0, 6))
@settings(max_examples=400, deadline=None)
def test_any_damage(at: int, written: bytes, over: int) -> None:
    check_any(SOUND[:at] + written + SOUND[at + over :])


def test_30_000_claims_in_flat_memory() -> None:
    """The file alone has half as many bytes again as may be used."""

    def large() -> Iterator[bytes]:
        yield (ISA + GS + "ST*835*0001~" + HEADER.replace("80.00", "2400000.00")).encode()
        for _ in range(300):
            yield b"CLP*C1*1*100.00*80.00*5.00*12*PC1~CAS*CO*45*20.00~" * 100
        yield b"SE*60006*0001~GE*1*6~IEA*1*000000006~"

    tracemalloc.start()
    try:
        (found,) = survey(large())
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert (found.claim_count, found.totals.paid, found.settleable) == (30_000, Decimal("2400000.00"), True)


def test_pyx12_reads_the_same_segments() -> None:
    """A second opinion on the synthetic file: pyx12's tokenizer sees the segments that ours does."""
    x12file = pytest.importorskip("pyx12.x12file", reason="pyx12 is not installed")
    from io import StringIO

    from test_x12 import segments

    data = file(remittance(CLAIM, LINE, "PLB*1*20261231*WO:1*0~"))
    theirs = [segment.format("", "*", ":").rstrip("*") for segment in x12file.X12Reader(StringIO(data.decode()))]
    ours = ["*".join(segment.elements).rstrip("*") for segment in segments([data])]
    assert [text.replace(" ", "") for text in ours] == [text.replace(" ", "") for text in theirs]


# The public samples that nobody of this project wrote.

SAMPLES = Path(os.environ.get("REMITTANCE_SAMPLES", Path(__file__).parents[2] / "shared" / "remittances"))
MANIFEST = SAMPLES / "MANIFEST.tsv"


def samples() -> list[dict[str, str]]:
    if not MANIFEST.exists():
        return []
    with MANIFEST.open(newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def stated_failures(balances: str) -> dict[str, int]:
    """The manifest's "NO:Cx1,CPx1,Lx5" as the equations of ours that fail: T, C and L."""
    names = {"T": "remittance", "C": "claim", "L": "line"}
    pairs = (entry.rpartition("x") for entry in balances.removeprefix("NO:").split(",") if "x" in entry)
    return {names[letter]: int(times) for letter, _, times in pairs if letter in names}


@pytest.mark.skipif(not MANIFEST.exists(), reason=f"no sample remittances at {SAMPLES} (REMITTANCE_SAMPLES)")
@pytest.mark.parametrize("sample", samples(), ids=lambda sample: str(sample["file"]))
def test_the_samples_are_read_as_their_manifest_says(sample: dict[str, str]) -> None:
    found = surveys((SAMPLES / sample["file"]).read_bytes())
    failures: dict[str, int] = {}
    for problem in (problem for one in found for problem in one.problems):
        failures[problem.equation] = failures.get(problem.equation, 0) + 1
    assert failures == stated_failures(sample["balances"])
    assert all(one.balanced for one in found) == (not failures)
    assert len(found) == int(sample["transactions"])
    assert sum(one.claim_count for one in found) == int(sample["claims"])
    assert sum(one.header.amount or 0 for one in found) == Decimal(sample["bpr_total"])
    assert [one.broken for one in found] == [None] * len(found)


def test_closed_and_survey_agree() -> None:
    (closed,) = (event for event in events(SOUND) if isinstance(event, RemittanceClosed))
    (opened,) = (event for event in events(SOUND) if isinstance(event, RemittanceOpened))
    found = only(SOUND)
    assert (found.header, found.totals, found.content_hash) == (opened.header, closed.totals, closed.content_hash)


def test_a_long_service_line_is_read_alike_and_not_remembered() -> None:
    usual = file(remittance(CLAIM, LINE.replace("90837", "90837:95:::::ROOM") + "DTM*472*20260401~"))
    long = usual.replace(b"ROOM", b"R" * 500).replace(b"20260401", b"20260401**" + b"9" * 500)
    before = _service.cache_info().currsize
    [claim] = claims(long)
    assert _service.cache_info().currsize == before
    assert [claim] == claims(usual)
    assert _service.cache_info().currsize > before
    assert claim.service_lines[0].service_from == date(2026, 4, 1)


def test_survey_and_read_count_alike_what_was_cut_off() -> None:
    """The last claim is not whole, and neither counts it."""
    data = file(remittance(*[CLAIM, LINE] * 3))
    cut = data[: data.rindex(b"CAS*")]
    assert only(cut).claim_count == len(claims(cut)) == 2


def test_a_long_cas_is_read_alike_and_not_remembered() -> None:
    usual, long = (file(remittance(CLAIM, LINE.replace("CO*45", f"CO*45*15.00*{'7' * n}*253"))) for n in (1, 500))
    before = _adjustments.cache_info().currsize
    [claim] = [event for event in events(long) if isinstance(event, ClaimPayment)]
    [adjustment, *_] = claim.service_lines[0].adjustments
    assert (adjustment.reason, adjustment.amount, adjustment.quantity) == ("45", Decimal("15.00"), None)
    assert _adjustments.cache_info().currsize - before <= 1  # the other CAS of the line
    surveys(usual)
    assert _adjustments.cache_info().currsize > before
