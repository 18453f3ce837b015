"""Writes into the lives of denials what a payer's decisions make of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from reconciliation import denial_store
from reconciliation.chunk import Chunk, Decided
from reconciliation.denials import SETTLED, Denial, State, caused, codes_of, refuses
from reconciliation.payment import REVERSAL
from reconciliation.reasons import Decision


async def follow(chunk: Chunk, decided: Sequence[Decided], numbers: Mapping[int, int]) -> None:
    """`numbers` are those of the entries posted, by line; the decisions themselves are recorded already."""
    claims = {one.settlement.claim for one in decided if one.settlement.claim}
    if not claims or not chunk.payer_known:
        return
    payer = chunk.payment.payer
    last = await denial_store.of_claims(chunk.connection, chunk.head.book, payer, claims)
    new: list[Denial] = []
    for one in decided:
        if (claim := one.settlement.claim) and (following := _following(chunk, one, last.get(claim))):
            last[claim] = replace(following, entry_number=numbers.get(one.sent.line))
            new.append(last[claim])
    await denial_store.add(chunk.connection, chunk.head.book, new)


async def taken_back(chunk: Chunk, claim: str, line: int, number: int | None) -> None:
    """What a payer had paid after all it takes back, by a reversal that came before that payment."""
    connection, book, payment = chunk.connection, chunk.head.book, chunk.payment
    last = (await denial_store.of_claims(connection, book, payment.payer, [claim])).get(claim)
    if last is not None and last.state in SETTLED:
        said = f"{REVERSAL} of remittance {payment.trace}"[:500]
        new = last.to(State.TAKEN_BACK, payment.effective_date, said, chunk.actor, chunk.open(claim))
        placed = replace(new, remittance=payment.remittance, line=line, entry_number=number)
        await denial_store.add(connection, book, [placed])


def _following(chunk: Chunk, one: Decided, last: Denial | None) -> Denial | None:
    payment, sent, claim = chunk.payment, one.sent, one.settlement.claim
    refused = one.settlement.decision is Decision.SHORT_PAID and refuses(payment, sent)
    state = caused(last, one.settlement, refused=refused, open_=one.open)
    if state is None or claim is None:
        return None
    codes = codes_of(payment, sent)
    said = f"{sent.status} of remittance {payment.trace}"
    first = Denial(claim, payment.payer, state, payment.effective_date, 0, payment.currency, codes, version=0)
    found = (last or first).to(state, payment.effective_date, said[:500], chunk.actor, one.open)
    codes = codes if state is State.DENIED else found.codes
    return replace(found, codes=codes, remittance=payment.remittance, line=sent.line)
