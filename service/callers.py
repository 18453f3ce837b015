"""The callers file while the server runs: who is taken out of it is refused from the next call on."""

import asyncio
import signal
from pathlib import Path

import structlog

from service.identity import Principal, read_callers
from service.settings import SettingRefused

log = structlog.get_logger()

_Stamp = tuple[int, int, int] | None
"""What changes with a file: when it was written, how long it is, and which one it is."""


class CallersFile:
    """Principals by name, as the file has them now; a file that cannot be used changes nothing."""

    def __init__(self, path: Path) -> None:
        """Raises SettingRefused."""
        self._path = path
        self._stamp = _stamp(path)
        self._known = read_callers(path)

    def get(self, name: str) -> Principal | None:
        """The principal of this name. Looks at the file's dates first, which takes microseconds."""
        if _stamp(self._path) != self._stamp:
            self.read_again()
        return self._known.get(name)

    def read_at_hang_up(self) -> None:
        """From now on SIGHUP has the file read again, where it would end the process."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.read_again)

    def read_again(self) -> None:
        """Reads the file anew; where it is wrong, the log says why and what was known stays."""
        self._stamp = _stamp(self._path)  # before it is read: what is written meanwhile is read next time
        try:
            known = read_callers(self._path)
        except SettingRefused as refused:
            log.warning("callers file refused, what was known stays", reason=str(refused))
            return
        names = sorted(known.keys() | self._known)
        changed = [name for name in names if known.get(name) != self._known.get(name)]
        self._known = known
        log.info("callers file read", callers=len(known), changed=changed)


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
