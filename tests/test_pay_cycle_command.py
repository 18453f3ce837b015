"""`ledger pay-cycle` as people run it: from a calendar to a statement, by two of the system's users."""

import csv
import io
import re
from pathlib import Path

import nacha_reader
import pytest
import typer
from cycles import ROUTING, approved, calendar_set, cycle_proposed, earned, payee_set
from serving import Ledger, payout
from test_command import without_log
from typer.testing import CliRunner, Result

from service import calling, noting
from service.__main__ import app

APRIL = "2026-04-15"


class Desk:
    """The command line of a system on which somebody is logged in."""

    def __init__(self, ledger: Ledger, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        patch.setenv("LEDGER_DATABASE_URL", ledger.url)
        patch.setenv("COLUMNS", "200")

    def user(self, name: str) -> None:
        """Somebody else sits down."""
        for module in (noting, calling):
            self._patch.setattr(module, "system_user", lambda: name)

    def type(self, line: str, *more: str, keys: str = "") -> str:
        """What a command says that succeeds."""
        done = self.tried(line, *more, keys=keys)
        assert done.exit_code == 0, (done.output, done.exception)
        return without_log(done.stdout)

    def tried(self, line: str, *more: str, keys: str = "") -> Result:
        return CliRunner().invoke(app, [*line.split(), *more], input=keys)


@pytest.fixture
def desk(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Desk:
    found = Desk(ledger, monkeypatch)
    found.user("mia")
    return found


WHY = ("--reason", "as agreed")


def test_a_cycle_from_its_calendar_to_its_statement(desk: Desk, ledger: Ledger, tmp_path: Path) -> None:
    earned(ledger, "C1", "ada", "105.00")
    earned(ledger, "C2", "bob", "95.00")
    terms = "pay-cycle set-calendar --days 15,31 --first 2026-04-01 --pay-after 5"
    assert desk.type(terms, *WHY) == "version 1 of the calendar is in force\n"
    assert desk.type("pay-cycle calendar").splitlines()[0] == "2026-04-15  paid 2026-04-20"
    typed = f"{ROUTING}\n123456789\n"
    for who in (("--provider", "ada"), ("--company-id", "1234567890", "--bank-name", "First Bank")):
        said = desk.type("pay-cycle payee --name Example", *who, *WHY, keys=typed)
        assert "account ending in 6789, is in force" in said
        assert "123456789" not in said
    changed = desk.type("pay-cycle payee --name Example --provider ada", *WHY, keys=f"{ROUTING}\n998877\n")
    assert "waits for a second person" in changed
    approve = re.findall(r"ledger (pay-cycle approve \d+ --hash \w+)", changed)
    desk.user("abe")
    desk.type(approve[0], *WHY)
    desk.user("mia")
    assert "no payee" in desk.type(f"pay-cycle preview {APRIL}")
    early = desk.tried(f"pay-cycle run {APRIL}")
    assert type(early.exception).__name__ == "ApprovalNeeded"
    proposed = desk.type(f"pay-cycle propose {APRIL}", *WHY)
    assert desk.type(f"pay-cycle propose {APRIL}", *WHY) == proposed
    assert "planned 105.00 USD" in proposed
    approve = re.findall(r"ledger (pay-cycle approve \d+ --hash \w+)", proposed)
    assert type(desk.tried(approve[0], *WHY).exception).__name__ == "MakerIsChecker"
    desk.user("abe")
    desk.type(approve[0], *WHY)
    desk.user("mia")
    assert f"cycle {APRIL}, paid on 2026-04-20, posted: 1 paid, 1 no payee" in desk.type(f"pay-cycle run {APRIL}")
    assert "nothing is posted again" in desk.type(f"pay-cycle run {APRIL}")
    assert "105.00 USD" in desk.type("pay-cycle list")
    file = tmp_path / "april.ach"
    desk.type(f"pay-cycle file {APRIL} --output {file}", *WHY)
    _, [batch] = nacha_reader.read(file.read_bytes())
    assert [(one.who, one.account) for one in batch.entries] == [("ADA", "998877"), ("OFFSET", "123456789")]
    assert file.stat().st_mode & 0o077 == 0
    day = ("--day", "2026-04-16")
    assert "1 payments are marked as sent" in desk.type(f"pay-cycle sent {APRIL}", *day, *WHY)
    assert "1 payments are settled; entries: 4" in desk.type(f"pay-cycle settled {APRIL}", *day, *WHY)
    assert "came back with entry 5" in desk.type(f"pay-cycle return {APRIL} ada", *day, *WHY)
    assert "paid, returned" in desk.type(f"pay-cycle show {APRIL}")
    assert "bob is held" in desk.type("pay-cycle hold bob", *WHY)
    assert "bob is not held" in desk.type("pay-cycle release bob", *WHY)
    statement = desk.type(f"report provider-statement --provider ada --cycle {APRIL} --format csv")
    rows = [(row["line"], row["claim"], row["amount"]) for row in csv.DictReader(io.StringIO(statement))]
    assert rows == [("carried", "", "0.00"), ("session", "C1", "105.00"), ("paid", "", "-105.00")]
    assert "session" in desk.type(f"report provider-statement --provider ada --cycle {APRIL}")
    assert ledger.wrong() == []


def test_a_run_that_left_somebody_out_says_so(desk: Desk, ledger: Ledger) -> None:
    calendar_set(ledger)
    payee_set(ledger, "ada")
    earned(ledger, "C1", "ada", "105.00")
    approved(ledger, cycle_proposed(ledger, APRIL))
    ledger.postings.PayProvider(payout("ada", "1.00"))
    done = desk.tried(f"pay-cycle run {APRIL}")
    assert done.exit_code == 1
    assert "some were left to the next cycle" in done.stdout


SLIPS = {
    "days that are no numbers": "pay-cycle set-calendar --first 2026-01-01 --days fifteen --reason x",
    "a hash that is none": "pay-cycle approve 1 --hash xyz --reason x",
    "a statement of nobody": "report provider-statement --cycle 2026-04-15",
    "a statement of a day that is none": "report provider-statement --provider ada --cycle April",
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_refused(desk: Desk, name: str) -> None:
    done = desk.tried(SLIPS[name])
    assert done.exit_code != 0
    assert isinstance(done.exception, SystemExit | Exception)


def test_every_command_has_an_example() -> None:
    group = typer.main.get_command(app).commands["pay-cycle"]  # type: ignore[attr-defined]
    for command in group.commands.values():
        assert f"Example: ledger pay-cycle {command.name}" in command.help
