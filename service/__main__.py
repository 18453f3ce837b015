"""The `ledger` command: what people type. Every failure is one plain sentence and a non-zero exit."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import structlog
import typer
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import fields
from ledger.accounts import store
from ledger.accounts.servicer import open_book
from ledger.audit import integrity
from ledger.audit.fault import Fault
from ledger.database import DatabaseUnfit, migrate, reading
from ledger.errors import Refusal
from ledger.pay_cycles.payees import Payees
from service import (
    accruing,
    asking,
    backup,
    banking,
    coding,
    covers,
    demo,
    denying,
    exporting,
    ingesting,
    matching,
    pay_cycle,
    periods,
    proposing,
    reporting,
    running,
    server,
    settings,
    telemetry,
    upkeep,
    worklist,
)
from service.admission import admission
from service.auditing import audit
from service.columnar import ParquetMissing
from service.connecting import (
    files_of,
    looked_up,
    reached,
    refuse_unmigrated,
    run,
    without_password,
)
from service.identity import EVERY_BOOK
from service.noting import noted, system_user
from service.options import Book
from service.postgres import PostgresUnavailable, Urls
from service.settings import SettingRefused

log = structlog.get_logger()
app = typer.Typer(
    name="ledger",
    help="A double-entry ledger for companies that pay care providers before insurers pay them.",
    epilog="The database is the one that LEDGER_DATABASE_URL names, or an embedded one in LEDGER_DATA_FOLDER "
    "(.ledger where it is not set). Every command has its own --help.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
books = typer.Typer(help="Open the books of a legal entity, or list those that are open.", no_args_is_help=True)
app.add_typer(books, name="book")
app.add_typer(periods.commands, name="period")
app.add_typer(audit, name="audit")
app.add_typer(worklist.commands, name="worklist")
app.add_typer(denying.commands, name="denial")
app.add_typer(matching.commands, name="match")
app.add_typer(coding.commands, name="code")
app.add_typer(covers.commands, name="cover")
app.add_typer(banking.bank, name="bank")
app.add_typer(accruing.app, name="allowance")
app.add_typer(pay_cycle.app, name="pay-cycle")
app.command("report")(asking.report_command)
app.command("candidates")(proposing.candidates_command)

Listen = Annotated[
    str | None,
    typer.Option(help="Address and port to listen on. Where it is left out: LEDGER_LISTEN, or 127.0.0.1:50051."),
]


class CommandFailed(Exception):
    """What was asked cannot be done; the message is the sentence that people see."""


FAILURES = (
    *(CommandFailed, Refusal, SettingRefused, DatabaseUnfit, PostgresUnavailable),
    *(server.AddressRefused, backup.BackupFailed, reporting.ReportRefused),
    *(exporting.ExportRefused, ParquetMissing),
)


# --- running the service ------------------------------------------------------------------------------


@app.command()
def up(listen: Listen = None) -> None:
    """Start everything: the database, its tables, a first book, and the server.

    Where the database holds no book at all, the one that LEDGER_BOOK names (main) is opened. Where no setting
    says how callers prove who they are, everybody on this machine is believed, and nobody else can connect.

    Example: ledger up
    """
    known = settings.read()
    address = server.listening(listen or known.listen)
    door = admission(known, address, insecure=not settings.asks_for_proof(known))
    with reached(known) as urls:
        _migrate(urls)
        run(urls.server, _open_first_book, known.book)
        where = known.data_folder.absolute() if known.database_url is None else without_password(urls.server)
        running.alone(
            urls.server, address, door, known, f"data in {where}; stop with Ctrl-C, or kill {os.getpid()}"
        )


@app.command()
def serve(
    listen: Listen = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Believe every caller. Only for addresses of this machine.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that serve together on one port.")] = 1,
    worker: Annotated[bool, typer.Option("--worker", hidden=True)] = False,
) -> None:
    """Serve the books of a database that is migrated already.

    Callers prove who they are by a client certificate (LEDGER_TLS_CLIENT_AUTHORITY) or a bearer token
    (LEDGER_JWT_KEYS); LEDGER_CALLERS names the file that says what each may do.

    Example: ledger serve --listen 127.0.0.1:50051 --insecure
    """
    known = settings.read()
    address = listen or known.listen if worker else server.listening(listen or known.listen)
    door = admission(known, address, insecure=insecure)
    more = f"stop with Ctrl-C, or kill {os.getpid()}"
    with reached(known) as urls:
        if workers == 1:
            running.alone(urls.server, address, door, known, more, shared=worker)
        else:
            raise typer.Exit(running.together(urls.server, workers, address, known, more, insecure=insecure))


@app.command("migrate")
def migrate_command() -> None:
    """Bring the database's tables to the newest version. Harmless where they are.

    Example: ledger migrate
    """
    with reached(settings.read()) as urls:
        _migrate(urls)


@app.command("demo")
def demo_command() -> None:
    """Show the whole story on books of its own: sessions, payouts, remittances, reports.

    Example: ledger demo
    """
    raise typer.Exit(demo.run())


# --- working with the books ---------------------------------------------------------------------------


@app.command()
def ingest(
    files: Annotated[list[Path], typer.Argument(help="Remittance files as payers send them (X12 835).")],
    book: Book = None,
) -> None:
    """Take in remittance files: match their claims and settle them against the books.

    A file that was taken in before posts nothing again. The exit code is not zero where something was
    quarantined: nothing of that is posted, and `ledger report exceptions` says why.

    Example: ledger ingest 835/aetna-june.txt 835/cigna-june.txt
    """
    known = settings.read()
    with reached(known) as urls:
        refuse_unmigrated(urls.server)
        raise typer.Exit(
            0 if ingesting.ingest_files(urls.server, files_of(known), book or known.book, files) else 1
        )


@app.command()
def check() -> None:
    """Recompute all books from their entries, and see that nothing can change them.

    Says nothing while all is well; otherwise one line for each fault, and the exit code is not zero.

    Example: ledger check
    """
    faults = looked_up(_faults)
    for fault in faults:
        print(fault)
    raise typer.Exit(1 if faults else 0)


@app.command()
def maintain() -> None:
    """Make partitions ahead of need; fill the totals, days and subtrees that questions and proofs are read from.

    The server does so by itself. After a restore or a large import it is quicker to run this once than to wait.
    Harmless at any time.

    Example: ledger maintain
    """
    with reached(settings.read()) as urls:
        refuse_unmigrated(urls.server)
        partitions, segments, subtrees = run(urls.server, upkeep.once)
        filled = f"{segments} segments of totals were filled, {subtrees} subtrees of 256 entries were kept"
        print(f"{partitions} partitions were made, {filled}")


@app.command("backup")
def backup_command(
    file: Annotated[Path, typer.Argument(help="The file to write; one that is there is replaced.")],
) -> None:
    """Write all books into one file, from one moment, while the service goes on.

    Example: ledger backup books-2026-11-24.backup
    """
    with noted("backup", EVERY_BOOK), reached(settings.read()) as urls:
        refuse_unmigrated(urls.server)
        backup.backup(urls.owner, file)


@app.command("restore")
def restore_command(file: Annotated[Path, typer.Argument(help="What ledger backup has written.")]) -> None:
    """Fill an empty database from a backup, then recompute all books as ledger check does.

    Example: LEDGER_DATA_FOLDER=.restored ledger restore books-2026-11-24.backup
    """
    with reached(settings.read()) as urls:
        backup.restore(urls.owner, file)
        _migrate(urls)
    check()


@app.command()
def seal() -> None:
    """Seal what is kept under another key, or none, with the first of LEDGER_FILE_KEYS: files and bank accounts.

    Put a new key first, run this, and then take the old one away.

    Example: ledger seal
    """
    known = settings.read()
    with reached(known) as urls:
        refuse_unmigrated(urls.owner)
        files = files_of(known)
        print(f"{run(urls.owner, files.reseal)} parts of files were sealed anew")
        print(f"{run(urls.owner, Payees(files.sealing).reseal)} bank accounts were sealed anew")


@app.command("export")
def export_command(
    book: Book = None,
    form: Annotated[
        exporting.ExportFormat, typer.Option("--format", help="Whose journal, or which table, to write.")
    ] = exporting.ExportFormat.BEANCOUNT,
    output: Annotated[Path | None, typer.Option(help="The file to write, instead of showing it.")] = None,
) -> None:
    """Write a whole book as a journal that beancount or hledger reads, or as a table of its postings.

    Control totals tie it to the accounts; the exit code is not zero where they do not. A file is whole or absent.

    Example: ledger export --format hledger --output main.journal
    """
    wanted = fields.book_name(book or settings.read().book)
    with noted("export", wanted):
        if output is None:
            exporting.refuse_binary(form)
            looked_up(exporting.write, wanted, form, sys.stdout, exporting.quietly)
            return
        with exporting.whole_path(output) as unfinished, exporting.bar() as went:
            looked_up(exporting.write_file, wanted, form, unfinished, went)


@books.command("open")
def book_open(
    book: Annotated[str, typer.Argument(help="Letters, digits and dashes, at most 40.")],
    name: Annotated[str, typer.Option(help="The legal entity's name.")],
) -> None:
    """Open the books of a legal entity. Once they are open, the same again does nothing.

    Example: ledger book open CA-PC --name "Example Care of California, P.C."
    """
    wanted, legal_name = fields.book_name(book), fields.required("--name", name)
    with reached(settings.read()) as urls:
        refuse_unmigrated(urls.server)
        run(urls.server, open_book, wanted, legal_name, system_user())
    print(f"book {wanted} is open under the name {legal_name}")


@books.command("list")
def book_list() -> None:
    """List the books with the number of their last entry and their names.

    Example: ledger book list
    """
    for found in looked_up(store.find_books):
        print(f"{found.book}\t{found.last_number}\t{found.name}")


# --- how it is done -----------------------------------------------------------------------------------


def _migrate(urls: Urls) -> None:
    for version in migrate(urls.owner):
        print(f"migrated to {version}")


async def _faults(connection: AsyncConnection) -> list[Fault]:
    found = await integrity.faults(connection)
    return found + await integrity.found_by(connection, "reconciliation.reports", "integrity.sql")


async def _open_first_book(database: AsyncEngine, book: str) -> None:
    async with reading(database) as connection:
        if await store.find_books(connection):
            return
    await open_book(database, fields.book_name(book), book, system_user())
    print(f"opened book {book}")


def main() -> NoReturn:
    """Runs the command line. A fault of the program itself is a sentence too, with the place it came from."""
    telemetry.configure()
    signal.signal(signal.SIGTERM, _stopped)
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code)
    except typer.TyperException as wrong:
        _fail(wrong.format_message().replace("Value error, ", ""), wrong.exit_code)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except FAILURES as failed:
        _fail(str(failed))
    except OSError as failed:
        _fail(f"{failed.filename or 'input or output'}: {failed.strerror or failed}")
    except DBAPIError as failed:
        _fail(f"the database refused: {str(failed.orig).partition(chr(10))[0]}")
    except Exception as failed:  # noqa: BLE001 - people get a sentence, whatever it was
        _fail(f"the program failed, which is its own fault: {type(failed).__name__}: {failed}")


def _stopped(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)


def _fail(sentence: str, code: int = 1) -> NoReturn:
    if sentence:  # there is none where the help was shown instead
        print(f"ledger: {sentence}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
