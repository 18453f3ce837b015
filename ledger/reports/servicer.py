"""How reports are asked for: `ledger.v1.ReportsService`."""

from collections.abc import Callable, Mapping
from typing import Any

from ledger import fields, wire
from ledger.accounts import chart
from ledger.accounts.account import Totals, account_prefix
from ledger.accounts.known import ALL, KnownAt, entry_known, known_at
from ledger.money import Amount
from ledger.reads import Reads
from ledger.reports import answering, financial, messages, report, rows
from ledger.reports.report import Cell, Question, Report
from ledger.reports.statement import page
from ledger.v1 import reports_pb2 as pb
from ledger.v1.reports_pb2_grpc import ReportsServiceServicer
from ledger.wire import Context


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
            pb.TrialBalanceTotal(debits=t["debits"], credits=t["credits"])
            for t in map(rows.plain_row, found.totals)
        ]
        accounts = map(_trial_balance_row, found.rows)
        return pb.GetTrialBalanceResponse(rows=accounts, totals=totals, as_known_at_number=found.known or 0)

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
        """What payers owe, by days since the service and by what the caller groups by.

        Raises BookNotFound, ChoiceInvalid or what as_known_at is refused for.
        """
        found = await self._ask(report.RECEIVABLES_AGING, request, known_at(request), rows.aging_groups(request))
        return pb.GetReceivablesAgingResponse(
            rows=(pb.ReceivablesAgingRow(**rows.plain_row(row)) for row in found.rows),
            totals=(pb.ReceivablesAgingRow(**rows.plain_row(row)) for row in found.totals),
            control=rows.control(found, "total"),
            as_known_at_number=found.known or 0,
        )

    async def GetProviderPayables(
        self, request: pb.GetProviderPayablesRequest, context: Context
    ) -> pb.GetProviderPayablesResponse:
        """What each provider has earned, was paid and is owed, and how long. Raises the same."""
        found = await self._ask(report.PROVIDER_PAYABLES, request, known_at(request))
        return pb.GetProviderPayablesResponse(
            rows=(pb.ProviderPayablesRow(**rows.plain_row(row)) for row in found.rows),
            totals=(pb.ProviderPayablesRow(**rows.plain_row(row)) for row in found.totals),
            control=[wire.money(one.expected) for one in found.controls if one.against == chart.PROVIDER_PAYABLES],
            as_known_at_number=found.known or 0,
        )

    async def GetSessionMargin(
        self, request: pb.GetSessionMarginRequest, context: Context
    ) -> pb.GetSessionMarginResponse:
        """Revenue less what providers earned, by what the caller groups by. Raises the same, or ChoiceInvalid."""
        found = await self._ask(report.SESSION_MARGIN, request, known_at(request), rows.margin_groups(request))
        return pb.GetSessionMarginResponse(
            rows=(pb.SessionMarginRow(**rows.plain_row(row)) for row in found.rows),
            totals=(pb.SessionMarginRow(**rows.plain_row(row)) for row in found.totals),
            as_known_at_number=found.known or 0,
        )

    async def GetBalanceSheet(
        self, request: pb.GetBalanceSheetRequest, context: Context
    ) -> pb.GetBalanceSheetResponse:
        """Assets, liabilities and equity with the result to date. Raises the same."""
        narrowed = rows.first_day(request.effective_from)
        found = await self._ask(financial.BALANCE_SHEET, request, known_at(request), narrowed)
        return pb.GetBalanceSheetResponse(
            rows=map(rows.balance_sheet_row, found.rows),
            totals=map(rows.balance_sheet_total, found.totals),
            as_known_at_number=found.known or 0,
        )

    async def GetIncomeStatement(
        self, request: pb.GetIncomeStatementRequest, context: Context
    ) -> pb.GetIncomeStatementResponse:
        """Revenue and expenses of a period and of the one before. Raises the same."""
        fields.book_name(request.book)
        narrowed = {"effective_from": rows.whole_period(request.effective_from, request.as_of)}
        found = await self._ask(financial.INCOME_STATEMENT, request, known_at(request), narrowed)
        return pb.GetIncomeStatementResponse(
            rows=(pb.IncomeStatementRow(**rows.plain_row(row)) for row in found.rows),
            totals=(pb.IncomeStatementRow(**rows.plain_row(row)) for row in found.totals),
            as_known_at_number=found.known or 0,
        )

    async def GetReceivablesRollforward(
        self, request: pb.GetReceivablesRollforwardRequest, context: Context
    ) -> pb.GetReceivablesRollforwardResponse:
        """What payers owed before a period, what changed it and why, and what they owe after. Raises the same."""
        fields.book_name(request.book)
        narrowed = {"effective_from": rows.whole_period(request.effective_from, request.as_of)}
        found = await self._ask(financial.RECEIVABLES_ROLLFORWARD, request, known_at(request), narrowed)
        return pb.GetReceivablesRollforwardResponse(
            rows=(pb.ReceivablesRollforwardRow(**rows.plain_row(row)) for row in found.rows),
            totals=(pb.ReceivablesRollforwardRow(**rows.plain_row(row)) for row in found.totals),
            control=[
                wire.money(one.expected) for one in found.controls if one.against == chart.INSURER_RECEIVABLES
            ],
            as_known_at_number=found.known or 0,
        )

    async def GetLagTriangle(
        self, request: pb.GetLagTriangleRequest, context: Context
    ) -> pb.GetLagTriangleResponse:
        """What became of receivables in the months after the service. Raises the same."""
        found = await self._ask(financial.LAG_TRIANGLE, request, known_at(request))
        return pb.GetLagTriangleResponse(
            rows=(pb.LagTriangleRow(**rows.plain_row(row)) for row in found.rows),
            totals=(pb.LagTriangleRow(**rows.plain_row(row)) for row in found.totals),
            control=rows.control(found, "change"),
            as_known_at_number=found.known or 0,
        )

    async def GetPayerLag(self, request: pb.GetPayerLagRequest, context: Context) -> pb.GetPayerLagResponse:
        """Days from session to payment by payer and month of service. Raises the same."""
        found = await self._ask(financial.PAYER_LAG, request, known_at(request))
        return pb.GetPayerLagResponse(
            rows=(pb.PayerLagRow(**rows.plain_row(row)) for row in found.rows),
            totals=(pb.PayerLagRow(**rows.plain_row(row)) for row in found.totals),
            control=rows.control(found, "open"),
            as_known_at_number=found.known or 0,
        )

    async def GetAdvanceExposure(
        self, request: pb.GetAdvanceExposureRequest, context: Context
    ) -> pb.GetAdvanceExposureResponse:
        """What providers were paid and what has come of it, by payer and age. Raises the same."""
        narrowed = rows.first_day(request.effective_from)
        found = await self._ask(financial.ADVANCE_EXPOSURE, request, known_at(request), narrowed)
        return pb.GetAdvanceExposureResponse(
            rows=(pb.AdvanceExposureRow(**rows.plain_row(row)) for row in found.rows),
            totals=(pb.AdvanceExposureRow(**rows.plain_row(row)) for row in found.totals),
            payable_control=rows.control(found, "unpaid"),
            receivable_control=rows.control(found, "receivable"),
            absorption_control=rows.control(found, "absorption_cost"),
            as_known_at_number=found.known or 0,
        )

    async def GetActors(self, request: pb.GetActorsRequest, context: Context) -> pb.GetActorsResponse:
        """Who posted how many entries of which kind. Raises the same."""
        found = await self._ask(financial.ACTORS, request, known_at(request))
        return pb.GetActorsResponse(rows=map(rows.actor, found.rows), as_known_at_number=found.known or 0)

    async def ListGeneralLedger(
        self, request: pb.ListGeneralLedgerRequest, context: Context
    ) -> pb.ListGeneralLedgerResponse:
        """Every posting, account by account, a page at a time. Raises PageInvalid as well."""
        narrowed = {"account": account_prefix(request.account)} if request.account else {}
        question = financial.GENERAL_LEDGER
        return pb.ListGeneralLedgerResponse(**await self._page(question, request, rows.general_ledger, narrowed))

    async def ListEntriesByActor(
        self, request: pb.ListEntriesByActorRequest, context: Context
    ) -> pb.ListEntriesByActorResponse:
        """Every entry with who posted it, or those of one actor. Raises the same."""
        narrowed = {"actor": fields.text("actor", request.actor)}
        question = financial.ENTRIES_BY_ACTOR
        return pb.ListEntriesByActorResponse(**await self._page(question, request, rows.entry, narrowed))

    async def ListReversedEntries(
        self, request: pb.ListReversedEntriesRequest, context: Context
    ) -> pb.ListReversedEntriesResponse:
        """Entries that were undone, with what undid them. Raises the same."""
        question = financial.REVERSED_ENTRIES
        return pb.ListReversedEntriesResponse(**await self._page(question, request, rows.reversed_entry))

    async def ListBackDatedEntries(
        self, request: pb.ListBackDatedEntriesRequest, context: Context
    ) -> pb.ListBackDatedEntriesResponse:
        """Entries effective before the day on which they were recorded. Raises the same."""
        question, narrowed = financial.BACK_DATED_ENTRIES, {"days": str(fields.number("days", request.days))}
        return pb.ListBackDatedEntriesResponse(
            **await self._page(question, request, rows.back_dated_entry, narrowed)
        )

    async def ListManualEntries(
        self, request: pb.ListManualEntriesRequest, context: Context
    ) -> pb.ListManualEntriesResponse:
        """What was posted by hand, why and by whom. Raises the same."""
        question = financial.MANUAL_ENTRIES
        return pb.ListManualEntriesResponse(**await self._page(question, request, rows.manual_entry))

    async def _ask(
        self,
        question: Question,
        request: answering.Asked,
        known: KnownAt = ALL,
        narrowed: Mapping[str, str] = report.NOTHING,
    ) -> Report:
        return await answering.whole(self._reads, question, request, known, narrowed)

    async def _page(
        self,
        question: Question,
        request: answering.Paged,
        row: Callable[[Mapping[str, Cell]], Any],
        narrowed: Mapping[str, str] = report.NOTHING,
    ) -> dict[str, Any]:
        return await answering.paged(self._reads, question, request, row, narrowed)


def _trial_balance_row(row: Mapping[str, Cell]) -> pb.TrialBalanceRow:
    debits, credits_ = row["debits"], row["credits"]
    assert isinstance(debits, Amount)
    assert isinstance(credits_, Amount)
    balance = wire.balance(Totals(debits.minor_units, credits_.minor_units), debits.currency)
    return pb.TrialBalanceRow(account=str(row["account"]), balance=balance)
