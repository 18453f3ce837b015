"""`ledger check` sees whatever of a pay cycle is not as its entries say: each check, by what makes it false."""

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import psycopg
import pytest
from cycles import (
    approved,
    calendar_set,
    cycle_proposed,
    earned,
    payee,
    payee_accepted,
    payee_set,
    posted,
    returned,
    sent,
    settled,
)
from serving import Ledger, open_book
from test_approvals import by

APRIL, MAY = "2026-04-15", "2026-04-30"
TABLES = ("pay_cycle_items", "pay_cycle_lines", "pay_cycle_results", "pay_cycles", "payment_states")
OTHERS = ("payee_acceptances", "proposal_decisions", "postings", "postings_1", "entries", "entries_1")
CHECKS = files("ledger.audit").joinpath("pay_cycles.sql").read_text().encode()

# What is changed behind the program's back, and the checks that see it.
DAMAGED = {
    "UPDATE pay_cycle_items SET amount = amount + 1 WHERE entry_number = 1": {"cycle_item", "cycle_line"},
    "UPDATE pay_cycle_items SET kind = 'adjustment' WHERE entry_number = 1": {"cycle_item", "cycle_line"},
    "UPDATE pay_cycle_items SET entry_number = 99 WHERE entry_number = 1": {"cycle_item", "cycle_left_out"},
    "DELETE FROM pay_cycle_items WHERE entry_number = 1": {"cycle_line", "cycle_left_out"},
    "UPDATE pay_cycle_items SET cycle = '2026-04-30' WHERE entry_number = 1": {"cycle_line"},
    "UPDATE pay_cycle_lines SET session_count = 9 WHERE session_count = 1": {"cycle_line"},
    "UPDATE pay_cycle_lines SET amount = 0, outcome = 'carried' WHERE amount > 0": {"cycle_carried"},
    "UPDATE pay_cycle_results SET closing = -1 WHERE cycle = '2026-04-15'": {"cycle_carried"},
    "UPDATE pay_cycle_results SET amount = amount - 1 WHERE amount > 0": {
        *("cycle_carried", "cycle_in_transit", "cycle_payment", "payment_settled"),
    },
    "UPDATE pay_cycle_results SET entry_number = 1 WHERE entry_number = 4": {"cycle_in_transit", "cycle_payment"},
    "UPDATE pay_cycle_results SET since = 99 WHERE cycle = '2026-04-30'": {"cycle_left_out"},
    "UPDATE entries SET pay_cycle = '2026-04-30' WHERE number = 4": {"cycle_payment"},
    "UPDATE entries SET effective_date = '2026-01-01' WHERE number = 4": {"cycle_payment"},
    "UPDATE entries SET actor = 'abe' WHERE number = 4": {"cycle_payment"},
    "UPDATE postings SET amount = amount * 2 WHERE entry_number = 4": {"cycle_in_transit", "cycle_payment"},
    "UPDATE pay_cycles SET line_count = line_count + 1": {"cycle_approved"},
    "UPDATE proposal_decisions SET verdict = 'declined'": {"cycle_approved", "payee_accepted"},
    "DELETE FROM proposal_decisions": {"cycle_approved", "payee_accepted"},
    "UPDATE pay_cycles SET proposal = 1 WHERE cycle = '2026-04-15'": {"cycle_approved", "cycle_line"},
    "UPDATE payment_states SET entry_number = 5 WHERE state = 'settled'": {"cycle_in_transit", "payment_settled"},
    "DELETE FROM payment_states WHERE state = 'settled'": {"payment_marked"},
    "DELETE FROM payment_states WHERE state = 'returned'": {"payment_marked"},
    "UPDATE payment_states SET entry_number = 4 WHERE state = 'returned'": {"payment_returned"},
    "UPDATE payee_acceptances SET set_by = 'abe'": {"payee_accepted"},
    "UPDATE payee_acceptances SET proposal = 2": {"payee_accepted"},
}


@pytest.fixture(scope="module")
def owner(server: Ledger) -> Iterator[psycopg.Connection[Any]]:
    """Two cycles: in the first ada's payment settled and bob's came back; in the second bob is paid again."""
    open_book(server)
    calendar_set(server)
    payee_set(server, "ada", "bob")
    payee_accepted(
        server, server.pay_cycles.SetPayee(payee(server, "bob", account_number="1"), metadata=by("mia")).payee
    )
    earned(server, "C1", "ada", "105.00")
    earned(server, "C2", "ada", "5.00")
    earned(server, "C3", "bob", "95.00")
    approved(server, cycle_proposed(server, APRIL))
    posted(server, APRIL)
    sent(server, APRIL)
    settled(server, APRIL, "ada")
    returned(server, APRIL, "bob", "2026-04-20")
    approved(server, cycle_proposed(server, MAY))
    posted(server, MAY)
    earned(server, "C4", "bob", "1.00", "2026-05-02")
    assert server.wrong() == []
    with psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True) as connection:
        yield connection


def found(owner: psycopg.Connection[Any]) -> set[str]:
    return {str(row[0]) for row in owner.execute(CHECKS)}


@pytest.mark.parametrize("damage", DAMAGED)
def test_what_is_wrong_is_found(owner: psycopg.Connection[Any], damage: str) -> None:
    with owner.transaction(force_rollback=True):
        for table in (*TABLES, *OTHERS):
            owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        assert owner.execute(damage.encode()).rowcount > 0
        assert DAMAGED[damage] <= found(owner)
    assert found(owner) == set()


def test_every_check_has_its_damage() -> None:
    """A check that nothing here makes false may be one that sees nothing."""
    names = re.findall(r"SELECT\s+'(\w+)'", CHECKS.decode())
    assert {*names} == set().union(*DAMAGED.values())
