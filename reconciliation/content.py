"""What a remittance says, whatever its file's delimiters are: what its hash is made of.

In the texts of segments only composites still differ: the file's own sign stands between their components, or
another that a sender took for it.

Pure: no I/O, no clock, no logging.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from reconciliation.x12 import COMPONENT, ELEMENT, LONGEST_REMEMBERED, REMEMBERED, Run, Segment

# SVC01, SVC06 and a PLB's odd elements from 3.
_COMPOSITES: Mapping[str, slice] = {"SVC": slice(1, 7, 5), "PLB": slice(3, None, 2)}


def content(run: Run) -> list[str]:
    """The texts of a run with COMPONENT between the components of their composites."""
    sign = run.component
    return [_composed(text, sign) if text[:3] in _COMPOSITES else text for text in run.texts]


def canonical(texts: Iterable[str]) -> bytes:
    """Content for the hash, each segment with its length before it: no two different ones read alike."""
    return "".join([f"{len(text)}\n{text}" for text in texts]).encode()


def _composed(text: str, component: str) -> str:
    return (_remembered if len(text) <= LONGEST_REMEMBERED else _remembered.__wrapped__)(text, component)


@lru_cache(REMEMBERED)
def _remembered(text: str, component: str) -> str:
    segment = Segment.of(text, component=component)
    elements = [*segment.elements]
    for number in range(*_COMPOSITES.get(segment.id, slice(0)).indices(len(elements))):
        elements[number] = COMPONENT.join(segment.parts(number))
    return ELEMENT.join(elements).rstrip(ELEMENT)
