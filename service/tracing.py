"""Traces: one span a call, for OpenTelemetry, where the standard OTEL_ variables say where they go.

A span says what the log's line of the call says, and nothing of what was asked: no amount, no party, no claim. The
libraries come with the extra `otel` and are looked for only where traces are wanted.
"""

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import grpc
import structlog

from service.identity import Metadata
from service.settings import SettingRefused, Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

log = structlog.get_logger()

_SERVICE = "session-ledger"
_PROTOCOL = "http/protobuf"
_OUR_FAULT = {
    *(grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DATA_LOSS),
    *(grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNIMPLEMENTED),
}
"""Codes that say that a server failed, by OpenTelemetry's conventions; a refusal is no failure."""


class Traces:
    """Spans of calls, each a child of what the caller's W3C `traceparent` names."""

    def __init__(self, provider: "TracerProvider") -> None:
        """Spans go where the provider sends them."""
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer(_SERVICE)
        self._propagator = TraceContextTextMapPropagator()

    def call(self, told: Mapping[str, str], metadata: Metadata, seconds: float) -> None:
        """A call ended that took so long; `told` is what the log says of it."""
        from opentelemetry.trace import SpanKind, StatusCode

        ended = time.time_ns()
        service, _, method = told["method"].strip("/").partition("/")
        code = grpc.StatusCode[told["code"]]
        carrier = {key: value for key, value in metadata if isinstance(value, str)}
        span = self._tracer.start_span(
            f"{service}/{method}",
            context=self._propagator.extract(carrier),
            kind=SpanKind.SERVER,
            start_time=ended - round(seconds * 1_000_000_000),
            attributes={
                "rpc.system": "grpc",
                "rpc.service": service,
                "rpc.method": method,
                "rpc.grpc.status_code": code.value[0],
                "ledger.caller": told["actor"],
                "ledger.book": told["book"],
                "ledger.outcome": told["outcome"],
                "ledger.entries": told["entries"],
            },
        )
        if code in _OUR_FAULT:
            span.set_status(StatusCode.ERROR, told["outcome"])
        span.end(ended)

    def stop(self) -> None:
        """Sends what was not sent yet. May take as long as the collector does not answer."""
        self._provider.shutdown()


def traces_of(known: Settings) -> Traces | None:
    """Where the OTEL_ variables name a collector; None where they name none, or say that there shall be none.

    Raises SettingRefused where the libraries are not there, or traces are wanted in a form that we cannot send.
    """
    if not known.otel_endpoint or known.otel_disabled or known.otel_traces_exporter == "none":
        return None
    if known.otel_traces_exporter != "otlp":
        raise SettingRefused(f"OTEL_TRACES_EXPORTER: {known.otel_traces_exporter}: only otlp and none are known")
    if known.otel_protocol != _PROTOCOL:
        raise SettingRefused(f"OTEL_EXPORTER_OTLP_PROTOCOL: {known.otel_protocol}: only {_PROTOCOL} is known")
    try:
        return _exporting()
    except ImportError:
        raise SettingRefused(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, and OpenTelemetry is not installed: "
            "pip install 'session-ledger[otel]'"
        ) from None


def _exporting() -> Traces:
    """OpenTelemetry reads its own variables: endpoint, headers, certificate, timeout, sampler, resource."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: _SERVICE}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    said = logging.getLogger("opentelemetry")
    said.addHandler(_ToLog())
    said.propagate = False
    return Traces(provider)


class _ToLog(logging.Handler):
    """What OpenTelemetry has to say, such as that its collector is away, becomes lines of our log."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        log.warning("traces", reason=record.getMessage())
