"""One span a call, for OpenTelemetry: what the log's line says and no more, and nothing where nobody asked."""

import gzip
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue
from typing import Any

import grpc
import pytest
import serving
from conftest import connected as direct
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from payers import claim, deliver, file, remittance
from serving import BOOK, Ledger, Loop, client, refused, session
from test_command import connected, running
from test_stream import INTEREST
from test_stream import asked as streamed

from ledger.v1 import accounts_pb2 as ac
from service.settings import SettingRefused, Settings, read
from service.tracing import Traces, traces_of

KEYS = {
    *("rpc.system", "rpc.service", "rpc.method", "rpc.grpc.status_code"),
    *("ledger.caller", "ledger.book", "ledger.outcome", "ledger.entries"),
}
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = ("traceparent", f"00-{TRACE}-{PARENT}-01")
NOTHING = ac.GetBalanceRequest(book=BOOK, account="Assets:Nowhere")


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traced(loop: Loop, database: str, spans: InMemorySpanExporter) -> Iterator[Ledger]:
    """A server with the book "main" open, whose spans are kept from then on."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    with serving.serving(loop, database, traces=Traces(provider)) as running:
        serving.open_book(running)
        running.accounts.OpenAccount(ac.OpenAccountRequest(book=BOOK, code=INTEREST, currency_code="USD"))
        spans.clear()
        yield running


def one(spans: InMemorySpanExporter) -> ReadableSpan:
    """The span of the one call that was made; where it was refused, that is told a moment before the span ends."""
    deadline = time.monotonic() + serving.PATIENCE_SECONDS
    while not spans.get_finished_spans() and time.monotonic() < deadline:
        time.sleep(0.01)
    [span] = spans.get_finished_spans()
    spans.clear()
    return span


def about(span: ReadableSpan) -> dict[str, Any]:
    found = dict(span.attributes or {})
    assert found.keys() == KEYS
    assert found["rpc.system"] == "grpc"
    assert span.name == f"{found['rpc.service']}/{found['rpc.method']}"
    assert span.kind is SpanKind.SERVER
    assert span.events == ()
    return {key.rpartition(".")[2]: value for key, value in found.items() if key != "rpc.system"}


def test_what_a_span_says(traced: Ledger, spans: InMemorySpanExporter) -> None:
    asked = session("C1", patient_share="20.00", charge="150.00")
    traced.postings.RecordSession(asked, metadata=[("ledger-actor", "sessions.example")])
    span = one(spans)
    assert about(span) == {
        "service": "ledger.v1.PostingsService",
        "method": "RecordSession",
        "status_code": 0,
        "caller": "sessions.example",
        "book": BOOK,
        "outcome": "OK",
        "entries": "1",
    }
    assert span.parent is None
    assert span.status.status_code is StatusCode.UNSET
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.start_time < span.end_time


def test_a_stream_is_one_span_with_all_its_entries(traced: Ledger, spans: InMemorySpanExporter) -> None:
    requests = [streamed(f"k{number}", "0.01") for number in range(3)]
    assert len(list(traced.postings.StreamEntries(iter(requests)))) == 3
    told = about(one(spans))
    assert (told["method"], told["entries"], told["outcome"]) == ("StreamEntries", "1-3", "OK")


def test_a_refusal_is_no_failure_of_the_server(traced: Ledger, spans: InMemorySpanExporter) -> None:
    refused(traced.accounts.GetBalance, NOTHING)
    span = one(spans)
    told = about(span)
    assert (told["status_code"], told["outcome"]) == (grpc.StatusCode.NOT_FOUND.value[0], "ACCOUNT_NOT_FOUND")
    assert span.status.status_code is StatusCode.UNSET


def test_a_failure_of_the_server_is_one(traced: Ledger, spans: InMemorySpanExporter) -> None:
    with direct(traced.url) as owner:
        owner.execute("REVOKE SELECT ON accounts FROM ledger_program")
    refused(traced.accounts.GetBalance, NOTHING)
    span = one(spans)
    assert about(span)["outcome"] == "INTERNAL"
    assert span.status.status_code is StatusCode.ERROR


def test_streams_have_one_span_too(traced: Ledger, spans: InMemorySpanExporter) -> None:
    """And of a file that names a patient the span names nobody and nothing."""
    sent = file(remittance("90.00", "EFT1", claim("C1", "150.00", "90.00", "CO-45 60.00")))
    deliver(traced, sent)
    told = about(one(spans))
    assert (told["method"], told["book"], told["outcome"]) == ("IngestRemittance", BOOK, "OK")
    assert not {"DOE", "C1", "EFT1", "90.00", "payment.835"} & {*map(str, told.values())}


def test_a_span_is_the_child_of_the_callers(traced: Ledger, spans: InMemorySpanExporter) -> None:
    refused(lambda asked: traced.accounts.GetBalance(asked, metadata=[SAMPLED]), NOTHING)
    span = one(spans)
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)
    assert span.context.trace_id == span.parent.trace_id


def test_what_the_caller_does_not_want_sampled_is_not(traced: Ledger, spans: InMemorySpanExporter) -> None:
    quiet = ("traceparent", f"00-{TRACE}-{PARENT}-00")
    traced.accounts.ListBooks(ac.ListBooksRequest(), metadata=[quiet])
    assert spans.get_finished_spans() == ()
    traced.accounts.ListBooks(ac.ListBooksRequest(), metadata=[SAMPLED])
    assert about(one(spans))["method"] == "ListBooks"


@pytest.mark.parametrize("said", ["", "x", "00-0-0-01", f"00-{'0' * 32}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01"])
def test_a_traceparent_that_is_none_begins_a_trace(traced: Ledger, spans: InMemorySpanExporter, said: str) -> None:
    refused(lambda asked: traced.accounts.GetBalance(asked, metadata=[("traceparent", said)]), NOTHING)
    assert one(spans).parent is None


# --- the real program ---------------------------------------------------------------------------------


@contextmanager
def collecting() -> Iterator[tuple[str, Queue[ExportTraceServiceRequest]]]:
    """A collector on loopback, and what it was sent."""
    sent: Queue[ExportTraceServiceRequest] = Queue()

    class Collecting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            if self.path == "/v1/traces":
                sent.put(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Collecting)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", sent
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_spans_reach_the_collector_before_the_end(
    loop: Loop, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a server that is told where to send them and is stopped right after the call."""
    with collecting() as (url, sent):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        arguments = ("serve", "--insecure", "--listen", "127.0.0.1:0")
        with running(*arguments, database_url=ledger.url) as (process, said), connected(said) as channel:
            refused(client(loop, ledger.url, channel).accounts.GetBalance, NOTHING)
            process.terminate()
            assert process.wait(serving.PATIENCE_SECONDS) == 0
        [spans] = sent.get(timeout=serving.PATIENCE_SECONDS).resource_spans
    assert [span.name for scope in spans.scope_spans for span in scope.spans] == [
        "ledger.v1.AccountsService/GetBalance"
    ]
    named = {pair.key: pair.value.string_value for pair in spans.resource.attributes}
    assert named["service.name"] == "session-ledger"


def test_a_collector_that_is_away_holds_up_nothing(
    loop: Loop, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither calls nor the end; the log says so, in lines of its own form."""
    with collecting() as (url, _):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
    arguments = ("serve", "--insecure", "--listen", "127.0.0.1:0")
    with running(*arguments, database_url=ledger.url) as (process, said), connected(said) as channel:
        refused(client(loop, ledger.url, channel).accounts.GetBalance, NOTHING)
        process.terminate()
        _, logged = process.communicate(timeout=serving.PATIENCE_SECONDS)
    assert process.returncode == 0
    assert "traces" in {json.loads(line)["event"] for line in logged.splitlines()}


# --- nobody asked -------------------------------------------------------------------------------------


def test_traces_are_off_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert traces_of(read()) is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    for name, value in (("OTEL_TRACES_EXPORTER", "none"), ("OTEL_SDK_DISABLED", "true")):
        with monkeypatch.context() as changed:
            changed.setenv(name, value)
            assert traces_of(read()) is None


REFUSED = {
    "OTEL_EXPORTER_OTLP_PROTOCOL: grpc: only http/protobuf": {"otel_protocol": "grpc"},
    "OTEL_TRACES_EXPORTER: zipkin: only otlp": {"otel_traces_exporter": "zipkin"},
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_cannot_be_sent_so_is_refused(sentence: str) -> None:
    with pytest.raises(SettingRefused, match=sentence):
        traces_of(Settings(otel_endpoint="http://127.0.0.1:1", **REFUSED[sentence]))


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the libraries cannot be imported, as in an installation without them."""
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(SettingRefused, match=r"pip install 'session-ledger\[otel\]'"):
        traces_of(Settings(otel_endpoint="http://127.0.0.1:1"))


def test_the_program_costs_nothing_for_traces_that_nobody_wants() -> None:
    asked = "import sys, service.__main__; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
