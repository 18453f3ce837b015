"""`make bench-proof`: what proofs and their tree cost, and how quickly a bundle is judged."""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory

import psycopg

from benchmarks import page
from benchmarks.bare import plain
from benchmarks.bench import QUICK_ACCOUNTS, progress
from benchmarks.cases import BATCHES_IN_FLIGHT, POST_MANY, Place
from benchmarks.client import Calls, Client
from benchmarks.entries import ACCOUNTS, BATCH, Entries
from benchmarks.figures import Figures
from benchmarks.processes import LEDGER, ROOT, Family, postgres, serving
from benchmarks.targets import Verdict, judged
from ledger.audit import bundle, tree
from ledger.audit.verify import verify
from ledger.database import engine, reading
from ledger.v1 import audit_pb2

TREELESS = "benchmarks.treeless"
AUDIT = "/ledger.v1.AuditService"
_WORTH_TWO = 1_000
"""Entries from which on a tenth of them tells what starting costs."""
_UPKEEP_SECONDS = 6
"""What is done behind the posting is done every five."""
# Entries by SQL, since only their hashes matter to the tree; these are of no chain.
_LEAVES = """
    INSERT INTO entries (
        book, number, id, kind, effective_date, recorded_at, description, actor, idempotency_key, request_hash,
        posting_count, hash
    )
    SELECT 'tree', n, CAST(md5(CAST(n AS text)) AS uuid), 'manual', DATE '2026-01-02', now(), '', 'bench',
        CAST(n AS text), sha256(int8send(n)), 2, sha256('leaf' || int8send(n))
    FROM generate_series(1, %s) AS n
"""
_HEAD = """
    INSERT INTO heads (book, number, hash) SELECT 'tree', number, hash FROM entries
    WHERE book = 'tree' ORDER BY number DESC LIMIT 1
"""
_GUARDS = "entries {} TRIGGER entries_are_whole", "heads {} TRIGGER heads_stand_at_the_last_entry"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    batches: int
    leaves: int
    proofs: int


WHOLE = Sizes(batches=60, leaves=1_000_000, proofs=500)
QUICK = Sizes(batches=2, leaves=2_000, proofs=5)


@dataclass(frozen=True, slots=True)
class Posted:
    """One server's posting in one round; CPU in microseconds an entry, with what was done behind it."""

    rate: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Judged:
    """What a run of `ledger audit verify` used."""

    entries: int
    seconds: float
    cpu_seconds: float
    resident_bytes: int


def run(asked: argparse.Namespace, how: str) -> list[str]:
    """Measures all; returns the lines of the page."""
    sizes = QUICK if asked.quick else WHOLE
    with _arranged(asked) as place, progress() as shown:
        bar = shown.add_task("", total=2 * asked.rounds + 3)

        def step(what: str) -> None:
            shown.update(bar, description=what, advance=1)

        with page.watched([Family(os.getpid()), place.postgres]) as machine:
            rounds = _posting(place, sizes, asked.rounds, step)
            step(f"a tree of {sizes.leaves:,} leaves")
            filling = _grown(place, sizes)
            with serving(LEDGER, place.urls.server, place.folder) as (address, server):
                step("proofs")
                there = replace(place, ledger=address, server=server)
                included, consistent = _proofs(there, sizes, asked.seed)
            step("bundles")
            few, many, alone, export = _bundles(place, f"on-{asked.rounds}")
        about = page.described(place.owner, place.folder, machine, how)
    found = _verdicts(sizes, rounds, filling, included, few, many)
    return [
        *about,
        "",
        *page.verdicts(found),
        "",
        *_told(sizes, rounds, filling, included, consistent, many, alone, export),
    ]


@contextmanager
def _arranged(asked: argparse.Namespace) -> Iterator[Place]:
    """PostgreSQL and a client; servers come and go."""
    with ExitStack() as opened:
        temporary = TemporaryDirectory(
            prefix="session-ledger-bench-", dir=asked.folder, ignore_cleanup_errors=True
        )
        own = Path(opened.enter_context(temporary))
        urls, cluster = opened.enter_context(postgres(own))
        owner = opened.enter_context(psycopg.connect(plain(urls.owner), autocommit=True))
        client = Client()
        opened.callback(client.close)
        accounts = QUICK_ACCOUNTS if asked.quick else ACCOUNTS
        yield Place(urls, "", "", cluster, cluster, cluster, client, owner, own, asked.seed, accounts)


# --- posting ------------------------------------------------------------------------------------------


def _posting(place: Place, sizes: Sizes, rounds: int, step: Callable[[str], None]) -> list[tuple[Posted, Posted]]:
    """With the tree and without it, in turn; who begins changes from round to round."""
    found = []
    for number in range(1, rounds + 1):
        one: dict[str, Posted] = {}
        for module in (LEDGER, TREELESS) if number % 2 else (TREELESS, LEDGER):
            step(f"round {number}: posting {'with' if module == LEDGER else 'without'} the tree")
            with serving(module, place.urls.server, place.folder) as (address, server):
                there = replace(place, ledger=address, server=server)
                one[module] = _posted(there, f"{'on' if module == LEDGER else 'off'}-{number}", sizes.batches)
            asyncio.run(_filled(place.urls.server))  # or the next server would do it
        found.append((one[LEDGER], one[TREELESS]))
    return found


def _posted(place: Place, book: str, batches: int) -> Posted:
    entries = place.opened(Entries(book, place.seed, accounts=place.accounts))
    requests, count = list(entries.batches(batches)), batches * BATCH
    before = place.used(place.server)
    figures = place.asked(Calls(place.ledger, POST_MANY, requests, BATCHES_IN_FLIGHT), count, place.server)
    place.refuse_other_count(entries)
    time.sleep(_UPKEEP_SECONDS)
    after = place.used(place.server)
    cpu = after.server - before.server + after.postgres - before.postgres
    return Posted(figures.rate, cpu * 1_000_000 / count)


async def _filled(url: str) -> None:
    database = engine(url)
    try:
        await tree.fill(database)
    finally:
        await database.dispose()


# --- proofs -------------------------------------------------------------------------------------------


def _grown(place: Place, sizes: Sizes) -> float:
    """A book of so many leaves, whose subtrees are kept; returns the CPU of that, in microseconds a leaf."""
    place.owner.execute("INSERT INTO books (book, name, opened_by) VALUES ('tree', 'leaves', 'bench')")
    with place.owner.transaction():
        place.owner.execute("SET LOCAL session_replication_role = replica")
        for guard in _GUARDS:
            place.owner.execute(f"ALTER TABLE {guard.format('DISABLE')}".encode())
        place.owner.execute(_LEAVES.encode(), [sizes.leaves])
        place.owner.execute(_HEAD.encode())
        for guard in _GUARDS:
            place.owner.execute(f"ALTER TABLE {guard.format('ENABLE ALWAYS')}".encode())
    place.owner.execute("ANALYZE entries")
    before = place.postgres.cpu_seconds() + time.process_time()
    asyncio.run(_filled(place.urls.server))
    return (place.postgres.cpu_seconds() + time.process_time() - before) * 1_000_000 / sizes.leaves


def _proofs(place: Place, sizes: Sizes, seed: int) -> tuple[Figures, Figures]:
    """Inclusion and consistency, of entries and sizes drawn by lot, one after the other."""
    lots = Random(seed)
    numbers = [lots.randint(1, sizes.leaves) for _ in range(sizes.proofs)]
    inclusion = [audit_pb2.GetInclusionProofRequest(book="tree", entry_number=number) for number in numbers]
    consistency = [audit_pb2.GetConsistencyProofRequest(book="tree", first_size=number) for number in numbers]
    found = []
    for name, requests in (("GetInclusionProof", inclusion), ("GetConsistencyProof", consistency)):
        made = [one.SerializeToString() for one in requests]
        place.client.measured(Calls(place.ledger, f"{AUDIT}/{name}", made[:3], 1))
        found.append(place.asked(Calls(place.ledger, f"{AUDIT}/{name}", made, 1), len(made), place.server))
    return found[0], found[1]


# --- bundles ------------------------------------------------------------------------------------------


def _bundles(place: Place, book: str) -> tuple[Judged, Judged, float, float]:
    """Bundles of few and of many entries as the command judges them; CPU of one process, and of the export.

    The latter two are in microseconds an entry.
    """
    count = place.last_number(book)
    few, many = place.folder / "few.bundle", place.folder / "many.bundle"
    asyncio.run(_exported(place.urls.server, book, max(1, count // 10), few))
    before = time.process_time() + place.postgres.cpu_seconds()
    asyncio.run(_exported(place.urls.server, book, count, many))
    export = (time.process_time() + place.postgres.cpu_seconds() - before) * 1_000_000 / count
    began = time.process_time()
    verify(many, processes=1)
    alone = (time.process_time() - began) * 1_000_000 / count
    judged_many = _command(many, count)
    judged_few = _command(few, count // 10) if count >= _WORTH_TWO else judged_many
    return judged_few, judged_many, alone, export


async def _exported(url: str, book: str, last: int, path: Path) -> None:
    database = engine(url)
    try:
        async with reading(database) as connection:
            await bundle.write(connection, book, 1, last, [], path, lambda _: None)
    finally:
        await database.dispose()


def _command(path: Path, entries: int) -> Judged:
    """`ledger audit verify` as people run it, with all processes that it takes."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", LEDGER, "audit", "verify", str(path)], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return Judged(entries, time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


# --- the page -----------------------------------------------------------------------------------------


def _verdicts(
    sizes: Sizes,
    rounds: Sequence[tuple[Posted, Posted]],
    filling: float,
    included: Figures,
    few: Judged,
    many: Judged,
) -> list[Verdict]:
    rate = median(on.rate / off.rate for on, off in rounds)
    cpu = median(on.cpu / off.cpu for on, off in rounds)
    share = filling / median(off.cpu for _, off in rounds)
    memory = many.resident_bytes / few.resident_bytes
    times = many.entries / few.entries
    return [
        judged("posting with the tree against posting without it, entries/s", 0.90, rate),
        judged("the same, CPU of server and PostgreSQL an entry", 1.10, cpu, at_most=True),
        judged("CPU of filling the tree against that of posting without it, an entry", 0.10, share, at_most=True),
        judged(
            f"an inclusion proof for one of {sizes.leaves:,} entries: p99",
            50,
            included.p99,
            at_most=True,
            unit="ms",
        ),
        judged("a bundle judged, with its start taken off", 50_000, _speed(few, many), unit="entries/s"),
        judged(f"memory of the judge for {times:.0f} times as many entries", 1.2, memory, at_most=True),
    ]


def _speed(few: Judged, many: Judged) -> float:
    """Entries a second, where what starting costs is known from a bundle of few."""
    seconds = many.seconds - few.seconds
    return (many.entries - few.entries) / seconds if seconds > 0 else many.entries / many.seconds


def _told(
    sizes: Sizes,
    rounds: Sequence[tuple[Posted, Posted]],
    filling: float,
    included: Figures,
    consistent: Figures,
    many: Judged,
    alone: float,
    export: float,
) -> list[str]:
    posting = [
        [f"round {number}", *(f"{one.rate:,.0f} / {one.cpu:,.0f}" for one in both)]
        for number, both in enumerate(rounds, 1)
    ]
    proofs = [
        [name, f"{one.p50:,.2f}", f"{one.p99:,.2f}", f"{(one.server_cpu or 0) + (one.postgres_cpu or 0):,.0f}"]
        for name, one in (("inclusion", included), ("consistency", consistent))
    ]
    tree_of = (
        f"Proofs in a tree of {sizes.leaves:,} leaves, whose entries were written by SQL and are of no chain; "
        f"filling its nodes took {filling:.1f} microseconds of CPU a leaf. Milliseconds a call, microseconds of "
        "CPU a proof."
    )
    judging = (
        f"A bundle of {many.entries:,} entries was judged in {many.seconds:.1f} s by `ledger audit verify`, start "
        f"and all, with {many.cpu_seconds:.1f} s of CPU and {many.resident_bytes / 2**20:.0f} MiB in its largest "
        f"process. One process alone uses {alone:.1f} microseconds of CPU an entry: {1_000_000 / alone:,.0f} "
        f"entries/s on one core. Writing it took {export:.0f} microseconds an entry."
    )
    return [
        f"Posting in batches of {BATCH:,}: entries/s / microseconds of CPU an entry.",
        *("", *page.table(("", "with the tree", "without"), posting), ""),
        *(tree_of, "", *page.table(("proof", "p50", "p99", "CPU"), proofs), "", judging),
    ]
