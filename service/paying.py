"""What `ledger pay-cycle` asks of the services, in the name of the system's user, and how answers look."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from rich.table import Table
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.approvals.servicer import ApprovalsServicer
from ledger.money import Amount
from ledger.pay_cycles.servicer import PayCyclesServicer
from ledger.v1 import approvals_pb2, money_pb2
from ledger.v1 import pay_cycles_pb2 as pb
from service import settings
from service.calling import CONTEXT, called
from service.connecting import files_of
from service.printing import grouped, print_table, printable

T = TypeVar("T")


class Asking:
    """The services of pay cycles and approvals on the settings' database, and a book."""

    def __init__(self, database: AsyncEngine, known: settings.Settings, book: str) -> None:
        """Bank details are opened with the keys that the settings give."""
        self.cycles = PayCyclesServicer(database, files_of(known).sealing)
        self.approvals = ApprovalsServicer(database)
        self.book = book
        self.context = CONTEXT


def asked(command: str, book: str | None, work: Callable[[Asking], Awaitable[T]]) -> T:
    """What the work answers, done in the name of the system's user."""
    known = settings.read()
    return called(f"pay-cycle {command}", book, lambda database, chosen: work(Asking(database, known, chosen)))


async def proposed(asking: Asking, act: approvals_pb2.Act, key: str, reason: str) -> approvals_pb2.Proposal:
    """An act as it waits for a second person; the same again is the same proposal."""
    wanted = approvals_pb2.ProposeRequest(book=asking.book, idempotency_key=key[:200], reason=reason, act=act)
    return (await asking.approvals.Propose(wanted, asking.context)).proposal


# --- how it looks -------------------------------------------------------------------------------------


def print_cycle(cycle: pb.PayCycle, lines: Iterable[pb.PayLine]) -> None:
    """Prints the lines as a table, and what the cycle amounts to in sentences."""
    shown = table("provider", "outcome", "reason", right=("sessions", "carried", "earned", "adjusted", "pays"))
    for one in lines:
        outcome = word(pb.PayLineOutcome, one.outcome)
        payment = "" if one.payment in (0, 1) else f", {word(pb.PaymentState, one.payment)}"
        amounts = (one.carried, one.sessions, one.adjustments, one.amount)
        cells = (printable(one.provider), outcome + payment, printable(one.reason), f"{one.session_count:,}")
        shown.add_row(*map(Text, (*cells, *map(money, amounts))))
    if shown.rows:
        print_table(shown)
    told = ", ".join(f"{one.line_count:,} {word(pb.PayLineOutcome, one.outcome)}" for one in cycle.counts)
    print(f"cycle {cycle.cycle}, paid on {cycle.pay_date}, {word(pb.PayCycleState, cycle.state)}: {told}")
    for total in cycle.totals:
        print(f"planned {money(total.planned)}, paid {money(total.paid)}, carried {money(total.carried)}")


def table(*headings: str, right: Iterable[str]) -> Table:
    """A table with these columns; those on the right hold figures."""
    made = Table()
    for heading in headings:
        made.add_column(heading, overflow="fold")
    for heading in right:
        made.add_column(heading, justify="right", overflow="fold")
    return made


def money(amount: money_pb2.Money) -> str:
    """An amount for people, with its currency."""
    return f"{grouped(Amount(amount.minor_units, amount.currency_code))} {amount.currency_code}"


def word(kind: Any, value: int) -> str:
    """A choice of the wire as people say it: without the name of the choice, in small letters."""
    first = kind.Name(0).removesuffix("UNSPECIFIED")
    return str(kind.Name(value)).removeprefix(first).lower().replace("_", " ")
