"""What an open item is: a claim, seen through the postings that bear its name."""

from collections.abc import Mapping
from datetime import date

from msgspec import Struct, field, structs

from ledger.accounts import chart
from ledger.postings.entry import Dimensions, Posting


class Item(Struct, frozen=True):
    """All that the books know of a claim.

    `balances` are minor units by account, debit positive; `dimensions` are those on which all of its sessions
    agree. `patient_share` is the patient's part as estimated or adjudicated so far, whatever of it is paid.
    `charge` is what was billed for its sessions (None where one of them does not say), `service_dates`
    and `service_codes` are those of its sessions. Sessions that were reversed do not count.
    """

    name: str
    currency: str
    balances: Mapping[str, int]
    dimensions: Dimensions = field(default_factory=Dimensions)
    patient_share: int = 0
    charge: int | None = None
    service_dates: frozenset[date] = field(default_factory=frozenset)
    service_codes: frozenset[str] = field(default_factory=frozenset)

    def balance(self, account: str) -> int:
        """What the item amounts to in an account, debit positive."""
        return self.balances.get(account, 0)

    def receivables(self) -> dict[str, int]:
        """Its receivables from payers that are not at zero, by account."""
        below = f"{chart.INSURER_RECEIVABLES}:"
        return {code: due for code, due in self.balances.items() if due and code.startswith(below)}

    def plus(self, posting: Posting) -> "Item":
        """As it stands after one more posting of a rule of the trade."""
        balances = {**self.balances, posting.account: self.balance(posting.account) + posting.signed}
        of_patient = posting.account in (chart.PATIENT_RECEIVABLE, chart.PATIENT_REFUNDS)
        share = self.patient_share + of_patient * posting.signed
        return structs.replace(self, balances=balances, patient_share=share)
