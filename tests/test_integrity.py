"""`ledger check` finds whatever a superuser does to the books behind the program's back, and nothing else."""

import asyncio
import re
from collections.abc import Iterator
from importlib.resources import files

import psycopg
import pytest
from conftest import copied
from serving import Ledger, Loop, cr, dr, entry, key, open_book, payout, serving, session, usd

from ledger.audit.integrity import Fault, faults
from ledger.database import engine, reading
from ledger.v1 import accounts_pb2 as accounts
from ledger.v1 import postings_pb2 as postings

GUARDS = {
    "entries_never_change": "entries",
    "entries_are_whole": "entries",
    "entries_are_in_open_months": "entries",
    "postings_never_change": "postings",
    "postings_are_whole": "postings",
    "accounts_close_once": "accounts",
    "accounts_stay": "accounts",
    "heads_stay": "heads",
    "heads_stand_at_the_last_entry": "heads",
    "entry_keys_never_change": "entry_keys",
    "entry_reversals_never_change": "entry_reversals",
}


async def _faults(url: str) -> list[Fault]:
    database = engine(url)
    try:
        async with reading(database) as connection:
            return await faults(connection)
    finally:
        await database.dispose()


def found(url: str) -> list[Fault]:
    return asyncio.run(_faults(url))


def as_superuser(url: str, *statements: str) -> None:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def tamper(url: str, *statements: str) -> None:
    """Does it as only an owner can: with every trigger switched off meanwhile, foreign keys among them."""
    tables = {*GUARDS.values(), "entries_1", "postings_1", "balances", "daily_totals"}
    off = [f"ALTER TABLE {table} DISABLE TRIGGER ALL" for table in tables]
    on = [f"ALTER TABLE {table} ENABLE TRIGGER ALL" for table in tables]
    always = [f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {guard}" for guard, table in GUARDS.items()]
    parts = [
        f"ALTER TABLE {table}_1 ENABLE ALWAYS TRIGGER {table}_never_change" for table in ("entries", "postings")
    ]
    as_superuser(url, *off, *statements, *on, *always, *parts)


@pytest.fixture(scope="module")
def filled(loop: Loop, cluster_url: str, template: str, worker_id: str) -> Iterator[str]:
    """The name of a database with books in it, which nobody uses any more: to be copied."""
    with copied(cluster_url, template, f"{template.replace('template', 'filled')}_{worker_id}") as url:
        with serving(loop, url) as running:
            open_book(running)
            fill(running)
        yield url.rpartition("/")[2]


@pytest.fixture
def books(cluster_url: str, filled: str, worker_id: str) -> Iterator[str]:
    """The URL of a copy of the test's own."""
    with copied(cluster_url, filled, f"{filled.replace('filled', 'test')}_{worker_id}") as url:
        yield url


def fill(ledger: Ledger) -> None:
    """Seven entries with every dimension, strange texts, far dates, a limit, a closed account and a reversal."""
    about = postings.Dimensions(
        payer='A "quoted" payer, with commas; and\\backslashes',
        provider="Zoë Łuczak 🙂",
        claim="C-1",
        session="S-1",
        plan="PPO",
        service_code="90837",
        licence_type="LCSW",
        state="CA",
        remittance="R-1",
        pay_cycle="2026-04b",
        service_date="2026-02-28",
        charge=usd("210.00"),
    )
    ledger.postings.RecordSession(session("C1", charge="200.00", patient_share="20.00"))
    ledger.postings.PayProvider(payout("ada", "105.00"))
    ledger.accounts.OpenAccount(
        accounts.OpenAccountRequest(
            book="main",
            code="Assets:Petty",
            currency_code="USD",
            balance_limit=accounts.BALANCE_LIMIT_MUST_NOT_GO_CREDIT,
        )
    )
    wide = entry(
        "0001-01-01", dr("Assets:Petty", "5.00", item="1 % é"), cr("Assets:Cash", "5.00"), dimensions=about
    )
    ledger.postings.PostEntry(postings.PostEntryRequest(book="main", entry=wide))
    wrong = ledger.post("9999-12-31", dr("Assets:Cash", "7.00"), cr("Revenue:Interest", "7.00", item="x"))
    ledger.postings.ReverseEntry(
        postings.ReverseEntryRequest(
            book="main", idempotency_key=key(), number=wrong.number, effective_date="2026-05-01", reason="twice"
        )
    )
    ledger.post("2026-05-02", dr("Assets:Petty", "1.00"), cr("Assets:Cash", "1.00"))
    ledger.post("2026-05-02", dr("Assets:Cash", "6.00"), cr("Assets:Petty", "6.00"))
    ledger.accounts.CloseAccount(accounts.CloseAccountRequest(book="main", code="Assets:Petty", reason="unused"))
    ledger.accounts.OpenBook(accounts.OpenBookRequest(book="empty", name="Nothing posted yet"))


def test_sound_books_have_no_faults(books: str) -> None:
    assert found(books) == []


ACCOUNT = "Assets:Receivable:Insurer:AETNA"
TAMPERINGS = {
    "an amount and all that is added up from it": (
        [
            "UPDATE postings SET amount = amount + sign(amount) * 100 WHERE entry_number = 2",
            "UPDATE balances SET debits = debits + 100 WHERE account = 'Liabilities:Payable:Provider:ada'",
            (
                "UPDATE daily_totals SET debits = debits + 100"
                " WHERE account = 'Liabilities:Payable:Provider:ada' AND effective_date = '2026-04-30'"
            ),
            "UPDATE balances SET credits = credits + 100 WHERE account = 'Assets:Cash'",
            (
                "UPDATE daily_totals SET credits = credits + 100"
                " WHERE account = 'Assets:Cash' AND effective_date = '2026-04-30'"
            ),
        ],
        {"hash_chain"},
    ),
    "one amount": (
        [f"UPDATE postings SET amount = amount + 1 WHERE account = '{ACCOUNT}'"],
        {"hash_chain", "entry_balances", "books_balance", "daily_totals", "balances"},
    ),
    "a description": (["UPDATE entries SET description = 'nothing to see' WHERE number = 2"], {"hash_chain"}),
    "an effective date": (
        ["UPDATE entries SET effective_date = '2026-04-29' WHERE number = 2"],
        {"hash_chain", "daily_totals", "posting_of_its_day"},
    ),
    "another day for a posting": (
        ["UPDATE postings SET effective_date = '2026-04-29' WHERE entry_number = 2"],
        {"posting_of_its_day"},
    ),
    "a key": (["UPDATE entry_keys SET number = 1"], {"entry_keys"}),
    "a reversal unlisted": (["DELETE FROM entry_reversals"], {"entry_reversals"}),
    "an id that is another's": (
        ["UPDATE entries SET id = (SELECT id FROM entries WHERE number = 1) WHERE number = 7"],
        {"hash_chain", "ids_differ"},
    ),
    "a time of recording": (
        ["UPDATE entries SET recorded_at = recorded_at + interval '1 hour' WHERE number = 2"],
        {"hash_chain", "recorded_in_order"},
    ),
    "an item": (["UPDATE postings SET item = 'C2' WHERE item = 'C1'"], {"hash_chain"}),
    "an item taken off": (
        [f"UPDATE postings SET item = NULL WHERE account = '{ACCOUNT}'"],
        {"hash_chain", "item_named"},
    ),
    "another author": (["UPDATE entries SET actor = 'somebody' WHERE number = 1"], {"hash_chain", "entry_keys"}),
    "a charge": (["UPDATE entries SET charge = 1 WHERE number = 1"], {"hash_chain"}),
    "an entry's postings deleted": (
        ["DELETE FROM postings WHERE entry_number = 2"],
        {"hash_chain", "postings_complete", "daily_totals", "balances"},
    ),
    "a balanced pair added": (
        [
            (
                "INSERT INTO postings"
                " SELECT book, entry_number, line + 2, effective_date, account, currency, -amount"
                " FROM postings WHERE entry_number = 2"
            ),
        ],
        {"hash_chain", "postings_complete", "daily_totals", "balances"},
    ),
    "the last entry deleted": (
        [
            "DELETE FROM postings WHERE entry_number = (SELECT max(number) FROM entries)",
            "DELETE FROM entries WHERE number = (SELECT max(number) FROM entries)",
        ],
        {"head_is_last_entry", "daily_totals", "balances", "closed_at_zero", "entry_keys"},
    ),
    "the last entry and all traces of it deleted": (
        [
            "DELETE FROM daily_totals WHERE effective_date = '2026-05-02'",
            (
                "INSERT INTO daily_totals VALUES ('main', 'Assets:Petty', '2026-05-02', 100, 0),"
                " ('main', 'Assets:Cash', '2026-05-02', 0, 100)"
            ),
            "UPDATE balances SET credits = credits - 600 WHERE account = 'Assets:Petty'",
            "UPDATE balances SET debits = debits - 600 WHERE account = 'Assets:Cash'",
            "UPDATE accounts SET closed_at = NULL, closed_by = NULL, close_reason = NULL",
            "DELETE FROM postings WHERE entry_number = 7",
            "DELETE FROM entries WHERE number = 7",
            "DELETE FROM entry_keys WHERE number = 7",
        ],
        {"head_is_last_entry"},
    ),
    "an entry deleted in the middle": (
        ["DELETE FROM postings WHERE entry_number = 2", "DELETE FROM entries WHERE number = 2"],
        {"numbers_without_gaps", "hash_chain", "daily_totals", "balances", "entry_keys"},
    ),
    "an entry deleted and its postings left": (
        ["DELETE FROM entries WHERE number = 2"],
        {"numbers_without_gaps", "hash_chain", "postings_complete", "daily_totals", "entry_keys"},
    ),
    "a new number": (
        [
            "UPDATE postings SET entry_number = 9 WHERE entry_number = 7",
            "UPDATE entries SET number = 9 WHERE number = 7",
        ],
        {"numbers_without_gaps", "hash_chain", "head_is_last_entry", "entry_keys"},
    ),
    "the head's number": (["UPDATE heads SET number = number + 1 WHERE book = 'main'"], {"head_is_last_entry"}),
    "the head's hash": (
        ["UPDATE heads SET hash = decode(repeat('00', 32), 'hex') WHERE book = 'main'"],
        {"head_is_last_entry"},
    ),
    "the head of an empty book": (["UPDATE heads SET number = 1 WHERE book = 'empty'"], {"head_is_last_entry"}),
    "a head deleted": (["DELETE FROM heads WHERE book = 'empty'"], {"head_is_last_entry"}),
    "an entry's hash": (
        ["UPDATE entries SET hash = decode(repeat('11', 32), 'hex') WHERE number = 2"],
        {"hash_chain"},
    ),
    "a day's total": (
        ["UPDATE daily_totals SET credits = credits + 1 WHERE account = 'Assets:Cash'"],
        {"daily_totals"},
    ),
    "a day's total deleted": (["DELETE FROM daily_totals WHERE account = 'Assets:Cash'"], {"daily_totals"}),
    "a day's total too many": (
        ["INSERT INTO daily_totals VALUES ('main', 'Assets:Cash', '2026-12-24', 0, 0)"],
        {"daily_totals"},
    ),
    "a balance": (["UPDATE balances SET debits = debits + 1 WHERE account = 'Assets:Cash'"], {"balances"}),
    "a balance deleted": (["DELETE FROM balances WHERE account = 'Assets:Cash'"], {"balances"}),
    "an account closed": (
        ["UPDATE accounts SET closed_at = now(), closed_by = 'me', close_reason = 'x' WHERE code = 'Assets:Cash'"],
        {"closed_at_zero"},
    ),
    "a limit": (
        ["UPDATE accounts SET balance_limit = 'must_not_go_credit' WHERE code = 'Assets:Cash'"],
        {"balance_limit"},
    ),
    "a limit on the other side": (
        [f"UPDATE accounts SET balance_limit = 'must_not_go_debit' WHERE code = '{ACCOUNT}'"],
        {"balance_limit"},
    ),
    "an account's currency": (
        ["UPDATE accounts SET currency = 'EUR' WHERE code = 'Assets:Cash'"],
        {"account_currency"},
    ),
    "what is reversed": (
        ["UPDATE entries SET reverses = 3 WHERE number = 5"],
        {"hash_chain", "reversal_mirrors", "entry_reversals"},
    ),
    "a reversal of nothing": (
        ["UPDATE entries SET reverses = NULL WHERE number = 5"],
        {"hash_chain", "reversal_mirrors", "entry_reversals"},
    ),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_tampering_is_found(books: str, tampering: str) -> None:
    statements, expected = TAMPERINGS[tampering]
    tamper(books, *statements)
    assert {fault.check_name for fault in found(books)} == expected


DISARMED = {
    "a trigger switched off": (
        ["ALTER TABLE entries DISABLE TRIGGER entries_are_whole"],
        "guard_in_place: trigger entries_are_whole: .* found disabled, AFTER INSERT ON entries .*",
    ),
    "a trigger that replicas skip": (
        ["ALTER TABLE postings ENABLE TRIGGER postings_are_whole"],
        "guard_in_place: trigger postings_are_whole: .* found enabled at times only, .*",
    ),
    "a trigger dropped": (
        ["DROP TRIGGER entries_never_change ON entries"],
        "guard_in_place: trigger entries_never_change: .* found no such trigger",
    ),
    "a trigger for less": (
        [
            "DROP TRIGGER postings_never_change ON postings",
            (
                "CREATE TRIGGER postings_never_change BEFORE DELETE ON postings"
                " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
            ),
            "ALTER TABLE postings ENABLE ALWAYS TRIGGER postings_never_change",
        ],
        "guard_in_place: trigger postings_never_change: .* found enabled always, BEFORE DELETE ON postings .*",
    ),
    "a trigger of accounts dropped": (
        ["DROP TRIGGER accounts_close_once ON accounts"],
        "guard_in_place: trigger accounts_close_once: .* found no such trigger",
    ),
    "accounts that can be emptied": (
        ["ALTER TABLE accounts DISABLE TRIGGER accounts_stay"],
        "guard_in_place: trigger accounts_stay: .* found disabled, .*",
    ),
    "a trigger of accounts that replicas skip": (
        ["ALTER TABLE accounts ENABLE TRIGGER accounts_close_once"],
        "guard_in_place: trigger accounts_close_once: .* found enabled at times only, .*",
    ),
    "a function that lets accounts change": (
        [
            (
                "CREATE OR REPLACE FUNCTION accounts_close_once() RETURNS trigger LANGUAGE plpgsql"
                " SET search_path = pg_catalog AS 'BEGIN RETURN NEW; END'"
            )
        ],
        "guard_in_place: function accounts_close_once: .*",
    ),
    "a right to change accounts": (
        ["GRANT UPDATE ON accounts TO ledger_program"],
        "right_withheld: UPDATE on accounts for ledger_program: expected withheld, found granted",
    ),
    "a right to change what accounts are": (
        ["GRANT UPDATE (balance_limit) ON accounts TO ledger_program"],
        "right_withheld: UPDATE on accounts \\(.*\\) for ledger_program: expected withheld, found granted",
    ),
    "a right to delete accounts": (
        ["GRANT DELETE ON accounts TO ledger_program"],
        "right_withheld: DELETE on accounts for ledger_program: expected withheld, found granted",
    ),
    "a trigger of decisions dropped": (
        ["DROP TRIGGER proposal_decisions_never_change ON proposal_decisions"],
        "guard_in_place: trigger proposal_decisions_never_change: .* found no such trigger",
    ),
    "a trigger of limits switched off": (
        ["ALTER TABLE approval_limits DISABLE TRIGGER approval_limits_never_change"],
        "guard_in_place: trigger approval_limits_never_change: .* found disabled, .*",
    ),
    "makers that may check": (
        ["ALTER TABLE proposal_decisions DROP CONSTRAINT maker_is_not_checker"],
        "guard_in_place: constraint maker_is_not_checker on proposal_decisions: .* found no such constraint",
    ),
    "limits that one may raise": (
        [
            "ALTER TABLE approval_limits DROP CONSTRAINT limit_raised_by_two",
            "ALTER TABLE approval_limits ADD CONSTRAINT limit_raised_by_two CHECK (version > 0)",
        ],
        r"guard_in_place: constraint limit_raised_by_two on approval_limits: .* found CHECK \(version > 0\)",
    ),
    "a right to change proposals": (
        ["GRANT UPDATE (shown) ON proposals TO ledger_program"],
        r"right_withheld: UPDATE on proposals \(shown\) for ledger_program: expected withheld, found granted",
    ),
    "a right to change whom an identifier means": (
        ["GRANT UPDATE (payer) ON payer_identifiers TO ledger_program"],
        r"right_withheld: UPDATE on payer_identifiers \(payer\) for ledger_program: .* found granted",
    ),
    "a function that does nothing": (
        [
            (
                "CREATE OR REPLACE FUNCTION entries_are_whole() RETURNS trigger LANGUAGE plpgsql"
                " AS 'BEGIN RETURN NULL; END'"
            )
        ],
        "guard_in_place: function entries_are_whole: .*",
    ),
    "a right to change": (
        ["GRANT UPDATE ON entries TO ledger_program"],
        "right_withheld: UPDATE on entries for ledger_program: expected withheld, found granted",
    ),
    "a right to change one column": (
        ["GRANT UPDATE (description) ON entries TO ledger_program"],
        "right_withheld: UPDATE on entries \\(description\\) for ledger_program: expected withheld, found granted",
    ),
    "a right to change totals of what was known": (
        ["GRANT UPDATE ON recorded_totals TO ledger_program"],
        "right_withheld: UPDATE on recorded_totals for ledger_program: expected withheld, found granted",
    ),
    "a right to delete": (
        ["GRANT DELETE ON postings TO ledger_program"],
        "right_withheld: DELETE on postings for ledger_program: expected withheld, found granted",
    ),
    "a head that stands anywhere": (
        ["ALTER TABLE heads DISABLE TRIGGER heads_stand_at_the_last_entry"],
        "guard_in_place: trigger heads_stand_at_the_last_entry: .* found disabled, .*",
    ),
    "a partition that can be emptied": (
        ["DROP TRIGGER postings_never_change ON postings_1"],
        "guard_in_place: trigger postings_never_change on postings_1: .* found no such trigger",
    ),
    "a right to a partition": (
        ["GRANT INSERT ON entries_1 TO ledger_program"],
        "right_withheld: INSERT on entries_1 for ledger_program: expected withheld, found granted",
    ),
    "a right to keys": (
        ["GRANT INSERT ON entry_keys TO ledger_program"],
        "right_withheld: INSERT on entry_keys for ledger_program: expected withheld, found granted",
    ),
    "a right that everybody has": (
        ["GRANT TRUNCATE ON postings TO PUBLIC"],
        "right_withheld: TRUNCATE on postings for everybody: expected withheld, found granted",
    ),
}


@pytest.mark.parametrize("disarming", DISARMED)
def test_missing_guards_are_found(database: str, disarming: str) -> None:
    statements, expected = DISARMED[disarming]
    as_superuser(database, *statements)
    [fault] = found(database)
    assert re.fullmatch(expected, str(fault))


@pytest.mark.parametrize("name", ["integrity.sql", "pay_cycles.sql", "guards.sql"])
def test_an_auditor_can_paste_it_into_psql(books: str, name: str) -> None:
    """It has no variable; the text itself goes to PostgreSQL, comments and all, as the owner and as anybody."""
    sql = files("migrations" if name == "guards.sql" else "ledger.audit").joinpath(name).read_text()
    with psycopg.connect(books.replace("+psycopg", "")) as connection:
        cursor = connection.execute(sql.encode())
        assert [column.name for column in cursor.description or ()] == [
            "check_name",
            "book",
            "subject",
            "expected",
            "found",
        ]
        assert cursor.fetchall() == []
