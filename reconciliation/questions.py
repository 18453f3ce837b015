"""The mail room's reports on remittances, as they can be asked for."""

from ledger.reports.report import Question, Tie, columns

REMITTANCE_SUMMARY = Question(
    name="remittance-summary",
    package="reconciliation.reports",
    columns=columns(
        "payer month currency remittance_count:count duplicate_count:count claim_count:count received:money "
        "posted:money suspended:money quarantined:money waiting:money settling:money provider_level:money"
    ),
    ties=(Tie("received", others=("posted", "suspended", "quarantined", "waiting", "settling")),),
)
AUTOMATIC_RATE = Question(
    name="automatic-rate",
    package="reconciliation.reports",
    columns=columns(
        "payer month currency payment_count:count untouched_count:count looked_at_count:count "
        "suspended_count:count quarantined_count:count untouched_share paid:money untouched_paid:money "
        "looked_at_paid:money"
    ),
    ties=(Tie("paid", others=("untouched_paid", "looked_at_paid")),),
)
