"""A server that stops: who is in is answered, who comes is told to go elsewhere, and nobody is cut off."""

from collections.abc import Iterator

import grpc
import psycopg
import pytest
from conftest import connected
from serving import BOOK, Ledger, Loop, Refused, answered, client, cr, dr, entry, eventually, open_book

from ledger.v1 import postings_pb2 as po
from service.server import Server, start

DAY = "2026-04-08"


@pytest.fixture
def running(loop: Loop, database: str) -> Iterator[tuple[Server, Ledger]]:
    """A server that the test stops, with a book."""
    server = loop.run(start(database, "127.0.0.1:0"))
    with grpc.insecure_channel(f"localhost:{server.port}") as channel:
        ledger = client(loop, database, channel)
        open_book(ledger)
        yield server, ledger
    loop.run(server.stop(0))


def simple(key: str) -> po.PostEntryRequest:
    return po.PostEntryRequest(
        book=BOOK, entry=entry(DAY, dr("Assets:Cash", "1.00"), cr("Revenue:Interest", "1.00"), key=key)
    )


async def closed(server: Server) -> None:
    server.door.close()


def test_who_is_in_is_answered_and_who_comes_is_told_to_go(
    loop: Loop, database: str, running: tuple[Server, Ledger]
) -> None:
    """One waits for the book when the server begins to stop, one comes after that."""
    server, ledger = running
    with connected(database) as looking, connected(database) as holder, holder.transaction():
        holder.execute("SELECT FROM heads WHERE book = %s FOR UPDATE", [BOOK])
        inside = ledger.postings.PostEntry.future(simple("inside"))
        eventually(lambda: waits(looking), "it waits for the book")
        loop.run(closed(server))
        outside = ledger.postings.PostEntry.future(simple("outside"))
        eventually(lambda: server.door.waiting, "somebody stands before the door")
    loop.run(server.stop(10))
    assert answered(inside).entry.number == 1
    told = answered(outside)
    assert isinstance(told, Refused)
    assert (told.code, told.reason) == ("UNAVAILABLE", "SERVER_STOPPING")


def waits(looking: psycopg.Connection) -> bool:
    """Whether somebody in this database waits for a lock."""
    waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return looking.execute(waiting).fetchone() is not None


def test_a_door_that_is_knocked_at_for_ever_is_shut_all_the_same(
    loop: Loop, running: tuple[Server, Ledger]
) -> None:
    """Clients that begin one call after the other hold up no stop."""
    server, ledger = running
    loop.run(closed(server))
    knocking = [ledger.postings.PostEntry.future(simple(str(n))) for n in range(100)]
    loop.run(server.stop(10))
    assert {answered(one).code for one in knocking} == {"UNAVAILABLE"}
    assert ledger.wrong() == []
