"""The referee: the same world for the same seed, sound files and a fair key; and a short trial of the service.

`make bench-remittances` is the long one.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from serving import Ledger

from benchmarks.remittances import table
from benchmarks.remittances.accountant import adjudicated
from benchmarks.remittances.answer import MONEY, answer
from benchmarks.remittances.books import books
from benchmarks.remittances.clerk import told
from benchmarks.remittances.fates import courses
from benchmarks.remittances.key import Case, case, write
from benchmarks.remittances.mail import File
from benchmarks.remittances.rates import Rates
from benchmarks.remittances.score import Tally, _propose
from benchmarks.remittances.trial import Trial, judged, opened, replayed, shuffled
from benchmarks.remittances.tying import _AGES, Reports
from benchmarks.remittances.world import world
from ledger.v1 import accounts_pb2, money_pb2, reports_pb2
from reconciliation.remittance import survey

CLAIMS, SIZE, PAYERS = 160, 14, 3
OFTEN = Rates(damaged=0.1, foreign=0.02, twins=0.1, interest=0.1, forwarded=0.1, unbalanced=0.1, deposits=0.4)


@pytest.fixture(scope="module")
def small() -> Case:
    """A world of a few hundred claims in which everything happens."""
    return case(1, CLAIMS, OFTEN, SIZE, PAYERS)


# --- the world and its key ----------------------------------------------------------------------------


def test_the_same_seed_makes_the_same_world_and_another_does_not(small: Case) -> None:
    again, other = case(1, CLAIMS, OFTEN, SIZE, PAYERS), case(2, CLAIMS, OFTEN, SIZE, PAYERS)
    assert (again.files, again.deposits) == (small.files, small.deposits)
    assert {file.content for file in other.files}.isdisjoint(file.content for file in small.files)


def test_every_fate_happens_even_in_a_small_world(small: Case) -> None:
    fates = Counter(one.fate for file in small.files for sent in file.remittances for one in sent.written)
    made = {one.fate for course in courses(small.world, OFTEN) for step in course for one in step.written}
    assert made <= fates.keys()
    for fate in ("id missing", "id cut short", "id in small letters", "id garbled", "foreign", "secondary"):
        assert fates[fate], fate
    looks = {one.look for file in small.files for one in file.remittances}
    assert looks == {"", "UNBALANCED", "TRACE_REUSED", "FORWARD_BALANCE_OPEN"}
    assert any(file.again for file in small.files)
    assert any(one.state == "DUPLICATE" for file in small.files for one in file.remittances)
    assert {line.oddity for line in small.deposits} > {"late", "early", "different", "split"}
    codes = {code for file in small.files for one in file.remittances for code, _, _ in one.provider_level}
    assert codes == {"WO", "FB", "L6"}


def test_rates_are_exact_shares() -> None:
    rates = Rates()
    made = world(3, 2_000, rates)
    fates = Counter(course[0].written[0].fate for course in courses(made, rates))
    assert sum(fates[f"id {how}"] for how in ("missing", "cut short", "in small letters", "garbled")) == 40
    assert (fates["foreign"], fates["denied"], fates["denied unsaid"], fates["share"]) == (6, 30, 100, 300)
    assert made.twins == 20
    with pytest.raises(ValueError, match="no share"):
        Rates(charge=2)
    with pytest.raises(ValueError, match="more than all"):
        Rates(partial=0.9, overpaid=0.2)


def test_a_rate_of_zero_is_never() -> None:
    nothing = Rates(**dict.fromkeys(Rates.__dataclass_fields__, 0))
    found = case(1, 100, nothing, SIZE)
    assert {one.fate for file in found.files for sent in file.remittances for one in sent.written} == {"clean"}
    assert all(
        one.expected.look == "" for file in found.files for sent in file.remittances for one in sent.written
    )


def test_our_reader_finds_balanced_what_the_key_says_is(small: Case) -> None:
    for file in small.files:
        found = [*survey([file.content])]
        for one, right in zip(found, file.remittances, strict=True):
            assert one.settleable == (right.look != "UNBALANCED"), right.trace
            assert one.header.trace == right.trace
            assert one.totals.claims == len(right.written)


@pytest.fixture(scope="module")
def opinion() -> object:
    """pyx12, which calls a file valid or not."""
    return pytest.importorskip("pyx12.params", reason="pyx12 is not installed").params()


def valid(params: object, file: File) -> bool:
    """Whether pyx12 finds the file to be an 835 as the implementation guide has it."""
    from pyx12.x12n_document import x12n_document

    return bool(x12n_document(params, StringIO(file.content.decode("ascii")), None, None))


def test_pyx12_calls_the_files_valid(small: Case, opinion: object) -> None:
    wrong = [file.name for file in small.once[::3] if not valid(opinion, file)]
    assert wrong == []


def test_pyx12_would_say_so_where_a_file_is_not(small: Case, opinion: object) -> None:
    file = small.files[0]
    assert not valid(
        opinion, replace(file, content=file.content.replace(b"CLP*", b"CLQ*").replace(b"CLP|", b"CLQ|"))
    )


def test_the_key_is_written_beside_the_files(small: Case, tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path)) / "mail"
    write(small, folder)
    assert {path.name for path in folder.iterdir()} == {file.name for file in small.once} | {"key.json"}


def test_the_clerk_is_stopped_by_a_twin_and_by_a_second_claim_that_fits() -> None:
    made = world(1, 40, Rates(twins=1))
    claim = made.claims[0]
    unnamed = replace(answer(claim), claim_id="0")
    plain = replace(unnamed, lines=tuple(replace(one, reference="") for one in unnamed.lines))
    assert told(made, answer(claim)).claim is claim
    assert told(made, plain).look == "AMBIGUOUS_CLAIM"
    assert told(made, replace(plain, claim_id="NOBODYS")).look == "UNKNOWN_CLAIM"


def test_the_clerk_reads_line_by_line() -> None:
    """A claim with the same days and procedures, but each procedure on the other's day, does not fit."""
    made = world(1, 400, Rates(twins=0))
    claim = next(one for one in made.claims if len({v.day for v in one.sessions}) == 2 == len(one.sessions))
    first, second = claim.sessions
    own = (replace(first, code="90837"), replace(second, code="90834"))
    crossed = (replace(own[0], day=second.day), replace(own[1], day=first.day))
    one, other = replace(claim, sessions=own), replace(claim, id="OTHER", sessions=crossed)
    sent = replace(answer(one), claim_id="0")
    plain = replace(sent, lines=tuple(replace(line, reference="") for line in sent.lines))
    assert told(replace(made, claims=(one, other)), plain).claim is one
    assert told(replace(made, claims=(one, replace(one, id="TWIN"))), plain).look == "AMBIGUOUS_CLAIM"


def test_the_accountant_balances_whatever_happens(small: Case) -> None:
    for file in small.files:
        for sent in file.remittances:
            for one in sent.written:
                assert sum(one.expected.effect.values()) == 0, one.fate
                assert one.expected.effect.get(MONEY, 0) == one.answer.paid, one.fate


def test_the_accountant_knows_the_posting_rules() -> None:
    claim = next(one for one in world(1, 50, Rates()).claims if one.share and len(one.sessions) == 1)
    sent = adjudicated(claim, answer(claim))
    owed = claim.allowed - claim.share
    assert (sent.decision, sent.look) == ("PAID_IN_FULL", "")
    assert sent.effect == {MONEY: owed, f"Assets:Receivable:Insurer:{claim.payer.code}": -owed}


# --- the service --------------------------------------------------------------------------------------


def tried(server: Ledger, found: Case, name: str) -> Trial:
    """A short trial on the tests' own server."""
    own = books(server.channel, name)
    opened(own, found)
    delivered = [(file, own.deliver(file)) for file in found.files]
    score = judged(own, found, delivered)
    return Trial(found, score, 1, 1, 1, [*replayed(own, found.files, delivered)])


def test_the_service_posts_nothing_falsely_and_loses_no_cent(server: Ledger, small: Case) -> None:
    trial = tried(server, small, "referee")
    every, damaged = trial.score.all, trial.score.damaged
    assert trial.score.wrong == []
    assert trial.score.untied == []
    assert trial.troubles == []
    assert (every.matched, every.looks_right) == (every.clerk, every.looks), trial.score.confused
    assert every.decided_right == every.payments
    assert damaged.proposed > 3
    assert damaged.in_three == damaged.proposed
    assert damaged.first * 10 >= damaged.proposed * 9
    assert [*books(server.channel, "referee").reports.untied()] == []
    assert server.wrong() == []
    assert "| false automatic postings | 0 | 0 | met |" in table.lines([trial])


def test_the_order_of_arrival_loses_no_cent(server: Ledger) -> None:
    found = case(2, 40, OFTEN, SIZE, PAYERS)
    assert [*shuffled(books(server.channel, "referee-shuffled"), found, 1)] == []
    assert server.wrong() == []


def test_the_referee_sees_a_false_posting(server: Ledger) -> None:
    """A key that says otherwise than the books: wrong claims, wrong cents and sums are all told."""
    nothing = Rates(**dict.fromkeys(Rates.__dataclass_fields__, 0))
    found = case(3, 12, nothing, 6, PAYERS)
    changed = [replace(file, remittances=tuple(map(_other_claims, file.remittances))) for file in found.files]
    trial = tried(server, replace(found, files=tuple(changed)), "referee-misled")
    assert trial.score.all.false == 12
    assert trial.score.false_cents > 0
    assert not trial.passed
    assert any("not met" in line for line in table.lines([trial]))


def test_the_referee_sees_where_the_right_claim_stands_among_the_proposed() -> None:
    """Of the same score as others it stands behind them all: the order of names is no merit."""
    tally = Tally()
    for scores in (
        {"C1": 90, "C2": 80},
        {"C1": 80, "C2": 80},
        {"C1": 1, "C2": 2, "C3": 2, "C4": 2},
        {"C2": 2},
        {},
    ):
        _propose(tally, "C1", scores)
    assert (tally.proposed, tally.first, tally.in_three) == (5, 1, 2)


class Misreporting:
    """Reports as a service would give them that has lost a cent."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def __getattr__(self, _: str) -> Callable[[Any], Any]:
        return lambda _: self._answer


def test_the_referee_sees_a_report_that_does_not_tie() -> None:
    cents = money_pb2.Money(currency_code="USD", minor_units=5)
    row = reports_pb2.ReceivablesAgingRow(payer="AETNA", days_0_30=cents, total=cents)
    sound = {"rows": [row], "totals": [row], "control": [cents]}
    balance = accounts_pb2.GetBalanceResponse(
        balances=[accounts_pb2.Balance(side=accounts_pb2.SIDE_DEBIT, amount=cents)]
    )
    other = reports_pb2.ReceivablesAgingRow(payer="AETNA", days_0_30=cents, days_31_60=cents, total=cents)
    for changed, expected in (
        ({}, []),
        ({"control": []}, ["aging: rows 5, totals 5, control [], balance 5"]),
        ({"rows": []}, ["aging: rows 0, totals 5, control [5], balance 5"]),
        ({"rows": [other]}, ["aging: AETNA: 10 is not 5"]),
    ):
        told = reports_pb2.GetReceivablesAgingResponse(**(sound | changed))
        own = Reports("main", Misreporting(told), Misreporting(balance))
        assert [*own._untied("aging", told, _AGES, "total")] == expected


def _other_claims(one: object) -> object:
    from benchmarks.remittances.mail import Remittance

    assert isinstance(one, Remittance)
    wrong = (replace(each, expected=replace(each.expected, claim="ANOTHER")) for each in one.written)
    return replace(one, written=tuple(wrong))
