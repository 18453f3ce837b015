"""The envelope of an X12 file: ISA..IEA around GS..GE around ST..SE, and where it is broken.

`interchanges` passes on what stands inside the 835s and says when an interchange begins, ends, or contradicts
itself. Wrong counts and control numbers are noted and tolerated: they are spelling. A missing or misplaced end is
not: money may be missing with it.

Pure: no I/O, no clock, no logging. No message quotes the file's text.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from reconciliation.elements import day
from reconciliation.x12 import Run, Segment

BROKEN: Mapping[str, str] = {
    "TRUNCATED": "the file ends inside it",
    "ISA_WITHOUT_IEA": "the next ISA comes before its IEA",
    "IEA_WITHOUT_ISA": "an IEA closes what no ISA opened",
    "GS_WITHOUT_GE": "a group (GS) is not closed by its GE",
    "GE_WITHOUT_GS": "a GE closes what no GS opened",
    "ST_WITHOUT_SE": "a remittance (ST) is not closed by its SE",
    "SE_WITHOUT_ST": "an SE closes what no ST opened",
    "SEGMENT_OUTSIDE_ST": "a segment stands outside of every ST..SE",
}


@dataclass(frozen=True, slots=True)
class InterchangeOpened:
    """An ISA, or a GS or ST that no ISA precedes (`enveloped` False, all texts empty)."""

    index: int  # of the interchange in the file, from 1
    position: int  # of its first segment in the file, from 1
    enveloped: bool
    sender: str = ""  # ISA06
    receiver: str = ""  # ISA08
    sent_on: date | None = None  # ISA09
    control_number: str = ""  # ISA13
    usage: str = ""  # ISA15: P production, T test


@dataclass(frozen=True, slots=True)
class InterchangeBroken:
    """The envelope contradicts itself or ends too soon. At most one per interchange: the first fault found.

    All of the interchange is doubtful then, what came before the fault included. `reason` is a key of BROKEN.
    """

    interchange: int  # InterchangeOpened.index
    reason: str
    position: int  # of the segment where it shows
    facts: Mapping[str, str]

    def __str__(self) -> str:
        return f"interchange {self.interchange} is broken at segment {self.position}: {BROKEN[self.reason]}"


@dataclass(frozen=True, slots=True)
class InterchangeClosed:
    """The end of an interchange, broken or not. `notes` are wrong counts and control numbers, tolerated."""

    index: int
    notes: tuple[str, ...]
    broken: InterchangeBroken | None


Framed = Segment | Run | InterchangeOpened | InterchangeBroken | InterchangeClosed


def interchanges(source: Iterable[Segment | Run]) -> Iterator[Framed]:
    """Follow the envelope. ISA becomes InterchangeOpened, IEA InterchangeClosed; GE is checked and dropped.

    GS, the ST and SE of every 835 and all between them pass through as they are; other sets than 835 are noted
    and dropped. An ST, a GS or an InterchangeClosed that comes while an ST is open means that the open one was
    never finished. A file that begins without ISA is one interchange that needs no IEA.
    """
    envelope = _Envelope()
    takes = {"ISA": envelope.isa, "GS": envelope.gs, "ST": envelope.st}
    takes |= {"SE": envelope.se, "GE": envelope.ge, "IEA": envelope.iea}
    for item in source:
        envelope.position = item.position
        if not item.terminated and not envelope.ends_with(item):
            yield from envelope.cut_off(item)
        elif isinstance(item, Segment):
            yield from takes[item.id](item)
        else:
            yield from envelope.run(item)
    yield from envelope.end("TRUNCATED")


class _Envelope:
    """Where in ISA > GS > ST the stream stands."""

    def __init__(self) -> None:
        self.inside = False  # between the ST and SE of an 835
        self.position = self.index = self.groups = self.sets = 0
        self.opened: InterchangeOpened | None = None
        self.group: Segment | None = None
        self.set: Segment | None = None
        self.broken: InterchangeBroken | None = None
        self.notes: list[str] = []

    def isa(self, segment: Segment) -> Iterator[Framed]:
        yield from self.end("ISA_WITHOUT_IEA")
        at, place = segment.at, segment.position
        isa = InterchangeOpened(self.index + 1, place, True, at(6), at(8), day(at(9)), at(13), at(15))
        yield self._open(isa)
        if not segment.terminated:
            yield from self._break("TRUNCATED")

    def gs(self, segment: Segment) -> Iterator[Framed]:
        yield from self._implied()
        if self.set or self.group:
            yield from self._break("ST_WITHOUT_SE" if self.set else "GS_WITHOUT_GE")
        self.set, self.inside, self.group, self.sets = None, False, segment, 0
        yield segment

    def st(self, segment: Segment) -> Iterator[Framed]:
        yield from self._implied()
        if self.set:
            yield from self._break("ST_WITHOUT_SE")
        self.set, self.inside = segment, segment.at(1) == "835"
        self.sets += 1
        if self.inside:
            yield segment
        else:
            self._note("a set that is not an 835 was skipped")

    def se(self, segment: Segment) -> Iterator[Framed]:
        yield from self._implied()
        if not self.set:
            yield from self._break("SE_WITHOUT_ST")
        elif self.inside:
            yield segment
        self.set, self.inside = None, False

    def ge(self, segment: Segment) -> Iterator[Framed]:
        yield from self._implied()
        if self.set or not self.group:
            yield from self._break("ST_WITHOUT_SE" if self.set else "GE_WITHOUT_GS")
        elif self.group:
            self._compare("GE01", segment.at(1), self.sets, "sets")
            self._compare("GE02", segment.at(2), self.group.at(6), "GS06")
        self.groups += 1
        self.set, self.inside, self.group = None, False, None

    def iea(self, segment: Segment) -> Iterator[Framed]:
        yield from self._implied()
        assert self.opened
        if self.set or self.group:
            yield from self._break("ST_WITHOUT_SE" if self.set else "GS_WITHOUT_GE")
        elif not self.opened.enveloped:
            yield from self._break("IEA_WITHOUT_ISA")
        else:
            self._compare("IEA01", segment.at(1), self.groups, "groups")
            self._compare("IEA02", segment.at(2), self.opened.control_number, "ISA13")
        yield self._close()

    def run(self, run: Run) -> Iterator[Framed]:
        """What stands within an 835 passes; within another set it is dropped; outside of every set it breaks."""
        if self.inside:
            yield run
        elif not self.set:
            for segment in run.segments():
                self.position = segment.position
                if segment.id != "TA1" or not self.opened:
                    yield from self._implied()
                    yield from self._break("SEGMENT_OUTSIDE_ST")
        self.position = run.position + len(run.texts) - 1

    def ends_with(self, segment: Segment | Run) -> bool:
        """Whether the file's last, unterminated segment is whole: an end whose control number is complete."""
        if isinstance(segment, Run):
            return False
        opened, last = self.opened, segment.at(2)
        if segment.id == "SE" and self.set:
            return last == self.set.at(2)
        if segment.id == "GE" and self.group:
            return last == self.group.at(6)
        return bool(segment.id == "IEA" and opened and opened.enveloped and last == opened.control_number)

    def cut_off(self, segment: Segment | Run) -> Iterator[Framed]:
        """The last words of a file that stops in mid-segment: not read, for an amount may be cut in them."""
        if isinstance(segment, Segment) and segment.id == "ISA":
            yield from self.isa(segment)
        else:
            yield from self._implied()
            yield from self._break("TRUNCATED")

    def end(self, reason: str) -> Iterator[Framed]:
        """The interchange ends without an IEA, at the next ISA or at the end of the file."""
        if self.opened:
            if self.set or self.group or self.opened.enveloped:
                yield from self._break(reason)
            yield self._close()

    def _implied(self) -> Iterator[Framed]:
        """Where no ISA has opened an interchange, one begins all the same."""
        if not self.opened:
            yield self._open(InterchangeOpened(self.index + 1, self.position, False))

    def _open(self, opened: InterchangeOpened) -> InterchangeOpened:
        self.opened, self.index, self.groups, self.sets = opened, opened.index, 0, 0
        self.set, self.group, self.broken, self.inside, self.notes = None, None, None, False, []
        return opened

    def _close(self) -> InterchangeClosed:
        closed = InterchangeClosed(self.index, tuple(self.notes), self.broken)
        self.opened, self.set, self.group, self.inside = None, None, None, False
        return closed

    def _break(self, reason: str) -> Iterator[InterchangeBroken]:
        if self.broken is None:
            facts = {"interchange": str(self.index), "segment": str(self.position)}
            facts |= {"missing": missing} if (missing := self._missing()) else {}
            self.broken = InterchangeBroken(self.index, reason, self.position, facts)
            yield self.broken

    def _missing(self) -> str:
        """The end that would have to come next."""
        if self.set:
            return "SE"
        return "GE" if self.group else "IEA" if self.opened and self.opened.enveloped else ""

    def _compare(self, element: str, stated: str, found: int | str, of: str) -> None:
        digits = stated.lstrip("0") or "0"
        if isinstance(found, int) and digits != str(found):
            self._note(f"{element} does not agree with the number of {of}")
        elif isinstance(found, str) and stated != found:
            self._note(f"{element} differs from {of}")

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)
