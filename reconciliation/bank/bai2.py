"""BAI2: the cash management statement of banks in the United States, read as a stream. Pure.

Tolerant of spelling (line ends, padding, a missing slash), exact about money: amounts are whole minor units
in plain digits, and every total and count of the records 49, 98 and 99 must be what was read. A statement
that does not add up is doubtful by itself; a group or file that does not makes all of its statements
doubtful.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import chain

from ledger.money import LARGEST
from reconciliation.bank import addenda
from reconciliation.bank.bai2_record import (
    Record,
    amount_of,
    count_of,
    currency_of,
    sign_of,
    status_amounts,
    taken_apart,
    told,
)
from reconciliation.bank.deposit import Deposit, kept
from reconciliation.bank.statement import (
    MOST_LINES,
    MOST_PROBLEMS,
    Broken,
    Event,
    Line,
    StatementClosed,
    StatementOpened,
    Unreadable,
)
from reconciliation.elements import day

_LONGEST = 65_536
_MOST_CONTINUATIONS = 10_000
_CODES = {"01", "02", "03", "16", "88", "49", "98", "99"}
_TAKEN_BACK = {"555", "557", "558"}  # deposited item, ACH return item, ACH reversal
_FINAL = {"", "2", "4"}
_UPDATE = {"", "1"}
_ADDS_UP = "the statement's own total (49) is {} and its amounts add up to {}"


@dataclass(slots=True)
class _Sum:
    """What was read of an account, a group or a file, and where its statements begin."""

    first: int
    amount: int | None = 0
    records: int = 0
    parts: int = 0

    def add(self, amount: int | None) -> None:
        """Adds a total; once one cannot be read the sum is not known."""
        self.amount = None if self.amount is None or amount is None else self.amount + amount


@dataclass(slots=True)
class _Account:
    """A statement on its way."""

    index: int
    account: str
    currency: str | None
    as_of: date | None
    is_final: bool
    sum: _Sum
    credits: int = 0
    debits: int = 0
    lines: int = 0
    problems: list[str] = field(default_factory=list)

    def closed(self) -> StatementClosed:
        """All of it."""
        problems = tuple(self.problems[:MOST_PROBLEMS])
        return StatementClosed(
            self.index,
            self.account,
            self.currency,
            self.as_of,
            self.is_final,
            self.credits,
            self.debits,
            self.lines,
            problems,
        )


def read(parts: Iterable[bytes]) -> Iterator[Event]:
    """The statements of a file, in its order. Raises Unreadable."""
    reader = _Reader()
    for line in _lines(parts):
        yield from reader.take(line)
    yield from reader.end()


def _lines(parts: Iterable[bytes]) -> Iterator[str]:
    """Physical records: lines that are not blank."""
    rest = b""
    for part in chain(parts, (b"\n",)):
        *whole, rest = (rest + part).replace(b"\r", b"\n").split(b"\n")
        if len(rest) > _LONGEST or any(len(line) > _LONGEST for line in whole):
            raise Unreadable("LINE_TOO_LONG", f"a line is longer than {_LONGEST} bytes")
        for line in whole:
            if text := _decoded(line):
                yield text


def _decoded(line: bytes) -> str:
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = line.decode("latin-1")
    return text.strip(" \t\x00\x1a\ufeff")


class _Reader:
    """Follows the records from 01 to 99."""

    def __init__(self) -> None:
        self._index = 0
        self._faults: list[str] = []
        self._pending: Record | None = None
        self._file: _Sum | None = None
        self._group: _Sum | None = None
        self._account: _Account | None = None
        self._terms: Record | None = None

    def take(self, line: str) -> Iterator[Event]:
        """One physical record; its events come once the next one shows that it is complete."""
        code, _, content = line.partition(",")
        code = code.strip().rstrip("/")
        if self._file is None and code != "01":
            raise Unreadable("NOT_A_STATEMENT", "the file does not begin with a BAI2 header (01)")
        content = content[:-1] if content.endswith("/") else content
        if code == "88" and self._pending is not None:
            self._pending.lines.append(content)
            if len(self._pending.lines) > _MOST_CONTINUATIONS:
                raise Unreadable("LINE_TOO_LONG", f"a record has more than {_MOST_CONTINUATIONS} continuations")
        else:
            yield from self._flush()
            yield from self._begin(code)
            self._pending = Record(code, [content])
        statement = None if self._account is None else self._account.sum
        for counted in (self._file, self._group, statement):
            if counted is not None:
                counted.records += 1

    def end(self) -> Iterator[Event]:
        """What the file's end leaves open is broken. Raises Unreadable where no statement was in it."""
        if self._pending is None:
            raise Unreadable("EMPTY_FILE", "the file is empty")
        yield from self._flush()
        if self._index == 0:
            raise Unreadable("NOT_A_STATEMENT", "the file holds no statement")
        if self._file is not None:
            yield from self._ended("the file ends before its own total (99)")

    def _begin(self, code: str) -> Iterator[Event]:
        """What a record opens is counted with it; what it should have found closed is broken."""
        if code == "01":
            if self._file is not None:
                yield from self._ended("a file ends without its total (99)")
            self._file = _Sum(self._index + 1)
        elif code == "02":
            if self._group is not None:
                yield from self._ungrouped()
            self._group = _Sum(self._index + 1)

    def _flush(self) -> Iterator[Event]:
        """Reads the record that is complete now."""
        record, self._pending = self._pending, None
        if record is None:
            return
        if record.code in _CODES:
            yield from getattr(self, f"_read_{record.code}")(record)
        else:
            self._misplaced("a record is of a kind that BAI2 does not have")

    def _misplaced(self, sentence: str) -> None:
        if self._account is not None:
            self._account.problems.append(sentence)
        elif len(self._faults) < MOST_PROBLEMS:
            self._faults.append(sentence)

    def _read_01(self, record: Record) -> Iterator[Event]:
        yield from ()

    def _read_88(self, record: Record) -> Iterator[Event]:
        self._misplaced("a continuation (88) continues nothing")
        yield from ()

    def _read_02(self, record: Record) -> Iterator[Event]:
        self._terms = record
        yield from ()

    def _read_03(self, record: Record) -> Iterator[Event]:
        if self._account is not None:
            yield from self._unclosed()
        if self._group is None or self._terms is None:
            self._misplaced("a statement (03) stands in no group (02)")
            self._group, self._terms = self._group or _Sum(self._index + 1), self._terms or Record("02", [""])
        self._index += 1
        currency = record.field(1) or self._terms.field(5) or "USD"
        counted = _Sum(self._index, records=len(record.lines))
        as_of = day(self._terms.field(3))
        final = self._terms.field(6) in _FINAL
        account = _Account(self._index, kept(record.field(0)), currency_of(currency), as_of, final, counted)
        _check_terms(account, self._terms)
        for amount in status_amounts(record.fields()[2:]):
            _count(account, amount)
        self._account = account
        yield StatementOpened(self._index)

    def _read_16(self, record: Record) -> Iterator[Event]:
        if self._account is None:
            self._misplaced("a line (16) stands in no statement (03)")
            return
        line = _line(self._account, record)
        if line is not None:
            yield line

    def _read_49(self, record: Record) -> Iterator[Event]:
        if self._account is None:
            self._misplaced("a statement's total (49) closes no statement")
            return
        at, total = self._account, amount_of(record.field(0))
        if total is None or total != at.sum.amount:
            at.problems.append(_ADDS_UP.format(told(total), told(at.sum.amount)))
        if count_of(record.field(1)) != at.sum.records:
            at.problems.append(
                f"the statement counts {told(count_of(record.field(1)))} records (49) and has {at.sum.records}"
            )
        if self._group is not None:
            self._group.add(total)
            self._group.parts += 1
        yield from self._close()

    def _read_98(self, record: Record) -> Iterator[Event]:
        if self._account is not None:
            yield from self._unclosed()
        if self._group is not None and self._file is not None:
            yield from self._totals("group (98)", self._group, record)
            self._file.add(amount_of(record.field(0)))
            self._file.parts += 1
        self._group = self._terms = None

    def _read_99(self, record: Record) -> Iterator[Event]:
        if self._account is not None:
            yield from self._unclosed()
        if self._group is not None:
            yield from self._ungrouped()
        assert self._file is not None
        yield from self._totals("file (99)", self._file, record)
        yield from self._ended()

    def _ended(self, *faults: str) -> Iterator[Event]:
        """The file is over: what was found in it that belongs to no statement makes all of them doubtful."""
        if self._account is not None:
            yield from self._unclosed()
        assert self._file is not None
        for sentence in (*self._faults, *faults):
            yield Broken(self._file.first, max(self._index, self._file.first), sentence)
        self._file = self._group = self._terms = None
        self._faults = []

    def _ungrouped(self) -> Iterator[Event]:
        """A group without its total."""
        if self._account is not None:
            yield from self._unclosed()
        assert self._group is not None
        yield Broken(self._group.first, max(self._index, self._group.first), "a group ends without its total (98)")
        if self._file is not None:
            self._file.add(None)
        self._group = self._terms = None

    def _totals(self, what: str, counted: _Sum, record: Record) -> Iterator[Event]:
        said = (amount_of(record.field(0)), count_of(record.field(1)), count_of(record.field(2)))
        names = ("total", "parts", "records")
        for name, stated, found in zip(names, said, (counted.amount, counted.parts, counted.records), strict=True):
            if stated is None or stated != found:
                sentence = f"the {what} says {told(stated)} {name} and holds {told(found)}"
                yield Broken(counted.first, max(self._index, counted.first), sentence)

    def _unclosed(self) -> Iterator[Event]:
        assert self._account is not None
        self._account.problems.append("the statement ends without its total (49)")
        if self._group is not None:
            self._group.add(None)
        yield from self._close()

    def _close(self) -> Iterator[Event]:
        assert self._account is not None
        yield self._account.closed()
        self._account = None


def _check_terms(account: _Account, terms: Record) -> None:
    if terms.field(2) not in _UPDATE:
        account.problems.append(
            "its group is no update: it deletes, corrects or tests (02), which a person must do"
        )
    if not account.account:
        account.problems.append("the statement names no account (03)")
    if account.currency is None:
        account.problems.append("the statement is in no currency of ISO 4217 (02, 03)")
    if account.as_of is None:
        account.problems.append("the statement has no date that can be read (02)")


def _count(account: _Account, amount: int | None) -> None:
    account.sum.add(amount)
    if amount is None:
        account.problems.append("an amount of the statement cannot be read")


def _line(account: _Account, record: Record) -> Line | None:
    """A line; None for one that moves no money, or that cannot be read, which is a problem of its statement."""
    code, amount, words = taken_apart(record)
    _count(account, amount)
    account.lines += 1
    if account.lines > MOST_LINES:
        account.problems.append(f"the statement has more than {MOST_LINES} lines")
        return None
    sign = sign_of(code)
    if amount is None or not amount:
        return None
    if amount < 0 or amount > LARGEST or sign is None:
        account.problems.append("a line is neither money that came in nor money that went out (16)")
        return None
    account.credits += amount if sign > 0 else 0
    account.debits += amount if sign < 0 else 0
    if account.as_of is None or account.currency is None:
        return None
    reference, *text = words
    deposit = Deposit(
        account.account,
        account.as_of,
        sign * amount,
        account.currency,
        kept(reference),
        addenda.traces(text),
        addenda.company(text),
    )
    return Line(account.lines, deposit, taken_back=code in _TAKEN_BACK)
