"""Clients that post under load, and remember all that they asked and all that they were told.

Each call bears idempotency keys. A call that fails because the server or its database is away is made again with
the same keys, at the next server where there are several, until it is answered.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import grpc
from google.protobuf.message import Message
from serving import Refused, cr, dr, entry, minor, refusal, session

from ledger.v1 import accounts_pb2, postings_pb2
from ledger.v1.accounts_pb2_grpc import AccountsServiceStub
from ledger.v1.postings_pb2_grpc import PostingsServiceStub

BOOK = "main"
DAY = "2026-04-08"
_CHANNEL = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.use_local_subchannel_pool", 1),
)
_PAUSE_SECONDS = 0.05
_MOST_TOLD = 20
WAYS = ("PostEntry", "RecordSession", "PostEntries")
"""The ways in which clients post."""

Asked = postings_pb2.EntryToPost | postings_pb2.RecordSessionRequest
Entry = tuple[Any, ...]
"""number, id, kind, day, description, key, hash and lines: an entry as plain values."""


def as_told(one: postings_pb2.JournalEntry) -> Entry:
    """An entry as a client was told of it."""
    kind = postings_pb2.Kind.Name(one.kind).removeprefix("KIND_").lower()
    lines = tuple(map(line, one.postings))
    return (one.number, one.id, kind, one.effective_date, one.description, one.idempotency_key, one.hash, lines)


def line(posting: postings_pb2.Posting) -> tuple[str, str, int, str]:
    """A posting as account, currency, signed minor units and item."""
    sign = 1 if posting.side == accounts_pb2.SIDE_DEBIT else -1
    return (posting.account, posting.amount.currency_code, sign * posting.amount.minor_units, posting.item)


@dataclass
class Told:
    """What the clients of one book asked, and what they were told."""

    asked: dict[str, Asked] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    calls: int = 0
    longest: float = 0.0
    """Seconds that the slowest call took, whatever came of it."""
    failures: Counter[str] = field(default_factory=Counter)
    retried: set[str] = field(default_factory=set)
    replayed: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    """Keys of calls that failed, until they are answered."""
    wrong: list[str] = field(default_factory=list)

    def answer(self, key: str, one: postings_pb2.JournalEntry, *, replayed: bool) -> None:
        """An entry is acknowledged. From here on it must be in the books for ever, as it is told here."""
        told = as_told(one)
        if self.entries.setdefault(key, told) != told:
            self.mistake(f"{key} was told twice, differently")
        if replayed:
            self.replayed.add(key)
            if key not in self.retried:
                self.mistake(f"{key} is called a replay, and was asked once only")

    def mistake(self, sentence: str) -> None:
        """Something that must not be, kept for the report."""
        if len(self.wrong) < _MOST_TOLD:
            self.wrong.append(sentence)


def channel(address: str, *options: tuple[str, Any]) -> grpc.aio.Channel:
    """A channel of its own that looks for a lost server often."""
    return grpc.aio.insecure_channel(address, (*_CHANNEL, *options))


def name_of(failure: Refused) -> str:
    """A failure in a word or two: our reason, or gRPC's own code where the server did not speak."""
    return failure.reason or f"{failure.code} (connection)"


async def open_book(address: str, book: str = BOOK) -> None:
    """Opens the book that the clients post to."""
    async with channel(address) as opened:
        asked = accounts_pb2.OpenBookRequest(book=book, name=f"{book} entity")
        await AccountsServiceStub(opened).OpenBook(asked, wait_for_ready=True)


class Load:
    """Several clients that post to one book at the same time, until they are told to finish."""

    def __init__(
        self,
        addresses: Sequence[str],
        lots: Random,
        *,
        clients: int = 8,
        borne: Sequence[str] = ("UNAVAILABLE",),
        deadlines: Sequence[float] = (30,),
        made: Callable[[str], grpc.aio.Channel] = channel,
    ) -> None:
        """`borne` are the gRPC codes after which a call is made again; any other is a mistake of the server.

        `deadlines` are how many seconds the clients wait for an answer, given to them in turn; `made` makes their
        channel to an address.
        """
        self.told = Told()
        self._addresses = addresses
        self._lots = [Random(lots.random()) for _ in range(clients)]
        self._borne = borne
        self._deadlines = deadlines
        self._made = made
        self._finishing = False
        self._channels: list[grpc.aio.Channel] = []
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins to post."""
        self._channels = [self._made(address) for address in self._addresses]
        self._tasks = [asyncio.create_task(self._client(n)) for n in range(len(self._lots))]

    async def answered(self, count: int) -> None:
        """Returns once so many more entries were acknowledged, or a client has given up."""
        goal = len(self.told.entries) + count
        while len(self.told.entries) < goal and not any(task.done() for task in self._tasks):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def finish(self) -> Told:
        """Every call is made until it is answered; then the clients are gone."""
        self._finishing = True
        try:
            await asyncio.wait_for(asyncio.gather(*self._tasks), 120)
        finally:
            for one in self._channels:
                await one.close()
        return self.told

    async def _client(self, number: int) -> None:
        """One client, which waits for each answer before it asks the next."""
        lots = self._lots[number]
        stubs = [PostingsServiceStub(one) for one in self._channels]
        stubs = stubs[number % len(stubs) :] + stubs[: number % len(stubs)]
        turn = 0
        while not self._finishing:
            turn += 1
            asking = lots.choices((self._entry, self._session, self._batch), (5, 3, 2))[0]
            await asking(stubs, f"{number}-{turn}", lots)
            await asyncio.sleep(lots.random() * 0.005)

    async def _entry(self, stubs: list[Any], key: str, lots: Random) -> None:
        request = postings_pb2.PostEntryRequest(book=BOOK, entry=manual(key, lots))
        self.told.asked[key] = request.entry
        answer = await self._called([stub.PostEntry for stub in stubs], request, [key])
        if answer is not None:
            self.told.answer(key, answer.entry, replayed=answer.replayed)

    async def _session(self, stubs: list[Any], key: str, lots: Random) -> None:
        request = earned(key, lots)
        self.told.asked[key] = request
        answer = await self._called([stub.RecordSession for stub in stubs], request, [key])
        if answer is not None:
            self.told.answer(key, answer.entry, replayed=answer.replayed)

    async def _batch(self, stubs: list[Any], key: str, lots: Random) -> None:
        entries = [manual(f"{key}-{n}", lots) for n in range(lots.randint(2, 40))]
        keys = [one.idempotency_key for one in entries]
        self.told.asked.update(zip(keys, entries, strict=True))
        request = postings_pb2.PostEntriesRequest(book=BOOK, entries=entries, atomic=lots.random() < 0.5)
        answer = await self._called([stub.PostEntries for stub in stubs], request, keys)
        for one, result in zip(keys, answer.results if answer is not None else (), strict=answer is not None):
            if result.HasField("entry"):
                self.told.answer(one, result.entry, replayed=result.replayed)
            else:
                self.told.mistake(f"{one} was refused: {result.refusal}")

    async def _called(self, methods: Sequence[Callable[..., Any]], request: Message, keys: list[str]) -> Any:
        """The answer, after as many calls as it takes; None where it failed in a way that must not be."""
        turn = 0
        deadline = self._deadlines[int(keys[0].partition("-")[0]) % len(self._deadlines)]
        while True:
            self.told.calls += 1
            began = time.monotonic()
            try:
                answer = await methods[turn % len(methods)](request, timeout=deadline)
            except grpc.aio.AioRpcError as error:
                failure = refusal(error)
                if not self._bears(failure, keys):
                    return None
            else:
                for key in keys:
                    self.told.failed.pop(key, None)
                return answer
            finally:
                self.told.longest = max(self.told.longest, time.monotonic() - began)
            turn += 1
            await asyncio.sleep(_PAUSE_SECONDS)

    def _bears(self, failure: Refused, keys: list[str]) -> bool:
        self.told.failures[name_of(failure)] += 1
        self.told.retried.update(keys)
        self.told.failed.update(dict.fromkeys(keys, name_of(failure)))
        if failure.code in self._borne:
            return True
        self.told.mistake(f"{keys[0]} was answered {failure.code} {failure.reason}: {failure.message}")
        return False


def manual(key: str, lots: Random) -> postings_pb2.EntryToPost:
    """A manual entry of two or three lines, which says its key so that it cannot be taken for another."""
    whole, part = lots.randint(2, 100_000), lots.randint(0, 1)
    lines = [dr("Assets:Cash", "0.01"), cr("Liabilities:UnappliedCash", "0.01")]
    lines[0].amount.CopyFrom(minor(whole))
    lines[1].amount.CopyFrom(minor(whole - part))
    if part:
        lines.append(cr("Revenue:Interest", "0.01"))
    return entry(DAY, *lines, key=key, description=f"entry {key}")


def earned(key: str, lots: Random) -> postings_pb2.RecordSessionRequest:
    """A session of a claim of its own."""
    asked = session(f"C-{key}", DAY, provider=f"PT-{lots.randint(1, 9)}", session=f"S-{key}", idempotency_key=key)
    asked.patient_share.CopyFrom(minor(lots.choice((0, 1500, 2000))))
    asked.provider_rate.CopyFrom(minor(lots.randint(9_000, 13_000)))
    return asked


def call_of(way: str, key: str, lots: Random) -> tuple[Any, dict[str, Asked]]:
    """A call of this kind, and what it asks for under each key."""
    if way == "RecordSession":
        visit = earned(key, lots)
        return visit, {key: visit}
    if way == "PostEntry":
        one = postings_pb2.PostEntryRequest(book=BOOK, entry=manual(key, lots))
        return one, {key: one.entry}
    entries = [manual(f"{key}-{n}", lots) for n in range(3)]
    batch = postings_pb2.PostEntriesRequest(book=BOOK, entries=entries, atomic=True)
    return batch, {one.idempotency_key: one for one in entries}


def asked_lines(asked: Asked) -> list[tuple[str, int]]:
    """What was asked for as currency and signed amounts, in order of size: what any right entry must hold."""
    if isinstance(asked, postings_pb2.EntryToPost):
        return sorted((currency, amount) for _, currency, amount, _ in map(line, asked.postings))
    allowed, share, rate = (one.minor_units for one in (asked.allowed, asked.patient_share, asked.provider_rate))
    return sorted(("USD", amount) for amount in (allowed - share, share, rate, -allowed, -rate) if amount)
