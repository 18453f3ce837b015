"""Serving in this process, or in several together: what stands in the way is refused before anybody calls."""

import asyncio
import signal
import sys

import structlog
import uvloop

from reconciliation.files import Files
from service import server, tracing
from service import workers as several
from service.admission import OPEN, Admission
from service.connecting import files_of, refuse_unguarded, refuse_unmigrated
from service.settings import SettingRefused, Settings
from service.tracing import Traces

log = structlog.get_logger()


def serve_together(count: int, url: str, address: str, known: Settings, more: str, *, insecure: bool) -> int:
    """Serves in `count` processes until they are told to stop; returns the exit code.

    Raises Refusal or DatabaseUnfit where the database is not ready.
    """
    _refuse_unready(url)
    with several.held(address) as taken:
        told = f"serving on {taken} with {count} workers; {more}"
        asked = ["--insecure"] if insecure else []
        return asyncio.run(several.run(count, taken, asked, known.metrics_listen, told))


def serve(url: str, address: str, door: Admission, known: Settings, more: str, *, shared: bool = False) -> None:
    """Serves until it is told to stop; `shared`: as one of several on the same port.

    Raises SettingRefused, and Refusal or DatabaseUnfit where the database is not ready.
    """
    _refuse_unready(url)
    files = files_of(known)
    if door is OPEN:
        log.warning("callers are believed, not known", address=address)
    elif not files.sealing.keys:
        raise SettingRefused("LEDGER_FILE_KEYS is not set: remittance files, which name patients, would lie open")
    metrics = server.parts(server.listening(known.metrics_listen)) if known.metrics_listen else None
    traces = tracing.traces_of(known)
    try:
        uvloop.run(_serving(url, address, door, files, known, more, shared=shared, metrics=metrics, traces=traces))
    finally:  # from here on nothing interrupts the clean stop
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)


async def _serving(
    url: str,
    address: str,
    door: Admission,
    files: Files,
    known: Settings,
    more: str,
    *,
    shared: bool,
    metrics: tuple[str, int] | None,
    traces: Traces | None,
) -> None:
    if door.callers is not None:
        door.callers.read_at_hang_up()
    started = await server.start(
        url,
        address,
        door,
        files,
        calls_per_caller=known.calls_per_caller,
        guard_seconds=known.guard_seconds,
        traces=traces,
        shared=shared,
    )
    if metrics is not None:
        started.metrics.offer(*metrics)
    print(f"serving on {address.rpartition(':')[0]}:{started.port}; {more}", flush=True)
    await server.serve(started, known.grace_seconds, held_by=sys.stdin.fileno() if shared else None)
    if traces is not None:
        traces.stop()


def _refuse_unready(url: str) -> None:
    refuse_unmigrated(url)
    refuse_unguarded(url)
