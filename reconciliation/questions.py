"""The mail room's reports on remittances, as they can be asked for."""

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import fields
from ledger.accounts import chart
from ledger.accounts.known import ALL, KnownAt, entry_known, known_until
from ledger.errors import HistoryNotKept
from ledger.reads import Reads
from ledger.reports import report
from ledger.reports.report import NOTHING, Question, Report, Tie, columns
from reconciliation.codes import Bucket

KNOWN = {"as_known_until": "infinity"}
"""The time before which a report on the mail knows all, beside the entries that it knows of."""
REMITTANCE_SUMMARY = Question(
    name="remittance-summary",
    package="reconciliation.reports",
    columns=columns(
        "payer month currency remittance_count:count duplicate_count:count claim_count:count received:money "
        "posted:money suspended:money quarantined:money waiting:money settling:money provider_level:money "
        "charged:money contractual:money patient:money denial:money other_payer:money suspense:money "
        "sorted_paid:money unsorted_count:count unsorted_paid:money claims_paid:money difference:money"
    ),
    ties=(
        Tie("received", others=("posted", "suspended", "quarantined", "waiting", "settling")),
        Tie("charged", others=(*(bucket.value for bucket in Bucket), "sorted_paid")),
        Tie("claims_paid", others=("sorted_paid", "unsorted_paid")),
        Tie("claims_paid", others=("posted", "suspended", "provider_level")),
        Tie("difference"),
    ),
    knows=True,
    narrowed=KNOWN,
)
RATE_GROUPS = ("payer", "month", "rule")
AUTOMATIC_RATE = Question(
    name="automatic-rate",
    package="reconciliation.reports",
    columns=columns(
        "payer month rule currency payment_count:count untouched_count:count looked_at_count:count "
        "suspended_count:count quarantined_count:count untouched_share paid:money untouched_paid:money "
        "looked_at_paid:money"
    ),
    ties=(Tie("paid", others=("untouched_paid", "looked_at_paid")),),
    knows=True,
    narrowed={f"by_{name}": "" for name in RATE_GROUPS} | KNOWN,
    groups={name: f"by_{name}" for name in RATE_GROUPS},
    ungrouped=("payer", "month"),
)

STATES_OF_REFUSED = ("waiting", "under_appeal", "overturned", "absorbed", "recovered", "taken_back")
DENIALS_BY_CODE = Question(
    name="denials-by-code",
    package="reconciliation.reports",
    columns=columns(
        "payer codes currency denial_count:count refused:money waiting:money under_appeal:money overturned:money "
        "absorbed:money recovered:money taken_back:money still_open:money booked_loss:money "
        "booked_recovery:money net_loss:money"
    ),
    ties=(Tie("refused", others=STATES_OF_REFUSED), Tie("net_loss", chart.DENIALS_ABSORBED)),
    knows=True,
    narrowed=KNOWN,
)
UNDERPAYMENTS = Question(
    name="underpayments",
    package="reconciliation.reports",
    columns=columns("payer month currency claim_count:count underpaid:money by_hand:money"),
    ties=(Tie("underpaid", chart.CONTRACTUAL_ADJUSTMENTS),),
    knows=True,
)
UNDERPAID_CLAIMS = Question(
    name="underpaid-claims",
    package="reconciliation.reports",
    columns=columns(
        "entry_number:number effective_date payer claim trace currency booked:money paid:money underpaid:money "
        "said"
    ),
    ties=(Tie("underpaid", chart.CONTRACTUAL_ADJUSTMENTS, moved=True),),
    knows=True,
    narrowed={"effective_from": "-infinity"},
    place={"entry_number": "0"},
)


FROM_STATES = (REMITTANCE_SUMMARY, AUTOMATIC_RATE)
"""Those that say how remittances stood."""
_NOT_KEPT = text("""
    SELECT max(s.known_at)
    FROM remittance_states AS s JOIN remittances AS r ON r.book = s.book AND r.id = s.remittance
    WHERE s.book = :book AND s.from_before
        AND s.known_at >= CAST(:until AS timestamptz) AND r.received_at < CAST(:until AS timestamptz)
""")


async def recalled(
    connection: AsyncConnection, question: Question, book: str, asked: KnownAt, number: int
) -> Mapping[str, str]:
    """What else the file of a question is asked with, as known at an entry. Raises HistoryNotKept."""
    if not KNOWN.keys() <= question.narrowed.keys():
        return NOTHING
    until = await known_until(connection, book, asked, number)
    if question in FROM_STATES:
        since = (await connection.execute(_NOT_KEPT, {"book": book, "until": until})).scalar_one()
        if since is not None:
            told = f"how the remittances of this book stood is kept since {since}: ask as known then or later"
            raise HistoryNotKept(told, since=since.isoformat())
    return {"as_known_until": until}


async def answered(
    reads: Reads,
    question: Question,
    book: str,
    as_of: str,
    narrowed: Mapping[str, str] = NOTHING,
    asked: KnownAt = ALL,
) -> Report:
    """The answer to any question of the mail room, as its request says book and day.

    Raises BookNotFound, what as_known_at is refused for, or HistoryNotKept.
    """
    wanted, day = fields.book_name(book), fields.day("as_of", as_of)
    async with reads.view() as connection:
        number = await entry_known(connection, wanted, asked, is_replica=reads.is_replica)
        known = await recalled(connection, question, wanted, asked, number)
        return await report.ask(connection, question, wanted, day, number, {**narrowed, **known})
