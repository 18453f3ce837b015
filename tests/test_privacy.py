"""Who the patient is goes no further than the file: not into the log, nor the tables, nor any answer or report."""

import base64
import re
from collections.abc import Iterator

import banks
import grpc
import psycopg
import pytest
import serving
from commanding import commands
from payers import NPI, deliver, file, line, remittance
from serving import Ledger, Loop, client, refusal, session
from test_command import connected, environment, running

from reconciliation.v1 import bank_pb2 as bk
from reconciliation.v1 import candidates_pb2 as cn
from reconciliation.v1 import reconciliation_pb2 as pb
from reconciliation.v1 import worklist_pb2 as wl
from service.questions import QUESTIONS

SECRETS = (
    *("ZEBROWSKA", "QUILLA", "MIDDLEX", "SUBSCRIBERSON", "CORRECTEDNAME", "RENDERINGNAME", "CROSSOVERNAME"),
    *("XMEMBER77", "XSUBSCRIBER88", "XCORRECTED99", "XGROUP55", "XSSN666", "XACCOUNT44", "19700101", "XPHONE33"),
    *("13 SECRET LANE", "HIDDENTOWN", "XFREETEXT22", "XUNKNOWN11"),
)
CLAIM = (
    "CLP*C1*1*150.00*{paid}*20.00*12*PCN1*11*1~"
    "NM1*QC*1*ZEBROWSKA*QUILLA*MIDDLEX***MI*XMEMBER77~"
    "NM1*IL*1*SUBSCRIBERSON*QUILLA****MI*XSUBSCRIBER88~"
    "NM1*74*1*CORRECTEDNAME*QUILLA****C*XCORRECTED99~"
    "NM1*82*1*RENDERINGNAME*ADA****XX*1112223334~"
    "NM1*TT*1*CROSSOVERNAME*****PI*60054~"
    "MIA*1****XFREETEXT22~MOA***XFREETEXT22~REF*1L*XGROUP55~REF*SY*XSSN666~REF*EA*XACCOUNT44~"
    "DMG*D8*19700101*F~N3*13 SECRET LANE~N4*HIDDENTOWN*NV*89000~PER*CX*ZEBROWSKA*TE*XPHONE33~"
    "DTM*232*20260408~ZZZ*XUNKNOWN11~"
)
LINE = line("150.00", "100.00", "CO-45 30.00, PR-3 20.00", session="S1") + "LQ*HE*XFREETEXT22~"


def told(paid: str = "100.00", trace: str = "EFT1", amount: str = "100.00", more: str = "") -> bytes:
    """A file about a patient, with nothing wrong but what is changed."""
    return file(remittance(amount, trace, CLAIM.format(paid=paid) + LINE + more))


FILES = {
    "sound": told(),
    "another claim": told(trace="EFT2").replace(b"CLP*C1*", b"CLP*C9*"),
    "another charge": told(trace="EFT3").replace(b"*150.00*", b"*151.00*"),
    "unbalanced": told(paid="99.00", trace="EFT4"),
    "an amount with a name in it": told(trace="EFT5").replace(b"CAS*CO*45*30.00", b"CAS*CO*45*ZEBROWSKA"),
    "a payment with a name in it": told(trace="EFT6").replace(b"BPR*I*100.00", b"BPR*I*ZEBROWSKA"),
    "a date with a name in it": told(trace="EFT7").replace(b"DTM*232*20260408", b"DTM*232*ZEBROWSKA"),
    "a status with a name in it": told(trace="EFT8").replace(b"CLP*C1*1*", b"CLP*C1*ZEBROWSKA*"),
    "a segment id with a name in it": told(trace="EFT9").replace(b"ZZZ*XUNKNOWN11", b"ZEBROWSKA QUILLA"),
    "an adjustment's codes with a name in them": told(trace="EFT10").replace(
        b"CAS*CO*45", b"CAS*ZEBROWSKA*QUILLA"
    ),
    "amounts with names in them, beside other names": told(trace="EFT16").replace(
        b"*150.00*100.00**1", b"*ZEBROWSKA*QUILLA**XMEMBER77"
    ),
    "in Latin-1": told(trace="EFT17").replace(b"ADA****XX", b"AD\xc1****XX"),
    "broken off": told(trace="EFT11")[:-120],
    "broken off in a name": told(trace="EFT12")[: told(trace="EFT12").index(b"QUILLA") + 3],
    "an envelope that contradicts itself": told(trace="EFT13").replace(b"SE*", b"ZEBROWSKA*"),
    "no 835": b"ZEBROWSKA QUILLA XMEMBER77",
    "a segment without an end": told(trace="EFT14") + b"NM1*QC*1*ZEBROWSKA" * 5_000,
    "a provider-level adjustment": told(
        trace="EFT15", amount="90.00", more=f"PLB*{NPI}*20261231*ZZ:XFREETEXT22*10.00~"
    ),
}
WORDS = "ZEBROWSKA QUILLA MIDDLEX 13 SECRET LANE XMEMBER77 XPHONE33 "
LINES = (
    banks.moved("5.00", "EFT1", reference="R1", words=WORDS),
    banks.moved("6.00", reference="R2", words=WORDS),
    banks.moved("-7.00", reference="R3", words=WORDS),
)
NAMED = b"<RltdPties><Dbtr><Nm>ZEBROWSKA QUILLA</Nm><Id><PrvtId><Othr><Id>XSSN666</Id></Othr></PrvtId></Id></Dbtr>"
STATEMENTS = {
    "a sound statement": banks.statement(*LINES),
    "a statement in XML": banks.camt053(*LINES, day="2026-06-16").replace(
        b"<RmtInf>", NAMED + b"</RltdPties><RmtInf>"
    ),
    "a statement that does not add up": banks.statement(*LINES).replace(b"16,165,500,", b"16,165,ZEBROWSKA,"),
    "a statement broken off in a name": banks.statement(*LINES)[:-150],
    "XML broken off in a name": banks.camt053(*LINES)[:-250],
    "XML with a name for an amount": banks.camt053(*LINES).replace(b">5.00<", b">ZEBROWSKA<"),
    "no statement": b"01" + WORDS.encode(),
}
# What a payer names in these is our own word for a payment, so it is kept: the reference of a PLB.
KEPT = {"XFREETEXT22"}
OF_ALL = {
    "statement": ("--item", "C1"),
    "provider-statement": ("--provider", "ada", "--cycle", "2026-04-15"),
}
KEYS = f"test:{base64.b64encode(b'k' * 32).decode()}"


def named(text: str) -> set[str]:
    return {secret for secret in SECRETS if secret.lower() in text.lower()}


def test_the_files_hold_what_is_looked_for() -> None:
    """Or nothing would be found where there is something to find."""
    assert named(FILES["sound"].decode()) == set(SECRETS)
    assert len(named(STATEMENTS["a sound statement"].decode())) == 6
    assert "XSSN666" in named(STATEMENTS["a statement in XML"].decode())


@pytest.fixture(scope="module")
def taken_in(loop: Loop, server: Ledger, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """All that anybody was told while every file was taken in, over gRPC and by the command."""
    folder = tmp_path_factory.mktemp("files")
    for book in ("main", "typed"):
        serving.open_book(server, book)
        server.postings.RecordSession(session("C1", book=book, patient_share="20.00", charge="150.00"))
    answers: list[str] = []
    serve = ("serve", "--insecure", "--listen", "127.0.0.1:0")
    with running(*serve, database_url=server.url, file_keys=KEYS) as (process, said):
        with connected(said) as channel:
            there = client(loop, server.url, channel)
            answers += (answered(there, data) for data in FILES.values())
            answers += (banked(there, data) for data in STATEMENTS.values())
            answers += asked(there)
        process.terminate()
        _, logged = process.communicate()
    paths = [folder / f"{number}.835" for number in range(len(FILES))]
    for path, data in zip(paths, FILES.values(), strict=True):
        path.write_bytes(data)
    typed = typing("ingest", "--book", "typed", *map(str, paths), url=server.url)
    paths = [folder / f"{number}.bank" for number in range(len(STATEMENTS))]
    for path, data in zip(paths, STATEMENTS.values(), strict=True):
        path.write_bytes(data)
    typed += typing("bank", "ingest", "--book", "typed", *map(str, paths), url=server.url)
    typed += typing("bank", "deposits", "--book", "typed", url=server.url)
    reports = [
        typing("report", name, *OF_ALL.get(name, ()), "--format", "json", url=server.url) for name in QUESTIONS
    ]
    return {"answers": "\n".join(answers), "log": logged, "command": typed, "reports": "\n".join(reports)}


def typing(*arguments: str, url: str) -> str:
    """All that a command says."""
    done = commands().run(arguments, environment(database_url=url, file_keys=KEYS))
    return done.stdout + done.stderr


def answered(there: Ledger, data: bytes) -> str:
    try:
        return str(deliver(there, data, there.book))
    except grpc.RpcError as error:
        return str(refusal(error))


def banked(there: Ledger, data: bytes) -> str:
    try:
        return str(banks.banked(there, data))
    except grpc.RpcError as error:
        return str(refusal(error))


def asked(there: Ledger) -> Iterator[str]:
    """Everything that can be asked about remittances and deposits."""
    yield str(there.bank.ListBankStatements(bk.ListBankStatementsRequest(book=there.book)))
    told = there.bank.ListDeposits(bk.ListDepositsRequest(book=there.book))
    yield str(told)
    for deposit in told.deposits:
        yield str(there.bank.GetDeposit(bk.GetDepositRequest(book=there.book, id=deposit.id)))
    listed = there.reconciliation.ListRemittances(pb.ListRemittancesRequest(book=there.book)).remittances
    yield str(listed)
    yield str(there.reconciliation.ListExceptions(pb.ListExceptionsRequest(book=there.book, page_size=1000)))
    for one in listed:
        yield str(there.reconciliation.GetRemittance(pb.GetRemittanceRequest(book=there.book, id=one.id)))
    for one in listed:
        yield from candidates(there, one.id)
    items = there.worklist.ListItems(wl.ListItemsRequest(book=there.book)).items
    yield from (
        str(there.worklist.GetItem(wl.GetItemRequest(book=there.book, id=one.exception.id))) for one in items
    )
    yield str(there.entries())


def candidates(there: Ledger, remittance_id: str) -> Iterator[str]:
    """What is proposed for the one claim payment of a remittance, where it waits in suspense."""
    asked = cn.ListCandidatesRequest(book=there.book, remittance=remittance_id, line=1)
    try:
        yield str(there.candidates.ListCandidates(asked))
    except grpc.RpcError as error:
        yield str(refusal(error))


def test_the_sound_ones_are_settled(taken_in: dict[str, str]) -> None:
    """So that what is stored of a patient who is matched is looked at too."""
    for decision in (
        *("DECISION_PAID_IN_FULL", "DECISION_SUSPENDED", "REMITTANCE_STATE_QUARANTINED"),
        *("STATEMENT_STATE_RECORDED", "STATEMENT_STATE_QUARANTINED"),
        *("compared_count", "CLAIM_PAYMENT_NOT_WAITING"),
    ):
        assert decision in taken_in["answers"]


@pytest.mark.parametrize("place", ["answers", "log", "command", "reports"])
def test_nobody_is_told(taken_in: dict[str, str], place: str) -> None:
    assert len(taken_in[place]) > 500
    assert named(taken_in[place]) - KEPT == set()


def test_no_table_holds_it(taken_in: dict[str, str], server: Ledger) -> None:
    """Every column of every table as text, but for the bytes of the files themselves."""
    assert taken_in
    for table, text in tables(server.url):
        assert named(text) - KEPT == set(), table


def test_nor_do_the_bytes_that_are_kept(taken_in: dict[str, str], server: Ledger) -> None:
    """Whether they came over gRPC or by the command, and whatever became of the file."""
    assert taken_in
    sql = "SELECT book, key_name, content FROM delivery_parts WHERE book IN ('main', 'typed')"
    with psycopg.connect(server.url.replace("+psycopg", "")) as connection:
        kept = connection.execute(sql).fetchall()
    assert {(book, key_name) for book, key_name, _ in kept} == {("main", "test"), ("typed", "test")}
    assert len(kept) > len(FILES) + len(STATEMENTS)
    for _, _, content in kept:
        assert named(content.decode("latin-1")) == set()


def tables(url: str) -> Iterator[tuple[str, str]]:
    relations = """
        SELECT c.oid::regclass::text FROM pg_class AS c
        WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND c.relname <> 'delivery_parts'
    """
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        for (table,) in connection.execute(relations).fetchall():
            assert re.fullmatch("[a-z_0-9]+", table)
            yield table, "\n".join(row for (row,) in connection.execute(f"SELECT t::text FROM {table} AS t"))


# --- a name in every element --------------------------------------------------------------------------


IDENTIFYING = {"CLP01", "CLP07", "TRN02", "TRN03", "N1*PR02", "PLB03"}
"""What the books must keep, since it says which claim, payment, payer or forwarded balance is meant: the elements
in which a payer must not write a name."""


def name(number: int) -> str:
    """A name that nobody else has, of letters alone."""
    return "ZEBRO" + "".join("ABCDEFGHIJ"[int(digit)] for digit in f"{number:03}") + "WSKA"


def spoilt() -> Iterator[tuple[str, str, bytes]]:
    """Which element, the name that stands in it, and the file: each element of each kind of segment in turn."""
    sound = told(trace="TRACE", amount="90.00", more=f"PLB*{NPI}*20261231*ZZ:REFERENCE*10.00~").decode()
    segments = sound.replace("~\n", "~").rstrip("~").split("~")
    for place, segment in enumerate(segments):
        elements = segment.split("*")
        qualified = elements[0] in {"N1", "NM1", "REF", "DTM"}
        kind = "*".join(elements[: 1 + qualified])
        for number, was in enumerate(elements):
            instead = name(place * 20 + number)
            kept = f"{was.partition(':')[0]}:" if ":" in was else ""
            changed = [*elements[:number], kept + instead, *elements[number + 1 :]]
            text = "~".join([*segments[:place], "*".join(changed), *segments[place + 1 :]]) + "~"
            yield f"{kind}{number:02}", instead, text.replace("TRACE", f"T{place}-{number}").encode()


def test_a_name_in_any_element_is_kept_in_no_other_than_these(server: Ledger) -> None:
    serving.open_book(server, "swept")
    server.postings.RecordSession(session("C1", book="swept", patient_share="20.00", charge="150.00"))
    placed, answers = {}, []
    for element, instead, data in spoilt():
        placed[instead] = element
        answers.append(answered(server.of("swept"), data))
    said = "\n".join([*answers, *asked(server.of("swept")), *(text for _, text in tables(server.url))])
    assert len(placed) > 200
    assert {placed[found] for found in re.findall("ZEBRO[A-J]{3}WSKA", said)} == IDENTIFYING
