"""Bearer tokens: signed JWTs (RFC 7519) of one issuer, for one audience, under keys of a JWKS (RFC 7517)."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import jwt

from ledger.errors import CallerNotAuthenticated
from service.identity import Metadata, Peer
from service.settings import SettingRefused

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""Signatures that can be pinned. None of them is keyed by a secret that the issuer would have to share."""
_PREFIX = "bearer "
_REST_SECONDS = 60.0
_FETCH_SECONDS = 5
_WRONG = "the bearer token is not valid here"


class Keys:
    """The issuer's public keys, from a file or a URL; read again where a token names another one.

    A URL is asked at most once a minute, however many tokens with unknown keys arrive.
    """

    def __init__(self, source: str) -> None:
        """Raises SettingRefused where a URL is not https: whoever can change the answer could forge callers."""
        if "://" in source and not source.startswith("https://"):
            raise SettingRefused("LEDGER_JWT_KEYS: a URL must begin with https://")
        self._source = source
        self._keys: dict[str, jwt.PyJWK] = {}
        self._asked_at = -_REST_SECONDS
        self._asking = asyncio.Lock()

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        """The key of this id, if the issuer has it."""
        if key_id not in self._keys:
            async with self._asking:
                if key_id not in self._keys and time.monotonic() - self._asked_at >= _REST_SECONDS:
                    await self.refresh()
        return self._keys.get(key_id)

    async def refresh(self) -> None:
        """Reads the keys; those known so far stay where it fails."""
        self._asked_at = time.monotonic()
        found = await asyncio.to_thread(self._read)
        if found is not None:
            self._keys = {key.key_id: key for key in found.keys if key.key_id}

    def _read(self) -> jwt.PyJWKSet | None:
        try:
            if "://" in self._source:
                return jwt.PyJWKClient(self._source, timeout=_FETCH_SECONDS, cache_jwk_set=False).get_jwk_set()
            return jwt.PyJWKSet.from_json(Path(self._source).read_text(encoding="utf-8"))
        except (jwt.PyJWTError, OSError, ValueError):
            return None


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
