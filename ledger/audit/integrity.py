"""Whether the books are sound: recomputed from their entries, and the guards of PostgreSQL in place."""

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.audit import proven
from ledger.audit.fault import Fault
from ledger.database import query


async def faults(connection: AsyncConnection) -> list[Fault]:
    """Everything that is wrong with the books or their guards; empty while they are sound."""
    return [*await guards(connection), *await recomputed(connection)]


async def recomputed(connection: AsyncConnection) -> list[Fault]:
    """What the entries say otherwise than what is kept beside them; empty while the books are sound."""
    files = ("integrity.sql", "pay_cycles.sql")
    found = [fault for name in files for fault in await found_by(connection, "ledger.audit", name)]
    return found + await proven.faults(connection)


async def guards(connection: AsyncConnection) -> list[Fault]:
    """What does not stand as the migrations made it: constraints, triggers, functions, rights, settings. Quick."""
    return await found_by(connection, "migrations", "guards.sql")


async def found_by(connection: AsyncConnection, package: str, name: str) -> list[Fault]:
    """The rows of a .sql file of checks, whose columns are those of a fault."""
    return [Fault(*row) for row in await connection.execute(query(package, name))]
