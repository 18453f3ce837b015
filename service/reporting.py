"""`ledger report`: what is asked for on the command line, the answer from one view of the books, how it ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import fields
from ledger.accounts.known import ALL, KnownAt, entry_known
from ledger.reports import report
from ledger.reports.report import Question, Report
from service.printing import sentence
from service.questions import PROVIDER_STATEMENT, QUESTIONS


class ReportRefused(Exception):
    """What was asked is no question to this report, or its answer does not tie; the message is for people."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A report of a book as of a day, as known at an entry or a time, narrowed to some of it."""

    question: Question
    book: str
    as_of: date
    known: KnownAt
    narrowed: Mapping[str, str]


def asked(
    name: str, book: str, as_of: str | None, as_known_at: str | None, narrowed: Mapping[str, str | None]
) -> Asked:
    """The question that words on the command line are. Raises ReportRefused or a Refusal of a single word."""
    if name not in QUESTIONS:
        raise ReportRefused(f"there is no report {name!r}; there are {', '.join(QUESTIONS)}")
    question = QUESTIONS[name]
    if as_of and not question.dated:
        raise ReportRefused(f"{name} says how things stand now: leave out --as-of")
    if as_known_at and not question.knows:
        raise ReportRefused(f"{name} says what is known now: leave out --as-known-at")
    given = {word: value for word, value in narrowed.items() if value}
    for word in given.keys() - question.narrowed.keys():
        raise ReportRefused(f"{name} is not narrowed to this: leave out --{word.replace('_', '-')}")
    if question is report.STATEMENT and not given.keys() & {"account", "item"}:
        raise ReportRefused("a statement is of an account or an item: name it with --account or --item")
    if question is PROVIDER_STATEMENT and given.keys() != {"provider", "cycle"}:
        raise ReportRefused("a provider's statement is of a cycle: name both with --provider and --cycle")
    if "cycle" in given:
        fields.day("--cycle", given["cycle"])
    if "effective_from" in given:
        fields.day("--effective-from", given["effective_from"])
    return Asked(question, fields.book_name(book), _day(as_of), _known_at(as_known_at), given)


def _day(as_of: str | None) -> date:
    return fields.day("--as-of", as_of) if as_of is not None else datetime.now(UTC).date()


def _known_at(words: str | None) -> KnownAt:
    """A number of an entry, or a time such as 2026-04-10T17:00:00Z; where it names no zone, it is of UTC."""
    if words is None:
        return ALL
    if words.isascii() and words.isdigit() and len(words) < 19:
        return KnownAt(number=int(words))
    try:
        time = datetime.fromisoformat(words)
    except ValueError:
        raise ReportRefused(
            f"--as-known-at is the number of an entry or a time such as 2026-04-10T17:00:00Z, not {words[:40]!r}"
        ) from None
    return KnownAt(time=time if time.tzinfo else time.replace(tzinfo=UTC))


async def answered(connection: AsyncConnection, wanted: Asked) -> Report:
    """The answer. Raises BookNotFound, TimeInFuture or NumberBeyondHead."""
    known = await entry_known(connection, wanted.book, wanted.known)
    return await report.ask(connection, wanted.question, wanted.book, wanted.as_of, known, wanted.narrowed)


def refuse_untied(found: Report) -> None:
    """Raises ReportRefused where a control total is not what it must be."""
    for control in found.controls:
        if not control.ties:
            raise ReportRefused(f"the report does not tie: {sentence(control)}; run ledger check")
