"""One trial: the service is started, told of the sessions, sent the files, and judged."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter

import grpc

from benchmarks.processes import LEDGER, Family, postgres, serving
from benchmarks.remittances.books import Books, books
from benchmarks.remittances.key import Case
from benchmarks.remittances.mail import File
from benchmarks.remittances.score import Delivered, Score, received, scored, untied_files
from benchmarks.remittances.world import PAYERS
from reconciliation.v1 import reconciliation_pb2 as pb

_TIMES_TIED = 20
"""How often in a shuffle the reports must tie: after each delivery of a short one."""
AT_ONCE = 10
"""Deliveries of one file at the same moment."""


@dataclass
class Place:
    """A running service and what it costs."""

    channel: grpc.Channel
    server: Family
    postgres: Family


@dataclass
class Trial:
    """What was found for one seed."""

    case: Case
    score: Score
    seconds: float
    server_cpu: float
    postgres_cpu: float
    troubles: list[str] = field(default_factory=list)
    """Where a replay, a shuffle or deliveries at once did what they must not."""

    @property
    def passed(self) -> bool:
        """Nothing false, nothing lost."""
        return not (self.score.all.false or self.score.untied or self.troubles)


@contextmanager
def placed(folder: Path | None) -> Iterator[Place]:
    """The service with its PostgreSQL, for as long as the block runs."""
    with ExitStack() as opened:
        temporary = TemporaryDirectory(prefix="session-ledger-referee-", dir=folder, ignore_cleanup_errors=True)
        own = Path(opened.enter_context(temporary))
        urls, cluster = opened.enter_context(postgres(own))
        address, server = opened.enter_context(serving(LEDGER, urls.server, own))
        channel = opened.enter_context(grpc.insecure_channel(address))
        yield Place(channel, server, cluster)


def tried(place: Place, case: Case, shuffles: int) -> Trial:
    """Scores the files in their own order; then replays them, and delivers them shuffled to other books."""
    own = books(place.channel, f"seed-{case.world.seed}")
    opened(own, case)
    server, cluster, began = place.server.cpu_seconds(), place.postgres.cpu_seconds(), perf_counter()
    delivered = [(file, own.deliver(file)) for file in case.files]
    seconds = perf_counter() - began
    used = place.server.cpu_seconds() - server, place.postgres.cpu_seconds() - cluster
    trial = Trial(case, judged(own, case, delivered), seconds, *used)
    trial.troubles += own.reports.untied()
    trial.troubles += replayed(own, case.files, delivered)
    for number in range(1, shuffles + 1):
        other = books(place.channel, f"seed-{case.world.seed}-shuffle-{number}")
        trial.troubles += shuffled(other, case, number)
    return trial


def opened(own: Books, case: Case) -> None:
    """The book with its sessions, and the deposits that come before their remittances."""
    own.open(case.world)
    own.deposit([one for one in case.deposits if one.early])


def judged(own: Books, case: Case, delivered: Delivered) -> Score:
    """The score, once the other deposits have come."""
    own.deposit([one for one in case.deposits if not one.early])
    return scored(case, own, delivered)


def replayed(own: Books, files: Sequence[File], delivered: Delivered) -> Iterator[str]:
    """Everything again: not a cent may move."""
    before, head = received(delivered), len(own.entries())
    again = [(file, own.deliver(file)) for file in files]
    if any(not answer.duplicate for _, answer in again):
        yield "a replay of a file is not said to be one"
    if received(again) != before:
        yield f"a replay changed the money from {before} to {received(again)}"
    if len(own.entries()) != head:
        yield f"a replay posted {len(own.entries()) - head} entries"


def shuffled(other: Books, case: Case, number: int) -> Iterator[str]:
    """Another order, with replays among it, the first file ten times at once: the money ties all the same."""
    other.open(case.world)
    files, draw = [*case.once], Random(f"shuffle {case.world.seed} {number}")
    draw.shuffle(files)
    yield from _at_once(other, files[0])
    files += draw.choices(files, k=len(files) // 10)
    draw.shuffle(files)
    delivered: Delivered = []
    for place, file in enumerate(files):
        delivered.append((file, other.deliver(file)))
        if place % (len(files) // _TIMES_TIED + 1) == 0:
            yield from (f"shuffle {number}, {place + 1} files: {untied}" for untied in other.reports.untied())
    for trouble in untied_files(delivered):
        yield f"shuffle {number}: {trouble}"
    money = received([(file, other.deliver(file)) for file, _ in delivered])
    if money["received"] != money["posted"] + money["suspended"] + money["quarantined"]:
        yield f"shuffle {number}: received is not posted and suspended and quarantined: {money}"
    for trouble in _false_claims(other, delivered):
        yield f"shuffle {number}: {trouble}"


def _at_once(other: Books, file: File) -> Iterator[str]:
    before = len(other.entries())
    answers = other.deliver_at_once(file, AT_ONCE)
    posted = len(other.entries()) - before
    decided = [one for got in answers[0].remittances for one in other.decisions(got.id)]
    expected = {one.entry_number for one in decided} - {0}
    expected |= {move.entry_number for one in decided for move in one.moves}
    pairs = sum(len(one.provider_level) for one in file.remittances if one.state == "SETTLED")
    if sum(not answer.duplicate for answer in answers) != 1:
        yield f"{AT_ONCE} deliveries of {file.name} at once: not exactly one is the first"
    if posted != len(expected) + pairs:
        yield f"{AT_ONCE} deliveries of {file.name} at once posted {posted} entries, not {len(expected) + pairs}"


def _false_claims(other: Books, delivered: Delivered) -> Iterator[str]:
    """Payments posted to a claim that is not theirs, in whatever order they came."""
    for file, answer in delivered:
        for right, got in zip(file.remittances, answer.remittances, strict=True):
            if got.state != pb.REMITTANCE_STATE_SETTLED:
                continue
            for written, decided in zip(right.written, other.decisions(got.id), strict=True):
                if decided.claim and decided.claim != written.expected.claim:
                    yield f"{right.trace} line {decided.line} posted to {decided.claim}: false"


def options(parser: argparse.ArgumentParser) -> None:
    """What a trial can be told, beside the rates."""
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3], help="one world each")
    parser.add_argument("--claims", type=int, default=100_000, help="claims of each world")
    parser.add_argument("--size", type=int, default=50, help="claims of a remittance, about")
    parser.add_argument(
        "--payers", type=int, default=PAYERS, choices=range(2, PAYERS + 1), help="payers of a world"
    )
    parser.add_argument(
        "--shuffles", type=int, default=1, help="other orders of delivery, each into a book of its own"
    )
    parser.add_argument("--folder", type=Path, help="where the database lies")
    parser.add_argument("--write", type=Path, help="write files and answer key there, and judge nothing")
    parser.add_argument("--output", type=Path, help="the page to write the table into")
