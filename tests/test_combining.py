"""Which parts a lump may be the sum of: every way that there is, counted exactly or said to be a part of them."""

from datetime import date
from itertools import combinations, count
from random import Random
from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from reconciliation.candidates.combining import MOST_PARTS, SHOWN, Combinations, Part, combined

APRIL_8, APRIL_9 = date(2026, 4, 8), date(2026, 4, 9)
ORDER = ("same_day_and_provider", "same_day", "same_provider", "same_sum")


def part(name: str, amount: int, day: date | None = APRIL_8, provider: str | None = "ada") -> Part:
    return Part(name, amount, day, provider)


def told(found: Combinations) -> list[str]:
    return [f"{one.rule}: {' '.join(part.name for part in one.parts)}" for one in found.first]


def by_force(parts: list[Part], total: int) -> set[tuple[Part, ...]]:
    """Every combination, by trying all of them."""
    sizes = range(2, min(len(parts), MOST_PARTS) + 1)
    tried = (one for size in sizes for one in combinations(parts, size))
    return {one for one in tried if sum(each.amount for each in one) == total}


OPEN = st.lists(
    st.tuples(
        st.integers(1, 12), st.sampled_from([APRIL_8, APRIL_9, None]), st.sampled_from(["ada", "bob", None])
    ),
    max_size=9,
).map(lambda drawn: [part(f"C{n}", *one) for n, one in enumerate(drawn)])


@given(OPEN, st.integers(1, 60))
def test_it_finds_what_trying_everything_finds(parts: list[Part], total: int) -> None:
    found, right = combined(parts, total), by_force(parts, total)
    assert (found.count, found.is_exact) == (len(right), True)
    assert {one.parts for one in found.first} <= right
    assert len(found.first) == min(len(right), SHOWN)


@given(OPEN, st.integers(1, 60), st.integers(1, 200))
def test_with_few_steps_it_tells_fewer_and_says_so(parts: list[Part], total: int, steps: int) -> None:
    found, right = combined(parts, total, steps), by_force(parts, total)
    assert found.count <= len(right)
    assert found.count == len(right) or not found.is_exact
    assert {one.parts for one in found.first} <= right


@given(OPEN, st.integers(1, 60))
def test_what_has_most_in_common_comes_first(parts: list[Part], total: int) -> None:
    found = combined(parts, total)
    assert [ORDER.index(one.rule) for one in found.first] == sorted(ORDER.index(one.rule) for one in found.first)
    for one in found.first:
        days, providers = {each.day for each in one.parts}, {each.provider for each in one.parts}
        assert len(days) == 1 or "day" not in one.rule
        assert len(providers) == 1 or "provider" not in one.rule
    together = {one for one in by_force(parts, total) if len({each.day for each in one}) == 1 and one[0].day}
    assert not together or "day" in found.first[0].rule


def test_two_sessions_of_a_day_come_before_two_of_any() -> None:
    parts = [part("A", 60, APRIL_9), part("B", 40), part("C", 60), part("D", 40, APRIL_9, "bob")]
    found = combined(parts, 100)
    assert told(found) == [
        *("same_day_and_provider: B C", "same_day: A D", "same_provider: A B", "same_sum: C D"),
    ]
    assert (found.count, found.is_exact) == (4, True)


def test_one_part_alone_is_no_combination() -> None:
    assert combined([part("A", 100), part("B", -100), part("C", 0)], 100) == Combinations((), 0, True)
    assert combined([], 100) == Combinations((), 0, True)


def test_four_of_twenty_at_six_rates_have_dozens_of_ways() -> None:
    """Why a lump is never posted on its sum, and why the number of ways is always told."""
    ways = []
    for seed in range(41):
        draw = Random(seed)
        rates = [draw.randint(60_00, 200_00) for _ in range(6)]
        open_ = [part(f"C{n}", draw.choice(rates)) for n in range(20)]
        lump = sum(one.amount for one in draw.sample(open_, 4))
        found = combined(open_, lump)
        assert found.is_exact
        assert found.count == len(by_force(open_[:20], lump)) if seed == 0 else found.count >= 1
        ways.append(found.count)
    assert 40 < median(ways) < 200


def test_a_hundred_parts_of_any_amount_are_bounded_and_told_as_a_part() -> None:
    """More sums than there are steps: the likeliest parts, which come first, are tried."""
    draw, numbers = Random(1), count()
    parts = [part(f"C{next(numbers)}", draw.randint(50_00, 300_00)) for _ in range(100)]
    found = combined(parts, parts[0].amount + parts[1].amount + parts[2].amount)
    assert not found.is_exact
    assert found.count >= 1
    assert any({one.name for one in each.parts} == {"C0", "C1", "C2"} for each in found.first)
    assert found == combined(parts, parts[0].amount + parts[1].amount + parts[2].amount)
