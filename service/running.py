"""Runs the server until it is told to stop: in this process, or in several that share its port."""

import asyncio
import signal
import sys

import structlog
import uvloop

from service import server, tracing, workers
from service.admission import OPEN, Admission
from service.connecting import files_of, refuse_unguarded, refuse_unmigrated, signing_of
from service.settings import SettingRefused, Settings

log = structlog.get_logger()


def alone(url: str, address: str, door: Admission, known: Settings, more: str, *, shared: bool = False) -> None:
    """In this process; `more` is told with the address. `shared`: as one of several workers.

    Raises DatabaseUnfit, DatabaseUnavailable, AddressRefused or SettingRefused.
    """
    _refuse_unready(url)
    files, signing = files_of(known), signing_of(known)
    if door is OPEN:
        log.warning("callers are believed, not known", address=address)
    elif not files.sealing.keys:
        raise SettingRefused("LEDGER_FILE_KEYS is not set: remittance files, which name patients, would lie open")

    metrics = server.parts(server.listening(known.metrics_listen)) if known.metrics_listen else None
    traces = tracing.traces_of(known)

    async def serving() -> None:
        if door.callers is not None:
            door.callers.read_at_hang_up()
        started = await server.start(
            *(url, address, door, files),
            signing=signing,
            calls_per_caller=known.calls_per_caller,
            guard_seconds=known.guard_seconds,
            read_url=known.read_url.get_secret_value() if known.read_url else None,
            traces=traces,
            shared=shared,
        )
        if metrics is not None:
            started.metrics.offer(*metrics)
        print(f"serving on {address.rpartition(':')[0]}:{started.port}; {more}", flush=True)
        await server.serve(started, known.grace_seconds, held_by=sys.stdin.fileno() if shared else None)
        if traces is not None:
            traces.stop()

    try:
        uvloop.run(serving())
    finally:  # from here on nothing interrupts the clean stop
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)


def together(url: str, count: int, address: str, known: Settings, more: str, *, insecure: bool) -> int:
    """In so many workers, which this process starts and stops; returns the exit code.

    Raises DatabaseUnfit, DatabaseUnavailable or AddressRefused.
    """
    _refuse_unready(url)
    with workers.held(address) as taken:
        told = f"serving on {taken} with {count} workers; {more}"
        asked = ["--insecure"] if insecure else []
        return asyncio.run(workers.run(count, taken, asked, known.metrics_listen, told))


def _refuse_unready(url: str) -> None:
    refuse_unmigrated(url)
    refuse_unguarded(url)
