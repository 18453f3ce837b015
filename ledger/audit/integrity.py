"""Whether the books are sound: recomputed from their entries, and the guards of PostgreSQL in place."""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import query

_FUNCTION = re.compile(r"CREATE (?:OR REPLACE )?FUNCTION (\w+)\([^)]*\).*?\$\$(.*?)\$\$", re.DOTALL)
_BODIES = text("""
    SELECT proname, prosrc FROM pg_proc
    WHERE pronamespace = (SELECT relnamespace FROM pg_class WHERE oid = CAST('entries' AS regclass))
""")


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
    return [*await guards(connection), *await found_by(connection, "ledger.audit", "integrity.sql")]


async def guards(connection: AsyncConnection) -> list[Fault]:
    """What of the guards is missing: triggers, the functions behind them, rights withheld. Quick."""
    found = await found_by(connection, "ledger.audit", "guards.sql")
    bodies = {row.proname: row.prosrc for row in await connection.execute(_BODIES)}
    found.extend(
        Fault("guard_in_place", "", f"function {name}", "the body that the migrations gave it", "another one")
        for name, body in _migrated().items()
        if bodies.get(name) != body
    )
    return found


async def found_by(connection: AsyncConnection, package: str, name: str) -> list[Fault]:
    """The rows of a .sql file of checks, whose columns are those of a fault."""
    return [Fault(*row) for row in await connection.execute(query(package, name))]


@cache
def _migrated() -> dict[str, str]:
    """The trigger functions as the migrations leave them: the last definition of each name."""
    scripts = sorted(
        (file for file in files("migrations.versions").iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    return {name: body for script in scripts for name, body in _FUNCTION.findall(script.read_text())}
