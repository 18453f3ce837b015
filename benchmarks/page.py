"""How results are written: Markdown tables, each in its place on benchmarks/RESULTS.md."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter

import psutil
import psycopg

from benchmarks.figures import Figures
from benchmarks.processes import ROOT, Family
from benchmarks.targets import Verdict

PAGE = ROOT / "benchmarks" / "RESULTS.md"
_SETTINGS = (
    *("fsync", "synchronous_commit", "full_page_writes", "wal_level", "wal_compression"),
    *("shared_buffers", "max_wal_size", "checkpoint_timeout"),
)
_PACKAGES = ("grpcio", "protobuf", "psycopg", "sqlalchemy", "uvloop")
_FLUSHES = 50
_PAGE_BYTES = 8192

HEADINGS = ("entries/s", "p50 ms", "p95 ms", "p99 ms", "server", "PostgreSQL", "client", "disk", "WAL")
LEGEND = (
    "p50, p95 and p99 are of one call (of one commit for COPY), in milliseconds. Server, PostgreSQL and client: "
    "microseconds of CPU an entry. Disk and WAL: bytes a posting that tables with indexes, and the log, grew by."
)


@dataclass
class Machine:
    """What the run was like, apart from what it measured."""

    others: float = 0
    """The share of the machine's CPU that other programs used meanwhile."""
    seconds: float = 0


@contextmanager
def watched(ours: Sequence[Family]) -> Iterator[Machine]:
    """Sees how long the run took and how quiet the machine was."""
    machine, began, busy, used = Machine(), perf_counter(), _busy(), _used(ours)
    yield machine
    machine.seconds = perf_counter() - began
    others = (_busy() - busy) - (_used(ours) - used)
    machine.others = max(0, others) / (machine.seconds * (os.cpu_count() or 1))


def described(
    owner: psycopg.Connection[tuple[object, ...]], folder: Path, machine: Machine, how: str
) -> list[str]:
    """Where, when and how the run was made, as Markdown."""
    memory = psutil.virtual_memory().total / 2**30
    settings = (f"{name} = {_setting(owner, name)}" for name in _SETTINGS)
    versions = (f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    ours = f"session-ledger {importlib.metadata.version('session-ledger')}{_commit()}"
    return [
        f"- {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, `{how}`, {machine.seconds / 60:.1f} minutes",
        f"- {os.cpu_count()} cores ({_model()}), {memory:.0f} GiB, {platform.system()} {platform.release()}",
        f"- the disk keeps a page in {_flush_seconds(folder) * 1000:.2f} ms; no commit can be quicker",
        f"- other programs used {machine.others:.0%} of the CPU meanwhile",
        f"- {ours}, Python {platform.python_version()}, {', '.join(versions)}",
        f"- PostgreSQL {_setting(owner, 'server_version')}, embedded: {', '.join(settings)}",
    ]


def row(name: str, figures: Figures) -> list[str]:
    """A case as a row of the table."""
    times = (f"{one:,.2f}" if one < 100 else f"{one:,.0f}" for one in (figures.p50, figures.p95, figures.p99))
    costs = (figures.server_cpu, figures.postgres_cpu, figures.client_cpu, figures.disk, figures.wal)
    return [name, f"{figures.rate:,.0f}", *times, *("" if one is None else f"{one:,.0f}" for one in costs)]


def figures_table(names: Mapping[str, str], found: Mapping[str, Figures]) -> list[str]:
    """The cases that were measured, by the names that people read."""
    return table(("", *HEADINGS), [row(names[name], figures) for name, figures in found.items()])


def verdicts(found: Sequence[Verdict | None]) -> list[str]:
    """Targets and what was found, as a table."""
    rows = [[one.what, one.goal, one.found, "met" if one.met else "**not met**"] for one in found if one]
    return table(("ratio", "target", "found", ""), rows)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; every column but the first holds figures."""
    rule = ["---", *["---:"] * (len(headings) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (headings, rule, *rows)]


def put(page: Path, name: str, lines: Sequence[str]) -> None:
    """Writes a part between its markers, and leaves the rest of the page alone."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = page.read_text() if page.exists() else f"{begin}\n{end}\n"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    page.write_text("\n".join([before + begin, *lines, end + after]))


def _setting(owner: psycopg.Connection[tuple[object, ...]], name: str) -> str:
    row = owner.execute("SELECT current_setting(%s)", [name]).fetchone()
    assert row is not None
    return str(row[0])


def _model() -> str:
    """The processor's name, where the system tells it."""
    names = Path("/proc/cpuinfo")
    lines = names.read_text().splitlines() if names.exists() else []
    found = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(found, platform.processor() or platform.machine())


def _commit() -> str:
    git = shutil.which("git")
    if git is None:
        return ""
    asked = [git, "describe", "--always", "--dirty", "--exclude", "*"]
    said = subprocess.run(asked, cwd=ROOT, check=False, capture_output=True, text=True)
    return f" at {said.stdout.strip()}" if said.returncode == 0 else ""


def _flush_seconds(folder: Path) -> float:
    """How long the disk takes to keep a page: no commit can be quicker."""
    took = []
    with (folder / "flushed").open("wb") as file:
        for _ in range(_FLUSHES):
            began = perf_counter()
            file.write(bytes(_PAGE_BYTES))
            file.flush()
            os.fsync(file.fileno())
            took.append(perf_counter() - began)
    return median(took)


def _busy() -> float:
    """CPU seconds that the machine has used on anything."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0) - getattr(times, "guest", 0))


def _used(ours: Sequence[Family]) -> float:
    return sum(family.cpu_seconds() for family in ours)
