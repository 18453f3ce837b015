"""The program without a ledger: what gRPC, the doorkeeper and the log line cost by themselves.

It is `ledger serve` in everything but one: who answers PostingsService answers from the request. The messages are
those of a real answer and of the same size; nothing is decided and nothing is recorded.
"""

from collections.abc import AsyncIterator

from google.protobuf.timestamp_pb2 import Timestamp

from ledger.postings.servicer import PostingsServicer
from ledger.v1 import postings_pb2 as pb
from ledger.wire import Context
from service import server
from service.__main__ import main
from service.identity import UNNAMED

_ID = "01890000-0000-7000-8000-000000000000"
_HASH = b"\x01" * 32
_MOMENT = Timestamp(seconds=1_700_000_000, nanos=123_456_000)


class Echo(PostingsServicer):
    """Answers what is posted as if it had been."""

    async def PostEntry(self, request: pb.PostEntryRequest, context: Context) -> pb.PostEntryResponse:  # noqa: N802
        """The entry, numbered."""
        return pb.PostEntryResponse(entry=_posted(request.entry))

    async def StreamEntries(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.StreamEntriesRequest], context: Context
    ) -> AsyncIterator[pb.StreamEntriesResponse]:
        """Each entry, numbered, in order."""
        async for request in request_iterator:
            yield pb.StreamEntriesResponse(result=pb.EntryResult(entry=_posted(request.entry)))


def _posted(asked: pb.EntryToPost) -> pb.JournalEntry:
    return pb.JournalEntry(
        number=100_000,
        id=_ID,
        kind=pb.KIND_MANUAL,
        effective_date=asked.effective_date,
        recorded_at=_MOMENT,
        description=asked.description,
        idempotency_key=asked.idempotency_key,
        actor=UNNAMED,
        dimensions=asked.dimensions,
        postings=asked.postings,
        hash=_HASH,
    )


if __name__ == "__main__":
    server.PostingsServicer = Echo  # type: ignore[attr-defined]  # the one thing that differs
    main()
