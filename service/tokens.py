"""Bearer tokens: signed JWTs (RFC 7519) of one issuer, for one audience, under keys of a JWKS (RFC 7517)."""

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

import jwt
import structlog

from ledger.errors import CallerNotAuthenticated
from service.identity import Metadata, Peer
from service.settings import SettingRefused

log = structlog.get_logger()

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""Signatures that can be pinned. None of them is keyed by a secret that the issuer would have to share."""
REST_SECONDS = 60.0
"""How long the issuer is left alone after it was asked."""
FRESH_SECONDS = 300.0
"""After this long the issuer is asked again, since it may have withdrawn a key."""
TRUSTED_SECONDS = 86_400.0
"""How long keys go on working while the issuer cannot be asked."""
_PREFIX = "bearer "
_FETCH_SECONDS = 5
_LARGEST_ANSWER = 1024 * 1024
_WRONG = "the bearer token is not valid here"


class _Unread(Exception):
    """The keys could not be read; the message says why."""


class Keys:
    """The issuer's public keys, from a file or a URL; read again and again, and where a token names another one.

    The issuer is asked at most once a minute, however many tokens with unknown keys arrive.
    """

    def __init__(
        self, source: str, authority: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`authority` signs the certificate of a URL (PEM); None: one of those that this machine trusts.

        Raises SettingRefused where a URL is not https: whoever can change the answer could forge callers.
        """
        if "://" in source and not source.startswith("https://"):
            raise SettingRefused("LEDGER_JWT_KEYS: a URL must begin with https://")
        self._source = source
        self._trusted = _trusting(authority)
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._asked_at = self._read_at = clock() - TRUSTED_SECONDS
        self._asking = asyncio.Lock()

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        """The key of this id, if the issuer has it, or had it when it could last be asked, a day ago at most."""
        if key_id not in self._keys or (self._age() >= FRESH_SECONDS and not self._asking.locked()):
            async with self._asking:
                wanted = key_id not in self._keys or self._age() >= FRESH_SECONDS
                if wanted and self._clock() - self._asked_at >= REST_SECONDS:
                    await self.refresh()
        return self._keys.get(key_id) if self._age() < TRUSTED_SECONDS else None

    async def refresh(self) -> None:
        """Reads the keys; those known so far stay where it fails, and the log says why."""
        self._asked_at = self._clock()
        try:
            found = await asyncio.to_thread(self._read)
        except _Unread as unread:
            log.warning("the issuer's keys cannot be read", setting="LEDGER_JWT_KEYS", reason=str(unread))
        else:
            self._keys = {key.key_id: key for key in found.keys if key.key_id}
            self._read_at = self._asked_at

    def _age(self) -> float:
        return self._clock() - self._read_at

    def _read(self) -> jwt.PyJWKSet:
        try:
            if "://" in self._source:
                return jwt.PyJWKSet.from_json(self._fetched())
            return jwt.PyJWKSet.from_json(Path(self._source).read_text(encoding="utf-8"))
        except ssl.SSLCertVerificationError as failed:
            raise _Unread(f"the certificate is not trusted: {failed.verify_message}") from None
        except HTTPError as failed:
            raise _Unread(f"the answer is {failed.code}") from None
        except OSError as failed:
            raise _Unread(f"no answer: {failed.strerror or failed}") from None
        except (jwt.PyJWTError, HTTPException, ValueError, TypeError, AttributeError, LookupError):
            raise _Unread("what is there is no JWKS") from None

    def _fetched(self) -> str:
        opener = build_opener(HTTPSHandler(context=self._trusted), _Stay())
        try:
            with opener.open(Request(self._source), timeout=_FETCH_SECONDS) as answer:  # noqa: S310 - https only
                return str(answer.read(_LARGEST_ANSWER), "utf-8")
        except HTTPError:
            raise
        except URLError as failed:
            raise failed.reason if isinstance(failed.reason, OSError) else failed from None


class _Stay(HTTPRedirectHandler):
    """Goes nowhere else: another place may not be https, and is not the one that was set."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        """No request follows; the answer stays what it was."""


def _trusting(authority: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as failed:
        raise SettingRefused(f"LEDGER_JWT_AUTHORITY: {authority}: {failed.strerror or failed}") from None


class BearerToken:
    """The subject of a token in the metadata key `authorization`."""

    def __init__(
        self, keys: Keys, issuer: str, audience: str, algorithms: Sequence[str], skew_seconds: float
    ) -> None:
        """Raises SettingRefused for an algorithm that is not among ALGORITHMS."""
        if not algorithms or not set(algorithms) <= set(ALGORITHMS):
            raise SettingRefused(f"LEDGER_JWT_ALGORITHMS: choose among {', '.join(ALGORITHMS)}")
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._algorithms = list(algorithms)
        self._skew_seconds = skew_seconds

    async def name(self, metadata: Metadata, peer: Peer) -> str | None:
        """The subject, or None where no token is offered. Raises CallerNotAuthenticated."""
        token = _offered(metadata)
        if token is None:
            return None
        try:
            header = jwt.get_unverified_header(token)
            key = await self._keys.find(str(header.get("kid", "")))
            if key is None:
                raise CallerNotAuthenticated(_WRONG)
            claims = jwt.decode(
                token,
                key,
                algorithms=self._algorithms,
                issuer=self._issuer,
                audience=self._audience,
                leeway=self._skew_seconds,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError):
            raise CallerNotAuthenticated(_WRONG) from None
        return str(claims["sub"])


def _offered(metadata: Metadata) -> str | None:
    for key, value in metadata:
        if key == "authorization" and isinstance(value, str) and value.lower().startswith(_PREFIX):
            return value[len(_PREFIX) :].strip()
    return None
