"""Versions of the database: which a program works on, and how the next one comes while others post."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest
from conftest import connected
from grpc_health.v1 import health_pb2, health_pb2_grpc
from serving import PATIENCE_SECONDS, Ledger, Loop, eventually, open_book, serving, session
from torture.processes import ROOT
from torture.processes import ledger as command
from torture.versions import newest, one_on

from ledger.database import DatabaseUnfit, migrate
from service.connecting import refuse_unmigrated

FUNCTION = re.compile(r"CREATE (?:OR REPLACE )?FUNCTION (\w+)\(\)")
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
NEWEST = newest(ROOT)
LATER = f"{int(NEWEST) + 1:04}"
OLDER = "run ledger migrate"
BEHIND = "the database has left this program behind"

# The version of a database, the oldest program that it can bear, and what a program of this version says of it.
VERSIONS = {
    "its own": (NEWEST, None, ""),
    "its own, which leaves older ones behind": (NEWEST, NEWEST, ""),
    "an older one": ("0001", None, OLDER),
    "none at all": (None, None, OLDER),
    "a newer one, which only adds": (LATER, None, ""),
    "a newer one, which left older ones behind before": (LATER, NEWEST, ""),
    "a newer one, which leaves this program behind": (LATER, LATER, BEHIND),
    "something else": ("a word", None, OLDER),
}


def at_version(url: str, version: str | None, oldest: str | None) -> None:
    """Lets the database say that it is at this version, as `ledger migrate` of that version would: at once."""
    with connected(url) as owner, owner.transaction():
        owner.execute("DELETE FROM alembic_version")
        if version is not None:
            owner.execute("INSERT INTO alembic_version VALUES (%s)", [version])
        if oldest is not None:
            owner.execute(f"COMMENT ON TABLE alembic_version IS '{oldest}'".encode())


@pytest.mark.parametrize("case", VERSIONS)
def test_which_version_a_program_works_on(case: str, database: str) -> None:
    version, oldest, said = VERSIONS[case]
    at_version(database, version, oldest)
    with pytest.raises(DatabaseUnfit, match=said) if said else nullcontext():
        refuse_unmigrated(database)


def test_an_old_server_goes_on_over_a_newer_version_until_it_is_left_behind(loop: Loop, database: str) -> None:
    with serving(loop, database, guard_seconds=0.05) as ledger:
        open_book(ledger)
        health = health_pb2_grpc.HealthStub(ledger.channel)
        at_version(database, LATER, None)
        ledger.postings.RecordSession(session("C1"))
        told = health.Watch(health_pb2.HealthCheckRequest(), timeout=PATIENCE_SECONDS)
        assert next(told).status == SERVING
        at_version(database, LATER, LATER)
        assert next(told).status == NOT_SERVING
        at_version(database, LATER, NEWEST)
        assert next(told).status == SERVING
        ledger.postings.RecordSession(session("C2"))
        assert ledger.wrong() == []


def test_a_newer_version_is_left_as_it_is(database: str) -> None:
    at_version(database, LATER, None)
    assert migrate(database) == []


WAITING = """
    SELECT count(*) FROM pg_stat_activity WHERE application_name = 'migration' AND wait_event_type = 'Lock'
        AND datname = current_database()
"""
NEXT = """
ALTER TABLE entries ADD COLUMN next_note text;
ALTER TABLE heads ADD COLUMN next_number bigint;
"""


def test_a_migration_that_waits_for_a_table_keeps_nobody_waiting(
    ledger: Ledger, database: str, tmp_path: Path
) -> None:
    """While somebody reads a table for long, the migration does not stand in the way of those who post to it."""
    tree = one_on(tmp_path / "next", NEXT)
    with ThreadPoolExecutor() as pool, connected(database) as reader:
        with reader.transaction():
            reader.execute("SELECT FROM entries")
            migrating = pool.submit(command, database, "migrate", root=tree, PGAPPNAME="migration")
            eventually(lambda: waits(database), "the migration waits")
            for number in range(10):
                ledger.postings.RecordSession(session(f"C{number}"))
            assert not migrating.done()
        done = migrating.result()
    assert (done.returncode, done.stdout) == (0, f"migrated to {LATER} Made up: what a next version may do.\n")
    ledger.postings.RecordSession(session("after"))
    assert ledger.wrong() == []


def test_one_migration_runs_at_a_time(database: str, tmp_path: Path) -> None:
    """Of two that start together one does all of it, and the other finds nothing to do."""
    tree = one_on(tmp_path / "next", NEXT)
    with ThreadPoolExecutor() as pool:
        both = [pool.submit(command, database, "migrate", root=tree) for _ in range(2)]
        done = sorted((one.result().returncode, one.result().stdout) for one in both)
    assert done == [(0, ""), (0, f"migrated to {LATER} Made up: what a next version may do.\n")]


def test_each_version_is_recorded_by_itself(database: str, tmp_path: Path) -> None:
    """A version that fails undoes itself, and none of those before it: their locks are gone by then."""
    tree = one_on(tmp_path / "last", "SELECT 1 / 0", after=one_on(tmp_path / "next", NEXT))
    failed = command(database, "migrate", root=tree)
    assert failed.returncode == 1
    assert "division by zero" in failed.stderr
    with connected(database) as owner:
        assert owner.execute("SELECT version_num FROM alembic_version").fetchall() == [(LATER,)]


def test_a_version_that_leaves_older_programs_behind_says_so(database: str, tmp_path: Path) -> None:
    tree = one_on(tmp_path / "next", "SELECT 1")
    [script] = (tree / "migrations" / "versions").glob(f"{LATER}_*.py")
    script.write_text(f'{script.read_text()}\n\noldest_program = "{LATER}"\n')
    assert command(database, "migrate", root=tree).returncode == 0
    with pytest.raises(DatabaseUnfit, match=BEHIND):
        refuse_unmigrated(database)


def test_guards_that_an_older_server_looks_for_are_not_redefined() -> None:
    """A version that gives an earlier function another body renames it, or leaves older programs behind."""
    seen: set[str] = set()
    for script in sorted((ROOT / "migrations" / "versions").glob("*.sql")):
        names = set(FUNCTION.findall(script.read_text()))
        if "oldest_program" not in script.with_suffix(".py").read_text():
            assert not names & seen, f"{script.name} redefines {names & seen}: see migrations/__init__.py"
        seen |= names


def waits(url: str) -> bool:
    """Whether the migration waits for a lock."""
    asked = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'migration' AND wait_event_type = 'Lock'"
    )
    with connected(url) as owner:
        row = owner.execute(asked).fetchone()
        return bool(row and row[0])
