"""The program without the upkeep of Merkle trees, and the same in all else: what posting is compared with."""

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.audit import tree
from service.__main__ import main


async def nothing(_: AsyncEngine) -> int:
    """No subtree is kept."""
    return 0


if __name__ == "__main__":
    tree.fill = nothing  # type: ignore[assignment]  # the one thing that differs
    main()
