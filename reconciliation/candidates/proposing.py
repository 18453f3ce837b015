"""Proposals for one claim payment or one deposit: what is known is gathered, compared and combined."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts import store as accounts
from ledger.postings.item import Item
from reconciliation.candidates import gathering, store
from reconciliation.candidates.combining import Combinations, Part, combined
from reconciliation.candidates.gathering import Paid
from reconciliation.candidates.scoring import Candidate, Sought, owed, ranked


@dataclass(frozen=True, slots=True)
class Proposed:
    """What may be meant: claims with their scores, how many were compared, and lumps that add up.

    `originals` are the payments, by claim, that a reversal may take back.
    """

    sought: Sought
    candidates: Sequence[Candidate]
    compared: int
    combinations: Combinations
    originals: Mapping[str, Sequence[Row[Any]]] = field(default_factory=dict)


async def proposed(connection: AsyncConnection, book: str, paid: Paid) -> Proposed:
    """Claims that a claim payment may be about, and combinations of open claims that it may be a lump of."""
    sought = await gathering.sought(connection, book, paid)
    items = await gathering.items(connection, book, sought, paid.day)
    sought = replace(sought, answered=await _answered(connection, book, sought, items))
    candidates = ranked(sought, items)
    total = 0 if sought.is_reversal else sought.paid
    lumps = combined(_open(sought, candidates), total)
    claims = [one.claim for one in candidates] if sought.is_reversal else []
    originals = await store.originals(connection, book, claims, sought) if claims else {}
    return Proposed(sought, candidates, len(items), lumps, originals)


async def _answered(
    connection: AsyncConnection, book: str, sought: Sought, items: Sequence[Item]
) -> Mapping[str, str]:
    """What the payer has said of these claims before, in words."""
    if sought.payer is None:
        return {}
    found = await store.answered(connection, book, sought.payer, [item.name for item in items])
    return {claim: f"{row.decision} on {row.day or 'a day unknown'}" for claim, row in found.items()}


def _open(sought: Sought, candidates: Sequence[Candidate]) -> list[Part]:
    """Claims with something open, the likeliest first."""
    return [_part(one, owed(sought, one.item)) for one in candidates]


def _part(candidate: Candidate, open_: int) -> Part:
    item = candidate.item
    day = min(item.service_dates) if len(item.service_dates) == 1 else None
    return Part(item.name, open_, day, item.dimensions.provider)


async def lumped(connection: AsyncConnection, book: str, deposit: Row[Any], unapplied: int) -> Proposed:
    """Remittances that a deposit may be a lump of; as much as the clearing account of each still waits for."""
    whose, day = deposit.payer, deposit.effective_date
    rows = await store.in_transit(connection, book, whose, deposit.currency, day)
    found = await accounts.read(connection, book, [row.clearing for row in rows])
    waiting = {account.code: totals.balance for account, totals in found}
    parts = [_remitted(row) for row in rows if waiting.get(row.clearing) == row.waiting]
    return Proposed(_of_deposit(deposit, unapplied, day), (), 0, combined(parts, unapplied))


def _remitted(row: Row[Any]) -> Part:
    return Part(str(row.id), row.waiting, row.payment_date)


def _of_deposit(deposit: Row[Any], unapplied: int, day: date) -> Sought:
    return Sought(deposit.payer, "", deposit.currency, "", None, unapplied, frozenset({day}), frozenset())
