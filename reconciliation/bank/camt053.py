"""CAMT.053: the bank statement of ISO 20022, read as a stream. Pure.

Any version: elements are known by their own names, whatever their namespace. A document type, an entity or
anything that lies outside of the file is refused, and so is nesting without end. Exact about money: the
opening balance and all booked entries must make the closing balance, and every sum that the bank gives must
be that of its entries.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import XMLParser

from ledger.errors import AmountInvalid, AmountTooPrecise, CurrencyUnknown
from ledger.money import LARGEST, fraction_digits
from reconciliation.amounts import minor_units
from reconciliation.bank import addenda
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

_DEEPEST = 64
_LONGEST = 65_536
_MOST_VALUES = 10_000
_SLICE = 65_536
_AMOUNT = re.compile(r"[0-9]{1,18}(\.[0-9]{0,8})?|\.[0-9]{1,8}")
_COUNT = re.compile(r"[0-9]{1,9}")
_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(Z|[+-][0-9]{2}:[0-9]{2}|T.{1,40})?")
_DETAILS = "NtryDtls/TxDtls"
_PARTY = f"{_DETAILS}/RltdPties/Dbtr"
_TEXTS = (
    f"{_DETAILS}/RmtInf/Ustrd",
    f"{_DETAILS}/RmtInf/Strd/AddtlRmtInf",
    f"{_DETAILS}/AddtlTxInf",
    "AddtlNtryInf",
)
_SENDERS = (
    f"{_PARTY}/Id/OrgId/Othr/Id",
    f"{_PARTY}/Pty/Id/OrgId/Othr/Id",
)
_NAMES = (f"{_PARTY}/Nm", f"{_PARTY}/Pty/Nm")
_OPENING, _CLOSING = ("OPBD", "PRCD"), ("CLBD",)


def read(parts: Iterable[bytes]) -> Iterator[Event]:
    """The statements of a file, in its order. Raises Unreadable."""
    reader = _Reader()
    parser = XMLParser(target=reader, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    try:
        for part in parts:
            for start in range(0, len(part), _SLICE):
                parser.feed(part[start : start + _SLICE])
                yield from reader.taken()
        parser.close()
    except DefusedXmlException:
        raise Unreadable(
            "NOT_A_STATEMENT", "the file has a document type or an entity, which are not read"
        ) from None
    except (ParseError, LookupError, ValueError):
        yield from reader.cut_off()
    yield from reader.ended()


@dataclass(slots=True)
class _Values:
    """What stands in an element and below it: texts by the path from it, attributes behind an @."""

    found: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    count: int = 0

    def add(self, path: str, text: str) -> None:
        """One text. Raises Unreadable where there is no end to them."""
        self.count += 1
        if self.count > _MOST_VALUES:
            raise Unreadable("LINE_TOO_LONG", f"an element holds more than {_MOST_VALUES} texts")
        self.found[path].append(text)

    def one(self, *paths: str) -> str:
        """The first text at the first of the paths that has one."""
        return next((self.found[path][0] for path in paths if self.found.get(path)), "")

    def all(self, *paths: str) -> list[str]:
        """Every text at these paths."""
        return [text for path in paths for text in self.found.get(path, ())]


@dataclass(slots=True)
class _Statement:
    """A statement on its way."""

    index: int
    about: _Values = field(default_factory=_Values)
    balances: dict[str, _Values] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    lines: int = 0
    pending: int = 0
    sums: dict[str, int] = field(default_factory=lambda: {"CRDT": 0, "DBIT": 0})
    counts: dict[str, int] = field(default_factory=lambda: {"CRDT": 0, "DBIT": 0})

    @property
    def account(self) -> str:
        """As the bank calls it: its IBAN, or its number."""
        return kept(self.about.one("Acct/Id/IBAN", "Acct/Id/Othr/Id"))

    @property
    def currency(self) -> str | None:
        """The account's, else that of its balances; None where that is none."""
        balance = next((one.one("Amt@Ccy") for one in self.balances.values()), "")
        return _known(self.about.one("Acct/Ccy") or balance)

    def balance(self, *codes: str) -> int | None:
        """A balance in minor units, negative where the bank is owed; None where it is not there or not read."""
        found = next((self.balances[code] for code in codes if code in self.balances), None)
        if found is None or self.currency is None or found.one("Amt@Ccy") not in ("", self.currency):
            return None
        amount = _money(found.one("Amt"), self.currency)
        sign = {"CRDT": 1, "DBIT": -1}.get(found.one("CdtDbtInd"))
        return None if amount is None or sign is None else sign * amount

    @property
    def as_of(self) -> date | None:
        """The day of the closing balance."""
        found = self.balances.get("CLBD")
        return None if found is None else _day(found.one("Dt/Dt", "Dt/DtTm"))


class _Reader:
    """What the parser tells of: elements as they open and close."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._text: list[str] = []
        self._length = 0
        self._index = 0
        self._events: list[Event] = []
        self._statement: _Statement | None = None
        self._values: tuple[int, _Values] | None = None
        self._broken = False

    # --- the parser's calls ---

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element opens."""
        name = tag.rpartition("}")[2]
        self._path.append(name)
        self._text, self._length = [], 0
        if len(self._path) > _DEEPEST:
            raise Unreadable("NOT_A_STATEMENT", f"elements are nested deeper than {_DEEPEST}")
        if len(self._path) == 2 and name != "BkToCstmrStmt":
            raise Unreadable("NOT_A_STATEMENT", "the document is no bank statement (camt.053)")
        if name == "Stmt" and len(self._path) == 3:
            self._index += 1
            self._statement = _Statement(self._index)
            self._events.append(StatementOpened(self._index))
        elif self._statement is not None and len(self._path) == 4 and name in ("Ntry", "Bal"):
            self._values = (4, _Values())
        if "Ccy" in attributes:
            self._tell(f"{self._relative()}@Ccy", attributes["Ccy"])

    def data(self, text: str) -> None:
        """Some text of the element that is open."""
        self._length += len(text)
        if self._length > _LONGEST:
            raise Unreadable("LINE_TOO_LONG", f"a text is longer than {_LONGEST} characters")
        self._text.append(text)

    def end(self, tag: str) -> None:
        """An element closes."""
        text = "".join(self._text).strip()
        if text:
            self._tell(self._relative(), text)
        self._text, self._length = [], 0
        name = self._path.pop()
        if self._statement is None:
            return
        if len(self._path) == 3 and self._values is not None:
            (_, values), self._values = self._values, None
            self._complete(self._statement, name, values)
        elif name == "Stmt" and len(self._path) == 2:
            self._events.append(_closed(self._statement))
            self._statement = None

    def close(self) -> None:
        """The document is over."""

    # --- what it comes to ---

    def taken(self) -> list[Event]:
        """What was read since it was last asked for."""
        events, self._events = self._events, []
        return events

    def cut_off(self) -> Iterator[Event]:
        """The file is no XML to its end. Raises Unreadable where no statement had begun."""
        if self._index == 0:
            raise Unreadable("NOT_A_STATEMENT", "the file is neither BAI2 nor XML")
        self._broken = True
        yield from ()

    def ended(self) -> Iterator[Event]:
        """What is left. Raises Unreadable where there was no statement at all."""
        yield from self.taken()
        if self._statement is not None:
            self._statement.problems.append("the file ends within the statement")
            yield _closed(self._statement)
        if self._index == 0:
            raise Unreadable("NOT_A_STATEMENT", "the document holds no statement")
        if self._broken:
            yield Broken(1, self._index, "the file breaks off, or is not well-formed XML")

    def _relative(self) -> str:
        return "/".join(self._path[4 if self._values else 3 :])

    def _tell(self, path: str, text: str) -> None:
        if self._values is not None:
            self._values[1].add(path, text)
        elif self._statement is not None:
            self._statement.about.add(path, text)

    def _complete(self, statement: _Statement, name: str, values: _Values) -> None:
        if name == "Bal":
            code = values.one("Tp/CdOrPrtry/Cd")
            statement.balances.setdefault(code, values)
            return
        line = _line(statement, values)
        if line is not None:
            self._events.append(line)


def _line(statement: _Statement, values: _Values) -> Line | None:
    """A booked entry; None for one that is not booked, or that cannot be read, a problem of its statement."""
    if values.one("Sts/Cd", "Sts") not in ("BOOK", ""):
        statement.pending += 1
        return None
    currency, way = statement.currency, values.one("CdtDbtInd")
    amount = None if currency is None else _money(values.one("Amt"), currency)
    booked = _day(values.one("BookgDt/Dt", "BookgDt/DtTm", "ValDt/Dt", "ValDt/DtTm"))
    statement.lines += 1
    if statement.lines > MOST_LINES:
        statement.problems.append(f"the statement has more than {MOST_LINES} lines")
        return None
    if amount is None or currency is None or way not in statement.sums or values.one("Amt@Ccy") != currency:
        statement.problems.append("the amount of an entry cannot be read, or is in another currency")
        return None
    statement.sums[way] += amount
    statement.counts[way] += 1
    if booked is None:
        statement.problems.append("an entry has no date that can be read")
        return None
    return _line_of(statement, values, amount if way == "CRDT" else -amount, booked, currency) if amount else None


def _line_of(statement: _Statement, values: _Values, amount: int, booked: date, currency: str) -> Line:
    texts = values.all(*_TEXTS)
    senders = set(values.all(*_SENDERS))
    deposit = Deposit(
        statement.account,
        booked,
        amount,
        currency,
        kept(values.one("AcctSvcrRef", f"{_DETAILS}/Refs/AcctSvcrRef", "NtryRef")),
        addenda.traces(texts),
        kept(senders.pop()) if len(senders) == 1 else addenda.company(texts),
    )
    taken_back = values.one("RvslInd") in ("true", "1") or f"{_DETAILS}/RtrInf/Rsn/Cd" in values.found
    return Line(statement.lines, deposit, tuple(map(kept, set(values.all(*_NAMES)))), taken_back)


def _closed(statement: _Statement) -> StatementClosed:
    problems = [*statement.problems, *_wrong(statement)]
    return StatementClosed(
        statement.index,
        statement.account,
        statement.currency,
        statement.as_of,
        True,
        statement.sums["CRDT"],
        statement.sums["DBIT"],
        statement.lines,
        tuple(problems[:MOST_PROBLEMS]),
    )


def _wrong(statement: _Statement) -> Iterator[str]:
    """What of a whole statement does not add up, or is not said."""
    if not statement.account:
        yield "the statement names no account"
    if statement.currency is None:
        yield "the statement is in no currency of ISO 4217"
        return
    page = statement.about
    if page.one("StmtPgntn/PgNb") not in ("", "1") or page.one("StmtPgntn/LastPgInd") in ("false", "0"):
        yield "the statement is one page of several, which do not add up by themselves"
    opening, closing = statement.balance(*_OPENING), statement.balance(*_CLOSING)
    if opening is None or closing is None or statement.as_of is None:
        yield "the statement has no opening or no closing balance that can be read"
    elif opening + statement.sums["CRDT"] - statement.sums["DBIT"] != closing:
        yield "the opening balance and the entries do not make the closing balance"
    if not statement.pending:
        yield from _summary(statement, statement.currency)


def _summary(statement: _Statement, currency: str) -> Iterator[str]:
    """The bank's own sums and counts, where it gives them, against those of the entries."""
    sums, counts, said = statement.sums, statement.counts, statement.about
    whole = {"TtlNtries": sum(sums.values()), "TtlCdtNtries": sums["CRDT"], "TtlDbtNtries": sums["DBIT"]}
    numbers = {"TtlNtries": sum(counts.values()), "TtlCdtNtries": counts["CRDT"], "TtlDbtNtries": counts["DBIT"]}
    for name, total in whole.items():
        told = said.one(f"TxsSummry/{name}/Sum")
        if told and _money(told, currency) != total:
            yield f"the sum of its summary ({name}) is not that of its entries"
        count = said.one(f"TxsSummry/{name}/NbOfNtries")
        if count and (not _COUNT.fullmatch(count) or int(count) != numbers[name]):
            yield f"the count of its summary ({name}) is not that of its entries"


def _money(text: str, currency: str) -> int | None:
    """Whole minor units from plain digits, or None: nothing is ever rounded or guessed."""
    if not (text.isascii() and _AMOUNT.fullmatch(text)):
        return None
    try:
        amount = minor_units(Decimal(text), currency)
    except (AmountInvalid, AmountTooPrecise):
        return None
    return amount if amount <= LARGEST else None


def _known(currency: str) -> str | None:
    try:
        fraction_digits(currency)
    except CurrencyUnknown:
        return None
    return currency


def _day(text: str) -> date | None:
    found = _DAY.fullmatch(text)
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None
