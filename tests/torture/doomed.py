"""A client in a process of its own that asks for much at once, and is killed before it has its answers."""

import asyncio
import sys
from random import Random
from typing import Any

from ledger.v1.postings_pb2_grpc import PostingsServiceStub
from torture.clients import WAYS, Asked, call_of, channel


def calls(prefix: str, count: int) -> list[tuple[str, Any, dict[str, Asked]]]:
    """What it asks for: for the same prefix always the same, so that somebody else can ask again."""
    lots = Random(prefix)
    ways = [WAYS[n % len(WAYS)] for n in range(count)]
    return [(way, *call_of(way, f"{prefix}-{n}", lots)) for n, way in enumerate(ways)]


async def main(address: str, prefix: str, count: int) -> None:
    """Asks for everything at once, says so, and waits."""
    async with channel(address) as opened:
        await opened.channel_ready()
        stub = PostingsServiceStub(opened)
        waiting = [getattr(stub, way)(request) for way, request, _ in calls(prefix, count)]
        print("asked", flush=True)
        await asyncio.gather(*waiting)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
