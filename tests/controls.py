"""The tables of the controls: what each constraint, unique key and trigger of the database refuses.

A row is a name of PostgreSQL's catalogue and what must be written to be refused by it and by nothing else.
"""

from collections.abc import Sequence
from typing import Any

from day import BARE, GONE

Row = dict[str, Any]
UUID = "01890000-0000-7000-8000-000000000001"
HASH = "\\x" + "ab" * 32
NEW = 16
"""The number of the next entry."""

# A row of each table that is like one that is there, and that PostgreSQL takes: what must be changed of that row.
FRESH: dict[str, Row] = {
    "books": {"book": "NEW"},
    "heads": {"book": "bare"},
    "accounts": {"code": "Assets:Fresh"},
    "entries": {"number": NEW, "id": UUID, "idempotency_key": "fresh", "reverses": None},
    "postings": {"entry_number": NEW},
    "balances": {"account": BARE},
    "daily_totals": {"effective_date": "2001-01-01"},
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
    "remittances": "state = 'settled' AND posted > 0",
    "claim_payments": "reverses_line IS NOT NULL",
}
# What a row must say to be refused by this check and by no other.
CHECKS: dict[str, Row] = {
    "accounts_balance_limit_check": {"balance_limit": "none"},
    "accounts_check": {"type": "equity"},
    "accounts_check1": {"closed_at": "2026-01-01"},
    "accounts_code_check": {"code": "Assets:a b"},
    "accounts_currency_check": {"currency": "usd"},
    "accounts_normal_side_check": {"normal_side": "left"},
    "balances_credits_check": {"credits": -1},
    "balances_debits_check": {"debits": -1},
    "books_book_check": {"book": "no book"},
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
    "heads_hash_check": {"hash": "\\xab"},
    "heads_number_check": {"number": -1},
    "payer_identifiers_identifier_check": {"identifier": ""},
    "payer_identifiers_payer_check": {"payer": ""},
    "postings_amount_check": {"amount": 0},
    "postings_line_check": {"line": 0},
    "provider_level_adjustments_line_check": {"line": 0},
    "reader_books_login_check": {"login": ""},
    "remittances_check": {"paid": 1},
    "remittances_check1": {"state": "quarantined"},
    "remittances_check2": {"claim_count": 0},
    "remittances_state_check": {"state": "lost", "posted": 0, "suspended": 0},
}
# The same for what must be found elsewhere.
FOREIGN_KEYS: dict[str, Row] = {
    "accounts_book_fkey": {"book": "nowhere"},
    "balances_book_account_fkey": {"account": "Assets:Nowhere"},
    "claim_payments_book_entry_number_fkey": {"entry_number": NEW},
    "claim_payments_book_remittance_fkey": {"remittance": UUID},
    "claim_payments_book_reverses_remittance_reverses_line_fkey": {
        "reverses_remittance": UUID,
        "reverses_line": 1,
    },
    "daily_totals_book_account_fkey": {"account": "Assets:Nowhere"},
    "deliveries_book_fkey": {"book": "nowhere"},
    "delivery_parts_book_sha256_fkey": {"sha256": HASH},
    "entries_book_fkey": {"book": "nowhere"},
    "entries_book_reverses_fkey": {"reverses": -1},
    "exceptions_book_remittance_fkey": {"remittance": UUID},
    "file_reads_book_sha256_fkey": {"sha256": HASH},
    "heads_book_fkey": {"book": "nowhere"},
    "payer_identifiers_book_fkey": {"book": "nowhere"},
    "postings_book_account_currency_fkey": {"account": "Assets:Nowhere"},
    "postings_book_entry_number_fkey": {},
    "provider_level_adjustments_book_entry_number_fkey": {"entry_number": NEW},
    "provider_level_adjustments_book_remittance_fkey": {"remittance": UUID},
    "reader_books_book_fkey": {"book": "nowhere"},
    "remittances_book_sha256_fkey": {"sha256": HASH},
}
# Primary keys, unique constraints and unique indexes: what keeps a row like another out. In what a key covers, the
# row is the other one's like; what else must differ is said here where FRESH does not say it.
KEYS: dict[str, Row] = {
    "accounts_book_code_currency_key": {},
    "accounts_case": {"code": "Assets:CASH"},
    "accounts_pkey": {},
    "alembic_version_pkc": {},
    "balances_pkey": {},
    "books_pkey": {},
    "claim_payments_book_reverses_remittance_reverses_line_key": {},
    "claim_payments_pkey": {},
    "daily_totals_pkey": {},
    "deliveries_pkey": {},
    "delivery_parts_pkey": {},
    "entries_book_actor_idempotency_key_key": {},
    "entries_book_id_key": {},
    "entries_book_reverses_key": {},
    "entries_pkey": {},
    "exceptions_pkey": {},
    "file_reads_pkey": {},
    "heads_pkey": {},
    "payer_identifiers_pkey": {},
    "postings_pkey": {"line": 1},
    "provider_level_adjustments_pkey": {},
    "reader_books_pkey": {},
    "remittances_book_sha256_position_key": {},
    "remittances_content": {},
    "remittances_pkey": {},
    "remittances_trace": {},
}
# The postings of the first entry once more: of which entry, in which lines, with which amounts.
_POSTINGS = """
    INSERT INTO postings SELECT (jsonb_populate_record(
        p, jsonb_build_object('entry_number', {number}, 'line', {line}, 'amount', {amount})
    )).*
    FROM postings AS p WHERE entry_number = 1 AND {those}
"""
_ENTRY = f"""
    INSERT INTO entries
    SELECT (jsonb_populate_record(e, '{{"number": {NEW}, "id": "{UUID}", "idempotency_key": "fresh"}}')).*
    FROM entries AS e WHERE number = 1
"""
_HEAD = f"UPDATE heads SET number = {NEW} WHERE book = 'main'"


def _postings(number: int = NEW, line: str = "line", amount: str = "amount", those: str = "true") -> str:
    return _POSTINGS.format(number=number, line=line, amount=amount, those=those)


# Triggers by what they refuse. A right to change keeps the program out already, so a superuser tries it, and as a
# replica, where nothing but ENABLE ALWAYS holds.
OWNER, PROGRAM = "SET LOCAL session_replication_role = replica", "SET LOCAL ROLE ledger_program"
TRIGGERS: dict[str, dict[str, Sequence[Sequence[str]]]] = {
    "accounts_close_once": {
        "UPDATE": [
            [PROGRAM, f"UPDATE accounts SET closed_at = NULL, closed_by = NULL WHERE code = '{GONE}'"],
            [PROGRAM, f"UPDATE accounts SET closed_by = 'another' WHERE code = '{GONE}'"],
            [OWNER, "UPDATE accounts SET item_required = true, closed_at = now(), closed_by = 'me'"],
        ],
    },
    "accounts_stay": {
        "DELETE": [[OWNER, f"DELETE FROM accounts WHERE code = '{BARE}'"]],
        "TRUNCATE": [[OWNER, "TRUNCATE accounts CASCADE"]],
    },
    "entries_are_whole": {
        "INSERT": [
            [PROGRAM, _HEAD, _ENTRY],
            [PROGRAM, _HEAD, _postings(those="line < 3"), _ENTRY],
            [PROGRAM, _HEAD, _postings(line="line + 1"), _ENTRY],
            [PROGRAM, _HEAD, _postings(amount="amount + 1"), _ENTRY],
        ],
    },
    "entries_never_change": {
        "UPDATE": [[OWNER, "UPDATE entries SET description = 'nothing to see'"]],
        "DELETE": [[OWNER, "DELETE FROM entries"]],
        "TRUNCATE": [[OWNER, "TRUNCATE entries CASCADE"]],
    },
    "postings_come_first": {
        "INSERT": [[PROGRAM, _postings(number=1, line="line + 100")]],
    },
    "postings_never_change": {
        "UPDATE": [[OWNER, "UPDATE postings SET amount = amount * 2"]],
        "DELETE": [[OWNER, "DELETE FROM postings"]],
        "TRUNCATE": [[OWNER, "TRUNCATE postings"]],
    },
}
# What refuses the same as well: it is out of the way in both trials.
BESIDE = {
    "accounts_book_code_currency_key": ["accounts_pkey", "accounts_case"],
    "accounts_pkey": ["accounts_book_code_currency_key", "accounts_case"],
    "accounts_stay": ["postings_never_change"],
    "entries_book_fkey": ["entries_are_whole"],
    "entries_never_change": ["postings_never_change"],
    "entries_posting_count_check": ["entries_are_whole"],
    "postings_pkey": ["postings_come_first"],
    ("entries", "posting_count"): ["entries_are_whole"],
}
