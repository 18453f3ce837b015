"""`ledger report`: what is asked for on the command line, the answer from one view of the books, how it ends."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import fields
from ledger.accounts.account import account_prefix
from ledger.accounts.known import ALL, KnownAt, entry_known
from ledger.reports import account_statement, report
from ledger.reports.paging import Walk
from ledger.reports.report import Control, Question
from reconciliation.questions import recalled
from service.printing import About, Writer, sentence
from service.questions import QUESTIONS

_NOT_A_NUMBER = "--days is how many days, such as 30"


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
    name: str,
    book: str,
    as_of: str | None,
    as_known_at: str | None,
    narrowed: Mapping[str, str | None],
    groups: Iterable[str] = (),
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
    for word in question.needs:
        if word not in given:
            one = "a period" if word == "effective_from" else f"one {word}"
            raise ReportRefused(f"{name} is of {one}: say --{word.replace('_', '-')}")
    day = _day(as_of)
    _refuse_malformed(given, day, question)
    wanted = given | _grouped(question, groups)
    return Asked(question, fields.book_name(book), day, _known_at(as_known_at), wanted)


def _refuse_malformed(given: Mapping[str, str], as_of: date, question: Question) -> None:
    if "cycle" in given:
        fields.day("--cycle", given["cycle"])
    if "effective_from" in given:
        first = fields.day("--effective-from", given["effective_from"])
        if first > as_of and question.needs:
            raise ReportRefused(f"the period ends on {as_of}, before it begins on {first}")
    if "account" in given and question.place:
        account_prefix(given["account"])
    if "days" in given and not (given["days"].isascii() and given["days"].isdigit() and len(given["days"]) < 7):
        raise ReportRefused(f"{_NOT_A_NUMBER}, not {given['days'][:20]!r}")


def _grouped(question: Question, groups: Iterable[str]) -> dict[str, str]:
    """What a report is broken down by, as its file takes it."""
    found = {}
    for group in groups:
        column = group.replace("-", "_")
        if column not in question.groups:
            known = ", ".join(name.replace("_", "-") for name in question.groups)
            raise ReportRefused(
                f"{question.name} is not grouped by {group}: it is grouped by {known or 'nothing'}"
            )
        found[question.groups[column]] = "yes"
    return found


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


async def write(connection: AsyncConnection, wanted: Asked, writer: Writer) -> Sequence[Control]:
    """Writes the answer page by page, and returns its control totals.

    Raises BookNotFound, AccountNotFound, TimeInFuture, NumberBeyondHead or HistoryNotKept before anything is
    written.
    """
    known = await entry_known(connection, wanted.book, wanted.known)
    if wanted.question is report.STATEMENT:
        walk: Walk | account_statement.Walk = await account_statement.walk(
            connection, wanted.book, wanted.as_of, known, wanted.narrowed
        )
    elif wanted.question.place:
        walk = Walk(connection, wanted.question, wanted.book, wanted.as_of, known, wanted.narrowed)
    else:
        return await _write_whole(connection, wanted, known, writer)
    writer.begin(_about(wanted, known))
    async for rows in walk.pages():
        writer.rows(rows)
    controls = await walk.controls()
    writer.end(walk.sums.rows(), controls)
    return controls


async def _write_whole(
    connection: AsyncConnection, wanted: Asked, known: int, writer: Writer
) -> Sequence[Control]:
    """A report that does not grow with the books: it is asked in one go."""
    question, book = wanted.question, wanted.book
    narrowed = {**wanted.narrowed, **await recalled(connection, question, book, wanted.known, known)}
    found = await report.ask(connection, question, book, wanted.as_of, known, narrowed)
    writer.begin(replace(_about(wanted, found.known), columns=found.columns))
    writer.rows(found.rows)
    writer.end(found.totals, found.controls)
    return found.controls


def _about(wanted: Asked, known: int | None) -> About:
    columns = report.shown(wanted.question, wanted.narrowed)
    return About(wanted.question.name, wanted.book, wanted.as_of, known, columns, wanted.narrowed)


def refuse_untied(controls: Iterable[Control]) -> None:
    """Raises ReportRefused where a control total is not what it must be."""
    for control in controls:
        if not control.ties:
            raise ReportRefused(f"the report does not tie: {sentence(control)}; run ledger check")
