"""Between the mail room's rows and the wire's messages."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, literal, tuple_

from ledger import fields, wire
from ledger.errors import PageInvalid
from ledger.money import Amount
from ledger.postings.open_items import OpenItem
from ledger.reports.rows import grouped_by
from ledger.v1 import money_pb2
from reconciliation.ingest import Ingested
from reconciliation.questions import RATE_GROUPS
from reconciliation.reasons import Decision, ExceptionReason, RemittanceState
from reconciliation.v1 import reconciliation_pb2 as pb

_STATES: Mapping[int, RemittanceState] = {
    pb.RemittanceState.Value(f"REMITTANCE_STATE_{one.upper()}"): one for one in RemittanceState
}
_REASONS: Mapping[int, ExceptionReason] = {
    pb.ExceptionReason.Value(f"EXCEPTION_REASON_{one.upper()}"): one for one in ExceptionReason
}
_RATES: Mapping[int, str] = {pb.RateGroup.Value(f"RATE_GROUP_{one.upper()}"): one for one in RATE_GROUPS}


def rate_groups(request: pb.GetAutomaticRateRequest) -> dict[str, str]:
    """What the automatic rate is broken down by. Raises ChoiceInvalid."""
    return grouped_by(request.group_by, _RATES)


def ingested(found: Ingested) -> pb.IngestRemittanceResponse:
    """What became of a file."""
    counts = [pb.DecisionCount(decision=_decision(one), count=n) for one, n in found.decisions.items()]
    return pb.IngestRemittanceResponse(
        file_sha256=found.delivery.sha256,
        file_size=found.delivery.size,
        duplicate=found.duplicate,
        remittances=[remittance(row, found.exceptions) for row in found.remittances],
        decisions=counts,
    )


def remittance(row: Row[Any], exceptions: Mapping[UUID, int]) -> pb.Remittance:
    """A remittance and how many exceptions are open on it."""
    return pb.Remittance(
        id=str(row.id),
        state=pb.RemittanceState.Value(f"REMITTANCE_STATE_{row.state.upper()}"),
        file_name=row.file_name,
        file_sha256=row.sha256,
        position=row.position,
        payer=row.payer or "",
        payer_name=row.payer_name,
        trace=row.trace,
        payment_date=wire.day(row.payment_date),
        paid=_money(row.paid, row.currency),
        posted=_money(row.posted, row.currency),
        suspended=_money(row.suspended, row.currency),
        claim_count=row.claim_count,
        settled_claim_count=row.settled_claim_count,
        exception_count=exceptions.get(row.id, 0),
        reason=row.reason,
        received_at=wire.moment(row.received_at),
        applied=_money(row.applied, row.currency),
    )


def claim_payment(row: Row[Any], currency: str, moves: Iterable[Row[Any]]) -> pb.ClaimPayment:
    """One CLP, what was decided on it and what was posted beside its own entry."""
    return pb.ClaimPayment(
        line=row.line,
        claim_as_sent=row.claim_as_sent,
        payer_control_number=row.payer_control_number,
        status=row.status,
        charge=_money(row.charge, currency),
        paid=_money(row.paid, currency),
        claim=row.claim or "",
        decision=_decision(Decision(row.decision)),
        rule=row.rule,
        evidence=row.evidence,
        entry_number=row.entry_number or 0,
        moves=[pb.ClaimMove(move=one.move, payer=one.payer, entry_number=one.entry_number) for one in moves],
    )


def provider_level(row: Row[Any], currency: str) -> pb.ProviderLevelAdjustment:
    """One pair of a PLB and where it was posted."""
    return pb.ProviderLevelAdjustment(
        code=row.code,
        reference=row.reference,
        amount=_money(row.amount, currency),
        account=row.account,
        entry_number=row.entry_number or 0,
    )


def open_balance(found: OpenItem) -> pb.OpenBalance:
    """What stands open under a reference; positive where the payer will take it."""
    owed = Amount(-found.amount.minor_units, found.amount.currency)
    return pb.OpenBalance(account=found.account, item=found.item, amount=wire.money(owed))


def exception(row: Row[Any]) -> pb.Exception:
    """What a person must look at."""
    return pb.Exception(
        id=str(row.id),
        remittance=str(row.remittance or ""),
        line=row.line,
        reason=pb.ExceptionReason.Value(f"EXCEPTION_REASON_{row.reason.upper()}"),
        claim_as_sent=row.claim_as_sent,
        claim=row.claim or "",
        amount=_money(row.amount, row.currency),
        detail=row.detail,
        opened_at=wire.moment(row.opened_at),
        owner=row.owner or "",
        deposit=str(row.deposit or ""),
        since=wire.day(row.since) if row.since else "",
    )


def state(value: int) -> RemittanceState | None:
    """A state as the mail room spells it; None where none is asked for. Raises ChoiceInvalid."""
    return fields.choice("state", value, _STATES)


def reason(value: int) -> ExceptionReason | None:
    """A reason as the mail room spells it; None where none is asked for. Raises ChoiceInvalid."""
    return fields.choice("reason", value, _REASONS)


def place(token: str) -> ColumnElement[Any]:
    """Where a page of rows ordered by time and id begins. Raises PageInvalid."""
    moment, _, id_ = token.partition(" ")
    try:
        return tuple_(literal(datetime.fromisoformat(moment)), literal(UUID(id_)))
    except ValueError:
        raise PageInvalid("page_token is not one of ours") from None


def _decision(value: Decision) -> pb.Decision.ValueType:
    return pb.Decision.Value(f"DECISION_{value.upper()}")


def _money(minor_units: int | None, currency: str | None) -> money_pb2.Money | None:
    return None if minor_units is None or currency is None else wire.money(Amount(minor_units, currency))
