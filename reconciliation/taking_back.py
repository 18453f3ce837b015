"""A reversal in suspense takes back what it negates, whoever found that payment: out of suspense, by new entries.

What is posted, decided and made of denials is the same whether a rule knew the payment or a person named it.
"""

from dataclasses import replace
from typing import Any

from sqlalchemy import Row, text

from ledger.accounts import chart
from ledger.postings import journal
from ledger.postings import store as books
from ledger.postings.entry import JournalEntry, PostedEntry
from reconciliation import covering, denying, store
from reconciliation.chunk import Chunk, entries_of, move_rows, post
from reconciliation.payment import Original, Payment, Settlement

_TAKES_BACK = text("""
    UPDATE claim_payments SET reverses_remittance = :reverses_remittance, reverses_line = :reverses_line
    WHERE book = :book AND remittance = :remittance AND line = :line
""")


async def waited(chunk: Chunk, row: Row[Any]) -> PostedEntry | bool | None:
    """The entry by which a reversal's money waits; None where there was no money, False where it is gone."""
    if row.entry_number is None:
        return None
    connection, book = chunk.connection, chunk.head.book
    stands = await journal.standing_by(connection, book, [row.entry_number])
    by = stands.get(row.entry_number)
    return (await books.numbered(connection, book, [by]))[by] if by else False


def out_of_suspense(payment: Payment, line: int, waits: PostedEntry | bool | None) -> Payment:
    """The payment that a reversal came with, its money coming from where it waits."""
    if not isinstance(waits, PostedEntry):
        return replace(payment, waits_in=None)
    name = payment.own_name(line)
    [account] = [posting.account for posting in waits.entry.postings if posting.item == name]
    return replace(payment, waits_in=(account, name))


async def take_back(
    chunk: Chunk, row: Row[Any], settlement: Settlement, original: Original, key: str
) -> int | None:
    """Posts what a reversal takes back and writes it down; returns the number of its entry.

    `chunk` is of the reversal's payment, and knows the claims; `row` is the reversal as it waited.
    """
    connection, book = chunk.connection, chunk.head.book
    numbers = await post(chunk, entries_of(settlement, key))
    number = numbers.get(key)
    chunk.follow([settlement.entry, *(move.entry for move in settlement.moves)])
    await store.decide_again(connection, book, row.remittance, [_again(row, settlement, number)], chunk.actor)
    await takes_back(chunk, row, original)
    await covering.add_moves(connection, move_rows(chunk, settlement, row.line, key, numbers))
    await denying.taken_back(chunk, original.claim or "", row.line, number)
    return number


async def takes_back(chunk: Chunk, row: Row[Any], original: Original | None) -> None:
    """Says of a reversal what it takes back, or that it takes back nothing."""
    taken = {
        "reverses_remittance": original.remittance if original else None,
        "reverses_line": original.line if original else None,
    }
    place = {"book": chunk.head.book, "remittance": row.remittance, "line": row.line}
    await chunk.connection.execute(_TAKES_BACK, {**place, **taken})


def entries_for(one: Original) -> list[JournalEntry]:
    """All that was posted for a payment, in order."""
    return [*([one.entry] if one.entry else []), *(move.entry for _, move in one.moves)]


def entry_numbers(one: Original) -> list[int]:
    """The numbers of those entries."""
    return [*([one.entry_number] if one.entry_number else []), *(number for number, _ in one.moves)]


def claims_of(one: Original) -> set[str]:
    """The claims that what was posted for a payment is about."""
    lines = (posting for entry in entries_for(one) for posting in entry.postings)
    return {line.item for line in lines if line.item and not line.account.startswith(f"{chart.SUSPENSE}:")}


def _again(row: Row[Any], settlement: Settlement, number: int | None) -> dict[str, Any]:
    waited_as = f"; waited in suspense as entry {row.entry_number}" if row.entry_number else ""
    return {
        "line": row.line,
        "decision": settlement.decision,
        "claim": settlement.claim,
        "rule": settlement.rule,
        "evidence": settlement.evidence + waited_as,
        "entry_number": number,
    }
