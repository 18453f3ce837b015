"""Fault 6: the server is killed, or its connection is cut at COMMIT, while it takes in an 835 file."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import grpc

from service.demo.client import Client
from service.demo.mail import JUNE
from service.demo.remittance import Remittance, as_booked, written
from service.demo.world import PAYERS, SPRING, Claim, Session
from torture.books import Verdict, at_rest, held, sound
from torture.clients import BOOK, channel
from torture.fault import BehindProxy, Outcome, Place
from torture.processes import PATIENCE_SECONDS, connected, ledger
from torture.proxy import Cut

PAYER = PAYERS[0]
CHUNK, PORTION = 1_000, 250
_SMALLER = 5
_STATE = """
    SELECT r.state, r.claim_count, r.settled_claim_count, r.paid, r.posted + r.suspended,
        (SELECT count(*) FROM claim_payments AS c WHERE c.book = r.book AND c.remittance = r.id),
        (SELECT coalesce(sum(c.paid), 0) FROM claim_payments AS c WHERE c.book = r.book AND c.remittance = r.id),
        (SELECT count(*) FROM entries AS e WHERE e.book = r.book AND e.remittance = CAST(r.id AS text))
    FROM remittances AS r WHERE r.book = %s AND r.trace = %s
"""
_KEPT = "SELECT count(*) FROM deliveries WHERE book = %s AND file_name = %s"
_IN_STATE = "SELECT count(*) FROM remittances WHERE book = %s AND trace = %s AND state = ANY(%s)"
_BALANCES = """
    SELECT split_part(account, ':', 2), sum(debits - credits) FROM balances
    WHERE book = %s AND account SIMILAR TO 'Assets:(Receivable:Insurer|RemittanceClearing):%%'
    GROUP BY 1
"""


@dataclass(frozen=True)
class Mail:
    """One file of one remittance, whose claims are in the books."""

    trace: str
    claims: int
    paid: int
    content: bytes

    @property
    def name(self) -> str:
        """The name of the file."""
        return f"{self.trace}.835"


class Ingested(BehindProxy):
    """A delivery is broken off at a random moment; what is settled is settled wholly, and never twice."""

    name = "835 file taken in: server killed, or cut at COMMIT"

    def __init__(self, place: Place) -> None:
        """Nothing is started yet."""
        super().__init__(place)
        self._usual_seconds = 0.0
        self._mail: list[Mail] = []
        self._found: Counter[str] = Counter()
        self._met: Counter[str] = Counter()
        self._wrong: list[str] = []

    async def prepare(self) -> None:
        """A server with a book that knows the payer; a file goes in undisturbed, to see how long it takes."""
        await super().prepare()
        mail = await self._earned(self._place.large // _SMALLER)
        async with channel(self.server.address) as opened:
            await Client(opened, BOOK).identify(PAYER.code, PAYER.identifier)
            began = time.monotonic()
            await Client(opened, BOOK).deliver(mail.name, mail.content)
            self._usual_seconds = (time.monotonic() - began) * _SMALLER
        await self._see_settled_once(mail)

    async def disturb(self) -> None:
        """Two files are broken off: one of two chunks, one of one chunk."""
        for count in (self._place.large, self._place.large // _SMALLER):
            mail = await self._earned(count)
            share = count / self._place.large
            if self._place.lots.random() < 0.3:
                await self._cut_at_commit(mail)
            else:
                await self._killed(mail, self._place.lots.random() * self._usual_seconds * share)
            await self._see_settled_once(mail)

    async def _earned(self, count: int) -> Mail:
        """Records the sessions of so many new claims; returns the file that pays them as they are booked."""
        lots, trace = self._place.lots, f"T-{len(self._mail)}"
        claims = [claim(f"{trace}-{n}", lots.randint(5_000, 15_000)) for n in range(count)]
        async with channel(self.server.address) as opened:
            await Client(opened, BOOK).record([claim.sessions[0] for claim in claims])
        answers = tuple(as_booked(claim, f"N-{claim.name}") for claim in claims)
        remittance = Remittance(PAYER, trace, JUNE, answers)
        self._mail.append(Mail(trace, count, remittance.paid, written([remittance], len(self._mail) + 1)))
        return self._mail[-1]

    async def _killed(self, mail: Mail, after: float) -> None:
        async with channel(self.server.address) as opened:
            delivering = asyncio.create_task(self._deliver(opened, mail))
            if mail.claims > CHUNK and self._place.lots.random() < 0.5:  # between its chunks, or soon after
                await asyncio.to_thread(self._wait_until, mail, "settling", "settled")
                after *= 0.1
            await asyncio.sleep(after)
            await asyncio.to_thread(self.server.kill)
            told = await delivering
        state = await asyncio.to_thread(self._left, mail, told)
        await asyncio.to_thread(self.server.start)
        if state != "nothing kept" and self._place.lots.random() < 0.5:  # the start alone must finish it
            await asyncio.to_thread(self._wait_until, mail, "settled")
        else:
            await self._deliver_until_told(mail)

    async def _cut_at_commit(self, mail: Mail) -> None:
        """One of the delivery's commits is cut; the same file comes again."""
        where = self._place.lots.choice((Cut.BEFORE_COMMIT, Cut.AFTER_COMMIT, Cut.WHILE_COMMITTING))
        self._proxy.arm(where, self._place.lots.randint(0, 3))
        async with channel(self.server.address) as opened:
            told = await self._deliver(opened, mail)
        self._found["cut at COMMIT" if self._proxy.armed is None else "not cut"] += 1
        self._proxy.armed = None
        if told not in ("", "UNAVAILABLE"):
            self._wrong.append(f"{mail.name}, cut {where.value}, was answered {told}")
        await self._deliver_until_told(mail)

    async def _deliver(self, opened: grpc.aio.Channel, mail: Mail) -> str:
        """Delivers a file; returns the code with which it failed, an empty word where it did not."""
        try:
            await Client(opened, BOOK).deliver(mail.name, mail.content)
        except grpc.aio.AioRpcError as error:
            self._met[error.code().name] += 1
            return error.code().name
        return ""

    async def _deliver_until_told(self, mail: Mail) -> None:
        async with channel(self.server.address) as opened:
            while told := await self._deliver(opened, mail):
                if told != "UNAVAILABLE":
                    raise AssertionError(f"{mail.name} was answered {told}")
                await asyncio.sleep(0.05)

    def _left(self, mail: Mail, told: str) -> str:
        """What the killed server left behind, once its connections are gone: all of a chunk, or nothing."""
        at_rest(self._place.url)
        with connected(self._place.url) as connection:
            row = connection.execute(_STATE, [BOOK, mail.trace]).fetchone()
            kept = _one(connection, _KEPT, BOOK, mail.name)
        if row is None:
            state = "kept, nothing settled" if kept else "nothing kept"
        else:
            state = str(row[0])
            self._judge(mail, row)
        if not told and state != "settled":
            self._wrong.append(f"{mail.name} was answered as settled, and is: {state}")
        self._found[state] += 1
        return state

    def _judge(self, mail: Mail, row: Any) -> None:
        state, claims, settled, paid, money, payments, paid_for_claims, entries = row
        wholly = settled == claims if state == "settled" else settled % PORTION == 0
        if not wholly or (payments, entries) != (settled, settled) or money != paid_for_claims:
            self._wrong.append(f"{mail.name} is {state} in part: {row}")
        if state == "settling" and mail.claims <= CHUNK:
            self._wrong.append(f"{mail.name} is settling, and is not large")
        if state == "settled" and money != paid:
            self._wrong.append(f"{mail.name} is settled with {money} of {paid}")

    def _wait_until(self, mail: Mail, *states: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        with connected(self._place.url) as connection:
            while not _one(connection, _IN_STATE, BOOK, mail.trace, [*states]):
                if time.monotonic() > deadline:
                    raise AssertionError(f"{mail.name} was never {states[0]}:\n{self.server.last_lines()}")
                time.sleep(0.002)

    async def _see_settled_once(self, mail: Mail) -> None:
        """It is settled wholly; and where it comes again, nothing is posted."""
        before = await asyncio.to_thread(self._row, mail)
        await self._deliver_until_told(mail)
        after = await asyncio.to_thread(self._row, mail)
        expected = ("settled", mail.claims, mail.claims, mail.paid, mail.paid, mail.claims, mail.paid, mail.claims)
        for row in (before, after):
            if row != expected:
                self._wrong.append(f"{mail.name} should be {expected}, and is {row}")

    def _row(self, mail: Mail) -> Any:
        with connected(self._place.url) as connection:
            return connection.execute(_STATE, [BOOK, mail.trace]).fetchone()

    async def check(self, tried: int) -> Outcome:
        """Each claim is earned once and paid once; the money received ties."""
        tried = len(self._mail) - 1
        found = ", ".join(f"{count} {state}" for state, count in self._found.most_common())
        verdict = await asyncio.to_thread(self._verdict)
        return Outcome(tried, verdict, self._met, [f"what was left where it was broken off: {found}"])

    def _verdict(self) -> Verdict:
        there = Counter(one[2] for one in held(self._place.url))
        claims = sum(mail.claims for mail in self._mail)
        verdict = Verdict(acknowledged=2 * claims, wrong=[*self._wrong])
        for kind in ("session_earned", "claim_paid"):
            verdict.lost += max(0, claims - there[kind])
            verdict.twice += max(0, there[kind] - claims)
        if sum(there.values()) != 2 * claims:
            verdict.wrong.append(f"there should be {claims} of each kind, and there are {dict(there)}")
        with connected(self._place.url) as connection:
            money = dict(connection.execute(_BALANCES, [BOOK]).fetchall())
        if money != {"Receivable": 0, "RemittanceClearing": sum(mail.paid for mail in self._mail)}:
            verdict.wrong.append(f"the money does not add up: {money}")
        received = ledger(self._place.url, "report", "received", "--book", BOOK)
        if received.returncode != 0:
            verdict.wrong.append(f"ledger report received: {received.stdout}{received.stderr}")
        verdict.wrong += sound(self._place.url)
        return verdict


def _one(connection: Any, question: str, *asked: Any) -> int:
    """The number that a question is answered with."""
    return int(connection.execute(question, asked).fetchone()[0])


def claim(name: str, allowed: int) -> Claim:
    """A claim of one session without a patient's share."""
    session = Session(
        name=f"S-{name}",
        claim=f"C-{name}",
        payer=PAYER.code,
        provider="PT-01",
        plan="HMO",
        service_code="90834",
        licence_type="LCSW",
        state="CA",
        day=SPRING,
        charge=allowed + 7_000,
        allowed=allowed,
        patient_share=0,
        provider_rate=allowed - 500,
    )
    return Claim(session.claim, PAYER.code, (session,))
