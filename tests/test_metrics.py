"""What Prometheus is told, and the one line that the log has for each call."""

import json
import time
import urllib.request
from typing import Any

import psycopg
from payers import claim, deliver, file, remittance
from serving import BOOK, PATIENCE_SECONDS, Ledger, Loop, answered, client, cr, dr, entry, refused, session
from test_approvals import approved, paying, proposed
from test_command import connected, running
from torture.processes import free_port

from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import postings_pb2 as po

FIELDS = {"method", "actor", "book", "code", "outcome", "entries", "milliseconds", "event", "level", "timestamp"}
WAITING = "wait_event_type = 'Lock' AND datname = current_database()"
POSTING = "/ledger.v1.PostingsService"


def figures(port: int) -> dict[str, float]:
    """Each figure under its name with its labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_SECONDS) as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def used(ledger: Ledger) -> None:
    """A session, a batch with a refusal in it, a refused call, two proposals, an approval, and a remittance."""
    ledger.postings.RecordSession(session("C1", patient_share="20.00", charge="150.00"))
    lines = dr("Assets:Cash", "1.00"), cr("Liabilities:UnappliedCash", "1.00")
    entries = [entry("2026-04-08", *lines), entry("2026-04-08"), entry("2026-04-08", *lines)]
    ledger.postings.PostEntries(po.PostEntriesRequest(book=BOOK, entries=entries))
    refused(ledger.accounts.GetBalance, ac.GetBalanceRequest(book=BOOK, account="Assets:Nowhere"))
    proposed(ledger, paying(ledger, "1.00"))
    approved(ledger, proposed(ledger, paying(ledger, "2.00")))
    short = claim("C1", "150.00", "90.00", "CO-45 30.00, CO-197 10.00, PR-3 20.00")
    deliver(ledger, file(remittance("90.00", "EFT1", short)))


def test_the_figures_and_the_log(loop: Loop, ledger: Ledger) -> None:
    port = free_port()
    started = running(
        "serve", "--insecure", "--listen", "127.0.0.1:0",
        database_url=ledger.url, metrics_listen=f"127.0.0.1:{port}", guard_seconds="0.1",
    )  # fmt: skip
    with started as (process, said):
        with connected(said) as channel:
            used(client(loop, ledger.url, channel))
        found = until(port, f'ledger_exceptions_open{{book="{BOOK}"}}', 1)
        process.terminate()
        _, logged = process.communicate()
    assert found[f'ledger_calls_total{{method="{POSTING}/RecordSession",outcome="OK"}}'] == 1
    balance = "/ledger.v1.AccountsService/GetBalance"
    assert found[f'ledger_calls_total{{method="{balance}",outcome="ACCOUNT_NOT_FOUND"}}'] == 1
    assert found[f'ledger_call_seconds_count{{method="{POSTING}/PostEntries"}}'] == 1
    assert found["ledger_batch_requests_sum"] == 3
    assert found["ledger_head_lock_seconds_count"] >= found["ledger_batch_requests_count"] + 1, "of the 835 too"
    assert found[f'ledger_proposals_open{{book="{BOOK}"}}'] == 1
    assert found["ledger_serving"] == 1
    assert found["ledger_queue_requests"] == 0
    assert found[f'ledger_clearing_oldest_days{{book="{BOOK}"}}'] > 0
    check_log([line for line in map(json.loads, logged.splitlines()) if line["event"] == "call"])


def test_waiting_for_the_head_is_measured_until_it_is_over(loop: Loop, ledger: Ledger) -> None:
    """Once it is had, and once the waiting is broken off."""
    port, name = free_port(), "ledger_head_lock_seconds_count"
    started = running(
        "serve", "--insecure", "--listen", "127.0.0.1:0",
        database_url=ledger.url, metrics_listen=f"127.0.0.1:{port}",
    )  # fmt: skip
    with started as (_, said), connected(said) as channel:
        posting = client(loop, ledger.url, channel).postings
        for number, ended in enumerate(("pg_cancel_backend(pid)", "pid")):
            with psycopg.connect(ledger.url.replace("+psycopg", "")) as holder:
                holder.execute("SELECT FROM heads FOR UPDATE")
                call = posting.RecordSession.future(session("C1"))
                while not waiting(holder, ended):
                    assert not call.done()
                    assert figures(port)[name] == number
                if number == 0:
                    answered(call)
            answered(call)
            assert figures(port)[name] == number + 1


def waiting(holder: psycopg.Connection[Any], then: str) -> list[Any]:
    """Who waits for a lock right now, and what is then done to each."""
    holder.execute("SELECT pg_stat_clear_snapshot()")  # or a database transaction sees what it saw first
    return holder.execute(f"SELECT {then} FROM pg_stat_activity WHERE {WAITING}").fetchall()


def until(port: int, name: str, value: float) -> dict[str, float]:
    """The figures, once the next look at the database has brought one of them."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := figures(port)).get(name) != value:
        assert time.monotonic() < deadline, f"{name} is {found.get(name)}"
    return found


def check_log(calls: list[dict[str, Any]]) -> None:
    assert [call.keys() == FIELDS for call in calls] == [True] * len(calls)
    told = {call["method"].rpartition("/")[2]: call for call in calls}
    assert {
        name: (call["code"], call["outcome"], call["entries"], call["book"]) for name, call in told.items()
    } == {
        "RecordSession": ("OK", "OK", "1", BOOK),
        "PostEntries": ("OK", "OK", "2-3", BOOK),
        "GetBalance": ("NOT_FOUND", "ACCOUNT_NOT_FOUND", "", BOOK),
        "Propose": ("OK", "OK", "", BOOK),
        "Approve": ("OK", "OK", "4", BOOK),
        "IngestRemittance": ("OK", "OK", "", BOOK),
    }
    assert {told[name]["actor"] for name in ("Propose", "Approve")} == {"mia", "abe"}
