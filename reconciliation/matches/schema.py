"""The tables of what people say of claim payments, as the migrations make them (a test compares the two)."""

from sqlalchemy import ARRAY, BigInteger, DateTime, Integer, Table, Text, Uuid

from ledger.database import column
from reconciliation.schema import metadata

_moment = DateTime(timezone=True)

match_limits = Table(
    "match_limits",
    metadata,
    column("book", Text, key=True),
    column("currency", Text, key=True),
    column("version", Integer, key=True),
    column("amount", BigInteger, null=True),
    column("reason", Text),
    column("set_by", Text),
    column("set_at", _moment),
)

claim_matches = Table(
    "claim_matches",
    metadata,
    column("book", Text, key=True),
    column("number", BigInteger, key=True),
    column("remittance", Uuid),
    column("line", Integer),
    column("state", Text),
    column("claims", ARRAY(Text)),
    column("amounts", ARRAY(BigInteger)),
    column("amount", BigInteger),
    column("currency", Text),
    column("limit_amount", BigInteger, null=True),
    column("decides", BigInteger, null=True),
    column("proposed_by", Text, null=True),
    column("reason", Text),
    column("said_by", Text),
    column("said_at", _moment),
    column("idempotency_key", Text),
    column("entry_number", BigInteger, null=True),
    column("original_remittance", Uuid, null=True),
    column("original_line", Integer),
)
