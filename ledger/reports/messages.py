"""Between the wire's messages and a statement: the question, the token of its pages, the answer."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial

from ledger import fields, wire
from ledger.accounts.account import Side, account_code
from ledger.errors import PageInvalid
from ledger.money import Amount
from ledger.reports.statement import Line, Page, Place, Standings, Statement
from ledger.v1 import postings_pb2
from ledger.v1 import reports_pb2 as pb

_LONGEST_NUMBER = 18


@dataclass(frozen=True, slots=True)
class Start:
    """What a page's token says: what the first page knew, and after which posting this one begins."""

    known: int
    place: Place


def statement(request: pb.GetStatementRequest) -> Callable[[int], Statement]:
    """The statement that a caller asks for, to be had once it is settled what is known."""
    book = fields.book_name(request.book)
    asked = partial(
        Statement,
        book,
        account_code(request.account) if request.account else None,
        fields.optional("item", request.item),
        fields.optional_day("effective_from", request.effective_from),
        fields.optional_day("as_of", request.as_of),
    )
    asked(0)  # refused for its form before the books are asked anything
    return asked


def start(request: pb.GetStatementRequest) -> Start | None:
    """Where a page begins; None for the first. Raises PageInvalid."""
    token = wire.page_start(request)
    if not token:
        return None
    known, day, number, line = token.split(" ") if token.count(" ") == 3 else ("", "", "", "")
    try:
        return Start(_number(known), Place(date.fromisoformat(day), _number(number), _number(line)))
    except ValueError:
        raise PageInvalid("page_token is not one of ours") from None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
        raise ValueError(text)
    return int(text)


def answer(request: pb.GetStatementRequest, known: int, found: Page) -> pb.GetStatementResponse:
    """A page as the wire has it."""
    more = found.more
    token = f"{known} {more.day} {more.number} {more.line}" if more else ""
    return pb.GetStatementResponse(
        lines=map(_line, found.lines),
        opening=_standings(found.opening),
        closing=_standings(found.closing),
        as_known_at_number=known,
        next_page_token=wire.page_token(request, token) if more else "",
    )


def _line(line: Line) -> pb.StatementLine:
    currency = line.standing.currency
    return pb.StatementLine(
        effective_date=wire.day(line.place.day),
        entry_number=line.place.number,
        line=line.place.line,
        recorded_at=wire.moment(line.recorded_at),
        kind=postings_pb2.Kind.Value(f"KIND_{line.kind.upper()}"),
        description=line.description,
        posting=postings_pb2.Posting(
            account=line.account,
            side=wire.side(Side.DEBIT if line.amount > 0 else Side.CREDIT),
            amount=wire.money(Amount(abs(line.amount), currency)),
            item=line.item or "",
        ),
        balance=wire.balance(line.standing.totals, currency),
    )


def _standings(found: Standings) -> list[pb.AccountBalance]:
    return [
        pb.AccountBalance(account=code, balance=wire.balance(one.totals, one.currency))
        for code, one in found.items()
    ]
