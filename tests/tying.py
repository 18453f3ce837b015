"""What ties in the reports on receivables and advances, whatever a book holds."""

from collections.abc import Iterable, Sequence

from serving import Ledger

from ledger.v1 import money_pb2
from ledger.v1 import reports_pb2 as pb

AGES = ("days_0_30", "days_31_60", "days_61_90", "days_91_120", "over_120_days")
LOST = ("patient", "absorbed", "contractual", "other", "above_allowed")
EVERY_GROUP = (pb.AGING_GROUP_PAYER, pb.AGING_GROUP_PROVIDER, pb.AGING_GROUP_PLAN, pb.AGING_GROUP_STATE)


def exposure_ties(found: pb.GetAdvanceExposureResponse) -> None:
    """Every cent that was paid is told once, by age too, and the sums are those of three accounts."""
    for row in (*found.rows, *found.totals):
        assert row.paid.minor_units == units(row, ("received", "exposure", *LOST))
        assert row.exposure.minor_units == units(row, AGES)
    for name, control in (
        ("unpaid", found.payable_control),
        ("receivable", found.receivable_control),
        ("absorption_cost", found.absorption_control),
    ):
        assert not_zero(getattr(total, name) for total in found.totals) == not_zero(control), name


def aging_ties(found: pb.GetReceivablesAgingResponse) -> None:
    """The buckets are the total, and the totals the control account."""
    assert all(row.total.minor_units == units(row, AGES) for row in found.rows)
    assert not_zero(total.total for total in found.totals) == not_zero(found.control)


def advances_tie(ledger: Ledger, as_of: str) -> None:
    """Both reports of a book as of a day."""
    asked = {"book": ledger.book, "as_of": as_of}
    exposure_ties(ledger.reports.GetAdvanceExposure(pb.GetAdvanceExposureRequest(**asked)))
    aging_ties(ledger.reports.GetReceivablesAging(pb.GetReceivablesAgingRequest(**asked, group_by=EVERY_GROUP)))


def units(row: object, names: Sequence[str]) -> int:
    """Columns added up."""
    return sum(getattr(row, name).minor_units for name in names)


def not_zero(amounts: Iterable[money_pb2.Money]) -> list[tuple[str, int]]:
    """By currency, those that are not at zero."""
    return sorted((one.currency_code, one.minor_units) for one in amounts if one.minor_units)
