"""What a close looks at and what it freezes, and that nothing undoes it: no caller, no SQL, no lost connection."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Any

import psycopg
import pytest
from payers import claim, deliver, file, remittance
from psycopg import errors
from serving import Ledger, Loop, Refused, answered, cr, dr, key, refused, serving, session, set_by_hand
from test_approvals import MAKER, by, proposed, told
from test_attack import attack, undone
from test_periods import (
    APRIL,
    CASH,
    IN_APRIL,
    IN_MAY,
    JUNE,
    MARCH,
    MAY,
    OPENING,
    closed,
    closing_of,
    frozen,
    got,
    in_use,
    listed,
    posted,
    posting,
    reopened,
    reopening,
    reversing,
    rows,
    soft_closed,
)

from ledger import fields
from ledger.audit.checkpoint import NO_KEY
from ledger.database import PROGRAM_ROLE, reading
from ledger.database import engine as connections
from ledger.periods import store
from ledger.periods.period import signed
from ledger.postings import group_commit
from ledger.v1 import audit_pb2 as au
from ledger.v1 import periods_pb2 as pb
from ledger.v1 import postings_pb2 as po
from reconciliation.v1 import reconciliation_pb2 as rc
from reconciliation.v1 import worklist_pb2 as wl

SUSPENSE, UNAPPLIED = "Liabilities:Suspense:AETNA", "Liabilities:UnappliedCash"


@pytest.fixture
def books(server: Ledger, request: pytest.FixtureRequest) -> Ledger:
    """A book of its own with an entry in April: 10.00 of cash."""
    return in_use(server, f"closing-{hashlib.sha256(request.node.name.encode()).hexdigest()[:8]}")


# --- the checkpoint -----------------------------------------------------------------------------------


def test_a_close_is_signed_with_the_book(books: Ledger) -> None:
    """The checkpoint is of the entries that the close names, by whoever closed; a trial writes none."""
    foreseen = closing_of(books, APRIL, validate_only=True)
    books.periods.ClosePeriod(foreseen, metadata=by(MAKER))
    assert not books.audit.ListCheckpoints(au.ListCheckpointsRequest(book=books.book)).checkpoints
    period = closed(books, APRIL).period
    [kept] = books.audit.ListCheckpoints(au.ListCheckpointsRequest(book=books.book)).checkpoints
    assert (kept.size, kept.written_by) == (period.after_entry, MAKER)
    assert kept.reason.startswith(f"{APRIL} closed: ")
    assert books.wrong() == []


def test_without_a_key_months_close_all_the_same(loop: Loop, database: str) -> None:
    with serving(loop, database, signing=NO_KEY) as running:
        one = in_use(running, "unsigned")
        assert closed(one, APRIL).period.state == pb.PERIOD_STATE_CLOSED
        assert not one.audit.ListCheckpoints(au.ListCheckpointsRequest(book=one.book)).checkpoints


# --- the opening checks -------------------------------------------------------------------------------


def found(answer: Any) -> list[str]:
    """What stands in the way, in words."""
    return [
        f"{pb.FindingKind.Name(one.kind).removeprefix('FINDING_KIND_').lower()} {one.subject} {one.item or '-'} "
        f"{one.amount.minor_units} since {one.since}, {one.days}"
        for one in answer.findings
    ]


def looked_at(books: Ledger, month: str, **more: Any) -> pb.ClosePeriodResponse:
    return books.periods.ClosePeriod(closing_of(books, month, validate_only=True, **more), metadata=by(MAKER))


def test_what_is_not_cleared_for_long_stands_in_the_way(books: Ledger) -> None:
    """By account or item, since when its balance has not been at zero; what is younger than the limit does not."""
    clearing = "Assets:RemittanceClearing:AETNA:EFT1"
    books.post("2026-04-01", dr(clearing, "9.00"), cr(UNAPPLIED, "9.00"))
    books.post("2026-04-02", dr(UNAPPLIED, "9.00"), cr(CASH, "9.00"))
    books.post("2026-04-20", dr(clearing, "1.00"), cr(UNAPPLIED, "1.00"))
    books.post("2026-04-03", dr(CASH, "5.00"), cr(SUSPENSE, "5.00", "one"))
    books.post("2026-04-03", dr(CASH, "4.00"), cr(SUSPENSE, "4.00", "two"))
    books.post("2026-04-04", dr(SUSPENSE, "4.00", "two"), cr(CASH, "4.00"))
    books.post("2026-04-05", dr(SUSPENSE, "5.00", "three"), cr(CASH, "5.00"))
    books.post("2026-05-01", dr(SUSPENSE, "5.00", "one"), cr(CASH, "5.00"))
    assert found(looked_at(books, APRIL)) == []
    assert found(looked_at(books, APRIL, limit_days=9)) == [
        f"clearing {clearing} - 1000 since 2026-04-01, 29",
        f"suspense {SUSPENSE} one -500 since 2026-04-03, 27",
        f"suspense {SUSPENSE} three 500 since 2026-04-05, 25",
        f"unapplied_cash {UNAPPLIED} - -100 since 2026-04-20, 10",
    ]
    assert len(found(looked_at(books, APRIL, limit_days=10))) == 3
    assert listed(books) == []


def test_a_close_is_refused_until_somebody_takes_responsibility(books: Ledger) -> None:
    books.post("2026-04-01", dr(CASH, "5.00"), cr(SUSPENSE, "5.00", "one"))
    books.post("2026-04-02", dr(CASH, "6.00"), cr(SUSPENSE, "6.00", "two"))
    posted(books, IN_MAY)
    closed(books, APRIL)  # 29 days: not yet
    refusal = told(books.periods.ClosePeriod, closing_of(books, MAY))
    assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "PERIOD_NOT_READY")
    assert refusal.facts == {
        "month": MAY,
        "findings": "2",
        "1": f"suspense {SUSPENSE} one -5.00 USD since 2026-04-01",
        "2": f"suspense {SUSPENSE} two -6.00 USD since 2026-04-02",
    }
    assert listed(books) == [(APRIL, "closed", 1)]
    override = pb.PeriodOverride(person="cfo", reason="AETNA was asked on 2 June")
    done = closed(books, MAY, override=override)
    assert (done.period.close.override, len(done.findings)) == (override, 2)
    assert got(books, MAY) == pb.GetPeriodResponse(
        period=done.period, findings=done.findings, balances=done.balances
    )
    assert books.wrong() == []


def test_an_override_that_nothing_needs_is_not_kept(books: Ledger) -> None:
    done = closed(books, APRIL, override=pb.PeriodOverride(person="cfo", reason="to be safe"))
    assert not done.period.close.HasField("override")


def test_of_many_findings_the_oldest_are_told(books: Ledger) -> None:
    for day in range(1, 15):
        books.post(f"2026-03-{day:02}", dr(CASH, "1.00"), cr(SUSPENSE, "1.00", f"item {day}"))
    facts = told(books.periods.ClosePeriod, closing_of(books, MARCH, limit_days=0)).facts
    assert facts["findings"] == "14"
    assert [facts[str(place)].partition("item ")[2][:1] for place in (1, 2, 3)] == ["1", "2", "3"]
    assert "11" not in facts


def test_an_old_exception_stands_in_the_way(books: Ledger) -> None:
    """Its age is counted by the database's clock, to the moment of the close: the mail room's own time."""
    deliver(books, file(remittance("7.00", "EFT1", claim("C9", "7.00", "7.00"), day=IN_APRIL)), books.book)
    [raised, *_] = books.reconciliation.ListExceptions(rc.ListExceptionsRequest(book=books.book)).exceptions
    assert not any(one.kind == pb.FINDING_KIND_EXCEPTION for one in looked_at(books, APRIL).findings)
    aged = "UPDATE exceptions SET opened_at = opened_at - interval '31 days' WHERE book = '%s'"
    rows(books, aged % books.book)
    exceptions = [one for one in looked_at(books, APRIL).findings if one.kind == pb.FINDING_KIND_EXCEPTION]
    assert [one.days for one in exceptions] == [31] * len(exceptions)
    assert raised.id in {one.item for one in exceptions}
    assert refused(books.periods.ClosePeriod, closing_of(books, APRIL)).reason == "PERIOD_NOT_READY"
    for item in books.worklist.ListItems(wl.ListItemsRequest(book=books.book)).items:
        about = {"book": books.book, "id": item.exception.id, "version": item.version, "note": "known"}
        books.worklist.CloseItem(wl.CloseItemRequest(idempotency_key=key(), **about))
    closed(books, APRIL)


def test_looking_records_nothing_and_says_what_a_close_would(books: Ledger) -> None:
    before = books.state()
    foreseen = looked_at(books, APRIL)
    assert (books.state(), listed(books)) == (before, [])
    assert (foreseen.period.close.hash, foreseen.period.HasField("set_at")) == (b"", False)
    done = closed(books, APRIL)
    for answer in (done, foreseen):
        answer.period.ClearField("set_at")
        answer.period.close.ClearField("hash")
    assert done == foreseen


# --- what is posted around a close --------------------------------------------------------------------


def test_a_reversal_without_a_date_goes_to_the_first_open_day(books: Ledger) -> None:
    """The entry's own day, or the first day of the first open month after it."""
    first, second, third = (posted(books, IN_APRIL).number for _ in "123")
    assert books.postings.ReverseEntry(reversing(books, first)).entry.effective_date == IN_APRIL
    closed(books, APRIL)
    soft_closed(books, MAY)
    asked = reversing(books, second)
    entered = books.postings.ReverseEntry(asked)
    assert (entered.entry.effective_date, entered.replayed) == ("2026-06-01", False)
    assert told(books.postings.ReverseEntry, reversing(books, third, IN_APRIL)).reason == "PERIOD_CLOSED"
    assert books.postings.ReverseEntry(reversing(books, third, IN_MAY)).entry.effective_date == IN_MAY
    closed(books, MAY)
    closed(books, JUNE)
    assert books.postings.ReverseEntry(asked) == po.ReverseEntryResponse(entry=entered.entry, replayed=True)
    assert books.wrong() == []


@pytest.mark.parametrize(
    ("how", "day"), [("closed", "2026-06-01"), ("soft-closed", "2026-06-01"), ("open", IN_MAY)]
)
def test_a_remittance_of_a_month_that_is_not_open(books: Ledger, how: str, day: str) -> None:
    """It is settled on the first open day after its payment; the day of the payment stays with it."""
    books.postings.RecordSession(session("C1", IN_APRIL, book=books.book, patient_share="20.00"))
    if how != "open":
        closed(books, APRIL)
        (closed if how == "closed" else soft_closed)(books, MAY)
    paid = claim("C1", "150.00", "100.00", "CO-45 30.00, PR-3 20.00")
    [one] = deliver(books, file(remittance("100.00", "EFT1", paid, day=IN_MAY)), books.book).remittances
    assert (one.payment_date, rc.RemittanceState.Name(one.state)) == (IN_MAY, "REMITTANCE_STATE_SETTLED")
    assert {found.effective_date for found in books.entries() if found.dimensions.remittance} == {day}
    assert books.balance("Assets:RemittanceClearing:AETNA:EFT1", day) == "100.00 Dr"
    assert books.balance("Assets:Receivable:Insurer:AETNA") == "0.00"
    assert books.wrong() == []


def test_what_waited_in_suspense_is_matched_into_an_open_month(books: Ledger) -> None:
    books.postings.RecordSession(session("C1", IN_APRIL, book=books.book))
    data = file(remittance("50.00", "EFT1", claim("C2", "50.00", "50.00"), day=IN_APRIL))
    deliver(books, data, books.book)
    books.postings.RecordSession(session("C2", IN_APRIL, book=books.book, allowed="50.00", charge="50.00"))
    closed(books, APRIL)
    deliver(books, data, books.book)
    assert books.entries()[-1].effective_date == "2026-05-01"
    assert books.balance("Liabilities:Suspense:AETNA") == "0.00"
    assert books.wrong() == []


def test_a_reopening_waits_among_the_proposals(books: Ledger) -> None:
    """It is about no amount, and is listed all the same."""
    closed(books, APRIL)
    waiting = proposed(books, reopening(books, APRIL))
    sql = files("ledger.reports").joinpath("proposals.sql").read_text()
    listing = rows(books, set_by_hand(sql, book=books.book, as_of="2999-12-31").decode())
    assert [(row[0], row[3:6]) for row in listing] == [(waiting.number, ("reopen_period", None, None))]


def test_a_key_of_an_undated_reversal_says_what_differs(books: Ledger) -> None:
    asked = reversing(books, 1)
    books.postings.ReverseEntry(asked)
    asked.reason = "another"
    assert told(books.postings.ReverseEntry, asked, "local").facts["differs"] == "description"
    asked.reason, asked.effective_date = "mistaken", IN_MAY
    assert told(books.postings.ReverseEntry, asked, "local").facts["differs"] == "effective_date"


# --- service months -----------------------------------------------------------------------------------


def by_month(books: Ledger, as_of: str = "2026-12-31") -> dict[tuple[str, str], tuple[int, ...]]:
    """Revenue, contractual, absorbed, paid, insurer and patient by month of service and of effect."""
    answer = books.periods.GetServiceMonths(pb.GetServiceMonthsRequest(book=books.book, as_of=as_of))
    columns = ("revenue", "contractual", "absorbed", "paid", "insurer", "patient")
    for row in (*answer.rows, *answer.totals):
        revenue, contractual, absorbed, paid, insurer, patient = units(row, columns)
        assert insurer + patient == revenue - contractual - absorbed - paid
    return {(row.service_month, row.effective_month): units(row, columns) for row in answer.rows}


def units(row: Any, columns: Sequence[str]) -> tuple[int, ...]:
    return tuple(getattr(row, name).minor_units for name in columns)


def test_late_remittances_are_seen_by_both_months(books: Ledger) -> None:
    books.postings.RecordSession(session("C1", IN_APRIL, book=books.book, patient_share="20.00"))
    books.postings.RecordSession(session("C2", IN_MAY, book=books.book))
    closed(books, APRIL)
    closed(books, MAY)
    paid = claim("C1", "150.00", "90.00", "CO-45 40.00, PR-3 20.00")
    deliver(books, file(remittance("90.00", "EFT1", paid, day=IN_MAY)), books.book)
    denial = {"book": books.book, "idempotency_key": "late", "claim": "C2", "reason": "too late"}
    books.postings.AbsorbDenial(po.AbsorbDenialRequest(effective_date="2026-07-01", **denial))
    books.post("2026-07-02", dr(CASH, "20.00"), cr("Assets:Receivable:Patient", "20.00", "C1"))
    assert by_month(books) == {
        (APRIL, APRIL): (12000, 0, 0, 0, 10000, 2000),
        (APRIL, JUNE): (0, 1000, 0, 9000, -10000, 0),
        (APRIL, "2026-07"): (0, 0, 0, 2000, 0, -2000),
        (MAY, MAY): (12000, 0, 0, 0, 12000, 0),
        (MAY, "2026-07"): (0, 0, 12000, 0, -12000, 0),
    }
    assert [*by_month(books, "2026-05-31")] == [(APRIL, APRIL), (MAY, MAY)]
    totals = books.periods.GetServiceMonths(pb.GetServiceMonthsRequest(book=books.book, as_of="2026-12-31")).totals
    assert [units(row, ("revenue", "insurer", "patient")) for row in totals] == [(24000, 0, 0)]


def test_an_auditor_pastes_what_stands_in_the_way(books: Ledger) -> None:
    books.post("2026-04-01", dr(CASH, "5.00"), cr(SUSPENSE, "5.00", "one"))
    sql = files("ledger.periods").joinpath("uncleared.sql").read_text()
    asked = set_by_hand(sql, book=books.book, as_of="2026-05-31", days="30").decode()
    assert [row[:5] for row in rows(books, asked)] == [("suspense", SUSPENSE, "one", "USD", -500)]
    waiting = files("reconciliation.reports").joinpath("old_exceptions.sql").read_text()
    assert rows(books, set_by_hand(waiting, book=books.book, now="2026-05-31", days="0").decode()) == []


# --- the proof ----------------------------------------------------------------------------------------


def test_the_hash_covers_all_that_is_frozen(books: Ledger) -> None:
    """Recomputed from the rows in Python as when the month was closed, and in SQL by the integrity check."""
    books.post("2026-04-01", dr(CASH, "5.00"), cr(SUSPENSE, "5.00", "one"))
    done = closed(books, APRIL, limit_days=9, override=pb.PeriodOverride(person="cfo", reason="known"))

    async def recomputed() -> bytes:
        database = connections(books.url)
        async with reading(database) as connection:
            kept = await store.version(connection, books.book, fields.month("month", APRIL), 1)
            assert kept is not None
            kept = await store.frozen(connection, books.book, kept)
        await database.dispose()
        assert kept.close is not None
        again = signed(books.book, kept, kept.close)
        assert again.close is not None
        return again.close.hash

    assert books.loop.run(recomputed()) == done.period.close.hash
    assert books.wrong() == []


# What somebody with all rights may do to a closed month and the books under it, and what the check calls it. The
# book is closed for April after entry 2, with something in the way, and soft-closed for May.
IN_BOOK = "book = '{book}'"
CLOSE = f"periods WHERE {IN_BOOK} AND state = 'closed'"
LATER = "INSERT INTO periods SELECT book, '2026-07-01', 1, 'open', 'closed', 3, 'why', 'eve', now(), NULL,"
TAMPERED = {
    "a frozen amount": (
        f"UPDATE period_balances SET debits = debits + 1 WHERE {IN_BOOK} AND account = 'Assets:Cash'",
        {"period_balances", "period_hash"},
    ),
    "a frozen account": (
        f"DELETE FROM period_balances WHERE {IN_BOOK} AND account = 'Assets:Cash'",
        {"period_balances", "period_hash"},
    ),
    "one account more": (
        "INSERT INTO period_balances VALUES ('{book}', '2026-04-01', 1, 'Assets:More', 'USD', 0, 0)",
        {"period_balances", "period_hash"},
    ),
    "a frozen currency": (
        f"UPDATE period_balances SET currency = 'EUR' WHERE {IN_BOOK}",
        {"period_balances", "period_hash"},
    ),
    "the hash": (
        f"UPDATE periods SET hash = last_entry_hash WHERE {IN_BOOK} AND state = 'closed'",
        {"period_hash"},
    ),
    "the hash of the last entry": (
        f"UPDATE periods SET last_entry_hash = hash WHERE {IN_BOOK} AND state = 'closed'",
        {"period_hash", "period_last_entry"},
    ),
    "the signer": (f"UPDATE periods SET set_by = 'eve' WHERE {IN_BOOK} AND state = 'closed'", {"period_hash"}),
    "the reason": (f"UPDATE periods SET reason = 'because' WHERE {IN_BOOK} AND state = 'closed'", {"period_hash"}),
    "the time": (
        f"UPDATE periods SET set_at = set_at + interval '1 day' WHERE {IN_BOOK} AND state = 'closed'",
        {"period_hash"},
    ),
    "the limit": (f"UPDATE periods SET limit_days = 30 WHERE {IN_BOOK} AND state = 'closed'", {"period_hash"}),
    "who took responsibility": (
        f"UPDATE periods SET override_by = 'eve' WHERE {IN_BOOK} AND state = 'closed'",
        {"period_hash"},
    ),
    "what was found": (f"UPDATE period_findings SET amount = 1 WHERE {IN_BOOK}", {"period_hash"}),
    "a finding taken away": (f"DELETE FROM period_findings WHERE {IN_BOOK}", {"period_hash"}),
    "an earlier entry number": (
        f"UPDATE periods SET after_entry = 1 WHERE {IN_BOOK} AND state = 'closed'",
        {"period_hash", "period_last_entry", "period_closed", "period_balances"},
    ),
    "a later entry number": (
        f"UPDATE periods SET after_entry = 3 WHERE {IN_BOOK} AND state = 'closed'",
        {"period_hash", "period_last_entry"},
    ),
    "an entry moved into a closed month": (
        f"UPDATE entries SET effective_date = '2026-04-30' WHERE {IN_BOOK} AND number = 3",
        {"period_closed"},
    ),
    "a description taken away in a soft-closed month": (
        f"UPDATE entries SET description = '' WHERE {IN_BOOK} AND number = 3",
        {"period_soft_closed"},
    ),
    "a month opened by nobody": (
        f"INSERT INTO periods SELECT book, month, 2, 'closed', 'open', 3, 'why', 'eve', now(), 0 FROM {CLOSE}",
        {"period_history"},
    ),
    "a version in between taken away": (
        f"UPDATE periods SET version = 3 WHERE {IN_BOOK} AND state = 'soft_closed'",
        {"period_history"},
    ),
    "another state before": (
        f"UPDATE periods SET before = 'closed' WHERE {IN_BOOK} AND state = 'soft_closed'",
        {"period_history"},
    ),
    "a later month closed over an open one": (
        f"{LATER} last_entry_hash, 30, NULL, NULL, hash FROM {CLOSE}",
        {"period_order", "period_hash", "period_last_entry", "period_balances"},
    ),
}
CHECKS_OFF = (
    "ALTER TABLE periods DROP CONSTRAINT period_changes",
    "ALTER TABLE periods DROP CONSTRAINT periods_book_proposal_fkey",
)


@pytest.fixture(scope="module")
def kept(server: Ledger) -> Iterator[tuple[Ledger, psycopg.Connection[Any]]]:
    """A book with a closed and a soft-closed month, and its owner, as whom nothing but the check is in the way."""
    books = in_use(server, "kept")
    books.post("2026-04-01", dr(CASH, "5.00"), cr(SUSPENSE, "5.00", "one"))
    closed(books, APRIL, limit_days=9, override=pb.PeriodOverride(person="cfo", reason="known"))
    soft_closed(books, MAY)
    posted(books, IN_MAY)
    with psycopg.connect(books.url.replace("+psycopg", "")) as owner:
        yield books, owner


@pytest.mark.parametrize("case", TAMPERED)
def test_what_is_tampered_with_is_named(kept: tuple[Ledger, psycopg.Connection[Any]], case: str) -> None:
    books, owner = kept
    sql, expected = TAMPERED[case]
    check = files("ledger.audit").joinpath("integrity.sql").read_text()
    with undone(owner):
        for table in ("entries", "periods", "period_balances", "period_findings"):
            owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL".encode())
        for part in ("entries_1", "entries_2"):
            owner.execute(f"ALTER TABLE {part} DISABLE TRIGGER ALL".encode())
        for statement in CHECKS_OFF:
            owner.execute(statement.encode())
        owner.execute(sql.format(book=books.book).encode())
        named = {row[0] for row in owner.execute(check.encode()) if row[1] == books.book}
    assert expected <= named
    assert {name for name in named if name.startswith("period")} == expected


def test_nothing_is_tampered_with(kept: tuple[Ledger, psycopg.Connection[Any]]) -> None:
    assert kept[0].wrong() == []


# --- attacks by SQL -----------------------------------------------------------------------------------

REFUSED = {
    "a month reopened by an update": ("UPDATE periods SET state = 'soft_closed'", errors.InsufficientPrivilege),
    "a close taken away": ("DELETE FROM periods", errors.InsufficientPrivilege),
    "all of them": ("TRUNCATE periods CASCADE", errors.InsufficientPrivilege),
    "a frozen figure": ("UPDATE period_balances SET debits = 0", errors.InsufficientPrivilege),
    "a frozen account": ("DELETE FROM period_balances", errors.InsufficientPrivilege),
    "a finding": ("DELETE FROM period_findings", errors.InsufficientPrivilege),
    "opened without a second person": (
        "INSERT INTO periods VALUES ('kept', '2026-04-01', 2, 'closed', 'open', 3, 'why not', 'eve', now())",
        errors.CheckViolation,
    ),
    "opened for a proposal that nobody made": (
        "INSERT INTO periods VALUES ('kept', '2026-04-01', 2, 'closed', 'open', 3, 'why not', 'eve', now(), 99)",
        errors.ForeignKeyViolation,
    ),
    "soft-closed after it was closed": (
        "INSERT INTO periods VALUES ('kept', '2026-04-01', 2, 'closed', 'soft_closed', 3, 'why', 'eve', now())",
        errors.CheckViolation,
    ),
    "closed without a proof": (
        "INSERT INTO periods VALUES ('kept', '2026-06-01', 1, 'open', 'closed', 3, 'why', 'eve', now())",
        errors.CheckViolation,
    ),
    "another version of the same close": (
        "INSERT INTO periods SELECT * FROM periods WHERE book = 'kept' AND state = 'closed'",
        errors.UniqueViolation,
    ),
    "figures of a close that is not there": (
        "INSERT INTO period_balances VALUES ('kept', '2026-06-01', 1, 'Assets:Cash', 'USD', 0, 0)",
        errors.ForeignKeyViolation,
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_programs_role_cannot(kept: tuple[Ledger, psycopg.Connection[Any]], case: str) -> None:
    sql, expected = REFUSED[case]
    with undone(kept[1]) as owner:
        owner.execute(f"SET LOCAL ROLE {PROGRAM_ROLE}".encode())
        with pytest.raises(expected):
            attack(owner, [sql])


@pytest.mark.parametrize("table", ["periods", "period_balances", "period_findings"])
@pytest.mark.parametrize("verb", ["UPDATE {} SET book = book", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_not_even_the_owner_can_without_being_seen(
    kept: tuple[Ledger, psycopg.Connection[Any]], table: str, verb: str
) -> None:
    """Nor as a replica, where ordinary triggers are silent."""
    with undone(kept[1]) as owner:
        owner.execute("SET LOCAL session_replication_role = replica")
        with pytest.raises(errors.RestrictViolation):
            owner.execute(verb.format(table).encode())


# --- together, and cut off ----------------------------------------------------------------------------


def test_a_close_among_many_posters(books: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry is before the close, and in its trial balance, or refused; in whatever order, nothing is lost.

    Batches are decided ahead whenever they can be: what was foreseen before the close does not count after it.
    """
    monkeypatch.setattr(group_commit, "FORESIGHT", 1)
    posts = [posting(books, IN_APRIL, "0.01") for _ in range(60)]
    with ThreadPoolExecutor() as pool:
        calls = [books.postings.PostEntry.future(one) for one in posts[:30]]
        closes = [pool.submit(closed, books, APRIL) for _ in range(3)]
        calls += [books.postings.PostEntry.future(one) for one in posts[30:]]
        answers = [answered(call) for call in calls]
        done = [one.result() for one in closes]
    assert Counter(one.replayed for one in done) == {False: 1, True: 2}
    inside = [one.entry for one in answers if not isinstance(one, Refused)]
    assert {one.reason for one in answers if isinstance(one, Refused)} <= {"PERIOD_CLOSED"}
    assert frozen(done[0])[CASH] == f"{10 + len(inside) / 100:.2f} Dr"
    assert done[0].period.after_entry == 1 + len(inside)
    assert books.balance(CASH) == frozen(done[0])[CASH]
    assert books.wrong() == []


def test_a_close_that_is_cut_off_leaves_nothing_half(books: Ledger) -> None:
    """Its connection is lost after the month was written and before its trial balance was."""
    with psycopg.connect(books.url.replace("+psycopg", "")) as holder, ThreadPoolExecutor() as pool:
        holder.execute("LOCK TABLE period_balances IN ACCESS EXCLUSIVE MODE")
        closing = pool.submit(refused, books.periods.ClosePeriod, closing_of(books, APRIL))
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ANY (%s)"
        waiting = """
            SELECT pid FROM pg_locks JOIN pg_stat_activity AS a USING (pid)
            WHERE NOT granted AND relation = 'period_balances'::regclass AND a.datname = current_database()
        """
        while not (pids := [pid for (pid,) in holder.execute(waiting)]):
            assert not closing.done()
        holder.execute(cut, [pids])
        assert closing.result().reason == "DATABASE_UNAVAILABLE"
    assert listed(books) == []
    posted(books, IN_APRIL)
    assert frozen(closed(books, APRIL)) == {CASH: "11.00 Dr", OPENING: "11.00 Cr"}
    assert books.wrong() == []


def test_another_server_knows_of_a_close_at_once(loop: Loop, books: Ledger) -> None:
    """What a process remembers of a book it looks at under the lock."""
    with serving(loop, books.url) as other:
        there = other.of(books.book)
        posted(there, IN_APRIL)
        posted(books, IN_APRIL)
        closed(there, APRIL)
        assert told(books.postings.PostEntry, posting(books, IN_APRIL)).reason == "PERIOD_CLOSED"
        reopened(there, APRIL)
        posted(books, IN_APRIL)
        soft_closed(books, APRIL)
        posted(there, IN_APRIL)
        closed(books, APRIL)
        assert told(there.postings.PostEntry, posting(books, IN_APRIL)).reason == "PERIOD_CLOSED"
    assert books.wrong() == []
