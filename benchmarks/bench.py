"""`make bench`: one program, one table, everything in one run."""

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import page
from benchmarks.bare import plain
from benchmarks.cases import CASES, Place, Round
from benchmarks.client import Client
from benchmarks.entries import ACCOUNTS
from benchmarks.figures import Figures, median
from benchmarks.processes import ECHO, LEDGER, Family, postgres, serving
from benchmarks.targets import TARGETS

QUICK_ACCOUNTS = 500

Found = dict[str, Figures]


@contextmanager
def placed(asked: argparse.Namespace, *, echo: bool = True) -> Iterator[Place]:
    """PostgreSQL, the server, the one without a ledger, and a client, for as long as the block runs."""
    with ExitStack() as opened:
        temporary = TemporaryDirectory(
            prefix="session-ledger-bench-", dir=asked.folder, ignore_cleanup_errors=True
        )
        own = Path(opened.enter_context(temporary))
        urls, cluster = opened.enter_context(postgres(own))
        ledger, server = opened.enter_context(serving(LEDGER, urls.server, own))
        other = opened.enter_context(serving(ECHO, urls.server, own)) if echo else (ledger, server)
        owner = opened.enter_context(psycopg.connect(plain(urls.owner), autocommit=True))
        client = Client()
        opened.callback(client.close)
        accounts = QUICK_ACCOUNTS if asked.quick else ACCOUNTS
        yield Place(urls, ledger, other[0], server, other[1], cluster, client, owner, own, asked.seed, accounts)


def progress() -> Progress:
    """A bar on standard error that says what is measured."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))


def run(asked: argparse.Namespace, how: str) -> list[str]:
    """Measures the cases, round by round; returns the lines of the page."""
    names = asked.only or [*CASES]
    with placed(asked) as place:
        with page.watched([Family(os.getpid()), place.postgres]) as machine:
            rounds, notes = _measured(place, names, asked.rounds, quick=asked.quick)
        about = page.described(place.owner, place.folder, machine, how)
    found = {name: median([one[name] for one in rounds]) for name in names}
    table = page.figures_table({name: case.name for name, case in CASES.items()}, found)
    targets = page.verdicts([target.verdict(rounds) for target in TARGETS])
    rounds_note = f"Medians of {len(rounds)} rounds; a ratio is the median of the rounds' own ratios."
    return [*about, *notes, "", rounds_note, "", *targets, "", page.LEGEND, "", *table]


def _measured(place: Place, names: Sequence[str], rounds: int, *, quick: bool) -> tuple[list[Found], list[str]]:
    """Every case once a round, in the same order; what must be known to read the figures comes with them."""
    found: list[Found] = []
    with progress() as shown:
        task = shown.add_task("", total=rounds * len(names))
        for number in range(1, rounds + 1):
            round_, figures = Round(place, number, {}), Found()
            for name in names:
                case = CASES[name]
                shown.update(task, description=f"round {number}: {case.name}")
                figures[name] = case.measure(round_, case.least if quick else case.count)
                shown.advance(task)
            found.append(figures)
    return found, _notes(round_)


def _notes(last: Round) -> list[str]:
    notes = []
    if last.threads:
        notes.append(f"- the naive poster is given 1, 4 and 16 threads; the last best was {last.threads}")
    if last.rows:
        notes.append(f"- COPY wrote {last.rows:,} rows for the entries of one round")
    return notes
