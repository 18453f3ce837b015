"""The hash chain: its form never changes unnoticed, never reads two ways, and covers every field."""

import hashlib
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields, replace

from ledger.accounts.account import Side
from ledger.ids import entry_id
from ledger.money import Amount
from ledger.postings.chain import GENESIS, encoded, entry_hash, joined, request_hash
from ledger.postings.entry import Dimensions, JournalEntry, Kind, PostedEntry, Posting, credit, debit

DAY = date(2026, 4, 8)
NOON = datetime(2026, 4, 8, 12, 0, 0, 123456, tzinfo=UTC)
DOLLAR = Amount(100, "USD")
ENTRY = JournalEntry(
    kind=Kind.SESSION_EARNED,
    effective_date=DAY,
    postings=(debit("Assets:Cash", DOLLAR, "C1"), credit("Equity:Opening", DOLLAR)),
    description="why",
    dimensions=Dimensions(payer="AETNA", service_date=DAY, charge=Amount(200, "USD")),
)
POSTED = PostedEntry(
    book="main",
    number=7,
    id=UUID("019d6d16-7e00-7000-8000-000000000001"),
    recorded_at=NOON,
    actor="ada",
    idempotency_key="k1",
    request_hash=bytes(range(32)),
    entry=ENTRY,
)


def test_the_form_hashed() -> None:
    """A length before each field; an absent field is not an empty one."""
    assert joined("ab", "", None, 7, DAY) == b"".join(
        [
            b"\x00\x00\x00\x02ab",
            b"\x00\x00\x00\x00",
            b"\xff\xff\xff\xff",
            b"\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x07",
            b"\x00\x00\x00\x0a2026-04-08",
        ]
    )


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("é", b"\xc3\xa9"),
        (b"\x00\x01", b"\x00\x01"),
        (-1, b"\xff" * 8),
        (2**63 - 1, b"\x7f" + b"\xff" * 7),
        (Side.DEBIT, b"debit"),
        (UUID(int=1), bytes(15) + b"\x01"),
        (date(1, 2, 3), b"0001-02-03"),
        (datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC), (1_000_005).to_bytes(8, "big")),
        (datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), (-1_000_000).to_bytes(8, "big", signed=True)),
        (NOON.astimezone(timezone(timedelta(hours=5))), encoded(NOON)),
    ],
)
def test_the_bytes_of_a_field(value: object, content: bytes) -> None:
    assert encoded(value) == content


@pytest.mark.parametrize("value", [1.5, None, ["a"], {"a": 1}])
def test_what_is_never_stored_has_no_bytes(value: object) -> None:
    with pytest.raises(TypeError):
        encoded(value)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_a_number_beyond_63_bits_has_no_bytes(number: int) -> None:
    with pytest.raises(Exception, match=r"format requires|too large"):
        joined(number)


@given(st.lists(st.none() | st.binary(max_size=20)))
def test_the_form_reads_one_way_only(fields_: list[bytes | None]) -> None:
    """It can be read back, whatever the fields hold: so two lists of fields never give the same bytes."""
    assert read(joined(*fields_)) == fields_


def read(content: bytes) -> list[bytes | None]:
    """Written anew from the description of the form: the fields, from their bytes."""
    found: list[bytes | None] = []
    while content:
        length, content = int.from_bytes(content[:4], "big"), content[4:]
        found.append(None if length == 0xFFFFFFFF else content[:length])
        content = content if length == 0xFFFFFFFF else content[length:]
    return found


def test_an_entry_by_hand() -> None:
    """The whole form, written out: what an auditor would hash."""
    names = ["AETNA"] + [None] * 9
    about = [*names, "2026-04-08", 200, "USD"]
    columns = [
        *("main", 7, POSTED.id.bytes, "session_earned", "2026-04-08", 1775649600123456, "why", "ada", "k1"),
        *(bytes(range(32)), None, *about, 2),
    ]
    lines = [1, "Assets:Cash", "USD", 100, "C1", 2, "Equity:Opening", "USD", -100, None]
    content = GENESIS + b"\x01" + b"".join(map(by_hand, columns + lines))
    assert entry_hash(GENESIS, POSTED) == hashlib.sha256(content).digest()


def by_hand(value: Any) -> bytes:
    if value is None:
        return b"\xff\xff\xff\xff"
    content = value.to_bytes(8, "big", signed=True) if isinstance(value, int) else value
    content = content.encode() if isinstance(content, str) else content
    return len(content).to_bytes(4, "big") + content


def test_the_golden_hash() -> None:
    """Changes only where every book ever written is to be hashed anew."""
    assert entry_hash(GENESIS, POSTED).hex() == "715ba358c80cf60aba882071ac239291cf8ce43dc2e1a333b1c3a6500549cff4"


# One changed value for every field that there is.
CHANGED: dict[str, PostedEntry] = {
    "book": replace(POSTED, book="other"),
    "number": replace(POSTED, number=8),
    "id": replace(POSTED, id=UUID(int=1)),
    "recorded_at": replace(POSTED, recorded_at=NOON + timedelta(microseconds=1)),
    "actor": replace(POSTED, actor="bob"),
    "idempotency_key": replace(POSTED, idempotency_key="k2"),
    "request_hash": replace(POSTED, request_hash=bytes(32)),
    **{
        f"entry.{name}": replace(POSTED, entry=replace(ENTRY, **{name: value}))
        for name, value in {
            "kind": Kind.MANUAL,
            "effective_date": date(2026, 4, 9),
            "description": "why not",
            "reverses": 6,
            "dimensions": Dimensions(),
            "postings": ENTRY.postings[::-1],
        }.items()
    },
    **{
        f"dimensions.{field.name}": replace(
            POSTED, entry=replace(ENTRY, dimensions=replace(ENTRY.dimensions, **{field.name: value}))
        )
        for field in fields(Dimensions)
        for value in [{"service_date": date(2026, 4, 9), "charge": Amount(201, "USD")}.get(field.name, "changed")]
    },
    "dimensions.charge's currency": replace(
        POSTED, entry=replace(ENTRY, dimensions=replace(ENTRY.dimensions, charge=Amount(200, "EUR")))
    ),
    "dimensions.payer empty": replace(
        POSTED, entry=replace(ENTRY, dimensions=replace(ENTRY.dimensions, payer=""))
    ),
    **{
        f"posting.{name}": replace(POSTED, entry=replace(ENTRY, postings=lines))
        for name, lines in {
            "account": (debit("Assets:Petty", DOLLAR, "C1"), ENTRY.postings[1]),
            "item": (debit("Assets:Cash", DOLLAR, "C2"), ENTRY.postings[1]),
            "amount": tuple(replace(p, amount=Amount(101, "USD")) for p in ENTRY.postings),
            "amount's currency": tuple(replace(p, amount=Amount(100, "EUR")) for p in ENTRY.postings),
            "side": tuple(p.exchanged() for p in ENTRY.postings),
            "item absent": (debit("Assets:Cash", DOLLAR), ENTRY.postings[1]),
            "item moved": (debit("Assets:Cash", DOLLAR), replace(ENTRY.postings[1], item="C1")),
        }.items()
    },
}


def test_every_field_changes_the_hash() -> None:
    hashes = {name: entry_hash(GENESIS, posted) for name, posted in CHANGED.items()}
    hashes["nothing"] = entry_hash(GENESIS, POSTED)
    hashes["the hash before"] = entry_hash(b"\x01" + bytes(31), POSTED)
    assert len({*hashes.values()}) == len(hashes)


def test_every_field_is_among_those_changed() -> None:
    """So that a field added later is not forgotten here."""
    every = {field.name for field in fields(PostedEntry)} - {"entry", "hash"}
    every |= {f"entry.{field.name}" for field in fields(JournalEntry)}
    every |= {f"dimensions.{field.name}" for field in fields(Dimensions)}
    every |= {f"posting.{field.name}" for field in fields(Posting)}
    assert every <= CHANGED.keys()


# --- requests -----------------------------------------------------------------------------------------

STATED = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=4)


@given(STATED, STATED)
def test_two_requests_hash_alike_only_when_they_say_the_same(one: dict[str, str], other: dict[str, str]) -> None:
    alike = request_hash(one) == request_hash(other)
    said, said_too = ([item for item in stated.items() if item[1]] for stated in (one, other))
    assert alike == (said == said_too)


def test_text_does_not_flow_from_one_field_into_the_next() -> None:
    assert request_hash({"a": "bc", "d": ""}) != request_hash({"a": "b", "cd": ""})


# --- ids ----------------------------------------------------------------------------------------------


def test_an_id_is_a_uuid_of_version_7_in_the_order_of_time() -> None:
    first, second = entry_id(NOON, GENESIS, 1), entry_id(NOON + timedelta(milliseconds=1), GENESIS, 2)
    assert (first.version, first.variant) == (7, "specified in RFC 4122")
    assert first.int >> 80 == int(NOON.timestamp() * 1000)
    assert first < second


def test_ids_of_one_moment_differ() -> None:
    hashes = [GENESIS, bytes([1]) + bytes(31)]
    assert len({entry_id(NOON, hash_, number) for hash_ in hashes for number in range(100)}) == 200
