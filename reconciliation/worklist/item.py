"""An item of the worklist: how it stands, what becomes of it, and who is told that another was quicker. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from ledger.errors import WorklistItemChanged, WorklistItemClosed
from reconciliation.reasons import ExceptionReason


class Change(StrEnum):
    """What became of an item. One spelling in SQL, Python and on the wire."""

    ASSIGNED = "assigned"
    SETTLED = "settled"
    OPENED_AGAIN = "opened_again"
    CLOSED = "closed"
    SENT_BACK = "sent_back"
    ABSORBED = "absorbed"
    WRITTEN_OFF = "written_off"


CLOSING = frozenset(Change) - {Change.ASSIGNED, Change.OPENED_AGAIN}
"""What closes an item."""
DECIDED = CLOSING - {Change.SETTLED}
"""What a person has closed: it stays closed until something else is at stake."""
AS_OPENED = 1
"""The version of an item to which nothing has happened."""


@dataclass(frozen=True, slots=True)
class Item:
    """An exception as it stands; `change` is the last that became of it, None where nothing has.

    `amount` is minor units, and what was at stake when it was opened.
    """

    id: UUID
    reason: ExceptionReason
    claim: str | None
    payer: str
    amount: int | None
    currency: str | None
    closed: bool
    version: int = AS_OPENED
    owner: str | None = None
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One change of an item, made under no one's key where it came by itself."""

    exception: UUID
    change: Change
    note: str
    said_by: str
    entry_number: int | None = None


def refuse_unseen(item: Item, version: int) -> None:
    """What a person changes is what that person saw. Raises WorklistItemClosed or WorklistItemChanged."""
    facts = {"id": item.id, "version": item.version, "owner": item.owner or ""}
    if item.closed:
        told = f"the item was closed ({item.change}); its version is {item.version}"
        raise WorklistItemClosed(told, **facts, change=item.change or "")
    if version != item.version:
        whose = f"is {item.owner}'s" if item.owner else "is nobody's"
        told = f"somebody was quicker: the item {whose}, and its version is {item.version}, not {version}"
        raise WorklistItemChanged(told, **facts)
