"""What a deposit is: money that the bank has booked on an account of ours, or has taken back. Pure.

The same deposit may be told several times: by a caller, in the statement of the running day, in that of the
day before. What makes it the same is its identity, as far as the bank's form has it: account, day, amount,
currency and the bank's reference; where there is no reference, the traces that it names; and where all of
that is equal, which of its like it is within its statement.
"""

from dataclasses import dataclass
from datetime import date
from uuid import NAMESPACE_OID, UUID, uuid5

from reconciliation.elements import LONGEST_NAME

_TAX_NUMBER = 9


@dataclass(frozen=True, slots=True)
class Trace:
    """A payment's number (TRN02) and who signs for it (TRN03); "" where the bank does not say."""

    number: str
    payer_identifier: str = ""


@dataclass(frozen=True, slots=True)
class Deposit:
    """One deposit as the bank tells of it. `amount` is in minor units, negative where money was taken back.

    `payer_identifier` is who sent it (company id); `occurrence` counts those of one statement that are alike.
    """

    account: str
    effective_date: date
    amount: int
    currency: str
    reference: str = ""
    traces: tuple[Trace, ...] = ()
    payer_identifier: str = ""
    occurrence: int = 1

    def likeness(self) -> str:
        """What it has in common with those that are alike."""
        told = self.reference or " ".join(sorted(trace.number for trace in self.traces))
        named = "reference" if self.reference else "traces"
        return "\0".join(
            (self.account, self.effective_date.isoformat(), f"{self.amount}", self.currency, named, told)
        )

    def id(self, book: str) -> UUID:
        """Its name for good: the same wherever it is told of."""
        return uuid5(NAMESPACE_OID, "\0".join((book, self.likeness(), f"{self.occurrence}")))

    def named(self) -> tuple[Trace, ...]:
        """Its traces, those that nobody signs under the name of who sent the money."""
        return tuple(Trace(one.number, one.payer_identifier or self.payer_identifier) for one in self.traces)


def spellings(identifier: str) -> set[str]:
    """A payer's identifier in each way it is written: a tax number with its leading 1 (TRN03), and without."""
    if identifier.isascii() and identifier.isdigit():
        if len(identifier) == _TAX_NUMBER:
            return {identifier, f"1{identifier}"}
        if len(identifier) == _TAX_NUMBER + 1 and identifier.startswith("1"):
            return {identifier, identifier[1:]}
    return {identifier}


def kept(text: str) -> str:
    """A name or reference as the books keep it: printable, at most as long as a name may be."""
    return "".join(sign if sign.isprintable() else "?" for sign in text.strip())[:LONGEST_NAME]
