"""How it is said what may be written off: `ledger.v1.WriteOffsService`."""

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import caller, fields, wire
from ledger.accounts.store import existing_book
from ledger.database import reading
from ledger.errors import AmountInvalid
from ledger.money import LARGEST, Amount
from ledger.postings import journal
from ledger.v1 import write_offs_pb2 as pb
from ledger.v1.write_offs_pb2_grpc import WriteOffsServiceServicer
from ledger.wire import Context
from ledger.write_offs import store
from ledger.write_offs.cap import WriteOffCap


class WriteOffsServicer(WriteOffsServiceServicer):
    """Answers WriteOffsService from PostgreSQL."""

    def __init__(self, database: AsyncEngine) -> None:
        """`database` works under the program's own role."""
        self._database = database

    async def SetWriteOffCap(
        self, request: pb.SetWriteOffCapRequest, context: Context
    ) -> pb.SetWriteOffCapResponse:
        """Says how much may be written off, from now on; the same again changes nothing."""
        book, most = fields.book_name(request.book), _most(request)
        reason, actor = fields.required("reason", request.reason, fields.TEXT_LENGTH), caller.actor.get()
        async with journal.posting(self._database, book) as (connection, head):
            found = await store.cap(connection, book, most.currency)
            if not found.version or found.amount != most.minor_units:
                found = found.changed(most.minor_units, reason, actor, head.recorded_at)
                await store.set_cap(connection, book, found)
        return pb.SetWriteOffCapResponse(cap=_message(found))

    async def ListWriteOffCaps(
        self, request: pb.ListWriteOffCapsRequest, context: Context
    ) -> pb.ListWriteOffCapsResponse:
        """Those in force, by currency."""
        book = fields.book_name(request.book)
        async with reading(self._database) as connection:
            await existing_book(connection, book)
            found = await store.caps(connection, book)
        return pb.ListWriteOffCapsResponse(caps=map(_message, found))


def _most(request: pb.SetWriteOffCapRequest) -> Amount:
    most = wire.amount("most", request)
    if not 0 <= most.minor_units <= LARGEST:
        told = f"most is 0 to {LARGEST} minor units, not {most.minor_units}"
        raise AmountInvalid(told, field="most", minor_units=most.minor_units)
    return most


def _message(found: WriteOffCap) -> pb.WriteOffCap:
    return pb.WriteOffCap(
        most=wire.money(Amount(found.amount, found.currency)),
        version=found.version,
        reason=found.reason,
        set_by=found.set_by,
        set_at=wire.moment(found.set_at),
    )
