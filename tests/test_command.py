"""The `ledger` command as people run it: a process of its own, its exit code and what it says."""

import csv
import getpass
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import psycopg
import pytest
import structlog
from commanding import commands
from conftest import url_of
from serving import Ledger, cr, dr, payout, session

from ledger.v1 import accounts_pb2 as accounts
from ledger.v1.accounts_pb2_grpc import AccountsServiceStub
from ledger.v1.postings_pb2_grpc import PostingsServiceStub
from service import noting, telemetry
from service.__main__ import main

LEDGER = Path(sys.executable).with_name("ledger")
PATIENCE_SECONDS = 180
Called = Callable[..., tuple[object, str]]


def environment(**settings: str) -> dict[str, str]:
    """Ours without any setting of the program but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEDGER_")}
    return kept | {f"LEDGER_{name.upper()}": value for name, value in settings.items()} | {"COLUMNS": "200"}


def run(*arguments: str | Path, code: int = 0, **settings: str) -> str:
    """What the command says: on standard output where it succeeds, else its one sentence."""
    done = commands().run(arguments, environment(**settings))
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return sentences(done.stderr) if code else done.stdout


def sentences(said: str) -> str:
    """What is said to people, without the lines of the log."""
    return "".join(line for line in said.splitlines(keepends=True) if not line.startswith("{"))


def without_log(said: str) -> str:
    """The same of a command in this process, whose log is written in colours."""
    return "".join(line for line in said.splitlines(keepends=True) if not line.startswith("\x1b"))


@contextmanager
def running(*arguments: str, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command while it serves, and the line with which it says so."""
    process = subprocess.Popen(
        [LEDGER, *arguments],
        env=environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        said = next((line for line in process.stdout if line.startswith("serving on ")), "")
        assert re.search(rf"^serving on \S+; .*stop with Ctrl-C, or kill {process.pid}$", said.strip())
        yield process, said
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_SECONDS)


def address_in(said: str) -> str:
    return said.split()[2].rstrip(";")


@contextmanager
def connected(said: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(address_in(said)) as channel:
        yield channel


@pytest.fixture
def books(ledger: Ledger) -> Ledger:
    ledger.postings.RecordSession(session("C1", "2026-01-10", allowed="1120.00", patient_share="20.00"))
    ledger.postings.RecordSession(session("C2", "2026-03-20", payer="=SUM(A1)", provider="-ada", rate="130.00"))
    return ledger


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Called:
    """The command in this process, which is quicker: its exit code and its words."""

    def call(*arguments: str, **settings: str) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["ledger", *arguments])
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        monkeypatch.setattr(telemetry, "configure", lambda: None)
        monkeypatch.setattr(noting, "log", structlog.wrap_logger(structlog.ReturnLogger(), processors=[]))
        for name, value in settings.items():
            monkeypatch.setenv(f"LEDGER_{name.upper()}", value)
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code, said.err or said.out

    return call


# --- up and serve -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_up_makes_all_that_is_needed_and_stops_cleanly(open_folder: Path, how: signal.Signals) -> None:
    settings = {"data_folder": str(open_folder / "data"), "book": "CA-PC", "listen": "127.0.0.1:0"}
    with running("up", **settings) as (process, said), connected(said) as channel:
        assert f"data in {open_folder}/data" in said
        [book] = AccountsServiceStub(channel).ListBooks(accounts.ListBooksRequest()).books
        assert book.book == "CA-PC"
        PostingsServiceStub(channel).RecordSession(session("C1", book="CA-PC"))
        process.send_signal(how)
        assert process.wait(PATIENCE_SECONDS) == 0
    assert not (open_folder / "data" / "cluster" / "data" / "postmaster.pid").exists()
    assert "Revenue:Sessions" in run("report", "trial-balance", **settings)
    assert not (open_folder / "data" / "cluster" / "data" / "postmaster.pid").exists()


def test_serve_on_a_database_of_ones_own(database: str) -> None:
    with (
        running("serve", "--insecure", "--listen", "127.0.0.1:0", database_url=database) as (process, said),
        connected(said) as channel,
    ):
        address = address_in(said)
        AccountsServiceStub(channel).OpenBook(accounts.OpenBookRequest(book="main", name="Main"))
        taken = run("serve", "--insecure", "--listen", address, code=1, database_url=database)
        assert taken == f"ledger: cannot listen on {address}: Address already in use\n"
        assert process.poll() is None


def test_nothing_is_served_from_a_database_that_is_not_migrated(cluster_url: str) -> None:
    said = run("serve", "--insecure", code=1, database_url=url_of(cluster_url, "postgres"))
    assert said == "ledger: the database is not at this program's version: run ledger migrate\n"


def test_nothing_is_served_from_books_that_could_be_changed(database: str) -> None:
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        connection.execute("GRANT DELETE ON entries TO ledger_program")
    said = run("serve", "--insecure", code=1, database_url=database)
    assert said.startswith("ledger: the books are not guarded: right_withheld: DELETE on entries")


def test_migrate_once_and_again(cluster_url: str, database: str) -> None:
    name = f"{database.rpartition('/')[2]}_new"
    with psycopg.connect(cluster_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            assert run("migrate", database_url=url_of(cluster_url, name)).startswith("migrated to 0001 ")
            assert run("migrate", database_url=url_of(cluster_url, name)) == ""
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


# --- reports ------------------------------------------------------------------------------------------


def test_a_report_as_a_table(books: Ledger) -> None:
    said = run("report", "receivables-aging", "--as-of", "2026-03-31", database_url=books.url)
    assert "Receivables aging of main, as of 2026-03-31" in said
    assert re.search(r"AETNA +│ USD +│ +0\.00 │ +0\.00 │ +1,100\.00 │", said)
    assert said.endswith("total 1,220.00 USD equals Assets:Receivable:Insurer 1,220.00 USD\n")


def test_a_report_as_csv_holds_no_formula(books: Ledger) -> None:
    said = run("report", "provider-payables", "--as-of", "2026-03-31", "--format", "csv", database_url=books.url)
    assert [row[:6] for row in csv.reader(io.StringIO(said))] == [
        ["provider", "currency", "earned", "paid", "other_changes", "payable"],
        ["ada", "USD", "105.00", "0.00", "0.00", "105.00"],
        ["'-ada", "USD", "130.00", "0.00", "0.00", "130.00"],
    ]


def test_a_report_as_json(books: Ledger) -> None:
    said = run("report", "session-margin", "--as-of", "2026-03-31", "--format", "json", database_url=books.url)
    found = json.loads(said)
    assert found["rows"][0] == {
        "payer": "=SUM(A1)",
        "currency": "USD",
        "session_count": 1,
        "revenue": "120.00",
        "provider_cost": "130.00",
        "margin": "-10.00",
        "contractual_adjustments": "0.00",
        "denials_absorbed": "0.00",
        "margin_after_losses": "-10.00",
    }
    assert found["totals"][0]["margin_after_losses"] == "1005.00"
    assert [control["ties"] for control in found["controls"]] == [True] * 4


@pytest.mark.parametrize("name", ["trial-balance", "exceptions", "received"])
@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_every_report_of_an_empty_book(called: Called, ledger: Ledger, name: str, form: str) -> None:
    code, said = called("report", name, "--format", form, database_url=ledger.url)
    assert (code, bool(said)) == (None, True)


def test_a_report_as_known_at_an_entry_or_a_time(books: Ledger) -> None:
    """The second session is not known yet, though it counts by the day."""
    first = books.entries()[0].recorded_at.ToJsonString()
    for known in ("1", first):
        said = run("report", "trial-balance", "--as-known-at", known, database_url=books.url)
        assert re.search(r"Trial balance of main, as of \d{4}-\d{2}-\d{2}, as known at entry 1 *\n", said)
        assert said.endswith("debits 1,225.00 USD equals credits 1,225.00 USD\n")
    future = run("report", "trial-balance", "--as-known-at", "2100-01-01", code=1, database_url=books.url)
    assert future.startswith("ledger: it is ")
    assert future.endswith(" now, and 2100-01-01 00:00:00+00:00 is not yet known\n")
    beyond = run("report", "trial-balance", "--as-known-at", "3", code=1, database_url=books.url)
    assert beyond == "ledger: the last entry is 2, not 3\n"


def test_a_statement(books: Ledger) -> None:
    books.postings.PayProvider(payout("ada", "5.00", "2026-01-31"))
    payable = "Liabilities:Payable:Provider:ada"
    arguments = ("report", "statement", "--account", payable, "--as-of", "2026-12-31", "--format", "csv")
    assert statement(books, *arguments) == [
        ("", "opening balance", "", "", "0.00"),
        ("2026-01-10", "", "0.00", "105.00", "-105.00"),
        ("2026-01-31", "", "5.00", "0.00", "-100.00"),
        ("2026-12-31", "closing balance", "", "", "-100.00"),
    ]
    assert statement(books, *arguments, "--effective-from", "2026-01-11") == [
        ("2026-01-11", "opening balance", "", "", "-105.00"),
        ("2026-01-31", "", "5.00", "0.00", "-100.00"),
        ("2026-12-31", "closing balance", "", "", "-100.00"),
    ]
    before = statement(books, *arguments, "--as-known-at", "2")
    assert before[-1] == ("2026-12-31", "closing balance", "", "", "-105.00")


def test_a_statement_of_an_item(books: Ledger) -> None:
    """Its accounts, each with its own opening and closing balance."""
    found = statement(books, "report", "statement", "--item", "C1", "--as-of", "2026-12-31", "--format", "csv")
    assert [(words, balance) for _, words, _, _, balance in found] == [
        ("opening balance", "0.00"),
        ("opening balance", "0.00"),
        ("", "1100.00"),
        ("", "20.00"),
        ("closing balance", "1100.00"),
        ("closing balance", "20.00"),
    ]


def statement(books: Ledger, *arguments: str) -> list[tuple[str, ...]]:
    """Day, words, debits, credits and balance of each line."""
    names = ("effective_date", "description", "debits", "credits", "balance")
    rows = csv.DictReader(io.StringIO(run(*arguments, database_url=books.url)))
    return [tuple(row[name] for name in names) for row in rows]


def test_maintain_fills_totals_once(books: Ledger) -> None:
    with psycopg.connect(books.url.replace("+psycopg", "")) as connection:
        connection.execute("INSERT INTO recorded_levels VALUES ('main', 1, 1, 0)")
    assert run("maintain", database_url=books.url).endswith(
        " segments of totals were filled, 0 subtrees of 256 entries were kept\n"
    )
    assert run("maintain", database_url=books.url) == (
        "0 partitions were made, 0 segments of totals were filled, 0 subtrees of 256 entries were kept\n"
    )
    assert run("check", database_url=books.url) == ""


def test_a_report_that_does_not_tie_says_so(books: Ledger) -> None:
    with psycopg.connect(books.url.replace("+psycopg", "")) as connection:
        connection.execute("UPDATE daily_totals SET debits = debits + 1 WHERE account LIKE '%:AETNA'")
    said = run("report", "receivables-aging", "--as-of", "2026-03-31", code=1, database_url=books.url)
    assert said == (
        "ledger: the report does not tie: "
        "total 1,220.00 USD DOES NOT EQUAL Assets:Receivable:Insurer 1,220.01 USD; run ledger check\n"
    )


# --- check, export, books -----------------------------------------------------------------------------


def test_check_is_silent_while_the_books_are_sound(books: Ledger) -> None:
    assert run("check", database_url=books.url) == ""


def test_check_names_every_fault(books: Ledger) -> None:
    with psycopg.connect(books.url.replace("+psycopg", "")) as connection:
        connection.execute("UPDATE balances SET debits = debits + 1 WHERE account LIKE '%:AETNA'")
    done = subprocess.run(
        [LEDGER, "check"], env=environment(database_url=books.url), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == (
        "balances: book main: Assets:Receivable:Insurer:AETNA: expected debits 110000 credits 0, "
        "found debits 110001 credits 0\n"
    )
    assert done.stderr == ""


READS = {
    "export": (["export"], "main", "OK"),
    "report": (["report", "trial-balance"], "main", "OK"),
    "a report of another book": (["report", "trial-balance", "--book", "other"], "other", "BOOK_NOT_FOUND"),
    "backup": (["backup", "books.backup"], "*", "OK"),
}


@pytest.mark.parametrize("case", READS)
def test_what_is_read_on_the_command_line_is_in_the_log(books: Ledger, tmp_path: Path, case: str) -> None:
    """Who, what, of which book and how it ended, as of a call."""
    words, book, outcome = READS[case]
    settings = environment(database_url=books.url)
    done = subprocess.run(
        [LEDGER, *words], env=settings, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    line = json.loads(next(line for line in done.stderr.splitlines() if line.startswith("{")))
    assert {name: line[name] for name in ("event", "command", "actor", "book", "outcome")} == {
        "event": "command",
        "command": " ".join(words[: 2 if words[0] == "report" else 1]),
        "actor": getpass.getuser(),
        "book": book,
        "outcome": outcome,
    }


def test_export_to_a_file_and_to_the_screen(books: Ledger, tmp_path: Path) -> None:
    shown = run("export", "--format", "hledger", database_url=books.url)
    assert "account Revenue:Sessions  ; type:R\n" in shown
    assert run("export", "--format", "hledger", "--output", tmp_path / "a", database_url=books.url) == ""
    assert (tmp_path / "a").read_text() == shown
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_an_export_that_fails_leaves_no_file(called: Called, database: str, tmp_path: Path) -> None:
    code, _ = called("export", "--book", "nobody", "--output", str(tmp_path / "a"), database_url=database)
    assert code == 1
    assert not [*tmp_path.iterdir()]


def test_books_are_opened_and_listed(database: str) -> None:
    opened = run("book", "open", "CA-PC", "--name", "Care of California, P.C.", database_url=database)
    assert opened == "book CA-PC is open under the name Care of California, P.C.\n"
    assert run("book", "list", database_url=database) == "CA-PC\t0\tCare of California, P.C.\n"
    said = run("book", "open", "CA-PC", "--name", "Another", code=1, database_url=database)
    assert said == "ledger: book CA-PC is open under the name Care of California, P.C.\n"


# --- what goes wrong ----------------------------------------------------------------------------------

WRONG = [
    (["report", "cash-flow"], "there is no report 'cash-flow'; there are trial-balance, .*"),
    (["report", "trial-balance", "--as-of", "31.12.2026"], "--as-of is not written YYYY-MM-DD: '31.12.2026'"),
    (["report", "trial-balance", "--as-of", "2026-02-30"], "--as-of is not a day of the calendar: 2026-02-30"),
    (["report", "trial-balance", "--as-of", ""], "--as-of is required"),
    (["report", "trial-balance", "--book", "nobody"], "no book nobody; open it first"),
    (["report", "trial-balance", "--book", "a b"], "book is letters, digits and dashes, at most 40"),
    (["report", "received", "--as-of", "2026-01-01"], "received says how things stand now: leave out --as-of"),
    (
        ["report", "exceptions", "--as-known-at", "1"],
        "exceptions says what is known now: leave out --as-known-at",
    ),
    (
        ["report", "trial-balance", "--account", "Assets:Cash"],
        "trial-balance is not narrowed to this: leave out --account",
    ),
    (["report", "statement"], "a statement is of an account or an item: name it with --account or --item"),
    (
        ["report", "statement", "--item", "C1", "--effective-from", "May"],
        "--effective-from is not written YYYY-MM-DD: 'May'",
    ),
    (["report", "income-statement"], "income-statement is of a period: say --effective-from"),
    (
        ["report", "income-statement", "--effective-from", "2026-02-01", "--as-of", "2026-01-31"],
        "the period ends on 2026-01-31, before it begins on 2026-02-01",
    ),
    (
        ["report", "session-margin", "--by", "colour"],
        "session-margin is not grouped by colour: it is grouped by payer, plan, state, licence-type, month",
    ),
    (
        ["report", "trial-balance", "--by", "payer"],
        "trial-balance is not grouped by payer: it is grouped by nothing",
    ),
    (["report", "back-dated-entries", "--days", "many"], "--days is how many days, such as 30, not 'many'"),
    (["report", "general-ledger", "--account", "a b"], "'a b' is not an account code: .*"),
    (["report", "trial-balance", "--format", "xlsx"], "xlsx is no text: name a file with --output"),
    (["export", "--format", "parquet"], "parquet is no text: name a file with --output"),
    (["report", "trial-balance", "--as-known-at", "yesterday"], "--as-known-at is the number of an entry or .*"),
    (["report", "trial-balance", "--as-known-at", "7", "--book", "nobody"], "no book nobody; open it first"),
    (["export", "--book", "nobody"], "no book nobody; open it first"),
    (["export", "--output", "/nowhere/at/all"], "/nowhere/at/all.unfinished: No such file or directory"),
    (["book", "open", "main", "--name", " "], "--name is required"),
    (["serve"], "nothing says how callers prove who they are: .*"),
    (["serve", "--insecure", "--listen", "0.0.0.0:50051"], "0.0.0.0:50051 can be reached from other machines.*"),
    (["serve", "--listen", "50051"], "'50051' is not an address and port such as 127.0.0.1:50051"),
]
MISTYPED = [
    (["repot"], "No such command 'repot'.*"),
    (["report"], "Missing argument 'name'.*"),
    (["report", "trial-balance", "--format", "pdf"], "Invalid value for '--format': 'pdf' is not one of .*"),
    (["book", "open", "main"], "Missing option '--name'.*"),
]


@pytest.mark.parametrize(
    ("arguments", "sentence"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_failure_is_one_sentence(called: Called, database: str, arguments: list[str], sentence: str) -> None:
    code, said = called(*arguments, database_url=database)
    assert code == 1
    assert re.fullmatch(f"ledger: {sentence}\n", said)


@pytest.mark.parametrize(
    ("arguments", "sentence"), MISTYPED, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_mistyped_command_is_one_sentence(called: Called, arguments: list[str], sentence: str) -> None:
    code, said = called(*arguments)
    assert code == 2
    assert re.fullmatch(f"ledger: {sentence}\n", said)


@pytest.mark.parametrize(
    "command", [("migrate",), ("check",), ("serve", "--insecure"), ("up",), ("report", "received")]
)
def test_a_database_that_does_not_answer(called: Called, command: tuple[str, ...]) -> None:
    code, said = called(*command, database_url="postgresql://ada:secret@127.0.0.1:1/ledger", listen="127.0.0.1:0")
    assert code == 1
    assert said.startswith("ledger: the database does not answer: ")
    assert "secret" not in said


def test_a_setting_that_cannot_be_used(called: Called) -> None:
    code, said = called("check", database_url="mysql://ada:secret@127.0.0.1/ledger")
    assert code == 1
    assert said.startswith("ledger: LEDGER_DATABASE_URL: ")
    assert "secret" not in said


def test_a_fault_of_the_program_is_a_sentence_too(called: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.settings.read", lambda: 1 / 0)
    assert called("check") == (
        1,
        "ledger: the program failed, which is its own fault: ZeroDivisionError: division by zero\n",
    )


def test_the_reader_of_the_output_may_leave(books: Ledger) -> None:
    lines = [line for _ in range(999) for line in (dr("Assets:Cash", "1.00"), cr("Revenue:Interest", "1.00"))]
    books.post("2026-04-01", *lines)
    done = subprocess.run(
        ["sh", "-c", f"{LEDGER} export | head -n 1"],
        env=environment(database_url=books.url),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == 'option "title" "main entity (main)"\n'
    [line] = done.stderr.splitlines()
    assert json.loads(line)["outcome"] == "BrokenPipeError"


def test_a_full_disk_is_a_sentence(books: Ledger) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [LEDGER, "export"],
            env=environment(database_url=books.url),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    line, sentence = done.stderr.splitlines()
    assert (done.returncode, sentence) == (1, "ledger: input or output: No space left on device")
    assert json.loads(line)["outcome"] == "OSError"


def test_no_command_shows_the_help() -> None:
    done = commands().run([], environment())
    assert "Usage: ledger" in done.stdout
    assert done.stderr == ""


def test_python_runs_it_as_a_module() -> None:
    command = [sys.executable, "-m", "service", "report", "--help"]
    assert "receivables-aging" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
