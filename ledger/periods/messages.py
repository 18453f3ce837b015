"""Between the wire's messages and months, closes and what is found."""

from collections.abc import Mapping
from datetime import date

from ledger import fields, wire
from ledger.accounts.account import Totals
from ledger.errors import NumberInvalid, PageInvalid
from ledger.money import Amount
from ledger.periods.closing import Closing
from ledger.periods.period import (
    LONGEST_LIMIT,
    Close,
    Finding,
    FrozenBalance,
    Override,
    Period,
    written,
)
from ledger.periods.store import MonthPlace
from ledger.reports.report import Cell
from ledger.v1 import money_pb2
from ledger.v1 import periods_pb2 as pb


def reason(value: str) -> str:
    """Why a month is changed."""
    return fields.required("reason", value, fields.TEXT_LENGTH)


def closing(message: pb.ClosePeriodRequest, actor: str) -> Closing:
    """A close as a caller asks for it. Raises an Invalid refusal for the first field that is wrong."""
    return Closing(
        book=fields.book_name(message.book),
        month=fields.month("month", message.month),
        reason=reason(message.reason),
        actor=actor,
        limit_days=_limit(message),
        override=_override(message.override) if message.HasField("override") else None,
    )


def _limit(message: pb.ClosePeriodRequest) -> int:
    return limit_days("limit_days", message.limit_days if message.HasField("limit_days") else LONGEST_LIMIT)


def limit_days(field: str, days: int) -> int:
    """How old something must be to stand in the way. Raises NumberInvalid."""
    if not 0 <= days <= LONGEST_LIMIT:
        raise NumberInvalid(f"{field} is 0 to {LONGEST_LIMIT}, not {days}", field=field, value=days)
    return days


def _override(message: pb.PeriodOverride) -> Override:
    return override("override.person", message.person, "override.reason", message.reason)


def override(person_field: str, person: str, reason_field: str, its_reason: str) -> Override:
    """Who takes responsibility, and why. Raises FieldMissing or TextInvalid."""
    return Override(
        fields.required(person_field, person), fields.required(reason_field, its_reason, fields.TEXT_LENGTH)
    )


def version(value: int) -> int:
    """Which version of a month is meant, 0 for the one in force. Raises NumberInvalid."""
    if value < 0:
        raise NumberInvalid(f"version is 0 or more, not {value}", field="version", value=value)
    return value


def balances_place(request: pb.GetPeriodRequest) -> tuple[int, str]:
    """Which version is meant, and behind which account its page begins. Raises NumberInvalid or PageInvalid.

    A page's token says the version that the first page showed, so that all pages are of one close.
    """
    asked = version(request.version)
    start = wire.page_start(request)
    if not start:
        return asked, ""
    number, _, account = start.partition(" ")
    return _version(number), account


def balances_token(request: pb.GetPeriodRequest, shown: Period, last: pb.FrozenBalance) -> str:
    """Where the page after this one begins."""
    return wire.page_token(request, f"{shown.version} {last.account}")


def _version(number: str) -> int:
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise PageInvalid("page_token is not one of ours")
    return int(number)


def place(request: pb.ListPeriodsRequest) -> MonthPlace | None:
    """Behind which version a page begins; None for the first. Raises PageInvalid."""
    start = wire.page_start(request)
    if not start:
        return None
    month, _, number = start.partition(" ")
    try:
        found = date.fromisoformat(month)
    except ValueError:
        raise PageInvalid("page_token is not one of ours") from None
    return found, _version(number)


def token(request: pb.ListPeriodsRequest, last: Period) -> str:
    """Where the page after this one begins."""
    return wire.page_token(request, f"{last.month} {last.version}")


# --- what is answered ---------------------------------------------------------------------------------


def period(found: Period) -> pb.Period:
    """A month as the wire has it."""
    return pb.Period(
        month=written(found.month),
        state=pb.PeriodState.Value(f"PERIOD_STATE_{found.state.upper()}"),
        version=found.version,
        reason=found.reason,
        set_by=found.set_by,
        set_at=wire.moment(found.set_at),
        after_entry=found.after_entry,
        proposal=found.proposal or 0,
        close=_close(found.close) if found.close else None,
    )


def foreseen(found: Period) -> pb.Period:
    """A month as it would be: nobody has set it yet, so that it has neither time nor hash."""
    message = period(found)
    message.ClearField("set_at")
    message.close.ClearField("hash")
    return message


def _close(found: Close) -> pb.PeriodClose:
    taken = found.override
    return pb.PeriodClose(
        hash=found.hash,
        last_entry_hash=found.last_entry_hash,
        limit_days=found.limit_days,
        override=pb.PeriodOverride(person=taken.person, reason=taken.reason) if taken else None,
    )


def findings(found: Period) -> list[pb.Finding]:
    """What stood in the way of a close."""
    return [_finding(one) for one in (found.close.findings if found.close else ())]


def _finding(found: Finding) -> pb.Finding:
    return pb.Finding(
        kind=pb.FindingKind.Value(f"FINDING_KIND_{found.kind.upper()}"),
        subject=found.subject,
        item=found.item or "",
        amount=_amount(found),
        since=wire.day(found.since),
        days=found.days,
    )


def _amount(found: Finding) -> money_pb2.Money | None:
    if found.amount is None or found.currency is None:
        return None
    return wire.money(Amount(found.amount, found.currency))


def balances(found: Period) -> list[pb.FrozenBalance]:
    """The trial balance of a close."""
    return [_balance(one) for one in (found.close.balances if found.close else ())]


def _balance(found: FrozenBalance) -> pb.FrozenBalance:
    totals = Totals(found.debits, found.credits)
    return pb.FrozenBalance(account=found.account, balance=wire.balance(totals, found.currency))


def service_months(row: Mapping[str, Cell]) -> pb.ServiceMonthsRow:
    """A row of the report; the columns are named as the fields."""
    amounts = {name: wire.money(cell) for name, cell in row.items() if isinstance(cell, Amount)}
    return pb.ServiceMonthsRow(
        service_month=str(row["service_month"]), effective_month=str(row["effective_month"]), **amounts
    )
