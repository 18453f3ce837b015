"""Any gRPC tool is a client: `buf curl` finds the services by reflection, posts, and is told why it may not."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import serving
from google.rpc.error_details_pb2 import ErrorInfo
from serving import Ledger, Loop
from test_readme import blocks

from ledger.v1 import approvals_pb2 as ap
from ledger.v1 import postings_pb2 as po
from service.server import SERVICES, start

BUF = Path(sys.executable).parent / "buf"
WHERE = "http://127.0.0.1:50051"


@pytest.fixture(scope="module")
def url(loop: Loop, server: Ledger) -> Iterator[str]:
    """Where a server listens that speaks of the same books as `server`."""
    running = loop.run(start(server.url, "127.0.0.1:0"))
    yield f"http://127.0.0.1:{running.port}"
    loop.run(running.stop(0))


def buf(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(BUF), "curl", "--protocol", "grpc", "--http2-prior-knowledge", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def call(url: str, method: str, **request: Any) -> dict[str, Any]:
    """The answer of a call that must be answered."""
    done = buf("--data", json.dumps(request), f"{url}/{method}")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def lines(debit: int, credit: int) -> list[dict[str, Any]]:
    return [
        {"account": "Assets:Cash", "side": "SIDE_DEBIT", "amount": usd(debit)},
        {"account": "Equity:Opening", "side": "SIDE_CREDIT", "amount": usd(credit)},
    ]


def usd(units: int) -> dict[str, Any]:
    return {"currency_code": "USD", "minor_units": units}


def test_services_are_listed_by_reflection(url: str) -> None:
    listed = buf("--list-services", url)
    assert listed.returncode == 0, listed.stderr
    assert set(SERVICES) <= set(listed.stdout.split())


def test_methods_are_listed_by_reflection(url: str) -> None:
    listed = buf("--list-methods", url)
    assert "ledger.v1.PostingsService/PostEntry" in listed.stdout.split()


def test_an_entry_is_posted(url: str, server: Ledger) -> None:
    call(url, "ledger.v1.AccountsService/OpenBook", book="curl", name="Example Care, P.C.")
    call(url, "ledger.v1.AccountsService/OpenAccount", book="curl", code="Equity:Opening", currency_code="USD")
    asked = {"idempotency_key": "k1", "effective_date": "2026-04-08", "description": "opening balance"}
    asked["postings"] = lines(500, 500)
    posted = call(url, "ledger.v1.PostingsService/PostEntry", book="curl", entry=asked)
    assert posted["entry"]["number"] == "1"
    again = call(url, "ledger.v1.PostingsService/PostEntry", book="curl", entry=asked)
    assert again["replayed"] is True
    assert server.of("curl").balance("Assets:Cash") == "5.00 Dr"


def test_a_refusal_is_told_with_its_reason(url: str, server: Ledger) -> None:
    serving.open_book(server, "curl-refused")
    entry = {"idempotency_key": "k1", "effective_date": "2026-04-08", "description": "opening balance"}
    entry["postings"] = lines(500, 499)
    done = buf(
        "--data",
        json.dumps({"book": "curl-refused", "entry": entry}),
        f"{url}/ledger.v1.PostingsService/PostEntry",
    )
    assert done.returncode != 0
    told = json.loads(done.stderr)
    assert told["code"] == "invalid_argument"
    info = ErrorInfo.FromString(base64.b64decode(told["details"][0]["value"] + "=="))
    assert (info.reason, info.domain) == ("ENTRY_UNBALANCED", "ledger.v1")
    assert server.of("curl-refused").entries() == []


def shown() -> list[str]:
    """Every `buf curl` that the README shows."""
    commands = (part for block in blocks("sh") for part in re.split(r"\n\s*\n", block))
    return [part.strip() for part in commands if re.match(r"([A-Z]+=\$\()?\.venv/bin/buf curl", part.strip())]


def test_what_the_readme_shows(url: str, server: Ledger) -> None:
    """As it is written, but for the address: a session, and a payout that two persons agree on."""
    serving.open_book(server)
    assert len(shown()) >= 5
    for command in shown():
        here = command.replace(".venv/bin/buf", str(BUF)).replace(WHERE, url)
        done = subprocess.run(["sh", "-c", here], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert server.balance("Assets:Receivable:Insurer:HARBOR") == "100.00 Dr"
    [paid] = server.entries(kind=po.KIND_PROVIDER_PAID)
    approved = server.approvals.GetProposal(ap.GetProposalRequest(book=serving.BOOK, entry_number=paid.number))
    assert (paid.actor, approved.proposal.decision.decided_by) == ("mia", "abe")
