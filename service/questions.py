"""Every report that can be asked for by name: those of the books and those of the mail room."""

from ledger.reports import report
from ledger.reports.report import Question, Tie, columns

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
        "settling:money unreadable_count:count"
    ),
    ties=(Tie("received", others=("posted", "suspended", "quarantined", "settling")),),
    dated=False,
)
PROPOSALS = Question(
    name="proposals",
    package="ledger.reports",
    columns=columns("number proposed_at proposed_by act currency amount:money days_open:count reason"),
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
)
QUESTIONS = {
    question.name: question
    for question in (
        *(*report.QUESTIONS, report.STATEMENT, EXCEPTIONS, RECEIVED, PROPOSALS),
        PROVIDER_STATEMENT,
    )
}
