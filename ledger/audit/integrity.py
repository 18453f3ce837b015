"""Whether the books are sound: recomputed from their entries, and the guards of PostgreSQL in place."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import query


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it must be; `book` is empty where it concerns all of them."""

    check_name: str
    book: str
    subject: str
    expected: str
    found: str

    def __str__(self) -> str:
        place = f"book {self.book}: " if self.book else ""
        return f"{self.check_name}: {place}{self.subject}: expected {self.expected}, found {self.found}"


async def faults(connection: AsyncConnection) -> list[Fault]:
    """Everything that is wrong with the books or their guards; empty while they are sound."""
    return [*await guards(connection), *await recomputed(connection)]


async def recomputed(connection: AsyncConnection) -> list[Fault]:
    """What the entries say otherwise than what is kept beside them; empty while the books are sound."""
    files = ("integrity.sql", "pay_cycles.sql")
    return [fault for name in files for fault in await found_by(connection, "ledger.audit", name)]


async def guards(connection: AsyncConnection) -> list[Fault]:
    """What does not stand as the migrations made it: constraints, triggers, functions, rights, settings. Quick."""
    return await found_by(connection, "migrations", "guards.sql")


async def found_by(connection: AsyncConnection, package: str, name: str) -> list[Fault]:
    """The rows of a .sql file of checks, whose columns are those of a fault."""
    return [Fault(*row) for row in await connection.execute(query(package, name))]
