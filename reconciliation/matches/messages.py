"""Between what people say of claim payments and the wire's messages."""

from typing import Any

from sqlalchemy import Row

from ledger import caller, fields, wire
from ledger.errors import AmountInvalid, ChoiceInvalid, FieldMissing, NumberInvalid
from ledger.money import LARGEST, Amount
from reconciliation.matches import deciding, reversing, undoing
from reconciliation.matches.hand_match import MOST_PARTS, HandMatch, State
from reconciliation.v1 import matches_pb2 as pb

_STATES = {state: pb.MatchState.Value(f"MATCH_STATE_{state.upper()}") for state in State}
_LARGEST_LINE = 2**31 - 1


def matching(request: pb.MatchClaimPaymentRequest) -> deciding.Asked:
    """What is asked for. Raises an Invalid refusal for the first wrong field."""
    if not request.parts:
        raise FieldMissing("parts are required: the claim that was paid, or several", field="parts")
    if len(request.parts) > MOST_PARTS:
        told = f"a claim payment is split among at most {MOST_PARTS} claims, not {len(request.parts)}"
        raise ChoiceInvalid(told, field="parts", value=len(request.parts))
    amounts = [_amount(part) for part in request.parts]
    claims = [fields.required("parts.claim", part.claim) for part in request.parts]
    return deciding.Asked(
        remittance=fields.uuid("remittance", request.remittance),
        line=_line(request.line),
        parts=tuple(zip(claims, amounts, strict=True)),
        reason=fields.required("reason", request.reason, fields.TEXT_LENGTH),
        idempotency_key=fields.required("idempotency_key", request.idempotency_key, fields.KEY_LENGTH),
        said_by=caller.actor.get(),
    )


def taking_back(request: pb.MatchReversalRequest) -> reversing.Asked:
    """What is asked for. Raises an Invalid refusal for the first wrong field."""
    return reversing.Asked(
        remittance=fields.uuid("remittance", request.remittance),
        line=_line(request.line),
        original=(
            fields.uuid("original_remittance", request.original_remittance),
            _line(request.original_line, "original_line"),
        ),
        reason=fields.required("reason", request.reason, fields.TEXT_LENGTH),
        idempotency_key=fields.required("idempotency_key", request.idempotency_key, fields.KEY_LENGTH),
        said_by=caller.actor.get(),
    )


def _amount(part: pb.MatchPart) -> Amount | None:
    found = wire.optional_amount("amount", part)
    if found is not None and abs(found.minor_units) > LARGEST:
        told = f"a part is at most {LARGEST} minor units"
        raise AmountInvalid(told, field="parts.amount", minor_units=found.minor_units)
    return found


def unmatching(request: pb.UnmatchClaimPaymentRequest) -> undoing.Asked:
    """What is asked for. Raises an Invalid refusal for the first wrong field."""
    return undoing.Asked(
        remittance=fields.uuid("remittance", request.remittance),
        line=_line(request.line),
        reason=fields.required("reason", request.reason, fields.TEXT_LENGTH),
        idempotency_key=fields.required("idempotency_key", request.idempotency_key, fields.KEY_LENGTH),
        said_by=caller.actor.get(),
    )


def _line(value: int, field: str = "line") -> int:
    if not 0 < value <= _LARGEST_LINE:
        raise NumberInvalid(f"{field} is the number of a claim payment, not {value}", field=field, value=value)
    return value


def match(word: HandMatch) -> pb.ClaimMatch:
    """One word as the wire has it."""
    return pb.ClaimMatch(
        number=word.number,
        remittance=str(word.remittance),
        line=word.line,
        state=_STATES[word.state],
        parts=[
            pb.MatchPart(claim=part.claim, amount=wire.money(Amount(part.amount, word.currency)))
            for part in word.parts
        ],
        amount=wire.money(Amount(word.amount, word.currency)),
        reason=word.reason,
        said_by=word.said_by,
        said_at=wire.moment(word.said_at),
        proposed_by=word.proposed_by or "",
        decides=word.decides or 0,
        entry_number=word.entry_number or 0,
        original_remittance=str(word.original[0]) if word.original else "",
        original_line=word.original[1] if word.original else 0,
    )


def limit(row: Row[Any]) -> pb.MatchLimit:
    """One limit as the wire has it."""
    amount = None if row.amount is None else wire.money(Amount(row.amount, row.currency))
    return pb.MatchLimit(
        currency=row.currency,
        amount=amount,
        version=row.version,
        reason=row.reason,
        set_by=row.set_by,
        set_at=wire.moment(row.set_at),
    )


def limit_wanted(request: pb.SetMatchLimitRequest) -> tuple[str, int | None, str]:
    """The currency, the limit in minor units and why. Raises an Invalid refusal for the first wrong field."""
    currency = fields.currency("currency", request.currency)
    wanted = wire.optional_amount("amount", request)
    if wanted is not None and (wanted.currency != currency or not 0 <= wanted.minor_units <= LARGEST):
        told = f"a limit is 0 to {LARGEST} minor units of {currency}, not {wanted}"
        raise AmountInvalid(told, field="amount", minor_units=wanted.minor_units)
    reason = fields.required("reason", request.reason, fields.TEXT_LENGTH)
    return currency, None if wanted is None else wanted.minor_units, reason
