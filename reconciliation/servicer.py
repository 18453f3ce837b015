"""How remittances are delivered and asked for: `reconciliation.v1.ReconciliationService`."""

import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator

from sqlalchemy import tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import caller, fields, wire
from ledger.accounts.known import known_at
from ledger.accounts.store import existing_book
from ledger.database import recording
from ledger.errors import DeliveryNotFound, FieldMissing, RemittanceNotFound
from ledger.postings import journal
from ledger.postings.open_items import balances_by_reference, open_items
from ledger.reads import Reads
from ledger.reports import answering
from ledger.reports.rows import control, plain_row
from ledger.wire import Context
from reconciliation import covering, messages, parties, store
from reconciliation.files import Files, record_read
from reconciliation.incoming import received
from reconciliation.ingest import ingest
from reconciliation.payer import identify
from reconciliation.questions import (
    AUTOMATIC_RATE,
    REMITTANCE_SUMMARY,
    UNDERPAID_CLAIMS,
    UNDERPAYMENTS,
    answered,
)
from reconciliation.schema import exceptions, remittances
from reconciliation.v1 import reconciliation_pb2 as pb
from reconciliation.v1.reconciliation_pb2_grpc import ReconciliationServiceServicer
from reconciliation.worklist import store as worklist

_CHUNK = 256 * 1024
"""Bytes of a file in one message."""


class ReconciliationServicer(ReconciliationServiceServicer):
    """Answers ReconciliationService from PostgreSQL."""

    def __init__(self, database: AsyncEngine, reads: Reads, files: Files) -> None:
        """`database` works under the program's own role; `files` has the keys of what is kept in it."""
        self._database = database
        self._reads = reads
        self._files = files

    async def IngestRemittance(
        self, request_iterator: AsyncIterator[pb.IngestRemittanceRequest], context: Context
    ) -> pb.IngestRemittanceResponse:
        """Takes a file in: a header, then its bytes. Raises StreamMisordered or what the file deserves."""
        with tempfile.TemporaryFile() as file:
            header: pb.RemittanceFileHeader = await received(request_iterator, file)
            book = fields.book_name(header.book)
            name = fields.text("file_name", header.file_name)
            ingested = await ingest(self._database, self._files, book, name, caller.actor.get(), file)
        return messages.ingested(ingested)

    async def ReadDelivery(
        self, request: pb.ReadDeliveryRequest, context: Context
    ) -> AsyncIterator[pb.ReadDeliveryResponse]:
        """The bytes of a file as they came. Who reads it and why is recorded first.

        Raises FieldMissing, DeliveryNotFound, FileKeyUnknown or FileDamaged.
        """
        book = fields.book_name(request.book)
        reason = fields.required("reason", request.reason, fields.TEXT_LENGTH)
        async with recording(self._database) as connection:
            await existing_book(connection, book)
            delivery = await store.delivered(connection, book, request.file_sha256)
            if delivery is None:
                raise DeliveryNotFound("no file with this SHA-256 was delivered", sha256=request.file_sha256.hex())
            await record_read(connection, delivery, caller.actor.get(), reason)
        async for content in self._files.parts(self._database, delivery):
            for start in range(0, len(content), _CHUNK):
                yield pb.ReadDeliveryResponse(chunk=content[start : start + _CHUNK])

    async def GetRemittance(self, request: pb.GetRemittanceRequest, context: Context) -> pb.GetRemittanceResponse:
        """One remittance with its claim payments, a page at a time. Raises RemittanceNotFound."""
        book, id_ = fields.book_name(request.book), fields.uuid("id", request.id)
        size, after = wire.page_size(request.page_size), wire.page_start_number(request)
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            found = await store.find(connection, book, remittances.c.id == id_)
            if not found:
                raise RemittanceNotFound(f"no remittance {id_} in this book", id=id_)
            counts = await store.open_exceptions(connection, book, [id_])
            lines = await store.find_claim_payments(connection, book, id_, after, size + 1)
            adjusted = [] if after else await store.find_provider_level(connection, book, id_)
            moves = await covering.moves(connection, book, id_)
        currency, of_line = found[0].currency, defaultdict(list)
        for move in moves:
            of_line[move.line].append(move)
        return pb.GetRemittanceResponse(
            remittance=messages.remittance(found[0], counts),
            claim_payments=[messages.claim_payment(row, currency, of_line[row.line]) for row in lines[:size]],
            provider_level_adjustments=[messages.provider_level(row, currency) for row in adjusted],
            next_page_token=wire.page_token(request, str(lines[size - 1].line)) if len(lines) > size else "",
        )

    async def ListRemittances(
        self, request: pb.ListRemittancesRequest, context: Context
    ) -> pb.ListRemittancesResponse:
        """Remittances, newest first, a page at a time."""
        book, size = fields.book_name(request.book), wire.page_size(request.page_size)
        state = messages.state(request.state)
        conditions = [remittances.c.state == state] if state else []
        if start := wire.page_start(request):
            conditions.append(tuple_(remittances.c.received_at, remittances.c.id) < messages.place(start))
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            found = await store.find(connection, book, *conditions, limit=size + 1)
            counts = await store.open_exceptions(connection, book, [row.id for row in found])
        last = found[size - 1] if len(found) > size else None
        return pb.ListRemittancesResponse(
            remittances=[messages.remittance(row, counts) for row in found[:size]],
            next_page_token=wire.page_token(request, f"{last.received_at.isoformat()} {last.id}") if last else "",
        )

    async def ListExceptions(
        self, request: pb.ListExceptionsRequest, context: Context
    ) -> pb.ListExceptionsResponse:
        """Open exceptions, oldest first, a page at a time."""
        book, size = fields.book_name(request.book), wire.page_size(request.page_size)
        reason = messages.reason(request.reason)
        conditions = [exceptions.c.closed_at.is_(None), *([exceptions.c.reason == reason] if reason else [])]
        if start := wire.page_start(request):
            conditions.append(worklist.behind(messages.place(start)))
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            found = await worklist.find(connection, book, *conditions, limit=size + 1)
        last = found[size - 1] if len(found) > size else None
        return pb.ListExceptionsResponse(
            exceptions=[messages.exception(row) for row in found[:size]],
            next_page_token=wire.page_token(request, f"{last.opened_at.isoformat()} {last.id}") if last else "",
        )

    async def IdentifyPayer(self, request: pb.IdentifyPayerRequest, context: Context) -> pb.IdentifyPayerResponse:
        """Says for which payer identifiers stand, from now on."""
        book, payer = fields.book_name(request.book), fields.required("payer", request.payer)
        if not request.identifiers:
            raise FieldMissing("identifiers are required", field="identifiers")
        identifiers = [fields.required("identifiers", one) for one in request.identifiers]
        reason = fields.required("reason", request.reason, fields.TEXT_LENGTH)
        async with journal.posting(self._database, book) as (connection, _):
            await identify(connection, book, payer, identifiers, caller.actor.get(), reason)
        return pb.IdentifyPayerResponse()

    async def IdentifyPayee(self, request: pb.IdentifyPayeeRequest, context: Context) -> pb.IdentifyPayeeResponse:
        """Says under which identifiers remittances pay this book, or no longer do."""
        book = fields.book_name(request.book)
        if not request.identifiers:
            raise FieldMissing("identifiers are required", field="identifiers")
        identifiers = [fields.required("identifiers", one) for one in request.identifiers]
        reason, actor = fields.required("reason", request.reason, fields.TEXT_LENGTH), caller.actor.get()
        async with journal.posting(self._database, book) as (connection, _):
            await parties.identify_payee(connection, book, identifiers, actor, reason, ours=not request.withdrawn)
        return pb.IdentifyPayeeResponse()

    async def ListOpenBalances(
        self, request: pb.ListOpenBalancesRequest, context: Context
    ) -> pb.ListOpenBalancesResponse:
        """What payers were paid too much or carry forward, a page at a time."""
        book, size = fields.book_name(request.book), wire.page_size(request.page_size)
        payer, after = fields.text("payer", request.payer), wire.page_start(request).partition(" ")
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            named = await balances_by_reference(connection, book, payer)
            found = await open_items(connection, book, named, (after[0], after[2]), size + 1)
        last = found[size - 1] if len(found) > size else None
        return pb.ListOpenBalancesResponse(
            balances=map(messages.open_balance, found[:size]),
            next_page_token=wire.page_token(request, f"{last.account} {last.item}") if last else "",
        )

    async def GetRemittanceSummary(
        self, request: pb.GetRemittanceSummaryRequest, context: Context
    ) -> pb.GetRemittanceSummaryResponse:
        """What was paid by payer and month, and what became of it.

        Raises BookNotFound, what as_known_at is refused for, or HistoryNotKept.
        """
        asked = known_at(request)
        found = await answered(self._reads, REMITTANCE_SUMMARY, request.book, request.as_of, asked=asked)
        return pb.GetRemittanceSummaryResponse(
            rows=(pb.RemittanceSummaryRow(**plain_row(row)) for row in found.rows),
            totals=(pb.RemittanceSummaryRow(**plain_row(row)) for row in found.totals),
            as_known_at_number=found.known or 0,
        )

    async def GetAutomaticRate(
        self, request: pb.GetAutomaticRateRequest, context: Context
    ) -> pb.GetAutomaticRateResponse:
        """How much was posted without a person, by groups.

        Raises ChoiceInvalid, BookNotFound, what as_known_at is refused for, or HistoryNotKept.
        """
        groups, asked = messages.rate_groups(request), known_at(request)
        found = await answered(self._reads, AUTOMATIC_RATE, request.book, request.as_of, groups, asked)
        return pb.GetAutomaticRateResponse(
            rows=(pb.AutomaticRateRow(**plain_row(row)) for row in found.rows),
            totals=(pb.AutomaticRateRow(**plain_row(row)) for row in found.totals),
            as_known_at_number=found.known or 0,
        )

    async def GetUnderpayments(
        self, request: pb.GetUnderpaymentsRequest, context: Context
    ) -> pb.GetUnderpaymentsResponse:
        """What payers allowed less than was booked, by payer and month.

        Raises BookNotFound or what as_known_at is refused for.
        """
        found = await answering.whole(self._reads, UNDERPAYMENTS, request, known_at(request))
        return pb.GetUnderpaymentsResponse(
            rows=(pb.UnderpaymentsRow(**plain_row(row)) for row in found.rows),
            totals=(pb.UnderpaymentsRow(**plain_row(row)) for row in found.totals),
            control=control(found, "underpaid"),
            as_known_at_number=found.known or 0,
        )

    async def ListUnderpaidClaims(
        self, request: pb.ListUnderpaidClaimsRequest, context: Context
    ) -> pb.ListUnderpaidClaimsResponse:
        """Payments by which payers allowed less than was booked, a page at a time. Raises PageInvalid as well."""
        found = await answering.paged(
            self._reads, UNDERPAID_CLAIMS, request, lambda row: pb.UnderpaidClaimRow(**plain_row(row))
        )
        return pb.ListUnderpaidClaimsResponse(**found)
