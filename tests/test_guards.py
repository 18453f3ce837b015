"""The guards: whatever an owner takes away of what keeps the books as they are, or adds to it, is told by name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import connected
from serving import Ledger
from sqlalchemy import create_engine
from test_roles import PROGRAM, VERBS

from ledger.database import migrate
from migrations.generate import GUARDS, listed
from service.postgres import embedded

SQL = GUARDS.read_text().encode()
Owner = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def owner(server: Ledger) -> Iterator[Owner]:
    with connected(server.url) as connection:
        yield connection


def told(owner: Owner, *statements: str) -> dict[str, str]:
    """What the guards say once this was done: what they found, by what it is about. Nothing of it stays."""
    with owner.transaction(force_rollback=True):
        for statement in statements:
            owner.execute(statement)
        return {subject: found for _, _, subject, _, found in owner.execute(SQL)}


def test_the_list_is_what_the_migrations_make(database: str) -> None:
    engine = create_engine(database)
    with engine.connect() as connection:
        fresh = listed(connection)
    engine.dispose()
    assert GUARDS.read_text() == fresh, "run make guards"


def test_nothing_is_told_while_nothing_is_wrong(owner: Owner) -> None:
    assert told(owner) == {}
    assert told(owner, "SET LOCAL ROLE ledger_program") == {}, "the program can look at all of it"


# --- each thing taken away ----------------------------------------------------------------------------

DROPS = {
    "a constraint": (
        "no such constraint",
        """
        SELECT 'constraint ' || conname || ' on ' || conrelid::regclass,
            format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I CASCADE', conrelid::regclass, conname)
        FROM pg_constraint JOIN pg_class AS c ON c.oid = conrelid
        WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'p', 'u', 'f')
            AND NOT relispartition AND conparentid = 0
        """,
    ),
    "a unique index": (
        "no such unique index",
        """
        SELECT 'unique index ' || indexrelid::regclass, format('DROP INDEX %s', indexrelid::regclass)
        FROM pg_index JOIN pg_class AS c ON c.oid = indexrelid
        WHERE indisunique AND c.relnamespace = 'public'::regnamespace AND NOT relispartition
            AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
        """,
    ),
    "a trigger": (
        "no such trigger",
        """
        SELECT 'trigger ' || tgname, format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass)
        FROM pg_trigger JOIN pg_class AS c ON c.oid = tgrelid WHERE NOT tgisinternal AND NOT relispartition
        """,
    ),
    "a function": (
        "no such function",
        """
        SELECT 'function ' || proname || replace('(' || pg_get_function_identity_arguments(oid) || ')', '()', ''),
            format('DROP FUNCTION %s CASCADE', oid::regprocedure)
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        """,
    ),
    "a view": (
        "no such view",
        """
        SELECT 'view ledger_reading.' || viewname, format('DROP VIEW ledger_reading.%I', viewname)
        FROM pg_views WHERE schemaname = 'ledger_reading'
        """,
    ),
}
FILLED = """
    SELECT DISTINCT ON (c.oid) c.oid::regclass::text, attname
    FROM pg_class AS c JOIN pg_attribute ON attrelid = c.oid AND attnotnull AND attnum > 0
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
        AND attnum <> ALL (SELECT unnest(conkey) FROM pg_constraint WHERE conrelid = c.oid AND contype = 'p')
    ORDER BY c.oid, attnum
"""


@pytest.mark.parametrize("kind", DROPS)
def test_what_is_dropped_is_told(owner: Owner, kind: str) -> None:
    """Every constraint, key, trigger, function and view, by its own name: one look finds all that are gone."""
    absent, drops = DROPS[kind]
    dropping = dict(owner.execute(drops.encode()).fetchall())
    assert dropping
    found = told(owner, *dropping.values())
    assert {subject for subject, said in found.items() if said == absent} >= dropping.keys()


def test_there_is_much_to_drop(owner: Owner) -> None:
    assert sum(len(owner.execute(drops.encode()).fetchall()) for _, drops in DROPS.values()) > 100


def test_a_column_that_may_be_empty_is_told(owner: Owner) -> None:
    """One of every table."""
    columns = dict(owner.execute(FILLED).fetchall())
    assert len(columns) > 10
    found = told(owner, *(f"ALTER TABLE {table} ALTER {name} DROP NOT NULL" for table, name in columns.items()))
    assert found.keys() == {f"table {table}" for table in columns}
    for table, column in columns.items():
        assert f" {column} " not in f"{found[f'table {table}']} "


# --- each right given ---------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_a_right_too_many_is_told(owner: Owner, verb: str) -> None:
    """On every table on which the program does not have it, and no other right."""
    letter = {"SELECT": "s", "INSERT": "i"}.get(verb, "none")
    tables = [table for table, rights in PROGRAM.items() if letter not in rights.partition(" ")[0]]
    assert tables
    found = told(owner, *(f"GRANT {verb} ON {table} TO ledger_program" for table in tables))
    assert found == {f"{verb} on {table} for ledger_program": "granted" for table in tables}


# --- what else can be done ----------------------------------------------------------------------------

CHANGED: dict[str, tuple[list[str], dict[str, str]]] = {
    "a foreign key that nobody has checked": (
        [
            "ALTER TABLE heads DROP CONSTRAINT heads_book_fkey",
            "ALTER TABLE heads ADD CONSTRAINT heads_book_fkey FOREIGN KEY (book) REFERENCES books NOT VALID",
        ],
        {"constraint heads_book_fkey on heads": "FOREIGN KEY (book) REFERENCES books(book) NOT VALID"},
    ),
    "a check of less": (
        [
            "ALTER TABLE postings DROP CONSTRAINT postings_amount_check",
            "ALTER TABLE postings ADD CONSTRAINT postings_amount_check CHECK (amount IS NOT NULL)",
        ],
        {"constraint postings_amount_check on postings": "CHECK (amount IS NOT NULL)"},
    ),
    "a trigger of another's": (
        ["CREATE TRIGGER mine BEFORE INSERT ON heads FOR EACH ROW EXECUTE FUNCTION refuse_change()"],
        {"trigger mine": "enabled at times only, BEFORE INSERT ON heads *"},
    ),
    "a rule": (
        ["CREATE RULE mine AS ON INSERT TO file_reads DO INSTEAD NOTHING"],
        {"table file_reads": "logged, with rule mine, filled: book id sha256 actor reason read_at"},
    ),
    "rows that are hidden": (
        ["ALTER TABLE heads ENABLE ROW LEVEL SECURITY"],
        {"table heads": "logged, with row security, filled: book *"},
    ),
    "a table that a crash empties": (
        ["ALTER TABLE file_reads SET UNLOGGED"],
        {"table file_reads": "lost in a crash, filled: book id sha256 actor reason read_at"},
    ),
    "a part of a table that a crash empties": (
        [
            "CREATE TABLE parted (a int) PARTITION BY RANGE (a)",
            "CREATE UNLOGGED TABLE part_of_it PARTITION OF parted FOR VALUES FROM (1) TO (2)",
        ],
        {"table part_of_it": "lost in a crash"},
    ),
    "a view without its barrier": (
        ["ALTER VIEW ledger_reading.heads RESET (security_barrier)"],
        {"view ledger_reading.heads": "no barrier, of heads reader_books, *"},
    ),
    "a view of all books": (
        ["CREATE OR REPLACE VIEW ledger_reading.heads WITH (security_barrier) AS SELECT * FROM public.heads"],
        {"view ledger_reading.heads": "security_barrier=true, of heads, *"},
    ),
    "a right to pass on": (
        ["GRANT SELECT ON heads TO ledger_program WITH GRANT OPTION"],
        {"SELECT on heads for ledger_program, to pass on": "granted"},
    ),
    "everybody looks": (["GRANT SELECT ON entries TO PUBLIC"], {"SELECT on entries for everybody": "granted"}),
    "a reader looks past its views": (
        ["GRANT SELECT (description) ON entries TO ledger_reader"],
        {"SELECT on entries (description) for ledger_reader": "granted"},
    ),
    "another login writes": (
        ["CREATE ROLE eve", "GRANT INSERT ON entries TO eve"],
        {"INSERT on entries for eve": "granted"},
    ),
    "another login looks, as it may": (["CREATE ROLE eve", "GRANT SELECT ON entries TO eve"], {}),
    "a counter that can be set": (
        ["GRANT UPDATE ON SEQUENCE file_reads_id_seq TO ledger_program"],
        {"UPDATE on file_reads_id_seq for ledger_program": "granted"},
    ),
    "a function that works as its owner, for everybody": (
        ["CREATE FUNCTION mine() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"],
        {"EXECUTE on function mine for everybody": "granted"},
    ),
    "everybody makes tables": (
        ["GRANT CREATE ON SCHEMA public TO PUBLIC"],
        {"CREATE on the schema HERE for everybody": "granted"},
    ),
    "a program that is a superuser": (
        ["ALTER ROLE ledger_program SUPERUSER"],
        {"role ledger_program": "a superuser"},
    ),
    "a program that logs in, and more": (
        ["ALTER ROLE ledger_program LOGIN BYPASSRLS CREATEROLE"],
        {"role ledger_program": "sees every row, makes roles, logs in"},
    ),
    "a program that can leave its role": (
        ["GRANT pg_write_all_data TO ledger_program"],
        {"role ledger_program": "is pg_write_all_data"},
    ),
    "readers that are the program": (
        ["GRANT ledger_program TO ledger_reader"],
        {"role ledger_reader": "is ledger_program"},
    ),
    "a program that owns": (
        ["GRANT CREATE ON SCHEMA public TO ledger_program", "ALTER TABLE file_reads OWNER TO ledger_program"],
        {"role ledger_program": "owns 2 objects", "CREATE on the schema HERE for ledger_program": "granted"},
    ),
    "a commit that is told before it is on the disk": (
        ["SET LOCAL synchronous_commit = off"],
        {"setting synchronous_commit": "off"},
    ),
}


@pytest.mark.parametrize("case", CHANGED)
def test_what_is_changed_is_told(owner: Owner, case: str) -> None:
    """What follows where `*` stands here is left out."""
    statements, expected = CHANGED[case]
    found = told(owner, *statements)
    assert found.keys() == expected.keys()
    for subject, said in expected.items():
        assert found[subject].startswith(said.removesuffix("*")) if said.endswith("*") else found[subject] == said


STAY = (
    "CREATE TRIGGER entries_never_change BEFORE DELETE ON {} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();"
    "ALTER TABLE {} ENABLE ALWAYS TRIGGER entries_never_change"
)
PARTED = [
    "CREATE TABLE parted (a int) PARTITION BY RANGE (a)",
    "CREATE TABLE part PARTITION OF parted FOR VALUES FROM (1) TO (2)",
    STAY.format("parted", "parted"),
]
STAYS = STAY.format("part", "part")
MORE = "CREATE TRIGGER more BEFORE INSERT ON part FOR EACH ROW EXECUTE FUNCTION refuse_change()"
PARTS: dict[str, tuple[list[str], dict[str, str]]] = {
    "that refuses what its table refuses": ([STAYS], {}),
    "that refuses nothing": ([], {"trigger entries_never_change on part": "no such trigger"}),
    "that refuses at times only": (
        [STAYS, "ALTER TABLE part ENABLE TRIGGER entries_never_change"],
        {"trigger entries_never_change on part": "not enabled always"},
    ),
    "that does more": ([STAYS, MORE], {"trigger more on part": "there"}),
    "that does another thing under that name": (
        [MORE.replace("more", "entries_never_change").replace("refuse_change", "accounts_close_once")],
        {"trigger entries_never_change on part": "there"},
    ),
    "that is open to the program": (
        [STAYS, "GRANT INSERT ON part TO ledger_program"],
        {"INSERT on part for ledger_program": "granted"},
    ),
}


@pytest.mark.parametrize("case", PARTS)
def test_a_part_of_a_table(owner: Owner, case: str) -> None:
    """A trigger of a table does not see what is done to its parts by their own names."""
    statements, expected = PARTS[case]
    found = told(owner, *PARTED, *statements)
    assert found.pop("trigger entries_never_change").startswith("enabled always, BEFORE DELETE ON parted")
    assert found == expected


FUNCTIONS = {
    "as its owner": "ALTER FUNCTION refuse_change() SECURITY DEFINER",
    "looking elsewhere": "ALTER FUNCTION refuse_change() SET search_path = elsewhere",
    "a letter changed": (
        "UPDATE pg_proc SET prosrc = replace(prosrc, 'refused', 'welcome') WHERE proname = 'refuse_change'"
    ),
}


@pytest.mark.parametrize("case", FUNCTIONS)
def test_a_function_that_is_another_is_told(owner: Owner, case: str) -> None:
    assert told(owner, FUNCTIONS[case]).keys() == {"function refuse_change"}


@pytest.mark.parametrize("name", ["make_partitions(bigint)", "entries_are_whole()"])
def test_a_function_that_works_as_another_than_the_owner_of_the_books_is_told(owner: Owner, name: str) -> None:
    """Or as whoever calls it, where it must work as the owner."""
    subject = "function " + name.replace("(bigint)", "(ahead bigint)").removesuffix("()")
    another = ["CREATE ROLE eve SUPERUSER", f"ALTER FUNCTION {name} OWNER TO eve"]
    assert told(owner, *another).pop(subject).partition(", ")[2].startswith("as eve, ")
    caller = told(owner, f"ALTER FUNCTION {name} SECURITY INVOKER")
    assert caller.keys() >= {subject}
    assert ", as " not in caller[subject]


def test_parts_that_are_made_later_are_watched_too(owner: Owner) -> None:
    """The program makes them, as their owner. They are no fault, and one without its trigger is."""
    made = "SET LOCAL ROLE ledger_program; SELECT make_partitions(3000000); RESET ROLE"
    assert told(owner, made) == {}
    for table in ("entries", "postings"):
        name = f"{table}_never_change"
        for part in (f"{table}_1", f"{table}_4"):
            told_of = {f"trigger {name} on {part}"}
            assert told(owner, made, f"DROP TRIGGER {name} ON {part}").keys() == told_of
            assert told(owner, made, f"ALTER TABLE {part} DISABLE TRIGGER {name}").keys() == told_of
        assert told(owner, made, f"GRANT INSERT ON {table}_4 TO ledger_program") == {
            f"INSERT on {table}_4 for ledger_program": "granted"
        }


def test_who_may_call_what_works_as_the_owner_is_told(owner: Owner) -> None:
    assert told(owner, "GRANT EXECUTE ON FUNCTION make_partitions(bigint) TO PUBLIC") == {
        "EXECUTE on function make_partitions for everybody": "granted"
    }


def test_foreign_keys_that_are_switched_off_are_told(owner: Owner) -> None:
    """They are triggers of PostgreSQL's own, on both tables."""
    found = told(owner, "ALTER TABLE file_reads DISABLE TRIGGER ALL")
    assert len(found) == 2
    assert all(subject.startswith("trigger RI_ConstraintTrigger_c") for subject in found)


def test_a_disk_that_is_not_waited_for_is_told(open_folder: Path) -> None:
    off = ("fsync", "full_page_writes")
    with embedded(open_folder / "unsafe", dict.fromkeys(off, "off")) as urls:
        migrate(urls.owner)
        with connected(urls.owner) as owner:
            assert told(owner) == {f"setting {name}": "off" for name in off}


# --- a database of a newer version --------------------------------------------------------------------

NEWER = "UPDATE alembic_version SET version_num = '9999'"
ADDED = [
    "ALTER TABLE postings ADD COLUMN next_part integer NOT NULL DEFAULT 0",
    "CREATE TABLE next_notes (book text PRIMARY KEY)",
    "GRANT SELECT, INSERT ON next_notes TO ledger_program",
    (
        "CREATE TRIGGER next_notes_never_change BEFORE UPDATE ON next_notes"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    ),
]


def test_an_older_program_lives_with_what_a_newer_version_adds(owner: Owner) -> None:
    assert told(owner, *ADDED, NEWER) == {}
    assert len(told(owner, *ADDED)) == 4, "at its own version nobody may add to what is listed"


@pytest.mark.parametrize(
    ("statement", "subject"),
    [
        ("DROP TRIGGER postings_are_whole ON postings", "trigger postings_are_whole"),
        ("GRANT UPDATE ON entries TO ledger_program", "UPDATE on entries for ledger_program"),
        ("ALTER TABLE accounts ALTER COLUMN currency DROP NOT NULL", "table accounts"),
        ("DROP VIEW ledger_reading.postings", "view ledger_reading.postings"),
    ],
)
def test_what_is_listed_must_stand_in_a_newer_version_too(owner: Owner, statement: str, subject: str) -> None:
    assert [*told(owner, NEWER, statement)] == [subject]
