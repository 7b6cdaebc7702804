"""A balancer of TCP connections as a cluster has one: a new one goes to one of the endpoints of that moment."""

from __future__ import annotations

import select
import socket
import socketserver
import threading
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Balancer(socketserver.ThreadingTCPServer):
    """``endpoints`` are ports, exchanged as a whole; connections that are open stay where they are."""

    def __init__(self, endpoints: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.endpoints = endpoints
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._turn = count()

    def chosen(self) -> int:
        """The endpoint of a new connection."""
        endpoints = self.endpoints
        return endpoints[next(self._turn) % len(endpoints)]


class _Connection(socketserver.BaseRequestHandler):
    server: Balancer

    def handle(self) -> None:
        """Carry bytes both ways until both sides have ended; where nobody listens the caller is hung up on."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.server.chosen()), 10) as there:
            ways = {self.request: there, there: self.request}
            while ways:
                readable, _, _ = select.select(list(ways), [], [], 60)
                for one in readable:
                    data = one.recv(65536)
                    if data:
                        ways[one].sendall(data)
                    else:
                        ways.pop(one).shutdown(socket.SHUT_WR)


@contextmanager
def balanced(*endpoints: int) -> Iterator[Balancer]:
    """Balance on a free port, in threads."""
    with Balancer(list(endpoints)) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield found
        finally:
            found.shutdown()
            thread.join(10)
