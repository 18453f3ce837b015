"""What PostgreSQL says of a commit, or instead of one, and what callers are told."""

from collections.abc import Iterator

import pytest
from conftest import connected, execute
from serving import BOOK, Ledger, Loop, cr, dr, entry, open_book, refused, serving, session

from ledger.v1 import postings_pb2 as po

SAYING = """
    CREATE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE {severity} 'might not have been replicated'; RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER say AFTER UPDATE ON heads DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION say();
"""
SILENT = "ALTER DATABASE \"{name}\" SET client_min_messages = 'error'"
READ_ONLY = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'cannot execute this during recovery' USING ERRCODE = '{state}'; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE ON heads FOR EACH STATEMENT EXECUTE FUNCTION refuse();
"""


@pytest.fixture
def warned(loop: Loop, database: str, request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """A book in which every COMMIT of a posting ends well, and with a word of this severity."""
    severity, silent = request.param
    if silent:
        execute(database, SILENT.format(name=database.rpartition("/")[2]))
    with serving(loop, database) as running:
        open_book(running)
        with connected(database) as owner:
            owner.execute(SAYING.format(severity=severity).encode())
        yield running


@pytest.mark.parametrize("warned", [("WARNING", False), ("WARNING", True)], indirect=True)
def test_a_warning_at_commit_is_an_unknown_outcome(warned: Ledger) -> None:
    """As PostgreSQL warns of a replica that was not waited for, whatever the database is set to leave unsaid."""
    asked = session("C1", idempotency_key="unsure")
    said = refused(warned.postings.RecordSession, asked)
    assert (said.code, said.reason) == ("UNAVAILABLE", "OUTCOME_UNKNOWN")
    with connected(warned.url) as owner:
        owner.execute("DROP TRIGGER say ON heads")
    assert warned.postings.RecordSession(asked).replayed
    assert len(warned.entries()) == 1


@pytest.mark.parametrize("warned", [("WARNING", False)], indirect=True)
def test_every_caller_of_the_batch_is_told(warned: Ledger) -> None:
    """Also one that was refused by its own fault: the others' entries decided that with it."""
    lines = dr("Assets:Cash", "1.00"), cr("Liabilities:UnappliedCash", "1.00")
    entries = [entry("2026-04-08", *lines), entry("2026-04-08", *lines), entry("2026-04-08", lines[0])]
    said = refused(warned.postings.PostEntries, po.PostEntriesRequest(book=BOOK, entries=entries))
    assert said.reason == "OUTCOME_UNKNOWN"


@pytest.mark.parametrize("warned", [("NOTICE", False)], indirect=True)
def test_any_other_word_at_commit_changes_nothing(warned: Ledger) -> None:
    assert not warned.postings.RecordSession(session("C1")).replayed


@pytest.mark.parametrize("state", ["25006", "0A000"])
def test_a_database_that_takes_no_writes_is_unavailable(ledger: Ledger, state: str) -> None:
    """As a standby says before its promotion: nothing is INTERNAL, and the same key posts later."""
    asked = session("C1")
    with connected(ledger.url) as owner:
        owner.execute(READ_ONLY.format(state=state).encode())
        said = refused(ledger.postings.RecordSession, asked)
        owner.execute("DROP TRIGGER refuse ON heads")
    assert (said.code, said.reason) == ("UNAVAILABLE", "DATABASE_UNAVAILABLE")
    assert not ledger.postings.RecordSession(asked).replayed
