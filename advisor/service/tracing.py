"""Spans of OpenTelemetry: one a call, one a run of a recommendation, one a command of a worker.

Nothing of OpenTelemetry is imported unless an endpoint for spans is set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Thread
from typing import TYPE_CHECKING

import structlog
from bsadvise.version import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

_LOG = structlog.stdlib.get_logger(__name__)

_ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_INSTALL = "install bsadvise[otel]"
_CLOSE_LIMIT_S = 2.0
"""A collector that does not answer must not keep a daemon from ending."""

Note = Callable[[str, str], None]
"""Sets an attribute of a span that is open."""

Carrier = Mapping[str, str]
"""A place in a trace, in the words of W3C's Trace Context: ``traceparent``, ``tracestate``."""

CARRIER_KEYS = frozenset({"traceparent", "tracestate"})


class TracingRefused(Exception):
    """Spans are asked for, and cannot be made."""


class Tracing:
    """Keeps no traces."""

    def span(
        self,
        name: str,
        attributes: Mapping[str, str],
        *,
        parent: Carrier | None = None,
        is_call: bool = False,
    ) -> AbstractContextManager[Note]:
        """Return what is done inside of a span.

        Args:
            name: Of the span.
            attributes: What is known of it at its start.
            parent: What it belongs to; None for the span that is open.
            is_call: Whether it answers a client's call.
        """
        del name, attributes, parent, is_call  # of what is not kept nothing is needed
        return nullcontext(lambda _key, _value: None)

    def carrier(self) -> Carrier:
        """Return the place of the span that is open; empty where there is none."""
        return {}

    def close(self) -> None:
        """Send what has not been sent yet. Idempotent."""


class OpenTelemetry(Tracing):
    """Hands spans to a processor, in a provider of its own."""

    def __init__(self, processor: SpanProcessor, service_name: str = "bsadvise") -> None:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.trace import SpanKind  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
            TraceContextTextMapPropagator,
        )

        named = {"service.name": service_name, "service.version": __version__}
        # The daemon closes it; a hook at exit would wait once more for a collector that is gone.
        self._provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("bsadvise", __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._kinds = {True: SpanKind.SERVER, False: SpanKind.INTERNAL}

    @contextmanager
    def span(
        self,
        name: str,
        attributes: Mapping[str, str],
        *,
        parent: Carrier | None = None,
        is_call: bool = False,
    ) -> Iterator[Note]:
        """Open a span, and close it on leaving. What is raised is told by its attributes."""
        with self._tracer.start_as_current_span(
            name,
            context=self._propagator.extract(parent) if parent else None,
            kind=self._kinds[is_call],
            attributes=dict(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield span.set_attribute

    def carrier(self) -> Carrier:
        """Return the place of the span that is open."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier

    def close(self) -> None:
        """Send what has not been sent yet, as far as the collector takes it at once."""
        # The exporter tries again for ten seconds, whatever limit it is given.
        closing = Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_CLOSE_LIMIT_S)


def open_tracing(endpoint: str | None, environment: Mapping[str, str]) -> Tracing:
    """Return what keeps the traces of a daemon.

    Args:
        endpoint: Where a collector takes OTLP over HTTP, such as ``http://localhost:4318``; None
            for what OpenTelemetry's own variables say.
        environment: Environment variables; OpenTelemetry's exporter reads more of them itself.

    Raises:
        TracingRefused: An endpoint is given, and OpenTelemetry is not installed.
    """
    is_wanted = endpoint or any(environment.get(name) for name in _ENDPOINT_VARIABLES)
    if not is_wanted or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return Tracing()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        if endpoint:
            raise TracingRefused(f"otel_endpoint needs OpenTelemetry; {_INSTALL}") from error
        _LOG.warning(f"no traces are kept: OpenTelemetry is missing; {_INSTALL}")
        return Tracing()
    exporter = OTLPSpanExporter(endpoint and f"{endpoint.rstrip('/')}/v1/traces")
    service_name = environment.get("OTEL_SERVICE_NAME") or "bsadvise"
    return OpenTelemetry(BatchSpanProcessor(exporter), service_name)
