"""Whether the service's reports on receivables tie: to themselves, to one another and to the control account."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc

from ledger.v1 import accounts_pb2, reports_pb2
from ledger.v1.accounts_pb2_grpc import AccountsServiceStub
from ledger.v1.reports_pb2_grpc import ReportsServiceStub

_CONTROL = "Assets:Receivable:Insurer"
_FIRST, _MIDDLE, _LAST = "2026-01-01", "2026-03-01", "2027-12-31"
"""A day before everything, one in the midst of it, one after everything."""
_CHANGES = (
    *("opening", "earned", "paid", "contractual", "patient", "absorbed", "recovered", "forwarded", "reversed"),
    "other",
)
_AGES = ("days_0_30", "days_31_60", "days_61_90", "days_91_120", "over_120_days")


@dataclass
class Reports:
    """The reports of one book of a running service."""

    book: str
    reports: ReportsServiceStub = field(repr=False)
    accounts: AccountsServiceStub = field(repr=False)

    def untied(self) -> Iterator[str]:
        """What does not tie, to the cent, as the books stand now."""
        for first in (_FIRST, _MIDDLE):
            asked = reports_pb2.GetReceivablesRollforwardRequest(book=self.book, effective_from=first, as_of=_LAST)
            told = self.reports.GetReceivablesRollforward(asked)
            yield from self._untied(f"roll-forward from {first}", told, _CHANGES, "closing")
        aged = reports_pb2.GetReceivablesAgingRequest(book=self.book, as_of=_LAST)
        yield from self._untied("aging", self.reports.GetReceivablesAging(aged), _AGES, "total")

    def _untied(self, name: str, told: Any, parts: Iterable[str], total: str) -> Iterator[str]:
        for row in (*told.rows, *told.totals):
            added = sum(getattr(row, part).minor_units for part in parts)
            if added != getattr(row, total).minor_units:
                yield f"{name}: {row.payer or 'the totals'}: {added} is not {getattr(row, total).minor_units}"
        rows = sum(getattr(row, total).minor_units for row in told.rows)
        sums = sum(getattr(row, total).minor_units for row in told.totals)
        controls, balance = [one.minor_units for one in told.control], self._balance()
        if not rows == sums == balance or controls != [balance]:
            yield f"{name}: rows {rows}, totals {sums}, control {controls}, balance {balance}"

    def _balance(self) -> int:
        asked = accounts_pb2.GetBalanceRequest(book=self.book, prefix=_CONTROL, as_of=_LAST)
        signs = {accounts_pb2.SIDE_DEBIT: 1, accounts_pb2.SIDE_CREDIT: -1}
        found = self.accounts.GetBalance(asked).balances
        return sum(signs.get(one.side, 0) * one.amount.minor_units for one in found)


def reports(channel: grpc.Channel, book: str) -> Reports:
    """Those of a book of the service behind a channel."""
    return Reports(book, ReportsServiceStub(channel), AccountsServiceStub(channel))
