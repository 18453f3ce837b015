"""The questions that are asked of a book while it grows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from google.protobuf.message import Message

from benchmarks.client import ACCOUNTS, POSTINGS, REPORTS
from benchmarks.entries import account, day_of
from ledger.v1 import accounts_pb2, postings_pb2, reports_pb2

_KNOWN = "as_known_at_number"
BALANCE, AS_OF, TRIAL = "GetBalance", "GetBalance as of a day", "GetTrialBalance"
TWO_AXES = {
    "GetBalance as of a day, as known at a tenth": 0.1,
    "GetBalance as of a day, as known at half": 0.5,
    "GetBalance as of a day, as known at nine tenths": 0.9,
}
"""Both axes at once: the entries up to this share of the book's history are known."""
STATEMENT, ENTRY = "GetStatement, first page", "GetEntry"
BY_ACCOUNT, LISTED = "ListEntries of an account, first page", "ListEntries, a page from anywhere"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question may name: the book, how much it holds, and the lots."""

    book: str
    entries: int
    accounts: int
    lots: Random

    def account(self) -> str:
        """One of the accounts."""
        return account(self.lots.randrange(self.accounts))

    def day(self) -> str:
        """A day of the history so far."""
        return day_of(self.lots.randrange(self.entries)).isoformat()

    def last_day(self) -> str:
        """The last one."""
        return day_of(self.entries - 1).isoformat()


@dataclass(frozen=True, slots=True)
class Read:
    """A method, and how a question to it is made; None where the wire does not know the question yet."""

    method: str
    ask: Callable[[Asked], Message] | None
    calls: int
    """How often it is asked in each round of a full run."""


def _balance(asked: Asked) -> Message:
    return accounts_pb2.GetBalanceRequest(book=asked.book, account=asked.account())


def _balance_as_of(asked: Asked) -> Message:
    return accounts_pb2.GetBalanceRequest(book=asked.book, account=asked.account(), as_of=asked.day())


def _two_axes(share: float) -> Callable[[Asked], Message] | None:
    def ask(asked: Asked) -> Message:
        question = accounts_pb2.GetBalanceRequest(book=asked.book, account=asked.account(), as_of=asked.day())
        setattr(question, _KNOWN, int(asked.entries * share))
        return question

    return ask if _KNOWN in accounts_pb2.GetBalanceRequest.DESCRIPTOR.fields_by_name else None


def _statement() -> Callable[[Asked], Message] | None:
    request = getattr(reports_pb2, "GetStatementRequest", None)

    def ask(asked: Asked) -> Message:
        assert request is not None
        question: Message = request(book=asked.book, account=asked.account())
        return question

    return ask if request else None


def _trial_balance(asked: Asked) -> Message:
    return reports_pb2.GetTrialBalanceRequest(book=asked.book, as_of=asked.last_day())


def _entry(asked: Asked) -> Message:
    return postings_pb2.GetEntryRequest(book=asked.book, number=1 + asked.lots.randrange(asked.entries))


def _by_account(asked: Asked) -> Message:
    return postings_pb2.ListEntriesRequest(book=asked.book, account=asked.account())


def _listed(asked: Asked) -> Message:
    return postings_pb2.ListEntriesRequest(book=asked.book, effective_from=asked.day())


_BALANCE = f"{ACCOUNTS}/GetBalance"
READS: Mapping[str, Read] = {
    BALANCE: Read(_BALANCE, _balance, 500),
    AS_OF: Read(_BALANCE, _balance_as_of, 500),
    **{name: Read(_BALANCE, _two_axes(share), 500) for name, share in TWO_AXES.items()},
    STATEMENT: Read(f"{REPORTS}/GetStatement", _statement(), 200),
    ENTRY: Read(f"{POSTINGS}/GetEntry", _entry, 500),
    BY_ACCOUNT: Read(f"{POSTINGS}/ListEntries", _by_account, 100),
    LISTED: Read(f"{POSTINGS}/ListEntries", _listed, 100),
    TRIAL: Read(f"{REPORTS}/GetTrialBalance", _trial_balance, 5),
}
