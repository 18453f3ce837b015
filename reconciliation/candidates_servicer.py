"""How proposals are asked for: `reconciliation.v1.CandidatesService`. Nothing is decided or written here."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import fields, wire
from ledger.accounts.store import existing_book
from ledger.errors import (
    ClaimPaymentNotFound,
    ClaimPaymentNotWaiting,
    ExceptionWithoutCandidates,
    NumberInvalid,
    PageInvalid,
)
from ledger.reads import Reads
from ledger.wire import Context
from reconciliation.bank import store as bank
from reconciliation.candidates import messages, store
from reconciliation.candidates.gathering import Paid
from reconciliation.candidates.proposing import Proposed, lumped, proposed
from reconciliation.files import Files
from reconciliation.reasons import Decision
from reconciliation.sent import sent_again
from reconciliation.store import Delivery
from reconciliation.v1 import candidates_pb2 as pb
from reconciliation.v1.candidates_pb2_grpc import CandidatesServiceServicer
from reconciliation.worklist import store as worklist


class CandidatesServicer(CandidatesServiceServicer):
    """Answers CandidatesService from PostgreSQL and the files that were kept."""

    def __init__(self, database: AsyncEngine, reads: Reads, files: Files) -> None:
        """`database` works under the program's own role; `files` has the keys of what is kept in it."""
        self._database = database
        self._reads = reads
        self._files = files

    async def ListCandidates(
        self, request: pb.ListCandidatesRequest, context: Context
    ) -> pb.ListCandidatesResponse:
        """What a claim payment or a deposit may be about, a page at a time.

        Raises ExceptionNotFound, ClaimPaymentNotFound, ClaimPaymentNotWaiting, ExceptionWithoutCandidates,
        FileKeyUnknown or FileDamaged.
        """
        return await listed(self._database, self._reads, self._files, request)


async def listed(
    database: AsyncEngine, reads: Reads, files: Files, request: pb.ListCandidatesRequest
) -> pb.ListCandidatesResponse:
    """A page of proposals, for whoever asks. Raises what `ListCandidates` raises."""
    size, start = wire.page_size(request.page_size), wire.page_start(request)
    after = _place(start)
    found = await _found(database, reads, files, request)
    left = [one for one in found.candidates if (-one.score, one.claim) > after]
    more = len(left) > size
    token = wire.page_token(request, f"{left[size - 1].score} {left[size - 1].claim}") if more else ""
    return messages.answer(found, left[:size], token, first=not start)


async def _found(database: AsyncEngine, reads: Reads, files: Files, request: pb.ListCandidatesRequest) -> Proposed:
    """The file is read while no connection is held."""
    book, asked = fields.book_name(request.book), _asked(request)
    async with reads.view() as connection:
        await existing_book(connection, book)
        row = await _row(connection, book, *asked)
    if isinstance(row, Proposed):
        return row
    delivery = Delivery(book, row.sha256, row.file_name, row.size, row.received_by, row.form)
    sent = await sent_again(database, files, delivery, row.position, row.line)
    paid = Paid(row.payer, row.payer_name, row.currency, row.payment_date, sent)
    async with reads.view() as connection:
        return await proposed(connection, book, paid)


def _asked(request: pb.ListCandidatesRequest) -> tuple[UUID | None, UUID | None, int]:
    """The exception, or the remittance and the line."""
    if request.exception:
        return fields.uuid("exception", request.exception), None, 0
    remittance = fields.uuid("remittance", request.remittance)
    if request.line < 1:
        raise NumberInvalid("line is 1 for the first claim payment", field="line", value=request.line)
    return None, remittance, request.line


async def _row(
    connection: AsyncConnection, book: str, exception: UUID | None, remittance: UUID | None, line: int
) -> Row[Any] | Proposed:
    """The claim payment that is asked about; of a deposit all that can be proposed."""
    if exception:
        raised = await worklist.existing(connection, book, exception)
        if raised.deposit and not raised.remittance:
            return await _of_deposit(connection, book, raised.deposit)
        if not raised.line:
            told = "the exception is about neither a claim payment nor a deposit"
            raise ExceptionWithoutCandidates(told, id=exception)
        remittance, line = raised.remittance, raised.line
    assert remittance is not None
    row = await store.claim_payment(connection, book, remittance, line)
    if row is None:
        told = f"remittance {remittance} has no claim payment {line}"
        raise ClaimPaymentNotFound(told, remittance=remittance, line=line)
    if row.decision != Decision.SUSPENDED:
        told = (
            f"claim payment {line} does not wait to be matched: it is {row.decision}, claim {row.claim or 'none'}"
        )
        stands = {"decision": row.decision, "claim": row.claim or "", "rule": row.rule}
        raise ClaimPaymentNotWaiting(told, line=line, **stands)
    return row


async def _of_deposit(connection: AsyncConnection, book: str, id_: UUID) -> Proposed:
    row = (await bank.existing(connection, book, [id_]))[id_]
    applied = (await bank.sums(connection, book, [id_])).get(id_)
    is_over = row.returns is not None or (applied is not None and applied.returned)
    unapplied = 0 if is_over else row.amount - int(applied.applied if applied else 0)
    return await lumped(connection, book, row, max(unapplied, 0))


def _place(start: str) -> tuple[int, str]:
    """Where a page begins in the order of score and claim. Raises PageInvalid."""
    score, _, claim = start.partition(" ")
    if not start:
        return (-101, "")
    if not (score.isascii() and score.isdigit()):
        raise PageInvalid("page_token is not one of ours")
    return (-int(score), claim)
