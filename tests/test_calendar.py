"""When cycles are cut off and paid, as tables that a bookkeeper can read."""

from datetime import date, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.pay_cycles.calendar import MONTH_END, Calendar, Rhythm
from ledger.pay_cycles.refusals import CutOffNotInCalendar, PayCalendarInvalid

MONTHLY, EVERY = Rhythm.DAYS_OF_MONTH, Rhythm.EVERY_DAYS

# rhythm, days, first cut-off, days to payment: after which day, and the cut-offs that follow with their pay dates
TABLE = """
    days_of_month 15,31    2026-01-01  5 : 2026-01-31 -> 2026-02-15>2026-02-20 2026-02-28>2026-03-05 2026-03-15>2026-03-20
    days_of_month 15,31    2026-01-01  0 : 2028-02-15 -> 2028-02-29>2028-02-29 2028-03-15>2028-03-15
    days_of_month 15,31    2026-01-20 15 : -          -> 2026-01-31>2026-02-15 2026-02-15>2026-03-02
    days_of_month 15,31    2026-01-15  5 : -          -> 2026-01-15>2026-01-20 2026-01-31>2026-02-05
    days_of_month 31       2026-01-01  1 : 2026-11-30 -> 2026-12-31>2027-01-01 2027-01-31>2027-02-01
    days_of_month 28,31    2026-01-01  0 : 2026-02-01 -> 2026-02-28>2026-02-28 2026-03-28>2026-03-28 2026-03-31>2026-03-31
    days_of_month 1,10,20  2026-01-01  0 : 2025-06-01 -> 2026-01-01>2026-01-01 2026-01-10>2026-01-10 2026-01-20>2026-01-20
    every_days    14       2026-01-09  7 : -          -> 2026-01-09>2026-01-16 2026-01-23>2026-01-30 2026-02-06>2026-02-13
    every_days    14       2026-01-09  7 : 2026-01-09 -> 2026-01-23>2026-01-30
    every_days    14       2026-01-09  7 : 2026-12-20 -> 2026-12-25>2027-01-01 2027-01-08>2027-01-15
    every_days    14       2026-01-09  7 : 2020-01-01 -> 2026-01-09>2026-01-16
    every_days    1        2026-01-31  0 : -          -> 2026-01-31>2026-01-31 2026-02-01>2026-02-01
    every_days    14       8999-12-25  0 : 8999-12-25 ->
    days_of_month 31       8999-12-01  0 : 8999-12-31 ->
"""  # noqa: E501 - a table
NO_CUT_OFFS = """
    days_of_month 15,31    2026-01-01 5 : 2026-04-14 -> 2026-04-15
    days_of_month 15,31    2026-01-01 5 : 2026-02-29x -> -
    days_of_month 15,31    2026-01-20 5 : 2026-01-15 -> 2026-01-31
    every_days    14       2026-01-09 7 : 2026-01-16 -> 2026-01-23
    every_days    14       2026-01-09 7 : 2025-12-26 -> 2026-01-09
    every_days    14       2026-01-09 7 : 9999-12-31 -> never
"""


def calendar(rhythm: str, days: str, first: str, to_payment: str) -> Calendar:
    return Calendar(Rhythm(rhythm), tuple(map(int, days.split(","))), date.fromisoformat(first), int(to_payment))


def rows(table: str) -> list[str]:
    return [line.strip() for line in table.strip().splitlines() if "x ->" not in line]


@pytest.mark.parametrize("row", rows(TABLE))
def test_cut_offs(row: str) -> None:
    told, _, expected = row.partition("->")
    terms, _, after = told.partition(" : ")
    found = calendar(*terms.split()).following(
        None if after.strip() == "-" else date.fromisoformat(after.strip()), max(1, len(expected.split()))
    )
    assert [f"{day}>{paid}" for day, paid in found] == expected.split()


@pytest.mark.parametrize("row", rows(NO_CUT_OFFS))
def test_a_day_that_is_no_cut_off_is_refused_with_the_next_one(row: str) -> None:
    told, _, following = row.partition(" -> ")
    terms, _, day = told.partition(" : ")
    with pytest.raises(CutOffNotInCalendar) as refused:
        calendar(*terms.split()).pay_date(date.fromisoformat(day.strip()))
    assert refused.value.facts == {"cut_off": day.strip(), "next": following.strip().replace("never", "")}


REFUSED = {
    "no day": (MONTHLY, (), 5, "days_of_month"),
    "a day that some months do not have": (MONTHLY, (15, 30), 5, "days_of_month"),
    "the day before the first": (MONTHLY, (0, 15), 5, "days_of_month"),
    "a day twice": (MONTHLY, (15, 15), 5, "days_of_month"),
    "days out of order": (MONTHLY, (MONTH_END, 15), 5, "days_of_month"),
    "no distance": (EVERY, (0,), 5, "every_days"),
    "a distance of years": (EVERY, (367,), 5, "every_days"),
    "two distances": (EVERY, (7, 14), 5, "every_days"),
    "paid before the cut-off": (MONTHLY, (15,), -1, "days_to_payment"),
    "paid years later": (MONTHLY, (15,), 367, "days_to_payment"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_calendar_of_no_use_is_refused(name: str) -> None:
    rhythm, days, to_payment, field = REFUSED[name]
    with pytest.raises(PayCalendarInvalid) as refused:
        Calendar(rhythm, days, date(2026, 1, 1), to_payment)
    assert refused.value.facts == {"field": field}


def test_a_calendar_does_not_begin_at_the_end_of_time() -> None:
    with pytest.raises(PayCalendarInvalid):
        Calendar(EVERY, (14,), date(9999, 12, 31), 0)


calendars = st.one_of(
    st.builds(
        Calendar,
        st.just(MONTHLY),
        st.sets(st.sampled_from([*range(1, 29), MONTH_END]), min_size=1, max_size=5).map(
            lambda days: tuple(sorted(days))
        ),
        st.dates(date(2020, 1, 1), date(2030, 1, 1)),
        st.integers(0, 30),
    ),
    st.builds(
        Calendar,
        st.just(EVERY),
        st.tuples(st.integers(1, 60)),
        st.dates(date(2020, 1, 1), date(2030, 1, 1)),
        st.integers(0, 30),
    ),
)


@given(calendars, st.dates(date(2019, 1, 1), date(2031, 1, 1)))
def test_no_cut_off_is_skipped_or_told_twice(calendar: Calendar, after: date) -> None:
    """Asked from any day, the cut-offs are those of all days that can be paid, in order."""
    found = [*islice(calendar.cut_offs(after), 5)]
    last = found[-1]
    every = [after + timedelta(days=n + 1) for n in range((last - after).days)]
    assert found == [day for day in every if is_cut_off(calendar, day)]


def is_cut_off(calendar: Calendar, day: date) -> bool:
    try:
        return calendar.pay_date(day) == day + timedelta(days=calendar.days_to_payment)
    except CutOffNotInCalendar:
        return False
