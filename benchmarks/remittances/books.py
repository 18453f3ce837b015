"""The service as the referee uses it: sessions recorded, files delivered, decisions read, all through gRPC."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import grpc

from benchmarks.remittances.deposits import Deposit
from benchmarks.remittances.mail import File
from benchmarks.remittances.tying import Reports, reports
from benchmarks.remittances.world import Claim, Session, World
from ledger.v1 import accounts_pb2, money_pb2, postings_pb2
from ledger.v1.accounts_pb2_grpc import AccountsServiceStub
from ledger.v1.postings_pb2_grpc import PostingsServiceStub
from reconciliation.v1 import bank_pb2, candidates_pb2
from reconciliation.v1 import reconciliation_pb2 as pb
from reconciliation.v1.bank_pb2_grpc import BankServiceStub
from reconciliation.v1.candidates_pb2_grpc import CandidatesServiceStub
from reconciliation.v1.reconciliation_pb2_grpc import ReconciliationServiceStub

CLEARING = "Assets:RemittanceClearing"
_ACCOUNT = "0012345678"
_PAGE = 1_000
_PART = 256 * 1024
_IN_FLIGHT = 256
_DEPOSITS_IN_FLIGHT = 4
"""Each holds the head and a connection for itself, so that more would only wait for one another."""
_MOST_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Entry:
    """What an entry adds to each account and item, in cents, debit positive."""

    lines: dict[tuple[str, str], int]

    def effect(self, clearing: str, money: str) -> dict[str, int]:
        """By account, the clearing account under the name of `money`."""
        sums: dict[str, int] = defaultdict(int)
        for (account, _), cents in self.lines.items():
            sums[money if account == clearing else account] += cents
        return {account: cents for account, cents in sums.items() if cents}

    def items(self) -> set[str]:
        """The claims that its postings on receivables bear."""
        return {item for (account, item) in self.lines if account.startswith("Assets:Receivable:")}


@dataclass
class Books:
    """One book of a running service."""

    name: str
    accounts: AccountsServiceStub = field(repr=False)
    postings: PostingsServiceStub = field(repr=False)
    mail_room: ReconciliationServiceStub = field(repr=False)
    bank: BankServiceStub = field(repr=False)
    proposals: CandidatesServiceStub = field(repr=False)
    reports: Reports = field(repr=False)

    def open(self, world: World) -> None:
        """Opens the book, records every session and says by which number each payer signs."""
        self.accounts.OpenBook(accounts_pb2.OpenBookRequest(book=self.name, name="The referee's practice"))
        asked = (self._session(claim, session) for claim in world.claims for session in claim.sessions)
        while calls := [self.postings.RecordSession.future(one) for one in islice(asked, _IN_FLIGHT)]:
            for call in calls:
                call.result()
        for payer in world.payers:
            self._identify(payer.code, payer.number)

    def _identify(self, payer: str, number: str) -> None:
        asked = pb.IdentifyPayerRequest(book=self.name, payer=payer, identifiers=[number], reason="so it signs")
        self.mail_room.IdentifyPayer(asked)

    def _session(self, claim: Claim, session: Session) -> postings_pb2.RecordSessionRequest:
        return postings_pb2.RecordSessionRequest(
            book=self.name,
            idempotency_key=session.name,
            session=session.name,
            claim=claim.id,
            payer=claim.payer.code,
            provider=session.provider,
            service_code=session.code,
            service_date=session.day.isoformat(),
            allowed=_usd(session.allowed),
            patient_share=_usd(session.share),
            provider_rate=_usd(session.rate),
            charge=_usd(session.charge),
        )

    def deliver(self, file: File) -> pb.IngestRemittanceResponse:
        """Delivers a file."""
        return self.mail_room.IngestRemittance(self._parts(file))

    def deliver_at_once(self, file: File, times: int) -> list[pb.IngestRemittanceResponse]:
        """The same file so many times at the same moment."""
        with ThreadPoolExecutor(min(times, _MOST_AT_ONCE)) as threads:
            return [*threads.map(self.deliver, [file] * times)]

    def _parts(self, file: File) -> Iterator[pb.IngestRemittanceRequest]:
        yield pb.IngestRemittanceRequest(header=pb.RemittanceFileHeader(book=self.name, file_name=file.name))
        for start in range(0, len(file.content), _PART):
            yield pb.IngestRemittanceRequest(chunk=file.content[start : start + _PART])

    def deposit(self, lines: Sequence[Deposit]) -> None:
        """Tells what the bank has received, line by line, each under a reference of its own."""
        asked = (self._deposit(number, line) for number, line in enumerate(lines))
        while calls := [self.bank.RecordDeposit.future(one) for one in islice(asked, _DEPOSITS_IN_FLIGHT)]:
            for call in calls:
                call.result()

    def _deposit(self, number: int, line: Deposit) -> bank_pb2.RecordDepositRequest:
        return bank_pb2.RecordDepositRequest(
            book=self.name,
            account=_ACCOUNT,
            effective_date=line.day.isoformat(),
            amount=_usd(line.cents),
            reference=f"{line.trace} {line.oddity} {number}",
            traces=[bank_pb2.Trace(number=line.trace, payer_identifier=line.signed)],
        )

    def decisions(self, remittance: str) -> list[pb.ClaimPayment]:
        """What was decided on the claim payments of a remittance."""
        return [*_pages(self._remittance_page, pb.GetRemittanceRequest(book=self.name, id=remittance))]

    def _remittance_page(self, asked: pb.GetRemittanceRequest) -> tuple[Sequence[Any], str]:
        answer = self.mail_room.GetRemittance(asked)
        return answer.claim_payments, answer.next_page_token

    def exceptions(self) -> dict[tuple[str, int], set[str]]:
        """Why people must look, by remittance and line; what is about a deposit alone is under none."""
        found: dict[tuple[str, int], set[str]] = defaultdict(set)
        for one in self._exceptions():
            found[one.remittance, one.line].add(_reason(one))
        return found

    def exceptions_of_deposits(self) -> Counter[str]:
        """Why people must look at deposits, and how many."""
        return Counter(_reason(one) for one in self._exceptions() if one.deposit)

    def _exceptions(self) -> Iterator[pb.Exception]:
        return _pages(self._exception_page, pb.ListExceptionsRequest(book=self.name))

    def _exception_page(self, asked: pb.ListExceptionsRequest) -> tuple[Sequence[Any], str]:
        answer = self.mail_room.ListExceptions(asked)
        return answer.exceptions, answer.next_page_token

    def proposed(self, remittance: str, line: int) -> dict[str, int]:
        """The claims that are proposed for a payment in suspense, with their scores."""
        asked = candidates_pb2.ListCandidatesRequest(book=self.name, remittance=remittance, line=line)
        return {one.claim: one.score for one in _pages(self._candidate_page, asked)}

    def _candidate_page(self, asked: candidates_pb2.ListCandidatesRequest) -> tuple[Sequence[Any], str]:
        answer = self.proposals.ListCandidates(asked)
        return answer.candidates, answer.next_page_token

    def entries(self) -> dict[int, Entry]:
        """Every entry of the book, by number."""
        asked = postings_pb2.ListEntriesRequest(book=self.name)
        return {one.number: _read(one) for one in _pages(self._entry_page, asked)}

    def _entry_page(self, asked: postings_pb2.ListEntriesRequest) -> tuple[Sequence[Any], str]:
        answer = self.postings.ListEntries(asked)
        return answer.entries, answer.next_page_token

    def control(self, prefix: str) -> int:
        """What all accounts at and below a prefix amount to in cents, debit positive."""
        answer = self.accounts.GetBalance(accounts_pb2.GetBalanceRequest(book=self.name, prefix=prefix))
        signs = {accounts_pb2.SIDE_DEBIT: 1, accounts_pb2.SIDE_CREDIT: -1}
        return sum(signs.get(one.side, 0) * one.amount.minor_units for one in answer.balances)


def books(channel: grpc.Channel, name: str) -> Books:
    """A book of the service behind a channel."""
    stubs = (AccountsServiceStub(channel), PostingsServiceStub(channel), ReconciliationServiceStub(channel))
    more = BankServiceStub(channel), CandidatesServiceStub(channel), reports(channel, name)
    return Books(name, *stubs, *more)


def _pages(page: Callable[[Any], tuple[Sequence[Any], str]], asked: Any) -> Iterator[Any]:
    """Everything of a listing, page by page."""
    asked.page_size = _PAGE
    while True:
        found, asked.page_token = page(asked)
        yield from found
        if not asked.page_token:
            return


def _read(entry: postings_pb2.JournalEntry) -> Entry:
    lines: dict[tuple[str, str], int] = defaultdict(int)
    for line in entry.postings:
        sign = 1 if line.side == accounts_pb2.SIDE_DEBIT else -1
        lines[line.account, line.item] += sign * line.amount.minor_units
    return Entry(lines)


def _reason(one: pb.Exception) -> str:
    return pb.ExceptionReason.Name(one.reason).removeprefix("EXCEPTION_REASON_")


def _usd(cents: int) -> money_pb2.Money:
    return money_pb2.Money(currency_code="USD", minor_units=cents)
