"""How reports are asked for: `ledger.v1.ReportsService`."""

from collections.abc import Mapping
from typing import Any, Protocol

from ledger import fields, wire
from ledger.accounts.account import Totals
from ledger.accounts.known import ALL, KnownAt, entry_known, known_at
from ledger.money import Amount
from ledger.reads import Reads
from ledger.reports import messages, report
from ledger.reports.report import Cell, Question, Report
from ledger.reports.statement import page
from ledger.v1 import money_pb2
from ledger.v1 import reports_pb2 as pb
from ledger.v1.reports_pb2_grpc import ReportsServiceServicer
from ledger.wire import Context


class Asked(Protocol):
    """What every report is asked with."""

    @property
    def book(self) -> str:
        """The book."""

    @property
    def as_of(self) -> str:
        """The effective date."""


class ReportsServicer(ReportsServiceServicer):
    """Answers ReportsService from PostgreSQL."""

    def __init__(self, reads: Reads) -> None:
        """`reads` works under the program's own role."""
        self._reads = reads

    async def GetTrialBalance(
        self, request: pb.GetTrialBalanceRequest, context: Context
    ) -> pb.GetTrialBalanceResponse:
        """Every account that was ever posted to, as known at an entry or a time.

        Raises BookNotFound, NumberInvalid, NumberBeyondHead, TimeInvalid, TimeInFuture or ReplicaBehind.
        """
        found = await self._ask(report.TRIAL_BALANCE, request, known_at(request))
        totals = [
            pb.TrialBalanceTotal(debits=t["debits"], credits=t["credits"]) for t in map(_cells, found.totals)
        ]
        rows = map(_trial_balance_row, found.rows)
        return pb.GetTrialBalanceResponse(rows=rows, totals=totals, as_known_at_number=found.known or 0)

    async def GetStatement(self, request: pb.GetStatementRequest, context: Context) -> pb.GetStatementResponse:
        """A page of what was posted to an account, or under an item.

        Raises BookNotFound, AccountNotFound, PageInvalid, NumberInvalid, NumberBeyondHead, TimeInvalid,
        TimeInFuture or ReplicaBehind.
        """
        asked, size = messages.statement(request), wire.page_size(request.page_size)
        start = messages.start(request)
        known = KnownAt(number=start.known) if start else known_at(request)
        async with self._reads.view() as connection:
            number = await entry_known(connection, request.book, known, is_replica=self._reads.is_replica)
            found = await page(connection, asked(number), start.place if start else None, size)
        return messages.answer(request, number, found)

    async def GetReceivablesAging(
        self, request: pb.GetReceivablesAgingRequest, context: Context
    ) -> pb.GetReceivablesAgingResponse:
        """What payers owe, by days since the service. Raises BookNotFound."""
        found = await self._ask(report.RECEIVABLES_AGING, request)
        return pb.GetReceivablesAgingResponse(
            rows=(pb.ReceivablesAgingRow(**_cells(row)) for row in found.rows),
            totals=(pb.ReceivablesAgingRow(**_cells(row)) for row in found.totals),
            control=_control(found),
        )

    async def GetProviderPayables(
        self, request: pb.GetProviderPayablesRequest, context: Context
    ) -> pb.GetProviderPayablesResponse:
        """What each provider has earned, was paid and is owed. Raises BookNotFound."""
        found = await self._ask(report.PROVIDER_PAYABLES, request)
        return pb.GetProviderPayablesResponse(
            rows=(pb.ProviderPayablesRow(**_cells(row)) for row in found.rows),
            totals=(pb.ProviderPayablesRow(**_cells(row)) for row in found.totals),
            control=_control(found),
        )

    async def GetSessionMargin(
        self, request: pb.GetSessionMarginRequest, context: Context
    ) -> pb.GetSessionMarginResponse:
        """Revenue less what providers earned, by payer. Raises BookNotFound."""
        found = await self._ask(report.SESSION_MARGIN, request)
        return pb.GetSessionMarginResponse(
            rows=(pb.SessionMarginRow(**_cells(row)) for row in found.rows),
            totals=(pb.SessionMarginRow(**_cells(row)) for row in found.totals),
        )

    async def _ask(self, question: Question, request: Asked, known: KnownAt = ALL) -> Report:
        book, as_of = fields.book_name(request.book), fields.day("as_of", request.as_of)
        async with self._reads.view() as connection:
            number = await entry_known(connection, book, known, is_replica=self._reads.is_replica)
            return await report.ask(connection, question, book, as_of, number)


def _cells(row: Mapping[str, Cell]) -> dict[str, Any]:
    """A row as the wire has it: the fields are named as the columns, and money names its own currency."""
    return {
        name: wire.money(cell) if isinstance(cell, Amount) else cell
        for name, cell in row.items()
        if name != "currency"
    }


def _trial_balance_row(row: Mapping[str, Cell]) -> pb.TrialBalanceRow:
    debits, credits_ = row["debits"], row["credits"]
    assert isinstance(debits, Amount)
    assert isinstance(credits_, Amount)
    balance = wire.balance(Totals(debits.minor_units, credits_.minor_units), debits.currency)
    return pb.TrialBalanceRow(account=str(row["account"]), balance=balance)


def _control(found: Report) -> list[money_pb2.Money]:
    return [wire.money(control.expected) for control in found.controls]
