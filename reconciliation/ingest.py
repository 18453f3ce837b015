"""Takes a file in: keeps its bytes, reads it twice, settles each remittance wholly and once, or not at all.

First the whole file is surveyed, because a fault at its end makes all of an interchange doubtful. Then each
remittance is settled: up to 1,000 claims in one database transaction, more in atomic chunks of 250 that any later
run takes up where the last one stopped. A file that comes again posts nothing twice, and what waits in suspense is
looked for once more.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any
from uuid import NAMESPACE_OID, UUID, uuid5

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import errors
from ledger.accounts import store as accounts
from ledger.database import reading, recording
from ledger.errors import Refusal
from ledger.postings import journal
from ledger.postings.batch import Head
from reconciliation import code_store, parties, store
from reconciliation.bank import cashier, meeting
from reconciliation.chunk import Chunk, chunk_of
from reconciliation.claims import Claims
from reconciliation.files import Files
from reconciliation.payer import known_as
from reconciliation.payment import Raised
from reconciliation.quarantine import (
    identifiers_of,
    payees_of,
    quarantined,
    raised_by_header,
    row_of,
    signed_by,
    to_another,
)
from reconciliation.reasons import Decision, ExceptionReason, RemittanceState
from reconciliation.rematch import match_again
from reconciliation.remittance import ClaimPayment, Survey, Unreadable, survey
from reconciliation.settling import settle_chunk
from reconciliation.turns import next_in_turn, parts, parts_in_turn, settling

LARGEST_FILE = 512 * 1024 * 1024
"""Bytes of one delivery."""
MOST_REMITTANCES = 10_000
"""Remittances in one delivery."""
_UNREADABLE: dict[str, type[Refusal]] = {
    "EMPTY_FILE": errors.FileEmpty,
    "NOT_AN_835": errors.FileNotAn835,
    "TRUNCATED": errors.FileTruncated,
    "SEGMENT_TOO_LONG": errors.FileSegmentTooLong,
}

Progress = Callable[[int], None]
"""Told how many claims have been settled since it was last told."""


def _silent(_: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a file."""

    delivery: store.Delivery
    duplicate: bool
    remittances: list[Row[Any]]
    decisions: dict[Decision, int]
    exceptions: dict[UUID, int]


async def ingest(
    database: AsyncEngine,
    files: Files,
    book: str,
    file_name: str,
    actor: str,
    file: IO[bytes],
    progress: Progress = _silent,
) -> Ingested:
    """Takes one file in, from its first byte on.

    Raises FileEmpty, FileNotAn835, FileTruncated, FileSegmentTooLong or FileTooLarge, and then nothing is
    recorded; BookNotFound, DatabaseUnavailable or OutcomeUnknown, and then the same file may come again.
    """
    delivery = await asyncio.to_thread(delivered, book, file_name, actor, file)
    surveys = await asyncio.to_thread(_surveyed, file)
    new = await kept(database, files, delivery, file)
    again = await _settle_all(database, delivery, file, surveys, progress)
    await take_up_again(database, files, book, again)
    async with reading(database) as connection:
        found = await store.of_delivery(connection, delivery)
        return Ingested(
            delivery=delivery,
            duplicate=not new,
            remittances=found,
            decisions=await store.decisions(connection, delivery),
            exceptions=await store.open_exceptions(connection, book, [row.id for row in found]),
        )


async def resume(database: AsyncEngine, files: Files) -> int:
    """Finishes what an earlier run left half settled, from the bytes that were kept, as `finished_each`."""
    async with reading(database) as connection:
        left = await store.unfinished(connection)
    return await finished_each(left, lambda delivery: _finished(database, files, delivery))


async def finished_each(
    left: Sequence[store.Delivery], finish: Callable[[store.Delivery], Awaitable[None]]
) -> int:
    """Finishes deliveries one after the other; returns how many.

    Raises FileKeyUnknown or FileDamaged of the first that cannot be read back, once all others are done.
    """
    unread: Refusal | None = None
    for delivery in left:
        try:
            await finish(delivery)
        except (errors.FileKeyUnknown, errors.FileDamaged) as refusal:
            unread = unread or refusal
    if unread:
        raise unread
    return len(left)


async def take_up_again(database: AsyncEngine, files: Files, book: str, again: Iterable[bytes]) -> None:
    """Settles what waited in these files of a book, now that its money is there.

    Raises FileKeyUnknown or FileDamaged. What is not done here is done at the next start.
    """
    for sha256 in again:
        async with reading(database) as connection:
            delivery = await store.delivered(connection, book, sha256)
        assert delivery is not None
        await _finished(database, files, delivery)


async def _finished(database: AsyncEngine, files: Files, delivery: store.Delivery) -> None:
    """Settles what a file has left to settle, and what that brings to others."""
    async with files.whole(database, delivery) as file:
        surveys = await asyncio.to_thread(_surveyed, file)
        again = await _settle_all(database, delivery, file, surveys, _silent)
    await take_up_again(database, files, delivery.book, again - {delivery.sha256})


def delivered(
    book: str, file_name: str, actor: str, file: IO[bytes], form: str = store.REMITTANCE
) -> store.Delivery:
    """A file as a delivery. Raises FileTooLarge."""
    digest, size = hashlib.sha256(), 0
    for content in parts(file):
        digest.update(content)
        size += len(content)
        if size > LARGEST_FILE:
            raise errors.FileTooLarge(f"the file is larger than {LARGEST_FILE} bytes", limit=LARGEST_FILE)
    return store.Delivery(book, digest.digest(), file_name, size, actor, form)


def _surveyed(file: IO[bytes]) -> list[Survey]:
    try:
        with closing(parts_in_turn(file)) as taken:
            surveys = list(islice(survey(taken), MOST_REMITTANCES + 1))
    except Unreadable as unreadable:
        raise _UNREADABLE[unreadable.reason](str(unreadable), **unreadable.facts) from None
    if len(surveys) > MOST_REMITTANCES:
        raise errors.FileTooLarge(
            f"the file holds more than {MOST_REMITTANCES} remittances", limit=MOST_REMITTANCES
        )
    return surveys


async def kept(database: AsyncEngine, files: Files, delivery: store.Delivery, file: IO[bytes]) -> bool:
    """Keeps the bytes; False where they are kept already."""
    async with recording(database) as connection:
        await accounts.existing_book(connection, delivery.book)
        new = await store.deliver(connection, delivery)
        if new:
            for part, content in enumerate(parts(file), 1):
                await files.add_part(connection, delivery, part, content)
    return new


async def _settle_all(
    database: AsyncEngine, delivery: store.Delivery, file: IO[bytes], surveys: list[Survey], progress: Progress
) -> set[bytes]:
    """Settles all of a file; returns files in which something waited for what came with it."""
    claims, again = Claims(file), set[bytes]()
    for surveyed in surveys:
        arrived = _Arrived(database, delivery, claims, surveyed, progress)
        await arrived.take_up()
        again |= arrived.reopened
    async with recording(database) as connection:
        await store.finish(connection, delivery)
    return again


class _Arrived:
    """One remittance of a delivery, on its way into the books."""

    def __init__(
        self,
        database: AsyncEngine,
        delivery: store.Delivery,
        claims: Claims,
        surveyed: Survey,
        progress: Progress,
    ) -> None:
        self._database = database
        self._delivery = delivery
        self._claims = claims
        self._survey = surveyed
        self._progress = progress
        self._position = surveyed.index or -surveyed.interchange
        name = f"{delivery.book}/{delivery.sha256.hex()}/{self._position}"
        self.id = uuid5(NAMESPACE_OID, name)
        self.reopened: set[bytes] = set()

    async def take_up(self) -> None:
        """Settles it, or says why nothing of it is posted."""
        reason = quarantined(self._survey)
        if reason is not None:
            await self._quarantine(reason)
            return
        try:
            await self._settle()
        except Refusal as refusal:
            if isinstance(refusal, errors.TryAgain | errors.NotThere):
                raise
            detail = f"the books refuse it: {refusal.message}"
            paid = row_of(self._survey, RemittanceState.QUARANTINED, detail)["paid"]
            await self._quarantine(Raised(ExceptionReason.REFUSED_BY_BOOKS, paid, detail))

    async def _quarantine(self, why: Raised) -> None:
        book = self._delivery.book
        async with journal.posting(self._database, book) as (connection, _):
            before = await store.existing(connection, book, self.id)
            if before is not None and before.state in (RemittanceState.SETTLED, RemittanceState.DUPLICATE):
                return
            if before is not None and before.state == RemittanceState.SETTLING:
                await store.add_exceptions(connection, [self._exception(why)], self._actor)
                return
            payer = await _payer(connection, book, self._survey)
            twin = await store.quarantined_twin(connection, book, self._survey.content_hash, self.id)
            state = RemittanceState.DUPLICATE if twin else RemittanceState.QUARANTINED
            reason = f"the same as remittance {twin}, which is quarantined" if twin else why.detail
            row = {**self._place(), **row_of(self._survey, state, reason), "payer": payer}
            await store.put(connection, book, self.id, row)
            await store.add_exceptions(connection, [] if twin else [self._exception(why)], self._actor)

    async def _settle(self) -> None:
        start = 0
        chunks = self._claims.chunks(self._survey.index, self._survey.claim_count)
        while (claims := await asyncio.to_thread(next_in_turn, chunks)) is not None:
            last = start + len(claims) >= self._survey.claim_count
            if not await self._settle_chunk(claims, start, last=last):
                return
            start += len(claims)
            self._progress(len(claims))

    async def _settle_chunk(self, claims: list[ClaimPayment], start: int, *, last: bool) -> bool:
        """Posts one chunk, or finds it posted; False where the remittance needs no more chunks."""
        book = self._delivery.book
        async with settling(self._database, book) as (connection, head):
            before = await store.existing(connection, book, self.id)
            if new := before is None or before.state == RemittanceState.QUARANTINED:
                before = await self._open(connection, head, before)
            if before.state == RemittanceState.SETTLED:
                return await self._match_again(connection, head, before, claims)
            if before.state != RemittanceState.SETTLING:
                return False
            if before.settled_claim_count > start:
                return True
            chunk = await self._chunk(connection, head, before, before.payer)
            added = await settle_chunk(chunk, claims, self._survey.provider_level if last else ())
            state = RemittanceState.SETTLED if last else RemittanceState.SETTLING
            await store.progress(connection, book, self.id, state, added)
            if not new:
                refused = self._exception_id(ExceptionReason.REFUSED_BY_BOOKS)
                await store.close_exception(connection, book, refused, "the books take it now", self._actor)
            if last:
                self.reopened |= await meeting.settled(connection, chunk.head, chunk.actor, self.id)
        return not last

    async def _match_again(
        self, connection: AsyncConnection, head: Head, before: Row[Any], claims: list[ClaimPayment]
    ) -> bool:
        """Looks again for what waits in suspense; False where it cannot or need not be looked for."""
        book = self._delivery.book
        payer = before.payer or await _payer(connection, book, self._survey)
        if payer is None:
            return False
        if before.payer is None:
            await store.name_payer(connection, book, self.id, payer)
            unknown = self._exception_id(ExceptionReason.UNKNOWN_PAYER)
            await store.close_exception(connection, book, unknown, f"the payer is {payer}", self._actor)
        moved = await match_again(await self._chunk(connection, head, before, payer), claims)
        await store.progress(connection, book, self.id, RemittanceState.SETTLED, moved)
        return True

    async def _chunk(self, connection: AsyncConnection, head: Head, before: Row[Any], payer: str | None) -> Chunk:
        return await chunk_of(connection, head, before, payer, self._actor)

    async def _open(self, connection: AsyncConnection, head: Head, before: Row[Any] | None) -> Row[Any]:
        """Writes the remittance as one to settle now or once its money is there, or as what it repeats."""
        book, header = self._delivery.book, self._survey.header
        if before is not None:
            await store.close_exceptions(connection, book, self.id, self._actor)
        repeated = await store.same_content(connection, book, self._survey.content_hash)
        reused = await store.same_trace(connection, book, signed_by(header), header.trace)
        payer = await _payer(connection, book, self._survey)
        if repeated:
            row = row_of(self._survey, RemittanceState.DUPLICATE, f"the same as remittance {repeated}")
            raised: list[Raised] = []
        elif reused:
            trace = f"trace {header.trace} of {signed_by(header)}"
            detail = f"{trace} came before as remittance {reused}, with other content"
            row = row_of(self._survey, RemittanceState.QUARANTINED, detail)
            raised = [Raised(ExceptionReason.TRACE_REUSED, row["paid"], detail)]
        elif not await parties.is_payee(connection, book, payees_of(header)):
            raised = [to_another(self._survey)]
            row = row_of(self._survey, RemittanceState.QUARANTINED, raised[0].detail)
        else:
            row = await self._to_settle(connection, head, payer)
            raised = raised_by_header(self._survey, payer_known=payer is not None)
        written = await store.put(connection, book, self.id, {**self._place(), **row, "payer": payer})
        await store.add_exceptions(connection, [self._exception(why) for why in raised], self._actor)
        return written

    async def _to_settle(self, connection: AsyncConnection, head: Head, payer: str | None) -> dict[str, Any]:
        row = row_of(self._survey, RemittanceState.SETTLING, "")
        row["code_revision"] = await code_store.revision(connection, head.book)
        arriving = cashier.arriving(self.id, row, payer)
        row["clearing"] = arriving.clearing
        if await meeting.must_wait(connection, head, arriving):
            row |= {"state": RemittanceState.WAITING, "reason": "it waits for its deposit, as the policy says"}
        return row

    @property
    def _actor(self) -> str:
        return self._delivery.received_by

    def _place(self) -> dict[str, Any]:
        return {"sha256": self._delivery.sha256, "position": self._position}

    def _exception_id(self, reason: ExceptionReason) -> UUID:
        return uuid5(self.id, f"0/{reason}")

    def _exception(self, why: Raised) -> dict[str, Any]:
        """An exception about the whole remittance."""
        return {
            "book": self._delivery.book,
            "id": self._exception_id(why.reason),
            "remittance": self.id,
            "line": 0,
            "reason": why.reason,
            "claim_as_sent": "",
            "claim": None,
            "amount": why.amount,
            "currency": self._survey.header.currency,
            "detail": why.detail,
        }


async def _payer(connection: AsyncConnection, book: str, surveyed: Survey) -> str | None:
    """The one payer that a remittance's identifiers stand for."""
    return await known_as(connection, book, identifiers_of(surveyed.header))
