"""Lets a daemon's spans belong to the trace of the program that calls it."""

from __future__ import annotations

import sys


def trace_metadata() -> tuple[tuple[str, str], ...]:
    """Return the metadata that names the caller's open span: W3C's ``traceparent``.

    Empty without one. Who has opened a span has imported OpenTelemetry: for nobody else is it
    imported here.
    """
    if "opentelemetry.trace" not in sys.modules:
        return ()
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 - not ours to need
        TraceContextTextMapPropagator,
    )

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return tuple(carrier.items())
