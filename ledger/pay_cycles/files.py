"""Payment files: made from what is kept, recorded before they are read, and the same bytes every time."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.pay_cycles import nacha, payees, payment_csv, store
from ledger.pay_cycles.messages import FileAsked
from ledger.pay_cycles.payee import COMPANY, NACHA_CURRENCY
from ledger.pay_cycles.payees import Payees
from ledger.pay_cycles.payment import Remitted
from ledger.pay_cycles.refusals import PayCycleUnfinished, PaymentFileCurrency, PaymentFileDiffers, PaymentNotFound
from ledger.pay_cycles.store import Cycle
from ledger.postings import journal
from ledger.schema import payment_file_reads, proposal_decisions


@dataclass(frozen=True, slots=True)
class _Settled:
    """What the first read settled: which payments are in the file, and from which version of the company's
    account."""

    known: int
    company_version: int


async def read(database: AsyncEngine, book: str, asked: FileAsked, keys: Payees, actor: str) -> bytes:
    """The file, once it is recorded who reads it and why.

    Raises PayCycleNotFound, PayCycleUnfinished, PaymentFileCurrency, PayeeNotFound, PaymentNotFound,
    PaymentTooLarge or PaymentFileDiffers.
    """
    if asked.format == "nacha" and asked.currency != NACHA_CURRENCY:
        raise PaymentFileCurrency(
            f"a NACHA file is in USD, not in {asked.currency}: ask for CSV", currency=asked.currency
        )
    async with journal.posting(database, book) as (connection, head):
        cycle = await store.existing_cycle(connection, book, asked.cycle)
        if not await store.is_finished(connection, cycle):
            raise PayCycleUnfinished(
                f"the cycle of {cycle.cycle} is not posted to its end: run it first", cycle=cycle.cycle
            )
        before = await _read_before(connection, cycle, asked)
        settled = await _settled(connection, cycle, asked, before, head.number)
        payments = await _payments(connection, cycle, asked, settled, keys)
        content = await _written(connection, cycle, asked, settled, payments, keys)
        sha256 = hashlib.sha256(content).digest()
        if before is not None and sha256 != bytes(before.sha256):
            raise PaymentFileDiffers("the file is not the one that was read before", sha256=before.sha256.hex())
        await _record(connection, cycle, asked, settled, payments, before, sha256, actor, head.recorded_at)
    return content


async def _read_before(connection: AsyncConnection, cycle: Cycle, asked: FileAsked) -> Row[Any] | None:
    """The last read of the same file."""
    table = payment_file_reads.c
    of = (table.book == cycle.book, table.cycle == cycle.cycle, table.format == asked.format)
    wanted = select(payment_file_reads).where(*of, table.currency == asked.currency)
    return (await connection.execute(wanted.order_by(table.number.desc()).limit(1))).one_or_none()


async def _settled(
    connection: AsyncConnection, cycle: Cycle, asked: FileAsked, before: Row[Any] | None, number: int
) -> _Settled:
    if before is not None:
        return _Settled(before.known, before.company_version)
    if asked.format != "nacha":
        return _Settled(number, 0)
    return _Settled(number, (await payees.current(connection, cycle.book, COMPANY)).version)


async def _payments(
    connection: AsyncConnection, cycle: Cycle, asked: FileAsked, settled: _Settled, keys: Payees
) -> list[Remitted]:
    """Payments in the currency that had not come back, with where they go."""
    found = {
        one: version
        for one, version in await store.payments(connection, cycle)
        if one.amount.currency == asked.currency and (one.returned_by is None or one.returned_by > settled.known)
    }
    if not found:
        raise PaymentNotFound(f"the cycle of {cycle.cycle} has no payment in {asked.currency}", cycle=cycle.cycle)
    where = await keys.accounts(connection, cycle.book, {one.provider: version for one, version in found.items()})
    return [Remitted(one, *where[one.provider]) for one in found]


async def _written(
    connection: AsyncConnection,
    cycle: Cycle,
    asked: FileAsked,
    settled: _Settled,
    payments: list[Remitted],
    keys: Payees,
) -> bytes:
    if asked.format != "nacha":
        return payment_csv.written(cycle.cycle.isoformat(), cycle.pay_date.isoformat(), payments)
    company = await keys.accounts(connection, cycle.book, {COMPANY: settled.company_version})
    approved_at = await _approved_at(connection, cycle)
    origin = nacha.Origin(*company[COMPANY], cycle.cycle, cycle.pay_date, approved_at)
    return nacha.written(origin, payments)


async def _approved_at(connection: AsyncConnection, cycle: Cycle) -> datetime:
    table = proposal_decisions.c
    wanted = select(table.decided_at).where(table.book == cycle.book, table.proposal == cycle.proposal)
    found: datetime = (await connection.execute(wanted)).scalar_one()
    return found


async def _record(
    connection: AsyncConnection,
    cycle: Cycle,
    asked: FileAsked,
    settled: _Settled,
    payments: list[Remitted],
    before: Row[Any] | None,
    sha256: bytes,
    actor: str,
    at: datetime,
) -> None:
    row = {
        "book": cycle.book,
        "cycle": cycle.cycle,
        "format": asked.format,
        "currency": asked.currency,
        "number": before.number + 1 if before is not None else 1,
        "known": settled.known,
        "company_version": settled.company_version,
        "sha256": sha256,
        "payment_count": len(payments),
        "total": sum(one.payment.amount.minor_units for one in payments),
        "actor": actor,
        "reason": asked.reason,
        "read_at": at,
    }
    await connection.execute(insert(payment_file_reads), row)
