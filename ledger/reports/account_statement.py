"""A whole statement, page by page: opening balance, postings with the balance after each, closing balance."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.accounts.account import Side, Totals, account_code
from ledger.money import Amount
from ledger.reports.paging import PAGE
from ledger.reports.report import STATEMENT, Cell, Control, Sums
from ledger.reports.statement import Line, Standing, Standings, Statement, page

Row = Mapping[str, Cell]
OPENING, CLOSING = "opening balance", "closing balance"


async def walk(
    connection: AsyncConnection, book: str, as_of: date, known: int, narrowed: Mapping[str, str]
) -> "Walk":
    """The statement that is asked for. Raises AccountNotFound where there is no such account."""
    first, account = narrowed.get("effective_from"), narrowed.get("account")
    asked = Statement(
        book,
        account_code(account) if account else None,
        narrowed.get("item"),
        date.fromisoformat(first) if first else None,
        as_of,
        known,
    )
    head = await page(connection, asked, None, 1)
    return Walk(connection, asked, head.opening, head.closing)


class Walk:
    """All pages of a statement from one view of the books. Memory holds a page, however long it is.

    The closing balance is found from the totals by day, and the control totals say that opening balance and
    postings lead to it.
    """

    def __init__(
        self, connection: AsyncConnection, asked: Statement, opening: Standings, closing: Standings
    ) -> None:
        """Opening and closing are those of the whole statement, of every account in it."""
        self.sums = Sums(STATEMENT)
        self._connection = connection
        self._asked = asked
        self._opening = opening
        self._closing = closing

    async def pages(self) -> AsyncIterator[Sequence[Row]]:
        """Opening balances, lines and closing balances, as rows."""
        first = self._asked.first
        yield [_standing(code, one, first, OPENING, self._asked) for code, one in self._opening.items()]
        after = None
        while True:
            found = await page(self._connection, self._asked, after, PAGE)
            rows = [_line(line) for line in found.lines]
            self.sums.add(rows)
            yield rows
            after = found.more
            if after is None:
                break
        last = self._asked.last
        yield [_standing(code, one, last, CLOSING, self._asked) for code, one in self._closing.items()]

    async def controls(self) -> list[Control]:
        """Debits and credits of all lines, against what they must have been between the two balances."""
        found = {str(row["currency"]): row for row in self.sums.rows()}
        return [
            Control(
                f"{side}s",
                f"closing less opening {side}s",
                reported=_reported(found.get(currency), f"{side}s", currency),
                expected=Amount(moved, currency),
            )
            for currency, totals in sorted(self._moved().items())
            for side, moved in ((Side.DEBIT, totals.debits), (Side.CREDIT, totals.credits))
        ]

    def _moved(self) -> dict[str, Totals]:
        """What was posted between the two balances, by currency."""
        moved: dict[str, Totals] = {}
        for sign, standings in ((1, self._closing), (-1, self._opening)):
            for one in standings.values():
                so_far = moved.get(one.currency, Totals())
                moved[one.currency] = Totals(
                    so_far.debits + sign * one.totals.debits, so_far.credits + sign * one.totals.credits
                )
        return moved


def _reported(row: Row | None, column: str, currency: str) -> Amount:
    cell = row[column] if row else None
    return cell if isinstance(cell, Amount) else Amount(0, currency)


def _line(line: Line) -> dict[str, Cell]:
    currency = line.standing.currency
    return {
        "effective_date": line.place.day.isoformat(),
        "entry_number": line.place.number,
        "line": line.place.line,
        "recorded_at": str(line.recorded_at),
        "kind": line.kind,
        "description": line.description,
        "account": line.account,
        "item": line.item,
        "currency": currency,
        "debits": Amount(max(line.amount, 0), currency),
        "credits": Amount(max(-line.amount, 0), currency),
        "balance": Amount(line.standing.totals.balance, currency),
    }


def _standing(account: str, one: Standing, day: date | None, words: str, asked: Statement) -> dict[str, Cell]:
    """A balance as a row that is no posting; an opening balance is that of the morning of the first day."""
    nothing: dict[str, Cell] = dict.fromkeys((column.name for column in STATEMENT.columns), None)
    return nothing | {
        "effective_date": day.isoformat() if day else None,
        "description": words,
        "account": account,
        "item": asked.item,
        "currency": one.currency,
        "balance": Amount(one.totals.balance, one.currency),
    }
