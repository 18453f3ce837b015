"""Which claims suspended money may be about: what each fact is worth, what is found, and that none is posted."""

from collections.abc import Collection, Iterator
from datetime import date
from itertools import count
from typing import Any

import banks
import pytest
import serving
from hypothesis import given
from hypothesis import strategies as st
from payers import Payer, claim, deliver, file, line, remittance
from rapidfuzz.distance import OSA
from serving import Ledger, refused, session, usd
from typer.testing import CliRunner

from ledger.postings.entry import Dimensions
from ledger.postings.item import Item
from reconciliation.candidates.scoring import Agreement, Candidate, Sought, likeness_of, ranked, scored, tied
from reconciliation.v1 import bank_pb2 as bk
from reconciliation.v1 import candidates_pb2 as pb
from reconciliation.v1 import reconciliation_pb2 as rc
from service.__main__ import app

APRIL_8, APRIL_9, APRIL_15, MAY_1 = date(2026, 4, 8), date(2026, 4, 9), date(2026, 4, 15), date(2026, 5, 1)
RECEIVABLE = "Assets:Receivable:Insurer"
SHARE = "CO-45 30.00, PR-3 20.00"
ID = "SL000012345"


# --- what a fact is worth -----------------------------------------------------------------------------


def booked(
    name: str = ID,
    *,
    payer: str = "AETNA",
    charge: int | None = 150_00,
    days: Collection[date] = (APRIL_8,),
    codes: Collection[str] = ("90837",),
    owed: int = 100_00,
) -> Item:
    """A claim as the books know it."""
    return Item(
        name,
        "USD",
        {f"{RECEIVABLE}:{payer}": owed},
        Dimensions(claim=name, payer=payer),
        charge=charge,
        service_dates=frozenset(days),
        service_codes=frozenset(codes),
    )


def wanted(sent: str = ID, **more: Any) -> Sought:
    """100.00 paid for a claim of 150.00, for an hour on 8 April."""
    known: dict[str, Any] = {"payer": "AETNA", "payer_name": "AETNA", "currency": "USD", "charge": 150_00}
    known |= {"paid": 100_00, "days": frozenset({APRIL_8}), "codes": frozenset({"90837"})}
    return Sought(claim_as_sent=sent, **(known | more))


WORTH = {
    "everything": (wanted(), booked(), 100, "claim_id"),
    "in other letters": (wanted(ID.lower()), booked(), 100, "claim_id_respelled"),
    "three signs cut off": (wanted(ID[:-3]), booked(), 55 + 36, "claim_id_respelled"),
    "one sign wrong": (wanted("SL0000Q2345"), booked(), 55 + 36, "claim_id_similar"),
    "two signs wrong": (wanted("SL0Q00Q2345"), booked(), 55 + 27, "claim_id_similar"),
    "two neighbours swapped": (wanted("SL000021345"), booked(), 55 + 36, "claim_id_similar"),
    "six signs wrong": (wanted("SLQQQQQQ345"), booked(), 55, "composite_key"),
    "no id": (wanted("0"), booked(), 55, "composite_key"),
    "the payer's own number": (
        wanted("", of_control_number=frozenset({ID})),
        booked(),
        100,
        "payer_control_number",
    ),
    "a line's reference": (wanted("X1", of_lines=frozenset({ID})), booked(), 100, "line_reference"),
    "another's line reference": (wanted("0", of_lines=frozenset({"C2"})), booked(), 55, "composite_key"),
    "the day after": (wanted("0", days=frozenset({APRIL_9})), booked(), 45, "some_facts"),
    "a week later": (wanted("0", days=frozenset({APRIL_15})), booked(), 40, "some_facts"),
    "another month": (wanted("0", days=frozenset({MAY_1})), booked(), 35, "some_facts"),
    "one of several days": (wanted("0"), booked(days=(APRIL_8, APRIL_15)), 55, "composite_key"),
    "no day": (wanted("0", days=frozenset()), booked(), 35, "some_facts"),
    "a charge that is near": (wanted("0", charge=155_00), booked(), 47, "some_facts"),
    "another charge": (wanted("0", charge=200_00), booked(), 40, "some_facts"),
    "no charge booked": (wanted("0"), booked(charge=None), 40, "some_facts"),
    "another procedure": (wanted("0", codes=frozenset({"90834"})), booked(), 47, "some_facts"),
    "a part of what is open": (wanted("0", paid=80_00), booked(), 51, "composite_key"),
    "more than is open": (wanted("0", paid=120_00), booked(), 46, "composite_key"),
    "nothing open": (wanted("0"), booked(owed=0), 43, "composite_key"),
    "answered before": (wanted("0", answered={ID: "denied on 2026-04-20"}), booked(), 49, "composite_key"),
    "a reversal of an answer": (
        wanted("0", is_reversal=True, answered={ID: "paid_in_full on 2026-04-20"}),
        booked(owed=0),
        43,
        "composite_key",
    ),
    "another payer's": (wanted(), booked(payer="CIGNA"), 68, "claim_id"),
    "a reversal of what is settled": (wanted("0", is_reversal=True), booked(owed=0), 43, "composite_key"),
    "a payer that nobody knows, of that name": (
        *(wanted(payer=None, payer_name="AETNA HEALTH PLAN"), booked(), 100, "claim_id"),
    ),
    "a payer that nobody knows, of another name": (
        *(wanted("0", payer=None, payer_name="ZZZZ"), booked(), 45, "composite_key"),
    ),
    "nothing at all": (
        wanted("X1", charge=9_00, days=frozenset({MAY_1}), codes=frozenset()),
        booked(owed=0),
        0,
        "",
    ),
}


@pytest.mark.parametrize("name", WORTH)
def test_what_speaks_for_a_claim(name: str) -> None:
    sought, item, score, rule = WORTH[name]
    found = scored(sought, item)
    assert (found.score, found.rule) == (score, rule or "some_facts"), told(found)
    assert found.score == max(0, min(100, sum(one.points for one in found.evidence)))


def told(found: Candidate) -> list[str]:
    return [f"{one.agreement} {one.fact}: {one.detail} ({one.points})" for one in found.evidence]


def test_the_evidence_says_both_sides_and_by_how_much_they_differ() -> None:
    sought = wanted("SL0000Q2345", charge=155_00, paid=80_00, days=frozenset({APRIL_9}))
    assert told(scored(sought, booked())) == [
        f"near claim id: sent SL0000Q2345, billed {ID}: 1 of 11 signs differ (36)",
        "near date of service: sent 2026-04-09, booked 2026-04-08: a day apart (10)",
        "near charge: sent 155.00 USD, billed 150.00 USD: 5.00 USD apart (7)",
        "agrees procedure: sent 90837, booked 90837 (8)",
        "near open amount: paid 80.00 USD, open 100.00 USD (8)",
        "agrees payer: AETNA (0)",
    ]


def test_the_likeliest_comes_first_and_a_tie_is_told() -> None:
    items = [booked("C3"), booked("C1"), booked("C2", days=(APRIL_9,)), booked("C4", owed=0, days=(MAY_1,))]
    found = ranked(wanted("0"), items)
    assert [(one.claim, one.score, tied(found, one)) for one in found] == [
        *(("C1", 55, 1), ("C3", 55, 1), ("C2", 45, 0), ("C4", 23, 0)),
    ]


IDS = st.text("SL0123456789", max_size=12)


@given(IDS, IDS)
def test_likeness_is_a_percentage_and_whole_only_for_the_same(one: str, other: str) -> None:
    """Never less than the signs that agree, and only a beginning counts for more."""
    alike, longest = likeness_of(one, other), max(len(one), len(other))
    signs = 100 * (longest - OSA.distance(one, other)) // longest if longest else 100
    assert 0 <= alike <= 100
    assert (alike == 100) == (one == other)
    assert alike == signs or (alike == 90 and other.startswith(one))


@given(IDS, IDS, st.integers(0, 300_00), st.integers(0, 300_00), st.dates(APRIL_8, MAY_1))
def test_a_score_is_what_the_evidence_adds_up_to(one: str, other: str, charge: int, open_: int, day: date) -> None:
    found = scored(wanted(one, charge=charge, days=frozenset({day})), booked(other or "C1", owed=open_))
    assert 0 <= found.score <= 100
    assert found.score == sum(each.points for each in found.evidence)
    assert all(each.points <= 0 for each in found.evidence if each.agreement is Agreement.DIFFERS)


# --- what the service proposes ------------------------------------------------------------------------

_books = count(1)


@pytest.fixture
def books(server: Ledger) -> Iterator[Ledger]:
    """A book with four claims of AETNA, 100.00 open on each but the last, and one of CIGNA."""
    ledger = server.of(f"candidates-{next(_books)}")
    serving.open_book(ledger, ledger.book)
    about = {"book": ledger.book, "charge": "150.00", "patient_share": "20.00", "service_code": "90837"}
    record = ledger.postings.RecordSession
    record(session("SL000012345", **about))
    record(session("SL000099999", **about))
    record(session("SL000077777", "2026-04-09", provider="bob", **about))
    record(session("SL000055555", "2026-03-01", **(about | {"charge": "95.00", "allowed": "80.00"})))
    record(session("SL000044444", payer="CIGNA", **about))
    yield ledger
    assert ledger.wrong() == []


def suspended(books: Ledger, sent: str, amount: str = "100.00", **more: Any) -> rc.Exception:
    """A payment whose claim nobody can tell, and the exception that it raised."""
    payer = more.pop("payer", Payer())
    loop = claim(sent, more.pop("charge", "150.00"), amount, more.pop("cas", SHARE), **more)
    deliver(books, file(remittance(amount, f"EFT-{sent or 'none'}-{amount}", loop, payer=payer)), books.book)
    found = books.reconciliation.ListExceptions(rc.ListExceptionsRequest(book=books.book)).exceptions
    return [one for one in found if one.line][-1]


def asked(books: Ledger, exception: str, **more: Any) -> pb.ListCandidatesResponse:
    return books.candidates.ListCandidates(pb.ListCandidatesRequest(book=books.book, exception=exception, **more))


def found(answer: pb.ListCandidatesResponse) -> list[tuple[str, int, str]]:
    return [(one.claim, one.score, one.rule) for one in answer.candidates]


def test_a_garbled_id_leads_to_its_claim(books: Ledger) -> None:
    before = books.state()
    raised = suspended(books, "SL0000Q2345")
    after = books.state()
    answer = asked(books, raised.id)
    assert found(answer)[:3] == [
        ("SL000012345", 91, "claim_id_similar"),
        ("SL000099999", 58, "claim_id_similar"),
        ("SL000077777", 48, "claim_id_similar"),
    ]
    assert (answer.sought.claim_as_sent, answer.sought.paid, answer.sought.service_dates) == (
        *("SL0000Q2345", usd("100.00")),
        ["2026-04-08"],
    )
    first = answer.candidates[0]
    assert (first.open, first.payer, first.tied_count) == (usd("100.00"), "AETNA", 0)
    assert [(one.fact, pb.Agreement.Name(one.agreement)) for one in first.evidence][:2] == [
        ("claim id", "AGREEMENT_NEAR"),
        ("date of service", "AGREEMENT_AGREES"),
    ]
    assert before != after
    assert books.state() == after, "looking posts nothing"


def test_without_an_id_the_score_does_not_tell_twins_apart_and_says_so(books: Ledger) -> None:
    answer = asked(books, suspended(books, "0").id)
    assert [(one.claim, one.score, one.tied_count) for one in answer.candidates][:3] == [
        ("SL000012345", 55, 1),
        ("SL000099999", 55, 1),
        ("SL000077777", 45, 0),
    ]


def test_of_twins_the_one_without_an_answer_comes_first(books: Ledger) -> None:
    """The payer has denied one of two that are wholly open; where that is taken back nothing tells them apart."""
    whole = {"cas": "CO-29 150.00", "control": "PCN-D"}
    deliver(books, file(remittance("0.00", "DENIED", claim("SL000012345", "150.00", "0.00", **whole))), books.book)
    raised = suspended(books, "0")
    answer = asked(books, raised.id)
    assert [(one.claim, one.score, one.tied_count) for one in answer.candidates][:2] == [
        ("SL000099999", 55, 0),
        ("SL000012345", 49, 0),
    ]
    told = [(one.fact, one.detail) for one in answer.candidates[1].evidence if one.points < 0]
    assert told == [("answered before", "denied on 2026-06-05")]
    back = claim("SL000012345", "-150.00", "0.00", "CO-29 -150.00", status="22", control="PCN-D")
    deliver(books, file(remittance("0.00", "BACK", back)), books.book)
    assert [one.tied_count for one in asked(books, raised.id).candidates][:2] == [1, 1]


def test_another_charge_another_day_and_a_missing_day_are_found_all_the_same(books: Ledger) -> None:
    assert found(asked(books, suspended(books, "SL000012345", charge="160.00", cas="CO-45 60.00").id))[0] == (
        *("SL000012345", 85, "claim_id"),
    )
    a_week_before = asked(books, suspended(books, "NOBODYS", day="2026-04-02").id)
    assert found(a_week_before)[0] == ("SL000077777", 40, "some_facts")
    without_day = claim("SL00001234Q", "150.00", "100.00", SHARE, lines="").replace("DTM*232*20260408~", "")
    deliver(books, file(remittance("100.00", "EFT-DAYLESS", without_day)), books.book)
    raised = books.reconciliation.ListExceptions(rc.ListExceptionsRequest(book=books.book)).exceptions[-1]
    answer = asked(books, raised.id)
    assert (answer.sought.service_dates, found(answer)[0][0]) == ([], "SL000012345")


def test_what_was_billed_to_another_payer_is_told_as_such(books: Ledger) -> None:
    answer = asked(books, suspended(books, "SL000044444").id)
    other = next(one for one in answer.candidates if one.claim == "SL000044444")
    assert (other.payer, other.score) == ("CIGNA", 68)
    assert ("payer", "AETNA; billed to CIGNA") in {(one.fact, one.detail) for one in other.evidence}


def test_of_a_payer_that_nobody_knows_the_name_counts(books: Ledger) -> None:
    stranger = Payer("CIGNA HEALTHCARE", "99999", "1999999999")
    answer = asked(books, suspended(books, "SL00004444Q", payer=stranger).id)
    assert (answer.sought.payer, answer.sought.payer_name) == ("", "CIGNA HEALTHCARE")
    assert found(answer)[0][0] == "SL000044444"
    assert answer.candidates[0].payer == "CIGNA"


def test_a_payment_that_covers_two_claims_is_proposed_as_a_lump(books: Ledger) -> None:
    """Never posted: three claims make three pairs, and two of one day and provider come first."""
    two = line("150.00", "100.00", SHARE) + line("150.00", "100.00", SHARE)
    loop = claim("BUNDLE", "300.00", "200.00", lines=two)
    deliver(books, file(remittance("200.00", "EFT-LUMP", loop)), books.book)
    raised = books.reconciliation.ListExceptions(rc.ListExceptionsRequest(book=books.book)).exceptions[-1]
    answer = asked(books, raised.id)
    assert (answer.combination_count, answer.combination_count_is_least) == (3, False)
    first = answer.combinations[0]
    assert (first.rule, [(part.name, part.amount) for part in first.parts]) == (
        "same_day_and_provider",
        [("SL000012345", usd("100.00")), ("SL000099999", usd("100.00"))],
    )


def test_a_deposit_is_proposed_as_a_lump_of_remittances(books: Ledger) -> None:
    ids = []
    for name, amount in (("SL000012345", "100.00"), ("SL000099999", "100.00"), ("SL000077777", "100.00")):
        day = "2026-04-09" if name == "SL000077777" else "2026-04-08"
        loop = claim(name, "150.00", amount, SHARE, day=day)
        [one] = deliver(books, file(remittance(amount, f"EFT-{name}", loop)), books.book).remittances
        ids.append(one.id)
    banks.banked(books, banks.statement(banks.Moved("300.00", "R1"), day="2026-06-08"))
    waiting = rc.ListExceptionsRequest(book=books.book, reason=rc.EXCEPTION_REASON_UNAPPLIED_CASH)
    [raised] = books.reconciliation.ListExceptions(waiting).exceptions
    answer = asked(books, raised.id)
    assert (list(answer.candidates), answer.combination_count, answer.sought.paid) == ([], 1, usd("300.00"))
    assert {part.name for part in answer.combinations[0].parts} == {*ids}
    assert answer.combinations[0].parts[0].day == "2026-06-05"
    unapplied = books.bank.ListDeposits(bk.ListDepositsRequest(book=books.book)).deposits[0].unapplied
    assert unapplied == usd("300.00"), "nothing is applied by looking"


def test_pages_follow_one_another_in_the_order_of_the_scores(books: Ledger) -> None:
    raised = suspended(books, "SL0000Q2345")
    whole = found(asked(books, raised.id))
    paged: list[tuple[str, int, str]] = []
    token, pages = "", 0
    while token or not pages:
        page = asked(books, raised.id, page_size=1, page_token=token)
        assert bool(page.combination_count) == bool(asked(books, raised.id).combination_count)
        assert not page.combinations or not token
        paged, token, pages = paged + found(page), page.next_page_token, pages + 1
    assert paged == whole
    assert pages == len(whole) > 2


def test_a_payment_is_asked_for_by_its_remittance_and_line_too(books: Ledger) -> None:
    raised = suspended(books, "SL0000Q2345")
    request = pb.ListCandidatesRequest(book=books.book, remittance=raised.remittance, line=raised.line)
    assert found(books.candidates.ListCandidates(request)) == found(asked(books, raised.id))


UNKNOWN = "01890000-0000-7000-8000-000000000009"


def test_what_cannot_be_proposed(books: Ledger) -> None:
    paid = claim("SL000012345", "150.00", "100.00", SHARE)
    [settled] = deliver(books, file(remittance("100.00", "EFT-PAID", paid)), books.book).remittances
    unbalanced = remittance("99.00", "EFT-OFF", claim("SL000099999", "150.00", "100.00", SHARE))
    deliver(books, file(unbalanced), books.book)
    whole = rc.ListExceptionsRequest(book=books.book, reason=rc.EXCEPTION_REASON_UNBALANCED)
    [raised] = books.reconciliation.ListExceptions(whole).exceptions
    cases: dict[str, dict[str, Any]] = {
        f"EXCEPTION_NOT_FOUND id={UNKNOWN}": {"exception": UNKNOWN},
        f"CLAIM_PAYMENT_NOT_FOUND line=2; remittance={settled.id}": {"remittance": settled.id, "line": 2},
        "CLAIM_PAYMENT_NOT_WAITING claim=SL000012345; decision=paid_in_full; line=1; rule=claim_id": {
            "remittance": settled.id,
            "line": 1,
        },
        f"EXCEPTION_WITHOUT_CANDIDATES id={raised.id}": {"exception": raised.id},
        "TEXT_INVALID field=exception; limit=36": {"exception": "C1"},
        "FIELD_MISSING field=remittance": {},
        "NUMBER_INVALID field=line; value=0": {"remittance": settled.id},
    }
    for expected, about in cases.items():
        got = refused(books.candidates.ListCandidates, pb.ListCandidatesRequest(book=books.book, **about))
        assert f"{got.reason} {'; '.join(f'{k}={v}' for k, v in sorted(got.facts.items()))}" == expected


def test_the_command_shows_what_speaks_for_each_claim(books: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    raised = suspended(books, "SL0000Q2345", "200.00", charge="300.00", cas="CO-45 60.00, PR-3 40.00")
    monkeypatch.setenv("LEDGER_DATABASE_URL", books.url)
    for about in (raised.id, f"{raised.remittance}:{raised.line}"):
        shown = CliRunner().invoke(app, ["candidates", about, "--book", books.book, "--most", "2"])
        assert shown.exit_code == 0, shown.output
        for line_ in (
            "AETNA · claim as sent SL0000Q2345 · paid 200.00 USD · charge 300.00 USD · 2026-04-08 90837",
            "~ claim id: sent SL0000Q2345, billed SL000012345: 1 of 11 signs differ",
            "≠ charge: sent 300.00 USD, billed 150.00 USD: 150.00 USD apart",
            "2 shown of 3 claims compared, more with --most",
            "3 combinations of what is open add up to it, 3 of them:",
            "same_day_and_provider: SL000012345 100.00 USD + SL000099999 100.00 USD",
        ):
            assert line_ in shown.output, shown.output
