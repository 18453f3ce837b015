"""The 835 reader: bytes in, events out, in one pass and flat memory.

`read` yields what a payer says it paid, in file order; `survey` folds that into one Survey for each remittance
(ST..SE). A caller streams twice: first `survey`, to learn which remittances are whole and balanced, then `read`,
to settle those. Only the survey can know, for a fault at a file's end makes all of its interchange doubtful.

Nothing that names a patient leaves this module: names, member numbers and medical record numbers are not read.
005010X221A1 and 004010X091A1 have every element read here in the same place.

Pure: no I/O, no clock, no logging.
"""

import hashlib
from collections.abc import Iterable, Iterator
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
from reconciliation.claim import OF_CLAIM, REFERENCES, ClaimLoop
from reconciliation.codes import fraction_digits
from reconciliation.content import canonical, content
from reconciliation.elements import code, day, shortened
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
from reconciliation.x12 import ELEMENT, Run, Segment, Unreadable, cut

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
    for event in _events(chunks):
        yield event.payment() if isinstance(event, ClaimLoop) else event


def _events(chunks: Iterable[bytes]) -> Iterator[Event | ClaimLoop]:
    """The same with claims as they were read: who only counts them needs no record of each."""
    reader = _Reader()
    for item in interchanges(cut(chunks)):
        if isinstance(item, Run):
            reader.run(item)
        elif isinstance(item, Segment):
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
    for event in _events(chunks):
        if isinstance(event, ClaimLoop):
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
        self.events: list[Event | ClaimLoop] = []
        self.count = 0
        self.opened = InterchangeOpened(0, 0, False)
        self.group: Segment | None = None
        self.current: _Remittance | None = None
        self.truncated = False

    def run(self, run: Run) -> None:
        if self.current:
            self.current.take(run)

    def segment(self, segment: Segment) -> None:
        """GS, ST or SE."""
        if segment.id == "SE":
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

    def __init__(self, st: Segment, index: int, header: Header, events: list[Event | ClaimLoop]) -> None:
        self._st, self._index, self._events = st, index, events
        self.header = header._replace(version=header.version or st.at(3), control_number=st.at(2))
        self._opened = False
        self._bprs: list[Segment] = []  # more than one means that two payments run into one another
        self._digits = 0
        self._claim: ClaimLoop | None = None
        self._claims = 0
        self._charged: Decimal | None = ZERO
        self._paid: Decimal | None = ZERO
        self._provider_level: Decimal | None = ZERO
        self._problems, self._notes = Problems(), Notes()
        self._hash = hashlib.sha256(b"835 1")

    def take(self, run: Run) -> None:
        """Segments between ST and SE."""
        texts = content(run)
        self._hash.update(canonical(texts))
        claim = self._claim
        for text in texts:
            handle = OF_CLAIM.get(text[:4]) or OF_CLAIM.get(text[:3])  # most ids have three letters, some two
            if handle and claim:
                handle(claim, text)
            else:
                claim = self._take(text)

    def _take(self, text: str) -> ClaimLoop | None:
        """A segment that is not a claim's, or not spelled as usual. The claim that is open after it."""
        name = text.partition(ELEMENT)[0]
        if name in _BODY:
            self.header_complete()
            self._finish_claim()
        if name == "CLP":
            self._claims += 1
            self._claim = ClaimLoop(text, self._claims, self._digits, self._problems, self._notes)
        elif name == "PLB":
            self._plb(Segment.of(text))
        elif name == "BPR":
            self._bprs.append(Segment.of(text))
        elif self._claim:
            self._claim.take(name, text)
        elif not self._opened and (change := HEADER.get(name)):
            self.header = change(self.header, Segment.of(text), self._notes)
        elif name not in _PASSED_OVER:
            self._notes.add_unknown(name)
        return self._claim

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
        if claim := self._claim:
            claim.close()
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


_BODY = frozenset({"LX", "CLP", "PLB"})  # the first of these ends the header loop
_PASSED_OVER = frozenset({"N2", "N3", "N4", "PER", "RDM", "LX", "TS2", "TS3"})
