"""The test bench "nothing lost", in short; `make torture` runs it at length."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import serving
from torture.bench import BEGIN, END, FAULTS, PAGE, written
from torture.books import Verdict, judged
from torture.clients import Entry, Told, line, manual
from torture.clocks import faketime
from torture.fault import Outcome, Place, suffer
from torture.processes import Postgres

from service.postgres import Urls

SHORT = {"ingest": 1, "server": 3, "pause": 1, "stop": 1, "network": 3, "commit": 1, "silence": 1, "rolling": 1}
SHORT |= {"vanish": 6, "crowd": 1, "readers": 1, "migrate": 1, "cycle": 1}
"""How often each fault happens here."""
OF_ITS_OWN = {"replica": 1, "archive": 1, "clocks": 1}
"""The same of those that bring a PostgreSQL."""


def place(urls: Urls, folder: Path, postgres: Postgres | None = None) -> Place:
    """Where a fault happens, as small as it can be: 1,200 claims are two chunks."""
    sizes = {"large": 1_200, "loaded": 4_000, "crowd": 300}
    return Place(urls, folder, Random(1), postgres, say=lambda _: None, pause_seconds=1, **sizes)


def nothing_lost(outcome: Outcome) -> None:
    assert outcome.verdict.wrong == []
    assert (outcome.verdict.lost, outcome.verdict.twice) == (0, 0)
    assert outcome.verdict.acknowledged
    assert outcome.tried


@pytest.mark.parametrize("fault", SHORT)
def test_nothing_is_lost(fault: str, loop: serving.Loop, database: str, tmp_path: Path) -> None:
    nothing_lost(loop.run(suffer(FAULTS[fault][0], place(Urls(database, database), tmp_path), SHORT[fault])))


@pytest.mark.parametrize("fault", OF_ITS_OWN)
def test_nothing_is_lost_where_a_fault_has_a_postgresql_of_its_own(
    fault: str, loop: serving.Loop, database: str, open_folder: Path
) -> None:
    if fault == "clocks" and faketime() is None:
        pytest.skip("libfaketime is not installed (Debian: faketime)")
    where = place(Urls(database, database), open_folder)
    nothing_lost(loop.run(suffer(FAULTS[fault][0], where, OF_ITS_OWN[fault])))


def test_nothing_is_lost_with_postgresql_itself(loop: serving.Loop, open_folder: Path, tmp_path: Path) -> None:
    postgres = Postgres(open_folder)
    try:
        postgres.start()
        for fault in ("postgres", "connections"):
            where = place(postgres.database(f"torture_{fault}"), tmp_path, postgres)
            nothing_lost(loop.run(suffer(FAULTS[fault][0], where, 1)))
    finally:
        postgres.close()


# --- the checker sees what it is there to see ---------------------------------------------------------


def told_and_held(count: int = 3) -> tuple[Told, list[Entry]]:
    """Some entries that were asked for, acknowledged, and are in the books."""
    told = Told()
    for number in range(1, count + 1):
        asked = manual(f"key-{number}", Random(number))
        told.asked[f"key-{number}"] = asked
        lines = tuple(map(line, asked.postings))
        about = (f"id-{number}", "manual", asked.effective_date, asked.description, asked.idempotency_key)
        told.entries[f"key-{number}"] = (number, *about, b"hash", lines)
    return told, [*told.entries.values()]


def test_the_checker_is_content_with_what_was_told() -> None:
    told, held = told_and_held()
    assert judged(held, told) == Verdict(acknowledged=3)


def test_the_checker_sees_a_lost_entry() -> None:
    told, held = told_and_held()
    verdict = judged(held[:-1], told)
    assert verdict.lost == 1
    assert verdict.wrong == ["key-3 was acknowledged as number 3 and is lost"]


def test_the_checker_sees_an_entry_that_is_not_as_it_was_told() -> None:
    told, held = told_and_held()
    verdict = judged([(*held[0][:6], b"other", held[0][7]), *held[1:]], told)
    assert verdict.lost == 1
    assert "there as" in verdict.wrong[0]


def test_the_checker_sees_an_entry_that_is_there_twice() -> None:
    told, held = told_and_held()
    again = (4, "id-4", *held[0][2:5], "another key", *held[0][6:])
    verdict = judged([*held, again], told)
    assert verdict.lost == 0
    assert verdict.twice == 2  # the same twice, and under a key that nobody gave


def test_the_checker_sees_a_gap() -> None:
    told, held = told_and_held()
    moved = (7, *held[2][1:])
    told.entries["key-3"] = moved
    assert judged([*held[:2], moved], told).wrong == ["the numbers of the entries have a gap"]


def test_the_checker_sees_other_money_than_was_asked_for() -> None:
    told, held = told_and_held()
    told.asked["key-1"] = manual("key-1", Random(99))
    assert "was asked as" in judged(held, told).wrong[0]


def test_the_checker_sees_what_was_never_acknowledged() -> None:
    told, held = told_and_held()
    del told.entries["key-2"]
    assert judged(held, told).wrong == ["1 entries were never acknowledged, such as key-2"]


# --- the page -----------------------------------------------------------------------------------------


def test_the_table_tells_what_was_found() -> None:
    outcome = Outcome(50, Verdict(acknowledged=1234), Counter({"OUTCOME_UNKNOWN": 7}), ["2,000 calls"])
    bad = replace(outcome, verdict=Verdict(1234, lost=1, wrong=["key-1 is lost"]))
    table = written({"server": outcome, "postgres": bad}, "A run:")
    assert "| server killed (`kill -9`) | 50 | 1,234 | 0 | 0 | 0 |" in table
    assert "(`kill -9` of the postmaster) | 20 | 1,234 | 1 | 0 | 1 |".replace("20", "50") in table
    assert "2,000 calls; clients met OUTCOME_UNKNOWN 7." in table


def test_the_page_has_a_place_for_the_table() -> None:
    page = PAGE.read_text()
    assert page.index(BEGIN) < page.index(END)
