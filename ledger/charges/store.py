"""Whether a book charges providers for faults of their own: off until an approver says otherwise."""

from dataclasses import dataclass

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.errors import ProviderChargingOff
from ledger.schema import provider_charging

CHARGE = "charge_provider"
"""The act that needs it."""


@dataclass(frozen=True, slots=True)
class Charging:
    """What was said last; version 0 where nobody ever said anything."""

    allowed: bool = False
    version: int = 0
    reason: str = ""
    set_by: str = ""


async def charging(connection: AsyncConnection, book: str) -> Charging:
    """Whether a book charges providers, as it was said last."""
    wanted = select(provider_charging).where(provider_charging.c.book == book)
    last = wanted.order_by(provider_charging.c.version.desc()).limit(1)
    row = (await connection.execute(last)).one_or_none()
    return Charging() if row is None else Charging(row.allowed, row.version, row.reason, row.set_by)


async def refuse_charging(connection: AsyncConnection, book: str, act: str) -> None:
    """Raises ProviderChargingOff where an act would charge a provider and the book charges none."""
    if act == CHARGE and not (await charging(connection, book)).allowed:
        raise ProviderChargingOff(f"book {book} charges no provider; an approver must allow it first", book=book)


async def set_charging(connection: AsyncConnection, book: str, wanted: Charging) -> None:
    """Writes what is said now, while the head of the book is held."""
    values = {"book": book, "version": wanted.version, "allowed": wanted.allowed}
    row = insert(provider_charging).values(**values, reason=wanted.reason, set_by=wanted.set_by)
    await connection.execute(row)
