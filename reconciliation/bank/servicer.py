"""How deposits are told of, asked for and applied: `reconciliation.v1.BankService`."""

import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import Row, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import caller, fields, wire
from ledger.accounts.store import existing_book
from ledger.errors import DepositNotFound, Refusal, RemittanceNotFound, RemittanceNotSettled
from ledger.postings import journal
from ledger.postings.batch import Head, Posted, Request, Submission
from ledger.reads import Reads
from ledger.reports.rows import plain_row
from ledger.wire import Context
from reconciliation import messages as mail_messages
from reconciliation import store as mail
from reconciliation.bank import meeting, messages, store
from reconciliation.bank.association import BY_HAND, Application
from reconciliation.bank.cashier import Cashier, remitted
from reconciliation.bank.commands import ApplyDeposit, UnapplyDeposit
from reconciliation.bank.ingest import ingest, recorded
from reconciliation.bank.proposals import proposed
from reconciliation.bank.questions import CASH_IN_TRANSIT, UNAPPLIED_CASH
from reconciliation.bank.schema import bank_statements, deposits
from reconciliation.bank.statement import Line
from reconciliation.bank.store import PolicyInForce, Settled
from reconciliation.files import Files
from reconciliation.incoming import received
from reconciliation.ingest import take_up_again
from reconciliation.questions import answered
from reconciliation.reasons import RemittanceState
from reconciliation.v1 import bank_pb2 as pb
from reconciliation.v1.bank_pb2_grpc import BankServiceServicer


class BankServicer(BankServiceServicer):
    """Answers BankService from PostgreSQL. Whatever decides holds the head of the book."""

    def __init__(self, database: AsyncEngine, reads: Reads, files: Files) -> None:
        """`database` works under the program's own role; `files` has the keys of what is kept in it."""
        self._database = database
        self._reads = reads
        self._files = files

    async def RecordDeposit(self, request: pb.RecordDepositRequest, context: Context) -> pb.RecordDepositResponse:
        """Brings one deposit into the books, once. Raises an Invalid refusal, or what the books refuse it for."""
        book, told = fields.book_name(request.book), messages.recorded(request)
        id_ = told.id(book)
        async with journal.posting(self._database, book) as (connection, head):
            cashier = Cashier(connection, head, caller.actor.get())
            line = Line(1, told, taken_back=True)
            moved = await recorded(cashier, [line], None)
        await take_up_again(self._database, self._files, book, cashier.reopened)
        return pb.RecordDepositResponse(deposit=await self._told(book, id_), replayed=bool(moved["repeated"]))

    async def IngestBankStatement(
        self, request_iterator: AsyncIterator[pb.IngestBankStatementRequest], context: Context
    ) -> pb.IngestBankStatementResponse:
        """Takes a file in: a header, then its bytes. Raises StreamMisordered or what the file deserves."""
        with tempfile.TemporaryFile() as file:
            header: pb.BankStatementFileHeader = await received(request_iterator, file)
            book = fields.book_name(header.book)
            name = fields.text("file_name", header.file_name)
            ingested = await ingest(self._database, self._files, book, name, caller.actor.get(), file)
        return messages.ingested(ingested)

    async def ListBankStatements(
        self, request: pb.ListBankStatementsRequest, context: Context
    ) -> pb.ListBankStatementsResponse:
        """Statements, newest first, a page at a time."""
        book, size = fields.book_name(request.book), wire.page_size(request.page_size)
        state, table = messages.state(request.state), bank_statements.c
        conditions = [table.state == state] if state else []
        if start := wire.page_start(request):
            conditions.append(tuple_(table.received_at, table.id) < mail_messages.place(start))
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            found = await store.find_statements(connection, book, *conditions, limit=size + 1)
        last = found[size - 1] if len(found) > size else None
        return pb.ListBankStatementsResponse(
            statements=map(messages.statement, found[:size]),
            next_page_token=wire.page_token(request, f"{last.received_at.isoformat()} {last.id}") if last else "",
        )

    async def GetDeposit(self, request: pb.GetDepositRequest, context: Context) -> pb.GetDepositResponse:
        """One deposit, and where something is unapplied what it may be. Raises DepositNotFound."""
        book, id_ = fields.book_name(request.book), fields.uuid("id", request.id)
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            row = await _deposit(connection, book, id_)
            [told] = await _told(connection, book, [row])
            moved = await store.find_applications(connection, book, id_)
            maybe = await proposed(connection, book, row, told.unapplied.minor_units)
        return pb.GetDepositResponse(
            deposit=told,
            applications=[messages.application(one, row.currency) for one in moved],
            proposals=[messages.proposal(*one) for one in maybe],
        )

    async def ListDeposits(self, request: pb.ListDepositsRequest, context: Context) -> pb.ListDepositsResponse:
        """Deposits, newest first, a page at a time."""
        book, size = fields.book_name(request.book), wire.page_size(request.page_size)
        conditions = []
        if start := wire.page_start(request):
            conditions.append(tuple_(deposits.c.recorded_at, deposits.c.id) < mail_messages.place(start))
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            only = request.unapplied_only
            found = await store.find(connection, book, *conditions, unapplied=only, limit=size + 1)
            told = await _told(connection, book, found[:size])
        last = found[size - 1] if len(found) > size else None
        return pb.ListDepositsResponse(
            deposits=told,
            next_page_token=wire.page_token(request, f"{last.recorded_at.isoformat()} {last.id}") if last else "",
        )

    async def ApplyDeposit(self, request: pb.ApplyDepositRequest, context: Context) -> pb.ApplyDepositResponse:
        """A person says whose money it is.

        Raises DepositNotFound, RemittanceNotFound, RemittanceNotSettled, CurrenciesMixed, DepositExceeded or
        ClearingExceeded.
        """
        book, key, about = _asked(request)
        async with journal.posting(self._database, book) as (connection, head):
            facts, _ = await _facts(connection, book, about)
            done = await _post(connection, head, key, ApplyDeposit(**about, **facts), BY_HAND)
        return pb.ApplyDepositResponse(deposit=await self._told(book, about["deposit"]), **done)

    async def UnapplyDeposit(
        self, request: pb.UnapplyDepositRequest, context: Context
    ) -> pb.UnapplyDepositResponse:
        """It was not: by a new entry. No rule applies it again.

        Raises DepositNotFound, RemittanceNotFound, RemittanceNotSettled, CurrenciesMixed or ApplicationExceeded.
        """
        book, key, about = _asked(request)
        async with journal.posting(self._database, book) as (connection, head):
            facts, applied = await _facts(connection, book, about)
            command = UnapplyDeposit(**about, **facts, applied=applied)
            done = await _post(connection, head, key, command, "unapplied")
        return pb.UnapplyDepositResponse(deposit=await self._told(book, about["deposit"]), **done)

    async def SetDepositPolicy(
        self, request: pb.SetDepositPolicyRequest, context: Context
    ) -> pb.SetDepositPolicyResponse:
        """Says when a payer's remittances are posted, from now on; what need not wait any more is settled."""
        book, said = fields.book_name(request.book), messages.policy_wanted(request)
        async with journal.posting(self._database, book) as (connection, head):
            before = (await store.policies(connection, book)).get(said.payer) or PolicyInForce(said.payer)
            if before.version and before.says_the_same(said):
                return pb.SetDepositPolicyResponse(policy=messages.policy(before))
            version = before.version + 1
            said = replace(said, version=version, set_by=caller.actor.get(), set_at=head.recorded_at)
            await store.set_policy(connection, book, said)
            again = await meeting.released(connection, head, said.payer)
        await take_up_again(self._database, self._files, book, again)
        return pb.SetDepositPolicyResponse(policy=messages.policy(said))

    async def ListDepositPolicies(
        self, request: pb.ListDepositPoliciesRequest, context: Context
    ) -> pb.ListDepositPoliciesResponse:
        """Those in force, by payer."""
        book = fields.book_name(request.book)
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            found = await store.policies(connection, book)
        return pb.ListDepositPoliciesResponse(policies=map(messages.policy, found.values()))

    async def GetCashInTransit(
        self, request: pb.GetCashInTransitRequest, context: Context
    ) -> pb.GetCashInTransitResponse:
        """What was paid and has not come, by age. Raises BookNotFound."""
        found = await answered(self._reads, CASH_IN_TRANSIT, request.book, request.as_of)
        return pb.GetCashInTransitResponse(
            rows=(pb.CashInTransitRow(**plain_row(row)) for row in found.rows),
            totals=(pb.CashInTransitRow(**plain_row(row)) for row in found.totals),
            control=[wire.money(control.expected) for control in found.controls],
        )

    async def GetUnappliedCash(
        self, request: pb.GetUnappliedCashRequest, context: Context
    ) -> pb.GetUnappliedCashResponse:
        """What came and nobody has said what for, by age. Raises BookNotFound."""
        found = await answered(self._reads, UNAPPLIED_CASH, request.book, request.as_of)
        return pb.GetUnappliedCashResponse(
            rows=(pb.UnappliedCashRow(**plain_row(row)) for row in found.rows),
            totals=(pb.UnappliedCashRow(**plain_row(row)) for row in found.totals),
            control=[wire.money(control.expected) for control in found.controls],
        )

    async def _told(self, book: str, deposit: UUID) -> pb.Deposit:
        """A deposit as it stands now, where it was just written: not from a replica, which may be behind."""
        async with Reads(self._database).view() as connection:
            [told] = await _told(connection, book, [await _deposit(connection, book, deposit)])
        return told


async def _deposit(connection: AsyncConnection, book: str, id_: UUID) -> Row[Any]:
    found = (await store.existing(connection, book, [id_])).get(id_)
    if found is None:
        raise DepositNotFound(f"no deposit {id_} in this book", id=id_)
    return found


async def _told(connection: AsyncConnection, book: str, rows: Sequence[Row[Any]]) -> list[pb.Deposit]:
    ids = [row.id for row in rows]
    sums = await store.sums(connection, book, ids)
    traces = await store.traces_of(connection, book, ids)
    return [messages.deposit(row, sums.get(row.id), traces.get(row.id, ())) for row in rows]


def _asked(request: pb.ApplyDepositRequest | pb.UnapplyDepositRequest) -> tuple[str, str, dict[str, Any]]:
    """The book, the key, and what is asked. Raises an Invalid refusal for the first field that is wrong."""
    book = fields.book_name(request.book)
    key = fields.required("idempotency_key", request.idempotency_key, fields.KEY_LENGTH)
    about: dict[str, Any] = {
        "deposit": fields.uuid("deposit", request.deposit),
        "remittance": fields.uuid("remittance", request.remittance),
        "amount": wire.optional_amount("amount", request),
        "effective_date": fields.day("effective_date", request.effective_date),
        "reason": fields.required("reason", request.reason, fields.TEXT_LENGTH),
    }
    return book, key, about


async def _facts(connection: AsyncConnection, book: str, about: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """What is known of the two, while the head is held, and how much is applied between them."""
    row = await _deposit(connection, book, about["deposit"])
    remittance = await mail.existing(connection, book, about["remittance"])
    if remittance is None:
        id_ = about["remittance"]
        raise RemittanceNotFound(f"no remittance {id_} in this book", id=id_)
    if remittance.state != RemittanceState.SETTLED:
        told = f"the remittance is {remittance.state}: nothing can be applied to it"
        raise RemittanceNotSettled(told, id=remittance.id, state=remittance.state)
    whose = remitted(remittance, 0, is_settled=True)
    applied = {one.remittance: int(one.amount) for one in await store.applied(connection, book, row.id)}
    facts = {
        "clearing": whose.clearing,
        "currency": row.currency,
        "payer": remittance.payer,
        "sign": 1 if row.amount > 0 else -1,
        "paid": remittance.paid,
    }
    return facts, applied.get(remittance.id, 0)


async def _post(
    connection: AsyncConnection, head: Head, key: str, command: ApplyDeposit | UnapplyDeposit, rule: str
) -> dict[str, Any]:
    """Posts what a person said, and records it, once. Raises what the books refuse it for."""
    actor = caller.actor.get()
    request = Request(actor, key, command)
    head, [[outcome]] = await journal.post(connection, head, [Submission([request])])
    if isinstance(outcome, Refusal):
        raise outcome
    assert isinstance(outcome, Posted)
    number, replayed = outcome.entry.number, outcome.replayed
    if not replayed:
        [moved] = [-p.signed for p in outcome.entry.entry.postings if p.account == command.clearing]
        found = await mail.existing(connection, head.book, command.remittance)
        assert found is not None
        whose = remitted(found, 0, is_settled=True)
        said = Application(command.deposit, whose, moved, rule, command.reason)
        await store.add_applications(connection, head.book, actor, [(number, said)])
        by = Settled(f"{rule} by a person: {command.reason}", number)
        whole = [found.id] if found.applied + moved == found.paid else []
        await Cashier(connection, head, actor).settle_exceptions(command.deposit, by, whole)
    return {"entry_number": number, "replayed": replayed}
