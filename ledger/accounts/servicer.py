"""How books and accounts are asked for: `ledger.v1.AccountsService`."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import caller, fields, wire
from ledger.accounts import store
from ledger.accounts.account import (
    Account,
    BalanceLimit,
    Side,
    Totals,
    account_code,
    account_prefix,
    type_of,
    usual_side,
)
from ledger.database import reading, recording
from ledger.errors import (
    AccountClosed,
    AccountExists,
    AccountNotAtZero,
    AccountNotFound,
    BookExists,
    FieldMissing,
)
from ledger.money import plain
from ledger.postings import journal
from ledger.postings.batch import refuse_ambiguous
from ledger.v1 import accounts_pb2 as pb
from ledger.v1.accounts_pb2_grpc import AccountsServiceServicer
from ledger.wire import Context


class AccountsServicer(AccountsServiceServicer):
    """Answers AccountsService from PostgreSQL."""

    def __init__(self, database: AsyncEngine) -> None:
        """`database` works under the program's own role."""
        self._database = database

    async def OpenBook(self, request: pb.OpenBookRequest, context: Context) -> pb.OpenBookResponse:
        """Opens a book, or finds it open under the same name. Raises BookExists."""
        book = fields.book_name(request.book)
        name = fields.required("name", request.name)
        opened = await open_book(self._database, book, name, caller.actor.get())
        return pb.OpenBookResponse(book=_book(opened))

    async def ListBooks(self, request: pb.ListBooksRequest, context: Context) -> pb.ListBooksResponse:
        """The books that the caller may know of, in the order of their names."""
        async with reading(self._database) as connection:
            found = await store.find_books(connection)
        known = caller.books.get()
        return pb.ListBooksResponse(books=[_book(one) for one in found if known is None or one.book in known])

    async def OpenAccount(self, request: pb.OpenAccountRequest, context: Context) -> pb.OpenAccountResponse:
        """Opens an account, or finds it open on the same terms. Raises AccountExists, AccountCodeAmbiguous."""
        book, wanted = fields.book_name(request.book), _wanted(request)
        async with journal.posting(self._database, book) as (connection, _):
            found = {account.code: account for account, _ in await store.read(connection, book, [wanted.code])}
            refuse_ambiguous(wanted.code, {code.lower(): code for code in found})
            if existing := found.get(wanted.code):
                _refuse_other_terms(existing, wanted)
            else:
                await store.insert(connection, book, [wanted])
            return pb.OpenAccountResponse(account=_account(await _existing(connection, book, wanted.code)))

    async def GetAccount(self, request: pb.GetAccountRequest, context: Context) -> pb.GetAccountResponse:
        """One account. Raises AccountNotFound."""
        book, code = fields.book_name(request.book), account_code(request.code, "code")
        async with reading(self._database) as connection:
            await store.existing_book(connection, book)
            return pb.GetAccountResponse(account=_account(await _existing(connection, book, code)))

    async def ListAccounts(self, request: pb.ListAccountsRequest, context: Context) -> pb.ListAccountsResponse:
        """Accounts at and below a prefix, a page at a time."""
        book = fields.book_name(request.book)
        prefix = account_prefix(request.prefix) if request.prefix else ""
        size, after = wire.page_size(request.page_size), wire.page_start(request)
        async with reading(self._database) as connection:
            await store.existing_book(connection, book)
            found = await store.find(connection, book, prefix, after, size + 1)
        more = wire.page_token(request, found[size - 1].code) if len(found) > size else ""
        return pb.ListAccountsResponse(accounts=map(_account, found[:size]), next_page_token=more)

    async def CloseAccount(self, request: pb.CloseAccountRequest, context: Context) -> pb.CloseAccountResponse:
        """Closes an account at zero. Raises AccountNotFound, AccountClosed or AccountNotAtZero."""
        book, code = fields.book_name(request.book), account_code(request.code, "code")
        reason = fields.required("reason", request.reason, fields.TEXT_LENGTH)
        async with journal.posting(self._database, book) as (connection, _):
            found = {
                account.code: (account, totals) for account, totals in await store.read(connection, book, [code])
            }
            if code not in found:
                raise _unknown(code)
            _refuse_closing(*found[code])
            closed = await store.close(connection, book, code, caller.actor.get(), reason)
            return pb.CloseAccountResponse(account=_account(closed))

    async def GetBalance(self, request: pb.GetBalanceRequest, context: Context) -> pb.GetBalanceResponse:
        """The balance of an account or a prefix, up to a day or altogether. Raises AccountNotFound."""
        book, below = fields.book_name(request.book), request.WhichOneof("target") == "prefix"
        code = account_prefix(request.prefix) if below else account_code(_named(request))
        as_of = fields.optional_day("as_of", request.as_of)
        async with reading(self._database) as connection:
            await store.existing_book(connection, book)
            sums, count = await store.sums(connection, book, code, as_of, below=below)
        if not count and not below:
            raise _unknown(code)
        return pb.GetBalanceResponse(balances=_balances(sums), account_count=count)


async def open_book(database: AsyncEngine, book: str, name: str, actor: str) -> store.Book:
    """Opens a book once; the same name again is the same opening. Raises BookExists."""
    async with recording(database) as connection:
        await store.open_book(connection, book, name, actor)
        opened = await store.existing_book(connection, book)
    if opened.name != name:
        raise BookExists(f"book {book} is open under the name {opened.name}", book=book, differs="name")
    return opened


def _named(request: pb.GetBalanceRequest) -> str:
    if not request.account:
        raise FieldMissing("account or prefix is required", field="account")
    return request.account


def _wanted(request: pb.OpenAccountRequest) -> Account:
    code = account_code(fields.required("code", request.code, 1_000), "code")
    return Account(
        code=code,
        currency=fields.currency("currency_code", fields.required("currency_code", request.currency_code)),
        normal_side=fields.choice("normal_side", request.normal_side, _SIDES) or usual_side(type_of(code)),
        balance_limit=fields.choice("balance_limit", request.balance_limit, _LIMITS),
        item_required=request.item_required,
        opened_by=caller.actor.get(),
    )


_SIDES: Mapping[int, Side] = {pb.SIDE_DEBIT: Side.DEBIT, pb.SIDE_CREDIT: Side.CREDIT}
_LIMITS: Mapping[int, BalanceLimit] = {
    pb.BALANCE_LIMIT_MUST_NOT_GO_DEBIT: BalanceLimit.MUST_NOT_GO_DEBIT,
    pb.BALANCE_LIMIT_MUST_NOT_GO_CREDIT: BalanceLimit.MUST_NOT_GO_CREDIT,
}


def _refuse_other_terms(existing: Account, wanted: Account) -> None:
    if existing.closed_at is not None:
        raise AccountClosed(f"{existing.code} is closed", account=existing.code)
    here, there = existing.terms(), wanted.terms()
    differs = [name for name in here if here[name] != there[name]]
    if differs:
        raise AccountExists(
            f"{existing.code} is open with another {', '.join(differs)}",
            account=existing.code,
            differs=", ".join(differs),
        )


def _refuse_closing(account: Account, totals: Totals) -> None:
    if account.closed_at is not None:
        raise AccountClosed(f"{account.code} is closed", account=account.code)
    if totals.balance:
        side = "Dr" if totals.balance > 0 else "Cr"
        balance = f"{plain(abs(totals.balance), account.currency)} {side}"
        raise AccountNotAtZero(f"{account.code} stands at {balance}", account=account.code, balance=balance)


async def _existing(connection: AsyncConnection, book: str, code: str) -> Account:
    for account, _ in await store.read(connection, book, [code]):
        if account.code == code:
            return account
    raise _unknown(code)


def _unknown(code: str) -> AccountNotFound:
    return AccountNotFound(f"no account {code}", account=code)


def _book(book: store.Book) -> pb.Book:
    return pb.Book(
        book=book.book,
        name=book.name,
        opened_at=wire.moment(book.opened_at),
        last_number=book.last_number,
        last_hash=book.last_hash,
    )


def _account(account: Account) -> pb.Account:
    limit = (account.balance_limit or "unspecified").upper()
    return pb.Account(
        code=account.code,
        type=pb.AccountType.Value(f"ACCOUNT_TYPE_{account.type.upper()}"),
        currency_code=account.currency,
        normal_side=wire.side(account.normal_side),
        balance_limit=pb.BalanceLimit.Value(f"BALANCE_LIMIT_{limit}"),
        item_required=account.item_required,
        opened_at=wire.moment(account.opened_at),
        closed_at=wire.moment(account.closed_at),
        opened_by=account.opened_by,
        closed_by=account.closed_by,
        close_reason=account.close_reason,
    )


def _balances(sums: Mapping[str, Totals]) -> list[pb.Balance]:
    return [wire.balance(totals, currency) for currency, totals in sums.items()]
