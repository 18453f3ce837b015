"""How it is said whether providers are charged: `ledger.v1.ChargesService`."""

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import caller, fields
from ledger.accounts.store import existing_book
from ledger.charges.store import Charging, charging, set_charging
from ledger.database import reading
from ledger.postings import journal
from ledger.v1 import charges_pb2 as pb
from ledger.v1.charges_pb2_grpc import ChargesServiceServicer
from ledger.wire import Context


class ChargesServicer(ChargesServiceServicer):
    """Answers ChargesService from PostgreSQL."""

    def __init__(self, database: AsyncEngine) -> None:
        """`database` works under the program's own role."""
        self._database = database

    async def SetProviderCharging(
        self, request: pb.SetProviderChargingRequest, context: Context
    ) -> pb.SetProviderChargingResponse:
        """Allows it, or does so no longer; the same again changes nothing."""
        book = fields.book_name(request.book)
        reason, actor = fields.required("reason", request.reason, fields.TEXT_LENGTH), caller.actor.get()
        async with journal.posting(self._database, book) as (connection, _):
            found = await charging(connection, book)
            if found.allowed is not request.allowed:
                found = Charging(request.allowed, found.version + 1, reason, actor)
                await set_charging(connection, book, found)
        return pb.SetProviderChargingResponse(charging=_message(found))

    async def GetProviderCharging(
        self, request: pb.GetProviderChargingRequest, context: Context
    ) -> pb.GetProviderChargingResponse:
        """What was said last."""
        book = fields.book_name(request.book)
        async with reading(self._database) as connection:
            await existing_book(connection, book)
            return pb.GetProviderChargingResponse(charging=_message(await charging(connection, book)))


def _message(found: Charging) -> pb.ProviderCharging:
    return pb.ProviderCharging(
        allowed=found.allowed, version=found.version, reason=found.reason, set_by=found.set_by
    )
