"""The 835 reader: bytes in, events out, in one pass and flat memory.

`read` yields what a payer says it paid, in file order; `survey` folds that into one Survey for each remittance
(ST..SE). A caller streams twice: first `survey`, to learn which remittances are whole and balanced, then `read`,
to settle those. Only the survey can know, for a fault at a file's end makes all of its interchange doubtful.

Nothing that names a patient leaves this module: names, member numbers and medical record numbers are not read.
005010X221A1 and 004010X091A1 have every element read here in the same place.

Pure: no I/O, no clock, no logging.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from reconciliation.balancing import (
    MOST_PROBLEMS,
    ZERO,
    Fault,
    Notes,
    Problem,
    Problems,
    added,
    money,
    unbalanced,
)
from reconciliation.claim import OF_CLAIM, REFERENCES, OpenClaim
from reconciliation.codes import fraction_digits
from reconciliation.envelope import InterchangeBroken, InterchangeClosed, InterchangeOpened, interchanges
from reconciliation.events import (
    Adjustment,
    ClaimPayment,
    Event,
    Header,
    Procedure,
    ProviderLevelAdjustment,
    RemittanceClosed,
    RemittanceOpened,
    ServiceLine,
    Survey,
    Totals,
)
from reconciliation.header import HEADER, envelope_header, paid_by
from reconciliation.x12 import Segment, Unreadable, code, day, segments, shortened

__all__ = [
    "MOST_PROBLEMS",
    "REFERENCES",
    "Adjustment",
    "ClaimPayment",
    "Event",
    "Fault",
    "Header",
    "InterchangeBroken",
    "InterchangeClosed",
    "InterchangeOpened",
    "Problem",
    "Procedure",
    "ProviderLevelAdjustment",
    "RemittanceClosed",
    "RemittanceOpened",
    "ServiceLine",
    "Survey",
    "Totals",
    "Unreadable",
    "read",
    "survey",
]


def read(chunks: Iterable[bytes]) -> Iterator[Event]:
    """The events of a file, lazily, whatever its size and however it is chunked.

    Each interchange is InterchangeOpened … InterchangeClosed; in it each 835 is RemittanceOpened, its
    ClaimPayments and ProviderLevelAdjustments, RemittanceClosed. A remittance that never ends has no
    RemittanceClosed, and an InterchangeBroken follows. Raises Unreadable: EMPTY_FILE, NOT_AN_835, TRUNCATED
    (before any ST), SEGMENT_TOO_LONG; events yielded before it must then be forgotten.
    """
    reader = _Reader()
    for item in interchanges(segments(chunks)):
        if isinstance(item, Segment):
            reader.segment(item)
        else:
            reader.envelope(item)
        if reader.events:
            yield from reader.events
            reader.events.clear()
    if not reader.count:
        raise reader.nothing_read()


def survey(chunks: Iterable[bytes]) -> Iterator[Survey]:
    """One Survey for each remittance of a file, given when its interchange ends. Raises what `read` raises.

    Memory grows with the remittances of one interchange, not with their claims. Exhaust it before acting on any
    of it: Unreadable may come last.
    """
    tallies: list[_Tally] = []
    opened = InterchangeOpened(0, 0, False)
    for event in read(chunks):
        if isinstance(event, ClaimPayment):
            tallies[-1].claims += 1
        elif isinstance(event, ProviderLevelAdjustment):
            tallies[-1].provider_level.append(event)
        elif isinstance(event, RemittanceOpened):
            tallies.append(_Tally(event))
        elif isinstance(event, RemittanceClosed):
            tallies[-1].closed = event
        elif isinstance(event, InterchangeOpened):
            opened = event
        elif isinstance(event, InterchangeClosed):
            if event.broken and not tallies:
                tallies.append(_Tally(RemittanceOpened(0, envelope_header(opened, None))))
            yield from (tally.survey(event) for tally in tallies)
            tallies.clear()


class _Tally:
    """What a survey has seen of one remittance."""

    def __init__(self, opened: RemittanceOpened) -> None:
        self.opened = opened
        self.claims = 0
        self.provider_level: list[ProviderLevelAdjustment] = []
        self.closed: RemittanceClosed | None = None

    def survey(self, interchange: InterchangeClosed) -> Survey:
        broken = str(interchange.broken) if interchange.broken else None
        closed = self.closed or _unfinished(self.opened.index, self.claims)
        return Survey(
            index=self.opened.index,
            interchange=interchange.index,
            header=self.opened.header,
            totals=closed.totals,
            provider_level=tuple(self.provider_level),
            balanced=closed.balanced,
            problems=closed.problems,
            problem_count=closed.problem_count,
            notes=closed.notes + interchange.notes,
            content_hash=closed.content_hash,
            broken=broken,
        )


def _unfinished(index: int, claims: int) -> RemittanceClosed:
    return RemittanceClosed(index, Totals(claims, None, None, None), False, (), 0, (), "")


class _Reader:
    """Hands each segment to the open remittance; opens and closes remittances."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.count = 0
        self.opened = InterchangeOpened(0, 0, False)
        self.group: Segment | None = None
        self.current: _Remittance | None = None
        self.truncated = False

    def segment(self, segment: Segment) -> None:
        if segment.id not in _FRAME:
            if self.current:
                self.current.take(segment)
        elif segment.id == "SE":
            if self.current:
                self.current.close(segment)
            self.current = None
        else:
            self._begin(segment)

    def envelope(self, event: InterchangeOpened | InterchangeBroken | InterchangeClosed) -> None:
        self._abandon()
        if isinstance(event, InterchangeOpened):
            self.opened, self.group = event, None
        elif isinstance(event, InterchangeBroken):
            self.truncated = event.reason == "TRUNCATED"
        self.events.append(event)

    def nothing_read(self) -> Unreadable:
        if self.truncated:
            return Unreadable("TRUNCATED", "the file ends before its first 835 (ST) begins")
        return Unreadable("NOT_AN_835", "the file is X12, but no 835 (ST*835) is in it")

    def _begin(self, segment: Segment) -> None:
        self._abandon()
        if segment.id == "GS":
            self.group = segment
            return
        self.count += 1
        header = envelope_header(self.opened, self.group)
        self.current = _Remittance(segment, self.count, header, self.events)

    def _abandon(self) -> None:
        """A remittance that never ends still says what it had said of itself."""
        if self.current:
            self.current.header_complete()
            self.current = None


class _Remittance:
    """One ST while it is being read. What it learns it appends to `events`."""

    def __init__(self, st: Segment, index: int, header: Header, events: list[Event]) -> None:
        self._st, self._index, self._events = st, index, events
        self.header = replace(header, version=header.version or st.at(3), control_number=st.at(2))
        self._opened = False
        self._bprs: list[Segment] = []  # more than one means that two payments run into one another
        self._digits = 0
        self._claim: OpenClaim | None = None
        self._claims = 0
        self._charged: Decimal | None = ZERO
        self._paid: Decimal | None = ZERO
        self._provider_level: Decimal | None = ZERO
        self._problems, self._notes = Problems(), Notes()
        self._hash = hashlib.sha256(b"835 1")
        self._unhashed: list[Segment] = []

    def take(self, segment: Segment) -> None:
        """One segment between ST and SE."""
        self._unhashed.append(segment)
        if self._claim and (handle := OF_CLAIM.get(segment.id)):
            handle(self._claim, segment)
            return
        self._hash_taken()
        if segment.id in _BODY:
            self.header_complete()
            self._finish_claim()
        if segment.id == "CLP":
            self._claims += 1
            self._claim = OpenClaim(segment, self._claims, self._digits, self._notes)
        elif segment.id == "PLB":
            self._plb(segment)
        elif segment.id == "BPR":
            self._bprs.append(segment)
        elif self._claim:
            self._claim.take(segment)
        elif not self._opened and (change := HEADER.get(segment.id)):
            self.header = change(self.header, segment, self._notes)
        elif segment.id not in _PASSED_OVER:
            self._notes.add_unknown(segment)

    def _hash_taken(self) -> None:
        """The segments of a claim go into the hash together."""
        self._hash.update(_canonical(self._unhashed).encode())
        self._unhashed.clear()

    def header_complete(self) -> None:
        """Once: now that the currency is known the amount can be read."""
        if self._opened:
            return
        self._opened = True
        self._digits = fraction_digits(self.header.currency)
        if self._bprs:
            bpr = self._bprs[0]
            self.header = paid_by(self.header, bpr, self._money(bpr, 2))
        if self.header.credit_debit == "D":
            self._notes.add("BPR03 is D, a debit: the payer takes money")
        self._events.append(RemittanceOpened(self._index, self.header))

    def close(self, se: Segment) -> None:
        """The SE: the last claim, the remittance's own equation, and the sums."""
        self.header_complete()
        self._finish_claim()
        self._hash_taken()
        if se.at(1).lstrip("0") != str(se.position - self._st.position + 1):
            self._notes.add("SE01 does not agree with the number of segments")
        if se.at(2) != self._st.at(2):
            self._notes.add("SE02 differs from ST02")
        evaluated = self._balance()
        problems = self._problems
        closed = RemittanceClosed(
            index=self._index,
            totals=Totals(self._claims, self._charged, self._paid, self._provider_level),
            balanced=evaluated and not problems.unbalanced,
            problems=tuple(problems.kept),
            problem_count=problems.count,
            notes=self._notes.all(),
            content_hash=self._hash.hexdigest(),
        )
        self._events.append(closed)

    def _balance(self) -> bool:
        """BPR02 = ΣCLP04 − ΣPLB. Whether it could be evaluated."""
        amount = self.header.amount if len(self._bprs) == 1 else None
        if amount is None or self._paid is None or self._provider_level is None:
            element = "BPR02" if amount is None else "CLP04" if self._paid is None else "PLB04"
            self._problems.add(Problem("remittance", Fault.NOT_EVALUABLE, None, None, element))
            return False
        self._problems.add(unbalanced("remittance", None, None, self._paid, self._provider_level, amount))
        return True

    def _money(self, segment: Segment, number: int) -> Decimal | None:
        value = money(segment.exact(number), self._digits)
        if not isinstance(value, Fault):
            return value
        element = f"{segment.id}{number:02}"
        self._problems.add(Problem("remittance", value, None, None, element))
        return None

    def _finish_claim(self) -> None:
        if self._claim is None:
            return
        claim = self._claim.close()
        if self._claim.problems.count:
            self._problems.take_over(self._claim.problems)
        self._charged = added(self._charged, claim.charge)
        self._paid = added(self._paid, claim.paid)
        self._events.append(claim)
        self._claim = None

    def _plb(self, segment: Segment) -> None:
        """PLB01 and PLB02 once, then pairs of a composite (code, reference) and an amount."""
        provider, period_end = segment.at(1), day(segment.at(2))
        for number in range(3, len(segment.elements), 2):
            if not segment.at(number) and not segment.exact(number + 1):
                continue
            amount = self._money(segment, number + 1)
            self._provider_level = added(self._provider_level, amount)
            if amount is not None:
                kind, reference = (*segment.parts(number), "")[:2]
                item = ProviderLevelAdjustment(provider, period_end, code(kind), shortened(reference), amount)
                self._events.append(item)


_FRAME = frozenset({"GS", "ST", "SE"})
_BODY = frozenset({"LX", "CLP", "PLB"})  # the first of these ends the header loop
_PASSED_OVER = frozenset({"N2", "N3", "N4", "PER", "RDM", "LX", "TS2", "TS3"})


def _canonical(taken: Iterable[Segment]) -> str:
    """Segments for the hash, each with its length before it: the same whatever the file's delimiters are.

    Elements are joined by line feeds and components by carriage returns, which the tokenizer lets into no
    element, so that two different segments never read alike. Trailing empty elements are left out.
    """
    canonical = []
    for segment in taken:
        elements = _rejoined(segment) if segment.id in _COMPOSITES else segment.elements
        text = "\n".join(elements).rstrip("\n")
        canonical.append(f"{len(text)}\n{text}")
    return "".join(canonical)


def _rejoined(segment: Segment) -> Sequence[str]:
    """The elements, the components of those that are composite joined by carriage returns."""
    elements = [*segment.elements]
    for number in range(*_COMPOSITES[segment.id].indices(len(elements))):
        if elements[number]:
            elements[number] = "\r".join(segment.parts(number))
    return elements


# SVC01, SVC06 and a PLB's odd elements from 3.
_COMPOSITES: Mapping[str, slice] = {"SVC": slice(1, 7, 5), "PLB": slice(3, None, 2)}
