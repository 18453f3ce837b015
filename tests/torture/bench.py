"""Runs every fault on a PostgreSQL of its own, prints what came of it, and writes the table into the docs."""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random

from torture.clocks import ClocksJump
from torture.crowd import Crowd
from torture.cycle_killed import CycleKilled
from torture.data_lost import DataLost
from torture.disk_full import DiskFull
from torture.exhausted import NoConnectionLeft, SlowReaders
from torture.fault import Kind, Outcome, Place, suffer
from torture.ingested import Ingested
from torture.killed import PostgresKilled, ServerKilled
from torture.network import BadNetwork, CutAtCommit
from torture.paused import Paused
from torture.processes import ROOT, Postgres
from torture.replica_lost import ReplicaLost
from torture.rolled import Rolled
from torture.rolling import RollingRestart
from torture.silenced import Silenced
from torture.stopped import Stopped
from torture.vanishing import Vanishing

PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- torture: begin -->", "<!-- torture: end -->"
_FULL_MINUTES = 10
FAULTS: dict[str, tuple[Kind, int]] = {
    "server": (ServerKilled, 50),
    "postgres": (PostgresKilled, 20),
    "commit": (CutAtCommit, 20),
    "network": (BadNetwork, 40),
    "silence": (Silenced, 3),
    "ingest": (Ingested, 28),
    "cycle": (CycleKilled, 20),
    "stop": (Stopped, 20),
    "rolling": (RollingRestart, 6),
    "pause": (Paused, 3),
    "vanish": (Vanishing, 18),
    "crowd": (Crowd, 3),
    "readers": (SlowReaders, 3),
    "connections": (NoConnectionLeft, 5),
    "disk": (DiskFull, 10),
    "replica": (ReplicaLost, 10),
    "archive": (DataLost, 10),
    "migrate": (Rolled, 2),
    "clocks": (ClocksJump, 20),
}
"""Each fault, and how often it happens in a full run. Of 56 deliveries some 50 are broken off in time."""


def main() -> int:
    """The exit code is not zero where anything was lost, doubled or otherwise not as it must be."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="session-ledger-torture-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL's own user must pass where the bench runs as root
        postgres = Postgres(folder / "postgres")
        try:
            postgres.start()
            outcomes = {fault: _suffered(fault, asked, folder, postgres) for fault in asked.only or FAULTS}
        finally:
            postgres.close()
    minutes = (time.monotonic() - began) / 60
    table = written(outcomes, f"A run of {minutes:.1f} minutes with seed {asked.seed}, fsync on:")
    print(f"\n{table}")
    if not asked.only:
        _put(table)
    return 1 if any(outcome.verdict.wrong for outcome in outcomes.values()) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=_FULL_MINUTES, help="in proportion; 10 is a full run")
    parser.add_argument("--seed", type=int, default=1, help="the same seed draws the same lots")
    parser.add_argument("--only", nargs="*", choices=FAULTS, help="these faults; nothing is written then")
    return parser.parse_args()


def _suffered(fault: str, asked: argparse.Namespace, folder: Path, postgres: Postgres) -> Outcome:
    kind, full = FAULTS[fault]
    times = max(1, round(full * asked.minutes / _FULL_MINUTES))
    logs = folder / f"{fault}-logs"
    logs.mkdir()
    lots = Random(f"{asked.seed} {fault}")
    urls = postgres.database(f"torture_{fault}")
    place = Place(urls, logs, lots, postgres, say=lambda said: print(said, flush=True))
    outcome = asyncio.run(suffer(kind, place, times))
    for sentence in outcome.verdict.wrong:
        print(f"  WRONG: {sentence}", flush=True)
    return outcome


# --- the table ----------------------------------------------------------------------------------------


def written(outcomes: Mapping[str, Outcome], heading: str) -> str:
    """The outcomes as Markdown."""
    rows = [
        "| fault | tried | entries acknowledged | lost | twice | otherwise wrong |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for fault, outcome in outcomes.items():
        verdict = outcome.verdict
        counts = (outcome.tried, verdict.acknowledged, verdict.lost, verdict.twice, len(verdict.wrong))
        rows.append(f"| {FAULTS[fault][0].name} | {' | '.join(f'{count:,}' for count in counts)} |")
    notes = [f"- {FAULTS[fault][0].name}: {_note(outcome)}" for fault, outcome in outcomes.items()]
    return "\n".join([heading, "", *rows, "", "What else was counted:", "", *notes])


def _note(outcome: Outcome) -> str:
    met = ", ".join(f"{reason} {count:,}" for reason, count in outcome.failures.most_common())
    return "; ".join([*outcome.figures, f"clients met {met or 'no failure'}"]) + "."


def _put(table: str) -> None:
    """Writes the table between its markers, and leaves the rest of the page alone."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")
