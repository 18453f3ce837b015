"""The payment's number and its payer in the words of a bank line: the CCD+ addendum `TRN*1*trace*payer\\`. Pure.

A bank may print the addendum whole, or cut it where its own lines end. What is cut is read only if its end is
there: a number that may be shorter than it was is no number.
"""

import re
from collections.abc import Sequence

from reconciliation.bank.deposit import Trace, kept

MOST_TRACES = 1_000
"""Payments of one deposit."""

_END = r"[\\~]"
_ELEMENT = r"[^*~\\\r\n]"
_WHOLE = re.compile(
    rf"TRN\*1\*({_ELEMENT}{{1,50}}?)(?:\*({_ELEMENT}{{0,50}}?)(?:\*{_ELEMENT}{{0,80}})?)?\s*(?:{_END})",
    re.IGNORECASE,
)
_TO_THE_END = re.compile(r"TRN\*1\*([^*~\\\s]{1,50})\*([^*~\\\s]{9,50})(?:\*[^*~\\\s]{0,80})?\s*\Z", re.IGNORECASE)
_COMPANY = re.compile(
    r"(?:ORIG(?:INATOR)?|COMP(?:ANY)?|CO)\s*(?:CO(?:MPANY)?\s*)?ID\s*[:#=]\s*([0-9A-Z]{9,10})(?![0-9A-Z])",
    re.IGNORECASE,
)


def traces(lines: Sequence[str]) -> tuple[Trace, ...]:
    """The payments that a bank line names, in its order, each once."""
    joined = "".join(lines)
    found = [match.groups("") for match in _WHOLE.finditer(joined)]
    if not found and len(lines) <= 1:
        found = [match.groups("") for match in [_TO_THE_END.search(joined)] if match]
    named = (Trace(kept(number), kept(payer)) for number, payer in found)
    return tuple(dict.fromkeys(trace for trace in named if trace.number))


def company(lines: Sequence[str]) -> str:
    """The identifier of who sent the money, where the bank prints it behind a word of its own; else empty."""
    found = {match[1] for line in lines for match in _COMPANY.finditer(line)}
    return found.pop() if len(found) == 1 else ""
