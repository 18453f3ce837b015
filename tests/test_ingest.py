"""Files as they arrive: what is no 835 is refused, what is broken is kept, a crash loses and doubles nothing."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import psycopg
import pytest
import serving
from payers import claim, deliver, file, parts, plb, remittance
from serving import Ledger, Refused, cr, dr, eventually, refused, session, usd, waiting_for_a_lock
from test_remittances import check_sound, everything, exceptions, got

from ledger.postings import journal
from ledger.v1 import accounts_pb2 as accounts
from reconciliation.claims import PORTION
from reconciliation.v1 import reconciliation_pb2 as pb

SHARE = "CO-45 30.00, PR-3 20.00"
SETTLED, SETTLING = pb.REMITTANCE_STATE_SETTLED, pb.REMITTANCE_STATE_SETTLING
QUARANTINED, DUPLICATE = pb.REMITTANCE_STATE_QUARANTINED, pb.REMITTANCE_STATE_DUPLICATE


def paid(claim_id: str = "C1", control: str = "PCN1", **more: str) -> str:
    """100.00 for a claim as `books` knows it."""
    return claim(claim_id, "150.00", "100.00", SHARE, control=control, **more)


def payment(trace: str = "EFT1", *loops: str, amount: str = "100.00", **more: str) -> str:
    """One remittance, of one claim where nothing else is said."""
    return remittance(amount, trace, *(loops or (paid(),)), **more)


SOUND = file(payment(), payment("EFT2", paid("C2", "PCN2"), number="0002"))


def opened(server: Ledger, name: str, claims: Iterable[str] = ("C1", "C2")) -> Ledger:
    """A book of the test's own with some claims of AETNA, 100.00 open on each."""
    serving.open_book(server, name)
    for each in claims:
        about = {"charge": "150.00", "patient_share": "20.00", "service_code": "90837", "book": name}
        server.postings.RecordSession(session(each, **about))
    return server.of(name)


def state(books: Ledger) -> tuple[object, ...]:
    """All that a refused file must leave as it is: entries, accounts, remittances, and the bytes kept."""
    return books.state(), len(books.entries()), len(everything(books)), rows(books, "deliveries")


def rows(books: Ledger, table: str) -> int:
    with connected(books) as connection:
        found = connection.execute(f"SELECT count(*) FROM {table} WHERE book = %s", [books.book]).fetchone()
    assert found
    return int(found[0])


def connected(books: Ledger) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(books.url.replace("+psycopg", "", 1))


# --- what is no 835 -----------------------------------------------------------------------------------


HEADER = pb.IngestRemittanceRequest(header=pb.RemittanceFileHeader(book="refused", file_name="a.835"))
CHUNK = pb.IngestRemittanceRequest(chunk=SOUND)


def sent(data: bytes, book: str = "refused", name: str = "a.835") -> list[pb.IngestRemittanceRequest]:
    return list(parts(data, book, name))


def noise(size: int) -> bytes:
    return random.Random(1).randbytes(size)


CLAIM_837 = SOUND.replace(b"ST*835", b"ST*837").replace(b"GS*HP", b"GS*HC")
REFUSED: dict[str, tuple[list[pb.IngestRemittanceRequest], str, str]] = {
    "nothing at all": ([], "INVALID_ARGUMENT", "STREAM_MISORDERED"),
    "bytes before the header": ([CHUNK, HEADER], "INVALID_ARGUMENT", "STREAM_MISORDERED"),
    "bytes and no header": ([CHUNK], "INVALID_ARGUMENT", "STREAM_MISORDERED"),
    "the header twice": ([HEADER, HEADER, CHUNK], "INVALID_ARGUMENT", "STREAM_MISORDERED"),
    "the header again at the end": ([HEADER, CHUNK, HEADER], "INVALID_ARGUMENT", "STREAM_MISORDERED"),
    "a part that says nothing, first": ([pb.IngestRemittanceRequest()], "INVALID_ARGUMENT", "STREAM_MISORDERED"),
    "no bytes": ([HEADER], "INVALID_ARGUMENT", "FILE_EMPTY"),
    "empty parts": ([HEADER, *[pb.IngestRemittanceRequest()] * 3], "INVALID_ARGUMENT", "FILE_EMPTY"),
    "blanks": (sent(b" \r\n\t" * 1000), "INVALID_ARGUMENT", "FILE_EMPTY"),
    "a letter": (sent(b"Dear provider, your payment is enclosed."), "INVALID_ARGUMENT", "FILE_NOT_AN_835"),
    "a PDF": (sent(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + noise(50_000)), "INVALID_ARGUMENT", "FILE_NOT_AN_835"),
    "a zip": (sent(b"PK\x03\x04" + noise(50_000)), "INVALID_ARGUMENT", "FILE_NOT_AN_835"),
    "a claim file (837)": (sent(CLAIM_837), "INVALID_ARGUMENT", "FILE_NOT_AN_835"),
    "an ISA and no more": (sent(SOUND[:106]), "INVALID_ARGUMENT", "FILE_TRUNCATED"),
    "10 MB without a segment end": (
        sent(b"ISA*" + b"0" * 10_000_000),
        "INVALID_ARGUMENT",
        "FILE_SEGMENT_TOO_LONG",
    ),
    "10 MB after a sound beginning": (
        sent(SOUND[:300] + b"0" * 10_000_000),
        "INVALID_ARGUMENT",
        "FILE_SEGMENT_TOO_LONG",
    ),
    "more remittances than a delivery may have": (
        sent(SOUND[:163] + b"ST*835*1~SE*2*1~" * 10_001),
        "INVALID_ARGUMENT",
        "FILE_TOO_LARGE",
    ),
    "a book that is not open": (sent(SOUND, book="nobody"), "NOT_FOUND", "BOOK_NOT_FOUND"),
    "no book": (sent(SOUND, book=""), "INVALID_ARGUMENT", "FIELD_MISSING"),
    "a file name of a page": (sent(SOUND, name="a" * 1000), "INVALID_ARGUMENT", "TEXT_INVALID"),
    "a file name with a line end": (sent(SOUND, name="a\nb"), "INVALID_ARGUMENT", "TEXT_INVALID"),
}


@pytest.fixture(scope="module")
def refusing(server: Ledger) -> Ledger:
    """A book on which every bad file is tried."""
    return opened(server, "refused")


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_835_is_refused_by_name_and_leaves_nothing(refusing: Ledger, name: str) -> None:
    stream, code, reason = REFUSED[name]
    before = state(refusing)
    found = refused(refusing.reconciliation.IngestRemittance, iter(stream))
    assert (found.code, found.reason) == (code, reason), found.message
    assert state(refusing) == before


def test_the_server_takes_a_good_file_after_all_the_bad_ones(refusing: Ledger) -> None:
    answer = deliver(refusing, SOUND, refusing.book)
    assert [one.state for one in answer.remittances] == [SETTLED, SETTLED]
    check_sound(refusing)


def test_a_refusal_says_where_in_the_file(server: Ledger) -> None:
    """The facts are enough to find the place with an editor."""
    opened(server, "facts", ())
    found = refused(server.reconciliation.IngestRemittance, iter(sent(b"hello", "facts")))
    assert found.facts["byte"] == "0"
    found = refused(server.reconciliation.IngestRemittance, iter(sent(SOUND[:300] + b"0" * 100_000, "facts")))
    assert 0 < int(found.facts["byte"]) <= 300
    assert found.facts["limit"] == "65536"


# --- what is broken is kept ---------------------------------------------------------------------------


def test_a_file_cut_anywhere_posts_nothing(server: Ledger) -> None:
    """Cut at every 29th byte: refused by name, quarantined, or a twin of it. Then the whole file settles."""
    books = opened(server, "cut")
    before = books.state()
    for offset in range(1, SOUND.rindex(b"IEA"), 29):
        met = cut(books, SOUND[:offset])
        assert met in ({"FILE_TRUNCATED"}, {"FILE_NOT_AN_835"}) or met <= {QUARANTINED, DUPLICATE}, offset
    assert books.state() == before
    answer = deliver(books, SOUND, books.book)
    assert [one.state for one in answer.remittances] == [SETTLED, SETTLED]
    check_sound(books)


def cut(books: Ledger, data: bytes) -> set[object]:
    """The refusal of a file, or the states of its remittances."""
    try:
        return {one.state for one in deliver(books, data, books.book).remittances}
    except grpc.RpcError as error:
        return {serving.refusal(error).reason}


def test_each_interchange_of_a_file_stands_for_itself(server: Ledger) -> None:
    """A sound interchange, one without its IEA, and a sound one: what is sound is settled."""
    books = opened(server, "interchanges", ("C1", "C2", "C3"))
    broken = file(payment("EFT2", paid("C2", "PCN2"))).rpartition(b"IEA")[0]
    data = file(payment()) + broken + file(payment("EFT3", paid("C3", "PCN3")))
    answer = deliver(books, data, books.book)
    assert [one.state for one in answer.remittances] == [SETTLED, QUARANTINED, SETTLED]
    assert "the next ISA comes before its IEA" in answer.remittances[1].reason
    assert books.control("Assets:Receivable:Insurer") == "100.00 Dr"
    check_sound(books)


def test_claims_belong_to_their_own_remittance(server: Ledger) -> None:
    """Thirty remittances, every third unbalanced and every sixth a repetition: each settles its own claim."""
    names = [f"C{number}" for number in range(30)]
    books = opened(server, "thirty", names)
    sets = [payment(f"EFT{n}", paid(each, f"P{n}"), number=f"{n:04}") for n, each in enumerate(names)]
    sets = [one.replace("CAS*CO*45*30.00", "CAS*CO*45*31.00") if n % 3 == 1 else one for n, one in enumerate(sets)]
    sets = [sets[n - 2] if n % 6 == 5 else one for n, one in enumerate(sets)]
    answer = deliver(books, file(*sets), books.book)
    for one in answer.remittances:
        claims = [each.claim for each in got(books, one).claim_payments]
        assert claims == ([f"C{one.trace.removeprefix('EFT')}"] if one.state == SETTLED else [])
    states = [one.state for one in answer.remittances]
    assert (states.count(SETTLED), states.count(QUARANTINED), states.count(DUPLICATE)) == (15, 10, 5)
    check_sound(books)


STRANGE = {
    "a name in Latin-1": SOUND.replace(b"DOE*JANE", b"D\xd6E*REN\xc9E"),
    "a payer's name in UTF-8": SOUND.replace(b"EXAMPLE CARE", "Señora Ángel".encode()),
    "control characters": SOUND.replace(b"PCN1", b"\x1b[31m\x07"),
    "a NUL in a claim id": SOUND.replace(b"*C1*", b"*C\x001*"),
    "NUL between components": SOUND.replace(b":", b"\x00").replace(b"PCN1", b"P\x00N1"),
    "NUL between elements": SOUND.replace(b"*", b"\x00"),
    "a claim id of 9,000 letters": SOUND.replace(
        b"CLP*C1", b"CLP*" + b"".join(noise(4500).hex().encode().split())
    ),
    "a control number of 9,000 letters": SOUND.replace(b"PCN1", noise(4500).hex().encode()),
    "a trace of 9,000 letters": SOUND.replace(b"EFT1*", noise(4500).hex().encode() + b"*"),
    "a payer of 9,000 letters": SOUND.replace(b"1066033492~", noise(4500).hex().encode() + b"~"),
    "a reason of 9,000 letters": SOUND.replace(b"CAS*PR*3", b"CAS*PR*" + noise(4500).hex().encode()),
    "a status of 9,000 letters": SOUND.replace(b"C1*1*", b"C1*" + noise(4500).hex().encode() + b"*"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_text_stops_nothing(server: Ledger, name: str) -> None:
    """However odd the names, the money of both payments is in the books, and nothing is left half done."""
    books = opened(server, f"strange-{[*STRANGE].index(name)}")
    answer = deliver(books, STRANGE[name], books.book)
    assert [one.state for one in answer.remittances] == [SETTLED, SETTLED]
    assert sum(one.posted.minor_units + one.suspended.minor_units for one in answer.remittances) == 200_00
    assert not unfinished(books)
    check_sound(books)


def unfinished(books: Ledger) -> bool:
    """Whether the next start of the server would find something to finish."""
    with connected(books) as connection:
        sql = "SELECT 1 FROM deliveries WHERE book = %s AND finished_at IS NULL"
        return bool(connection.execute(sql, [books.book]).fetchall())


def test_long_names_that_begin_alike_stay_apart(server: Ledger) -> None:
    """Two traces of 200 letters that differ in the last one are two payments."""
    books = opened(server, "alike")
    data = file(payment("T" * 200 + "1"), payment("T" * 200 + "2", paid("C2", "PCN2"), number="0002"))
    answer = deliver(books, data, books.book)
    assert [one.state for one in answer.remittances] == [SETTLED, SETTLED]
    assert len({one.trace for one in answer.remittances}) == 2
    check_sound(books)


def test_1200_provider_level_adjustments(server: Ledger) -> None:
    """More than the books take in one batch, each with an entry of its own."""
    books = opened(server, "plbs")
    pairs = [plb(("L6", f"I{number}", "-0.01")) for number in range(1200)]
    answer = deliver(books, file(payment("EFT1", paid(), *pairs, amount="112.00")), books.book)
    assert [one.state for one in answer.remittances] == [SETTLED]
    assert books.balance("Revenue:Interest") == "12.00 Cr"
    check_sound(books)


# --- many at once -------------------------------------------------------------------------------------


def at_once(calls: Iterable[Callable[[], pb.IngestRemittanceResponse]]) -> list[pb.IngestRemittanceResponse]:
    """The answers of calls that run at the same time."""
    with ThreadPoolExecutor(16) as threads:
        return [call.result() for call in [threads.submit(each) for each in calls]]


def test_ten_deliveries_of_one_file_at_once_post_it_once(server: Ledger) -> None:
    books = opened(server, "ten")
    answers = at_once([lambda: deliver(books, SOUND, books.book)] * 10)
    assert sorted(answer.duplicate for answer in answers) == [False] + [True] * 9
    assert len(books.entries()) == 4
    ids = {tuple(one.id for one in answer.remittances) for answer in answers}
    assert len(ids) == 1
    check_sound(books)


def test_one_remittance_in_ten_envelopes_at_once_is_posted_once(server: Ledger) -> None:
    """Different bytes, the same content: one is settled, nine repeat it."""
    books = opened(server, "envelopes")
    files = [file(payment(), number=number) for number in range(100, 110)]
    answers = at_once([lambda data=data: deliver(books, data, books.book) for data in files])
    states = [answer.remittances[0].state for answer in answers]
    assert (states.count(SETTLED), states.count(DUPLICATE)) == (1, 9)
    assert books.balance("Assets:RemittanceClearing:AETNA:EFT1") == "100.00 Dr"
    check_sound(books)


def test_different_files_at_once_all_settle(server: Ledger) -> None:
    names = [f"C{number}" for number in range(12)]
    books = opened(server, "different", names)
    files = [file(payment(f"EFT{each}", paid(each, each))) for each in names]
    answers = at_once([lambda data=data: deliver(books, data, books.book) for data in files])
    assert [answer.remittances[0].state for answer in answers] == [SETTLED] * 12
    assert books.control("Assets:Receivable:Insurer") == "0.00"
    assert [entry.number for entry in books.entries()] == [*range(1, 25)]
    check_sound(books)


# --- the books refuse ---------------------------------------------------------------------------------


def limited(books: Ledger, code: str, limit: accounts.BalanceLimit.ValueType) -> None:
    asked = accounts.OpenAccountRequest(book=books.book, code=code, currency_code="USD", balance_limit=limit)
    books.accounts.OpenAccount(asked)


def one(answer: pb.IngestRemittanceResponse) -> pb.Remittance:
    (found,) = answer.remittances
    return found


def looks(books: Ledger) -> list[str]:
    """The reasons why people must look, one for each open exception."""
    return [pb.ExceptionReason.Name(look.reason).removeprefix("EXCEPTION_REASON_") for look in exceptions(books)]


def refused_by_books(books: Ledger) -> list[pb.Exception]:
    """What people must look at because the books refused it."""
    asked = pb.ListExceptionsRequest(book=books.book, reason=pb.EXCEPTION_REASON_REFUSED_BY_BOOKS)
    return list(books.reconciliation.ListExceptions(asked).exceptions)


def test_a_closed_account_keeps_a_remittance_out(server: Ledger) -> None:
    """Nothing of it is posted, its neighbour is settled, and the reason names the account."""
    books = opened(server, "closed")
    clearing = "Assets:RemittanceClearing:AETNA:EFT1"
    books.accounts.OpenAccount(accounts.OpenAccountRequest(book=books.book, code=clearing, currency_code="USD"))
    books.accounts.CloseAccount(accounts.CloseAccountRequest(book=books.book, code=clearing, reason="cleared"))
    answer = deliver(books, SOUND, books.book)
    assert [each.state for each in answer.remittances] == [QUARANTINED, SETTLED]
    assert answer.remittances[0].reason == f"the books refuse it: {clearing} is closed"
    assert looks(books) == ["REFUSED_BY_BOOKS"]
    assert books.balance("Assets:Receivable:Insurer:AETNA") == "100.00 Dr"
    check_sound(books)


def test_what_the_books_refused_settles_once_they_take_it(server: Ledger) -> None:
    """A limit keeps the payment out; room is made; the same bytes again are settled and nobody need look."""
    books = opened(server, "limit")
    limited(books, "Liabilities:Suspense:AETNA", accounts.BALANCE_LIMIT_MUST_NOT_GO_CREDIT)
    data = file(payment("EFT1", paid(), paid("NOT-OURS", "PCN9"), amount="200.00"))
    refused_ = one(deliver(books, data, books.book))
    assert (refused_.state, refused_.settled_claim_count) == (QUARANTINED, 0)
    assert "Liabilities:Suspense:AETNA must not go credit" in refused_.reason
    assert got(books, refused_).claim_payments == []
    assert looks(books) == ["REFUSED_BY_BOOKS"]
    books.post("2026-06-01", dr("Liabilities:Suspense:AETNA", "100.00"), cr("Assets:Cash", "100.00"))
    settled = one(deliver(books, data, books.book))
    assert (settled.id, settled.state, settled.reason) == (refused_.id, SETTLED, "")
    assert looks(books) == ["UNKNOWN_CLAIM"]


# --- large remittances and crashes --------------------------------------------------------------------


LARGE = 5 * PORTION
OURS = range(0, LARGE, 50)
"""Lines of the large remittance that pay a claim of the books; the others wait in suspense."""
INGEST = """
import asyncio, sys
from ledger.database import engine
from reconciliation.files import IN_THE_OPEN
from reconciliation.ingest import ingest

async def run(url, book, path):
    with open(path, "rb") as file:
        await ingest(engine(url), IN_THE_OPEN, book, "large.835", "mail", file)

asyncio.run(run(*sys.argv[1:]))
"""


def large() -> bytes:
    """So many claims, 100.00 each."""
    loops = [paid(f"C{number}", f"PCN{number}") for number in range(LARGE)]
    return file(payment("LARGE", *loops, amount=f"{LARGE}00.00"))


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "large.835"
    path.write_bytes(large())
    return path


class Turnstile:
    """Has the turn among those who settle in a book, so that whoever settles a remittance waits before a chunk.

    PostgreSQL gives the turn to those who wait in the order of their coming, in the very moment in which it is
    given up: whoever queues up behind the program has it as soon as the program's chunk is committed.
    """

    def __init__(self, books: Ledger) -> None:
        self._books = books
        self._holder = self._taken()

    def _taken(self) -> psycopg.Connection[tuple[object, ...]]:
        connection = connected(self._books)
        connection.execute(journal._IN_TURN.text.replace(":book", "%s").encode(), [self._books.book])
        return connection

    def let_one_pass(self) -> None:
        """One chunk is settled, then the program waits again."""
        self.wait_for(1)
        with ThreadPoolExecutor(1) as queue:
            behind = queue.submit(self._taken)
            self.wait_for(2)
            self._holder.close()
            self._holder = behind.result()
        self.wait_for(1)

    def wait_for(self, count: int) -> None:
        """Until so many wait for their turn."""
        eventually(lambda: waiting_for_a_lock(self._books.url) >= count, f"{count} wait for their turn")

    def open(self) -> None:
        """Nobody waits any more."""
        self._holder.close()


@contextmanager
def ingesting(books: Ledger, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program of its own that takes the file in; killed at the end of the block."""
    program = subprocess.Popen([sys.executable, "-c", INGEST, books.url, books.book, str(path)])
    try:
        yield program
    finally:
        program.send_signal(signal.SIGKILL)
        program.wait(serving.PATIENCE_SECONDS)


def killed_after(books: Ledger, path: Path, chunks: int) -> None:
    """Starts taking the file in, and kills the program while it waits to settle its next chunk."""
    turnstile = Turnstile(books)
    with ingesting(books, path):
        for _ in range(chunks):
            turnstile.let_one_pass()
        turnstile.wait_for(1)
    turnstile.open()


def check_half_settled(books: Ledger, claims: int) -> None:
    """All can see how far it is; what is posted is posted whole, and the rest is said to be settling."""
    if claims == 0:
        assert everything(books) == []
        return
    (found,) = everything(books)
    assert (found.state, found.settled_claim_count) == (SETTLING, claims)
    assert found.posted.minor_units + found.suspended.minor_units == claims * 100_00
    assert unfinished(books)


def check_settled_once(books: Ledger) -> None:
    """Every claim once, every cent once."""
    (found,) = everything(books)
    assert (found.state, found.settled_claim_count, found.claim_count) == (SETTLED, LARGE, LARGE)
    assert found.posted == usd(f"{len(OURS)}00.00")
    assert found.suspended == usd(f"{LARGE - len(OURS)}00.00")
    assert len(books.entries()) == len(OURS) + LARGE
    assert rows(books, "claim_payments") == LARGE
    assert books.control("Assets:Receivable:Insurer") == "0.00"
    assert books.balance("Assets:RemittanceClearing:AETNA:LARGE") == f"{LARGE}00.00 Dr"
    assert not unfinished(books)
    check_sound(books)


@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_a_killed_program_is_finished_at_the_next_start(
    loop: serving.Loop, ledger: Ledger, large_file: Path, chunks: int
) -> None:
    """kill -9 before the first chunk, after one and after two; then a server starts and does the rest."""
    books = opened(ledger, "large", [f"C{number}" for number in OURS])
    killed_after(books, large_file, chunks)
    check_half_settled(books, chunks * PORTION)
    with serving.serving(loop, books.url):
        eventually(lambda: not unfinished(books), "the file is settled")
    check_settled_once(books)


def test_a_half_settled_file_that_comes_again_while_it_is_resumed(
    loop: serving.Loop, ledger: Ledger, large_file: Path
) -> None:
    """Killed in the midst of a chunk; a server resumes it while three callers deliver it: every claim once."""
    books = opened(ledger, "large", [f"C{number}" for number in OURS])
    turnstile = Turnstile(books)
    with ingesting(books, large_file):
        turnstile.let_one_pass()
        turnstile.open()
        time.sleep(0.05)
    (found,) = everything(books)
    assert found.settled_claim_count in {*range(PORTION, LARGE, PORTION), LARGE}
    with serving.serving(loop, books.url) as second:
        data = large_file.read_bytes()
        calls = [lambda each=each: deliver(each, data, "large") for each in (books, second, books)]
        answers = at_once(calls)
    assert [(answer.duplicate, one(answer).state) for answer in answers] == [(True, SETTLED)] * 3
    check_settled_once(books)


def test_a_chunk_that_the_books_refuse_waits_until_they_take_it(loop: serving.Loop, ledger: Ledger) -> None:
    """1,000 claims fit under a limit, the 1,001st does not: half settled, listed, finished once there is room."""
    books = opened(ledger, "limit", ())
    limited(books, "Liabilities:Suspense:1066033492", accounts.BALANCE_LIMIT_MUST_NOT_GO_CREDIT)
    books.post("2026-06-01", dr("Liabilities:Suspense:1066033492", "1000.00"), cr("Assets:Cash", "1000.00"))
    loops = [claim(f"X{number}", "1.00", "1.00") for number in range(1001)]
    data = file(payment("EFT1", *loops, amount="1001.00"))
    found = one(deliver(books, data, books.book))
    assert (found.state, found.settled_claim_count) == (SETTLING, 1000)
    assert len(refused_by_books(books)) == 1
    assert unfinished(books)
    books.post("2026-06-01", dr("Liabilities:Suspense:1066033492", "1.00"), cr("Assets:Cash", "1.00"))
    with serving.serving(loop, books.url):
        eventually(lambda: not unfinished(books), "the file is settled")
    (settled,) = everything(books)
    assert (settled.state, settled.settled_claim_count) == (SETTLED, 1001)
    assert refused_by_books(books) == []
    assert rows(books, "claim_payments") == 1001


def test_a_large_remittance_is_read_page_by_page(server: Ledger) -> None:
    """1,500 claim payments come in pages, each line once; a page token of another query is refused."""
    books = opened(server, "pages", ())
    loops = [claim(f"X{number}", "1.00", "1.00") for number in range(1500)]
    found = one(deliver(books, file(payment("EFT1", *loops, amount="1500.00")), books.book))
    asked = pb.GetRemittanceRequest(book=books.book, id=found.id, page_size=1000)
    first = books.reconciliation.GetRemittance(asked)
    asked.page_token = first.next_page_token
    second = books.reconciliation.GetRemittance(asked)
    lines = [each.line for page in (first, second) for each in page.claim_payments]
    assert (lines, second.next_page_token) == ([*range(1, 1501)], "")
    asked.id = found.id.upper()
    assert refused(books.reconciliation.GetRemittance, asked) == Refused(
        "INVALID_ARGUMENT", "PAGE_INVALID", {}, "page_token belongs to another query"
    )


def test_a_choice_that_nobody_knows_is_named(refusing: Ledger) -> None:
    for call, asked, field in (
        (
            refusing.reconciliation.ListRemittances,
            pb.ListRemittancesRequest(book=refusing.book, state=99),
            "state",
        ),
        (
            refusing.reconciliation.ListExceptions,
            pb.ListExceptionsRequest(book=refusing.book, reason=99),
            "reason",
        ),
    ):
        found = refused(call, asked)
        assert (found.code, found.reason) == ("INVALID_ARGUMENT", "CHOICE_INVALID")
        assert found.facts == {"field": field, "value": "99"}
