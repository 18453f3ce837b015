"""The gRPC server: the servicers on one port, with health, reflection and a stop that cuts nobody off."""

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import grpc
import structlog
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from ledger.accounts.servicer import AccountsServicer
from ledger.allowances.servicer import AllowancesServicer
from ledger.approvals.servicer import ApprovalsServicer
from ledger.audit.checkpoint import NO_KEY, Signing
from ledger.audit.servicer import AuditServicer
from ledger.charges.servicer import ChargesServicer
from ledger.database import engine
from ledger.errors import Refusal, TryAgain
from ledger.pay_cycles.servicer import PayCyclesServicer
from ledger.periods.servicer import PeriodsServicer
from ledger.postings.feed import Feed
from ledger.postings.group_commit import GroupCommit
from ledger.postings.servicer import PostingsServicer
from ledger.reads import Reads
from ledger.reports.servicer import ReportsServicer
from ledger.sealing import Sealing
from ledger.v1 import (
    accounts_pb2,
    allowances_pb2,
    approvals_pb2,
    audit_pb2,
    charges_pb2,
    pay_cycles_pb2,
    periods_pb2,
    postings_pb2,
    reports_pb2,
    write_offs_pb2,
)
from ledger.v1.accounts_pb2_grpc import add_AccountsServiceServicer_to_server
from ledger.v1.allowances_pb2_grpc import add_AllowancesServiceServicer_to_server
from ledger.v1.approvals_pb2_grpc import add_ApprovalsServiceServicer_to_server
from ledger.v1.audit_pb2_grpc import add_AuditServiceServicer_to_server
from ledger.v1.charges_pb2_grpc import add_ChargesServiceServicer_to_server
from ledger.v1.pay_cycles_pb2_grpc import add_PayCyclesServiceServicer_to_server
from ledger.v1.periods_pb2_grpc import add_PeriodsServiceServicer_to_server
from ledger.v1.postings_pb2_grpc import add_PostingsServiceServicer_to_server
from ledger.v1.reports_pb2_grpc import add_ReportsServiceServicer_to_server
from ledger.v1.write_offs_pb2_grpc import add_WriteOffsServiceServicer_to_server
from ledger.write_offs.servicer import WriteOffsServicer
from reconciliation.bank.ingest import resume as resume_statements
from reconciliation.bank.servicer import BankServicer
from reconciliation.candidates_servicer import CandidatesServicer
from reconciliation.codes_servicer import CodesServicer
from reconciliation.coverage_servicer import CoverageServicer
from reconciliation.denials_servicer import DenialsServicer
from reconciliation.files import IN_THE_OPEN, Files
from reconciliation.ingest import resume
from reconciliation.matches.servicer import MatchesServicer
from reconciliation.servicer import ReconciliationServicer
from reconciliation.v1 import (
    bank_pb2,
    candidates_pb2,
    codes_pb2,
    coverage_pb2,
    denials_pb2,
    matches_pb2,
    reconciliation_pb2,
    worklist_pb2,
)
from reconciliation.v1.bank_pb2_grpc import add_BankServiceServicer_to_server
from reconciliation.v1.candidates_pb2_grpc import add_CandidatesServiceServicer_to_server
from reconciliation.v1.codes_pb2_grpc import add_CodesServiceServicer_to_server
from reconciliation.v1.coverage_pb2_grpc import add_CoverageServiceServicer_to_server
from reconciliation.v1.denials_pb2_grpc import add_DenialsServiceServicer_to_server
from reconciliation.v1.matches_pb2_grpc import add_MatchesServiceServicer_to_server
from reconciliation.v1.reconciliation_pb2_grpc import add_ReconciliationServiceServicer_to_server
from reconciliation.v1.worklist_pb2_grpc import add_WorklistServiceServicer_to_server
from reconciliation.waiting import old_exceptions
from reconciliation.worklist.servicer import WorklistServicer
from service import upkeep
from service.admission import OPEN, Admission
from service.door import Door
from service.doorkeeper import Doorkeeper
from service.identity import is_public
from service.metrics import Metrics
from service.rights import refuse_incomplete
from service.tracing import Traces
from service.watch import Watch

log = structlog.get_logger()

LARGEST_MESSAGE = 1024 * 1024
LONGEST_STATEMENT_SECONDS = 60
POSTING_CONNECTIONS = 5
"""For the queues of the books alone: whoever reads slowly, or takes in a file, cannot have them."""
_AGAIN_SECONDS = 2
_BETWEEN_COLLECTIONS = 50_000
DESCRIPTORS = (
    accounts_pb2.DESCRIPTOR.services_by_name["AccountsService"],
    postings_pb2.DESCRIPTOR.services_by_name["PostingsService"],
    approvals_pb2.DESCRIPTOR.services_by_name["ApprovalsService"],
    pay_cycles_pb2.DESCRIPTOR.services_by_name["PayCyclesService"],
    allowances_pb2.DESCRIPTOR.services_by_name["AllowancesService"],
    reports_pb2.DESCRIPTOR.services_by_name["ReportsService"],
    periods_pb2.DESCRIPTOR.services_by_name["PeriodsService"],
    audit_pb2.DESCRIPTOR.services_by_name["AuditService"],
    reconciliation_pb2.DESCRIPTOR.services_by_name["ReconciliationService"],
    candidates_pb2.DESCRIPTOR.services_by_name["CandidatesService"],
    charges_pb2.DESCRIPTOR.services_by_name["ChargesService"],
    write_offs_pb2.DESCRIPTOR.services_by_name["WriteOffsService"],
    codes_pb2.DESCRIPTOR.services_by_name["CodesService"],
    coverage_pb2.DESCRIPTOR.services_by_name["CoverageService"],
    denials_pb2.DESCRIPTOR.services_by_name["DenialsService"],
    worklist_pb2.DESCRIPTOR.services_by_name["WorklistService"],
    bank_pb2.DESCRIPTOR.services_by_name["BankService"],
    matches_pb2.DESCRIPTOR.services_by_name["MatchesService"],
)
SERVICES = tuple(one.full_name for one in DESCRIPTORS)


class AddressRefused(Exception):
    """Nobody can listen there; the message says why."""


@dataclass(slots=True)
class Server:
    """A started server: where it listens, and how it stops."""

    grpc_server: grpc.aio.Server
    tasks: tuple[asyncio.Task[None], ...]
    databases: tuple[AsyncEngine, ...]
    group_commit: GroupCommit
    feed: Feed
    health: health.aio.HealthServicer
    metrics: Metrics
    port: int
    door: Door

    async def stop(self, grace_seconds: float) -> None:
        """Says NOT_SERVING, ends watches, lets other calls finish, then closes the connections to the database."""
        await self.health.enter_graceful_shutdown()
        await self.feed.end()
        await self.door.quiet(grace_seconds)
        stopping = asyncio.create_task(self.grpc_server.stop(grace_seconds))
        await asyncio.sleep(0)  # it has begun, and takes no new call
        self.door.shut()
        await stopping
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.group_commit.drained()
        for database in self.databases:
            await database.dispose()


async def start(
    url: str,
    listen: str,
    admission: Admission = OPEN,
    files: Files = IN_THE_OPEN,
    *,
    signing: Signing = NO_KEY,
    calls_per_caller: int = 512,
    guard_seconds: float = 15,
    read_url: str | None = None,
    upkeep_seconds: float = 5,
    traces: Traces | None = None,
    shared: bool = False,
) -> Server:
    """Starts serving; port 0 takes a free one. Raises ValueError for an open door that others could reach.

    `read_url` names a replica that answers what only reads; `upkeep_seconds` is how often what is done behind
    the posting is done; `shared`: other workers of the same service listen on the same port.
    """
    refuse_incomplete(DESCRIPTORS)
    if admission is OPEN and is_public(listen):
        raise ValueError(f"{listen} can be reached from other machines, and every caller would be believed")
    database = engine(url, longest_statement_seconds=LONGEST_STATEMENT_SECONDS)
    for_posting = engine(url, POSTING_CONNECTIONS, LONGEST_STATEMENT_SECONDS, planning_once=True)
    reads = _reads(read_url, database)
    feed = Feed(reads)
    metrics = Metrics()
    group_commit = GroupCommit(for_posting, metrics.batch)
    for each in (database, for_posting):
        metrics.listen(each)
    metrics.watch(group_commit.waiting, lambda: sum(map(_in_use, (database, for_posting))))
    healthy = health.aio.HealthServicer()
    watch = Watch(database, healthy, SERVICES, guard_seconds, metrics)
    door = Door()
    doorkeeper = Doorkeeper(admission.gate, calls_per_caller, lambda: watch.is_guarded, metrics, door, traces)
    grpc_server = _transport(doorkeeper, shared=shared)
    add_PostingsServiceServicer_to_server(PostingsServicer(database, reads, group_commit, feed), grpc_server)
    _add_readers_of_files(grpc_server, database, reads, files)
    _add_others(grpc_server, database, reads, files.sealing, signing)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, grpc_server)
    reflection.enable_server_reflection([*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME], grpc_server)
    port = _opened(grpc_server, listen, admission)
    await watch.look()
    await watch.warn()
    await grpc_server.start()
    work = _finish(database, files), watch.look_for_ever(), upkeep.for_ever(database, upkeep_seconds)
    tasks = tuple(map(asyncio.create_task, work))
    databases = database, for_posting, reads.database
    return Server(grpc_server, tasks, databases, group_commit, feed, healthy, metrics, port, door)


def _transport(doorkeeper: Doorkeeper, *, shared: bool) -> grpc.aio.Server:
    return grpc.aio.server(
        interceptors=[doorkeeper],
        options=[
            ("grpc.max_receive_message_length", LARGEST_MESSAGE),
            ("grpc.so_reuseport", int(shared)),  # or two servers would share a port, unnoticed
        ],
    )


def _add_readers_of_files(grpc_server: grpc.aio.Server, database: AsyncEngine, reads: Reads, files: Files) -> None:
    """The services that keep what payers and banks send, or read it back."""
    add_ReconciliationServiceServicer_to_server(ReconciliationServicer(database, reads, files), grpc_server)
    add_BankServiceServicer_to_server(BankServicer(database, reads, files), grpc_server)
    add_CandidatesServiceServicer_to_server(CandidatesServicer(database, reads, files), grpc_server)
    add_MatchesServiceServicer_to_server(MatchesServicer(database, reads, files), grpc_server)


def _add_others(
    grpc_server: grpc.aio.Server, database: AsyncEngine, reads: Reads, sealing: Sealing, signing: Signing
) -> None:
    """The services that need nothing but the database, and keys."""
    add_PayCyclesServiceServicer_to_server(PayCyclesServicer(database, sealing), grpc_server)
    add_AccountsServiceServicer_to_server(AccountsServicer(database, reads), grpc_server)
    add_ApprovalsServiceServicer_to_server(ApprovalsServicer(database), grpc_server)
    add_AllowancesServiceServicer_to_server(AllowancesServicer(database), grpc_server)
    add_ReportsServiceServicer_to_server(ReportsServicer(reads), grpc_server)
    add_PeriodsServiceServicer_to_server(PeriodsServicer(database, reads, old_exceptions, signing), grpc_server)
    add_AuditServiceServicer_to_server(AuditServicer(database, reads, signing), grpc_server)
    add_ChargesServiceServicer_to_server(ChargesServicer(database), grpc_server)
    add_WriteOffsServiceServicer_to_server(WriteOffsServicer(database), grpc_server)
    add_CodesServiceServicer_to_server(CodesServicer(database, reads), grpc_server)
    add_CoverageServiceServicer_to_server(CoverageServicer(database, reads), grpc_server)
    add_DenialsServiceServicer_to_server(DenialsServicer(database, reads), grpc_server)
    add_WorklistServiceServicer_to_server(WorklistServicer(database, reads), grpc_server)


def _in_use(database: AsyncEngine) -> int:
    return cast(QueuePool, database.pool).checkedout()


def _reads(read_url: str | None, database: AsyncEngine) -> Reads:
    if read_url is None:
        return Reads(database)
    return Reads(engine(read_url, longest_statement_seconds=LONGEST_STATEMENT_SECONDS), is_replica=True)


def _opened(grpc_server: grpc.aio.Server, listen: str, admission: Admission) -> int:
    if admission.credentials is None:
        return grpc_server.add_insecure_port(listen)
    return grpc_server.add_secure_port(listen, admission.credentials)


async def _finish(database: AsyncEngine, files: Files) -> None:
    """Deliveries that an earlier run left half done are finished while the server already serves."""
    for one in (resume, resume_statements):
        await _finish_one_kind(database, files, one)


async def _finish_one_kind(
    database: AsyncEngine, files: Files, left: Callable[[AsyncEngine, Files], Awaitable[int]]
) -> None:
    """Remittances, or statements of banks: neither waits for a file of the other kind that cannot be read.

    Where the database does not answer, it is asked again; where a file cannot be read, a person must see to it.
    """
    while True:
        try:
            if count := await left(database, files):
                log.info("deliveries finished", count=count)
        except TryAgain as refusal:
            log.warning("deliveries not finished yet", reason=refusal.reason)
            await asyncio.sleep(_AGAIN_SECONDS)
        except Refusal as refusal:
            log.warning("deliveries cannot be finished", reason=refusal.reason)
            return
        else:
            return


async def serve(server: Server, grace_seconds: float, *, held_by: int | None = None) -> None:
    """Serves until SIGTERM or SIGINT, or until the other end of the file `held_by` is closed; then stops."""
    _ask_for_files()
    spare_the_collector()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    if held_by is not None:
        asyncio.get_running_loop().add_reader(held_by, told.set)
    await told.wait()
    await server.stop(grace_seconds)


def spare_the_collector() -> None:
    """Keeps Python from looking for cycles among the thousands of records of each batch, which have none."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_BETWEEN_COLLECTIONS, 10, 10)


def _ask_for_files() -> None:
    """Each connection is an open file, and systems give a program few of them (1,024, 256) unless it asks."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def listening(address: str) -> str:
    """An address and port of this machine, once it was tried that one can listen there. Raises AddressRefused."""
    host, port = parts(address)
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as taken:
        reason = (taken.strerror or str(taken)).partition(" (")[0]
        raise AddressRefused(f"cannot listen on {address}: {reason}") from taken
    return address


def parts(address: str) -> tuple[str, int]:
    """Host and port of an address. Raises AddressRefused."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal() and int(port) < 65_536):
        raise AddressRefused(f"{address!r} is not an address and port such as 127.0.0.1:50051")
    return host.strip("[]"), int(port)
