"""Runs a report kept as a .sql file: typed rows, their sums, and the control totals that they must tie to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts import chart, store
from ledger.accounts.account import Side
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
    """What a column must add up to: the accounts at and below a code, or other columns together.

    `side` is the side of the account on which the column is positive.
    """

    column: str
    account: str = ""
    side: Side = Side.DEBIT
    others: tuple[str, ...] = ()

    @property
    def against(self) -> str:
        """What it is held against, as people see it."""
        return self.account or " + ".join(self.others)


@dataclass(frozen=True, slots=True)
class Question:
    """A report as it can be asked for. Its file is its name with underscores, in `package`.

    One that is not `dated` says how things stand now, whatever the day. One that `knows` can be asked as known at
    an entry; `narrowed` are the further variables of its file, each with what stands for all.
    """

    name: str
    package: str
    columns: tuple[Column, ...]
    ties: tuple[Tie, ...] = ()
    dated: bool = True
    knows: bool = False
    narrowed: Mapping[str, str] = field(default_factory=dict)


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
RECEIVABLES_AGING = Question(
    name="receivables-aging",
    package="ledger.reports",
    columns=columns(
        "payer currency days_0_30:money days_31_60:money days_61_90:money days_91_120:money over_120_days:money "
        "total:money claim_count:count"
    ),
    ties=(Tie("total", chart.INSURER_RECEIVABLES),),
)
PROVIDER_PAYABLES = Question(
    name="provider-payables",
    package="ledger.reports",
    columns=columns("provider currency earned:money paid:money other_changes:money payable:money"),
    ties=(Tie("payable", chart.PROVIDER_PAYABLES, Side.CREDIT),),
)
SESSION_MARGIN = Question(
    name="session-margin",
    package="ledger.reports",
    columns=columns(
        "payer currency session_count:count revenue:money provider_cost:money margin:money "
        "contractual_adjustments:money denials_absorbed:money margin_after_losses:money"
    ),
    ties=(
        Tie("revenue", chart.SESSIONS, Side.CREDIT),
        Tie("provider_cost", chart.PROVIDER_SERVICES),
        Tie("contractual_adjustments", chart.CONTRACTUAL_ADJUSTMENTS),
        Tie("denials_absorbed", chart.DENIALS_ABSORBED),
    ),
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
    sql = query(question.package, f"{question.name.replace('-', '_')}.sql")
    asked = {"book": book, "as_of": as_of, "as_known_at": known, **question.narrowed, **narrowed}
    found = await connection.execute(sql, asked)
    rows = [_cells(question, row) for row in found]
    totals = _totals(question, rows)
    controls = [c for tie in question.ties for c in await _controls(connection, tie, totals, book, as_of)]
    return Report(question.name, question.columns, rows, totals, controls, known)


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


def _totals(question: Question, rows: Sequence[Mapping[str, Cell]]) -> list[dict[str, Cell]]:
    """One row for each currency; its texts are empty but for the currency."""
    sums: dict[str, dict[str, Cell]] = {}
    for currency in sorted({str(row["currency"]) for row in rows if row["currency"]}):
        of_currency = [row for row in rows if row["currency"] == currency]
        sums[currency] = {column.name: _sum(column, of_currency, currency) for column in question.columns}
        sums[currency]["currency"] = currency
    return list(sums.values())


def _sum(column: Column, rows: Sequence[Mapping[str, Cell]], currency: str) -> Cell:
    cells = [row[column.name] for row in rows]
    match column.kind:
        case ColumnKind.MONEY:
            return Amount(sum(cell.minor_units for cell in cells if isinstance(cell, Amount)), currency)
        case ColumnKind.COUNT:
            return sum(cell for cell in cells if isinstance(cell, int))
        case ColumnKind.TEXT:
            return ""
        case ColumnKind.STANDING | ColumnKind.NUMBER:
            return None


async def _controls(
    connection: AsyncConnection, tie: Tie, totals: Sequence[Mapping[str, Cell]], book: str, as_of: date
) -> list[Control]:
    reported = _by_currency(totals, tie.column)
    if tie.account:
        sums, _ = await store.sums(connection, book, tie.account, as_of, below=True)
        expected = {currency: tie.side.sign * found.balance for currency, found in sums.items()}
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


def _by_currency(totals: Sequence[Mapping[str, Cell]], *names: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    for amount in (cell for row in totals for name in names if isinstance(cell := row[name], Amount)):
        sums[amount.currency] = sums.get(amount.currency, 0) + amount.minor_units
    return sums
