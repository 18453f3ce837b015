"""How the worklist is asked for and worked on: `reconciliation.v1.WorklistService`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, TypedDict
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import caller, fields, wire
from ledger.accounts.store import existing_book
from ledger.postings import journal
from ledger.postings.batch import Head
from ledger.postings.chain import request_hash
from ledger.reads import Reads
from ledger.wire import Context
from reconciliation import messages as mail
from reconciliation.v1 import worklist_pb2 as pb
from reconciliation.v1.worklist_pb2_grpc import WorklistServiceServicer
from reconciliation.worklist import giving_up, messages, store
from reconciliation.worklist.giving_up import Saying
from reconciliation.worklist.item import CLOSING, Change, Event, Item, refuse_unseen


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person does to an item, as it was seen, under a permanent key."""

    book: str
    id: UUID
    version: int
    key: str
    note: str
    actor: str
    owner: str | None = None
    day: date | None = None

    def request_hash(self, change: Change) -> bytes:
        """What stands for it: the same key is for the same request alone."""
        said = {
            "change": change.value,
            "id": str(self.id),
            "version": str(self.version),
            "note": self.note,
            "owner": self.owner or "",
            "effective_date": self.day.isoformat() if self.day else "",
        }
        return request_hash(said)


Posting = Callable[[AsyncConnection, Head, Item, Saying], Awaitable[int]]
"""What posts for an item; the number of the entry."""
Doing = Callable[[AsyncConnection, Head, Item], Awaitable[tuple[Item, Event]]]
"""What is done to an item as it stands: the item with its owner then, and the event to write."""


class WorklistServicer(WorklistServiceServicer):
    """Answers WorklistService from PostgreSQL."""

    def __init__(self, database: AsyncEngine, reads: Reads) -> None:
        """`database` works under the program's own role."""
        self._database = database
        self._reads = reads

    async def ListItems(self, request: pb.ListItemsRequest, context: Context) -> pb.ListItemsResponse:
        """Items, oldest first, a page at a time. Raises BookNotFound, or FieldMissing for an age without a day."""
        book, size = fields.book_name(request.book), wire.page_size(request.page_size)
        day = fields.optional_day("as_of", request.as_of)
        conditions = messages.wanted(request, day)
        if start := wire.page_start(request):
            conditions.append(store.behind(mail.place(start)))
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            found = await store.find(connection, book, *conditions, limit=size + 1)
        last = found[size - 1] if len(found) > size else None
        return pb.ListItemsResponse(
            items=[messages.item(row, day) for row in found[:size]],
            next_page_token=wire.page_token(request, f"{last.opened_at.isoformat()} {last.id}") if last else "",
        )

    async def GetItem(self, request: pb.GetItemRequest, context: Context) -> pb.GetItemResponse:
        """One item and all that became of it. Raises ExceptionNotFound."""
        book, id_ = fields.book_name(request.book), fields.uuid("id", request.id)
        day = fields.optional_day("as_of", request.as_of)
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            row = await store.existing(connection, book, id_)
            history = await store.history(connection, book, id_)
        return pb.GetItemResponse(item=messages.item(row, day), history=map(messages.event, history))

    async def AssignItem(self, request: pb.AssignItemRequest, context: Context) -> pb.AssignItemResponse:
        """Says whose an item is. Raises ExceptionNotFound, WorklistItemChanged or WorklistItemClosed."""
        asked = _asked(request, fields.text("note", request.note, fields.TEXT_LENGTH))
        asked = replace(asked, owner=fields.optional("owner", request.owner))

        async def assigned(_: AsyncConnection, __: Head, item: Item) -> tuple[Item, Event]:
            event = Event(item.id, Change.ASSIGNED, asked.note, asked.actor)
            return replace(item, owner=asked.owner), event

        event, replayed = await self._done(asked, Change.ASSIGNED, assigned)
        return pb.AssignItemResponse(event=messages.event(event), replayed=replayed)

    async def CloseItem(self, request: pb.CloseItemRequest, context: Context) -> pb.CloseItemResponse:
        """Nothing need be done. Raises ExceptionNotFound, WorklistItemChanged or WorklistItemClosed."""
        return pb.CloseItemResponse(**await self._closed(request, Change.CLOSED))

    async def SendBackItem(self, request: pb.SendBackItemRequest, context: Context) -> pb.SendBackItemResponse:
        """Somebody else has to answer. Raises ExceptionNotFound, WorklistItemChanged or WorklistItemClosed."""
        return pb.SendBackItemResponse(**await self._closed(request, Change.SENT_BACK))

    async def _closed(self, request: pb.CloseItemRequest | pb.SendBackItemRequest, change: Change) -> "_Answer":
        """Closed by a person's word alone."""
        asked = _asked(request, fields.required("note", request.note, fields.TEXT_LENGTH))

        async def closed(_: AsyncConnection, __: Head, item: Item) -> tuple[Item, Event]:
            return item, Event(item.id, change, asked.note, asked.actor)

        event, replayed = await self._done(asked, change, closed)
        return {"event": messages.event(event), "replayed": replayed}

    async def AbsorbItem(self, request: pb.AbsorbItemRequest, context: Context) -> pb.AbsorbItemResponse:
        """The company takes the loss of a denial. Raises what `giving_up.absorb` does."""
        return pb.AbsorbItemResponse(**await self._given_up(request, Change.ABSORBED, giving_up.absorb))

    async def WriteOffItem(self, request: pb.WriteOffItemRequest, context: Context) -> pb.WriteOffItemResponse:
        """A small rest is given up. Raises what `giving_up.write_off` does."""
        return pb.WriteOffItemResponse(**await self._given_up(request, Change.WRITTEN_OFF, giving_up.write_off))

    async def _given_up(
        self, request: pb.AbsorbItemRequest | pb.WriteOffItemRequest, change: Change, post: Posting
    ) -> "_Answer":
        """Closed by an entry, posted in the same database transaction."""
        asked = _asked(request, fields.required("note", request.note, fields.TEXT_LENGTH))
        day = fields.day("effective_date", request.effective_date)

        async def given_up(connection: AsyncConnection, head: Head, item: Item) -> tuple[Item, Event]:
            number = await post(connection, head, item, Saying(asked.actor, asked.note, day))
            return item, Event(item.id, change, asked.note, asked.actor, number)

        event, replayed = await self._done(replace(asked, day=day), change, given_up)
        return {"event": messages.event(event), "replayed": replayed}

    async def _done(self, asked: Asked, change: Change, doing: Doing) -> tuple[Row[Any], bool]:
        """Does it once, to the item as it was seen; the same again gets the first answer."""
        said = asked.request_hash(change)
        async with journal.posting(self._database, asked.book) as (connection, head):
            earlier = await store.earlier(connection, asked.book, asked.actor, asked.key, said)
            if earlier is not None:
                return earlier, True
            item = store.item(await store.existing(connection, asked.book, asked.id))
            refuse_unseen(item, asked.version)
            if change in CLOSING:
                await store.close(connection, asked.book, item.id)
            item, event = await doing(connection, head, item)
            return await store.say(connection, asked.book, event, item, asked.key, said), False


_Change = (
    pb.AssignItemRequest
    | pb.CloseItemRequest
    | pb.SendBackItemRequest
    | pb.AbsorbItemRequest
    | pb.WriteOffItemRequest
)


class _Answer(TypedDict):
    event: pb.ItemEvent
    replayed: bool


def _asked(request: _Change, note: str) -> Asked:
    return Asked(
        book=fields.book_name(request.book),
        id=fields.uuid("id", request.id),
        version=messages.seen(request.version),
        key=fields.required("idempotency_key", request.idempotency_key, fields.KEY_LENGTH),
        note=note,
        actor=caller.actor.get(),
    )
