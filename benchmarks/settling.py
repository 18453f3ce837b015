"""What it costs to settle large remittances: reading alone, reading to posting, and what others wait meanwhile.

`python -m benchmarks.settling`. Ratios are of CPU time, since a machine may be busy with other things.
"""

import argparse
import sys
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

from benchmarks.page import put, verdicts
from benchmarks.remittances.answer import answer
from benchmarks.remittances.books import Books, books
from benchmarks.remittances.mail import File
from benchmarks.remittances.pen import Payment, interchange
from benchmarks.remittances.rates import Rates
from benchmarks.remittances.trial import Place, placed
from benchmarks.remittances.world import Claim, World, world
from benchmarks.targets import Verdict, judged
from ledger.v1 import accounts_pb2, money_pb2, postings_pb2
from reconciliation.remittance import survey

PART = 1024 * 1024
BATCH = 1_000
AT_ONCE = 10
ROUNDS = 3
NEVER = Rates(**dict.fromkeys((field.name for field in fields(Rates)), 0))


def remittance(claims: Sequence[Claim], number: int) -> File:
    """One payment for all of these claims, as the contracts say."""
    payer, answers = claims[0].payer, [answer(claim) for claim in claims]
    day = max(session.day for claim in claims for session in claim.sessions)
    paid = sum(one.paid for one in answers)
    content = interchange([Payment(payer, f"LARGE{number:07}", day, paid, answers, ())], number)
    return File(f"large-{number}.835", content, ())


def parts(content: bytes) -> list[bytes]:
    """The file as it is read: a megabyte at a time."""
    return [content[start : start + PART] for start in range(0, len(content), PART)]


def reading_seconds(content: bytes) -> float:
    """The least CPU time of some rounds of reading and balancing a file."""
    chunks, took = parts(content), []
    for _ in range(ROUNDS):
        began = time.process_time()
        [found] = survey(chunks)
        took.append(time.process_time() - began)
        assert found.settleable
    return min(took)


def reading_bytes(content: bytes) -> int:
    """The most memory that reading and balancing holds beside the file."""
    chunks = parts(content)
    tracemalloc.start()
    try:
        assert all(found.settleable for found in survey(chunks))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def used(place: Place) -> float:
    """CPU seconds of the server and PostgreSQL so far."""
    return place.server.cpu_seconds() + place.postgres.cpu_seconds()


def posting_again(own: Books, other: Books) -> Iterator[postings_pb2.PostEntriesRequest]:
    """What the remittance posted, as batches of entries for another book."""
    asked = postings_pb2.ListEntriesRequest(book=own.name, kind=postings_pb2.KIND_CLAIM_PAID, page_size=BATCH)
    while True:
        page = own.postings.ListEntries(asked)
        yield postings_pb2.PostEntriesRequest(book=other.name, entries=map(_again, page.entries), atomic=True)
        if not page.next_page_token:
            return
        asked.page_token = page.next_page_token


def _again(entry: postings_pb2.JournalEntry) -> postings_pb2.EntryToPost:
    return postings_pb2.EntryToPost(
        idempotency_key=entry.idempotency_key,
        effective_date=entry.effective_date,
        description="the same again",
        dimensions=entry.dimensions,
        postings=entry.postings,
    )


def settled(place: Place, made: World) -> list[Verdict]:
    """Reading to posting against reading alone and PostEntries of the same entries."""
    claims = made.claims
    file = remittance(claims, 1)
    reading = reading_seconds(file.content)
    own, other = books(place.channel, "settled"), books(place.channel, "posted")
    own.open(made)
    before, held = used(place), place.server.resident_bytes()
    own.deliver(file)
    whole, grown = used(place) - before, place.server.resident_bytes() - held
    other.accounts.OpenBook(accounts_pb2.OpenBookRequest(book=other.name, name="The same again"))
    batches = [*posting_again(own, other)]
    before = used(place)
    for batch in batches:
        other.postings.PostEntries(batch)
    posting = used(place) - before
    return verdicts_of(len(claims), reading, whole, posting, reading_bytes(file.content), grown)


def verdicts_of(claims: int, reading: float, whole: float, posting: float, held: int, grown: int) -> list[Verdict]:
    """The targets, from CPU seconds and bytes; `whole` is from the delivery to the last entry."""
    each = [f"{1e6 * seconds / claims:,.0f} µs" for seconds in (whole, reading, posting)]
    told = f"reading to posting ({each[0]} a claim) against reading ({each[1]}) and PostEntries ({each[2]})"
    return [
        judged(f"claims read and balanced a second of CPU, of {claims:,}", 60_000, claims / reading, unit=""),
        judged(told, 1.5, whole / (reading + posting), at_most=True),
        judged("memory that reading holds", 16, held / 2**20, at_most=True, unit="MiB"),
        judged("memory that the server grew by", 128, grown / 2**20, at_most=True, unit="MiB"),
    ]


def waited(place: Place, made: World) -> list[Verdict]:
    """The longest that a lone entry waits while large files settle at once, against the time of one batch."""
    own = books(place.channel, "at-once")
    own.open(made)
    claims = made.claims
    share = len(claims) // (AT_ONCE + 1)
    files = [remittance(claims[n * share : (n + 1) * share], n + 2) for n in range(AT_ONCE + 1)]
    batches = max(1, share // BATCH)
    began = time.perf_counter()
    own.deliver(files[0])
    batch = (time.perf_counter() - began) / batches
    with ThreadPoolExecutor(AT_ONCE) as threads:
        delivering = [threads.submit(own.deliver, file) for file in files[1:]]
        longest, count = 0.0, 0
        while not all(each.done() for each in delivering):
            began = time.perf_counter()
            own.postings.PostEntry(_lone(own.name, count))
            longest, count = max(longest, time.perf_counter() - began), count + 1
    for each in delivering:
        each.result()
    what = f"longest wait of {count:,} entries beside {AT_ONCE} large files, in times of a batch ({batch:.2f} s)"
    return [judged(what, 1, longest / batch, at_most=True)]


def _lone(book: str, number: int) -> postings_pb2.PostEntryRequest:
    sides = (("Assets:Cash", accounts_pb2.SIDE_DEBIT), ("Revenue:Interest", accounts_pb2.SIDE_CREDIT))
    cent = money_pb2.Money(currency_code="USD", minor_units=1)
    lines = [postings_pb2.Posting(account=code, side=side, amount=cent) for code, side in sides]
    entry = postings_pb2.EntryToPost(
        idempotency_key=f"lone {number}", effective_date="2026-06-05", description="a cent", postings=lines
    )
    return postings_pb2.PostEntryRequest(book=book, entry=entry)


def main() -> int:
    """Measures, prints the table, and writes it where it is told to."""
    parser = argparse.ArgumentParser(prog="settling", description=__doc__)
    parser.add_argument("--claims", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the database lies")
    parser.add_argument("--output", type=Path, help="the page to write the table into")
    asked = parser.parse_args()
    made = world(asked.seed, asked.claims, NEVER, payers=1)
    with placed(asked.folder) as place:
        lines = verdicts([*settled(place, made), *waited(place, made)])
    print("\n".join(lines))
    if asked.output:
        put(asked.output, "settling", lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
