"""Where the bytes of deliveries are kept, sealed, and who has read them."""

import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Any

from sqlalchemy import Row, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import reading, recording
from ledger.errors import FileDamaged, FileKeyUnknown, Refusal
from ledger.sealing import NONCE_BYTES, SealBroken, Sealed, Sealing, SealUnknown
from reconciliation.schema import delivery_parts, file_reads
from reconciliation.store import Delivery

_SEALED_OTHERWISE = text("""
    SELECT book, sha256, part, content, key_name, nonce FROM delivery_parts
    WHERE key_name <> :key_name AND (book, sha256, part) > (:book, :sha256, :part)
    ORDER BY book, sha256, part LIMIT 16
""")
_FIRST = {"book": "", "sha256": b"", "part": 0}
_RESEAL = text("""
    UPDATE delivery_parts SET content = :content, key_name = :key_name, nonce = :nonce
    WHERE book = :book AND sha256 = :sha256 AND part = :part
""")


@dataclass(frozen=True, slots=True)
class Files:
    """The bytes of deliveries, under our keys."""

    sealing: Sealing

    async def add_part(self, connection: AsyncConnection, delivery: Delivery, part: int, content: bytes) -> None:
        """Writes one part of a delivery's bytes, sealed."""
        sealed = self._sealed(delivery.book, delivery.sha256, part, content)
        key = {"book": delivery.book, "sha256": delivery.sha256, "part": part}
        await connection.execute(insert(delivery_parts).values({**key, **sealed}))

    async def parts(self, database: AsyncEngine, delivery: Delivery) -> AsyncIterator[bytes]:
        """The bytes of a delivery as they came, part by part. Raises FileKeyUnknown or FileDamaged.

        No connection is held while a part is out: whoever reads may be slow, and others need it.
        """
        digest, part = hashlib.sha256(), 0
        while row := await _kept(database, delivery, part := part + 1):
            content = self._opened(row)
            digest.update(content)
            yield content
        if digest.digest() != delivery.sha256:
            raise FileDamaged("a part of the file is missing", sha256=delivery.sha256.hex())

    @asynccontextmanager
    async def whole(self, database: AsyncEngine, delivery: Delivery) -> AsyncIterator[IO[bytes]]:
        """The bytes of a delivery as a file, for as long as the block. Raises FileKeyUnknown or FileDamaged."""
        with tempfile.TemporaryFile() as file:
            async for content in self.parts(database, delivery):
                file.write(content)
            yield file

    async def reseal(self, database: AsyncEngine) -> int:
        """Seals under the first key whatever is not; returns how many parts. As the owner: the program may not.

        A part that cannot be opened stays as it is. Raises FileKeyUnknown or FileDamaged of the first such part,
        once all others are done.
        """
        count, after = 0, _FIRST
        unopened: Refusal | None = None
        while rows := await self._sealed_otherwise(database, after):
            after = _place_of(rows[-1])
            async with _as_owner(database) as connection:
                for row in rows:
                    try:
                        content = self._opened(row)
                    except (FileKeyUnknown, FileDamaged) as refusal:
                        unopened = unopened or refusal
                        continue
                    again = self._sealed(row.book, row.sha256, row.part, content)
                    await connection.execute(_RESEAL, {**_place_of(row), **again})
                    count += 1
        if unopened:
            raise unopened
        return count

    async def _sealed_otherwise(self, database: AsyncEngine, after: dict[str, Any]) -> Sequence[Row[Any]]:
        async with _as_owner(database) as connection:
            asked = {**after, "key_name": self.sealing.key_name}
            return (await connection.execute(_SEALED_OTHERWISE, asked)).all()

    def _sealed(self, book: str, sha256: bytes, part: int, content: bytes) -> dict[str, object]:
        sealed = self.sealing.seal(content, _place(book, sha256, part), os.urandom(NONCE_BYTES))
        return {"content": sealed.content, "key_name": sealed.key_name, "nonce": sealed.nonce}

    def _opened(self, row: Row[Any]) -> bytes:
        place, file = _place(row.book, row.sha256, row.part), row.sha256.hex()
        try:
            return self.sealing.open(Sealed(row.content, row.key_name, row.nonce), place)
        except SealUnknown as unknown:
            told = f"the file {file} is sealed under the key {unknown}, which is not known"
            raise FileKeyUnknown(told, key=unknown) from None
        except SealBroken:
            told = f"part {row.part} of the file {file} is not as it was sealed under the key {row.key_name}"
            raise FileDamaged(f"{told}, or another key has that name", sha256=file) from None


IN_THE_OPEN = Files(Sealing())
"""Bytes as they came, for a database that nobody else can read."""


def _place(book: str, sha256: bytes, part: int) -> bytes:
    """What binds a part to its place, so that none can stand for another."""
    return b"\0".join((book.encode(), sha256, str(part).encode()))


def _place_of(row: Row[Any]) -> dict[str, Any]:
    return {"book": row.book, "sha256": row.sha256, "part": row.part}


async def _kept(database: AsyncEngine, delivery: Delivery, part: int) -> Row[Any] | None:
    """One part as it is kept; None after the last one."""
    found = delivery_parts.c
    of = (found.book == delivery.book) & (found.sha256 == delivery.sha256) & (found.part == part)
    async with reading(database) as connection:
        return (await connection.execute(select(delivery_parts).where(of))).one_or_none()


@asynccontextmanager
async def _as_owner(database: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A database transaction that leaves the program's role for the login's own."""
    async with recording(database) as connection:
        await connection.execute(text("SET LOCAL ROLE NONE"))
        yield connection


async def record_read(connection: AsyncConnection, delivery: Delivery, actor: str, reason: str) -> None:
    """Says who reads a file and why."""
    values = {"book": delivery.book, "sha256": delivery.sha256, "actor": actor, "reason": reason}
    await connection.execute(insert(file_reads).values(values))
