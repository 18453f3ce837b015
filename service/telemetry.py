"""What the program says of itself: one line of JSON an event, on standard error."""

import logging
import sys
import traceback

import structlog
from structlog.typing import EventDict


def configure() -> None:
    """Sets up logging for a process."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _places_only,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _places_only(logger: object, method: str, event: EventDict) -> EventDict:
    """An exception as its type and the places it came through: its message may hold a person's data."""
    if event.pop("exc_info", None):
        kind, _, trace = sys.exc_info()
        frames = traceback.extract_tb(trace)
        event["exception"] = kind.__name__ if kind else None
        event["places"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return event
