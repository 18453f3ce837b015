"""How entries are posted and asked for: `ledger.v1.PostingsService`."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from uuid import UUID

from sqlalchemy import ColumnElement, and_
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import caller, fields, wire
from ledger.accounts import store as accounts
from ledger.database import reading
from ledger.errors import EntryNotFound, FieldMissing, Refusal, StreamMisordered, TextInvalid
from ledger.postings import journal, listing, messages, store, stream
from ledger.postings.batch import Outcome, Posted, Request, Submission, refuse_too_many
from ledger.postings.feed import Feed
from ledger.postings.group_commit import GroupCommit
from ledger.reads import Reads
from ledger.schema import entries
from ledger.v1 import postings_pb2 as pb
from ledger.v1.postings_pb2_grpc import PostingsServiceServicer
from ledger.wire import Context


class PostingsServicer(PostingsServiceServicer):
    """Answers PostingsService: reads from PostgreSQL, posts through the group commit."""

    def __init__(self, database: AsyncEngine, reads: Reads, group_commit: GroupCommit, feed: Feed) -> None:
        """`database` works under the program's own role; what decides, or says what was posted, asks it alone."""
        self._database = database
        self._reads = reads
        self._group_commit = group_commit
        self._feed = feed

    async def PostEntry(self, request: pb.PostEntryRequest, context: Context) -> pb.PostEntryResponse:
        """Posts one entry as it is given."""
        book = fields.book_name(request.book)
        posted = await self._post_one(book, messages.entry_to_post(request.entry), request)
        return pb.PostEntryResponse(**posted)

    async def PostEntries(self, request: pb.PostEntriesRequest, context: Context) -> pb.PostEntriesResponse:
        """Posts many entries, each by itself or all or none."""
        book = fields.book_name(request.book)
        refuse_too_many(len(request.entries))
        read = [messages.read_or_refusal(entry) for entry in request.entries]
        if request.atomic:
            _refuse_first(read)
        submission = Submission([r for r in read if isinstance(r, Request)], request.atomic)
        outcomes = iter(await self._outcomes(book, submission, record=not request.validate_only))
        answers = [r if isinstance(r, Refusal) else next(outcomes) for r in read]
        if request.atomic:
            _refuse_first(answers)
        results = [messages.result(answer, recorded=not request.validate_only) for answer in answers]
        return pb.PostEntriesResponse(results=results)

    async def StreamEntries(
        self, request_iterator: AsyncIterator[pb.StreamEntriesRequest], context: Context
    ) -> AsyncIterator[pb.StreamEntriesResponse]:
        """Posts entries as they come, and answers each in order. Raises StreamMisordered."""
        first = await anext(aiter(request_iterator), None)
        if first is None:
            return
        book = fields.book_name(first.book)

        async def post(requests: Sequence[Request]) -> list[Outcome]:
            return await self._group_commit.post(book, Submission(requests)) if requests else []

        async for outcome in stream.answers(_entries(book, first, request_iterator), post):
            yield pb.StreamEntriesResponse(result=messages.result(outcome))

    async def ReverseEntry(self, request: pb.ReverseEntryRequest, context: Context) -> pb.ReverseEntryResponse:
        """Posts an entry again with its sides exchanged."""
        book, counted = fields.book_name(request.book), messages.reverse_entry(request)
        async with reading(self._database) as connection:
            posting_count = await store.posting_count(connection, book, request.number)
        return pb.ReverseEntryResponse(**await self._post_one(book, counted(posting_count), request))

    async def RecordSession(self, request: pb.RecordSessionRequest, context: Context) -> pb.RecordSessionResponse:
        """The provider has earned the rate; payer and patient owe the allowed amount."""
        book = fields.book_name(request.book)
        return pb.RecordSessionResponse(**await self._post_one(book, messages.record_session(request), request))

    async def PayProvider(self, request: pb.PayProviderRequest, context: Context) -> pb.PayProviderResponse:
        """The provider is paid, never more than is payable."""
        book = fields.book_name(request.book)
        return pb.PayProviderResponse(**await self._post_one(book, messages.pay_provider(request), request))

    async def AbsorbDenial(self, request: pb.AbsorbDenialRequest, context: Context) -> pb.AbsorbDenialResponse:
        """The payer will not pay; the company takes the loss."""
        book = fields.book_name(request.book)
        return pb.AbsorbDenialResponse(**await self._post_one(book, messages.absorb_denial(request), request))

    async def RecoverDenial(self, request: pb.RecoverDenialRequest, context: Context) -> pb.RecoverDenialResponse:
        """An absorbed denial was overturned; the payer owes again."""
        book = fields.book_name(request.book)
        return pb.RecoverDenialResponse(**await self._post_one(book, messages.recover_denial(request), request))

    async def GetEntry(self, request: pb.GetEntryRequest, context: Context) -> pb.GetEntryResponse:
        """One entry, by number, id or the caller's own key. Raises EntryNotFound."""
        book, named = fields.book_name(request.book), _named(request)
        async with reading(self._database) as connection:
            await accounts.existing_book(connection, book)
            found = await store.find(connection, book, named)
        if not found:
            raise EntryNotFound("no such entry in this book", book=book)
        return pb.GetEntryResponse(entry=messages.entry(found[0]))

    async def ListEntries(self, request: pb.ListEntriesRequest, context: Context) -> pb.ListEntriesResponse:
        """Entries in the order of their numbers, a page at a time."""
        book, narrowed = fields.book_name(request.book), messages.narrowed(request)
        size, after = wire.page_size(request.page_size), wire.page_start_number(request)
        async with self._reads.view() as connection:
            await accounts.existing_book(connection, book)
            found = await listing.page(connection, book, narrowed, after, size + 1)
        more = wire.page_token(request, str(found[size - 1].number)) if len(found) > size else ""
        return pb.ListEntriesResponse(entries=map(messages.entry, found[:size]), next_page_token=more)

    async def WatchEntries(
        self, request: pb.WatchEntriesRequest, context: Context
    ) -> AsyncGenerator[pb.WatchEntriesResponse]:
        """Every entry after a number, as long as the caller wants. Raises NumberInvalid, NumberBeyondHead."""
        book, after = fields.book_name(request.book), fields.number("after_number", request.after_number)
        async with aclosing(self._feed.after(book, after)) as messages_:
            async for message in messages_:
                yield message

    async def _post_one(self, book: str, request: Request, asked: messages.Asked) -> messages.Answer:
        """Posts one request and gives its entry; a refusal is raised."""
        recorded = not asked.validate_only
        [outcome] = await self._outcomes(book, Submission([request]), record=recorded)
        if isinstance(outcome, Refusal):
            raise outcome
        return {"entry": messages.entry(outcome.entry, recorded=recorded), "replayed": outcome.replayed}

    async def _outcomes(self, book: str, submission: Submission, *, record: bool) -> list[Outcome]:
        if record:
            return await self._group_commit.post(book, submission)
        async with reading(self._database) as connection:
            return (await journal.preview(connection, book, [submission]))[0]


async def _entries(
    book: str, first: pb.StreamEntriesRequest, following: AsyncIterator[pb.StreamEntriesRequest]
) -> AsyncIterator[Request | Refusal]:
    """What a stream asks for; the book is said once, and may be said again."""
    yield messages.read_or_refusal(first.entry)
    async for message in following:
        if message.book not in ("", book):
            raise StreamMisordered(f"the stream is of book {book}, and names another")
        yield messages.read_or_refusal(message.entry)


def _refuse_first(answers: Sequence[Request | Posted | Refusal]) -> None:
    """Raises the first refusal of an atomic call, with its place."""
    for index, answer in enumerate(answers):
        if isinstance(answer, Refusal):
            answer.facts.setdefault("index", str(index))
            raise answer


def _named(request: pb.GetEntryRequest) -> ColumnElement[bool]:
    match request.WhichOneof("name"):
        case "number":
            return store.at(request.number)
        case "id":
            return entries.c.id == _uuid(request.id)
        case "idempotency_key":
            key = fields.text("idempotency_key", request.idempotency_key, fields.KEY_LENGTH)
            actor = caller.actor.get()
            return and_(entries.c.idempotency_key == key, entries.c.actor == actor)
        case _:
            raise FieldMissing("number, id or idempotency_key is required", field="number")


def _uuid(value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError:
        raise TextInvalid("id is not a UUID", field="id", limit=36) from None
