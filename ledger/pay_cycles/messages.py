"""Between the wire's messages and calendars, bank details, cycles and payments."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, TypedDict

from sqlalchemy import Row

from ledger import caller, fields, wire
from ledger.errors import FieldMissing
from ledger.money import Amount
from ledger.pay_cycles.calendar import Calendar, Rhythm
from ledger.pay_cycles.payee import AccountType, BankAccount, Holder, Payee
from ledger.pay_cycles.refusals import PayCalendarInvalid
from ledger.pay_cycles.store import CalendarVersion, Hold
from ledger.v1 import pay_cycles_pb2 as pb

_HOLDERS: Mapping[int, Holder] = {pb.AccountHolder.Value(f"ACCOUNT_HOLDER_{one.upper()}"): one for one in Holder}
_TYPES: Mapping[int, AccountType] = {
    pb.BankAccountType.Value(f"BANK_ACCOUNT_TYPE_{one.upper()}"): one for one in AccountType
}
_FORMATS: Mapping[int, str] = {pb.PAYMENT_FILE_FORMAT_NACHA: "nacha", pb.PAYMENT_FILE_FORMAT_CSV: "csv"}
_BANK_NAME_LENGTH = 23
_PAYEE_LENGTH = 22


@dataclass(frozen=True, slots=True)
class CycleWanted:
    """A cycle that somebody proposes to pay."""

    cut_off: date


@dataclass(frozen=True, slots=True)
class PayeeWanted:
    """Bank details that somebody proposes to put in force."""

    provider: str
    version: int


@dataclass(frozen=True, slots=True)
class FileAsked:
    """A payment file that somebody reads, and why."""

    cycle: date
    format: str
    currency: str
    reason: str


def reason(value: str) -> str:
    """Why something is done, for the auditor."""
    return fields.required("reason", value, fields.TEXT_LENGTH)


def calendar(message: pb.SetPayCalendarRequest) -> Calendar:
    """A calendar as somebody sets it. Raises PayCalendarInvalid."""
    if not message.HasField("calendar"):
        raise FieldMissing("calendar is required", field="calendar")
    given = message.calendar
    if bool(given.days_of_month) == bool(given.every_days):
        raise PayCalendarInvalid("a calendar has days_of_month or every_days", field="days_of_month")
    return Calendar(
        rhythm=Rhythm.DAYS_OF_MONTH if given.days_of_month else Rhythm.EVERY_DAYS,
        days=tuple(given.days_of_month) or (given.every_days,),
        first_cut_off=fields.day("first_cut_off", given.first_cut_off),
        days_to_payment=given.days_to_payment,
    )


def cycle_wanted(message: pb.RunPayCycleRequest) -> CycleWanted:
    """The cycle that is meant."""
    return CycleWanted(fields.day("cut_off", message.cut_off))


def payee_wanted(message: pb.AcceptPayee) -> PayeeWanted:
    """The bank details that are meant."""
    if message.version < 1:
        raise FieldMissing("version is required", field="version")
    return PayeeWanted(fields.text("provider", message.provider), message.version)


def payee(message: pb.SetPayeeRequest) -> tuple[Payee, BankAccount]:
    """Bank details as somebody sets them. Raises PayeeInvalid; no refusal repeats a number."""
    holder = fields.choice("holder", message.holder, _HOLDERS)
    account_type = fields.choice("account_type", message.account_type, _TYPES)
    for field, given in (("holder", holder), ("account_type", account_type)):
        if given is None:
            raise FieldMissing(f"{field} is required", field=field)
    currency = fields.currency("currency_code", fields.required("currency_code", message.currency_code))
    account = BankAccount(
        routing_number=fields.required("routing_number", message.routing_number),
        account_number=fields.required("account_number", message.account_number),
        currency=currency,
    )
    shown = Payee(
        provider=fields.text("provider", message.provider),
        name=fields.required("name", message.name, _PAYEE_LENGTH),
        holder=holder or Holder.PERSON,
        account_type=account_type or AccountType.CHECKING,
        currency=currency,
        last_four=account.last_four,
        company_id=fields.text("company_id", message.company_id),
        bank_name=fields.text("bank_name", message.bank_name, _BANK_NAME_LENGTH),
        reason=reason(message.reason),
        set_by=caller.actor.get(),
    )
    return shown, account


def file_asked(message: pb.GetPaymentFileRequest) -> FileAsked:
    """Which file is read, and why."""
    form = fields.choice("format", message.format, _FORMATS)
    if form is None:
        raise FieldMissing("format is required", field="format")
    return FileAsked(
        cycle=fields.day("cycle", message.cycle),
        format=form,
        currency=fields.currency("currency_code", message.currency_code or "USD"),
        reason=reason(message.reason),
    )


class Held(TypedDict):
    """How holding and releasing are answered."""

    hold: pb.ProviderHold
    replayed: bool


# --- what is answered ---------------------------------------------------------------------------------


def calendar_version(found: CalendarVersion) -> pb.PayCalendarVersion:
    """A calendar as the wire has it."""
    one = found.calendar
    by_month = one.rhythm is Rhythm.DAYS_OF_MONTH
    return pb.PayCalendarVersion(
        calendar=pb.PayCalendar(
            days_of_month=one.days if by_month else (),
            every_days=0 if by_month else one.days[0],
            first_cut_off=wire.day(one.first_cut_off),
            days_to_payment=one.days_to_payment,
        ),
        version=found.version,
        reason=found.reason,
        set_by=found.set_by,
        set_at=wire.moment(found.set_at),
    )


def provider_hold(found: Hold) -> pb.ProviderHold:
    """A hold as the wire has it."""
    return pb.ProviderHold(
        provider=found.provider,
        held=found.held,
        version=found.version,
        reason=found.reason,
        set_by=found.set_by,
        set_at=wire.moment(found.set_at),
    )


def payee_shown(found: Payee, *, in_force: bool) -> pb.Payee:
    """Bank details as they may be shown."""
    return pb.Payee(
        provider=found.provider,
        version=found.version,
        name=found.name,
        holder=pb.AccountHolder.Value(f"ACCOUNT_HOLDER_{found.holder.upper()}"),
        account_type=pb.BankAccountType.Value(f"BANK_ACCOUNT_TYPE_{found.account_type.upper()}"),
        currency_code=found.currency,
        last_four=found.last_four,
        company_id=found.company_id,
        bank_name=found.bank_name,
        in_force=in_force,
        reason=found.reason,
        set_by=found.set_by,
        set_at=wire.moment(found.set_at),
        proposal=found.proposal or 0,
    )


def item(row: Row[Any], currency: str) -> pb.PayItem:
    """What a line counted."""
    return pb.PayItem(
        entry_number=row.entry_number,
        kind=pb.PayItemKind.Value(f"PAY_ITEM_KIND_{row.kind.upper()}"),
        effective_date=wire.day(row.effective_date),
        service_date=wire.day(row.service_date),
        claim=row.claim or "",
        session=row.session or "",
        service_code=row.service_code or "",
        description=row.description,
        amount=wire.money(Amount(row.amount, currency)),
    )
