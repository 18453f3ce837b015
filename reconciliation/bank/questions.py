"""The bank's reports, as they can be asked for."""

from ledger.accounts import chart
from ledger.accounts.account import Side
from ledger.reports.report import Question, Tie, columns

_AGES = "days_0_7:money days_8_30:money over_30_days:money total:money"
CASH_IN_TRANSIT = Question(
    name="cash-in-transit",
    package="reconciliation.reports",
    columns=columns(f"payer trace remittance payment_date currency {_AGES}"),
    ties=(Tie("total", chart.REMITTANCE_CLEARING),),
)
UNAPPLIED_CASH = Question(
    name="unapplied-cash",
    package="reconciliation.reports",
    columns=columns(f"payer deposit account effective_date reference currency {_AGES}"),
    ties=(Tie("total", chart.UNAPPLIED_CASH, Side.CREDIT),),
)
