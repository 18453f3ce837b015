"""The demo as a client of the server: what it asks over gRPC, in the words of the trade."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

import grpc

from ledger.v1 import accounts_pb2, money_pb2, postings_pb2, reports_pb2
from ledger.v1.accounts_pb2_grpc import AccountsServiceStub
from ledger.v1.postings_pb2_grpc import PostingsServiceStub
from ledger.v1.reports_pb2_grpc import ReportsServiceStub
from reconciliation.v1 import bank_pb2, coverage_pb2, reconciliation_pb2
from reconciliation.v1.bank_pb2_grpc import BankServiceStub
from reconciliation.v1.coverage_pb2_grpc import CoverageServiceStub
from reconciliation.v1.reconciliation_pb2_grpc import ReconciliationServiceStub
from service.demo.world import CURRENCY, Session
from service.identity import HEADER

T = TypeVar("T")

IN_FLIGHT = 64
"""Calls that wait for their answer at the same time."""

_BATCH = 1000
_PART = 64 * 1024
_ACTOR = ((HEADER, "demo"),)
_BANK_ACCOUNT = "0012345678"
Line = tuple[str, int, str]
"""An account, signed cents (debit positive) and the open item, empty where there is none."""


class Client:
    """One caller and one book."""

    def __init__(self, channel: grpc.aio.Channel, book: str) -> None:
        """`channel` leads to a running server."""
        self.book = book
        self._accounts = AccountsServiceStub(channel)
        self._postings = PostingsServiceStub(channel)
        self._reports = ReportsServiceStub(channel)
        self._mail = ReconciliationServiceStub(channel)
        self._coverage = CoverageServiceStub(channel)
        self._bank = BankServiceStub(channel)

    async def open_book(self, name: str) -> None:
        """Opens the book."""
        await self._accounts.OpenBook(accounts_pb2.OpenBookRequest(book=self.book, name=name), metadata=_ACTOR)

    async def record(self, sessions: Sequence[Session]) -> None:
        """Records sessions, many calls in flight at a time."""
        await _together(self._record, sessions)

    async def _record(self, session: Session) -> None:
        asked = postings_pb2.RecordSessionRequest(
            book=self.book,
            idempotency_key=f"session {session.name}",
            session=session.name,
            claim=session.claim,
            payer=session.payer,
            provider=session.provider,
            plan=session.plan,
            service_code=session.service_code,
            licence_type=session.licence_type,
            state=session.state,
            service_date=session.day.isoformat(),
            allowed=money(session.allowed),
            patient_share=money(session.patient_share),
            provider_rate=money(session.provider_rate),
            charge=money(session.charge),
        )
        await self._postings.RecordSession(asked, metadata=_ACTOR)

    async def post(self, entries: Sequence[postings_pb2.EntryToPost]) -> None:
        """Posts entries in batches, each wholly or not at all."""
        for start in range(0, len(entries), _BATCH):
            batch = entries[start : start + _BATCH]
            asked = postings_pb2.PostEntriesRequest(book=self.book, entries=batch, atomic=True)
            await self._postings.PostEntries(asked, metadata=_ACTOR)

    async def pay(self, provider: str, amount: money_pb2.Money, day: str, pay_cycle: str) -> None:
        """Pays a provider."""
        asked = postings_pb2.PayProviderRequest(
            book=self.book,
            idempotency_key=f"pay cycle {pay_cycle} {provider}",
            provider=provider,
            amount=amount,
            effective_date=day,
            pay_cycle=pay_cycle,
        )
        await self._postings.PayProvider(asked, metadata=_ACTOR)

    async def absorb(self, claim: str, day: str, reason: str) -> postings_pb2.JournalEntry:
        """Absorbs a denial; returns the entry."""
        asked = postings_pb2.AbsorbDenialRequest(
            book=self.book, idempotency_key=f"absorb {claim}", claim=claim, effective_date=day, reason=reason
        )
        return (await self._postings.AbsorbDenial(asked, metadata=_ACTOR)).entry

    async def recover(self, claim: str, day: str, reason: str) -> postings_pb2.JournalEntry:
        """Recovers an absorbed denial; returns the entry."""
        asked = postings_pb2.RecoverDenialRequest(
            book=self.book, idempotency_key=f"recover {claim}", claim=claim, effective_date=day, reason=reason
        )
        return (await self._postings.RecoverDenial(asked, metadata=_ACTOR)).entry

    async def payables(self, as_of: str) -> Sequence[reports_pb2.ProviderPayablesRow]:
        """What is owed to each provider."""
        asked = reports_pb2.GetProviderPayablesRequest(book=self.book, as_of=as_of)
        return (await self._reports.GetProviderPayables(asked, metadata=_ACTOR)).rows

    async def balance(self, account: str) -> int:
        """An account with all that is below it, in cents, debit positive."""
        asked = accounts_pb2.GetBalanceRequest(book=self.book, prefix=account)
        balances = (await self._accounts.GetBalance(asked, metadata=_ACTOR)).balances
        return sum(one.debits.minor_units - one.credits.minor_units for one in balances)

    async def last_number(self) -> int:
        """How many entries the book has."""
        found = await self._accounts.ListBooks(accounts_pb2.ListBooksRequest(), metadata=_ACTOR)
        return next(book.last_number for book in found.books if book.book == self.book)

    async def identify(self, payer: str, *identifiers: str) -> None:
        """Says how a payer is called in remittances."""
        asked = reconciliation_pb2.IdentifyPayerRequest(
            book=self.book, payer=payer, identifiers=identifiers, reason="as its remittances call it"
        )
        await self._mail.IdentifyPayer(asked, metadata=_ACTOR)

    async def cover(self, claim: str, payer: str) -> None:
        """Says which payer pays a claim after the first."""
        asked = coverage_pb2.RecordCoverRequest(
            book=self.book, claim=claim, payer=payer, rank=2, reason="the patient's second card"
        )
        await self._coverage.RecordCover(asked, metadata=_ACTOR)

    async def deliver(self, name: str, content: bytes) -> reconciliation_pb2.IngestRemittanceResponse:
        """Delivers an 835 file in parts."""
        return await self._mail.IngestRemittance(_parts(self.book, name, content), metadata=_ACTOR)

    async def deposit(self, trace: str, payer: str, amount: money_pb2.Money, day: str) -> None:
        """The bank's money for a payment comes, under its trace and the payer's identifier."""
        asked = bank_pb2.RecordDepositRequest(
            book=self.book,
            account=_BANK_ACCOUNT,
            effective_date=day,
            amount=amount,
            reference=trace,
            traces=[bank_pb2.Trace(number=trace, payer_identifier=payer)],
        )
        await self._bank.RecordDeposit(asked, metadata=_ACTOR)

    async def adjusted(self, remittance: str) -> Sequence[reconciliation_pb2.ProviderLevelAdjustment]:
        """The provider-level adjustments of a remittance, with their accounts."""
        asked = reconciliation_pb2.GetRemittanceRequest(book=self.book, id=remittance, page_size=1)
        return (await self._mail.GetRemittance(asked, metadata=_ACTOR)).provider_level_adjustments


def money(cents: int) -> money_pb2.Money:
    """Cents as the wire has them."""
    return money_pb2.Money(currency_code=CURRENCY, minor_units=cents)


def entry(key: str, day: str, description: str, *lines: Line) -> postings_pb2.EntryToPost:
    """A manual entry."""
    postings = [
        postings_pb2.Posting(
            account=account,
            side=accounts_pb2.SIDE_DEBIT if cents > 0 else accounts_pb2.SIDE_CREDIT,
            amount=money(abs(cents)),
            item=item,
        )
        for account, cents, item in lines
    ]
    return postings_pb2.EntryToPost(
        idempotency_key=key, effective_date=day, description=description, postings=postings
    )


async def _together(call: Callable[[T], Awaitable[None]], asked: Iterable[T]) -> None:
    """Makes a call for each thing asked, so many at a time; raises the first refusal."""
    free = asyncio.Semaphore(IN_FLIGHT)

    async def one(each: T) -> None:
        async with free:
            await call(each)

    await asyncio.gather(*map(one, asked))


async def _parts(
    book: str, name: str, content: bytes
) -> AsyncIterator[reconciliation_pb2.IngestRemittanceRequest]:
    header = reconciliation_pb2.RemittanceFileHeader(book=book, file_name=name)
    yield reconciliation_pb2.IngestRemittanceRequest(header=header)
    for start in range(0, len(content), _PART):
        yield reconciliation_pb2.IngestRemittanceRequest(chunk=content[start : start + _PART])
