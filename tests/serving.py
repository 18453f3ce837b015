"""The real server in a thread of its own, stubs to call it, and the words in which tests speak to it."""

import asyncio
import base64
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, TypeVar

import grpc
import psycopg
import structlog
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status.rpc_status import from_call

from ledger.audit.checkpoint import read_signing_keys
from ledger.audit.integrity import faults, found_by
from ledger.database import engine, reading
from ledger.v1 import accounts_pb2 as accounts
from ledger.v1 import money_pb2
from ledger.v1 import postings_pb2 as postings
from ledger.v1.accounts_pb2_grpc import AccountsServiceStub
from ledger.v1.allowances_pb2_grpc import AllowancesServiceStub
from ledger.v1.approvals_pb2_grpc import ApprovalsServiceStub
from ledger.v1.audit_pb2_grpc import AuditServiceStub
from ledger.v1.charges_pb2_grpc import ChargesServiceStub
from ledger.v1.pay_cycles_pb2_grpc import PayCyclesServiceStub
from ledger.v1.periods_pb2_grpc import PeriodsServiceStub
from ledger.v1.postings_pb2_grpc import PostingsServiceStub
from ledger.v1.reports_pb2_grpc import ReportsServiceStub
from ledger.v1.write_offs_pb2_grpc import WriteOffsServiceStub
from reconciliation.files import IN_THE_OPEN, Files
from reconciliation.v1.bank_pb2_grpc import BankServiceStub
from reconciliation.v1.candidates_pb2_grpc import CandidatesServiceStub
from reconciliation.v1.codes_pb2_grpc import CodesServiceStub
from reconciliation.v1.coverage_pb2_grpc import CoverageServiceStub
from reconciliation.v1.denials_pb2_grpc import DenialsServiceStub
from reconciliation.v1.matches_pb2_grpc import MatchesServiceStub
from reconciliation.v1.reconciliation_pb2_grpc import ReconciliationServiceStub
from reconciliation.v1.worklist_pb2_grpc import WorklistServiceStub
from service.admission import OPEN, Admission
from service.server import start

T = TypeVar("T")
BOOK = "main"
PATIENCE_SECONDS = 180
"""Nothing takes so long, not even on a machine that has much else to do: what is late is taken for lost."""
DIGITS = {"USD": 2, "EUR": 2, "JPY": 0, "BHD": 3}
DR, CR = accounts.SIDE_DEBIT, accounts.SIDE_CREDIT
SIGNING = read_signing_keys(f"ledger.example/books:{base64.b64encode(bytes(range(32))).decode()}")
"""A key that everybody knows."""
_keys = count(1)


class Loop:
    """An event loop in a thread of its own, on which servers run while tests call them."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine that runs there, be it a whole story."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(3 * PATIENCE_SECONDS)

    def close(self) -> None:
        """Stops the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()


@contextmanager
def looping() -> Iterator[Loop]:
    """A loop for as long as the block, and logs in which a failure is told plainly."""
    structlog.configure([structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)])
    loop = Loop()
    try:
        yield loop
    finally:
        loop.close()
        structlog.reset_defaults()


@dataclass(frozen=True)
class Ledger:
    """A running server as a client sees it, and the book that its questions are about."""

    loop: Loop = field(repr=False)
    url: str
    channel: grpc.Channel
    accounts: AccountsServiceStub
    postings: PostingsServiceStub
    reports: ReportsServiceStub
    reconciliation: ReconciliationServiceStub
    approvals: ApprovalsServiceStub
    periods: PeriodsServiceStub
    audit: AuditServiceStub
    pay_cycles: PayCyclesServiceStub
    allowances: AllowancesServiceStub
    bank: BankServiceStub
    book: str = BOOK

    @property
    def charges(self) -> ChargesServiceStub:
        """Whether providers are charged."""
        return ChargesServiceStub(self.channel)

    @property
    def meanings(self) -> CodesServiceStub:
        """What codes mean."""
        return CodesServiceStub(self.channel)

    @property
    def candidates(self) -> CandidatesServiceStub:
        """What suspended money may be about."""
        return CandidatesServiceStub(self.channel)

    @property
    def coverage(self) -> CoverageServiceStub:
        """Who pays a claim in which rank."""
        return CoverageServiceStub(self.channel)

    @property
    def denials(self) -> DenialsServiceStub:
        """What becomes of denials."""
        return DenialsServiceStub(self.channel)

    @property
    def matches(self) -> MatchesServiceStub:
        """What people say of claim payments."""
        return MatchesServiceStub(self.channel)

    @property
    def write_offs(self) -> WriteOffsServiceStub:
        """How much may be written off."""
        return WriteOffsServiceStub(self.channel)

    @property
    def worklist(self) -> WorklistServiceStub:
        """What people make of exceptions."""
        return WorklistServiceStub(self.channel)

    def of(self, book: str) -> "Ledger":
        """The same server, and questions about another book."""
        return replace(self, book=book)

    def post(self, day: str, *lines: postings.Posting, key: str = "") -> postings.JournalEntry:
        """Posts a manual entry and gives it back."""
        asked = postings.PostEntryRequest(book=self.book, entry=entry(day, *lines, key=key))
        return self.postings.PostEntry(asked).entry

    def balance(self, account: str, as_of: str = "") -> str:
        """What an account amounts to: `150.00 Dr`, `0.00` where it is at zero or not open."""
        asked = accounts.GetBalanceRequest(book=self.book, account=account, as_of=as_of)
        try:
            return " + ".join(map(standing, self.accounts.GetBalance(asked).balances)) or "0.00"
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return "0.00"
            raise

    def control(self, prefix: str, as_of: str = "") -> str:
        """What all accounts at and below a prefix amount to."""
        asked = accounts.GetBalanceRequest(book=self.book, prefix=prefix, as_of=as_of)
        return " + ".join(map(standing, self.accounts.GetBalance(asked).balances)) or "0.00"

    def entries(self, page_size: int = 1000, **narrowed: Any) -> list[postings.JournalEntry]:
        """All entries, or those that a listing is narrowed to, over all its pages."""
        found, token = [], ""
        while True:
            asked = postings.ListEntriesRequest(book=self.book, page_size=page_size, page_token=token, **narrowed)
            page = self.postings.ListEntries(asked)
            found.extend(page.entries)
            token = page.next_page_token
            if not token:
                return found

    def codes(self) -> list[accounts.Account]:
        """All accounts of the book."""
        return list(
            self.accounts.ListAccounts(accounts.ListAccountsRequest(book=self.book, page_size=1000)).accounts
        )

    def wrong(self) -> list[str]:
        """What the integrity check finds in all books of the database, recomputed from their entries in SQL."""
        return self.loop.run(found_wrong(self.url))

    def state(self) -> tuple[Any, ...]:
        """All that a refused request must leave as it is: books with their heads, and accounts."""
        books = self.accounts.ListBooks(accounts.ListBooksRequest()).books
        return tuple(map(str, books)), tuple(map(str, self.codes()))


AT_REST: dict[str, Any] = {"signing": SIGNING, "guard_seconds": 600, "upkeep_seconds": 600}
"""A server that does nothing by itself but at its start: a test may hold or drop whatever it wants."""


@contextmanager
def serving(
    loop: Loop,
    url: str,
    door: Admission = OPEN,
    trust: grpc.ChannelCredentials | None = None,
    files: Files = IN_THE_OPEN,
    **limits: Any,
) -> Iterator[Ledger]:
    """A server on a database, and a client of it; both gone after the block."""
    server = loop.run(start(url, "127.0.0.1:0", door, files, **AT_REST | limits))
    where = f"localhost:{server.port}"
    channel = grpc.secure_channel(where, trust) if trust else grpc.insecure_channel(where)
    try:
        yield client(loop, url, channel)
    finally:
        channel.close()
        loop.run(server.stop(0))


def client(loop: Loop, url: str, channel: grpc.Channel) -> Ledger:
    """Stubs on a channel."""
    return Ledger(
        loop,
        url,
        channel,
        AccountsServiceStub(channel),
        PostingsServiceStub(channel),
        ReportsServiceStub(channel),
        ReconciliationServiceStub(channel),
        ApprovalsServiceStub(channel),
        PeriodsServiceStub(channel),
        AuditServiceStub(channel),
        PayCyclesServiceStub(channel),
        AllowancesServiceStub(channel),
        BankServiceStub(channel),
    )


async def found_wrong(url: str) -> list[str]:
    """What the integrity check says of a database; nothing while its books are sound."""
    database = engine(url)
    try:
        async with reading(database) as connection:
            found = await found_by(connection, "reconciliation.reports", "integrity.sql")
            return [str(fault) for fault in [*await faults(connection), *found]]
    finally:
        await database.dispose()


def open_book(ledger: Ledger, book: str = BOOK) -> None:
    """Opens a book under a name made from its own."""
    ledger.accounts.OpenBook(accounts.OpenBookRequest(book=book, name=f"{book} entity"))


# --- words --------------------------------------------------------------------------------------------


def money(text: str, currency: str = "USD") -> money_pb2.Money:
    """`money("120.00")`: plain digits, all the decimals of the currency written out."""
    whole, _, fraction = text.partition(".")
    assert len(fraction) == DIGITS[currency], f"write {text} with {DIGITS[currency]} decimals"
    return money_pb2.Money(currency_code=currency, minor_units=int(whole + fraction))


def minor(units: int, currency: str = "USD") -> money_pb2.Money:
    """So many minor units, also such as no builder would write."""
    return money_pb2.Money(currency_code=currency, minor_units=units)


def usd(text: str) -> money_pb2.Money:
    """`usd("120.00")`."""
    return money(text, "USD")


def written(amount: money_pb2.Money) -> str:
    """The amount as `money` reads it."""
    digits = DIGITS[amount.currency_code]
    figures = f"{abs(amount.minor_units):0{digits + 1}d}"
    sign = "-" if amount.minor_units < 0 else ""
    return sign + (f"{figures[:-digits]}.{figures[-digits:]}" if digits else figures)


def standing(balance: accounts.Balance) -> str:
    """A balance as a bookkeeper writes it: `150.00 Dr`; other currencies than USD are named."""
    side = {DR: " Dr", CR: " Cr"}.get(balance.side, "")
    currency = balance.amount.currency_code
    return written(balance.amount) + ("" if currency == "USD" else f" {currency}") + side


def dr(account: str, text: str, item: str = "", currency: str = "USD") -> postings.Posting:
    """A line in the debit column."""
    return postings.Posting(account=account, side=DR, amount=money(text, currency), item=item)


def cr(account: str, text: str, item: str = "", currency: str = "USD") -> postings.Posting:
    """A line in the credit column."""
    return postings.Posting(account=account, side=CR, amount=money(text, currency), item=item)


def key() -> str:
    """An idempotency key that nobody used before."""
    return f"key-{next(_keys)}"


def entry(day: str, *lines: postings.Posting, key: str = "", **about: Any) -> postings.EntryToPost:
    """A manual entry, under a key and with a description of its own where none is given."""
    said: dict[str, Any] = {"description": "by hand", "idempotency_key": key or f"key-{next(_keys)}"} | about
    return postings.EntryToPost(effective_date=day, postings=lines, **said)


def session(
    claim: str,
    day: str = "2026-04-08",
    *,
    payer: str = "AETNA",
    provider: str = "ada",
    allowed: str = "120.00",
    rate: str = "105.00",
    **more: Any,
) -> postings.RecordSessionRequest:
    """A session of a claim: amounts as text, the other fields under their own names."""
    amounts = {name: usd(more.pop(name)) for name in ("patient_share", "charge") if name in more}
    asked: dict[str, Any] = {
        "book": BOOK,
        "idempotency_key": key(),
        "session": f"session of {claim}",
        "claim": claim,
        "payer": payer,
        "provider": provider,
        "service_date": day,
        "allowed": usd(allowed),
        "provider_rate": usd(rate),
    }
    return postings.RecordSessionRequest(**(asked | amounts | more))


def payout(provider: str, amount: str, day: str = "2026-04-30", **more: Any) -> postings.PayProviderRequest:
    """A payout to a provider."""
    asked = {"book": BOOK, "idempotency_key": key(), "provider": provider, "effective_date": day} | more
    return postings.PayProviderRequest(amount=usd(amount), **asked)


def set_by_hand(sql: str, **values: str) -> bytes:
    """SQL that is written for psql, with its variables filled in as psql would fill them."""
    for name, value in values.items():
        sql = sql.replace(f":'{name}'", f"'{value}'")
    return sql.encode()


# --- refusals -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Refused:
    """How a call was refused: gRPC's code, our reason and the facts."""

    code: str
    reason: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    message: str = ""


def refused(call: Callable[[Any], Any], request: Any) -> Refused:
    """Calls, and says how it was refused; fails where it was not."""
    try:
        answer = call(request)
    except grpc.RpcError as error:
        return refusal(error)
    raise AssertionError(f"not refused: {answer}")


def refusal(error: grpc.RpcError) -> Refused:
    """The refusal that a failed call carries; without a reason where it is gRPC's own."""
    status = from_call(error)
    info = ErrorInfo()
    for detail in status.details if status else ():
        if detail.Unpack(info):
            return Refused(error.code().name, info.reason, dict(info.metadata), error.details())
    return Refused(error.code().name, message=error.details() or "")


def eventually(holds: Callable[[], object], what: str) -> None:
    """Returns once it holds; fails where it has not come to that after a long time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"it never came to this: {what}"
        time.sleep(0.01)


def waiting_for_a_lock(url: str) -> int:
    """How many sessions of the database wait for a lock in this moment."""
    sql = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(url.replace("+psycopg", "", 1)) as looking:
        return looking.execute(sql).rowcount


def answered(call: grpc.Future) -> Any:
    """The answer of a call in flight, or its refusal."""
    with suppress(grpc.RpcError):
        return call.result(PATIENCE_SECONDS)
    return refusal(call.exception(PATIENCE_SECONDS))
