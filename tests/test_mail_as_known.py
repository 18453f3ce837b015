"""Reports on the mail as known at an entry or a time: what was answered is answered again, whatever came later."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
import test_denials as lives
import test_matches as hand
from banks import account, bai2, banked, moved
from conftest import connected
from google.protobuf.timestamp_pb2 import Timestamp
from payers import Payer, claim, deliver, file, plb, remittance
from serving import Ledger, open_book, refused, session
from sqlalchemy.ext.asyncio import AsyncConnection
from test_command import Called, called
from test_reports import lines
from test_upgrade import old

from ledger.accounts.known import KnownAt
from ledger.database import engine, migrate, reading
from ledger.errors import HistoryNotKept
from ledger.reports.report import Question, ask
from reconciliation.questions import AUTOMATIC_RATE, DENIALS_BY_CODE, REMITTANCE_SUMMARY, recalled
from reconciliation.v1 import bank_pb2 as bk
from reconciliation.v1 import denials_pb2 as dn
from reconciliation.v1 import reconciliation_pb2 as pb

__all__ = ["called", "old"]
FAR = "2026-12-31"
SHARE = "CO-45 30.00, PR-3 20.00"
STRANGER = Payer("STRANGER", "99999", "1999999999")
_books = count(1)

Step = Callable[[Ledger], object]
Answers = list[list[str]]


@pytest.fixture
def books(server: Ledger) -> Iterator[Ledger]:
    """Three claims, of each of which AETNA owes 100.00 and the patient 20.00; in the end everything adds up."""
    mine = server.of(f"as-known-{next(_books)}")
    open_book(mine, mine.book)
    for one in ("C1", "C2", "C3"):
        earned(mine, one)
    yield mine
    assert mine.wrong() == []


# --- words --------------------------------------------------------------------------------------------


def earned(books: Ledger, one: str, payer: str = "AETNA") -> None:
    books.postings.RecordSession(
        session(one, book=books.book, payer=payer, charge="150.00", patient_share="20.00")
    )


def mailed(books: Ledger, amount: str, trace: str, *loops: str, **more: Any) -> str:
    return deliver(books, file(remittance(amount, trace, *loops, **more)), books.book).remittances[0].id


def full(one: str, control: str = "", **more: Any) -> str:
    return claim(one, "150.00", "100.00", SHARE, control=control, **more)


def at(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def answers(books: Ledger, **known: Any) -> Answers:
    """The rows of the three reports, of the rate by month and by rule."""
    about = {"book": books.book, "as_of": FAR, **known}
    by = (pb.RATE_GROUP_PAYER, pb.RATE_GROUP_RULE)
    found = (
        books.reconciliation.GetRemittanceSummary(pb.GetRemittanceSummaryRequest(**about)),
        books.reconciliation.GetAutomaticRate(pb.GetAutomaticRateRequest(**about)),
        books.reconciliation.GetAutomaticRate(pb.GetAutomaticRateRequest(**about, group_by=by)),
        books.denials.GetDenialsByCode(dn.GetDenialsByCodeRequest(**about)),
    )
    return [lines(one.rows) for one in found]


def head(books: Ledger) -> int:
    return max((one.number for one in books.entries()), default=0)


# --- whatever came later ------------------------------------------------------------------------------


def waits_for_its_deposit(books: Ledger) -> None:
    policy = {"policy": bk.DEPOSIT_POLICY_ON_DEPOSIT, "payer": "AETNA", "reason": "agreed"}
    books.bank.SetDepositPolicy(bk.SetDepositPolicyRequest(book=books.book, **policy))
    mailed(books, "95.00", "T9", full("C4", "P9"), plb(("L6", "REF", "5.00")), day="2026-07-09")


def identified(books: Ledger) -> None:
    known = pb.IdentifyPayerRequest(book=books.book, payer="CIGNA", identifiers=[STRANGER.signed], reason="card")
    books.reconciliation.IdentifyPayer(known)


def taken_back(books: Ledger) -> None:
    back = claim("C2", "-150.00", "-100.00", "CO-45 -30.00, PR-3 -20.00", status="22", control="P2")
    mailed(books, "-100.00", "T5", back, day="2026-06-20")


OF_TWO = ("200.00", "T1", full("C1", "P1"), full("C4"))
FROM_A_STRANGER = ("100.00", "T2", full("C7"))
WRONG = ("90.00", "T3", full("C3", "P3"))
STORY: dict[str, Step] = {
    "nothing": lambda books: None,
    "one is paid, one waits in suspense": lambda books: mailed(books, *OF_TWO),
    "its session comes": lambda books: earned(books, "C4"),
    "it is found": lambda books: mailed(books, *OF_TWO),
    "nobody knows who pays": lambda books: mailed(books, *FROM_A_STRANGER, payer=STRANGER),
    "what does not add up": lambda books: mailed(books, *WRONG),
    "it comes again": lambda books: mailed(books, *WRONG),
    "somebody says who pays": identified,
    "a session of the payer's": lambda books: earned(books, "C7", "CIGNA"),
    "its claim is found": lambda books: mailed(books, *FROM_A_STRANGER, payer=STRANGER),
    "denied": lambda books: lives.denied(books, "C3"),
    "appealed, which posts nothing": lambda books: lives.appealed(books, "C3"),
    "a reversal before its payment": taken_back,
    "its payment": lambda books: mailed(books, "100.00", "T6", full("C2", "P2")),
    "absorbed": lambda books: lives.absorbed(books, "C3"),
    "nobody's claim": lambda books: mailed(books, "100.00", "T8", hand.garbled(control="P8")),
    "waits for its deposit": waits_for_its_deposit,
    "the deposit": lambda books: banked(books, bai2(account(moved("95.00", "T9", reference="B1")))),
}

SILENT = {"its session comes", "it comes again", "somebody says who pays", "a session of the payer's"}
"""Steps after which the reports say what they said before."""


def test_what_was_known_is_answered_for_ever(books: Ledger) -> None:
    """After each step of a story the reports are asked; at its end they are asked for every moment of it again."""
    asked: list[tuple[str, int, datetime, Answers]] = []
    for step, does in STORY.items():
        does(books)
        asked.append((step, head(books), datetime.now(UTC), answers(books)))
    [waiting] = [one.id for one in found(books) if one.trace == "T8"]
    hand.matched(books, waiting, "C2")
    hand.unmatched(books, waiting)
    silent = {two[0] for one, two in pairwise(asked) if one[-1] == two[-1]}
    assert silent == SILENT
    last = {number: told for _, number, _, told in asked}
    for step, number, moment, told in asked:
        assert answers(books, as_known_at_time=at(moment)) == told, step
        assert answers(books, as_known_at_number=number) == last[number], step


def found(books: Ledger) -> list[pb.Remittance]:
    return [*books.reconciliation.ListRemittances(pb.ListRemittancesRequest(book=books.book)).remittances]


# --- what is known at which entry ---------------------------------------------------------------------


def summed(books: Ledger, number: int) -> list[str]:
    """Payments, claims; received, posted, suspended, quarantined, settling; PLB; charged, paid for claims."""
    asked = pb.GetRemittanceSummaryRequest(book=books.book, as_of=FAR, as_known_at_number=number)
    found = books.reconciliation.GetRemittanceSummary(asked)
    assert found.as_known_at_number == number
    words = (line.split() for line in lines(found.rows))
    return [" ".join([*row[2:3], *row[4:9], row[10], row[11], row[12], row[21]]) for row in words]


def test_a_large_payment_is_known_chunk_by_chunk(server: Ledger) -> None:
    """250 claims are settled together, and known with the last entry; the adjustment comes with the rest."""
    books = server.of("as-known-large")
    open_book(books, books.book)
    many = (claim(f"X{number}", "3.00", "1.00", "CO-45 2.00") for number in range(1001))
    mailed(books, "996.00", "T1", *many, plb(("L6", "REF", "5.00")))
    assert summed(books, 1002) == ["1 1001 996.00 -5.00 1001.00 0.00 0.00 5.00 3003.00 1001.00"]
    assert summed(books, 1000) == ["1 1001 996.00 0.00 1000.00 0.00 -4.00 0.00 3000.00 1000.00"]
    assert summed(books, 499) == ["1 1001 996.00 0.00 250.00 0.00 746.00 0.00 750.00 250.00"]
    assert summed(books, 249) == summed(books, 0) == []


def test_what_posts_nothing_is_known_from_the_entry_before(books: Ledger) -> None:
    """What comes while entry 3 is the last one is known at it; after the next one nothing more is."""
    assert summed(books, 3) == []
    mailed(books, *WRONG)
    quarantined = "1 1 90.00 0.00 0.00 90.00 0.00 0.00 0.00 0.00"
    assert summed(books, 3) == [quarantined]
    mailed(books, "100.00", "T1", full("C1"))
    assert summed(books, 3) == [quarantined]
    assert summed(books, 2) == []
    assert summed(books, 4) == ["2 2 190.00 100.00 0.00 90.00 0.00 0.00 150.00 100.00"]


def test_the_command_asks_so_too(called: Called, books: Ledger, tmp_path: Path) -> None:
    mailed(books, "100.00", "T1", full("C1"))
    lives.denied(books, "C2")
    for name in ("remittance-summary", "automatic-rate", "denials-by-code"):
        rows = []
        for number in ("3", "4"):
            path = tmp_path / f"{name}-{number}.csv"
            about = ("--book", books.book, "--as-of", FAR, "--as-known-at", number)
            written = ("--format", "csv", "--output", str(path))
            assert not called("report", name, *about, *written, database_url=books.url)[0]
            rows.append(path.read_text().count("AETNA"))
        assert rows == [0, 1]


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"as_known_at_number": 99}, "NUMBER_BEYOND_HEAD"),
        ({"as_known_at_number": -1}, "NUMBER_INVALID"),
        ({"as_known_at_time": at(datetime.now(UTC) + timedelta(days=1))}, "TIME_IN_FUTURE"),
    ],
)
def test_refusals(books: Ledger, known: dict[str, Any], reason: str) -> None:
    about = {"book": books.book, "as_of": FAR, **known}
    calls: tuple[tuple[Any, Any], ...] = (
        (books.reconciliation.GetRemittanceSummary, pb.GetRemittanceSummaryRequest),
        (books.reconciliation.GetAutomaticRate, pb.GetAutomaticRateRequest),
        (books.denials.GetDenialsByCode, dn.GetDenialsByCodeRequest),
    )
    for call, form in calls:
        assert refused(call, form(**about)).reason == reason


# --- what was not kept --------------------------------------------------------------------------------


def test_what_was_not_kept_is_refused_and_not_guessed(old: str) -> None:
    """A remittance was quarantined before there was a history; since when is not known."""
    written = datetime.now(UTC)
    migrate(old)
    with connected(old) as owner:
        kept = owner.execute(
            "SELECT version, state, payer, posted, suspended, settled_claim_count, from_before, known_at"
            " FROM remittance_states"
        ).fetchall()
    since = kept[0][-1]
    assert [row[:-1] for row in kept] == [(1, "quarantined", None, 0, 0, 0, True)]
    told = asyncio.run(_asked(old, (written - timedelta(days=1), written, since, None)))
    nothing, row = [], [1]
    refusal = since.isoformat()
    assert told == [[nothing] * 3, [refusal, refusal, nothing], [row, row, nothing], [row, row, nothing]]


async def _asked(url: str, moments: tuple[datetime | None, ...]) -> list[list[object]]:
    """Of each report how many rows of remittances or claims it has, or since when it is kept what it asks for."""
    database = engine(url)
    try:
        async with reading(database) as connection:
            return [[await _told(connection, one, moment) for one in QUESTIONS] for moment in moments]
    finally:
        await database.dispose()


QUESTIONS = (REMITTANCE_SUMMARY, AUTOMATIC_RATE, DENIALS_BY_CODE)


async def _told(connection: AsyncConnection, question: Question, moment: datetime | None) -> object:
    try:
        known = await recalled(connection, question, "main", KnownAt(time=moment), 0)
    except HistoryNotKept as refusal:
        return refusal.facts["since"]
    found = await ask(connection, question, "main", date(2030, 1, 1), 0, known)
    return [1 for _ in found.rows]


def test_the_check_finds_a_remittance_that_was_changed_by_hand(books: Ledger) -> None:
    mailed(books, *WRONG)
    with psycopg.connect(books.url.replace("+psycopg", ""), autocommit=True) as owner:
        changing = "UPDATE remittances SET payer = %s WHERE book = %s"
        owner.execute(changing, ["CIGNA", books.book])
        assert {one.partition(":")[0] for one in books.wrong()} == {"remittance_as_its_history_says"}
        owner.execute(changing, ["AETNA", books.book])
