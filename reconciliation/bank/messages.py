"""Between the bank's rows and the wire's messages."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row

from ledger import fields, wire
from ledger.errors import AmountInvalid, FieldMissing, NumberInvalid, TextInvalid
from ledger.money import LARGEST, Amount
from ledger.v1 import money_pb2
from reconciliation.bank.addenda import MOST_TRACES
from reconciliation.bank.deposit import Deposit, Trace
from reconciliation.bank.ingest import Ingested
from reconciliation.bank.store import USUAL_MISSING_AFTER_DAYS, Policy, PolicyInForce
from reconciliation.v1 import bank_pb2 as pb

_LONGEST_WAIT_DAYS = 3_650
_POLICIES: Mapping[int, Policy] = {pb.DepositPolicy.Value(f"DEPOSIT_POLICY_{one.upper()}"): one for one in Policy}
_STATES: Mapping[int, str] = {
    pb.STATEMENT_STATE_RECORDED: "recorded",
    pb.STATEMENT_STATE_RECORDING: "recording",
    pb.STATEMENT_STATE_QUARANTINED: "quarantined",
}


def recorded(request: pb.RecordDepositRequest) -> Deposit:
    """The deposit that a caller tells of. Raises an Invalid refusal for the first field that is wrong."""
    account = fields.required("account", request.account)
    day = fields.day("effective_date", request.effective_date)
    amount = wire.amount("amount", request)
    if not 0 < abs(amount.minor_units) <= LARGEST:
        told = f"an amount is between 1 and {LARGEST} minor units on either side of zero"
        raise AmountInvalid(told, field="amount", minor_units=amount.minor_units)
    if len(request.traces) > MOST_TRACES:
        raise TextInvalid(f"a deposit names at most {MOST_TRACES} traces", field="traces", limit=MOST_TRACES)
    return Deposit(
        account=account,
        effective_date=day,
        amount=amount.minor_units,
        currency=amount.currency,
        reference=fields.required("reference", request.reference),
        traces=tuple(_trace(one) for one in request.traces),
        payer_identifier=fields.text("payer_identifier", request.payer_identifier),
    )


def _trace(message: pb.Trace) -> Trace:
    number = fields.required("traces", message.number)
    return Trace(number, fields.text("traces", message.payer_identifier))


def deposit(row: Row[Any], sums: Row[Any] | None, traces: Sequence[Trace]) -> pb.Deposit:
    """A deposit with what is applied of it."""
    applied = int(sums.applied) if sums else 0
    is_over = row.returns is not None or (sums is not None and sums.returned)
    return pb.Deposit(
        id=str(row.id),
        account=row.account,
        effective_date=wire.day(row.effective_date),
        amount=_money(row.amount, row.currency),
        unapplied=_money(0 if is_over else row.amount - applied, row.currency),
        reference=row.reference,
        traces=[pb.Trace(number=one.number, payer_identifier=one.payer_identifier) for one in traces],
        payer_identifier=row.payer_identifier,
        payer=row.payer or "",
        returns=str(row.returns) if row.returns else "",
        returned=bool(sums and sums.returned),
        entry_number=row.entry_number,
        recorded_at=wire.moment(row.recorded_at),
        recorded_by=row.recorded_by,
    )


def application(row: Row[Any], currency: str) -> pb.Application:
    """Money that moved between a deposit and a remittance."""
    return pb.Application(
        remittance=str(row.remittance),
        amount=_money(row.amount, currency),
        rule=row.rule,
        evidence=row.evidence,
        entry_number=row.entry_number,
        applied_at=wire.moment(row.applied_at),
        applied_by=row.applied_by,
    )


def proposal(row: Row[Any], open_: int, evidence: str) -> pb.DepositProposal:
    """What a deposit may be, for a person."""
    return pb.DepositProposal(
        remittance=str(row.id),
        trace=row.trace,
        payer=row.payer or "",
        payment_date=wire.day(row.payment_date),
        open=_money(open_, row.currency),
        evidence=evidence,
    )


def statement(row: Row[Any]) -> pb.BankStatement:
    """One account in one file, and what became of it."""
    named = {value: number for number, value in _STATES.items()}
    parts = {name: _money(getattr(row, name), row.currency) for name in _SUMS}
    return pb.BankStatement(
        id=str(row.id),
        state=pb.StatementState.ValueType(named[row.state]),
        file_name=row.file_name,
        file_sha256=row.sha256,
        position=row.position,
        account=row.account,
        as_of=wire.day(row.as_of),
        **parts,
        line_count=row.line_count,
        reason=row.reason,
        received_at=wire.moment(row.received_at),
    )


_SUMS = ("credits", "debits", "posted", "repeated", "noted")


def ingested(found: Ingested) -> pb.IngestBankStatementResponse:
    """What became of a file."""
    return pb.IngestBankStatementResponse(
        file_sha256=found.delivery.sha256,
        file_size=found.delivery.size,
        duplicate=found.duplicate,
        statements=map(statement, found.statements),
    )


def policy_wanted(request: pb.SetDepositPolicyRequest) -> PolicyInForce:
    """What is said of a payer. Raises an Invalid refusal for the first field that is wrong."""
    payer = fields.text("payer", request.payer)
    policy = fields.choice("policy", request.policy, _POLICIES)
    if policy is None:
        raise FieldMissing("policy is required", field="policy")
    days = request.missing_after_days or USUAL_MISSING_AFTER_DAYS
    if not 0 < days <= _LONGEST_WAIT_DAYS:
        told = f"missing_after_days is 1 to {_LONGEST_WAIT_DAYS}, not {days}"
        raise NumberInvalid(told, field="missing_after_days", value=days)
    reason = fields.required("reason", request.reason, fields.TEXT_LENGTH)
    return PolicyInForce(payer, policy, days, reason=reason)


def policy(said: PolicyInForce) -> pb.DepositPolicyInForce:
    """A policy as it is in force."""
    value = next(number for number, one in _POLICIES.items() if one is said.policy)
    return pb.DepositPolicyInForce(
        payer=said.payer,
        policy=pb.DepositPolicy.ValueType(value),
        missing_after_days=said.missing_after_days,
        version=said.version,
        reason=said.reason,
        set_by=said.set_by,
        set_at=wire.moment(said.set_at),
    )


def state(value: int) -> str | None:
    """A statement's state; None where none is asked for. Raises ChoiceInvalid."""
    return fields.choice("state", value, _STATES)


def _money(minor_units: int | None, currency: str | None) -> money_pb2.Money | None:
    return None if minor_units is None or currency is None else wire.money(Amount(int(minor_units), currency))
