"""How checkpoints and proofs are asked for: `ledger.v1.AuditService`."""

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import caller, fields, wire
from ledger.accounts.store import existing_book
from ledger.audit import messages, store, tree
from ledger.audit.account_list import listed
from ledger.audit.checkpoint import Signing
from ledger.audit.merkle import Range, consistency_path, inclusion_path
from ledger.database import reading
from ledger.errors import CheckpointNotFound, EntryNotFound
from ledger.postings import journal
from ledger.postings.store import hash_of
from ledger.reads import Reads, refuse_beyond
from ledger.schema import checkpoints
from ledger.v1 import audit_pb2 as pb
from ledger.v1.audit_pb2_grpc import AuditServiceServicer
from ledger.wire import Context


class AuditServicer(AuditServiceServicer):
    """Answers AuditService from PostgreSQL; `signing` are the keys that checkpoints are signed with."""

    def __init__(self, database: AsyncEngine, reads: Reads, signing: Signing) -> None:
        """`database` works under the program's own role."""
        self._database, self._reads, self._signing = database, reads, signing

    async def WriteCheckpoint(
        self, request: pb.WriteCheckpointRequest, context: Context
    ) -> pb.WriteCheckpointResponse:
        """Signs the book as it stands. Raises SigningKeyMissing, HistoryRewritten or BookNotFound."""
        book, reason = (
            fields.book_name(request.book),
            fields.required("reason", request.reason, fields.TEXT_LENGTH),
        )
        found, replayed = await checkpoint(self._database, book, self._signing, caller.actor.get(), reason)
        return pb.WriteCheckpointResponse(checkpoint=messages.checkpoint(found), replayed=replayed)

    async def GetCheckpoint(self, request: pb.GetCheckpointRequest, context: Context) -> pb.GetCheckpointResponse:
        """One checkpoint, or the last one. Raises BookNotFound or CheckpointNotFound."""
        book, number = fields.book_name(request.book), messages.checkpoint_number(request)
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            if number:
                kept = await store.find_checkpoints(connection, book, checkpoints.c.number == number)
                found = kept[0] if kept else None
            else:
                found = await store.last_checkpoint(connection, book)
        if found is None:
            raise CheckpointNotFound(f"no checkpoint {number or ''} in book {book}", checkpoint=number)
        return pb.GetCheckpointResponse(checkpoint=messages.checkpoint(found))

    async def ListCheckpoints(
        self, request: pb.ListCheckpointsRequest, context: Context
    ) -> pb.ListCheckpointsResponse:
        """All checkpoints, a page at a time. Raises BookNotFound or PageInvalid."""
        book, size = fields.book_name(request.book), wire.page_size(request.page_size)
        after = checkpoints.c.number > wire.page_start_number(request)
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            found = await store.find_checkpoints(connection, book, after, limit=size + 1)
        more = wire.page_token(request, str(found[size - 1].number)) if len(found) > size else ""
        return pb.ListCheckpointsResponse(checkpoints=map(messages.checkpoint, found[:size]), next_page_token=more)

    async def GetInclusionProof(
        self, request: pb.GetInclusionProofRequest, context: Context
    ) -> pb.GetInclusionProofResponse:
        """What leads from an entry to the root of a tree that holds it.

        Raises BookNotFound, TreeSizeInvalid, NumberBeyondHead or ReplicaBehind.
        """
        book, number = fields.book_name(request.book), messages.entry_number(request)
        asked = messages.size("size", request.size, number)
        async with self._reads.view() as connection:
            head = (await existing_book(connection, book)).last_number
            refuse_beyond("entry_number", number, head, is_replica=self._reads.is_replica)
            size = asked or head
            refuse_beyond("size", size, head, is_replica=self._reads.is_replica)
            ranges = [Range(0, size), *inclusion_path(number - 1, size)]
            root, *path = await tree.hashes(connection, book, ranges)
            entry_hash = await hash_of(connection, book, number)
        if entry_hash is None:
            raise EntryNotFound(f"no entry {number} in book {book}", number=number)
        return pb.GetInclusionProofResponse(entry_hash=entry_hash, size=size, root=root, path=path)

    async def GetConsistencyProof(
        self, request: pb.GetConsistencyProofRequest, context: Context
    ) -> pb.GetConsistencyProofResponse:
        """What shows that one tree is the beginning of another.

        Raises BookNotFound, TreeSizeInvalid, NumberBeyondHead or ReplicaBehind.
        """
        book, first = fields.book_name(request.book), messages.first_size(request)
        asked = messages.size("second_size", request.second_size, first)
        async with self._reads.view() as connection:
            head = (await existing_book(connection, book)).last_number
            refuse_beyond("first_size", first, head, is_replica=self._reads.is_replica)
            second = asked or head
            refuse_beyond("second_size", second, head, is_replica=self._reads.is_replica)
            ranges = [Range(0, first), Range(0, second), *consistency_path(first, second)]
            first_root, second_root, *path = await tree.hashes(connection, book, ranges)
        return pb.GetConsistencyProofResponse(
            first_size=first, first_root=first_root, second_size=second, second_root=second_root, path=path
        )

    async def ListVerifierKeys(
        self, request: pb.ListVerifierKeysRequest, context: Context
    ) -> pb.ListVerifierKeysResponse:
        """The public keys that check a book's checkpoints. Raises BookNotFound."""
        book = fields.book_name(request.book)
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            used = await store.verifiers(connection, book)
        given = [*map(str, self._signing.verifiers(book))]
        return pb.ListVerifierKeysResponse(
            signs=given[0] if given else "", verifier_keys=[*given, *(one for one in used if one not in given)]
        )


async def checkpoint(
    database: AsyncEngine, book: str, signing: Signing, actor: str, reason: str
) -> tuple[store.Kept, bool]:
    """Signs a book as it stands, and says whether it was signed before. The head is held for a moment only.

    Raises BookNotFound, SigningKeyMissing, HistoryRewritten, DatabaseUnavailable or OutcomeUnknown.
    """
    await tree.fill_book(database, book)
    async with reading(database) as connection:
        seen = await listed(connection, book)
    async with journal.posting(database, book) as (connection, head):
        return await store.write_checkpoint(connection, head, signing, actor, reason, seen)
