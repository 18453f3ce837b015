"""Who watches a book gets every entry once, in order, from wherever it begins, however slow it is."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from serving import BOOK, PATIENCE_SECONDS, Ledger, Loop, cr, dr, entry, open_book, refused, serving
from test_command import address_in, running

from ledger.postings import feed
from ledger.v1 import accounts_pb2 as ac
from ledger.v1 import postings_pb2 as po
from ledger.v1.postings_pb2_grpc import PostingsServiceStub
from service.server import start

DAY = "2026-04-08"
CASH, OPENING = "Assets:Cash", "Equity:Opening"


@pytest.fixture
def books(ledger: Ledger) -> Ledger:
    """A book with three entries."""
    ledger.accounts.OpenAccount(ac.OpenAccountRequest(book=BOOK, code=OPENING, currency_code="USD"))
    post(ledger.postings, 3)
    return ledger


def batch(count: int, description: str = "cash in") -> po.PostEntriesRequest:
    lines = dr(CASH, "1.00"), cr(OPENING, "1.00")
    return po.PostEntriesRequest(
        book=BOOK, entries=[entry(DAY, *lines, description=description) for _ in range(count)]
    )


def post(stub: PostingsServiceStub, count: int, description: str = "cash in") -> None:
    assert all(result.entry.number for result in stub.PostEntries(batch(count, description)).results)


def since(number: int, book: str = BOOK) -> po.WatchEntriesRequest:
    return po.WatchEntriesRequest(book=book, after_number=number)


def watched(ledger: Ledger, after: int, until: int) -> list[po.JournalEntry]:
    """What a watcher gets until it has an entry."""
    found: list[po.JournalEntry] = []
    call = ledger.postings.WatchEntries(since(after), timeout=PATIENCE_SECONDS)
    for message in call:
        found.extend(message.entries)
        if found[-1].number >= until:
            call.cancel()
            break
    return found


def in_its_own_loop(work: Callable[[], Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work(), PATIENCE_SECONDS))


@asynccontextmanager
async def watching(where: str, after: int) -> AsyncIterator[AsyncIterator[po.WatchEntriesResponse]]:
    async with grpc.aio.insecure_channel(where) as channel:
        yield PostingsServiceStub(channel).WatchEntries(since(after)).__aiter__()


async def numbers(messages: AsyncIterator[po.WatchEntriesResponse], until: int) -> list[int]:
    found: list[int] = []
    while not found or found[-1] < until:
        found.extend(one.number for one in (await anext(messages)).entries)
    return found


# --- what is there and what comes ---------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1, 2])
def test_what_is_there_comes_first_and_is_what_a_listing_has(books: Ledger, after: int) -> None:
    assert watched(books, after, 3) == books.entries()[after:]


def test_what_is_posted_later_follows(books: Ledger) -> None:
    call = books.postings.WatchEntries(since(3), timeout=PATIENCE_SECONDS)
    post(books.postings, 1)
    assert [one.number for one in next(call).entries] == [4]
    post(books.postings, 2)
    found: list[int] = []
    while len(found) < 2:
        found.extend(one.number for one in next(call).entries)
    assert found == [5, 6]
    call.cancel()


def test_one_book_is_watched_and_no_other(books: Ledger) -> None:
    open_book(books, "other")
    books.of("other").post(DAY, dr(CASH, "9.00"), cr("Liabilities:UnappliedCash", "9.00"))
    post(books.postings, 1)
    assert [one.postings[0].amount.minor_units for one in watched(books, 0, 4)] == [100] * 4


def test_messages_are_of_a_bounded_size(books: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """But one entry is never split, however many postings it has."""
    monkeypatch.setattr(feed, "_MOST_POSTINGS", 8)
    books.post(DAY, *[dr(CASH, "1.00"), cr(OPENING, "1.00")] * 10)
    post(books.postings, 6)
    call = books.postings.WatchEntries(since(0), timeout=PATIENCE_SECONDS)
    sizes = [len(next(call).entries) for _ in range(4)]
    call.cancel()
    assert sizes == [3, 1, 4, 2]


WRONG = {
    "no book": (since(0, "other"), "BOOK_NOT_FOUND", "NOT_FOUND"),
    "an entry to come": (since(4), "NUMBER_BEYOND_HEAD", "FAILED_PRECONDITION"),
    "an entry below nought": (since(-1), "NUMBER_INVALID", "INVALID_ARGUMENT"),
}


@pytest.mark.parametrize("case", WRONG)
def test_refused_at_once(books: Ledger, case: str) -> None:
    asked, reason, code = WRONG[case]
    found = refused(lambda request: next(books.postings.WatchEntries(request)), asked)
    assert (found.reason, found.code) == (reason, code)


# --- many, slow, cut off ------------------------------------------------------------------------------


@pytest.fixture
def another(books: Ledger) -> Iterator[tuple[subprocess.Popen[str], PostingsServiceStub]]:
    """A second server on the same database, in a process of its own."""
    settings = {"database_url": books.url, "listen": "127.0.0.1:0"}
    with (
        running("serve", "--insecure", **settings) as (process, said),
        grpc.insecure_channel(address_in(said)) as channel,
    ):
        yield process, PostingsServiceStub(channel)


def test_a_hundred_watchers_while_two_processes_post(
    books: Ledger, another: tuple[subprocess.Popen[str], PostingsServiceStub], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each gets every number after its own beginning, without a gap, whoever posted it."""
    monkeypatch.setattr(feed, "_KEPT_POSTINGS", 200)  # so that some fall behind what is kept
    _, elsewhere = another
    last = 3 + 2 * 10 * 10
    with serving(books.loop, books.url) as watched_server:
        where = target(watched_server)

        async def all_of_them() -> list[list[int]]:
            async with grpc.aio.insecure_channel(where) as channel:
                stub = PostingsServiceStub(channel)
                watchers = [
                    asyncio.create_task(numbers(stub.WatchEntries(since(begin % 4)).__aiter__(), last))
                    for begin in range(100)
                ]
                posting = [
                    asyncio.to_thread(lambda stub=stub: [post(stub, 10) for _ in range(10)])
                    for stub in (books.postings, elsewhere)
                ]
                await asyncio.gather(*posting)
                return await asyncio.gather(*watchers)

        found = in_its_own_loop(all_of_them)
    assert found == [[*range(begin % 4 + 1, last + 1)] for begin in range(100)]
    assert books.wrong() == []


def target(ledger: Ledger) -> str:
    return ledger.channel._channel.target().decode().removeprefix("dns:///")


def test_slow_watchers_hold_nothing_and_miss_nothing(books: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than there are connections, none of whom takes what waits for it; all others are served."""
    monkeypatch.setattr(feed, "_KEPT_POSTINGS", 40)
    last = 3 + 1_000
    where = target(books)

    async def slowly() -> list[list[int]]:
        async with grpc.aio.insecure_channel(where, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = PostingsServiceStub(channel)
            calls = [stub.WatchEntries(since(0)).__aiter__() for _ in range(15)]
            begun = [[one.number for one in (await anext(call)).entries] for call in calls]
            for _ in range(10):
                await asyncio.to_thread(post, books.postings, 100, "x" * 400)
            assert await asyncio.to_thread(books.balance, CASH) == f"{last}.00 Dr"
            rest = await asyncio.gather(*(numbers(call, last) for call in calls))
            return [first + more for first, more in zip(begun, rest, strict=True)]

    assert in_its_own_loop(slowly) == [[*range(1, last + 1)]] * 15


def test_a_watch_ends_with_the_service_and_resumes_with_another(loop: Loop, books: Ledger) -> None:
    """It is told so before the time that other calls have to finish is over."""
    server = loop.run(start(books.url, "127.0.0.1:0"))
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        call = PostingsServiceStub(channel).WatchEntries(since(0), timeout=PATIENCE_SECONDS)
        seen = [one.number for one in next(call).entries]
        loop.run(server.stop(PATIENCE_SECONDS / 2))
        found = refused(lambda _: next(call), None)
    assert (found.code, found.reason) == ("UNAVAILABLE", "WATCH_ENDED")
    post(books.postings, 2)
    with serving(loop, books.url) as second:
        seen += [one.number for one in watched(second, seen[-1], 5)]
    assert seen == [1, 2, 3, 4, 5]


def test_a_killed_service_is_resumed_from_elsewhere(
    books: Ledger, another: tuple[subprocess.Popen[str], PostingsServiceStub]
) -> None:
    process, elsewhere = another
    call = elsewhere.WatchEntries(since(1), timeout=PATIENCE_SECONDS)
    seen = [one.number for one in next(call).entries]
    process.kill()
    post(books.postings, 2)
    assert refused(lambda _: next(call), None).code == "UNAVAILABLE"
    assert seen + [one.number for one in watched(books, seen[-1], 5)] == [2, 3, 4, 5]


def test_nobody_looks_at_a_book_that_nobody_watches(books: Ledger) -> None:
    """The last who leaves ends the looking; the next begins it anew."""
    for _ in range(3):
        assert [one.number for one in watched(books, 2, 3)] == [3]
    tasks = books.loop.run(following())
    assert tasks == []


async def following() -> list[str]:
    """The tasks that follow books, once those that end have had their turn."""
    for _ in range(100):
        found = [task.get_name() for task in asyncio.all_tasks() if "Feed._follow" in repr(task.get_coro())]
        if not found:
            return []
        await asyncio.sleep(0.05)
    return found
