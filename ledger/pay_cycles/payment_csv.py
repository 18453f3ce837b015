"""The payment file for people and for other banks: CSV with control totals. Pure."""

import csv
import io
from collections.abc import Sequence

from ledger.money import plain
from ledger.pay_cycles.cycle import sums
from ledger.pay_cycles.payment import Remitted

COLUMNS = (
    *("record", "cycle", "pay_date", "provider", "name", "holder", "account_type", "routing_number"),
    *("account_number", "currency", "amount", "entry_number"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def written(cycle: str, pay_date: str, payments: Sequence[Remitted]) -> bytes:
    """A row for each payment, then a control row for each currency: in `entry_number` the count, in `amount` the
    sum."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\r\n")
    lines.writerow(COLUMNS)
    for one in payments:
        amount = one.payment.amount
        texts = (one.payment.provider, one.payee.name, one.payee.holder.value, one.payee.account_type.value)
        where = (one.to.routing_number, one.to.account_number, amount.currency)
        money = (plain(amount.minor_units, amount.currency), one.payment.entry_number)
        lines.writerow(["payment", cycle, pay_date, *map(_inert, (*texts, *where)), *money])
    for currency, total in sorted(_totals(payments).items()):
        count = sum(1 for one in payments if one.payment.amount.currency == currency)
        lines.writerow(["control", cycle, pay_date, *[""] * 6, currency, plain(total, currency), count])
    return out.getvalue().encode()


def _totals(payments: Sequence[Remitted]) -> dict[str, int]:
    return sums((one.payment.amount.currency, one.payment.amount.minor_units) for one in payments)


def _inert(text: str) -> str:
    """A text that a spreadsheet would take for a formula gets an apostrophe."""
    return f"'{text}" if text.startswith(_FORMULA) else text
