"""Queries are kept as psql takes them, and reach the database as the same question."""

from pathlib import Path

import pytest

from ledger import database

QUERIES = {
    "a comment": ("SELECT 1 -- one :not_a_parameter", "SELECT 1 "),
    "a line of psql's own": ("\\set book 'main'\nSELECT 1", "SELECT 1"),
    "a variable": ("SELECT :'book', :'as_of'", "SELECT :book, :as_of"),
    "dashes in a text": ("SELECT 'a -- b', 1 -- c", "SELECT 'a -- b', 1 "),
    "an apostrophe in a comment": ("SELECT 1 -- the payer's\n, 'x'", "SELECT 1 \n, 'x'"),
    "an apostrophe in a text": ("SELECT 'it''s -- so' -- c", "SELECT 'it''s -- so' "),
    "no more than asked": ("SELECT 1 - -1", "SELECT 1 - -1"),
}


@pytest.mark.parametrize("case", QUERIES)
def test_a_query_as_psql_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    written, expected = QUERIES[case]
    (tmp_path / "asked.sql").write_text(written)
    monkeypatch.setattr(database, "files", lambda package: tmp_path)
    assert database.query("anywhere", "asked.sql").text == expected
