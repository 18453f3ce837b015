"""A day of work in one book: everything that the program does in the database, in calls of its clients."""

import asyncio
from collections.abc import Callable
from datetime import date
from hashlib import sha256

import cycles
from banks import ACCOUNT, account, bai2, banked, moved
from payers import NPI, claim, deliver, file, plb, remittance
from serving import Ledger, cr, dr, entry, key, open_book, payout, session, usd
from test_approvals import PAID, approved, declining, limited, paying, proposed

from ledger.accounts import recorded
from ledger.audit import tree
from ledger.database import engine, recording
from ledger.postings import segments
from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import allowances_pb2 as al
from ledger.v1 import audit_pb2 as au
from ledger.v1 import charges_pb2 as ch
from ledger.v1 import periods_pb2 as pe
from ledger.v1 import postings_pb2 as po
from ledger.v1 import reports_pb2 as rp
from ledger.v1 import write_offs_pb2 as wo
from reconciliation.bank.deposit import Deposit
from reconciliation.v1 import bank_pb2 as bk
from reconciliation.v1 import codes_pb2 as cd
from reconciliation.v1 import coverage_pb2 as cv
from reconciliation.v1 import denials_pb2 as dn
from reconciliation.v1 import matches_pb2 as mt
from reconciliation.v1 import reconciliation_pb2 as pb
from reconciliation.v1 import worklist_pb2 as wl
from service import upkeep

EARLY, LATE, DENIED, LOST = "C-EARLY", "C-LATE", "C-DENIED", "C-LOST"
BARE = "Assets:Bare"
"""An account that nothing is posted to."""
GONE = "Assets:Gone"
"""An account that is closed."""
_SHARE = "CO-45 30.00, PR-3 20.00"
_FIRST = file(
    remittance(
        "200.00",
        "EFT1",
        claim(EARLY, "150.00", "100.00", _SHARE, control="P1"),
        claim(LATE, "150.00", "100.00", _SHARE, control="P2"),
        plb(("WO", "REF1", "10.00"), ("FB", "REF2", "-10.00")),
    )
)
_TAKEN_BACK = file(
    remittance(
        "0.00",
        "EFT2",
        claim(EARLY, "-150.00", "-100.00", "CO-45 -30.00, PR-3 -20.00", status="22", control="P1"),
        claim(EARLY, "150.00", "100.00", _SHARE, control="P3"),
    )
)
_TOO_EARLY = file(
    remittance(
        "-100.00",
        "EFT4",
        claim(LATE, "-150.00", "-100.00", "CO-45 -30.00, PR-3 -20.00", status="22", control="P4"),
    )
)
_ITS_PAYMENT = file(remittance("100.00", "EFT5", claim(LATE, "150.00", "100.00", _SHARE, control="P4")))
_UNKNOWN = file(
    remittance("100.00", "EFT7", claim("C-?", "150.00", "100.00", _SHARE, control="P7", day="2026-04-09"))
)
_DENIED = file(remittance("0.00", "NON6", claim(DENIED, "150.00", "0.00", "CO-29 150.00", control="P6")))
_REFUSAL_TAKEN_BACK = file(
    remittance("0.00", "NON7", claim(DENIED, "-150.00", "0.00", "CO-29 -150.00", status="22", control="P8"))
)
_TOLD = account(
    moved("200.00", "EFT1", reference="B1"),
    moved("50.00", reference="B2"),
    moved("-50.00", reference="B2", code="555"),
)
TAKEN_BACK = Deposit(ACCOUNT, date(2026, 6, 15), 5000, "USD", "B2")
"""A deposit that the bank took back on the same day."""
_BROKEN = file(remittance("1.00", "EFT3", claim(EARLY, "150.00", "100.00", _SHARE)))


def worked(ledger: Ledger, book: str, behind: Callable[[Callable[[], None]], object] = lambda act: act()) -> None:
    """Opens the book and works a day in it, from the accounts to the auditor's questions.

    `behind` does what the server does by itself, for which no client calls.
    """
    open_book(ledger, book)
    accounts_opened(ledger, book)
    entries_posted(ledger, book)
    remittances_settled(ledger.of(book))
    flows_followed(ledger.of(book))
    months_closed(ledger.of(book))
    allowance_posted(ledger.of(book))
    bank_told(ledger.of(book))
    worklist_worked_on(ledger.of(book))
    cycle_paid(ledger.of(book))
    proposals_decided(ledger.of(book))
    questions_answered(ledger, book)
    behind(lambda: asyncio.run(kept_up(ledger.url)))
    checkpoint_written(ledger, book)


async def kept_up(url: str) -> None:
    """What a server does behind the posting, with segments small enough for a day."""
    database = engine(url)
    try:
        async with recording(database) as connection:
            await recorded.prepare(connection, ((4, 1),))
        await segments.fill(database, size=4)
        await tree.fill(database, height=2)
        await upkeep.once(database)
    finally:
        await database.dispose()


def checkpoint_written(ledger: Ledger, book: str) -> None:
    """The books as they stand at the end of the day, signed."""
    ledger.audit.WriteCheckpoint(au.WriteCheckpointRequest(book=book, reason="end of the day"))


def accounts_opened(ledger: Ledger, book: str) -> None:
    """Opens accounts and closes one."""
    for code in (BARE, GONE):
        ledger.accounts.OpenAccount(ac.OpenAccountRequest(book=book, code=code, currency_code="USD"))
    ledger.accounts.CloseAccount(ac.CloseAccountRequest(book=book, code=GONE, reason="unused"))


def entries_posted(ledger: Ledger, book: str) -> None:
    """Sessions, a payout, a denial taken and overturned, a correction."""
    for one in (EARLY, DENIED):
        ledger.postings.RecordSession(session(one, book=book, charge="150.00", patient_share="20.00"))
    ledger.postings.PayProvider(payout("ada", "105.00", book=book))
    about = {"book": book, "claim": DENIED, "effective_date": "2026-06-01", "reason": "too late"}
    ledger.postings.AbsorbDenial(po.AbsorbDenialRequest(idempotency_key=key(), **about))
    ledger.postings.RecoverDenial(po.RecoverDenialRequest(idempotency_key=key(), **about))
    lines = dr("Assets:Cash", "1.00"), cr("Liabilities:UnappliedCash", "1.00")
    posting = po.PostEntriesRequest(book=book, entries=[entry("2026-06-02", *lines)])
    [posted] = ledger.postings.PostEntries(posting).results
    ledger.postings.ReverseEntry(
        po.ReverseEntryRequest(
            book=book,
            idempotency_key=key(),
            number=posted.entry.number,
            effective_date="2026-06-02",
            reason="twice",
        )
    )


def remittances_settled(books: Ledger) -> None:
    """One that is delivered again when its session is there, one that takes back and corrects, a broken one."""
    other = pb.IdentifyPayerRequest(book=books.book, payer="CIGNA", identifiers=["62308"], reason="card")
    books.reconciliation.IdentifyPayer(other)
    deliver(books, _FIRST, books.book)
    books.postings.RecordSession(session(LATE, book=books.book, charge="150.00", patient_share="20.00"))
    deliver(books, _FIRST, books.book)
    deliver(books, _TAKEN_BACK, books.book)
    deliver(books, _BROKEN, books.book)
    matches_proposed(books)
    asked = pb.ReadDeliveryRequest(book=books.book, file_sha256=sha256(_FIRST).digest(), reason="audit")
    assert b"".join(part.chunk for part in books.reconciliation.ReadDelivery(asked)) == _FIRST


def matches_proposed(books: Ledger) -> None:
    """A limit for matches by hand; one that is proposed and declined, and one that waits."""
    about = {"book": books.book, "reason": "the payer said so"}
    books.matches.SetMatchLimit(mt.SetMatchLimitRequest(currency="USD", amount=usd("0.00"), **about))
    [waits] = deliver(books, _UNKNOWN, books.book).remittances
    for name in ("first", "second"):
        parts = [mt.MatchPart(claim=LATE)]
        of = {"remittance": waits.id, "line": 1, "parts": parts, "idempotency_key": name}
        number = books.matches.MatchClaimPayment(mt.MatchClaimPaymentRequest(**about, **of)).match.number
        if name == "first":
            books.matches.DeclineMatch(mt.DeclineMatchRequest(number=number, **about))


def cycle_paid(books: Ledger) -> None:
    """A calendar, a hold and a release, bank details and changes of them; a cycle that is paid and comes back."""
    cycles.calendar_set(books)
    cycles.held(books, "pia")
    cycles.released(books, "pia")
    [pia] = cycles.payee_set(books, "pia")
    changed = cycles.payee(books, pia.provider, account_number="4321")
    cycles.payee_accepted(books, books.pay_cycles.SetPayee(changed, metadata=cycles.by(cycles.MAKER)).payee)
    waiting = cycles.payee(books, pia.provider, account_number="5432")
    books.pay_cycles.SetPayee(waiting, metadata=cycles.by(cycles.MAKER))
    cycles.earned(books, "C-PIA", "pia", "75.00")
    cycles.paid(books, "2026-04-15")
    cycles.file(books, "2026-04-15", 2)
    cycles.sent(books, "2026-04-15")
    cycles.settled(books, "2026-04-15")
    cycles.returned(books, "2026-04-15", "pia")
    cycles.lines(books, cycle="2026-04-15")
    cycles.statement(books, "2026-04-15", "pia")


def allowance_posted(books: Ledger) -> None:
    """A denial that stays absorbed, and what is to be expected of the claims that are open."""
    books.postings.RecordSession(session(LOST, "2026-04-09", book=books.book))
    absorbing = po.AbsorbDenialRequest(
        book=books.book, idempotency_key=key(), claim=LOST, effective_date="2026-06-01", reason="too late"
    )
    books.postings.AbsorbDenial(absorbing)
    terms = al.AllowanceTerms(currency_code="USD", age_buckets=[0], history_months=12, fewest_claims=1)
    setting = al.SetAllowancePolicyRequest(book=books.book, on=True, terms=terms, reason="policy of 2026")
    books.allowances.SetAllowancePolicy(setting)
    books.allowances.PostAllowance(al.PostAllowanceRequest(book=books.book, month="2026-06"))


def flows_followed(books: Ledger) -> None:
    """Reversals too early and by hand, a second payer, a denial and its policy, codes, payees, charges."""
    about = {"book": books.book, "reason": "as it is"}
    deliver(books, _TOO_EARLY, books.book)
    deliver(books, _ITS_PAYMENT, books.book)
    [refusal] = deliver(books, _DENIED, books.book).remittances
    [waits] = deliver(books, _REFUSAL_TAKEN_BACK, books.book).remittances
    of = {"remittance": waits.id, "line": 1, "original_remittance": refusal.id, "original_line": 1}
    books.matches.MatchReversal(mt.MatchReversalRequest(idempotency_key="third", **of, **about))
    books.coverage.RecordCover(cv.RecordCoverRequest(claim=EARLY, payer="CIGNA", rank=2, **about))
    forwarding = cv.ForwardClaimRequest(
        claim=EARLY, with_patient_share=True, idempotency_key=key(), effective_date="2026-06-30", **about
    )
    books.coverage.ForwardClaim(forwarding)
    books.reconciliation.IdentifyPayee(pb.IdentifyPayeeRequest(identifiers=[NPI], **about))
    books.meanings.SetAdjustmentCode(
        cd.SetAdjustmentCodeRequest(
            group="CO", code="97", effective_from="2026-01-01", bucket=cd.BUCKET_CONTRACTUAL, **about
        )
    )
    books.denials.AppealDenial(
        dn.AppealDenialRequest(claim=DENIED, payer="AETNA", effective_date="2026-06-30", **about)
    )
    books.denials.SetDenialPolicy(
        dn.SetDenialPolicyRequest(name="late", codes=["CO-29"], largest=usd("50.00"), age_days=90, **about)
    )
    books.charges.SetProviderCharging(ch.SetProviderChargingRequest(allowed=True, **about))


def worklist_worked_on(books: Ledger) -> None:
    """Somebody takes what has waited longest."""
    [item, *_] = books.worklist.ListItems(wl.ListItemsRequest(book=books.book)).items
    books.worklist.GetItem(wl.GetItemRequest(book=books.book, id=item.exception.id))
    about = {"book": books.book, "id": item.exception.id, "idempotency_key": key()}
    books.worklist.AssignItem(wl.AssignItemRequest(version=item.version, owner="mia", **about))
    cap = wo.SetWriteOffCapRequest(book=books.book, most=usd("5.00"), reason="policy of 2026")
    books.write_offs.SetWriteOffCap(cap)


def bank_told(books: Ledger) -> None:
    """A statement with a deposit of a remittance, and one that is taken back; another that does not add up."""
    policy = {"policy": bk.DEPOSIT_POLICY_ON_REMITTANCE, "reason": "as before"}
    books.bank.SetDepositPolicy(bk.SetDepositPolicyRequest(book=books.book, **policy))
    [told] = banked(books, bai2(_TOLD)).statements
    assert told.posted.minor_units == 20_000, told.reason
    [broken] = banked(books, bai2(_TOLD).replace(b"20000", b"20001")).statements
    assert broken.state == bk.STATEMENT_STATE_QUARANTINED


def proposals_decided(books: Ledger) -> None:
    """A limit of payouts, one above it that is approved and posted, and one that is declined."""
    limited(books, PAID, 100)
    approved(books, proposed(books, paying(books, "2.00")))
    books.approvals.Decline(declining(books, proposed(books, paying(books, "3.00"))))


def months_closed(books: Ledger) -> None:
    """Money in suspense that somebody takes responsibility for, a month closed, one soft-closed, one reopened."""
    waiting = dr("Assets:Cash", "1.00"), cr("Liabilities:Suspense:AETNA", "1.00")
    books.post("2021-11-10", *waiting)
    taken = pe.PeriodOverride(person="cfo", reason="the payer was asked")
    about = {"book": books.book, "reason": "end of month"}
    books.periods.ClosePeriod(pe.ClosePeriodRequest(month="2021-11", limit_days=10, override=taken, **about))
    for month in ("2021-12", "2022-01"):
        books.periods.SoftClosePeriod(pe.SoftClosePeriodRequest(month=month, **about))
    approved(books, proposed(books, pe.ReopenPeriodRequest(month="2021-12", **about)))


def questions_answered(ledger: Ledger, book: str) -> None:
    """What auditors and the finance team look at."""
    [first, *_] = ledger.reconciliation.ListRemittances(pb.ListRemittancesRequest(book=book)).remittances
    ledger.reconciliation.GetRemittance(pb.GetRemittanceRequest(book=book, id=first.id))
    ledger.reconciliation.ListExceptions(pb.ListExceptionsRequest(book=book))
    ledger.bank.ListDeposits(bk.ListDepositsRequest(book=book))
    ledger.bank.GetUnappliedCash(bk.GetUnappliedCashRequest(book=book, as_of="2026-12-31"))
    ledger.accounts.ListBooks(ac.ListBooksRequest())
    ledger.accounts.GetBalance(ac.GetBalanceRequest(book=book, prefix="Assets", as_of="2026-05-01"))
    ledger.postings.ListEntries(po.ListEntriesRequest(book=book))
    ledger.reports.GetTrialBalance(rp.GetTrialBalanceRequest(book=book, as_of="2026-12-31"))
    ledger.reports.GetReceivablesAging(rp.GetReceivablesAgingRequest(book=book, as_of="2026-12-31"))
    ledger.periods.GetPeriod(pe.GetPeriodRequest(book=book, month="2021-11"))
    ledger.periods.GetServiceMonths(pe.GetServiceMonthsRequest(book=book, as_of="2026-12-31"))
    ledger.reports.GetSessionMargin(rp.GetSessionMarginRequest(book=book, as_of="2026-12-31"))
