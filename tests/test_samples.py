"""835 files that nobody of this project wrote, delivered to the running server: none is lost, none comes twice."""

import csv
import os
import random
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import pytest
import serving
from payers import deliver
from serving import Ledger
from test_remittances import check_received, check_sound, everything, exceptions

from reconciliation.v1 import reconciliation_pb2 as pb

SAMPLES = Path(os.environ.get("REMITTANCE_SAMPLES", Path(__file__).parents[2] / "shared" / "remittances"))
MANIFEST = SAMPLES / "MANIFEST.tsv"
WORDS = {
    "T": ("claims paid", "BPR02 is"),
    "C": ("claim CLP01=", "but paid is"),
    "L": (", line ", "but paid is"),
}
"""What the reason of a quarantine must say of the remittance's, a claim's and a line's equation."""

pytestmark = pytest.mark.skipif(
    not MANIFEST.exists(), reason=f"no sample remittances at {SAMPLES} (REMITTANCE_SAMPLES)"
)


def samples() -> list[dict[str, str]]:
    """The lines of the manifest."""
    if not MANIFEST.exists():
        return []
    with MANIFEST.open(newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def failing(sample: dict[str, str]) -> set[str]:
    """Which of our three equations fail; a patient's share that does not add up is none of them."""
    told = {one.rpartition("x")[0] for one in sample["balances"].removeprefix("NO:").split(",")}
    return told & WORDS.keys()


def delivered(books: Ledger, chosen: Iterable[dict[str, str]]) -> None:
    for sample in chosen:
        name = sample["file"]
        deliver(books, (SAMPLES / name).read_bytes(), books.book, name)


def opened(server: Ledger, name: str) -> Ledger:
    serving.open_book(server, name)
    return server.of(name)


def cents(text: str) -> int:
    return int(Decimal(text) * 100)


@pytest.mark.parametrize("sample", samples(), ids=lambda sample: str(sample["file"]))
def test_a_sample_is_settled_or_quarantined_as_its_manifest_says(server: Ledger, sample: dict[str, str]) -> None:
    """Balanced: settled, all of it in suspense while the payer is unknown. Unbalanced: the reason says why."""
    books = opened(server, f"sample-{samples().index(sample)}")
    delivered(books, [sample])
    found = everything(books)
    expected = pb.REMITTANCE_STATE_QUARANTINED if failing(sample) else pb.REMITTANCE_STATE_SETTLED
    assert [one.state for one in found] == [expected] * int(sample["transactions"])
    assert sum(one.claim_count for one in found) == int(sample["claims"])
    assert sum(one.paid.minor_units for one in found) == cents(sample["bpr_total"])
    for one in found:
        check_told(books, one, failing(sample))
    check_sound(books)


def check_told(books: Ledger, one: pb.Remittance, equations: set[str]) -> None:
    """A quarantined remittance names equation, claim and amounts; a settled one lists what people must look at."""
    told = {look.reason: look.detail for look in exceptions(books) if look.remittance == one.id}
    if equations:
        assert told == {pb.EXCEPTION_REASON_UNBALANCED: one.reason}
        assert [word for equation in equations for word in WORDS[equation] if word not in one.reason] == []
    else:
        assert pb.EXCEPTION_REASON_UNKNOWN_PAYER in told
        assert one.paid.minor_units == one.posted.minor_units + one.suspended.minor_units


def test_nothing_posts_twice_in_whatever_order(server: Ledger) -> None:
    """All files once, then again in other orders: the same entries, the same money, the same exceptions."""
    books = opened(server, "samples")
    delivered(books, samples())
    before = state(books)
    shuffled = samples()
    for seed in range(3):
        random.Random(seed).shuffle(shuffled)
        delivered(books, shuffled)
        assert state(books) == before
    check_sound(books)


def test_nothing_posts_twice_once_the_payers_are_identified(server: Ledger) -> None:
    """Money of claims that the books do not know stays in suspense, also once its payer is known."""
    books = opened(server, "samples-identified")
    delivered(books, samples())
    before = money(books)
    for number, name in enumerate(sorted({one.payer_name for one in everything(books) if one.payer_name})):
        asked = pb.IdentifyPayerRequest(
            book=books.book, payer=f"P{number}", identifiers=[name], reason="so it signs"
        )
        books.reconciliation.IdentifyPayer(asked)
    delivered(books, samples())
    assert money(books) == before
    check_sound(books)


def test_the_order_of_arrival_changes_no_total(server: Ledger) -> None:
    """Forwards into one book, backwards into another: what was received, posted and suspended is the same."""
    forwards, backwards = opened(server, "samples-forwards"), opened(server, "samples-backwards")
    delivered(forwards, samples())
    delivered(backwards, reversed(samples()))
    assert money(forwards) == money(backwards)
    check_received(backwards, everything(backwards))


def money(books: Ledger) -> list[tuple[object, ...]]:
    """Every remittance with what became of its money."""
    return sorted(
        (one.file_name, one.position, one.state, one.paid.minor_units, one.posted.minor_units)
        for one in everything(books)
    )


def state(books: Ledger) -> tuple[object, ...]:
    """All that a second delivery must leave as it is."""
    ids = sorted(look.id for look in exceptions(books))
    return len(books.entries()), money(books), ids
