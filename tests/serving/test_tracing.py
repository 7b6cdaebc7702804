"""Traces, sent to a collector on loopback."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from support import service
from support.service import GOOD

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.slow  # each test starts services of its own

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Collector(BaseHTTPRequestHandler):
    """Keeps what is sent to it."""

    kept: list[bytes]

    def do_POST(self) -> None:
        self.kept.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_each_request_is_a_span_of_its_callers_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = type("Kept", (Collector,), {"kept": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        service.workspace(tmp_path)
        (tmp_path / "relevo.toml").write_text("[serve]\ntraces = true\n")
        started = service.start(tmp_path)
        for _ in range(3):
            assert started.ask(GOOD, traceparent=f"00-{TRACE}-b7ad6b7169203331-01").status_code == 200
        assert started.ask({}).status_code == 422
        assert started.stop() == 0
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    spans = [
        (span, resource.resource)
        for body in handler.kept  # type: ignore[attr-defined]
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    asked = [span for span, _ in spans if span.trace_id.hex() == TRACE]
    assert len(asked) == 3
    said = {one.key: one.value.string_value for one in asked[0].attributes}
    assert (said["relevo.project"], said["relevo.version"]) == ("flights", "1.0.0")
    named = {one.key: one.value.string_value for one in spans[0][1].attributes}
    assert named["service.name"] == "relevo-flights"
    codes = [one.value.int_value for span, _ in spans for one in span.attributes if "status_code" in one.key]
    assert sorted(codes) == [200, 200, 200, 422]
