"""The data provider: hands out one batch of rows for each call, as CSV with the file's own header.

python provider.py data/encounters.csv --rows 15000 --port 8100

``GET /batches/1`` is the first batch; the last may be shorter; behind it comes 404. A row is a line.
"""

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from threading import Thread

ROWS, PORT = 15_000, 8100


def batch(path: Path, number: int, rows: int) -> bytes | None:
    """The header and the batch's lines as they stand in the file; None behind the last batch."""
    with path.open("rb") as file:
        header = file.readline()
        lines = b"".join(islice(file, (number - 1) * rows, number * rows))
    return header + lines if lines else None


def server(path: Path, rows: int = ROWS, port: int = PORT) -> ThreadingHTTPServer:
    """Bind on loopback; port 0 takes any that is free."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = re.fullmatch(r"/batches/([1-9]\d{0,8})", self.path)
            found = batch(path, int(asked[1]), rows) if asked else None
            self.send_response(HTTPStatus.NOT_FOUND if found is None else HTTPStatus.OK)
            self.send_header("Content-Type", "text/csv; charset=utf-8")
            self.send_header("Content-Length", str(len(found or b"")))
            self.end_headers()
            self.wfile.write(found or b"")

        def log_message(self, text: str, *values: object) -> None:
            """Say nothing of each call."""

    return ThreadingHTTPServer(("127.0.0.1", port), Answer)


@contextmanager
def provided(path: Path, rows: int = ROWS) -> Iterator[str]:
    """Serve a file for the block, on a free port; gives the URL of its batches."""
    serving = server(path, rows, port=0)
    thread = Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{serving.server_port}/batches/{{number}}"
    finally:
        serving.shutdown()
        thread.join()
        serving.server_close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, help="the CSV file")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of a batch")
    parser.add_argument("--port", type=int, default=PORT)
    chosen = parser.parse_args()
    print(f"http://127.0.0.1:{chosen.port}/batches/{{number}}", flush=True)
    server(chosen.path, chosen.rows, chosen.port).serve_forever()
