"""Reads from a replica: a real streaming standby, that is late, that is away, and that never decides."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from conftest import RUN_FOLDER, make_open_folder
from grpc_health.v1 import health_pb2, health_pb2_grpc
from serving import (
    BOOK,
    PATIENCE_SECONDS,
    Ledger,
    Loop,
    cr,
    dr,
    entry,
    open_book,
    payout,
    refusal,
    refused,
    serving,
    session,
    standing,
)

from ledger.database import migrate
from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import postings_pb2 as po
from ledger.v1 import reports_pb2 as rp
from reconciliation.v1 import reconciliation_pb2 as rc
from service.postgres import DATABASE, OWNER, SERVER, Cluster, _free_port, _text, embedded

DAY = "2026-04-08"
CASH = "Assets:Cash"


@dataclass(frozen=True)
class Pair:
    """A server that posts to one PostgreSQL and reads from its standby."""

    ledger: Ledger
    standby: Cluster

    def tell(self, statement: str) -> None:
        """As the standby's owner."""
        url = self.standby.url(DATABASE, OWNER).replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def known(self) -> int:
        """How far the replica is, as its answers say: before it has the book, nowhere."""
        if not self.ledger.accounts.ListBooks(ac.ListBooksRequest()).books:
            return 0
        return self.ledger.accounts.GetBalance(cash()).as_known_at_number


def cash(**known: Any) -> ac.GetBalanceRequest:
    return ac.GetBalanceRequest(book=BOOK, prefix=CASH, **known)


def follows(condition: Callable[[], bool]) -> bool:
    """Waits until the replica has caught up."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def post(ledger: Ledger) -> int:
    return ledger.post(DAY, dr(CASH, "1.00"), cr("Liabilities:UnappliedCash", "1.00")).number


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = make_open_folder(Path(os.environ[RUN_FOLDER]))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def pair(loop: Loop, folder: Path) -> Iterator[Pair]:
    with embedded(folder / "primary") as urls:
        migrate(urls.owner)
        standby = copied(Cluster(folder / "primary", {}), folder / "standby")
        with standby.guarded():
            standby._launch()
        try:
            with serving(loop, urls.server, read_url=standby.url(DATABASE, SERVER)) as running:
                open_book(running)
                made, number = Pair(running, standby), post(running)
                assert follows(lambda: made.known() >= number)
                yield made
        finally:
            standby.stop()


def copied(primary: Cluster, folder: Path) -> Cluster:
    """A standby that is not started yet, from a base backup of a running server."""
    standby = Cluster(folder, {})
    standby.home.mkdir()
    standby.home.chmod(0o755)
    data = standby.home / "data"
    data.mkdir(mode=0o700)
    standby._account = primary._account
    standby._give(data)
    source = primary.url("postgres", OWNER).replace("+psycopg", "")
    made = standby._run(
        *("pg_basebackup", "-D", str(data), "-d", source, "-R", "-X", "stream", "-c", "fast"), folder=standby.home
    )
    assert made.returncode == 0, made.stderr
    for name in ("password", "server_password"):
        shutil.copy(primary.home / name, standby.home / name)
    standby.log.touch()
    standby._give(standby.log)
    standby._configure(standby.home, _free_port())
    return standby


def test_a_replica_answers_and_says_how_far_it_is(pair: Pair) -> None:
    number = post(pair.ledger)
    assert follows(lambda: pair.known() >= number)
    assert standing(pair.ledger.accounts.GetBalance(cash()).balances[0]) == f"{number}.00 Dr"
    assert len(pair.ledger.entries()) == number
    log = _text(pair.standby.log)
    assert "database system is ready to accept read-only connections" in log


def test_what_the_replica_has_not_got_yet_is_not_guessed(pair: Pair) -> None:
    """A question as known at a later entry is refused for now; a question without says what it knows."""
    before = post(pair.ledger)
    assert follows(lambda: pair.known() >= before)
    pair.tell("SELECT pg_wal_replay_pause()")
    assert follows(lambda: paused(pair))
    number = post(pair.ledger)
    found = pair.ledger.accounts.GetBalance(cash())
    assert (standing(found.balances[0]), found.as_known_at_number) == (f"{before}.00 Dr", before)
    trial = rp.GetTrialBalanceRequest(book=BOOK, as_of=DAY, as_known_at_number=number)
    asks = {
        pair.ledger.accounts.GetBalance: cash(as_known_at_number=number),
        pair.ledger.reports.GetTrialBalance: trial,
        first_of(pair.ledger.postings.WatchEntries): po.WatchEntriesRequest(book=BOOK, after_number=number),
    }
    for call, asked in asks.items():
        late = refused(call, asked)
        assert (late.code, late.reason) == ("UNAVAILABLE", "REPLICA_BEHIND")
        assert (late.facts["number"], late.facts["head"]) == (str(number), str(before))
    pair.tell("SELECT pg_wal_replay_resume()")
    assert follows(lambda: pair.known() >= number)
    assert pair.ledger.accounts.GetBalance(cash(as_known_at_number=number)).balances


def paused(pair: Pair) -> bool:
    url = pair.standby.url(DATABASE, OWNER).replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT pg_get_wal_replay_pause_state()").fetchone() == ("paused",)


def first_of(watch: Any) -> Callable[[Any], Any]:
    return lambda asked: next(watch(asked, timeout=PATIENCE_SECONDS))


def test_what_decides_asks_the_database_itself(pair: Pair) -> None:
    """However late the replica is: what is payable, what would be posted, and what was posted under a key."""
    pair.tell("SELECT pg_wal_replay_pause()")
    assert follows(lambda: paused(pair))
    ledger = pair.ledger
    earned = ledger.postings.RecordSession(session("C1")).entry
    asked = po.GetEntryRequest(book=BOOK, idempotency_key=earned.idempotency_key)
    assert ledger.postings.GetEntry(asked).entry == earned
    tried = ledger.postings.PayProvider(payout("ada", "105.00", validate_only=True)).entry
    assert tried.postings
    ledger.postings.PayProvider(payout("ada", "105.00"))
    assert refused(ledger.postings.PayProvider, payout("ada", "105.00")).reason == "PAYABLE_EXCEEDED"
    pair.tell("SELECT pg_wal_replay_resume()")


def test_a_watch_follows_the_replica(pair: Pair) -> None:
    number = post(pair.ledger)
    assert follows(lambda: pair.known() >= number)
    call = pair.ledger.postings.WatchEntries(
        po.WatchEntriesRequest(book=BOOK, after_number=number - 1), timeout=PATIENCE_SECONDS
    )
    assert [one.number for one in next(call).entries] == [number]
    following = post(pair.ledger)
    assert [one.number for one in next(call).entries] == [following]
    call.cancel()


READS = {
    "GetBalance": cash(),
    "ListAccounts": ac.ListAccountsRequest(book=BOOK),
    "ListBooks": ac.ListBooksRequest(),
    "ListEntries": po.ListEntriesRequest(book=BOOK),
    "GetTrialBalance": rp.GetTrialBalanceRequest(book=BOOK, as_of=DAY),
    "GetStatement": rp.GetStatementRequest(book=BOOK, account=CASH),
    "GetReceivablesAging": rp.GetReceivablesAgingRequest(book=BOOK, as_of=DAY),
    "ListExceptions": rc.ListExceptionsRequest(book=BOOK),
}


def test_a_replica_that_is_away_keeps_nobody_from_posting(loop: Loop, ledger: Ledger) -> None:
    """Reads are told so; posting, and the health by which others judge it, go on."""
    away = "postgresql+psycopg://ada:secret@127.0.0.1:1/ledger"
    with serving(loop, ledger.url, read_url=away) as running:
        for name, asked in READS.items():
            stubs = running.accounts, running.postings, running.reports, running.reconciliation
            call = next(getattr(stub, name) for stub in stubs if hasattr(stub, name))
            found = refused(call, asked)
            assert (found.code, found.reason) == ("UNAVAILABLE", "REPLICA_UNAVAILABLE"), name
            assert "secret" not in found.message
        watch = refused(first_of(running.postings.WatchEntries), po.WatchEntriesRequest(book=BOOK))
        assert watch.reason == "REPLICA_UNAVAILABLE"
        assert post(running) == 1
        health = health_pb2_grpc.HealthStub(running.channel).Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING


def test_a_standby_that_stops_is_told_and_one_that_comes_back_answers(pair: Pair) -> None:
    assert follows(lambda: is_away(pair))
    number = post(pair.ledger)
    with pair.standby.guarded():
        pair.standby._launch()
    assert follows(lambda: answers(pair, number))


def is_away(pair: Pair) -> bool:
    pair.standby.stop()
    try:
        pair.known()
    except grpc.RpcError as error:
        found = refusal(error)
        return (found.code, found.reason) == ("UNAVAILABLE", "REPLICA_UNAVAILABLE")
    return False


def answers(pair: Pair, number: int) -> bool:
    try:
        return pair.known() >= number
    except grpc.RpcError:
        return False


# --- reads and the head -------------------------------------------------------------------------------


def test_no_read_waits_for_the_head_of_a_book(ledger: Ledger) -> None:
    """Somebody holds it and a caller waits to post: all reads answer meanwhile."""
    post(ledger)
    reads = READS | {
        "GetAccount": ac.GetAccountRequest(book=BOOK, code=CASH),
        "GetEntry": po.GetEntryRequest(book=BOOK, number=1),
        "GetProviderPayables": rp.GetProviderPayablesRequest(book=BOOK, as_of=DAY),
        "GetSessionMargin": rp.GetSessionMarginRequest(book=BOOK, as_of=DAY),
        "ListRemittances": rc.ListRemittancesRequest(book=BOOK),
    }
    stubs = ledger.accounts, ledger.postings, ledger.reports, ledger.reconciliation
    with psycopg.connect(ledger.url.replace("+psycopg", "")) as holder:
        holder.execute("SELECT FROM heads WHERE book = 'main' FOR UPDATE")
        held = ledger.postings.PostEntry.future(asked_to_post())
        for name, asked in reads.items():
            call = next(getattr(stub, name) for stub in stubs if hasattr(stub, name))
            assert call(asked, timeout=PATIENCE_SECONDS) is not None, name
        known = cash(as_known_at_number=1, as_of=DAY)
        assert standing(ledger.accounts.GetBalance(known).balances[0]) == "1.00 Dr"
        watch = ledger.postings.WatchEntries(po.WatchEntriesRequest(book=BOOK), timeout=PATIENCE_SECONDS)
        assert [one.number for one in next(watch).entries] == [1]
        assert not held.done()
        holder.rollback()
        assert [one.number for one in next(watch).entries] == [held.result(PATIENCE_SECONDS).entry.number] == [2]
        watch.cancel()


def asked_to_post() -> po.PostEntryRequest:

    return po.PostEntryRequest(
        book=BOOK, entry=entry(DAY, dr(CASH, "1.00"), cr("Liabilities:UnappliedCash", "1.00"))
    )
