"""Several server processes on one port. Each is a whole server; the heads of the books put their entries in order.

The first process holds the port, starts the workers, starts one anew that ends by itself, and stops all when it is
told. A worker stops when the first process is gone, however that ended.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from service.server import AddressRefused, parts

log = structlog.get_logger()

_AGAIN_SECONDS = 1.0
_STOPPED = (0, -signal.SIGTERM, 128 + signal.SIGTERM)
"""How a worker ends that is told to: in good order; while it starts, by the signal or by the exit code for it."""


@contextmanager
def held(address: str) -> Iterator[str]:
    """Keeps an address for processes that share it; port 0 takes a free one. Raises AddressRefused."""
    host, port = parts(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            holder.bind((host, port))
        except OSError as taken:
            raise AddressRefused(f"cannot listen on {address}: {taken.strerror}") from taken
        yield f"{address.rpartition(':')[0]}:{holder.getsockname()[1]}"


@dataclass(slots=True)
class _Workers:
    """The processes that serve, and whether they are to stop."""

    command: Sequence[str]
    metrics: str | None
    running: dict[int, asyncio.subprocess.Process] = field(default_factory=dict)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    clean: bool = True

    async def begun(self, number: int) -> bool:
        """Starts one; whether it serves."""
        process = await asyncio.create_subprocess_exec(
            *self.command,
            env=self._environment(number),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the first process, which then stops them
        )
        self.running[number] = process
        if self.stopping.is_set():  # all were told meanwhile, but for this one
            process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        return bool(await process.stdout.readline())

    async def kept(self, number: int) -> None:
        """Starts it anew as often as it ends, until all are to stop."""
        while True:
            code = await self.running[number].wait()
            if self.stopping.is_set():
                self.clean &= code in _STOPPED
                return
            log.warning("a worker ended", worker=number, exit_code=code)
            await asyncio.sleep(_AGAIN_SECONDS)
            if not self.stopping.is_set():
                await self.begun(number)

    def tell(self, number: signal.Signals) -> None:
        """Passes a signal on."""
        for process in self.running.values():
            if process.returncode is None:
                process.send_signal(number)

    def stop(self) -> None:
        """Tells every worker to finish its calls."""
        self.stopping.set()
        self.tell(signal.SIGTERM)

    def _environment(self, number: int) -> dict[str, str]:
        """Our own; each worker offers its metrics on a port of its own, one after the other."""
        if self.metrics is None:
            return {**os.environ}
        host, port = parts(self.metrics)
        return {**os.environ, "LEDGER_METRICS_LISTEN": f"{host}:{port + number}"}


async def run(count: int, address: str, more: Sequence[str], metrics: str | None, told: str) -> int:
    """Serves with so many workers on an address that is held, until SIGTERM or SIGINT; returns the exit code.

    `more` are further arguments of `ledger serve`, `told` is printed once all of them serve.
    """
    command = [sys.executable, "-m", "service", "serve", "--listen", address, "--worker", *more]
    workers = _Workers(command, metrics)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, workers.stop)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, workers.tell, signal.SIGHUP)
    serving = await asyncio.gather(*(workers.begun(number) for number in range(count)))
    if all(serving) and not workers.stopping.is_set():
        print(told, flush=True)
    else:
        workers.stop()
    await asyncio.gather(*(workers.kept(number) for number in workers.running))
    return 0 if all(serving) and workers.clean else 1
