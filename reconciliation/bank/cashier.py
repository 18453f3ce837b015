"""Receives deposits and applies them, in a database transaction that holds the head of the book.

Facts are read by arrays, `association` decides, and entries, deposits, applications and exceptions are recorded
together. What is unapplied of a deposit, and what a remittance waits for, is what the books themselves say.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from msgspec import structs
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts import chart
from ledger.accounts import store as accounts
from ledger.errors import Refusal
from ledger.periods.store import in_force
from ledger.postings import journal
from ledger.postings import store as books
from ledger.postings.batch import Head, Posted, Request, Submission
from ledger.postings.commands import Post
from ledger.postings.entry import JournalEntry
from reconciliation import store as mail
from reconciliation.bank import rules, store
from reconciliation.bank.association import (
    Application,
    Association,
    Known,
    Received,
    Remitted,
    Standing,
    associate,
    taken_back,
)
from reconciliation.bank.deposit import Deposit, Trace, spellings
from reconciliation.bank.rules import Told
from reconciliation.bank.store import Settled
from reconciliation.payer import known_as
from reconciliation.payment import Raised
from reconciliation.reasons import ExceptionReason

_MOST_PENDING = 250
"""Entries that are posted in one batch of the journal."""
_DETAIL = 500


@dataclass(frozen=True, slots=True)
class Arrived:
    """A deposit on its way into the books: from which line of which statement, where there is one."""

    deposit: Deposit
    names: tuple[str, ...] = ()
    statement: UUID | None = None
    line: int | None = None


@dataclass(slots=True)
class Cashier:
    """The open database transaction, what is known in it, and what is to be recorded."""

    connection: AsyncConnection
    head: Head
    actor: str
    known: Known = field(default_factory=Known)
    reopened: set[bytes] = field(default_factory=set)
    """Files with remittances to settle, now that their money is there."""
    _learnt: set[str] = field(default_factory=set)
    _payers: dict[frozenset[str], str | None] = field(default_factory=dict)
    _pending: dict[str, JournalEntry] = field(default_factory=dict)
    _rows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    _traced: list[tuple[UUID, Deposit]] = field(default_factory=list)
    _applied: list[tuple[str, Application]] = field(default_factory=list)
    _looked_at: dict[UUID, Raised | None] = field(default_factory=dict)

    @property
    def book(self) -> str:
        """Whose head is held."""
        return self.head.book

    # --- what is known ---

    async def learn(self, traces: Collection[str]) -> None:
        """Reads the deposits and remittances of these traces, and of all traces that those deposits name."""
        new = set(traces) - self._learnt
        while new:
            self._learnt |= new
            await self._learn_remittances(new)
            new = await self._learn_deposits(new) - self._learnt

    async def _learn_remittances(self, traces: Collection[str]) -> None:
        rows = await store.of_traces(self.connection, self.book, traces)
        codes = [row.clearing for row in rows if row.clearing]
        found = await accounts.read(self.connection, self.book, codes) if codes else []
        balances = {account.code: totals.balance for account, totals in found}
        for row in rows:
            is_settled = row.state == "settled"
            open_ = balances.get(row.clearing, 0) if is_settled else row.paid
            self.known.remittance(remitted(row, open_, is_settled=is_settled))

    async def _learn_deposits(self, traces: Collection[str]) -> set[str]:
        rows = await store.naming(self.connection, self.book, traces)
        rows = [row for row in rows if row.id not in self.known.deposits]
        named = await store.traces_of(self.connection, self.book, [row.id for row in rows])
        left = await unapplied(self.connection, self.book, [row.id for row in rows])
        for row in rows:
            await self._put(row.id, row.effective_date, row.currency, left.get(row.id, 0), named[row.id])
        return {trace.number for its in named.values() for trace in its}

    async def _put(self, id_: UUID, day: Any, currency: str, left: int, traces: tuple[Trace, ...]) -> Standing:
        signers = {trace.payer_identifier for trace in traces if trace.payer_identifier}
        payers = {one: payer for one in signers if (payer := await self.payer(one)) is not None}
        standing = Standing(id_, day, currency, left, traces, payers)
        self.known.deposit(standing)
        return standing

    async def payer(self, identifier: str) -> str | None:
        """The payer of the books for which an identifier stands, however it is spelt."""
        return await self._known_as(spellings(identifier))

    async def _known_as(self, names: Collection[str]) -> str | None:
        """Asked once for the same names: many deposits are of few payers."""
        asked = frozenset(names)
        if asked not in self._payers:
            self._payers[asked] = await known_as(self.connection, self.book, asked)
        return self._payers[asked]

    # --- what happens ---

    async def receive(self, arrived: Arrived) -> None:
        """Money has come: it is applied as far as that is certain, and the rest is unapplied."""
        deposit = arrived.deposit
        id_ = deposit.id(self.book)
        await self.learn({trace.number for trace in deposit.traces})
        standing = await self._put(id_, deposit.effective_date, deposit.currency, deposit.amount, deposit.named())
        found = associate(standing, self.known)
        own = [one for one in found.applications if one.deposit == id_ and _by_then(one, deposit)]
        payer = await self._payer_of(arrived) or _payer(own)
        told = Told(id_, deposit.currency, payer, _only(own), "; ".join(one.evidence for one in own)[:_DETAIL])
        key = f"deposit:{id_}:received"
        self._pending[key] = rules.received(told, deposit.amount, deposit.effective_date, own)
        self._rows.append((key, self._row(arrived, payer, None)))
        self._traced.append((id_, deposit))
        self._applied += [(key, one) for one in own]
        await self._apply(found, [one for one in found.applications if one not in own])
        if len(self._pending) >= _MOST_PENDING:
            await self.record()

    async def look_again(self, id_: UUID) -> None:
        """Applies a deposit that is in the books, where that is certain now."""
        standing = self.known.deposits.get(id_)
        if standing is not None:
            found = associate(standing, self.known)
            await self._apply(found, found.applications)

    async def _apply(self, found: Association, by_entry: Sequence[Application]) -> None:
        """Follows what was found; `by_entry` is what needs entries of its own."""
        for one in found.applications:
            self.known.follow(one)
        for one in by_entry:
            deposit = self.known.deposits[one.deposit]
            told = Told(deposit.id, deposit.currency, one.remittance.payer, one.remittance.id, one.evidence)
            day = max(deposit.effective_date, one.remittance.effective_date)
            key = f"deposit:{deposit.id}:applied:{one.remittance.id}"
            self._pending[key] = rules.applied(told, one.remittance.clearing, one.amount, day)
            self._applied.append((key, one))
        for id_ in found.deposits:
            self._looked_at[id_] = found.raised
        if found.come:
            self.reopened |= await store.release(self.connection, self.book, found.come)

    async def take_back(self, arrived: Arrived, *, surely: bool) -> bool:
        """Money has gone: what the one deposit that it was had cleared waits again.

        Where no one deposit is found, it is unapplied and a person must look, if it is `surely` a return; else
        nothing is posted, and False is returned.
        """
        await self.record()
        original = await self._original(arrived.deposit)
        if original is None and not surely:
            return False
        deposit, id_ = arrived.deposit, arrived.deposit.id(self.book)
        key, payer = f"deposit:{id_}:returned", await self._payer_of(arrived)
        undone = await self._undone(original) if original is not None else ()
        rest = -deposit.amount - sum(one.amount for one in undone)
        told = Told(original or id_, deposit.currency, payer, _only(undone), f"returned: {deposit.reference}")
        cleared = [(one.remittance.clearing, one.amount) for one in undone]
        self._pending[key] = rules.returned(told, -deposit.amount, deposit.effective_date, cleared, rest)
        self._rows.append((key, self._row(arrived, payer, original)))
        self._traced.append((id_, deposit))
        self._applied += [(key, _negated(one)) for one in undone]
        if original is not None:
            self._looked_at[original] = None
        else:
            await self._put(id_, deposit.effective_date, deposit.currency, deposit.amount, ())
            why = "no one deposit of this account and amount is named by its trace or its reference"
            self._looked_at[id_] = Raised(ExceptionReason.RETURN_WITHOUT_DEPOSIT, deposit.amount, why)
        await self.record()
        self.known, self._learnt = Known(), set()
        return True

    async def _original(self, deposit: Deposit) -> UUID | None:
        """The deposit that a return takes back, where the books still have all of it as we applied it."""
        traces = frozenset(trace.number for trace in deposit.traces)
        rows = await store.returnable(self.connection, self.book, deposit, traces)
        received = [_received(row) for row in rows if row.currency == deposit.currency]
        id_ = deposit.id(self.book)
        told = Received(id_, deposit.account, deposit.amount, deposit.currency, deposit.reference, traces)
        found = taken_back(told, received)
        if found is None:
            return None
        left = (await unapplied(self.connection, self.book, [found.id])).get(found.id, 0)
        gone = sum(row.amount for row in await store.applied(self.connection, self.book, found.id))
        return found.id if left + gone == found.amount else None

    async def _undone(self, original: UUID) -> list[Application]:
        rows = await store.applied(self.connection, self.book, original)
        found = []
        for row in rows:
            remittance = await mail.existing(self.connection, self.book, row.remittance)
            assert remittance is not None
            whose = remitted(remittance, 0, is_settled=True)
            found.append(Application(original, whose, int(row.amount), "returned", "the bank took it back"))
        return found

    async def _payer_of(self, arrived: Arrived) -> str | None:
        deposit = arrived.deposit
        signers = {trace.payer_identifier for trace in deposit.named() if trace.payer_identifier}
        signers |= {deposit.payer_identifier} - {""}
        names = {name for one in signers for name in spellings(one)} | set(arrived.names)
        return await self._known_as(names - {""}) if names - {""} else None

    def _row(self, arrived: Arrived, payer: str | None, returns: UUID | None) -> dict[str, Any]:
        deposit = arrived.deposit
        return {
            "book": self.book,
            "id": deposit.id(self.book),
            "statement": arrived.statement,
            "line": arrived.line,
            "account": deposit.account,
            "effective_date": deposit.effective_date,
            "amount": deposit.amount,
            "currency": deposit.currency,
            "reference": deposit.reference,
            "payer_identifier": deposit.payer_identifier,
            "payer": payer,
            "returns": returns,
            "recorded_by": self.actor,
        }

    # --- how it is recorded ---

    async def record(self) -> None:
        """Posts what was decided so far, and records whose it was. Raises the books' refusal."""
        numbers = await self._posted()
        await store.add(self.connection, [{**row, "entry_number": numbers[key]} for key, row in self._rows])
        await store.add_traces(self.connection, self.book, self._traced)
        applied = [(numbers[key], one) for key, one in self._applied]
        await store.add_applications(self.connection, self.book, self.actor, applied)
        await self._settle(applied)
        for pending in (self._pending, self._rows, self._traced, self._applied, self._looked_at):
            pending.clear()

    async def _settle(self, applied: Sequence[tuple[int, Application]]) -> None:
        """What is applied has settled what waited for it; what was looked at in vain waits for another reason."""
        raised = [self._exception(id_, why) for id_, why in self._looked_at.items() if why is not None]
        by = {one.deposit: number for number, one in applied}
        of = {id_: Settled(_found(why), by.get(id_)) for id_, why in self._looked_at.items()}
        missing = {missing_of(one.remittance.id): Settled("its money is there", number) for number, one in applied}
        but = [row["id"] for row in raised]
        await store.close_exceptions(self.connection, self.book, of, missing, but, self.actor)
        await mail.add_exceptions(self.connection, raised, self.actor)

    async def _posted(self) -> dict[str, int]:
        """The numbers of the entries, by their keys; what is of a month not open counts on the next open day."""
        numbers: dict[str, int] = {}
        periods = await in_force(self.connection, self.book)
        entries = [
            (key, structs.replace(entry, effective_date=periods.open_day(entry.effective_date)))
            for key, entry in self._pending.items()
        ]
        for start in range(0, len(entries), _MOST_PENDING):
            batch = entries[start : start + _MOST_PENDING]
            requests = [Request(self.actor, key, Post(entry)) for key, entry in batch]
            submission = Submission(requests, atomic=True)
            self.head, [outcomes] = await journal.post(self.connection, self.head, [submission])
            for (key, _), outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, Refusal):
                    raise outcome
                assert isinstance(outcome, Posted)
                numbers[key] = outcome.entry.number
        return numbers

    async def settle_exceptions(self, id_: UUID, by: Settled, whole: Collection[UUID]) -> None:
        """After a person has moved it: nothing is left to look at where nothing of it is unapplied.

        Nor is anything missing of remittances whose money is `whole`.
        """
        left = (await unapplied(self.connection, self.book, [id_])).get(id_, 0)
        raised = []
        if left:
            [row] = (await store.existing(self.connection, self.book, [id_])).values()
            await self._put(id_, row.effective_date, row.currency, left, ())
            why = "a person has moved it, and something is unapplied"
            raised = [self._exception(id_, Raised(ExceptionReason.UNAPPLIED_CASH, left, why))]
        but = [one["id"] for one in raised]
        missing = {missing_of(one): by for one in whole}
        await store.close_exceptions(self.connection, self.book, {id_: by}, missing, but, self.actor)
        await mail.add_exceptions(self.connection, raised, self.actor)

    def _exception(self, id_: UUID, why: Raised) -> dict[str, Any]:
        standing = self.known.deposits.get(id_)
        return {
            "book": self.book,
            "id": uuid5(id_, f"{why.reason}/{why.detail}"),
            "remittance": None,
            "deposit": id_,
            "line": 0,
            "reason": why.reason,
            "claim_as_sent": "",
            "claim": None,
            "amount": why.amount,
            "currency": standing.currency if standing else None,
            "detail": why.detail[:_DETAIL],
        }


def arriving(id_: UUID, row: Mapping[str, Any], payer: str | None) -> Remitted:
    """A remittance that is about to be written, as columns of `remittances`."""
    return Remitted(
        id=id_,
        trace=row["trace"],
        signed_by=row["signed_by"],
        payer=payer,
        effective_date=row["payment_date"],
        currency=row["currency"],
        clearing=chart.clearing(payer or row["signed_by"], row["trace"]),
        open=row["paid"],
        is_settled=False,
    )


def remitted(row: Row[Any], open_: int, *, is_settled: bool) -> Remitted:
    """A remittance as its row and the books say."""
    clearing = row.clearing or chart.clearing(row.payer or row.signed_by, row.trace)
    return Remitted(
        id=row.id,
        trace=row.trace,
        signed_by=row.signed_by,
        payer=row.payer,
        effective_date=row.payment_date,
        currency=row.currency,
        clearing=clearing,
        open=open_,
        is_settled=is_settled,
    )


async def unapplied(connection: AsyncConnection, book: str, ids: Collection[UUID]) -> dict[UUID, int]:
    """What the books keep of deposits as unapplied cash, in minor units; those of which nothing is left out."""
    items = await books.items(connection, book, [str(one) for one in ids])
    return {UUID(name): -item.balance(chart.UNAPPLIED_CASH) for name, item in items.items()}


def missing_of(remittance: UUID) -> UUID:
    """The exception that says that the money of a remittance is missing."""
    return uuid5(remittance, f"0/{ExceptionReason.DEPOSIT_MISSING}")


def _found(why: Raised | None) -> str:
    return f"looked at again: {why.detail}" if why else "nothing of it is left to look at"


def _received(row: Row[Any]) -> Received:
    return Received(row.id, row.account, row.amount, row.currency, row.reference, frozenset(row.traces))


def _by_then(one: Application, deposit: Deposit) -> bool:
    """Whether the remittance was in the books on the deposit's day: else its money was unapplied until then."""
    return one.remittance.effective_date <= deposit.effective_date


def _only(applications: Iterable[Application]) -> UUID | None:
    found = {one.remittance.id for one in applications}
    return found.pop() if len(found) == 1 else None


def _payer(applications: Iterable[Application]) -> str | None:
    found = {one.remittance.payer for one in applications}
    return found.pop() if len(found) == 1 else None


def _negated(one: Application) -> Application:
    return Application(one.deposit, one.remittance, -one.amount, one.rule, one.evidence)
