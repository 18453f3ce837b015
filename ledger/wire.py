"""Between the wire's messages and the books' own values: money, sides, dates, times, pages."""

import base64
import binascii
import hashlib
from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

if TYPE_CHECKING:
    import grpc

from ledger import fields
from ledger.accounts.account import Side, Totals
from ledger.errors import FieldMissing, PageInvalid, TotalOutOfRange
from ledger.money import Amount
from ledger.v1 import accounts_pb2, money_pb2

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
"""What gRPC hands to a servicer beside the request."""

LARGEST_PAGE = 1_000
USUAL_PAGE = 100
_LARGEST = 2**63 - 1
_SIDES = {side: accounts_pb2.Side.Value(f"SIDE_{side.upper()}") for side in Side}


def amount(field: str, message: Message) -> Amount:
    """A money field that must be there. Raises FieldMissing or CurrencyUnknown."""
    found = optional_amount(field, message)
    if found is None:
        raise FieldMissing(f"{field} is required", field=field)
    return found


def optional_amount(field: str, message: Message) -> Amount | None:
    """A money field that may be absent."""
    if not message.HasField(field):
        return None
    value = getattr(message, field)
    return Amount(value.minor_units, fields.currency(field, value.currency_code))


def money(value: Amount) -> money_pb2.Money:
    """An amount as the wire has it. Raises TotalOutOfRange for a sum that 63 bits cannot hold."""
    if abs(value.minor_units) > _LARGEST:
        raise TotalOutOfRange(
            f"a total in {value.currency} exceeds what 63 bits hold: ask for its parts", currency=value.currency
        )
    return money_pb2.Money(currency_code=value.currency, minor_units=value.minor_units)


def side(value: Side) -> accounts_pb2.Side.ValueType:
    """A side as the wire has it."""
    return _SIDES[value]


def balance(totals: Totals, currency: str) -> accounts_pb2.Balance:
    """Totals as the wire has them; the side is left open at zero."""
    stands = side(Side.DEBIT if totals.balance > 0 else Side.CREDIT)
    return accounts_pb2.Balance(
        debits=money(Amount(totals.debits, currency)),
        credits=money(Amount(totals.credits, currency)),
        side=stands if totals.balance else accounts_pb2.SIDE_UNSPECIFIED,
        amount=money(Amount(abs(totals.balance), currency)),
    )


def day(value: date | None) -> str:
    """A date as the wire has it, empty where there is none."""
    return value.isoformat() if value else ""


def moment(value: datetime | None) -> Timestamp | None:
    """A time as the wire has it, where there is one."""
    return None if value is None else stamp(value)


@lru_cache
def stamp(value: datetime) -> Timestamp:
    """A time as the wire has it, to be copied into a message: all entries of a batch have the same."""
    made = Timestamp()
    made.FromDatetime(value)
    return made


def page_size(asked: int) -> int:
    """How many rows a page holds. Raises PageInvalid."""
    if not 0 <= asked <= LARGEST_PAGE:
        raise PageInvalid(f"page_size is 0 to {LARGEST_PAGE}, not {asked}", page_size=asked, limit=LARGEST_PAGE)
    return asked or USUAL_PAGE


def page_token(request: Message, last: str) -> str:
    """Where the next page begins, sealed with the query it belongs to."""
    return base64.urlsafe_b64encode(_seal(request) + last.encode()).decode()


def page_start(request: Message) -> str:
    """What the token of a request says, empty on the first page. Raises PageInvalid."""
    token: str = request.page_token  # type: ignore[attr-defined]
    if not token:
        return ""
    try:
        content = base64.urlsafe_b64decode(token)
        last = content[8:].decode()
    except (binascii.Error, ValueError):
        raise PageInvalid("page_token is not one of ours") from None
    if content[:8] != _seal(request):
        raise PageInvalid("page_token belongs to another query")
    if not last.isprintable():
        raise PageInvalid("page_token is not one of ours")
    return last


def page_start_number(request: Message) -> int:
    """The same where pages are in the order of a number: 0 on the first page. Raises PageInvalid."""
    last = page_start(request) or "0"
    if not (last.isascii() and last.isdigit() and len(last) < 19):
        raise PageInvalid("page_token is not one of ours")
    return int(last)


def _seal(request: Message) -> bytes:
    """Eight bytes that change with the query, but not with its page."""
    query = type(request)()
    query.CopyFrom(request)
    for field in ("page_token", "page_size"):
        query.ClearField(field)
    return hashlib.sha256(query.SerializeToString(deterministic=True)).digest()[:8]
