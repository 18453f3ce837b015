"""The demo: the whole story ends well, its books pass other programs' checks, and nothing of it is left behind."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
import serving
from test_export import BEANCOUNT_BALANCES, TOOLS, exported, hledger, ours, ran
from test_postgres import is_running

from service import demo
from service.demo import mail, world
from service.demo.client import Client
from service.demo.remittance import CASES, written
from service.demo.story import Story
from service.server import start

assert hledger  # a fixture

DEMO = (sys.executable, "-m", "service", "demo")
DECISIONS = {
    *("contract variance", "denied", "forwarded", "noted", "overpaid", "paid in full"),
    *("patient owes", "reversed", "short paid", "suspended"),
}


def environment(folder: Path) -> dict[str, str]:
    """The demo must need no setting; a database that it must not touch is set, and nobody answers there."""
    return os.environ | {"TMPDIR": str(folder), "LEDGER_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}


def test_the_demo_ends_well(open_folder: Path) -> None:
    done = subprocess.run(DEMO, check=False, capture_output=True, text=True, env=environment(open_folder))
    said = done.stdout
    assert done.returncode == 0, said + done.stderr
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", said), "control characters in a pipe"
    assert "1,408 sessions in 1,300 claims by 20 providers for 5 payers recorded over gRPC" in said
    assert re.search(r"20 providers paid [0-9,.]+ on 2026-04-30 for sessions up to 2026-04-15", said)
    assert re.search(r"HARBOR-0612: 5\d\d claim payments, [0-9,.]+, settled", said)
    assert re.search(r"ORCHARD-0612: .* quarantined: claim CLP01=C-\d{4}: charge .* but paid is", said)
    assert "june.835 delivered twice more, once in another envelope: 0 entries posted" in said
    decided = re.search(r"decided: (.*)", said)
    assert decided
    counts = {name: int(count) for name, count in re.findall(r"([a-z ]+?) (\d+)(?:,|$)", decided[1])}
    assert {name.strip() for name, count in counts.items() if count} == DECISIONS
    for title in (
        "Trial balance",
        "Receivables aging",
        "Provider payables",
        "Session margin",
        "Balance sheet",
        "Service months",
        "Received",
    ):
        assert f"\n{title} of demo, as of " in said
    assert "the first 15 of " in said
    assert said.count(" equals ") == 17
    assert "DOES NOT EQUAL" not in said
    assert "bean-check accepts every entry" in said
    assert "All control totals tie, and the books are sound." in said
    assert list(open_folder.iterdir()) == []


def test_the_demo_leaves_nothing_behind_when_it_is_interrupted(open_folder: Path) -> None:
    running = subprocess.Popen(
        DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(open_folder)
    )
    assert running.stdout
    assert "is running" in running.stdout.readline()
    [started] = open_folder.glob("*/postgres/cluster/data/postmaster.pid")
    postgres = int(started.read_text().split()[0])
    running.send_signal(signal.SIGINT)
    said, wrong = running.communicate(timeout=serving.PATIENCE_SECONDS)
    assert running.returncode == 130
    assert "What was started is stopped" in said
    assert wrong == ""
    assert list(open_folder.iterdir()) == []
    assert not is_running(postgres)


def test_what_is_not_as_it_must_be_is_said_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo._closed(["debits 1.00 USD DOES NOT EQUAL credits 2.00 USD"], 1) == 1
    said = capsys.readouterr().out
    assert "NOT AS IT MUST BE: debits 1.00 USD DOES NOT EQUAL credits 2.00 USD" in said
    assert "sound" not in said


def test_the_demos_world_is_the_same_at_every_run() -> None:
    claims = world.claims()
    decided = mail.cases(claims)
    assert claims == world.claims()
    assert set(decided.values()) == CASES.keys()
    once, again = (written(mail.june(claims, mail.cases(claims)), 1) for _ in range(2))
    assert once == again


@pytest.fixture(scope="module")
def books(loop: serving.Loop, server: serving.Ledger) -> serving.Ledger:
    """The demo's story, told to a server of the tests' database."""

    async def told() -> list[str]:
        running = await start(server.url, "127.0.0.1:0")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel:
            story = Story(Client(channel, serving.BOOK))
            await story.tell()
        await running.stop(0)
        return story.doubts

    assert loop.run(told()) == []
    return server


def test_beancount_agrees_with_the_demos_books(books: serving.Ledger, tmp_path: Path) -> None:
    file = exported(books, "beancount", tmp_path)
    assert ran(TOOLS / "bean-check", file) == ""
    assert json.loads(ran(sys.executable, "-c", BEANCOUNT_BALANCES, file)) == ours(books)


def test_hledger_agrees_with_the_demos_books(books: serving.Ledger, tmp_path: Path, hledger: str) -> None:
    file = exported(books, "hledger", tmp_path)
    assert ran(hledger, "-f", file, "check", "--strict") == ""
    rows = csv.DictReader(io.StringIO(ran(hledger, "-f", file, "balance", "--flat", "--output-format=csv")))
    assert {row["account"]: row["balance"] for row in rows if row["account"] != "total"} == ours(books)
