"""X12 as it arrives: bytes to segments.

`cut` cuts a stream of bytes lazily and in flat memory. Tolerant of spelling: padding, line ends, byte-order
marks, lower-case ids, delimiters that change from one interchange to the next. Nothing here knows an 835.

Text is UTF-8; a segment that is not UTF-8 is read as Latin-1. Only names can differ by that choice: amounts,
dates and identifiers that matter are ASCII, and an amount that is not ASCII is no amount (`elements.decimal`).

Pure: no I/O, no clock, no logging. No message quotes the file's text, for it may name a patient.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from reconciliation.elements import code, shortened

BLANKS = " \t"  # that may surround an element
ELEMENT = "\n"
"""Stands between the elements in a segment's text, whatever does in the file. It can be in none of them."""
ABSENT = ELEMENT * 20
"""Added to a text: what is absent at its end is empty then."""
COMPONENT = "\r"
"""No element of a file can hold this either: free to stand between the components of one."""
LONGEST_SEGMENT = 65_536  # bytes between two terminators
REMEMBERED = 2_048  # segments of a kind that are read once for all the times they come
LONGEST_REMEMBERED = 200  # characters of one, so that no file fills the memory: longer ones go by `__wrapped__`
_SLICE = 16_384  # bytes taken from the chunks at a time
_NEAR = 512
_BLANK = b" \t\r\n\x00\x1a\xef\xbb\xbf"  # what may stand before a segment: white space, NUL, ctrl-Z, the BOM
_DROPPED = b"\r\n\x00\x1a"  # what no segment contains, unless one of them is a delimiter
_OF_AMOUNTS = b" .,+-"  # no delimiters: they would cut an amount in two, and each part would pass for one
_SEPARATOR = rb"([^A-Za-z0-9 \r\n.,+\-\x80-\xff])"
_ISA = re.compile(rb"ISA" + _SEPARATOR, re.IGNORECASE)
_GS_OR_ST = re.compile(rb"(?:GS|ST)" + _SEPARATOR, re.IGNORECASE)
_END = "\x00"  # stands between the texts of segments, and can be in none of them
_ENVELOPE = frozenset({"ISA", "IEA", "GS", "GE", "ST", "SE"})
_OF_ENVELOPE = re.compile(rf"{_END}(?:{'|'.join(sorted(_ENVELOPE))}){ELEMENT}")
# An id that is not two or three capitals and digits, one that no element follows, or an ISA.
_UNUSUAL = re.compile(rf"{_END}(?!(?!ISA)[A-Z][A-Z0-9]{{1,2}}{ELEMENT})")


class Unreadable(Exception):
    """The whole file is refused. `reason` is one of EMPTY_FILE, NOT_AN_835, TRUNCATED, SEGMENT_TOO_LONG.

    `facts` names what is known (byte, segment, …) and `str()` is a sentence for the finance team.
    """

    def __init__(self, reason: str, sentence: str, **facts: object) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.facts: dict[str, str] = {name: str(value) for name, value in facts.items()}


class Segment(NamedTuple):
    """One segment. `elements[0]` is its id, so `elements[2]` of a BPR is BPR02.

    `position` counts the file's segments from 1; `component` separates the parts of a composite, empty where the
    file does not say; `terminated` is False for last words of a file that have no segment end.
    """

    id: str
    elements: tuple[str, ...]
    position: int
    component: str
    terminated: bool = True

    @classmethod
    def of(cls, text: str, position: int = 0, component: str = COMPONENT, terminated: bool = True) -> "Segment":
        """The segment of a text, whose elements have ELEMENT between them."""
        elements = tuple(text.split(ELEMENT))
        return cls(elements[0], elements, position, component, terminated)

    def at(self, number: int) -> str:
        """The element of this number, without surrounding blanks; "" where it is absent."""
        elements = self.elements
        return elements[number].strip(BLANKS) if number < len(elements) else ""

    def name(self, number: int) -> str:
        """The element of this number where it names something, in at most LONGEST_NAME characters."""
        return shortened(self.at(number))

    def code(self, number: int) -> str:
        """The element of this number where it is from a list of codes; NO_CODE where it looks like none."""
        return code(self.at(number))

    def exact(self, number: int) -> str:
        """The element of this number to the letter, for amounts, where a blank is a fault; "" where absent."""
        elements = self.elements
        return elements[number] if number < len(elements) else ""

    def parts(self, number: int) -> tuple[str, ...]:
        """The components of the composite element of this number, at least one.

        Every composite of an 835 begins with a two-character code (SVC01, SVC06, PLB03), so where the file's
        own component separator is not found, the third character is taken for it unless it is alphanumeric.
        """
        text = self.at(number)
        if self.component and self.component in text:
            return tuple(text.split(self.component))
        return tuple(text.split(text[2])) if len(text) > 2 and not text[2].isalnum() else (text,)


class Run(NamedTuple):
    """Segments one after the other, none of them of an envelope, as texts: most need not be cut into elements.

    A text is the elements of one with ELEMENT between them, its id in capitals, without empty ones at its end.
    """

    texts: list[str]
    position: int  # of the first
    component: str
    terminated: bool

    def segments(self) -> Iterator[Segment]:
        """Each of them by itself."""
        for position, text in enumerate(self.texts, self.position):
            yield Segment.of(text, position, self.component, self.terminated)


class _Delimiters(NamedTuple):
    element: bytes
    component: bytes
    terminator: bytes


class _Tape:
    """The bytes not yet cut into segments, filled from the chunks as needed, always in equal slices."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._slices = _equal_slices(chunks)
        self.rest = b""
        self._reach = _NEAR  # how much to cut at once: little after each ISA, lest small interchanges cost much
        self.offset = 0  # of `rest`, in bytes of the file

    def fill(self, size: int) -> bytes:
        while len(self.rest) < size and (piece := next(self._slices, b"")):
            self.rest += piece
        return self.rest

    def more(self) -> bool:
        """Take one more slice of the file, if there is one."""
        return len(self.rest) < len(self.fill(len(self.rest) + 1))

    def window(self) -> bytes:
        """As much of what is at hand as one segment may be long."""
        return self.rest[:LONGEST_SEGMENT]

    def window_grows(self) -> bool:
        return len(self.rest) < LONGEST_SEGMENT and self.more()

    def goes_on(self) -> bool:
        """Whether there is more than one segment may be long."""
        return len(self.fill(LONGEST_SEGMENT + 1)) > LONGEST_SEGMENT

    def drop(self, size: int) -> bytes:
        dropped, self.rest = self.rest[:size], self.rest[size:]
        self.offset += size
        return dropped

    def skip_blanks(self) -> bool:
        """Go to the next byte that is not blank. False at the end of the file."""
        while self.fill(1):
            self.drop(len(self.rest) - len(self.rest.lstrip(_BLANK)))
            if self.rest:
                return True
        return False

    def region(self, terminator: bytes) -> tuple[bytes, bool]:
        """As many whole segments as are at hand, or at the end of the file what is left, unterminated."""
        end = self.rest.rfind(terminator, 0, self._reach) + 1
        self._reach = min(2 * self._reach, LONGEST_SEGMENT)
        while not end and not (end := self.rest.rfind(terminator) + 1) and len(self.rest) <= LONGEST_SEGMENT:
            if not self.more():
                break
        first = self.rest.find(terminator)
        if (len(self.rest) if first < 0 else first) > LONGEST_SEGMENT:
            raise self.too_long()
        return (self.drop(end), True) if end else (self.drop(len(self.rest)), False)

    def put_back(self, remainder: bytes) -> None:
        self.rest = remainder + self.rest
        self.offset -= len(remainder)
        self._reach = _NEAR

    def too_long(self) -> Unreadable:
        sentence = f"the segment that begins at byte {self.offset} has no end within {LONGEST_SEGMENT} bytes"
        return Unreadable("SEGMENT_TOO_LONG", sentence, byte=self.offset, limit=LONGEST_SEGMENT)


def _equal_slices(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in slices of one size, so that no result can depend on how the file was chunked."""
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= _SLICE:
            joined = b"".join(held)
            whole = size - size % _SLICE
            yield from (joined[start : start + _SLICE] for start in range(0, whole, _SLICE))
            held, size = [joined[whole:]], size - whole
    if size:
        yield b"".join(held)


def cut(chunks: Iterable[bytes]) -> Iterator[Segment | Run]:
    """Cut an X12 file into segments, lazily, in memory that does not grow with the file.

    Those of its envelopes (ISA, GS, ST, SE, GE, IEA) come each by itself, what stands between them in runs.
    Delimiters come from each ISA (the 16th element separator, not column 106, finds ISA16 and the terminator);
    a file that begins with GS or ST has them deduced from where its second segment begins.
    Raises Unreadable: EMPTY_FILE, NOT_AN_835, SEGMENT_TOO_LONG.
    """
    tape = _Tape(chunks)
    if not tape.skip_blanks():
        raise Unreadable("EMPTY_FILE", "the file is empty", byte=tape.offset)
    delimiters: _Delimiters | None = None
    position = 1
    while tape.skip_blanks():
        if delimiters is None or _ISA.match(tape.fill(4)):
            delimiters, opening = _opening(tape)
            if opening is not None:
                yield opening._replace(position=position)
                position += 1
                continue
        run, has_envelope = _region(tape, delimiters, position)
        position += len(run.texts)
        yield from _parted(run) if has_envelope else (run,)


def _region(tape: _Tape, delimiters: _Delimiters, position: int) -> tuple[Run, bool]:
    """The segments of one region of the tape, up to the next ISA: after it the delimiters may be others.

    And whether any may be of an envelope: in nearly all regions of a large file none is.
    """
    region, terminated = tape.region(delimiters.terminator)
    text = _rewritten(region, delimiters)
    texts = text.split(_END)
    if terminated:
        texts.pop()  # what stands behind the last terminator
    each = f"{_END}{text}"
    if is_unusual := bool(_UNUSUAL.search(each, 0, len(text))):
        texts, isa = _respelled(texts)
        if isa is not None:
            tape.put_back(_from(region, delimiters.terminator, isa))
    if f"{ELEMENT}{_END}" in text or not terminated:
        texts = [text.rstrip(ELEMENT) for text in texts]
    run = Run(texts, position, delimiters.component.decode(), terminated)
    return run, is_unusual or bool(_OF_ENVELOPE.search(each))


def _rewritten(region: bytes, delimiters: _Delimiters) -> str:
    """The text of a region with ELEMENT and _END where the file has signs of its own."""
    element, _, terminator = delimiters
    ours = bytes.maketrans(element + terminator, f"{ELEMENT}{_END}".encode())
    clean = region.translate(ours, bytes(byte for byte in _DROPPED if byte not in b"".join(delimiters)))
    try:
        text = clean.decode()
    except UnicodeDecodeError:
        text = _END.join(map(_text, clean.split(_END.encode())))
    if terminator in b"\r\n":  # lines padded with blanks to a fixed length
        text = _END.join(line.rstrip(" ") for line in text.split(_END))
    return text


def _respelled(texts: Iterable[str]) -> tuple[list[str], int | None]:
    """Ids in capitals, and empty segments left out, up to an ISA with elements; and the number of that ISA.

    So spelling changes nothing downstream.
    """
    found: list[str] = []
    for number, text in enumerate(texts):
        spelled, separator, rest = text.partition(ELEMENT)
        name = spelled.strip().strip("\ufeffï»¿").upper()
        if name[:3] == "ISA" and number and (separator or not name.isalnum()):
            return found, number
        if name or separator:
            found.append(f"{name}{separator}{rest}")
    return found, None


def _from(region: bytes, terminator: bytes, number: int) -> bytes:
    """The region from the segment of this number on."""
    return terminator.join(region.split(terminator)[number:])


def _parted(run: Run) -> Iterator[Segment | Run]:
    """What is of an envelope by itself, and runs of what stands between."""
    held: list[str] = []
    for position, text in enumerate(run.texts, run.position):
        if text.partition(ELEMENT)[0] not in _ENVELOPE:
            held.append(text)
            continue
        if held:
            yield run._replace(texts=held, position=position - len(held))
            held = []
        yield Segment.of(text, position, run.component, run.terminated)
    if held:
        yield run._replace(texts=held, position=run.position + len(run.texts) - len(held))


def _text(piece: bytes) -> str:
    try:
        return piece.decode("utf-8")
    except UnicodeDecodeError:
        return piece.decode("latin-1")


def _opening(tape: _Tape) -> tuple[_Delimiters, Segment | None]:
    """The delimiters at the tape's place, and the ISA itself (taken off the tape) where there is one."""
    if found := _ISA.match(tape.fill(4)):
        return _isa(tape, found[1])
    found = _GS_OR_ST.match(tape.fill(3))
    if found and (terminator := _deduced(tape, found[1])):
        return _Delimiters(found[1], b"", terminator), None
    if found and tape.goes_on():
        raise tape.too_long()
    sentence = f"the file is not an X12 835: at byte {tape.offset} no ISA, GS or ST segment begins"
    raise Unreadable("NOT_AN_835", sentence, byte=tape.offset)


def _isa(tape: _Tape, separator: bytes) -> tuple[_Delimiters, Segment]:
    """The ISA's own words on delimiters: ISA16 follows the 16th separator, the terminator follows ISA16."""
    while len(head := tape.window().split(separator, 16)) < 17 or len(head[16]) < 5:
        if not tape.window_grows():
            break
    start = len(tape.window()) - len(head[16]) if len(head) == 17 else 3
    component, terminator = _ending(head[16]) if len(head) == 17 else (b"", b"")
    if not _plausible(component, terminator, separator):
        start, component, terminator = 3, b"", _deduced(tape, separator)
    if not terminator and tape.goes_on():
        raise tape.too_long()
    raw = tape.drop(tape.rest.find(terminator, start) if terminator else len(tape.rest))
    tape.drop(len(terminator))
    elements = _text(raw.translate(None, _DROPPED)).split(separator.decode())
    segment = Segment("ISA", ("ISA", *elements[1:]), 0, component.decode(), bool(terminator))
    return _Delimiters(separator, component, terminator or b"~"), segment


def _ending(tail: bytes) -> tuple[bytes, bytes]:
    """ISA16 and the terminator, from what follows the ISA's last separator. Either may be missing."""
    if tail[:1] == b"~" or tail[1:3].upper() == b"GS":
        return b"", tail[:1]
    if tail[:1] in (b"\r", b"\n"):
        return b"", b"\n" if b"\n" in tail[:2] else b"\r"
    return tail[:1].strip(), b"\n" if tail[1:3] == b"\r\n" else tail[1:2]


def _plausible(component: bytes, terminator: bytes, separator: bytes) -> bool:
    """Whether these can be delimiters: one sign each, different, and neither of words nor of amounts."""
    signs = component + terminator
    if component == b"\x00":  # no text may hold one, and this one would stand in any element
        return False
    return bool(terminator) and signs.isascii() and separator not in signs and not any(map(_of_text, signs))


def _of_text(byte: int) -> bool:
    return byte in _OF_AMOUNTS or bytes((byte,)).isalnum()


def _deduced(tape: _Tape, separator: bytes) -> bytes:
    """The sign before the next segment id that must follow (GS, ST or BPR); empty where there is none."""
    pattern = re.compile(rb"(?:GS|ST|BPR)" + re.escape(separator), re.IGNORECASE)
    while True:
        window = tape.window()
        for found in pattern.finditer(window, 2):
            if sign := _last_sign(window[max(0, found.start() - 100) : found.start()], separator):
                return sign
        if not tape.window_grows():
            return b""


def _last_sign(text: bytes, separator: bytes) -> bytes:
    """What ends a segment that ends like this: its last sign, else its line end, else nothing."""
    bare = text.rstrip(b" \t\r\n")
    if (last := bare[-1:]) and last.isascii() and not _of_text(last[0]) and last != separator:
        return last
    line_end = text[len(bare) :]
    return b"\n" if b"\n" in line_end else b"\r" if b"\r" in line_end else b""
