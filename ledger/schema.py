"""The tables of the books, as the migrations make them (a test compares the two)."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from ledger.database import column

metadata = MetaData()
_moment = DateTime(timezone=True)


books = Table(
    "books",
    metadata,
    column("book", Text, key=True),
    column("name", Text),
    column("opened_at", _moment),
    column("opened_by", Text),
)

heads = Table(
    "heads",
    metadata,
    column("book", Text, key=True),
    column("number", BigInteger),
    column("hash", LargeBinary),
    column("recorded_at", _moment),
    column("changes", BigInteger),
)

accounts = Table(
    "accounts",
    metadata,
    column("book", Text, key=True),
    column("code", Text, key=True),
    column("type", Text),
    column("currency", Text),
    column("normal_side", Text),
    column("balance_limit", Text, null=True),
    column("item_required", Boolean),
    column("opened_at", _moment),
    column("opened_by", Text),
    column("closed_at", _moment, null=True),
    column("closed_by", Text, null=True),
    column("close_reason", Text, null=True),
)

entries = Table(
    "entries",
    metadata,
    column("book", Text, key=True),
    column("number", BigInteger, key=True),
    column("id", Uuid),
    column("kind", Text),
    column("effective_date", Date),
    column("recorded_at", _moment),
    column("description", Text),
    column("actor", Text),
    column("idempotency_key", Text),
    column("request_hash", LargeBinary),
    column("reverses", BigInteger, null=True),
    column("payer", Text, null=True),
    column("provider", Text, null=True),
    column("claim", Text, null=True),
    column("session", Text, null=True),
    column("plan", Text, null=True),
    column("service_code", Text, null=True),
    column("licence_type", Text, null=True),
    column("state", Text, null=True),
    column("remittance", Text, null=True),
    column("pay_cycle", Text, null=True),
    column("service_date", Date, null=True),
    column("charge", BigInteger, null=True),
    column("charge_currency", Text, null=True),
    column("posting_count", Integer),
    column("hash", LargeBinary),
)

postings = Table(
    "postings",
    metadata,
    column("book", Text, key=True),
    column("entry_number", BigInteger, key=True),
    column("line", Integer, key=True),
    column("effective_date", Date),
    column("account", Text),
    column("currency", Text),
    column("amount", BigInteger),
    column("item", Text, null=True),
)

entry_keys = Table(
    "entry_keys",
    metadata,
    column("book", Text, key=True),
    column("actor", Text, key=True),
    column("idempotency_key", Text, key=True),
    column("number", BigInteger),
)

entry_reversals = Table(
    "entry_reversals",
    metadata,
    column("book", Text, key=True),
    column("reverses", BigInteger, key=True),
    column("number", BigInteger),
)

balances = Table(
    "balances",
    metadata,
    column("book", Text, key=True),
    column("account", Text, key=True),
    column("debits", BigInteger),
    column("credits", BigInteger),
)

daily_totals = Table(
    "daily_totals",
    metadata,
    column("book", Text, key=True),
    column("account", Text, key=True),
    column("effective_date", Date, key=True),
    column("debits", BigInteger),
    column("credits", BigInteger),
)

proposals = Table(
    "proposals",
    metadata,
    column("book", Text, key=True),
    column("number", BigInteger, key=True),
    column("act", Text),
    column("asked", JSONB),
    column("shown", JSONB),
    column("request_hash", LargeBinary),
    column("content_hash", LargeBinary),
    column("proposed_by", Text),
    column("proposed_at", _moment),
    column("idempotency_key", Text),
    column("reason", Text),
)

proposal_decisions = Table(
    "proposal_decisions",
    metadata,
    column("book", Text, key=True),
    column("proposal", BigInteger, key=True),
    column("verdict", Text),
    column("proposed_by", Text),
    column("content_hash", LargeBinary),
    column("decided_by", Text),
    column("decided_at", _moment),
    column("reason", Text),
    column("entry_number", BigInteger, null=True),
)

approval_limits = Table(
    "approval_limits",
    metadata,
    column("book", Text, key=True),
    column("kind", Text, key=True),
    column("currency", Text, key=True),
    column("version", Integer, key=True),
    column("before", BigInteger, null=True),
    column("amount", BigInteger, null=True),
    column("after_entry", BigInteger),
    column("reason", Text),
    column("set_by", Text),
    column("set_at", _moment),
    column("proposal", BigInteger, null=True),
)

provider_charging = Table(
    "provider_charging",
    metadata,
    column("book", Text, key=True),
    column("version", Integer, key=True),
    column("allowed", Boolean),
    column("reason", Text),
    column("set_by", Text),
    column("set_at", _moment),
)

recorded_levels = Table(
    "recorded_levels",
    metadata,
    column("book", Text, key=True),
    column("size", BigInteger, key=True),
    column("fewest", Integer),
    column("number", BigInteger),
)

recorded_totals = Table(
    "recorded_totals",
    metadata,
    column("book", Text, key=True),
    column("account", Text, key=True),
    column("size", BigInteger, key=True),
    column("number", BigInteger, key=True),
    column("effective_date", Date, key=True),
    column("debits", BigInteger),
    column("credits", BigInteger),
)
