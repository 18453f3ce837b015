"""The cases of `make bench`, in the order in which each round measures them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.bare import Copying, Inserting
from benchmarks.client import ACCOUNTS, POSTINGS, Calls, Client, Measured, Stream, Task
from benchmarks.entries import BATCH, Entries
from benchmarks.entries import POSTINGS as LINES
from benchmarks.figures import Figures, Used, figured
from benchmarks.naive import Naive
from benchmarks.processes import BenchFailed, Family
from ledger.v1 import accounts_pb2
from service.postgres import Urls

POST_ONE, POST_MANY = f"{POSTINGS}/PostEntry", f"{POSTINGS}/PostEntries"
STREAM = f"{POSTINGS}/StreamEntries"
THREADS = (1, 4, 16)
"""Threads of the naive poster that are tried; the best counts."""
BATCHES_IN_FLIGHT = 4
STREAM_WINDOW = 4_000
"""Entries of a stream that may wait for their answers."""
_SIZES = """
    SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class AS c
    WHERE c.relkind IN ('r', 'm') AND c.relnamespace = current_schema()::regnamespace
"""
_WAL = "SELECT pg_current_wal_lsn() - '0/0'"


@dataclass(frozen=True)
class Place:
    """Where is measured: the processes, and who asks."""

    urls: Urls
    ledger: str
    """The server's address."""
    echo: str
    """That of the server without a ledger."""
    server: Family
    echoing: Family
    postgres: Family
    client: Client
    owner: psycopg.Connection[tuple[object, ...]]
    """The bench's own connection, as the owner of the tables."""
    folder: Path
    seed: int
    accounts: int
    """How many accounts the lots are drawn from."""

    def used(self, server: Family | None) -> Used:
        """What the server, PostgreSQL and its files have used so far."""
        return Used(
            server=server.cpu_seconds() if server else 0,
            postgres=self.postgres.cpu_seconds(),
            disk=self.number(_SIZES),
            wal=self.number(_WAL),
        )

    def asked(self, task: Task, entries: int, server: Family | None) -> Figures:
        """Measures a task of so many entries, with what the server and PostgreSQL used for it."""
        return self.measured(task, entries, server)[1]

    def measured(self, task: Task, entries: int, server: Family | None) -> tuple[Measured, Figures]:
        """The same, with how long each call took."""
        before: list[Used] = []
        measured = self.client.measured(task, before=lambda: before.append(self.used(server)))
        return measured, figured(measured, entries, entries * LINES, before[0], self.used(server))

    def opened(self, entries: Entries) -> Entries:
        """Opens a book, and all its accounts by posting to each of them.

        It begins with a checkpoint, so that none falls into what is measured of it by itself.
        """
        self.owner.execute("CHECKPOINT")
        asked = accounts_pb2.OpenBookRequest(book=entries.book, name="a book of the benchmark")
        self.client.measured(Calls(self.ledger, f"{ACCOUNTS}/OpenBook", [asked.SerializeToString()], 1))
        self.client.measured(Calls(self.ledger, POST_MANY, list(entries.touching()), 1))
        self.refuse_other_count(entries)
        return entries

    def last_number(self, book: str) -> int:
        """How many entries a book has."""
        row = self.owner.execute("SELECT number FROM heads WHERE book = %s", [book]).fetchone()
        assert row is not None
        return int(str(row[0]))

    def refuse_other_count(self, entries: Entries) -> None:
        """Raises BenchFailed where the book does not hold all that was made for it: some would be refusals."""
        if (number := self.last_number(entries.book)) != entries.made:
            raise BenchFailed(f"{entries.book} holds {number} entries, and {entries.made} were asked for")

    def number(self, query: str) -> float:
        """What a query of one number finds."""
        row = self.owner.execute(query.encode()).fetchone()
        assert row is not None
        return float(str(row[0]))


@dataclass
class Round:
    """One round: books of its own, so that each begins as small as the others."""

    place: Place
    number: int
    books: dict[str, Entries]
    lone: int = 0
    """After which entry of the random book the lone unary requests have posted."""
    copied: tuple[int, int] = (0, 0)
    """After which entry of the book of batches, and up to which one, batches have just been posted."""
    threads: int = 0
    """With how many threads the naive poster was best."""
    rows: int = 0
    """How many rows COPY copied."""

    def book(self, name: str, *, hot: bool = False) -> Entries:
        """A book of this round, opened on first use."""
        if name not in self.books:
            book = f"{name}-{self.number}"
            entries = Entries(book, self.place.seed, hot=hot, accounts=self.place.accounts)
            self.books[name] = self.place.opened(entries)
        return self.books[name]

    def posted(self, entries: Entries, task: Task, count: int) -> Figures:
        """Figures of the ledger itself, once it is seen that it posted everything."""
        figures = self.place.asked(task, count, self.place.server)
        self.place.refuse_other_count(entries)
        return figures


Measure = Callable[[Round, int], Figures]
"""Measures a case with so many entries."""


@dataclass(frozen=True, slots=True)
class Case:
    """A row of the table."""

    name: str
    measure: Measure
    count: int
    """Entries in a full run."""
    least: int
    """Entries in a quick one."""


def _echo(in_flight: int) -> Measure:
    def measure(round_: Round, count: int) -> Figures:
        requests = list(Entries("echo", round_.place.seed).requests(count))
        return round_.place.asked(
            Calls(round_.place.echo, POST_ONE, requests, in_flight), count, round_.place.echoing
        )

    return measure


def _echo_stream(round_: Round, count: int) -> Figures:
    requests = list(Entries("echo", round_.place.seed).streamed(count))
    return round_.place.asked(
        Stream(round_.place.echo, STREAM, requests, STREAM_WINDOW), count, round_.place.echoing
    )


def _unary(in_flight: int) -> Measure:
    def measure(round_: Round, count: int) -> Figures:
        entries = round_.book("random")
        if in_flight == 1:
            round_.lone = entries.made
        requests = list(entries.requests(count))
        return round_.posted(entries, Calls(round_.place.ledger, POST_ONE, requests, in_flight), count)

    return measure


def _stream(round_: Round, count: int) -> Figures:
    entries = round_.book("random")
    asked = Stream(round_.place.ledger, STREAM, list(entries.streamed(count)), STREAM_WINDOW)
    return round_.posted(entries, asked, count)


def _batches(size: int, name: str) -> Measure:
    """Some batches in flight: while one commits, the next is read."""

    def measure(round_: Round, count: int) -> Figures:
        entries = round_.book(name, hot=name == "hot")
        first = entries.made
        requests = list(entries.batches(count // size, size))
        figures = round_.posted(entries, Calls(round_.place.ledger, POST_MANY, requests, BATCHES_IN_FLIGHT), count)
        if name == "batches":
            round_.copied = (first, first + count)
        return figures

    return measure


def _copy(round_: Round, count: int) -> Figures:
    first, last = round_.copied
    if not last:
        _batches(BATCH, "batches")(round_, count)
        first, last = round_.copied
    copying = Copying(round_.place.urls.owner, round_.book("batches").book, first, last)
    round_.rows = copying.rows(round_.place.owner)
    return round_.place.asked(copying, last - first, None)


def _insert(round_: Round, count: int) -> Figures:
    if not round_.lone:
        _unary(1)(round_, count)
    book = round_.book("random").book
    return round_.place.asked(Inserting(round_.place.urls.owner, book, round_.lone, count), count, None)


def _naive(name: str) -> Measure:
    def measure(round_: Round, count: int) -> Figures:
        entries = round_.book(name, hot=name == "naive-hot")
        tried: dict[int, Figures] = {}
        for threads in THREADS:
            task = Naive(round_.place.urls.server, list(entries.requests(count)), threads)
            tried[threads] = round_.place.asked(task, count, None)
        round_.place.refuse_other_count(entries)
        round_.threads = max(tried, key=lambda threads: tried[threads].rate)
        return tried[round_.threads]

    return measure


CASES: dict[str, Case] = {
    "echo-1": Case("echo RPC, 1 in flight", _echo(1), 500, 50),
    "unary-1": Case("unary, 1 in flight", _unary(1), 500, 50),
    "insert": Case("bare INSERT … COMMIT of an entry", _insert, 500, 50),
    "unary-16": Case("unary, 16 in flight", _unary(16), 3_000, 100),
    "echo-64": Case("echo RPC, 64 in flight", _echo(64), 6_000, 200),
    "unary-64": Case("unary, 64 in flight", _unary(64), 6_000, 200),
    "unary-256": Case("unary, 256 in flight", _unary(256), 6_000, 300),
    "echo-stream": Case("echo stream", _echo_stream, 12_000, 500),
    "stream": Case("stream", _stream, 12_000, 500),
    "batch-100": Case("batches of 100", _batches(100, "random"), 15_000, 500),
    "naive": Case("naive poster, random accounts", _naive("naive"), 500, 30),
    "naive-hot": Case("naive poster, hot account", _naive("naive-hot"), 500, 30),
    "hot-1000": Case("batches of 1,000, hot account", _batches(BATCH, "hot"), 30_000, 2_000),
    "batch-1000": Case("batches of 1,000, random accounts", _batches(BATCH, "batches"), 30_000, 2_000),
    "copy": Case("COPY of the same rows", _copy, 30_000, 2_000),
}
