"""Deposits and the remittances whose money they are: applied, left to a person, and never twice.

The stories in tests/books tell the rules; here is what a story cannot say: many at once, crashes, files.
"""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import banks
import psycopg
import pytest
import serving
from banks import Moved, account, bai2, banked, camt053, moved, parts, statement
from payers import SIGNED, claim, deliver, file, remittance
from serving import Ledger, Refused, key, refused, session, usd, written
from typer.testing import CliRunner

from reconciliation.bank import ingest as taking_in
from reconciliation.files import IN_THE_OPEN
from reconciliation.v1 import bank_pb2 as pb
from reconciliation.v1 import reconciliation_pb2 as rc
from service.__main__ import app
from service.banking import ingest_files

GOLDEN = Path(__file__).parent / "bank"
DAY = "2026-06-15"


def opened(server: Ledger, name: str, claims: int = 1) -> Ledger:
    """A book of the test's own with claims of AETNA, 100.00 open on each."""
    serving.open_book(server, name)
    for number in range(1, claims + 1):
        about = {"charge": "150.00", "patient_share": "20.00", "service_code": "90837", "book": name}
        server.postings.RecordSession(session(f"C{number}", **about))
    return server.of(name)


def remitted(books: Ledger, number: int = 1, *, trace: str = "", day: str = "2026-06-05") -> str:
    """100.00 for a claim, under a trace of its own; the remittance's id."""
    loop = claim(f"C{number}", "150.00", "100.00", "CO-45 30.00, PR-3 20.00", control=f"P{number}")
    data = file(remittance("100.00", trace or f"EFT{number}", loop, day=day))
    [found] = deliver(books, data, books.book).remittances
    return found.id


def deposits(books: Ledger, **narrowed: bool) -> list[pb.Deposit]:
    """All of them, newest first, over all pages of two."""
    found: list[pb.Deposit] = []
    token = ""
    while True:
        asked = pb.ListDepositsRequest(book=books.book, page_size=2, page_token=token, **narrowed)
        page = books.bank.ListDeposits(asked)
        found.extend(page.deposits)
        token = page.next_page_token
        if not token:
            return found


def got(books: Ledger, deposit: str) -> pb.GetDepositResponse:
    return books.bank.GetDeposit(pb.GetDepositRequest(book=books.book, id=deposit))


def exceptions(books: Ledger) -> list[tuple[str, str]]:
    found = books.reconciliation.ListExceptions(rc.ListExceptionsRequest(book=books.book)).exceptions
    return [(rc.ExceptionReason.Name(one.reason).removeprefix("EXCEPTION_REASON_"), one.detail) for one in found]


def recording(
    books: Ledger, amount: str = "100.00", *traces: str, payer: str = SIGNED, **more: str
) -> pb.RecordDepositRequest:
    named = [pb.Trace(number=one, payer_identifier=payer) for one in traces]
    asked = {"book": books.book, "account": banks.ACCOUNT, "effective_date": DAY, "reference": "R1"} | more
    return pb.RecordDepositRequest(amount=usd(amount), traces=named, **asked)


# --- one deposit, told of in several ways -------------------------------------------------------------


def test_a_deposit_is_in_the_books_once_whoever_tells_of_it(server: Ledger) -> None:
    """A caller, the statement of the running day, that of the day before, and another form of it."""
    books = opened(server, "told-once")
    remitted(books)
    first = books.bank.RecordDeposit(recording(books, "100.00", "EFT1"))
    again = books.bank.RecordDeposit(recording(books, "100.00", "EFT1"))
    assert (first.replayed, again.replayed, again.deposit) == (False, True, first.deposit)
    line = moved("100.00", "EFT1", reference="R1")
    for data in (statement(line, kind="3"), statement(line), camt053(line)):
        [told] = banked(books, data).statements
        assert (written(told.posted), written(told.repeated)) == ("0.00", "100.00")
    assert [one.id for one in deposits(books)] == [first.deposit.id]
    assert books.balance("Assets:Cash") == "100.00 Dr"
    assert books.wrong() == []


def test_two_that_are_alike_in_one_statement_are_two(server: Ledger) -> None:
    """And the later statement that has both tells of no third."""
    books = opened(server, "alike")
    like = Moved("25.00")
    [told] = banked(books, statement(like, kind="3")).statements
    [both] = banked(books, statement(like, like)).statements
    [again] = banked(books, camt053(like, like)).statements
    assert [written(one.posted) for one in (told, both, again)] == ["25.00", "25.00", "0.00"]
    assert len(deposits(books)) == 2


def test_traces_that_come_later_are_added(server: Ledger) -> None:
    """The statement of the running day has no addenda yet; that of the day before brings them."""
    books = opened(server, "traced-later")
    remitted(books)
    banked(books, statement(Moved("100.00", "R1"), kind="3"))
    assert exceptions(books) == [("UNAPPLIED_CASH", "the bank names no trace")]
    banked(books, statement(moved("100.00", "EFT1", reference="R1")))
    [deposit] = deposits(books)
    assert ([one.number for one in deposit.traces], written(deposit.unapplied)) == (["EFT1"], "0.00")
    assert exceptions(books) == []
    assert books.wrong() == []


def test_the_same_file_again_looks_again_whose_money_it_is(server: Ledger) -> None:
    """Another name signed for the trace; once it is known, the file that came before is enough."""
    books = opened(server, "looked-again")
    remitted(books, day="2026-06-12")
    data = statement(moved("100.00", "EFT1", payer="1999999999", reference="R1"))
    banked(books, data)
    assert exceptions(books) == [("DEPOSIT_AMBIGUOUS", "the trace EFT1 is another payer's than 1999999999")]
    assert banked(books, data).duplicate
    assert books.balance("Liabilities:UnappliedCash") == "100.00 Cr"
    named = {"payer": "AETNA", "identifiers": ["999999999"], "reason": "it pays for AETNA"}
    books.reconciliation.IdentifyPayer(rc.IdentifyPayerRequest(book=books.book, **named))
    assert banked(books, data).duplicate
    assert books.balance("Liabilities:UnappliedCash") == "0.00"
    assert exceptions(books) == []
    assert books.wrong() == []


def test_every_application_says_its_rule_and_its_evidence(server: Ledger) -> None:
    books = opened(server, "evidence", 2)
    first, second = remitted(books, 1), remitted(books, 2)
    banked(books, statement(moved("100.00", "EFT1", reference="R1")))
    banked(books, statement(moved("100.00", "EFT2", payer="", reference="R2")))
    told = {one.reference: got(books, one.id).applications for one in deposits(books)}
    [[by_payer], [by_trace]] = told["R1"], told["R2"]
    assert (by_payer.remittance, by_trace.remittance) == (first, second)
    assert (by_payer.rule, by_payer.evidence) == (
        "trace_payer_amount",
        f"trace EFT1, payer {SIGNED}, amount 100.00",
    )
    assert (by_trace.rule, by_trace.evidence) == ("trace_amount", "trace EFT2, amount 100.00")
    entry = next(one for one in books.entries() if one.number == by_payer.entry_number)
    assert (entry.description, entry.dimensions.remittance) == (by_payer.evidence, first)


def test_payer_and_amount_and_a_near_day_only_propose(server: Ledger) -> None:
    """Nothing is posted by it, however well it fits."""
    books = opened(server, "proposed", 2)
    near, _ = remitted(books, 1), remitted(books, 2, day="2026-05-01")
    identify = {"payer": "AETNA", "identifiers": [SIGNED], "reason": "card"}
    books.reconciliation.IdentifyPayer(rc.IdentifyPayerRequest(book=books.book, **identify))
    banked(books, statement(Moved("100.00", "R1", f"ORIG CO ID:{SIGNED} CLAIMS")))
    [deposit] = deposits(books, unapplied_only=True)
    waiting = rc.ListExceptionsRequest(book=books.book, reason=rc.EXCEPTION_REASON_UNAPPLIED_CASH)
    [exception] = books.reconciliation.ListExceptions(waiting).exceptions
    assert (exception.deposit, exception.remittance, exception.amount) == (deposit.id, "", usd("100.00"))
    found = got(books, deposit.id)
    assert (found.deposit.payer, found.applications) == ("AETNA", [])
    assert [(one.remittance, one.evidence) for one in found.proposals] == [
        (near, "payer AETNA, amount, 10 days apart")
    ]
    assert books.balance("Liabilities:UnappliedCash") == "100.00 Cr"


# --- files --------------------------------------------------------------------------------------------


def sent(data: bytes) -> list[pb.IngestBankStatementRequest]:
    return list(parts(data, "refused", "a.bai"))


HEADER, CHUNK = sent(b"x")
REFUSED: dict[str, tuple[Sequence[pb.IngestBankStatementRequest], str]] = {
    "nothing at all": ([], "STREAM_MISORDERED"),
    "bytes before the header": ([CHUNK, HEADER], "STREAM_MISORDERED"),
    "no bytes": ([HEADER], "FILE_EMPTY"),
    "neither BAI2 nor XML": (sent(b"hello"), "FILE_NO_STATEMENT"),
    "an 835": (sent(file(remittance("0.00", "EFT1"))), "FILE_NO_STATEMENT"),
    "another document": (sent(b"<Document><BkToCstmrAcctRpt/></Document>"), "FILE_NO_STATEMENT"),
    "a document type": (sent(b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>'), "FILE_NO_STATEMENT"),
    "a header alone": (sent(b"01,A,B,260615,0600,1,,,2/\n"), "FILE_NO_STATEMENT"),
    "a line without end": (sent(b"01," + b"x" * 70_000), "FILE_NO_STATEMENT"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_is_no_statement_is_refused_and_leaves_nothing(server: Ledger, case: str) -> None:
    requests, reason = REFUSED[case]
    serving.open_book(server, "refused")
    books = server.of("refused")
    before = books.state()
    found = refused(server.bank.IngestBankStatement, iter(requests))
    assert (found.code, found.reason) == ("INVALID_ARGUMENT", reason)
    assert books.state() == before
    assert count(books, "deliveries") == 0


def count(books: Ledger, table: str) -> int:
    with psycopg.connect(books.url.replace("+psycopg", "", 1)) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table} WHERE book = %s", [books.book]).fetchone()
    assert row
    return int(row[0])


def test_a_statement_that_does_not_add_up_is_kept_and_its_neighbour_recorded(server: Ledger) -> None:
    """Its bytes are there, it is listed with its reason, and nothing of it is in the books."""
    books = opened(server, "doubtful")
    sound, wrong = (
        account(Moved("10.00", "A")),
        account(Moved("20.00", "B"), account="99").replace(",2000,", ",2001,"),
    )
    answer = banked(books, bai2(sound, wrong))
    states = [(one.state, written(one.posted)) for one in answer.statements]
    assert states == [(pb.STATEMENT_STATE_RECORDED, "10.00"), (pb.STATEMENT_STATE_QUARANTINED, "0.00")]
    asked = pb.ListBankStatementsRequest(book=books.book, state=pb.STATEMENT_STATE_QUARANTINED)
    [listed] = books.bank.ListBankStatements(asked).statements
    assert "the statement's own total (49) is 3000 and its amounts add up to 3001" in listed.reason
    assert count(books, "delivery_parts") == 1
    asked_for = rc.ReadDeliveryRequest(book=books.book, file_sha256=answer.file_sha256, reason="to see")
    assert b"".join(one.chunk for one in books.reconciliation.ReadDelivery(asked_for)) == bai2(sound, wrong)
    again = banked(books, bai2(sound, wrong))
    assert (again.duplicate, again.statements) == (True, answer.statements)
    assert books.balance("Assets:Cash") == "10.00 Dr"


def test_what_we_paid_is_noted_and_posts_nothing(server: Ledger) -> None:
    """And what the statement says moved is posted, repeated or noted, to the cent."""
    books = opened(server, "noted")
    banked(books, statement(Moved("10.00", "A"), kind="3"))
    [told] = banked(books, statement(Moved("10.00", "A"), Moved("5.00", "B"), Moved("-7.00", "CK1"))).statements
    sums = [written(getattr(told, name)) for name in ("credits", "debits", "posted", "repeated", "noted")]
    assert sums == ["15.00", "7.00", "5.00", "10.00", "-7.00"]
    assert books.balance("Assets:Cash") == "15.00 Dr"


def test_a_statement_in_another_currency_than_the_books_cash_is_quarantined(server: Ledger) -> None:
    books = opened(server, "euro")
    banked(books, statement(Moved("10.00", "A")))
    [told] = banked(books, camt053(Moved("10.00", "B"), currency="EUR")).statements
    assert told.state == pb.STATEMENT_STATE_QUARANTINED
    assert "the books refuse it" in told.reason
    assert count(books, "deposits") == 1


# --- many at once, and a crash ------------------------------------------------------------------------


def test_ten_deliveries_of_one_statement_post_once(server: Ledger) -> None:
    books = opened(server, "ten", 3)
    for number in (1, 2, 3):
        remitted(books, number)
    lines = [moved("100.00", f"EFT{number}", reference=f"R{number}") for number in (1, 2, 3)]
    with ThreadPoolExecutor(10) as many:
        answers = list(many.map(lambda _: banked(books, statement(*lines)), range(10)))
    assert {one.file_sha256 for one in answers} == {answers[0].file_sha256}
    assert (len(deposits(books)), books.balance("Assets:Cash")) == (3, "300.00 Dr")
    assert books.control("Assets:RemittanceClearing") == "0.00"
    assert books.wrong() == []


def test_ten_statements_and_ten_callers_that_tell_of_one_deposit(server: Ledger) -> None:
    """Different files with the same line, and callers with the same deposit, all at once."""
    books = opened(server, "ten-tell")
    line = moved("100.00", "EFT1", reference="R1")
    files = [statement(line, Moved(f"0.0{number}", f"X{number}")) for number in range(1, 6)]
    with ThreadPoolExecutor(10) as many:
        told = [many.submit(banked, books, data) for data in files]
        told += [many.submit(books.bank.RecordDeposit, recording(books, "100.00", "EFT1")) for _ in range(5)]
        for one in told:
            one.result()
    assert sorted(written(one.amount) for one in deposits(books)) == [
        "0.01",
        "0.02",
        "0.03",
        "0.04",
        "0.05",
        "100.00",
    ]
    assert books.wrong() == []


class Crashed(Exception):
    """The program is gone."""


def test_a_crash_in_the_middle_loses_and_doubles_nothing(server: Ledger) -> None:
    """After the first chunk of lines is recorded; the next start finishes the statement from the bytes kept."""
    books = opened(server, "crashed")
    lines = [Moved("1.00", f"R{number}") for number in range(taking_in.CHUNK + 5)]

    def crash(_: int) -> None:
        raise Crashed

    with pytest.raises(Crashed):
        books.loop.run(half(books, statement(*lines), crash))
    [left] = books.bank.ListBankStatements(pb.ListBankStatementsRequest(book=books.book)).statements
    assert (left.state, written(left.posted)) == (pb.STATEMENT_STATE_RECORDING, f"{taking_in.CHUNK}.00")
    books.loop.run(finished(books))
    [whole] = books.bank.ListBankStatements(pb.ListBankStatementsRequest(book=books.book)).statements
    assert (whole.state, written(whole.posted)) == (pb.STATEMENT_STATE_RECORDED, f"{taking_in.CHUNK + 5}.00")
    assert books.balance("Assets:Cash") == f"{taking_in.CHUNK + 5}.00 Dr"
    assert books.wrong() == []


async def half(books: Ledger, data: bytes, crash: taking_in.Progress) -> None:
    database = serving.engine(books.url)
    try:
        with BytesIO(data) as whole:
            await taking_in.ingest(database, IN_THE_OPEN, books.book, "a.bai", "local", whole, crash)
    finally:
        await database.dispose()


async def finished(books: Ledger) -> None:
    database = serving.engine(books.url)
    try:
        await taking_in.resume(database, IN_THE_OPEN)
    finally:
        await database.dispose()


# --- refusals -----------------------------------------------------------------------------------------


def test_what_cannot_be_recorded_or_moved(server: Ledger) -> None:
    books = opened(server, "no-such")
    remittance_id = remitted(books)
    unknown = "01890000-0000-7000-8000-000000000009"
    about = {"book": books.book, "idempotency_key": key(), "effective_date": DAY, "reason": "guess"}
    deposit = books.bank.RecordDeposit(recording(books)).deposit.id

    def moving(**more: object) -> pb.ApplyDepositRequest:
        return pb.ApplyDepositRequest(**(about | {"deposit": deposit, "remittance": remittance_id} | more))

    cases: list[tuple[Refused, str]] = [
        (refused(books.bank.GetDeposit, pb.GetDepositRequest(book=books.book, id=unknown)), "DEPOSIT_NOT_FOUND"),
        (refused(books.bank.ApplyDeposit, moving(deposit=unknown)), "DEPOSIT_NOT_FOUND"),
        (refused(books.bank.ApplyDeposit, moving(remittance=unknown)), "REMITTANCE_NOT_FOUND"),
        (refused(books.bank.ApplyDeposit, moving(amount=usd("-1.00"))), "AMOUNT_INVALID"),
        (refused(books.bank.ApplyDeposit, moving(amount=serving.money("1.00", "EUR"))), "CURRENCIES_MIXED"),
        (refused(books.bank.ApplyDeposit, moving(deposit="R1")), "TEXT_INVALID"),
        (refused(books.bank.RecordDeposit, recording(books, "0.00")), "AMOUNT_INVALID"),
        (refused(books.bank.RecordDeposit, recording(books, reference="")), "FIELD_MISSING"),
        (refused(books.bank.RecordDeposit, recording(books, book="nowhere")), "BOOK_NOT_FOUND"),
    ]
    assert [found.reason for found, _ in cases] == [reason for _, reason in cases]


def test_what_a_person_applies_is_replayed_and_another_amount_under_its_key_is_refused(server: Ledger) -> None:
    books = opened(server, "by-hand")
    remittance_id = remitted(books)
    deposit = books.bank.RecordDeposit(recording(books, "60.00")).deposit.id
    about = {"book": books.book, "idempotency_key": key(), "effective_date": DAY, "reason": "its letter"}
    asked = pb.ApplyDepositRequest(deposit=deposit, remittance=remittance_id, amount=usd("50.00"), **about)
    first, second = books.bank.ApplyDeposit(asked), books.bank.ApplyDeposit(asked)
    assert (first.replayed, second.replayed, first.entry_number) == (False, True, second.entry_number)
    assert written(second.deposit.unapplied) == "10.00"
    asked.amount.CopyFrom(usd("10.00"))
    assert refused(books.bank.ApplyDeposit, asked).reason == "IDEMPOTENCY_KEY_REUSED"
    [one] = got(books, deposit).applications
    assert (one.rule, one.evidence, one.applied_by) == ("by_hand", "its letter", "local")
    assert books.wrong() == []


# --- reports, policies --------------------------------------------------------------------------------


def test_the_reports_age_what_waits_and_tie_to_their_accounts(server: Ledger) -> None:
    books = opened(server, "aged", 2)
    remitted(books, 1, day="2026-06-05")
    remitted(books, 2, day="2026-04-20")
    banked(books, statement(Moved("7.00", "R1"), day="2026-06-10"))
    transit = books.bank.GetCashInTransit(pb.GetCashInTransitRequest(book=books.book, as_of="2026-06-12"))
    [old, young] = transit.rows
    assert (old.trace, written(old.over_30_days), written(old.total)) == ("EFT2", "100.00", "100.00")
    assert (young.trace, written(young.days_0_7), young.payment_date) == ("EFT1", "100.00", "2026-06-05")
    assert [row.total for row in transit.totals] == list(transit.control) == [usd("200.00")]
    cash = books.bank.GetUnappliedCash(pb.GetUnappliedCashRequest(book=books.book, as_of="2026-06-30"))
    [row] = cash.rows
    assert (row.reference, row.account, written(row.days_8_30)) == ("R1", banks.ACCOUNT, "7.00")
    assert [row.total for row in cash.totals] == list(cash.control) == [usd("7.00")]
    before = books.bank.GetUnappliedCash(pb.GetUnappliedCashRequest(book=books.book, as_of="2026-06-09"))
    assert not before.rows


def test_a_policy_is_of_a_payer_or_of_all_and_the_last_word_counts(server: Ledger) -> None:
    books = opened(server, "policies", 2)

    def said(payer: str, policy: pb.DepositPolicy.ValueType) -> int:
        asked = {"book": books.book, "payer": payer, "policy": policy, "reason": "agreed"}
        return books.bank.SetDepositPolicy(pb.SetDepositPolicyRequest(**asked)).policy.version

    on_deposit, on_remittance = pb.DEPOSIT_POLICY_ON_DEPOSIT, pb.DEPOSIT_POLICY_ON_REMITTANCE
    assert [said("", on_deposit), said("AETNA", on_remittance), said("AETNA", on_remittance)] == [1, 1, 1]
    assert said("AETNA", on_deposit) == 2
    listed = books.bank.ListDepositPolicies(pb.ListDepositPoliciesRequest(book=books.book)).policies
    assert [(one.payer, one.policy, one.version) for one in listed] == [
        ("", on_deposit, 1),
        ("AETNA", on_deposit, 2),
    ]
    remitted(books)
    [waiting] = books.reconciliation.ListRemittances(rc.ListRemittancesRequest(book=books.book)).remittances
    assert waiting.state == rc.REMITTANCE_STATE_WAITING
    wrong = pb.SetDepositPolicyRequest(book=books.book, reason="none")
    assert refused(books.bank.SetDepositPolicy, wrong).reason == "FIELD_MISSING"


# --- what was there before ----------------------------------------------------------------------------


def test_remittances_of_an_earlier_version_get_their_accounts(server: Ledger) -> None:
    """By the migration's own statement: each gets the account that its entries have moved."""
    books = opened(server, "earlier")
    remitted(books)
    migration = files("migrations.versions").joinpath("0011_bank.sql").read_text()
    [fill] = re.findall(r"^UPDATE remittances AS r .*?;$", migration, re.MULTILINE | re.DOTALL)
    with psycopg.connect(books.url.replace("+psycopg", "", 1)) as connection:
        wanted = "SELECT clearing FROM remittances WHERE book = 'earlier'"
        before = connection.execute(wanted).fetchall()
        connection.execute("UPDATE remittances SET clearing = NULL, payer = 'ANOTHER' WHERE book = 'earlier'")
        connection.execute(fill)
        assert connection.execute(wanted).fetchall() == before == [("Assets:RemittanceClearing:AETNA:EFT1",)]
        connection.rollback()


# --- what the integrity check sees ---------------------------------------------------------------------

TAMPERED = {
    "a deposit of another amount": (
        "UPDATE deposits SET amount = amount + 1 WHERE reference = 'R1'",
        {"deposit_is_in_cash_once", "deposit_is_applied_or_unapplied", "statement_posts_its_deposits"},
    ),
    "an application of another amount": (
        "UPDATE deposit_applications SET amount = amount - 1",
        {"deposit_is_applied_or_unapplied", "application_is_in_its_entry", "remittance_adds_up_applications"},
    ),
    "an application that is gone": (
        "DELETE FROM deposit_applications",
        {"deposit_is_applied_or_unapplied", "application_is_in_its_entry", "remittance_adds_up_applications"},
    ),
    "a deposit that is gone": (
        "DELETE FROM deposits WHERE reference = 'R2'",
        {"cash_of_the_bank_is_of_a_deposit", "statement_posts_its_deposits"},
    ),
    "a remittance that received more": ("UPDATE remittances SET applied = 1", {"remittance_adds_up_applications"}),
    "a statement that posted more": (
        "UPDATE bank_statements SET posted = posted + 1, noted = noted - 1",
        {"statement_posts_its_deposits"},
    ),
    "a remittance that is posted and waits": (
        "UPDATE remittances SET state = 'waiting', posted = 0",
        {"quarantined_posts_nothing", "remittance_as_its_history_says"},
    ),
    "nothing": ("SELECT 1", set()),
}


@pytest.fixture(scope="module")
def tampered(server: Ledger) -> Ledger:
    """One deposit that is applied, and one that is not."""
    books = opened(server, "tampered")
    remitted(books)
    banked(books, statement(moved("100.00", "EFT1", reference="R1"), Moved("5.00", "R2")))
    return books


@pytest.mark.parametrize("name", TAMPERED)
def test_the_integrity_check_tells_what_does_not_add_up(tampered: Ledger, name: str) -> None:
    """Done as only an owner can, with every trigger off; nothing of it stays."""
    change, expected = TAMPERED[name]
    sql = files("reconciliation.reports").joinpath("integrity.sql").read_text()
    with psycopg.connect(tampered.url.replace("+psycopg", "", 1)) as connection:
        connection.execute("SET session_replication_role = replica")
        for table in ("deposits", "deposit_applications"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        where = " AND" if "WHERE" in change else " WHERE"
        connection.execute(f"{change}{where} book = 'tampered'" if name != "nothing" else change)
        found = {row[0] for row in connection.execute(sql) if row[1] == "tampered"}
        connection.rollback()
    assert found == expected


# --- golden files, the command ------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(GOLDEN.iterdir()), ids=lambda path: str(path.name))
def test_a_golden_file_is_recorded_whole(server: Ledger, path: Path) -> None:
    """Each tells of the same deposits in its own form: 1,820.50 came, of it 320.50 without a trace."""
    books = opened(server, f"golden-{path.suffix[1:]}")
    answer = banked(books, path.read_bytes(), path.name)
    assert [one.reason for one in answer.statements] == [""] * len(answer.statements)
    assert sum(one.posted.minor_units for one in answer.statements) == 182_050
    traces = sorted(trace.number for one in deposits(books) for trace in one.traces)
    assert traces == ["EFT1000001", "EFT1000002", "EFT1000003"]
    assert books.balance("Assets:Cash") == "1820.50 Dr"
    assert books.wrong() == []


def test_the_command_takes_statements_in_and_lists_deposits(
    server: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    books = opened(server, "command")
    remitted(books)
    sound, wrong = tmp_path / "june.bai", tmp_path / "wrong.bai"
    sound.write_bytes(statement(moved("100.00", "EFT1", reference="R1"), Moved("3.00", "R2")))
    wrong.write_bytes(statement(Moved("1.00", "R3")).replace(b"99,1100", b"99,1101"))
    assert ingest_files(server.url, IN_THE_OPEN, books.book, [sound])
    assert not ingest_files(server.url, IN_THE_OPEN, books.book, [sound, wrong, tmp_path / "gone.bai"])
    said = capsys.readouterr().out
    assert "june.bai came before; nothing of it is posted again" in said
    assert "statement 1 of 0012345678 is quarantined: the file (99) says 1101 total and holds 1100" in said
    assert "gone.bai is not taken in: No such file or directory" in said
    monkeypatch.setenv("LEDGER_DATABASE_URL", server.url)
    shown = CliRunner().invoke(app, ["bank", "deposits", "--book", books.book, "--unapplied"])
    assert shown.exit_code == 0, shown.output
    assert ("R2" in shown.output, "R1" in shown.output) == (True, False)
