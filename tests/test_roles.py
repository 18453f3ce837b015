"""Who may do what in PostgreSQL: every cell of role, table and verb, and what readers see of other books."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import psycopg
import pytest
import serving
from psycopg.errors import InsufficientPrivilege
from serving import Ledger, session
from test_approvals import approved, limited, paying, proposed
from test_schema import TABLES

from ledger.v1 import postings_pb2 as po

VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")

# What the program may: s select, i insert, and the columns it may update. Nobody may anything else.
PROGRAM = {
    "books": "si",
    "heads": "si number hash recorded_at changes",
    "accounts": "si closed_at closed_by close_reason",
    "entries": "si",
    "postings": "si",
    "entry_keys": "s",
    "entry_reversals": "s",
    "entries_1": "",
    "entries_2": "",
    "postings_1": "",
    "postings_2": "",
    "balances": "si debits credits",
    "daily_totals": "si debits credits",
    "recorded_levels": "si number",
    "recorded_totals": "si",
    "segment_days": "si",
    "tree_nodes": "si",
    "checkpoints": "si",
    "proposals": "si",
    "proposal_decisions": "si",
    "approval_limits": "si",
    "periods": "si",
    "period_balances": "si",
    "period_findings": "si",
    "allowance_policies": "si",
    "allowances": "si",
    "payer_identifiers": "si",
    "deliveries": "si finished_at",
    "delivery_parts": "si",
    "file_reads": "si",
    "remittances": "si state payer posted suspended settled_claim_count reason code_revision clearing applied",
    "claim_payments": (
        "si claim decision rule evidence entry_number reverses_remittance reverses_line"
        " contractual patient denial other_payer suspense"
    ),
    "remittance_states": "si",
    "forward_balances": "si",
    "earlier_decisions": "si",
    "provider_level_adjustments": "si",
    "exceptions": "si closed_at",
    "exception_events": "si",
    "pay_calendars": "si",
    "provider_holds": "si",
    "payees": "si",
    "payee_acceptances": "si",
    "pay_cycle_lines": "si",
    "pay_cycles": "si",
    "pay_cycle_results": "si",
    "pay_cycle_items": "si",
    "payment_states": "si",
    "payment_file_reads": "si",
    "claim_payers": "si",
    "claim_moves": "si",
    "payee_identifiers": "si",
    "codes": "si",
    "denials": "si",
    "denial_policies": "si",
    "provider_charging": "si",
    "write_off_caps": "si",
    "bank_statements": "si state posted repeated noted recorded_line reason",
    "deposits": "si",
    "deposit_traces": "si",
    "deposit_applications": "si",
    "deposit_policies": "si",
    "match_limits": "si",
    "claim_matches": "si",
    "reader_books": "",
    "alembic_version": "s",
}
PARTITIONS = {"entries_1", "entries_2", "postings_1", "postings_2"}
READABLE = PROGRAM.keys() - {"delivery_parts", "reader_books", "alembic_version", *PARTITIONS}
HELD = """
    SELECT verb FROM unnest(%s::text[]) AS verb
    WHERE has_table_privilege(%s, %s, verb)
"""
UPDATABLE = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND has_column_privilege(%s, attrelid, attname, 'UPDATE')
"""
IN_COLUMNS = """
    SELECT verb FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) AS verb
    WHERE has_any_column_privilege(%s, %s, verb)
"""
RELATIONS = "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v') AND relnamespace = %s::regnamespace"


@contextmanager
def connected(url: str, **changed: Any) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True, **changed) as connection:
        yield connection


@pytest.fixture(scope="module")
def owner(server: Ledger) -> Iterator[psycopg.Connection[Any]]:
    with connected(server.url) as connection:
        yield connection


def asked(owner: psycopg.Connection[Any], sql: str, *values: object) -> set[str]:
    return {str(value) for (value,) in owner.execute(sql, values)}


def test_the_table_has_every_relation(owner: psycopg.Connection[Any]) -> None:
    assert asked(owner, RELATIONS, "public") == PROGRAM.keys()
    assert {table.name for table in TABLES} <= PROGRAM.keys()
    assert asked(owner, RELATIONS, "ledger_reading") == READABLE


def test_every_cell_of_the_program(owner: psycopg.Connection[Any]) -> None:
    for table, rights in PROGRAM.items():
        verbs, *columns = rights.split() or [""]
        held = {"s": "SELECT", "i": "INSERT"}
        expected = {held[letter] for letter in verbs}
        assert asked(owner, HELD, [*VERBS], "ledger_program", table) == expected, table
        assert asked(owner, UPDATABLE, table, "ledger_program") == set(columns), table
        assert asked(owner, IN_COLUMNS, "ledger_program", table) - {"UPDATE"} == expected, table


def test_every_cell_of_readers(owner: psycopg.Connection[Any]) -> None:
    for table in PROGRAM:
        assert asked(owner, HELD, [*VERBS], "ledger_reader", f"public.{table}") == set(), table
        assert asked(owner, IN_COLUMNS, "ledger_reader", f"public.{table}") == set(), table
    for view in READABLE:
        assert asked(owner, HELD, [*VERBS], "ledger_reader", f"ledger_reading.{view}") == {"SELECT"}, view
        assert asked(owner, HELD, [*VERBS], "ledger_program", f"ledger_reading.{view}") == set(), view


def test_everybody_else_has_nothing(owner: psycopg.Connection[Any]) -> None:
    """PUBLIC was given no right on any table, nor to make anything."""
    granted = """
        SELECT relname FROM pg_class, aclexplode(relacl) AS given
        WHERE relnamespace IN ('public'::regnamespace, 'ledger_reading'::regnamespace) AND given.grantee = 0
    """
    assert asked(owner, granted) == set()
    for role in ("ledger_program", "ledger_reader"):
        for schema in ("public", "ledger_reading"):
            assert asked(owner, "SELECT has_schema_privilege(%s, %s, 'CREATE')", role, schema) == {"False"}


SEQUENCES = """
    SELECT relname || ' ' || verb FROM pg_class, unnest(ARRAY['USAGE', 'SELECT', 'UPDATE']) AS verb
    WHERE relkind = 'S' AND has_sequence_privilege(%s, oid, verb)
"""
MORE_THAN_A_ROLE = """
    SELECT rolname FROM pg_roles WHERE rolname = %s
        AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication OR rolcanlogin)
    UNION ALL SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %s::regrole
    UNION ALL SELECT classid::regclass::text FROM pg_shdepend
    WHERE refclassid = 'pg_authid'::regclass AND refobjid = %s::regrole AND deptype = 'o'
"""


@pytest.mark.parametrize("role", ["ledger_program", "ledger_reader"])
def test_the_roles_are_no_more_than_their_rights(owner: psycopg.Connection[Any], role: str) -> None:
    """No sequence, no attribute, no membership of another role, and nothing that it owns."""
    assert asked(owner, SEQUENCES, role) == set()
    assert asked(owner, MORE_THAN_A_ROLE, role, role, role) == set()


# --- a reader -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reader(server: Ledger) -> Iterator[psycopg.Connection[Any]]:
    """A login that may read the book CA of two that are used."""
    for book in ("CA", "NV"):
        serving.open_book(server, book)
        server.postings.RecordSession(session("C1", book=book))
        approve_something(server.of(book))
    name, password = f"auditor_{secrets.token_hex(4)}", secrets.token_hex(8)
    with connected(server.url) as owner:
        owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}' IN ROLE ledger_reader")
        owner.execute(f"ALTER ROLE {name} SET search_path = ledger_reading")
        owner.execute("INSERT INTO reader_books (login, book) VALUES (%s, 'CA')", [name])
        with connected(server.url, user=name, password=password) as connection:
            yield connection
        owner.execute(f"DROP ROLE {name}")


def approve_something(ledger: Ledger) -> None:
    """A limit, a proposal that was approved, and one that waits."""
    limited(ledger, po.KIND_PROVIDER_PAID, 100)
    approved(ledger, proposed(ledger, paying(ledger, "2.00")))
    proposed(ledger, paying(ledger, "3.00"))


def test_a_reader_sees_its_own_books_and_no_other(reader: psycopg.Connection[Any]) -> None:
    books = ("books", "heads", "accounts", "entries", "postings", "balances", "daily_totals")
    for relation in (*books, "approval_limits", "proposals", "proposal_decisions"):
        found = {book for (book,) in reader.execute(f"SELECT DISTINCT book FROM {relation}")}
        assert found == {"CA"}, relation


def test_a_reader_cannot_peep(reader: psycopg.Connection[Any]) -> None:
    """Neither past the views, nor as somebody else, nor by a function that is asked before the view decides."""
    for forbidden in (
        "SELECT * FROM public.entries",
        "SELECT * FROM public.delivery_parts",
        "SELECT * FROM public.reader_books",
        "INSERT INTO entries SELECT * FROM entries",
        "UPDATE accounts SET closed_by = 'me'",
        "DELETE FROM postings",
        "SET ROLE ledger_program",
        "SET SESSION AUTHORIZATION ledger_program",
        "CREATE TABLE public.mine (a int)",
    ):
        with pytest.raises(InsufficientPrivilege):
            reader.execute(forbidden)
    reader.execute(
        "CREATE FUNCTION pg_temp.peep(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001"
        " AS $$ BEGIN RAISE NOTICE 'seen %', $1; RETURN true; END $$"
    )
    seen: list[str] = []
    reader.add_notice_handler(lambda notice: seen.append(notice.message_primary or ""))
    reader.execute("SELECT number FROM entries WHERE pg_temp.peep(book)")
    assert set(seen) == {"seen CA"}
    reader.execute("DROP FUNCTION pg_temp.peep(text)")  # or the login could not be dropped for a moment


ASKED = {
    "as_of": "2026-12-31",
    "as_known_at": "1",
    "account": "Revenue:Sessions",
    "item": "",
    "effective_from": "2026-01-01",
    **dict.fromkeys(("by_payer", "by_provider", "by_plan", "by_state"), ""),
    **dict.fromkeys(("by_licence_type", "by_month", "actor"), ""),
    "days": "0",
    "after_account": "",
    "after_effective_date": "-infinity",
    "after_entry_number": "0",
    "after_line": "0",
    "page_size": "10",
}
REPORTS = [
    "service_months",
    *("trial_balance", "statement", "receivables_aging", "provider_payables", "session_margin", "proposals"),
    *("balance_sheet", "income_statement", "general_ledger", "lag_triangle", "actors", "entries_by_actor"),
    *("back_dated_entries", "receivables_rollforward", "payer_lag", "advance_exposure"),
]


@pytest.mark.parametrize("report", REPORTS)
def test_a_reader_runs_the_reports(reader: psycopg.Connection[Any], report: str) -> None:
    """As they are written; of a book it was not given there is nothing to see."""
    sql = files("ledger.reports").joinpath(f"{report}.sql").read_text()
    for book, rows in (("CA", True), ("NV", False)):
        filled = serving.set_by_hand(sql, book=book, **ASKED)
        assert bool(reader.execute(filled).fetchall()) is rows
