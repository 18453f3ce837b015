"""How denials and the policies on them are decided and asked for: `reconciliation.v1.DenialsService`."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import caller, fields, wire
from ledger.accounts.known import known_at
from ledger.accounts.store import existing_book
from ledger.errors import AmountInvalid, FieldMissing, NumberInvalid, PageInvalid
from ledger.money import LARGEST, Amount
from ledger.postings import journal
from ledger.reads import Reads
from ledger.reports.rows import control, plain_row
from ledger.wire import Context
from reconciliation import deciding, denial_store
from reconciliation.denials import Denial, Policy, State
from reconciliation.questions import DENIALS_BY_CODE, answered
from reconciliation.v1 import denials_pb2 as pb
from reconciliation.v1.denials_pb2_grpc import DenialsServiceServicer

_STATES: Mapping[int, State] = {pb.DenialState.Value(f"DENIAL_STATE_{one.upper()}"): one for one in State}
_STATE_VALUES = {state: value for value, state in _STATES.items()}
_MOST_DAYS = 3_650
_CODE_LENGTH = 10


class DenialsServicer(DenialsServiceServicer):
    """Answers DenialsService from PostgreSQL."""

    def __init__(self, database: AsyncEngine, reads: Reads) -> None:
        """`database` works under the program's own role."""
        self._database = database
        self._reads = reads

    async def ListDenials(self, request: pb.ListDenialsRequest, context: Context) -> pb.ListDenialsResponse:
        """Denials as they stand, a page at a time."""
        book, state = fields.book_name(request.book), fields.choice("state", request.state, _STATES)
        day, size = fields.optional_day("as_of", request.as_of), wire.page_size(request.page_size)
        after = _place(wire.page_start(request))
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            states = [state] if state else None
            found = await denial_store.latest(connection, book, states, after, size + 1)
        last = found[size - 1] if len(found) > size else None
        return pb.ListDenialsResponse(
            denials=[_of_row(row, day) for row in found[:size]],
            next_page_token=wire.page_token(request, f"{len(last.claim)} {last.claim}{last.payer}")
            if last
            else "",
        )

    async def GetDenial(self, request: pb.GetDenialRequest, context: Context) -> pb.GetDenialResponse:
        """One denial and all that became of it. Raises DenialNotFound."""
        book, claim, payer = _named(request)
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            found = await denial_store.history(connection, book, claim, payer)
        return pb.GetDenialResponse(history=[_of_row(row, None) for row in found])

    async def GetDenialsByCode(
        self, request: pb.GetDenialsByCodeRequest, context: Context
    ) -> pb.GetDenialsByCodeResponse:
        """What payers refused, by codes, and what became of it.

        Raises BookNotFound or what as_known_at is refused for.
        """
        asked = known_at(request)
        found = await answered(self._reads, DENIALS_BY_CODE, request.book, request.as_of, asked=asked)
        return pb.GetDenialsByCodeResponse(
            rows=(pb.DenialsByCodeRow(**plain_row(row)) for row in found.rows),
            totals=(pb.DenialsByCodeRow(**plain_row(row)) for row in found.totals),
            control=control(found, "net_loss"),
            as_known_at_number=found.known or 0,
        )

    async def AppealDenial(self, request: pb.AppealDenialRequest, context: Context) -> pb.AppealDenialResponse:
        """The payer is asked to think again. Raises DenialNotFound or DenialStateRefused."""
        return pb.AppealDenialResponse(denial=await self._sent(request, State.APPEALED))

    async def ResubmitDenial(
        self, request: pb.ResubmitDenialRequest, context: Context
    ) -> pb.ResubmitDenialResponse:
        """The claim is sent again. Raises DenialNotFound or DenialStateRefused."""
        return pb.ResubmitDenialResponse(denial=await self._sent(request, State.RESUBMITTED))

    async def AbsorbDenied(self, request: pb.AbsorbDeniedRequest, context: Context) -> pb.AbsorbDeniedResponse:
        """The company takes the loss. Raises DenialNotFound, DenialStateRefused or ApprovalNeeded."""
        book, claim, payer = _named(request)
        day, reason = _dated(request)
        found = await deciding.absorb(self._database, book, claim, payer, day, reason, caller.actor.get())
        return pb.AbsorbDeniedResponse(denial=_message(found))

    async def SetDenialPolicy(
        self, request: pb.SetDenialPolicyRequest, context: Context
    ) -> pb.SetDenialPolicyResponse:
        """Writes the next version of a policy."""
        book, wanted = fields.book_name(request.book), _policy(request)
        async with journal.posting(self._database, book) as (connection, head):
            versions = {row.name: row.version for row in await denial_store.policies(connection, book)}
            version = versions.get(wanted.name, 0) + 1
            written = replace(wanted, version=version, set_by=caller.actor.get())
            await denial_store.set_policy(connection, book, written)
        message = _policy_message(written)
        message.set_at.FromDatetime(head.recorded_at)
        return pb.SetDenialPolicyResponse(policy=message)

    async def ListDenialPolicies(
        self, request: pb.ListDenialPoliciesRequest, context: Context
    ) -> pb.ListDenialPoliciesResponse:
        """Policies in force, by name."""
        book = fields.book_name(request.book)
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            found = await denial_store.policies(connection, book)
        messages = [_policy_message(denial_store.policy_of(row)) for row in found]
        for message, row in zip(messages, found, strict=True):
            message.set_at.FromDatetime(row.set_at)
        return pb.ListDenialPoliciesResponse(policies=messages)

    async def ApplyDenialPolicy(
        self, request: pb.ApplyDenialPolicyRequest, context: Context
    ) -> pb.ApplyDenialPolicyResponse:
        """Absorbs what a policy covers, or says what it would. Raises DenialPolicyNotFound or DenialPolicyOff."""
        book, name = fields.book_name(request.book), fields.required("policy", request.policy)
        day, record = fields.day("effective_date", request.effective_date), not request.validate_only
        found, more = await deciding.apply(self._database, book, name, day, caller.actor.get(), record=record)
        return pb.ApplyDenialPolicyResponse(outcomes=map(_outcome, found), more=more)

    async def _sent(self, request: pb.AppealDenialRequest | pb.ResubmitDenialRequest, state: State) -> pb.Denial:
        book, claim, payer = _named(request)
        day, reason = _dated(request)
        actor = caller.actor.get()
        return _message(await deciding.send(self._database, book, claim, payer, state, day, reason, actor))


def _place(token: str) -> tuple[str, str]:
    """Behind which claim and payer a page begins. Raises PageInvalid."""
    length, _, names = (token or "0 ").partition(" ")
    if not (length.isascii() and length.isdigit() and int(length[:4]) <= len(names)):
        raise PageInvalid("page_token is not one of ours")
    return names[: int(length[:4])], names[int(length[:4]) :]


def _place_of(row: Row[Any]) -> str:
    return f"{len(row.claim)} {row.claim}{row.payer}"


def _named(
    request: pb.GetDenialRequest | pb.AppealDenialRequest | pb.ResubmitDenialRequest | pb.AbsorbDeniedRequest,
) -> tuple[str, str, str]:
    book, claim = fields.book_name(request.book), fields.required("claim", request.claim)
    return book, claim, fields.required("payer", request.payer)


def _dated(
    request: pb.AppealDenialRequest | pb.ResubmitDenialRequest | pb.AbsorbDeniedRequest,
) -> tuple[date, str]:
    day = fields.day("effective_date", request.effective_date)
    return day, fields.required("reason", request.reason, fields.TEXT_LENGTH)


def _policy(request: pb.SetDenialPolicyRequest) -> Policy:
    if not request.codes:
        raise FieldMissing("codes are required", field="codes")
    largest = wire.amount("largest", request)
    if not 1 <= largest.minor_units <= LARGEST:
        units = largest.minor_units
        raise AmountInvalid(
            f"largest is 1 to {LARGEST} minor units, not {units}", field="largest", minor_units=units
        )
    if not 0 <= request.age_days <= _MOST_DAYS:
        days = request.age_days
        raise NumberInvalid(f"age_days is 0 to {_MOST_DAYS}, not {days}", field="age_days", value=days)
    return Policy(
        name=fields.required("name", request.name),
        enabled=request.enabled,
        codes=tuple(fields.required("codes", one, _CODE_LENGTH) for one in request.codes),
        payer=fields.text("payer", request.payer),
        currency=largest.currency,
        largest=largest.minor_units,
        age_days=request.age_days,
        reason=fields.required("reason", request.reason, fields.TEXT_LENGTH),
    )


def _of_row(row: Row[Any], day: date | None) -> pb.Denial:
    message = _message(denial_store.denial(row))
    message.said_at.FromDatetime(row.said_at)
    if day:
        message.age_days = denial_store.age(row.denied_on, day)
    return message


def _message(found: Denial) -> pb.Denial:
    return pb.Denial(
        claim=found.claim,
        payer=found.payer,
        state=_STATE_VALUES[found.state],  # type: ignore[arg-type]
        version=found.version,
        effective_date=wire.day(found.effective_date),
        open=wire.money(Amount(found.open, found.currency)),
        codes=found.codes,
        reason=found.reason,
        policy=found.policy,
        entry_number=found.entry_number or 0,
        said_by=found.said_by,
    )


def _policy_message(found: Policy) -> pb.DenialPolicy:
    return pb.DenialPolicy(
        name=found.name,
        enabled=found.enabled,
        codes=found.codes,
        payer=found.payer,
        largest=wire.money(Amount(found.largest, found.currency)),
        age_days=found.age_days,
        reason=found.reason,
        version=found.version,
        set_by=found.set_by,
    )


def _outcome(found: deciding.PolicyOutcome) -> pb.PolicyOutcome:
    return pb.PolicyOutcome(
        claim=found.denial.claim,
        payer=found.denial.payer,
        amount=wire.money(found.amount),
        entry_number=found.entry_number,
        refusal=found.refusal,
    )
