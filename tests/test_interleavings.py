"""Two who meet in a book, in every order of their steps: no order breaks an invariant.

A row of the table is what stood in the book, what each actor does, and how they may end. Others are another row.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import banks
import pytest
from cycles import MONTHLY, payee
from msgspec import structs
from payers import SIGNED, claim, file, remittance
from permuter import Run, Steps, Work, permuter
from serving import cr, dr, entry, payout, session, usd
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import caller
from ledger.accounts.servicer import AccountsServicer, open_book
from ledger.approvals.servicer import ApprovalsServicer
from ledger.audit.integrity import found_by, recomputed
from ledger.database import engine, reading, recording
from ledger.errors import Refusal
from ledger.pay_cycles import running, store
from ledger.pay_cycles.servicer import PayCyclesServicer
from ledger.pay_cycles.store import Cycle
from ledger.periods.servicer import PeriodsServicer
from ledger.postings import journal, messages
from ledger.postings.batch import Head, Posted, Request, Submission
from ledger.postings.commands import Post
from ledger.reads import Reads
from ledger.sealing import Sealing
from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import approvals_pb2 as ap
from ledger.v1 import pay_cycles_pb2 as pc
from ledger.v1 import periods_pb2 as pe
from ledger.v1 import postings_pb2 as po
from reconciliation.bank.cashier import Arrived, Cashier
from reconciliation.bank.deposit import Deposit, Trace
from reconciliation.bank.servicer import BankServicer
from reconciliation.files import IN_THE_OPEN
from reconciliation.ingest import ingest
from reconciliation.v1 import bank_pb2 as bk
from reconciliation.waiting import old_exceptions

DAY = "2026-04-08"
MONTH = "2026-04"
PETTY = "Assets:Petty"
LOCK = text("SELECT FROM accounts WHERE book = :book AND code = :code FOR UPDATE")
OUTCOME = text("SELECT outcome FROM pay_cycle_results WHERE book = :book AND cycle = :cycle")
APRIL, MAY = "2026-04-15", "2026-04-30"
_books = count(1)

# What no order may leave behind, beside what integrity.sql looks for.
BROKEN = text("""
    SELECT 'paid more than was payable: ' || account FROM balances
    WHERE book = :book AND account LIKE 'Liabilities:Payable:%' AND debits > credits
    UNION ALL
    SELECT 'two entries under one key: ' || idempotency_key FROM entries
    WHERE book = :book GROUP BY actor, idempotency_key HAVING count(*) > 1
    UNION ALL
    SELECT 'reversed twice: ' || reverses FROM entries
    WHERE book = :book AND reverses IS NOT NULL GROUP BY reverses HAVING count(*) > 1
    UNION ALL
    SELECT 'posted to a closed account: ' || code FROM accounts AS a
    JOIN postings AS p ON p.book = a.book AND p.account = a.code
    JOIN entries AS e ON e.book = p.book AND e.number = p.entry_number
    WHERE a.book = :book AND e.recorded_at > a.closed_at
    UNION ALL
    SELECT 'a deposit lies beside its remittance: ' || r.trace FROM remittances AS r
    WHERE r.book = :book AND r.applied <> r.paid AND r.paid = (
        SELECT sum(d.amount) FROM deposits AS d JOIN deposit_traces AS t ON t.book = d.book AND t.deposit = d.id
        WHERE d.book = r.book AND t.trace = r.trace
    )
""")


@pytest.fixture(autouse=True)
def somebody() -> Iterator[None]:
    """Who asks, in every actor."""
    token = caller.actor.set("ada")
    yield
    caller.actor.reset(token)


def posting(request: Request) -> Work:
    """Posts one request, as the server does for a batch of one."""

    async def work(database: AsyncEngine, book: str) -> str:
        async with journal.posting(database, book) as (connection, head):
            _, [[outcome]] = await journal.post(connection, head, [Submission([request])])
        return _ended(outcome)

    return work


def deciding_before_the_lock(request: Request) -> Work:
    """Broken on purpose: what is decided from the books is posted later, when they may be others."""

    async def work(database: AsyncEngine, book: str) -> str:
        async with reading(database) as connection:
            [[decided]] = await journal.preview(connection, book, [Submission([request])])
        if isinstance(decided, Refusal):
            return decided.reason
        return await posting(structs.replace(request, command=Post(decided.entry.entry)))(database, book)

    return work


def closing(code: str) -> Work:
    """Closes an account."""

    async def work(database: AsyncEngine, book: str) -> str:
        asked = ac.CloseAccountRequest(book=book, code=code, reason="no longer used")
        await AccountsServicer(database, Reads(database)).CloseAccount(asked, cast("Any", None))
        return "closed"

    return work


def opening(code: str) -> Work:
    """Opens an account."""

    async def work(database: AsyncEngine, book: str) -> str:
        asked = ac.OpenAccountRequest(book=book, code=code, currency_code="USD")
        await AccountsServicer(database, Reads(database)).OpenAccount(asked, cast("Any", None))
        return "opened"

    return work


def proposing() -> Work:
    """Ada proposes to be paid all that is payable to her."""

    async def work(database: AsyncEngine, book: str) -> str:
        act = ap.Act(pay_provider=payout("ada", "100.00", book=book, idempotency_key="proposed"))
        asked = ap.ProposeRequest(book=book, idempotency_key="proposed", reason="pay cycle", act=act)
        await ApprovalsServicer(database).Propose(asked, cast("Any", None))
        return "proposed"

    return work


def deciding(verdict: str, who: str) -> Work:
    """Somebody looks at the proposal, and then approves, declines or withdraws it."""

    async def work(database: AsyncEngine, book: str) -> str:
        caller.actor.set(who)
        servicer, nothing = ApprovalsServicer(database), cast("Any", None)
        seen = (await servicer.GetProposal(ap.GetProposalRequest(book=book, number=1), nothing)).proposal
        about = {"book": book, "number": 1, "reason": "seen"}
        if verdict == "approved":
            asked = ap.ApproveRequest(content_hash=seen.content_hash, **about)
            return "replayed" if (await servicer.Approve(asked, nothing)).replayed else verdict
        if verdict == "declined":
            await servicer.Decline(ap.DeclineRequest(**about), nothing)
        else:
            await servicer.Withdraw(ap.WithdrawRequest(**about), nothing)
        return verdict

    return work


def month_closing(who: str = "ada", *, softly: bool = False) -> Work:
    """Somebody closes April, or soft-closes it."""

    async def work(database: AsyncEngine, book: str) -> str:
        caller.actor.set(who)
        servicer, nothing = PeriodsServicer(database, Reads(database), old_exceptions), cast("Any", None)
        about = {"book": book, "month": MONTH, "reason": "end of month"}
        if softly:
            await servicer.SoftClosePeriod(pe.SoftClosePeriodRequest(**about), nothing)
            return "soft-closed"
        answer = await servicer.ClosePeriod(pe.ClosePeriodRequest(**about), nothing)
        return "replayed" if answer.replayed else "month closed"

    return work


def depositing(amount: str = "100.00", reference: str = "R1") -> Work:
    """The bank's money for the remittance EFT1 comes."""

    async def work(database: AsyncEngine, book: str) -> str:
        asked = bk.RecordDepositRequest(
            book=book,
            account=banks.ACCOUNT,
            effective_date=DAY,
            amount=usd(amount),
            reference=reference,
            traces=[bk.Trace(number="EFT1", payer_identifier=SIGNED)],
        )
        found = await BankServicer(database, Reads(database), IN_THE_OPEN).RecordDeposit(asked, cast("Any", None))
        return "replayed" if found.replayed else "deposited"

    return work


# --- pay cycles ---


def cycles(database: AsyncEngine) -> PayCyclesServicer:
    """The service of pay cycles, as the server has it."""
    return PayCyclesServicer(database, Sealing())


def payable_by_cycle() -> Work:
    """The book has a calendar, and ada can be paid."""

    async def work(database: AsyncEngine, book: str) -> str:
        ledger = cast("Any", SimpleNamespace(book=book))
        nothing = cast("Any", None)
        calendar = pc.SetPayCalendarRequest(book=book, calendar=MONTHLY, reason="terms")
        await cycles(database).SetPayCalendar(calendar, nothing)
        await cycles(database).SetPayee(payee(ledger, "ada"), nothing)
        return "payable"

    return work


def reopening() -> Work:
    """Ada proposes that April be open again."""

    async def work(database: AsyncEngine, book: str) -> str:
        act = ap.Act(reopen_period=pe.ReopenPeriodRequest(month=MONTH, reason="a mistake"))
        asked = ap.ProposeRequest(book=book, idempotency_key="proposed", reason="a mistake", act=act)
        await ApprovalsServicer(database).Propose(asked, cast("Any", None))
        return "proposed"

    return work


def cycle_approved(cut_off: str) -> Work:
    """Ada proposes a cycle, and bob approves it."""

    async def work(database: AsyncEngine, book: str) -> str:
        servicer, nothing = ApprovalsServicer(database), cast("Any", None)
        act = ap.Act(run_pay_cycle=pc.RunPayCycleRequest(book=book, cut_off=cut_off))
        asked = ap.ProposeRequest(book=book, idempotency_key=f"cycle {cut_off}", reason="cycle", act=act)
        made = (await servicer.Propose(asked, nothing)).proposal
        token = caller.actor.set("bob")
        about = {"book": book, "number": made.number, "content_hash": made.content_hash, "reason": "seen"}
        await servicer.Approve(ap.ApproveRequest(**about), nothing)
        caller.actor.reset(token)
        return "approved"

    return work


def cycle_run(cut_off: str, *, proposal: int = 1, known: int = 1, looks: bool = True) -> Work:
    """Posts the next part of a cycle; what became of its one line, or that nothing was left.

    Whoever does not look has fewer steps, and is told which proposal it was and what its plan knew.
    """

    async def work(database: AsyncEngine, book: str) -> str:
        day = date.fromisoformat(cut_off)
        found = Cycle(book, day, day + timedelta(days=5), known, line_count=1, proposal=proposal, maker="ada")
        if looks:
            async with reading(database) as connection:
                found = await store.existing_cycle(connection, book, day)
        if not await running.post_part(database, found):
            return "nothing left"
        if not looks:
            return "posted"
        async with reading(database) as connection:
            outcome = await connection.execute(OUTCOME, {"book": book, "cycle": day})
        return str(outcome.scalar_one())

    return work


def looking_before_the_lock() -> Work:
    """Broken on purpose: whose money a deposit is, is looked up before the head is held."""

    async def work(database: AsyncEngine, book: str) -> str:
        deposit = Deposit(banks.ACCOUNT, date.fromisoformat(DAY), 10_000, "USD", "R1", (Trace("EFT1", SIGNED),))
        async with reading(database) as connection:
            before = Cashier(connection, Head(book, 0, b"", datetime.now(UTC)), "ada")
            await before.learn({"EFT1"})
        async with journal.posting(database, book) as (connection, head):
            cashier = Cashier(connection, head, "ada", known=before.known, _learnt=before._learnt)
            await cashier.receive(Arrived(deposit))
            await cashier.record()
        return "deposited"

    return work


def cycle_sent(cut_off: str) -> Work:
    """All payments of a cycle go to the bank."""

    async def work(database: AsyncEngine, book: str) -> str:
        asked = pc.MarkSentRequest(book=book, cycle=cut_off, day=cut_off, reason="sent")
        await cycles(database).MarkSent(asked, cast("Any", None))
        return "sent"

    return work


def remitting() -> Work:
    """The remittance EFT1 arrives; however it stands in that moment."""
    loop = claim("C1", "150.00", "100.00", "CO-50 50.00", control="P1")
    data = file(remittance("100.00", "EFT1", loop, day=DAY))

    async def work(database: AsyncEngine, book: str) -> str:
        await ingest(database, IN_THE_OPEN, book, "eft1.835", "ada", BytesIO(data))
        return "remitted"

    return work


def payment_returned(cut_off: str) -> Work:
    """The bank gives ada's payment back."""

    async def work(database: AsyncEngine, book: str) -> str:
        asked = pc.ReturnPaymentRequest(book=book, cycle=cut_off, provider="ada", day=cut_off, reason="R03")
        answer = await cycles(database).ReturnPayment(asked, cast("Any", None))
        return "replayed" if answer.replayed else "returned"

    return work


def holding() -> Work:
    """Somebody holds ada."""

    async def work(database: AsyncEngine, book: str) -> str:
        asked = pc.HoldProviderRequest(book=book, provider="ada", reason="audit")
        await cycles(database).HoldProvider(asked, cast("Any", None))
        return "on hold"

    return work


def waiting_for_money() -> Work:
    """All remittances are posted only once their money is there."""

    async def work(database: AsyncEngine, book: str) -> str:
        policy = bk.DEPOSIT_POLICY_ON_DEPOSIT
        asked = bk.SetDepositPolicyRequest(book=book, policy=policy, reason="as agreed")
        await BankServicer(database, Reads(database), IN_THE_OPEN).SetDepositPolicy(asked, cast("Any", None))
        return "set"

    return work


def _ended(outcome: Posted | Refusal) -> str:
    if isinstance(outcome, Refusal):
        return outcome.reason
    return "replayed" if outcome.replayed else "posted"


def earned() -> Request:
    """A session that earns 100.00 for ada."""
    return messages.record_session(session("C1", DAY, rate="100.00"))


def earned_again() -> Request:
    """Another one."""
    return messages.record_session(session("C2", DAY, rate="100.00"))


def paid(key: str) -> Request:
    """All that is payable to ada."""
    return messages.pay_provider(payout("ada", "100.00", idempotency_key=key))


def reversed_first(key: str) -> Request:
    """The book's first entry, undone."""
    asked = po.ReverseEntryRequest(idempotency_key=key, number=1, effective_date=DAY, reason="mistaken")
    return messages.reverse_entry(asked)(5)


def simple(account: str, key: str) -> Request:
    """1.00 into an account."""
    return messages.entry_to_post(entry(DAY, dr(account, "1.00"), cr("Revenue:Interest", "1.00"), key=key))


@dataclass(frozen=True)
class Meeting:
    """What happened before, what each actor does, and in which ways it may end, whoever ends how."""

    before: Sequence[Any]
    actors: Sequence[Any]
    ends: Sequence[tuple[str, ...]]
    steps: Steps = Steps.STATEMENTS


MEETINGS = {
    "payout and payout": lambda: Meeting(
        [posting(earned())],
        [posting(paid("a")), posting(paid("b"))],
        [("posted", "PAYABLE_EXCEEDED")],
    ),
    "the same key twice": lambda: Meeting(
        [],
        [posting(simple("Assets:Cash", "same")), posting(simple("Assets:Cash", "same"))],
        [("posted", "replayed")],
    ),
    "reverse and reverse": lambda: Meeting(
        [posting(simple("Assets:Cash", "first"))],
        [posting(reversed_first("a")), posting(reversed_first("b"))],
        [("posted", "ENTRY_ALREADY_REVERSED")],
    ),
    "an account's close and a posting to it": lambda: Meeting(
        [opening(PETTY)],
        [closing(PETTY), posting(simple(PETTY, "a"))],
        [("closed", "ACCOUNT_CLOSED"), ("ACCOUNT_NOT_AT_ZERO", "posted")],
    ),
    "close and close": lambda: Meeting(
        [opening(PETTY)],
        [closing(PETTY), closing(PETTY)],
        [("closed", "ACCOUNT_CLOSED")],
    ),
    "approve and approve": lambda: Meeting(
        [posting(earned()), proposing()],
        [deciding("approved", "bob"), deciding("approved", "cy")],
        [("approved", "PROPOSAL_DECIDED")],
        Steps.PHASES,
    ),
    "approve twice": lambda: Meeting(
        [posting(earned()), proposing()],
        [deciding("approved", "bob"), deciding("approved", "bob")],
        [("approved", "replayed")],
        Steps.PHASES,
    ),
    "approve and withdraw": lambda: Meeting(
        [posting(earned()), proposing()],
        [deciding("approved", "bob"), deciding("withdrawn", "ada")],
        [("approved", "PROPOSAL_DECIDED"), ("PROPOSAL_DECIDED", "withdrawn")],
        Steps.PHASES,
    ),
    "approve and payout": lambda: Meeting(
        [posting(earned()), proposing()],
        [deciding("approved", "bob"), posting(paid("b"))],
        [("approved", "PAYABLE_EXCEEDED"), ("PAYABLE_EXCEEDED", "posted")],
        Steps.PHASES,
    ),
    "a month's close and a posting into it": lambda: Meeting(
        [posting(simple("Assets:Cash", "first"))],
        [month_closing(), posting(simple("Assets:Cash", "a"))],
        [("month closed", "PERIOD_CLOSED"), ("month closed", "posted")],
        Steps.PHASES,
    ),
    "a month's close and its close by another": lambda: Meeting(
        [posting(simple("Assets:Cash", "first"))],
        [month_closing("ada"), month_closing("bob")],
        [("month closed", "PERIOD_CLOSED")],
        Steps.PHASES,
    ),
    "a month's close, told twice": lambda: Meeting(
        [],
        [month_closing(), month_closing()],
        [("month closed", "replayed")],
        Steps.PHASES,
    ),
    "a month's soft-close and a session in it": lambda: Meeting(
        [],
        [month_closing(softly=True), posting(earned())],
        [("soft-closed", "PERIOD_SOFT_CLOSED"), ("soft-closed", "posted")],
    ),
    "a month's reopening and its close": lambda: Meeting(
        [posting(simple("Assets:Cash", "first")), month_closing("cy"), reopening()],
        [deciding("approved", "bob"), month_closing("dan")],
        [("approved", "PERIOD_CLOSED"), ("approved", "month closed")],
        Steps.PHASES,
    ),
    "a month's reopening and a posting into it": lambda: Meeting(
        [posting(simple("Assets:Cash", "first")), month_closing(), reopening()],
        [deciding("approved", "bob"), posting(simple("Assets:Cash", "a"))],
        [("approved", "PERIOD_CLOSED"), ("approved", "posted")],
        Steps.PHASES,
    ),
    "cycle and cycle": lambda: Meeting(
        [posting(earned()), payable_by_cycle(), cycle_approved(APRIL)],
        [cycle_run(APRIL, looks=False), cycle_run(APRIL, looks=False)],
        [("posted", "nothing left")],
        Steps.PHASES,
    ),
    "cycle and payout": lambda: Meeting(
        [posting(earned()), payable_by_cycle(), cycle_approved(APRIL)],
        [cycle_run(APRIL), posting(paid("b"))],
        [("paid", "PAYABLE_EXCEEDED"), ("changed", "posted")],
        Steps.PHASES,
    ),
    "hold and cycle": lambda: Meeting(
        [posting(earned()), payable_by_cycle(), cycle_approved(APRIL)],
        [cycle_run(APRIL), holding()],
        [("paid", "on hold"), ("held", "on hold")],
        Steps.PHASES,
    ),
    "return and cycle": lambda: Meeting(
        [
            *(posting(earned()), payable_by_cycle(), cycle_approved(APRIL), cycle_run(APRIL), cycle_sent(APRIL)),
            *(posting(earned_again()), cycle_approved(MAY)),
        ],
        [cycle_run(MAY, proposal=2, known=3, looks=False), payment_returned(APRIL)],
        [("posted", "returned")],
        Steps.PHASES,
    ),
    "return and return": lambda: Meeting(
        [posting(earned()), payable_by_cycle(), cycle_approved(APRIL), cycle_run(APRIL), cycle_sent(APRIL)],
        [payment_returned(APRIL), payment_returned(APRIL)],
        [("returned", "replayed")],
        Steps.PHASES,
    ),
    "a deposit and its remittance": lambda: Meeting(
        [posting(earned())],
        [depositing(), remitting()],
        [("deposited", "remitted")],
        Steps.LOCKS,
    ),
    "a deposit and the remittance that waits for it": lambda: Meeting(
        [waiting_for_money(), posting(earned())],
        [depositing(), remitting()],
        [("deposited", "remitted")],
        Steps.LOCKS,
    ),
    "the same deposit twice": lambda: Meeting(
        [remitting()],
        [depositing(), depositing()],
        [("deposited", "replayed")],
        Steps.LOCKS,
    ),
    "two parts of one payment": lambda: Meeting(
        [remitting()],
        [depositing("40.00", "R1"), depositing("60.00", "R2")],
        [("deposited", "deposited")],
        Steps.LOCKS,
    ),
    "three payouts": lambda: Meeting(
        [posting(earned())],
        [posting(paid("a")), posting(paid("b")), posting(paid("c"))],
        [("posted", "PAYABLE_EXCEEDED", "PAYABLE_EXCEEDED")],
        Steps.PHASES,
    ),
}


@dataclass(frozen=True)
class Found:
    """What came of an order."""

    run: Run
    wrong: Sequence[str]


async def permuted(url: str, meeting: Meeting, steps: Steps) -> list[Found]:
    """All orders of a meeting, each in a book of its own, and what each left broken."""
    books = engine(url)
    opened: list[str] = []

    async def fresh() -> str:
        opened.append(f"meeting-{next(_books)}")
        await open_book(books, opened[-1], opened[-1], "ada")
        for work in meeting.before:
            await work(books, opened[-1])
        return opened[-1]

    try:
        async with permuter(url, len(meeting.actors), steps) as permuting:
            runs = [run async for run in permuting.orders(meeting.actors, fresh)]
        broken = await wrong(books, opened)
        return [Found(run, broken[book]) for run, book in zip(runs, opened, strict=True)]
    finally:
        await books.dispose()


async def wrong(database: AsyncEngine, opened: Sequence[str]) -> dict[str, list[str]]:
    """What is broken in each book: looked at once all orders were tried, since nothing posted ever changes."""
    async with reading(database) as connection:
        broken = {book: [*(await connection.execute(BROKEN, {"book": book})).scalars()] for book in opened}
        found = await recomputed(connection)
        found += await found_by(connection, "reconciliation.reports", "integrity.sql")
    assert {fault.book for fault in found} <= broken.keys(), found
    for fault in found:
        broken[fault.book].append(str(fault))
    return broken


def in_any_order(ends: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(ends))


@pytest.mark.parametrize("name", MEETINGS)
def test_no_order_breaks_an_invariant(name: str, database: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every order ends in one of the ways that are right, and each of these ways is met in some order."""
    meeting = MEETINGS[name]()
    found = asyncio.run(permuted(database, meeting, meeting.steps))
    assert [str(one.run) for one in found if one.wrong] == []
    assert {in_any_order(one.run.ends) for one in found} == {in_any_order(ends) for ends in meeting.ends}
    assert len({one.run.turns for one in found}) == len(found)
    with capsys.disabled():
        print(f"\n{name}: {len(found)} orders")


def test_the_permuter_sees_a_payout_that_was_decided_before_the_lock(database: str) -> None:
    """The same meeting with a poster that decides before it locks the head: some orders pay twice."""
    broken = [deciding_before_the_lock(paid(key)) for key in "ab"]
    found = asyncio.run(permuted(database, Meeting([posting(earned())], broken, []), Steps.PHASES))
    twice = [one for one in found if one.run.ends == ("posted", "posted")]
    assert twice
    assert len(twice) < len(found)
    for one in twice:
        assert one.wrong == ["paid more than was payable: Liabilities:Payable:Provider:ada"]
    assert not any(one.wrong for one in found if one not in twice)


def test_the_permuter_sees_a_deposit_that_was_looked_up_before_the_lock(database: str) -> None:
    """Where the remittance is settled meanwhile, its money lies beside it, and in no other order."""
    meeting = Meeting([posting(earned())], [looking_before_the_lock(), remitting()], [])
    found = asyncio.run(permuted(database, meeting, Steps.LOCKS))
    beside = [one.wrong for one in found if one.wrong]
    assert 0 < len(beside) < len(found)
    assert {"a deposit lies beside its remittance: EFT1"} == {told for wrong in beside for told in wrong}


def test_the_permuter_tries_every_order(database: str) -> None:
    """Two actors of three free steps each have twenty."""

    async def three_steps(database: AsyncEngine, _: str) -> str:
        async with reading(database) as connection:
            for _ in range(3):
                await connection.execute(text("SELECT 1"))
        return "read"

    found = asyncio.run(permuted(database, Meeting([], [three_steps] * 2, []), Steps.STATEMENTS))
    assert len({one.run.turns for one in found}) == len(found) == 20


def test_the_permuter_sees_two_who_wait_for_each_other(database: str) -> None:
    """Two accounts locked in two orders: PostgreSQL ends one of the two, and the order is followed to its end."""

    def taking(*codes: str) -> Work:
        async def work(database: AsyncEngine, book: str) -> str:
            async with recording(database) as connection:
                for code in codes:
                    await connection.execute(LOCK, {"book": book, "code": code})
            return "took both"

        return work

    one, two = "Assets:One", "Assets:Two"
    meeting = Meeting([opening(one), opening(two)], [taking(one, two), taking(two, one)], [])
    found = asyncio.run(permuted(database, meeting, Steps.STATEMENTS))
    ends = {in_any_order(order.run.ends) for order in found}
    assert ends == {("took both", "took both"), ("DATABASE_UNAVAILABLE", "took both")}
