"""OpenTelemetry: a span for each request, in the trace that its ``traceparent`` names, sent over OTLP.

Where to, how many and under which name is for the standard ``OTEL_*`` variables to say. Spans are gathered and
sent by a thread in the background; a collector that is away costs no answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo.extras import need

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp


class Traces:
    """``app`` with a span around each request; begun in the process that answers, since it has a thread."""

    def __init__(self, app: ASGIApp, project: str, version: Callable[[], str]) -> None:
        asgi = need("opentelemetry.instrumentation.asgi", "otel")
        exporter = need("opentelemetry.exporter.otlp.proto.http.trace_exporter", "otel")
        trace = need("opentelemetry.sdk.trace", "otel")
        export = need("opentelemetry.sdk.trace.export", "otel")
        resources = need("opentelemetry.sdk.resources", "otel")
        named = {"service.name": f"relevo-{project}"}
        self._provider = trace.TracerProvider(resource=_resource(resources, named))
        self._provider.add_span_processor(export.BatchSpanProcessor(exporter.OTLPSpanExporter()))

        def describe(span: Any, _scope: Any) -> None:
            span.set_attribute("relevo.project", project)
            span.set_attribute("relevo.version", version())

        self.app: ASGIApp = asgi.OpenTelemetryMiddleware(
            app,
            tracer_provider=self._provider,
            server_request_hook=describe,
            exclude_spans=["receive", "send"],
        )

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def _resource(resources: Any, named: dict[str, str]) -> Any:
    """The standard variables win over our own name."""
    return resources.Resource(named).merge(resources.OTELResourceDetector().detect())
