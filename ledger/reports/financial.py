"""The questions of the financial statements, of who posted what, and of what became of receivables."""

from ledger.accounts import chart
from ledger.accounts.account import Side
from ledger.reports.report import Question, Tie, columns


def _money(*names: str) -> str:
    return " ".join(f"{name}:money" for name in names)


BALANCE_SHEET = Question(
    name="balance-sheet",
    package="ledger.reports",
    columns=columns("section account currency assets:money liabilities:money equity:money"),
    ties=(
        Tie("assets", others=("liabilities", "equity")),
        Tie("assets", "Assets"),
        Tie("liabilities", "Liabilities", Side.CREDIT),
    ),
    knows=True,
    narrowed={"effective_from": ""},
)
"""That both sides are equal is a finding: the result is added up from revenue and expenses, never a difference."""

INCOME_STATEMENT = Question(
    name="income-statement",
    package="ledger.reports",
    columns=columns(
        "account currency revenue:money expenses:money result:money revenue_before:money expenses_before:money "
        "result_before:money change:money"
    ),
    ties=(
        Tie("revenue", "Revenue", Side.CREDIT, moved=True),
        Tie("expenses", "Expenses", moved=True),
    ),
    knows=True,
    narrowed={"effective_from": ""},
    needs=("effective_from",),
)
MOVEMENTS = (
    *("earned", "paid", "contractual", "patient", "absorbed", "recovered"),
    *("forwarded", "reversed", "other"),
)
RECEIVABLES_ROLLFORWARD = Question(
    name="receivables-rollforward",
    package="ledger.reports",
    columns=columns(f"payer currency opening:money {_money(*MOVEMENTS)} closing:money"),
    ties=(
        Tie("closing", chart.INSURER_RECEIVABLES),
        Tie("closing", others=("opening", *MOVEMENTS)),
    ),
    knows=True,
    narrowed={"effective_from": ""},
    needs=("effective_from",),
)
LAG_TRIANGLE = Question(
    name="lag-triangle",
    package="ledger.reports",
    columns=columns(
        "payer month months_since:number currency earned:money paid:money adjusted:money absorbed:money "
        "other:money change:money paid_share adjusted_share absorbed_share"
    ),
    ties=(Tie("change", "Assets:Receivable:Insurer"),),
    knows=True,
)
PAYER_LAG = Question(
    name="payer-lag",
    package="ledger.reports",
    columns=columns(
        "payer month currency claim_count:count paid_count:count waiting_count:count p50_days:number "
        "p75_days:number p90_days:number p95_days:number p99_days:number longest_days:number open:money"
    ),
    ties=(Tie("open", chart.INSURER_RECEIVABLES),),
    knows=True,
)
AGES_OF_EXPOSURE = ("days_0_30", "days_31_60", "days_61_90", "days_91_120", "over_120_days")
AFTER_EXPOSURE = ("patient", "absorbed", "contractual", "other", "above_allowed")
ADVANCE_EXPOSURE = Question(
    name="advance-exposure",
    package="ledger.reports",
    columns=columns(
        f"payer currency claim_count:count paid:money received:money {_money(*AGES_OF_EXPOSURE)} exposure:money "
        f"{_money(*AFTER_EXPOSURE)} unpaid:money receivable:money absorption_cost:money"
    ),
    ties=(
        Tie("paid", others=("received", "exposure", *AFTER_EXPOSURE)),
        Tie("exposure", others=AGES_OF_EXPOSURE),
        Tie("unpaid", chart.PROVIDER_PAYABLES, Side.CREDIT),
        Tie("receivable", chart.INSURER_RECEIVABLES),
        Tie("absorption_cost", chart.DENIALS_ABSORBED, moved=True),
    ),
    knows=True,
    narrowed={"effective_from": "-infinity"},
)
"""Every cent paid to a provider is received, exposed, or told why it will not come."""

ACTORS = Question(
    name="actors",
    package="ledger.reports",
    columns=columns(
        "actor kind currency entry_count:count debits:money first_entry:number last_entry:number "
        "first_recorded_at last_recorded_at"
    ),
    ties=(Tie("debits", turnover=True),),
    knows=True,
    narrowed={"effective_from": "-infinity"},
)
GENERAL_LEDGER = Question(
    name="general-ledger",
    package="ledger.reports",
    columns=columns(
        "account effective_date entry_number:number line:number recorded_at kind actor description item currency "
        "debits:money credits:money balance:standing"
    ),
    ties=(Tie("debits", turnover=True), Tie("credits", side=Side.CREDIT, turnover=True)),
    knows=True,
    narrowed={"account": "", "effective_from": "-infinity"},
    place={"account": "", "effective_date": "-infinity", "entry_number": "0", "line": "0"},
)
_AFTER_NUMBER = {"entry_number": "0"}
ENTRIES_BY_ACTOR = Question(
    name="entries-by-actor",
    package="ledger.reports",
    columns=columns("entry_number:number effective_date recorded_at actor kind description currency debits:money"),
    ties=(Tie("debits", turnover=True),),
    knows=True,
    narrowed={"actor": "", "effective_from": "-infinity"},
    place=_AFTER_NUMBER,
)
REVERSED_ENTRIES = Question(
    name="reversed-entries",
    package="ledger.reports",
    columns=columns(
        "entry_number:number effective_date recorded_at kind actor reversal_number:number reversal_effective_date "
        "reversal_recorded_at reversed_by reversal_kind reason currency debits:money reversal_credits:money"
    ),
    ties=(Tie("debits", others=("reversal_credits",)),),
    knows=True,
    narrowed={"effective_from": "-infinity"},
    place=_AFTER_NUMBER,
)
BACK_DATED_ENTRIES = Question(
    name="back-dated-entries",
    package="ledger.reports",
    columns=columns(
        "entry_number:number effective_date recorded_at days_back:number actor kind description currency "
        "debits:money"
    ),
    knows=True,
    narrowed={"days": "0", "effective_from": "-infinity"},
    place=_AFTER_NUMBER,
)
MANUAL_ENTRIES = Question(
    name="manual-entries",
    package="ledger.reports",
    columns=columns(
        "entry_number:number effective_date recorded_at actor reason approver approved_because currency "
        "debits:money"
    ),
    knows=True,
    narrowed={"effective_from": "-infinity"},
    place=_AFTER_NUMBER,
)
QUESTIONS = (
    BALANCE_SHEET,
    INCOME_STATEMENT,
    GENERAL_LEDGER,
    RECEIVABLES_ROLLFORWARD,
    LAG_TRIANGLE,
    PAYER_LAG,
    ADVANCE_EXPOSURE,
    ACTORS,
    ENTRIES_BY_ACTOR,
    REVERSED_ENTRIES,
    BACK_DATED_ENTRIES,
    MANUAL_ENTRIES,
)
