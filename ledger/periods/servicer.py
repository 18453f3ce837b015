"""How months are closed and asked for: `ledger.v1.PeriodsService`."""

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import caller, fields, wire
from ledger.accounts.store import existing_book
from ledger.audit.checkpoint import NO_KEY, Signing
from ledger.errors import PeriodNotFound
from ledger.periods import closing, messages, store
from ledger.periods.closing import OldExceptions
from ledger.periods.period import written
from ledger.reads import Reads
from ledger.reports import report
from ledger.v1 import periods_pb2 as pb
from ledger.v1.periods_pb2_grpc import PeriodsServiceServicer
from ledger.wire import Context


class PeriodsServicer(PeriodsServiceServicer):
    """Answers PeriodsService from PostgreSQL. Whatever decides holds the head of the book."""

    def __init__(
        self, database: AsyncEngine, reads: Reads, exceptions: OldExceptions, signing: Signing = NO_KEY
    ) -> None:
        """`exceptions` tells what waits for a person too long; `signing` signs the book with each close."""
        self._database = database
        self._reads = reads
        self._exceptions = exceptions
        self._signing = signing

    async def SoftClosePeriod(
        self, request: pb.SoftClosePeriodRequest, context: Context
    ) -> pb.SoftClosePeriodResponse:
        """Only the finance team posts into the month from now on. Raises PeriodClosed or PeriodSoftClosed."""
        book, month = fields.book_name(request.book), fields.month("month", request.month)
        reason, actor = messages.reason(request.reason), caller.actor.get()
        done = await closing.soft_close(self._database, book, month, reason, actor)
        return pb.SoftClosePeriodResponse(period=messages.period(done.period), replayed=done.replayed)

    async def ClosePeriod(self, request: pb.ClosePeriodRequest, context: Context) -> pb.ClosePeriodResponse:
        """Nothing may be effective in the month from now on.

        Raises PeriodClosed, PeriodOutOfOrder or PeriodNotReady; the last not where nothing is to be recorded.
        """
        asked = messages.closing(request, caller.actor.get())
        if request.validate_only:
            done = await closing.foreseen(self._database, asked, self._exceptions)
        else:
            done = await closing.close(self._database, asked, self._exceptions, self._signing)
        told = messages.foreseen if request.validate_only else messages.period
        return pb.ClosePeriodResponse(
            period=told(done.period),
            findings=messages.findings(done.period),
            balances=messages.balances(done.period) if request.validate_only else (),
            replayed=done.replayed,
        )

    async def GetPeriod(self, request: pb.GetPeriodRequest, context: Context) -> pb.GetPeriodResponse:
        """One month, with what was frozen where it is closed, a page at a time.

        Raises PeriodNotFound for a version that is not there, or PageInvalid.
        """
        book, month = fields.book_name(request.book), fields.month("month", request.month)
        size, (version, after) = wire.page_size(request.page_size), messages.balances_place(request)
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            found = await store.version(connection, book, month, version)
            if found is None and version:
                raise PeriodNotFound(
                    f"no version {version} of {request.month}", month=written(month), version=version
                )
            if found is None or not version:
                found = await store.current(connection, book, month, await store.in_force(connection, book))
            found = await store.frozen(connection, book, found, after, size + 1)
        balances = messages.balances(found)
        return pb.GetPeriodResponse(
            period=messages.period(found),
            findings=() if after else messages.findings(found),
            balances=balances[:size],
            next_page_token=messages.balances_token(request, found, balances[size - 1]) if balances[size:] else "",
        )

    async def ListPeriods(self, request: pb.ListPeriodsRequest, context: Context) -> pb.ListPeriodsResponse:
        """Months that were ever changed, a page at a time."""
        book, size = fields.book_name(request.book), wire.page_size(request.page_size)
        after = messages.place(request)
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            found = await store.find(connection, book, after, size + 1, history=request.history)
            if not request.history:
                known = await store.in_force(connection, book)
                found = [one.within(known) for one in found]
        more = messages.token(request, found[size - 1]) if len(found) > size else ""
        return pb.ListPeriodsResponse(periods=map(messages.period, found[:size]), next_page_token=more)

    async def GetServiceMonths(
        self, request: pb.GetServiceMonthsRequest, context: Context
    ) -> pb.GetServiceMonthsResponse:
        """Receivables and results by month of service and month of effect. Raises BookNotFound."""
        book, as_of = fields.book_name(request.book), fields.day("as_of", request.as_of)
        async with self._reads.view() as connection:
            found = await report.ask(connection, report.SERVICE_MONTHS, book, as_of)
        return pb.GetServiceMonthsResponse(
            rows=map(messages.service_months, found.rows), totals=map(messages.service_months, found.totals)
        )
