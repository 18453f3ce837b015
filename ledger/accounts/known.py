"""As known at: up to which entry a question is asked, said by a time or a number, or left open for all."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import fields
from ledger.accounts.store import existing_book
from ledger.database import query
from ledger.errors import TimeInFuture, TimeInvalid
from ledger.reads import refuse_beyond

_NOW = text("SELECT clock_timestamp()")
_RECORDED = text("SELECT recorded_at FROM entries WHERE book = :book AND number = :number")
_NEXT_MICROSECOND = timedelta(microseconds=1)
_NUMBER, _TIME = "as_known_at_number", "as_known_at_time"


class Asked(Protocol):
    """A request that may say as known at what."""

    @property
    def as_known_at_number(self) -> int:
        """The number of an entry."""

    @property
    def as_known_at_time(self) -> Timestamp:
        """A time of recording."""

    def WhichOneof(self, oneof_group: Literal["as_known_at"], /) -> str | None:  # noqa: N802 - protobuf's word
        """Which of the two the caller has set."""


@dataclass(frozen=True, slots=True)
class KnownAt:
    """What the caller said: a time, a number, or neither."""

    time: datetime | None = None
    number: int | None = None


ALL = KnownAt()
"""Neither: all that is recorded."""


def known_at(request: Asked) -> KnownAt:
    """What a request says. Raises NumberInvalid or TimeInvalid."""
    match request.WhichOneof("as_known_at"):
        case "as_known_at_number":
            return KnownAt(number=fields.number(_NUMBER, request.as_known_at_number))
        case "as_known_at_time":
            return KnownAt(time=_moment(request.as_known_at_time))
        case _:
            return ALL


def _moment(stamp: Timestamp) -> datetime:
    """To the microsecond, as times of recording are kept."""
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise TimeInvalid(f"{_TIME} is not a time of the years 1 to 9999", field=_TIME) from None


async def entry_known(connection: AsyncConnection, book: str, asked: KnownAt, *, is_replica: bool = False) -> int:
    """The last entry that was known; 0 before the first.

    Raises BookNotFound, TimeInFuture, NumberBeyondHead or ReplicaBehind.
    """
    head = (await existing_book(connection, book)).last_number
    if asked.number is not None:
        refuse_beyond(_NUMBER, asked.number, head, is_replica=is_replica)
        return asked.number
    if asked.time is not None:
        await _refuse_future(connection, asked.time)
        found = await connection.execute(
            query("ledger.accounts", "known_at.sql"), {"book": book, "time": asked.time}
        )
        return int(found.scalar_one())
    return head


async def known_until(connection: AsyncConnection, book: str, asked: KnownAt, number: int) -> str:
    """The time before which was known what is beside the entries up to this one; "infinity" where all of it is.

    Of a time, that is all up to it; of an entry, all that was recorded before the next one.
    """
    if asked.time is not None:
        return (asked.time + _NEXT_MICROSECOND).isoformat()
    found = await connection.execute(_RECORDED, {"book": book, "number": number + 1})
    recorded_at: datetime | None = found.scalar_one_or_none()
    return recorded_at.isoformat() if recorded_at else "infinity"


async def _refuse_future(connection: AsyncConnection, time: datetime) -> None:
    now = (await connection.execute(_NOW)).scalar_one()
    if time > now:
        raise TimeInFuture(
            f"it is {now} now, and {time} is not yet known", time=time.isoformat(), now=now.isoformat()
        )
