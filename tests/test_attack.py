"""Direct SQL against the books: what the program's own role may not do, and what nobody may do unnoticed.

Each attack runs to the end of its transaction, deferred checks included, and is rolled back. The negative
controls take one defence away and see the attack succeed: so each refusal here is that defence's work.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import errors
from serving import Ledger, cr, dr, open_book, session

from ledger.database import PROGRAM_ROLE
from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import periods_pb2 as pe

Connection = psycopg.Connection[Any]
DENIED = errors.InsufficientPrivilege
CASH, EARNED = "Assets:Cash", "Revenue:Sessions"


@pytest.fixture(scope="module")
def books(server: Ledger) -> Ledger:
    """A book with two entries in dollars and one in euros, and a month that is closed before them."""
    open_book(server)
    server.postings.RecordSession(session("C1"))
    server.post("2026-04-08", dr(CASH, "1.00"), cr(EARNED, "1.00"))
    server.accounts.OpenAccount(ac.OpenAccountRequest(book="main", code="Assets:Shut", currency_code="USD"))
    server.accounts.CloseAccount(ac.CloseAccountRequest(book="main", code="Assets:Shut", reason="unused"))
    server.periods.ClosePeriod(pe.ClosePeriodRequest(book="main", month="2025-12", reason="before our time"))
    server.periods.SoftClosePeriod(
        pe.SoftClosePeriodRequest(book="main", month="2026-01", reason="before our time")
    )
    unapplied = "Liabilities:UnappliedCash"
    server.post("2026-04-08", dr(unapplied, "1.00", currency="EUR"), cr(unapplied, "1.00", currency="EUR"))
    return server


@pytest.fixture(scope="module")
def owner(books: Ledger) -> Iterator[Connection]:
    """The superuser's connection, which owns the tables."""
    with psycopg.connect(books.url.replace("+psycopg", "")) as connection:
        yield connection


@pytest.fixture(scope="module")
def program(books: Ledger, owner: Connection) -> Iterator[Connection]:
    """A connection that can be nothing but the program."""
    name, password = f"attacker_{secrets.token_hex(4)}", secrets.token_hex(8)
    owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}' IN ROLE {PROGRAM_ROLE}")
    owner.commit()
    with psycopg.connect(
        books.url.replace("+psycopg", ""), user=name, password=password, options=f"-c role={PROGRAM_ROLE}"
    ) as connection:
        yield connection
    owner.execute(f"DROP ROLE {name}")
    owner.commit()


@contextmanager
def undone(connection: Connection) -> Iterator[Connection]:
    """A transaction of which nothing stays."""
    try:
        yield connection
    finally:
        connection.rollback()


def attack(connection: Connection, statements: Sequence[str]) -> None:
    """Runs them as one transaction, up to where it would commit."""
    for statement in (*statements, "SET CONSTRAINTS ALL IMMEDIATE"):
        connection.execute(statement)


# --- what is attempted --------------------------------------------------------------------------------


def entry(number: int = 4, postings: int = 2, **changed: str) -> str:
    """An INSERT of an entry that says it has so many postings."""
    values = {
        "book": "'main'",
        "number": str(number),
        "id": "gen_random_uuid()",
        "kind": "'manual'",
        "effective_date": "'2026-04-08'",
        "recorded_at": "now()",
        "description": "'forged'",
        "actor": "'eve'",
        "idempotency_key": f"'forged {number}'",
        "request_hash": "decode(repeat('00', 32), 'hex')",
        "posting_count": str(postings),
        "hash": "decode(repeat('00', 32), 'hex')",
    } | changed
    return f"INSERT INTO entries ({', '.join(values)}) VALUES ({', '.join(values.values())})"


def lines(
    *rows: tuple[str, int] | tuple[str, int, str], number: int = 4, first: int = 1, day: str = "2026-04-08"
) -> str:
    """An INSERT of postings: account, signed amount and currency, numbered from `first`."""
    values = (
        f"('main', {number}, {line}, '{day}', '{account}', '{(*currency, 'USD')[0]}', {amount})"
        for line, (account, amount, *currency) in enumerate(rows, first)
    )
    columns = "book, entry_number, line, effective_date, account, currency, amount"
    return f"INSERT INTO postings ({columns}) VALUES {', '.join(values)}"


def head(number: int = 4) -> str:
    """Moves the head, as everybody who posts does first."""
    return f"UPDATE heads SET number = {number}, hash = decode(repeat('00', 32), 'hex') WHERE book = 'main'"


BALANCED = ((CASH, 500), (EARNED, -500))
UNBALANCED = [head(), lines((CASH, 500), (EARNED, -400)), entry()]
WITH_A_GAP = lines(*BALANCED).replace("('main', 4, 2,", "('main', 4, 3,")
EMPTY = [head(), entry()]
LATE = [lines(*BALANCED, number=2, first=3)]
FOOLED = [
    head(),
    "CREATE TEMP TABLE postings (LIKE public.postings)",
    lines(*BALANCED),
    entry(),
]

IN_A_CLOSED_MONTH = [head(), lines(*BALANCED, day="2025-12-31"), entry(effective_date="'2025-12-31'")]
BEFORE_ALL_MONTHS = [head(), lines(*BALANCED, day="1926-04-08"), entry(effective_date="'1926-04-08'")]
FOR_NO_REASON = [
    head(),
    lines(*BALANCED, day="2026-01-31"),
    entry(effective_date="'2026-01-31'", description="''"),
]

OWNER = "SELECT tableowner FROM pg_tables WHERE tablename = 'entries'"
BLIND = "RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$"
SOUND = [head(), lines(*BALANCED), entry()]

# As the program's role: what is attempted, and PostgreSQL's own word for the refusal.
ATTACKS: dict[str, tuple[list[str], type[Exception]]] = {
    "change an entry": (["UPDATE entries SET description = 'other'"], DENIED),
    "change a posting": (["UPDATE postings SET amount = 2 * amount"], DENIED),
    "delete entries": (["DELETE FROM entries"], DENIED),
    "delete postings": (["DELETE FROM postings"], DENIED),
    "empty entries": (["TRUNCATE entries CASCADE"], DENIED),
    "empty postings": (["TRUNCATE postings"], DENIED),
    "change by inserting": (
        [entry(1) + " ON CONFLICT (book, number) DO UPDATE SET description = 'other'"],
        DENIED,
    ),
    "change by merging": (
        ["MERGE INTO entries AS e USING (SELECT 1) AS s ON true WHEN MATCHED THEN UPDATE SET description = 'x'"],
        DENIED,
    ),
    "lock entries": (["SELECT FROM entries FOR UPDATE"], DENIED),
    "lock postings": (["SELECT FROM postings FOR KEY SHARE"], DENIED),
    "lock the table against all": (["LOCK TABLE entries IN ACCESS EXCLUSIVE MODE"], DENIED),
    "an entry that does not balance": (UNBALANCED, errors.CheckViolation),
    "an entry without postings": (EMPTY, errors.CheckViolation),
    "an entry that says it has none": ([head(), entry(postings=0)], errors.CheckViolation),
    "an entry of one posting": ([head(), lines((CASH, 500)), entry(postings=1)], errors.CheckViolation),
    "fewer postings than it says": ([head(), lines(*BALANCED), entry(postings=3)], errors.CheckViolation),
    "more postings than it says": (
        [head(), lines(*BALANCED, *BALANCED), entry(postings=2)],
        errors.CheckViolation,
    ),
    "a gap between its lines": ([head(), WITH_A_GAP, entry()], errors.CheckViolation),
    "a gap that its count covers up": ([head(), WITH_A_GAP, entry(postings=3)], errors.CheckViolation),
    "its lines in two statements": (
        [head(), lines((CASH, 500)), lines((EARNED, -500), first=2), entry()],
        errors.CheckViolation,
    ),
    "a posting of another day": (
        [head(), lines(*BALANCED, day="2026-04-09"), entry()],
        errors.CheckViolation,
    ),
    "postings of two days": (
        [head(), lines(*BALANCED).replace("4, 2, '2026-04-08'", "4, 2, '2026-04-09'"), entry()],
        errors.CheckViolation,
    ),
    "postings of two books in one statement": (
        [head(), lines(*BALANCED).replace("('main', 4, 2", "('other', 4, 2"), entry()],
        errors.RestrictViolation,
    ),
    "an entry in a closed month": (IN_A_CLOSED_MONTH, errors.RestrictViolation),
    "an entry before all closed months": (BEFORE_ALL_MONTHS, errors.RestrictViolation),
    "an entry in a soft-closed month for no reason": (FOR_NO_REASON, errors.RestrictViolation),
    "an entry in a closed month, and months of one's own": (
        ["CREATE TEMP TABLE periods (LIKE public.periods)", *IN_A_CLOSED_MONTH],
        errors.RestrictViolation,
    ),
    "a gap in the numbers": ([head(5), lines(*BALANCED, number=5), entry(5)], errors.CheckViolation),
    "a head beyond the last entry": ([*SOUND, head(5)], errors.CheckViolation),
    "a head that moves alone": ([head()], errors.CheckViolation),
    "a head that goes back": (
        ["UPDATE heads AS h SET number = 1, hash = e.hash FROM entries AS e WHERE e.number = 1"],
        errors.CheckViolation,
    ),
    "an entry behind the head's back": ([lines(*BALANCED), entry()], errors.RestrictViolation),
    "a key without an entry": (["INSERT INTO entry_keys VALUES ('main', 'eve', 'k', 1)"], DENIED),
    "a reversal without an entry": (["INSERT INTO entry_reversals VALUES ('main', 1, 2)"], DENIED),
    "an entry straight into a partition": ([entry().replace("INTO entries", "INTO entries_1")], DENIED),
    "postings straight into a partition": (
        [lines(*BALANCED).replace("INTO postings", "INTO postings_1")],
        DENIED,
    ),
    "balanced over two currencies only": (
        [head(), lines((CASH, 500), ("Liabilities:UnappliedCash", -500, "EUR")), entry()],
        errors.CheckViolation,
    ),
    "one bad entry among good ones": (
        [
            head(5),
            lines(*BALANCED),
            lines((CASH, 5), (EARNED, -4), number=5),
            f"{entry()}, {entry(5).split('VALUES ')[1]}",
        ],
        errors.CheckViolation,
    ),
    "an entry before its postings": ([head(), entry(), lines(*BALANCED)], errors.CheckViolation),
    "postings for an old entry": (LATE, errors.RestrictViolation),
    "postings for an entry of the same transaction": (
        [*SOUND, lines(*BALANCED, first=3)],
        errors.RestrictViolation,
    ),
    "postings without an entry": ([head(), lines(*BALANCED)], errors.CheckViolation),
    "a posting of nothing": ([head(), lines((CASH, 0), (EARNED, 0)), entry()], errors.CheckViolation),
    "a line before the first": ([head(), lines(*BALANCED, first=0)], errors.CheckViolation),
    "a posting in another currency than its account": (
        [head(), lines((CASH, 500, "EUR"), (CASH, -500, "EUR")), entry()],
        errors.ForeignKeyViolation,
    ),
    "a posting to no account": (
        [head(), lines(("Assets:Unheard", 500), (EARNED, -500)), entry()],
        errors.ForeignKeyViolation,
    ),
    "the same line twice": ([head(), lines(*BALANCED), lines(*BALANCED)], errors.UniqueViolation),
    "a number that is taken": ([entry(2)], errors.UniqueViolation),
    "a number that is none": ([head(), entry(0)], errors.CheckViolation),
    "a key that is taken": (
        [head(5), lines(*BALANCED), entry(), lines(*BALANCED, number=5), entry(5, idempotency_key="'forged 4'")],
        errors.UniqueViolation,
    ),
    "an entry reversed twice": (
        [head(5), lines(*BALANCED), entry(reverses="2"), lines(*BALANCED, number=5), entry(5, reverses="2")],
        errors.UniqueViolation,
    ),
    "a reversal of what comes later": (
        [head(), lines(*BALANCED), entry(reverses="4")],
        errors.CheckViolation,
    ),
    "an entry by nobody": ([head(), lines(*BALANCED), entry(actor="''")], errors.CheckViolation),
    "an entry without a hash": ([head(), lines(*BALANCED), entry(hash="''")], errors.CheckViolation),
    "postings of its own before the check": (FOOLED, errors.CheckViolation),
    "another book's head": (["UPDATE heads SET book = 'other'"], DENIED),
    "no head": (["DELETE FROM heads"], DENIED),
    "no totals": (["DELETE FROM daily_totals"], DENIED),
    "another currency for an account": (["UPDATE accounts SET currency = 'EUR'"], DENIED),
    "no limit for an account": (["UPDATE accounts SET balance_limit = NULL"], DENIED),
    "a closed account open again": (
        ["UPDATE accounts SET closed_at = NULL, closed_by = NULL WHERE code = 'Assets:Shut'"],
        errors.RestrictViolation,
    ),
    "a closed account closed later": (
        ["UPDATE accounts SET closed_at = now() WHERE code = 'Assets:Shut'"],
        errors.RestrictViolation,
    ),
    "a closed account closed by another": (
        ["UPDATE accounts SET closed_by = 'eve' WHERE code = 'Assets:Shut'"],
        errors.RestrictViolation,
    ),
    "an open account closed by nobody": (
        [f"UPDATE accounts SET closed_at = now(), close_reason = 'unused' WHERE code = '{CASH}'"],
        errors.CheckViolation,
    ),
    "an account closed for no reason": (
        [f"UPDATE accounts SET closed_at = now(), closed_by = 'eve' WHERE code = '{CASH}'"],
        errors.CheckViolation,
    ),
    "an account closed and changed at once": (
        [f"UPDATE accounts SET closed_at = now(), closed_by = 'eve', opened_by = 'eve' WHERE code = '{CASH}'"],
        DENIED,
    ),
    "no accounts": (["TRUNCATE accounts CASCADE"], DENIED),
    "no account": (["DELETE FROM accounts WHERE code = 'Assets:Shut'"], DENIED),
    "another name for a book": (["UPDATE books SET name = 'other'"], DENIED),
    "switch the triggers off": (["ALTER TABLE entries DISABLE TRIGGER ALL"], DENIED),
    "drop a trigger": (["DROP TRIGGER entries_are_whole ON entries"], DENIED),
    "replace a trigger's function": (
        [f"CREATE OR REPLACE FUNCTION public.entries_are_whole() {BLIND}"],
        DENIED,
    ),
    "drop a table": (["DROP TABLE postings CASCADE"], DENIED),
    "alter a table": (["ALTER TABLE postings ALTER COLUMN amount TYPE numeric"], DENIED),
    "a table of its own": (["CREATE TABLE public.other (x int)"], DENIED),
    "a rule on a table": (["CREATE RULE r AS ON INSERT TO entries DO INSTEAD NOTHING"], DENIED),
    "more rights": ([f"GRANT ALL ON entries TO {PROGRAM_ROLE}", "UPDATE entries SET number = 9"], DENIED),
    "become the owner": ([f"SELECT set_config('role', ({OWNER}), false)"], DENIED),
    "own the table": ([f"ALTER TABLE entries OWNER TO {PROGRAM_ROLE}"], DENIED),
    "act as a replica": (["SET session_replication_role = 'replica'"], DENIED),
    "run a program": (["COPY postings TO PROGRAM 'true'"], DENIED),
}


@pytest.mark.parametrize("case", ATTACKS)
def test_the_program_cannot(program: Connection, case: str) -> None:
    statements, refusal = ATTACKS[case]
    with undone(program), pytest.raises(refusal):
        attack(program, statements)


def test_the_program_can_close_an_account(program: Connection) -> None:
    """Once, and nothing else of it: so the attacks on accounts fail for what is wrong with them."""
    closing = (
        f"UPDATE accounts SET closed_at = now(), closed_by = 'ada', close_reason = 'unused' WHERE code = '{CASH}'"
    )
    with undone(program):
        attack(program, [closing])
        with pytest.raises(errors.RestrictViolation):
            attack(program, [closing])


def test_the_program_can_post_what_is_sound(program: Connection) -> None:
    """The same statements where nothing is wrong with them: so the attacks fail for what is wrong."""
    with undone(program):
        attack(program, SOUND)
        assert program.execute("SELECT count(*) FROM entries").fetchone() == (4,)


# --- the owner ----------------------------------------------------------------------------------------

CHANGES = {
    "change an entry": "UPDATE entries SET description = 'other'",
    "change no entry": "UPDATE entries SET description = 'other' WHERE false",
    "change a posting": "UPDATE postings SET amount = 2 * amount",
    "delete entries": "DELETE FROM entries WHERE number = 2",
    "delete postings": "DELETE FROM postings WHERE entry_number = 2",
    "empty entries": "TRUNCATE entries CASCADE",
    "empty postings": "TRUNCATE postings",
    "open a closed account": (
        "UPDATE accounts SET closed_at = NULL, closed_by = NULL, close_reason = NULL WHERE code = 'Assets:Shut'"
    ),
    "close a closed account later": "UPDATE accounts SET closed_at = now() WHERE code = 'Assets:Shut'",
    "change what an account is": f"UPDATE accounts SET item_required = true WHERE code = '{CASH}'",
    "change it as it closes": (
        "UPDATE accounts SET closed_at = now(), closed_by = 'eve', close_reason = 'x',"
        " balance_limit = 'must_not_go_debit'"
        f" WHERE code = '{CASH}'"
    ),
    "delete an account": "DELETE FROM accounts WHERE code = 'Assets:Shut'",
    "delete no account": "DELETE FROM accounts WHERE false",
    "empty accounts": "TRUNCATE accounts CASCADE",
    "change an entry in its partition": "UPDATE entries_1 SET description = 'other'",
    "delete postings from their partition": "DELETE FROM postings_1 WHERE entry_number = 2",
    "empty a partition": "TRUNCATE postings_1",
    "change a key": "UPDATE entry_keys SET number = 1",
    "delete a key": "DELETE FROM entry_keys",
    "forget a reversal": "DELETE FROM entry_reversals",
    "delete a head": "DELETE FROM heads",
}


@pytest.mark.parametrize("case", CHANGES)
def test_not_even_the_owner_changes_what_is_posted(owner: Connection, case: str) -> None:
    with undone(owner), pytest.raises(errors.RestrictViolation):
        attack(owner, [CHANGES[case]])


@pytest.mark.parametrize("case", CHANGES)
def test_not_even_as_a_replica(owner: Connection, case: str) -> None:
    """The bypass that a superuser has: triggers that are not ALWAYS do not fire then."""
    with undone(owner), pytest.raises(errors.RestrictViolation):
        attack(owner, ["SET LOCAL session_replication_role = 'replica'", CHANGES[case]])


@pytest.mark.parametrize(
    ("statements", "refusal"), [(UNBALANCED, errors.CheckViolation), (LATE, errors.RestrictViolation)]
)
def test_nor_unbalances_the_books_as_a_replica(
    owner: Connection, statements: list[str], refusal: type[Exception]
) -> None:
    with undone(owner), pytest.raises(refusal):
        attack(owner, ["SET LOCAL session_replication_role = 'replica'", *statements])


def test_rights_given_by_mistake_are_not_enough(owner: Connection) -> None:
    """Grants and triggers are two defences: either holds alone."""
    given = [f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {PROGRAM_ROLE}", f"SET LOCAL ROLE {PROGRAM_ROLE}"]
    for change in CHANGES.values():
        with undone(owner), pytest.raises(errors.RestrictViolation):
            attack(owner, [*given, change])


# --- negative controls --------------------------------------------------------------------------------

# A trigger, and what only it prevents.
PREVENTED = {
    "entries_never_change": ("entries", [CHANGES["change an entry"]]),
    "postings_never_change": ("postings", [CHANGES["change a posting"]]),
    "entries_are_whole": ("entries", [f"SET LOCAL ROLE {PROGRAM_ROLE}", *EMPTY]),
    "postings_are_whole": ("postings", [f"SET LOCAL ROLE {PROGRAM_ROLE}", *UNBALANCED]),
    "accounts_close_once": ("accounts", [CHANGES["open a closed account"], CHANGES["change what an account is"]]),
    "accounts_stay": ("accounts", [CHANGES["delete an account"]]),
    "heads_stand_at_the_last_entry": ("heads", [f"SET LOCAL ROLE {PROGRAM_ROLE}", head(7)]),
    "entries_are_in_open_months": ("entries", [f"SET LOCAL ROLE {PROGRAM_ROLE}", *IN_A_CLOSED_MONTH]),
    "heads_stay": ("heads", [CHANGES["delete a head"]]),
    "entry_keys_never_change": ("entry_keys", [CHANGES["delete a key"]]),
    "entry_reversals_never_change": ("entry_reversals", [CHANGES["forget a reversal"]]),
}


def test_every_trigger_has_a_control(owner: Connection) -> None:
    """And is ALWAYS on."""
    with undone(owner):
        found = owner.execute(
            "SELECT tgname, tgenabled FROM pg_trigger "
            "WHERE NOT tgisinternal AND tgrelid = ANY (CAST(%s AS regclass[]))",
            [[*{table for table, _ in PREVENTED.values()}]],
        ).fetchall()
    assert dict(found) == dict.fromkeys(PREVENTED, "A")


@pytest.mark.parametrize("trigger", PREVENTED)
def test_without_its_trigger_the_attack_succeeds(owner: Connection, trigger: str) -> None:
    table, statements = PREVENTED[trigger]
    with undone(owner):
        attack(owner, [f"ALTER TABLE {table} DISABLE TRIGGER {trigger}", *statements])


@pytest.mark.parametrize("trigger", PREVENTED)
def test_a_trigger_that_is_not_always_is_bypassed_by_a_replica(owner: Connection, trigger: str) -> None:
    table, statements = PREVENTED[trigger]
    weakened = [f"ALTER TABLE {table} ENABLE TRIGGER {trigger}", "SET LOCAL session_replication_role = 'replica'"]
    with undone(owner):
        attack(owner, [*weakened, *statements])


def test_a_function_that_trusts_the_search_path_is_fooled(owner: Connection) -> None:
    """Why the trigger's functions name their schema: postings of a temporary table would be counted instead."""
    trusting = "ALTER FUNCTION entries_are_whole() RESET search_path"
    with undone(owner):
        attack(owner, [trusting, f"SET LOCAL ROLE {PROGRAM_ROLE}", *FOOLED])


def test_with_the_right_to_update_entries_could_be_locked(owner: Connection) -> None:
    with undone(owner):
        given = [f"GRANT UPDATE ON entries TO {PROGRAM_ROLE}", f"SET LOCAL ROLE {PROGRAM_ROLE}"]
        attack(owner, [*given, "SELECT FROM entries FOR UPDATE"])
