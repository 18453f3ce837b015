"""Who is asking. Set at the edge for each call, read where the books record an actor."""

from contextvars import ContextVar

actor: ContextVar[str] = ContextVar("actor")
"""The caller's name; there is no default, so that nothing is ever posted by nobody."""

books: ContextVar[frozenset[str] | None] = ContextVar("books", default=None)
"""The books that the caller may know of; None where that is all of them."""

is_finance: ContextVar[bool] = ContextVar("is_finance", default=False)
"""Whether the caller is of the finance team of the book that the request names."""
