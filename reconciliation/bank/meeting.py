"""Where a remittance meets its deposit: whether it must wait for it, and what had come before it.

Called by whoever settles remittances, in the database transaction that holds the head.
"""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.postings.batch import Head
from reconciliation import store as mail
from reconciliation.bank import store
from reconciliation.bank.association import Remitted, associate
from reconciliation.bank.cashier import Cashier
from reconciliation.bank.store import Policy
from reconciliation.reasons import RemittanceState


async def must_wait(connection: AsyncConnection, head: Head, arriving: Remitted) -> bool:
    """Whether a remittance is posted only once its money is there, and it is not yet. Without money none waits."""
    if arriving.open <= 0:
        return False
    policy = store.in_force(await store.policies(connection, head.book), arriving.payer)
    if policy.policy is Policy.ON_REMITTANCE:
        return False
    cashier = Cashier(connection, head, "")
    await cashier.learn({arriving.trace})
    cashier.known.remittance(arriving)
    naming = [cashier.known.deposits[one] for one in cashier.known.naming.get(arriving.trace, ())]
    return not any(arriving.id in associate(one, cashier.known).come for one in naming)


async def settled(connection: AsyncConnection, head: Head, actor: str, remittance: UUID) -> set[bytes]:
    """Applies what had come before a remittance that is settled now; returns files to take up again."""
    found = await mail.existing(connection, head.book, remittance)
    assert found is not None
    assert found.state == RemittanceState.SETTLED
    if not await store.naming(connection, head.book, [found.trace]):
        return set()
    cashier = Cashier(connection, head, actor)
    await cashier.learn({found.trace})
    for deposit in list(cashier.known.naming.get(found.trace, ())):
        await cashier.look_again(deposit)
    await cashier.record()
    return cashier.reopened


async def released(connection: AsyncConnection, head: Head, payer: str) -> set[bytes]:
    """After a policy was set: what need not wait any more is to be settled; returns files to take up again."""
    policies = await store.policies(connection, head.book)
    rows = await store.held_back(connection, head.book, payer)
    free = [row for row in rows if store.in_force(policies, row.payer).policy is Policy.ON_REMITTANCE]
    return await store.release(connection, head.book, [row.id for row in free])
