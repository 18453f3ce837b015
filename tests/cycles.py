"""Words in which tests speak of pay cycles."""

from hashlib import sha256
from typing import Any

from serving import Ledger, key, session
from test_approvals import approving, by

from ledger.v1 import approvals_pb2 as ap
from ledger.v1 import pay_cycles_pb2 as pb

MAKER, APPROVER = "mia", "abe"
ROUTING = "021000021"
MONTHLY = pb.PayCalendar(days_of_month=[15, 31], first_cut_off="2026-01-01", days_to_payment=5)
TO_PAY, PAID, CARRIED = pb.PAY_LINE_OUTCOME_TO_PAY, pb.PAY_LINE_OUTCOME_PAID, pb.PAY_LINE_OUTCOME_CARRIED
HELD, NO_PAYEE = pb.PAY_LINE_OUTCOME_HELD, pb.PAY_LINE_OUTCOME_NO_PAYEE
CHANGED = pb.PAY_LINE_OUTCOME_CHANGED


def calendar_set(books: Ledger, calendar: pb.PayCalendar = MONTHLY, **more: Any) -> pb.PayCalendarVersion:
    """Sets a book's calendar: the 15th and month end, paid five days later."""
    asked = {"book": books.book, "calendar": calendar, "reason": "terms of 2026"} | more
    return books.pay_cycles.SetPayCalendar(pb.SetPayCalendarRequest(**asked), metadata=by(MAKER)).set


def payee(books: Ledger, provider: str, **more: Any) -> pb.SetPayeeRequest:
    """Bank details of a provider, the account number made of the name."""
    number = str(int(sha256(provider.encode()).hexdigest()[:12], 16))
    asked: dict[str, Any] = {
        "book": books.book,
        "provider": provider,
        "name": f"{provider[:14].title()} Example",
        "holder": pb.ACCOUNT_HOLDER_PERSON,
        "account_type": pb.BANK_ACCOUNT_TYPE_CHECKING,
        "routing_number": ROUTING,
        "account_number": number,
        "currency_code": "USD",
        "reason": "form W-9",
    }
    return pb.SetPayeeRequest(**(asked | more))


def company(books: Ledger, **more: Any) -> pb.SetPayeeRequest:
    """The company's own account."""
    about = {"holder": pb.ACCOUNT_HOLDER_COMPANY, "company_id": "1234567890", "bank_name": "First Example Bank"}
    account = {"name": "Example Care PC", "account_number": "9988776655"}
    return payee(books, "", **(about | account | more))


def payee_set(books: Ledger, *providers: str, **more: Any) -> list[pb.Payee]:
    """Sets the first bank details of providers."""
    calls = (payee(books, one, **more) for one in providers)
    return [books.pay_cycles.SetPayee(one, metadata=by(MAKER)).payee for one in calls]


def payee_accepted(books: Ledger, payee: pb.Payee) -> ap.Proposal:
    """A change of bank details, approved by another."""
    act = ap.Act(accept_payee=pb.AcceptPayee(provider=payee.provider, version=payee.version))
    return approved(books, proposed(books, act))


def earned(books: Ledger, claim: str, provider: str, rate: str, day: str = "2026-04-08", **more: Any) -> int:
    """A session; the number of its entry."""
    asked = session(claim, day, provider=provider, rate=rate, book=books.book, **more)
    return books.postings.RecordSession(asked).entry.number


def running(books: Ledger, cut_off: str, **more: Any) -> pb.RunPayCycleRequest:
    return pb.RunPayCycleRequest(book=books.book, cut_off=cut_off, **more)


def preview(books: Ledger, cut_off: str, size: int = 1000) -> pb.RunPayCycleResponse:
    """What a cycle would do, on one page."""
    return books.pay_cycles.RunPayCycle(running(books, cut_off, validate_only=True, page_size=size))


def proposing(books: Ledger, act: ap.Act, **more: Any) -> ap.ProposeRequest:
    asked = {"book": books.book, "idempotency_key": key(), "reason": "end of the half month"} | more
    return ap.ProposeRequest(act=act, **asked)


def proposed(books: Ledger, act: ap.Act) -> ap.Proposal:
    return books.approvals.Propose(proposing(books, act), metadata=by(MAKER)).proposal


def cycle_proposed(books: Ledger, cut_off: str) -> ap.Proposal:
    return proposed(books, ap.Act(run_pay_cycle=running(books, cut_off)))


def approved(books: Ledger, found: ap.Proposal) -> ap.Proposal:
    return books.approvals.Approve(approving(books, found), metadata=by(APPROVER)).proposal


def posted(books: Ledger, cut_off: str) -> pb.PayCycle:
    """Posts what is left of a cycle that was approved."""
    return books.pay_cycles.RunPayCycle(running(books, cut_off), metadata=by(MAKER)).cycle


def paid(books: Ledger, cut_off: str) -> pb.PayCycle:
    """A cycle from its proposal to its last payment."""
    approved(books, cycle_proposed(books, cut_off))
    return posted(books, cut_off)


def lines(books: Ledger, size: int = 1000, **named: Any) -> dict[str, pb.PayLine]:
    """The lines of a cycle by provider, over all pages."""
    found, token = {}, ""
    while True:
        asked = pb.GetPayCycleRequest(book=books.book, page_size=size, page_token=token, **named)
        page = books.pay_cycles.GetPayCycle(asked)
        found |= {line.provider: line for line in page.lines}
        token = page.next_page_token
        if not token:
            return found


def held(books: Ledger, provider: str, reason: str = "audit") -> pb.HoldProviderResponse:
    return books.pay_cycles.HoldProvider(
        pb.HoldProviderRequest(book=books.book, provider=provider, reason=reason), metadata=by(MAKER)
    )


def released(books: Ledger, provider: str) -> pb.ReleaseProviderResponse:
    return books.pay_cycles.ReleaseProvider(
        pb.ReleaseProviderRequest(book=books.book, provider=provider, reason="audit is over"), metadata=by(MAKER)
    )


def sent(books: Ledger, cycle: str, *providers: str) -> pb.MarkSentResponse:
    asked = pb.MarkSentRequest(book=books.book, cycle=cycle, providers=providers, day=cycle, reason="confirmed")
    return books.pay_cycles.MarkSent(asked, metadata=by(MAKER))


def settled(books: Ledger, cycle: str, *providers: str) -> pb.MarkSettledResponse:
    asked = pb.MarkSettledRequest(book=books.book, cycle=cycle, providers=providers, day=cycle, reason="statement")
    return books.pay_cycles.MarkSettled(asked, metadata=by(MAKER))


def returning(books: Ledger, cycle: str, provider: str, day: str = "") -> pb.ReturnPaymentRequest:
    return pb.ReturnPaymentRequest(
        book=books.book, cycle=cycle, provider=provider, day=day or cycle, reason="R03 no account"
    )


def returned(books: Ledger, cycle: str, provider: str, day: str = "") -> pb.ReturnPaymentResponse:
    return books.pay_cycles.ReturnPayment(returning(books, cycle, provider, day), metadata=by(MAKER))


def file(books: Ledger, cycle: str, form: int = pb.PAYMENT_FILE_FORMAT_NACHA, currency: str = "") -> bytes:
    """The payment file of a cycle."""
    asked = pb.GetPaymentFileRequest(
        book=books.book, cycle=cycle, format=form, currency_code=currency, reason="for the bank"
    )
    return b"".join(part.chunk for part in books.pay_cycles.GetPaymentFile(asked, metadata=by(MAKER)))


def statement(books: Ledger, cycle: str, provider: str, size: int = 1000) -> pb.GetProviderStatementResponse:
    """A provider's statement, its pages put together."""
    asked = pb.GetProviderStatementRequest(book=books.book, cycle=cycle, provider=provider, page_size=size)
    whole = page = books.pay_cycles.GetProviderStatement(asked)
    while page.next_page_token:
        asked.page_token = page.next_page_token
        page = books.pay_cycles.GetProviderStatement(asked)
        whole.items.extend(page.items)
    return whole
