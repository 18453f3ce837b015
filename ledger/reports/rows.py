"""Between the rows of reports and the wire's messages: what is asked, tokens of pages, and each row."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Protocol

from google.protobuf.message import Message

from ledger import fields, wire
from ledger.accounts.account import Side, account_code
from ledger.errors import DateInvalid, PageInvalid, Refusal
from ledger.money import Amount
from ledger.reports.paging import Page, Place
from ledger.reports.report import AGING_GROUPS, MARGIN_GROUPS, Cell, Question, Report
from ledger.v1 import postings_pb2
from ledger.v1 import reports_pb2 as pb

Row = Mapping[str, Cell]
_LONGEST_NUMBER, _LARGEST_LINE = 18, 2**31 - 1
_SECTION = "BALANCE_SHEET_SECTION_"
_MARGINS: Mapping[int, str] = {
    pb.MarginGroup.Value(f"MARGIN_GROUP_{name.upper()}"): name for name in MARGIN_GROUPS
}
_AGES: Mapping[int, str] = {pb.AgingGroup.Value(f"AGING_GROUP_{one.upper()}"): one for one in AGING_GROUPS}


class Paged(Protocol):
    """What every report in pages is asked with."""

    @property
    def book(self) -> str:
        """The book."""

    @property
    def effective_from(self) -> str:
        """The first day, or nothing."""

    @property
    def as_of(self) -> str:
        """The last day, or nothing."""

    @property
    def page_size(self) -> int:
        """How many rows a page holds."""


# --- what is asked ------------------------------------------------------------------------------------


def period(request: Paged) -> tuple[dict[str, str], date]:
    """The first and the last day that a caller says; neither need be. Raises DateInvalid."""
    last = fields.optional_day("as_of", request.as_of) or date.max
    return first_day(request.effective_from), last


def first_day(effective_from: str) -> dict[str, str]:
    """The first day of a period that need not have one. Raises DateInvalid."""
    first = fields.optional_day("effective_from", effective_from)
    return {"effective_from": first.isoformat()} if first else {}


def whole_period(effective_from: str, as_of: str) -> str:
    """The first day of a period that must have one, not after its last. Raises FieldMissing or DateInvalid."""
    first, last = fields.day("effective_from", effective_from), fields.day("as_of", as_of)
    if first > last:
        raise DateInvalid(
            f"effective_from {first} comes after as_of {last}", field="effective_from", value=effective_from
        )
    return first.isoformat()


def margin_groups(request: pb.GetSessionMarginRequest) -> dict[str, str]:
    """What a margin is broken down by. Raises ChoiceInvalid."""
    return grouped_by(request.group_by, _MARGINS)


def aging_groups(request: pb.GetReceivablesAgingRequest) -> dict[str, str]:
    """What receivables are broken down by. Raises ChoiceInvalid."""
    return grouped_by(request.group_by, _AGES)


def grouped_by(said: Iterable[int], known: Mapping[int, str]) -> dict[str, str]:
    """Groups that a caller has chosen, as the file of a report takes them. Raises ChoiceInvalid."""
    wanted = [fields.choice("group_by", value, known) for value in said]
    return {f"by_{name}": "yes" for name in wanted if name}


def start(request: Message, question: Question) -> tuple[int, Place] | None:
    """What a page's token says: what the first page knew, and where this one begins. Raises PageInvalid."""
    token = wire.page_start(request)
    if not token:
        return None
    try:
        known, *place = token.split(" ")
        parts = zip(question.place, place, strict=True)
        return _number(known), tuple(_part(name, text) for name, text in parts)
    except (ValueError, Refusal):
        raise PageInvalid("page_token is not one of ours") from None


def _part(name: str, text: str) -> str:
    """One part of a place, as the SQL takes it."""
    match name:
        case "account":
            return account_code(text) if text else text
        case "effective_date":
            return date.fromisoformat(text).isoformat()
        case "line" if _number(text) > _LARGEST_LINE:
            raise ValueError(text)
    return str(_number(text))


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
        raise ValueError(text)
    return int(text)


def more(request: Message, known: int, found: Page) -> str:
    """The token of the next page; empty on the last."""
    return wire.page_token(request, " ".join([str(known), *found.more])) if found.more else ""


# --- what is answered ---------------------------------------------------------------------------------


def plain_row(row: Row) -> dict[str, Any]:
    """A row whose fields are named as the columns, money with its own currency."""
    return {
        name: wire.money(cell) if isinstance(cell, Amount) else cell
        for name, cell in row.items()
        if name != "currency"
    }


def balance_sheet_row(row: Row) -> pb.BalanceSheetRow:
    """An account, or a result, in the column of its section."""
    section = str(row["section"])
    column = section if section in ("assets", "liabilities") else "equity"
    return pb.BalanceSheetRow(
        section=pb.BalanceSheetSection.Value(f"{_SECTION}{section.upper()}"),
        account=str(row["account"]),
        amount=wire.money(_amount(row, column)),
    )


def balance_sheet_total(row: Row) -> pb.BalanceSheetTotal:
    """Both sides in one currency, and their difference, which is zero."""
    assets, liabilities, equity = (_amount(row, name) for name in ("assets", "liabilities", "equity"))
    return pb.BalanceSheetTotal(
        assets=wire.money(assets),
        liabilities=wire.money(liabilities),
        equity=wire.money(equity),
        difference=wire.money(assets - liabilities - equity),
    )


def actor(row: Row) -> pb.ActorRow:
    """How many entries of a kind somebody posted."""
    return pb.ActorRow(
        actor=str(row["actor"]),
        kind=_kind(row),
        entry_count=_whole(row, "entry_count"),
        debits=wire.money(_amount(row, "debits")),
        first_entry=_whole(row, "first_entry"),
        last_entry=_whole(row, "last_entry"),
    )


def general_ledger(row: Row) -> pb.GeneralLedgerRow:
    """One posting, with the balance after it."""
    debits, credits_ = _amount(row, "debits"), _amount(row, "credits")
    side = Side.DEBIT if debits.minor_units else Side.CREDIT
    return pb.GeneralLedgerRow(
        **_of_entry(row),
        line=_whole(row, "line"),
        posting=postings_pb2.Posting(
            account=str(row["account"]),
            side=wire.side(side),
            amount=wire.money(debits if side is Side.DEBIT else credits_),
            item=str(row["item"] or ""),
        ),
        balance=wire.money(_amount(row, "balance")),
    )


def entry(row: Row) -> pb.EntryRow:
    """An entry in one currency."""
    return pb.EntryRow(**_of_entry(row), debits=wire.money(_amount(row, "debits")))


def reversed_entry(row: Row) -> pb.ReversedEntryRow:
    """An entry, and the one that undid it."""
    reversal = {
        "entry_number": row["reversal_number"],
        "effective_date": row["reversal_effective_date"],
        "recorded_at": row["reversal_recorded_at"],
        "actor": row["reversed_by"],
        "kind": row["reversal_kind"],
        "description": row["reason"],
        "debits": row["reversal_credits"],
    }
    return pb.ReversedEntryRow(entry=entry({**row, "description": ""}), reversal=entry(reversal))


def back_dated_entry(row: Row) -> pb.BackDatedEntryRow:
    """An entry, and how far back it was dated."""
    return pb.BackDatedEntryRow(entry=entry(row), days_back=_whole(row, "days_back"))


def manual_entry(row: Row) -> pb.ManualEntryRow:
    """An entry by hand, and who approved it."""
    return pb.ManualEntryRow(
        entry=entry({**row, "kind": "manual", "description": row["reason"]}),
        approver=str(row["approver"] or ""),
        approved_because=str(row["approved_because"] or ""),
    )


def control(found: Report, column: str) -> list[Any]:
    """What the accounts say of a column, one per currency."""
    return [wire.money(one.expected) for one in found.controls if one.column == column]


def _of_entry(row: Row) -> dict[str, Any]:
    return {
        "entry_number": row["entry_number"],
        "effective_date": row["effective_date"],
        "recorded_at": wire.moment(datetime.fromisoformat(str(row["recorded_at"]))),
        "actor": row["actor"],
        "kind": _kind(row),
        "description": row["description"],
    }


def _kind(row: Row) -> postings_pb2.Kind.ValueType:
    return postings_pb2.Kind.Value(f"KIND_{str(row['kind']).upper()}")


def _amount(row: Row, name: str) -> Amount:
    cell = row[name]
    assert isinstance(cell, Amount)
    return cell


def _whole(row: Row, name: str) -> int:
    cell = row[name]
    assert isinstance(cell, int)
    return cell
