"""`make bench-pay-cycle`: a cycle of 10,000 providers and 200,000 sessions, from preview to payment file."""

import argparse
import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import grpc
import psycopg

from benchmarks import page
from benchmarks.processes import LEDGER, BenchFailed, Family, postgres, serving
from benchmarks.targets import judged
from ledger.accounts.servicer import open_book
from ledger.database import engine, recording
from ledger.money import Amount
from ledger.pay_cycles.payee import COMPANY, AccountType, BankAccount, Holder, Payee
from ledger.pay_cycles.payees import Payees
from ledger.postings import journal
from ledger.postings.batch import Request, Submission
from ledger.postings.commands import Post
from ledger.postings.entry import Dimensions
from ledger.postings.rules import Session, session_earned
from ledger.sealing import Sealing
from ledger.v1 import approvals_pb2 as ap
from ledger.v1 import pay_cycles_pb2 as pb
from ledger.v1.approvals_pb2_grpc import ApprovalsServiceStub
from ledger.v1.pay_cycles_pb2_grpc import PayCyclesServiceStub

BOOK, CUT_OFF = "pay", "2026-04-15"
_FIRST_DAY = date(2026, 4, 1)
_SET_AT = datetime(2026, 4, 1, tzinfo=UTC)
_BATCH = 1_000
_PATIENCE_SECONDS = 600
_CENTS = 10_500
_ROUTING = "021000021"
STEPS = {
    "preview": 10.0,
    "propose": None,
    "approve": None,
    "post": 30.0,
    "post again": None,
    "NACHA file": None,
    "CSV file": None,
    "mark as sent": None,
    "mark as settled": None,
    "a page of lines": None,
    "a provider's statement": None,
}
"""What is measured, and the seconds that it may take."""


@dataclass(frozen=True, slots=True)
class Size:
    """How many are paid, and for how many sessions."""

    providers: int = 10_000
    sessions: int = 200_000

    @property
    def total(self) -> int:
        """What all sessions earn, in cents."""
        return sum(_CENTS + n % 97 for n in range(self.sessions))


@dataclass
class Found:
    """What each step took, in seconds by the clock and in seconds of CPU of the server and of PostgreSQL."""

    seconds: dict[str, float] = field(default_factory=dict)
    server: dict[str, float] = field(default_factory=dict)
    postgres: dict[str, float] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    cycle: pb.PayCycle = field(default_factory=pb.PayCycle)


def run(asked: argparse.Namespace, how: str) -> list[str]:
    """Pays a cycle; returns the lines of the page."""
    size = Size(20, 200) if asked.quick else Size()
    with folder_of(asked.folder) as folder, postgres(folder) as (urls, family):
        with page.watched([Family(os.getpid()), family]) as machine:
            asyncio.run(filled(urls.owner, size))
            with serving(LEDGER, urls.server, folder) as (address, server):
                found = paid(address, size, server, family)
        with psycopg.connect(urls.owner.replace("+psycopg", "", 1)) as owner:
            about = page.described(owner, folder, machine, how)
        for name, content in found.files.items():
            (folder / name).write_bytes(content)
    return [*about, "", f"{size.providers:,} providers, {size.sessions:,} sessions.", "", *_tables(found)]


@contextmanager
def folder_of(given: Path | None) -> Iterator[Path]:
    """Where the database lies: the folder that was given, or one that is gone afterwards."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
    else:
        with tempfile.TemporaryDirectory(prefix="session-ledger-bench-") as name:
            yield Path(name)


def _tables(found: Found) -> list[str]:
    goals = [
        judged(f"{step} by the clock", most, found.seconds[step], at_most=True, unit="s")
        for step, most in STEPS.items()
        if most is not None
    ]
    rows = [
        [step, *(f"{of[step]:,.2f}" for of in (found.seconds, found.server, found.postgres))] for step in STEPS
    ]
    headings = ("seconds", "by the clock", "CPU of the server", "CPU of PostgreSQL")
    return [*page.verdicts(goals), "", *page.table(headings, rows)]


# --- the book -----------------------------------------------------------------------------------------


async def filled(url: str, size: Size) -> None:
    """A book in which the sessions were earned, and every provider has bank details."""
    database = engine(url)
    try:
        await open_book(database, BOOK, "Example Care PC", "bench")
        for start in range(0, size.sessions, _BATCH):
            some = range(start, min(start + _BATCH, size.sessions))
            async with journal.posting(database, BOOK) as (connection, head):
                submission = Submission([_earned(n, size.providers) for n in some])
                await journal.post(connection, head, [submission])
        async with recording(database) as connection:
            keys = Payees(Sealing())
            for one in (COMPANY, *(f"PT-{n:05}" for n in range(size.providers))):
                await keys.insert(connection, BOOK, *_bank_details(one))
    finally:
        await database.dispose()


def _earned(n: int, providers: int) -> Request:
    day, cents = _FIRST_DAY + timedelta(days=n % 15), _CENTS + n % 97
    about = Dimensions(
        "HARBOR", f"PT-{n % providers:05}", f"C{n}", f"S{n}", service_code="90837", service_date=day
    )
    amounts = Amount(cents + 1_000, "USD"), Amount(0, "USD"), Amount(cents, "USD")
    session = Session("HARBOR", f"PT-{n % providers:05}", f"C{n}", *amounts, about)
    return Request("bench", f"S{n}", Post(session_earned(session, day)))


def _bank_details(provider: str) -> tuple[Payee, BankAccount]:
    own = provider == COMPANY
    account = BankAccount(_ROUTING, f"{int.from_bytes(provider.encode()) % 10**12:012}", "USD")
    payee = Payee(
        provider=provider,
        name="Example Care PC" if own else f"{provider} Example",
        holder=Holder.COMPANY if own or provider.endswith("7") else Holder.PERSON,
        account_type=AccountType.CHECKING,
        currency="USD",
        last_four=account.last_four,
        company_id="1234567890" if own else "",
        bank_name="First Example Bank" if own else "",
        reason="bench",
        set_by="bench",
        version=1,
        set_at=_SET_AT,
    )
    return payee, account


# --- the cycle ----------------------------------------------------------------------------------------


def paid(address: str, size: Size, server: Family, database: Family) -> Found:
    """Takes the cycle through all its steps, each timed. Raises BenchFailed where it is not paid as it must be."""
    found = Found()
    with grpc.insecure_channel(address) as channel:
        cycles, approvals = PayCyclesServiceStub(channel), ApprovalsServiceStub(channel)
        _calendar(cycles)

        def step(name: str, call: Callable[[], Any]) -> Any:
            began, before = perf_counter(), (server.cpu_seconds(), database.cpu_seconds())
            answer = call()
            found.seconds[name] = perf_counter() - began
            found.server[name] = server.cpu_seconds() - before[0]
            found.postgres[name] = database.cpu_seconds() - before[1]
            return answer

        _steps(step, cycles, approvals, found)
    _refuse_wrong(found, size)
    return found


def _calendar(cycles: PayCyclesServiceStub) -> None:
    calendar = pb.PayCalendar(days_of_month=[15, 31], first_cut_off="2026-01-15", days_to_payment=5)
    cycles.SetPayCalendar(pb.SetPayCalendarRequest(book=BOOK, calendar=calendar, reason="bench"))


def _steps(
    step: Callable[[str, Callable[[], Any]], Any],
    cycles: PayCyclesServiceStub,
    approvals: ApprovalsServiceStub,
    found: Found,
) -> None:
    running = pb.RunPayCycleRequest(book=BOOK, cut_off=CUT_OFF)
    previewed = pb.RunPayCycleRequest(book=BOOK, cut_off=CUT_OFF, validate_only=True)
    step("preview", lambda: cycles.RunPayCycle(previewed, timeout=_PATIENCE_SECONDS))
    act = ap.Act(run_pay_cycle=running)
    proposing = ap.ProposeRequest(book=BOOK, idempotency_key="cycle", reason="bench", act=act)
    made = step("propose", lambda: approvals.Propose(proposing, metadata=_by("mia"))).proposal
    about = {"book": BOOK, "number": made.number, "content_hash": made.content_hash, "reason": "seen"}
    step("approve", lambda: approvals.Approve(ap.ApproveRequest(**about), metadata=_by("abe")))
    found.cycle = step("post", lambda: cycles.RunPayCycle(running, timeout=_PATIENCE_SECONDS)).cycle
    step("post again", lambda: cycles.RunPayCycle(running, timeout=_PATIENCE_SECONDS))
    for form, name in ((pb.PAYMENT_FILE_FORMAT_NACHA, "NACHA file"), (pb.PAYMENT_FILE_FORMAT_CSV, "CSV file")):
        asked = pb.GetPaymentFileRequest(book=BOOK, cycle=CUT_OFF, format=form, reason="bench")
        parts = step(name, lambda asked=asked: [*cycles.GetPaymentFile(asked)])  # type: ignore[misc]
        found.files[name] = b"".join(part.chunk for part in parts)
    marked = {"book": BOOK, "cycle": CUT_OFF, "day": "2026-04-20", "reason": "bench"}
    step("mark as sent", lambda: cycles.MarkSent(pb.MarkSentRequest(**marked)))
    step("mark as settled", lambda: cycles.MarkSettled(pb.MarkSettledRequest(**marked)))
    page_ = pb.GetPayCycleRequest(book=BOOK, cycle=CUT_OFF, page_size=100)
    step("a page of lines", lambda: cycles.GetPayCycle(page_))
    of = pb.GetProviderStatementRequest(book=BOOK, cycle=CUT_OFF, provider="PT-00007")
    step("a provider's statement", lambda: cycles.GetProviderStatement(of))


def _by(name: str) -> tuple[tuple[str, str | bytes], ...]:
    return (("ledger-actor", name),)


def _refuse_wrong(found: Found, size: Size) -> None:
    """All are paid, once, to the cent."""
    [total] = found.cycle.totals
    told = (found.cycle.session_count, total.payment_count, total.paid.minor_units)
    expected = (size.sessions, min(size.providers, size.sessions), size.total)
    if told != expected:
        raise BenchFailed(f"paid {told} (sessions, payments, cents), not {expected}")
