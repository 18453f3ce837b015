"""Which meaning of a code counts: what the book said of it for this payer and day, else what the program ships.

Pure. A remittance is decided by its own payment date and by what had been said when it was first taken up: taken
up again, however much later, it is decided by the same rows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from ledger.errors import CodeMeaningRefused
from reconciliation.codes import AccountRole, Bucket, ProviderLevelCode, adjustment_bucket, provider_level_code

ADJUSTMENT, PROVIDER_LEVEL = "adjustment", "provider_level"
"""The two lists: CAS and PLB."""
AS_SHIPPED = ""
"""The meaning that takes back whatever was said before."""

_MAY_MEAN: Mapping[str, frozenset[str]] = {
    "OA-23": frozenset({Bucket.OTHER_PAYER, Bucket.SUSPENSE}),
    "PR": frozenset({Bucket.PATIENT, Bucket.SUSPENSE}),
}


@dataclass(frozen=True, slots=True)
class CodeMeaning:
    """One thing that was said of a code. `revision` counts what was said in the book; payer "" is all payers."""

    list: str
    group: str
    code: str
    payer: str
    effective_from: date
    meaning: str
    label: str
    reason: str
    set_by: str = ""
    revision: int = 0

    @property
    def name(self) -> str:
        """The code as people write it: `CO-45`, `WO`."""
        return f"{self.group}-{self.code}" if self.group else self.code


class Codes:
    """The meanings that count for one remittance. Holding none, it is the tables as shipped."""

    def __init__(self, said: Iterable[CodeMeaning] = ()) -> None:
        """Takes one meaning for each code."""
        self._said = {(one.list, one.group, one.code): one for one in said}

    def bucket(self, group: str, reason: str) -> Bucket:
        """Where a CAS amount belongs; unknown pairs go to suspense."""
        said = self._said.get((ADJUSTMENT, group, reason))
        return adjustment_bucket(group, reason) if said is None else Bucket(said.meaning)

    def provider_level(self, code: str) -> ProviderLevelCode:
        """A PLB code's label and account; an unknown code goes to suspense."""
        said = self._said.get((PROVIDER_LEVEL, "", code))
        shipped = provider_level_code(code)
        if said is None:
            return shipped
        return ProviderLevelCode(said.label or shipped.label, AccountRole(said.meaning))


SHIPPED = Codes()


def counting(said: Iterable[CodeMeaning], payer: str, day: date, revision: int) -> Codes:
    """The meanings that count for a payment of this day, taken up when the book stood at this revision.

    What was said of the payer comes before what was said of all; then the latest effective date that is not after
    the payment, then what was said last.
    """
    found: dict[tuple[str, str, str], CodeMeaning] = {}
    for one in said:
        if one.revision > revision or one.effective_from > day or one.payer not in ("", payer):
            continue
        name = (one.list, one.group, one.code)
        if name not in found or _rank(found[name]) < _rank(one):
            found[name] = one
    return Codes(one for one in found.values() if one.meaning != AS_SHIPPED)


def _rank(one: CodeMeaning) -> tuple[bool, date, int]:
    return bool(one.payer), one.effective_from, one.revision


def refuse_meaning(one: CodeMeaning) -> None:
    """OA-23 is no write-off, and the patient's part is nobody else's. Raises CodeMeaningRefused."""
    if one.list != ADJUSTMENT or one.meaning == AS_SHIPPED:
        return
    allowed = _MAY_MEAN.get(one.name) or _MAY_MEAN.get(one.group)
    if allowed is not None and one.meaning not in allowed:
        raise CodeMeaningRefused(
            f"{one.name} cannot be {one.meaning}; it is {' or '.join(sorted(allowed))}",
            field="bucket",
            code=one.name,
            meaning=one.meaning,
        )
