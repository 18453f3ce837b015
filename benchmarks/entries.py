"""What is posted: entries of four postings, made as the bytes that travel before anything is timed.

Messages of protobuf can be joined: the bytes of two partial messages are the bytes of the whole. So what repeats
is serialized once, and a client that posts a million entries costs next to nothing while it is measured.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from random import Random

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from ledger.v1 import accounts_pb2, money_pb2, postings_pb2

ACCOUNTS = 10_000
"""Accounts that the lots are drawn from; they open themselves on first use."""
POSTINGS = 4
"""Postings an entry, each to an account of its own lot."""
ENTRIES_A_DAY = 7_000
"""After so many entries the effective date is the next one: 2.5 million entries are a year."""
FIRST_DAY = date(2026, 1, 2)
HOT = 0
"""The account that has a posting in every entry, where one is hot."""
BATCH = 1_000
"""Entries in the largest batch that the ledger takes."""

_AMOUNTS = 8
_LENGTH_DELIMITED = 2
_SIDES = (accounts_pb2.SIDE_DEBIT, accounts_pb2.SIDE_CREDIT) * (POSTINGS // 2)


class Entries:
    """Entries for one book, drawn by lot: the same seed gives the same entries."""

    def __init__(self, book: str, seed: int, *, hot: bool = False, accounts: int = ACCOUNTS) -> None:
        """`hot` puts the first posting of every entry on one and the same account."""
        self.book = book
        self.made = 0
        self._hot = hot
        self._accounts = accounts
        self._seed = seed

    def touching(self) -> Iterator[bytes]:
        """Batches in which every account is posted to once, so that all of them are open afterwards."""
        codes = [*range(self._accounts)]
        several = [self._entry(codes[at : at + POSTINGS]) for at in range(0, self._accounts, POSTINGS)]
        for at in range(0, len(several), BATCH):
            yield _batch(self.book, several[at : at + BATCH])

    def requests(self, count: int) -> Iterator[bytes]:
        """So many PostEntryRequests."""
        book = postings_pb2.PostEntryRequest(book=self.book).SerializeToString()
        for entry in self._drawn(count):
            yield book + nested(postings_pb2.PostEntryRequest, "entry", entry)

    def batches(self, count: int, size: int = BATCH) -> Iterator[bytes]:
        """So many PostEntriesRequests of `size` entries each."""
        for _ in range(count):
            yield _batch(self.book, list(self._drawn(size)))

    def streamed(self, count: int) -> Iterator[bytes]:
        """The messages of one StreamEntries call; the first alone names the book."""
        book = postings_pb2.StreamEntriesRequest(book=self.book).SerializeToString()
        for entry in self._drawn(count):
            yield book + nested(postings_pb2.StreamEntriesRequest, "entry", entry)
            book = b""

    def _drawn(self, count: int) -> Iterator[bytes]:
        """So many entries; what is drawn depends on what was made before, and on nothing else."""
        lots = Random(f"{self._seed} {self.book} {self.made}")
        for _ in range(count):
            drawn = lots.choices(range(self._accounts), k=POSTINGS)
            if self._hot:
                drawn[0] = HOT
            yield self._entry(drawn)

    def _entry(self, numbers: list[int]) -> bytes:
        """An EntryToPost under a key that nobody else has; its first posting bears an item of its own."""
        number = self.made
        self.made += 1
        item = nested(postings_pb2.Posting, "item", b"C-%d" % number)
        postings = [
            posting(account, side, number % _AMOUNTS + 1) for account, side in zip(numbers, _SIDES, strict=True)
        ]
        postings[0] += item
        lines = b"".join(nested(postings_pb2.EntryToPost, "postings", line) for line in postings)
        key = nested(postings_pb2.EntryToPost, "idempotency_key", f"{self.book}-{number}".encode())
        return key + _about(day_of(number)) + lines


def day_of(number: int) -> date:
    """The effective date of the entry that was made after so many others."""
    return FIRST_DAY + timedelta(days=number // ENTRIES_A_DAY)


def account(number: int) -> str:
    """The code of one of the accounts."""
    return f"Liabilities:Payable:Provider:PT-{number:05}"


def nested(message: type[Message], field: str, content: bytes) -> bytes:
    """A field of `message` that holds `content`, as protobuf writes it."""
    return _tag(message.DESCRIPTOR, field) + _varint(len(content)) + content


@cache
def posting(number: int, side: accounts_pb2.Side.ValueType, minor_units: int) -> bytes:
    """A Posting without an item."""
    amount = money_pb2.Money(currency_code="USD", minor_units=minor_units)
    return postings_pb2.Posting(account=account(number), side=side, amount=amount).SerializeToString()


def _batch(book: str, several: list[bytes]) -> bytes:
    entries = b"".join(nested(postings_pb2.PostEntriesRequest, "entries", one) for one in several)
    return postings_pb2.PostEntriesRequest(book=book).SerializeToString() + entries


@cache
def _about(day: date) -> bytes:
    asked = postings_pb2.EntryToPost(effective_date=day.isoformat(), description="an entry of the benchmark")
    return asked.SerializeToString()


@cache
def _tag(descriptor: Descriptor, field: str) -> bytes:
    return _varint(descriptor.fields_by_name[field].number << 3 | _LENGTH_DELIMITED)


@cache
def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
