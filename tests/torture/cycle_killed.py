"""A pay cycle is posted: the server is killed at a random moment, and whoever runs it again pays nobody twice."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import grpc

from ledger.database import engine, recording
from ledger.money import Amount
from ledger.pay_cycles.payee import AccountType, BankAccount, Holder, Payee
from ledger.pay_cycles.payees import Payees
from ledger.pay_cycles.running import PART
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
from torture.books import Verdict, at_rest, sound
from torture.clients import BOOK, channel, open_book
from torture.fault import Outcome, Place
from torture.processes import Served, connected

FORTNIGHT = timedelta(days=14)
FIRST = date(2026, 1, 9)
_WITHIN_A_PART = 0.05
"""Seconds, about as long as a part takes, after which the server dies at the latest once a part is posted."""
_POSTED = "SELECT count(*) FROM pay_cycle_results WHERE book = %(book)s AND cycle = %(cycle)s"
# Sessions, those that a cycle counted, payments as results and as entries, their money and that of the sessions.
_STATE = """
    SELECT
        (SELECT count(*) FROM entries WHERE book = %(book)s AND kind = 'session_earned'),
        (SELECT count(*) FROM pay_cycle_items WHERE book = %(book)s AND kind = 'session'),
        (SELECT count(*) FROM pay_cycle_results WHERE book = %(book)s AND outcome = 'paid'),
        (SELECT count(*) FROM entries WHERE book = %(book)s AND kind = 'provider_paid'),
        (SELECT coalesce(sum(amount), 0) FROM pay_cycle_results WHERE book = %(book)s),
        (SELECT coalesce(sum(credits), 0) FROM balances WHERE book = %(book)s AND account LIKE
        'Liabilities:Payable:%%'), (SELECT count(*) FROM pay_cycle_results WHERE book = %(book)s AND cycle =
        %(cycle)s)
"""


class CycleKilled:
    """Some of a cycle is posted when the server dies; each session is counted once and each provider paid once."""

    name = "pay cycle posted: server killed (`kill -9`)"

    def __init__(self, place: Place) -> None:
        """Nothing is started yet."""
        self._place = place
        self._server = Served(place.urls.server, place.folder)
        self._cut_off = FIRST
        self._sessions = 0
        self._cents = 0
        self._found: Counter[str] = Counter()
        self._met: Counter[str] = Counter()
        self._wrong: list[str] = []

    async def prepare(self) -> None:
        """A server with a book that has a calendar and payees; one cycle is paid undisturbed."""
        await asyncio.to_thread(self._server.start)
        await open_book(self._server.address)
        await self._payees_set()
        async with channel(self._server.address) as opened:
            calendar = pb.PayCalendar(every_days=14, first_cut_off=FIRST.isoformat())
            asked = pb.SetPayCalendarRequest(book=BOOK, calendar=calendar, reason="torture")
            await PayCyclesServiceStub(opened).SetPayCalendar(asked)
        await self._earned()
        await self._approved()
        await self._run_until_told()
        self._see_paid_once()

    async def disturb(self) -> None:
        """The next cycle is broken off at a random moment of its posting, looked at, and run again."""
        self._cut_off += FORTNIGHT
        await self._earned()
        await self._approved()
        running = asyncio.create_task(self._run())
        await asyncio.to_thread(self._await_parts, self._place.lots.randint(1, self._parts - 1), running.done)
        await asyncio.sleep(self._place.lots.random() * _WITHIN_A_PART)
        await asyncio.to_thread(self._server.kill)
        told = await running
        await asyncio.to_thread(self._look, told)
        await asyncio.to_thread(self._server.start)
        await self._run_until_told()
        await asyncio.to_thread(self._see_paid_once)

    async def check(self, tried: int) -> Outcome:
        """Every session is counted once, and the money paid is what they earned."""
        row = await asyncio.to_thread(self._state)
        verdict = Verdict(acknowledged=self._sessions, wrong=[*self._wrong])
        verdict.lost = max(0, self._sessions - row[1])
        verdict.twice = max(0, row[1] - self._sessions) + abs(row[3] - row[2])
        verdict.wrong += await asyncio.to_thread(sound, self._place.url)
        left = ", ".join(f"{count} {state}" for state, count in self._found.most_common())
        return Outcome(tried, verdict, self._met, [f"what was left where it was broken off: {left}"])

    async def close(self) -> None:
        """Ends the server."""
        self._server.close()

    # --- the cycle ---

    async def _payees_set(self) -> None:
        """Bank details of all providers, in one go: they are not what is tried here."""
        database, keys = engine(self._place.urls.server), Payees(Sealing())
        account = BankAccount("021000021", "123456789", "USD")
        about: dict[str, Any] = {
            "currency": "USD",
            "last_four": account.last_four,
            "company_id": "",
            "bank_name": "",
        }
        about |= {
            "reason": "torture",
            "set_by": "torture",
            "version": 1,
            "set_at": datetime(2026, 1, 1, tzinfo=UTC),
        }
        try:
            async with recording(database) as connection:
                for n in range(self._place.large):
                    payee = Payee(f"P-{n}", f"P {n}", Holder.PERSON, AccountType.CHECKING, **about)
                    await keys.insert(connection, BOOK, payee, account)
        finally:
            await database.dispose()

    async def _earned(self) -> None:
        """A session or two of each provider before the cut-off."""
        lots, database = self._place.lots, engine(self._place.urls.server)
        providers = [provider for provider in range(self._place.large) for _ in range(lots.randint(1, 2))]
        requests = [self._session(f"P-{provider}", lots.randint(5_000, 15_000)) for provider in providers]
        try:
            for start in range(0, len(requests), 1_000):
                async with journal.posting(database, BOOK) as (connection, head):
                    await journal.post(connection, head, [Submission(requests[start : start + 1_000])])
        finally:
            await database.dispose()

    def _session(self, provider: str, cents: int) -> Request:
        self._sessions, self._cents = self._sessions + 1, self._cents + cents
        name = f"S{self._sessions}"
        about = Dimensions("HARBOR", provider, name, name, service_date=self._cut_off)
        amounts = Amount(cents + 500, "USD"), Amount(0, "USD"), Amount(cents, "USD")
        earned = session_earned(Session("HARBOR", provider, name, *amounts, about), self._cut_off)
        return Request("torture", name, Post(earned))

    async def _approved(self) -> None:
        running = pb.RunPayCycleRequest(book=BOOK, cut_off=self._cut_off.isoformat())
        act = ap.Act(run_pay_cycle=running)
        key = f"cycle {self._cut_off}"
        asked = ap.ProposeRequest(book=BOOK, idempotency_key=key, reason="torture", act=act)
        async with channel(self._server.address) as opened:
            approvals = ApprovalsServiceStub(opened)
            made = (await approvals.Propose(asked, metadata=(("ledger-actor", "mia"),))).proposal
            about = {"book": BOOK, "number": made.number, "content_hash": made.content_hash, "reason": "seen"}
            await approvals.Approve(ap.ApproveRequest(**about), metadata=(("ledger-actor", "abe"),))

    async def _run(self) -> str:
        """Posts what is left of the cycle; the code with which it failed, an empty word where it did not."""
        async with channel(self._server.address) as opened:
            asked = pb.RunPayCycleRequest(book=BOOK, cut_off=self._cut_off.isoformat())
            try:
                await PayCyclesServiceStub(opened).RunPayCycle(asked)
            except grpc.aio.AioRpcError as error:
                self._met[error.code().name] += 1
                return error.code().name
        return ""

    async def _run_until_told(self) -> None:
        while told := await self._run():
            if told != "UNAVAILABLE":
                raise AssertionError(f"the cycle of {self._cut_off} was answered {told}")
            await asyncio.sleep(0.05)

    @property
    def _parts(self) -> int:
        """In how many database transactions a cycle is posted."""
        return -(-self._place.large // PART)

    def _await_parts(self, parts: int, done: Callable[[], bool]) -> None:
        """Returns once so many parts of the cycle are posted, or its run has ended."""
        with connected(self._place.url) as connection:
            while not done():
                [posted] = connection.execute(_POSTED, {"book": BOOK, "cycle": self._cut_off}).fetchone() or [0]
                if posted >= parts * PART:
                    return
                time.sleep(0.001)

    # --- what is there ---

    def _state(self) -> tuple[int, ...]:
        with connected(self._place.url) as connection:
            row = connection.execute(_STATE, {"book": BOOK, "cycle": self._cut_off}).fetchone()
        assert row is not None
        return tuple(map(int, row))

    def _look(self, told: str) -> None:
        """What the killed server left behind: whole parts, each with its payments and its sessions, or nothing."""
        at_rest(self._place.url)
        _, _, results, entries, *_, posted = self._state()
        large = self._place.large
        if results != entries or (posted % PART and posted != large):
            self._wrong.append(
                f"the cycle of {self._cut_off} is posted in part: {posted} lines, {entries} entries"
            )
        if not told and posted != large:
            self._wrong.append(f"the cycle of {self._cut_off} was answered as posted, with {posted} lines")
        self._found["none of it" if not posted else "all of it" if posted == large else "some of it"] += 1

    def _see_paid_once(self) -> None:
        earned, counted, results, entries, paid, payable, posted = self._state()
        expected = (self._sessions, self._sessions, results, self._cents, self._cents, self._place.large)
        found = (earned, counted, entries, paid, payable, posted)
        if found != expected:
            self._wrong.append(f"after the cycle of {self._cut_off} there should be {expected}, and is {found}")
