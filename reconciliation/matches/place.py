"""A claim payment about which somebody says something: as it stands, and as its payer sent it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.accounts.store import existing_book
from ledger.database import reading
from ledger.errors import (
    ClaimPaymentNotFound,
    ClaimPaymentNotWaiting,
    MatchRefused,
    RemittanceNotFound,
    RemittanceNotSettled,
)
from reconciliation import store as mail
from reconciliation.files import Files
from reconciliation.reasons import Decision, RemittanceState
from reconciliation.remittance import ClaimPayment
from reconciliation.sent import sent_again


@dataclass(frozen=True, slots=True)
class Place:
    """A claim payment as it stands, and its remittance."""

    remittance: Row[Any]
    claim_payment: Row[Any]


async def place_of(connection: AsyncConnection, book: str, remittance: UUID, line: int) -> Place:
    """Raises RemittanceNotFound, RemittanceNotSettled or ClaimPaymentNotFound."""
    row = await mail.existing(connection, book, remittance)
    if row is None:
        raise RemittanceNotFound(f"no remittance {remittance} in this book", id=remittance)
    if row.state != RemittanceState.SETTLED:
        told = f"remittance {remittance} is {row.state}, and nothing of it can be matched"
        raise RemittanceNotSettled(told, id=remittance, state=row.state)
    found = await mail.existing_claim_payment(connection, book, remittance, line)
    if found is None:
        raise ClaimPaymentNotFound(
            f"remittance {remittance} has no claim payment {line}", remittance=remittance, line=line
        )
    return Place(row, found)


async def sent_of(database: AsyncEngine, files: Files, book: str, remittance: UUID, line: int) -> ClaimPayment:
    """The claim payment as the payer sent it."""
    async with reading(database) as connection:
        await existing_book(connection, book)
        place = await place_of(connection, book, remittance, line)
        delivery = await mail.delivered(connection, book, place.remittance.sha256)
    assert delivery is not None
    return await sent_again(database, files, delivery, place.remittance.position, line)


def refuse_not_waiting(place: Place) -> None:
    """It waits in suspense, and was not taken back. Raises ClaimPaymentNotWaiting."""
    row = place.claim_payment
    if row.decision == Decision.SUSPENDED and not row.taken_back:
        return
    stands = "taken back by a later one" if row.taken_back else f"{row.decision}, claim {row.claim or 'none'}"
    raise not_waiting(row, f"claim payment {row.line} does not wait to be matched: it is {stands}")


def not_waiting(row: Row[Any], told: str) -> ClaimPaymentNotWaiting:
    """The refusal, with how the claim payment stands."""
    facts = {"decision": row.decision, "claim": row.claim or "", "rule": row.rule}
    return ClaimPaymentNotWaiting(told, line=row.line, **facts)


def known_payer(place: Place, claim: str = "") -> str:
    """The books' name of who has sent it; `claim` is whose it would be. Raises MatchRefused."""
    payer: str | None = place.remittance.payer
    if payer is None:
        told = f"the payer of remittance {place.remittance.id} is unknown: say first who it is"
        raise MatchRefused(told, claim=claim, payer="")
    return payer
