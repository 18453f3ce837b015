"""What an allowance for denials is: rates from what became of past claims, and the entry that they lead to.

A rate is a fraction of two amounts, and stays one. Rounding happens once, where a bucket's allowance becomes whole
minor units: a half goes to the even one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise

from msgspec import structs

from ledger.accounts import chart
from ledger.errors import AllowanceTermsInvalid
from ledger.money import Amount
from ledger.postings import rules
from ledger.postings.entry import Dimensions, JournalEntry, Kind

MOST_BUCKETS = 20
LONGEST_DAYS = 3_650
LONGEST_MONTHS = 120
LARGEST_FEWEST = 1_000_000


@dataclass(frozen=True, slots=True)
class Terms:
    """How an allowance is computed. Raises AllowanceTermsInvalid for what makes no sense.

    `age_buckets` are the days after the service on which each bucket of ages begins. History are claims at least
    `matured_after_days` old, of at most `history_months` ago. A bucket of fewer than `fewest_claims` has no rate.
    """

    currency: str
    payers: tuple[str, ...]
    age_buckets: tuple[int, ...]
    matured_after_days: int
    history_months: int
    fewest_claims: int

    def __post_init__(self) -> None:
        """Ages rise from 0, and every number is within reason."""
        ages = self.age_buckets
        rising = all(one < following for one, following in pairwise(ages))
        if not ages or ages[0] != 0 or not rising or ages[-1] > LONGEST_DAYS or len(ages) > MOST_BUCKETS:
            raise AllowanceTermsInvalid(
                f"age_buckets rise from 0 to at most {LONGEST_DAYS}, up to {MOST_BUCKETS} of them",
                field="terms.age_buckets",
            )
        for name, value, least, most in (
            ("matured_after_days", self.matured_after_days, 0, LONGEST_DAYS),
            ("history_months", self.history_months, 1, LONGEST_MONTHS),
            ("fewest_claims", self.fewest_claims, 1, LARGEST_FEWEST),
        ):
            if not least <= value <= most:
                raise AllowanceTermsInvalid(
                    f"{name} is {least} to {most}, not {value}", field=f"terms.{name}", value=value
                )

    def covers(self, account: str) -> bool:
        """Whether a payer's receivable is among those that are looked at."""
        return not self.payers or account in {chart.receivable(payer) for payer in self.payers}


@dataclass(frozen=True, slots=True)
class History:
    """A bucket of ages of one payer, in minor units: what was open then, was absorbed since, and is open now."""

    account: str
    payer: str
    from_days: int
    to_days: int
    history_claims: int
    history_open: int
    history_absorbed: int
    open: int

    def rate(self, terms: Terms) -> Fraction | None:
        """What share of it is lost; None where too few claims say so."""
        if self.history_claims < terms.fewest_claims or self.history_open <= 0:
            return None
        return Fraction(self.history_absorbed, self.history_open)

    def allowance(self, terms: Terms) -> int:
        """What of the open amount is not expected; nothing of a credit, and nothing without a rate."""
        return round(max(self.open, 0) * (self.rate(terms) or Fraction(0)))


def needed(terms: Terms, histories: Iterable[History]) -> dict[str, int]:
    """What the allowance of each payer's receivable must be, by the account of the receivable."""
    sums: dict[str, int] = {}
    for history in histories:
        sums[history.account] = sums.get(history.account, 0) + history.allowance(terms)
    return sums


def trued_up(
    needs: Mapping[str, int], standing: Mapping[str, int], currency: str, last_day: date
) -> JournalEntry | None:
    """The entry that makes what stands what is needed, by receivable; None where it does already.

    No posting touches a provider's payable: what was earned stays earned, whatever a payer does.
    """
    lines: list[tuple[str, Amount, str | None]] = []
    for receivable in sorted(needs):
        difference = needs[receivable] - standing.get(receivable, 0)
        lines.append((chart.allowance(receivable), Amount(-difference, currency), None))
    total = sum(-amount.minor_units for _, amount, _ in lines)
    postings = rules.without_zeros((chart.DENIAL_ALLOWANCE, Amount(total, currency), None), *lines)
    if not postings:
        return None
    return JournalEntry(
        kind=Kind.ALLOWANCE_TRUED_UP,
        effective_date=last_day,
        postings=postings,
        description=f"allowance for denials of {last_day:%Y-%m}",
        dimensions=Dimensions(),
    )


def taken_back(entry: JournalEntry, number: int) -> JournalEntry:
    """The same undone on the day after, whatever becomes of the month: the next one is estimated anew."""
    following = entry.effective_date + timedelta(days=1)
    undone = rules.reversal(entry, number, following, f"{entry.description}, taken back")
    return structs.replace(undone, kind=Kind.ALLOWANCE_TAKEN_BACK)


def covered(terms: Terms, histories: Sequence[History]) -> list[History]:
    """Those of the payers that are looked at."""
    return [history for history in histories if terms.covers(history.account)]
