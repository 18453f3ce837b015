"""A file that arrives as a stream of messages: one header, then its bytes in parts."""

from collections.abc import AsyncIterator
from typing import IO, Any

from ledger.errors import FileTooLarge, StreamMisordered
from reconciliation.ingest import LARGEST_FILE


async def received(parts: AsyncIterator[Any], file: IO[bytes]) -> Any:
    """Writes the stream's bytes into a file and returns its header. Raises StreamMisordered or FileTooLarge."""
    header: Any = None
    async for part in parts:
        is_header = part.WhichOneof("part") == "header"
        if is_header == (header is not None):
            raise StreamMisordered("the stream is one header, then chunks of the file")
        if is_header:
            header = part.header
        elif file.tell() + len(part.chunk) > LARGEST_FILE:
            raise FileTooLarge(f"the file is larger than {LARGEST_FILE} bytes", limit=LARGEST_FILE)
        else:
            file.write(part.chunk)
    if header is None:
        raise StreamMisordered("the stream is empty; it begins with a header")
    return header
