"""Takes a bank statement file in: keeps its bytes, reads it twice, records each statement that adds up.

First the whole file is surveyed, because a total at its end makes all of it doubtful. Then the lines of each
sound statement are recorded, some hundred of them in one database transaction, and any later run goes on
where the last one stopped. What the books know already is repeated and posts nothing, whichever file or
caller told of it first.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO, Any
from uuid import NAMESPACE_OID, UUID, uuid5

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import errors
from ledger.accounts import store as accounts
from ledger.database import reading, recording
from ledger.errors import Refusal
from ledger.money import plain
from ledger.postings import journal
from ledger.postings.batch import Head
from reconciliation import store as mail
from reconciliation.bank import bai2, camt053, store
from reconciliation.bank.cashier import Arrived, Cashier, missing_of
from reconciliation.bank.deposit import Deposit
from reconciliation.bank.schema import bank_statements
from reconciliation.bank.statement import (
    Event,
    Line,
    StatementClosed,
    StatementOpened,
    Unreadable,
    numbered,
    survey,
)
from reconciliation.files import Files
from reconciliation.ingest import delivered, finished_each, kept, take_up_again
from reconciliation.reasons import ExceptionReason
from reconciliation.turns import parts

CHUNK = 200
"""Lines that are recorded in one database transaction."""
MOST_STATEMENTS = 1_000
"""Statements in one file."""

_UNREADABLE: dict[str, type[Refusal]] = {
    "EMPTY_FILE": errors.FileEmpty,
    "NOT_A_STATEMENT": errors.FileNoStatement,
    "LINE_TOO_LONG": errors.FileNoStatement,
}
_REASON = 500

Progress = Callable[[int], None]
"""Told how many lines have been recorded since it was last told."""


def _silent(_: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a file."""

    delivery: mail.Delivery
    duplicate: bool
    statements: list[Row[Any]]


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

    Raises FileEmpty, FileNoStatement or FileTooLarge, and then nothing is recorded; BookNotFound,
    DatabaseUnavailable or OutcomeUnknown, and then the same file may come again.
    """
    delivery = await asyncio.to_thread(delivered, book, file_name, actor, file, mail.STATEMENT)
    statements = await asyncio.to_thread(surveyed, file)
    new = await kept(database, files, delivery, file)
    await _record_all(database, files, delivery, file, statements, progress)
    async with reading(database) as connection:
        of = bank_statements.c.sha256 == delivery.sha256
        rows = await store.find_statements(connection, book, of)
    return Ingested(delivery, not new, sorted(rows, key=lambda row: row.position))


async def resume(database: AsyncEngine, files: Files) -> int:
    """Finishes what an earlier run left half recorded, from the bytes that were kept, as `finished_each`."""
    async with reading(database) as connection:
        left = await mail.unfinished(connection, mail.STATEMENT)
    return await finished_each(left, lambda delivery: _finished(database, files, delivery))


async def _finished(database: AsyncEngine, files: Files, delivery: mail.Delivery) -> None:
    """Records what a file has left to record."""
    async with files.whole(database, delivery) as file:
        statements = await asyncio.to_thread(surveyed, file)
        await _record_all(database, files, delivery, file, statements, _silent)


def surveyed(file: IO[bytes]) -> list[StatementClosed]:
    """The statements of a file with all that is wrong with them. Raises what the file deserves."""
    try:
        found = survey(_events(file))
    except Unreadable as unreadable:
        raise _UNREADABLE[unreadable.reason](str(unreadable)) from None
    if len(found) > MOST_STATEMENTS:
        raise errors.FileTooLarge(f"the file holds more than {MOST_STATEMENTS} statements", limit=MOST_STATEMENTS)
    return found


def _events(file: IO[bytes]) -> Iterator[Event]:
    """Read as what it looks like: XML begins with <, whatever mark stands before it."""
    sent = parts(file)
    first = next(sent, b"")
    begins = first.lstrip(b" \t\r\n\x00\xef\xbb\xbf\xff\xfe")[:1]
    reader = camt053.read if begins == b"<" else bai2.read
    return reader(chain((first,), sent))


async def _record_all(
    database: AsyncEngine,
    files: Files,
    delivery: mail.Delivery,
    file: IO[bytes],
    statements: list[StatementClosed],
    progress: Progress,
) -> None:
    lines, again = _Lines(file), set[bytes]()
    for statement in statements:
        arrived = _Statement(database, delivery, lines, statement, progress)
        await arrived.take_up()
        again |= arrived.reopened
    async with recording(database) as connection:
        await mail.finish(connection, delivery)
    await take_up_again(database, files, delivery.book, again)


class _Statement:
    """One statement of a delivery, on its way into the books."""

    def __init__(
        self,
        database: AsyncEngine,
        delivery: mail.Delivery,
        lines: "_Lines",
        closed: StatementClosed,
        progress: Progress,
    ) -> None:
        self._database = database
        self._delivery = delivery
        self._lines = lines
        self._closed = closed
        self._progress = progress
        self.reopened: set[bytes] = set()
        name = f"{delivery.book}/{delivery.sha256.hex()}/{closed.index}"
        self.id = uuid5(NAMESPACE_OID, name)

    async def take_up(self) -> None:
        """Records it, or says why nothing of it is in the books."""
        if self._closed.problems:
            await self._quarantine("; ".join(self._closed.problems))
            return
        try:
            await self._record()
        except Refusal as refusal:
            if isinstance(refusal, errors.TryAgain | errors.NotThere):
                raise
            await self._quarantine(f"the books refuse it: {refusal.message}")

    async def _quarantine(self, reason: str) -> None:
        """Keeps it in view; what was recorded of it before stays recorded."""
        async with journal.posting(self._database, self._delivery.book) as (connection, _):
            before = await store.existing_statement(connection, self._delivery.book, self.id)
            if before is not None and before.state == "recorded":
                return
            half = before is not None and before.recorded_line > 0
            state = "recording" if half else "quarantined"
            await store.put_statement(connection, self._row(state, reason))

    async def _record(self) -> None:
        lines = numbered(self._lines.of(self._closed.index))
        while chunk := await asyncio.to_thread(list, islice(lines, CHUNK)):
            await self._record_chunk(chunk)
            self._progress(len(chunk))
        await self._close()

    async def _record_chunk(self, chunk: list[Line]) -> None:
        """Records some lines; where they are already, looks again whose money they are."""
        book = self._delivery.book
        async with journal.posting(self._database, book) as (connection, head):
            before = await self._existing(connection)
            cashier = Cashier(connection, head, self._delivery.received_by)
            if before.state == "recorded" or before.recorded_line >= chunk[-1].number:
                await _looked_at_again(cashier, chunk)
            else:
                moved = await recorded(cashier, chunk, self.id)
                await store.progress(connection, book, self.id, "recording", chunk[-1].number, moved)
        self.reopened |= cashier.reopened

    async def _close(self) -> None:
        """All of it is recorded; and what should have come by its day and has not is told."""
        async with journal.posting(self._database, self._delivery.book) as (connection, head):
            before = await self._existing(connection)
            await store.progress(connection, head.book, self.id, "recorded", before.recorded_line, {})
            if before.state != "recorded" and self._closed.is_final:
                await _tell_missing(connection, head, self._closed, self._delivery.received_by)

    async def _existing(self, connection: AsyncConnection) -> Row[Any]:
        book = self._delivery.book
        before = await store.existing_statement(connection, book, self.id)
        if before is None or before.state == "quarantined":
            await store.put_statement(connection, self._row("recording", ""))
            before = await store.existing_statement(connection, book, self.id)
        assert before is not None
        return before

    def _row(self, state: str, reason: str) -> dict[str, Any]:
        closed = self._closed
        return {
            "book": self._delivery.book,
            "id": self.id,
            "sha256": self._delivery.sha256,
            "position": closed.index,
            "state": state,
            "account": closed.account,
            "currency": closed.currency,
            "as_of": closed.as_of,
            "credits": closed.credits,
            "debits": closed.debits,
            "line_count": closed.line_count,
            "reason": reason[:_REASON],
        }


async def recorded(cashier: Cashier, lines: Iterable[Line], statement: UUID | None) -> dict[str, int]:
    """Brings lines into the books; returns how much of them is posted, was there before, and is no deposit.

    Money that came first: what the bank takes back on the same day is taken back from that.
    """
    moved = {"posted": 0, "repeated": 0, "noted": 0}
    lines = sorted(lines, key=lambda line: line.deposit.amount < 0)
    known = await _known(cashier, [line.deposit for line in lines])
    traces = {trace.number for line in lines for trace in line.deposit.traces}
    await cashier.learn(traces)
    for line in lines:
        place = line.number if statement is not None else None
        arrived = Arrived(line.deposit, line.names, statement, place)
        moved[await _one(cashier, arrived, known, surely=line.taken_back)] += line.deposit.amount
    await cashier.record()
    return moved


async def _looked_at_again(cashier: Cashier, lines: Iterable[Line]) -> None:
    """A payer may have been identified since, or a remittance have come that another one's money hid."""
    lines = list(lines)
    await cashier.learn({trace.number for line in lines for trace in line.deposit.traces})
    for line in lines:
        await cashier.look_again(line.deposit.id(cashier.book))
    await cashier.record()


async def _one(cashier: Cashier, arrived: Arrived, known: set[UUID], *, surely: bool) -> str:
    deposit = arrived.deposit
    id_ = deposit.id(cashier.book)
    if id_ in known:
        await cashier.look_again(id_)
        return "repeated"
    known.add(id_)
    if deposit.amount > 0:
        await cashier.receive(arrived)
        return "posted"
    return "posted" if await cashier.take_back(arrived, surely=surely) else "noted"


async def _known(cashier: Cashier, deposits: list[Deposit]) -> set[UUID]:
    """Those that are in the books. One that was told of without its traces is told of again with them."""
    by_id = {deposit.id(cashier.book): deposit for deposit in deposits}
    found = await store.existing(cashier.connection, cashier.book, by_id.keys())
    untold = [one for one in found if by_id[one].traces]
    named = await store.traces_of(cashier.connection, cashier.book, untold)
    new = [(one, by_id[one]) for one in untold if not named.get(one)]
    await store.add_traces(cashier.connection, cashier.book, new)
    return set(found)


async def _tell_missing(connection: AsyncConnection, head: Head, closed: StatementClosed, actor: str) -> None:
    """Raises an exception for each payment that should be there, and that the books still wait for."""
    assert closed.currency is not None
    assert closed.as_of is not None
    rows = await store.missing(connection, head.book, closed.currency, closed.as_of)
    codes = [row.clearing for row in rows if row.clearing]
    found = await accounts.read(connection, head.book, codes) if codes else []
    open_ = {account.code: totals.balance for account, totals in found}
    waiting = [row for row in rows if open_.get(row.clearing)]
    raised = [_missing(head.book, row, open_[row.clearing], closed) for row in waiting]
    await mail.add_exceptions(connection, raised, actor)


def _missing(book: str, row: Row[Any], open_: int, closed: StatementClosed) -> dict[str, Any]:
    left = plain(open_, row.currency)
    told = f"{left} paid on {row.payment_date} under the trace {row.trace} has not come by {closed.as_of}"
    return {
        "book": book,
        "id": missing_of(row.id),
        "remittance": row.id,
        "deposit": None,
        "line": 0,
        "reason": ExceptionReason.DEPOSIT_MISSING,
        "claim_as_sent": "",
        "claim": None,
        "amount": open_,
        "currency": row.currency,
        "detail": told,
    }


class _Lines:
    """The lines of a file, read once from its beginning to its end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._events = _events(file)
        self._index = 0

    def of(self, index: int) -> Iterator[Line]:
        """Those of one statement; no statement after another that comes later in the file."""
        while self._index <= index and (event := next(self._events, None)) is not None:
            if isinstance(event, StatementOpened):
                self._index = event.index
            elif isinstance(event, Line) and self._index == index:
                yield event
