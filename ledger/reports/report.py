"""Runs a report kept as a .sql file: typed rows, their sums, and the control totals that they must tie to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts import chart, store
from ledger.accounts.account import ROOTS, Side, Totals
from ledger.database import query
from ledger.money import Amount

Cell = str | int | Amount | None
NOTHING: Mapping[str, str] = MappingProxyType({})


class ColumnKind(StrEnum):
    """What a column holds. Money is in the currency that the row names.

    A standing is money that is never added up; by a number something is found.
    """

    TEXT = "text"
    MONEY = "money"
    COUNT = "count"
    STANDING = "standing"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Column:
    """One column, under its name in the .sql file."""

    name: str
    kind: ColumnKind


@dataclass(frozen=True, slots=True)
class Tie:
    """What a column must add up to: the accounts at and below a code, other columns together, or zero.

    `side` is the side of the account on which the column is positive; `moved`: the column is not what the accounts
    stand at, but what moved them from the report's first day on. `turnover`: the column is all that was posted on
    the side, in all accounts, or in those that the report is narrowed to.
    """

    column: str
    account: str = ""
    side: Side = Side.DEBIT
    others: tuple[str, ...] = ()
    moved: bool = False
    turnover: bool = False

    @property
    def against(self) -> str:
        """What it is held against, as people see it."""
        if self.turnover:
            return f"all {self.side}s of the accounts"
        return self.account or " + ".join(self.others) or "zero"


@dataclass(frozen=True, slots=True)
class Question:
    """A report as it can be asked for. Its file is its name with underscores, in `package`.

    One that is not `dated` says how things stand now, whatever the day. One that `knows` can be asked as known at
    an entry; `narrowed` are the further variables of its file, each with what stands for all. `needs` are those of
    them that must be said. `groups` are columns that are shown where the variable beside them says so; `ungrouped`
    are those of them that are shown where none is said: the first, where nothing else stands here.

    One that grows with the books has a `place`: the columns by which its pages are found, each with what comes
    before all; its file has a variable `after_…` for each of them, and `page_size`.
    """

    name: str
    package: str
    columns: tuple[Column, ...]
    ties: tuple[Tie, ...] = ()
    dated: bool = True
    knows: bool = False
    narrowed: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)
    ungrouped: tuple[str, ...] = ()
    place: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Control:
    """The sum of a column beside what it must equal."""

    column: str
    against: str
    reported: Amount
    expected: Amount

    @property
    def ties(self) -> bool:
        """Whether the two are equal, to the cent."""
        return self.reported == self.expected


@dataclass(frozen=True, slots=True)
class Report:
    """An answer: rows by column name, one row of sums for each currency, and the control totals.

    `known` is the last entry that it knows of; None where a report cannot be asked so.
    """

    name: str
    columns: tuple[Column, ...]
    rows: Sequence[Mapping[str, Cell]]
    totals: Sequence[Mapping[str, Cell]]
    controls: Sequence[Control]
    known: int | None = None

    @property
    def ties(self) -> bool:
        """Whether every control total is as it must be."""
        return all(control.ties for control in self.controls)


def columns(written: str) -> tuple[Column, ...]:
    """Columns from their names, each with its kind behind a colon unless it is text: `payer total:money`."""
    split = (name.partition(":") for name in written.split())
    return tuple(Column(name, ColumnKind(kind or ColumnKind.TEXT)) for name, _, kind in split)


TRIAL_BALANCE = Question(
    name="trial-balance",
    package="ledger.reports",
    columns=columns("account currency debits:money credits:money balance:money"),
    ties=(Tie("debits", others=("credits",)),),
    knows=True,
)
STATEMENT = Question(
    name="statement",
    package="ledger.reports",
    columns=columns(
        "effective_date entry_number:number line:number recorded_at kind description account item currency "
        "debits:money credits:money balance:standing"
    ),
    knows=True,
    narrowed={"account": "", "item": "", "effective_from": "-infinity"},
)
AGING_GROUPS = ("payer", "provider", "plan", "state")
RECEIVABLES_AGING = Question(
    name="receivables-aging",
    package="ledger.reports",
    columns=columns(
        "payer provider plan state currency days_0_30:money days_31_60:money days_61_90:money days_91_120:money "
        "over_120_days:money total:money claim_count:count"
    ),
    ties=(Tie("total", chart.INSURER_RECEIVABLES),),
    knows=True,
    narrowed={f"by_{name}": "" for name in AGING_GROUPS},
    groups={name: f"by_{name}" for name in AGING_GROUPS},
)
AGES_OF_PAYABLES = ("days_0_30", "days_31_60", "days_61_90", "over_90_days", "overpaid")
PROVIDER_PAYABLES = Question(
    name="provider-payables",
    package="ledger.reports",
    columns=columns(
        "provider currency earned:money paid:money other_changes:money payable:money days_0_30:money "
        "days_31_60:money days_61_90:money over_90_days:money overpaid:money oldest_unpaid"
    ),
    ties=(Tie("payable", chart.PROVIDER_PAYABLES, Side.CREDIT), Tie("payable", others=AGES_OF_PAYABLES)),
    knows=True,
)
MARGIN_GROUPS = ("payer", "plan", "state", "licence_type", "month")
SESSION_MARGIN = Question(
    name="session-margin",
    package="ledger.reports",
    columns=columns(
        "payer plan state licence_type month currency session_count:count revenue:money provider_cost:money "
        "margin:money contractual_adjustments:money denials_absorbed:money margin_after_losses:money"
    ),
    ties=(
        Tie("revenue", chart.SESSIONS, Side.CREDIT),
        Tie("provider_cost", chart.PROVIDER_SERVICES),
        Tie("contractual_adjustments", chart.CONTRACTUAL_ADJUSTMENTS),
        Tie("denials_absorbed", chart.DENIALS_ABSORBED),
    ),
    knows=True,
    narrowed={f"by_{name}": "" for name in MARGIN_GROUPS},
    groups={name: f"by_{name}" for name in MARGIN_GROUPS},
)
SERVICE_MONTHS = Question(
    name="service-months",
    package="ledger.reports",
    columns=columns(
        "service_month effective_month currency revenue:money contractual:money absorbed:money paid:money "
        "insurer:money patient:money"
    ),
    ties=(
        Tie("revenue", chart.SESSIONS, Side.CREDIT),
        Tie("contractual", chart.CONTRACTUAL_ADJUSTMENTS),
        Tie("absorbed", chart.DENIALS_ABSORBED),
        Tie("insurer", chart.INSURER_RECEIVABLES),
        Tie("patient", chart.PATIENT_RECEIVABLE),
    ),
)
QUESTIONS = (TRIAL_BALANCE, RECEIVABLES_AGING, PROVIDER_PAYABLES, SESSION_MARGIN, SERVICE_MONTHS)


async def ask(
    connection: AsyncConnection,
    question: Question,
    book: str,
    as_of: date,
    known: int | None = None,
    narrowed: Mapping[str, str] = NOTHING,
) -> Report:
    """The answer as of an effective date, from one view of the books. Raises BookNotFound.

    As known at entry `known`, which must be there, or at the head.
    """
    head = (await store.existing_book(connection, book)).last_number
    known = (head if known is None else known) if question.knows else None
    rows = await found(connection, question, {"book": book, "as_of": as_of, "as_known_at": known, **narrowed})
    sums = Sums(question)
    sums.add(rows)
    controls = await tied(connection, question, sums.rows(), scope(book, as_of, known, narrowed))
    return Report(question.name, shown(question, narrowed), rows, sums.rows(), controls, known)


async def found(
    connection: AsyncConnection, question: Question, asked: Mapping[str, object]
) -> list[dict[str, Cell]]:
    """What the file of a question finds, as typed rows; variables that are not said stand for all."""
    sql = query(question.package, f"{question.name.replace('-', '_')}.sql")
    return [_cells(question, row) for row in await connection.execute(sql, {**question.narrowed, **asked})]


def shown(question: Question, narrowed: Mapping[str, str]) -> tuple[Column, ...]:
    """The columns of an answer: those of groups only where they are grouped by."""
    said = [name for name, variable in question.groups.items() if narrowed.get(variable)]
    hidden = question.groups.keys() - (said or question.ungrouped or [*question.groups][:1])
    return tuple(column for column in question.columns if column.name not in hidden)


def _cells(question: Question, row: Row[Any]) -> dict[str, Cell]:
    found = row._mapping  # noqa: SLF001 - public in SQLAlchemy, underscored so as not to hide a column
    return {c.name: _cell(c.kind, found[c.name], found["currency"]) for c in question.columns}


def _cell(kind: ColumnKind, value: Any, currency: str | None) -> Cell:
    if value is None:
        return None
    match kind:
        case ColumnKind.TEXT:
            return str(value)
        case ColumnKind.COUNT | ColumnKind.NUMBER:
            return int(value)
        case ColumnKind.MONEY | ColumnKind.STANDING:
            return Amount(int(value), currency) if currency else None


class Sums:
    """The sums of a report's columns, by currency, whatever comes in how many pages."""

    def __init__(self, question: Question) -> None:
        """Begins with nothing added up."""
        self._columns = question.columns
        self._sums: dict[str, dict[str, Cell]] = {}

    def add(self, rows: Iterable[Mapping[str, Cell]]) -> None:
        """Adds rows; one without a currency has nothing to add."""
        for row in rows:
            currency = row["currency"]
            if isinstance(currency, str) and currency:
                before = self._sums.setdefault(currency, self._nothing(currency))
                for column in self._columns:
                    before[column.name] = _plus(before[column.name], row[column.name])

    def rows(self) -> list[dict[str, Cell]]:
        """One row for each currency; its texts are empty but for the currency."""
        return [self._sums[currency] for currency in sorted(self._sums)]

    def _nothing(self, currency: str) -> dict[str, Cell]:
        zeros: dict[ColumnKind, Cell] = {
            ColumnKind.TEXT: "",
            ColumnKind.MONEY: Amount(0, currency),
            ColumnKind.COUNT: 0,
        }
        return {column.name: zeros.get(column.kind) for column in self._columns} | {"currency": currency}


def _plus(total: Cell, cell: Cell) -> Cell:
    """Amounts and counts are added up; the rest has no sum."""
    if isinstance(total, Amount) and isinstance(cell, Amount):
        return total + cell
    if isinstance(total, int) and isinstance(cell, int):
        return total + cell
    return total


@dataclass(frozen=True, slots=True)
class Scope:
    """What a report is about, for its control totals.

    `first` is the first day of a report on a period, `account` the accounts that it is narrowed to; of a report
    that is narrowed to an `actor` there is nothing in the accounts to hold it against.
    """

    book: str
    as_of: date
    known: int
    first: date | None = None
    account: str = ""
    actor: str = ""


def scope(book: str, as_of: date, known: int | None, narrowed: Mapping[str, str]) -> Scope:
    """The scope of a report as it was asked for."""
    said = narrowed.get("effective_from", "")
    return Scope(
        book,
        as_of,
        store.ALL_RECORDED if known is None else known,
        date.fromisoformat(said) if said not in ("", "-infinity") else None,
        narrowed.get("account", ""),
        narrowed.get("actor", ""),
    )


async def tied(
    connection: AsyncConnection, question: Question, totals: Sequence[Mapping[str, Cell]], about: Scope
) -> list[Control]:
    """The control totals of a report, from the books themselves."""
    ties = (tie for tie in question.ties if not (tie.turnover and about.actor))
    return [control for tie in ties for control in await _controls(connection, tie, totals, about)]


async def _controls(
    connection: AsyncConnection, tie: Tie, totals: Sequence[Mapping[str, Cell]], about: Scope
) -> list[Control]:
    reported = _by_currency(totals, tie.column)
    if tie.account or tie.turnover:
        expected = await _expected(connection, tie, about)
    else:
        expected = _by_currency(totals, *tie.others)
    return [
        Control(
            tie.column,
            tie.against,
            reported=Amount(reported.get(currency, 0), currency),
            expected=Amount(expected.get(currency, 0), currency),
        )
        for currency in sorted(reported.keys() | expected.keys())
    ]


async def _expected(connection: AsyncConnection, tie: Tie, about: Scope) -> dict[str, int]:
    """What the accounts of a tie stand at, or by how much they moved, by currency."""
    expected: dict[str, int] = {}
    for code in [tie.account or about.account] if tie.account or about.account else ROOTS:
        for sign, day in _days(tie, about):
            sums, _ = await store.sums(connection, about.book, code, day, about.known, below=True)
            for currency, totals in sums.items():
                amount = _posted(tie.side, totals) if tie.turnover else tie.side.sign * totals.balance
                expected[currency] = expected.get(currency, 0) + sign * amount
    return expected


def _days(tie: Tie, about: Scope) -> list[tuple[int, date]]:
    """Up to which days the accounts are added up, and taken off again."""
    is_moved = (tie.moved or tie.turnover) and about.first is not None and about.first > date.min
    before = [(-1, about.first - timedelta(days=1))] if is_moved and about.first else []
    return [(1, about.as_of), *before]


def _posted(side: Side, totals: Totals) -> int:
    return totals.debits if side is Side.DEBIT else totals.credits


def _by_currency(totals: Sequence[Mapping[str, Cell]], *names: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    for amount in (cell for row in totals for name in names if isinstance(cell := row[name], Amount)):
        sums[amount.currency] = sums.get(amount.currency, 0) + amount.minor_units
    return sums
