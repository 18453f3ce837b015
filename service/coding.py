"""`ledger code`: what payers' codes mean to a book, on the command line."""

from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import fields
from ledger.accounts.store import existing_book
from reconciliation import code_store
from reconciliation.code_tables import ADJUSTMENT, AS_SHIPPED, PROVIDER_LEVEL, CodeMeaning, refuse_meaning
from reconciliation.codes import LONGEST_CODE, AccountRole, Bucket
from service import settings
from service.connecting import done, looked_up
from service.noting import noted, system_user
from service.options import Book
from service.printing import printable

commands = typer.Typer(
    help="Say what payers' codes mean, over the tables that the program ships, or list what was said.",
    no_args_is_help=True,
)
_Reason = Annotated[str, typer.Option(help="Why, for the auditor.")]
_Day = Annotated[str, typer.Option("--from", help="The first payment date for which it counts, YYYY-MM-DD.")]
_Payer = Annotated[str, typer.Option(help="Only this payer's, as the books call it; all payers' if left out.")]
_Label = Annotated[str, typer.Option(help="In your own words; those of the official list are protected.")]
_MOST = 1_000


@commands.command("set-adjustment")
def set_adjustment(
    code: Annotated[str, typer.Argument(help="Group and reason of an adjustment (835 CAS), such as CO-45.")],
    first_day: _Day,
    reason: _Reason,
    bucket: Annotated[Bucket | None, typer.Option(help="What it is; as shipped again, if left out.")] = None,
    payer: _Payer = "",
    label: _Label = "",
    book: Book = None,
) -> None:
    """Say what amounts under a group and reason are. Remittances that are here already are not decided again.

    Example: ledger code set-adjustment CO-253 --bucket contractual --from 2026-07-01 --reason "sequestration"
    """
    group, _, number = code.partition("-")
    about = (fields.text("--payer", payer), fields.day("--from", first_day), bucket or AS_SHIPPED)
    _say(
        book, CodeMeaning(ADJUSTMENT, _part("group", group), _part("code", number), *about, *_words(label, reason))
    )


@commands.command("set-provider-level")
def set_provider_level(
    code: Annotated[str, typer.Argument(help="A provider-level code (835 PLB03-1), such as WO.")],
    first_day: _Day,
    reason: _Reason,
    account: Annotated[
        AccountRole | None, typer.Option(help="Where it goes; as shipped again, if left out.")
    ] = None,
    payer: _Payer = "",
    label: _Label = "",
    book: Book = None,
) -> None:
    """Say to which account amounts under a provider-level code go.

    Example: ledger code set-provider-level AH --account payer_adjustments --from 2026-07-01 --reason "fees"
    """
    about = (fields.text("--payer", payer), fields.day("--from", first_day), account or AS_SHIPPED)
    _say(book, CodeMeaning(PROVIDER_LEVEL, "", _part("code", code), *about, *_words(label, reason)))


@commands.command("list")
def list_codes(book: Book = None) -> None:
    """List what was said, newest first: revision, code, payer, from when on, meaning, who, why.

    Example: ledger code list
    """
    name = fields.book_name(book or settings.read().book)
    with noted("code list", name):
        found = looked_up(_said, name)
    for one in found:
        told = (one.name, one.payer or "every payer", f"from {one.effective_from}", one.meaning or "as shipped")
        print("\t".join(map(printable, (str(one.revision), *told, one.set_by, one.reason))))


# --- how it is done -----------------------------------------------------------------------------------


def _say(book: str | None, said: CodeMeaning) -> None:
    name = fields.book_name(book or settings.read().book)
    refuse_meaning(said)
    with noted("code", name):
        written, _ = done(code_store.say, name, said, system_user())
    meaning = written.meaning or "as shipped"
    print(f"{written.name} is {meaning} from {written.effective_from} on, revision {written.revision}")


def _part(name: str, value: str) -> str:
    return fields.required(name, value, LONGEST_CODE)


def _words(label: str, reason: str) -> tuple[str, str]:
    return fields.text("--label", label), fields.required("--reason", reason, fields.TEXT_LENGTH)


async def _said(connection: AsyncConnection, book: str) -> list[CodeMeaning]:
    await existing_book(connection, book)
    found: list[CodeMeaning] = []
    while page := await code_store.said(connection, book, found[-1].revision if found else 0, _MOST):
        found += [meaning for meaning, _ in page]
    return found
