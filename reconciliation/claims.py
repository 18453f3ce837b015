"""The claim payments of a file, in the portions in which they settle."""

from collections.abc import Iterator
from itertools import islice
from typing import IO

from reconciliation.remittance import ClaimPayment, RemittanceOpened, read
from reconciliation.turns import parts

CHUNK = 1_000
"""A remittance of so many claim payments settles in one database transaction."""
PORTION = 250
"""One of more settles in chunks of so many: who posts to the book meanwhile waits for a part of a batch."""


class Claims:
    """The claim payments of a file, read once from its beginning to its end."""

    def __init__(self, file: IO[bytes]) -> None:
        """Nothing is read yet."""
        self._events = read(parts(file))
        self._index = 0

    def chunks(self, index: int, count: int) -> Iterator[list[ClaimPayment]]:
        """Those of one remittance, which has `count`, in their chunks; one empty list where it has none."""
        of_remittance, size = self._of(index), CHUNK if count <= CHUNK else PORTION
        yield list(islice(of_remittance, size))
        while chunk := list(islice(of_remittance, size)):
            yield chunk

    def _of(self, index: int) -> Iterator[ClaimPayment]:
        """No remittance after another that comes later in the file."""
        while self._index <= index and (event := next(self._events, None)) is not None:
            if isinstance(event, RemittanceOpened):
                self._index = event.index
            elif isinstance(event, ClaimPayment) and self._index == index:
                yield event
