"""What is known of claims is read by indexes, also where PostgreSQL has never looked at its tables."""

import re

import psycopg
import pytest
from serving import Ledger

from ledger.postings import store, visits
from reconciliation.candidates import store as proposals

READS = {
    "items": (
        str(store._ITEMS),
        {"names": ["C1"]},
        ("book_claim_idx", "book_item_account_idx", "entry_reversals_pkey"),
    ),
    "claims of sessions": (str(store._CLAIMS_OF_SESSIONS), {"sessions": ["S1"]}, ("book_session_idx",)),
    "visits of a day": (
        str(visits._ON_DAYS),
        {"payers": ["AETNA"], "days": ["2026-04-08"], "most": 9},
        ("book_payer_service_date_idx",),
    ),
    "the latest visits": (
        str(visits._UP_TO),
        {"payers": ["AETNA"], "day": "2026-04-08", "most": 9},
        ("book_payer_service_date_idx",),
    ),
    "claims that begin so": (str(visits._BEGINNING), {"beginnings": ["SL00"], "most": 9}, ("book_claim_idx",)),
    "payers": (str(visits._PAYERS), {"most": 9}, ("book_payer_service_date_idx",)),
    "remittances in transit": (
        str(proposals._IN_TRANSIT),
        {"payer": "AETNA", "currency": "USD", "day": "2026-04-08", "near": 10, "most": 9},
        ("remittances_in_transit",),
    ),
}


@pytest.mark.parametrize("name", READS)
def test_a_claim_is_read_by_its_indexes(ledger: Ledger, name: str) -> None:
    """Nothing is read by the book alone, which would take time with every entry in it."""
    sql, about, indexes = READS[name]
    asked = re.sub(r"(?<!:):([a-z]+)", r"%(\1)s", sql)
    with psycopg.connect(ledger.url.replace("+psycopg", "", 1)) as connection:
        rows = connection.execute(f"EXPLAIN {asked}", {"book": "main", **about}).fetchall()
    plan = "\n".join(str(row[0]) for row in rows)
    assert [one for one in indexes if one not in plan] == []
    assert "Seq Scan" not in plan
    assert not re.search(r"Index Cond: \(book = '[^']*'::text( COLLATE \S+)?\)$", plan, re.MULTILINE), plan
