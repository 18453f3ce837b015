"""The gRPC server: the servicers on one port, with health, reflection and a stop that cuts nobody off."""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.accounts.servicer import AccountsServicer
from ledger.database import engine
from ledger.errors import Refusal
from ledger.postings.group_commit import GroupCommit
from ledger.postings.servicer import PostingsServicer
from ledger.reports.servicer import ReportsServicer
from ledger.v1 import accounts_pb2, postings_pb2, reports_pb2
from ledger.v1.accounts_pb2_grpc import add_AccountsServiceServicer_to_server
from ledger.v1.postings_pb2_grpc import add_PostingsServiceServicer_to_server
from ledger.v1.reports_pb2_grpc import add_ReportsServiceServicer_to_server
from reconciliation.ingest import resume
from reconciliation.servicer import ReconciliationServicer
from reconciliation.v1 import reconciliation_pb2
from reconciliation.v1.reconciliation_pb2_grpc import add_ReconciliationServiceServicer_to_server
from service.identity import refuse_public
from service.refusals import Doorkeeper

log = structlog.get_logger()

LARGEST_MESSAGE = 1024 * 1024
SERVICES = (
    accounts_pb2.DESCRIPTOR.services_by_name["AccountsService"].full_name,
    postings_pb2.DESCRIPTOR.services_by_name["PostingsService"].full_name,
    reports_pb2.DESCRIPTOR.services_by_name["ReportsService"].full_name,
    reconciliation_pb2.DESCRIPTOR.services_by_name["ReconciliationService"].full_name,
)


@dataclass(slots=True)
class Server:
    """A started server: where it listens, and how it stops."""

    grpc_server: grpc.aio.Server
    finishing: asyncio.Task[None]
    database: AsyncEngine
    group_commit: GroupCommit
    health: health.aio.HealthServicer
    port: int

    async def stop(self, grace_seconds: float) -> None:
        """Says NOT_SERVING, lets calls in flight finish, then closes the connections to the database."""
        await self.health.enter_graceful_shutdown()
        await self.grpc_server.stop(grace_seconds)
        self.finishing.cancel()
        await asyncio.gather(self.finishing, return_exceptions=True)
        await self.group_commit.drained()
        await self.database.dispose()


async def start(url: str, listen: str) -> Server:
    """Starts serving on an address of this machine; port 0 takes a free one."""
    refuse_public(listen)
    database = engine(url)
    group_commit = GroupCommit(database)
    grpc_server = grpc.aio.server(
        interceptors=[Doorkeeper()],
        options=[
            ("grpc.max_receive_message_length", LARGEST_MESSAGE),
            ("grpc.so_reuseport", 0),  # or two servers would share a port, unnoticed
        ],
    )
    add_AccountsServiceServicer_to_server(AccountsServicer(database), grpc_server)
    add_PostingsServiceServicer_to_server(PostingsServicer(database, group_commit), grpc_server)
    add_ReportsServiceServicer_to_server(ReportsServicer(database), grpc_server)
    add_ReconciliationServiceServicer_to_server(ReconciliationServicer(database), grpc_server)
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, grpc_server)
    reflection.enable_server_reflection([*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME], grpc_server)
    port = grpc_server.add_insecure_port(listen)
    await grpc_server.start()
    for service in ("", *SERVICES):
        await healthy.set(service, health_pb2.HealthCheckResponse.SERVING)
    finishing = asyncio.create_task(_finish(database))
    return Server(grpc_server, finishing, database, group_commit, healthy, port)


async def _finish(database: AsyncEngine) -> None:
    """Remittances that an earlier run left half settled are finished while the server already serves."""
    try:
        if count := await resume(database):
            log.info("deliveries finished", count=count)
    except Refusal as refusal:
        log.warning("deliveries not finished yet", reason=refusal.reason)


async def serve(url: str, listen: str, grace_seconds: float, ready: Callable[[int], None]) -> None:
    """Serves until SIGTERM or SIGINT; `ready` is told the port once it does."""
    server = await start(url, listen)
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    ready(server.port)
    await told.wait()
    await server.stop(grace_seconds)
