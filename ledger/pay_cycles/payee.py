"""Bank details: what of them is right, how they are written, and what of them may be shown. Pure."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ledger.pay_cycles.refusals import PayeeInvalid, PayeeOutdated

NACHA_CURRENCY = "USD"
COMPANY = ""
"""Whose bank details the company's own are."""
_WEIGHTS = (3, 7, 1, 3, 7, 1, 3, 7, 1)
_LONGEST_ACCOUNT = 17
_LONGEST_FOREIGN = 34
_COMPANY_ID = 10
_SHOWN = 4


class Holder(StrEnum):
    """Whose account it is."""

    PERSON = "person"
    COMPANY = "company"


class AccountType(StrEnum):
    """What kind of account it is."""

    CHECKING = "checking"
    SAVINGS = "savings"


@dataclass(frozen=True, slots=True, repr=False)
class BankAccount:
    """Where money goes. Sealed where it is kept, never printed; raises PayeeInvalid for what no bank would
    take."""

    routing_number: str
    account_number: str
    currency: str

    def __post_init__(self) -> None:
        """An ABA routing number with its check digit for US dollars; elsewhere letters and digits, such as a
        BIC."""
        if self.currency == NACHA_CURRENCY:
            _refuse_routing(self.routing_number)
            longest = _LONGEST_ACCOUNT
        else:
            longest = _LONGEST_FOREIGN
            if not (_is_plain(self.routing_number) and len(self.routing_number) <= 11):
                raise PayeeInvalid("routing_number is 1 to 11 letters and digits", field="routing_number")
        if not (_is_plain(self.account_number.replace("-", "0")) and len(self.account_number) <= longest):
            raise PayeeInvalid(
                f"account_number is 1 to {longest} letters, digits and dashes", field="account_number"
            )

    @property
    def last_four(self) -> str:
        """What may be shown of the account number: its end, and never more than half of it."""
        return (
            self.account_number[-min(_SHOWN, len(self.account_number) // 2) :] if self.account_number[1:] else ""
        )

    def encoded(self) -> bytes:
        """As it is sealed."""
        return f"{self.currency}\n{self.routing_number}\n{self.account_number}".encode()


def decoded(content: bytes) -> BankAccount:
    """What was sealed."""
    currency, routing_number, account_number = content.decode().split("\n")
    return BankAccount(routing_number, account_number, currency)


@dataclass(frozen=True, slots=True)
class Payee:
    """A version of somebody's bank details as it may be shown; `proposal` approved it, 0 where none was needed."""

    provider: str
    name: str
    holder: Holder
    account_type: AccountType
    currency: str
    last_four: str
    company_id: str
    bank_name: str
    reason: str
    set_by: str
    version: int = 0
    set_at: datetime | None = None
    proposal: int | None = None

    def __post_init__(self) -> None:
        """Refuses names that a payment file cannot write, and a company without what its bank knows it by."""
        if not ascii_text(self.name).strip():
            raise PayeeInvalid("name has no letter or digit that a payment file can write", field="name")
        if self.provider == COMPANY:
            if not (len(self.company_id) == _COMPANY_ID and _is_plain(self.company_id)):
                raise PayeeInvalid(f"company_id is {_COMPANY_ID} letters and digits", field="company_id")
            if not ascii_text(self.bank_name).strip():
                raise PayeeInvalid("bank_name is required of the company's own account", field="bank_name")
        elif self.company_id or self.bank_name:
            raise PayeeInvalid("company_id and bank_name are the company's own", field="company_id")

    @property
    def is_in_force(self) -> bool:
        """The first version, or one that a second person has accepted; a later one of these counts instead."""
        return self.version == 1 or self.proposal is not None

    def says(self) -> tuple[str, ...]:
        """What is the same in two versions that say the same, but for the account itself."""
        return (self.name, self.holder, self.account_type, self.currency, self.company_id, self.bank_name)

    def stated(self) -> dict[str, str]:
        """A change as an approver sees it."""
        return {
            "kind": "accept_payee",
            "provider": self.provider,
            "version": str(self.version),
            "set_by": self.set_by,
            "last_four": self.last_four,
            "description": self.reason,
            "says": "\n".join(self.says()),
        }


def in_force(versions: list[Payee]) -> Payee | None:
    """The version that counts, of all of them."""
    return max((one for one in versions if one.is_in_force), key=lambda one: one.version, default=None)


def refuse_outdated(wanted: Payee, versions: list[Payee]) -> None:
    """Only the newest version is accepted, and once. Raises PayeeOutdated."""
    newest = max(one.version for one in versions)
    if wanted.is_in_force or wanted.version != newest:
        why = "needs no approval" if wanted.is_in_force else f"was followed by version {newest}"
        raise PayeeOutdated(f"version {wanted.version} {why}", provider=wanted.provider, version=wanted.version)


def ascii_text(text: str) -> str:
    """The text in the characters of a payment file: letters without their accents, a space for all that is
    left."""
    plain = unicodedata.normalize("NFKD", text)
    kept = (sign for sign in plain if not unicodedata.combining(sign))
    return "".join(sign if sign.isascii() and (sign.isalnum() or sign in " .,&'/()-") else " " for sign in kept)


def _refuse_routing(number: str) -> None:
    """Nine digits whose weighted sum is divisible by ten."""
    if not (len(number) == len(_WEIGHTS) and number.isascii() and number.isdigit()):
        raise PayeeInvalid("routing_number is nine digits", field="routing_number")
    if sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, number, strict=True)) % 10 or not int(number):
        raise PayeeInvalid("routing_number is mistyped: its check digit is another", field="routing_number")


def _is_plain(text: str) -> bool:
    return bool(text) and text.isascii() and text.isalnum()
