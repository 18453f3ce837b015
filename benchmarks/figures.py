"""What is known of a case after it was measured."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from benchmarks.client import Measured


@dataclass(frozen=True, slots=True)
class Figures:
    """One case in one round. Times are in milliseconds a call, CPU in microseconds an entry."""

    rate: float
    """Entries a second."""
    p50: float
    p95: float
    p99: float
    server_cpu: float | None = None
    postgres_cpu: float | None = None
    client_cpu: float | None = None
    disk: float | None = None
    """Bytes that tables and indexes grew by, a posting."""
    wal: float | None = None
    """Bytes of write-ahead log, a posting."""


@dataclass(frozen=True, slots=True)
class Used:
    """What has been used so far: CPU in seconds, space in bytes."""

    server: float = 0
    postgres: float = 0
    disk: float = 0
    wal: float = 0


def figured(measured: Measured, entries: int, postings: int, before: Used, after: Used) -> Figures:
    """The figures of a case that posted so many entries."""
    seconds = sorted(measured.seconds)
    micro = 1_000_000 / entries
    return Figures(
        rate=entries / (measured.ended - measured.began),
        p50=percentile(seconds, 50) * 1000,
        p95=percentile(seconds, 95) * 1000,
        p99=percentile(seconds, 99) * 1000,
        server_cpu=(after.server - before.server) * micro if after.server else None,
        postgres_cpu=(after.postgres - before.postgres) * micro if after.postgres else None,
        client_cpu=measured.cpu_seconds * micro,
        disk=(after.disk - before.disk) / postings if after.disk else None,
        wal=(after.wal - before.wal) / postings if after.wal else None,
    )


def percentile(ascending: Sequence[float], percent: int) -> float:
    """The smallest of the values that so many percent of them do not exceed."""
    return ascending[max(0, math.ceil(len(ascending) * percent / 100) - 1)]


def median(rounds: Sequence[Figures]) -> Figures:
    """Each figure's median over the rounds, by itself."""
    names = [field.name for field in fields(Figures)]
    middle: dict[str, Any] = {name: _middle([getattr(one, name) for one in rounds]) for name in names}
    return Figures(**middle)


def _middle(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
