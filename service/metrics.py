"""What Prometheus is told: how calls end and how long they take, batches, queues, and what waits for people.

Labels are methods, outcomes and books; never a caller, a party or an amount of a person.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from threading import Thread
from time import perf_counter
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from sqlalchemy.ext.asyncio import AsyncEngine

_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
_WAITS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15)


class Metrics:
    """The figures of one server."""

    def __init__(self) -> None:
        """All at zero, in a registry of its own."""
        self.registry = CollectorRegistry()
        registry = self.registry
        self._calls = Counter("ledger_calls", "Calls by how they ended.", ["method", "outcome"], registry=registry)
        self._seconds = Histogram("ledger_call_seconds", "How long calls took.", ["method"], registry=registry)
        self._batches = Histogram(
            "ledger_batch_requests",
            "Requests posted in one database transaction.",
            buckets=_SIZES,
            registry=registry,
        )
        self._head_waits = Histogram(
            "ledger_head_lock_seconds",
            "How long posting waited for the head of its book, until it had it or gave up.",
            buckets=_WAITS,
            registry=registry,
        )
        self._serving = Gauge(
            "ledger_serving", "1 while the database answers and its guards are in place.", registry=registry
        )
        self._exceptions = Gauge(
            "ledger_exceptions_open", "Exceptions that wait for a person.", ["book"], registry=registry
        )
        self._proposals = Gauge(
            "ledger_proposals_open", "Proposals that wait for a second person.", ["book"], registry=registry
        )
        self._clearing = Gauge(
            "ledger_clearing_oldest_days",
            "Age of the oldest payment without its deposit.",
            ["book"],
            registry=registry,
        )
        self._waiting = Gauge("ledger_queue_requests", "Requests that wait to be posted.", registry=registry)
        self._connections = Gauge(
            "ledger_connections_in_use", "Connections to the database in use.", registry=registry
        )

    def call(self, method: str, outcome: str, seconds: float) -> None:
        """A call ended."""
        self._calls.labels(method, outcome).inc()
        self._seconds.labels(method).observe(seconds)

    def batch(self, requests: int) -> None:
        """A batch is posted."""
        self._batches.observe(requests)

    def watch(self, waiting: Callable[[], float], connections: Callable[[], float]) -> None:
        """Where the queue's length and the pool's use are read whenever somebody asks."""
        self._waiting.set_function(waiting)
        self._connections.set_function(connections)

    def listen(self, database: AsyncEngine) -> None:
        """Measures how long whoever posts on these connections waits for the head of a book."""
        database.sync_engine.update_execution_options(waiting_for_head=self._head_wait)

    @contextmanager
    def _head_wait(self) -> Iterator[Callable[[timedelta], None]]:
        """A wait as long as the block, or as it is told."""
        began, told = perf_counter(), list[timedelta]()
        try:
            yield told.append
        finally:
            self._head_waits.observe(told[0].total_seconds() if told else perf_counter() - began)

    def serving(self, *, well: bool) -> None:
        """The database was looked at."""
        self._serving.set(well)

    def work(
        self,
        exceptions: Mapping[str, int],
        proposals: Mapping[str, int],
        clearing: Mapping[str, date],
        today: date,
    ) -> None:
        """What waits for people, by book."""
        for gauge, counts in ((self._exceptions, exceptions), (self._proposals, proposals)):
            gauge.clear()
            for book, count in counts.items():
                gauge.labels(book).set(count)
        self._clearing.clear()
        for book, since in clearing.items():
            self._clearing.labels(book).set((today - since).days)

    def offer(self, address: str, port: int) -> tuple[WSGIServer, Thread]:
        """Answers GET /metrics there, in a thread of its own. Raises OSError where the port is taken."""
        return start_http_server(port, address, self.registry)
