"""Between the wire's messages and what the books post: requests in, entries out."""

from datetime import date
from typing import Protocol, TypedDict

from google.protobuf.message import Message

from ledger import caller, fields, wire
from ledger.accounts.account import CODE_LENGTH, Side
from ledger.errors import AmountInvalid, FieldMissing, Refusal, SideMissing, TextInvalid
from ledger.money import LARGEST, Amount
from ledger.postings.batch import Outcome, Request
from ledger.postings.commands import AbsorbDenial, Command, PayProvider, Post, RecoverDenial, ReverseEntry
from ledger.postings.entry import Dimensions, JournalEntry, Kind, PostedEntry, Posting
from ledger.postings.rules import Session, session_earned
from ledger.v1 import accounts_pb2, errors_pb2
from ledger.v1 import postings_pb2 as pb

_SIDES = {accounts_pb2.SIDE_DEBIT: Side.DEBIT, accounts_pb2.SIDE_CREDIT: Side.CREDIT}
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
        description=fields.text("description", message.description, fields.TEXT_LENGTH),
        dimensions=_dimensions(message.dimensions),
        postings=tuple(_posting(line, posting) for line, posting in enumerate(message.postings, 1)),
    )
    return _request(key, Post(complete))


def read_or_refusal(message: pb.EntryToPost) -> Request | Refusal:
    """The same for one of many entries, whose refusal is an answer rather than an error."""
    try:
        return entry_to_post(message)
    except Refusal as refusal:
        return refusal


def reverse_entry(message: pb.ReverseEntryRequest) -> Request:
    """A reversal as a caller asks for it."""
    key = _key(message.idempotency_key)
    if message.number <= 0:
        raise FieldMissing("number is required", field="number")
    effective_date = fields.day("effective_date", message.effective_date)
    return _request(key, ReverseEntry(message.number, effective_date, _reason(message.reason)))


def record_session(message: pb.RecordSessionRequest) -> Request:
    """A session as a caller reports it."""
    key = _key(message.idempotency_key)
    names = {name: getattr(message, name) for name in ("session", "claim", "payer", "provider")}
    required = {name: fields.required(name, value) for name, value in names.items()}
    optional = {name: _optional(message, name) for name in ("plan", "service_code", "licence_type", "state")}
    service_date = fields.day("service_date", message.service_date)
    effective_date = fields.optional_day("effective_date", message.effective_date) or service_date
    allowed = wire.amount("allowed", message)
    session = Session(
        payer=required["payer"],
        provider=required["provider"],
        claim=required["claim"],
        allowed=allowed,
        patient_share=wire.optional_amount("patient_share", message) or Amount(0, allowed.currency),
        provider_rate=wire.amount("provider_rate", message),
        dimensions=Dimensions(**required, **optional, service_date=service_date, charge=_charge(message)),
    )
    return _request(key, Post(session_earned(session, effective_date)))


def pay_provider(message: pb.PayProviderRequest) -> Request:
    """A payout as a caller orders it."""
    key = _key(message.idempotency_key)
    command = PayProvider(
        provider=fields.required("provider", message.provider),
        amount=_positive(wire.amount("amount", message)),
        effective_date=fields.day("effective_date", message.effective_date),
        pay_cycle=_optional(message, "pay_cycle"),
        in_transit=message.in_transit,
    )
    return _request(key, command)


def absorb_denial(message: pb.AbsorbDenialRequest) -> Request:
    """A denial that a person decides to absorb."""
    return _request(_key(message.idempotency_key), AbsorbDenial(**_about_denial(message)))


def recover_denial(message: pb.RecoverDenialRequest) -> Request:
    """An absorbed denial that was overturned."""
    return _request(_key(message.idempotency_key), RecoverDenial(**_about_denial(message)))


class _Denial(TypedDict):
    claim: str
    payer: str | None
    amount: Amount | None
    effective_date: date
    reason: str


def _about_denial(message: pb.AbsorbDenialRequest | pb.RecoverDenialRequest) -> _Denial:
    amount = wire.optional_amount("amount", message)
    return {
        "claim": fields.required("claim", message.claim),
        "payer": _optional(message, "payer"),
        "amount": _positive(amount) if amount else None,
        "effective_date": fields.day("effective_date", message.effective_date),
        "reason": _reason(message.reason),
    }


def _request(key: str, command: Command) -> Request:
    return Request(caller.actor.get(), key, command)


def _key(value: str) -> str:
    return fields.required("idempotency_key", value, fields.KEY_LENGTH)


def _reason(value: str) -> str:
    return fields.required("reason", value, fields.TEXT_LENGTH)


def _optional(message: Message, name: str) -> str | None:
    return fields.optional(name, getattr(message, name))


def _positive(amount: Amount, field: str = "amount") -> Amount:
    if not 0 < amount.minor_units <= LARGEST:
        raise AmountInvalid(
            f"{field} is 1 to {LARGEST} minor units, not {amount.minor_units}",
            field=field,
            minor_units=amount.minor_units,
        )
    return amount


def _charge(message: Message) -> Amount | None:
    charge = wire.optional_amount("charge", message)
    return None if charge is None else _positive(charge, "charge")


def _dimensions(message: pb.Dimensions) -> Dimensions:
    names = {name: _optional(message, name) for name in _NAMES}
    service_date = fields.optional_day("service_date", message.service_date)
    return Dimensions(**names, service_date=service_date, charge=_charge(message))


def _posting(line: int, message: pb.Posting) -> Posting:
    side = _SIDES.get(message.side)
    if side is None:
        raise SideMissing(f"posting {line} is neither a debit nor a credit", line=line)
    return Posting(
        account=fields.required("account", message.account, CODE_LENGTH),
        side=side,
        amount=wire.amount("amount", message),
        item=_optional(message, "item"),
    )


def kind(value: pb.Kind.ValueType) -> Kind | None:
    """A kind as the books spell it; None where the wire leaves it open. Raises TextInvalid."""
    if value not in pb.Kind.values():
        raise TextInvalid(f"{value} is no kind of entry", field="kind")
    return Kind(pb.Kind.Name(value).removeprefix("KIND_").lower()) if value else None


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
        kind=pb.Kind.Value(f"KIND_{posted.entry.kind.upper()}"),
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
        message.recorded_at.FromDatetime(posted.recorded_at)
    return message


def _about(dimensions: Dimensions) -> pb.Dimensions:
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
