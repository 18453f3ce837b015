"""The door of a server that stops: whoever is in may finish, whoever comes is told to go elsewhere.

gRPC cancels a call that has come in and that the server has not begun when it stops (grpc/grpc#41785), and what is
cancelled tells a client nothing. So whoever knocks while the server stops may begin, waits until the door is shut,
and is then told UNAVAILABLE. Nobody knocks any more once all who call have been answered, or wait here.
"""

import asyncio

from ledger.errors import ServerStopping

_QUIET_SECONDS = 0.2
_LONGEST_SECONDS = 1.0


class Door:
    """Open until the server stops."""

    def __init__(self) -> None:
        """Open."""
        self._closing = False
        self._shut = asyncio.Event()
        self._knocks = 0

    async def enter(self) -> None:
        """Returns at once while it is open. Raises ServerStopping, once it is shut."""
        if self._closing:
            self._knocks += 1
            await self._shut.wait()
            raise ServerStopping("the server stops; nothing was recorded; another server, or the next, answers")

    @property
    def waiting(self) -> int:
        """How many have knocked since it began to close."""
        return self._knocks

    def close(self) -> None:
        """From now on whoever comes waits until it is shut."""
        self._closing = True

    async def quiet(self, longest_seconds: float) -> None:
        """Closes; returns when nobody has knocked for a moment, or has not stopped knocking."""
        self.close()
        loop = asyncio.get_running_loop()
        ends = loop.time() + min(longest_seconds, _LONGEST_SECONDS)
        knocks = -1
        while knocks != self._knocks and loop.time() < ends:
            knocks = self._knocks
            await asyncio.sleep(min(_QUIET_SECONDS, longest_seconds))

    def shut(self) -> None:
        """Whoever waits is told."""
        self._shut.set()
