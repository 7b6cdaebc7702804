"""A balancer of TCP connections as a cluster has one: a new one goes to one of the endpoints of that moment."""

from __future__ import annotations

import select
import socket
import socketserver
import threading
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Balancer(socketserver.ThreadingTCPServer):
    """``endpoints`` are ports, exchanged as a whole; connections that are open stay where they are."""

    def __init__(self, endpoints: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.endpoints = endpoints
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._turn = count()
        self._unanswered: Counter[int] = Counter()
        self._counting = threading.Lock()

    def chosen(self) -> int:
        """The endpoint of a new connection."""
        with self._counting:
            endpoints = self.endpoints
            found = endpoints[next(self._turn) % len(endpoints)]
            self._unanswered[found] += 1
        return found

    def answered(self, endpoint: int) -> None:
        """Count a connection to an endpoint no longer: an answer has begun, or it ended."""
        with self._counting:
            self._unanswered[endpoint] -= 1

    def unanswered(self, endpoint: int) -> int:
        """How many connections are on their way to an endpoint, or wait there for its first byte."""
        with self._counting:
            return self._unanswered[endpoint]


class _Connection(socketserver.BaseRequestHandler):
    server: Balancer

    def handle(self) -> None:
        """Carry bytes both ways until both sides have ended; where nobody listens the caller is hung up on."""
        endpoint = self.server.chosen()
        with ExitStack() as unanswered:
            unanswered.callback(self.server.answered, endpoint)
            with suppress(OSError), socket.create_connection(("127.0.0.1", endpoint), 60) as there:
                self._carry(there, unanswered.close)

    def _carry(self, there: socket.socket, answered: Callable[[], None]) -> None:
        ways = {self.request: there, there: self.request}
        while ways:
            readable, _, _ = select.select(list(ways), [], [], 60)
            for one in readable:
                data = one.recv(65536)
                if one is there:
                    answered()
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
