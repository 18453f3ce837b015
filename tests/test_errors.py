"""Every refusal: wire, code and tests know the same ones, and each leaves the books and the server as they are."""

import base64
import inspect
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from itertools import combinations
from queue import Queue
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from serving import (
    BOOK,
    PATIENCE_SECONDS,
    Ledger,
    Loop,
    Refused,
    answered,
    cr,
    dr,
    entry,
    eventually,
    minor,
    money,
    open_book,
    payout,
    refused,
    serving,
    session,
    usd,
    waiting_for_a_lock,
)
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import database, errors
from ledger.database import engine
from ledger.pay_cycles import refusals
from ledger.postings import group_commit
from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import approvals_pb2 as ap
from ledger.v1 import audit_pb2 as au
from ledger.v1 import errors_pb2
from ledger.v1 import periods_pb2 as pe
from ledger.v1 import postings_pb2 as po
from ledger.v1 import reports_pb2 as rp
from service.refusals import CODES

GROUPS = {
    errors.Invalid: "INVALID_ARGUMENT",
    errors.NotThere: "NOT_FOUND",
    errors.AlreadyThere: "ALREADY_EXISTS",
    errors.NotAllowedNow: "FAILED_PRECONDITION",
    errors.TryAgain: "UNAVAILABLE",
    errors.TooMuch: "RESOURCE_EXHAUSTED",
    errors.Unproven: "UNAUTHENTICATED",
    errors.Forbidden: "PERMISSION_DENIED",
}
CLASSES = {
    found.__name__: found
    for page in (errors, refusals)
    for _, found in inspect.getmembers(page, inspect.isclass)
    if issubclass(found, errors.Refusal) and found is not errors.Refusal and found not in GROUPS
}
DAY = "2026-04-08"
CASH, OPENING = "Assets:Cash", "Equity:Opening"


# --- the list -----------------------------------------------------------------------------------------


def test_the_wire_and_the_code_know_the_same_reasons() -> None:
    on_the_wire = {name.removeprefix("REASON_") for name, _ in errors_pb2.Reason.items()}
    assert {found("said").reason for found in CLASSES.values()} | {"UNSPECIFIED"} == on_the_wire


@pytest.mark.parametrize("name", CLASSES)
def test_a_refusal_belongs_to_one_group_and_says_why(name: str) -> None:
    """Its group is its gRPC code, and its one sentence in the code is not its group's."""
    [group] = [group for group in GROUPS if issubclass(CLASSES[name], group)]
    assert CODES[group].name == GROUPS[group]
    assert CLASSES[name].__doc__ not in {None, group.__doc__}


# --- a book in use, and what is refused there ---------------------------------------------------------


@pytest.fixture(scope="module")
def books(server: Ledger) -> Ledger:
    """A book with sessions, a reversed entry, a closed account, accounts with limits, and a proposal."""
    open_book(server)
    for code, terms in {
        OPENING: {},
        "Assets:Petty": {"balance_limit": ac.BALANCE_LIMIT_MUST_NOT_GO_CREDIT},
        "Assets:Euro": {"currency_code": "EUR"},
        "Equity:Euro": {"currency_code": "EUR"},
        "Assets:Gone": {},
        "Liabilities:Card": {"balance_limit": ac.BALANCE_LIMIT_MUST_NOT_GO_DEBIT},
        "Assets:Tagged": {"item_required": True},
        "Assets:Full": {},
    }.items():
        server.accounts.OpenAccount(opening(code, **terms))
    server.accounts.CloseAccount(ac.CloseAccountRequest(book=BOOK, code="Assets:Gone", reason="unused"))
    server.postings.RecordSession(session("C1", idempotency_key="used"))
    server.postings.RecordSession(session("C2", payer="AETNA", provider="bob"))
    server.postings.RecordSession(session("C2", payer="CIGNA", provider="bob"))
    reversed_ = server.post(DAY, dr(CASH, "1.00"), cr(OPENING, "1.00"), key="reversed").number
    server.postings.ReverseEntry(reversing(reversed_, idempotency_key="undone"))
    server.post(DAY, dr("Assets:Full", "1.00"), cr(OPENING, "1.00"))
    server.approvals.SetApprovalLimit(limiting())
    server.approvals.Propose(proposing(payout("ada", "1.00", idempotency_key="proposed")))
    server.periods.ClosePeriod(closing("2025-12"))
    server.periods.SoftClosePeriod(softly("2026-01"))
    with psycopg.connect(server.url.replace("+psycopg", "")) as direct:
        direct.execute("UPDATE balances SET debits = 9223372036854775000 WHERE account = 'Assets:Full'")
        direct.execute("UPDATE heads SET changes = changes + 1")  # the server reads it anew
    return server


def opening(code: str, **terms: Any) -> ac.OpenAccountRequest:
    return ac.OpenAccountRequest(**({"book": BOOK, "code": code, "currency_code": "USD"} | terms))


def reversing(number: int, **more: Any) -> po.ReverseEntryRequest:
    asked = {"book": BOOK, "idempotency_key": "undo", "effective_date": DAY, "reason": "mistaken"}
    return po.ReverseEntryRequest(number=number, **(asked | more))


def absorbing(**more: Any) -> po.AbsorbDenialRequest:
    asked = {"book": BOOK, "idempotency_key": "absorbed", "effective_date": DAY, "reason": "timely filing"}
    return po.AbsorbDenialRequest(**(asked | {"claim": "C1"} | more))


def recovering(**more: Any) -> po.RecoverDenialRequest:
    asked = {"book": BOOK, "idempotency_key": "recovered", "effective_date": DAY, "reason": "appeal"}
    return po.RecoverDenialRequest(**(asked | {"claim": "C1"} | more))


def limiting(**more: Any) -> ap.SetApprovalLimitRequest:
    asked = {"book": BOOK, "kind": po.KIND_MANUAL, "currency_code": "EUR", "minor_units": 100, "reason": "policy"}
    return ap.SetApprovalLimitRequest(**(asked | more))


def closing(month: str, **more: Any) -> pe.ClosePeriodRequest:
    return pe.ClosePeriodRequest(**({"book": BOOK, "month": month, "reason": "end of month"} | more))


def softly(month: str, **more: Any) -> pe.SoftClosePeriodRequest:
    return pe.SoftClosePeriodRequest(**({"book": BOOK, "month": month, "reason": "end of month"} | more))


def reopening(month: str, **more: Any) -> ap.ProposeRequest:
    asked = {"book": BOOK, "idempotency_key": "reopened", "reason": "a mistake"}
    inner = pe.ReopenPeriodRequest(**({"month": month, "reason": "a mistake"} | more))
    return ap.ProposeRequest(act=ap.Act(reopen_period=inner), **asked)


def proposing(paying: po.PayProviderRequest, **more: Any) -> ap.ProposeRequest:
    asked = {"book": BOOK, "idempotency_key": paying.idempotency_key, "reason": "end of month"}
    return ap.ProposeRequest(act=ap.Act(pay_provider=paying), **(asked | more))


def approving(**more: Any) -> ap.ApproveRequest:
    asked = {"book": BOOK, "number": 1, "content_hash": bytes(32), "reason": "seen"}
    return ap.ApproveRequest(**(asked | more))


def euros(amount: str, debited: str = "Assets:Euro") -> po.PostEntryRequest:
    """Above the limit of 1.00, or not."""
    return posting(dr(debited, amount, currency="EUR"), cr("Equity:Euro", amount, currency="EUR"))


def posting(
    *lines: po.Posting, book: str = BOOK, day: str = DAY, key: str = "", **about: Any
) -> po.PostEntryRequest:
    return po.PostEntryRequest(book=book, entry=entry(day, *lines, key=key, **about))


def simple(**changed: Any) -> po.PostEntryRequest:
    """An entry with nothing wrong but what is changed."""
    return posting(dr(CASH, "5.00"), cr(OPENING, "5.00"), **changed)


def between(debited: str, credited: str, amount: str = "5.00", **more: Any) -> po.PostEntryRequest:
    return posting(dr(debited, amount), cr(credited, amount), **more)


def of_minor_units(debit: int, credit: int, currency: str = "USD") -> po.PostEntryRequest:
    """Cash to Opening in amounts that no builder would write."""
    request = simple()
    for line, units in zip(request.entry.postings, (debit, credit), strict=True):
        line.amount.CopyFrom(minor(units, currency))
    return request


def without(request: Message, *fields: str) -> Any:
    """The same request with some of its fields empty; `entry.effective_date` is one of its entry's."""
    changed = type(request)()
    changed.CopyFrom(request)
    for field in fields:
        *way, last = field.split(".")
        part: Any = changed
        for step in way:
            part = part[int(step)] if step.isdigit() else getattr(part, step)
        part.ClearField(last)
    return changed


def many(count: int, lines_each: int = 2) -> po.PostEntriesRequest:
    """A batch of so many entries."""
    lines = [dr(CASH, "1.00"), cr(OPENING, "1.00")] * (lines_each // 2)
    return po.PostEntriesRequest(book=BOOK, entries=[entry(DAY, *lines) for _ in range(count)])


def forged(query: Message, content: bytes) -> str:
    """A page token with a right seal and a content of the forger's own."""
    from ledger.wire import _seal

    return base64.urlsafe_b64encode(_seal(query) + content).decode()


BIG = 10**15
INT64 = 2**63 - 1
ENTRIES = po.ListEntriesRequest(book=BOOK)
ACCOUNTS = ac.ListAccountsRequest(book=BOOK)
LIMITS = ap.ListApprovalLimitsRequest(book=BOOK)
MONTH = pe.GetPeriodRequest(book=BOOK, month="2025-12")
PERIODS = pe.ListPeriodsRequest(book=BOOK)
STATEMENT = rp.GetStatementRequest(book=BOOK, item="C1")
ALL_BUT_PROVIDER = "kind, effective_date, payer, claim, session, service_date, postings"
TOKEN = base64.urlsafe_b64encode(b"12345678" + b"3").decode()

# What is asked, and how it is refused: the reason and each of the facts that come with it.
FORM: dict[str, tuple[Message, str]] = {
    "nothing at all": (po.PostEntryRequest(), "FIELD_MISSING field=book"),
    "no entry": (po.PostEntryRequest(book=BOOK), "FIELD_MISSING field=idempotency_key"),
    "blank key": (simple(key="  "), "FIELD_MISSING field=idempotency_key"),
    "no date": (simple(day=""), "FIELD_MISSING field=effective_date"),
    "no account": (without(simple(), "entry.postings.0.account"), "FIELD_MISSING field=postings[1].account"),
    "no amount": (without(simple(), "entry.postings.1.amount"), "FIELD_MISSING field=postings[2].amount"),
    "no side": (without(simple(), "entry.postings.1.side"), "SIDE_MISSING field=postings[2].side"),
    "no currency": (of_minor_units(5, 5, ""), "CURRENCY_UNKNOWN currency=; field=postings[1].amount"),
    "unknown currency": (of_minor_units(5, 5, "USX"), "CURRENCY_UNKNOWN currency=USX; field=postings[1].amount"),
    "a currency of former times": (
        of_minor_units(5, 5, "DEM"),
        "CURRENCY_UNKNOWN currency=DEM; field=postings[1].amount",
    ),
    "lower-case currency": (
        of_minor_units(5, 5, "usd"),
        "CURRENCY_UNKNOWN currency=usd; field=postings[1].amount",
    ),
    "zero": (of_minor_units(0, 0), "AMOUNT_INVALID field=postings[1].amount; minor_units=0"),
    "negative": (of_minor_units(-5, -5), "AMOUNT_INVALID field=postings[1].amount; minor_units=-5"),
    "one beyond the largest": (
        of_minor_units(BIG + 1, BIG + 1),
        f"AMOUNT_INVALID field=postings[1].amount; minor_units={BIG + 1}",
    ),
    "the largest int64": (
        of_minor_units(INT64, INT64),
        f"AMOUNT_INVALID field=postings[1].amount; minor_units={INT64}",
    ),
    "the smallest int64": (
        of_minor_units(-INT64 - 1, 5),
        f"AMOUNT_INVALID field=postings[1].amount; minor_units={-INT64 - 1}",
    ),
    "no postings": (posting(), "POSTING_COUNT_INVALID limit=10000; postings=0"),
    "one posting": (posting(dr(CASH, "5.00")), "POSTING_COUNT_INVALID limit=10000; postings=1"),
    "10,001 postings": (
        posting(*[dr(CASH, "1.00"), cr(OPENING, "1.00")] * 5_000, dr(CASH, "1.00")),
        "POSTING_COUNT_INVALID limit=10000; postings=10001",
    ),
    "unbalanced": (
        posting(dr(CASH, "100.00"), cr(OPENING, "90.00")),
        "ENTRY_UNBALANCED credits=90.00; currency=USD; debits=100.00",
    ),
    "balanced over two currencies only": (
        posting(dr(CASH, "5.00"), cr(OPENING, "5.00", currency="EUR")),
        "ENTRY_UNBALANCED credits=0.00; currency=USD; debits=5.00",
    ),
    "1,001 entries": (many(1_001), "BATCH_TOO_LARGE entries=1001; limit=1000"),
    "10,002 postings in a batch": (many(3, 3_334), "BATCH_TOO_LARGE limit=10000; postings=10002"),
    "not an account code": (
        between("assets::cash", OPENING),
        "ACCOUNT_CODE_INVALID account=assets::cash; field=postings[1].account",
    ),
    "an account without a type": (
        between("Cash", OPENING),
        "ACCOUNT_CODE_INVALID account=Cash; field=postings[1].account",
    ),
    "a type without an account": (
        between("Assets", OPENING),
        "ACCOUNT_CODE_INVALID account=Assets; field=postings[1].account",
    ),
    "an account with an accent": (
        between("Assets:Cassé", OPENING),
        "ACCOUNT_CODE_INVALID account=Assets:Cassé; field=postings[1].account",
    ),
    "an account with a line feed last": (
        between("Assets:Cash\n", OPENING),
        "TEXT_INVALID field=postings[1].account; limit=200",
    ),
    "an account of 201 letters": (
        between("Assets:" + "x" * 194, OPENING),
        "TEXT_INVALID field=postings[1].account; limit=200",
    ),
    "NUL in a description": (simple(description="a\0b"), "TEXT_INVALID field=description; limit=500"),
    "control characters in a key": (simple(key="a\tb"), "TEXT_INVALID field=idempotency_key; limit=200"),
    "letters that turn the line": (
        simple(description="abc\u202edef"),
        "TEXT_INVALID field=description; limit=500",
    ),
    "a description of 501 letters": (simple(description="é" * 501), "TEXT_INVALID field=description; limit=500"),
    "a key of 201 letters": (simple(key="k" * 201), "TEXT_INVALID field=idempotency_key; limit=200"),
    "an item of 101 letters": (
        posting(dr(CASH, "1.00", item="i" * 101), cr(OPENING, "1.00")),
        "TEXT_INVALID field=postings[1].item; limit=100",
    ),
    "a payer of 101 letters": (
        simple(dimensions=po.Dimensions(payer="p" * 101)),
        "TEXT_INVALID field=payer; limit=100",
    ),
    "a charge of nothing": (
        simple(dimensions=po.Dimensions(charge=usd("0.00"))),
        "AMOUNT_INVALID field=charge; minor_units=0",
    ),
    "a book with a slash": (simple(book="a/b"), "TEXT_INVALID field=book; limit=40"),
    "a book of 41 letters": (simple(book="b" * 41), "TEXT_INVALID field=book; limit=40"),
    "a day that February has not": (
        simple(day="2026-02-30"),
        "DATE_INVALID field=effective_date; value=2026-02-30",
    ),
    "the 29th in a common year": (simple(day="2026-02-29"), "DATE_INVALID field=effective_date; value=2026-02-29"),
    "a date without dashes": (simple(day="20260408"), "DATE_INVALID field=effective_date; value=20260408"),
    "a week date": (simple(day="2026-W15-3"), "DATE_INVALID field=effective_date; value=2026-W15-3"),
    "a date in other digits": (
        simple(day="２０２６-04-08"),
        "DATE_INVALID field=effective_date; value=２０２６-04-08",
    ),
    "the year nought": (simple(day="0000-01-01"), "DATE_INVALID field=effective_date; value=0000-01-01"),
    "a service date that is none": (
        simple(dimensions=po.Dimensions(service_date="yesterday")),
        "DATE_INVALID field=service_date; value=yesterday",
    ),
    "a listing from a day that is none": (
        po.ListEntriesRequest(book=BOOK, effective_from="2026-13-01"),
        "DATE_INVALID field=effective_from; value=2026-13-01",
    ),
    "a balance as of no day": (
        ac.GetBalanceRequest(book=BOOK, account=CASH, as_of="2026-04-31"),
        "DATE_INVALID field=as_of; value=2026-04-31",
    ),
    "a balance as known at an entry below nought": (
        ac.GetBalanceRequest(book=BOOK, account=CASH, as_known_at_number=-1),
        "NUMBER_INVALID field=as_known_at_number; value=-1",
    ),
    "a balance as known at a time before all years": (
        ac.GetBalanceRequest(book=BOOK, account=CASH, as_known_at_time=Timestamp(seconds=-(10**12))),
        "TIME_INVALID field=as_known_at_time",
    ),
    "a trial balance as known at a time that has no such nanosecond": (
        rp.GetTrialBalanceRequest(book=BOOK, as_of=DAY, as_known_at_time=Timestamp(nanos=-1)),
        "TIME_INVALID field=as_known_at_time",
    ),
    "a statement of nothing": (rp.GetStatementRequest(book=BOOK), "FIELD_MISSING field=account"),
    "a statement from a day that is none": (
        rp.GetStatementRequest(book=BOOK, item="C1", effective_from="2026-02-30"),
        "DATE_INVALID field=effective_from; value=2026-02-30",
    ),
    "a statement's token with too few places": (
        rp.GetStatementRequest(book=BOOK, item="C1", page_token=forged(STATEMENT, b"1 2026-04-08 1")),
        "PAGE_INVALID",
    ),
    "a statement's token with a place below nought": (
        rp.GetStatementRequest(book=BOOK, item="C1", page_token=forged(STATEMENT, b"1 2026-04-08 1 -1")),
        "PAGE_INVALID",
    ),
    "a balance of nothing": (ac.GetBalanceRequest(book=BOOK), "FIELD_MISSING field=account"),
    "an entry without a name": (po.GetEntryRequest(book=BOOK), "FIELD_MISSING field=number"),
    "an id that is none": (po.GetEntryRequest(book=BOOK, id="7"), "TEXT_INVALID field=id; limit=36"),
    "NUL in the key of an entry": (
        po.GetEntryRequest(book=BOOK, idempotency_key="a\0b"),
        "TEXT_INVALID field=idempotency_key; limit=200",
    ),
    "NUL in the item of a listing": (
        po.ListEntriesRequest(book=BOOK, item="a\0b"),
        "TEXT_INVALID field=item; limit=100",
    ),
    "a kind that is none": (po.ListEntriesRequest(book=BOOK, kind=99), "CHOICE_INVALID field=kind; value=99"),
    "a side that is none": (
        posting(dr(CASH, "5.00"), po.Posting(account=OPENING, side=9, amount=usd("5.00"))),
        "CHOICE_INVALID field=postings[2].side; value=9",
    ),
    "a normal side that is none": (
        opening("Assets:Odd", normal_side=9),
        "CHOICE_INVALID field=normal_side; value=9",
    ),
    "a limit that is none": (
        opening("Assets:Odd", balance_limit=9),
        "CHOICE_INVALID field=balance_limit; value=9",
    ),
    "a page of 1,001": (
        po.ListEntriesRequest(book=BOOK, page_size=1_001),
        "PAGE_INVALID limit=1000; page_size=1001",
    ),
    "a page of less than nothing": (
        ac.ListAccountsRequest(book=BOOK, page_size=-1),
        "PAGE_INVALID limit=1000; page_size=-1",
    ),
    "a page token that is none": (po.ListEntriesRequest(book=BOOK, page_token="!"), "PAGE_INVALID"),
    "a page token of another query": (po.ListEntriesRequest(book=BOOK, page_token=TOKEN), "PAGE_INVALID"),
    "a page token with no number in it": (
        po.ListEntriesRequest(book=BOOK, page_token=forged(ENTRIES, b"three")),
        "PAGE_INVALID",
    ),
    "a page token with a number beyond all": (
        po.ListEntriesRequest(book=BOOK, page_token=forged(ENTRIES, b"9" * 30)),
        "PAGE_INVALID",
    ),
    "a page token with NUL in it": (
        ac.ListAccountsRequest(book=BOOK, page_token=forged(ACCOUNTS, b"Assets:\0")),
        "PAGE_INVALID",
    ),
    "a session without a claim": (without(session("C9"), "claim"), "FIELD_MISSING field=claim"),
    "a session without an allowed amount": (without(session("C9"), "allowed"), "FIELD_MISSING field=allowed"),
    "a session without a rate": (without(session("C9"), "provider_rate"), "FIELD_MISSING field=provider_rate"),
    "a session on no day": (session("C9", "2026-06-31"), "DATE_INVALID field=service_date; value=2026-06-31"),
    "a share above the allowed amount": (
        session("C9", allowed="20.00", patient_share="20.01"),
        "SESSION_AMOUNTS_INVALID allowed=20.00 USD; patient_share=20.01 USD",
    ),
    "a session that earns nobody anything": (
        session("C9", allowed="0.00", rate="0.00"),
        "SESSION_AMOUNTS_INVALID allowed=0.00 USD",
    ),
    "a negative rate": (
        session("C9", provider_rate=minor(-1)),
        "AMOUNT_INVALID field=provider_rate; minor_units=-1",
    ),
    "an allowed amount beyond the largest": (
        session("C9", allowed="10000000000000.01"),
        f"AMOUNT_INVALID field=allowed; minor_units={BIG + 1}",
    ),
    "a session in two currencies": (
        session("C9", provider_rate=money("105.00", "EUR")),
        "CURRENCIES_MIXED currencies=EUR USD",
    ),
    "a payout of nothing": (payout("ada", "0.00"), "AMOUNT_INVALID field=amount; minor_units=0"),
    "a payout to nobody": (payout("", "1.00"), "FIELD_MISSING field=provider"),
    "a reversal of no entry": (reversing(0), "FIELD_MISSING field=number"),
    "a reversal of an entry before the first": (reversing(-1), "FIELD_MISSING field=number"),
    "a reversal without a reason": (reversing(1, reason=""), "FIELD_MISSING field=reason"),
    "a denial without a reason": (absorbing(reason=" "), "FIELD_MISSING field=reason"),
    "a denial of nothing": (absorbing(amount=usd("0.00")), "AMOUNT_INVALID field=amount; minor_units=0"),
    "a book without a name": (ac.OpenBookRequest(book="new"), "FIELD_MISSING field=name"),
    "an account in an unknown currency": (
        opening("Assets:New", currency_code="EURO"),
        "CURRENCY_UNKNOWN currency=EURO; field=currency_code",
    ),
    "an account without a currency": (
        opening("Assets:New", currency_code=""),
        "FIELD_MISSING field=currency_code",
    ),
    "an entry without a description": (simple(description=" "), "FIELD_MISSING field=description"),
    "an account closed for no reason": (
        ac.CloseAccountRequest(book=BOOK, code=CASH),
        "FIELD_MISSING field=reason",
    ),
    "a limit of no kind": (limiting(kind=0), "FIELD_MISSING field=kind"),
    "a limit of a kind that has none": (
        limiting(kind=po.KIND_SESSION_EARNED),
        "CHOICE_INVALID field=kind; value=3",
    ),
    "a limit of nothing said": (without(limiting(), "minor_units"), "FIELD_MISSING field=minor_units"),
    "a limit not removed": (
        ap.SetApprovalLimitRequest(book=BOOK, kind=1, currency_code="EUR", removed=False, reason="x"),
        "FIELD_MISSING field=minor_units",
    ),
    "a limit below nothing": (limiting(minor_units=-1), "AMOUNT_INVALID field=minor_units; minor_units=-1"),
    "a limit beyond the largest": (
        limiting(minor_units=BIG + 1),
        f"AMOUNT_INVALID field=minor_units; minor_units={BIG + 1}",
    ),
    "a limit in a currency of former times": (
        limiting(currency_code="DEM"),
        "CURRENCY_UNKNOWN currency=DEM; field=currency_code",
    ),
    "a limit for no reason": (limiting(reason=""), "FIELD_MISSING field=reason"),
    "a page of limits with no number in it": (
        ap.ListApprovalLimitsRequest(book=BOOK, page_token=forged(LIMITS, b"manual USD one")),
        "PAGE_INVALID",
    ),
    "a proposal of nothing": (
        ap.ProposeRequest(book=BOOK, idempotency_key="k", reason="x"),
        "FIELD_MISSING field=act",
    ),
    "a proposal for no reason": (proposing(payout("ada", "1.00"), reason=""), "FIELD_MISSING field=reason"),
    "a proposal for another book": (
        proposing(payout("ada", "1.00", book="other")),
        "FIELDS_CONTRADICT field=act.pay_provider.book",
    ),
    "a proposal under two keys": (
        proposing(payout("ada", "1.00"), idempotency_key="another"),
        "FIELDS_CONTRADICT field=act.pay_provider.idempotency_key",
    ),
    "a proposal only to be validated": (
        proposing(payout("ada", "1.00", validate_only=True)),
        "FIELDS_CONTRADICT field=act.pay_provider.validate_only",
    ),
    "a proposal of a payout of nothing": (
        proposing(payout("ada", "0.00")),
        "AMOUNT_INVALID field=act.pay_provider.amount; minor_units=0",
    ),
    "a proposal without a name": (ap.GetProposalRequest(book=BOOK), "FIELD_MISSING field=number"),
    "a state that is none": (
        ap.ListProposalsRequest(book=BOOK, state=9),
        "CHOICE_INVALID field=state; value=9",
    ),
    "an approval of no proposal": (approving(number=0), "FIELD_MISSING field=number"),
    "an approval of nothing seen": (approving(content_hash=b"x"), "FIELD_MISSING field=content_hash"),
    "an approval for no reason": (approving(reason=""), "FIELD_MISSING field=reason"),
    "no month": (softly(""), "FIELD_MISSING field=month"),
    "a thirteenth month": (softly("2026-13"), "MONTH_INVALID field=month; value=2026-13"),
    "a month that is a day": (closing("2026-04-01"), "MONTH_INVALID field=month; value=2026-04-01"),
    "a month of the year nought": (closing("0000-04"), "MONTH_INVALID field=month; value=0000-04"),
    "the month after which none comes": (closing("9999-12"), "MONTH_INVALID field=month; value=9999-12"),
    "a soft-close for no reason": (softly("2026-04", reason=""), "FIELD_MISSING field=reason"),
    "a close for no reason": (closing("2026-04", reason=" "), "FIELD_MISSING field=reason"),
    "a close with a limit of 31 days": (
        closing("2026-04", limit_days=31),
        "NUMBER_INVALID field=limit_days; value=31",
    ),
    "a close with a limit below nought": (
        closing("2026-04", limit_days=-1),
        "NUMBER_INVALID field=limit_days; value=-1",
    ),
    "an override by nobody": (
        closing("2026-04", override=pe.PeriodOverride(reason="known")),
        "FIELD_MISSING field=override.person",
    ),
    "an override for no reason": (
        closing("2026-04", override=pe.PeriodOverride(person="cfo")),
        "FIELD_MISSING field=override.reason",
    ),
    "a version below nought": (
        pe.GetPeriodRequest(book=BOOK, month="2026-04", version=-1),
        "NUMBER_INVALID field=version; value=-1",
    ),
    "a page of a month with no version in its token": (
        pe.GetPeriodRequest(book=BOOK, month="2025-12", page_token=forged(MONTH, b"Assets:Cash")),
        "PAGE_INVALID",
    ),
    "a reopening of no month": (
        reopening("2026-00"),
        "MONTH_INVALID field=act.reopen_period.month; value=2026-00",
    ),
    "a reopening for no reason": (reopening("2025-12", reason=""), "FIELD_MISSING field=act.reopen_period.reason"),
    "a listing of months with a day in its token": (
        pe.ListPeriodsRequest(book=BOOK, page_token=forged(PERIODS, b"2026-04-31 1")),
        "PAGE_INVALID",
    ),
    "a listing of months with no version in its token": (
        pe.ListPeriodsRequest(book=BOOK, page_token=forged(PERIODS, b"2026-04-01")),
        "PAGE_INVALID",
    ),
    "a prefix that is none": (
        ac.ListAccountsRequest(book=BOOK, prefix="assets"),
        "ACCOUNT_CODE_INVALID account=assets; field=prefix",
    ),
}

BOOKS: dict[str, tuple[Message, str]] = {
    "an entry in a closed month": (
        simple(day="2025-12-31"),
        "PERIOD_CLOSED effective_date=2025-12-31; month=2025-12",
    ),
    "a session in a soft-closed month for no reason": (
        session("C9", "2026-01-31"),
        "PERIOD_SOFT_CLOSED effective_date=2026-01-31; missing=reason; month=2026-01",
    ),
    "a month closed once more": (
        closing("2025-12", reason="again"),
        "PERIOD_CLOSED month=2025-12; set_by=local",
    ),
    "a month closed before its time": (closing("2026-02"), "PERIOD_OUT_OF_ORDER first=2026-01; month=2026-02"),
    "an open month to reopen": (reopening("2026-02"), "PERIOD_OPEN month=2026-02"),
    "a version that a month has not": (
        pe.GetPeriodRequest(book=BOOK, month="2025-12", version=2),
        "PERIOD_NOT_FOUND month=2025-12; version=2",
    ),
    "a month of no book": (closing("2026-02", book="other"), "BOOK_NOT_FOUND book=other"),
    "more than one may post alone": (
        euros("1.01"),
        "APPROVAL_NEEDED amount=1.01; currency=EUR; kind=manual; limit=1.00",
    ),
    "a limit raised alone": (
        limiting(minor_units=101),
        "APPROVAL_NEEDED amount=1.01; currency=EUR; kind=manual; limit=1.00",
    ),
    "a proposal that would be refused": (
        proposing(payout("ada", "105.01")),
        "PAYABLE_EXCEEDED amount=105.01; payable=105.00; provider=ada",
    ),
    "no such proposal": (approving(number=99), "PROPOSAL_NOT_FOUND proposal=99"),
    "no such proposal to get": (
        ap.GetProposalRequest(book=BOOK, number=99),
        f"PROPOSAL_NOT_FOUND book={BOOK}",
    ),
    "one's own proposal": (approving(), "MAKER_IS_CHECKER proposal=1"),
    "a key used for another proposal": (
        proposing(payout("ada", "2.00", idempotency_key="proposed")),
        "IDEMPOTENCY_KEY_REUSED differs=amount; idempotency_key=proposed; proposal=1",
    ),
    "a proposal under the key of an entry": (
        proposing(payout("ada", "1.00", idempotency_key="used")),
        f"IDEMPOTENCY_KEY_REUSED differs={ALL_BUT_PROVIDER}; idempotency_key=used; number=1",
    ),
    "no such book": (simple(book="other"), "BOOK_NOT_FOUND book=other"),
    "a listing of no book": (po.ListEntriesRequest(book="other"), "BOOK_NOT_FOUND book=other"),
    "an account of no book": (opening(CASH, book="other"), "BOOK_NOT_FOUND book=other"),
    "no such account": (between("Assets:Unheard", OPENING), "ACCOUNT_NOT_FOUND account=Assets:Unheard"),
    "no such account to get": (
        ac.GetAccountRequest(book=BOOK, code="Assets:Unheard"),
        "ACCOUNT_NOT_FOUND account=Assets:Unheard",
    ),
    "no such account to close": (
        ac.CloseAccountRequest(book=BOOK, code="Assets:Unheard", reason="unused"),
        "ACCOUNT_NOT_FOUND account=Assets:Unheard",
    ),
    "no such account to add up": (
        ac.GetBalanceRequest(book=BOOK, account="Assets:Unheard"),
        "ACCOUNT_NOT_FOUND account=Assets:Unheard",
    ),
    "a balance as known at an entry to come": (
        ac.GetBalanceRequest(book=BOOK, account=CASH, as_known_at_number=99),
        "NUMBER_BEYOND_HEAD field=as_known_at_number; head=6; number=99",
    ),
    "a checkpoint that nobody wrote": (
        au.GetCheckpointRequest(book=BOOK, number=99),
        "CHECKPOINT_NOT_FOUND checkpoint=99",
    ),
    "a tree that does not hold the entry": (
        au.GetInclusionProofRequest(book=BOOK, entry_number=3, size=2),
        "TREE_SIZE_INVALID field=size; value=2",
    ),
    "a tree of more entries than there are": (
        au.GetConsistencyProofRequest(book=BOOK, first_size=3, second_size=99),
        "NUMBER_BEYOND_HEAD field=second_size; head=6; number=99",
    ),
    "a statement of no account": (
        rp.GetStatementRequest(book=BOOK, account="Assets:Unheard"),
        "ACCOUNT_NOT_FOUND account=Assets:Unheard",
    ),
    "no such entry": (reversing(99), "ENTRY_NOT_FOUND number=99"),
    "no entry under the largest number": (reversing(INT64), f"ENTRY_NOT_FOUND number={INT64}"),
    "no such entry to get": (po.GetEntryRequest(book=BOOK, number=99), f"ENTRY_NOT_FOUND book={BOOK}"),
    "no entry before the first": (
        po.GetEntryRequest(book=BOOK, number=-INT64 - 1),
        f"ENTRY_NOT_FOUND book={BOOK}",
    ),
    "a key that nobody used": (
        po.GetEntryRequest(book=BOOK, idempotency_key="unused"),
        f"ENTRY_NOT_FOUND book={BOOK}",
    ),
    "no such claim to absorb": (absorbing(claim="C9"), "CLAIM_NOT_FOUND claim=C9"),
    "nothing absorbed to recover": (recovering(), "CLAIM_NOT_FOUND claim=C1"),
    "nothing open with that payer": (absorbing(payer="CIGNA"), "CLAIM_NOT_FOUND claim=C1"),
    "a book under another name": (
        ac.OpenBookRequest(book=BOOK, name="other"),
        f"BOOK_EXISTS book={BOOK}; differs=name",
    ),
    "an account on other terms": (
        opening("Assets:Petty", currency_code="EUR"),
        "ACCOUNT_EXISTS account=Assets:Petty; differs=currency_code, balance_limit",
    ),
    "a key used for another request": (
        session("C1", idempotency_key="used", rate="106.00"),
        "IDEMPOTENCY_KEY_REUSED differs=postings; idempotency_key=used; number=1",
    ),
    "a key used for another command": (
        payout("ada", "1.00", idempotency_key="used"),
        f"IDEMPOTENCY_KEY_REUSED differs={ALL_BUT_PROVIDER}; idempotency_key=used; number=1",
    ),
    "an entry reversed before": (reversing(4), "ENTRY_ALREADY_REVERSED number=4; reversed_by=5"),
    "a reversal to reverse": (reversing(5), "REVERSAL_NOT_REVERSIBLE number=5"),
    "a closed account": (between("Assets:Gone", OPENING), "ACCOUNT_CLOSED account=Assets:Gone"),
    "a closed account to open": (opening("Assets:Gone"), "ACCOUNT_CLOSED account=Assets:Gone"),
    "a closed account to close": (
        ac.CloseAccountRequest(book=BOOK, code="Assets:Gone", reason="unused"),
        "ACCOUNT_CLOSED account=Assets:Gone",
    ),
    "dollars into euros": (
        between("Assets:Euro", OPENING),
        "ACCOUNT_CURRENCY_DIFFERS account=Assets:Euro; currency=EUR; posted=USD",
    ),
    "petty cash below nothing": (
        between(CASH, "Assets:Petty", "0.01"),
        "BALANCE_LIMIT_PASSED account=Assets:Petty; balance=-0.01; limit=must_not_go_credit",
    ),
    "a card above nothing": (
        between("Liabilities:Card", CASH, "0.01"),
        "BALANCE_LIMIT_PASSED account=Liabilities:Card; balance=0.01; limit=must_not_go_debit",
    ),
    "a receivable for no claim": (
        between("Assets:Receivable:Insurer:AETNA", OPENING),
        "ITEM_MISSING account=Assets:Receivable:Insurer:AETNA",
    ),
    "an account that wants an item": (between("Assets:Tagged", OPENING), "ITEM_MISSING account=Assets:Tagged"),
    "an account that is not at zero": (
        ac.CloseAccountRequest(book=BOOK, code="Revenue:Sessions", reason="unused"),
        "ACCOUNT_NOT_AT_ZERO account=Revenue:Sessions; balance=360.00 Cr",
    ),
    "more than is payable": (
        payout("ada", "105.01"),
        "PAYABLE_EXCEEDED amount=105.01; payable=105.00; provider=ada",
    ),
    "a payout to a stranger": (payout("eve", "0.01"), "PAYABLE_EXCEEDED amount=0.01; payable=0.00; provider=eve"),
    "more than is open on the claim": (
        absorbing(amount=usd("120.01")),
        "CLAIM_EXCEEDED amount=120.01; claim=C1; open=120.00",
    ),
    "a claim open with two payers": (absorbing(claim="C2"), "PAYER_AMBIGUOUS claim=C2; payers=AETNA, CIGNA"),
    "a code that differs in case alone": (
        between("Assets:Receivable:Insurer:Aetna", OPENING),
        "ACCOUNT_CODE_AMBIGUOUS account=Assets:Receivable:Insurer:Aetna; existing=Assets:Receivable:Insurer:AETNA",
    ),
    "an account that differs in case alone": (
        opening("Assets:PETTY"),
        "ACCOUNT_CODE_AMBIGUOUS account=Assets:PETTY; existing=Assets:Petty",
    ),
    "a total beyond 63 bits": (between("Assets:Full", OPENING, "10.00"), "TOTAL_OUT_OF_RANGE account=Assets:Full"),
}
CASES = FORM | BOOKS
ELSEWHERE = {
    "TIME_IN_FUTURE": "test_second_axis",
    "HISTORY_NOT_KEPT": "test_mail_as_known",
    "PERIOD_NOT_READY": "test_periods",
    "REPLICA_BEHIND": "test_replica",
    "REPLICA_UNAVAILABLE": "test_replica",
    "WATCH_ENDED": "test_watch_entries",
    "REQUEST_UNDECODABLE": "below, as bytes",
    "AMOUNT_TOO_PRECISE": "test_money: the wire's amounts are whole minor units",
    "DATABASE_UNAVAILABLE": "below, with a database that is away",
    "OUTCOME_UNKNOWN": "below, with a connection that is cut at commit",
    "QUEUE_FULL": "below, with a book that is held",
    "REMITTANCE_NOT_FOUND": "the tests of remittances",
    "FILE_EMPTY": "the tests of remittances",
    "FILE_NOT_AN_835": "the tests of remittances",
    "FILE_TRUNCATED": "the tests of remittances",
    "FILE_SEGMENT_TOO_LONG": "the tests of remittances",
    "FILE_TOO_LARGE": "the tests of remittances",
    "STREAM_MISORDERED": "the tests of remittances",
    "DELIVERY_NOT_FOUND": "test_sealing",
    "FILE_KEY_UNKNOWN": "test_sealing",
    "FILE_DAMAGED": "test_sealing",
    "CALLER_NOT_AUTHENTICATED": "test_callers",
    "CALL_NOT_PERMITTED": "test_callers",
    "CALLS_TOO_MANY": "test_callers",
    "BOOKS_UNGUARDED": "test_callers",
    "NOT_THE_MAKER": "test_approvals",
    "PROPOSAL_DECIDED": "test_approvals",
    "PROPOSAL_DIFFERS": "test_approvals",
    "PROPOSAL_OUTDATED": "test_approvals",
    "SERVER_STOPPING": "test_stopping",
    "SIGNING_KEY_MISSING": "test_proof",
    "HISTORY_REWRITTEN": "test_proof",
    "PAY_CALENDAR_INVALID": "test_pay_cycles",
    "PAY_CALENDAR_NOT_SET": "test_pay_cycles",
    "CUT_OFF_NOT_IN_CALENDAR": "test_pay_cycles",
    "PAY_CYCLE_NOT_FOUND": "test_pay_cycles",
    "PAY_CYCLE_OUT_OF_ORDER": "test_pay_cycles",
    "PAY_CYCLE_UNFINISHED": "test_pay_cycles",
    "PAY_CYCLE_EMPTY": "test_pay_cycles",
    "PAYEE_INVALID": "test_pay_cycles",
    "PAYEE_NOT_FOUND": "test_pay_cycles",
    "PAYEE_OUTDATED": "test_pay_cycles",
    "PAYMENT_NOT_FOUND": "test_pay_cycles",
    "PAYMENT_NOT_SENT": "test_pay_cycles",
    "PAYMENT_CAME_BACK": "test_pay_cycles",
    "PAYMENT_FILE_CURRENCY": "test_pay_cycles",
    "PAYMENT_TOO_LARGE": "test_pay_cycles",
    "PAYMENT_FILE_DIFFERS": "test_pay_cycles",
    "ALLOWANCE_POLICY_MISSING": "test_allowances",
    "ALLOWANCE_UNCHANGED": "test_allowances",
    "ALLOWANCE_MONTH_OPEN": "test_allowances",
    "ALLOWANCE_TERMS_INVALID": "test_allowances",
    "ALLOWANCE_NOT_FOUND": "test_allowances",
    "CODE_MEANING_REFUSED": "test_code_tables",
    "DENIAL_NOT_FOUND": "test_denials",
    "DENIAL_STATE_REFUSED": "test_denials",
    "DENIAL_POLICY_NOT_FOUND": "test_denials",
    "DENIAL_POLICY_OFF": "test_denials",
    "NEXT_PAYER_UNKNOWN": "test_flows",
    "PROVIDER_CHARGING_OFF": "test_charges",
    "FILE_NO_STATEMENT": "test_bank",
    "DEPOSIT_NOT_FOUND": "test_bank",
    "EXCEPTION_NOT_FOUND": "test_candidates",
    "CLAIM_PAYMENT_NOT_FOUND": "test_candidates",
    "EXCEPTION_WITHOUT_CANDIDATES": "test_candidates",
    "DEPOSIT_EXCEEDED": "tests/books/deposit_differs.book",
    "CLEARING_EXCEEDED": "tests/books/deposit_too_large.book",
    "REMITTANCE_NOT_SETTLED": "tests/books/deposit_awaited_in_vain.book",
    "APPLICATION_EXCEEDED": "tests/books/deposit_unapplied_again.book",
    "CLAIM_PAYMENT_NOT_WAITING": "test_matches",
    "CLAIM_PAYMENT_NOT_MATCHED": "test_matches",
    "MATCH_REFUSED": "test_matches",
    "MATCH_PARTS_DIFFER": "test_matches",
    "MATCH_PROPOSED": "test_matches",
    "MATCH_PROPOSAL_NOT_FOUND": "test_matches",
    "CLAIM_PAYMENT_NOT_REVERSAL": "test_reversing",
    "ORIGINAL_NOT_POSTED": "test_reversing",
    "ORIGINAL_TAKEN_BACK": "test_reversing",
    "ORIGINAL_OF_ANOTHER_PAYER": "test_reversing",
    "REVERSAL_AMOUNTS_DIFFER": "test_reversing",
    "CLAIM_MOVED_MEANWHILE": "test_reversing",
    "WORKLIST_ITEM_CHANGED": "test_worklist",
    "WORKLIST_ITEM_CLOSED": "test_worklist",
    "WORKLIST_ACTION_REFUSED": "tests/books/written_off_refused.book",
    "WRITE_OFF_ABOVE_CAP": "tests/books/written_off_above_cap.book",
}


def test_every_reason_has_a_case() -> None:
    provoked = {said.partition(" ")[0] for _, said in CASES.values()}
    known = {found("said").reason for found in CLASSES.values()}
    assert provoked | ELSEWHERE.keys() == known
    assert not provoked & ELSEWHERE.keys()


@pytest.mark.parametrize("case", CASES)
def test_refused(books: Ledger, case: str) -> None:
    """Refused with this code, reason and facts; nothing is recorded, and the server answers on."""
    request, expected = CASES[case]
    before = books.state()
    found = refused(rpc_of(books, request), request)
    assert said(found) == expected
    assert found.code == code_of(found.reason)
    assert found.message
    assert books.state() == before


def said(found: Refused) -> str:
    """The reason and the facts, as the tables write them."""
    return f"{found.reason} {'; '.join(f'{name}={fact}' for name, fact in sorted(found.facts.items()))}".strip()


def rpc_of(ledger: Ledger, request: Message) -> Any:
    """The method that takes such a request."""
    name = type(request).__name__.removesuffix("Request")
    stubs = [getattr(ledger, one.name) for one in fields(ledger)]
    return next(getattr(stub, name) for stub in stubs if hasattr(stub, name))


def can_be_validated(request: Message) -> bool:
    """Whether it posts one entry, and can be asked without posting."""
    return "validate_only" in request.DESCRIPTOR.fields_by_name and not isinstance(request, po.PostEntriesRequest)


def code_of(reason: str) -> str:
    [found] = [found for found in CLASSES.values() if found("said").reason == reason]
    return next(code for group, code in GROUPS.items() if issubclass(found, group))


@pytest.mark.parametrize("case", [name for name, (request, _) in CASES.items() if can_be_validated(request)])
def test_refused_alike_when_only_validated(books: Ledger, case: str) -> None:
    request, expected = CASES[case]
    asked = without(request)
    asked.validate_only = True
    assert said(refused(rpc_of(books, asked), asked)) == expected


# --- which refusal comes first ------------------------------------------------------------------------

ACCOUNTED = ac.GetBalanceRequest(book=BOOK, account=CASH)
NO_BOOK = ("book", "other", "BOOK_NOT_FOUND book=other")
USED_KEY = ("idempotency_key", "used", "IDEMPOTENCY_KEY_REUSED")

# A request with nothing wrong, and what can be made wrong with it, in the order in which errors.proto has it
# refused: the field, what is put there, and how the refusal begins.
ORDER: dict[str, tuple[Message, list[tuple[str, Any, str]]]] = {
    "an entry": (
        simple(),
        [
            ("book", "a/b", "TEXT_INVALID field=book"),
            ("entry.idempotency_key", "", "FIELD_MISSING field=idempotency_key"),
            ("entry.effective_date", "2026-02-30", "DATE_INVALID field=effective_date"),
            ("entry.description", "a\0b", "TEXT_INVALID field=description"),
            ("entry.dimensions.payer", "a\0b", "TEXT_INVALID field=payer"),
            ("entry.dimensions.pay_cycle", "a\0b", "TEXT_INVALID field=pay_cycle"),
            ("entry.dimensions.service_date", "yesterday", "DATE_INVALID field=service_date"),
            ("entry.dimensions.charge", minor(0), "AMOUNT_INVALID field=charge"),
            ("entry.postings.0.account", "cash", "ACCOUNT_CODE_INVALID account=cash; field=postings[1].account"),
            ("entry.postings.0.side", 7, "CHOICE_INVALID field=postings[1].side; value=7"),
            (
                "entry.postings.0.amount",
                minor(5, "USX"),
                "CURRENCY_UNKNOWN currency=USX; field=postings[1].amount",
            ),
            ("entry.postings.0.item", "a\0b", "TEXT_INVALID field=postings[1].item"),
            ("entry.postings.1.account", "", "FIELD_MISSING field=postings[2].account"),
            ("entry.postings.1.side", 0, "SIDE_MISSING field=postings[2].side"),
            ("entry.postings.1.amount", minor(-5), "AMOUNT_INVALID field=postings[2].amount; minor_units=-5"),
            ("entry.postings.1.item", "a\0b", "TEXT_INVALID field=postings[2].item"),
            ("entry.postings.1.amount", usd("4.00"), "ENTRY_UNBALANCED"),
            NO_BOOK,
            ("entry.idempotency_key", "used", "IDEMPOTENCY_KEY_REUSED"),
            ("entry.effective_date", "2025-12-31", "PERIOD_CLOSED"),
            ("entry.postings.0.account", "Assets:Gone", "ACCOUNT_CLOSED"),
            ("entry.postings.1.account", "Assets:Unheard", "ACCOUNT_NOT_FOUND"),
            ("entry.postings.1.account", "Assets:Petty", "BALANCE_LIMIT_PASSED"),
        ],
    ),
    "a session": (
        session("C9", patient_share="20.00", charge="200.00"),
        [
            ("book", "a/b", "TEXT_INVALID field=book"),
            ("idempotency_key", "", "FIELD_MISSING field=idempotency_key"),
            *((name, "", f"FIELD_MISSING field={name}") for name in ("session", "claim", "payer", "provider")),
            *(
                (name, "a\0b", f"TEXT_INVALID field={name}")
                for name in ("plan", "service_code", "licence_type", "state")
            ),
            ("service_date", "2026-06-31", "DATE_INVALID field=service_date"),
            ("effective_date", "today", "DATE_INVALID field=effective_date"),
            ("allowed", minor(-1), "AMOUNT_INVALID field=allowed"),
            ("patient_share", minor(5, "USX"), "CURRENCY_UNKNOWN currency=USX; field=patient_share"),
            ("provider_rate", minor(BIG + 1), "AMOUNT_INVALID field=provider_rate"),
            ("charge", minor(0), "AMOUNT_INVALID field=charge"),
            ("reason", "a\0b", "TEXT_INVALID field=reason"),
            ("provider_rate", money("105.00", "EUR"), "CURRENCIES_MIXED"),
            ("patient_share", usd("120.01"), "SESSION_AMOUNTS_INVALID"),
            NO_BOOK,
            USED_KEY,
            ("effective_date", "2026-01-31", "PERIOD_SOFT_CLOSED"),
        ],
    ),
    "a payout": (
        payout("ada", "1.00"),
        [
            ("book", "", "FIELD_MISSING field=book"),
            ("idempotency_key", "k" * 201, "TEXT_INVALID field=idempotency_key"),
            ("provider", "", "FIELD_MISSING field=provider"),
            ("amount", minor(0), "AMOUNT_INVALID field=amount"),
            ("effective_date", "", "FIELD_MISSING field=effective_date"),
            ("pay_cycle", "a\0b", "TEXT_INVALID field=pay_cycle"),
            ("reason", "a\0b", "TEXT_INVALID field=reason"),
            NO_BOOK,
            USED_KEY,
            ("amount", usd("105.01"), "PAYABLE_EXCEEDED"),
            ("effective_date", "2025-12-31", "PERIOD_CLOSED"),
        ],
    ),
    "a reversal": (
        reversing(1),
        [
            ("book", "", "FIELD_MISSING field=book"),
            ("idempotency_key", "", "FIELD_MISSING field=idempotency_key"),
            ("number", 0, "FIELD_MISSING field=number"),
            ("effective_date", "2026-02-30", "DATE_INVALID field=effective_date"),
            ("reason", "", "FIELD_MISSING field=reason"),
            NO_BOOK,
            USED_KEY,
            ("number", 99, "ENTRY_NOT_FOUND"),
            ("effective_date", "2025-12-31", "PERIOD_CLOSED"),
        ],
    ),
    **{
        what: (
            asked,
            [
                ("book", "", "FIELD_MISSING field=book"),
                ("idempotency_key", "", "FIELD_MISSING field=idempotency_key"),
                ("claim", "", "FIELD_MISSING field=claim"),
                ("payer", "a\0b", "TEXT_INVALID field=payer"),
                ("amount", minor(5, "USX"), "CURRENCY_UNKNOWN currency=USX; field=amount"),
                ("effective_date", "today", "DATE_INVALID field=effective_date"),
                ("reason", "", "FIELD_MISSING field=reason"),
                NO_BOOK,
                USED_KEY,
                ("claim", "C9", "CLAIM_NOT_FOUND"),
            ],
        )
        for what, asked in {"a denial": absorbing(), "a denial overturned": recovering()}.items()
    },
    "an entry above its limit": (
        euros("5.00"),
        [
            ("book", "a/b", "TEXT_INVALID field=book"),
            NO_BOOK,
            ("entry.idempotency_key", "used", "IDEMPOTENCY_KEY_REUSED"),
            ("entry.postings.0.account", "Assets:Gone", "ACCOUNT_CLOSED"),
            ("entry.postings.1.account", "Assets:Unheard", "ACCOUNT_NOT_FOUND"),
        ],
    ),
    "a limit": (
        limiting(minor_units=101),
        [
            ("book", "", "FIELD_MISSING field=book"),
            ("kind", 0, "FIELD_MISSING field=kind"),
            ("currency_code", "USX", "CURRENCY_UNKNOWN currency=USX; field=currency_code"),
            ("minor_units", -1, "AMOUNT_INVALID field=minor_units"),
            ("reason", "", "FIELD_MISSING field=reason"),
            NO_BOOK,
        ],
    ),
    "a proposal": (
        proposing(payout("ada", "1.00", book="", idempotency_key=""), idempotency_key="fresh"),
        [
            ("book", "", "FIELD_MISSING field=book"),
            ("idempotency_key", "", "FIELD_MISSING field=idempotency_key"),
            ("reason", "", "FIELD_MISSING field=reason"),
            ("act.pay_provider.validate_only", True, "FIELDS_CONTRADICT field=act.pay_provider.validate_only"),
            ("act.pay_provider.provider", "", "FIELD_MISSING field=act.pay_provider.provider"),
            ("act.pay_provider.effective_date", "", "FIELD_MISSING field=act.pay_provider.effective_date"),
            NO_BOOK,
            USED_KEY,
            ("act.pay_provider.amount", usd("105.01"), "PAYABLE_EXCEEDED"),
        ],
    ),
    "an approval": (
        approving(),
        [
            ("book", "", "FIELD_MISSING field=book"),
            ("number", 0, "FIELD_MISSING field=number"),
            ("content_hash", b"", "FIELD_MISSING field=content_hash"),
            ("reason", "", "FIELD_MISSING field=reason"),
            NO_BOOK,
            ("number", 99, "PROPOSAL_NOT_FOUND"),
        ],
    ),
    "a close": (
        closing("2026-01"),
        [
            ("book", "", "FIELD_MISSING field=book"),
            ("month", "2026-1", "MONTH_INVALID field=month; value=2026-1"),
            ("reason", "", "FIELD_MISSING field=reason"),
            ("limit_days", 99, "NUMBER_INVALID field=limit_days; value=99"),
            ("override.reason", "known", "FIELD_MISSING field=override.person"),
            NO_BOOK,
            ("month", "2025-12", "PERIOD_CLOSED"),
            ("month", "2026-03", "PERIOD_OUT_OF_ORDER"),
        ],
    ),
    "a listing of proposals": (
        ap.ListProposalsRequest(book=BOOK),
        [
            ("book", "", "FIELD_MISSING field=book"),
            ("state", 9, "CHOICE_INVALID field=state; value=9"),
            ("page_size", 1_001, "PAGE_INVALID limit=1000; page_size=1001"),
            ("page_token", "!", "PAGE_INVALID"),
            NO_BOOK,
        ],
    ),
    "a proof": (
        au.GetInclusionProofRequest(book=BOOK, entry_number=1),
        [
            ("book", "", "FIELD_MISSING field=book"),
            ("entry_number", 0, "FIELD_MISSING field=entry_number"),
            ("size", -1, "NUMBER_INVALID field=size; value=-1"),
            NO_BOOK,
            ("size", 99, "NUMBER_BEYOND_HEAD field=size"),
        ],
    ),
    "a checkpoint to write": (
        au.WriteCheckpointRequest(book=BOOK, reason="audit"),
        [
            ("book", "", "FIELD_MISSING field=book"),
            ("reason", "", "FIELD_MISSING field=reason"),
            NO_BOOK,
        ],
    ),
    "an account to open": (
        opening("Assets:Odd"),
        [
            ("book", "", "FIELD_MISSING field=book"),
            ("code", "odd", "ACCOUNT_CODE_INVALID account=odd; field=code"),
            ("currency_code", "DEM", "CURRENCY_UNKNOWN currency=DEM; field=currency_code"),
            ("normal_side", 7, "CHOICE_INVALID field=normal_side; value=7"),
            ("balance_limit", 7, "CHOICE_INVALID field=balance_limit; value=7"),
            NO_BOOK,
            ("code", "Assets:Gone", "ACCOUNT_CLOSED"),
        ],
    ),
    "a balance": (
        ACCOUNTED,
        [
            ("book", "", "FIELD_MISSING field=book"),
            ("account", "cash", "ACCOUNT_CODE_INVALID account=cash; field=account"),
            ("as_of", "today", "DATE_INVALID field=as_of"),
            NO_BOOK,
            ("account", "Assets:Unheard", "ACCOUNT_NOT_FOUND"),
        ],
    ),
    "a listing of entries": (
        ENTRIES,
        [
            ("book", "", "FIELD_MISSING field=book"),
            ("account", "cash", "ACCOUNT_CODE_INVALID account=cash; field=account"),
            ("item", "a\0b", "TEXT_INVALID field=item"),
            ("kind", 99, "CHOICE_INVALID field=kind; value=99"),
            ("effective_from", "today", "DATE_INVALID field=effective_from"),
            ("effective_to", "today", "DATE_INVALID field=effective_to"),
            ("page_size", 1_001, "PAGE_INVALID limit=1000; page_size=1001"),
            ("page_token", "!", "PAGE_INVALID"),
            NO_BOOK,
        ],
    ),
    "a listing of accounts": (
        ACCOUNTS,
        [
            ("book", "", "FIELD_MISSING field=book"),
            ("prefix", "cash", "ACCOUNT_CODE_INVALID account=cash; field=prefix"),
            ("page_size", -1, "PAGE_INVALID limit=1000; page_size=-1"),
            ("page_token", "!", "PAGE_INVALID"),
            NO_BOOK,
        ],
    ),
}


def changed(request: Message, field: str, value: Any) -> Any:
    """The same request with something else in one of its fields."""
    copied = without(request)
    *way, last = field.split(".")
    part: Any = copied
    for step in way:
        part = part[int(step)] if step.isdigit() else getattr(part, step)
    if isinstance(value, Message):
        getattr(part, last).CopyFrom(value)
    else:
        setattr(part, last, value)
    return copied


@pytest.mark.parametrize("case", ORDER)
def test_the_first_of_two_refusals_is_given(books: Ledger, case: str) -> None:
    """Whichever two fields are wrong at once."""
    request, wrong = ORDER[case]
    before, offences = books.state(), []
    for (field, value, expected), (later, its_value, _) in combinations(wrong, 2):
        if field != later:
            asked = changed(changed(request, later, its_value), field, value)
            answer = said(refused(rpc_of(books, asked), asked))
            if not answer.startswith(expected):
                offences.append(f"{field} and {later} wrong: {answer}, not {expected}")
    assert offences == []
    assert books.state() == before


# --- in a batch ---------------------------------------------------------------------------------------


def test_one_bad_entry_of_a_batch_refuses_itself(books: Ledger) -> None:
    """Also where its form is wrong; the answers stand in the order of the request."""
    good = [entry(DAY, dr(CASH, "1.00"), cr(OPENING, "1.00")) for _ in range(2)]
    bad = [simple(day="2026-02-30").entry, between("Assets:Gone", OPENING).entry]
    batch = po.PostEntriesRequest(book=BOOK, entries=[good[0], bad[0], bad[1], good[1]])
    results = books.postings.PostEntries(batch).results
    said = [errors_pb2.Reason.Name(r.refusal.reason) if r.HasField("refusal") else r.entry.number for r in results]
    assert said == [said[0], "REASON_DATE_INVALID", "REASON_ACCOUNT_CLOSED", said[0] + 1]
    assert dict(results[1].refusal.metadata) == {"field": "effective_date", "value": "2026-02-30"}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [(simple(day="2026-02-30"), "DATE_INVALID"), (between("Assets:Gone", OPENING), "ACCOUNT_CLOSED")],
)
def test_an_atomic_batch_is_refused_whole(books: Ledger, bad: po.PostEntryRequest, reason: str) -> None:
    """With the refusal that stopped it and its place, counted from 0."""
    before = books.state()
    batch = po.PostEntriesRequest(book=BOOK, entries=[simple().entry, bad.entry, simple().entry], atomic=True)
    said = refused(books.postings.PostEntries, batch)
    assert (said.reason, said.facts["index"]) == (reason, "1")
    assert books.state() == before


def test_a_refused_request_burns_no_key(books: Ledger) -> None:
    assert (
        refused(books.postings.PostEntry, between("Assets:Gone", OPENING, key="kept")).reason == "ACCOUNT_CLOSED"
    )
    assert not books.postings.PostEntry(simple(key="kept")).replayed


# --- bytes --------------------------------------------------------------------------------------------

WHOLE = simple().SerializeToString()
BYTES = {
    "cut short": WHOLE[:-3],
    "not protobuf": b"\xff\xff\xff\xff",
    "a field without an end": b"\x0a\x7fshort",
    "a book that is not UTF-8": b"\x0a\x04m\xff\xfen",
    "a description that is not UTF-8": WHOLE.replace(b"2026-04-08", b"2026-04-\xc3\x28"),
    "half a character": WHOLE.replace(b"2026-04-08", b"2026-04-0\xe2"),
}


@pytest.mark.parametrize("case", BYTES)
def test_bytes_that_are_not_the_request(books: Ledger, case: str) -> None:
    before = books.state()
    call = books.channel.unary_unary("/ledger.v1.PostingsService/PostEntry")
    said = refused(call, BYTES[case])
    assert (said.code, said.reason, said.facts) == ("INVALID_ARGUMENT", "REQUEST_UNDECODABLE", {})
    assert books.state() == before


def test_fields_that_nobody_knows_are_passed_over(books: Ledger) -> None:
    """As protobuf wants it: a newer client may say more."""
    unknown = b"\x9a\x06\x03new"
    call = books.channel.unary_unary("/ledger.v1.PostingsService/PostEntry")
    assert po.PostEntryResponse.FromString(call(simple().SerializeToString() + unknown)).entry.number


def test_a_message_beyond_a_mebibyte_is_not_read(books: Ledger) -> None:
    before = books.state()
    large = simple(description="x" * 1024 * 1024)
    assert refused(books.postings.PostEntry, large).code == "RESOURCE_EXHAUSTED"
    assert books.state() == before


def test_no_such_method(books: Ledger) -> None:
    call = books.channel.unary_unary("/ledger.v1.PostingsService/DeleteEntry")
    assert refused(call, b"").code == "UNIMPLEMENTED"


# --- the database -------------------------------------------------------------------------------------


@contextmanager
def direct(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's connection."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        yield connection


def test_the_database_is_away_and_comes_back(ledger: Ledger, cluster_url: str) -> None:
    name = ledger.url.rpartition("/")[2]
    asked = simple(key="patient")
    ledger.accounts.OpenAccount(opening(OPENING))
    with direct(cluster_url) as elsewhere:
        elsewhere.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        elsewhere.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        said = [
            refused(ledger.postings.PostEntry, asked),
            refused(ledger.accounts.ListBooks, ac.ListBooksRequest()),
        ]
        elsewhere.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    assert [(s.code, s.reason) for s in said] == [("UNAVAILABLE", "DATABASE_UNAVAILABLE")] * 2
    assert not ledger.postings.PostEntry(asked).replayed
    assert ledger.entries()[-1].number == 1


CUT_AT_COMMIT = """
    CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
        $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER cut AFTER UPDATE ON heads DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION cut();
"""


def test_a_connection_lost_at_commit_is_an_unknown_outcome(ledger: Ledger) -> None:
    """Never a guess; the same key gives the answer on retry, here that nothing had been posted."""
    asked = simple(key="unsure")
    ledger.accounts.OpenAccount(opening(OPENING))
    with direct(ledger.url) as elsewhere:
        elsewhere.execute(CUT_AT_COMMIT)
        said = refused(ledger.postings.PostEntry, asked)
        elsewhere.execute("DROP TRIGGER cut ON heads")
    assert (said.code, said.reason) == ("UNAVAILABLE", "OUTCOME_UNKNOWN")
    assert not ledger.postings.PostEntry(asked).replayed
    assert ledger.postings.PostEntry(asked).replayed
    assert len(ledger.entries()) == 1


def test_a_full_queue_says_so(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody holds the book one is being posted, three may wait and no more; those four are posted."""
    monkeypatch.setattr(group_commit, "MOST_WAITING", 3)
    ledger.accounts.OpenAccount(opening(OPENING))
    done: Queue[grpc.Future] = Queue()
    with direct(ledger.url) as holder, holder.transaction():
        holder.execute("SELECT FROM heads WHERE book = %s FOR UPDATE", [BOOK])
        for n in range(8):
            ledger.postings.PostEntry.future(simple()).add_done_callback(done.put)
            if n == 0:
                eventually(lambda: waiting_for_a_lock(ledger.url), "the first is being posted")
        said = [answered(done.get(timeout=PATIENCE_SECONDS)) for _ in range(4)]
        assert done.empty()
    facts = [(s.code, s.reason, s.facts["book"]) for s in said]
    assert facts == [("RESOURCE_EXHAUSTED", "QUEUE_FULL", BOOK)] * 4
    numbers = {answered(done.get(timeout=PATIENCE_SECONDS)).entry.number for _ in range(4)}
    assert numbers == {1, 2, 3, 4}


def test_a_total_of_many_accounts_beyond_63_bits(ledger: Ledger) -> None:
    """Each account holds what it can, together they hold more: refused by name, and their parts are answered."""
    for code in ("Assets:One", "Assets:Two", OPENING):
        ledger.accounts.OpenAccount(opening(code))
    for code in ("Assets:One", "Assets:Two"):
        ledger.post(DAY, dr(code, "1.00"), cr(OPENING, "1.00"))
    with direct(ledger.url) as owner:
        for table in ("daily_totals", "balances"):
            owner.execute(f"UPDATE {table} SET debits = 9223372036854775000 WHERE account LIKE 'Assets:%'")
    of_all = refused(ledger.accounts.GetBalance, ac.GetBalanceRequest(book=BOOK, prefix="Assets"))
    assert (of_all.code, of_all.reason) == ("FAILED_PRECONDITION", "TOTAL_OUT_OF_RANGE")
    assert of_all.facts == {"currency": "USD"}
    listed = refused(ledger.reports.GetTrialBalance, rp.GetTrialBalanceRequest(book=BOOK, as_of=DAY))
    assert listed.reason == "TOTAL_OUT_OF_RANGE"
    assert ledger.balance("Assets:One") == "92233720368547750.00 Dr"


def test_a_server_that_stands_still_with_the_head_of_a_book_loses_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others wait no longer than that for the book, and what stood still has posted nothing."""
    monkeypatch.setattr(database, "_IDLE_SECONDS", 0.2)
    ledger.accounts.OpenAccount(opening(OPENING))
    held = ledger.loop.run(held_head(ledger.url))
    assert ledger.post(DAY, dr(CASH, "1.00"), cr(OPENING, "1.00")).number == 1
    assert ledger.loop.run(still_there(held)) is False


async def held_head(url: str) -> AsyncConnection:
    """A connection of a program that took the head of the book and then did nothing any more.

    On a busy machine it may stand still before it has the head; then it tries again.
    """
    while True:
        with suppress(DBAPIError):
            connection = await engine(url).connect()
            await connection.execute(text("SELECT FROM heads WHERE book = 'main' FOR UPDATE"))
            return connection


async def still_there(connection: AsyncConnection) -> bool:
    """Whether the transaction can go on."""
    try:
        await connection.execute(text("SELECT 1"))
    except DBAPIError:
        await connection.invalidate()
        return False
    return True


def test_nobody_waits_for_a_book_for_ever(loop: Loop, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.accounts.OpenAccount(opening(OPENING))
    monkeypatch.setattr(database, "_LOCK_SECONDS", 0.2)
    with serving(loop, ledger.url) as hasty, direct(ledger.url) as holder, holder.transaction():
        holder.execute("SELECT FROM heads WHERE book = %s FOR UPDATE", [BOOK])
        said = refused(hasty.postings.PostEntry, simple(key="patient"))
        assert (said.code, said.reason) == ("UNAVAILABLE", "DATABASE_UNAVAILABLE")


def test_a_caller_that_gives_up_leaves_no_query_behind(ledger: Ledger) -> None:
    """Its deadline ends the query in PostgreSQL too, and the connection is free for the next caller."""
    with direct(ledger.url) as holder, holder.transaction():
        holder.execute("LOCK TABLE daily_totals IN ACCESS EXCLUSIVE MODE")
        asked = rp.GetTrialBalanceRequest(book=BOOK, as_of=DAY)
        with pytest.raises(grpc.RpcError) as gone:
            ledger.reports.GetTrialBalance(asked, timeout=0.3)
        assert gone.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        eventually(lambda: waiting_for_a_lock(ledger.url) == 0, "no query waits for a lock")
    assert ledger.reports.GetTrialBalance(asked).totals == []
