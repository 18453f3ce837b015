"""A service asked from the command line: in this process, in the name of the system's user."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import caller
from service import settings
from service.connecting import done
from service.noting import noted, system_user

T = TypeVar("T")
CONTEXT = cast("Any", None)
"""What gRPC hands over beside a request; there is none here, and the services do not look at it."""


def called(command: str, book: str | None, work: Callable[[AsyncEngine, str], Awaitable[T]]) -> T:
    """What the work answers on the settings' database and a book, in books that are guarded."""
    chosen = book or settings.read().book

    async def working(database: AsyncEngine) -> T:
        caller.actor.set(system_user())
        return await work(database, chosen)

    with noted(command, chosen):
        return done(working)
