"""What has waited for a person for too long: it stands in the way when a month of the book is closed."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import query
from ledger.periods.period import Finding, FindingKind


async def old_exceptions(connection: AsyncConnection, book: str, now: datetime, limit_days: int) -> list[Finding]:
    """Exceptions that were open for more than so many days at a time, oldest first."""
    asked = {"book": book, "now": now, "days": limit_days}
    rows = await connection.execute(query("reconciliation.reports", "old_exceptions.sql"), asked)
    return [
        Finding(FindingKind.EXCEPTION, row.reason, row.id, row.currency, row.amount, row.since, row.days)
        for row in rows
    ]
