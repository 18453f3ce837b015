"""A superuser tampers, with every trigger off: what `ledger check` finds, and what an auditor's checkpoint finds.

Each attack is done in a database transaction that is rolled back; the check and an export run inside of it.
Whoever tampers thoroughly, and rewrites hashes, totals and checkpoints too, is found by the checkpoint that an
auditor has kept.
"""

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import serving
from serving import Ledger, cr, dr, key, payout, session, usd
from sqlalchemy import Column, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.audit import bundle, proven, tree
from ledger.audit.checkpoint import Signing, read_signing_keys
from ledger.audit.evidence import Wrong
from ledger.audit.integrity import found_by
from ledger.audit.store import write_checkpoint
from ledger.audit.tying import Kept
from ledger.audit.verify import verify
from ledger.database import engine
from ledger.errors import Refusal
from ledger.postings import store
from ledger.postings.batch import Head
from ledger.postings.chain import GENESIS, entry_hash
from ledger.schema import accounts, entries, heads, metadata, postings
from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import audit_pb2 as au
from ledger.v1 import postings_pb2 as po

WIDE, REVERSAL, LAST = 3, 5, 12
"""Numbers of an entry with every dimension, of a reversal, and of the last one."""
KEPT = 9
"""So many entries had the book when an auditor took a checkpoint away."""
OTHER_KEY = read_signing_keys(f"ledger.example/books:{base64.b64encode(bytes(32)).decode()}")


# --- the books ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Books:
    """Books with two checkpoints, and what their auditor has kept: the first of them, and the public key."""

    database: AsyncEngine
    loop: asyncio.AbstractEventLoop
    kept: Kept
    verifier: str
    folder: Path


@pytest.fixture(scope="module")
def books(server: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    for book in ("main", "other"):
        serving.open_book(server, book)
    posted(server)
    signing = au.WriteCheckpointRequest(book="main", reason="audit")
    note = server.audit.WriteCheckpoint(signing).checkpoint
    assert note.size == KEPT
    for day in ("2026-05-05", "2026-05-06", "2026-05-07"):
        server.post(day, dr("Assets:Cash", "3.00"), cr("Revenue:Interest", "3.00"))
    assert server.audit.WriteCheckpoint(signing).checkpoint.size == LAST
    loop = asyncio.new_event_loop()
    database = engine(server.url)
    loop.run_until_complete(tree.fill(database, height=2))
    loop.run_until_complete(as_owner(database, *OFF))
    yield Books(database, loop, Kept("kept", note.note), note.verifier_key, tmp_path_factory.mktemp("bundles"))
    loop.run_until_complete(database.dispose())
    loop.close()


async def as_owner(database: AsyncEngine, *statements: str) -> None:
    async with database.begin() as connection:
        for statement in ("SET LOCAL ROLE NONE", *statements):
            await connection.exec_driver_sql(statement)


def posted(ledger: Ledger) -> None:
    """Nine entries: sessions and a payout, every dimension, a limit, a closed account, a reversal."""
    about = po.Dimensions(
        payer="AETNA",
        provider="ada",
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
    ledger.postings.PayProvider(payout("ada", "100.00"))
    ledger.accounts.OpenAccount(
        ac.OpenAccountRequest(
            book="main",
            code="Assets:Petty",
            currency_code="USD",
            balance_limit=ac.BALANCE_LIMIT_MUST_NOT_GO_CREDIT,
        )
    )
    wide = serving.entry(
        "2026-04-20",
        dr("Assets:Petty", "5.00", item="1 % é"),
        cr("Assets:Cash", "5.00", item="x"),
        dimensions=about,
    )
    ledger.postings.PostEntry(po.PostEntryRequest(book="main", entry=wide))
    wrong = ledger.post("2026-05-01", dr("Assets:Cash", "7.00"), cr("Revenue:Interest", "7.00", item="x"))
    undone = po.ReverseEntryRequest(
        book="main", idempotency_key=key(), number=wrong.number, effective_date="2026-05-01", reason="twice"
    )
    assert ledger.postings.ReverseEntry(undone).entry.number == REVERSAL
    ledger.post("2026-05-02", dr("Assets:Cash", "5.00"), cr("Assets:Petty", "5.00"))
    ledger.accounts.CloseAccount(ac.CloseAccountRequest(book="main", code="Assets:Petty", reason="unused"))
    for claim in ("C2", "C3", "C4"):
        ledger.postings.RecordSession(session(claim, charge="200.00"))


# --- how it is tampered, and what is found ------------------------------------------------------------

Step = Callable[[AsyncConnection], Awaitable[None]]
OFF = [f"ALTER TABLE {table} DISABLE TRIGGER ALL" for table in (*metadata.tables, "entries_1", "postings_1")]


@dataclass(frozen=True)
class Found:
    """What the check says, and what the judge of a bundle says: with what an auditor kept, and without."""

    check: str
    verify: str
    alone: str


def tampered(books: Books, *steps: Step | str) -> Found:
    return books.loop.run_until_complete(_tampered(books, steps))


async def _tampered(books: Books, steps: Sequence[Step | str]) -> Found:
    async with books.database.connect() as connection:
        for step in ("SET LOCAL ROLE NONE", *steps):
            if isinstance(step, str):
                await connection.exec_driver_sql(step)
            else:
                await step(connection)
        faults = await found_by(connection, "ledger.audit", "integrity.sql")
        faults += await proven.faults(connection)
        path = books.folder / "bundle"
        try:
            await bundle.write(
                connection, "main", *await bundle.extent(connection, "main", 1, None), [], path, int
            )
        except Refusal as refusal:
            verdicts = [f"refused: {refusal}"] * 2
        else:
            verdicts = [judged(path, [books.kept], [books.verifier]), judged(path, [], [])]
        await connection.rollback()
    return Found("\n".join(map(str, faults)), *verdicts)


def judged(path: Path, kept: Sequence[Kept], keys: Sequence[str]) -> str:
    """What is wrong with a bundle; nothing where it is sound."""
    try:
        verify(path, kept, keys)
    except Wrong as wrong:
        return str(wrong)
    return ""


def test_what_is_not_tampered_with_is_sound(books: Books) -> None:
    assert tampered(books) == Found("", "", "")


# --- every column -------------------------------------------------------------------------------------

CHANGED = {
    "TEXT": "coalesce({column}, '') || 'x'",
    "BIGINT": "coalesce({column}, 0) + 1",
    "INTEGER": "{column} + 1",
    "DATE": "{column} + 1",
    "DATETIME": "{column} + interval '1 microsecond'",
    "BLOB": "set_bit({column}, 7, 1 - get_bit({column}, 7))",
    "CHAR(32)": "CAST('01890000-0000-7000-8000-000000000001' AS uuid)",
}
INSTEAD = {
    "book": "'other'",
    "number": "number + 1000",
    "entry_number": "entry_number + 1000",
    "line": "line + 100",
    "reverses": "reverses - 1",
}
"""What a column becomes where the book must be there, or another row must not."""
COLUMNS = [(table, column) for table in (entries, postings) for column in table.columns]
NULLABLE = [(table, column) for table, column in COLUMNS if column.nullable]


def of_entry(column: str) -> int:
    """The entry that is tampered with: one that has something in the column."""
    return REVERSAL if column == "reverses" else WIDE


def changing(table: str, column: str, value: str, number: int) -> str:
    which = f"number = {number}" if table == "entries" else f"entry_number = {number} AND line = 1"
    return f"UPDATE {table} SET {column} = {value} WHERE book = 'main' AND {which}"


def refuse_unplaced(found: Found, number: int) -> None:
    """Both say that it is this entry, or where it is missed."""
    place = re.compile(rf"\bentry ({number}|{number + 1000}|{number + 1})\b")
    assert place.search(found.check), found
    assert place.search(found.verify), found
    assert place.search(found.alone), found


@pytest.mark.parametrize("place", COLUMNS, ids=lambda place: f"{place[0].name}.{place[1].name}")
def test_every_column(books: Books, place: tuple) -> None:
    """Whichever it is, also one that is added later: the check finds it, and so does whoever has a bundle."""
    table, column = place
    value = INSTEAD.get(column.name, CHANGED[str(column.type)].format(column=column.name))
    number = of_entry(column.name)
    refuse_unplaced(tampered(books, changing(table.name, column.name, value, number)), number)


@pytest.mark.parametrize("place", NULLABLE, ids=lambda place: f"{place[0].name}.{place[1].name}")
def test_every_column_emptied(books: Books, place: tuple) -> None:
    table, column = place
    number = of_entry(column.name)
    drop = "ALTER TABLE entries DROP CONSTRAINT entries_check1"  # a charge has a currency
    refuse_unplaced(tampered(books, drop, changing(table.name, column.name, "NULL", number)), number)


ACCOUNTS = [column for column in accounts.columns if column.name != "book"]
MORE = {
    "type": "'equity'",
    "normal_side": "'credit'",
    "balance_limit": "NULL",
    "item_required": "NOT item_required",
    "currency": "'EUR'",
}


@pytest.mark.parametrize("column", ACCOUNTS, ids=lambda column: column.name)
def test_every_column_of_an_account(books: Books, column: Column) -> None:
    """Those that no entry contradicts are signed too, with every checkpoint."""
    value = MORE.get(column.name) or CHANGED[str(column.type)].format(column=column.name)
    drop = "ALTER TABLE accounts DROP CONSTRAINT accounts_check"  # what tells the type from the code
    found = tampered(
        books, drop, f"UPDATE accounts SET {column.name} = {value} WHERE book = 'main' AND code = 'Assets:Petty'"
    )
    assert "checkpoint_accounts: book main: checkpoint 1 of 9 entries" in found.check
    assert matches(found.verify, OTHER_ACCOUNTS)
    assert matches(found.alone, OTHER_ACCOUNTS)


# --- thoroughly ---------------------------------------------------------------------------------------


async def totals_anew(connection: AsyncConnection) -> None:
    """Totals as they would be, had the postings always been so."""
    for table, day in (("balances", ""), ("daily_totals", "effective_date, ")):
        await connection.exec_driver_sql(f"DELETE FROM {table} WHERE book = 'main'")
        await connection.exec_driver_sql(
            f"INSERT INTO {table} SELECT book, account, {day} sum(greatest(amount, 0)), sum(greatest(-amount, 0))"
            f" FROM postings WHERE book = 'main' GROUP BY book, {day} account"
        )


async def keys_anew(connection: AsyncConnection) -> None:
    for table, column in (("entry_keys", "actor, idempotency_key"), ("entry_reversals", "reverses")):
        await connection.exec_driver_sql(f"DELETE FROM {table} WHERE book = 'main'")
        await connection.exec_driver_sql(
            f"INSERT INTO {table} SELECT book, {column}, number FROM entries"
            " WHERE book = 'main' AND (reverses IS NOT NULL OR 'entry_keys' = '" + table + "')"
        )


async def chain_anew(connection: AsyncConnection) -> None:
    """Every hash as it would be, and the head at the last of them."""
    previous, number = GENESIS, 0
    for posted in await store.find(connection, "main"):
        previous, number = entry_hash(previous, posted), posted.number
        is_it = entries.c.book == "main", entries.c.number == posted.number
        await connection.execute(update(entries).where(*is_it).values(hash=previous))
    await connection.execute(update(heads).where(heads.c.book == "main").values(number=number, hash=previous))


async def tree_anew(connection: AsyncConnection) -> None:
    await connection.exec_driver_sql("DELETE FROM tree_nodes")


def signed_anew(signing: Signing) -> Step:
    """Checkpoints of the same sizes, as far as there are so many entries."""

    async def step(connection: AsyncConnection) -> None:
        rows = (await connection.execute(text("SELECT * FROM checkpoints ORDER BY number"))).all()
        head = (await connection.execute(text("SELECT * FROM heads WHERE book = 'main'"))).one()
        await connection.exec_driver_sql("DELETE FROM checkpoints")
        for row in rows:
            stood = Head("main", min(row.size, head.number), head.hash, row.written_at)
            await write_checkpoint(connection, stood, signing, row.written_by, row.reason)

    return step


ALL = (totals_anew, keys_anew, chain_anew, tree_anew)
AMOUNT = [
    "UPDATE postings SET amount = amount + sign(amount) * 100 WHERE book = 'main' AND entry_number = 2",
]
LIES = "UPDATE entries SET description = 'nothing to see' WHERE book = 'main' AND number = 2"
SWAPPED = [
    f"UPDATE {table} SET {column} = 100 + CASE {column} WHEN 7 THEN 8 ELSE 7 END"
    f" WHERE book = 'main' AND {column} IN (7, 8)"
    for table, column in (("postings", "entry_number"), ("entries", "number"))
] + [
    f"UPDATE {table} SET {column} = {column} - 100 WHERE book = 'main' AND {column} > 100"
    for table, column in (("postings", "entry_number"), ("entries", "number"))
]
TAIL = [
    f"DELETE FROM {table} WHERE book = 'main' AND {column} > {KEPT - 2}"
    for table, column in (("postings", "entry_number"), ("entries", "number"))
]
LAST_ONES = [
    f"DELETE FROM {table} WHERE book = 'main' AND {column} > {KEPT}"
    for table, column in (("postings", "entry_number"), ("entries", "number"))
]
SHIFT = [
    statement
    for table, column in (("postings", "entry_number"), ("entries", "number"))
    for statement in (
        f"UPDATE {table} SET {column} = {column} + 1000 WHERE book = 'main' AND {column} > 7",
        f"UPDATE {table} SET {column} = {column} - 999 WHERE book = 'main' AND {column} > 1000",
    )
]
FORGED = [
    (
        "INSERT INTO postings SELECT (jsonb_populate_record(p, jsonb_build_object('entry_number', {number}))).*"
        " FROM postings AS p WHERE book = 'main' AND entry_number = 2"
    ),
    (
        "INSERT INTO entries SELECT (jsonb_populate_record(e, jsonb_build_object('number', {number}, 'id',"
        " '01890000-0000-7000-8000-000000000001', 'idempotency_key', 'forged'))).*"
        " FROM entries AS e WHERE book = 'main' AND number = 2"
    ),
]
OUT = [
    "DELETE FROM postings WHERE book = 'main' AND entry_number = 7",
    "DELETE FROM entries WHERE book = 'main' AND number = 7",
]
CLOSE_UP = [
    f"UPDATE {table} SET {column} = {column} - 1 WHERE book = 'main' AND {column} = {number}"
    for number in range(8, LAST + 1)
    for table, column in (("postings", "entry_number"), ("entries", "number"))
]
REWRITTEN = rf"kept of {KEPT} entries signed the root \w+, and it is \w+: history was rewritten"
BY_NOBODY = r"checkpoint 1: it is signed by ledger\.example/books/main\+\w+, and by no key that is trusted"


OTHER_ACCOUNTS = "accounts.jsonl: checkpoint 1 signed accounts .*, and it is accounts .*: an account was changed"


def forged(number: int) -> list[str]:
    return [statement.format(number=number) for statement in FORGED]


Expected = str | None
"""What is said, as a pattern; None where nothing is."""
# What is done; what the check says, what a bundle says to an auditor, and what it says to whoever kept nothing.
ATTACKS: dict[str, tuple[Sequence[Step | str], Expected, Expected, Expected]] = {
    "one amount": (
        ["UPDATE postings SET amount = amount + 1 WHERE book = 'main' AND entry_number = 2 AND line = 1"],
        "entry_balances: book main: entry 2 in USD",
        r"entries\.jsonl line 2: entry 2: amount: debits less credits are 1",
        r"entries\.jsonl line 2: entry 2: amount: debits less credits are 1",
    ),
    "an amount on both sides, with all totals": (
        [*AMOUNT, totals_anew],
        "hash_chain: book main: entry 2",
        "line 2: entry 2: hash",
        "line 2: entry 2: hash",
    ),
    "the same, and the hash of that entry": (
        [*AMOUNT, totals_anew, "UPDATE entries SET hash = sha256('x') WHERE book = 'main' AND number = 2"],
        "hash_chain: book main: entry 2",
        "line 2: entry 2: hash",
        "line 2: entry 2: hash",
    ),
    "the same, and the whole chain with right hashes": (
        [*AMOUNT, totals_anew, chain_anew],
        rf"checkpoint_root: book main: checkpoint 1 of {KEPT} entries",
        rf"checkpoint 1 of {KEPT} entries signed the root \w+, .*, entries 1 to {KEPT} are not those",
        rf"checkpoint 1 of {KEPT} entries signed the root",
    ),
    "the same, and the tree": (
        [*AMOUNT, *ALL],
        rf"checkpoint_root: book main: checkpoint 1 of {KEPT} entries",
        rf"checkpoint 1 of {KEPT} entries signed the root",
        rf"checkpoint 1 of {KEPT} entries signed the root",
    ),
    "the same, and no checkpoint is left": (
        [*AMOUNT, *ALL, "DELETE FROM checkpoints"],
        None,
        REWRITTEN,
        None,
    ),
    "the same, and checkpoints are signed anew by another key": (
        [*AMOUNT, *ALL, signed_anew(OTHER_KEY)],
        None,
        BY_NOBODY,
        None,
    ),
    "the same, and checkpoints are signed anew by the same key": (
        [*AMOUNT, *ALL, signed_anew(serving.SIGNING)],
        None,
        REWRITTEN,
        None,
    ),
    "a description, and everything anew": (
        [LIES, *ALL, signed_anew(serving.SIGNING)],
        None,
        REWRITTEN,
        None,
    ),
    "an entry that is younger than what was kept, and everything anew": (
        [
            f"UPDATE entries SET description = 'x' WHERE book = 'main' AND number = {KEPT + 1}",
            *(chain_anew, tree_anew),
        ],
        rf"checkpoint_root: book main: checkpoint 2 of {LAST} entries",
        rf"checkpoint 2 of {LAST} entries signed .*, entries {KEPT + 1} to {LAST} are not those that were signed",
        rf"entries {KEPT + 1} to {LAST} are not those",
    ),
    "two entries exchanged": (
        SWAPPED,
        "hash_chain: book main: entry 7",
        "line 7: entry 7: hash",
        "line 7: entry 7: hash",
    ),
    "two entries exchanged, and everything anew": (
        [*SWAPPED, *ALL, signed_anew(serving.SIGNING)],
        "recorded_in_order: book main: entry 8",
        "line 8: entry 8: recorded_at",
        "line 8: entry 8: recorded_at",
    ),
    "two entries exchanged with their times, and everything anew": (
        [
            *SWAPPED,
            (
                "UPDATE entries AS e SET recorded_at = (SELECT recorded_at FROM entries AS o WHERE o.book = e.book"
                " AND o.number = 15 - e.number) WHERE book = 'main' AND number IN (7, 8)"
            ),
            *ALL,
            signed_anew(serving.SIGNING),
        ],
        None,
        REWRITTEN,
        None,
    ),
    "an entry taken out of the middle": (
        OUT,
        "numbers_without_gaps: book main: entry 8",
        "line 7: entry 7: number: it is entry 8",
        "line 7: entry 7: number: it is entry 8",
    ),
    "an entry taken out, the others moved up, and everything anew": (
        [*OUT, *CLOSE_UP, *ALL],
        rf"checkpoint_size: book main: checkpoint 2 of {LAST} entries: .* found {LAST} entries",
        rf"checkpoint 2 signed {LAST} entries, and the book has {LAST - 1}: those after were taken away",
        rf"checkpoint 2 signed {LAST} entries, and the book has {LAST - 1}",
    ),
    "the same, and checkpoints are signed anew": (
        [*OUT, *CLOSE_UP, *ALL, signed_anew(serving.SIGNING)],
        None,
        REWRITTEN,
        None,
    ),
    "an entry without its postings": (
        OUT[:1],
        "postings_complete: book main: entry 7",
        "line 7: entry 7: posting_count",
        "line 7: entry 7: posting_count",
    ),
    "postings without their entry": (
        OUT[1:],
        "postings_complete: book main: entry 7: expected no postings without an entry",
        "line 7: entry 7: number",
        "line 7: entry 7: number",
    ),
    "a balanced pair of postings added": (
        [
            (
                "INSERT INTO postings SELECT book, entry_number, line + 2, effective_date, account, currency,"
                " -amount FROM postings WHERE book = 'main' AND entry_number = 2"
            )
        ],
        "postings_complete: book main: entry 2",
        "line 2: entry 2: posting_count",
        "line 2: entry 2: posting_count",
    ),
    "the first entry taken away": (
        [
            "DELETE FROM postings WHERE book = 'main' AND entry_number = 1",
            "DELETE FROM entries WHERE book = 'main' AND number = 1",
        ],
        "numbers_without_gaps: book main: entry 2",
        "line 1: entry 1: number: it is entry 2",
        "line 1: entry 1: number: it is entry 2",
    ),
    "the tail cut off": (
        TAIL,
        rf"head_is_last_entry: book main: head: expected number {KEPT - 2}",
        rf"entries\.jsonl: it ends with entry {KEPT - 2}, not {LAST}",
        rf"entries\.jsonl: it ends with entry {KEPT - 2}, not {LAST}",
    ),
    "the tail cut off, and the head moved back": (
        [*TAIL, *ALL],
        rf"checkpoint_size: book main: checkpoint 1 of {KEPT} entries",
        rf"checkpoint 1 signed {KEPT} entries, and the book has {KEPT - 2}: those after were taken away",
        rf"checkpoint 1 signed {KEPT} entries",
    ),
    "the tail cut off, and no checkpoint is left": (
        [*TAIL, *ALL, "DELETE FROM checkpoints"],
        None,
        rf"kept signed {KEPT} entries, and the book has {KEPT - 2}: those after were taken away",
        None,
    ),
    "the tail cut off, and what remains signed anew": (
        [*TAIL, *ALL, signed_anew(serving.SIGNING)],
        None,
        rf"kept signed {KEPT} entries, and the book has {KEPT - 2}",
        None,
    ),
    "what was posted after the checkpoint cut off": (
        [*LAST_ONES, *ALL],
        rf"checkpoint_size: book main: checkpoint 2 of {LAST} entries",
        rf"checkpoint 2 signed {LAST} entries, and the book has {KEPT}",
        rf"checkpoint 2 signed {LAST} entries",
    ),
    "all entries cut off": (
        [
            *(f"DELETE FROM {table} WHERE book = 'main'" for table in ("postings", "entries", "checkpoints")),
            *(totals_anew, keys_anew, tree_anew),
            "UPDATE heads SET number = 0, hash = decode(repeat('00', 32), 'hex') WHERE book = 'main'",
        ],
        None,
        rf"kept signed {KEPT} entries, and the book has 0",
        None,
    ),
    "an entry pushed into the middle": (
        [*SHIFT, *forged(8)],
        "hash_chain: book main: entry 8",
        "line 8: entry 8: hash",
        "line 8: entry 8: hash",
    ),
    "an entry pushed into the middle, and everything anew": (
        [
            *(*SHIFT, *forged(8)),
            (
                "UPDATE entries AS e SET recorded_at = (SELECT recorded_at FROM entries AS o WHERE o.book = e.book"
                " AND o.number = 7) WHERE book = 'main' AND number = 8"
            ),
            *(*ALL, signed_anew(serving.SIGNING)),
        ],
        None,
        REWRITTEN,
        None,
    ),
    "an entry put behind the last, and the head left": (
        forged(LAST + 1),
        rf"head_is_last_entry: book main: head: expected number {LAST + 1}",
        None,
        None,
    ),
    "a new number for the last entry": (
        [
            f"UPDATE postings SET entry_number = 99 WHERE book = 'main' AND entry_number = {LAST}",
            f"UPDATE entries SET number = 99 WHERE book = 'main' AND number = {LAST}",
        ],
        "numbers_without_gaps: book main: entry 99",
        rf"entries\.jsonl: it ends with entry {LAST - 1}, not {LAST}",
        rf"entries\.jsonl: it ends with entry {LAST - 1}, not {LAST}",
    ),
    "the head's number": (
        ["UPDATE heads SET number = number - 1 WHERE book = 'main'"],
        rf"head_is_last_entry: book main: head: expected number {LAST}",
        rf"checkpoint 2 signed {LAST} entries, and the book has {LAST - 1}",
        rf"checkpoint 2 signed {LAST} entries",
    ),
    "the head's hash": (
        ["UPDATE heads SET hash = sha256('x') WHERE book = 'main'"],
        "head_is_last_entry: book main: head",
        None,
        None,
    ),
    "an account's currency": (
        ["UPDATE accounts SET currency = 'EUR' WHERE book = 'main' AND code = 'Assets:Cash'"],
        "account_currency: book main: Assets:Cash",
        OTHER_ACCOUNTS,
        OTHER_ACCOUNTS,
    ),
    "an account's currency, and no checkpoint is left": (
        [
            "UPDATE accounts SET currency = 'EUR' WHERE book = 'main' AND code = 'Assets:Cash'",
            "DELETE FROM checkpoints",
        ],
        "account_currency: book main: Assets:Cash",
        "accounts.jsonl: kept signed accounts .*, and it is accounts",
        "line 2: entry 2: posting 2: account: 'Assets:Cash' is not there in 'USD'",
    ),
    "an account taken away": (
        ["DELETE FROM accounts WHERE book = 'main' AND code = 'Assets:Cash'"],
        "account_currency: book main: Assets:Cash: expected no such account",
        OTHER_ACCOUNTS,
        OTHER_ACCOUNTS,
    ),
    "an account pushed in": (
        [
            (
                'INSERT INTO accounts SELECT (jsonb_populate_record(a, \'{"code": "Assets:Bank"}\')).*'
                " FROM accounts AS a WHERE book = 'main' AND code = 'Assets:Cash'"
            )
        ],
        "checkpoint_accounts: book main: checkpoint 1 of 9 entries",
        OTHER_ACCOUNTS,
        OTHER_ACCOUNTS,
    ),
    "an account closed that is not at zero": (
        [
            (
                "UPDATE accounts SET closed_at = now(), closed_by = 'me', close_reason = 'x'"
                " WHERE book = 'main' AND code = 'Assets:Cash'"
            )
        ],
        "closed_at_zero: book main: Assets:Cash",
        None,
        None,
    ),
    "an account that was never closed": (
        [
            (
                "UPDATE accounts SET closed_at = NULL, closed_by = NULL, close_reason = NULL"
                " WHERE book = 'main' AND code = 'Assets:Petty'"
            )
        ],
        "checkpoint_accounts: book main: checkpoint 1 of 9 entries",
        OTHER_ACCOUNTS,
        OTHER_ACCOUNTS,
    ),
    "a balance": (
        ["UPDATE balances SET debits = debits + 1 WHERE book = 'main' AND account = 'Assets:Cash'"],
        "balances: book main: Assets:Cash",
        None,
        None,
    ),
    "a day's total": (
        ["UPDATE daily_totals SET debits = debits + 1 WHERE book = 'main' AND account = 'Assets:Petty'"],
        "daily_totals: book main: Assets:Petty on 2026-04-20",
        None,
        None,
    ),
    "a key that is free again": (
        ["DELETE FROM entry_keys WHERE book = 'main' AND number = 2"],
        "entry_keys: book main: key .* expected entry 2, found no row",
        None,
        None,
    ),
    "a reversal that may be done again": (
        ["DELETE FROM entry_reversals WHERE book = 'main'"],
        "entry_reversals: book main: entry 4",
        None,
        None,
    ),
    "a node of the tree": (
        ["UPDATE tree_nodes SET hash = sha256('x') WHERE level = 2 AND nth = 1"],
        "tree_nodes: book main: entries 5 to 8: expected .*, found",
        None,
        None,
    ),
    "a node of the tree too many": (
        ["INSERT INTO tree_nodes VALUES ('main', 8, 7, sha256('x'))"],
        "tree_nodes: book main: entries 1793 to 2048: expected no row",
        None,
        None,
    ),
    "a checkpoint's root": (
        ["UPDATE checkpoints SET root = sha256('x') WHERE number = 1"],
        rf"checkpoint_root: book main: checkpoint 1 of {KEPT} entries",
        rf"checkpoints\.jsonl: checkpoint 1: its note signs {KEPT} entries",
        r"checkpoints\.jsonl: checkpoint 1: its note",
    ),
    "a checkpoint's size": (
        ["UPDATE checkpoints SET size = 10 WHERE number = 1"],
        "checkpoint_signature: book main: checkpoint 1 of 10 entries",
        rf"checkpoint 1: its note signs {KEPT} entries",
        "checkpoint 1: its note signs",
    ),
    "a checkpoint's note": (
        [rf"UPDATE checkpoints SET note = replace(note, E'\n{KEPT}\n', E'\n8\n') WHERE number = 1"],
        "checkpoint_signature: book main: checkpoint 1 .* is not one of this text",
        "checkpoint 1: the signature of .* is not one of this text",
        "checkpoint 1: the signature of .* is not one of this text",
    ),
    "a checkpoint of another key": (
        ["UPDATE checkpoints SET verifier = 'x' WHERE number = 1"],
        "checkpoint_signature: book main: checkpoint 1 .* not a verifier key",
        None,
        "keys.txt: not a verifier key",
    ),
    "a checkpoint taken out": (
        ["DELETE FROM checkpoints WHERE number = 1"],
        "checkpoint_numbers: book main: checkpoint 2 of 12 entries: expected number 1",
        r"checkpoints\.jsonl: line 1: number: it is checkpoint 2",
        r"checkpoints\.jsonl: line 1",
    ),
}


def matches(said: str, expected: Expected) -> bool:
    return re.search(expected, said) is not None if expected else said == ""


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack(books: Books, attack: str) -> None:
    """It is found by the check, or by whoever has kept a checkpoint; and what is said says where."""
    steps, check, with_kept, alone = ATTACKS[attack]
    found = tampered(books, *steps)
    assert found.check or found.verify
    assert matches(found.check, check), found
    assert matches(found.verify, with_kept), found
    assert matches(found.alone, alone), found
