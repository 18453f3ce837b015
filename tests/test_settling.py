"""Large remittances: what reading them holds does not grow with them. `make bench-settling` is the long form."""

from benchmarks.remittances.world import world
from benchmarks.settling import NEVER, parts, reading_bytes, remittance, verdicts_of
from reconciliation.remittance import survey

MADE = world(1, 3_000, NEVER, payers=1)


def test_memory_does_not_grow_with_the_file() -> None:
    """Six times the claims; what is remembered of amounts, days and codes is there from the first time on."""
    small, large = (remittance(MADE.claims[:count], 1).content for count in (500, 3_000))
    assert len(large) > 5 * len(small)
    reading_bytes(large)
    assert reading_bytes(large) < reading_bytes(small) + 1_000_000


def test_a_large_remittance_is_sound() -> None:
    [found] = survey(parts(remittance(MADE.claims, 2).content))
    assert (found.settleable, found.claim_count, found.notes) == (True, 3_000, ())


def test_the_verdict_is_met_at_its_edges() -> None:
    at_the_edge = verdicts_of(60_000, 1.0, 3.0, 1.0, 16 * 2**20, 128 * 2**20)
    assert [one.met for one in at_the_edge] == [True] * 4
    beyond = verdicts_of(59_000, 1.0, 3.1, 1.0, 17 * 2**20, 129 * 2**20)
    assert [one.met for one in beyond] == [False] * 4
