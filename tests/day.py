"""A day of work in one book: everything that the program does in the database, in calls of its clients."""

import asyncio
from datetime import date
from hashlib import sha256

from banks import ACCOUNT, account, bai2, banked, moved
from payers import claim, deliver, file, plb, remittance
from serving import Ledger, cr, dr, entry, key, open_book, payout, session
from test_approvals import PAID, approved, declining, limited, paying, proposed

from ledger.accounts import recorded
from ledger.database import engine, recording
from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import postings_pb2 as po
from ledger.v1 import reports_pb2 as rp
from reconciliation.bank.deposit import Deposit
from reconciliation.v1 import bank_pb2 as bk
from reconciliation.v1 import reconciliation_pb2 as pb
from service import upkeep

EARLY, LATE, DENIED = "C-EARLY", "C-LATE", "C-DENIED"
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
        plb(("WO", "REF1", "10.00"), ("L6", "REF2", "-10.00")),
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
_TOLD = account(
    moved("200.00", "EFT1", reference="B1"),
    moved("50.00", reference="B2"),
    moved("-50.00", reference="B2", code="555"),
)
TAKEN_BACK = Deposit(ACCOUNT, date(2026, 6, 15), 5000, "USD", "B2")
"""A deposit that the bank took back on the same day."""
_BROKEN = file(remittance("1.00", "EFT3", claim(EARLY, "150.00", "100.00", _SHARE)))


def worked(ledger: Ledger, book: str) -> None:
    """Opens the book and works a day in it, from the accounts to the auditor's questions."""
    open_book(ledger, book)
    accounts_opened(ledger, book)
    entries_posted(ledger, book)
    remittances_settled(ledger.of(book))
    bank_told(ledger.of(book))
    proposals_decided(ledger.of(book))
    questions_answered(ledger, book)
    asyncio.run(kept_up(ledger.url))


async def kept_up(url: str) -> None:
    """What a server does behind the posting, with segments small enough for a day."""
    database = engine(url)
    try:
        async with recording(database) as connection:
            await recorded.prepare(connection, ((4, 1),))
        await upkeep.once(database)
    finally:
        await database.dispose()


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
    asked = pb.ReadDeliveryRequest(book=books.book, file_sha256=sha256(_FIRST).digest(), reason="audit")
    assert b"".join(part.chunk for part in books.reconciliation.ReadDelivery(asked)) == _FIRST


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
    ledger.reports.GetSessionMargin(rp.GetSessionMarginRequest(book=book, as_of="2026-12-31"))
