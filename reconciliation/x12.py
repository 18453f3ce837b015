"""X12 as it arrives: bytes to segments, and the two plain types in them, numbers and dates.

`segments` cuts a stream of bytes lazily and in flat memory. Tolerant of spelling: padding, line ends, byte-order
marks, lower-case ids, delimiters that change from one interchange to the next. Nothing here knows an 835.

Text is UTF-8; a segment that is not UTF-8 is read as Latin-1. Only names can differ by that choice: amounts,
dates and identifiers that matter are ASCII, and an amount that is not ASCII is no amount (`decimal`).

Pure: no I/O, no clock, no logging. No message quotes the file's text, for it may name a patient.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

LONGEST_SEGMENT = 65_536  # bytes between two terminators
LONGEST_NAME = 100  # characters of a claim id, trace, payer or other name; the 835 itself allows 60
NO_CODE = "?"
_CODE = re.compile(r"[A-Za-z]{1,2}|[A-Za-z]{0,2}[0-9]{1,4}[A-Za-z]?")
_LONGEST_CODE = 7
_REMEMBERED = (
    16_384  # short texts whose meaning is kept at hand: a payer's codes, days and amounts come again and again
)
_KEPT = 60
_SLICE = 16_384  # bytes taken from the chunks at a time
_NEAR = 512
_BLANK = b" \t\r\n\x00\x1a\xef\xbb\xbf"  # what may stand before a segment: white space, NUL, ctrl-Z, the BOM
_DROPPED = b"\r\n\x00\x1a"  # what no segment contains, unless one of them is a delimiter
_OF_AMOUNTS = b" .,+-"  # no delimiters: they would cut an amount in two, and each part would pass for one
_SEPARATOR = rb"([^A-Za-z0-9 \r\n.,+\-\x80-\xff])"
_ISA = re.compile(rb"ISA" + _SEPARATOR, re.IGNORECASE)
_GS_OR_ST = re.compile(rb"(?:GS|ST)" + _SEPARATOR, re.IGNORECASE)


_EXPECTED = (
    *("IEA", "GS", "GE", "ST", "SE", "BPR", "TRN", "CUR", "REF", "DTM", "N1", "N2", "N3", "N4", "PER", "RDM"),
    *("LX", "TS2", "TS3", "CLP", "CAS", "NM1", "MIA", "MOA", "AMT", "QTY", "SVC", "LQ", "PLB"),
)
_NAMES: Mapping[str, str] = {name: name for name in _EXPECTED}  # ids spelled as usual need no second look


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

    def at(self, number: int) -> str:
        """The element of this number, without surrounding blanks; "" where it is absent."""
        elements = self.elements
        return elements[number].strip(" \t") if number < len(elements) else ""

    def name(self, number: int) -> str:
        """The element of this number where it names something, in at most LONGEST_NAME characters."""
        name = self.at(number)
        return name if len(name) <= LONGEST_NAME else shortened(name)

    def code(self, number: int) -> str:
        """The element of this number where it is from a list of codes; NO_CODE where it looks like none."""
        text = self.at(number)
        return _code(text) if len(text) <= _LONGEST_CODE else NO_CODE

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


def code(text: str) -> str:
    """A text from a list of codes as it is ("CO", "45", "N30", "B2"), "" too; NO_CODE where it looks like none.

    What stands in a code's place may be a patient's name, and codes are told to people.
    """
    return _code(text) if len(text) <= _LONGEST_CODE else NO_CODE


@lru_cache(_REMEMBERED)
def _code(text: str) -> str:
    return text if not text or _CODE.fullmatch(text) else NO_CODE


def shortened(name: str) -> str:
    """A name of at most LONGEST_NAME characters.

    Of a longer one the beginning is kept, and a part of its SHA-256, so that two names never become one.
    """
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[:_KEPT]}…{hashlib.sha256(name.encode()).hexdigest()[:32]}"


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


def segments(chunks: Iterable[bytes]) -> Iterator[Segment]:
    """Cut an X12 file into segments, lazily, in memory that does not grow with the file.

    Delimiters come from each ISA (the 16th element separator, not column 106, finds ISA16 and the terminator);
    a file that begins with GS or ST has them deduced from where its second segment begins.
    Raises Unreadable: EMPTY_FILE, NOT_AN_835, SEGMENT_TOO_LONG.
    """
    tape = _Tape(chunks)
    if not tape.skip_blanks():
        raise Unreadable("EMPTY_FILE", "the file is empty", byte=tape.offset)
    delimiters: _Delimiters | None = None
    position = 0
    while tape.skip_blanks():
        if delimiters is None or _ISA.match(tape.fill(4)):
            delimiters, opening = _opening(tape)
            if opening is not None:
                position += 1
                yield opening._replace(position=position)
                continue
        for segment in _cut(tape, delimiters, position):
            position = segment.position
            yield segment


def _cut(tape: _Tape, delimiters: _Delimiters, position: int) -> Iterator[Segment]:
    """The segments of one region of the tape, up to the next ISA: after it the delimiters may be others."""
    region, terminated = tape.region(delimiters.terminator)
    component = delimiters.component.decode()
    make, names = tuple.__new__, _NAMES
    for number, elements in enumerate(_split(region, delimiters)):
        if (name := names.get(elements[0])) is None:
            name = _name(elements)
            if name[:3] == "ISA" and number and (len(elements) > 1 or not name.isalnum()):
                tape.put_back(_from(region, delimiters.terminator, number))
                return
            if not name and len(elements) == 1:
                continue
        position += 1
        yield make(Segment, (name, tuple(elements), position, component, terminated))


def _name(elements: list[str]) -> str:
    """The segment id in capitals, written back so that spelling changes nothing downstream."""
    elements[0] = elements[0].strip().strip("\ufeffï»¿").upper()
    return elements[0]


def _from(region: bytes, terminator: bytes, number: int) -> bytes:
    """The region from the segment of this number on."""
    return terminator.join(region.split(terminator)[number:])


def _split(region: bytes, delimiters: _Delimiters) -> list[list[str]]:
    """The elements of every segment of a region, empty segments among them, in order."""
    dropped = bytes(byte for byte in _DROPPED if byte not in b"".join(delimiters))
    clean = region.translate(None, dropped)
    separator = delimiters.element.decode()
    if clean.isascii():
        texts = clean.decode("ascii").split(delimiters.terminator.decode())
    else:
        texts = [_text(piece) for piece in clean.split(delimiters.terminator)]
    if delimiters.terminator in b"\r\n":  # lines padded with blanks to a fixed length
        texts = [text.rstrip(" ") for text in texts]
    return [text.split(separator) for text in texts]


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


_DECIMAL = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
MOST_DIGITS = 18
LONGEST_DECIMAL = MOST_DIGITS + 2  # with a minus and a point


def decimal(text: str) -> Decimal | None:
    """X12's number type R, strictly: an optional minus, digits, at most one point. Anything else is None.

    No exponent, plus sign, separator, blank, NaN or Infinity; at most 18 digits. Exact.
    """
    return _decimal(text) if len(text) <= LONGEST_DECIMAL else None


@lru_cache(_REMEMBERED)
def _decimal(text: str) -> Decimal | None:
    if not _DECIMAL.fullmatch(text) or len(text) - text.count("-") - text.count(".") > MOST_DIGITS:
        return None
    return Decimal(text)


def day(text: str) -> date | None:
    """X12's date types, CCYYMMDD and YYMMDD (taken for 20YY). None where it is no date that exists."""
    return _day(text) if len(text) in {6, 8} else None


@lru_cache(_REMEMBERED)
def _day(text: str) -> date | None:
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text if len(text) == 8 else f"20{text}"
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None
