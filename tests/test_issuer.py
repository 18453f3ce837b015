"""The issuer's keys by https: new ones are found, one that is away is outlived, a false one is not asked."""

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
import serving
import structlog
from serving import Ledger, Loop
from test_callers import AUDIENCE, ISSUER, Authority, Issuer, asked, bearer, new_key, permitted

from service.admission import admission
from service.settings import SettingRefused, Settings
from service.tokens import FRESH_SECONDS, REST_SECONDS, TRUSTED_SECONDS, Keys

ONE, TWO = new_key(), new_key()
CALLERS = '[[caller]]\nname = "ada"\nroles = ["auditor"]\nbooks = ["*"]\n'


@dataclass
class Site:
    """What a server on loopback answers, and how often it was asked."""

    url: str
    answer: bytes = b""
    code: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 0

    def publish(self, **keys: Any) -> None:
        """Answers these public keys from now on."""
        public = {
            name: json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())) for name, key in keys.items()
        }
        told = [one | {"kid": name, "use": "sig", "alg": "RS256"} for name, one in public.items()]
        self.answer, self.code = json.dumps({"keys": told}).encode(), 200


@contextmanager
def serving_keys(folder: Path, authority: Authority | None) -> Iterator[Site]:
    """A site under https with a certificate of the authority, or under plain http where there is none."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.times += 1
            self.send_response(site.code)
            for name, value in site.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(site.answer)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    if authority:
        server.socket = encrypted(folder, authority).wrap_socket(server.socket, server_side=True)
    site = Site(f"http{'s' if authority else ''}://localhost:{server.server_port}/keys")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def encrypted(folder: Path, authority: Authority) -> ssl.SSLContext:
    key, chain = authority.issue("localhost")
    (folder / "site.pem").write_bytes(key + chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "site.pem")
    return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority.new("authority of the issuer")
    (tmp_path / "authority.pem").write_bytes(made.pem())
    return made


@pytest.fixture
def site(tmp_path: Path, authority: Authority) -> Iterator[Site]:
    with serving_keys(tmp_path, authority) as running:
        running.publish(one=ONE)
        yield running


class Clock:
    """Stands still until it is moved on."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Asker:
    """The keys of a site as a server knows them, by a clock of the test's own, and what the log says of them."""

    def __init__(self, site: Site, authority: Path | None) -> None:
        self.clock = Clock()
        self.keys = Keys(site.url, authority, self.clock)
        self.said: list[str] = []

    def knows(self, *names: str, after: float = 0) -> bool:
        """Whether it finds every one of these keys, so many seconds later."""
        self.clock.now += after

        async def find() -> list[jwt.PyJWK | None]:
            return [await self.keys.find(name) for name in names]

        with structlog.testing.capture_logs() as lines:
            found = asyncio.run(find())
        self.said += [line["reason"] for line in lines]
        return None not in found


@pytest.fixture
def asker(site: Site, tmp_path: Path) -> Asker:
    return Asker(site, tmp_path / "authority.pem")


def test_a_caller_is_known_by_keys_from_a_url(loop: Loop, server: Ledger, site: Site, tmp_path: Path) -> None:
    """From the first token on, and with a new key once the issuer has another."""
    (tmp_path / "callers.toml").write_text(CALLERS)
    known = Settings(
        jwt_keys=site.url,
        jwt_authority=tmp_path / "authority.pem",
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
        callers=tmp_path / "callers.toml",
    )
    with serving.serving(loop, server.url, admission(known, "127.0.0.1:0", insecure=False)) as running:
        assert permitted(asked(running, "ListBooks", "", bearer(Issuer(ONE, tmp_path), "ada")))
        found = asked(running, "ListBooks", "", bearer(Issuer(TWO, tmp_path), "ada"))
        assert found is not None
        assert found.code == "UNAUTHENTICATED", "another's signature under the name of a key that is known"
    assert site.times == 1


def test_a_new_key_is_fetched_when_a_token_names_it(site: Site, asker: Asker) -> None:
    """And the issuer is left alone for a minute, whoever asks for keys that it does not have."""
    assert asker.knows("one")
    site.publish(one=ONE, two=TWO)
    assert not asker.knows("two", after=REST_SECONDS - 1)
    assert site.times == 1
    assert asker.knows("two", "one", after=1)
    assert not asker.knows("three", "four", "five")
    assert site.times == 2


def test_a_key_that_was_withdrawn_ends(site: Site, asker: Asker) -> None:
    """After five minutes at most, though nobody asks for another."""
    assert asker.knows("one", "one")
    site.publish(two=TWO)
    assert asker.knows("one", after=FRESH_SECONDS - 1)
    assert not asker.knows("one", after=1)
    assert asker.knows("two")
    assert site.times == 2


def test_an_issuer_that_is_away_is_outlived_for_a_day(site: Site, asker: Asker) -> None:
    assert asker.knows("one")
    site.code = 503
    assert asker.knows("one", after=FRESH_SECONDS)
    assert asker.knows("one", after=TRUSTED_SECONDS - FRESH_SECONDS - 1)
    assert not asker.knows("one", after=1)
    assert asker.said == ["the answer is 503"] * 2
    site.publish(one=ONE)
    assert asker.knows("one", after=REST_SECONDS)


def test_keys_found_before_a_server_is_gone_stay(tmp_path: Path, authority: Authority) -> None:
    with serving_keys(tmp_path, authority) as site:
        site.publish(one=ONE)
        asker = Asker(site, tmp_path / "authority.pem")
        assert asker.knows("one")
    assert asker.knows("one", after=FRESH_SECONDS)
    assert asker.said == ["no answer: Connection refused"]


def test_a_certificate_that_is_not_trusted(site: Site, tmp_path: Path) -> None:
    """Of an authority that nobody told us of: refused, and the log says why. So it is with a name of another."""
    asker = Asker(site, None)
    assert not asker.knows("one")
    (tmp_path / "another.pem").write_bytes(Authority.new("another").pem())
    other = Asker(site, tmp_path / "another.pem")
    assert not other.knows("one")
    named = Asker(site, tmp_path / "authority.pem")
    named.keys = Keys(site.url.replace("localhost", "127.0.0.1"), tmp_path / "authority.pem", named.clock)
    assert not named.knows("one")
    said = asker.said + other.said + named.said
    assert len(said) == 3
    assert all(one.startswith("the certificate is not trusted: ") for one in said)
    assert site.times == 0


ANSWERS: dict[str, tuple[bytes, str]] = {
    "a page": (b"<html>", "what is there is no JWKS"),
    "no keys": (b'{"keys": []}', "what is there is no JWKS"),
    "another form": (b"[1]", "what is there is no JWKS"),
    "keys that are none": (b'{"keys": [1, {"kty": "RSA"}]}', "what is there is no JWKS"),
    "letters of another code": (b"\xff", "what is there is no JWKS"),
    "without an end": (b'{"keys": ["' + b"x" * 2_000_000, "what is there is no JWKS"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_what_is_no_answer(site: Site, asker: Asker, case: str) -> None:
    site.answer, reason = ANSWERS[case]
    assert not asker.knows("one")
    assert asker.said == [reason]


def test_the_issuer_leads_nowhere_else(site: Site, asker: Asker, tmp_path: Path) -> None:
    """Least of all to a place without https."""
    with serving_keys(tmp_path, None) as elsewhere:
        elsewhere.publish(one=ONE)
        site.code, site.headers = 302, {"Location": elsewhere.url}
        assert not asker.knows("one")
        assert elsewhere.times == 0
    assert asker.said == ["the answer is 302"]


def test_an_authority_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "letter.pem").write_text("Dear finance team")
    for name in ("letter.pem", "none.pem"):
        with pytest.raises(SettingRefused, match=f"LEDGER_JWT_AUTHORITY: .*{name}"):
            Keys("https://login.example/keys", tmp_path / name)
