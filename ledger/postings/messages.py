"""Between the wire's messages and what the books post: requests in, entries out."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Protocol, TypedDict

from google.protobuf.message import Message

from ledger import caller, fields, wire
from ledger.accounts.account import CODE_LENGTH, Side, account_code
from ledger.errors import AmountInvalid, FieldMissing, Refusal, SideMissing
from ledger.money import LARGEST, Amount
from ledger.postings.batch import Outcome, Request
from ledger.postings.commands import (
    AbsorbDenial,
    ChargeProvider,
    Command,
    PayProvider,
    Post,
    RecoverDenial,
    ReverseEntry,
    WriteOffRemainder,
)
from ledger.postings.entry import Dimensions, JournalEntry, Kind, PostedEntry, Posting
from ledger.postings.listing import Narrowed
from ledger.postings.rules import Session, session_earned
from ledger.v1 import accounts_pb2, charges_pb2, errors_pb2, write_offs_pb2
from ledger.v1 import postings_pb2 as pb

_SIDES: Mapping[int, Side] = {accounts_pb2.SIDE_DEBIT: Side.DEBIT, accounts_pb2.SIDE_CREDIT: Side.CREDIT}
_KINDS: Mapping[int, Kind] = {pb.Kind.Value(f"KIND_{kind.upper()}"): kind for kind in Kind}
_NAMES = (
    "payer",
    "provider",
    "claim",
    "session",
    "plan",
    "service_code",
    "licence_type",
    "state",
    "remittance",
    "pay_cycle",
)
_NO_DIMENSIONS = Dimensions()
_KIND_VALUES: Mapping[Kind, pb.Kind.ValueType] = {kind: pb.Kind.Value(f"KIND_{kind.upper()}") for kind in Kind}


class Asked(Protocol):
    """Any request that can be asked without being recorded."""

    @property
    def validate_only(self) -> bool:
        """Decide and answer, but record nothing."""


class Answer(TypedDict):
    """What every response to a posting holds."""

    entry: pb.JournalEntry
    replayed: bool


def entry_to_post(message: pb.EntryToPost) -> Request:
    """An entry as a caller gives it. Raises an Invalid refusal for the first field that is wrong."""
    key = _key(message.idempotency_key)
    complete = JournalEntry(
        kind=Kind.MANUAL,
        effective_date=fields.day("effective_date", message.effective_date),
        description=fields.required("description", message.description, fields.TEXT_LENGTH),
        dimensions=_dimensions(message),
        postings=tuple(_posting(line, posting) for line, posting in enumerate(message.postings, 1)),
    )
    return _request(key, Post(complete))


def read_or_refusal(message: pb.EntryToPost) -> Request | Refusal:
    """The same for one of many entries, whose refusal is an answer rather than an error."""
    try:
        return entry_to_post(message)
    except Refusal as refusal:
        return refusal


def reverse_entry(message: pb.ReverseEntryRequest) -> Callable[[int], Request]:
    """A reversal as a caller asks for it, to be had once it is known how many postings the entry has."""
    key = _key(message.idempotency_key)
    if message.number <= 0:
        raise FieldMissing("number is required", field="number")
    effective_date = fields.optional_day("effective_date", message.effective_date)
    reason = _reason(message.reason)
    return lambda posting_count: _request(key, ReverseEntry(message.number, effective_date, reason, posting_count))


def record_session(message: pb.RecordSessionRequest) -> Request:
    """A session as a caller reports it."""
    key = _key(message.idempotency_key)
    names = {name: getattr(message, name) for name in ("session", "claim", "payer", "provider")}
    required = {name: fields.required(name, value) for name, value in names.items()}
    optional = {name: _optional(message, name) for name in ("plan", "service_code", "licence_type", "state")}
    service_date = fields.day("service_date", message.service_date)
    effective_date = fields.optional_day("effective_date", message.effective_date) or service_date
    allowed = _in_range("allowed", wire.amount("allowed", message), least=0)
    share = wire.optional_amount("patient_share", message) or Amount(0, allowed.currency)
    share = _in_range("patient_share", share, least=0)
    rate = _in_range("provider_rate", wire.amount("provider_rate", message), least=0)
    charge = _optional_amount("charge", message)
    reason = fields.text("reason", message.reason, fields.TEXT_LENGTH)
    session = Session(
        payer=required["payer"],
        provider=required["provider"],
        claim=required["claim"],
        allowed=allowed,
        patient_share=share,
        provider_rate=rate,
        dimensions=Dimensions(**required, **optional, service_date=service_date, charge=charge),
    )
    return _request(key, Post(session_earned(session, effective_date, reason)))


def pay_provider(message: pb.PayProviderRequest) -> Request:
    """A payout as a caller orders it."""
    key = _key(message.idempotency_key)
    command = PayProvider(
        provider=fields.required("provider", message.provider),
        amount=_in_range("amount", wire.amount("amount", message)),
        effective_date=fields.day("effective_date", message.effective_date),
        pay_cycle=_optional(message, "pay_cycle"),
        in_transit=message.in_transit,
        reason=fields.text("reason", message.reason, fields.TEXT_LENGTH),
    )
    return _request(key, command)


def charge_provider(message: charges_pb2.ChargeProviderRequest) -> Request:
    """A provider's own fault, as a caller proposes it."""
    key = _key(message.idempotency_key)
    command = ChargeProvider(
        provider=fields.required("provider", message.provider),
        claim=_optional(message, "claim"),
        amount=_in_range("amount", wire.amount("amount", message)),
        effective_date=fields.day("effective_date", message.effective_date),
        reason=_reason(message.reason),
    )
    return _request(key, command)


def absorb_denial(message: pb.AbsorbDenialRequest) -> Request:
    """A denial that a person decides to absorb."""
    return _request(_key(message.idempotency_key), AbsorbDenial(**_about_denial(message)))


def recover_denial(message: pb.RecoverDenialRequest) -> Request:
    """An absorbed denial that was overturned."""
    return _request(_key(message.idempotency_key), RecoverDenial(**_about_denial(message)))


def write_off(message: write_offs_pb2.WriteOffRequest) -> Request:
    """A small rest that a person gives up, as a caller proposes it."""
    return _request(_key(message.idempotency_key), WriteOffRemainder(**_about_denial(message)))


class _Denial(TypedDict):
    claim: str
    payer: str | None
    amount: Amount | None
    effective_date: date
    reason: str


def _about_denial(
    message: pb.AbsorbDenialRequest | pb.RecoverDenialRequest | write_offs_pb2.WriteOffRequest,
) -> _Denial:
    return {
        "claim": fields.required("claim", message.claim),
        "payer": _optional(message, "payer"),
        "amount": _optional_amount("amount", message),
        "effective_date": fields.day("effective_date", message.effective_date),
        "reason": _reason(message.reason),
    }


def _request(key: str, command: Command) -> Request:
    return Request(caller.actor.get(), key, command, by_finance=caller.is_finance.get())


def _key(value: str) -> str:
    return fields.required("idempotency_key", value, fields.KEY_LENGTH)


def _reason(value: str) -> str:
    return fields.required("reason", value, fields.TEXT_LENGTH)


def _optional(message: Message, name: str) -> str | None:
    return fields.optional(name, getattr(message, name))


def _in_range(field: str, amount: Amount, least: int = 1) -> Amount:
    if not least <= amount.minor_units <= LARGEST:
        raise AmountInvalid(
            f"{field} is {least} to {LARGEST} minor units, not {amount.minor_units}",
            field=field,
            minor_units=amount.minor_units,
        )
    return amount


def _optional_amount(field: str, message: Message) -> Amount | None:
    amount = wire.optional_amount(field, message)
    return None if amount is None else _in_range(field, amount)


def _dimensions(message: pb.EntryToPost) -> Dimensions:
    """Those of an entry; most entries by hand have none."""
    return _stated(message.dimensions) if message.HasField("dimensions") else _NO_DIMENSIONS


def _stated(message: pb.Dimensions) -> Dimensions:
    names = {name: _optional(message, name) for name in _NAMES}
    service_date = fields.optional_day("service_date", message.service_date)
    return Dimensions(**names, service_date=service_date, charge=_optional_amount("charge", message))


def _posting(line: int, message: pb.Posting) -> Posting:
    """A line of an entry; what refuses it says in which place it stands, counted from 1."""
    try:
        return Posting(
            account=account_code(fields.required("account", message.account, CODE_LENGTH)),
            side=_side(message.side),
            amount=_in_range("amount", wire.amount("amount", message)),
            item=_optional(message, "item"),
        )
    except Refusal as refusal:
        raise refusal.within(f"postings[{line}]") from None


def _side(value: accounts_pb2.Side.ValueType) -> Side:
    side = fields.choice("side", value, _SIDES)
    if side is None:
        raise SideMissing("side is required: debit or credit", field="side")
    return side


def kind(value: pb.Kind.ValueType) -> Kind | None:
    """A kind as the books spell it; None where the wire leaves it open. Raises ChoiceInvalid."""
    return fields.choice("kind", value, _KINDS)


def narrowed(request: pb.ListEntriesRequest) -> Narrowed:
    """What a listing is narrowed to. Raises what the fields are refused with."""
    return Narrowed(
        account=account_code(request.account) if request.account else None,
        item=fields.text("item", request.item) if request.item else None,
        kind=kind(request.kind),
        effective_from=fields.optional_day("effective_from", request.effective_from),
        effective_to=fields.optional_day("effective_to", request.effective_to),
    )


def result(outcome: Outcome, *, recorded: bool = True) -> pb.EntryResult:
    """One of many answers."""
    if isinstance(outcome, Refusal):
        return pb.EntryResult(refusal=_refusal(outcome))
    return pb.EntryResult(entry=entry(outcome.entry, recorded=recorded), replayed=outcome.replayed)


def _refusal(refusal: Refusal) -> errors_pb2.Refusal:
    reason = errors_pb2.Reason.Value(f"REASON_{refusal.reason}")
    return errors_pb2.Refusal(reason=reason, message=refusal.message, metadata=refusal.facts)


def entry(posted: PostedEntry, *, recorded: bool = True) -> pb.JournalEntry:
    """An entry as the wire has it; one that is not recorded has no number, id, time or hash."""
    message = pb.JournalEntry(
        kind=_KIND_VALUES[posted.entry.kind],
        effective_date=wire.day(posted.entry.effective_date),
        description=posted.entry.description,
        idempotency_key=posted.idempotency_key,
        actor=posted.actor,
        reverses=posted.entry.reverses or 0,
        dimensions=_about(posted.entry.dimensions),
        postings=[_line(posting) for posting in posted.entry.postings],
    )
    if recorded:
        message.number, message.id, message.hash = posted.number, str(posted.id), posted.hash
        message.recorded_at.CopyFrom(wire.stamp(posted.recorded_at))
    return message


def _about(dimensions: Dimensions) -> pb.Dimensions | None:
    if dimensions == _NO_DIMENSIONS:
        return None
    names = {name: getattr(dimensions, name) or "" for name in _NAMES}
    charge = wire.money(dimensions.charge) if dimensions.charge else None
    return pb.Dimensions(**names, service_date=wire.day(dimensions.service_date), charge=charge)


def _line(posting: Posting) -> pb.Posting:
    return pb.Posting(
        account=posting.account,
        side=wire.side(posting.side),
        amount=wire.money(posting.amount),
        item=posting.item or "",
    )
