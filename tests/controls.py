"""The tables of the controls: what each constraint, unique key and trigger of the database refuses.

A row is a name of PostgreSQL's catalogue and what must be written to be refused by it and by nothing else.
"""

from collections.abc import Sequence
from typing import Any

from day import BARE, GONE
from test_approvals import MAKER

Row = dict[str, Any]
UUID = "01890000-0000-7000-8000-000000000001"
HASH = "\\x" + "ab" * 32
NEW = 17
"""The number of the next entry; the one before was approved."""
PROPOSAL = 9
"""The number of a proposal that is not there."""
BY_TRIGGER = {"entry_keys", "entry_reversals"}
"""What a trigger writes as its owner, and the program may not."""

# A row of each table that is like one that is there, and that PostgreSQL takes: what must be changed of that row.
FRESH: dict[str, Row] = {
    "books": {"book": "NEW"},
    "heads": {"book": "bare"},
    "accounts": {"code": "Assets:Fresh"},
    "entries": {"number": NEW, "id": UUID, "idempotency_key": "fresh", "reverses": None},
    "postings": {"entry_number": NEW},
    "entry_keys": {"idempotency_key": "fresh"},
    "entry_reversals": {"reverses": 1},
    "proposals": {"number": PROPOSAL, "idempotency_key": "fresh"},
    "proposal_decisions": {"proposal": PROPOSAL},
    "approval_limits": {"version": 9},
    "balances": {"account": BARE},
    "daily_totals": {"effective_date": "2001-01-01"},
    "recorded_levels": {"size": 8, "fewest": 1, "number": 0},
    "recorded_totals": {"effective_date": "2001-01-01"},
    "tree_nodes": {"level": 62},
    "checkpoints": {"number": 9, "size": 9},
    "payer_identifiers": {"identifier": "fresh"},
    "deliveries": {"sha256": HASH},
    "delivery_parts": {"part": 9},
    "file_reads": {"id": NEW},
    "remittances": {"id": UUID, "position": 99, "content_hash": "fresh", "trace": "fresh"},
    "claim_payments": {"line": 99, "reverses_remittance": None, "reverses_line": None},
    "provider_level_adjustments": {"line": 99},
    "exceptions": {"id": UUID},
    "reader_books": {"login": "fresh"},
    "alembic_version": {"version_num": "9999"},
}
# Which row that is, where it matters.
LIKE = {
    "accounts": "code = 'Assets:Cash'",
    "entries": "reverses IS NOT NULL",
    "postings": "line = 1",
    "proposals": "number = (SELECT proposal FROM proposal_decisions WHERE verdict = 'declined')",
    "proposal_decisions": "verdict = 'declined'",
    "remittances": "state = 'settled' AND posted > 0",
    "claim_payments": "reverses_line IS NOT NULL",
}
# What a row must say to be refused by this check and by no other.
CHECKS: dict[str, Row] = {
    "accounts_balance_limit_check": {"balance_limit": "none"},
    "accounts_check": {"type": "equity"},
    "accounts_check1": {"closed_at": "2026-01-01", "close_reason": "unused"},
    "accounts_close_reason": {"close_reason": "unused"},
    "accounts_close_reason_check": {"closed_at": "2026-01-01", "closed_by": "me", "close_reason": ""},
    "accounts_code_check": {"code": "Assets:a b"},
    "accounts_currency_check": {"currency": "usd"},
    "accounts_normal_side_check": {"normal_side": "left"},
    "approval_limits_after_entry_check": {"after_entry": -1},
    "approval_limits_amount_check": {"amount": -1},
    "approval_limits_currency_check": {"currency": "usd"},
    "approval_limits_kind_check": {"kind": "all"},
    "approval_limits_reason_check": {"reason": ""},
    "approval_limits_set_by_check": {"set_by": ""},
    "approval_limits_version_check": {"version": 0},
    "balances_credits_check": {"credits": -1},
    "balances_debits_check": {"debits": -1},
    "books_book_check": {"book": "no book"},
    "checkpoints_note_check": {"note": ""},
    "checkpoints_number_check": {"number": 0},
    "checkpoints_reason_check": {"reason": ""},
    "checkpoints_root_check": {"root": "\\xab"},
    "checkpoints_size_check": {"size": -1},
    "checkpoints_verifier_check": {"verifier": ""},
    "checkpoints_written_by_check": {"written_by": ""},
    "claim_payments_line_check": {"line": 0},
    "daily_totals_credits_check": {"credits": -1},
    "daily_totals_debits_check": {"debits": -1},
    "deliveries_sha256_check": {"sha256": "\\xab"},
    "deliveries_size_check": {"size": 0},
    "delivery_parts_check": {"key_name": "a key"},
    "delivery_parts_part_check": {"part": 0},
    "entries_actor_check": {"actor": ""},
    "entries_check": {"reverses": NEW},
    "entries_check1": {"charge": 1},
    "entries_hash_check": {"hash": "\\xab"},
    "entries_idempotency_key_check": {"idempotency_key": ""},
    "entries_number_check": {"number": 0},
    "entries_posting_count_check": {"posting_count": 1},
    "entries_request_hash_check": {"request_hash": "\\xab"},
    "exceptions_line_check": {"line": -1},
    "file_reads_actor_check": {"actor": ""},
    "file_reads_reason_check": {"reason": ""},
    "heads_changes_check": {"changes": -1},
    "heads_hash_check": {"hash": "\\xab"},
    "heads_number_check": {"number": -1},
    "limit_raised_by_two": {"before": 1, "amount": 2},
    "maker_is_not_checker": {"decided_by": MAKER},
    "payer_identifiers_identifier_check": {"identifier": ""},
    "payer_identifiers_payer_check": {"payer": ""},
    "payer_identifiers_reason_check": {"reason": ""},
    "payer_identifiers_version_check": {"version": 0},
    "postings_amount_check": {"amount": 0},
    "postings_line_check": {"line": 0},
    "proposal_decisions_check": {"entry_number": 1},
    "proposal_decisions_decided_by_check": {"decided_by": ""},
    "proposal_decisions_reason_check": {"reason": ""},
    "proposal_decisions_verdict_check": {"verdict": "forgotten"},
    "proposals_act_check": {"act": "anything"},
    "proposals_content_hash_check": {"content_hash": "\\xab"},
    "proposals_idempotency_key_check": {"idempotency_key": ""},
    "proposals_number_check": {"number": 0},
    "proposals_proposed_by_check": {"proposed_by": ""},
    "proposals_reason_check": {"reason": ""},
    "proposals_request_hash_check": {"request_hash": "\\xab"},
    "provider_level_adjustments_line_check": {"line": 0},
    "reader_books_login_check": {"login": ""},
    "recorded_levels_check": {"number": 3},
    "recorded_levels_fewest_check": {"fewest": 0},
    "recorded_levels_size_check": {"size": -1},
    "recorded_totals_credits_check": {"credits": -1},
    "recorded_totals_debits_check": {"debits": -1},
    "remittances_check": {"paid": 1},
    "remittances_check1": {"state": "quarantined"},
    "remittances_check2": {"claim_count": 0},
    "tree_nodes_hash_check": {"hash": "\\xab"},
    "tree_nodes_level_check": {"level": 63},
    "tree_nodes_nth_check": {"nth": -1},
    "remittances_state_check": {"state": "lost", "posted": 0, "suspended": 0},
}
# The same for what must be found elsewhere.
FOREIGN_KEYS: dict[str, Row] = {
    "accounts_book_fkey": {"book": "nowhere"},
    "approval_limits_book_fkey": {"book": "nowhere"},
    "approval_limits_book_proposal_fkey": {"proposal": PROPOSAL},
    "balances_book_account_fkey": {"account": "Assets:Nowhere"},
    "checkpoints_book_fkey": {"book": "nowhere"},
    "claim_payments_book_entry_number_fkey": {"entry_number": NEW},
    "claim_payments_book_remittance_fkey": {"remittance": UUID},
    "claim_payments_book_reverses_remittance_reverses_line_fkey": {
        "reverses_remittance": UUID,
        "reverses_line": 1,
    },
    "deliveries_book_fkey": {"book": "nowhere"},
    "delivery_parts_book_sha256_fkey": {"sha256": HASH},
    "entry_reversals_book_reverses_fkey": {"reverses": NEW},
    "exceptions_book_remittance_fkey": {"remittance": UUID},
    "file_reads_book_sha256_fkey": {"sha256": HASH},
    "heads_book_fkey": {"book": "nowhere"},
    "payer_identifiers_book_fkey": {"book": "nowhere"},
    "proposal_decisions_book_entry_number_fkey": {"verdict": "approved", "entry_number": NEW},
    "proposal_decisions_book_proposal_proposed_by_content_hash_fkey": {"proposal": PROPOSAL + 1},
    "proposals_book_fkey": {"book": "nowhere"},
    "provider_level_adjustments_book_entry_number_fkey": {"entry_number": NEW},
    "provider_level_adjustments_book_remittance_fkey": {"remittance": UUID},
    "reader_books_book_fkey": {"book": "nowhere"},
    "recorded_levels_book_fkey": {"book": "nowhere"},
    "remittances_book_sha256_fkey": {"sha256": HASH},
    "tree_nodes_book_fkey": {"book": "nowhere"},
}
# Primary keys, unique constraints and unique indexes: what keeps a row like another out. In what a key covers, the
# row is the other one's like; what else must differ is said here where FRESH does not say it.
KEYS: dict[str, Row] = {
    "accounts_book_code_currency_key": {},
    "accounts_case": {"code": "Assets:CASH"},
    "accounts_pkey": {},
    "alembic_version_pkc": {},
    "approval_limits_pkey": {},
    "balances_pkey": {},
    "books_pkey": {},
    "checkpoints_pkey": {},
    "claim_payments_book_reverses_remittance_reverses_line_key": {},
    "claim_payments_pkey": {},
    "daily_totals_pkey": {},
    "deliveries_pkey": {},
    "delivery_parts_pkey": {},
    "entries_pkey": {},
    "entry_keys_pkey": {},
    "entry_reversals_pkey": {},
    "exceptions_pkey": {},
    "file_reads_pkey": {},
    "heads_pkey": {},
    "payer_identifiers_pkey": {},
    "postings_pkey": {"line": 1},
    "proposal_decisions_book_entry_number_key": {"verdict": "approved", "entry_number": NEW - 1},
    "proposal_decisions_pkey": {},
    "proposals_book_number_proposed_by_content_hash_key": {},
    "proposals_book_proposed_by_idempotency_key_key": {},
    "proposals_pkey": {},
    "provider_level_adjustments_pkey": {},
    "reader_books_pkey": {},
    "recorded_levels_pkey": {},
    "recorded_totals_pkey": {},
    "remittances_book_sha256_position_key": {},
    "remittances_content": {},
    "remittances_pkey": {},
    "remittances_trace": {},
    "tree_nodes_pkey": {},
}


def _postings(number: int = NEW, **changed: str) -> str:
    """The postings of the first entry once more: of which entry, and with which columns as SQL says."""
    changes = ", ".join(
        f"'{column}', {value}" for column, value in {"entry_number": str(number), **changed}.items()
    )
    return f"""
        INSERT INTO postings SELECT (jsonb_populate_record(p, jsonb_build_object({changes}))).*
        FROM postings AS p WHERE entry_number = 1
    """


def _entry(**changed: str) -> str:
    """The first entry once more, with which columns as SQL says."""
    fresh = {"number": str(NEW), "id": f"'{UUID}'", "idempotency_key": "'fresh'"}
    changes = ", ".join(f"'{column}', {value}" for column, value in (fresh | changed).items())
    return f"""
        INSERT INTO entries SELECT (jsonb_populate_record(e, jsonb_build_object({changes}))).*
        FROM entries AS e WHERE number = 1
    """


def _closed(at: str, by: str, reason: str) -> str:
    return f"closed_at = {at}, closed_by = {by}, close_reason = {reason}"


def _head(number: int = NEW) -> str:
    return f"UPDATE heads SET number = {number} WHERE book = 'main'"


# Triggers by what they refuse. A right to change keeps the program out already, so a superuser tries it, and as a
# replica, where nothing but ENABLE ALWAYS holds.
OWNER, PROGRAM = "SET LOCAL session_replication_role = replica", "SET LOCAL ROLE ledger_program"
AT_THE_COMMIT = "SET CONSTRAINTS ALL IMMEDIATE"
TRIGGERS: dict[str, dict[str, Sequence[Sequence[str]]]] = {
    "accounts_close_once": {
        "UPDATE": [
            [PROGRAM, f"UPDATE accounts SET {_closed('NULL', 'NULL', 'NULL')} WHERE code = '{GONE}'"],
            [PROGRAM, f"UPDATE accounts SET closed_by = 'another' WHERE code = '{GONE}'"],
            [OWNER, f"UPDATE accounts SET item_required = true, {_closed('now()', 'opened_by', 'code')}"],
        ],
    },
    "accounts_stay": {
        "DELETE": [[OWNER, f"DELETE FROM accounts WHERE code = '{BARE}'"]],
        "TRUNCATE": [[OWNER, "TRUNCATE accounts CASCADE"]],
    },
    "entries_are_whole": {
        "INSERT": [
            [PROGRAM, _head(), _entry()],
            [PROGRAM, _head(), _postings(), _entry(posting_count="posting_count + 1")],
            [PROGRAM, _head(), _postings(), _entry(effective_date="effective_date + 1")],
            [PROGRAM, _head(NEW + 1), _postings(NEW + 1), _entry(number=str(NEW + 1))],
        ],
    },
    "entries_never_change": {
        "UPDATE": [[OWNER, "UPDATE entries SET description = 'nothing to see'"]],
        "DELETE": [[OWNER, "DELETE FROM entries"]],
        "TRUNCATE": [[OWNER, "TRUNCATE entries CASCADE"]],
    },
    "heads_stand_at_the_last_entry": {
        "INSERT": [[PROGRAM, "INSERT INTO heads (book, number) VALUES ('bare', 1)", AT_THE_COMMIT]],
        "UPDATE": [
            [PROGRAM, _head(), AT_THE_COMMIT],
            [PROGRAM, f"UPDATE heads SET hash = '{HASH}' WHERE book = 'main'", AT_THE_COMMIT],
            [OWNER, _head(), AT_THE_COMMIT],
        ],
    },
    "heads_stay": {
        "DELETE": [[OWNER, "DELETE FROM heads"]],
        "TRUNCATE": [[OWNER, "TRUNCATE heads"]],
    },
    "postings_are_whole": {
        "INSERT": [
            [PROGRAM, _postings(1, line="line + 100")],
            [PROGRAM, _postings()],
            [PROGRAM, _head(), _postings(amount="amount + 1")],
            [PROGRAM, _head(), _postings(line="line + 1")],
            [PROGRAM, _head(), _postings(effective_date="effective_date + line")],
            [PROGRAM, _head(), _postings(account="'Assets:Nowhere'")],
            [PROGRAM, _head(), _postings(currency="'EUR'")],
            [PROGRAM, _head(), _postings(book="CASE line WHEN 1 THEN 'main' ELSE 'bare' END")],
        ],
    },
    "postings_never_change": {
        "UPDATE": [[OWNER, "UPDATE postings SET amount = amount * 2"]],
        "DELETE": [[OWNER, "DELETE FROM postings"]],
        "TRUNCATE": [[OWNER, "TRUNCATE postings"]],
    },
} | {
    f"{table}_never_change": {
        "UPDATE": [[OWNER, f"UPDATE {table} SET book = 'bare'"]],
        "DELETE": [[OWNER, f"DELETE FROM {table}"]],
        "TRUNCATE": [[OWNER, f"TRUNCATE {table} CASCADE"]],
    }
    for table in (
        "approval_limits",
        "checkpoints",
        "entry_keys",
        "entry_reversals",
        "payer_identifiers",
        "proposal_decisions",
        "proposals",
    )
}
# What refuses the same as well: it is out of the way in both trials.
BESIDE = {
    "accounts_book_code_currency_key": ["accounts_pkey", "accounts_case"],
    "accounts_pkey": ["accounts_book_code_currency_key", "accounts_case"],
    "entries_never_change": [
        "entry_reversals_never_change",
        "proposal_decisions_never_change",
        "approval_limits_never_change",
    ],
    "entries_number_check": ["postings_are_whole"],
    "entries_posting_count_check": ["entries_are_whole"],
    "postings_amount_check": ["postings_are_whole"],
    "postings_line_check": ["postings_are_whole"],
    "postings_pkey": ["postings_are_whole"],
    "proposal_decisions_never_change": ["approval_limits_never_change"],
    "proposals_book_number_proposed_by_content_hash_key": ["proposals_pkey"],
    "proposals_never_change": ["proposal_decisions_never_change", "approval_limits_never_change"],
    "proposals_pkey": ["proposals_book_number_proposed_by_content_hash_key"],
    ("entries", "actor"): ["entries_are_whole"],
    ("entries", "effective_date"): ["entries_are_whole"],
    ("entries", "idempotency_key"): ["entries_are_whole"],
    ("entries", "posting_count"): ["entries_are_whole"],
    **{
        ("postings", column): ["postings_are_whole"]
        for column in ("account", "amount", "currency", "effective_date")
    },
}
