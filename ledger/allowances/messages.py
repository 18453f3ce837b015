"""Between the wire's messages and policies and allowances."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict

from ledger import fields, wire
from ledger.accounts import chart
from ledger.allowances.allowance import History, Terms
from ledger.allowances.store import Policy, Posted
from ledger.errors import AllowanceTermsInvalid, FieldMissing
from ledger.money import Amount
from ledger.postings import messages as postings
from ledger.postings.entry import PostedEntry
from ledger.v1 import allowances_pb2 as pb

MOST_PAYERS = 1_000


def required_terms(request: pb.SetAllowancePolicyRequest) -> Terms:
    """The terms of a policy that is set. Raises FieldMissing, or what they are refused for."""
    if not request.HasField("terms"):
        raise FieldMissing("terms is required", field="terms")
    return terms(request.terms)


def terms(message: pb.AllowanceTerms) -> Terms:
    """The terms as a caller says them. Raises CurrencyUnknown, TextInvalid or AllowanceTermsInvalid."""
    if len(message.payers) > MOST_PAYERS:
        raise AllowanceTermsInvalid(f"payers are at most {MOST_PAYERS}", field="terms.payers")
    currency = fields.required("terms.currency_code", message.currency_code)
    return Terms(
        currency=fields.currency("terms.currency_code", currency),
        payers=tuple(sorted({fields.required("terms.payers", payer) for payer in message.payers})),
        age_buckets=tuple(message.age_buckets),
        matured_after_days=message.matured_after_days,
        history_months=message.history_months,
        fewest_claims=message.fewest_claims,
    )


def kept_terms(kept: Mapping[str, Any]) -> Terms:
    """The terms of a policy as it is kept."""
    return terms(ParseDict(dict(kept), pb.AllowanceTerms()))


def terms_message(said: Terms) -> pb.AllowanceTerms:
    """The terms as the wire has them."""
    return pb.AllowanceTerms(
        currency_code=said.currency,
        payers=said.payers,
        age_buckets=said.age_buckets,
        matured_after_days=said.matured_after_days,
        history_months=said.history_months,
        fewest_claims=said.fewest_claims,
    )


def terms_as_json(said: Terms) -> dict[str, Any]:
    """The terms as they are kept."""
    return as_json(terms_message(said))


def as_json(message: pb.AllowanceTerms | pb.Allowance) -> dict[str, Any]:
    """A message as it is kept: every field that says something, under its own name."""
    return dict(MessageToDict(message, preserving_proto_field_name=True))


def policy(found: Policy) -> pb.AllowancePolicy:
    """A version of the policy as the wire has it."""
    return pb.AllowancePolicy(
        version=found.version,
        on=found.is_on,
        terms=ParseDict(found.terms, pb.AllowanceTerms()),
        reason=found.reason,
        set_by=found.set_by,
        set_at=wire.moment(found.set_at),
    )


def allowance(
    last_day: date,
    version: int,
    said: Terms,
    histories: Sequence[History],
    needs: Mapping[str, int],
    standing: Mapping[str, int],
    known: int,
) -> pb.Allowance:
    """What is computed for a month, with all that it comes from."""
    payers = {history.account: history.payer for history in histories}
    return pb.Allowance(
        month=f"{last_day:%Y-%m}",
        policy_version=version,
        terms=terms_message(said),
        rates=(_rate(said, history) for history in histories),
        payers=(
            _of_payer(said.currency, payers[account], account, needs[account], standing.get(account, 0))
            for account in sorted(needs)
        ),
        as_known_at_number=known,
    )


def _rate(said: Terms, history: History) -> pb.AllowanceRate:
    money = {
        name: wire.money(Amount(units, said.currency))
        for name, units in (
            ("history_open", history.history_open),
            ("history_absorbed", history.history_absorbed),
            ("open", history.open),
            ("allowance", history.allowance(said)),
        )
    }
    return pb.AllowanceRate(
        payer=history.payer,
        from_days=history.from_days,
        to_days=history.to_days,
        history_claims=history.history_claims,
        history_too_short=history.rate(said) is None,
        **money,
    )


def _of_payer(currency: str, payer: str, receivable: str, needed: int, standing: int) -> pb.AllowanceOfPayer:
    return pb.AllowanceOfPayer(
        payer=payer,
        account=chart.allowance(receivable),
        needed=wire.money(Amount(needed, currency)),
        standing=wire.money(Amount(standing, currency)),
        true_up=wire.money(Amount(needed - standing, currency)),
    )


def posted(found: Posted, entries: Mapping[int, PostedEntry]) -> pb.Allowance:
    """What was posted for a month, as the wire has it."""
    message = ParseDict(found.evidence, pb.Allowance())
    message.entry.CopyFrom(postings.entry(entries[found.entry_number]))
    message.reversal.CopyFrom(postings.entry(entries[found.reversal_number]))
    message.posted_by = found.posted_by
    message.posted_at.CopyFrom(wire.stamp(found.posted_at))
    return message
