"""Every report that can be asked for by name: those of the books and those of the mail room."""

from ledger.accounts import chart
from ledger.accounts.account import Side
from ledger.reports import financial, report
from ledger.reports.report import Question, Tie, columns
from reconciliation.bank.questions import CASH_IN_TRANSIT, UNAPPLIED_CASH
from reconciliation.questions import (
    AUTOMATIC_RATE,
    DENIALS_BY_CODE,
    REMITTANCE_SUMMARY,
    UNDERPAID_CLAIMS,
    UNDERPAYMENTS,
)

EXCEPTIONS = Question(
    name="exceptions",
    package="reconciliation.reports",
    columns=columns("opened_at reason payer trace line claim_as_sent claim currency amount:money detail owner id"),
)
RECEIVED = Question(
    name="received",
    package="reconciliation.reports",
    columns=columns(
        "currency remittance_count:count received:money posted:money suspended:money quarantined:money "
        "waiting:money settling:money unreadable_count:count"
    ),
    ties=(Tie("received", others=("posted", "suspended", "quarantined", "waiting", "settling")),),
    dated=False,
)
PROPOSALS = Question(
    name="proposals",
    package="ledger.reports",
    columns=columns("number proposed_at proposed_by act currency amount:money days_open:count reason"),
)
OPEN_BALANCES = Question(
    name="open-balances",
    package="reconciliation.reports",
    columns=columns("payer reference currency overpaid:money carried:money days_open:count"),
    ties=(
        Tie("overpaid", chart.PAYER_OVERPAYMENTS, Side.CREDIT),
        Tie("carried", chart.FORWARD_BALANCES, Side.CREDIT),
    ),
)
DENIALS = Question(
    name="denials",
    package="reconciliation.reports",
    columns=columns("claim payer state since days:count currency open:money codes policy reason said_by"),
)
PROVIDER_STATEMENT = Question(
    name="provider-statement",
    package="ledger.reports",
    columns=columns(
        "line effective_date entry_number:number service_date claim session service_code description currency "
        "amount:money"
    ),
    dated=False,
    narrowed={"provider": "", "cycle": ""},
    needs=("provider", "cycle"),
)
QUESTIONS = {
    question.name: question
    for question in (
        *report.QUESTIONS,
        report.STATEMENT,
        *financial.QUESTIONS,
        *(EXCEPTIONS, RECEIVED, PROPOSALS, OPEN_BALANCES, CASH_IN_TRANSIT, UNAPPLIED_CASH),
        *(DENIALS, DENIALS_BY_CODE, UNDERPAYMENTS, UNDERPAID_CLAIMS),
        *(REMITTANCE_SUMMARY, AUTOMATIC_RATE, PROVIDER_STATEMENT),
    )
}
