"""The claim payments of a file, in the portions in which they settle."""

from collections.abc import Iterator
from itertools import islice
from typing import IO

from reconciliation.remittance import ClaimPayment, RemittanceOpened, read
from reconciliation.turns import parts

CHUNK = 1_000
"""Claim payments that settle in one database transaction."""


class Claims:
    """The claim payments of a file, read once from its beginning to its end."""

    def __init__(self, file: IO[bytes]) -> None:
        """Nothing is read yet."""
        self._events = read(parts(file))
        self._index = 0

    def chunks(self, index: int) -> Iterator[list[ClaimPayment]]:
        """Those of one remittance, so many at a time; one empty list where it has none."""
        of_remittance = self._of(index)
        yield list(islice(of_remittance, CHUNK))
        while chunk := list(islice(of_remittance, CHUNK)):
            yield chunk

    def _of(self, index: int) -> Iterator[ClaimPayment]:
        """No remittance after another that comes later in the file."""
        while self._index <= index and (event := next(self._events, None)) is not None:
            if isinstance(event, RemittanceOpened):
                self._index = event.index
            elif isinstance(event, ClaimPayment) and self._index == index:
                yield event
