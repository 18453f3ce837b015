"""Denials as a life: every way that one can go, what a policy absorbs, and that no provider pays for any of it."""

import ast
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from payers import claim, deliver, file, remittance
from serving import Ledger, money, open_book, refused, session, usd, written
from test_approvals import ABSORBED as KIND_ABSORBED
from test_approvals import APPROVER, approved, limited, proposing
from typer.testing import CliRunner

from ledger.errors import AmountInvalid, DenialPolicyOff
from ledger.postings.entry import Kind
from ledger.v1 import postings_pb2 as po
from reconciliation.closing import Sweep
from reconciliation.denials import _WAYS, State
from reconciliation.questions import STATES_OF_REFUSED
from reconciliation.v1 import denials_pb2 as dn
from reconciliation.v1 import reconciliation_pb2 as pb
from service.__main__ import app

ROOT = Path(__file__).resolve().parents[1]
PAYABLE, LOSS, OWED = (
    "Liabilities:Payable:Provider:ada",
    "Expenses:DenialsAbsorbed",
    "Assets:Receivable:Insurer:AETNA",
)
SHARE = "CO-45 30.00, PR-3 20.00"
_books, _traces = count(1), count(1)


@pytest.fixture
def books(server: Ledger) -> Iterator[Ledger]:
    """A book of its own with three claims of 100.00 each; whatever becomes of them, ada has earned 315.00."""
    ledger = server.of(f"denials-{next(_books)}")
    open_book(ledger, ledger.book)
    for one in ("C1", "C2", "C3"):
        ledger.postings.RecordSession(session(one, book=ledger.book, charge="150.00", patient_share="20.00"))
    yield ledger
    assert ledger.balance(PAYABLE) == "315.00 Cr"
    assert ledger.wrong() == []
    check_payables(ledger)


def check_payables(books: Ledger) -> None:
    """No entry but a session has ever touched what a provider has earned."""
    for entry in books.entries():
        touched = {line.account for line in entry.postings if line.account.startswith("Liabilities:Payable:")}
        assert not touched or entry.kind == po.KIND_SESSION_EARNED, entry


# --- the words of a story -----------------------------------------------------------------------------


def mailed(books: Ledger, amount: str, *loops: str, day: str = "2026-06-05") -> None:
    deliver(books, file(remittance(amount, f"EFT{next(_traces)}", *loops, day=day)), books.book)


def denied(books: Ledger, one: str = "C1", cas: str = "CO-29 150.00", day: str = "2026-06-05") -> None:
    mailed(books, "0.00", claim(one, "150.00", "0.00", cas, control=f"P{one}", status="4"), day=day)


def paid(books: Ledger, one: str = "C1") -> None:
    mailed(books, "100.00", claim(one, "150.00", "100.00", SHARE, control=f"P{one}"), day="2026-08-05")


def taken_back(books: Ledger, one: str = "C1") -> None:
    cas = "CO-45 -30.00, PR-3 -20.00"
    mailed(
        books, "-100.00", claim(one, "-150.00", "-100.00", cas, control=f"P{one}", status="22"), day="2026-09-05"
    )


def asked(books: Ledger, form: Any, one: str = "C1", day: str = "2026-07-01") -> Any:
    return form(book=books.book, claim=one, payer="AETNA", effective_date=day, reason="as decided")


def appealed(books: Ledger, one: str = "C1") -> None:
    books.denials.AppealDenial(asked(books, dn.AppealDenialRequest, one))


def resubmitted(books: Ledger, one: str = "C1") -> None:
    books.denials.ResubmitDenial(asked(books, dn.ResubmitDenialRequest, one))


def absorbed(books: Ledger, one: str = "C1") -> None:
    books.denials.AbsorbDenied(asked(books, dn.AbsorbDeniedRequest, one))


def life(books: Ledger, one: str = "C1") -> list[str]:
    """All that became of a denial, each with what it left open."""
    request = dn.GetDenialRequest(book=books.book, claim=one, payer="AETNA")
    found = books.denials.GetDenial(request).history
    assert [each.version for each in found] == [*range(1, len(found) + 1)]
    return [f"{state(each)} {each.open.minor_units // 100}" for each in found]


def state(found: dn.Denial) -> str:
    return dn.DenialState.Name(found.state).removeprefix("DENIAL_STATE_").lower()


def waiting(books: Ledger) -> list[str]:
    """What people must look at: the reason and the claim."""
    found = books.reconciliation.ListExceptions(pb.ListExceptionsRequest(book=books.book)).exceptions
    told = (f"{pb.ExceptionReason.Name(one.reason).removeprefix('EXCEPTION_REASON_').lower()}" for one in found)
    return [reason for reason in told if reason != "negative_payment"]


STEPS = {
    "denied": denied,
    "appealed": appealed,
    "resubmitted": resubmitted,
    "absorbed": absorbed,
    "paid": paid,
    "taken back": taken_back,
}
# What happens, in order; then the life of the denial, the loss, what the payer owes, and what waits for a person.
LIVES: dict[str, tuple[str, str, str, str]] = {
    "denied": ("denied 100", "0.00", "100.00 Dr", "denied"),
    "denied, absorbed": ("denied 100, absorbed 0", "100.00 Dr", "0.00", ""),
    "denied, appealed": ("denied 100, appealed 100", "0.00", "100.00 Dr", "denied"),
    "denied, appealed, paid": ("denied 100, appealed 100, overturned 0", "0.00", "0.00", ""),
    "denied, appealed, denied": ("denied 100, appealed 100, denied 100", "0.00", "100.00 Dr", "denied denied"),
    "denied, appealed, absorbed": ("denied 100, appealed 100, absorbed 0", "100.00 Dr", "0.00", ""),
    "denied, resubmitted, paid": ("denied 100, resubmitted 100, overturned 0", "0.00", "0.00", ""),
    "denied, paid": ("denied 100, overturned 0", "0.00", "0.00", ""),
    "denied, absorbed, paid": ("denied 100, absorbed 0, recovered 0", "0.00", "0.00", ""),
    "denied, absorbed, appealed, paid": (
        *("denied 100, absorbed 0, appealed 0, recovered 0", "0.00", "0.00", ""),
    ),
    "denied, absorbed, paid, taken back": (
        *("denied 100, absorbed 0, recovered 0, taken_back 0", "100.00 Dr", "0.00", ""),
    ),
    "denied, absorbed, paid, taken back, paid": (
        *("denied 100, absorbed 0, recovered 0, taken_back 0, recovered 0", "0.00", "0.00", ""),
    ),
    "denied, paid, taken back": ("denied 100, overturned 0, taken_back 100", "0.00", "100.00 Dr", ""),
    "denied, paid, taken back, absorbed": (
        *("denied 100, overturned 0, taken_back 100, absorbed 0", "100.00 Dr", "0.00", ""),
    ),
    "denied, paid, taken back, appealed, paid": (
        *("denied 100, overturned 0, taken_back 100, appealed 100, overturned 0", "0.00", "0.00", ""),
    ),
}


@pytest.mark.parametrize("told", LIVES)
def test_a_life(books: Ledger, told: str) -> None:
    for step in told.split(", "):
        STEPS[step](books)
    expected, loss, owed, looks = LIVES[told]
    assert ", ".join(life(books)) == expected
    known = {account.code for account in books.codes()}
    assert (books.balance(LOSS) if LOSS in known else "0.00") == loss
    assert books.control("Assets:Receivable:Insurer:AETNA") == added(owed, "200.00")
    assert " ".join(waiting(books)) == looks
    check_by_code(books, expected.rpartition(", ")[2].split()[0], loss)


def check_by_code(books: Ledger, standing: str, loss: str) -> None:
    """The one denial is told once, by how it stands, and the loss is the account's."""
    found = books.denials.GetDenialsByCode(dn.GetDenialsByCodeRequest(book=books.book, as_of="2026-12-31"))
    [row] = found.rows
    column = {"denied": "waiting", "appealed": "under_appeal", "resubmitted": "under_appeal"}
    told = {name for name in STATES_OF_REFUSED if getattr(row, name).minor_units}
    assert (row.payer, row.codes, row.denial_count, told) == (
        *("AETNA", "CO-29", 1),
        {column.get(standing, standing)},
    )
    assert {written(row.refused), written(row.booked_loss if "absorbed" in told else row.refused)} == {"100.00"}
    assert written(row.net_loss) == written(found.control[0]) == loss.split()[0]
    assert row.booked_loss.minor_units - row.booked_recovery.minor_units == row.net_loss.minor_units


def added(owed: str, others: str) -> str:
    """What AETNA owes on all claims, two of which nobody has touched."""
    units = int(owed.split()[0].replace(".", "")) + int(others.replace(".", ""))
    return f"{units // 100}.{units % 100:02} Dr"


def test_a_part_that_is_refused_is_a_denial_too(books: Ledger) -> None:
    cas = "CO-45 30.00, CO-197 40.00, PR-3 20.00"
    mailed(books, "60.00", claim("C1", "150.00", "60.00", cas, control="PC1"))
    assert life(books) == ["denied 40"]
    absorbed(books)
    assert (life(books), books.balance(LOSS), waiting(books)) == (["denied 40", "absorbed 0"], "40.00 Dr", [])


# --- where it does not go -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "form", "standing", "to"),
    [
        ("absorbed", dn.AbsorbDeniedRequest, "absorbed", "absorbed"),
        ("paid", dn.AppealDenialRequest, "overturned", "appealed"),
        ("paid", dn.AbsorbDeniedRequest, "overturned", "absorbed"),
        ("appealed", dn.AppealDenialRequest, "appealed", "appealed"),
    ],
)
def test_a_way_that_a_denial_does_not_go(books: Ledger, steps: str, form: Any, standing: str, to: str) -> None:
    denied(books)
    STEPS[steps](books)
    before = books.state()
    call = getattr(books.denials, form.__name__.removesuffix("Request"))
    found = refused(call, asked(books, form))
    assert (found.code, found.reason) == ("FAILED_PRECONDITION", "DENIAL_STATE_REFUSED")
    assert found.facts == {"claim": "C1", "payer": "AETNA", "state": standing, "to": to}
    assert books.state() == before


def test_what_nobody_has_denied(books: Ledger) -> None:
    found = refused(books.denials.AppealDenial, asked(books, dn.AppealDenialRequest))
    assert (found.code, found.reason, found.facts) == (
        *("NOT_FOUND", "DENIAL_NOT_FOUND"),
        {"claim": "C1", "payer": "AETNA"},
    )


def test_every_state_has_its_ways() -> None:
    """Nobody sends a denial to where only the mail leads."""
    assert _WAYS.keys() == set(State)
    by_mail = {State.DENIED, State.OVERTURNED, State.RECOVERED, State.TAKEN_BACK}
    assert not any(ways & by_mail for ways in _WAYS.values())


# --- absorbed in the books themselves -----------------------------------------------------------------


def test_an_absorption_that_two_persons_decide_is_noticed(books: Ledger) -> None:
    """Above the limit it is refused, proposed and approved; upkeep sees it, and the exception closes."""
    denied(books)
    limited(books, KIND_ABSORBED, 50_00)
    found = refused(books.denials.AbsorbDenied, asked(books, dn.AbsorbDeniedRequest))
    assert found.reason == "APPROVAL_NEEDED"
    assert life(books) == ["denied 100"]
    act = po.AbsorbDenialRequest(
        book=books.book, claim="C1", effective_date="2026-07-01", reason="no appeal", idempotency_key="two"
    )
    proposal = books.approvals.Propose(proposing(books, act)).proposal
    number = approved(books, proposal, APPROVER).entry.number
    books.loop.run(swept(books.url))
    assert (life(books), waiting(books)) == (["denied 100", "absorbed 0"], [])
    request = dn.GetDenialRequest(book=books.book, claim="C1", payer="AETNA")
    assert books.denials.GetDenial(request).history[-1].entry_number == number
    books.loop.run(swept(books.url))
    assert len(life(books)) == 2


async def swept(url: str) -> None:
    from ledger.database import engine

    database = engine(url)
    try:
        await Sweep().once(database)
    finally:
        await database.dispose()


def test_what_was_denied_before_has_a_life_too(books: Ledger) -> None:
    """The migration begins one for each denial that waits; without a code, so that no policy covers it."""
    denied(books)
    denied(books)
    written_ = (ROOT / "migrations/versions/0010_flows.sql").read_text()
    [statement] = re.findall(r"^INSERT INTO denials .*?;$", written_, re.DOTALL | re.MULTILINE)
    with psycopg.connect(books.url.replace("+psycopg", "", 1)) as owner:
        owner.execute("ALTER TABLE denials DISABLE TRIGGER denials_never_change")
        owner.execute("DELETE FROM denials")
        owner.execute(statement)
        found = owner.execute(
            "SELECT claim, payer, version, state, open, codes FROM denials WHERE book = %s ORDER BY version",
            [books.book],
        ).fetchall()
        owner.rollback()
    assert found == [("C1", "AETNA", version, "denied", 100_00, []) for version in (1, 2)]


# --- policies -----------------------------------------------------------------------------------------


def policy(books: Ledger, **changed: Any) -> dn.DenialPolicy:
    """Filed too late, at most 100.00, 30 days old."""
    wanted: dict[str, Any] = {
        "name": "late",
        "enabled": True,
        "codes": ["CO-29"],
        "largest": usd("100.00"),
        "age_days": 30,
        "reason": "no appeal is possible",
    }
    return books.denials.SetDenialPolicy(dn.SetDenialPolicyRequest(book=books.book, **(wanted | changed))).policy


def applying(books: Ledger, day: str = "2026-07-05", *, only: bool = False) -> list[str]:
    """What a policy does, or would do: claim, amount, and how it went."""
    request = dn.ApplyDenialPolicyRequest(book=books.book, policy="late", effective_date=day, validate_only=only)
    found = books.denials.ApplyDenialPolicy(request).outcomes
    return [
        f"{one.claim} {one.amount.minor_units // 100} {one.refusal or ('posted' if one.entry_number else 'would')}"
        for one in found
    ]


# What is changed of the policy, the day, and whether C1, denied on 5 June by CO-29 alone, falls under it.
COVERS: dict[str, tuple[dict[str, Any], str, bool]] = {
    "as it is": ({}, "2026-07-05", True),
    "a day too early": ({}, "2026-07-04", False),
    "a cent too small": ({"largest": usd("99.99")}, "2026-07-05", False),
    "another code": ({"codes": ["CO-197"]}, "2026-07-05", False),
    "one of several codes": ({"codes": ["CO-197", "CO-29"]}, "2026-07-05", True),
    "the whole group": ({"codes": ["CO"]}, "2026-07-05", True),
    "another group": ({"codes": ["PI"]}, "2026-07-05", False),
    "the payer": ({"payer": "AETNA"}, "2026-07-05", True),
    "another payer": ({"payer": "CIGNA"}, "2026-07-05", False),
    "another currency": ({"largest": money("100.00", "EUR")}, "2026-07-05", False),
}


@pytest.mark.parametrize("case", COVERS)
def test_what_falls_under_a_policy(books: Ledger, case: str) -> None:
    changed, day, covered = COVERS[case]
    denied(books)
    policy(books, **changed)
    before = books.state()
    assert applying(books, day, only=True) == (["C1 100 would"] if covered else [])
    assert books.state() == before
    assert applying(books, day) == (["C1 100 posted"] if covered else [])
    assert applying(books, day) == []
    assert (life(books)[-1] == "absorbed 0") is covered


def test_a_policy_is_off_until_it_is_switched_on(books: Ledger) -> None:
    """What it would absorb can be asked before."""
    denied(books)
    assert policy(books, enabled=False).version == 1
    request = dn.ApplyDenialPolicyRequest(book=books.book, policy="late", effective_date="2026-07-05")
    found = refused(books.denials.ApplyDenialPolicy, request)
    assert (found.code, found.reason, found.facts) == (
        *("FAILED_PRECONDITION", "DENIAL_POLICY_OFF"),
        {"policy": "late"},
    )
    assert applying(books, only=True) == ["C1 100 would"]
    assert policy(books).version == 2
    assert applying(books) == ["C1 100 posted"]
    listed = books.denials.ListDenialPolicies(dn.ListDenialPoliciesRequest(book=books.book)).policies
    assert [(one.name, one.version, one.enabled) for one in listed] == [("late", 2, True)]
    [*_, last] = books.denials.GetDenial(dn.GetDenialRequest(book=books.book, claim="C1", payer="AETNA")).history
    assert (last.policy, last.said_by, last.reason) == (
        *("late", "local"),
        "policy late, version 2: no appeal is possible",
    )


def test_a_policy_of_no_name(books: Ledger) -> None:
    request = dn.ApplyDenialPolicyRequest(book=books.book, policy="early", effective_date="2026-07-05")
    found = refused(books.denials.ApplyDenialPolicy, request)
    assert (found.code, found.reason, found.facts) == (
        *("NOT_FOUND", "DENIAL_POLICY_NOT_FOUND"),
        {"policy": "early"},
    )


def test_a_policy_leaves_alone_what_is_under_appeal_or_has_another_code(books: Ledger) -> None:
    for one, cas in (("C1", "CO-29 150.00"), ("C2", "CO-29 100.00, CO-197 50.00"), ("C3", "CO-29 150.00")):
        denied(books, one, cas)
    appealed(books, "C3")
    policy(books)
    assert applying(books) == ["C1 100 posted"]
    assert [life(books, one)[-1] for one in ("C1", "C2", "C3")] == ["absorbed 0", "denied 100", "appealed 100"]


def test_a_policy_does_not_go_beyond_what_one_person_may(books: Ledger) -> None:
    denied(books)
    policy(books)
    limited(books, KIND_ABSORBED, 99_99)
    assert applying(books) == applying(books, only=True) == ["C1 100 APPROVAL_NEEDED"]
    assert life(books) == ["denied 100"]


def test_denials_are_listed_with_age_and_amount(books: Ledger) -> None:
    denied(books, "C1")
    denied(books, "C2", day="2026-06-15")
    absorbed(books, "C1")
    request = dn.ListDenialsRequest(book=books.book, as_of="2026-07-05", page_size=1)
    first = books.denials.ListDenials(request)
    request.page_token = first.next_page_token
    second = books.denials.ListDenials(request)
    found = [(one.claim, state(one), one.age_days, list(one.codes)) for one in (*first.denials, *second.denials)]
    assert found == [("C1", "absorbed", 30, ["CO-29"]), ("C2", "denied", 20, ["CO-29"])]
    open_only = dn.ListDenialsRequest(book=books.book, state=dn.DENIAL_STATE_DENIED)
    assert [one.claim for one in books.denials.ListDenials(open_only).denials] == ["C2"]


# --- no rule names a payable --------------------------------------------------------------------------

MAY_NAME = {"session_earned", "provider_paid", "provider_charged"}


def test_no_rule_but_three_can_name_a_payable() -> None:
    """In the rules of the books; and the mail room, denials and policies with it, never calls such a rule."""
    rules = ast.parse((ROOT / "ledger/postings/rules.py").read_text())
    naming = {
        rule.name for rule in rules.body if isinstance(rule, ast.FunctionDef) and "payable(" in ast.unparse(rule)
    }
    assert naming == MAY_NAME
    for file_ in (ROOT / "reconciliation").glob("*.py"):
        text = file_.read_text()
        for name in (
            "payable(",
            "PROVIDER_PAYABLES",
            "Payable:",
            "ChargeProvider",
            "provider_charged",
            "PayProvider",
        ):
            assert name not in text, file_.name


def test_every_kind_is_known_to_this_test() -> None:
    """A new kind is thought about here: whether it may touch what a provider has earned."""
    touching = {Kind.MANUAL, Kind.REVERSAL, Kind.PAYOUT_RETURNED, *map(Kind, MAY_NAME)}
    untouched = set(Kind) - touching
    assert untouched == {
        *(Kind.DENIAL_ABSORBED, Kind.DENIAL_RECOVERED, Kind.CLAIM_PAID, Kind.CLAIM_ADJUSTED),
        *(Kind.PAYMENT_REVERSED, Kind.PAYMENT_SUSPENDED, Kind.PROVIDER_LEVEL_ADJUSTED),
        *(Kind.CLAIM_FORWARDED, Kind.OVERPAYMENT_APPLIED, Kind.PATIENT_EVENED),
        *(Kind.PAYOUT_SETTLED, Kind.ALLOWANCE_TRUED_UP, Kind.ALLOWANCE_TAKEN_BACK),
        *(Kind.DEPOSIT_RECEIVED, Kind.DEPOSIT_APPLIED, Kind.DEPOSIT_UNAPPLIED, Kind.DEPOSIT_RETURNED),
        Kind.REMAINDER_WRITTEN_OFF,
    }


# --- on the command line ------------------------------------------------------------------------------


def typed(books: Ledger, *words: str) -> str:
    """What `ledger denial` says; a refusal is raised."""
    settings = {"LEDGER_DATABASE_URL": books.url, "LEDGER_BOOK": books.book}
    done = CliRunner().invoke(app, ["denial", *words], env=settings, catch_exceptions=False)
    assert done.exit_code == 0
    return "".join(line for line in done.stdout.splitlines(keepends=True) if "\x1b" not in line)


def test_denials_are_decided_on_the_command_line(books: Ledger) -> None:
    """Listed, appealed, absorbed, and absorbed by a policy that was asked before it was switched on."""
    for one in ("C1", "C2", "C3"):
        denied(books, one)
    day = ("--day", "2026-07-05")
    assert typed(books, "list", "--as-of", "2026-07-05", "--state", "denied").splitlines() == [
        f"{one}\tAETNA\tdenied\t30\t100.00 USD\tCO-29" for one in ("C1", "C2", "C3")
    ]
    appealed_ = typed(books, "appeal", "C1", "AETNA", "--reason", "sent", *day)
    assert appealed_ == "C1\tAETNA\tappealed\t100.00 USD\n"
    sent = typed(books, "resubmit", "C3", "AETNA", "--reason", "corrected", *day)
    assert sent == "C3\tAETNA\tresubmitted\t100.00 USD\n"
    policy_of = (
        "set-policy",
        "late",
        "--code",
        "CO-29",
        "--largest",
        "100.00",
        "--age-days",
        "30",
        "--reason",
        "no",
    )
    assert typed(books, *policy_of) == "policy late is off\n"
    assert typed(books, "apply-policy", "late", *day, "--dry-run") == "C2\tAETNA\t100.00 USD\twould be absorbed\n"
    with pytest.raises(DenialPolicyOff):
        typed(books, "apply-policy", "late", *day)
    assert typed(books, *policy_of, "--on") == "policy late is on\n"
    assert re.fullmatch(r"C2\tAETNA\t100.00 USD\tentry \d+\n", typed(books, "apply-policy", "late", *day))
    assert typed(books, "absorb", "C1", "AETNA", "--reason", "lost", *day) == "C1\tAETNA\tabsorbed\t0.00 USD\n"
    with pytest.raises(AmountInvalid):
        typed(books, "set-policy", "x", "--code", "CO", "--largest", "a lot", "--age-days", "1", "--reason", "no")
