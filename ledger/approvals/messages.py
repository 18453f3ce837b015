"""Between the wire's messages and limits, proposals and acts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict

from ledger import fields, wire
from ledger.approvals.limit import LIMITED, ApprovalLimit
from ledger.approvals.proposal import Json, Proposal, State
from ledger.errors import AmountInvalid, FieldMissing, FieldsContradict, PageInvalid, Refusal
from ledger.money import LARGEST, Amount
from ledger.pay_cycles import messages as pay_cycles
from ledger.pay_cycles.messages import CycleWanted, PayeeWanted
from ledger.postings import messages as postings
from ledger.postings.batch import Request
from ledger.postings.entry import Kind
from ledger.v1 import approvals_pb2 as pb
from ledger.v1 import postings_pb2

_KINDS: Mapping[int, Kind] = {postings_pb2.Kind.Value(f"KIND_{kind.upper()}"): kind for kind in LIMITED}
_STATES: Mapping[int, State] = {pb.ProposalState.Value(f"PROPOSAL_STATE_{one.upper()}"): one for one in State}
_HASH_LENGTH = 32
_UNKEYED = {"set_approval_limit", "reopen_period", "run_pay_cycle", "accept_payee"}
"""Acts whose request has no idempotency key of its own."""


@dataclass(frozen=True, slots=True)
class LimitWanted:
    """A limit as a caller wants it; `amount` is minor units, None where there shall be none."""

    kind: Kind
    currency: str
    amount: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class ReopeningWanted:
    """A month that a caller wants open again."""

    month: date
    reason: str


Wanted = LimitWanted | ReopeningWanted | CycleWanted | PayeeWanted | Request | Callable[[int], Request]
"""What an act is: a limit, a month, a pay cycle, bank details, an entry, or a reversal, which must know how many
postings the entry has."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An act with its request filled in: the proposal's book and key where it named none."""

    name: str
    act: pb.Act
    wanted: Wanted

    def json(self) -> dict[str, Any]:
        """As it is kept."""
        return as_json(self.act)


def limit_wanted(message: pb.SetApprovalLimitRequest) -> LimitWanted:
    """A limit as a caller sets it, or wants it set."""
    kind = fields.choice("kind", message.kind, _KINDS)
    if kind is None:
        raise FieldMissing("kind is required", field="kind")
    currency = fields.required("currency_code", message.currency_code)
    return LimitWanted(
        kind=kind,
        currency=fields.currency("currency_code", currency),
        amount=_amount(message),
        reason=fields.required("reason", message.reason, fields.TEXT_LENGTH),
    )


def _amount(message: pb.SetApprovalLimitRequest) -> int | None:
    if message.removed:
        return None
    if message.WhichOneof("limit") != "minor_units":
        raise FieldMissing("minor_units or removed is required", field="minor_units")
    if not 0 <= message.minor_units <= LARGEST:
        raise AmountInvalid(
            f"minor_units is 0 to {LARGEST}, not {message.minor_units}",
            field="minor_units",
            minor_units=message.minor_units,
        )
    return message.minor_units


def asked(request: pb.ProposeRequest) -> Asked:
    """An act as a caller proposes it. Refuses by the field's place: `act.pay_provider.amount`."""
    name = request.act.WhichOneof("request")
    if name is None:
        raise FieldMissing("act is required", field="act")
    act = pb.Act()
    act.CopyFrom(request.act)
    inner = getattr(act, name)
    try:
        _fill_in(inner, "book", request.book)
        if name not in _UNKEYED:
            keyed = inner.entry if name == "post_entry" else inner
            _fill_in(keyed, "idempotency_key", request.idempotency_key)
        if getattr(inner, "validate_only", False):
            raise FieldsContradict("a proposal is not only validated", field="validate_only")
        return Asked(name, act, wanted(name, inner))
    except Refusal as refusal:
        raise refusal.within(f"act.{name}") from None


def _fill_in(message: Any, field: str, value: str) -> None:
    if getattr(message, field) not in ("", value):
        raise FieldsContradict(f"{field} is another than the proposal's", field=field)
    setattr(message, field, value)


def wanted(name: str, request: Any) -> Wanted:
    """What the request of an act is about. Raises an Invalid refusal for the first field that is wrong."""
    match name:
        case "post_entry":
            return postings.entry_to_post(request.entry)
        case "reverse_entry":
            return postings.reverse_entry(request)
        case "pay_provider":
            return postings.pay_provider(request)
        case "absorb_denial":
            return postings.absorb_denial(request)
        case "recover_denial":
            return postings.recover_denial(request)
        case "reopen_period":
            return ReopeningWanted(fields.month("month", request.month), reason(request.reason))
        case "run_pay_cycle":
            return pay_cycles.cycle_wanted(request)
        case "accept_payee":
            return pay_cycles.payee_wanted(request)
        case "write_off":
            return postings.write_off(request)
        case "charge_provider":
            return postings.charge_provider(request)
        case _:
            return limit_wanted(request)


def kept(proposal: Proposal) -> Asked:
    """The act of a proposal that was made before."""
    act = ParseDict(dict(proposal.asked), pb.Act())
    return Asked(proposal.act, act, wanted(proposal.act, getattr(act, proposal.act)))


def kept_preview(proposal: Proposal) -> pb.Preview:
    """What was shown of it."""
    return ParseDict(dict(proposal.shown), pb.Preview())


def as_json(message: pb.Act | pb.Preview) -> dict[str, Any]:
    """A message as the database keeps it: people can read it there, and numbers are texts, so exact."""
    return MessageToDict(message, preserving_proto_field_name=True)


def differing(earlier: Json, now: Json) -> list[str]:
    """The fields in which the requests of two acts differ."""
    flat, other = (_fields(one) for one in (earlier, now))
    return sorted(name for name in flat.keys() | other.keys() if flat.get(name) != other.get(name))


def _fields(act: Any) -> dict[str, object]:
    """The fields of an act's request, those of an entry as if they were its own; `act` says which request."""
    [(name, request)] = act.items()
    return {"act": name, **request, **request.get("entry", {}), "entry": None}


def key(request: pb.ProposeRequest) -> str:
    """The maker's key."""
    return fields.required("idempotency_key", request.idempotency_key, fields.KEY_LENGTH)


def reason(value: str) -> str:
    """Why something is proposed or decided."""
    return fields.required("reason", value, fields.TEXT_LENGTH)


def number(value: int) -> int:
    """Which proposal is meant."""
    if value <= 0:
        raise FieldMissing("number is required", field="number")
    return value


def seen(value: bytes) -> bytes:
    """The hash of what an approver has seen."""
    if len(value) != _HASH_LENGTH:
        raise FieldMissing("content_hash is required: the 32 bytes of the proposal's", field="content_hash")
    return value


def state(value: pb.ProposalState.ValueType) -> State | None:
    """A state that a listing is narrowed to. Raises ChoiceInvalid."""
    return fields.choice("state", value, _STATES)


def limit_place(request: pb.ListApprovalLimitsRequest) -> tuple[str, str, int]:
    """Behind which limit a page begins. Raises PageInvalid."""
    kind, _, rest = (wire.page_start(request) or "  0").partition(" ")
    currency, _, version = rest.partition(" ")
    if not (version.isascii() and version.isdigit() and len(version) < 10):
        raise PageInvalid("page_token is not one of ours")
    return kind, currency, int(version)


# --- what is answered ---------------------------------------------------------------------------------


def limit(found: ApprovalLimit) -> pb.ApprovalLimit:
    """A limit as the wire has it."""
    return pb.ApprovalLimit(
        kind=postings_pb2.Kind.Value(f"KIND_{found.kind.upper()}"),
        currency_code=found.currency,
        amount=None if found.amount is None else wire.money(Amount(found.amount, found.currency)),
        version=found.version,
        reason=found.reason,
        set_by=found.set_by,
        set_at=wire.moment(found.set_at),
        after_entry=found.after_entry,
        proposal=found.proposal or 0,
    )


def proposal(found: Proposal) -> pb.Proposal:
    """A proposal as the wire has it."""
    return pb.Proposal(
        number=found.number,
        state=pb.ProposalState.Value(f"PROPOSAL_STATE_{found.state.upper()}"),
        act=ParseDict(dict(found.asked), pb.Act()),
        preview=kept_preview(found),
        content_hash=found.content_hash,
        proposed_by=found.proposed_by,
        proposed_at=wire.moment(found.proposed_at),
        idempotency_key=found.idempotency_key,
        reason=found.reason,
        age_seconds=found.age_seconds,
        decision=_decision(found),
    )


def _decision(found: Proposal) -> pb.ProposalDecision | None:
    decision = found.decision
    if decision is None:
        return None
    return pb.ProposalDecision(
        decided_by=decision.decided_by,
        decided_at=wire.moment(decision.decided_at),
        reason=decision.reason,
        entry_number=decision.entry_number or 0,
    )
