"""The benchmarks run, and say what is so. How fast anything is, is no business of a test."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nacha_reader
import psycopg
import pytest
from serving import DR, Ledger, open_book

from benchmarks import page, pay_cycle, reports, targets
from benchmarks.bare import TABLES, Copying, Inserting, plain
from benchmarks.cases import CASES, POST_ONE, STREAM
from benchmarks.client import Calls, Client, Measured, Stream
from benchmarks.entries import ACCOUNTS, BATCH, ENTRIES_A_DAY, HOT, Entries, account
from benchmarks.figures import Figures, Used, figured, median, percentile
from benchmarks.growth import QUICK_STAGES, STAGES, WINDOWS, Unmade
from benchmarks.naive import Naive, Refused, connected, post, read
from benchmarks.processes import ECHO, ROOT, BenchFailed, Family, serving
from benchmarks.reads import READS
from ledger.accounts.recorded import LEVELS
from ledger.v1 import postings_pb2 as pb

NOT_THERE_YET = "not there yet"


# --- the programs as make starts them -----------------------------------------------------------------


def ran(what: str, output: Path) -> dict[str, list[str]]:
    """Runs one on the smallest of everything; returns the rows of its page's tables."""
    command = [sys.executable, "-m", "benchmarks", what, "--quick", "--rounds", "1", "--output", str(output)]
    before = page.PAGE.read_text()
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert page.PAGE.read_text() == before, "a quick run is not for the page"
    lines = (line.strip("| ").split(" | ") for line in output.read_text().splitlines() if line.startswith("| "))
    return {name.strip(): [cell.strip() for cell in cells] for name, *cells in lines}


def figure(cell: str) -> float:
    """The first figure of a cell; fails where there is none."""
    found = re.search(r"\d[\d,]*(\.\d+)?", cell)
    assert found, f"{cell!r} holds no figure"
    return float(found[0].replace(",", ""))


def test_every_case_yields_figures_and_every_target_a_ratio(tmp_path: Path) -> None:
    rows = ran("bench", tmp_path / "page.md")
    for case in CASES.values():
        rate, *times = rows[case.name][:4]
        assert min(map(figure, (rate, *times))) > 0, case.name
    for target in targets.TARGETS:
        goal, found, word = rows[target.what]
        assert min(figure(goal), figure(found)) > 0
        assert word.strip("*") in ("met", "not met")


def test_a_book_that_grows_is_posted_to_and_asked(tmp_path: Path) -> None:
    rows = ran("growth", tmp_path / "page.md")
    for stage in QUICK_STAGES:
        assert figure(rows[f"at {stage}"][0]) > 0
        assert figure(rows[f"on the way to {stage}"][0]) > 0
    for name, question in READS.items():
        cells = rows[name]
        assert len(cells) == len(QUICK_STAGES)
        assert all(cell == NOT_THERE_YET if question.ask is None else figure(cell) > 0 for cell in cells)
    [memory] = (cells for name, cells in rows.items() if name.startswith("server memory"))
    assert figure(memory[1]) > 0


# --- what is posted -----------------------------------------------------------------------------------


def test_the_bytes_are_the_requests_that_they_should_be() -> None:
    entries = Entries("main", 1, accounts=50)
    one = pb.PostEntryRequest.FromString(next(entries.requests(1)))
    many = pb.PostEntriesRequest.FromString(next(entries.batches(1)))
    assert (one.book, many.book, len(many.entries)) == ("main", "main", BATCH)
    posted = [one.entry, *many.entries]
    assert len({entry.idempotency_key for entry in posted}) == entries.made == BATCH + 1
    assert {line.account for entry in posted for line in entry.postings} == set(map(account, range(50)))
    for entry in posted:
        assert len(read(entry)[1].postings) == 4
        assert [bool(line.item) for line in entry.postings] == [True, False, False, False]


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    def drawn(seed: int) -> list[bytes]:
        return list(Entries("main", seed).requests(20))

    assert drawn(1) == drawn(1) != drawn(2)


def test_a_copy_of_a_source_goes_on_where_it_stood() -> None:
    whole, parts = Entries("main", 1), Entries("main", 1)
    expected = list(whole.batches(3, 10))
    first = list(Unmade(parts, [10]))
    assert [*first, *Unmade(parts, [10, 10])] == expected


def test_a_hot_account_is_in_every_entry() -> None:
    [batch] = Entries("main", 1, hot=True).batches(1, 100)
    for entry in pb.PostEntriesRequest.FromString(batch).entries:
        assert entry.postings[0].account == account(HOT)
        assert entry.postings[0].side == DR


def test_every_account_is_touched_first() -> None:
    batches = [pb.PostEntriesRequest.FromString(one) for one in Entries("main", 1).touching()]
    lines = [line.account for batch in batches for entry in batch.entries for line in entry.postings]
    assert len(lines) == len(set(lines)) == ACCOUNTS


def test_the_windows_lie_behind_each_other() -> None:
    for stages in (STAGES, QUICK_STAGES):
        reached = 0
        for stage in stages:
            assert reached <= stage.begins < stage.entries
            assert all(part % BATCH == 0 for part in stage.parts)
            assert stage.begins + sum(stage.parts) == stage.entries
            assert stage.parts[-WINDOWS:] == [stage.window] * WINDOWS
            reached = stage.entries
    assert STAGES[-1].entries * 4 == 10_000_000
    assert STAGES[-1].entries / ENTRIES_A_DAY < 366
    assert STAGES[-1].stretch >= max(size for size, _ in LEVELS), "it holds the work for a whole segment"


# --- what it is compared with -------------------------------------------------------------------------


@pytest.fixture
def posted(ledger: Ledger) -> tuple[Ledger, Entries]:
    """The book "main" with some accounts, each posted to."""
    entries = Entries(ledger.book, 1, accounts=40)
    for batch in entries.touching():
        ledger.postings.PostEntries(pb.PostEntriesRequest.FromString(batch))
    return ledger, entries


def test_the_naive_poster_keeps_sound_books(posted: tuple[Ledger, Entries]) -> None:
    ledger, entries = posted
    requests = list(entries.requests(12))
    with Naive(ledger.url, requests, threads=3).ready() as run:
        assert len(run().seconds) == 12
    assert ledger.wrong() == []
    assert [one.number for one in ledger.entries()] == [*range(1, entries.made + 1)]
    again = ledger.postings.PostEntry(pb.PostEntryRequest.FromString(requests[5]))
    assert again.replayed


def test_the_naive_poster_refuses_what_cannot_be_posted(posted: tuple[Ledger, Entries]) -> None:
    ledger, entries = posted
    known, new = (pb.PostEntryRequest.FromString(one).entry for one in entries.requests(2))
    unknown = pb.EntryToPost()
    unknown.CopyFrom(new)
    unknown.postings[0].account = "Assets:Unheard"
    with connected(ledger.url) as connection:
        (key, entry), (other, unheard) = read(known), read(unknown)
        post(connection, ledger.book, key, entry)
        for book, asked, complete, word in (
            (ledger.book, key, entry, "is used"),
            (ledger.book, other, unheard, "is not open"),
            ("nobody", other, entry, "no book"),
        ):
            with pytest.raises(Refused, match=word):
                post(connection, book, asked, complete)
    assert ledger.wrong() == []
    assert len(ledger.entries()) == entries.made - 1


def contents(url: str, schema: str, table: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(plain(url)) as connection:
        return sorted(connection.execute(f"SELECT * FROM {schema}.{table}"), key=repr)


def test_copy_writes_the_very_rows_of_the_books(posted: tuple[Ledger, Entries]) -> None:
    ledger, entries = posted
    copying = Copying(ledger.url, ledger.book, 0, entries.made)
    with copying.ready() as run:
        run()
    copied = {table.name: contents(ledger.url, "copied", table.name) for table in TABLES}
    assert copied == {table.name: contents(ledger.url, "public", table.name) for table in TABLES}
    with psycopg.connect(plain(ledger.url)) as connection:
        assert copying.rows(connection) == sum(map(len, copied.values())) > entries.made * 5


def test_the_bare_insert_writes_what_an_entry_wrote(posted: tuple[Ledger, Entries]) -> None:
    ledger, entries = posted
    with Inserting(ledger.url, ledger.book, 0, entries.made).ready() as run:
        assert len(run().seconds) == entries.made
    for table in TABLES:
        assert contents(ledger.url, "copied", table.name) == contents(ledger.url, "public", table.name)


@pytest.fixture(scope="module")
def echo(server: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an echo."""
    with serving(ECHO, server.url, tmp_path_factory.mktemp("echo")) as (address, _):
        yield address


def test_the_echo_answers_as_much_as_the_ledger(server: Ledger, echo: str) -> None:
    """But for some bytes of the number and the time, which protobuf writes in as few as they need."""
    ledger = server.of("echoed")
    open_book(ledger, ledger.book)
    requests = list(Entries(ledger.book, 1, accounts=40).requests(20))
    with Calls(echo, POST_ONE, requests, 4).ready() as run:
        echoed = run().answered_bytes
    assert ledger.entries() == [], "the echo posts nothing"
    asked = map(pb.PostEntryRequest.FromString, requests)
    answered = sum(ledger.postings.PostEntry(one).ByteSize() for one in asked)
    assert abs(echoed - answered) < 8 * len(requests)
    assert answered > 350 * len(requests)


def test_the_echo_streams_as_much_as_the_ledger(server: Ledger, echo: str) -> None:
    ledger = server.of("streamed")
    open_book(ledger, ledger.book)
    requests = list(Entries(ledger.book, 1, accounts=40).streamed(20))
    with Stream(echo, STREAM, requests, 7).ready() as run:
        measured = run()
    assert len(measured.seconds) == 20
    asked = [pb.StreamEntriesRequest.FromString(one) for one in requests]
    answers = list(ledger.postings.StreamEntries(iter(asked)))
    assert [one.result.entry.idempotency_key for one in answers] == [one.entry.idempotency_key for one in asked]
    assert abs(measured.answered_bytes - sum(one.ByteSize() for one in answers)) < 8 * len(requests)


# --- how it is measured -------------------------------------------------------------------------------


@pytest.fixture
def client() -> Iterator[Client]:
    """A client's process."""
    running = Client()
    yield running
    running.close()


def test_a_client_that_fails_says_so_and_goes_on(client: Client, echo: str) -> None:
    with pytest.raises(BenchFailed, match="UNIMPLEMENTED"):
        client.measured(Calls(echo, "/ledger.v1.PostingsService/PostNothing", [b""], 1))
    requests = list(Entries("main", 1).requests(3))
    measured = client.measured(Calls(echo, POST_ONE, requests, 2))
    assert (len(measured.seconds), measured.answered_bytes > 0) == (3, True)
    assert measured.began < measured.ended


def test_what_ended_children_used_is_counted() -> None:
    family = Family(os.getpid())
    before = family.cpu_seconds()
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", burn], check=True)
    assert family.cpu_seconds() - before > 0.2  # what the system counts in are hundredths


def test_figures_follow_from_what_was_measured() -> None:
    measured = Measured(began=10, ended=12, seconds=[0.004, 0.001, 0.003, 0.002], cpu_seconds=0.5)
    found = figured(measured, 1_000, 4_000, Used(1, 2, 100, 0), Used(1.5, 2.25, 400_100, 0))
    assert found == Figures(500, 2.0, 4.0, 4.0, 500, 250, 500, disk=100, wal=None)


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(1, 201)]
    assert [percentile(values, percent) for percent in (50, 95, 99, 100)] == [100, 190, 198, 200]
    assert percentile([7.0], 99) == 7


def test_a_median_is_taken_figure_by_figure() -> None:
    rounds = [Figures(rate, p50, 1, 1, None, cpu) for rate, p50, cpu in ((1, 9, 5), (3, 7, None), (2, 8, 6))]
    assert median(rounds) == Figures(2, 8, 1, 1, None, 5.5)


def a_round(**rates: float) -> targets.Round:
    return {name: Figures(rate, 1 / rate, 1, 1) for name, rate in rates.items()}


def test_a_ratio_is_the_median_of_the_rounds_own() -> None:
    """The third round was disturbed, and both sides with it."""
    target = targets.TARGETS[0]
    rates = ((250, 10), (280, 10), (26, 1))
    rounds = [a_round(**dict(zip(target.of, pair, strict=True))) for pair in rates]
    verdict = target.verdict(rounds)
    assert verdict == targets.Verdict(target.what, "≥ 25.0 ×", "26.0 ×", met=True)
    assert target.verdict(rounds[:1]).found == "25.0 ×"  # type: ignore[union-attr]
    assert target.verdict([a_round(**{target.of[0]: 250})]) is None


@pytest.mark.parametrize(
    ("found", "at_most", "met"),
    [(2.0, True, True), (2.01, True, False), (2.0, False, True), (1.99, False, False)],
)
def test_a_target_is_met_at_its_edge(found: float, at_most: bool, met: bool) -> None:
    assert targets.judged("it", 2, found, at_most=at_most).met is met


def test_a_target_that_is_not_met_stands_out() -> None:
    missed = targets.judged("speed", 10, 9)
    assert page.verdicts([missed, None])[-1] == "| speed | ≥ 10.0 × | 9.00 × | **not met** |"


def test_a_part_of_the_page_leaves_the_rest_alone(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(page.PAGE.read_text())
    page.put(file, "bench", ["the first lines"])
    page.put(file, "growth", ["second"])
    page.put(file, "bench", ["third"])
    text = file.read_text()
    assert "the first lines" not in text
    assert text.index("third") < text.index("## Growing") < text.index("second")
    assert text.partition("<!-- bench")[0] == page.PAGE.read_text().partition("<!-- bench")[0]


def test_the_page_has_a_place_for_each_table() -> None:
    text = page.PAGE.read_text()
    for name in ("bench", "growth", "proof", "pay-cycle", "reports"):
        assert 0 < text.index(f"<!-- {name}: begin -->") < text.index(f"<!-- {name}: end -->")


def test_a_pay_cycle_yields_figures_and_a_file_that_a_bank_would_take(tmp_path: Path, open_folder: Path) -> None:
    """On the smallest of everything; what must be paid, the run itself compares."""
    folder = open_folder / "cycle"
    command = [sys.executable, "-m", "benchmarks", "pay-cycle", "--quick", "--folder", str(folder)]
    output = tmp_path / "page.md"
    command += ["--output", str(output)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    for step in pay_cycle.STEPS:
        assert f"| {step} | " in output.read_text()
    _, batches = nacha_reader.read((folder / "NACHA file").read_bytes())
    credits_ = [one.cents for batch in batches for one in batch.entries if one.who != "OFFSET"]
    assert sum(credits_) == pay_cycle.Size(20, 200).total


def test_every_report_is_measured(tmp_path: Path, open_folder: Path) -> None:
    """On a small book, from filling it to the table."""
    output = tmp_path / "page.md"
    command = [sys.executable, "-m", "benchmarks", "reports", "--quick", "--folder", str(open_folder / "reports")]
    command += ["--output", str(output)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    for question in reports.QUESTIONS:
        assert f"| {question.name} | " in output.read_text()
