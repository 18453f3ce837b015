"""Stories in the bookkeeper's words, each a `.book` in tests/books, told to the running server through gRPC.

A line is what happened; it may begin with its day, which then holds for the lines after it:

    2026-04-08 earned C1 payer=AETNA provider=ada allowed=120.00 patient=20.00 rate=105.00
    2026-04-30 paid ada 105.00 cycle=2026-04-B      also: in-transit
    denied C1 amount=50.00                          the company absorbs it; without an amount, all of it
    recovered C1                                    the denial was overturned after that
    reversed 2                                      entry 2, by a new one; also: undated, on the first open day
    posted Assets:Cash 5.00 Dr, Equity:Opening 5.00 Cr      by hand; a third word is the item
    opened Assets:Petty limit=must-not-go-credit    also: currency=EUR item-required
    closed Assets:Petty
    soft-closed 2026-04 all sessions are in         finance may still post there, with because="…"
    closed 2026-04                                  nothing may; also: override="cfo knows" days=10
    reopened 2026-04 a session was forgotten        proposed by one, approved by another
    identified AETNA as "Aetna Health"              how remittances call a payer
    allowance-policy ages=0,31 matured=90 fewest=2  how allowances for denials are computed, from then on
    allowance 2026-06                               posted for the end of the month, and taken back by itself
    book NV-PC                                      the lines after it are about another book
    remitted AETNA trace=EFT1 -> settled            an 835 arrives, made of the lines below it
        claim C1 paid=100.00 CO-45=30.00 PR-3=20.00 -> paid_in_full
        plb WO 25.00 ref=R1
    deposited AETNA 100.00 trace=EFT1 ref=R1        the bank tells of it; two: trace=EFT1,EFT2; - for no payer
    taken-back AETNA 100.00 trace=EFT1 ref=R2       the bank takes it back
    applied R1 to EFT1 amount=50.00                 a person says whose money it is; without an amount, all of it
    unapplied R1 from EFT1                          it was not
    policy AETNA on-deposit                         its remittances wait for money; also: on-remittance days=3
    retold                                          the bank tells of its last deposit once more, in another form
    told until 2026-06-30                           the bank has told of all days until then
    item C1 assigned mia                            what waits on a claim is mia's; also: absorbed, written-off,
                                                    closed, sent-back
    write-off-cap 5.00                              an approver says how much may be written off
    calendar 15,31 first=2026-01-01 after=5         cycles are cut off then, and paid so many days after
    payee ada                                       her bank details are known
    cycle 2026-04-15 -> ada 105.00 paid, bob 0.00 held      proposed, approved by another, posted
    held ada                                        no cycle pays her, until: released ada
    sent 2026-04-15                                 its payments went to the bank; also: sent 2026-04-15 ada
    settled 2026-04-15                              the bank has paid them
    returned 2026-04-15 ada                         her payment came back
    statement 2026-04-15 ada -> carried 0.00, session C1 105.00, paid 105.00, left 0.00
    again                                           the line before is sent again: nothing new comes of it
    refused PAYABLE_EXCEEDED: paid ada 999.00       a line that is refused, and why

Below `---` stand the balances that must be, of accounts or of all below a prefix; `--- as of DAY` those of a day;
`entries 5` how many there are; `exceptions denied C1 100.00` those open; `history C1 assigned mia, absorbed mia`
what became of the item on a claim and whose it was; `balance-sheet 75.00 = 65.00 + 10.00` is
assets, liabilities and equity with the result by the report of that day. What is left at the end must be complete:
an account that is not at zero and not told of fails the story. And after each story the books must be sound.
"""

import re
import shlex
from calendar import monthrange
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import banks
import cycles
import payers
import pytest
from serving import (
    DIGITS,
    DR,
    Ledger,
    cr,
    dr,
    entry,
    key,
    minor,
    open_book,
    payout,
    refused,
    session,
    standing,
    usd,
    written,
)
from test_approvals import approved, proposed
from tying import advances_tie

from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import allowances_pb2 as al
from ledger.v1 import pay_cycles_pb2 as pc
from ledger.v1 import periods_pb2 as pe
from ledger.v1 import postings_pb2 as po
from ledger.v1 import reports_pb2 as rp
from ledger.v1 import write_offs_pb2 as wo
from reconciliation.v1 import bank_pb2 as bk
from reconciliation.v1 import reconciliation_pb2 as pb
from reconciliation.v1 import worklist_pb2 as wl

STORIES = sorted((Path(__file__).parent / "books").glob("*.book"))
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
BELOW = ("claim", "plb")
ROOTS = ("Assets", "Liabilities", "Equity", "Revenue", "Expenses")
LIMITS = {
    "must-not-go-debit": ac.BALANCE_LIMIT_MUST_NOT_GO_DEBIT,
    "must-not-go-credit": ac.BALANCE_LIMIT_MUST_NOT_GO_CREDIT,
}
SESSION_WORDS = {
    "patient": "patient_share",
    "code": "service_code",
    "licence": "licence_type",
    "because": "reason",
}
MONTH = re.compile(r"\d{4}-\d{2}\b")


# --- reading a story ----------------------------------------------------------------------------------


@dataclass
class Line:
    """One line of a story, and the parts of a remittance that stand below it."""

    text: str
    below: list[str] = field(default_factory=list)


def lines_of(story: str) -> Iterator[Line]:
    """The lines of a story, a remittance with its parts below it; comments and empty lines left out."""
    found: list[Line] = []
    for text in (line.partition("#")[0].rstrip() for line in story.splitlines()):
        if text.strip().partition(" ")[0] in BELOW:
            found[-1].below.append(text.strip())
        elif text.strip():
            found.append(Line(text.strip()))
    return iter(found)


def words(text: str) -> tuple[list[str], dict[str, str]]:
    """The plain words of a line, and its `name=value` pairs."""
    parts = shlex.split(text)
    named = dict(part.split("=", 1) for part in parts if "=" in part)
    return [part for part in parts if "=" not in part], named


def ending(text: str, usual: str = "") -> tuple[str, str]:
    """A line without its `-> outcome`, and the outcome."""
    told, _, outcome = text.partition("->")
    return told.strip(), outcome.strip() or usual


# --- telling it to the server -------------------------------------------------------------------------


class Story:
    """Tells lines to the server, and remembers what is needed to tell the next."""

    def __init__(self, ledger: Ledger) -> None:
        """Begins with an open book, no day and nothing said."""
        self.ledger = ledger
        self.day = ""
        self.as_of = ""
        self.covered: set[str] = set()
        self.last: Callable[[], None] = lambda: None
        self.statement_told = b""
        self.sessions: dict[str, list[po.RecordSessionRequest]] = defaultdict(list)

    def tell(self, line: Line) -> None:
        """Does what a line says, or checks what it expects."""
        text = line.text
        if text.startswith("---"):
            self.as_of, self.covered = "".join(DAY.findall(text)), set()
            return
        if DAY.match(text):
            self.day, _, text = text.partition(" ")
        verb, _, rest = text.strip().partition(" ")
        if verb.partition(":")[0] in ROOTS:
            self.balance(verb, rest)
        else:
            getattr(self, verb.replace("-", "_"))(*([rest, line.below] if line.below else [rest]))

    def post(self, request: Any) -> None:
        """Sends a request; it can be sent again, and then posts nothing new."""
        call = getattr(self.ledger.postings, type(request).__name__.removesuffix("Request"))
        answer = call(request)
        assert not answer.replayed

        def again() -> None:
            second = call(request)
            assert (second.replayed, second.entry) == (True, answer.entry)

        self.last = again

    # --- what happens ---

    def earned(self, told: str) -> None:
        """A session took place."""
        [claim], named = words(told)
        named = {SESSION_WORDS.get(name, name): value for name, value in named.items()}
        more = {"book": self.ledger.book, "session": f"session {len(self.sessions)} of {claim}"}
        more["idempotency_key"] = named.pop("key", "") or key()
        request = session(claim, named.pop("service", self.day), **(more | named))
        request.effective_date = self.day
        self.post(request)
        self.sessions[claim].append(request)

    def paid(self, told: str) -> None:
        """A provider is paid."""
        [provider, amount, *transit], named = words(told)
        more = {"idempotency_key": named.get("key") or key(), "pay_cycle": named.get("cycle", "")}
        more["reason"] = named.get("because", "")
        self.post(payout(provider, amount, self.day, book=self.ledger.book, in_transit=bool(transit), **more))

    def denied(self, told: str) -> None:
        """The company absorbs a denial."""
        self.post(po.AbsorbDenialRequest(**self.of_denial(told)))

    def recovered(self, told: str) -> None:
        """An absorbed denial was overturned."""
        self.post(po.RecoverDenialRequest(**self.of_denial(told)))

    def of_denial(self, told: str) -> dict[str, Any]:
        [claim], named = words(told)
        asked: dict[str, Any] = {"book": self.ledger.book, "claim": claim, "effective_date": self.day}
        asked |= {"reason": named.get("because", "as decided"), "idempotency_key": named.get("key") or key()}
        return asked | {"payer": named.get("payer"), "amount": usd(named["amount"]) if "amount" in named else None}

    def reversed(self, told: str) -> None:
        """An entry is undone."""
        number, _, undated = told.partition(" ")
        asked = {"book": self.ledger.book, "idempotency_key": key(), "effective_date": "" if undated else self.day}
        self.post(po.ReverseEntryRequest(number=int(number), reason="mistaken", **asked))

    def posted(self, told: str) -> None:
        """An entry by hand."""
        lines = [posting(one.strip()) for one in told.split(",")]
        self.post(po.PostEntryRequest(book=self.ledger.book, entry=entry(self.day, *lines)))

    def opened(self, told: str) -> None:
        """An account is opened."""
        [code, *flags], named = words(told)
        self.ledger.accounts.OpenAccount(
            ac.OpenAccountRequest(
                book=self.ledger.book,
                code=code,
                currency_code=named.get("currency", "USD"),
                balance_limit=LIMITS.get(named.get("limit", "")),
                item_required="item-required" in flags,
            )
        )

    def closed(self, told: str) -> None:
        """An account is closed, or a month."""
        if MONTH.match(told):
            self.month_closed(told)
            return
        self.ledger.accounts.CloseAccount(
            ac.CloseAccountRequest(book=self.ledger.book, code=told, reason="unused")
        )

    # --- months ---

    def month_closed(self, told: str) -> None:
        """Nothing may be effective in a month any more; what is frozen is what the books say of its last day."""
        [month, *_], named = words(told)
        override = pe.PeriodOverride(person="cfo", reason=named["override"]) if "override" in named else None
        asked = pe.ClosePeriodRequest(book=self.ledger.book, month=month, reason="month end", override=override)
        if "days" in named:
            asked.limit_days = int(named["days"])
        answer = self.ledger.periods.ClosePeriod(asked)
        assert bool(answer.findings) == bool(override)

        def again() -> None:
            second = self.ledger.periods.ClosePeriod(asked)
            assert (second.replayed, second.period) == (True, answer.period)

        self.last = again

    def soft_closed(self, told: str) -> None:
        """From now on only finance posts into a month, and says why."""
        month, _, reason = told.partition(" ")
        asked = pe.SoftClosePeriodRequest(book=self.ledger.book, month=month, reason=reason)
        self.ledger.periods.SoftClosePeriod(asked)

    def reopened(self, told: str) -> None:
        """One proposes, another approves."""
        month, _, reason = told.partition(" ")
        asked = pe.ReopenPeriodRequest(book=self.ledger.book, month=month, reason=reason)
        approved(self.ledger, proposed(self.ledger, asked))

    def book(self, told: str) -> None:
        """From here on another book is spoken of, which is opened at its first mention."""
        home = self.ledger.book.partition("-of-")[2] or self.ledger.book
        self.ledger = self.ledger.of(home if told == "main" else f"{told}-of-{home}")
        open_book(self.ledger, self.ledger.book)

    def allowance_policy(self, told: str) -> None:
        """How allowances for denials are computed."""
        _, named = words(told)
        terms = al.AllowanceTerms(
            currency_code="USD",
            age_buckets=map(int, named["ages"].split(",")),
            matured_after_days=int(named["matured"]),
            history_months=12,
            fewest_claims=int(named["fewest"]),
        )
        setting = al.SetAllowancePolicyRequest(book=self.ledger.book, on=True, terms=terms, reason="as decided")
        self.ledger.allowances.SetAllowancePolicy(setting)

    def allowance(self, told: str) -> None:
        """The allowance of a month; asked for again, it posts nothing new."""
        asked = al.PostAllowanceRequest(book=self.ledger.book, month=told)
        assert not self.ledger.allowances.PostAllowance(asked).replayed

        def again() -> None:
            assert self.ledger.allowances.PostAllowance(asked).replayed

        self.last = again

    def again(self, told: str) -> None:
        """The line before is sent again."""
        self.last()

    def refused(self, told: str) -> None:
        """A line is refused, and nothing changes."""
        reason, _, text = told.partition(": ")
        before = self.ledger.state()
        found = refused(lambda line: self.tell(line), Line(text))
        assert found.reason == reason, found
        assert self.ledger.state() == before

    # --- pay cycles ---

    def calendar(self, told: str) -> None:
        """Cycles are cut off on days of the month."""
        [days], named = words(told)
        terms = {"first_cut_off": named["first"], "days_to_payment": int(named.get("after", 0))}
        of_month = [int(day) for day in days.split(",")]
        cycles.calendar_set(self.ledger, pc.PayCalendar(days_of_month=of_month, **terms))

    def payee(self, told: str) -> None:
        """Where somebody is paid."""
        cycles.payee_set(self.ledger, told)

    def cycle(self, told: str) -> None:
        """A cycle is proposed, approved by another and posted; its lines come out as the story says."""
        told, expected = ending(told)
        cycles.paid(self.ledger, told)
        found = []
        for line in cycles.lines(self.ledger, cycle=told).values():
            outcome = pc.PayLineOutcome.Name(line.outcome).removeprefix("PAY_LINE_OUTCOME_").lower()
            found.append(f"{line.provider} {written(line.amount) if line.entry_number else '0.00'} {outcome}")
        assert ", ".join(found) == expected

        def again() -> None:
            asked = cycles.running(self.ledger, told)
            assert self.ledger.pay_cycles.RunPayCycle(asked).replayed

        self.last = again

    def held(self, told: str) -> None:
        """No cycle pays a provider."""
        cycles.held(self.ledger, told)

    def released(self, told: str) -> None:
        """Cycles pay a provider again."""
        cycles.released(self.ledger, told)

    def sent(self, told: str) -> None:
        """Payments went to the bank."""
        self.marked(cycles.sent, told)

    def settled(self, told: str) -> None:
        """The bank has paid."""
        self.marked(cycles.settled, told)

    def marked(self, call: Callable[..., Any], told: str) -> None:
        cycle, *providers = told.split()
        assert not call(self.ledger, cycle, *providers).replayed

        def again() -> None:
            assert call(self.ledger, cycle, *providers).replayed

        self.last = again

    def returned(self, told: str) -> None:
        """A payment came back."""
        cycle, provider = told.split()
        first = cycles.returned(self.ledger, cycle, provider, self.day)

        def again() -> None:
            second = cycles.returned(self.ledger, cycle, provider, self.day)
            assert (second.replayed, second.entry_number) == (True, first.entry_number)

        self.last = again

    def statement(self, told: str) -> None:
        """A provider's statement says so, line by line."""
        told, expected = ending(told)
        found = cycles.statement(self.ledger, *told.split())
        items = [
            f"{pc.PayItemKind.Name(one.kind).removeprefix('PAY_ITEM_KIND_').lower().replace('_', ' ')} "
            f"{one.claim + ' ' if one.claim else ''}{written(one.amount)}"
            for one in found.items
        ]
        before, after = f"carried {written(found.line.carried)}", f"left {written(found.closing)}"
        assert ", ".join([before, *items, f"paid {written(found.paid)}", after]) == expected

    # --- remittances ---

    def identified(self, told: str) -> None:
        """A payer is known by another name."""
        payer, names = told.split(" as ")
        asked = pb.IdentifyPayerRequest(
            book=self.ledger.book, payer=payer, identifiers=shlex.split(names), reason="its letters say so"
        )
        self.ledger.reconciliation.IdentifyPayer(asked)

    def remitted(self, told: str, below: list[str]) -> None:
        """A payer's 835 arrives; each of its claims is decided as the story says."""
        told, state = ending(told, "settled")
        [name], named = words(told)
        claims = [words(ending(one)[0]) for one in below if one.startswith("claim")]
        adjustments = [words(one) for one in below if one.startswith("plb")]
        paid = sum((Decimal(one["paid"]) for _, one in claims), Decimal("0.00"))
        paid -= sum((Decimal(plain[2]) for plain, _ in adjustments), Decimal("0.00"))
        data = payers.file(
            payers.remittance(
                named.get("paid", str(paid)),
                named["trace"],
                *[self.claim(plain[1], one) for plain, one in claims],
                *[payers.plb((code, one.get("ref", ""), amount)) for [_, code, amount], one in adjustments],
                payer=payers.Payer(name, name.upper().replace(" ", "")[:10], f"1{name.upper()[:9]}"),
                day=self.day,
            )
        )
        self.deliver(data, state, [ending(one)[1] for one in below if one.startswith("claim")])

    def claim(self, name: str, told: dict[str, str]) -> str:
        """A CLP loop; what the story does not say is as the sessions of the claim were."""
        cas = {reason: amount for reason, amount in told.items() if re.fullmatch(r"[A-Z]{2}-\w+", reason)}
        charge = sum(map(Decimal, cas.values()), Decimal(told["paid"]))
        first = (self.sessions.get(name) or [None])[0]
        return payers.claim(
            name,
            told.get("charge", str(charge)),
            told["paid"],
            ", ".join(f"{reason} {amount}" for reason, amount in cas.items()),
            status=told.get("status", "1"),
            control=told.get("control", f"PCN{name}"),
            day=told.get("date") or (first.service_date if first else "2026-04-08"),
            code=told.get("code") or (first.service_code if first else "") or "90837",
        )

    def deliver(self, data: bytes, state: str, decisions: list[str]) -> None:
        """Delivers a file and compares what became of it; it can be delivered again."""
        response = payers.deliver(self.ledger, data, self.ledger.book)
        [remittance] = response.remittances
        assert pb.RemittanceState.Name(remittance.state) == f"REMITTANCE_STATE_{state.upper()}", remittance.reason
        asked = pb.GetRemittanceRequest(book=self.ledger.book, id=remittance.id)
        found = self.ledger.reconciliation.GetRemittance(asked).claim_payments
        said = [pb.Decision.Name(one.decision).removeprefix("DECISION_").lower() for one in found]
        assert said == (decisions if state == "settled" else [])

        def again() -> None:
            before = self.ledger.state()
            second = payers.deliver(self.ledger, data, self.ledger.book)
            assert (second.duplicate, list(second.remittances)) == (True, list(response.remittances))
            assert self.ledger.state() == before

        self.last = again

    # --- the bank ---

    def deposited(self, told: str) -> None:
        """The bank tells of money that came, in a BAI2 statement; told again, in a CAMT.053."""
        [payer, amount], named = words(told)
        self.bank_tells(amount, payer, named, "")

    def taken_back(self, told: str) -> None:
        """The bank takes money back."""
        [payer, amount], named = words(told)
        self.bank_tells(f"-{amount}", payer, named, "555")

    def bank_tells(self, amount: str, payer: str, named: dict[str, str], code: str) -> None:
        signed = "" if payer == "-" else f"1{payer.upper()[:9]}"
        traces = named["trace"].split(",") if "trace" in named else []
        line = banks.moved(amount, *traces, payer=signed, reference=named["ref"], code=code)
        [told] = banks.banked(self.ledger, banks.statement(line, day=self.day)).statements
        assert (told.state, told.posted) == (bk.STATEMENT_STATE_RECORDED, usd(amount)), told.reason

        self.statement_told = banks.camt053(line, day=self.day)

        def again() -> None:
            before = self.ledger.state()
            self.retold()
            assert self.ledger.state() == before

        self.last = again

    def retold(self, _: str = "") -> None:
        """The bank tells of its last deposit once more, and posts nothing for it."""
        [told] = banks.banked(self.ledger, self.statement_told).statements
        assert (told.posted.minor_units, bool(told.repeated.minor_units)) == (0, True), told.reason

    def told(self, told: str) -> None:
        """The bank has told of all days until one, and nothing more has moved."""
        banks.banked(self.ledger, banks.statement(day=told.removeprefix("until ")))

    def applied(self, told: str) -> None:
        """A person says whose money a deposit is."""
        self.moved(bk.ApplyDepositRequest, told, " to ")

    def unapplied(self, told: str) -> None:
        """A person says that it was not."""
        self.moved(bk.UnapplyDepositRequest, told, " from ")

    def moved(self, kind: Any, told: str, word: str) -> None:
        [reference, trace], named = words(told.replace(word, " "))
        deposits = self.ledger.bank.ListDeposits(bk.ListDepositsRequest(book=self.ledger.book)).deposits
        remitted = self.ledger.reconciliation.ListRemittances(pb.ListRemittancesRequest(book=self.ledger.book))
        [deposit] = [one.id for one in deposits if one.reference == reference]
        [remittance] = [one.id for one in remitted.remittances if one.trace == trace]
        about = {"idempotency_key": key(), "effective_date": self.day, "reason": "as its letter says"}
        amount = usd(named["amount"]) if "amount" in named else None
        request = kind(book=self.ledger.book, deposit=deposit, remittance=remittance, amount=amount, **about)
        call = getattr(self.ledger.bank, kind.__name__.removesuffix("Request"))
        answer = call(request)

        def again() -> None:
            second = call(request)
            assert (second.replayed, second.entry_number) == (True, answer.entry_number)

        self.last = again

    def policy(self, told: str) -> None:
        """When a payer's remittances are posted."""
        [payer, policy], named = words(told)
        value = bk.DepositPolicy.Value(f"DEPOSIT_POLICY_{policy.upper().replace('-', '_')}")
        days = int(named.get("days", "0"))
        asked = {"book": self.ledger.book, "payer": payer, "policy": value, "missing_after_days": days}
        self.ledger.bank.SetDepositPolicy(bk.SetDepositPolicyRequest(reason="as agreed", **asked))

    # --- what must be ---

    def balance(self, account: str, told: str) -> None:
        """An account, or all below a prefix, stands so."""
        found = self.ledger.control(account, self.as_of)
        expected = " ".join(told.split())
        assert found == expected, f"{account} as of {self.as_of or 'the end'}: {found}, not {expected}"
        self.covered.add(account)

    def balance_sheet(self, told: str) -> None:
        """The report adds up so: assets = liabilities + equity, rows and totals alike."""
        sheet = self.ledger.reports.GetBalanceSheet(
            rp.GetBalanceSheetRequest(book=self.ledger.book, as_of=self.as_of)
        )
        [total] = sheet.totals
        found = f"{written(total.assets)} = {written(total.liabilities)} + {written(total.equity)}"
        assert (found, total.difference.minor_units) == (told, 0), f"balance sheet as of {self.as_of}"
        sums: dict[int, int] = defaultdict(int)
        for row in sheet.rows:
            sums[min(row.section, rp.BALANCE_SHEET_SECTION_EQUITY)] += row.amount.minor_units
        parts = [one.minor_units for one in (total.assets, total.liabilities, total.equity)]
        assert [sums[section] for section in (1, 2, 3)] == parts

    def entries(self, told: str) -> None:
        """So many entries there are."""
        assert len(self.ledger.entries()) == int(told)

    def exceptions(self, told: str) -> None:
        """These wait for a person, oldest first: reason, claim as it was sent (- for none), amount."""
        asked = pb.ListExceptionsRequest(book=self.ledger.book)
        found = self.ledger.reconciliation.ListExceptions(asked).exceptions
        said = [
            f"{pb.ExceptionReason.Name(one.reason).removeprefix('EXCEPTION_REASON_').lower()} "
            f"{one.claim_as_sent or '-'} {written(one.amount)}"
            for one in found
        ]
        assert ", ".join(said) == (told if told != "none" else "")

    def write_off_cap(self, told: str) -> None:
        """An approver says how much may be written off."""
        asked = wo.SetWriteOffCapRequest(book=self.ledger.book, most=usd(told), reason="policy of 2026")
        self.ledger.write_offs.SetWriteOffCap(asked)

    def item(self, told: str) -> None:
        """Somebody does something about what waits, or has waited, on a claim."""
        [claim, verb, *owner], _ = words(told)
        [found] = self.items_on(claim)
        about: dict[str, Any] = {"book": self.ledger.book, "id": found.exception.id, "version": found.version}
        about |= {"note": "as decided", "idempotency_key": key()}
        call, request = self.of_item(verb, owner, about)
        first = call(request)

        def again() -> None:
            second = call(request)
            assert (second.replayed, second.event) == (True, first.event)

        self.last = again

    def of_item(self, verb: str, owner: list[str], about: dict[str, Any]) -> tuple[Any, Any]:
        """The method, and what it is asked."""
        list_ = self.ledger.worklist
        match verb:
            case "assigned":
                return list_.AssignItem, wl.AssignItemRequest(owner=owner[0], **about)
            case "closed":
                return list_.CloseItem, wl.CloseItemRequest(**about)
            case "sent-back":
                return list_.SendBackItem, wl.SendBackItemRequest(**about)
            case "absorbed":
                return list_.AbsorbItem, wl.AbsorbItemRequest(effective_date=self.day, **about)
            case _:
                assert verb == "written-off"
                return list_.WriteOffItem, wl.WriteOffItemRequest(effective_date=self.day, **about)

    def items_on(self, claim: str) -> list[wl.Item]:
        """What waits on a claim, or has waited where nothing does."""
        for state in (wl.ITEM_STATE_OPEN, wl.ITEM_STATE_CLOSED):
            asked = wl.ListItemsRequest(book=self.ledger.book, claim=claim, state=state)
            if found := list(self.ledger.worklist.ListItems(asked).items):
                return found
        return []

    def history(self, told: str) -> None:
        """What became of the item on a claim, and whose it was then (- for nobody's)."""
        claim, _, expected = told.partition(" ")
        [found] = self.items_on(claim)
        asked = wl.GetItemRequest(book=self.ledger.book, id=found.exception.id)
        events = self.ledger.worklist.GetItem(asked).history
        said = ", ".join(f"{wl.ItemChange.Name(one.change)} {one.owner or '-'}" for one in events)
        assert said.replace("ITEM_CHANGE_", "").lower() == expected

    def complete(self) -> None:
        """At the end no account is left that is neither told of nor at zero."""
        left = {
            account.code: self.ledger.balance(account.code)
            for account in self.ledger.codes()
            if not any(f"{account.code}:".startswith(f"{covered}:") for covered in self.covered)
        }
        assert {code: amount for code, amount in left.items() if amount.strip("0. ") not in {"", "EUR"}} == {}


def posting(told: str) -> po.Posting:
    """`Assets:Cash 5.00 [EUR] Dr [item]`"""
    account, amount, *rest = told.split()
    currency = rest.pop(0) if rest[0] in DIGITS else "USD"
    side, *item = rest
    return (dr if side == "Dr" else cr)(account, amount, *item, currency=currency)


# --- what holds after every story ---------------------------------------------------------------------


def sound(ledger: Ledger) -> None:
    """Numbered without a gap, hashed, in balance, and every balance the sum of the entries."""
    entries = ledger.entries()
    assert [entry.number for entry in entries] == [*range(1, len(entries) + 1)]
    assert len({entry.hash for entry in entries}) == len(entries)
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for line in (line for one in entries for line in one.postings):
        sums[line.account, line.amount.currency_code] += (1 if line.side == DR else -1) * line.amount.minor_units
    assert {account: ledger.balance(account) for account, _ in sums} == {
        account: standing_of(amount, currency) for (account, currency), amount in sums.items()
    }
    last_day = max((entry.effective_date for entry in entries), default="2026-01-01")
    balance = ledger.reports.GetTrialBalance(rp.GetTrialBalanceRequest(book=ledger.book, as_of=last_day))
    assert {row.account for row in balance.rows} == {account for account, _ in sums}
    assert all(total.debits == total.credits for total in balance.totals)
    frozen_for_ever(ledger)
    for asked, ask in (
        (bk.GetCashInTransitRequest, "GetCashInTransit"),
        (bk.GetUnappliedCashRequest, "GetUnappliedCash"),
    ):
        found = getattr(ledger.bank, ask)(asked(book=ledger.book, as_of=last_day))
        assert [row.total for row in found.totals] == [one for one in found.control if one.minor_units]
    rolled_forward(ledger, entries, last_day)
    advances_tie(ledger, last_day)
    assert ledger.wrong() == []


def rolled_forward(ledger: Ledger, entries: Sequence[po.JournalEntry], last_day: str) -> None:
    """Whatever happened, the receivables of two periods follow on each other, and nothing is told by no kind."""
    days = sorted({entry.effective_date for entry in entries})
    middle = days[len(days) // 2] if days else last_day
    before = (date.fromisoformat(middle) - timedelta(days=1)).isoformat()
    first, second = (
        ledger.reports.GetReceivablesRollforward(
            rp.GetReceivablesRollforwardRequest(book=ledger.book, effective_from=start, as_of=end)
        )
        for start, end in (("2000-01-01", before), (middle, last_day))
    )
    names = [one.name for one in rp.ReceivablesRollforwardRow.DESCRIPTOR.fields][1:]
    for found in (first, second):
        for row in (*found.rows, *found.totals):
            *parts, closing = (getattr(row, name).minor_units for name in names)
            assert sum(parts) == closing
        control = {one.currency_code: one.minor_units for one in found.control}
        assert len(control) == len(found.control), "one per currency"
        closings = {row.closing.currency_code: row.closing.minor_units for row in found.totals}
        assert {code: units for code, units in control.items() if units} == {
            code: units for code, units in closings.items() if units
        }
    left = {(row.payer, row.closing.currency_code): row.closing.minor_units for row in first.rows}
    taken_up = {(row.payer, row.opening.currency_code): row.opening.minor_units for row in second.rows}
    assert {of: units for of, units in left.items() if units} == {of: n for of, n in taken_up.items() if n}
    if not any(entry.kind == po.KIND_MANUAL for entry in entries):
        assert not any(row.other.minor_units for found in (first, second) for row in found.rows)


def frozen_for_ever(ledger: Ledger) -> None:
    """What was frozen with a closed month is what the books say of its last day, whatever came later."""
    listed = ledger.periods.ListPeriods(pe.ListPeriodsRequest(book=ledger.book, page_size=1000)).periods
    for period in (one for one in listed if one.state == pe.PERIOD_STATE_CLOSED):
        frozen = ledger.periods.GetPeriod(
            pe.GetPeriodRequest(book=ledger.book, month=period.month, page_size=1000)
        ).balances
        last_day = f"{period.month}-{monthrange(*map(int, period.month.split('-')))[1]}"
        now = ledger.reports.GetTrialBalance(rp.GetTrialBalanceRequest(book=ledger.book, as_of=last_day)).rows
        then, later = ({row.account: standing(row.balance) for row in rows} for rows in (frozen, now))
        assert {code for code in later if later[code] != "0.00"} <= then.keys()
        assert {code: later[code] for code in then} == then


def standing_of(amount: int, currency: str) -> str:
    side = ac.SIDE_DEBIT if amount > 0 else ac.SIDE_CREDIT if amount else ac.SIDE_UNSPECIFIED
    return standing(ac.Balance(side=side, amount=minor(abs(amount), currency)))


@pytest.mark.parametrize("path", STORIES, ids=[path.stem for path in STORIES])
def test_story(server: Ledger, path: Path) -> None:
    ledger = server.of(path.stem.replace("_", "-")[:40])
    open_book(ledger, ledger.book)
    story = Story(ledger)
    for line in lines_of(path.read_text()):
        story.tell(line)
    story.complete()
    sound(story.ledger)


def test_there_are_enough_stories() -> None:
    assert len(STORIES) >= 25


# --- that a story can fail ----------------------------------------------------------------------------

TRUE = """
2026-04-08 earned C1 payer=AETNA provider=ada allowed=120.00 rate=105.00
---
Assets:Receivable:Insurer:AETNA   120.00 Dr
Expenses:ProviderServices         105.00 Dr
Liabilities:Payable:Provider:ada  105.00 Cr
Revenue:Sessions                  120.00 Cr
entries 1
exceptions none
"""
UNTRUE = {
    "another amount": TRUE.replace("120.00 Dr", "120.01 Dr"),
    "another side": TRUE.replace("120.00 Dr", "120.00 Cr"),
    "another number of entries": TRUE.replace("entries 1", "entries 2"),
    "an exception that nobody raised": TRUE.replace("exceptions none", "exceptions denied C1 120.00"),
    "an account that is not told of": TRUE.replace("Expenses:ProviderServices         105.00 Dr", ""),
    "a refusal that does not come": TRUE + "refused CLAIM_NOT_FOUND: denied C1",
    "another refusal": TRUE + "refused CLAIM_EXCEEDED: denied C9",
    "a day on which it was not yet so": TRUE.replace("---", "--- as of 2026-04-07"),
    "a word that nobody knows": TRUE + "donated C1",
}


@pytest.mark.parametrize("case", ["true", *UNTRUE])
def test_a_story_that_is_not_true_fails(server: Ledger, case: str) -> None:
    """So that the stories that pass are true."""
    ledger = server.of(f"told-{case.replace(' ', '-')}"[:40])
    open_book(ledger, ledger.book)
    story = Story(ledger)

    def tell() -> None:
        for line in lines_of(UNTRUE.get(case, TRUE)):
            story.tell(line)
        story.complete()

    if case == "true":
        tell()
    else:
        with pytest.raises((AssertionError, AttributeError)):
            tell()
