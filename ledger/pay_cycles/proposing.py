"""Pay cycles and bank details as acts that a second person approves: stated, shown and hashed."""

from datetime import date

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import reading
from ledger.errors import NotTheMaker
from ledger.pay_cycles import messages, payees, running, store, summary
from ledger.pay_cycles.cycle import Plan
from ledger.pay_cycles.messages import CycleWanted, PayeeWanted
from ledger.pay_cycles.payee import Payee, in_force, refuse_outdated
from ledger.pay_cycles.refusals import PayeeNotFound
from ledger.postings.chain import request_hash
from ledger.v1 import approvals_pb2
from ledger.v1 import pay_cycles_pb2 as pb

Stated = tuple[dict[str, str], approvals_pb2.Preview, bytes]
"""What an act does as text by field, as the wire shows it, and the hash of what was asked for."""


async def planned(database: AsyncEngine, book: str, wanted: CycleWanted) -> Plan:
    """The plan of a cycle, from one view of the books that holds nobody up. Raises as `running.plan`."""
    async with reading(database) as connection:
        return await running.plan(connection, book, wanted.cut_off)


async def cycle_proposed(connection: AsyncConnection, book: str, made: Plan) -> Stated:
    """A plan as it is proposed, if no cycle was approved since it was made."""
    await running.refuse_overtaken(connection, book, made)
    return _of_plan(made)


async def keep(connection: AsyncConnection, book: str, proposal: int, made: Plan) -> None:
    """Writes the lines of a proposed plan."""
    await store.insert_plan(connection, book, proposal, made)


async def cycle_approved(connection: AsyncConnection, book: str, proposal: int, shown: pb.PayCycle) -> Stated:
    """The plan becomes a cycle, which RunPayCycle then posts. Raises PayCycleOutOfOrder or PayCycleUnfinished."""
    days = date.fromisoformat(shown.cycle), date.fromisoformat(shown.pay_date)
    return _of_plan(await running.approved(connection, book, proposal, *days, shown.as_known_at_number))


def _of_plan(made: Plan) -> Stated:
    shown = approvals_pb2.Preview(pay_cycle=summary.of_plan(made))
    return made.stated(), shown, request_hash({"kind": "run_pay_cycle", "cycle": made.cycle.isoformat()})


async def payee_proposed(connection: AsyncConnection, book: str, wanted: PayeeWanted, maker: str) -> Stated:
    """A change of bank details, proposed by whoever has set them: so another approves.

    Raises PayeeNotFound, PayeeOutdated or NotTheMaker.
    """
    before, after = await _change(connection, book, wanted, maker)
    return _of_payee(before, after)


async def payee_accepted(
    connection: AsyncConnection, book: str, wanted: PayeeWanted, maker: str, proposal: int
) -> Stated:
    """The change is in force from now on. Raises as `payee_proposed`."""
    before, after = await _change(connection, book, wanted, maker)
    await payees.accept(connection, book, after, proposal)
    return _of_payee(before, after)


async def _change(
    connection: AsyncConnection, book: str, wanted: PayeeWanted, maker: str
) -> tuple[Payee | None, Payee]:
    versions = await payees.versions(connection, book, wanted.provider)
    found = next((one for one in versions if one.version == wanted.version), None)
    if found is None:
        raise PayeeNotFound(
            f"there is no version {wanted.version} of these bank details", provider=wanted.provider
        )
    refuse_outdated(found, versions)
    if found.set_by != maker:
        raise NotTheMaker(f"version {found.version} is {found.set_by}'s to propose", version=found.version)
    return in_force(versions), found


def _of_payee(before: Payee | None, after: Payee) -> Stated:
    change = approvals_pb2.PayeeChange(
        before=messages.payee_shown(before, in_force=True) if before else None,
        after=messages.payee_shown(after, in_force=False),
    )
    asked = {"kind": "accept_payee", "provider": after.provider, "version": str(after.version)}
    return after.stated(), approvals_pb2.Preview(payee=change), request_hash(asked)
