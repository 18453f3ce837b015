"""The checker: compares what the clients were told with what the database holds, and nothing else."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from torture.clients import BOOK, Entry, Told, asked_lines
from torture.processes import PATIENCE_SECONDS, connected, ledger

_ENTRIES = """
    SELECT e.number, CAST(e.id AS text), e.kind, CAST(e.effective_date AS text), e.description, e.idempotency_key,
        e.hash, array_agg(p.account ORDER BY p.line), array_agg(p.currency ORDER BY p.line),
        array_agg(p.amount ORDER BY p.line), array_agg(coalesce(p.item, '') ORDER BY p.line)
    FROM entries AS e LEFT JOIN postings AS p ON p.book = e.book AND p.entry_number = e.number
    WHERE e.book = %s
    GROUP BY e.book, e.number ORDER BY e.number
"""
_MOST_SAID = 10
_AT_WORK = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'
"""


@dataclass
class Verdict:
    """What the comparison found."""

    acknowledged: int = 0
    lost: int = 0
    """Acknowledged, and not in the books, or not as it was told."""
    twice: int = 0
    """In the books, and not asked for, or there already."""
    wrong: list[str] = field(default_factory=list)


def held(url: str, book: str = BOOK) -> list[Entry]:
    """All entries that the database holds, in the form in which clients were told of them."""
    with connected(url) as connection:
        return [_entry(row) for row in connection.execute(_ENTRIES, [book])]


def at_rest(url: str) -> None:
    """Returns once nobody works in the database: what a lost connection was about is committed by then, or not."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with connected(url) as connection:
        while (row := connection.execute(_AT_WORK).fetchone()) and row[0]:
            assert time.monotonic() < deadline, "something in the database never ends"
            time.sleep(0.005)


def _entry(row: tuple[Any, ...]) -> Entry:
    lines = tuple(zip(*row[7:], strict=True))
    return (*row[:6], bytes(row[6]), lines)


def key_of(one: Entry) -> str:
    """The idempotency key under which an entry was posted."""
    return str(one[5])


def compared(url: str, told: Told) -> Verdict:
    """What was told against what the database holds, and what `ledger check` says of the books."""
    verdict = judged(held(url), told)
    verdict.wrong += sound(url)
    return verdict


def judged(found: list[Entry], told: Told) -> Verdict:
    """Every acknowledged entry is there once and as told; nothing else is there; numbers have no gap."""
    by_key = {key_of(one): one for one in found}
    copies = Counter(_meant(one) for one in found)
    verdict = Verdict(acknowledged=len(told.entries), wrong=[*told.wrong])
    differing = [key for key, one in told.entries.items() if by_key.get(key) != one]
    verdict.lost = len(differing)
    verdict.twice = sum(count - 1 for count in copies.values()) + len(by_key.keys() - told.asked.keys())
    verdict.wrong += [_sentence(key, told.entries[key], by_key.get(key)) for key in differing[:_MOST_SAID]]
    if verdict.twice:
        verdict.wrong.append(f"{verdict.twice} entries are there twice, or nobody asked for them")
    unanswered = told.asked.keys() - told.entries.keys()
    if unanswered:
        verdict.wrong.append(f"{len(unanswered)} entries were never acknowledged, such as {sorted(unanswered)[0]}")
    if [one[0] for one in found] != list(range(1, len(found) + 1)):
        verdict.wrong.append("the numbers of the entries have a gap")
    verdict.wrong += _not_as_asked(told, by_key)
    return verdict


def _meant(one: Entry) -> str:
    """What an entry was posted for, whatever its key says: its text, or the claim of its session."""
    return str(one[4]) or next((item for *_, item in one[7] if item), key_of(one))


def _not_as_asked(told: Told, by_key: dict[str, Entry]) -> list[str]:
    amounts = {key: sorted((currency, amount) for _, currency, amount, _ in one[7]) for key, one in by_key.items()}
    asked = {key: asked_lines(told.asked[key]) for key in amounts.keys() & told.asked.keys()}
    differing = sorted(key for key in asked if amounts[key] != asked[key])
    return [f"{key} was asked as {asked[key]}, posted as {amounts[key]}" for key in differing[:_MOST_SAID]]


def _sentence(key: str, told: Entry, there: Entry | None) -> str:
    return f"{key} was acknowledged as number {told[0]} and is {'lost' if there is None else f'there as {there}'}"


def sound(url: str) -> list[str]:
    """What `ledger check` says; nothing while the books are sound."""
    done = ledger(url, "check")
    said = (done.stdout + done.stderr).strip()
    return [f"ledger check: {said or done.returncode}"] if said or done.returncode else []
