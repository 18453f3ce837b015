"""What an account is."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from ledger.errors import AccountCodeInvalid
from ledger.money import fraction_digits

CODE_LENGTH = 200


class AccountType(StrEnum):
    """The five types, each with its own first part of the code."""

    ASSET = "asset"
    LIABILITY = "liability"
    EQUITY = "equity"
    REVENUE = "revenue"
    EXPENSE = "expense"


class Side(StrEnum):
    """The two columns of a ledger."""

    DEBIT = "debit"
    CREDIT = "credit"

    @property
    def opposite(self) -> "Side":
        """The other column."""
        return Side.CREDIT if self is Side.DEBIT else Side.DEBIT

    @property
    def sign(self) -> int:
        """+1 for debit, -1 for credit: how SQL keeps an amount."""
        return 1 if self is Side.DEBIT else -1


class BalanceLimit(StrEnum):
    """The side on which an account's balance must never stand."""

    MUST_NOT_GO_DEBIT = "must_not_go_debit"
    MUST_NOT_GO_CREDIT = "must_not_go_credit"

    def allows(self, balance: int) -> bool:
        """Whether a balance, debit positive, keeps the limit."""
        return balance <= 0 if self is BalanceLimit.MUST_NOT_GO_DEBIT else balance >= 0


ROOTS = {
    "Assets": AccountType.ASSET,
    "Liabilities": AccountType.LIABILITY,
    "Equity": AccountType.EQUITY,
    "Revenue": AccountType.REVENUE,
    "Expenses": AccountType.EXPENSE,
}
_CODE = re.compile(rf"({'|'.join(ROOTS)})(:[A-Za-z0-9][A-Za-z0-9-]*)+")
_PREFIX = re.compile(rf"({'|'.join(ROOTS)})(:[A-Za-z0-9][A-Za-z0-9-]*)*")


def account_code(code: str, field: str = "account") -> str:
    """A whole code such as `Assets:Cash`, in the field of a request that holds it. Raises AccountCodeInvalid."""
    if not _is_code(code):
        raise AccountCodeInvalid(
            f"{code[:60]!r} is not an account code: parts of letters, digits and dashes, joined by colons, "
            f"the first one of {', '.join(ROOTS)}",
            field=field,
            account=code[:CODE_LENGTH],
        )
    return code


@lru_cache(16_384)
def _is_code(code: str) -> bool:
    """Remembered, since the same accounts come again and again."""
    return len(code) <= CODE_LENGTH and _CODE.fullmatch(code) is not None


def account_prefix(prefix: str) -> str:
    """A code or its first parts, such as `Assets`. Raises AccountCodeInvalid."""
    return prefix if _PREFIX.fullmatch(prefix) else account_code(prefix, "prefix")


def type_of(code: str) -> AccountType:
    """The type that the first part of a code says."""
    return ROOTS[code.partition(":")[0]]


def usual_side(kind: AccountType) -> Side:
    """Assets and expenses stand on the debit side, the others on the credit side."""
    return Side.DEBIT if kind in (AccountType.ASSET, AccountType.EXPENSE) else Side.CREDIT


@dataclass(frozen=True, slots=True)
class Account:
    """One account of a book, in one currency. `opened_at` is None until the database has recorded it."""

    code: str
    currency: str
    normal_side: Side
    balance_limit: BalanceLimit | None = None
    item_required: bool = False
    opened_by: str = ""
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    closed_by: str = ""
    close_reason: str = ""

    def __post_init__(self) -> None:
        """Refuses a code or a currency that is none."""
        account_code(self.code)
        fraction_digits(self.currency)

    @property
    def type(self) -> AccountType:
        """Follows from the code."""
        return type_of(self.code)

    def terms(self) -> dict[str, object]:
        """What two openings of the same account must agree on."""
        return {
            "currency_code": self.currency,
            "normal_side": self.normal_side,
            "balance_limit": self.balance_limit,
            "item_required": self.item_required,
        }


class Totals(NamedTuple):
    """All debits and all credits of an account, in minor units, both never negative."""

    debits: int = 0
    credits: int = 0

    @property
    def balance(self) -> int:
        """Debit positive."""
        return self.debits - self.credits

    def plus(self, signed: int) -> "Totals":
        """With one more posting, debit positive."""
        return (
            Totals(self.debits + signed, self.credits)
            if signed > 0
            else Totals(self.debits, self.credits - signed)
        )
