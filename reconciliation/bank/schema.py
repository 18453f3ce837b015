"""The tables of the bank, as the migrations make them (a test compares the two)."""

from sqlalchemy import BigInteger, Date, DateTime, Integer, LargeBinary, Table, Text, Uuid

from ledger.database import column
from reconciliation.schema import metadata

_moment = DateTime(timezone=True)

bank_statements = Table(
    "bank_statements",
    metadata,
    column("book", Text, key=True),
    column("id", Uuid, key=True),
    column("sha256", LargeBinary),
    column("position", Integer),
    column("state", Text),
    column("account", Text),
    column("currency", Text, null=True),
    column("as_of", Date, null=True),
    column("credits", BigInteger),
    column("debits", BigInteger),
    column("posted", BigInteger),
    column("repeated", BigInteger),
    column("noted", BigInteger),
    column("line_count", Integer),
    column("recorded_line", BigInteger),
    column("reason", Text),
    column("received_at", _moment),
)

deposits = Table(
    "deposits",
    metadata,
    column("book", Text, key=True),
    column("id", Uuid, key=True),
    column("statement", Uuid, null=True),
    column("line", Integer, null=True),
    column("account", Text),
    column("effective_date", Date),
    column("amount", BigInteger),
    column("currency", Text),
    column("reference", Text),
    column("payer_identifier", Text),
    column("payer", Text, null=True),
    column("returns", Uuid, null=True),
    column("entry_number", BigInteger),
    column("recorded_at", _moment),
    column("recorded_by", Text),
)

deposit_traces = Table(
    "deposit_traces",
    metadata,
    column("book", Text, key=True),
    column("deposit", Uuid, key=True),
    column("trace", Text, key=True),
    column("payer_identifier", Text),
)

deposit_applications = Table(
    "deposit_applications",
    metadata,
    column("book", Text, key=True),
    column("entry_number", BigInteger, key=True),
    column("deposit", Uuid, key=True),
    column("remittance", Uuid, key=True),
    column("amount", BigInteger),
    column("rule", Text),
    column("evidence", Text),
    column("applied_at", _moment),
    column("applied_by", Text),
)

deposit_policies = Table(
    "deposit_policies",
    metadata,
    column("book", Text, key=True),
    column("payer", Text, key=True),
    column("version", Integer, key=True),
    column("policy", Text),
    column("missing_after_days", Integer),
    column("reason", Text),
    column("set_by", Text),
    column("set_at", _moment),
)
