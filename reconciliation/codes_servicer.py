"""How the meanings of codes are said and asked for: `reconciliation.v1.CodesService`."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import caller, fields, wire
from ledger.accounts.store import existing_book
from ledger.reads import Reads
from ledger.wire import Context
from reconciliation import code_store
from reconciliation.code_tables import ADJUSTMENT, AS_SHIPPED, PROVIDER_LEVEL, CodeMeaning, refuse_meaning
from reconciliation.codes import LONGEST_CODE, AccountRole, Bucket
from reconciliation.v1 import codes_pb2 as pb
from reconciliation.v1.codes_pb2_grpc import CodesServiceServicer

_BUCKETS: Mapping[int, Bucket] = {pb.Bucket.Value(f"BUCKET_{one.upper()}"): one for one in Bucket}
_ROLES: Mapping[int, AccountRole] = {
    pb.AccountRole.Value(f"ACCOUNT_ROLE_{one.upper()}"): one for one in AccountRole
}


class CodesServicer(CodesServiceServicer):
    """Answers CodesService from PostgreSQL."""

    def __init__(self, database: AsyncEngine, reads: Reads) -> None:
        """`database` works under the program's own role."""
        self._database = database
        self._reads = reads

    async def SetAdjustmentCode(
        self, request: pb.SetAdjustmentCodeRequest, context: Context
    ) -> pb.SetAdjustmentCodeResponse:
        """Says what amounts under a group and reason are. Raises CodeMeaningRefused."""
        book = fields.book_name(request.book)
        said = CodeMeaning(
            list=ADJUSTMENT,
            group=fields.required("group", request.group, LONGEST_CODE),
            code=fields.required("code", request.code, LONGEST_CODE),
            payer=fields.text("payer", request.payer),
            effective_from=fields.day("effective_from", request.effective_from),
            meaning=fields.choice("bucket", request.bucket, _BUCKETS) or AS_SHIPPED,
            label=fields.text("label", request.label),
            reason=fields.required("reason", request.reason, fields.TEXT_LENGTH),
        )
        refuse_meaning(said)
        return pb.SetAdjustmentCodeResponse(meaning=await self._say(book, said))

    async def SetProviderLevelCode(
        self, request: pb.SetProviderLevelCodeRequest, context: Context
    ) -> pb.SetProviderLevelCodeResponse:
        """Says to which account amounts under a provider-level code go."""
        book = fields.book_name(request.book)
        said = CodeMeaning(
            list=PROVIDER_LEVEL,
            group="",
            code=fields.required("code", request.code, LONGEST_CODE),
            payer=fields.text("payer", request.payer),
            effective_from=fields.day("effective_from", request.effective_from),
            meaning=fields.choice("account_role", request.account_role, _ROLES) or AS_SHIPPED,
            label=fields.text("label", request.label),
            reason=fields.required("reason", request.reason, fields.TEXT_LENGTH),
        )
        return pb.SetProviderLevelCodeResponse(meaning=await self._say(book, said))

    async def ListCodes(self, request: pb.ListCodesRequest, context: Context) -> pb.ListCodesResponse:
        """All that was said, newest first, a page at a time."""
        book, size = fields.book_name(request.book), wire.page_size(request.page_size)
        before = wire.page_start_number(request)
        async with self._reads.view() as connection:
            await existing_book(connection, book)
            found = await code_store.said(connection, book, before, size + 1)
        more = wire.page_token(request, str(found[size - 1][0].revision)) if len(found) > size else ""
        return pb.ListCodesResponse(meanings=[_message(*each) for each in found[:size]], next_page_token=more)

    async def _say(self, book: str, said: CodeMeaning) -> pb.CodeMeaning:
        return _message(*await code_store.say(self._database, book, said, caller.actor.get()))


def _message(said: CodeMeaning, set_at: datetime) -> pb.CodeMeaning:
    return pb.CodeMeaning(
        revision=said.revision,
        list=said.list,
        group=said.group,
        code=said.code,
        payer=said.payer,
        effective_from=wire.day(said.effective_from),
        meaning=said.meaning,
        label=said.label,
        reason=said.reason,
        set_by=said.set_by,
        set_at=wire.moment(set_at),
    )
