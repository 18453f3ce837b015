"""Whether the server may write: the guards of the books, the schema's version, and whether the database answers.

Looked at before the first call and then again and again; what is found becomes the health that clients ask for.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog
from grpc_health.v1 import health, health_pb2
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.accounts.store import oldest_clearing
from ledger.approvals.store import open_by_book
from ledger.audit import integrity
from ledger.database import PROGRAM_ROLE, out_of_step, reading
from ledger.errors import DatabaseUnavailable, Refusal
from reconciliation.store import open_exceptions_by_book
from service.metrics import Metrics

log = structlog.get_logger()

_AGAIN_SECONDS = 1.0
_STANDBY = text("SELECT pg_is_in_recovery()")
_MORE_THAN_PROGRAM = text("""
    SELECT rolname FROM pg_roles
    WHERE pg_has_role(session_user, oid, 'MEMBER') AND rolname NOT IN (session_user, :program)
    UNION ALL
    SELECT rolname FROM pg_roles WHERE rolname = session_user AND rolsuper
""")


class Watch:
    """What was found when the database was last looked at."""

    def __init__(
        self,
        database: AsyncEngine,
        healthy: health.aio.HealthServicer,
        services: Sequence[str],
        seconds: float,
        metrics: Metrics,
    ) -> None:
        """`services` are those whose health it tells; "" is the server's own."""
        self._database = database
        self._healthy = healthy
        self._services = ("", *services)
        self._seconds = seconds
        self._metrics = metrics
        self._faults: list[str] = []
        self._serving: bool | None = None

    @property
    def is_guarded(self) -> bool:
        """Whether nothing was wrong with the guards; a database that does not answer changes nothing in that."""
        return not self._faults

    async def look(self) -> bool:
        """Looks once and tells the health. True while all is well."""
        try:
            self._faults = await self._found()
            answers = True
        except Refusal:
            answers = False
        self._metrics.serving(well=answers and not self._faults)
        await self._tell(serving=answers and not self._faults, answers=answers)
        return bool(self._serving)

    async def warn(self) -> None:
        """Says in the log where the login could do more than the program may, by leaving the program's role."""
        try:
            async with reading(self._database) as connection:
                more = (await connection.execute(_MORE_THAN_PROGRAM, {"program": PROGRAM_ROLE})).scalars().all()
        except Refusal:
            return
        if more:
            log.warning("the database login may do more than the program", setting="LEDGER_DATABASE_URL")

    async def look_for_ever(self) -> None:
        """Looks now and then, and every second while something is wrong."""
        while True:
            await asyncio.sleep(self._seconds if self._serving else min(_AGAIN_SECONDS, self._seconds))
            await self.look()

    async def _found(self) -> list[str]:
        """What is wrong with the guards. Raises DatabaseUnavailable, also for a standby not promoted yet."""
        async with reading(self._database) as connection:
            if (await connection.execute(_STANDBY)).scalar_one():
                raise DatabaseUnavailable("the database is a standby: it takes no writes")
            if sentence := await connection.run_sync(out_of_step):
                return [sentence]
            await self._count(connection)
            return [str(fault) for fault in await integrity.guards(connection)]

    async def _count(self, connection: AsyncConnection) -> None:
        waiting = await open_exceptions_by_book(connection)
        proposed = await open_by_book(connection)
        clearing = await oldest_clearing(connection)
        self._metrics.work(waiting, proposed, clearing, datetime.now(UTC).date())

    async def _tell(self, *, serving: bool, answers: bool) -> None:
        if serving == self._serving:
            return
        self._serving = serving
        states = health_pb2.HealthCheckResponse
        for service in self._services:
            await self._healthy.set(service, states.SERVING if serving else states.NOT_SERVING)
        if not serving:
            log.error("not serving", database_answers=answers, faults=self._faults)
        else:
            log.info("serving")
