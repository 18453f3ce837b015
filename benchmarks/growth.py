"""`make bench-growth`: does posting stay fast, and do answers stay quick, while a book grows a hundredfold?"""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from rich.progress import Progress, TaskID

from benchmarks import page
from benchmarks.bench import placed, progress
from benchmarks.cases import BATCHES_IN_FLIGHT, POST_MANY, Place
from benchmarks.client import Calls, Measured
from benchmarks.entries import BATCH, Entries
from benchmarks.entries import POSTINGS as LINES
from benchmarks.figures import Figures, figured, median
from benchmarks.processes import Family
from benchmarks.reads import AS_OF, BALANCE, READS, TRIAL, TWO_AXES, Asked, Read
from benchmarks.targets import Verdict, judged
from ledger.postings import segments

WINDOWS = 3
_AT_ONCE = 50
"""Batches between two looks at how far it is."""
_QUICK = 25
"""A quick run asks so many times less."""
_PATIENCE_SECONDS = 300
_BEHIND = {
    "recorded totals": """
        SELECT count(*) FROM recorded_levels AS l JOIN heads AS h ON h.book = l.book
        WHERE l.number + l.size <= h.number
    """,
    "the days of segments": f"""
        SELECT count(*) FROM heads AS h
        WHERE h.number >= {segments.SIZE} + (SELECT coalesce(max(number), 0) FROM segment_days WHERE book = h.book)
    """,
    "the tree": """
        SELECT count(*) FROM heads AS h
        WHERE h.number >> 8 > (SELECT coalesce(max(nth) + 1, 0) FROM tree_nodes WHERE book = h.book AND level = 8)
    """,
    "vacuum": "SELECT count(*) FROM pg_stat_progress_vacuum",
}
"""What is done behind the posting, and how much of it is left."""


_ANSWERED = "p50 / p99 · CPU of the server and of PostgreSQL together, in milliseconds each"


@dataclass(frozen=True, slots=True)
class Stage:
    """How far a book has grown when it is looked at."""

    entries: int
    window: int
    """Entries in each of the windows before it in which posting is timed: whole batches."""
    stretch: int
    """So many entries before it are timed together, the windows among them."""

    @property
    def begins(self) -> int:
        """Where the stretch begins."""
        return self.entries - self.stretch

    @property
    def parts(self) -> list[int]:
        """Entries that are posted one after the other: what is before the windows, and each window."""
        before = self.stretch - WINDOWS * self.window
        return [before] * (before > 0) + [self.window] * WINDOWS

    def __str__(self) -> str:
        """In postings."""
        return f"{self.entries * LINES:,} postings"


STAGES = (Stage(25_000, 5_000, 15_000), Stage(250_000, 30_000, 90_000), Stage(2_500_000, 30_000, 1_050_000))
"""The last stretch holds some checkpoints, and all that is done for the largest segment of recorded totals."""
QUICK_STAGES = (Stage(4_000, BATCH, 3_000), Stage(7_000, BATCH, 3_000), Stage(12_000, BATCH, 4_000))
MEMORY_AT = (10_000, 1_000_000)
QUICK_MEMORY_AT = (1_000, 10_000)


@dataclass(frozen=True)
class Unmade:
    """Batches that are made while they are posted; the client's process has a copy of its own."""

    entries: Entries
    sizes: Sequence[int]

    def __iter__(self) -> Iterator[bytes]:
        """One request after the other."""
        for size in self.sizes:
            yield from self.entries.batches(1, size)


@dataclass
class Growth:
    """One book, and what was measured of it at each stage."""

    place: Place
    entries: Entries
    rounds: int
    quick: bool
    shown: Progress
    bar: TaskID
    memory_at: Sequence[int]
    memory: dict[int, int] = field(default_factory=dict)
    """The server's memory after so many entries, in bytes."""
    posting: dict[Stage, Figures] = field(default_factory=dict)
    """The median of the windows."""
    stretches: dict[Stage, Figures] = field(default_factory=dict)
    waits: dict[Stage, str] = field(default_factory=dict)
    """How long what is done behind the posting took after it, or what was not done."""
    reads: dict[Stage, dict[str, Figures | None]] = field(default_factory=dict)
    bytes_a_posting: dict[Stage, float] = field(default_factory=dict)

    def reach(self, stage: Stage) -> None:
        """Grows the book to a stage, timing the last stretch before it, and then asks all questions."""
        self._load(stage.begins)
        self._time(stage)
        assert self.entries.made == stage.entries
        self.place.refuse_other_count(self.entries)
        self.bytes_a_posting[stage] = self.place.used(None).disk / (stage.entries * LINES)
        self.place.owner.execute("ANALYZE")  # as autovacuum would have done by then
        self.waits[stage] = self._caught_up(stage)
        self.reads[stage] = {name: self._read(name, READS[name], stage) for name in READS}

    def _time(self, stage: Stage) -> None:
        """Posts the stretch; within a part nothing rests, so that what is done behind has no time of its own."""
        self.shown.update(self.bar, description=f"posting, timed: to {stage}")
        before = self.place.used(self.place.server)
        measured: list[Measured] = []
        figures: list[Figures] = []
        for count in stage.parts:
            requests = list(self.entries.batches(count // BATCH))
            task = Calls(self.place.ledger, POST_MANY, requests, BATCHES_IN_FLIGHT)
            one, of_it = self.place.measured(task, count, self.place.server)
            measured.append(one)
            figures.append(of_it)
            self._advanced(count)
        after = self.place.used(self.place.server)
        whole = sum(measured[1:], measured[0])
        self.stretches[stage] = figured(whole, stage.stretch, stage.stretch * LINES, before, after)
        self.posting[stage] = median(figures[-WINDOWS:])

    def _caught_up(self, stage: Stage) -> str:
        """Waits until what is done behind the posting is done: questions would measure it otherwise."""
        self.shown.update(self.bar, description=f"{stage}: what is done behind")
        began = time.monotonic()
        while left := [name for name, query in _BEHIND.items() if self.place.number(query)]:
            if time.monotonic() - began > _PATIENCE_SECONDS:
                return f"{' and '.join(left)} not done after {_PATIENCE_SECONDS} s"
            time.sleep(1)
        self.place.owner.execute("CHECKPOINT")
        return f"{time.monotonic() - began:.0f} s"

    def _load(self, until: int) -> None:
        """Posts untimed, and looks at the server's memory where that is wanted."""
        while self.entries.made < until:
            before = self.entries.made
            stop = min([until, *(at for at in self.memory_at if at > before)])
            sizes = self._sizes(stop - before)[:_AT_ONCE]
            self.place.client.measured(
                Calls(self.place.ledger, POST_MANY, Unmade(self.entries, sizes), BATCHES_IN_FLIGHT)
            )
            self.entries.made += sum(sizes)
            self._advanced(sum(sizes))

    def _sizes(self, count: int) -> list[int]:
        """Batches that hold so many entries together."""
        return [BATCH] * (count // BATCH) + [count % BATCH] * (count % BATCH > 0)

    def _advanced(self, count: int) -> None:
        self.shown.advance(self.bar, count)
        for at in self.memory_at:
            if at <= self.entries.made and at not in self.memory:
                self._ask_all()
                self.memory[at] = self.place.server.resident_bytes()

    def _ask_all(self) -> None:
        """Whatever answers need has been allocated before memory is looked at."""
        asked = Asked(self.entries.book, self.entries.made, self.place.accounts, Random(self.place.seed))
        for read in READS.values():
            if read.ask is not None:
                question = read.ask(asked).SerializeToString()
                self.place.client.measured(Calls(self.place.ledger, read.method, [question], 1))

    def _read(self, name: str, read: Read, stage: Stage) -> Figures | None:
        """Asks one after the other; the median of the rounds counts."""
        if read.ask is None:
            return None
        self.shown.update(self.bar, description=f"{stage}: {name}")
        asked = Asked(self.entries.book, stage.entries, self.place.accounts, Random(f"{self.place.seed} {name}"))
        calls = max(3, read.calls // _QUICK) if self.quick else read.calls
        rounds = []
        for _ in range(self.rounds):
            requests = [read.ask(asked).SerializeToString() for _ in range(calls)]
            task = Calls(self.place.ledger, read.method, requests, 1)
            rounds.append(self.place.asked(task, calls, self.place.server))
        self.shown.update(self.bar, description=f"after {stage}")
        return median(rounds)


def run(asked: argparse.Namespace, how: str) -> list[str]:
    """Grows a book; returns the lines of the page."""
    stages = QUICK_STAGES if asked.quick else STAGES
    with placed(asked, echo=False) as place:
        with page.watched([Family(os.getpid()), place.postgres]) as machine, progress() as shown:
            bar = shown.add_task("posting", total=stages[-1].entries)
            entries = place.opened(Entries("growth", asked.seed, accounts=place.accounts))
            memory_at = QUICK_MEMORY_AT if asked.quick else MEMORY_AT
            growth = Growth(place, entries, asked.rounds, asked.quick, shown, bar, memory_at)
            shown.advance(bar, entries.made)
            for stage in stages:
                growth.reach(stage)
        about = page.described(place.owner, place.folder, machine, how)
    return [*about, "", *page.verdicts(_verdicts(growth)), "", *_tables(growth)]


def _verdicts(growth: Growth) -> list[Verdict]:
    first, *_, last = growth.posting
    rate = growth.stretches[last].rate / growth.stretches[first].rate
    found = [judged(f"posting on the way to {last} against {first}", 0.85, rate)]
    for name in (BALANCE, AS_OF, *TWO_AXES):
        before, after = growth.reads[first][name], growth.reads[last][name]
        if before and after:
            found.append(
                judged(f"{name}: p99 at {last} against {first}", 1.5, after.p99 / before.p99, at_most=True)
            )
            found.append(judged(f"{name}: p99 at {last}", 10, after.p99, at_most=True, unit="ms"))
    if trial := growth.reads[last][TRIAL]:
        found.append(
            judged(
                f"{TRIAL} over {growth.place.accounts:,} accounts at {last}: p99",
                1000,
                trial.p99,
                at_most=True,
                unit="ms",
            )
        )
    early, late = growth.memory_at
    memory = growth.memory[late] / growth.memory[early]
    return [*found, judged(f"server memory after {late:,} entries against {early:,}", 1.2, memory, at_most=True)]


def _tables(growth: Growth) -> list[str]:
    stages = [*growth.posting]
    memory = ", ".join(f"{size / 2**20:.0f} MiB after {at:,} entries" for at, size in growth.memory.items())
    windows = (
        f"Batches of {BATCH:,}, {BATCHES_IN_FLIGHT} in flight; medians of {WINDOWS} windows. Server: {memory}."
    )
    last = ", ".join(f"{stage.stretch:,}" for stage in stages)
    judged_by = (
        f"Judged is the mean over all entries on the way, the last {last}. On the longest way checkpoints, "
        "vacuum and what is filled behind have their share; in the windows at its end they are luck."
    )
    waited = ", ".join(f"{growth.waits[stage]} at {stage}" for stage in stages)
    posting = [
        row
        for stage in stages
        for row in (
            [*page.row(f"on the way to {stage}", growth.stretches[stage]), ""],
            [*page.row(f"at {stage}", growth.posting[stage]), f"{growth.bytes_a_posting[stage]:,.0f}"],
        )
    ]
    rows = []
    for name in READS:
        found = [growth.reads[stage][name] for stage in stages]
        rows.append([name, *map(_answered, found)])
    return [
        *(windows, judged_by, page.LEGEND, "All: bytes of all tables and indexes, a posting.", ""),
        *(*page.table(("posting", *page.HEADINGS, "all"), posting), ""),
        f"Before questions are asked, what is done behind posting is waited for, and a checkpoint made: {waited}.",
        *(f"Questions, one after the other, medians of {growth.rounds} rounds: {_ANSWERED}.", ""),
        *page.table(("question", *(f"at {stage}" for stage in stages)), rows),
    ]


def _answered(figures: Figures | None) -> str:
    """How a question is answered at one stage."""
    if figures is None:
        return "not there yet"
    cpu = (figures.server_cpu or 0) + (figures.postgres_cpu or 0)
    return f"{figures.p50:,.2f} / {figures.p99:,.2f} · {cpu / 1000:,.1f}"
