"""When pay cycles are cut off, and when they are paid. A calendar is data; no clock is asked. Pure."""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import islice

from ledger.pay_cycles.refusals import CutOffNotInCalendar, PayCalendarInvalid

MONTH_END = 31
"""The day of the month that stands for its last day, whichever that is."""
_LAST_SURE_DAY = 28
_MOST_DAYS = 366
_END = date(9000, 1, 1)
"""No calendar goes beyond, so that no day of payment falls off the end of all dates."""


class Rhythm(StrEnum):
    """How a calendar repeats."""

    DAYS_OF_MONTH = "days_of_month"
    EVERY_DAYS = "every_days"


@dataclass(frozen=True, slots=True)
class Calendar:
    """On which days cycles are cut off: on `days` of each month, or every `days[0]` days from the first on.

    Payments are dated `days_to_payment` after the cut-off. Raises PayCalendarInvalid.
    """

    rhythm: Rhythm
    days: tuple[int, ...]
    first_cut_off: date
    days_to_payment: int

    def __post_init__(self) -> None:
        """Refuses days that some month does not have, and distances of no use."""
        if self.rhythm is Rhythm.DAYS_OF_MONTH:
            known = all(1 <= day <= _LAST_SURE_DAY or day == MONTH_END for day in self.days)
            if not self.days or not known or list(self.days) != sorted({*self.days}):
                raise PayCalendarInvalid(
                    f"days_of_month are 1 to {_LAST_SURE_DAY}, or {MONTH_END} for the last, once and in order",
                    field="days_of_month",
                )
        elif len(self.days) != 1 or not 1 <= self.days[0] <= _MOST_DAYS:
            raise PayCalendarInvalid(f"every_days is 1 to {_MOST_DAYS}", field="every_days")
        if not 0 <= self.days_to_payment <= _MOST_DAYS:
            raise PayCalendarInvalid(f"days_to_payment is 0 to {_MOST_DAYS}", field="days_to_payment")
        if self.first_cut_off >= _END:
            raise PayCalendarInvalid(f"first_cut_off is before {_END}", field="first_cut_off")

    def cut_offs(self, after: date | None = None) -> Iterator[date]:
        """The cut-offs after a day, or all of them."""
        every = self._every_days(after) if self.rhythm is Rhythm.EVERY_DAYS else self._days_of_month(after)
        for day in every:
            if day >= _END:
                return
            if day >= self.first_cut_off and (after is None or day > after):
                yield day

    def _every_days(self, after: date | None) -> Iterator[date]:
        step = self.days[0]
        gone = max(0, (after - self.first_cut_off).days) // step if after else 0
        day = self.first_cut_off + timedelta(days=gone * step)
        while day < _END:
            yield day
            day += timedelta(days=step)

    def _days_of_month(self, after: date | None) -> Iterator[date]:
        start = max(after or self.first_cut_off, self.first_cut_off)
        year, month = start.year, start.month
        while year < _END.year:
            last = monthrange(year, month)[1]
            yield from sorted({date(year, month, min(day, last)) for day in self.days})
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)

    def pay_date(self, cut_off: date) -> date:
        """The effective date of the cycle's payments. Raises CutOffNotInCalendar."""
        if cut_off < self.first_cut_off or cut_off >= _END or not self._has(cut_off):
            following = next(iter(self.cut_offs(min(cut_off, _END))), None)
            raise CutOffNotInCalendar(
                f"the calendar has no cut-off on {cut_off}; the next one is {following or 'never'}",
                cut_off=cut_off,
                next=following or "",
            )
        return cut_off + timedelta(days=self.days_to_payment)

    def _has(self, day: date) -> bool:
        if self.rhythm is Rhythm.EVERY_DAYS:
            return (day - self.first_cut_off).days % self.days[0] == 0
        last = monthrange(day.year, day.month)[1]
        return day.day in {min(one, last) for one in self.days}

    def following(self, after: date | None, count: int) -> list[tuple[date, date]]:
        """So many cut-offs after a day, each with its day of payment."""
        return [(day, self.pay_date(day)) for day in islice(self.cut_offs(after), count)]

    def stated(self) -> str:
        """Two calendars are the same when these are."""
        days = " ".join(map(str, self.days))
        return f"{self.rhythm} {days} from {self.first_cut_off} paid after {self.days_to_payment}"
