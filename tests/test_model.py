"""The server against a model of it small enough to be read: whatever is asked, in whatever order, both agree.

Hypothesis thinks up the requests. The model is a list of entries and nothing else; it knows by plain sums what
every balance is and which request must be refused for what reason.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from serving import CR, DR, Ledger, entry, minor, open_book, refused, standing

from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import postings_pb2 as po
from ledger.v1 import reports_pb2 as rp

CASH, OPENING, PETTY, BOX = "Assets:Cash", "Equity:Opening", "Assets:Petty", "Assets:Box"
TRANSIT, PATIENT = "Liabilities:PayoutsInTransit", "Assets:Receivable:Patient"
COST, EARNED, ABSORBED = "Expenses:ProviderServices", "Revenue:Sessions", "Expenses:DenialsAbsorbed"
INSURER, PAYABLE = "Assets:Receivable:Insurer", "Liabilities:Payable:Provider"
FIRST_DAY = date(2026, 3, 1)

Line = tuple[str, int, str]
books_opened = count(1)


# --- the model ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """What the model keeps of an entry: signed lines, debit positive, and the payer of a session."""

    day: str
    lines: list[Line]
    kind: str = "KIND_MANUAL"
    reverses: int = 0
    claim: str = ""
    payer: str = ""


@dataclass
class Model:
    """The books as a list of entries, entry number 1 first."""

    entries: list[Entry] = field(default_factory=list)
    closed: set[str] = field(default_factory=set)

    def balance(self, account: str, until: str = "9999", item: str | None = None) -> int:
        """A sum over all lines of an account and of those below it."""
        return sum(
            amount
            for one in self.entries
            if one.day <= until
            for code, amount, tag in one.lines
            if (code == account or code.startswith(f"{account}:")) and item in (None, tag)
        )

    def accounts(self) -> set[str]:
        return {code for one in self.entries for code, _, _ in one.lines}

    def reversed_by(self, number: int) -> int:
        return next((i for i, one in enumerate(self.entries, 1) if one.reverses == number), 0)

    def payers(self, claim: str) -> set[str]:
        """Payers of the claim's sessions, those reversed left out."""
        return {
            one.payer
            for number, one in enumerate(self.entries, 1)
            if one.kind == "KIND_SESSION_EARNED" and one.claim == claim and not self.reversed_by(number)
        }

    def decide(self, request: Any) -> Entry | str:
        """The entry that a request must become, or the reason for which it must be refused."""
        found = DECIDED[type(request)](self, request)
        return found if isinstance(found, str) else self.limited(found)

    def limited(self, one: Entry) -> Entry | str:
        """Accounts first, in the order of the lines, then balances."""
        for code, _, item in one.lines:
            if code in self.closed:
                return "ACCOUNT_CLOSED"
            if code.startswith("Assets:Receivable") and not item:
                return "ITEM_MISSING"
        petty = self.balance(PETTY) + sum(amount for code, amount, _ in one.lines if code == PETTY)
        touched = any(code == PETTY for code, _, _ in one.lines)
        return "BALANCE_LIMIT_PASSED" if touched and petty < 0 else one


def session_earned(model: Model, r: po.RecordSessionRequest) -> Entry:
    allowed, share, rate = (m.minor_units for m in (r.allowed, r.patient_share, r.provider_rate))
    lines = [
        (f"{INSURER}:{r.payer}", allowed - share, r.claim),
        (PATIENT, share, r.claim),
        (COST, rate, ""),
        (EARNED, -allowed, ""),
        (f"{PAYABLE}:{r.provider}", -rate, ""),
    ]
    kept = [line for line in lines if line[1]]
    return Entry(r.service_date, kept, "KIND_SESSION_EARNED", claim=r.claim, payer=r.payer)


def provider_paid(model: Model, r: po.PayProviderRequest) -> Entry | str:
    account, amount = f"{PAYABLE}:{r.provider}", r.amount.minor_units
    if amount > -model.balance(account):
        return "PAYABLE_EXCEEDED"
    lines = [(account, amount, ""), (TRANSIT if r.in_transit else CASH, -amount, "")]
    return Entry(r.effective_date, lines, "KIND_PROVIDER_PAID")


def denial_absorbed(model: Model, r: po.AbsorbDenialRequest) -> Entry | str:
    receivables = {code for code in model.accounts() if code.startswith(f"{INSURER}:")}
    due = {code: model.balance(code, item=r.claim) for code in receivables}
    owing = [code for code in receivables if due[code] > 0]
    if len(owing) != 1:
        return "PAYER_AMBIGUOUS" if owing else "CLAIM_NOT_FOUND"
    amount = within(r, due[owing[0]])
    lines = [(ABSORBED, amount, r.claim), (owing[0], -amount, r.claim)]
    return Entry(r.effective_date, lines, "KIND_DENIAL_ABSORBED") if amount else "CLAIM_EXCEEDED"


def denial_recovered(model: Model, r: po.RecoverDenialRequest) -> Entry | str:
    absorbed = model.balance(ABSORBED, item=r.claim)
    if absorbed <= 0:
        return "CLAIM_NOT_FOUND"
    amount, payers = within(r, absorbed), model.payers(r.claim)
    if not amount:
        return "CLAIM_EXCEEDED"
    if len(payers) != 1:
        return "PAYER_AMBIGUOUS"
    lines = [(f"{INSURER}:{payers.pop()}", amount, r.claim), (ABSORBED, -amount, r.claim)]
    return Entry(r.effective_date, lines, "KIND_DENIAL_RECOVERED")


def within(r: po.AbsorbDenialRequest | po.RecoverDenialRequest, left: int) -> int:
    """The amount asked for or all that is left; 0 where more is asked than is left."""
    asked = r.amount.minor_units if r.HasField("amount") else left
    return asked if asked <= left else 0


def entry_reversed(model: Model, r: po.ReverseEntryRequest) -> Entry | str:
    if r.number > len(model.entries):
        return "ENTRY_NOT_FOUND"
    original = model.entries[r.number - 1]
    if original.kind == "KIND_REVERSAL":
        return "REVERSAL_NOT_REVERSIBLE"
    if model.reversed_by(r.number):
        return "ENTRY_ALREADY_REVERSED"
    lines = [(code, -amount, item) for code, amount, item in original.lines]
    return Entry(r.effective_date, lines, "KIND_REVERSAL", reverses=r.number)


def entry_posted(model: Model, r: po.PostEntryRequest) -> Entry | str:
    lines = [signed(line) for line in r.entry.postings]
    return Entry(r.entry.effective_date, lines) if not sum(a for _, a, _ in lines) else "ENTRY_UNBALANCED"


def signed(line: po.Posting) -> Line:
    return line.account, (1 if line.side == DR else -1) * line.amount.minor_units, line.item


DECIDED: dict[type, Callable[[Model, Any], Entry | str]] = {
    po.RecordSessionRequest: session_earned,
    po.PayProviderRequest: provider_paid,
    po.AbsorbDenialRequest: denial_absorbed,
    po.RecoverDenialRequest: denial_recovered,
    po.ReverseEntryRequest: entry_reversed,
    po.PostEntryRequest: entry_posted,
}


# --- what is asked ------------------------------------------------------------------------------------

DAYS = st.integers(0, 60).map(lambda n: (FIRST_DAY + timedelta(n)).isoformat())
CLAIMS = st.sampled_from(["C1", "C2", "C3"])
PAYERS = st.sampled_from(["AETNA", "AETNA", "CIGNA"])
PROVIDERS = st.sampled_from(["ada", "bob"])
CENTS = st.sampled_from([1, 99, 5_000, 10_000, 10_500, 12_000])
THIRDS = st.integers(0, 3)
MAYBE = st.none() | CENTS
HANDS = [CASH, OPENING, PETTY, BOX, f"{INSURER}:AETNA", f"{PAYABLE}:ada"]
HAND = st.sampled_from(HANDS)
PREFIXES = ["Assets", INSURER, "Liabilities", PAYABLE, "Revenue", "Expenses", "Equity"]


class Books(RuleBasedStateMachine):
    """A book of its own on a running server, and the model of it."""

    server: Ledger

    def __init__(self) -> None:
        super().__init__()
        self.ledger = self.server.of(f"model-{next(books_opened)}")
        open_book(self.ledger, self.ledger.book)
        limit = {PETTY: ac.BALANCE_LIMIT_MUST_NOT_GO_CREDIT}
        for code in (OPENING, PETTY, BOX):
            self.ledger.accounts.OpenAccount(
                ac.OpenAccountRequest(
                    book=self.ledger.book, code=code, currency_code="USD", balance_limit=limit.get(code)
                )
            )
        self.model = Model()
        self.answered: list[tuple[Any, po.JournalEntry]] = []
        self.keys = count(1)

    def ask(self, request: Any) -> None:
        """First without recording, then in earnest: both times as the model says."""
        request.book = self.ledger.book
        expected = self.model.decide(request)
        self.compare(request, expected, validate_only=True)
        posted = self.compare(request, expected, validate_only=False)
        if not isinstance(expected, str):
            assert posted.number == len(self.model.entries) + 1
            self.model.entries.append(expected)
            self.answered.append((request, posted))

    def compare(self, request: Any, expected: Entry | str, *, validate_only: bool) -> po.JournalEntry:
        """Sends a request; fails where the answer is not the one expected."""
        request.validate_only = validate_only
        if isinstance(expected, str):
            assert refused(self.call(request), request).reason == expected
            return po.JournalEntry()
        answer = self.call(request)(request)
        found = answer.entry
        assert not answer.replayed
        assert [signed(line) for line in found.postings] == expected.lines
        assert (found.effective_date, po.Kind.Name(found.kind)) == (expected.day, expected.kind)
        assert found.reverses == expected.reverses
        return found

    def call(self, request: Any) -> Any:
        return getattr(self.ledger.postings, type(request).__name__.removesuffix("Request"))

    def key(self) -> str:
        return f"k{next(self.keys)}"

    # --- what happens ---

    @rule(
        claim=CLAIMS,
        payer=PAYERS,
        provider=PROVIDERS,
        allowed=CENTS,
        share=st.integers(0, 3),
        rate=CENTS,
        day=DAYS,
    )
    def earn(self, claim: str, payer: str, provider: str, allowed: int, share: int, rate: int, day: str) -> None:
        """A session, of which a part, or all, or nothing is the patient's."""
        self.ask(
            po.RecordSessionRequest(
                idempotency_key=self.key(),
                session=f"S{len(self.answered)}",
                claim=claim,
                payer=payer,
                provider=provider,
                service_date=day,
                allowed=minor(allowed),
                patient_share=minor(allowed * share // 3),
                provider_rate=minor(rate),
            )
        )

    @precondition(lambda self: self.model.balance(PAYABLE) < 0)
    @rule(provider=PROVIDERS, amount=CENTS, day=DAYS, in_transit=st.booleans())
    def pay(self, provider: str, amount: int, day: str, in_transit: bool) -> None:
        self.ask(
            po.PayProviderRequest(
                idempotency_key=self.key(),
                provider=provider,
                amount=minor(amount),
                effective_date=day,
                in_transit=in_transit,
            )
        )

    @precondition(lambda self: self.model.balance(INSURER))
    @rule(claim=CLAIMS, amount=MAYBE, day=DAYS)
    def absorb(self, claim: str, amount: int | None, day: str) -> None:
        self.ask(
            po.AbsorbDenialRequest(
                idempotency_key=self.key(), claim=claim, amount=maybe(amount), effective_date=day, reason="denied"
            )
        )

    @precondition(lambda self: ABSORBED in self.model.accounts())
    @rule(claim=CLAIMS, amount=MAYBE, day=DAYS)
    def recover(self, claim: str, amount: int | None, day: str) -> None:
        self.ask(
            po.RecoverDenialRequest(
                idempotency_key=self.key(), claim=claim, amount=maybe(amount), effective_date=day, reason="appeal"
            )
        )

    @rule(debited=HAND, credited=HAND, amount=CENTS, off=st.sampled_from([0, 0, 0, 1]), day=DAYS, item=CLAIMS)
    def post(self, debited: str, credited: str, amount: int, off: int, day: str, item: str) -> None:
        """By hand, for a claim or for none, now and then unbalanced."""
        tag = item if item in ("C1", "C2") else ""
        lines = [
            po.Posting(account=debited, side=DR, amount=minor(amount), item=tag),
            po.Posting(account=credited, side=CR, amount=minor(amount + off), item=tag),
        ]
        self.ask(po.PostEntryRequest(entry=entry(day, *lines, key=self.key())))

    @rule(which=st.integers(0, 1_000), day=DAYS)
    def reverse(self, which: int, day: str) -> None:
        """Any of the entries, or the one after the last."""
        number = which % (len(self.model.entries) + 1) + 1
        self.ask(
            po.ReverseEntryRequest(
                idempotency_key=self.key(), number=number, effective_date=day, reason="mistaken"
            )
        )

    @rule(spent=st.lists(st.tuples(DAYS, st.integers(1, 300)), min_size=1, max_size=4), atomic=st.booleans())
    def spend_petty_cash(self, spent: list[tuple[str, int]], atomic: bool) -> None:
        """A batch of which each entry counts for those after it: each by itself, or all or none."""
        entries = [
            entry(
                day,
                po.Posting(account=CASH, side=DR, amount=minor(amount)),
                po.Posting(account=PETTY, side=CR, amount=minor(amount)),
                key=self.key(),
            )
            for day, amount in spent
        ]
        asked = po.PostEntriesRequest(book=self.ledger.book, entries=entries, atomic=atomic)
        trial = Model([*self.model.entries], self.model.closed)
        expected = []
        for one in entries:
            expected.append(trial.decide(po.PostEntryRequest(entry=one)))
            if isinstance(expected[-1], Entry):
                trial.entries.append(expected[-1])
        refusals = [one for one in expected if isinstance(one, str)]
        if atomic and refusals:
            assert refused(self.ledger.postings.PostEntries, asked).reason == refusals[0]
            return
        results = self.ledger.postings.PostEntries(asked).results
        assert [r.HasField("refusal") for r in results] == [isinstance(one, str) for one in expected]
        for one, result in zip(entries, results, strict=True):
            if result.HasField("entry"):
                self.answered.append((po.PostEntryRequest(book=self.ledger.book, entry=one), result.entry))
        self.model = trial

    @rule(amount=st.integers(1, 500))
    def fill_petty_cash(self, amount: int) -> None:
        self.post(PETTY, OPENING, amount, 0, FIRST_DAY.isoformat(), "")

    @rule()
    def close_the_box(self) -> None:
        """At zero only, and for good."""
        closing = ac.CloseAccountRequest(book=self.ledger.book, code=BOX, reason="full")
        if BOX in self.model.closed:
            assert refused(self.ledger.accounts.CloseAccount, closing).reason == "ACCOUNT_CLOSED"
        elif self.model.balance(BOX):
            assert refused(self.ledger.accounts.CloseAccount, closing).reason == "ACCOUNT_NOT_AT_ZERO"
        else:
            self.ledger.accounts.CloseAccount(closing)
            self.model.closed.add(BOX)

    # --- what is asked again ---

    @precondition(lambda self: self.answered)
    @rule(which=st.integers(0, 1_000))
    def ask_again(self, which: int) -> None:
        """Whatever has happened since: the answer of then."""
        request, posted = self.answered[which % len(self.answered)]
        again = self.call(request)(request)
        assert (again.replayed, again.entry) == (True, posted)

    @precondition(lambda self: self.answered)
    @rule(which=st.integers(0, 1_000), day=DAYS)
    def use_a_key_again(self, which: int, day: str) -> None:
        """For another day: refused, and what differs is named."""
        request, posted = self.answered[which % len(self.answered)]
        other = type(request)()
        other.CopyFrom(request)
        dated = other.entry if isinstance(other, po.PostEntryRequest) else other
        if posted.effective_date != day:
            dated.effective_date = day
            said = refused(self.call(other), other)
            assert (said.reason, said.facts["differs"]) == ("IDEMPOTENCY_KEY_REUSED", "effective_date")

    # --- what must hold ---

    @rule(code=st.sampled_from([*HANDS, TRANSIT, PATIENT, ABSORBED]), prefix=st.sampled_from(PREFIXES), day=DAYS)
    def balances_agree(self, code: str, prefix: str, day: str) -> None:
        """Of an account and of a prefix, on a day and altogether; accounts never heard of are at zero."""
        for until in (day, ""):
            assert self.ledger.balance(code, until) == stands(self.model.balance(code, until or "9999"))
            assert self.ledger.control(prefix, until) == stands(self.model.balance(prefix, until or "9999"))

    @rule(day=DAYS)
    def trial_balance_agrees(self, day: str) -> None:
        """Each account that was ever posted to, and both columns equal."""
        asked = rp.GetTrialBalanceRequest(book=self.ledger.book, as_of=day)
        answer = self.ledger.reports.GetTrialBalance(asked)
        found = {row.account: standing(row.balance) for row in answer.rows}
        assert found == {code: stands(self.model.balance(code, day)) for code in self.model.accounts()}
        assert all(total.debits == total.credits for total in answer.totals)

    @rule(size=st.integers(1, 7), claim=CLAIMS)
    def listings_agree(self, size: int, claim: str) -> None:
        """All entries in order, whatever the pages; and those of a claim."""
        found = self.ledger.entries(page_size=size)
        assert [[signed(line) for line in one.postings] for one in found] == [e.lines for e in self.model.entries]
        of_claim = [one.number for one in self.ledger.entries(item=claim)]
        assert of_claim == [
            number
            for number, one in enumerate(self.model.entries, 1)
            if any(item == claim for _, _, item in one.lines)
        ]

    @invariant()
    def numbers_are_gapless(self) -> None:
        books = self.ledger.accounts.ListBooks(ac.ListBooksRequest()).books
        assert {b.book: b.last_number for b in books}[self.ledger.book] == len(self.model.entries)

    def teardown(self) -> None:
        """At the end of each run everything is compared once more."""
        for code in self.model.accounts():
            assert self.ledger.balance(code) == stands(self.model.balance(code))
        self.listings_agree(3, "C1")


def maybe(amount: int | None) -> Any:
    return None if amount is None else minor(amount)


def stands(amount: int) -> str:
    side = " Dr" if amount > 0 else " Cr" if amount < 0 else ""
    return f"{abs(amount) // 100}.{abs(amount) % 100:02}{side}"


def test_the_server_does_what_the_model_does(server: Ledger) -> None:
    machine = type("BooksOnServer", (Books,), {"server": server})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=15,
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
    assert server.wrong() == []
