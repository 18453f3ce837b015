"""What a process remembers of a book's accounts from one batch to the next.

Pure. It is true as long as the head of the book stands where it stood when it was learned: whoever posts moves the
head, and whoever closes an account or a month, or sets a limit, counts that there. So it is looked at under the
lock only.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from ledger.accounts.account import Account, Totals
from ledger.approvals.limit import Limits
from ledger.periods.period import Periods
from ledger.postings.batch import Batch, Facts, Head
from ledger.postings.entry import PostedEntry

MOST_ACCOUNTS = 100_000
"""Accounts that are remembered; beyond it a book is learned anew."""


@dataclass(slots=True)
class Memory:
    """Accounts of one book with their totals, as it stood at a head. `folded` has their codes by lower case.

    `latest` are the entries of the latest batch by caller and key: while it is in flight nobody else can see them.
    `limits` are the approval limits in force, `periods` the months that are not open; None before they are read.
    """

    head: Head | None = None
    accounts: dict[str, Account] = field(default_factory=dict)
    folded: dict[str, str] = field(default_factory=dict)
    totals: dict[str, Totals] = field(default_factory=dict)
    latest: dict[tuple[str, str], PostedEntry] = field(default_factory=dict)
    limits: Limits | None = None
    periods: Periods | None = None

    def stand_at(self, head: Head) -> None:
        """Forgets all where the head has moved without this process, or where too much is remembered."""
        if self.head is None or not self.head.is_at(head) or len(self.accounts) > MOST_ACCOUNTS:
            self.forget()
        self.head = head

    def forget(self) -> None:
        """Knows nothing any more."""
        self.head = self.limits = self.periods = None
        for known in (self.accounts, self.folded, self.totals, self.latest):
            known.clear()

    def unknown(self, codes: Collection[str]) -> set[str]:
        """Those of the codes whose account is not remembered."""
        return {code for code in codes if code not in self.accounts}

    def facts(self) -> Facts | None:
        """All that is remembered; None before limits and periods were read."""
        if self.limits is None or self.periods is None:
            return None
        return Facts(
            accounts=self.accounts,
            folded=self.folded,
            totals=self.totals,
            replays=self.latest,
            limits=self.limits,
            periods=self.periods,
        )

    def learn(self, found: Sequence[tuple[Account, Totals]]) -> None:
        """Accounts that were read where the book stands."""
        for account, totals in found:
            self.accounts[account.code] = account
            self.folded[account.code.lower()] = account.code
            self.totals[account.code] = totals

    def follow(self, batch: Batch) -> None:
        """A batch was decided, and will be recorded: the book stands where it leaves it."""
        self.head = batch.head
        self.accounts.update(batch.opened)
        self.folded.update((code.lower(), code) for code in batch.opened)
        self.totals.update(batch.totals)
        self.latest = {(entry.actor, entry.idempotency_key): entry for entry in batch.entries}
