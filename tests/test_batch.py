"""How a batch is decided, without a database: what is posted, what is refused, and which refusal comes first."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from ledger.accounts.account import Account, BalanceLimit, Totals, type_of, usual_side
from ledger.errors import BatchTooLarge, Refusal
from ledger.money import Amount, amount
from ledger.postings.batch import Batch, Facts, Head, Outcome, Posted, Request, Submission, decide
from ledger.postings.chain import GENESIS, entry_hash, request_hash
from ledger.postings.commands import AbsorbDenial, Command, PayProvider, Post, RecoverDenial, ReverseEntry
from ledger.postings.entry import Dimensions, JournalEntry, Kind, PostedEntry, credit, debit
from ledger.postings.item import Item
from ledger.postings.rules import reversal

DAY, LATER = date(2026, 4, 8), date(2026, 4, 30)
NOW = datetime(2026, 4, 30, 12, tzinfo=UTC)
HEAD = Head("main", 10, bytes([1]) * 32, NOW)
CASH, OPENING, GONE = "Assets:Cash", "Equity:Opening", "Assets:Gone"
PETTY, EURO, TAGGED = "Assets:Petty", "Assets:Euro", "Assets:Tagged"
ADA = "Liabilities:Payable:Provider:ada"
AETNA, CIGNA = "Assets:Receivable:Insurer:AETNA", "Assets:Receivable:Insurer:CIGNA"
ABSORBED = "Expenses:DenialsAbsorbed"


def usd(text: str) -> Amount:
    return amount(text, "USD")


def account(code: str, currency: str = "USD", **terms: Any) -> Account:
    return Account(code, currency, usual_side(type_of(code)), opened_at=NOW, **terms)


def manual(debited: str, credited: str, amount_: str = "5.00", day: date = DAY, **more: Any) -> Post:
    """An entry of two lines."""
    money = usd(amount_)
    return Post(JournalEntry(Kind.MANUAL, day, (debit(debited, money), credit(credited, money)), **more))


def paid(amount_: str, provider: str = "ada") -> PayProvider:
    return PayProvider(provider, usd(amount_), LATER)


def absorbed(claim: str = "C1", **more: Any) -> AbsorbDenial:
    return AbsorbDenial(claim, LATER, "timely filing", **more)


def recovered(claim: str = "C1", **more: Any) -> RecoverDenial:
    return RecoverDenial(claim, LATER, "appeal", **more)


def undo(number: int, reason: str = "why", posting_count: int = 2) -> ReverseEntry:
    return ReverseEntry(number, LATER, reason, posting_count)


def posted(number: int, command: Command, entry: JournalEntry, key: str) -> PostedEntry:
    """An entry posted before this batch."""
    return PostedEntry(
        "main", number, UUID(int=number), NOW, "ada", key, request_hash(command.stated()), entry, bytes(32)
    )


FIRST = manual(CASH, OPENING, description="first")
EARLIER = posted(3, FIRST, FIRST.complete, "used")
UNDONE = posted(4, manual(CASH, OPENING), manual(CASH, OPENING).complete, "undone")
UNDOING = posted(5, ReverseEntry(4, DAY, "why", 2), reversal(UNDONE.entry, 4, DAY, "why"), "undoing")


def facts() -> Facts:
    """A book in use: 80.00 payable to ada, 100.00 open on C1, C2 open with two payers, 5.00 in petty cash."""
    accounts = [
        *map(account, (CASH, OPENING, ADA, AETNA, CIGNA, ABSORBED)),
        account(PETTY, balance_limit=BalanceLimit.MUST_NOT_GO_CREDIT),
        account(EURO, "EUR"),
        account(TAGGED, item_required=True),
        account(GONE, closed_at=NOW),
    ]
    about = Dimensions(payer="AETNA", provider="ada", claim="C1")
    return Facts(
        accounts={a.code: a for a in accounts},
        folded={a.code.lower(): a.code for a in accounts},
        totals={ADA: Totals(2_500, 10_500), PETTY: Totals(500, 0), AETNA: Totals(20_000, 0)},
        items={
            "C1": Item("C1", "USD", {AETNA: 10_000, ABSORBED: 3_000}, about),
            "C2": Item("C2", "USD", {AETNA: 5_000, CIGNA: 5_000}, Dimensions(claim="C2")),
            "C3": Item("C3", "USD", {AETNA: 0}, about),
        },
        entries={4: UNDONE, 5: UNDOING, 3: EARLIER},
        reversals={4: 5},
        replays={("ada", "used"): EARLIER},
    )


def ask(command: Command, key: str = "", actor: str = "ada") -> Request:
    return Request(actor, key or f"key {id(command)}", command)


def decided(*commands: Command | Request, atomic: bool = False) -> Batch:
    """One submission, each command under a key of its own."""
    requests = [c if isinstance(c, Request) else ask(c, f"k{i}") for i, c in enumerate(commands)]
    return decide(HEAD, facts(), [Submission(requests, atomic)])


def told(outcomes: Sequence[Outcome]) -> list[str]:
    """Each outcome in a word: the number posted, `again` before it where it was replayed, or the reason."""
    return [
        o.reason if isinstance(o, Refusal) else f"again {o.entry.number}" if o.replayed else str(o.entry.number)
        for o in outcomes
    ]


def answers(*commands: Command | Request, atomic: bool = False) -> list[str]:
    return told(decided(*commands, atomic=atomic).outcomes[0])


# --- one request --------------------------------------------------------------------------------------

ONE: dict[str, tuple[Command, str]] = {
    "an entry": (manual(CASH, OPENING), "11"),
    "an account that no rule opens": (manual("Assets:Unheard", OPENING), "ACCOUNT_NOT_FOUND"),
    "an account that a rule opens": (manual("Liabilities:Suspense:AETNA", OPENING), "11"),
    "a closed account": (manual(GONE, OPENING), "ACCOUNT_CLOSED"),
    "dollars into euros": (manual(EURO, OPENING), "ACCOUNT_CURRENCY_DIFFERS"),
    "no item where one is needed": (manual(TAGGED, OPENING), "ITEM_MISSING"),
    "the last of petty cash": (manual(CASH, PETTY, "5.00"), "11"),
    "more than petty cash": (manual(CASH, PETTY, "5.01"), "BALANCE_LIMIT_PASSED"),
    "other letters": (manual("Liabilities:Payable:Provider:ADA", OPENING), "ACCOUNT_CODE_AMBIGUOUS"),
    "all that is payable": (paid("80.00"), "11"),
    "more than is payable": (paid("80.01"), "PAYABLE_EXCEEDED"),
    "a stranger": (paid("0.01", "eve"), "PAYABLE_EXCEEDED"),
    "all that is open": (absorbed(), "11"),
    "part of what is open": (absorbed(amount=usd("99.99")), "11"),
    "more than is open": (absorbed(amount=usd("100.01")), "CLAIM_EXCEEDED"),
    "another currency than the claim's": (absorbed(amount=Amount(1, "EUR")), "CLAIM_EXCEEDED"),
    "nothing open": (absorbed("C3"), "CLAIM_NOT_FOUND"),
    "an unknown claim": (absorbed("C9"), "CLAIM_NOT_FOUND"),
    "two payers": (absorbed("C2"), "PAYER_AMBIGUOUS"),
    "two payers, one named": (absorbed("C2", payer="CIGNA"), "11"),
    "a payer who owes nothing": (absorbed("C1", payer="CIGNA"), "CLAIM_NOT_FOUND"),
    "all that was absorbed": (recovered(), "11"),
    "more than was absorbed": (recovered(amount=usd("30.01")), "CLAIM_EXCEEDED"),
    "nothing absorbed": (recovered("C2"), "CLAIM_NOT_FOUND"),
    "an entry undone": (undo(3), "11"),
    "an entry undone before": (undo(4), "ENTRY_ALREADY_REVERSED"),
    "a reversal undone": (undo(5), "REVERSAL_NOT_REVERSIBLE"),
    "no entry": (undo(9), "ENTRY_NOT_FOUND"),
    "no entry when it was asked for": (undo(9, posting_count=0), "ENTRY_NOT_FOUND"),
}


@pytest.mark.parametrize("case", ONE)
def test_one_request(case: str) -> None:
    command, expected = ONE[case]
    assert answers(command) == [expected]


def test_an_entry_takes_the_next_number_and_the_hash_before() -> None:
    batch = decided(manual(CASH, OPENING), manual(CASH, OPENING))
    first, second = batch.entries
    assert (first.number, second.number, batch.head.number) == (11, 12, 12)
    assert first.hash == entry_hash(HEAD.hash, structs.replace(first, hash=b""))
    assert second.hash == entry_hash(first.hash, structs.replace(second, hash=b"")) == batch.head.hash
    assert {first.recorded_at, second.recorded_at} == {NOW}
    assert first.id != second.id


def test_a_refused_request_leaves_no_trace() -> None:
    """Not even the accounts that it would have opened on its way to the refusal."""
    batch = decided(manual("Liabilities:Suspense:AETNA", GONE))
    assert (batch.head, batch.entries, batch.opened, dict(batch.daily)) == (HEAD, [], {}, {})


# --- which refusal comes first ------------------------------------------------------------------------

# Each request deserves two refusals; errors.proto says which one is given.
PRECEDENCE: dict[str, tuple[Request, str]] = {
    "the key before the accounts": (ask(manual(GONE, OPENING), "used"), "IDEMPOTENCY_KEY_REUSED"),
    "the key before what is reversed": (ask(undo(4), "used"), "IDEMPOTENCY_KEY_REUSED"),
    "the key before what is settled": (ask(absorbed("C9"), "used"), "IDEMPOTENCY_KEY_REUSED"),
    "what is reversed before its accounts": (ask(undo(4)), "ENTRY_ALREADY_REVERSED"),
    "what is payable before the account": (
        ask(PayProvider("ada", Amount(9_000, "EUR"), LATER)),
        "PAYABLE_EXCEEDED",
    ),
    "the first line's account": (ask(manual("Assets:Unheard", GONE)), "ACCOUNT_NOT_FOUND"),
    "and not the second's": (ask(manual(GONE, "Assets:Unheard")), "ACCOUNT_CLOSED"),
    "an account before a balance in an earlier line": (ask(manual(GONE, PETTY, "9.00")), "ACCOUNT_CLOSED"),
    "also where its line comes later": (
        ask(
            Post(
                JournalEntry(Kind.MANUAL, DAY, (credit(PETTY, usd("9.00")), debit("Assets:Unheard", usd("9.00"))))
            )
        ),
        "ACCOUNT_NOT_FOUND",
    ),
    "closed before currency": (
        ask(Post(JournalEntry(Kind.MANUAL, DAY, (debit(GONE, Amount(1, "EUR")), credit(EURO, Amount(1, "EUR")))))),
        "ACCOUNT_CLOSED",
    ),
}


@pytest.mark.parametrize("case", PRECEDENCE)
def test_which_refusal_comes_first(case: str) -> None:
    request, expected = PRECEDENCE[case]
    assert answers(request) == [expected]


# --- neighbours ---------------------------------------------------------------------------------------

NEIGHBOURS: dict[str, tuple[list[Command], list[str], list[str]]] = {
    # what is asked, each by itself, all or none
    "all good": ([manual(CASH, OPENING)] * 3, ["11", "12", "13"], ["11", "12", "13"]),
    "one bad in the middle": (
        [manual(CASH, OPENING), manual(GONE, OPENING), manual(CASH, OPENING)],
        ["11", "ACCOUNT_CLOSED", "12"],
        ["ACCOUNT_CLOSED"] * 3,
    ),
    "the first of several refusals counts": (
        [manual(CASH, PETTY, "9.00"), manual(GONE, OPENING)],
        ["BALANCE_LIMIT_PASSED", "ACCOUNT_CLOSED"],
        ["BALANCE_LIMIT_PASSED"] * 2,
    ),
    "petty cash is spent once": (
        [manual(CASH, PETTY, "3.00"), manual(CASH, PETTY, "3.00"), manual(CASH, PETTY, "2.00")],
        ["11", "BALANCE_LIMIT_PASSED", "12"],
        ["BALANCE_LIMIT_PASSED"] * 3,
    ),
    "petty cash is filled, then spent": (
        [manual(PETTY, CASH, "1.00"), manual(CASH, PETTY, "6.00")],
        ["11", "12"],
        ["11", "12"],
    ),
    "a payable is paid once": (
        [paid("80.00"), paid("80.00")],
        ["11", "PAYABLE_EXCEEDED"],
        ["PAYABLE_EXCEEDED"] * 2,
    ),
    "a payable is paid in parts": (
        [paid("50.00"), paid("30.00"), paid("0.01")],
        ["11", "12", "PAYABLE_EXCEEDED"],
        ["PAYABLE_EXCEEDED"] * 3,
    ),
    "a claim is absorbed once": (
        [absorbed(), absorbed()],
        ["11", "CLAIM_NOT_FOUND"],
        ["CLAIM_NOT_FOUND"] * 2,
    ),
    "absorbed in parts": (
        [absorbed(amount=usd("60.00")), absorbed(amount=usd("60.00")), absorbed()],
        ["11", "CLAIM_EXCEEDED", "12"],
        ["CLAIM_EXCEEDED"] * 3,
    ),
    "absorbed and recovered again": ([absorbed(), recovered(amount=usd("130.00"))], ["11", "12"], ["11", "12"]),
    "reversed once": (
        [undo(3, "one"), undo(3, "two")],
        ["11", "ENTRY_ALREADY_REVERSED"],
        ["ENTRY_ALREADY_REVERSED"] * 2,
    ),
    "an account differs in case from one that this batch opened": (
        [manual("Liabilities:Suspense:AETNA", OPENING), manual("Liabilities:Suspense:Aetna", OPENING)],
        ["11", "ACCOUNT_CODE_AMBIGUOUS"],
        ["ACCOUNT_CODE_AMBIGUOUS"] * 2,
    ),
    "an account in another currency than this batch opened it in": (
        [
            manual("Liabilities:UnappliedCash", OPENING),
            PayProvider("ada", usd("1.00"), DAY),
            Post(
                JournalEntry(
                    Kind.MANUAL,
                    DAY,
                    (debit(EURO, Amount(1, "EUR")), credit("Liabilities:UnappliedCash", Amount(1, "EUR"))),
                )
            ),
        ],
        ["11", "12", "ACCOUNT_CURRENCY_DIFFERS"],
        ["ACCOUNT_CURRENCY_DIFFERS"] * 3,
    ),
}


@pytest.mark.parametrize("case", NEIGHBOURS)
def test_each_by_itself(case: str) -> None:
    commands, expected, _ = NEIGHBOURS[case]
    assert answers(*commands) == expected


@pytest.mark.parametrize("case", NEIGHBOURS)
def test_all_or_none(case: str) -> None:
    """And where none, then nothing at all: no entry, no account, no number."""
    commands, _, expected = NEIGHBOURS[case]
    batch = decided(*commands, atomic=True)
    assert told(batch.outcomes[0]) == expected
    if not expected[0].isdigit():
        assert (batch.head, batch.entries, batch.opened, dict(batch.daily)) == (HEAD, [], {}, {})


def test_an_atomic_refusal_says_which_one_it_was() -> None:
    [first, *_] = decided(manual(CASH, OPENING), manual(GONE, OPENING), atomic=True).outcomes[0]
    assert isinstance(first, Refusal)
    assert first.facts == {"account": GONE, "index": "1"}


def test_a_refused_atomic_submission_leaves_its_neighbours_alone() -> None:
    """Numbers stay gapless, the chain holds, and keys that it named are free."""
    alone = [Submission([ask(manual(CASH, OPENING), f"alone {i}")]) for i in range(2)]
    together = Submission([ask(manual(PETTY, CASH), "a"), ask(manual(GONE, OPENING), "b")], atomic=True)
    again = Submission([ask(manual(PETTY, CASH), "a")])
    batch = decide(HEAD, facts(), [alone[0], together, alone[1], again])
    assert [told(o) for o in batch.outcomes] == [["11"], ["ACCOUNT_CLOSED"] * 2, ["12"], ["13"]]
    hashes = [HEAD.hash] + [e.hash for e in batch.entries]
    for (before, after), entry in zip(pairwise(hashes), batch.entries, strict=True):
        assert after == entry_hash(before, structs.replace(entry, hash=b""))


def test_a_posted_atomic_submission_counts_for_its_neighbours() -> None:
    together = Submission([ask(paid("50.00"), "a"), ask(paid("20.00"), "b")], atomic=True)
    after = Submission([ask(paid("10.01"), "c"), ask(paid("10.00"), "d")])
    batch = decide(HEAD, facts(), [together, after])
    assert [told(o) for o in batch.outcomes] == [["11", "12"], ["PAYABLE_EXCEEDED", "13"]]


# --- keys ---------------------------------------------------------------------------------------------


def test_the_same_key_and_request_is_replayed() -> None:
    """With the entry of then, whatever has happened to its accounts since."""
    [outcome] = decided(ask(FIRST, "used")).outcomes[0]
    assert outcome == Posted(EARLIER, replayed=True)


def test_the_same_key_twice_in_a_batch() -> None:
    asked = ask(manual(CASH, OPENING), "twice")
    other = ask(manual(CASH, OPENING, "6.00"), "twice")
    assert answers(asked, asked, other, asked) == ["11", "again 11", "IDEMPOTENCY_KEY_REUSED", "again 11"]


def test_a_refused_request_burns_no_key() -> None:
    assert answers(ask(manual(GONE, OPENING), "kept"), ask(manual(CASH, OPENING), "kept")) == [
        "ACCOUNT_CLOSED",
        "11",
    ]


def test_a_key_belongs_to_its_actor() -> None:
    asked = [ask(manual(CASH, OPENING), "shared", actor) for actor in ("ada", "bob", "ada")]
    assert answers(*asked) == ["11", "12", "again 11"]


# What is asked under a key, what then, and what is said to differ.
REUSED: dict[str, tuple[Command, Command, str]] = {
    "the amount": (manual(CASH, OPENING), manual(CASH, OPENING, "6.00"), "postings"),
    "the day": (manual(CASH, OPENING), manual(CASH, OPENING, day=LATER), "effective_date"),
    "the day and the words": (
        manual(CASH, OPENING, description="a"),
        manual(CASH, OPENING, day=LATER, description="b"),
        "effective_date, description",
    ),
    "a dimension": (
        manual(CASH, OPENING),
        manual(CASH, OPENING, dimensions=Dimensions(payer="AETNA")),
        "payer",
    ),
    "who is paid": (paid("1.00"), PayProvider("bob", usd("1.00"), LATER), "provider, postings"),
    "how much of a denial": (absorbed(amount=usd("10.00")), absorbed(amount=usd("20.00")), "amount"),
    "how much of a recovery": (recovered(amount=usd("10.00")), recovered(), "amount"),
    "which denial": (absorbed("C1"), absorbed("C2", payer="AETNA"), "claim"),
    "why it is undone": (undo(3, "one"), undo(3, "two"), "description"),
    "what is undone": (undo(3, "one"), undo(4, "one"), "reverses"),
}


@pytest.mark.parametrize("case", REUSED)
def test_a_key_used_for_another_request_says_what_differs(case: str) -> None:
    first, second, differs = REUSED[case]
    [_, refused] = decided(ask(first, "k"), ask(second, "k")).outcomes[0]
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.facts) == (
        "IDEMPOTENCY_KEY_REUSED",
        {"idempotency_key": "k", "number": "11", "differs": differs},
    )


# --- what must be recorded ----------------------------------------------------------------------------


def test_an_account_that_a_rule_opens_is_opened_once() -> None:
    batch = decided(*[manual("Liabilities:Suspense:AETNA", OPENING)] * 3)
    assert [*batch.opened] == ["Liabilities:Suspense:AETNA"]


def test_both_lines_of_an_entry_may_open_the_same_account() -> None:
    lines = (debit("Revenue:Interest", usd("1.00")), credit("Revenue:Interest", usd("1.00")))
    batch = decided(Post(JournalEntry(Kind.MANUAL, DAY, lines)))
    assert [*batch.opened] == ["Revenue:Interest"]
    assert batch.added() == {"Revenue:Interest": Totals(100, 100)}


def test_totals_by_day_and_over_all_days() -> None:
    batch = decided(
        manual(CASH, OPENING, "1.00"),
        manual(CASH, OPENING, "2.00", LATER),
        manual(OPENING, CASH, "0.50"),
        manual(CASH, GONE, "9.00"),
    )
    assert dict(batch.daily) == {
        (CASH, DAY): Totals(100, 50),
        (OPENING, DAY): Totals(50, 100),
        (CASH, LATER): Totals(200, 0),
        (OPENING, LATER): Totals(0, 200),
    }
    assert batch.added() == {CASH: Totals(300, 50), OPENING: Totals(50, 300)}


def test_a_replay_counts_nothing() -> None:
    assert decided(ask(FIRST, "used")).added() == {}


# --- how large ----------------------------------------------------------------------------------------


def test_a_batch_of_a_thousand() -> None:
    assert answers(*[manual(CASH, OPENING)] * 1_000)[-1] == "1010"


@pytest.mark.parametrize("atomic", [True, False])
def test_a_thousand_and_one_are_too_many(atomic: bool) -> None:
    with pytest.raises(BatchTooLarge):
        Submission([ask(FIRST)] * 1_001, atomic)


def test_ten_thousand_and_one_postings_are_too_many() -> None:
    cent = usd("0.01")
    lines = (debit(CASH, cent), credit(OPENING, cent)) * 2_500
    whole = ask(Post(JournalEntry(Kind.MANUAL, DAY, lines)))
    assert Submission([whole, whole]).postings == 10_000
    with pytest.raises(BatchTooLarge) as refused:
        Submission([whole, whole, ask(FIRST)])
    assert refused.value.facts == {"postings": "10002", "limit": "10000"}


# What is asked for, and how many postings of it.
COUNTED: dict[str, tuple[Command, int]] = {
    "an entry": (FIRST, 2),
    "a payout": (paid("1.00"), 2),
    "an absorbed denial": (absorbed(), 2),
    "an absorbed denial of one payer": (absorbed("C2", payer="CIGNA"), 2),
    "a recovered denial": (recovered(), 2),
    "a reversal": (undo(3), 2),
    "a reversal of a large entry": (undo(3, posting_count=10_000), 10_000),
    "a reversal of no entry": (undo(9, posting_count=0), 0),
}


@pytest.mark.parametrize("case", COUNTED)
def test_how_many_postings_are_asked_for(case: str) -> None:
    command, count = COUNTED[case]
    assert Submission([ask(command)]).postings == count


@pytest.mark.parametrize("case", [case for case in COUNTED if "large" not in case and "no entry" not in case])
def test_as_many_are_posted_as_were_asked_for(case: str) -> None:
    command, count = COUNTED[case]
    [entry] = decided(command).entries
    assert len(entry.entry.postings) == count


def test_reversals_of_large_entries_are_too_many() -> None:
    """They name none of the postings that they would make, and yet they count."""
    assert Submission([ask(undo(n, posting_count=2_500)) for n in range(1, 5)]).postings == 10_000
    with pytest.raises(BatchTooLarge) as refused:
        Submission([ask(undo(number, posting_count=11)) for number in range(1, 1_001)])
    assert refused.value.facts == {"postings": "11000", "limit": "10000"}


def test_nothing_is_read_of_an_entry_that_was_not_there_to_be_counted() -> None:
    assert ([*undo(9, posting_count=0).originals()], [*undo(9).originals()]) == ([], [9])


def test_a_total_never_passes_63_bits() -> None:
    """Debits and credits by themselves, though the balance between them stays small."""
    near = facts()
    near.totals = {CASH: Totals(2**63 - 501, 2**63 - 501)}
    requests = [ask(manual(CASH, OPENING, "5.00"), "fits"), ask(manual(CASH, OPENING, "0.01"), "does not")]
    back = ask(manual(OPENING, CASH, "5.01"), "nor back")
    batch = decide(HEAD, near, [Submission([*requests, back])])
    assert told(batch.outcomes[0]) == ["11", "TOTAL_OUT_OF_RANGE", "TOTAL_OUT_OF_RANGE"]


def test_deciding_is_pure() -> None:
    """The same head, facts and requests give the same batch, and the facts are as they were."""
    given, requests = facts(), [ask(paid("50.00"), "a"), ask(absorbed(), "b"), ask(manual(CASH, GONE), "c")]
    one, other = (decide(HEAD, given, [Submission(requests)]) for _ in range(2))
    assert (one.entries, one.opened, one.daily, one.head) == (other.entries, other.opened, other.daily, other.head)
    assert given == facts()


def test_time_and_number_make_ids_that_differ() -> None:
    later = structs.replace(HEAD, recorded_at=NOW + timedelta(seconds=1), hash=GENESIS)
    batches = [decide(head, facts(), [Submission([ask(manual(CASH, OPENING), "k")])]) for head in (HEAD, later)]
    assert len({batch.entries[0].id for batch in batches}) == 2


# --- limits -------------------------------------------------------------------------------------------

LIMITS = {("manual", "USD"): 1_000, ("provider_paid", "USD"): 0, ("reversal", "EUR"): 0, ("claim_paid", "USD"): 1}
SPLIT = JournalEntry(
    Kind.MANUAL, DAY, (debit(CASH, usd("6.00")), debit(PETTY, usd("4.01")), credit(OPENING, usd("10.01")))
)
# What is asked for, and what comes of it in a book with these limits.
AGAINST_LIMITS: dict[str, tuple[Command | Request, str]] = {
    "at the limit": (manual(CASH, OPENING, "10.00"), "entry 11"),
    "a cent above": (manual(CASH, OPENING, "10.01"), "APPROVAL_NEEDED"),
    "a cent above, approved": (structs.replace(ask(manual(CASH, OPENING, "10.01")), approved=True), "entry 11"),
    "a cent above in two debits": (Post(SPLIT), "APPROVAL_NEEDED"),
    "a limit of nothing": (paid("0.01"), "APPROVAL_NEEDED"),
    "another kind": (absorbed(amount=usd("50.00")), "entry 11"),
    "another currency": (undo(3), "entry 11"),
    "refused for something else too": (paid("80.01"), "PAYABLE_EXCEEDED"),
    "a closed account too": (manual(GONE, OPENING, "10.01"), "ACCOUNT_CLOSED"),
}


@pytest.mark.parametrize("case", AGAINST_LIMITS)
def test_what_needs_a_second_person(case: str) -> None:
    asked, expected = AGAINST_LIMITS[case]
    request = asked if isinstance(asked, Request) else ask(asked)
    limited = facts()
    limited.limits = LIMITS
    [[outcome]] = decide(HEAD, limited, [Submission([request])]).outcomes
    assert expected == (outcome.reason if isinstance(outcome, Refusal) else f"entry {outcome.entry.number}")


def test_what_was_posted_is_answered_whatever_the_limit() -> None:
    limited = facts()
    limited.limits = {("manual", "USD"): 0}
    [[outcome]] = decide(HEAD, limited, [Submission([ask(FIRST, "used")])]).outcomes
    assert isinstance(outcome, Posted)
    assert outcome.replayed
