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
