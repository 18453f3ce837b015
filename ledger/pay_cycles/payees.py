"""Where bank details are kept: routing and account number sealed, and opened for a payment file alone."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from sqlalchemy import Row, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import recording
from ledger.errors import FileDamaged, FileKeyUnknown
from ledger.pay_cycles.payee import AccountType, BankAccount, Holder, Payee, decoded, in_force
from ledger.pay_cycles.refusals import PayeeNotFound
from ledger.schema import payee_acceptances, payees
from ledger.sealing import NONCE_BYTES, SealBroken, Sealed, Sealing, SealUnknown

_ACCEPTED = (
    (payee_acceptances.c.book == payees.c.book)
    & (payee_acceptances.c.provider == payees.c.provider)
    & (payee_acceptances.c.version == payees.c.version)
)
_SEALED_OTHERWISE = text("""
    SELECT book, provider, version, content, key_name, nonce FROM payees
    WHERE key_name <> :key_name ORDER BY book, provider, version
""")
_RESEAL = text("""
    UPDATE payees SET content = :content, key_name = :key_name, nonce = :nonce
    WHERE book = :book AND provider = :provider AND version = :version
""")
_SHOWN = tuple(one.name for one in fields(Payee) if one.name != "proposal")


@dataclass(frozen=True, slots=True)
class Payees:
    """Bank details, under our keys."""

    sealing: Sealing

    async def insert(self, connection: AsyncConnection, book: str, new: Payee, account: BankAccount) -> None:
        """Writes a new version, its account sealed."""
        row = {name: getattr(new, name) for name in _SHOWN} | {"book": book}
        await connection.execute(
            insert(payees), row | self._sealed(book, new.provider, new.version, account.encoded())
        )

    async def accounts(
        self, connection: AsyncConnection, book: str, wanted: Mapping[str, int]
    ) -> dict[str, tuple[Payee, BankAccount]]:
        """Versions of bank details with their accounts, by provider. Raises PayeeNotFound and as `opened`."""
        found = {
            row.provider: row for row in await _rows(connection, book) if wanted.get(row.provider) == row.version
        }
        if missing := wanted.keys() - found.keys():
            raise _nobody(min(missing))
        return {provider: (_payee(row), self.opened(row)) for provider, row in found.items()}

    async def same_as_newest(
        self, connection: AsyncConnection, book: str, new: Payee, account: BankAccount
    ) -> Payee | None:
        """The newest version where it says the same; None where it does not, or where there is none."""
        rows = await _rows(connection, book, new.provider)
        if not rows:
            return None
        newest = _payee(rows[0])
        return newest if newest.says() == new.says() and self.opened(rows[0]) == account else None

    def opened(self, row: Row[Any]) -> BankAccount:
        """The account that was sealed. Raises FileKeyUnknown or FileDamaged."""
        sealed = Sealed(row.content, row.key_name, row.nonce)
        try:
            return decoded(self.sealing.open(sealed, _place(row.book, row.provider, row.version)))
        except SealUnknown as unknown:
            told = f"bank details are sealed under the key {unknown}, which is not known"
            raise FileKeyUnknown(told, key=unknown) from None
        except SealBroken:
            raise FileDamaged(
                f"version {row.version} of bank details is not as it was sealed", sha256=""
            ) from None

    async def reseal(self, database: AsyncEngine) -> int:
        """Seals under the first key whatever is not; returns how many. As the owner: the program may not."""
        async with recording(database) as connection:
            await connection.execute(text("SET LOCAL ROLE NONE"))
            rows = (await connection.execute(_SEALED_OTHERWISE, {"key_name": self.sealing.key_name})).all()
            for row in rows:
                place = {"book": row.book, "provider": row.provider, "version": row.version}
                again = self._sealed(**place, content=self.opened(row).encoded())
                await connection.execute(_RESEAL, {**place, **again})
        return len(rows)

    def _sealed(self, book: str, provider: str, version: int, content: bytes) -> dict[str, object]:
        sealed = self.sealing.seal(content, _place(book, provider, version), os.urandom(NONCE_BYTES))
        return {"content": sealed.content, "key_name": sealed.key_name, "nonce": sealed.nonce}


async def versions(connection: AsyncConnection, book: str, provider: str) -> list[Payee]:
    """All versions of somebody's bank details, newest first, without the accounts. Raises PayeeNotFound."""
    rows = await _rows(connection, book, provider)
    if not rows:
        raise _nobody(provider)
    return [_payee(row) for row in rows]


async def current(connection: AsyncConnection, book: str, provider: str) -> Payee:
    """The bank details that count. Raises PayeeNotFound."""
    found = in_force(await versions(connection, book, provider))
    if found is None:
        raise _nobody(provider)
    return found


async def next_version(connection: AsyncConnection, book: str, provider: str) -> int:
    """The version that somebody's bank details get next, under the head lock."""
    rows = await _rows(connection, book, provider)
    return rows[0].version + 1 if rows else 1


async def accept(connection: AsyncConnection, book: str, accepted: Payee, proposal: int) -> Payee:
    """Writes that a version is in force, beside the decision on its proposal."""
    row = {"book": book, "provider": accepted.provider, "version": accepted.version, "set_by": accepted.set_by}
    await connection.execute(insert(payee_acceptances), {**row, "proposal": proposal})
    return replace(accepted, proposal=proposal)


async def _rows(connection: AsyncConnection, book: str, provider: str | None = None) -> Sequence[Row[Any]]:
    """Versions of one or of all, newest first."""
    wanted = select(payees, payee_acceptances.c.proposal).join(payee_acceptances, _ACCEPTED, isouter=True)
    wanted = wanted.where(payees.c.book == book).order_by(payees.c.provider, payees.c.version.desc())
    if provider is not None:
        wanted = wanted.where(payees.c.provider == provider)
    return (await connection.execute(wanted)).all()


def _payee(row: Row[Any]) -> Payee:
    shown = {name: getattr(row, name) for name in _SHOWN}
    kinds = {"holder": Holder(row.holder), "account_type": AccountType(row.account_type)}
    return Payee(**(shown | kinds), proposal=row.proposal)


def _place(book: str, provider: str, version: int) -> bytes:
    """What binds an account to its place, so that none can stand for another."""
    return b"\0".join((b"payee", book.encode(), provider.encode(), str(version).encode()))


def _nobody(provider: str) -> PayeeNotFound:
    whom = f"provider {provider}" if provider else "the company's own account"
    return PayeeNotFound(f"no bank details of {whom} are known", provider=provider)
