"""How pay cycles are asked for: `ledger.v1.PayCyclesService`."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import caller, fields, wire
from ledger.accounts import chart
from ledger.accounts.store import existing_book
from ledger.database import reading
from ledger.errors import FieldMissing, PageInvalid
from ledger.money import Amount
from ledger.pay_cycles import files, messages, payees, running, store, summary
from ledger.pay_cycles.marking import mark_sent, mark_settled, return_payment
from ledger.pay_cycles.payee import in_force
from ledger.pay_cycles.payees import Payees
from ledger.pay_cycles.refusals import PayCycleNotFound, PayCycleUnfinished
from ledger.pay_cycles.statement import counted_items
from ledger.pay_cycles.store import CalendarVersion, Cycle, Hold
from ledger.postings import journal
from ledger.schema import pay_cycles
from ledger.sealing import Sealing
from ledger.v1 import pay_cycles_pb2 as pb
from ledger.v1.pay_cycles_pb2_grpc import PayCyclesServiceServicer
from ledger.wire import Context

_CHUNK = 256 * 1024
"""Bytes of a file in one message."""
_CUT_OFFS = 12
_MOST_NAMED = 1_000
"""Providers that one call may name."""


class PayCyclesServicer(PayCyclesServiceServicer):
    """Answers PayCyclesService from PostgreSQL. Whatever decides holds the head of the book."""

    def __init__(self, database: AsyncEngine, sealing: Sealing) -> None:
        """`database` works under the program's own role; `sealing` has the keys of bank details."""
        self._database = database
        self._payees = Payees(sealing)

    async def SetPayCalendar(
        self, request: pb.SetPayCalendarRequest, context: Context
    ) -> pb.SetPayCalendarResponse:
        """Writes a new version, unless the one in force says the same. Raises PayCalendarInvalid."""
        book, wanted, reason = (
            fields.book_name(request.book),
            messages.calendar(request),
            messages.reason(request.reason),
        )
        async with journal.posting(self._database, book) as (connection, head):
            found = await store.calendars(connection, book)
            if found and found[0].calendar == wanted:
                return pb.SetPayCalendarResponse(set=messages.calendar_version(found[0]))
            version = found[0].version + 1 if found else 1
            new = CalendarVersion(wanted, version, reason, caller.actor.get(), head.recorded_at)
            await store.insert_calendar(connection, book, new)
        return pb.SetPayCalendarResponse(set=messages.calendar_version(new))

    async def GetPayCalendar(
        self, request: pb.GetPayCalendarRequest, context: Context
    ) -> pb.GetPayCalendarResponse:
        """All versions, and the next cut-offs of the one in force. Raises PayCalendarNotSet."""
        book, after = fields.book_name(request.book), fields.optional_day("after", request.after)
        async with reading(self._database) as connection:
            await existing_book(connection, book)
            in_force_ = await store.calendar_in_force(connection, book)
            found = await store.calendars(connection, book)
        following = in_force_.following(after, _CUT_OFFS)
        return pb.GetPayCalendarResponse(
            versions=map(messages.calendar_version, found),
            cut_offs=[pb.CutOff(cycle=wire.day(day), pay_date=wire.day(pay)) for day, pay in following],
        )

    async def RunPayCycle(self, request: pb.RunPayCycleRequest, context: Context) -> pb.RunPayCycleResponse:
        """Previews a cycle, or posts what is left of one that was approved.

        Raises ApprovalNeeded, PayCalendarNotSet, CutOffNotInCalendar, PayCycleOutOfOrder, PayCycleUnfinished or
        PayCycleEmpty.
        """
        book, wanted = fields.book_name(request.book), messages.cycle_wanted(request)
        if request.validate_only:
            return await self._previewed(book, wanted.cut_off, request)
        async with reading(self._database) as connection:
            await existing_book(connection, book)
            cycle = await store.find_cycle(connection, book, wanted.cut_off)
            if cycle is None:
                raise await running.refused(connection, book, wanted.cut_off)
        posted = await running.post(self._database, cycle)
        async with reading(self._database) as connection:
            [found] = await summary.of_proposals(connection, book, [cycle.proposal])
        return pb.RunPayCycleResponse(cycle=found, replayed=not posted)

    async def _previewed(self, book: str, cut_off: date, request: pb.RunPayCycleRequest) -> pb.RunPayCycleResponse:
        size, after = wire.page_size(request.page_size), wire.page_start(request)
        async with reading(self._database) as connection:
            plan = await running.plan(connection, book, cut_off)
        left = [line for line in plan.lines if line.counted.account > after]
        more = wire.page_token(request, left[size - 1].counted.account) if len(left) > size else ""
        lines = map(summary.planned_line, left[:size])
        return pb.RunPayCycleResponse(cycle=summary.of_plan(plan), lines=lines, next_page_token=more)

    async def ListPayCycles(self, request: pb.ListPayCyclesRequest, context: Context) -> pb.ListPayCyclesResponse:
        """Cycles that were approved, newest first, a page at a time."""
        book, size, start = (
            fields.book_name(request.book),
            wire.page_size(request.page_size),
            wire.page_start(request),
        )
        before = [pay_cycles.c.cycle < _place(start)] if start else []
        async with reading(self._database) as connection:
            await existing_book(connection, book)
            found = await store.find_cycles(connection, book, *before, limit=size + 1)
            shown = await summary.of_proposals(connection, book, [one.proposal for one in found[:size]])
        more = wire.page_token(request, wire.day(found[size - 1].cycle)) if len(found) > size else ""
        return pb.ListPayCyclesResponse(cycles=shown, next_page_token=more)

    async def GetPayCycle(self, request: pb.GetPayCycleRequest, context: Context) -> pb.GetPayCycleResponse:
        """A cycle with its lines, a page at a time. Raises PayCycleNotFound."""
        book, size, after = (
            fields.book_name(request.book),
            wire.page_size(request.page_size),
            wire.page_start(request),
        )
        outcome = fields.choice("outcome", request.outcome, summary.OUTCOMES)
        async with reading(self._database) as connection:
            await existing_book(connection, book)
            proposal = await _proposal(connection, book, request)
            [cycle] = await summary.of_proposals(connection, book, [proposal])
            rows = await summary.find_lines(connection, book, proposal, after, size + 1, outcome=outcome)
        more = wire.page_token(request, rows[size - 1].account) if len(rows) > size else ""
        return pb.GetPayCycleResponse(cycle=cycle, lines=map(summary.line, rows[:size]), next_page_token=more)

    async def HoldProvider(self, request: pb.HoldProviderRequest, context: Context) -> pb.HoldProviderResponse:
        """From the next part of any cycle on the provider is not paid."""
        return pb.HoldProviderResponse(**await self._held(request, held=True))

    async def ReleaseProvider(
        self, request: pb.ReleaseProviderRequest, context: Context
    ) -> pb.ReleaseProviderResponse:
        """The next cycle that is planned pays the provider again."""
        return pb.ReleaseProviderResponse(**await self._held(request, held=False))

    async def _held(
        self, request: pb.HoldProviderRequest | pb.ReleaseProviderRequest, *, held: bool
    ) -> messages.Held:
        book, provider = fields.book_name(request.book), fields.required("provider", request.provider)
        reason = messages.reason(request.reason)
        async with journal.posting(self._database, book) as (connection, head):
            found = await store.hold(connection, book, provider)
            replayed = found.held is held
            if not replayed:
                found = Hold(provider, held, found.version + 1, reason, caller.actor.get(), head.recorded_at)
                await store.insert_hold(connection, book, found)
        return {"hold": messages.provider_hold(found), "replayed": replayed}

    async def SetPayee(self, request: pb.SetPayeeRequest, context: Context) -> pb.SetPayeeResponse:
        """Writes a new version of bank details, sealed. Raises PayeeInvalid."""
        book, (payee, account) = fields.book_name(request.book), messages.payee(request)
        async with journal.posting(self._database, book) as (connection, head):
            same = await self._payees.same_as_newest(connection, book, payee, account)
            if same is None:
                version = await payees.next_version(connection, book, payee.provider)
                payee = replace(payee, version=version, set_at=head.recorded_at)
                await self._payees.insert(connection, book, payee, account)
        found = same or payee
        shown = messages.payee_shown(found, in_force=found.is_in_force)
        return pb.SetPayeeResponse(payee=shown, replayed=same is not None)

    async def GetPayee(self, request: pb.GetPayeeRequest, context: Context) -> pb.GetPayeeResponse:
        """All versions of somebody's bank details, newest first. Raises PayeeNotFound."""
        book, provider = fields.book_name(request.book), fields.text("provider", request.provider)
        async with reading(self._database) as connection:
            await existing_book(connection, book)
            found = await payees.versions(connection, book, provider)
        counts = in_force(found)
        return pb.GetPayeeResponse(payees=[messages.payee_shown(one, in_force=one == counts) for one in found])

    async def GetPaymentFile(
        self, request: pb.GetPaymentFileRequest, context: Context
    ) -> AsyncIterator[pb.GetPaymentFileResponse]:
        """The payments of a cycle as a file. Who reads it and why is recorded first. Raises as `files.read`."""
        book, asked = fields.book_name(request.book), messages.file_asked(request)
        content = await files.read(self._database, book, asked, self._payees, caller.actor.get())
        for start in range(0, len(content), _CHUNK):
            yield pb.GetPaymentFileResponse(chunk=content[start : start + _CHUNK])

    async def MarkSent(self, request: pb.MarkSentRequest, context: Context) -> pb.MarkSentResponse:
        """Payments went to the bank. Raises PayCycleNotFound, PaymentNotFound or PaymentCameBack."""
        named, day, reason = _named(request), fields.day("day", request.day), messages.reason(request.reason)
        async with journal.posting(self._database, fields.book_name(request.book)) as (connection, head):
            cycle = await _posted(connection, head.book, request.cycle)
            count = await mark_sent(connection, head, cycle, named, day, reason)
        return pb.MarkSentResponse(payment_count=count, replayed=not count)

    async def MarkSettled(self, request: pb.MarkSettledRequest, context: Context) -> pb.MarkSettledResponse:
        """The bank has paid. Raises PayCycleNotFound, PaymentNotFound, PaymentNotSent or PaymentCameBack."""
        named, day, reason = _named(request), fields.day("day", request.day), messages.reason(request.reason)
        async with journal.posting(self._database, fields.book_name(request.book)) as (connection, head):
            cycle = await _posted(connection, head.book, request.cycle)
            count, entries = await mark_settled(connection, head, cycle, named, day, reason)
        return pb.MarkSettledResponse(payment_count=count, entry_numbers=entries, replayed=not count)

    async def ReturnPayment(self, request: pb.ReturnPaymentRequest, context: Context) -> pb.ReturnPaymentResponse:
        """A payment came back. Raises PayCycleNotFound, PaymentNotFound, PaymentNotSent, EntryAlreadyReversed."""
        provider, day = fields.required("provider", request.provider), fields.day("day", request.day)
        reason = messages.reason(request.reason)
        async with journal.posting(self._database, fields.book_name(request.book)) as (connection, head):
            cycle = await _posted(connection, head.book, request.cycle)
            number, replayed = await return_payment(connection, head, cycle, provider, day, reason)
        return pb.ReturnPaymentResponse(entry_number=number, replayed=replayed)

    async def GetProviderStatement(
        self, request: pb.GetProviderStatementRequest, context: Context
    ) -> pb.GetProviderStatementResponse:
        """What a line of a cycle counted, a page at a time. Raises PayCycleNotFound."""
        book, provider = fields.book_name(request.book), fields.required("provider", request.provider)
        size, after = wire.page_size(request.page_size), wire.page_start_number(request)
        account, day = chart.payable(provider), fields.day("cycle", request.cycle)
        async with reading(self._database) as connection:
            await existing_book(connection, book)
            cycle = await store.existing_cycle(connection, book, day)
            found = await summary.find_lines(connection, book, cycle.proposal, account=account)
            items = await counted_items(connection, cycle, account, after, size + 1)
        if not found:
            raise PayCycleNotFound(f"the cycle of {day} has no line of {provider}", cycle=day, provider=provider)
        row = found[0]
        return pb.GetProviderStatementResponse(
            pay_date=wire.day(cycle.pay_date),
            line=summary.line(row),
            paid=wire.money(Amount(row.paid or 0, row.currency)),
            closing=wire.money(Amount(row.carried if row.closing is None else row.closing, row.currency)),
            items=[messages.item(one, row.currency) for one in items[:size]],
            next_page_token=wire.page_token(request, str(items[size - 1].entry_number))
            if len(items) > size
            else "",
        )


async def _proposal(connection: AsyncConnection, book: str, request: pb.GetPayCycleRequest) -> int:
    """The proposal of the cycle that is asked for."""
    match request.WhichOneof("name"):
        case "cycle":
            return (await store.existing_cycle(connection, book, fields.day("cycle", request.cycle))).proposal
        case "proposal":
            return request.proposal
        case _:
            raise FieldMissing("cycle or proposal is required", field="cycle")


async def _posted(connection: AsyncConnection, book: str, cycle: str) -> Cycle:
    """A cycle that is posted to its end. Raises PayCycleNotFound or PayCycleUnfinished."""
    found = await store.existing_cycle(connection, book, fields.day("cycle", cycle))
    if not await store.is_finished(connection, found):
        raise PayCycleUnfinished(f"the cycle of {cycle} is not posted to its end: run it first", cycle=cycle)
    return found


def _named(request: pb.MarkSentRequest | pb.MarkSettledRequest) -> list[str]:
    if len(request.providers) > _MOST_NAMED:
        raise PageInvalid(f"name at most {_MOST_NAMED} providers at once", limit=_MOST_NAMED)
    return [fields.required("providers", one) for one in request.providers]


def _place(start: str) -> date:
    try:
        return date.fromisoformat(start)
    except ValueError:
        raise PageInvalid("page_token is not one of ours") from None
