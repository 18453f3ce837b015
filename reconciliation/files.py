"""Where the bytes of deliveries are kept, sealed, and who has read them."""

import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import recording
from ledger.errors import FileDamaged, FileKeyUnknown
from reconciliation.schema import delivery_parts, file_reads
from reconciliation.sealing import NONCE_BYTES, SealBroken, Sealed, Sealing, SealUnknown
from reconciliation.store import Delivery

_SEALED_OTHERWISE = text("""
    SELECT book, sha256, part, content, key_name, nonce FROM delivery_parts
    WHERE key_name <> :key_name ORDER BY book, sha256, part LIMIT 16
""")
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

    async def parts(self, connection: AsyncConnection, delivery: Delivery) -> AsyncIterator[bytes]:
        """The bytes of a delivery as they came, part by part. Raises FileKeyUnknown or FileDamaged."""
        found = delivery_parts.c
        wanted = select(delivery_parts).where(found.book == delivery.book, found.sha256 == delivery.sha256)
        digest = hashlib.sha256()
        rows = await connection.stream(wanted.order_by(found.part).execution_options(yield_per=1))
        async for row in rows:
            sealed = Sealed(row.content, row.key_name, row.nonce)
            content = self._opened(row.book, row.sha256, row.part, sealed)
            digest.update(content)
            yield content
        if digest.digest() != delivery.sha256:
            raise FileDamaged("a part of the file is missing", sha256=delivery.sha256.hex())

    async def reseal(self, database: AsyncEngine) -> int:
        """Seals under the first key whatever is not; returns how many parts. As the owner: the program may not."""
        count = 0
        while True:
            async with recording(database) as connection:
                await connection.execute(text("SET LOCAL ROLE NONE"))
                rows = (await connection.execute(_SEALED_OTHERWISE, {"key_name": self.sealing.key_name})).all()
                for row in rows:
                    sealed = Sealed(row.content, row.key_name, row.nonce)
                    content = self._opened(row.book, row.sha256, row.part, sealed)
                    place = {"book": row.book, "sha256": row.sha256, "part": row.part}
                    again = self._sealed(row.book, row.sha256, row.part, content)
                    await connection.execute(_RESEAL, {**place, **again})
            if not rows:
                return count
            count += len(rows)

    def _sealed(self, book: str, sha256: bytes, part: int, content: bytes) -> dict[str, object]:
        sealed = self.sealing.seal(content, _place(book, sha256, part), os.urandom(NONCE_BYTES))
        return {"content": sealed.content, "key_name": sealed.key_name, "nonce": sealed.nonce}

    def _opened(self, book: str, sha256: bytes, part: int, sealed: Sealed) -> bytes:
        try:
            return self.sealing.open(sealed, _place(book, sha256, part))
        except SealUnknown as unknown:
            raise FileKeyUnknown(
                f"the file is sealed under the key {unknown}, which is not known", key=unknown
            ) from None
        except SealBroken:
            raise FileDamaged(f"part {part} of the file is not as it was sealed", sha256=sha256.hex()) from None


IN_THE_OPEN = Files(Sealing())
"""Bytes as they came, for a database that nobody else can read."""


def _place(book: str, sha256: bytes, part: int) -> bytes:
    """What binds a part to its place, so that none can stand for another."""
    return b"\0".join((book.encode(), sha256, str(part).encode()))


async def record_read(connection: AsyncConnection, delivery: Delivery, actor: str, reason: str) -> None:
    """Says who reads a file and why."""
    values = {"book": delivery.book, "sha256": delivery.sha256, "actor": actor, "reason": reason}
    await connection.execute(insert(file_reads).values(values))
