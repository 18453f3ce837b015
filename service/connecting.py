"""The database that a command works on, and work done on it from the command line."""

import asyncio
import base64
import hashlib
import os
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from ledger.audit import integrity
from ledger.audit.checkpoint import NO_KEY, Signing, read_signing_keys
from ledger.audit.checkpoint import KeysRefused as SigningKeysRefused
from ledger.database import DatabaseUnfit, engine, out_of_step, reading
from ledger.errors import DatabaseUnavailable
from ledger.sealing import KeysRefused, Sealing, read_keys
from reconciliation.files import Files
from service import settings
from service.postgres import Urls, embedded, write_durably
from service.settings import SettingRefused, Settings

T = TypeVar("T")
_NAMED_FOR_ITSELF = "session-ledger.invalid/{}"
"""The name of a signing key that was made here: no domain of anybody's (RFC 2606), and its own."""


@contextmanager
def reached(known: Settings) -> Iterator[Urls]:
    """The URLs of the database that the settings name, or else of the embedded one, which runs meanwhile."""
    if known.database_url is not None:
        url = known.database_url.get_secret_value()
        yield Urls(url, known.owner_url.get_secret_value() if known.owner_url else url)
    else:
        with embedded(known.data_folder) as urls:
            yield urls


def files_of(known: Settings) -> Files:
    """The files under the keys that the settings give, or else under a key beside the embedded database.

    A database of one's own without a key keeps files in the open. Raises SettingRefused for a key of no use.
    """
    if known.file_keys is not None:
        return Files(_keys(known.file_keys.get_secret_value()))
    if known.database_url is None:
        own = known.data_folder.expanduser() / "file_key"
        return Files(_keys(own.read_text() if own.exists() else _own_key(own)))
    return Files(Sealing())


def _keys(text: str) -> Sealing:
    try:
        return read_keys(text)
    except KeysRefused as refused:
        raise SettingRefused(f"LEDGER_FILE_KEYS: {refused}") from None


def signing_of(known: Settings) -> Signing:
    """The keys that sign checkpoints, or else a key beside the embedded database.

    A database of one's own without a key has none signed. Raises SettingRefused for a key of no use.
    """
    if known.signing_keys is not None:
        return _signing(known.signing_keys.get_secret_value())
    if known.database_url is None:
        own = known.data_folder.expanduser() / "signing_key"
        return _signing(own.read_text() if own.exists() else _own_key(own, _NAMED_FOR_ITSELF))
    return NO_KEY


def _signing(text: str) -> Signing:
    try:
        return read_signing_keys(text)
    except SigningKeysRefused as refused:
        raise SettingRefused(f"LEDGER_SIGNING_KEYS: {refused}") from None


def _own_key(path: Path, name: str = "local_{}") -> str:
    """A key made once, beside the database and not in it: a copy of the database alone tells nothing.

    Its name is its own: what comes back from a backup beside another key is told as under a key that is missing.
    """
    unfinished, key = path.with_name(f"{path.name}.{os.getpid()}"), secrets.token_bytes(32)
    write_durably(
        unfinished, f"{name.format(hashlib.sha256(key).hexdigest()[:8])}:{base64.b64encode(key).decode()}"
    )
    with suppress(FileExistsError):
        os.link(unfinished, path)  # whole or not at all, and never over another
    unfinished.unlink()
    return path.read_text()


def refuse_unmigrated(url: str) -> None:
    """Raises DatabaseUnfit where the database's version is not one to work on, or DatabaseUnavailable."""
    try:
        with create_engine(url, poolclass=NullPool).connect() as connection:
            if sentence := out_of_step(connection):
                raise DatabaseUnfit(sentence)
    except OperationalError as lost:
        raise DatabaseUnavailable(f"the database does not answer: {lost.orig}") from lost


def refuse_unguarded(url: str) -> None:
    """Nothing is posted to books that could be changed afterwards. Raises DatabaseUnfit."""
    for fault in run(url, _reading(integrity.guards)):
        raise DatabaseUnfit(f"the books are not guarded: {fault}")


def looked_up(work: Callable[..., Awaitable[T]], *asked: Any) -> T:
    """What `work` finds on a connection that sees one state of the books."""
    with reached(settings.read()) as urls:
        refuse_unmigrated(urls.server)
        return run(urls.server, _reading(work, *asked))


def done(work: Callable[..., Awaitable[T]], *asked: Any) -> T:
    """What `work` answers, called with an engine, in books that are guarded. Raises DatabaseUnfit."""
    with reached(settings.read()) as urls:
        refuse_unmigrated(urls.server)
        refuse_unguarded(urls.server)
        return run(urls.server, work, *asked)


def _reading(work: Callable[..., Awaitable[T]], *asked: Any) -> Callable[[AsyncEngine], Awaitable[T]]:
    async def read(database: AsyncEngine) -> T:
        async with reading(database) as connection:
            return await work(connection, *asked)

    return read


def run(url: str, work: Callable[..., Awaitable[T]], *asked: Any) -> T:
    """What `work` returns, called with an engine of its own."""

    async def working() -> T:
        database = engine(url)
        try:
            return await work(database, *asked)
        finally:
            await database.dispose()

    return asyncio.run(working())


def without_password(url: str) -> str:
    """The URL as people may see it."""
    return make_url(url).render_as_string(hide_password=True)
