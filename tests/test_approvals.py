"""The second person: what one may not ask for alone, what is shown is what is done, and nobody checks oneself."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date
from importlib.resources import files
from itertools import count
from typing import Any

import psycopg
import pytest
from google.protobuf.message import Message
from psycopg import errors
from serving import (
    Ledger,
    Refused,
    answered,
    cr,
    dr,
    entry,
    key,
    open_book,
    payout,
    refused,
    serving,
    session,
    usd,
)
from test_attack import attack, undone

from ledger.database import PROGRAM_ROLE
from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import approvals_pb2 as pb
from ledger.v1 import periods_pb2 as pe
from ledger.v1 import postings_pb2 as po
from ledger.v1 import write_offs_pb2 as wo

DAY = "2026-04-30"
CASH, OPENING, PAYABLE = "Assets:Cash", "Equity:Opening", "Liabilities:Payable:Provider:ada"
MAKER, APPROVER, ANOTHER = "mia", "abe", "ann"
MANUAL, REVERSAL, PAID = po.KIND_MANUAL, po.KIND_REVERSAL, po.KIND_PROVIDER_PAID
ABSORBED, RECOVERED = po.KIND_DENIAL_ABSORBED, po.KIND_DENIAL_RECOVERED
OPEN, APPROVED = pb.PROPOSAL_STATE_OPEN, pb.PROPOSAL_STATE_APPROVED
DECLINED, WITHDRAWN = pb.PROPOSAL_STATE_DECLINED, pb.PROPOSAL_STATE_WITHDRAWN
_books = count(1)


# --- words --------------------------------------------------------------------------------------------


@pytest.fixture
def books(server: Ledger) -> Ledger:
    """A book of its own: ada has earned 300.00 on three claims, and there is an account without a limit."""
    ledger = server.of(f"book-{next(_books)}")
    open_book(ledger, ledger.book)
    for currency, code in (("USD", OPENING), ("EUR", "Equity:Euro"), ("EUR", "Assets:Euro")):
        ledger.accounts.OpenAccount(ac.OpenAccountRequest(book=ledger.book, code=code, currency_code=currency))
    for claim in ("C1", "C2", "C3"):
        ledger.postings.RecordSession(session(claim, rate="100.00", book=ledger.book))
    return ledger


def by(name: str) -> list[tuple[str, str]]:
    """Who calls, where callers are believed."""
    return [("ledger-actor", name)]


def told(call: Any, request: Message, name: str = MAKER) -> Refused:
    """How somebody was refused."""
    return refused(lambda asked: call(asked, metadata=by(name)), request)


def limited(books: Ledger, kind: int, units: int | None, name: str = MAKER, **more: Any) -> pb.ApprovalLimit:
    return books.approvals.SetApprovalLimit(limiting(books, kind, units, **more), metadata=by(name)).limit


def limiting(books: Ledger, kind: int, units: int | None, **more: Any) -> pb.SetApprovalLimitRequest:
    """A limit in minor units, or none any more."""
    limit: dict[str, Any] = {"removed": True} if units is None else {"minor_units": units}
    asked = {"book": books.book, "currency_code": "USD", "reason": "policy of 2026"} | limit | more
    return pb.SetApprovalLimitRequest(kind=kind, **asked)


def paying(books: Ledger, amount: str, **more: Any) -> po.PayProviderRequest:
    return payout("ada", amount, book=books.book, **more)


def manual(books: Ledger, amount: str, **more: Any) -> po.PostEntryRequest:
    return po.PostEntryRequest(book=books.book, entry=entry(DAY, dr(CASH, amount), cr(OPENING, amount), **more))


def denial(books: Ledger, kind: type[Any], claim: str = "C1", **more: Any) -> Any:
    asked = {"book": books.book, "idempotency_key": key(), "claim": claim, "effective_date": DAY}
    return kind(reason="timely filing", **asked, **more)


def reversing(books: Ledger, number: int) -> po.ReverseEntryRequest:
    return po.ReverseEntryRequest(
        book=books.book, idempotency_key=key(), number=number, effective_date=DAY, reason="mistaken"
    )


NAMES: dict[type[Any], str] = {
    po.PostEntryRequest: "post_entry",
    po.ReverseEntryRequest: "reverse_entry",
    po.PayProviderRequest: "pay_provider",
    po.AbsorbDenialRequest: "absorb_denial",
    po.RecoverDenialRequest: "recover_denial",
    pb.SetApprovalLimitRequest: "set_approval_limit",
    pe.ReopenPeriodRequest: "reopen_period",
    wo.WriteOffRequest: "write_off",
}


def proposing(books: Ledger, request: Any, **more: Any) -> pb.ProposeRequest:
    """The same request as a proposal, under its own key."""
    keyed = request.entry if isinstance(request, po.PostEntryRequest) else request
    its_key = getattr(keyed, "idempotency_key", "") or key()
    asked = {"book": books.book, "idempotency_key": its_key, "reason": "end of month"} | more
    return pb.ProposeRequest(act=pb.Act(**{NAMES[type(request)]: request}), **asked)


def proposed(books: Ledger, request: Any, name: str = MAKER, **more: Any) -> pb.Proposal:
    return books.approvals.Propose(proposing(books, request, **more), metadata=by(name)).proposal


def approving(books: Ledger, found: pb.Proposal, **more: Any) -> pb.ApproveRequest:
    asked = {"book": books.book, "number": found.number, "content_hash": found.content_hash, "reason": "seen"}
    return pb.ApproveRequest(**(asked | more))


def approved(books: Ledger, found: pb.Proposal, name: str = APPROVER) -> pb.ApproveResponse:
    return books.approvals.Approve(approving(books, found), metadata=by(name))


def declining(books: Ledger, found: pb.Proposal) -> pb.DeclineRequest:
    return pb.DeclineRequest(book=books.book, number=found.number, reason="not now")


def withdrawing(books: Ledger, found: pb.Proposal) -> pb.WithdrawRequest:
    return pb.WithdrawRequest(book=books.book, number=found.number, reason="mistaken")


def got(books: Ledger, **named: int) -> pb.Proposal:
    return books.approvals.GetProposal(pb.GetProposalRequest(book=books.book, **named)).proposal


def listed(books: Ledger, state: int = 0, size: int = 100) -> list[int]:
    """The numbers of proposals in a state, over all pages."""
    numbers, token = [], ""
    while True:
        asked = pb.ListProposalsRequest(book=books.book, state=state, page_size=size, page_token=token)
        page = books.approvals.ListProposals(asked)
        numbers += [found.number for found in page.proposals]
        token = page.next_page_token
        if not token:
            return numbers


# --- limits -------------------------------------------------------------------------------------------


def test_without_a_limit_nobody_is_asked(books: Ledger) -> None:
    assert books.postings.PayProvider(paying(books, "300.00"), metadata=by(MAKER)).entry.number == 4
    assert list(books.approvals.ListApprovalLimits(pb.ListApprovalLimitsRequest(book=books.book)).limits) == []


ABOVE: dict[str, tuple[int, Callable[[Ledger], Message]]] = {
    "an entry by hand": (MANUAL, lambda books: manual(books, "100.01")),
    "a reversal": (REVERSAL, lambda books: reversing(books, 1)),
    "a payout": (PAID, lambda books: paying(books, "100.01")),
    "a denial": (ABSORBED, lambda books: denial(books, po.AbsorbDenialRequest, amount=usd("100.01"))),
    "all of a denial": (ABSORBED, lambda books: denial(books, po.AbsorbDenialRequest)),
}


@pytest.mark.parametrize("case", ABOVE)
def test_above_its_limit_a_request_is_refused(books: Ledger, case: str) -> None:
    """And only validated it is refused alike; with the limit where it was, or of another kind, it is not."""
    kind, asked = ABOVE[case]
    limited(books, kind, 100_00)
    request: Any = asked(books)
    before = books.state()
    for only in (False, True):
        request.validate_only = only
        found = told(rpc(books, request), request)
        assert (found.code, found.reason) == ("FAILED_PRECONDITION", "APPROVAL_NEEDED")
        name = po.Kind.Name(kind).removeprefix("KIND_").lower()
        amount = {"a reversal": "220.00", "all of a denial": "120.00"}.get(case, "100.01")
        assert found.facts == {"kind": name, "currency": "USD", "amount": amount, "limit": "100.00"}
    assert books.state() == before
    assert books.wrong() == []


def rpc(books: Ledger, request: Message) -> Any:
    return getattr(books.postings, type(request).__name__.removesuffix("Request"))


def test_up_to_its_limit_a_request_is_posted(books: Ledger) -> None:
    """The limit is the sum of an entry's debits in the limit's currency, each entry by itself."""
    limited(books, MANUAL, 100_00)
    lines = [dr(CASH, "60.00"), dr(CASH, "40.00"), cr(OPENING, "100.00")]
    euros = [dr("Assets:Euro", "900.00", currency="EUR"), cr("Equity:Euro", "900.00", currency="EUR")]
    both = po.PostEntryRequest(book=books.book, entry=entry(DAY, *lines, *euros))
    for request in (manual(books, "100.00"), manual(books, "100.00"), both):
        assert books.postings.PostEntry(request, metadata=by(MAKER)).entry.number
    limited(books, MANUAL, 0, currency_code="EUR")
    both.entry.idempotency_key = key()
    assert told(books.postings.PostEntry, both).facts["currency"] == "EUR"
    books.postings.RecordSession(session("C9", allowed="900.00", book=books.book))
    assert books.wrong() == []


def test_an_overturned_denial_has_a_limit_too(books: Ledger) -> None:
    books.postings.AbsorbDenial(denial(books, po.AbsorbDenialRequest))
    limited(books, RECOVERED, 119_99)
    recovering = denial(books, po.RecoverDenialRequest)
    assert told(books.postings.RecoverDenial, recovering).facts["kind"] == "denial_recovered"
    approved(books, proposed(books, recovering))
    assert books.balance("Expenses:DenialsAbsorbed") == "0.00"


def test_one_entry_of_many_above_its_limit(books: Ledger) -> None:
    """Refuses itself; an atomic batch it refuses whole."""
    limited(books, MANUAL, 100_00)
    entries = [manual(books, amount).entry for amount in ("1.00", "100.01", "2.00")]
    atomic = po.PostEntriesRequest(book=books.book, entries=entries, atomic=True)
    found = told(books.postings.PostEntries, atomic)
    assert (found.reason, found.facts["index"]) == ("APPROVAL_NEEDED", "1")
    results = books.postings.PostEntries(po.PostEntriesRequest(book=books.book, entries=entries)).results
    assert [bool(one.entry.number) for one in results] == [True, False, True]


def test_a_limit_is_lowered_by_one_and_raised_by_two(books: Ledger) -> None:
    assert limited(books, PAID, 100_00).version == 1
    assert limited(books, PAID, 100_00, name=ANOTHER).set_by == MAKER  # as it is already
    assert limited(books, PAID, 50_00).version == 2
    for units, amount in ((50_01, "50.01"), (None, "none")):
        found = told(books.approvals.SetApprovalLimit, limiting(books, PAID, units))
        assert (found.reason, found.facts["amount"], found.facts["limit"]) == ("APPROVAL_NEEDED", amount, "50.00")
    raised = proposed(books, limiting(books, PAID, 80_00))
    change = raised.preview.limit
    assert (change.before.amount.minor_units, change.after.amount.minor_units) == (50_00, 80_00)
    answer = approved(books, raised)
    assert not answer.HasField("entry")
    removed = proposed(books, limiting(books, PAID, None))
    approved(books, removed)
    history = books.approvals.ListApprovalLimits(pb.ListApprovalLimitsRequest(book=books.book, history=True))
    assert [
        (one.version, one.amount.minor_units if one.HasField("amount") else None, one.set_by, one.proposal)
        for one in history.limits
    ] == [(1, 100_00, MAKER, 0), (2, 50_00, MAKER, 0), (3, 80_00, MAKER, 1), (4, None, MAKER, 2)]
    assert {one.after_entry for one in history.limits} == {3}
    assert books.postings.PayProvider(paying(books, "300.00"), metadata=by(MAKER)).entry.number
    assert books.wrong() == []


def test_limits_are_listed_a_page_at_a_time(books: Ledger) -> None:
    for kind in (MANUAL, PAID, ABSORBED):
        limited(books, kind, 2)
        limited(books, kind, 1)
    for history, expected in ((False, 3), (True, 6)):
        found, asked = [], pb.ListApprovalLimitsRequest(book=books.book, history=history, page_size=1)
        while True:
            page = books.approvals.ListApprovalLimits(asked)
            found += [(one.kind, one.version) for one in page.limits]
            asked.page_token = page.next_page_token
            if not asked.page_token:
                break
        assert len(set(found)) == len(found) == expected


# --- a proposal ---------------------------------------------------------------------------------------


def test_what_is_approved_is_posted_in_the_makers_name(books: Ledger) -> None:
    limited(books, PAID, 100_00)
    request = paying(books, "200.00", pay_cycle="2026-04b")
    assert told(books.postings.PayProvider, request).reason == "APPROVAL_NEEDED"
    found = proposed(books, request)
    shown = found.preview.entry
    assert (found.state, found.proposed_by, found.reason) == (OPEN, MAKER, "end of month")
    assert (shown.number, shown.kind, len(shown.postings)) == (0, PAID, 2)
    assert books.balance(PAYABLE) == "300.00 Cr"
    answer = approved(books, found)
    posted = answer.entry
    assert (posted.number, posted.actor, posted.idempotency_key) == (4, MAKER, request.idempotency_key)
    assert list(posted.postings) == list(shown.postings)
    assert books.balance(PAYABLE) == "100.00 Cr"
    decision = answer.proposal.decision
    assert (decision.decided_by, decision.reason, decision.entry_number) == (APPROVER, "seen", 4)
    assert got(books, entry_number=4) == got(books, number=found.number) == answer.proposal
    assert books.postings.PayProvider(request, metadata=by(MAKER)).replayed
    assert books.wrong() == []


def test_nobody_approves_what_one_has_proposed(books: Ledger) -> None:
    """Nor declines it: the maker withdraws, and nobody else does."""
    found = proposed(books, paying(books, "200.00"))
    for call, request in (
        (books.approvals.Approve, approving(books, found)),
        (books.approvals.Decline, declining(books, found)),
    ):
        said = told(call, request, MAKER)
        assert (said.code, said.reason) == ("PERMISSION_DENIED", "MAKER_IS_CHECKER")
    said = told(books.approvals.Withdraw, withdrawing(books, found), APPROVER)
    assert (said.code, said.reason) == ("PERMISSION_DENIED", "NOT_THE_MAKER")
    assert got(books, number=found.number).state == OPEN
    assert books.balance(CASH) == "0.00"


def test_a_decision_is_taken_once(books: Ledger) -> None:
    """The same again is the first answer; anything else is told who decided what."""
    found = proposed(books, paying(books, "200.00"))
    first, again = approved(books, found), approved(books, found)
    assert (first.replayed, again.replayed) == (False, True)
    assert (again.entry, again.proposal.decision) == (first.entry, first.proposal.decision)
    facts = {"proposal": str(found.number), "state": "approved", "decided_by": APPROVER}
    for call, request, name in (
        (books.approvals.Approve, approving(books, found), ANOTHER),
        (books.approvals.Decline, declining(books, found), APPROVER),
        (books.approvals.Withdraw, withdrawing(books, found), MAKER),
    ):
        said = told(call, request, name)
        assert (said.code, said.reason, said.facts) == ("FAILED_PRECONDITION", "PROPOSAL_DECIDED", facts)
    assert len(books.entries()) == 4


@pytest.mark.parametrize(("verdict", "state"), [("Decline", DECLINED), ("Withdraw", WITHDRAWN)])
def test_what_is_declined_or_withdrawn_is_never_posted(books: Ledger, verdict: str, state: int) -> None:
    found = proposed(books, paying(books, "200.00"))
    name = APPROVER if verdict == "Decline" else MAKER
    request = declining(books, found) if verdict == "Decline" else withdrawing(books, found)
    call = getattr(books.approvals, verdict)
    first, again = (call(request, metadata=by(name)) for _ in range(2))
    assert (first.proposal.state, first.replayed, again.replayed) == (state, False, True)
    assert told(books.approvals.Approve, approving(books, found), ANOTHER).reason == "PROPOSAL_DECIDED"
    assert (listed(books, OPEN), listed(books, state)) == ([], [found.number])
    assert len(books.entries()) == 3


def test_what_was_seen_is_what_is_posted(books: Ledger) -> None:
    """An approval names the hash of what its giver has seen: before it is decided, and after."""
    one, other = (proposed(books, paying(books, amount)) for amount in ("100.00", "200.00"))
    mixed = approving(books, one, content_hash=other.content_hash)
    assert told(books.approvals.Approve, mixed, APPROVER).reason == "PROPOSAL_DIFFERS"
    assert len(books.entries()) == 3
    approved(books, one)
    assert told(books.approvals.Approve, mixed, APPROVER).reason == "PROPOSAL_DIFFERS"
    assert len(books.entries()) == 4


def test_what_the_books_no_longer_allow_stays_open(books: Ledger) -> None:
    found = proposed(books, paying(books, "250.00"))
    books.postings.PayProvider(paying(books, "100.00"))
    assert told(books.approvals.Approve, approving(books, found), APPROVER).reason == "PAYABLE_EXCEEDED"
    assert got(books, number=found.number).state == OPEN
    books.postings.RecordSession(session("C9", rate="100.00", book=books.book))
    assert approved(books, found).entry.number == 6


def test_what_would_become_something_else_is_not_done(books: Ledger) -> None:
    """All that is open on the claim is less than it was: the approver has seen another amount."""
    found = proposed(books, denial(books, po.AbsorbDenialRequest))
    books.postings.AbsorbDenial(denial(books, po.AbsorbDenialRequest, amount=usd("20.00")))
    assert told(books.approvals.Approve, approving(books, found), APPROVER).reason == "PROPOSAL_OUTDATED"
    assert (got(books, number=found.number).state, len(books.entries())) == (OPEN, 4)
    limited(books, PAID, 10_00)
    raised = proposed(books, limiting(books, PAID, 80_00))
    limited(books, PAID, 5_00)
    assert told(books.approvals.Approve, approving(books, raised), APPROVER).reason == "PROPOSAL_OUTDATED"


def test_every_act_can_be_proposed(books: Ledger) -> None:
    """Each request as it is, or without its book and key, which the proposal names."""
    acts = [
        manual(books, "5.00"),
        reversing(books, 1),
        paying(books, "5.00"),
        denial(books, po.AbsorbDenialRequest, "C2"),
        limiting(books, MANUAL, 5),
    ]
    for request in acts:
        asked = proposing(books, request)
        inner = getattr(asked.act, NAMES[type(request)])
        inner.ClearField("book")
        if not isinstance(request, pb.SetApprovalLimitRequest):
            (inner.entry if isinstance(request, po.PostEntryRequest) else inner).ClearField("idempotency_key")
        first = books.approvals.Propose(asked, metadata=by(MAKER))
        again = books.approvals.Propose(
            proposing(books, request, idempotency_key=asked.idempotency_key), metadata=by(MAKER)
        )
        assert (first.replayed, again.replayed) == (False, True)
        assert again.proposal.number == first.proposal.number
        approved(books, first.proposal)
    assert [one.kind for one in books.entries()[3:]] == [MANUAL, REVERSAL, PAID, ABSORBED]
    assert books.wrong() == []


def test_a_key_stands_for_one_proposal(books: Ledger) -> None:
    first = proposing(books, paying(books, "5.00"))
    books.approvals.Propose(first, metadata=by(MAKER))
    other = proposing(books, paying(books, "6.00", idempotency_key=first.idempotency_key), reason="so")
    said = told(books.approvals.Propose, other)
    assert (said.code, said.reason) == ("ALREADY_EXISTS", "IDEMPOTENCY_KEY_REUSED")
    assert said.facts["differs"] == "amount, reason of the proposal"
    assert proposed(books, paying(books, "6.00", idempotency_key=first.idempotency_key), ANOTHER).number == 2


def test_what_is_posted_already_needs_no_approval(books: Ledger) -> None:
    """Under the same key by its maker: before it was proposed, or meanwhile."""
    request = paying(books, "5.00")
    found = proposed(books, request)
    books.postings.PayProvider(request, metadata=by(MAKER))
    assert told(books.approvals.Approve, approving(books, found), APPROVER).reason == "IDEMPOTENCY_KEY_REUSED"
    books.approvals.Withdraw(withdrawing(books, found), metadata=by(MAKER))
    posted = manual(books, "5.00")
    books.postings.PostEntry(posted, metadata=by(MAKER))
    assert told(books.approvals.Propose, proposing(books, posted)).reason == "IDEMPOTENCY_KEY_REUSED"
    assert len(books.entries()) == 5


def test_proposals_are_listed_oldest_first(books: Ledger) -> None:
    found = [proposed(books, paying(books, "1.00")) for _ in range(5)]
    approved(books, found[1])
    assert listed(books, size=2) == [1, 2, 3, 4, 5]
    assert listed(books, OPEN, size=1) == [1, 3, 4, 5]
    assert listed(books, APPROVED) == [2]
    assert all(0 <= got(books, number=one.number).age_seconds < 3_600 for one in found)


def test_what_waits_is_a_report(books: Ledger) -> None:
    """With the debits of each currency; for a limit, the amount that is wanted."""
    limited(books, PAID, 5)
    proposed(books, paying(books, "1.00"))
    lines = [dr(CASH, "60.00"), dr(CASH, "40.00"), cr(OPENING, "100.00")]
    euros = [dr("Assets:Euro", "9.00", currency="EUR"), cr("Equity:Euro", "9.00", currency="EUR")]
    proposed(books, po.PostEntryRequest(book=books.book, entry=entry(DAY, *lines, *euros)))
    proposed(books, limiting(books, PAID, 0))
    proposed(books, limiting(books, PAID, None))
    approved(books, got(books, number=1))
    with psycopg.connect(books.url.replace("+psycopg", "")) as connection:
        sql = files("ledger.reports").joinpath("proposals.sql").read_text()
        filled = sql.replace(":'book'", f"'{books.book}'").replace(":'as_of'", "'9999-12-30'")
        found = connection.execute(filled.encode()).fetchall()
    assert [(number, *row[1:]) for number, _, *row in found] == [
        (2, "post_entry", "EUR", 9_00, row_days(found), "end of month"),
        (2, "post_entry", "USD", 100_00, row_days(found), "end of month"),
        (3, "set_approval_limit", "USD", 0, row_days(found), "end of month"),
        (4, "set_approval_limit", "USD", None, row_days(found), "end of month"),
    ]
    assert {row[2] for row in found} == {MAKER}


def row_days(found: list[Any]) -> int:
    """How many days there are to the end of time."""
    return (date(9999, 12, 30) - found[0][1].astimezone(UTC).date()).days


# --- the database itself ------------------------------------------------------------------------------


def deciding(number: int, **changed: str) -> str:
    """A decision as the program would write it, with nothing wrong but what is changed."""
    values = {
        "book": "book",
        "proposal": "number",
        "verdict": "'approved'",
        "proposed_by": "proposed_by",
        "content_hash": "content_hash",
        "decided_by": f"'{APPROVER}'",
        "decided_at": "now()",
        "reason": "'seen'",
        "entry_number": "1",
    } | changed
    return (
        f"INSERT INTO proposal_decisions ({', '.join(values)}) "
        f"SELECT {', '.join(values.values())} FROM proposals WHERE number = {number}"
    )


def raising(**changed: str) -> str:
    values = {
        "book": "'main'",
        "kind": "'manual'",
        "currency": "'USD'",
        "version": "2",
        "before": "100",
        "amount": "50",
        "after_entry": "1",
        "reason": "'x'",
        "set_by": "'eve'",
        "set_at": "now()",
    } | changed
    return f"INSERT INTO approval_limits ({', '.join(values)}) VALUES ({', '.join(values.values())})"


DENIED = errors.InsufficientPrivilege
FORBIDDEN: dict[str, tuple[str, type[Exception]]] = {
    "approve one's own": (deciding(1, decided_by=f"'{MAKER}'"), errors.CheckViolation),
    "decline one's own": (
        deciding(1, decided_by=f"'{MAKER}'", verdict="'declined'", entry_number="NULL"),
        errors.CheckViolation,
    ),
    "withdraw another's": (deciding(1, verdict="'withdrawn'", entry_number="NULL"), errors.CheckViolation),
    "approve one's own as another's": (
        deciding(1, decided_by=f"'{MAKER}'", proposed_by="'eve'"),
        errors.ForeignKeyViolation,
    ),
    "approve what was not shown": (
        deciding(1, content_hash="decode(repeat('00', 32), 'hex')"),
        errors.ForeignKeyViolation,
    ),
    "approve what nobody proposed": (deciding(1, proposal="9"), errors.ForeignKeyViolation),
    "approve for no entry": (deciding(1, entry_number="99"), errors.ForeignKeyViolation),
    "approve for nothing": (deciding(1, reason="''"), errors.CheckViolation),
    "approve by nobody": (deciding(1, decided_by="''"), errors.CheckViolation),
    "decide twice": (deciding(2), errors.UniqueViolation),
    "approve two for one entry": (deciding(1, entry_number="2"), errors.UniqueViolation),
    "decline with an entry": (deciding(1, verdict="'declined'"), errors.CheckViolation),
    "another verdict": (deciding(1, verdict="'perhaps'"), errors.CheckViolation),
    "edit a proposal": ("UPDATE proposals SET shown = '{}'", DENIED),
    "delete a proposal": ("DELETE FROM proposals", DENIED),
    "edit a decision": (f"UPDATE proposal_decisions SET decided_by = '{ANOTHER}'", DENIED),
    "delete a decision": ("DELETE FROM proposal_decisions", DENIED),
    "empty decisions": ("TRUNCATE proposal_decisions CASCADE", DENIED),
    "edit a limit": ("UPDATE approval_limits SET amount = 1000000", DENIED),
    "delete a limit": ("DELETE FROM approval_limits", DENIED),
    "raise a limit alone": (raising(amount="101"), errors.CheckViolation),
    "remove a limit alone": (raising(amount="NULL"), errors.CheckViolation),
    "raise a limit for no proposal": (raising(amount="101", proposal="9"), errors.ForeignKeyViolation),
    "set a limit of what has none": (raising(kind="'claim_paid'"), errors.CheckViolation),
    "say another payer for an identifier": ("UPDATE payer_identifiers SET payer = 'eve'", DENIED),
}
CHANGES = [
    "UPDATE proposals SET reason = 'other'",
    "DELETE FROM proposals WHERE false",
    "UPDATE proposal_decisions SET decided_by = 'eve'",
    "DELETE FROM proposal_decisions",
    "TRUNCATE proposal_decisions CASCADE",
    "UPDATE approval_limits SET amount = NULL",
    "DELETE FROM approval_limits",
    "TRUNCATE proposals CASCADE",
    "UPDATE payer_identifiers SET payer = 'eve'",
    "DELETE FROM payer_identifiers",
]


@pytest.fixture
def decided(ledger: Ledger) -> Ledger:
    """Proposal 1 is open, proposal 2 was approved and is entry 2; limits of 1.00 and 100.00."""
    ledger.postings.RecordSession(session("C1"))
    limited(ledger, MANUAL, 1_00)
    limited(ledger, PAID, 100_00)
    proposed(ledger, paying(ledger, "1.00"))
    approved(ledger, proposed(ledger, paying(ledger, "101.00")))
    return ledger


@pytest.fixture
def owner(decided: Ledger) -> Any:
    with psycopg.connect(decided.url.replace("+psycopg", "")) as connection:
        yield connection


def test_the_program_cannot_approve_otherwise(owner: Any) -> None:
    """Whatever its code does."""
    found = {case: as_program(owner, statement) for case, (statement, _) in FORBIDDEN.items()}
    assert found == {case: refusal for case, (_, refusal) in FORBIDDEN.items()}
    assert [as_program(owner, sound) for sound in (deciding(1), raising())] == [None, None]


def as_program(owner: Any, statement: str) -> type[Exception] | None:
    """How PostgreSQL refuses a statement of the program's; None where it does not."""
    with undone(owner):
        try:
            attack(owner, [f"SET LOCAL ROLE {PROGRAM_ROLE}", statement])
        except psycopg.Error as refusal:
            return type(refusal)
    return None


def test_nor_does_the_owner_change_what_was_decided(owner: Any) -> None:
    """Not even as a replica."""
    for change in CHANGES:
        for before in ([], ["SET LOCAL session_replication_role = 'replica'"]):
            with undone(owner), pytest.raises(errors.RestrictViolation):
                attack(owner, [*before, change])


GUARDS = ("proposals", "proposal_decisions", "approval_limits", "payer_identifiers")


def test_every_trigger_is_always_on(owner: Any) -> None:
    asked = (
        "SELECT tgrelid::regclass::text, tgname, tgenabled FROM pg_trigger "
        "WHERE NOT tgisinternal AND tgrelid = ANY (%s::regclass[])"
    )
    found = owner.execute(asked, [[*GUARDS]]).fetchall()
    assert sorted(found) == sorted((table, f"{table}_never_change", "A") for table in GUARDS)


def test_without_its_trigger_or_constraint_each_attack_succeeds(owner: Any) -> None:
    for table in GUARDS:
        change = next(change for change in CHANGES if change.startswith(f"UPDATE {table} "))
        with undone(owner):
            attack(owner, [f"ALTER TABLE {table} DISABLE TRIGGER {table}_never_change", change])
    with undone(owner):
        off = "ALTER TABLE proposal_decisions DROP CONSTRAINT maker_is_not_checker"
        attack(owner, [off, deciding(1, decided_by=f"'{MAKER}'")])
    with undone(owner):
        attack(owner, ["ALTER TABLE approval_limits DROP CONSTRAINT limit_raised_by_two", raising(amount="101")])


OFF = "ALTER TABLE {0} DISABLE TRIGGER ALL"
ON = "ALTER TABLE {0} ENABLE TRIGGER ALL; ALTER TABLE {0} ENABLE ALWAYS TRIGGER {0}_never_change"
TAMPERINGS: dict[str, tuple[list[str], set[str]]] = {
    "an approval taken away": (["DELETE FROM proposal_decisions"], {"approval_borne"}),
    "another entry approved": (
        ["UPDATE proposal_decisions SET entry_number = 1"],
        {"approval_borne", "approval_ties"},
    ),
    "an approval without its entry": (
        ["UPDATE proposal_decisions SET entry_number = NULL"],
        {"approval_borne", "approval_ties"},
    ),
    "something else was shown": (
        ["UPDATE proposals SET shown = jsonb_set(shown, '{entry,postings,0,amount,minor_units}', '\"1\"')"],
        {"approval_ties"},
    ),
    "another payee was shown": (
        ["UPDATE proposals SET shown = jsonb_set(shown, '{entry,postings,0,account}', '\"Assets:Cash\"')"],
        {"approval_ties"},
    ),
    "another maker": (
        ["UPDATE proposals SET proposed_by = 'eve'", "UPDATE proposal_decisions SET proposed_by = 'eve'"],
        {"approval_ties"},
    ),
    "a limit lower than it was": (["UPDATE approval_limits SET amount = 50 WHERE kind = 'provider_paid'"], set()),
    "a limit that would have held": (
        [
            "DELETE FROM proposal_decisions",
            "UPDATE approval_limits SET amount = 10099 WHERE kind = 'provider_paid'",
        ],
        {"approval_borne"},
    ),
    "a version of a limit taken away": (
        ["UPDATE approval_limits SET version = 2 WHERE kind = 'manual'"],
        {"limit_history"},
    ),
    "a limit before it was set": (
        [raising(before="100", amount="50", after_entry="0")],
        {"limit_history"},
    ),
    "a limit from another than was in force": ([raising(before="70")], {"limit_history"}),
    "a limit raised by nobody": ([raising(amount="200", before="100", proposal="2")], {"limit_history"}),
}


@pytest.mark.parametrize("case", TAMPERINGS)
def test_tampering_with_approvals_is_found(decided: Ledger, owner: Any, case: str) -> None:
    statements, expected = TAMPERINGS[case]
    assert decided.wrong() == []
    tables = ("proposals", "proposal_decisions", "approval_limits")
    for statement in [*map(OFF.format, tables), *statements, *map(ON.format, tables)]:
        owner.execute(statement)
    owner.commit()
    assert {fault.partition(":")[0] for fault in decided.wrong()} == expected


def test_self_approval_is_found_where_its_constraint_is_gone(decided: Ledger, owner: Any) -> None:
    owner.execute("ALTER TABLE proposal_decisions DROP CONSTRAINT maker_is_not_checker")
    owner.execute(deciding(1, decided_by=f"'{MAKER}'"))
    owner.commit()
    found = decided.wrong()
    assert any(fault.startswith("guard_in_place: constraint maker_is_not_checker") for fault in found)
    assert any(fault.startswith("maker_is_not_checker: book main: proposal 1") for fault in found)


# --- at the same time ---------------------------------------------------------------------------------


DONE = {False: "done", True: "replayed"}


def outcomes(calls: list[Any]) -> Counter[str]:
    """How calls in flight together were answered."""
    found = [answered(call) for call in calls]
    return Counter(one.reason or one.code if isinstance(one, Refused) else DONE[one.replayed] for one in found)


@pytest.mark.parametrize("first", range(3))
def test_one_decision_of_many(books: Ledger, first: int) -> None:
    """Two approvers, one who declines, and the maker, on two servers: one decides, and the others are told."""
    found = proposed(books, paying(books, "200.00"))
    with serving(books.loop, books.url) as other:
        asked = [
            (books.approvals.Approve, approving(books, found), APPROVER),
            (other.approvals.Approve, approving(books, found), ANOTHER),
            (books.approvals.Withdraw, withdrawing(books, found), MAKER),
            (other.approvals.Decline, declining(books, found), "dan"),
        ]
        in_order = asked[first:] + asked[:first]
        said = outcomes([call.future(request, metadata=by(name)) for call, request, name in in_order])
    assert said == {"done": 1, "PROPOSAL_DECIDED": 3}
    state = got(books, number=found.number).state
    assert books.balance(PAYABLE) == ("100.00 Cr" if state == APPROVED else "300.00 Cr")
    assert books.wrong() == []


def test_one_approver_many_times_at_once(books: Ledger) -> None:
    found = proposed(books, paying(books, "200.00"))
    calls = [books.approvals.Approve.future(approving(books, found), metadata=by(APPROVER)) for _ in range(8)]
    assert outcomes(calls) == {"done": 1, "replayed": 7}
    assert len(books.entries()) == 4


def test_one_maker_proposes_many_times_at_once(books: Ledger) -> None:
    asked = proposing(books, paying(books, "200.00"))
    calls = [books.approvals.Propose.future(asked, metadata=by(MAKER)) for _ in range(8)]
    assert outcomes(calls) == {"done": 1, "replayed": 7}
    assert listed(books) == [1]


@pytest.mark.parametrize("round_", range(4))
def test_a_limit_changes_while_others_post(books: Ledger, round_: int) -> None:
    """Whatever the order, every entry above the limit in force for it bears an approval."""
    limited(books, PAID, 150_00)
    found = proposed(books, paying(books, "120.00"))
    raised = proposed(books, limiting(books, PAID, 500_00))
    asked: list[tuple[Any, Message, str]] = [
        (books.approvals.Approve, approving(books, found), APPROVER),
        (books.approvals.SetApprovalLimit, limiting(books, PAID, 50_00), ANOTHER),
        (books.postings.PayProvider, paying(books, "60.00"), MAKER),
        (books.approvals.Approve, approving(books, raised), ANOTHER),
    ]
    calls = [call.future(request, metadata=by(name)) for call, request, name in asked[round_:] + asked[:round_]]
    by_place = [answered(call) for call in calls]
    answers = dict(zip([*range(round_, 4), *range(round_)], by_place, strict=True))
    assert not isinstance(answers[0], Refused)
    assert not isinstance(answers[1], Refused)
    assert getattr(answers[2], "reason", "") in ("", "APPROVAL_NEEDED")
    assert getattr(answers[3], "reason", "") in ("", "PROPOSAL_OUTDATED")
    assert got(books, number=found.number).state == APPROVED
    assert books.wrong() == []


def test_two_payouts_approved_at_once_pay_what_is_payable(books: Ledger) -> None:
    """The books are asked again under the lock: one is posted, and the other stays open."""
    found = [proposed(books, paying(books, "200.00")) for _ in range(2)]
    calls = [books.approvals.Approve.future(approving(books, one), metadata=by(APPROVER)) for one in found]
    assert outcomes(calls) == {"done": 1, "PAYABLE_EXCEEDED": 1}
    assert (len(listed(books, OPEN)), books.balance(PAYABLE)) == (1, "100.00 Cr")
