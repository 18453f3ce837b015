"""The tables of the mail room, as the migrations make them (a test compares the two)."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
)

from ledger.database import column

metadata = MetaData()
_moment = DateTime(timezone=True)

payer_identifiers = Table(
    "payer_identifiers",
    metadata,
    column("book", Text, key=True),
    column("identifier", Text, key=True),
    column("payer", Text),
    column("identified_at", _moment),
    column("identified_by", Text),
    column("version", Integer, key=True),
    column("reason", Text),
)

deliveries = Table(
    "deliveries",
    metadata,
    column("book", Text, key=True),
    column("sha256", LargeBinary, key=True),
    column("file_name", Text),
    column("size", BigInteger),
    column("received_at", _moment),
    column("received_by", Text),
    column("finished_at", _moment, null=True),
    column("form", Text),
)

delivery_parts = Table(
    "delivery_parts",
    metadata,
    column("book", Text, key=True),
    column("sha256", LargeBinary, key=True),
    column("part", Integer, key=True),
    column("content", LargeBinary),
    column("key_name", Text),
    column("nonce", LargeBinary),
)

file_reads = Table(
    "file_reads",
    metadata,
    column("book", Text, key=True),
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    column("sha256", LargeBinary),
    column("actor", Text),
    column("reason", Text),
    column("read_at", DateTime(timezone=True)),
)

remittances = Table(
    "remittances",
    metadata,
    column("book", Text, key=True),
    column("id", Uuid, key=True),
    column("sha256", LargeBinary),
    column("position", Integer),
    column("state", Text),
    column("content_hash", Text),
    column("payer", Text, null=True),
    column("payer_name", Text),
    column("signed_by", Text),
    column("trace", Text),
    column("payment_date", Date, null=True),
    column("currency", Text, null=True),
    column("paid", BigInteger, null=True),
    column("posted", BigInteger),
    column("suspended", BigInteger),
    column("claim_count", Integer),
    column("settled_claim_count", Integer),
    column("reason", Text),
    column("received_at", _moment),
    column("code_revision", Integer),
    column("clearing", Text, null=True),
    column("applied", BigInteger),
)

claim_payments = Table(
    "claim_payments",
    metadata,
    column("book", Text, key=True),
    column("remittance", Uuid, key=True),
    column("line", Integer, key=True),
    column("claim_as_sent", Text),
    column("payer_control_number", Text),
    column("status", Text),
    column("charge", BigInteger, null=True),
    column("paid", BigInteger, null=True),
    column("claim", Text, null=True),
    column("decision", Text),
    column("rule", Text),
    column("evidence", Text),
    column("entry_number", BigInteger, null=True),
    column("reverses_remittance", Uuid, null=True),
    column("reverses_line", Integer, null=True),
    column("contractual", BigInteger, null=True),
    column("patient", BigInteger, null=True),
    column("denial", BigInteger, null=True),
    column("other_payer", BigInteger, null=True),
    column("suspense", BigInteger, null=True),
)

remittance_states = Table(
    "remittance_states",
    metadata,
    column("book", Text, key=True),
    column("remittance", Uuid, key=True),
    column("version", Integer, key=True),
    column("state", Text),
    column("payer", Text, null=True),
    column("posted", BigInteger),
    column("suspended", BigInteger),
    column("settled_claim_count", Integer),
    column("known_at", _moment),
    column("from_before", Boolean),
)

earlier_decisions = Table(
    "earlier_decisions",
    metadata,
    column("book", Text, key=True),
    column("remittance", Uuid, key=True),
    column("line", Integer, key=True),
    column("version", Integer, key=True),
    column("claim", Text, null=True),
    column("decision", Text),
    column("rule", Text),
    column("evidence", Text),
    column("entry_number", BigInteger, null=True),
    column("contractual", BigInteger, null=True),
    column("patient", BigInteger, null=True),
    column("denial", BigInteger, null=True),
    column("other_payer", BigInteger, null=True),
    column("suspense", BigInteger, null=True),
    column("replaced_at", _moment),
)

provider_level_adjustments = Table(
    "provider_level_adjustments",
    metadata,
    column("book", Text, key=True),
    column("remittance", Uuid, key=True),
    column("line", Integer, key=True),
    column("code", Text),
    column("reference", Text),
    column("amount", BigInteger),
    column("account", Text),
    column("entry_number", BigInteger, null=True),
)

exceptions = Table(
    "exceptions",
    metadata,
    column("book", Text, key=True),
    column("id", Uuid, key=True),
    column("remittance", Uuid, null=True),
    column("line", Integer),
    column("reason", Text),
    column("claim_as_sent", Text),
    column("claim", Text, null=True),
    column("amount", BigInteger, null=True),
    column("currency", Text, null=True),
    column("detail", Text),
    column("opened_at", _moment),
    column("closed_at", _moment, null=True),
    column("deposit", Uuid, null=True),
    column("since", Date, null=True),
)

forward_balances = Table(
    "forward_balances",
    metadata,
    column("book", Text, key=True),
    column("account", Text, key=True),
    column("item", Text, key=True),
    column("exception", Uuid),
)

exception_events = Table(
    "exception_events",
    metadata,
    column("book", Text, key=True),
    column("exception", Uuid, key=True),
    column("version", Integer, key=True),
    column("change", Text),
    column("owner", Text, null=True),
    column("note", Text),
    column("entry_number", BigInteger, null=True),
    column("said_by", Text),
    column("said_at", _moment),
    column("idempotency_key", Text, null=True),
    column("request_hash", LargeBinary, null=True),
)

claim_payers = Table(
    "claim_payers",
    metadata,
    column("book", Text, key=True),
    column("claim", Text, key=True),
    column("payer_rank", Integer, key=True),
    column("version", Integer, key=True),
    column("payer", Text),
    column("reason", Text),
    column("said_by", Text),
    column("said_at", _moment),
)

claim_moves = Table(
    "claim_moves",
    metadata,
    column("book", Text, key=True),
    column("entry_number", BigInteger, key=True),
    column("claim", Text),
    column("move", Text),
    column("payer", Text),
    column("remittance", Uuid, null=True),
    column("line", Integer, null=True),
)

payee_identifiers = Table(
    "payee_identifiers",
    metadata,
    column("book", Text, key=True),
    column("identifier", Text, key=True),
    column("version", Integer, key=True),
    column("ours", Boolean),
    column("reason", Text),
    column("said_by", Text),
    column("said_at", _moment),
)

codes = Table(
    "codes",
    metadata,
    column("book", Text, key=True),
    column("revision", Integer, key=True),
    column("list", Text),
    column("code_group", Text),
    column("code", Text),
    column("payer", Text),
    column("effective_from", Date),
    column("meaning", Text),
    column("label", Text),
    column("reason", Text),
    column("set_by", Text),
    column("set_at", _moment),
)

denials = Table(
    "denials",
    metadata,
    column("book", Text, key=True),
    column("claim", Text, key=True),
    column("payer", Text, key=True),
    column("version", Integer, key=True),
    column("state", Text),
    column("effective_date", Date),
    column("open", BigInteger),
    column("currency", Text),
    column("codes", ARRAY(Text)),
    column("reason", Text),
    column("policy", Text),
    column("remittance", Uuid, null=True),
    column("line", Integer, null=True),
    column("entry_number", BigInteger, null=True),
    column("said_by", Text),
    column("said_at", _moment),
)

denial_policies = Table(
    "denial_policies",
    metadata,
    column("book", Text, key=True),
    column("name", Text, key=True),
    column("version", Integer, key=True),
    column("enabled", Boolean),
    column("codes", ARRAY(Text)),
    column("payer", Text),
    column("currency", Text),
    column("largest", BigInteger),
    column("age_days", Integer),
    column("reason", Text),
    column("set_by", Text),
    column("set_at", _moment),
)
