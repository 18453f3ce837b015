"""The tables of the books, as the migrations make them (a test compares the two)."""

from sqlalchemy import (
    ARRAY,
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

allowance_policies = Table(
    "allowance_policies",
    metadata,
    column("book", Text, key=True),
    column("version", Integer, key=True),
    column("is_on", Boolean),
    column("terms", JSONB),
    column("reason", Text),
    column("set_by", Text),
    column("set_at", _moment),
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

write_off_caps = Table(
    "write_off_caps",
    metadata,
    column("book", Text, key=True),
    column("currency", Text, key=True),
    column("version", Integer, key=True),
    column("amount", BigInteger),
    column("reason", Text),
    column("set_by", Text),
    column("set_at", _moment),
)

allowances = Table(
    "allowances",
    metadata,
    column("book", Text, key=True),
    column("month", Date, key=True),
    column("policy", Integer),
    column("entry_number", BigInteger),
    column("reversal_number", BigInteger),
    column("evidence", JSONB),
    column("posted_by", Text),
    column("posted_at", _moment),
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
    column("days", ARRAY(Date)),
    column("debits", ARRAY(BigInteger)),
    column("credits", ARRAY(BigInteger)),
)

segment_days = Table(
    "segment_days",
    metadata,
    column("book", Text, key=True),
    column("number", BigInteger, key=True),
    column("size", BigInteger),
    column("first_day", Date),
    column("last_day", Date),
)

periods = Table(
    "periods",
    metadata,
    column("book", Text, key=True),
    column("month", Date, key=True),
    column("version", Integer, key=True),
    column("before", Text),
    column("state", Text),
    column("after_entry", BigInteger),
    column("reason", Text),
    column("set_by", Text),
    column("set_at", _moment),
    column("proposal", BigInteger, null=True),
    column("last_entry_hash", LargeBinary, null=True),
    column("limit_days", Integer, null=True),
    column("override_by", Text, null=True),
    column("override_reason", Text, null=True),
    column("hash", LargeBinary, null=True),
)

period_balances = Table(
    "period_balances",
    metadata,
    column("book", Text, key=True),
    column("month", Date, key=True),
    column("version", Integer, key=True),
    column("account", Text, key=True),
    column("currency", Text),
    column("debits", BigInteger),
    column("credits", BigInteger),
)

period_findings = Table(
    "period_findings",
    metadata,
    column("book", Text, key=True),
    column("month", Date, key=True),
    column("version", Integer, key=True),
    column("line", Integer, key=True),
    column("kind", Text),
    column("subject", Text),
    column("item", Text, null=True),
    column("currency", Text, null=True),
    column("amount", BigInteger, null=True),
    column("since", Date),
    column("days", Integer),
)

tree_nodes = Table(
    "tree_nodes",
    metadata,
    column("book", Text, key=True),
    column("level", Integer, key=True),
    column("nth", BigInteger, key=True),
    column("hash", LargeBinary),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    column("book", Text, key=True),
    column("number", BigInteger, key=True),
    column("size", BigInteger),
    column("root", LargeBinary),
    column("note", Text),
    column("verifier", Text),
    column("written_at", _moment),
    column("written_by", Text),
    column("reason", Text),
)

pay_calendars = Table(
    "pay_calendars",
    metadata,
    column("book", Text, key=True),
    column("version", Integer, key=True),
    column("rhythm", Text),
    column("days", Text),
    column("first_cut_off", Date),
    column("days_to_payment", Integer),
    column("reason", Text),
    column("set_by", Text),
    column("set_at", _moment),
)

provider_holds = Table(
    "provider_holds",
    metadata,
    column("book", Text, key=True),
    column("provider", Text, key=True),
    column("version", Integer, key=True),
    column("held", Boolean),
    column("reason", Text),
    column("set_by", Text),
    column("set_at", _moment),
)

payees = Table(
    "payees",
    metadata,
    column("book", Text, key=True),
    column("provider", Text, key=True),
    column("version", Integer, key=True),
    column("name", Text),
    column("holder", Text),
    column("account_type", Text),
    column("currency", Text),
    column("last_four", Text),
    column("company_id", Text),
    column("bank_name", Text),
    column("reason", Text),
    column("set_by", Text),
    column("set_at", _moment),
    column("content", LargeBinary),
    column("key_name", Text),
    column("nonce", LargeBinary),
)

payee_acceptances = Table(
    "payee_acceptances",
    metadata,
    column("book", Text, key=True),
    column("provider", Text, key=True),
    column("version", Integer, key=True),
    column("set_by", Text),
    column("proposal", BigInteger),
)

pay_cycle_lines = Table(
    "pay_cycle_lines",
    metadata,
    column("book", Text, key=True),
    column("proposal", BigInteger, key=True),
    column("account", Text, key=True),
    column("provider", Text),
    column("currency", Text),
    column("carried", BigInteger),
    column("session_count", Integer),
    column("sessions", BigInteger),
    column("adjustment_count", Integer),
    column("adjustments", BigInteger),
    column("amount", BigInteger),
    column("outcome", Text),
    column("reason", Text),
    column("payee_version", Integer, null=True),
    column("since", BigInteger),
)

pay_cycles = Table(
    "pay_cycles",
    metadata,
    column("book", Text, key=True),
    column("cycle", Date, key=True),
    column("pay_date", Date),
    column("known", BigInteger),
    column("line_count", Integer),
    column("proposal", BigInteger),
)

pay_cycle_results = Table(
    "pay_cycle_results",
    metadata,
    column("book", Text, key=True),
    column("account", Text, key=True),
    column("cycle", Date, key=True),
    column("currency", Text),
    column("outcome", Text),
    column("amount", BigInteger),
    column("entry_number", BigInteger, null=True),
    column("closing", BigInteger, null=True),
    column("since", BigInteger, null=True),
    column("reason", Text),
)

pay_cycle_items = Table(
    "pay_cycle_items",
    metadata,
    column("book", Text, key=True),
    column("entry_number", BigInteger, key=True),
    column("account", Text, key=True),
    column("cycle", Date),
    column("kind", Text),
    column("amount", BigInteger),
)

payment_states = Table(
    "payment_states",
    metadata,
    column("book", Text, key=True),
    column("account", Text, key=True),
    column("cycle", Date, key=True),
    column("state", Text, key=True),
    column("day", Date),
    column("entry_number", BigInteger, null=True),
    column("reason", Text),
    column("marked_by", Text),
    column("marked_at", _moment),
)

payment_file_reads = Table(
    "payment_file_reads",
    metadata,
    column("book", Text, key=True),
    column("cycle", Date, key=True),
    column("format", Text, key=True),
    column("currency", Text, key=True),
    column("number", Integer, key=True),
    column("known", BigInteger),
    column("company_version", Integer),
    column("sha256", LargeBinary),
    column("payment_count", BigInteger),
    column("total", BigInteger),
    column("actor", Text),
    column("reason", Text),
    column("read_at", _moment),
)
