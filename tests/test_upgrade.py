"""A database of an earlier version is brought to this one with what it holds, and is guarded afterwards."""

from collections.abc import Iterator

import pytest
from alembic import command
from conftest import connected, execute, url_of
from psycopg.errors import CheckViolation
from sqlalchemy import create_engine
from test_integrity import found

from ledger import database
from ledger.database import migrate

BEFORE_REASONS = "0003"
REMITTANCE = "00000000-0000-4000-8000-000000000001"
KEPT = (
    "INSERT INTO books (book, name, opened_by) VALUES ('main', 'main', 'ada')",
    "INSERT INTO heads (book) VALUES ('main')",
    (
        "INSERT INTO accounts"
        " (book, code, type, currency, normal_side, item_required, opened_by, closed_at, closed_by) VALUES"
        " ('main', 'Assets:Gone', 'asset', 'USD', 'debit', false, 'ada', now(), 'ada'),"
        " ('main', 'Assets:Open', 'asset', 'USD', 'debit', false, 'ada', NULL, NULL)"
    ),
    "INSERT INTO payer_identifiers (book, identifier, payer, identified_by) VALUES ('main', 'X', 'AETNA', 'ada')",
    (
        "INSERT INTO deliveries (book, sha256, file_name, size, received_by) VALUES"
        " ('main', sha256('x'), 'x.835', 1, 'ada')"
    ),
    (
        "INSERT INTO remittances"
        " (book, id, sha256, position, state, content_hash, payer_name, signed_by, trace, claim_count) VALUES"
        f" ('main', '{REMITTANCE}', sha256('x'), 1, 'quarantined', '', 'Aetna', 'X', 'EFT1', 0)"
    ),
    (
        "INSERT INTO exceptions (book, id, remittance, line, reason, claim_as_sent, detail, owner, closed_at)"
        f" SELECT 'main', gen_random_uuid(), '{REMITTANCE}', 0, reason, '', '', owner, closed_at FROM (VALUES"
        " ('unbalanced', NULL, now()), ('unreadable', 'mia', NULL), ('broken_envelope', NULL, NULL)"
        ") AS raised (reason, owner, closed_at)"
    ),
)


@pytest.fixture
def old(cluster_url: str, worker_id: str) -> Iterator[str]:
    """A database from before reasons were kept, in use."""
    name = f"old_{worker_id}"
    execute(cluster_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}"')
    url = url_of(cluster_url, name)
    engine = create_engine(url)
    with engine.connect() as connection:
        command.upgrade(database._alembic(connection), BEFORE_REASONS)
        connection.commit()
    engine.dispose()
    execute(url, *KEPT)
    yield url
    execute(cluster_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def test_what_was_kept_without_reasons(old: str) -> None:
    """An account that was closed stays closed, and an identifier counts; from now on both want a reason."""
    assert migrate(old) != []
    assert found(old) == []
    with connected(old) as owner:
        said = owner.execute("SELECT payer, version, reason FROM payer_identifiers").fetchall()
        assert said == [("AETNA", 1, "identified before reasons were kept")]
        closed = owner.execute(
            "SELECT closed_by, close_reason FROM accounts WHERE code = 'Assets:Gone'"
        ).fetchone()
        assert closed == ("ada", None)
        with pytest.raises(CheckViolation):
            owner.execute("UPDATE accounts SET closed_at = now(), closed_by = 'ada' WHERE code = 'Assets:Open'")


def test_what_became_of_exceptions_before_it_was_kept(old: str) -> None:
    """What was closed, and what somebody had, has a history that says so; what only waits has none."""
    migrate(old)
    with connected(old) as owner:
        told = owner.execute(
            "SELECT x.reason, e.version, e.change, e.owner, e.said_by"
            " FROM exceptions AS x JOIN exception_events AS e ON e.book = x.book AND e.exception = x.id ORDER BY 1"
        ).fetchall()
    assert told == [
        ("unbalanced", 2, "settled", None, "migration"),
        ("unreadable", 2, "assigned", "mia", "migration"),
    ]
    assert found(old) == []
