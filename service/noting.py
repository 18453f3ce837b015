"""The line in the log for what is read or exported on the command line: as a call has one."""

import getpass
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from ledger.errors import Refusal
from service.identity import UNNAMED

log = structlog.get_logger()


def system_user() -> str:
    """The name of the system's user, where the system knows one."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return UNNAMED


@contextmanager
def noted(command: str, book: str) -> Iterator[None]:
    """Says who ran the command on which book ("*": on all of them), and how it ended."""
    began, outcome = time.perf_counter(), "OK"
    try:
        yield
    except BaseException as failed:
        outcome = failed.reason if isinstance(failed, Refusal) else type(failed).__name__
        raise
    finally:
        milliseconds = round((time.perf_counter() - began) * 1000, 1)
        log.info(
            "command", command=command, actor=system_user(), book=book, outcome=outcome, milliseconds=milliseconds
        )
