"""How a batch is decided: from the head, the facts under its lock and the requests, to entries and refusals.

Pure. One bad request refuses itself, never its neighbours; an atomic submission is refused whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from msgspec import Struct

from ledger.accounts import chart
from ledger.accounts.account import Account, Totals
from ledger.approvals.limit import Limits, refuse_unapproved
from ledger.errors import (
    AccountClosed,
    AccountCodeAmbiguous,
    AccountCurrencyDiffers,
    AccountNotFound,
    BalanceLimitPassed,
    BatchTooLarge,
    IdempotencyKeyReused,
    ItemMissing,
    Refusal,
    TotalOutOfRange,
)
from ledger.ids import entry_id
from ledger.money import plain
from ledger.periods.period import ALL_OPEN, Periods, refuse_period
from ledger.postings.chain import entry_hash, request_hash
from ledger.postings.commands import Command
from ledger.postings.entry import JournalEntry, PostedEntry, Posting
from ledger.postings.item import Item

MOST_ENTRIES = 1_000
"""Entries in one batch."""

MOST_POSTINGS = 10_000
"""Postings in one batch."""

_LARGEST_TOTAL = 2**63 - 1
_NOTHING = Totals()


class Request(Struct, frozen=True):
    """A command, who gives it and under which permanent key; `approved` where a second person has agreed.

    `by_finance` where the caller has that role in the book, and so may post into a soft-closed month.
    """

    actor: str
    idempotency_key: str
    command: Command
    approved: bool = False
    by_finance: bool = False


@dataclass(frozen=True, slots=True)
class Submission:
    """Requests that arrived together; `atomic` means all or none."""

    requests: Sequence[Request]
    atomic: bool = False

    def __post_init__(self) -> None:
        """Raises BatchTooLarge."""
        refuse_too_many(len(self.requests))
        if self.postings > MOST_POSTINGS:
            raise BatchTooLarge(
                f"a batch holds at most {MOST_POSTINGS} postings, not {self.postings}",
                postings=self.postings,
                limit=MOST_POSTINGS,
            )

    @property
    def postings(self) -> int:
        """How many postings its entries will have."""
        return sum(request.command.posting_count for request in self.requests)


class Head(Struct, frozen=True):
    """Where a book stands: the last entry's number and hash, and the time at which this batch is recorded.

    `changes` counts what was changed beside posting, such as accounts closed.
    """

    book: str
    number: int
    hash: bytes
    recorded_at: datetime
    changes: int = 0

    def is_at(self, other: "Head") -> bool:
        """Whether nothing was posted, and no account or month closed, between the two."""
        place, there = ((one.number, one.hash, one.changes) for one in (self, other))
        return place == there


class Posted(Struct, frozen=True):
    """A request's entry; `replayed` where an earlier request with the same key had posted it."""

    entry: PostedEntry
    replayed: bool = False


Outcome = Posted | Refusal


@dataclass(slots=True)
class Facts:
    """What was read under the lock. `folded` maps lower-case codes to the account open under them."""

    accounts: Mapping[str, Account] = field(default_factory=dict)
    folded: Mapping[str, str] = field(default_factory=dict)
    totals: Mapping[str, Totals] = field(default_factory=dict)
    items: Mapping[str, Item] = field(default_factory=dict)
    entries: Mapping[int, PostedEntry] = field(default_factory=dict)
    reversals: Mapping[int, int] = field(default_factory=dict)
    replays: Mapping[tuple[str, str], PostedEntry] = field(default_factory=dict)
    limits: Limits = field(default_factory=dict)
    periods: Periods = ALL_OPEN


@dataclass(slots=True)
class Batch:
    """What was decided: an outcome for every request, and what must be recorded for it.

    `start` is where the book stood, `head` where the batch leaves it. `totals` are those of each account that is
    posted to, as the batch leaves them; `daily` is what it adds to an account on an effective date.
    """

    start: Head
    head: Head
    outcomes: list[list[Outcome]] = field(default_factory=list)
    entries: list[PostedEntry] = field(default_factory=list)
    opened: dict[str, Account] = field(default_factory=dict)
    totals: dict[str, Totals] = field(default_factory=dict)
    daily: dict[tuple[str, date], Totals] = field(default_factory=dict)

    def added(self) -> dict[str, Totals]:
        """What the batch adds to each account, over all days."""
        sums: dict[str, Totals] = {}
        for (account, _), day in self.daily.items():
            so_far = sums.get(account, _NOTHING)
            sums[account] = Totals(so_far.debits + day.debits, so_far.credits + day.credits)
        return sums


class Draft:
    """The books as they stand while a batch is decided: the facts, and over them what the batch has added."""

    def __init__(self, head: Head, facts: Facts) -> None:
        """Starts from what was read."""
        self.batch = Batch(head, head)
        self._facts = facts
        self._folded: dict[str, str] = {}
        self._items: dict[str, Item] = {}
        self._reversals: dict[int, int] = {}
        self._replays: dict[tuple[str, str], PostedEntry] = {}

    def totals(self, account: str) -> Totals:
        """An account's totals, at zero where it is not open."""
        return self.batch.totals.get(account) or self._facts.totals.get(account) or _NOTHING

    def item(self, name: str) -> Item | None:
        """All that is known of an open item."""
        return self._items.get(name) or self._facts.items.get(name)

    def entry(self, number: int) -> PostedEntry | None:
        """A posted entry."""
        return self._facts.entries.get(number)

    def reversed_by(self, number: int) -> int | None:
        """The number of the entry that reverses this one."""
        return self._reversals.get(number) or self._facts.reversals.get(number)

    def open_day(self, day: date) -> date:
        """The day, or where its month is not open any more, the first one after it that is."""
        return self._facts.periods.open_day(day)

    def answer(self, request: Request) -> Posted:
        """Decides one request and adds its entry. Raises a Refusal and adds nothing."""
        key = request.actor, request.idempotency_key
        if earlier := self._replays.get(key) or self._facts.replays.get(key):
            return _replay(request, earlier)
        entry = request.command.entry(self)
        refuse_period(entry, self._facts.periods, by_finance=request.by_finance)
        opened, after = self._checked(entry)
        if not request.approved:
            refuse_unapproved(entry, self._facts.limits)
        return Posted(self._added(request, entry, opened, after))

    def _checked(self, entry: JournalEntry) -> tuple[dict[str, Account], dict[str, Totals]]:
        """The accounts that the entry opens, and the totals it leaves. Refuses by account, then by balance."""
        opened: dict[str, Account] = {}
        used: dict[str, Account] = {}
        after: dict[str, Totals] = {}
        for posting in entry.postings:
            code = posting.account
            account = self.batch.opened.get(code) or self._facts.accounts.get(code) or opened.get(code)
            if account is None:
                account = opened[code] = self._open(posting, opened)
            _refuse_posting(account, posting)
            used[code] = account
            after[code] = (after.get(code) or self.totals(code)).plus(posting.signed)
        for code, totals in after.items():
            _refuse_balance(used[code], totals)
        return opened, after

    def _open(self, posting: Posting, opened: Mapping[str, Account]) -> Account:
        account = chart.opened_by_rule(posting.account, posting.amount.currency)
        if account is None:
            raise AccountNotFound(f"no account {posting.account}", account=posting.account)
        folded = account.code.lower()
        now = {code.lower(): code for code in opened}
        known = next((codes for codes in (now, self._folded) if folded in codes), self._facts.folded)
        refuse_ambiguous(account.code, known)
        return account

    def _added(
        self, request: Request, entry: JournalEntry, opened: Mapping[str, Account], after: Mapping[str, Totals]
    ) -> PostedEntry:
        for code, account in opened.items():
            self.batch.opened[code] = replace(account, opened_by=request.actor)
            self._folded[code.lower()] = code
        self.batch.totals.update(after)
        for posting in entry.postings:
            self._count(posting, entry.effective_date)
        posted = self._numbered(request, entry)
        self.batch.entries.append(posted)
        self._replays[request.actor, request.idempotency_key] = posted
        if entry.reverses:
            self._reversals[entry.reverses] = posted.number
        return posted

    def _count(self, posting: Posting, effective_date: date) -> None:
        place = posting.account, effective_date
        self.batch.daily[place] = self.batch.daily.get(place, _NOTHING).plus(posting.signed)
        if posting.item and (item := self.item(posting.item)):
            self._items[posting.item] = item.plus(posting)

    def _numbered(self, request: Request, entry: JournalEntry) -> PostedEntry:
        head = self.batch.head
        number = head.number + 1
        posted = PostedEntry(
            book=head.book,
            number=number,
            id=entry_id(head.recorded_at, head.hash, number),
            recorded_at=head.recorded_at,
            actor=request.actor,
            idempotency_key=request.idempotency_key,
            request_hash=request_hash(request.command.stated()),
            entry=entry,
        )
        posted = posted.with_hash(entry_hash(head.hash, posted))
        self.batch.head = Head(head.book, number, posted.hash, head.recorded_at, head.changes)
        return posted

    def copied(self) -> "Draft":
        """A draft of its own that starts from here."""
        twin = Draft(self.batch.head, self._facts)
        batch = self.batch
        twin.batch = replace(
            batch,
            entries=[*batch.entries],
            opened={**batch.opened},
            totals={**batch.totals},
            daily={**batch.daily},
        )
        twin._folded, twin._items = {**self._folded}, {**self._items}
        twin._reversals, twin._replays = {**self._reversals}, {**self._replays}
        return twin


def refuse_too_many(count: int) -> None:
    """Raises BatchTooLarge for more entries than a batch may hold."""
    if count > MOST_ENTRIES:
        raise BatchTooLarge(
            f"a batch holds at most {MOST_ENTRIES} entries, not {count}", entries=count, limit=MOST_ENTRIES
        )


def decide(head: Head, facts: Facts, submissions: Sequence[Submission]) -> Batch:
    """Decides every request of a batch, in order."""
    draft = Draft(head, facts)
    for submission in submissions:
        attempt = draft.copied() if submission.atomic else draft
        outcomes = [_outcome(attempt, request) for request in submission.requests]
        refused = next((i for i, o in enumerate(outcomes) if isinstance(o, Refusal)), None)
        if submission.atomic and refused is not None:
            outcomes = [_refused_whole(outcomes[refused], refused)] * len(outcomes)
        else:
            draft = attempt
        draft.batch.outcomes.append(outcomes)
    return draft.batch


def _outcome(draft: Draft, request: Request) -> Outcome:
    try:
        return draft.answer(request)
    except Refusal as refusal:
        return refusal


def _refused_whole(outcome: Outcome, index: int) -> Outcome:
    """The refusal that stopped an atomic submission, with the place of the request it is about."""
    if isinstance(outcome, Refusal):
        outcome.facts["index"] = str(index)
    return outcome


def refuse_ambiguous(code: str, folded: Mapping[str, str]) -> None:
    """No two codes may differ in case alone: exports and readers would mix them up."""
    existing = folded.get(code.lower(), code)
    if existing != code:
        raise AccountCodeAmbiguous(
            f"{code} differs from the open account {existing} in upper and lower case only",
            account=code,
            existing=existing,
        )


def _replay(request: Request, earlier: PostedEntry) -> Posted:
    stated = request.command.stated()
    if request_hash(stated) == earlier.request_hash:
        return Posted(earlier, replayed=True)
    before = earlier.entry.stated()
    differs = [name for name, value in stated.items() if before.get(name, value) != value]
    if len(differs) > 1 and stated.get("effective_date") == "":
        differs.remove("effective_date")  # it was left to the books, and may have been before
    raise IdempotencyKeyReused(
        f"the key {request.idempotency_key} was used for entry {earlier.number}, which was asked for otherwise",
        idempotency_key=request.idempotency_key,
        number=earlier.number,
        differs=", ".join(differs or ["amount"]),
    )


def _refuse_posting(account: Account, posting: Posting) -> None:
    if account.closed_at is not None:
        raise AccountClosed(f"{account.code} is closed", account=account.code)
    if account.currency != posting.amount.currency:
        raise AccountCurrencyDiffers(
            f"{account.code} is kept in {account.currency}, not in {posting.amount.currency}",
            account=account.code,
            currency=account.currency,
            posted=posting.amount.currency,
        )
    if account.item_required and posting.item is None:
        raise ItemMissing(f"a posting to {account.code} must name its item", account=account.code)


def _refuse_balance(account: Account, totals: Totals) -> None:
    if max(totals.debits, totals.credits) > _LARGEST_TOTAL:
        raise TotalOutOfRange(f"the total of {account.code} would exceed 63 bits", account=account.code)
    limit = account.balance_limit
    if limit is not None and not limit.allows(totals.balance):
        raise BalanceLimitPassed(
            f"{account.code} {limit.replace('_', ' ')}, and would stand at "
            f"{plain(totals.balance, account.currency)}",
            account=account.code,
            limit=limit,
            balance=plain(totals.balance, account.currency),
        )
