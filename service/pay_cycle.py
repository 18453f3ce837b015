"""`ledger pay-cycle`: pay cycles on the command line, asked of the same service that callers ask over gRPC."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ledger.v1 import approvals_pb2
from ledger.v1 import pay_cycles_pb2 as pb
from service.options import Book
from service.paying import Asking, asked, money, print_cycle, proposed, table, word
from service.printing import print_table, printable

_WHOLE_PAGE = 1_000
app = typer.Typer(
    help="Pay providers by cycles: preview, propose, approve, run, and say what the bank did.",
    epilog="A cycle is named by its cut-off, YYYY-MM-DD. Who asks is the system's user, and another must approve. "
    "Everything is harmless to repeat: nobody is paid twice.",
    no_args_is_help=True,
)

CutOff = Annotated[str, typer.Argument(help="The cut-off that names the cycle, YYYY-MM-DD.")]
Reason = Annotated[str, typer.Option(help="Why, for the auditor.")]
Provider = Annotated[str, typer.Argument(help="The provider, as its sessions name it.")]
Providers = Annotated[list[str] | None, typer.Option("--provider", help="Whose payments only; may be repeated.")]
Day = Annotated[str, typer.Option(help="The bank's day, YYYY-MM-DD.")]


class FileFormat(StrEnum):
    """What a payment file is written for."""

    NACHA = "nacha"
    CSV = "csv"


class AccountKind(StrEnum):
    """What kind of bank account it is."""

    CHECKING = "checking"
    SAVINGS = "savings"


# --- when ---------------------------------------------------------------------------------------------


@app.command()
def calendar(book: Book = None, after: Annotated[str, typer.Option(help="Cut-offs after this day.")] = "") -> None:
    """Show the next cut-offs with their days of payment.

    Example: ledger pay-cycle calendar --after 2026-04-01
    """

    async def work(asking: Asking) -> pb.GetPayCalendarResponse:
        request = pb.GetPayCalendarRequest(book=asking.book, after=after)
        return await asking.cycles.GetPayCalendar(request, asking.context)

    for one in asked("calendar", book, work).cut_offs:
        print(f"{one.cycle}  paid {one.pay_date}")


@app.command("set-calendar")
def set_calendar(
    first: Annotated[str, typer.Option(help="No cycle is cut off before this day, YYYY-MM-DD.")],
    reason: Reason,
    days: Annotated[str, typer.Option(help="Days of each month, such as 15,31; 31 is its last day.")] = "",
    every: Annotated[int, typer.Option(help="Or: every so many days from --first on, such as 14.")] = 0,
    pay_after: Annotated[int, typer.Option(help="Payments are dated so many days after the cut-off.")] = 0,
    book: Book = None,
) -> None:
    """Say when cycles are cut off. What was said before is kept.

    Example: ledger pay-cycle set-calendar --days 15,31 --first 2026-01-15 --pay-after 5 --reason "terms of 2026"
    """
    try:
        of_month = [int(day) for day in days.split(",") if day]
    except ValueError:
        raise typer.BadParameter("write days of the month with commas between: 15,31") from None
    wanted = pb.PayCalendar(
        days_of_month=of_month, every_days=every, first_cut_off=first, days_to_payment=pay_after
    )

    async def work(asking: Asking) -> pb.SetPayCalendarResponse:
        request = pb.SetPayCalendarRequest(book=asking.book, calendar=wanted, reason=reason)
        return await asking.cycles.SetPayCalendar(request, asking.context)

    print(f"version {asked('set-calendar', book, work).set.version} of the calendar is in force")


# --- a cycle ------------------------------------------------------------------------------------------


@app.command()
def preview(cut_off: CutOff, book: Book = None) -> None:
    """Show what a cycle would pay, and to whom nothing and why. Nothing is recorded, and nobody waits.

    Example: ledger pay-cycle preview 2026-04-15
    """

    async def work(asking: Asking) -> tuple[pb.PayCycle, list[pb.PayLine]]:
        lines: list[pb.PayLine] = []
        request = pb.RunPayCycleRequest(
            book=asking.book, cut_off=cut_off, validate_only=True, page_size=_WHOLE_PAGE
        )
        while True:
            page = await asking.cycles.RunPayCycle(request, asking.context)
            lines += page.lines
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return page.cycle, lines

    print_cycle(*asked("preview", book, work))


@app.command()
def propose(cut_off: CutOff, reason: Reason, book: Book = None) -> None:
    """Propose a cycle to a second person. What is shown is what will be paid, or less, never more.

    Example: ledger pay-cycle propose 2026-04-15 --reason "first half of April"
    """

    async def work(asking: Asking) -> approvals_pb2.Proposal:
        running = pb.RunPayCycleRequest(book=asking.book, cut_off=cut_off)
        act = approvals_pb2.Act(run_pay_cycle=running)
        return await proposed(asking, act, f"pay-cycle propose {cut_off}: {reason}", reason)

    found = asked("propose", book, work)
    print_cycle(found.preview.pay_cycle, [])
    _tell(found)


def _tell(found: approvals_pb2.Proposal) -> None:
    """What another must type to approve it."""
    print(f"proposal {found.number} is {word(approvals_pb2.ProposalState, found.state)}; another approves it:")
    print(f'ledger pay-cycle approve {found.number} --hash {found.content_hash.hex()} --reason "…"')


@app.command()
def approve(
    proposal: Annotated[int, typer.Argument(help="The number of the proposal.")],
    content_hash: Annotated[str, typer.Option("--hash", help="What propose has shown: what was seen is paid.")],
    reason: Reason,
    book: Book = None,
) -> None:
    """Approve a proposed cycle, or a change of bank details. Never by whoever has proposed it.

    Example: ledger pay-cycle approve 7 --hash 1f0c… --reason "agrees with the sessions"
    """
    try:
        seen = bytes.fromhex(content_hash)
    except ValueError:
        raise typer.BadParameter("--hash is 64 hexadecimal digits") from None

    async def work(asking: Asking) -> None:
        request = approvals_pb2.ApproveRequest(book=asking.book, number=proposal, content_hash=seen, reason=reason)
        await asking.approvals.Approve(request, asking.context)

    asked("approve", book, work)
    print(f"proposal {proposal} is approved")


@app.command("run")
def run_command(cut_off: CutOff, book: Book = None) -> None:
    """Post a cycle that is approved. Where it was stopped half-way, it goes on behind the last payment.

    The exit code is not zero where somebody was left out because the books changed after the approval.

    Example: ledger pay-cycle run 2026-04-15
    """

    async def work(asking: Asking) -> pb.RunPayCycleResponse:
        request = pb.RunPayCycleRequest(book=asking.book, cut_off=cut_off)
        return await asking.cycles.RunPayCycle(request, asking.context)

    found = asked("run", book, work)
    print_cycle(found.cycle, [])
    if found.replayed:
        print("it was posted before; nothing is posted again")
    if any(one.outcome == pb.PAY_LINE_OUTCOME_CHANGED for one in found.cycle.counts):
        print(f"some were left to the next cycle: ledger pay-cycle show {cut_off}")
        raise typer.Exit(1)


@app.command("list")
def list_command(book: Book = None) -> None:
    """List the cycles that were approved, newest first.

    Example: ledger pay-cycle list
    """

    async def work(asking: Asking) -> list[pb.PayCycle]:
        request = pb.ListPayCyclesRequest(book=asking.book, page_size=_WHOLE_PAGE)
        return [*(await asking.cycles.ListPayCycles(request, asking.context)).cycles]

    shown = table("cycle", "pay date", "state", right=("lines", "paid"))
    for one in asked("list", book, work):
        paid = ", ".join(money(total.paid) for total in one.totals)
        shown.add_row(one.cycle, one.pay_date, word(pb.PayCycleState, one.state), f"{one.line_count:,}", paid)
    print_table(shown)


@app.command()
def show(
    cycle: Annotated[str, typer.Argument(help="A cut-off, or the number of a proposal.")], book: Book = None
) -> None:
    """Show a cycle with what became of every provider in it.

    Example: ledger pay-cycle show 2026-04-15
    """

    async def work(asking: Asking) -> tuple[pb.PayCycle, list[pb.PayLine]]:
        lines: list[pb.PayLine] = []
        request = pb.GetPayCycleRequest(book=asking.book, page_size=_WHOLE_PAGE)
        if cycle.isdecimal():
            request.proposal = int(cycle)
        else:
            request.cycle = cycle
        while True:
            page = await asking.cycles.GetPayCycle(request, asking.context)
            lines += page.lines
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return page.cycle, lines

    print_cycle(*asked("show", book, work))


# --- who ----------------------------------------------------------------------------------------------


@app.command()
def hold(provider: Provider, reason: Reason, book: Book = None) -> None:
    """Keep a provider out of all cycles from now on. What is due goes on adding up.

    Example: ledger pay-cycle hold PT-07 --reason "licence lapsed"
    """

    async def work(asking: Asking) -> None:
        request = pb.HoldProviderRequest(book=asking.book, provider=provider, reason=reason)
        await asking.cycles.HoldProvider(request, asking.context)

    asked("hold", book, work)
    print(f"{printable(provider)} is held")


@app.command()
def release(provider: Provider, reason: Reason, book: Book = None) -> None:
    """Let cycles pay a provider again, with what was held.

    Example: ledger pay-cycle release PT-07 --reason "licence renewed"
    """

    async def work(asking: Asking) -> None:
        request = pb.ReleaseProviderRequest(book=asking.book, provider=provider, reason=reason)
        await asking.cycles.ReleaseProvider(request, asking.context)

    asked("release", book, work)
    print(f"{printable(provider)} is not held")


@app.command()
def payee(
    name: Annotated[str, typer.Option(help="The name on the account, at most 22 characters.")],
    reason: Reason,
    provider: Annotated[str, typer.Option(help="Whose account; left out: the company's own.")] = "",
    company: Annotated[
        bool, typer.Option("--company", help="A company's account rather than a person's.")
    ] = False,
    kind: Annotated[AccountKind, typer.Option("--type", help="What kind of account.")] = AccountKind.CHECKING,
    currency: Annotated[str, typer.Option(help="Its currency.")] = "USD",
    company_id: Annotated[str, typer.Option(help="Of the company itself: ten characters, from its bank.")] = "",
    bank_name: Annotated[str, typer.Option(help="Of the company itself: its bank.")] = "",
    routing: Annotated[str, typer.Option(prompt="Routing number", hide_input=True, help="Asked for unseen.")] = "",
    account: Annotated[str, typer.Option(prompt="Account number", hide_input=True, help="Asked for unseen.")] = "",
    book: Book = None,
) -> None:
    """Set bank details. The first are in force at once; a change is proposed, and in force once another approves.

    Routing and account number are asked for, so that they stay out of the shell's history.

    Example: ledger pay-cycle payee --provider PT-07 --name "Pat Example" --reason "form of 3 April"
    """
    is_company = company or not provider
    wanted = pb.SetPayeeRequest(
        provider=provider,
        name=name,
        holder=pb.ACCOUNT_HOLDER_COMPANY if is_company else pb.ACCOUNT_HOLDER_PERSON,
        account_type=pb.BankAccountType.Value(f"BANK_ACCOUNT_TYPE_{kind.upper()}"),
        routing_number=routing,
        account_number=account,
        currency_code=currency,
        company_id=company_id,
        bank_name=bank_name,
        reason=reason,
    )

    async def work(asking: Asking) -> tuple[pb.Payee, approvals_pb2.Proposal | None]:
        wanted.book = asking.book
        found = (await asking.cycles.SetPayee(wanted, asking.context)).payee
        if found.in_force:
            return found, None
        act = approvals_pb2.Act(accept_payee=pb.AcceptPayee(provider=provider, version=found.version))
        return found, await proposed(asking, act, f"payee {found.version} of {provider}", reason)

    found, proposal = asked("payee", book, work)
    state = "waits for a second person" if proposal else "is in force"
    print(f"version {found.version}, account ending in {found.last_four}, {state}")
    if proposal:
        _tell(proposal)


# --- the bank -----------------------------------------------------------------------------------------


@app.command("file")
def file_command(
    cut_off: CutOff,
    output: Annotated[Path, typer.Option(help="The file to write; it has account numbers in it.")],
    reason: Reason,
    form: Annotated[FileFormat, typer.Option("--format", help="What the bank takes.")] = FileFormat.NACHA,
    currency: Annotated[str, typer.Option(help="Payments of this currency; NACHA is in USD.")] = "USD",
    book: Book = None,
) -> None:
    """Write the payment file of a cycle: the same bytes every time. Who reads it and why is recorded.

    Example: ledger pay-cycle file 2026-04-15 --output april.ach --reason "upload to the bank"
    """
    kind = pb.PaymentFileFormat.Value(f"PAYMENT_FILE_FORMAT_{form.upper()}")

    async def work(asking: Asking) -> bytes:
        request = pb.GetPaymentFileRequest(
            book=asking.book, cycle=cut_off, format=kind, currency_code=currency, reason=reason
        )
        return b"".join([part.chunk async for part in asking.cycles.GetPaymentFile(request, asking.context)])

    content = asked("file", book, work)
    output.touch(mode=0o600)
    output.write_bytes(content)
    print(f"{output}: {len(content):,} bytes")


@app.command()
def sent(cut_off: CutOff, day: Day, reason: Reason, provider: Providers = None, book: Book = None) -> None:
    """Say that payments went to the bank: all of the cycle, or those of some providers.

    Example: ledger pay-cycle sent 2026-04-15 --day 2026-04-16 --reason "upload 4711"
    """

    async def work(asking: Asking) -> pb.MarkSentResponse:
        request = pb.MarkSentRequest(
            book=asking.book, cycle=cut_off, providers=provider or (), day=day, reason=reason
        )
        return await asking.cycles.MarkSent(request, asking.context)

    print(f"{asked('sent', book, work).payment_count:,} payments are marked as sent")


@app.command()
def settled(cut_off: CutOff, day: Day, reason: Reason, provider: Providers = None, book: Book = None) -> None:
    """Say that the bank has paid: what was in transit leaves the company's cash.

    Example: ledger pay-cycle settled 2026-04-15 --day 2026-04-20 --reason "statement of 20 April"
    """

    async def work(asking: Asking) -> pb.MarkSettledResponse:
        request = pb.MarkSettledRequest(
            book=asking.book, cycle=cut_off, providers=provider or (), day=day, reason=reason
        )
        return await asking.cycles.MarkSettled(request, asking.context)

    found = asked("settled", book, work)
    entries = ", ".join(map(str, found.entry_numbers)) or "none"
    print(f"{found.payment_count:,} payments are settled; entries: {entries}")


@app.command("return")
def return_command(cut_off: CutOff, provider: Provider, day: Day, reason: Reason, book: Book = None) -> None:
    """Say that a payment came back: it is payable again, and the next cycle pays it.

    Example: ledger pay-cycle return 2026-04-15 PT-07 --day 2026-04-22 --reason "R03 no account"
    """

    async def work(asking: Asking) -> pb.ReturnPaymentResponse:
        request = pb.ReturnPaymentRequest(
            book=asking.book, cycle=cut_off, provider=provider, day=day, reason=reason
        )
        return await asking.cycles.ReturnPayment(request, asking.context)

    print(f"the payment to {printable(provider)} came back with entry {asked('return', book, work).entry_number}")
