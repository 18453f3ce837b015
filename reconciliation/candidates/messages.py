"""Between proposals and the wire's messages."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row

from ledger import wire
from ledger.money import Amount
from ledger.v1 import money_pb2
from reconciliation.candidates.combining import Combination
from reconciliation.candidates.proposing import Proposed
from reconciliation.candidates.scoring import Agreement, Candidate, Sought, tied
from reconciliation.v1 import candidates_pb2 as pb

_AGREEMENTS: Mapping[Agreement, pb.Agreement.ValueType] = {
    one: pb.Agreement.Value(f"AGREEMENT_{one.upper()}") for one in Agreement
}


def answer(
    found: Proposed, page: Sequence[Candidate], next_page_token: str, *, first: bool
) -> pb.ListCandidatesResponse:
    """A page of candidates; the combinations stand on the first one."""
    currency, combined = found.sought.currency, found.combinations
    return pb.ListCandidatesResponse(
        candidates=[_candidate(one, found, currency) for one in page],
        compared_count=found.compared,
        combinations=[_combination(one, currency) for one in combined.first] if first else [],
        combination_count=combined.count,
        combination_count_is_least=not combined.is_exact,
        sought=_sought(found.sought),
        next_page_token=next_page_token,
    )


def _candidate(one: Candidate, found: Proposed, currency: str) -> pb.Candidate:
    return pb.Candidate(
        claim=one.claim,
        rule=one.rule,
        score=one.score,
        evidence=[
            pb.Evidence(
                fact=each.fact, agreement=_AGREEMENTS[each.agreement], detail=each.detail, points=each.points
            )
            for each in one.evidence
        ],
        tied_count=tied(found.candidates, one),
        open=_money(one.open, currency),
        payer=one.item.dimensions.payer or "",
        originals=[_original(row, currency) for row in found.originals.get(one.claim, ())],
    )


def _original(row: Row[Any], currency: str) -> pb.Original:
    return pb.Original(
        remittance=str(row.remittance),
        line=row.line,
        paid=_money(row.paid, currency),
        charge=None if row.charge is None else _money(row.charge, currency),
        payment_date=wire.day(row.payment_date),
        trace=row.trace,
    )


def _combination(one: Combination, currency: str) -> pb.Combination:
    parts = [
        pb.CombinedPart(name=part.name, amount=_money(part.amount, currency), day=wire.day(part.day))
        for part in one.parts
    ]
    return pb.Combination(rule=one.rule, parts=parts)


def _sought(sought: Sought) -> pb.SoughtPayment:
    return pb.SoughtPayment(
        payer=sought.payer or "",
        payer_name=sought.payer_name,
        claim_as_sent=sought.claim_as_sent,
        charge=None if sought.charge is None else _money(sought.charge, sought.currency),
        paid=_money(sought.paid, sought.currency),
        service_dates=sorted(map(wire.day, sought.days)),
        service_codes=sorted(sought.codes),
    )


def _money(minor_units: int, currency: str) -> money_pb2.Money:
    return wire.money(Amount(minor_units, currency))
