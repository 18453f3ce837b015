"""`make bench-reports`: what each report reads of a book of 200,000 sessions, paid to providers and by payers."""

import argparse
import asyncio
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files
from itertools import islice
from typing import Any

import psycopg
from msgspec import structs

from benchmarks import page
from benchmarks.pay_cycle import folder_of
from benchmarks.processes import Family, postgres
from ledger.accounts import chart
from ledger.accounts.servicer import open_book
from ledger.accounts.store import ALL_RECORDED
from ledger.database import engine
from ledger.money import Amount
from ledger.postings import journal
from ledger.postings.batch import Request, Submission
from ledger.postings.commands import Post
from ledger.postings.entry import Dimensions, JournalEntry, Kind, credit, debit
from ledger.postings.rules import Session, provider_paid, session_earned
from ledger.reports import financial, report
from ledger.reports.report import Question
from service.postgres import Urls

BOOK = "reports"
_FIRST, _DAYS, _LAG = date(2026, 1, 1), 180, 60
_BATCH = 1_000
_PAYERS, _PROVIDERS, _STATES = 20, 1_000, ("NV", "CA", "TX")
_AS_OF = "2026-09-30"
QUESTIONS = (
    *report.QUESTIONS,
    *(financial.RECEIVABLES_ROLLFORWARD, financial.LAG_TRIANGLE, financial.PAYER_LAG),
    *(financial.ADVANCE_EXPOSURE, financial.BALANCE_SHEET, financial.INCOME_STATEMENT),
)
"""Those that read postings, and are answered whole."""


@dataclass(frozen=True, slots=True)
class Read:
    """What one report cost: pages of PostgreSQL, rows that it looked at, milliseconds."""

    name: str
    rows: int
    pages: int
    spilled: int
    looked_at: int
    milliseconds: float


def run(asked: argparse.Namespace, how: str) -> list[str]:
    """Fills a book and asks every report of it; returns the lines of the page."""
    sessions = 2_000 if asked.quick else 200_000
    with folder_of(asked.folder) as folder, postgres(folder) as (urls, family):
        with page.watched([Family(os.getpid()), family]) as machine:
            asyncio.run(filled(urls.owner, sessions))
            with _owner(urls) as owner:
                owner.execute("ANALYZE")  # as autovacuum would have done by then
                postings = _count(owner)
                found = [_read(owner, question) for question in QUESTIONS]
        with _owner(urls) as owner:
            about = page.described(owner, folder, machine, how)
    size = f"{sessions:,} sessions, {postings:,} postings. A page is 8 KiB; spilled: pages written and read back."
    return [*about, "", size, "", *_table(found, postings)]


def _owner(urls: Urls) -> psycopg.Connection[Any]:
    return psycopg.connect(urls.owner.replace("+psycopg", "", 1), autocommit=True)


def _table(found: list[Read], postings: int) -> list[str]:
    headings = ("report", "rows", "pages", "spilled", "rows looked at a posting", "milliseconds")
    rows = [
        [
            one.name,
            *(f"{count:,}" for count in (one.rows, one.pages, one.spilled)),
            f"{one.looked_at / postings:.2f}",
            f"{one.milliseconds:,.0f}",
        ]
        for one in found
    ]
    return page.table(headings, rows)


# --- the book -----------------------------------------------------------------------------------------


async def filled(url: str, sessions: int) -> None:
    """A book of half a year: providers paid twice a month, payers two months after the session."""
    database = engine(url)
    try:
        await open_book(database, BOOK, "Example Care PC", "bench")
        made = _requests(sessions)
        while some := [*islice(made, _BATCH)]:
            async with journal.posting(database, BOOK) as (connection, head):
                await journal.post(connection, head, [Submission(some)])
    finally:
        await database.dispose()


def _requests(sessions: int) -> Iterator[Request]:
    """All that happens, day by day."""
    due: Counter[str] = Counter()
    a_day = max(1, sessions // _DAYS)
    for day in range(_DAYS + _LAG):
        on = _FIRST + timedelta(days=day)
        for n in range(day * a_day, (day + 1) * a_day) if day < _DAYS else ():
            due[_about(n).provider or ""] += 10_500
            yield Request("bench", f"S{n}", Post(session_earned(_session(n, on), on)))
        if day % 15 == 14:
            for provider, cents in due.items():
                paid = provider_paid(provider, _usd(cents), on, None, in_transit=False)
                yield Request("bench", f"P{provider} {day}", Post(paid))
            due.clear()
        for n in range((day - _LAG) * a_day, (day - _LAG + 1) * a_day) if day >= _LAG else ():
            if entry := _answer(n, on):
                yield Request("bench", f"A{n}", Post(entry))


def _about(n: int) -> Dimensions:
    return Dimensions(
        payer=f"PAYER-{n % _PAYERS:02}",
        provider=f"PT-{n % _PROVIDERS:04}",
        claim=f"C{n}",
        session=f"S{n}",
        plan=f"PLAN-{n % 5}",
        state=_STATES[n % len(_STATES)],
    )


def _session(n: int, on: date) -> Session:
    about = structs.replace(_about(n), service_date=on)
    amounts = _usd(12_000), _usd(2_000), _usd(10_500)
    return Session(about.payer or "", about.provider or "", about.claim or "", *amounts, about)


def _answer(n: int, on: date) -> JournalEntry | None:
    """What the payer does: of a hundred claims it pays 85, 5 less than was booked, refuses 5 and forgets 5."""
    about, claim = _about(n), f"C{n}"
    receivable, clearing = chart.receivable(about.payer or ""), chart.clearing(about.payer or "", f"T{on}")
    match n // _PAYERS % 20:
        case 0:
            return None
        case 1:
            lost = debit(chart.DENIALS_ABSORBED, _usd(10_000), claim), credit(receivable, _usd(10_000), claim)
            return JournalEntry(Kind.DENIAL_ABSORBED, on, lost, dimensions=about)
        case 2:
            less = debit(chart.CONTRACTUAL_ADJUSTMENTS, _usd(1_000), claim)
            came = debit(clearing, _usd(9_000)), less, credit(receivable, _usd(10_000), claim)
            return JournalEntry(Kind.CLAIM_PAID, on, came, dimensions=about)
    whole = debit(clearing, _usd(10_000)), credit(receivable, _usd(10_000), claim)
    return JournalEntry(Kind.CLAIM_PAID, on, whole, dimensions=about)


def _usd(cents: int) -> Amount:
    return Amount(cents, "USD")


# --- the reports --------------------------------------------------------------------------------------


def _read(owner: psycopg.Connection[Any], question: Question) -> Read:
    """Asks as psql would, and has PostgreSQL say what that took."""
    sql = files(question.package).joinpath(f"{question.name.replace('-', '_')}.sql").read_text()
    said = {**question.narrowed, "book": BOOK, "as_of": _AS_OF, "as_known_at": str(ALL_RECORDED)}
    said |= {"effective_from": "2026-06-01"} if question.needs else {}
    for name, value in said.items():
        sql = sql.replace(f":'{name}'", f"'{value}'")
    explained = owner.execute(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {sql}".encode()).fetchone()
    assert explained is not None
    [told] = explained[0]
    plan = told["Plan"]
    return Read(
        question.name,
        rows=int(plan["Actual Rows"]),
        pages=plan["Shared Hit Blocks"] + plan["Shared Read Blocks"],
        spilled=plan["Temp Read Blocks"] + plan["Temp Written Blocks"],
        looked_at=int(sum(map(_looked_at, _nodes(plan)))),
        milliseconds=told["Execution Time"],
    )


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


def _looked_at(node: dict[str, Any]) -> float:
    """Rows of a table that a node has read, whether it kept them or not."""
    if not re.search(r"^(postings|entries)", node.get("Relation Name", "")):
        return 0
    return float((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])


def _count(owner: psycopg.Connection[Any]) -> int:
    counted = owner.execute("SELECT count(*) FROM postings").fetchone()
    assert counted is not None
    return int(counted[0])
