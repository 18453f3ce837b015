"""Between the worklist's rows and the wire's messages."""

from collections.abc import Mapping
from datetime import UTC, date
from typing import Any

from sqlalchemy import ColumnElement, Row, func, literal

from ledger import fields, wire
from ledger.errors import AmountInvalid, FieldMissing, NumberInvalid
from ledger.money import LARGEST
from reconciliation import messages as mail
from reconciliation.schema import exceptions
from reconciliation.v1 import worklist_pb2 as pb
from reconciliation.worklist import store
from reconciliation.worklist.item import AS_OPENED, Change

_CHANGES = {one: pb.ItemChange.Value(f"ITEM_CHANGE_{one.upper()}") for one in Change}
_OPEN, _CLOSED = exceptions.c.closed_at.is_(None), exceptions.c.closed_at.is_not(None)
_STATES: Mapping[int, ColumnElement[bool]] = {pb.ITEM_STATE_OPEN: _OPEN, pb.ITEM_STATE_CLOSED: _CLOSED}
_MOST_DAYS = 36_500


def wanted(request: pb.ListItemsRequest, day: date | None) -> list[ColumnElement[bool]]:
    """The conditions on what is listed. Raises an Invalid refusal for the first field that is wrong."""
    state = fields.choice("state", request.state, _STATES)
    conditions = [_OPEN if state is None else state]
    if reason := mail.reason(request.reason):
        conditions.append(exceptions.c.reason == reason)
    if owner := fields.text("owner", request.owner):
        conditions.append(store.its_owner == owner)
    if request.unowned:
        conditions.append(store.its_owner.is_(None))
    if payer := fields.text("payer", request.payer):
        conditions.append(store.its_payer == payer)
    if claim := fields.text("claim", request.claim):
        conditions.append(exceptions.c.claim == claim)
    return conditions + _old_enough(request, day) + _large_enough(request)


def _old_enough(request: pb.ListItemsRequest, day: date | None) -> list[ColumnElement[bool]]:
    days = request.least_age_days
    if not 0 <= days <= _MOST_DAYS:
        told = f"least_age_days is 0 to {_MOST_DAYS}, not {days}"
        raise NumberInvalid(told, field="least_age_days", value=days)
    if not days:
        return []
    if day is None:
        raise FieldMissing("as_of is required where an age is asked for", field="as_of")
    opened = func.date(func.timezone("UTC", exceptions.c.opened_at))
    return [literal(day) - func.coalesce(exceptions.c.since, opened) >= days]


def _large_enough(request: pb.ListItemsRequest) -> list[ColumnElement[bool]]:
    least = wire.optional_amount("least", request)
    if least is None:
        return []
    if not 0 <= least.minor_units <= LARGEST:
        told = f"least is 0 to {LARGEST} minor units, not {least.minor_units}"
        raise AmountInvalid(told, field="least", minor_units=least.minor_units)
    at_stake = func.abs(exceptions.c.amount)
    return [exceptions.c.currency == least.currency, at_stake >= least.minor_units]


def seen(version: int) -> int:
    """The version of an item that a person has seen. Raises FieldMissing."""
    if version < AS_OPENED:
        raise FieldMissing("version is required: that of the item as it was seen", field="version")
    return version


# --- what is answered ---------------------------------------------------------------------------------


def item(row: Row[Any], day: date | None) -> pb.Item:
    """An exception as people work on it."""
    return pb.Item(
        exception=mail.exception(row),
        payer=row.payer,
        trace=row.trace,
        state=pb.ITEM_STATE_OPEN if row.closed_at is None else pb.ITEM_STATE_CLOSED,
        version=row.version,
        age_days=max((day - (row.since or row.opened_at.astimezone(UTC).date())).days, 0) if day else 0,
    )


def event(row: Row[Any]) -> pb.ItemEvent:
    """What became of an item."""
    return pb.ItemEvent(
        id=str(row.exception),
        version=row.version,
        change=_CHANGES[Change(row.change)],
        owner=row.owner or "",
        note=row.note,
        entry_number=row.entry_number or 0,
        said_by=row.said_by,
        said_at=wire.moment(row.said_at),
    )
